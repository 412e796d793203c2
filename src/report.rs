//! What a run did, as plain numbers: for the report at the end and for the rates in between.

use std::collections::HashMap;
use std::sync::Arc;

use client::acl::{Family, Kind};
use client::ea::{BoundClass, SaStatus, SecurityRule, TcamUsage};
use client::ipsec::SaEvent;
use hal::{DeviceCounters, LinkState};
use qfp_core::counters::InterfaceCounters;
use qfp_core::qos::police::PolicerWarning;

/// Counts since the start of a run, or between two moments of it ([`RunReport::since`]).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunReport {
    /// Seconds that the counts cover.
    pub elapsed_s: f64,
    /// Ports in the order of their numbers.
    pub ports: Vec<PortReport>,
    /// Interfaces and sub-interfaces in the order of their numbers, those without a port (`rp` and
    /// the like, for what the router puts in itself) among them.
    pub interfaces: Vec<InterfaceReport>,
    /// Packets dropped, by reason.
    pub drops: Vec<(&'static str, u64)>,
    /// Packets handed to the slow path, by cause.
    pub punts: Vec<(&'static str, u64)>,
    /// What goes to the slow path, by type of flow and input interface: dropped packets whose
    /// source is told are among them. Those that nothing came of are left out.
    pub policed: Vec<PolicedReport>,
    /// What users' features have counted
    /// ([`FeatureCounter`](qfp_core::packet::FeatureCounter)), by name.
    pub features: Vec<(&'static str, u64)>,
    /// Packets that a step took over.
    pub consumed: u64,
    /// Packets that the slow path put in.
    pub injected: u64,
    /// Packets that were under way when the counts were taken: those that steps and crypto engines
    /// held, as of their lcores' last vectors, and those in the slow path and the rings to and from
    /// it, as of its last look at them, which is every 50 ms.
    pub queued: u64,
    /// Whether every packet that came in or was injected is accounted for; none as long as lcores
    /// run, as their counts are not all of one moment.
    pub conserved: Option<bool>,
    /// Steps of the feature invocation array, in order, and behind them `rx`, to receive packets.
    pub steps: Vec<StepReport>,
    /// What the slow path did, by name.
    pub slow_path: Vec<(&'static str, u64)>,
    /// Packets that lcores have handed to crypto engines, and what became of others, by name.
    pub crypto_engines: Vec<(&'static str, u64)>,
    /// Lcores in the order of their numbers.
    pub lcores: Vec<LcoreReport>,
    /// Access lists that interfaces are bound to, those of IPv4 first, in order of their names.
    pub access_lists: Vec<AccessListReport>,
    /// Route maps that interfaces are bound to, likewise.
    pub route_maps: Vec<RouteMapReport>,
    /// Classes of service policies, by interface, direction and place.
    pub classes: Vec<ClassReport>,
    /// Rules of security policies, by entry and direction.
    pub security: Vec<SecurityReport>,
    /// What of the classifier is in use.
    pub tcam: Option<TcamUsage>,
    /// SAs as they were when the run ended; none without any, and before
    /// ([`Running::ipsec`](crate::Running::ipsec) has them then).
    pub ipsec: Option<IpsecReport>,
    /// Generation of the configuration that is in force.
    pub generation: u64,
}

/// SAs, and what seals and opens for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpsecReport {
    /// Name of the tier of the crypto engine; none if there is no engine.
    pub tier: Option<&'static str>,
    /// SAs there is room for.
    pub limit: u32,
    /// How many places are taken, those of SAs that lcores are still leaving included.
    pub in_use: u32,
    /// The SAs by name.
    pub sas: Vec<SaStatus>,
    /// At the end of a run: what has become of SAs since
    /// [`Running::take_sa_events`](crate::Running::take_sa_events) was asked last.
    pub events: Vec<SaEvent>,
}

/// An access list that an interface is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessListReport {
    /// Whose packets.
    pub family: Family,
    /// Its name or number.
    pub name: String,
    /// How much it looks at.
    pub kind: Kind,
    /// Its aces in order, and what follows the last.
    pub rules: Vec<RuleReport>,
}

/// A route map that an interface is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMapReport {
    /// Whose packets.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// The entries that packets of the family can match, in order.
    pub entries: Vec<RuleReport>,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, as the accounting of the configuration counts them.
    pub bytes: u64,
}

/// A rule of a security policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityReport {
    /// The entry, and which of its rules.
    pub rule: SecurityRule,
    /// What matched.
    pub count: Count,
}

/// A class of a service policy where it is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassReport {
    /// Interface, direction, and the policies and classes from the top down.
    pub class: BoundClass,
    /// What the operator ought to know about its policer.
    pub warnings: Vec<PolicerWarning>,
    /// Whether it has a policer.
    pub policed: bool,
    /// What was in the class.
    pub matched: Count,
    /// What its policer found to conform.
    pub conform: Count,
    /// What exceeded.
    pub exceed: Count,
    /// What violated.
    pub violate: Count,
    /// What its policer dropped.
    pub dropped: Count,
}

/// Counts of one rule: a packet is counted once for each lookup that it was the first match of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleReport {
    /// Its sequence number; 0 for what follows the last ace.
    pub sequence: u32,
    /// What it says, without the number.
    pub text: Arc<str>,
    /// Packets that matched.
    pub packets: u64,
    /// Their bytes: frames without FCS.
    pub bytes: u64,
}

/// Packets of one type of flow for the slow path that came in through one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicedReport {
    /// The type, such as `OSPF-mc-known`.
    pub flow: &'static str,
    /// The interface; `rp` and the like for what the router puts in itself.
    pub interface: Arc<str>,
    /// Packets that passed.
    pub passed: u64,
    /// Packets beyond the rate.
    pub dropped: u64,
}

/// What has gone through one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceReport {
    /// Its name.
    pub name: Arc<str>,
    /// In and out.
    pub counters: InterfaceCounters,
}

/// Counts of one port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortReport {
    /// Its name.
    pub name: String,
    /// What it was opened with.
    pub spec: String,
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received, without frame check sequence.
    pub rx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent, without frame check sequence.
    pub tx_bytes: u64,
    /// Packets that were lost or refused before they were received: by the device for want of room
    /// or buffers (`device`), and by the queue. What the device found damaged is not among them.
    pub rx_missed: u64,
    /// Packets that the device did not take.
    pub tx_dropped: u64,
    /// Its link, as of the last look at it, which is once a second.
    pub link: LinkState,
    /// How often the link went from up to down or gone.
    pub link_losses: u64,
    /// Bits a second of the link, likewise; 0 when unknown.
    pub speed: u64,
    /// What the device counts itself.
    pub device: DeviceCounters,
    /// More of the device's own counters, by name.
    pub xstats: Vec<(String, u64)>,
}

/// Counts of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Its name in the order of operations.
    pub name: String,
    /// Packets it worked on.
    pub packets: u64,
    /// Cycles of the time stamp counter that it took for each of them, on average.
    pub cycles_per_packet: f64,
}

/// Counts of one lcore.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LcoreReport {
    /// Its number.
    pub id: u16,
    /// The CPU it runs on, if it is pinned.
    pub cpu: Option<u16>,
    /// Vectors it walked.
    pub vectors: u64,
    /// Packets in them.
    pub packets: u64,
    /// Share of the time in which it had packets, 0 to 100.
    pub busy_percent: f64,
}

impl RunReport {
    /// Packets received on all ports.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.ports.iter().map(|port| port.rx_packets).sum()
    }

    /// Packets sent on all ports.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.ports.iter().map(|port| port.tx_packets).sum()
    }

    /// Packets dropped, for all reasons.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        total(&self.drops)
    }

    /// Packets handed to the slow path, for all causes.
    #[must_use]
    pub fn punted(&self) -> u64 {
        total(&self.punts)
    }

    /// Packets sent a second, in millions; 0 if no time has passed.
    #[must_use]
    pub fn mpps(&self) -> f64 {
        self.per_second(self.forwarded()) / 1e6
    }

    /// `count` of this report's time as a rate; 0 if no time has passed.
    #[must_use]
    pub fn per_second(&self, count: u64) -> f64 {
        if self.elapsed_s > 0.0 { count as f64 / self.elapsed_s } else { 0.0 }
    }

    /// What happened after `earlier`, which was taken in the same run.
    ///
    /// States (`queued`, `conserved`, `tcam`, `ipsec`, `generation`) stay as they are now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let elapsed_s = self.elapsed_s - earlier.elapsed_s;
        Self {
            elapsed_s,
            ports: pairs(&self.ports, &earlier.ports).map(|(now, then)| now.since(&then)).collect(),
            interfaces: interfaces_since(&self.interfaces, &earlier.interfaces),
            drops: difference(&self.drops, &earlier.drops),
            punts: difference(&self.punts, &earlier.punts),
            policed: policed_since(&self.policed, &earlier.policed),
            consumed: self.consumed.saturating_sub(earlier.consumed),
            injected: self.injected.saturating_sub(earlier.injected),
            queued: self.queued,
            conserved: self.conserved,
            steps: pairs(&self.steps, &earlier.steps).map(|(now, then)| now.since(&then)).collect(),
            slow_path: difference(&self.slow_path, &earlier.slow_path),
            crypto_engines: difference(&self.crypto_engines, &earlier.crypto_engines),
            features: difference(&self.features, &earlier.features),
            lcores: pairs(&self.lcores, &earlier.lcores)
                .map(|(now, then)| LcoreReport {
                    vectors: now.vectors.saturating_sub(then.vectors),
                    packets: now.packets.saturating_sub(then.packets),
                    busy_percent: mean_since(
                        (now.busy_percent, self.elapsed_s),
                        (then.busy_percent, earlier.elapsed_s),
                    ),
                    ..*now
                })
                .collect(),
            access_lists: self
                .access_lists
                .iter()
                .map(|list| {
                    let same = |then: &&AccessListReport| {
                        (then.family, &then.name) == (list.family, &list.name)
                    };
                    let then = earlier.access_lists.iter().find(same);
                    let rules = rules_since(&list.rules, then.map_or(&[], |then| &then.rules));
                    AccessListReport { rules, ..list.clone() }
                })
                .collect(),
            route_maps: self
                .route_maps
                .iter()
                .map(|map| {
                    let same = |then: &&RouteMapReport| {
                        (then.family, &then.name) == (map.family, &map.name)
                    };
                    let then = earlier.route_maps.iter().find(same);
                    let entries = rules_since(&map.entries, then.map_or(&[], |then| &then.entries));
                    RouteMapReport { entries, ..map.clone() }
                })
                .collect(),
            classes: self.classes.iter().map(|class| class.since(&earlier.classes)).collect(),
            security: self
                .security
                .iter()
                .map(|now| {
                    let then = earlier.security.iter().find(|then| then.rule == now.rule);
                    let count = now.count.since(then.map_or(Count::default(), |then| then.count));
                    SecurityReport { rule: now.rule.clone(), count }
                })
                .collect(),
            tcam: self.tcam.clone(),
            ipsec: self.ipsec.clone(),
            generation: self.generation,
        }
    }
}

impl ClassReport {
    fn since(&self, earlier: &[Self]) -> Self {
        let Some(then) = earlier.iter().find(|then| then.class == self.class) else {
            return self.clone();
        };
        Self {
            matched: self.matched.since(then.matched),
            conform: self.conform.since(then.conform),
            exceed: self.exceed.since(then.exceed),
            violate: self.violate.since(then.violate),
            dropped: self.dropped.since(then.dropped),
            ..self.clone()
        }
    }

    /// What was in the class, less what its policer has dropped.
    #[must_use]
    pub const fn transmitted(&self) -> Count {
        self.matched.since(self.dropped)
    }
}

fn interfaces_since(now: &[InterfaceReport], then: &[InterfaceReport]) -> Vec<InterfaceReport> {
    let then: HashMap<_, _> = then.iter().map(|one| (&one.name, one.counters)).collect();
    let since = |one: &InterfaceReport| {
        let then = then.get(&one.name).copied().unwrap_or_default();
        InterfaceReport { name: Arc::clone(&one.name), counters: one.counters.since(then) }
    };
    now.iter().map(since).collect()
}

fn policed_since(now: &[PolicedReport], earlier: &[PolicedReport]) -> Vec<PolicedReport> {
    let before = |one: &PolicedReport| {
        let same =
            |then: &&PolicedReport| (then.flow, &then.interface) == (one.flow, &one.interface);
        earlier.iter().find(same).map_or((0, 0), |then| (then.passed, then.dropped))
    };
    let since = now.iter().map(|one| {
        let (passed, dropped) = before(one);
        let passed = one.passed.saturating_sub(passed);
        PolicedReport { passed, dropped: one.dropped.saturating_sub(dropped), ..one.clone() }
    });
    since.filter(|one| one.passed + one.dropped > 0).collect()
}

impl Count {
    const fn since(self, then: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(then.packets),
            bytes: self.bytes.saturating_sub(then.bytes),
        }
    }
}

impl PortReport {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            name: self.name.clone(),
            spec: self.spec.clone(),
            rx_packets: self.rx_packets.saturating_sub(earlier.rx_packets),
            rx_bytes: self.rx_bytes.saturating_sub(earlier.rx_bytes),
            tx_packets: self.tx_packets.saturating_sub(earlier.tx_packets),
            tx_bytes: self.tx_bytes.saturating_sub(earlier.tx_bytes),
            rx_missed: self.rx_missed.saturating_sub(earlier.rx_missed),
            tx_dropped: self.tx_dropped.saturating_sub(earlier.tx_dropped),
            link: self.link,
            link_losses: self.link_losses.saturating_sub(earlier.link_losses),
            speed: self.speed,
            device: self.device.since(earlier.device),
            xstats: difference(&self.xstats, &earlier.xstats),
        }
    }
}

impl StepReport {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            name: self.name.clone(),
            packets: self.packets.saturating_sub(earlier.packets),
            cycles_per_packet: mean_since(
                (self.cycles_per_packet, self.packets as f64),
                (earlier.cycles_per_packet, earlier.packets as f64),
            ),
        }
    }
}

/// Counts less the earlier counts of the same rule.
fn rules_since(now: &[RuleReport], then: &[RuleReport]) -> Vec<RuleReport> {
    let key = |rule: &RuleReport| (rule.sequence, Arc::clone(&rule.text));
    let then: HashMap<_, _> = then.iter().map(|rule| (key(rule), rule)).collect();
    let since = |rule: &RuleReport| {
        let (packets, bytes) =
            then.get(&key(rule)).map_or((0, 0), |then| (then.packets, then.bytes));
        RuleReport {
            packets: rule.packets.saturating_sub(packets),
            bytes: rule.bytes.saturating_sub(bytes),
            ..rule.clone()
        }
    };
    now.iter().map(since).collect()
}

fn total<N>(counts: &[(N, u64)]) -> u64 {
    counts.iter().map(|(_, count)| count).sum()
}

/// Each element with the earlier one of the same place, or with an empty one.
fn pairs<'a, T>(now: &'a [T], then: &'a [T]) -> impl Iterator<Item = (&'a T, T)>
where
    T: Clone + Default,
{
    let missing = std::iter::repeat_with(T::default);
    now.iter().zip(then.iter().cloned().chain(missing))
}

/// Counts less the earlier counts of the same name.
fn difference<N: Clone + PartialEq>(now: &[(N, u64)], then: &[(N, u64)]) -> Vec<(N, u64)> {
    now.iter()
        .map(|(name, count)| {
            let before =
                then.iter().find(|(other, _)| other == name).map_or(0, |(_, count)| *count);
            (name.clone(), count.saturating_sub(before))
        })
        .collect()
}

/// The mean of what was added, from two means and how much each of them covers.
fn mean_since((now, weight): (f64, f64), (then, earlier): (f64, f64)) -> f64 {
    let added = weight - earlier;
    if added > 0.0 { ((now * weight - then * earlier) / added).max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(elapsed_s: f64, packets: u64, cycles_per_packet: f64) -> RunReport {
        let port = PortReport {
            name: "port0".to_owned(),
            rx_packets: packets + 3,
            tx_packets: packets,
            ..PortReport::default()
        };
        RunReport {
            elapsed_s,
            ports: vec![port],
            drops: vec![("Ipv4NoRoute", packets / 10)],
            steps: vec![StepReport { name: "fib".to_owned(), packets, cycles_per_packet }],
            lcores: vec![LcoreReport {
                packets,
                busy_percent: elapsed_s,
                ..LcoreReport::default()
            }],
            conserved: Some(true),
            ..RunReport::default()
        }
    }

    #[test]
    fn mpps_counts_what_was_sent() {
        let report = report(2.0, 3_000_000, 0.0);
        assert_eq!((report.mpps(), report.received()), (1.5, 3_000_003));
        assert_eq!(RunReport::default().mpps(), 0.0);
    }

    #[test]
    fn a_difference_covers_only_the_time_between() {
        let change = report(3.0, 300, 20.0).since(&report(1.0, 100, 40.0));
        assert_eq!((change.elapsed_s, change.forwarded(), change.dropped()), (2.0, 200, 20));
        assert_eq!((change.steps[0].packets, change.steps[0].cycles_per_packet), (200, 10.0));
        assert_eq!((change.lcores[0].packets, change.lcores[0].busy_percent), (200, 4.0));
        assert_eq!(change.conserved, Some(true));
    }

    #[test]
    fn a_difference_from_nothing_is_the_report_itself() {
        let report = report(3.0, 300, 20.0);
        assert_eq!(report.since(&RunReport::default()), report);
    }
}
