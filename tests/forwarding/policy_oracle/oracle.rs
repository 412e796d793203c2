//! What becomes of a packet, by RFC 4301 5.1 and 5.2 and by docs/order-of-operations.md, read slowly.

use std::net::IpAddr;

use ipnet::IpNet;
use qfp::core::packet::{DropReason, PuntCause};

use super::packet::{Facts, Sent};
use super::scene::{Act, Entry, Lists, POLICED, Rpf, Scene, Set, WAN, ip};

/// How the walks of a packet end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum End {
    Drop(DropReason),
    Punt(PuntCause),
    /// Sent in the clear, to the station with this last byte.
    Clear {
        link: usize,
        station: u8,
    },
    /// Sent to the WAN's peer, protected by the SA of this entry.
    Sealed {
        entry: usize,
    },
}

/// What the oracle says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) end: End,
    /// How the packet itself leaves after the slow path had it; none if it does not.
    pub(super) then: Option<End>,
    /// The link where it must not be seen in the clear.
    pub(super) secret: [bool; 3],
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    None,
    Null0,
    Receive,
    Via(usize, IpAddr),
}

/// What a policy says about a packet that leaves or comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Pass,
    Discard,
    Protect(usize, bool),
}

fn longest(scene: &Scene, dst: IpAddr) -> Target {
    let connected = scene.connected();
    if connected.iter().any(|(_, net)| net.addr() == dst) {
        return Target::Receive;
    }
    if let Some((link, net)) = connected.iter().find(|(_, net)| net.contains(&dst)) {
        let is_broadcast =
            matches!((net, dst), (IpNet::V4(net), IpAddr::V4(dst)) if net.broadcast() == dst);
        return if is_broadcast { Target::Receive } else { Target::Via(*link, dst) };
    }
    let routed = scene.routed().into_iter().filter(|(net, _)| net.contains(&dst));
    match routed.max_by_key(|(net, _)| net.prefix_len()) {
        None => Target::None,
        Some((_, None)) => Target::Null0,
        Some((_, Some(via))) => longest(scene, via),
    }
}

fn by_family(v6: bool, four: DropReason, six: DropReason) -> DropReason {
    if v6 { six } else { four }
}

/// Whether a list permits a packet; empty and missing ones do.
fn permits(lists: &Lists, facts: &Facts) -> bool {
    let v6 = facts.dst.is_ipv6();
    let Some(list) = &lists[usize::from(v6)] else { return true };
    let inside = |net: &Option<IpNet>, address| net.is_none_or(|net| net.contains(&address));
    let found = list.iter().find(|ace| {
        ace.protocol.is_none_or(|protocol| protocol == facts.protocol)
            && inside(&ace.src, facts.src)
            && inside(&ace.dst, facts.dst)
    });
    match found {
        Some(ace) => ace.permit,
        // Neighbours pass IPv6 lists that do not deny them.
        None => v6 && facts.protocol == 58 && matches!(facts.icmp, Some(135 | 136)),
    }
}

/// Whether addresses and protocol are those of an entry's packets.
fn between(entry: &Entry, facts: &Facts, out: bool) -> bool {
    let (local, remote) = if out { (facts.src, facts.dst) } else { (facts.dst, facts.src) };
    // An entry with a network is of that network's family.
    let family =
        |net: &Option<IpNet>| net.is_none_or(|net| net.addr().is_ipv6() == local.is_ipv6());
    let inside = |net: &Option<IpNet>, address| net.is_none_or(|net| net.contains(&address));
    family(&entry.local)
        && family(&entry.remote)
        && inside(&entry.local, local)
        && inside(&entry.remote, remote)
        && entry.protocol.is_none_or(|protocol| protocol == facts.protocol)
}

fn has_ports(entry: &Entry) -> bool {
    entry.local_ports.is_some() || entry.remote_ports.is_some()
}

/// Whether the packet is one of an entry's; ports that nobody can read are none of its.
fn takes(entry: &Entry, facts: &Facts, out: bool) -> bool {
    let inside = |range: Option<(u16, u16)>, port| {
        range.is_none_or(|(low, high)| (low..=high).contains(&port))
    };
    let ports = match facts.ports {
        Some((src, dst)) => {
            let (local, remote) = if out { (src, dst) } else { (dst, src) };
            inside(entry.local_ports, local) && inside(entry.remote_ports, remote)
        }
        None => !has_ports(entry),
    };
    between(entry, facts, out) && ports
}

/// The first entry that matches decides (RFC 4301 4.4.1); in front of all, neighbour discovery on the
/// link passes. A later fragment that an entry with ports might have wanted does not pass in the
/// clear.
pub(super) fn policy(scene: &Scene, link: usize, facts: &Facts, out: bool) -> Says {
    let entries = &scene.links[link].spd;
    let v6 = facts.dst.is_ipv6();
    let discovery = facts.icmp.is_some_and(|kind| (133..=137).contains(&kind)) && facts.ttl == 255;
    if v6 && facts.protocol == 58 && discovery {
        return Says::Pass;
    }
    let first = entries.iter().position(|entry| takes(entry, facts, out));
    let says = match first.map(|n| (n, entries[n].act)) {
        None | Some((_, Act::Bypass)) => Says::Pass,
        Some((_, Act::Discard)) => Says::Discard,
        Some((n, Act::Protect(keyed))) => Says::Protect(n, keyed),
    };
    let before = &entries[..first.unwrap_or(entries.len())];
    let doubtful = facts.later
        && before.iter().any(|e| has_ports(e) && between(e, facts, out) && e.act != Act::Bypass);
    if doubtful && says == Says::Pass { Says::Discard } else { says }
}

/// The outer packet of the WAN's SAs.
fn outer(scene: &Scene, facts: &Facts, out: bool) -> Facts {
    let ends = [1, 2].map(|host| ip(&format!("{}.{host}", scene.wan)));
    let (src, dst) = if out { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
    Facts {
        src,
        dst,
        protocol: 50,
        ports: None,
        icmp: None,
        later: false,
        attention: false,
        ..facts.clone()
    }
}

/// What becomes of a packet.
pub(super) fn verdict(scene: &Scene, sent: &Sent) -> Verdict {
    let mut judge = Judge { scene, next: None, then: None, dst: sent.facts.dst };
    let end = match sent.by {
        Some(by) => judge.protected(sent, by),
        None => judge.ingress(sent.link, &sent.facts, true),
    };
    let end = end.unwrap_or_else(|end| end);
    let mut secret = [false; 3];
    for (link, secret) in secret.iter_mut().enumerate() {
        // What has been on that wire in the clear may be spoken of there.
        let came = sent.by.is_none() && sent.link == link;
        let leaves = !came && judge.next.is_some_and(|(output, _)| output == link);
        let refused =
            came && matches!(end, End::Drop(DropReason::SpdDiscard | DropReason::SpdUnprotected));
        let kept = policy(scene, link, &sent.facts, true) != Says::Pass;
        *secret =
            !scene.links[link].spd.is_empty() && !sent.facts.arp && (refused || leaves && kept);
    }
    Verdict { end, then: judge.then, secret }
}

struct Judge<'s> {
    scene: &'s Scene,
    /// Where it is to leave, and to whom.
    next: Option<(usize, IpAddr)>,
    then: Option<End>,
    dst: IpAddr,
}

type Step = Result<End, End>;

impl Judge<'_> {
    /// ESP for the router: the outer packet's rows up to `esp-decap`, and the inner packet's walk.
    fn protected(&mut self, sent: &Sent, by: usize) -> Step {
        let facts = outer(
            self.scene,
            &Facts {
                dscp: 0,
                ttl: 64,
                wrong: None,
                group_frame: false,
                tiny: None,
                ..sent.facts.clone()
            },
            false,
        );
        self.before_policy(sent.link, &facts)?;
        if !takes(&self.scene.links[WAN].spd[by], &sent.facts, false) {
            return Err(End::Drop(DropReason::EspPolicy));
        }
        if let Some(reason) = sent.facts.wrong.or(sent.facts.tiny) {
            return Err(End::Drop(reason));
        }
        self.not_ours(&sent.facts)?;
        // Whoever may send by this SA may not speak of everybody.
        self.next = None;
        self.dst = sent.facts.dst;
        let target = self.target(&sent.facts);
        self.routed(&sent.facts, target)?;
        self.behind_policy(&sent.facts, target)
    }

    fn ingress(&mut self, link: usize, facts: &Facts, clear: bool) -> Step {
        if facts.arp {
            return Err(End::Punt(PuntCause::Arp));
        }
        let target = self.before_policy(link, facts)?;
        if clear {
            match policy(self.scene, link, facts, false) {
                Says::Pass => {}
                Says::Discard => return Err(End::Drop(DropReason::SpdDiscard)),
                Says::Protect(..) => return Err(End::Drop(DropReason::SpdUnprotected)),
            }
        }
        self.behind_policy(facts, target)
    }

    fn is_local(facts: &Facts) -> bool {
        match facts.dst {
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
        }
    }

    fn target(&self, facts: &Facts) -> Target {
        if Self::is_local(facts) { Target::Receive } else { longest(self.scene, self.dst) }
    }

    /// Rows `l3-parse` to `qos-act-in`.
    fn before_policy(&mut self, link: usize, facts: &Facts) -> Result<Target, End> {
        let v6 = facts.dst.is_ipv6();
        self.dst = facts.dst;
        let on = &self.scene.links[link];
        let is_group = Self::is_local(facts)
            && !matches!(facts.dst, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if let Some(reason) = facts.wrong {
            return Err(End::Drop(reason));
        }
        if facts.group_frame && !is_group {
            return Err(End::Drop(DropReason::L2GroupUnicast));
        }
        if let Some(reason) = facts.tiny {
            return Err(End::Drop(reason));
        }
        self.not_ours(facts)?;
        let allowed = permits(&on.acl_in, facts);
        self.reverse_path(link, facts)?;
        let mut target = self.target(facts);
        if let Some((lists, set)) = &on.route_map
            && allowed
            && permits(lists, facts)
            && target != Target::Receive
        {
            match set {
                Set::Null0 => return Err(End::Drop(DropReason::PbrNull0)),
                Set::NextHop(hops) => {
                    self.dst = hops[usize::from(v6)];
                    target = longest(self.scene, self.dst);
                }
            }
        }
        self.routed(facts, target)?;
        if !allowed {
            return Err(End::Drop(by_family(v6, DropReason::Ipv4Acl, DropReason::Ipv6Acl)));
        }
        if on.policer && facts.dscp == POLICED {
            return Err(End::Drop(DropReason::Policer));
        }
        Ok(target)
    }

    /// Nobody else speaks with the router's own addresses, nor with those of everybody.
    fn not_ours(&self, facts: &Facts) -> Result<(), End> {
        let is_own = |net: &IpNet| {
            let broadcast = matches!(net, IpNet::V4(net) if facts.src == net.broadcast());
            broadcast || net.addr() == facts.src
        };
        let own = self.scene.connected().iter().any(|(_, net)| is_own(net));
        if own { Err(End::Drop(DropReason::OwnSource)) } else { Ok(()) }
    }

    /// Row `urpf` (RFC 3704). Link-local sources pass no router and are not asked for.
    fn reverse_path(&self, link: usize, facts: &Facts) -> Result<(), End> {
        let Some(rpf) = self.scene.links[link].rpf else { return Ok(()) };
        if matches!(facts.src, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
            return Ok(());
        }
        let good = match longest(self.scene, facts.src) {
            Target::Via(back, _) => rpf == Rpf::Loose || back == link,
            _ => false,
        };
        let reason =
            by_family(facts.dst.is_ipv6(), DropReason::Ipv4UnicastRpf, DropReason::Ipv6UnicastRpf);
        if good { Ok(()) } else { Err(End::Drop(reason)) }
    }

    /// Row `next-hop`.
    fn routed(&mut self, facts: &Facts, target: Target) -> Result<(), End> {
        let v6 = facts.dst.is_ipv6();
        match target {
            Target::None => {
                Err(End::Drop(by_family(v6, DropReason::Ipv4NoRoute, DropReason::Ipv6NoRoute)))
            }
            Target::Null0 => {
                Err(End::Drop(by_family(v6, DropReason::Ipv4Null0, DropReason::Ipv6Null0)))
            }
            Target::Via(link, via) => {
                self.next = Some((link, via));
                let strayed = matches!(facts.src, IpAddr::V6(v6) if v6.is_unicast_link_local());
                if strayed { Err(End::Drop(DropReason::LinkLocalScope)) } else { Ok(()) }
            }
            Target::Receive => Ok(()),
        }
    }

    /// Rows `ttl` to `tx`.
    fn behind_policy(&mut self, facts: &Facts, target: Target) -> Step {
        let Target::Via(link, via) = target else {
            let is_four_group = facts.dst.is_ipv4() && Self::is_local(facts);
            let cause = match facts.dst {
                IpAddr::V4(_) if is_four_group => PuntCause::Ipv4LocalGroup,
                IpAddr::V4(_) => PuntCause::Ipv4ForUs,
                IpAddr::V6(_) => PuntCause::Ipv6ForUs,
            };
            return Err(End::Punt(cause));
        };
        if facts.ttl <= 1 {
            return Err(End::Punt(PuntCause::IpTtlExceeded));
        }
        let facts = &Facts { ttl: facts.ttl - 1, ..facts.clone() };
        if facts.attention {
            if !facts.hopeless {
                self.then = Some(self.egress(facts, link, via).unwrap_or_else(|end| end));
            }
            let cause =
                if facts.dst.is_ipv6() { PuntCause::Ipv6HopByHop } else { PuntCause::Ipv4Options };
            return Err(End::Punt(cause));
        }
        self.egress(facts, link, via)
    }

    /// Rows `adjacency` to `tx`.
    fn egress(&self, facts: &Facts, link: usize, via: IpAddr) -> Step {
        if !self.scene.known().contains(&(link, via)) {
            // On its own link a destination is looked for, behind a router the router is.
            let routed = self.scene.routed().iter().any(|(_, hop)| *hop == Some(via));
            return Err(End::Punt(if routed {
                PuntCause::IncompleteAdjacency
            } else {
                PuntCause::Glean
            }));
        }
        let v6 = facts.dst.is_ipv6();
        let denied = End::Drop(by_family(v6, DropReason::Ipv4Acl, DropReason::Ipv6Acl));
        if !permits(&self.scene.links[link].acl_out, facts) {
            return Err(denied);
        }
        match policy(self.scene, link, facts, true) {
            Says::Pass if facts.len > 1500 => Err(End::Punt(PuntCause::IpMtuExceeded)),
            Says::Pass => Ok(End::Clear { link, station: 2 }),
            Says::Discard => Err(End::Drop(DropReason::SpdDiscard)),
            Says::Protect(_, false) => Err(End::Drop(DropReason::EspNoSa)),
            Says::Protect(..) if facts.len > 1446 => Err(End::Punt(PuntCause::IpMtuExceeded)),
            Says::Protect(entry, true) => {
                // The outer packet is another packet for lists.
                if permits(&self.scene.links[WAN].acl_out, &outer(self.scene, facts, true)) {
                    Ok(End::Sealed { entry })
                } else {
                    Err(End::Drop(DropReason::Ipv4Acl))
                }
            }
        }
    }
}
