//! A router with a Linux kernel behind its WAN port, and what both have counted.

use crate::agreement::{Agreement, From, V4, V6, gateway, ours};
use crate::guest::{self, Guest};
use crate::namespaces::Namespace;
use crate::router::{self, Live, Report, Used};
use crate::{NAMESPACES, installed, xfrm};

/// A router and a guest behind its WAN port.
pub(crate) struct Bench {
    pub(crate) router: Live,
    pub(crate) guest: Guest,
    pub(crate) lan: Namespace,
    _wan: Namespace,
}

impl Bench {
    /// `None`, said aloud, where there can be no guest.
    pub(crate) fn new(agreements: &[Agreement]) -> Option<Self> {
        Self::with(agreements, agreements, &[])
    }

    /// One whose kernel may understand the agreements in another way, and more options of `l3fwd`.
    pub(crate) fn with(
        agreements: &[Agreement],
        theirs: &[Agreement],
        options: &[&str],
    ) -> Option<Self> {
        if !installed(&NAMESPACES) || !installed(&guest::NEEDS) {
            return None;
        }
        let (wan, lan) = (Namespace::new("wan")?, Namespace::new("lan")?);
        let router = Live::with((&wan, &lan), agreements, options);
        let mut guest = Guest::boot(&wan, "wan", router::STRANGER_MAC)?;
        let mut lines = String::new();
        for (family, prefix) in [(V4, 24), (V6, 64)] {
            let (them, us) = (gateway(From::Them, family), gateway(From::Us, family));
            let nodad = if family == V6 { " nodad" } else { "" };
            lines += &format!("addr add {them}/{prefix} dev vec0{nodad}\n");
            lines += &format!("route add {} via {us}\n", ours(family).1);
        }
        lines.extend(theirs.iter().map(xfrm::lines));
        guest.ip(&lines);
        if agreements.iter().any(|agreement| agreement.udp) {
            guest.listen_for_nat_t();
        }
        Some(Self { router, guest, lan, _wan: wan })
    }

    /// Pings each of the kernel's hosts as fast as it answers; each ping must be answered.
    ///
    /// `ping` does not wait long for the last answers of a flood, so those that came are counted.
    /// There may be 150 pings: those of a guest that does not run for seconds wait in a socket,
    /// which has room for 200.
    pub(crate) fn flood(&self, agreements: &[Agreement], pings: u64) {
        for agreement in agreements {
            let (host, before) = (agreement.host(), self.answers());
            self.lan.run(&format!("ping -n -q -f -c {} {host}", pings - 1));
            // Once it is answered, all before it are.
            self.lan.must(&format!("ping -n -c 1 -W 30 {host}"));
            assert_eq!(self.answers() - before, pings, "{}", agreement.name);
        }
    }

    /// Echo replies of both families that the network behind us has got.
    pub(crate) fn answers(&self) -> u64 {
        let said = self.lan.must("cat /proc/net/snmp /proc/net/snmp6");
        let mut icmp = said.lines().filter_map(|line| line.strip_prefix("Icmp: "));
        let mut columns = || icmp.next().unwrap().split(' ');
        let (mut names, mut counts) = (columns(), columns());
        let v4 = names.position(|name| name == "InEchoReps").and_then(|at| counts.nth(at));
        let v6 = said.lines().find_map(|line| line.strip_prefix("Icmp6InEchoReplies"));
        [v4, v6].into_iter().map(|count| count.unwrap().trim().parse::<u64>().unwrap()).sum()
    }
}

/// Ends it; the SAs' names with what we and they have counted of them, and our report. It fails if
/// anything was `unanswered`.
pub(crate) fn counted(
    bench: Bench,
    agreements: &[Agreement],
    unanswered: &[String],
) -> (Vec<(String, Used, Used)>, Report) {
    let Bench { router, mut guest, .. } = bench;
    let theirs = xfrm::counters(&mut guest);
    let report = router.finish();
    let mut counts = Vec::new();
    for agreement in agreements {
        for from in [From::Us, From::Them] {
            let (name, spi) = (agreement.sa_name(from), agreement.sa(from).spi);
            let (ours, mut theirs) = (report.sa(&name), theirs[&spi]);
            // In transport mode it counts what is behind the IP header, we the packet.
            if agreement.transport {
                theirs.bytes += if agreement.inner == V4 { 20 } else { 40 } * theirs.packets;
            }
            println!("{name:24} ours {ours:?} theirs {theirs:?}");
            counts.push((name, ours, theirs));
        }
    }
    assert!(unanswered.is_empty(), "{unanswered:?} {report:?}");
    (counts, report)
}

/// Ends it after `packets` went each way under each agreement, as both must have counted; our
/// report.
pub(crate) fn exchanged(
    bench: Bench,
    agreements: &[Agreement],
    packets: u64,
    unanswered: &[String],
) -> Report {
    let (counts, report) = counted(bench, agreements, unanswered);
    for (name, ours, theirs) in counts {
        assert_eq!((ours.packets, ours.failed), (packets, 0), "{name}");
        assert_eq!(ours, theirs, "{name}");
    }
    report
}
