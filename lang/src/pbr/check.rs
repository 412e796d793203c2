//! What an entry cannot be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Entry, Mark, Sets};
use crate::acl::Name;

/// The most access lists or next hops of one kind that an entry names.
pub(super) const MOST: usize = 32;

/// Why a route map cannot have an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A next hop that is no single host.
    #[error("{0} is not the address of one neighbour")]
    NotNeighbour(IpAddr),
    /// A next hop that could be on any link.
    #[error("link-local {0} could be on any link")]
    LinkLocal(Ipv6Addr),
    /// An access list or next hop that is there already.
    #[error("{0} is given twice")]
    Twice(String),
    /// A word that has another meaning where lists are named.
    #[error("no access list can be matched by the name {0}")]
    Reserved(Name),
    /// More of one kind than an entry can have.
    #[error("an entry has at most {MOST} {0}")]
    TooMany(&'static str),
    /// Lengths of no packet.
    #[error("no length is at least {min} and at most {max}")]
    NoLength {
        /// The least.
        min: u32,
        /// The greatest.
        max: u32,
    },
    /// A VRF and a place to send packets to.
    #[error("a VRF cannot be set together with a next hop or an interface")]
    VrfAndTarget,
    /// A code point beside another.
    #[error("an entry sets one code point or precedence")]
    SecondMark,
    /// A code point that the field has no room for.
    #[error("{value} is above {max}")]
    TooLarge {
        /// The value.
        value: u8,
        /// The greatest.
        max: u8,
    },
}

impl Entry {
    /// Makes sure that the entry can be carried out, and that its text reads back. Lists and VRFs
    /// are not looked up.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), EntryError> {
        let (matches, sets) = (&self.matches, &self.sets);
        for lists in [&matches.ipv4, &matches.ipv6] {
            all(lists, "access lists", list_name)?;
        }
        for hops in [&sets.next_hops4, &sets.default_next_hops4] {
            all(hops, "next hops", |hop| neighbour((*hop).into()))?;
        }
        for hops in [&sets.next_hops6, &sets.default_next_hops6] {
            all(hops, "next hops", |hop| neighbour((*hop).into()))?;
        }
        if let Some(length) = &matches.length {
            lengths(*length.start(), *length.end())?;
        }
        match sets.mark {
            Some(Mark::Dscp(value)) if value > 63 => Err(EntryError::TooLarge { value, max: 63 }),
            Some(Mark::Precedence(value)) if value > 7 => {
                Err(EntryError::TooLarge { value, max: 7 })
            }
            _ => sets.one_target(),
        }
    }
}

impl Sets {
    /// Whether there is a next hop, or the null interface.
    fn has_target(&self) -> bool {
        self.null0
            || !(self.next_hops4.is_empty() && self.default_next_hops4.is_empty())
            || !(self.next_hops6.is_empty() && self.default_next_hops6.is_empty())
    }

    /// Makes sure that a VRF is not said together with another way.
    pub(super) fn one_target(&self) -> Result<(), EntryError> {
        if self.vrf.is_some() && self.has_target() { Err(EntryError::VrfAndTarget) } else { Ok(()) }
    }
}

/// Checks the items of a list, and that there are not too many nor one twice.
fn all<T: PartialEq + ToString>(
    list: &[T],
    what: &'static str,
    check: impl Fn(&T) -> Result<(), EntryError>,
) -> Result<(), EntryError> {
    for (n, item) in list.iter().enumerate() {
        room(&list[..n], item, what)?;
        check(item)?;
    }
    Ok(())
}

/// Makes sure that `item` can follow `list`.
pub(super) fn room<T: PartialEq + ToString>(
    list: &[T],
    item: &T,
    what: &'static str,
) -> Result<(), EntryError> {
    if list.len() >= MOST {
        return Err(EntryError::TooMany(what));
    }
    if list.contains(item) { Err(EntryError::Twice(item.to_string())) } else { Ok(()) }
}

/// Makes sure that `name` is not read as a keyword.
pub(super) fn list_name(name: &Name) -> Result<(), EntryError> {
    if name.as_str().eq_ignore_ascii_case("prefix-list") {
        return Err(EntryError::Reserved(name.clone()));
    }
    Ok(())
}

/// Makes sure that `address` is that of one host, on a link that it tells.
pub(super) fn neighbour(address: IpAddr) -> Result<(), EntryError> {
    let zero_network = |v4: Ipv4Addr| v4.octets()[0] == 0;
    let bad = match address {
        IpAddr::V4(v4) => zero_network(v4) || v4.is_broadcast(),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => return Err(EntryError::LinkLocal(v6)),
        IpAddr::V6(_) => false,
    };
    if bad || address.is_unspecified() || address.is_multicast() || address.is_loopback() {
        return Err(EntryError::NotNeighbour(address));
    }
    Ok(())
}

/// Makes sure that some length is within.
pub(super) fn lengths(min: u32, max: u32) -> Result<(), EntryError> {
    if min > max { Err(EntryError::NoLength { min, max }) } else { Ok(()) }
}
