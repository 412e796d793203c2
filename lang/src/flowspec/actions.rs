//! What happens to packets that a rule matches: extended communities (RFC 8955 §7).

use std::net::Ipv4Addr;

use super::{RateUnit, TrafficRate};

/// A community of eight octets, as BGP carries it.
pub(super) type Community = [u8; 8];

/// The VRF that packets are moved to: the one that imports this route target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteTarget {
    /// Of an autonomous system with a number of two octets (0x8008).
    As2 {
        /// The autonomous system.
        asn: u16,
        /// Its number for the target.
        value: u32,
    },
    /// Of an address (0x8108).
    Ipv4 {
        /// The address.
        address: Ipv4Addr,
        /// Its owner's number for the target.
        value: u16,
    },
    /// Of an autonomous system with a number of four octets (0x8208).
    As4 {
        /// The autonomous system.
        asn: u32,
        /// Its number for the target.
        value: u16,
    },
}

impl RouteTarget {
    fn community(self) -> Community {
        match self {
            Self::As2 { asn, value } => {
                let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), value.to_be_bytes());
                [0x80, 0x08, a, b, c, d, e, f]
            }
            Self::Ipv4 { address, value } => {
                let ([a, b, c, d], [e, f]) = (address.octets(), value.to_be_bytes());
                [0x81, 0x08, a, b, c, d, e, f]
            }
            Self::As4 { asn, value } => {
                let ([a, b, c, d], [e, f]) = (asn.to_be_bytes(), value.to_be_bytes());
                [0x82, 0x08, a, b, c, d, e, f]
            }
        }
    }
}

/// A community that cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ActionError {
    /// A rate that is no number, or infinite.
    #[error("a limit of {rate} {unit:?} a second is no rate")]
    NotFinite {
        /// What it counts.
        unit: RateUnit,
        /// The rate.
        rate: f32,
    },
    /// A rate below zero.
    #[error("a limit of {rate} {unit:?} a second is negative")]
    Negative {
        /// What it counts.
        unit: RateUnit,
        /// The rate.
        rate: f32,
    },
    /// A code point of more than six bits.
    #[error("{0} is no DSCP: 63 is the greatest")]
    Dscp(u8),
}

/// What happens to the packets of a rule; nothing, unless more is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actions {
    rates: Vec<TrafficRate>,
    redirects: Vec<RouteTarget>,
    markings: Vec<u8>,
    sample: bool,
    goes_on: bool,
}

impl Actions {
    /// No action: packets are forwarded, and later rules are not looked at.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A further limit. All limits count, in ascending order of their sub-types.
    #[must_use]
    pub fn with_rate(mut self, rate: TrafficRate) -> Self {
        insert(&mut self.rates, rate);
        self
    }

    /// A further redirection. See [`redirect`](Self::redirect).
    #[must_use]
    pub fn with_redirect(mut self, target: RouteTarget) -> Self {
        insert(&mut self.redirects, target);
        self
    }

    /// A further marking. See [`marking`](Self::marking).
    ///
    /// # Errors
    /// `dscp` is above 63.
    pub fn with_marking(mut self, dscp: u8) -> Result<Self, ActionError> {
        if dscp > 63 {
            return Err(ActionError::Dscp(dscp));
        }
        insert(&mut self.markings, dscp);
        Ok(self)
    }

    /// With sampling, and logging of what is sampled.
    #[must_use]
    pub fn with_sample(self) -> Self {
        Self { sample: true, ..self }
    }

    /// With later rules looked at as well.
    #[must_use]
    pub fn with_going_on(self) -> Self {
        Self { goes_on: true, ..self }
    }

    /// The actions that `communities` name, in any order. Communities that name none are passed
    /// over, and so are bits without a meaning.
    ///
    /// A negative rate drops all traffic, as RFC 8955 §7.1 wants it.
    ///
    /// # Errors
    /// A rate is no number, or infinite.
    pub fn from_communities(communities: &[Community]) -> Result<Self, ActionError> {
        let mut actions = Self::none();
        for &[high, low, a, b, c, d, e, f] in communities {
            let target = match (high, low) {
                (0x80, 0x06 | 0x0c) => {
                    let unit = if low == 0x06 { RateUnit::Bytes } else { RateUnit::Packets };
                    let rate = f32::from_be_bytes([c, d, e, f]);
                    let rate = TrafficRate::new(unit, if rate < 0.0 { 0.0 } else { rate })?;
                    insert(&mut actions.rates, rate.set_by(u16::from_be_bytes([a, b])));
                    continue;
                }
                (0x80, 0x07) => {
                    actions.sample |= f & 2 != 0;
                    actions.goes_on |= f & 1 != 0;
                    continue;
                }
                (0x80, 0x09) => {
                    insert(&mut actions.markings, f & 0x3f);
                    continue;
                }
                (0x80, 0x08) => RouteTarget::As2 {
                    asn: u16::from_be_bytes([a, b]),
                    value: u32::from_be_bytes([c, d, e, f]),
                },
                (0x81, 0x08) => RouteTarget::Ipv4 {
                    address: Ipv4Addr::new(a, b, c, d),
                    value: u16::from_be_bytes([e, f]),
                },
                (0x82, 0x08) => RouteTarget::As4 {
                    asn: u32::from_be_bytes([a, b, c, d]),
                    value: u16::from_be_bytes([e, f]),
                },
                _ => continue,
            };
            insert(&mut actions.redirects, target);
        }
        Ok(actions)
    }

    /// The communities that name these actions.
    #[must_use]
    pub fn communities(&self) -> Vec<Community> {
        let bits = u8::from(self.sample) << 1 | u8::from(self.goes_on);
        let action = (bits != 0).then_some([0x80, 0x07, 0, 0, 0, 0, 0, bits]);
        let rates = self.rates.iter().map(TrafficRate::community);
        let redirects = self.redirects.iter().map(|target| target.community());
        let markings = self.markings.iter().map(|dscp| [0x80, 0x09, 0, 0, 0, 0, 0, *dscp]);
        rates.chain(action).chain(redirects).chain(markings).collect()
    }

    /// The limits, each of which a packet must keep to, in the order in which they apply: bytes
    /// before packets, the smaller first.
    #[must_use]
    pub fn rates(&self) -> &[TrafficRate] {
        &self.rates
    }

    /// Whether a limit lets nothing pass.
    #[must_use]
    pub fn drops(&self) -> bool {
        self.rates.iter().any(TrafficRate::drops)
    }

    /// Where packets are moved to: nowhere if two communities disagree.
    #[must_use]
    pub fn redirect(&self) -> Option<RouteTarget> {
        only(&self.redirects)
    }

    /// The code point that packets get: none if two communities disagree.
    #[must_use]
    pub fn marking(&self) -> Option<u8> {
        only(&self.markings)
    }

    /// Whether packets are sampled and logged.
    #[must_use]
    pub fn samples(&self) -> bool {
        self.sample
    }

    /// Whether later rules are looked at when this one matches: the terminal bit, which ends the
    /// search when it is clear (RFC 8955 §7.3).
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }
}

/// Adds to a sorted set.
fn insert<T: PartialOrd + PartialEq>(set: &mut Vec<T>, item: T) {
    if !set.contains(&item) {
        let at = set.partition_point(|other| *other < item);
        set.insert(at, item);
    }
}

/// The member of a set of one.
fn only<T: Copy>(set: &[T]) -> Option<T> {
    match set {
        [one] => Some(*one),
        _ => None,
    }
}
