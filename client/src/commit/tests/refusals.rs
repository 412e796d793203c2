//! Every change is whole or absent: each allocation of each change is refused in turn.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pal::refusal;
use qfp_core::acl::key::{WORDS4, WORDS6};
use qfp_core::acl::{AclTables, Binding, FEATURES, Keys, Matches, Tcam};
use qfp_core::ipsec::{SpiBucket, SpiTable, Tunnel as TunnelRow};
use qfp_core::isa::Isa;
use qfp_core::packet::PacketMask;
use qfp_core::tables::table_kind;
use qfp_core::uidb::{TableId, Uidb, UidbIndex};

use super::sas::{configured, sa};
use super::world::{
    INTERFACES, TINY, Verdict, World, address, interfaces, name, neighbour, route, via,
};
use crate::acl::{Ace, Document, Family};
use crate::config::{Config, Neighbour, RouteTable, Target, Tunnel};
use crate::ea::{CounterName, SaStatus, TcamUsage};
use crate::ipsec::{Direction, Sa};
use crate::mqc::Policies;
use crate::pbr::RouteMaps;
use crate::rib::{Action, NextHop, Path, RouteUpdate, Source};
use crate::{Capacity, ListEdit, Usage};

/// Refusals until the test ends; `QFP_REFUSALS` says another number.
const REFUSALS: u64 = 3000;

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }

    fn mac(&mut self) -> [u8; 6] {
        [2, 2, 2, 2, 2, self.roll(200) as u8]
    }
}

enum Step {
    Commit(Box<Config>),
    Edit(Vec<ListEdit>),
    Routes(Vec<RouteUpdate>),
    Neighbour(UidbIndex, IpAddr, Option<[u8; 6]>),
    Add(Box<Sa>),
    Update(Box<Sa>),
    Delete(String),
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Commit(_) => "a commit",
            Self::Edit(_) => "an edit",
            Self::Routes(_) => "a batch of routes",
            Self::Neighbour(..) => "a neighbour",
            Self::Add(_) | Self::Update(_) | Self::Delete(_) => "an SA",
        }
    }
}

fn config(dice: &mut Dice) -> Config {
    let present = dice.roll(1 << INTERFACES) as u16 | 0b1001;
    let mut config = interfaces(present);
    let has = |interface: u8| present >> interface & 1 == 1;
    for n in (0..6).filter(|n| has(*n)) {
        if dice.once_in(2) {
            config.routes.push(via(&format!("172.{n}.0.0/16"), address(n, 9, false)));
            let long = format!("172.{n}.{}.128/26", dice.roll(8));
            config.routes.push(via(&long, address(n, 8, false)));
        }
        if dice.once_in(2) {
            let prefix = format!("2001:db8:{n}:{:x}::/{}", dice.roll(9), 64 + dice.roll(9));
            config.routes.push(via(&prefix, address(n, 9, true)));
        }
        if dice.once_in(3) {
            let target = Target::Via { address: address(n, 8, false), dev: None };
            let weight = 1 + dice.roll(3) as u8;
            config.routes.push(route("192.168.0.0/16".parse().unwrap(), target, weight));
        }
        if dice.once_in(4) {
            config.neighbours.push(neighbour(address(n, 9, false), dice.mac()));
        }
    }
    if dice.once_in(3) {
        config.routes.push(via("0.0.0.0/0", address(0, 9, false)));
    }
    if has(6) && dice.once_in(2) {
        config.ports[2].layer3.vrf = Some("red".to_owned());
        let mut route = via("172.16.0.0/16", address(6, 9, false));
        route.vrf = Some("red".to_owned());
        config.routes.push(route);
        let dev = Some(name(6));
        config.neighbours.push(Neighbour { dev, ..neighbour(address(6, 9, false), dice.mac()) });
    }
    let mut text = "ip access-list extended A\n".to_owned();
    for sequence in 1..3 + dice.roll(40) {
        let action = if dice.once_in(2) { "deny" } else { "permit" };
        let line = format!(" {} {action} ip any host 10.9.0.{}\n", 10 * sequence, dice.roll(64));
        text.push_str(&line);
    }
    text.push_str("ip access-list extended B\n permit ip any host 10.9.0.3\n");
    config.access_lists = Document::parse(&text).unwrap();
    let map = "route-map M permit 10\n match ip address B\n set ip next-hop 10.0.0.9\n";
    config.route_maps = RouteMaps::parse(map).unwrap();
    let policy = "class-map match-all C\n match access-group name B\n\
                  policy-map P\n class C\n  police 8000\n  class class-default\n";
    config.policies = Policies::parse(policy).unwrap();
    config.ports[0].layer3.acl_in = vec!["A".to_owned()];
    config.ports[1].layer3.acl_in = vec!["A".to_owned()];
    config.ports[1].layer3.policy_route = Some("M".to_owned());
    if dice.once_in(2) {
        config.ports[2].layer3.acl_out = vec!["A".to_owned()];
        config.ports[2].layer3.service_policy_out = Some("P".to_owned());
    }
    if dice.once_in(2) {
        let mut tunnel = Tunnel::new("tunnel0");
        tunnel.mtu = Some(1500);
        tunnel.layer3.addresses = vec!["10.255.0.1/30".parse().unwrap()];
        (tunnel.sa_out, tunnel.sa_in) = (Some("out".to_owned()), vec!["in".to_owned()]);
        config.ipsec.tunnels.push(tunnel);
        let n = 2 * dice.roll(3) as u32;
        config.ipsec.sas.push(configured(sa("out", Direction::Out, n)));
        config.ipsec.sas.push(configured(sa("in", Direction::In, n + 1)));
    }
    config
}

fn edit(dice: &mut Dice) -> ListEdit {
    let old = 10 * (1 + dice.roll(12) as u32);
    let text = format!("ip access-list extended X\n deny ip any host 10.9.0.{}\n", dice.roll(64));
    let made = Document::parse(&text).unwrap();
    let ace: Ace = made.lists().next().unwrap().aces().next().unwrap().1.clone();
    match dice.roll(4) {
        0 => ListEdit::Add(Some(old + 1 + dice.roll(8) as u32), ace),
        1 => ListEdit::Delete(old),
        2 => ListEdit::Replace(old, ace),
        _ => ListEdit::Move(old, old + 1 + dice.roll(8) as u32),
    }
}

fn update(dice: &mut Dice) -> RouteUpdate {
    let interface = [0, 3][dice.roll(2) as usize];
    let v6 = dice.once_in(2);
    let prefix = match v6 {
        true => format!("2001:db8:{:x}:{:x}::/{}", dice.roll(3), dice.roll(9), 48 + dice.roll(30)),
        false => format!("172.{}.{}.0/{}", dice.roll(3), dice.roll(9), 14 + dice.roll(14)),
    };
    let path = |host: u64| Path {
        hop: NextHop::Via { address: address(interface, 5 + host as u8, v6), interface: None },
        weight: 1,
    };
    let action = match dice.roll(4) {
        0 => Action::Withdraw,
        1 => Action::Replace([path(dice.roll(5)), path(5 + dice.roll(5))].into()),
        _ => Action::Replace([path(dice.roll(5))].into()),
    };
    let prefix: ipnet::IpNet = prefix.parse().unwrap();
    RouteUpdate { table: TableId::GLOBAL, prefix: prefix.trunc(), source: Source::FPM, action }
}

fn step(world: &World, dice: &mut Dice) -> Step {
    let protected = world.client.uidb("tunnel0").is_some() && world.client.sa("out").is_some();
    match dice.roll(if protected { 10 } else { 8 }) {
        0 => Step::Commit(Box::new(config(dice))),
        1 | 2 => Step::Edit((0..=dice.roll(3)).map(|_| edit(dice)).collect()),
        3..=5 => Step::Routes((0..=dice.roll(24)).map(|_| update(dice)).collect()),
        6 | 7 => {
            let n = dice.roll(INTERFACES.into()) as u8;
            let mac = if dice.once_in(3) { None } else { Some(dice.mac()) };
            let host = address(n, 5 + dice.roll(6) as u8, dice.once_in(3));
            let uidb = world.client.uidb(&name(n)).unwrap_or(UidbIndex::NONE);
            Step::Neighbour(uidb, host, mac)
        }
        _ => {
            let n = dice.roll(3) as u32;
            let direction = if n == 0 { Direction::Out } else { Direction::In };
            let known = format!("x{n}");
            let fresh = Box::new(sa(&known, direction, 10 + n + 10 * dice.roll(3) as u32));
            match (world.client.sa(&known).is_some(), dice.roll(2)) {
                (false, _) => Step::Add(fresh),
                (true, 0) => Step::Update(fresh),
                (true, _) => Step::Delete(known),
            }
        }
    }
}

/// What lcores and whoever asks the client see.
#[derive(Debug, PartialEq)]
struct Seen {
    generation: u64,
    verdicts: Vec<Verdict>,
    matches: Vec<Vec<[u32; 64]>>,
    uidbs: Vec<[u64; 3]>,
    protecting: Vec<Option<u32>>,
    spis: Vec<Option<u32>>,
    counters: BTreeMap<CounterName, u32>,
    classes: Vec<String>,
    sas: Vec<SaStatus>,
    routes: usize,
}

/// What is taken of all tables once every reader has passed.
#[derive(Debug, PartialEq)]
struct Taken {
    usage: Usage,
    tcam: TcamUsage,
    sas: (u32, u32),
    routes: usize,
    objects_and_classes: (u32, u32),
    interfaces: u32,
    sa_rows: [usize; 3],
}

fn matches<const W: usize>(tables: AclTables<'_>, binding: Binding) -> Vec<[u32; 64]> {
    let Some(object) = tables.object(binding) else { return Vec::new() };
    let mut keys = Keys::<W>::new();
    for slot in 0..64 {
        let mut key = [0; W];
        key[W / 4 - 1] = 0x0a09_0000 + slot as u64;
        keys.set(slot, &key);
    }
    let mut found = Matches::<FEATURES>::new();
    let tcam = Tcam::new(tables.lines, Isa::Portable);
    tcam.look_up(object, &keys, PacketMask(u64::MAX), &mut found);
    (0..FEATURES).map(|feature| found.results(feature)).collect()
}

impl World {
    fn seen(&self) -> Seen {
        let mut probes: Vec<IpAddr> = Vec::new();
        for n in 0..9 {
            probes.extend([1, 5, 6, 8, 9, 77].map(|host| address(n, host, false)));
            probes.extend([1, 5, 9, 77].map(|host| address(n, host, true)));
            probes.extend([[172, n, 0, 1], [172, n, n, 129], [172, 0, n, 1]].map(IpAddr::from));
            for low in [0, n] {
                let v6 = [0x2001, 0xdb8, n.into(), low.into(), 0, 0, 0, 1];
                probes.push(v6.into());
            }
        }
        probes.extend([[192, 168, 0, 1], [172, 16, 0, 1], [1, 1, 1, 1]].map(IpAddr::from));
        let red = self.client.table("red");
        let all = [Some(TableId::GLOBAL), red].into_iter().flatten();
        let verdicts = all.flat_map(|t| probes.iter().map(move |dst| self.lookup_in(t, *dst)));
        let verdicts = verdicts.collect();
        let mut reader = self.reader.borrow_mut();
        let tables = reader.tables();
        let acl = AclTables::open(&tables);
        let uidbs: Vec<Uidb> = tables.view::<Uidb>(table_kind::UIDB).to_vec();
        let bound = (0..uidbs.len() as u16).flat_map(|uidb| {
            let bindings = acl.bindings(UidbIndex(uidb)).expect("tables");
            let four = [bindings.in4, bindings.out4].map(|b| matches::<WORDS4>(acl, b));
            let six = [bindings.in6, bindings.out6].map(|b| matches::<WORDS6>(acl, b));
            four.into_iter().chain(six)
        });
        let spis = SpiTable::new(tables.view::<SpiBucket>(table_kind::ESP_SPIS));
        let rows = tables.view::<TunnelRow>(table_kind::ESP_TUNNELS).iter().take(64);
        Seen {
            generation: self.client.generation().0,
            verdicts,
            matches: bound.collect(),
            uidbs: uidbs
                .iter()
                .map(|row| [row.features_in, row.features_out, u64::from(row.table)])
                .collect(),
            protecting: rows.map(TunnelRow::outbound).collect(),
            spis: (0..64).map(|n| spis.find(0x1000 + n, |_| true)).collect(),
            counters: self.client.rule_counters().map(|(name, n)| (name.clone(), n)).collect(),
            classes: self.client.service_classes().map(|class| format!("{class:?}")).collect(),
            sas: self.client.sas(),
            routes: self.client.route_count(),
        }
    }

    fn taken(&mut self) -> Taken {
        let usage = self.settle();
        self.client.take_idle_counters();
        Taken {
            usage,
            tcam: self.client.tcam_usage(),
            sas: self.client.sa_usage(),
            routes: self.client.fib.bytes_used(&self.client.driver),
            objects_and_classes: self.client.classification.numbers_used(),
            interfaces: self.client.interfaces.numbers_used(),
            sa_rows: self.client.ipsec.rows_used(),
        }
    }

    /// Carries a step out.
    fn carry_out(&mut self, step: &Step, lists: &mut Document) -> Result<(), String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let Self { client, reader, .. } = self;
        // The lcore looks at nothing meanwhile, and so holds nothing up.
        reader.get_mut().offline(|| match step {
            Step::Commit(config) => {
                let facts = super::world::facts();
                let result = client.commit(config, &RouteTable::default(), &facts);
                result.map_err(|error| text(&error))?;
                lists.clone_from(&config.access_lists);
                Ok(())
            }
            Step::Edit(edits) => {
                client.edit_list(lists, Family::V4, "A", edits).map_err(|error| text(&error))
            }
            Step::Routes(updates) => {
                client.routes(updates.iter().cloned()).map_err(|error| text(&error))
            }
            Step::Neighbour(uidb, host, mac) => {
                client.neighbour(*uidb, *host, *mac).map_err(|error| text(&error))
            }
            Step::Add(sa) => client.add_sa(Sa::clone(sa)).map_err(|error| text(&error)),
            Step::Update(sa) => client.update_sa(Sa::clone(sa)).map_err(|error| text(&error)),
            Step::Delete(name) => client.delete_sa(name).map_err(|error| text(&error)),
        })
    }
}

/// For random changes: refuses the first thing that each takes, and all after it; then those from
/// the second one on, and so forth until it is carried out.
#[test]
fn a_change_that_is_refused_at_any_point_leaves_everything_as_it_was() {
    let wanted = std::env::var("QFP_REFUSALS").ok().and_then(|n| n.parse().ok());
    let wanted: u64 = wanted.unwrap_or(REFUSALS);
    let seed = std::env::var("QFP_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(7);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ seed);
    let capacity = Capacity { ipv6_lines: 4096, ..TINY };
    let mut world = World::new(&capacity);
    let mut lists = Document::default();
    let first = Step::Commit(Box::new(config(&mut dice)));
    world.carry_out(&first, &mut lists).unwrap();
    let (mut refusals, mut halves, mut done) = (0, 0, 0);
    let mut naturally: BTreeMap<String, u32> = BTreeMap::new();
    while refusals < wanted {
        let step = step(&world, &mut dice);
        let (taken, seen, before) = (world.taken(), world.seen(), lists.clone());
        for granted in 0.. {
            let carried = refusal::after(granted, || world.carry_out(&step, &mut lists));
            let (Err(error), is_on_purpose) = carried else {
                done += 1;
                break;
            };
            refusals += u64::from(is_on_purpose);
            let now = world.seen();
            let same = now == seen && lists == before && world.taken() == taken;
            halves += u64::from(!same);
            if !same {
                assert_eq!(now, seen, "refusal {granted} of {}: {error}, seed {seed}", step.name());
                assert_eq!(
                    lists,
                    before,
                    "refusal {granted} of {}: {error}, seed {seed}",
                    step.name()
                );
                assert_eq!(
                    world.taken(),
                    taken,
                    "refusal {granted} of {}: {error}, seed {seed}",
                    step.name()
                );
            }
            if !is_on_purpose {
                *naturally.entry(error).or_insert(0) += 1;
                break;
            }
        }
    }
    println!(
        "{refusals} refusals of {done} changes, {halves} halves; refused anyway: {naturally:?}"
    );
    assert!(done > 20 && halves == 0);
}

/// A list that several objects have, in a memory with hardly any room.
#[test]
fn an_edit_without_room_in_one_object_is_seen_in_none() {
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let mut world = World::new(&Capacity { acl_lines: 110, ..TINY });
    let mut lists = Document::default();
    let commit = loop {
        let step = Step::Commit(Box::new(config(&mut dice)));
        if world.carry_out(&step, &mut lists).is_ok() {
            break step;
        }
    };
    let objects = world.client.tcam_usage().objects;
    let with_list = objects.iter().filter(|(object, ..)| object.list.is_some());
    assert!(with_list.count() >= 2, "{objects:?}");
    let mut refused = 0;
    for round in 0..600 {
        let ace = loop {
            if let ListEdit::Add(_, ace) = edit(&mut dice) {
                break ace;
            }
        };
        let sequence = 1 + dice.roll(900) as u32;
        let (taken, seen, before) = (world.taken(), world.seen(), lists.clone());
        let step = Step::Edit(vec![ListEdit::Add(Some(sequence), ace)]);
        match world.carry_out(&step, &mut lists) {
            Err(error) if error.contains("lines of the classifier") => refused += 1,
            Err(_) => {}
            // What is full is made empty again.
            Ok(()) if round % 200 != 199 => continue,
            Ok(()) => {
                let _ = world.carry_out(&commit, &mut lists);
                continue;
            }
        }
        assert_eq!(world.seen(), seen, "round {round}");
        assert_eq!(lists, before, "round {round}");
        assert_eq!(world.taken(), taken, "round {round}");
    }
    assert!(refused > 40, "{refused}");
}
