//! One packet through the rows of a router that has no ports.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use client::acl::{Family, IMPLICIT};
use client::config::{Config, Interface, InterfaceKind, Interfaces};
use client::ea::CounterName;
use client::pbr::RuleKey;
use client::{Capacity, Client, PortFacts, SaPlace};
use hal::pool::NativePool;
use hal::sink::SinkPort;
use hal::{Arrival, Burst, PacketMask, Pool, PoolCache, Port, PortConfig, RxQueue};
use pal::clock::Nanos;
use qfp_core::acl::{AclResult, Feature, first_match};
use qfp_core::adjacency::{AdjacencyKind, AdjacencyTables};
use qfp_core::counters::{CounterLayout, CounterTotals};
use qfp_core::fia::order::ROUTER;
use qfp_core::fia::{FiaBuilder, Gate, Kit, TraceOutcome, TracedPacket};
use qfp_core::isa::Isa;
use qfp_core::lpts::LptsGroup;
use qfp_core::packet::Vector;
use qfp_core::ppe::{PolledQueue, Ppe, PpeParts, SlowWork};
use qfp_core::punt::Acquaintance;
use qfp_core::qos::ClassEvent;
use qfp_core::step::{Lcore, Step};
use qfp_core::tables::TableReader;
use qfp_core::uidb::{Direction, UidbIndex};

use super::probe::Probe;
use super::{ExplainError, Explanation, Fate, Matched, Protected, Row, Walk};
use crate::lists::{of_entry, of_rule};
use crate::start::{Parts, own_mac};
use ucode::NATIVE_FRAME;

/// Buffers: a packet needs one, caches take some.
const BUFFERS: usize = 512;
/// Rows of our own behind the classify rows.
const WITNESSES: [(&str, &str, Direction); 2] = [
    ("qos-classify-in", "witness-in", Direction::In),
    ("qos-classify-out", "witness-out", Direction::Out),
];

/// Walks `probe` through the router that `parts` would make.
pub(crate) fn explain(parts: Parts, probe: &Probe) -> Result<Explanation, ExplainError> {
    let config = &parts.config;
    config.validate()?;
    let interfaces = Interfaces::new(config);
    let input = interfaces
        .named(&probe.input)
        .map(|id| *interfaces.get(id))
        .ok_or_else(|| ExplainError::NoInterface(probe.input.clone()))?;
    let (port, _) = input
        .port()
        .filter(|_| !input.is_hidden())
        .ok_or_else(|| ExplainError::NoPort(probe.input.clone()))?;
    let macs: Vec<[u8; 6]> = (0..config.ports.len()).map(|n| own_mac(config, n, None)).collect();
    let frame = probe.frame(&input, macs[port]);
    if frame.len() > NATIVE_FRAME {
        return Err(ExplainError::TooLong(frame.len()));
    }
    let capacity = parts.capacity.unwrap_or_else(|| Capacity::fitting(config, &parts.routes));
    let mut client = Client::new(&capacity)?;
    for (interface, features) in &parts.features {
        client.set_features(interface, *features);
    }
    let facts = |mac: &[u8; 6]| PortFacts { mac: *mac, filter_mac: false };
    client.commit(config, &parts.routes, &macs.iter().map(facts).collect::<Vec<_>>())?;

    let seen = Arc::new(Mutex::new(Vec::new()));
    let fia = with_witnesses(parts.fia, &seen)?;
    let layout = CounterLayout::new(fia.names().len(), config.ports.len(), client.uidb_limit())
        .with_rules(capacity.counters());
    let mut totals = CounterTotals::new(layout);
    let pool = Pool::Native(NativePool::new(BUFFERS, NATIVE_FRAME));
    let port = u16::try_from(port).unwrap_or(u16::MAX);
    let tables = client.attach("explain")?;
    let rates = parts.punt.as_ref().unwrap_or(&config.lpts.rates);
    let known = Arc::new(Acquaintance::new(1));
    let lpts = LptsGroup::new(rates, client.lpts(config), known, client.uidb_limit());
    let kit = Kit { isa: Isa::detect(), lpts: Arc::new(lpts), ..Kit::default() };
    let mut ppe = Ppe::new(PpeParts {
        lcore: 0,
        fia: fia.build_with(&kit),
        rx: vec![PolledQueue::new(port, Box::new(OneFrame(Some(frame.clone()))))],
        tx: config.ports.iter().flat_map(|_| sink()).collect(),
        pool: pool.cache(0),
        tables,
        counters: totals.add_lcore(),
    });
    ppe.trace(1);
    let mut work: Vec<SlowWork> = Vec::new();
    ppe.poll_queue(0, Nanos::ZERO, &mut work);
    let traces = ppe.take_traces();
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));

    let Some(last) = traces.last().cloned() else { return Err(ExplainError::TooLong(frame.len())) };
    let tables = client.attach("explained")?;
    let world = World { config, interfaces: &interfaces, client: &client, totals: &totals };
    // What leaves a walk early has been seen by no witness.
    let seen = seen.into_iter().chain(std::iter::repeat(Seen::default()));
    let walks = traces.iter().zip(seen).map(|(traced, seen)| world.walk(traced, seen, probe));
    let walks = walks.collect();
    Ok(Explanation { frame, walks, fate: world.fate(last, work, tables) })
}

/// What the packet has matched in one walk.
#[derive(Clone, Copy, Default)]
struct Seen {
    acl: [Option<u32>; 2],
    pbr: [Option<u32>; 2],
    output: Option<UidbIndex>,
}

impl Seen {
    fn of(&self, direction: Direction) -> (Option<u32>, Option<u32>) {
        (self.acl[direction as usize], self.pbr[direction as usize])
    }
}

/// A row that notes what classify rows have found.
struct Witness(Direction, Arc<Mutex<Vec<Seen>>>);

impl Step for Witness {
    fn process(&mut self, _lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let mut walks = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in select {
            if self.0 == Direction::In {
                walks.push(Seen::default());
            }
            let Some(seen) = walks.last_mut() else { continue };
            let found = |feature| first_match(vector, self.0, feature, slot);
            seen.acl[self.0 as usize] = found(Feature::Acl);
            seen.pbr[self.0 as usize] = found(Feature::Pbr);
            if self.0 == Direction::Out {
                seen.output = Some(vector.output(slot));
            }
        }
    }
}

fn with_witnesses(
    fia: FiaBuilder,
    seen: &Arc<Mutex<Vec<Seen>>>,
) -> Result<FiaBuilder, ExplainError> {
    WITNESSES.into_iter().try_fold(fia, |fia, (after, name, direction)| {
        let seen = Arc::clone(seen);
        let make = move || Box::new(Witness(direction, Arc::clone(&seen))) as Box<dyn Step>;
        Ok(fia.insert_after(after, name, Gate::Always, make)?)
    })
}

/// A receive queue with one frame.
struct OneFrame(Option<Vec<u8>>);

impl RxQueue for OneFrame {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let frame = self.0.take();
        usize::from(frame.is_some_and(|frame| pool.append(burst, &frame)))
    }

    fn arrival(&mut self) -> Arrival {
        if self.0.is_some() { Arrival::Live } else { Arrival::Ended }
    }
}

/// A transmit queue that goes nowhere.
fn sink() -> Option<Box<dyn hal::TxQueue>> {
    let config = PortConfig::default();
    SinkPort::new().start(&config).ok()?.tx.pop()
}

/// What numbers mean.
struct World<'a> {
    config: &'a Config,
    interfaces: &'a Interfaces<'a>,
    client: &'a Client,
    totals: &'a CounterTotals,
}

impl World<'_> {
    fn interface(&self, uidb: UidbIndex) -> Option<Interface<'_>> {
        let is = |one: &&Interface<'_>| self.client.uidb(one.name()) == Some(uidb);
        self.interfaces.all().iter().find(is).copied()
    }

    /// One walk of the packet.
    fn walk(&self, traced: &TracedPacket, seen: Seen, probe: &Probe) -> Walk {
        let mut matches = Vec::new();
        // What a tunnel has put around the packet is another packet to lists: of the tunnel's ends.
        let outer = traced.input == UidbIndex::CRYPTO;
        let v4 = match traced.before.get(14) {
            Some(first) if outer => first >> 4 == 4,
            _ => probe.src.is_ipv4(),
        };
        let family = if v4 { Family::V4 } else { Family::V6 };
        if let Some(input) = self.interface(traced.input) {
            matches.extend(self.matches(&input, Direction::In, seen.of(Direction::In), family));
            matches.extend(self.security(&input, Direction::In));
        }
        if let Some(output) = seen.output.and_then(|uidb| self.interface(uidb)) {
            matches.extend(self.matches(&output, Direction::Out, seen.of(Direction::Out), family));
            matches.extend(self.security(&output, Direction::Out).filter(|_| !outer));
        }
        let rows = traced.steps.iter().filter(|step| !WITNESSES.iter().any(|w| w.1 == step.row));
        let does = |name| ROUTER.iter().find(|row| row.name == name).map_or("", |row| row.does);
        let rows: Vec<Row> =
            rows.map(|step| Row { name: step.row, does: does(step.row) }).collect();
        let sealed = rows.iter().any(|row| row.name == "esp-encap");
        let ended = matches!(traced.outcome, TraceOutcome::Dropped(_) | TraceOutcome::Punted(_));
        let protected = self.protected(traced.output).filter(|_| sealed && !ended);
        Walk { matches, rows, protected }
    }

    /// What protects packets that leave through an interface.
    fn protected(&self, output: UidbIndex) -> Option<Protected> {
        let interface = self.interface(output)?.name();
        let is_it = |place: &SaPlace| {
            place.in_use
                && place.sa.direction == Direction::Out
                && place.sa.interface.as_deref() == Some(interface)
        };
        let sa = self.client.sa_places().find(is_it)?.sa;
        Some(Protected { interface: interface.to_owned(), sa: sa.name, spi: sa.spi })
    }

    /// The entry of an interface's security policy that the packet has met.
    fn security(&self, interface: &Interface<'_>, direction: Direction) -> Option<Matched> {
        let name = interface.name();
        if interface.is_hidden() || !self.config.ipsec.has_policy(name) {
            return None;
        }
        let says = self.client.rule_counters().find_map(|(counter, n)| match counter {
            CounterName::Security(rule)
                if rule.direction == direction && self.totals.rule(n).0 > 0 =>
            {
                let entry = rule.entry.strip_prefix(name)?.strip_prefix('/')?;
                let fragments = if rule.fragments { ", its later fragments" } else { "" };
                Some(format!("{entry}{fragments}"))
            }
            _ => None,
        });
        Some(Matched { feature: "spd", name: name.to_owned(), says })
    }

    /// What the lists and the route map of an interface say.
    fn matches(
        &self,
        interface: &Interface<'_>,
        direction: Direction,
        (acl, pbr): (Option<u32>, Option<u32>),
        family: Family,
    ) -> Vec<Matched> {
        let (feature, names) = match direction {
            Direction::In => ("acl_in", interface.acl_in()),
            Direction::Out => ("acl_out", interface.acl_out()),
        };
        let mut all = Vec::new();
        if let Some(list) = self.config.access_list(names, family) {
            let number = acl.map(|result| AclResult(result).rule());
            let is = |n: u32| number == Some(n);
            let says = self.client.rule_counters().find_map(|(name, n)| match name {
                CounterName::Ace(of, own, rule)
                    if is(n) && *of == family && own == list.name().as_str() =>
                {
                    let text = of_rule(list, *rule)?;
                    Some(match rule.sequence {
                        IMPLICIT => format!("implicit {text}"),
                        sequence => format!("{sequence} {text}"),
                    })
                }
                _ => None,
            });
            all.push(Matched { feature, name: list.name().to_string(), says });
        }
        let map = interface.policy_route().filter(|_| direction == Direction::In);
        if let Some(map) = map.and_then(|name| self.config.route_maps.get(name)) {
            let says = self.client.rule_counters().find_map(|(name, n)| match name {
                CounterName::Policy(_, own, RuleKey::Entry(sequence))
                    if Some(n) == pbr && own == map.name().as_str() =>
                {
                    Some(format!("{sequence} {}", of_entry(map, *sequence)?))
                }
                _ => None,
            });
            all.push(Matched { feature: "policy_route", name: map.name().to_string(), says });
        }
        all.extend(self.class(interface, direction));
        all
    }

    /// The classes that the service policy of an interface has put the packet in; none when it has
    /// not come so far.
    fn class(&self, interface: &Interface<'_>, direction: Direction) -> Option<Matched> {
        let (feature, policy) = match direction {
            Direction::In => ("service_policy_in", interface.service_policy_in()?),
            Direction::Out => ("service_policy_out", interface.service_policy_out()?),
        };
        let counted = self.client.service_classes().filter(|(bound, facts)| {
            bound.interface == interface.name()
                && bound.direction == direction
                && self.totals.rule(facts.counters + ClassEvent::Matched as u32).0 > 0
        });
        let lowest = counted.map(|(bound, _)| bound.path).max_by_key(|path| path.len());
        let class = |(n, (policy, class)): (usize, &(String, String))| match n {
            0 => format!("class {class}"),
            _ => format!("{policy} class {class}"),
        };
        let says = lowest?.iter().enumerate().map(class).collect::<Vec<_>>().join(", ");
        Some(Matched { feature, name: policy.to_owned(), says: Some(says) })
    }

    /// The interface itself, or the one whose security policy it stands for.
    fn under(&self, uidb: UidbIndex) -> UidbIndex {
        match self.interface(uidb).map(|interface| interface.kind) {
            Some(InterfaceKind::Policy { entry, .. }) => {
                self.client.uidb(&entry.interface).unwrap_or(uidb)
            }
            _ => uidb,
        }
    }

    fn fate(&self, traced: TracedPacket, work: Vec<SlowWork>, tables: TableReader) -> Fate {
        let name = |uidb| self.interface(uidb).map(|interface| interface.name().to_owned());
        for work in work {
            if let SlowWork::Punt(punted) = work {
                let (interface, next_hop) = (name(punted.output), punted.next_hop);
                return Fate::Punted { cause: punted.cause, interface, next_hop };
            }
        }
        match traced.outcome {
            TraceOutcome::Sent => {
                let output = self.under(traced.output);
                Fate::Sent {
                    interface: name(output).unwrap_or_default(),
                    next_hop: next_hop(tables, output, &traced.after),
                    frame: traced.after,
                }
            }
            TraceOutcome::Dropped(reason) => Fate::Dropped(reason),
            TraceOutcome::Punted(cause) => Fate::Punted { cause, interface: None, next_hop: None },
            TraceOutcome::Consumed | TraceOutcome::Again => Fate::Consumed,
        }
    }
}

/// The neighbour whose adjacency puts these bytes in front of packets.
fn next_hop(mut tables: TableReader, output: UidbIndex, frame: &[u8]) -> Option<IpAddr> {
    let adjacencies = AdjacencyTables::open(&tables.tables()).adjacencies;
    let is_it = adjacencies.iter().find(|adjacency| {
        let state = adjacency.state();
        let known = matches!(state.kind, AdjacencyKind::Plain | AdjacencyKind::Featured);
        let rewrite = adjacency.rewrite();
        known
            && adjacency.output() == output
            && same_header(frame, &rewrite[..usize::from(state.rewrite_len)])
    });
    is_it.and_then(|adjacency| adjacency.next_hop())
}

/// Whether `frame` begins with `header`, but for the class of service in its tags.
fn same_header(frame: &[u8], header: &[u8]) -> bool {
    const PRIORITY: u8 = 0xe0;
    let tags = 14..header.len().saturating_sub(2);
    frame.len() >= header.len()
        && frame.iter().zip(header).enumerate().all(|(n, (sent, row))| {
            let class = if n % 4 == 2 && tags.contains(&n) { PRIORITY } else { 0 };
            (sent ^ row) & !class == 0
        })
}
