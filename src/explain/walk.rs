//! One packet through the rows of a router that has no ports.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use client::acl::{Family, IMPLICIT};
use client::config::{Config, Interface, Interfaces};
use client::ea::{CounterName, Direction};
use client::pbr::RuleKey;
use client::{Capacity, Client, PortFacts};
use hal::pool::NativePool;
use hal::sink::SinkPort;
use hal::{Arrival, Burst, PacketMask, Pool, PoolCache, Port, PortConfig, RxQueue};
use pal::clock::Nanos;
use pal::publication::Reader;
use pal::region::ReadOnly;
use qfp_core::acl::{AclResult, Feature, Side, first_match};
use qfp_core::adjacency::{AdjacencyKind, AdjacencyTables};
use qfp_core::counters::{CounterLayout, CounterTotals};
use qfp_core::fia::order::ROUTER;
use qfp_core::fia::{FiaBuilder, Gate, TraceOutcome, TracedPacket};
use qfp_core::isa::Isa;
use qfp_core::packet::{DropReason, Vector};
use qfp_core::ppe::{PolledQueue, Ppe, PpeParts, PuntRates, SlowWork};
use qfp_core::qos::ClassEvent;
use qfp_core::step::{Lcore, Step};
use qfp_core::tables::Tables;
use qfp_core::uidb::UidbIndex;

use super::probe::Probe;
use super::{ExplainError, Explanation, Fate, Matched, Row};
use crate::lists::{of_entry, of_rule};
use crate::start::{NATIVE_FRAME, Parts, own_mac};

/// Buffers: a packet needs one, caches take some.
const BUFFERS: usize = 512;
/// Rows of our own behind the classify rows.
const WITNESSES: [(&str, &str, Side); 2] =
    [("qos-classify-in", "witness-in", Side::In), ("qos-classify-out", "witness-out", Side::Out)];

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

    let seen = Arc::new(Mutex::new(Seen::default()));
    let fia = with_witnesses(parts.fia, &seen)?;
    let layout = CounterLayout::new(fia.names().len(), config.ports.len(), client.uidb_limit())
        .with_rules(capacity.counters());
    let mut totals = CounterTotals::new(layout);
    let pool = Pool::Native(NativePool::new(BUFFERS, NATIVE_FRAME));
    let port = u16::try_from(port).unwrap_or(u16::MAX);
    let (reader, region) = client.attach("explain")?;
    let mut ppe = Ppe::new(PpeParts {
        fia: fia.build(Isa::detect()),
        rx: vec![PolledQueue::new(port, Box::new(OneFrame(Some(frame.clone()))))],
        tx: config.ports.iter().flat_map(|_| sink()).collect(),
        pool: pool.cache(0),
        region,
        state: Some(client.state()),
        reader,
        counters: totals.add_lcore(),
        punt: PuntRates::default(),
    });
    ppe.trace(1);
    let mut work: Vec<SlowWork> = Vec::new();
    ppe.poll_queue(0, Nanos::ZERO, &mut work);
    let traced = ppe.take_traces().pop();
    let seen = *seen.lock().unwrap_or_else(PoisonError::into_inner);

    let Some(traced) = traced else { return Err(ExplainError::TooLong(frame.len())) };
    let tables = client.attach("explained")?;
    let world = World { config, interfaces: &interfaces, client: &client, totals: &totals };
    let mut matches = world.matches(&input, Side::In, seen.of(Side::In), probe);
    if let Some(output) = seen.output.and_then(|uidb| world.interface(uidb)) {
        matches.extend(world.matches(&output, Side::Out, seen.of(Side::Out), probe));
    }
    let rows = traced.steps.iter().filter(|step| !WITNESSES.iter().any(|w| w.1 == step.row));
    let does = |name| ROUTER.iter().find(|row| row.name == name).map_or("", |row| row.does);
    Ok(Explanation {
        frame,
        matches,
        rows: rows.map(|step| Row { name: step.row, does: does(step.row) }).collect(),
        fate: world.fate(traced, work, tables),
    })
}

/// What the packet has matched on its way.
#[derive(Clone, Copy, Default)]
struct Seen {
    acl: [Option<u32>; 2],
    pbr: [Option<u32>; 2],
    output: Option<UidbIndex>,
}

impl Seen {
    fn of(&self, side: Side) -> (Option<u32>, Option<u32>) {
        (self.acl[side as usize], self.pbr[side as usize])
    }
}

/// A row that notes what classify rows have found.
struct Witness(Side, Arc<Mutex<Seen>>);

impl Step for Witness {
    fn process(&mut self, _lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let mut seen = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in select {
            let found = |feature| first_match(vector, self.0, feature, slot);
            seen.acl[self.0 as usize] = found(Feature::Acl);
            seen.pbr[self.0 as usize] = found(Feature::Pbr);
            if self.0 == Side::Out {
                seen.output = Some(vector.output(slot));
            }
        }
    }
}

fn with_witnesses(fia: FiaBuilder, seen: &Arc<Mutex<Seen>>) -> Result<FiaBuilder, ExplainError> {
    WITNESSES.into_iter().try_fold(fia, |fia, (after, name, side)| {
        let seen = Arc::clone(seen);
        let make = move || Box::new(Witness(side, Arc::clone(&seen))) as Box<dyn Step>;
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
    let config = PortConfig { mac: None, mtu: 1500, rx_queues: 1, tx_queues: 1 };
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

    /// What the lists and the route map of an interface say.
    fn matches(
        &self,
        interface: &Interface<'_>,
        side: Side,
        (acl, pbr): (Option<u32>, Option<u32>),
        probe: &Probe,
    ) -> Vec<Matched> {
        let family = if probe.src.is_ipv4() { Family::V4 } else { Family::V6 };
        let (feature, names) = match side {
            Side::In => ("acl_in", interface.acl_in()),
            Side::Out => ("acl_out", interface.acl_out()),
        };
        let mut all = Vec::new();
        if let Some(list) = self.config.access_list(names, family) {
            // What leaves the walk early is looked up later, and only its count tells.
            let number = acl.map(|result| AclResult(result).rule());
            let is = |n: u32| match number {
                Some(number) => n == number,
                None => self.totals.rule(n).0 > 0 && side == Side::In,
            };
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
        let map = interface.policy_route().filter(|_| side == Side::In);
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
        all.extend(self.class(interface, side));
        all
    }

    /// The classes that the service policy of an interface has put the packet in; none when it has
    /// not come so far.
    fn class(&self, interface: &Interface<'_>, side: Side) -> Option<Matched> {
        let (feature, direction, policy) = match side {
            Side::In => ("service_policy_in", Direction::In, interface.service_policy_in()?),
            Side::Out => ("service_policy_out", Direction::Out, interface.service_policy_out()?),
        };
        let counted = self.client.service_classes().filter(|(bound, facts)| {
            bound.interface == interface.name()
                && bound.direction == direction
                && self.totals.rule(facts.counters + ClassEvent::Matched as u32).0 > 0
        });
        let lowest = counted.map(|(bound, _)| &bound.path).max_by_key(|path| path.len());
        let class = |(n, (policy, class)): (usize, &(String, String))| match n {
            0 => format!("class {class}"),
            _ => format!("{policy} class {class}"),
        };
        let says = lowest?.iter().enumerate().map(class).collect::<Vec<_>>().join(", ");
        Some(Matched { feature, name: policy.to_owned(), says: Some(says) })
    }

    fn fate(&self, traced: TracedPacket, work: Vec<SlowWork>, tables: (Reader, ReadOnly)) -> Fate {
        let name = |uidb| self.interface(uidb).map(|interface| interface.name().to_owned());
        // Beyond the rows, a list or a check of sources may still refuse what goes to the slow path.
        if let Some(reason) = DropReason::ALL.iter().find(|reason| self.totals.drops(**reason) > 0)
        {
            return Fate::Dropped(*reason);
        }
        for work in work {
            if let SlowWork::Punt(punted) = work {
                let (interface, next_hop) = (name(punted.output), punted.next_hop);
                return Fate::Punted { cause: punted.cause, interface, next_hop };
            }
        }
        match traced.outcome {
            TraceOutcome::Sent => Fate::Sent {
                interface: name(traced.output).unwrap_or_default(),
                next_hop: next_hop(tables, traced.output, &traced.after),
                frame: traced.after,
            },
            TraceOutcome::Dropped(reason) => Fate::Dropped(reason),
            TraceOutcome::Punted(cause) => Fate::Punted { cause, interface: None, next_hop: None },
            TraceOutcome::Consumed => Fate::Consumed,
        }
    }
}

/// The neighbour whose adjacency puts these bytes in front of packets.
fn next_hop(
    (reader, region): (Reader, ReadOnly),
    output: UidbIndex,
    frame: &[u8],
) -> Option<IpAddr> {
    let tables = Tables::new(reader.root(), &region);
    let adjacencies = AdjacencyTables::open(&tables).adjacencies;
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
