//! From counters to a report.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use qfp_core::counters::{CounterTotals, LoopEvent, Policed, PortEvent, RowCounters};
use qfp_core::packet::{DropReason, FeatureCounter, FlowType, PuntCause};
use qfp_core::punt::{IcmpKind, SlowDrop, SlowPathCounters};
use qfp_core::uidb::UidbIndex;
use ucode::{PortState, SlowCounts};

use crate::control::ClientCounts;
use crate::names::{Names, PortName};
use crate::report::{
    InterfaceReport, LcoreReport, PolicedReport, PortReport, RunReport, StepReport,
};

/// What reports are made from.
pub(crate) struct Statistics {
    pub(crate) totals: Arc<CounterTotals>,
    pub(crate) started: Instant,
    pub(crate) rows: Vec<&'static str>,
    /// Number and CPU of each lcore.
    pub(crate) lcores: Vec<(u16, Option<u16>)>,
}

impl Statistics {
    /// The counts now; the lcores have ended if `ended` says so.
    pub(crate) fn report(
        &self,
        (slow, client): &(SlowCounts, ClientCounts),
        ports: Vec<PortState>,
        ended: bool,
    ) -> RunReport {
        let elapsed_s = self.started.elapsed().as_secs_f64();
        let totals = &*self.totals;
        let named_drops = DropReason::ALL.iter().map(|&r| (r.label(), totals.drops(r)));
        let named_punts = PuntCause::ALL.iter().map(|&c| (c.name(), totals.punts(c)));
        RunReport {
            elapsed_s,
            ports: self.ports(&client.names, ports),
            interfaces: self.interfaces(&client.names),
            drops: named_drops.filter(|(_, n)| *n > 0).collect(),
            punts: named_punts.filter(|(_, n)| *n > 0).collect(),
            policed: self.policed(&client.names),
            features: FeatureCounter::all().map(|(name, c)| (name, totals.feature(c))).collect(),
            consumed: totals.event(LoopEvent::Consumed),
            injected: totals.event(LoopEvent::Injected),
            queued: totals.held() + slow.in_rings + slow.slow_path.held,
            conserved: ended.then(|| totals.conserved(totals.held()) && slow.slow_path.conserved()),
            steps: self.steps(),
            slow_path: slow_path(slow),
            crypto_engines: self.crypto_engines(),
            lcores: self.lcores(),
            access_lists: client.in_use.access_lists(totals),
            route_maps: client.in_use.route_maps(totals),
            classes: client.in_use.classes(totals),
            security: client.in_use.security(totals),
            tcam: client.tcam.clone(),
            ipsec: client.ipsec.clone(),
            generation: client.generation,
        }
    }

    /// What has gone through interfaces.
    fn interfaces(&self, names: &Names) -> Vec<InterfaceReport> {
        let report = |(uidb, name): &(UidbIndex, Arc<str>)| {
            let counters = self.totals.interface(*uidb);
            InterfaceReport { name: Arc::clone(name), counters }
        };
        names.interfaces.iter().map(report).collect()
    }

    /// What goes to the slow path. Two words for each type and interface are read.
    fn policed(&self, names: &Names) -> Vec<PolicedReport> {
        let mut all = Vec::new();
        for (uidb, name) in &names.interfaces {
            for &flow in FlowType::ALL {
                let count = |policed| self.totals.policed(*uidb, flow, policed);
                let [passed, dropped] = [Policed::Passed, Policed::Dropped].map(count);
                if passed + dropped > 0 {
                    let (flow, interface) = (flow.label(), Arc::clone(name));
                    all.push(PolicedReport { flow, interface, passed, dropped });
                }
            }
        }
        all
    }

    /// What has gone through ports; those of which nothing is heard are left out.
    fn ports(&self, names: &Names, own: Vec<PortState>) -> Vec<PortReport> {
        let mut own: HashMap<u16, PortState> =
            own.into_iter().map(|state| (state.number, state)).collect();
        let port = |port: &PortName| {
            let state = own.remove(&port.number)?;
            let PortState { link, losses: link_losses, device, xstats, .. } = state;
            let count = |event| self.totals.port(port.number.into(), event);
            Some(PortReport {
                name: port.name.clone(),
                spec: port.spec.clone(),
                rx_packets: count(PortEvent::RxPackets),
                rx_bytes: count(PortEvent::RxBytes),
                tx_packets: count(PortEvent::TxPackets),
                tx_bytes: count(PortEvent::TxBytes),
                rx_missed: count(PortEvent::RxMissed) + device.missed + device.no_buffer,
                tx_dropped: count(PortEvent::TxDropped),
                link: link.state,
                link_losses,
                speed: link.bits_per_second,
                device,
                xstats,
            })
        };
        names.ports.iter().filter_map(port).collect()
    }

    /// Each row, and what it costs to receive.
    fn steps(&self) -> Vec<StepReport> {
        let event = |event| self.totals.event(event);
        let rx = RowCounters {
            packets: event(LoopEvent::Received),
            sampled_cycles: event(LoopEvent::RxCycles),
            sampled_packets: event(LoopEvent::RxSampled),
        };
        let rows = self.rows.iter().enumerate().map(|(n, name)| (*name, self.totals.row(n)));
        rows.chain([("rx", rx)]).map(step).collect()
    }

    fn crypto_engines(&self) -> Vec<(&'static str, u64)> {
        let counts = [
            ("handed_over", LoopEvent::EngineHanded),
            ("taken_back", LoopEvent::EngineFull),
            ("overtaken", LoopEvent::EngineOvertaken),
        ];
        let counts = counts.map(|(name, event)| (name, self.totals.event(event)));
        counts.into_iter().filter(|(_, n)| *n > 0).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
    fn lcores(&self) -> Vec<LcoreReport> {
        let vectors = self.totals.event_by_lcore(LoopEvent::Vectors);
        let packets = self.totals.event_by_lcore(LoopEvent::Received);
        let idle = self.totals.event_by_lcore(LoopEvent::IdlePolls);
        let busy = self.totals.event_by_lcore(LoopEvent::BusyPolls);
        let mut polls = idle.zip(busy);
        // An lcore receives packets or is a crypto engine.
        let done = self.totals.event_by_lcore(LoopEvent::EngineDone);
        let packets = packets.zip(done).map(|(received, done)| received + done);
        let mut counts = vectors.zip(packets);
        let mut lcores = Vec::new();
        for &(id, cpu) in &self.lcores {
            let (vectors, packets) = counts.next().unwrap_or_default();
            let (idle, busy) = polls.next().unwrap_or_default();
            let busy_percent = 100.0 * busy as f64 / (idle + busy).max(1) as f64;
            lcores.push(LcoreReport { id, cpu, vectors, packets, busy_percent });
        }
        lcores
    }
}

#[expect(clippy::cast_precision_loss, reason = "an average for people to read")]
fn step((name, row): (&str, RowCounters)) -> StepReport {
    let sampled = row.sampled_packets.max(1) as f64;
    StepReport {
        name: name.to_owned(),
        packets: row.packets,
        cycles_per_packet: row.sampled_cycles as f64 / sampled,
    }
}

/// What the slow path did, by name, without what did not happen.
fn slow_path(slow: &SlowCounts) -> Vec<(&'static str, u64)> {
    let SlowPathCounters {
        punted,
        reported,
        resent,
        answered,
        consumed,
        held,
        echo_replies,
        arp_requests,
        arp_replies,
        nd_solicitations,
        nd_advertisements,
        neighbours_learnt,
        neighbours_absent,
        neighbours_lost,
        neighbours_over_limit,
        neighbours_contested,
        unresolved_gave_way,
        unsolicited_gave_way,
        address_conflicts,
        requests_limited,
        refreshes_limited,
        requests_unsent,
        fragments,
        path_mtus_heeded,
        reassembled,
        reassemblies_given_up,
        reassemblies_timed_out,
        ..
    } = slow.slow_path;
    let fates = [
        ("punted", punted),
        ("reported", reported),
        ("resent", resent),
        ("answered", answered),
        ("consumed", consumed),
        ("held", held),
        ("echo_replies", echo_replies),
        ("arp_requests", arp_requests),
        ("arp_replies", arp_replies),
        ("nd_solicitations", nd_solicitations),
        ("nd_advertisements", nd_advertisements),
        ("neighbours_learnt", neighbours_learnt),
        ("neighbours_absent", neighbours_absent),
        ("neighbours_lost", neighbours_lost),
        ("neighbours_refused", slow.neighbours_refused),
        ("neighbours_over_limit", neighbours_over_limit),
        ("neighbours_contested", neighbours_contested),
        ("unresolved_gave_way", unresolved_gave_way),
        ("unsolicited_gave_way", unsolicited_gave_way),
        ("address_conflicts", address_conflicts),
        ("requests_limited", requests_limited),
        ("refreshes_limited", refreshes_limited),
        ("requests_unsent", requests_unsent),
        ("fragments", fragments),
        ("path_mtus_heeded", path_mtus_heeded),
        ("reassembled", reassembled),
        ("reassemblies_given_up", reassemblies_given_up),
        ("reassemblies_timed_out", reassemblies_timed_out),
        ("inject_queue_full", slow.inject_queue_full),
        ("inject_refused", slow.inject_refused),
    ];
    let icmp = IcmpKind::ALL.iter().map(|&kind| (kind.name(), slow.slow_path.icmp_sent(kind)));
    let drops = SlowDrop::ALL.iter().map(|&d| (d.name(), slow.slow_path.dropped(d)));
    fates.into_iter().chain(icmp).chain(drops).filter(|(_, n)| *n > 0).collect()
}
