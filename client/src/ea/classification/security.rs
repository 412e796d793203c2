//! Security policies: entries of `[[spd]]` as rules of the objects of their interfaces.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use qfp_core::acl::Pattern;
use qfp_core::acl::key::{WORDS6, condition};
use qfp_core::ipsec::SpdAction as Act;
use qfp_core::uidb::UidbIndex;
use qfp_core::wire::{icmpv6, protocol};

use super::names::SecurityRule;
use super::patterns::Addresses;
use crate::acl::IpMatch;
use crate::config::{
    ANY_PORT, Config, Interface, Interfaces, NEIGHBOUR_DISCOVERY, SpdAction, SpdEntry,
};
use crate::ipsec::{Direction, Sa};

/// Protocol number of ESP.
const ESP: u8 = 50;

/// The entries of all interfaces, in order, and what they need to know of others.
pub(super) struct Policies<'c> {
    entries: HashMap<&'c str, Vec<&'c SpdEntry>>,
    /// Outer packets of the SAs that an interface's entries use.
    outer: HashMap<&'c str, Vec<Outer>>,
    /// Numbers of the interfaces that stand for entries.
    stands: HashMap<&'c str, UidbIndex>,
}

/// Between whom an SA's outer packets travel.
struct Outer {
    local: IpAddr,
    remote: IpAddr,
    /// Ports of UDP encapsulation.
    udp: Option<(u16, u16)>,
}

/// Some rules: how they are counted and what they do, none for what passes uncounted; and what
/// matches.
pub(super) type Rules<const W: usize> = Vec<(Option<(SecurityRule, Act)>, Pattern<W>)>;

impl<'c> Policies<'c> {
    pub(super) fn of(
        config: &'c Config,
        interfaces: &Interfaces<'c>,
        uidb: impl Fn(&Interface<'_>) -> UidbIndex,
    ) -> Self {
        let sas = config.ipsec.by_name();
        let mut entries: HashMap<&str, Vec<&SpdEntry>> = HashMap::new();
        let mut outer: HashMap<&str, Vec<Outer>> = HashMap::new();
        for entry in &config.ipsec.spd {
            entries.entry(&entry.interface).or_default().push(entry);
            let SpdAction::Protect { sa_out, sa_in } = &entry.action else { continue };
            let used = sa_out.iter().chain(sa_in).filter_map(|name| sas.get(name.as_str()));
            outer.entry(&entry.interface).or_default().extend(used.map(|sa| Outer::of(sa)));
        }
        let hidden = interfaces.all().iter().filter(|interface| interface.is_hidden());
        let stands = hidden.map(|interface| (interface.name(), uidb(interface))).collect();
        Self { entries, outer, stands }
    }

    /// The rules of an interface's packets of a direction and of the family of `W`, in order.
    pub(super) fn rules<const W: usize>(&self, name: &str, direction: Direction) -> Rules<W>
    where
        Pattern<W>: Addresses,
    {
        let (mut rules, mut fragments): (Rules<W>, Rules<W>) = (Vec::new(), Vec::new());
        // What is protected already.
        for outer in self.outer.get(name).into_iter().flatten() {
            rules.extend(outer.patterns(direction).map(|pattern| (None, pattern)));
        }
        let own = self.entries.get(name).into_iter().flatten();
        if W == WORDS6 && own.clone().any(|entry| pattern::<W>(entry, direction).is_some()) {
            rules.push(neighbour_discovery(name, direction));
        }
        for entry in own {
            let Some(between) = pattern::<W>(entry, direction) else { continue };
            let counted = |fragments| SecurityRule {
                entry: entry.hidden_name().to_owned(),
                direction,
                fragments,
            };
            let act = match &entry.action {
                SpdAction::Bypass => Act::Bypass,
                SpdAction::Discard => Act::Discard,
                SpdAction::Protect { .. } => {
                    let stands = self.stands.get(entry.hidden_name());
                    Act::Protect(stands.copied().unwrap_or(UidbIndex::NONE))
                }
            };
            let (ours, theirs) = (&entry.local_ports, &entry.remote_ports);
            let (source, destination) = match direction {
                Direction::Out => (ours, theirs),
                Direction::In => (theirs, ours),
            };
            if (source, destination) == (&ANY_PORT, &ANY_PORT) {
                if act == Act::Bypass {
                    // Of what passes here, and of nothing else: another entry may protect that.
                    let doubtful = fragments.iter();
                    rules.extend(
                        doubtful
                            .filter_map(|(act, later)| Some((act.clone(), later.and(&between)?))),
                    );
                }
                rules.push((Some((counted(false), act)), between));
                continue;
            }
            let first = between.condition(0, condition::LATER_FRAGMENT);
            let first = first.source_port(source).destination_port(destination);
            rules.push((Some((counted(false), act)), first));
            // Nobody can say whether a later fragment is one of the entry's packets: another entry
            // may protect it, but in the clear it must not pass (RFC 4301 §7).
            if act != Act::Bypass {
                let later = between.condition(condition::LATER_FRAGMENT, condition::LATER_FRAGMENT);
                fragments.push((Some((counted(true), Act::Discard)), later));
            }
        }
        rules.append(&mut fragments);
        rules
    }
}

/// Neighbour discovery passes on the link itself, whatever the entries say: no SA can be there
/// before the neighbour is (RFC 4301 2.1, RFC 3756 3). With another hop limit than 255 it has crossed
/// a router and is none (RFC 4861 7.1).
fn neighbour_discovery<const W: usize>(
    name: &str,
    direction: Direction,
) -> (Option<(SecurityRule, Act)>, Pattern<W>) {
    let first = u16::from(icmpv6::ROUTER_SOLICITATION) << 8;
    let last = u16::from(icmpv6::REDIRECT) << 8 | 0xff;
    let messages = Pattern::<W>::any()
        .protocol(protocol::ICMPV6, u8::MAX)
        .destination_port(&(first..=last))
        .condition(0, condition::LATER_FRAGMENT)
        .ttl(&(255..=255));
    let entry = format!("{name}/{NEIGHBOUR_DISCOVERY}");
    (Some((SecurityRule { entry, direction, fragments: false }, Act::Bypass)), messages)
}

impl Outer {
    fn of(sa: &Sa) -> Self {
        Self { local: sa.endpoints.local, remote: sa.endpoints.remote, udp: sa.udp }
    }

    /// ESP between the two, and UDP that it may be in.
    fn patterns<const W: usize>(&self, direction: Direction) -> impl Iterator<Item = Pattern<W>>
    where
        Pattern<W>: Addresses,
    {
        let [ours, theirs] = [self.local, self.remote].map(IpMatch::host);
        let between = match direction {
            Direction::Out => Pattern::<W>::between(ours, theirs),
            Direction::In => Pattern::<W>::between(theirs, ours),
        };
        let in_udp = self.udp.map(|(ours, theirs)| match direction {
            Direction::Out => (ours, theirs),
            Direction::In => (theirs, ours),
        });
        let esp = between.map(|between| between.protocol(ESP, u8::MAX));
        let udp = between.zip(in_udp).map(|(between, (source, destination))| {
            let udp = between.protocol(protocol::UDP, u8::MAX);
            udp.source_port(&(source..=source)).destination_port(&(destination..=destination))
        });
        esp.into_iter().chain(udp)
    }
}

/// Addresses and protocol of an entry's packets; none when they are of the other family.
fn pattern<const W: usize>(entry: &SpdEntry, direction: Direction) -> Option<Pattern<W>>
where
    Pattern<W>: Addresses,
{
    let any = (IpMatch::Any, IpMatch::Any);
    let (ours, theirs) = entry
        .networks()
        .map_or(any, |(ours, theirs): (IpNet, IpNet)| (IpMatch::from(ours), IpMatch::from(theirs)));
    let between = match direction {
        Direction::Out => Pattern::<W>::between(ours, theirs)?,
        Direction::In => Pattern::<W>::between(theirs, ours)?,
    };
    Some(match entry.protocol {
        Some(number) => between.protocol(number, u8::MAX),
        None => between,
    })
}
