//! SAs in the tables: which one protects, what outlives what, what a refusal leaves.

use std::net::IpAddr;

use qfp_core::adjacency::{AdjacencyKind, AdjacencyTables};
use qfp_core::crypto::Algorithm;
use qfp_core::ipsec::{Endpoints, SpiTable};
use qfp_core::tables::table_kind;
use qfp_core::uidb::TableId;

use super::world::{TINY, World, address, facts, interfaces, route, via};
use crate::Capacity;
use crate::config::{Config, ConfiguredSa, KeySource, Origin, RouteTable, Target, Tunnel};
use crate::ea::IpsecError;
use crate::ipsec::{Direction, Lifetime, Mark, MarkId, Marks, Sa, SaEvent, Secret};

const SECOND: u64 = 1_000_000_000;

fn endpoints() -> Endpoints {
    Endpoints { local: address(0, 1, false), remote: address(0, 9, false) }
}

/// An SA of `tunnel0` with a key of its own.
pub(super) fn sa(name: &str, direction: Direction, n: u32) -> Sa {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&n.to_be_bytes());
    key[4] = 1;
    let key = Secret::new(&key);
    let sa = Sa::new(name, direction, 0x1000 + n, endpoints(), (Algorithm::Aes128Gcm, key));
    Sa { interface: Some("tunnel0".to_owned()), ..sa }
}

pub(super) fn configured(sa: Sa) -> ConfiguredSa {
    let sa = Sa { lasting: true, interface: None, ..sa };
    ConfiguredSa { sa, key: KeySource::Given, origin: Origin::default() }
}

/// A tunnel with the SAs `out` and `in`.
pub(super) fn config() -> Config {
    let mut config = interfaces(1);
    let mut tunnel = Tunnel::new("tunnel0");
    tunnel.mtu = Some(1500);
    tunnel.layer3.addresses = vec!["10.255.0.1/30".parse().unwrap()];
    (tunnel.sa_out, tunnel.sa_in) = (Some("out".to_owned()), vec!["in".to_owned()]);
    config.ipsec.tunnels.push(tunnel);
    config.ipsec.sas.push(configured(sa("out", Direction::Out, 1)));
    config.ipsec.sas.push(configured(sa("in", Direction::In, 2)));
    config
}

impl World {
    /// The row of the SA that protects the tunnel.
    fn protecting(&self) -> Option<u32> {
        let mut reader = self.reader.borrow_mut();
        let tables = reader.tables();
        let uidb = self.client.uidb("tunnel0")?;
        tables.view(table_kind::ESP_TUNNELS)[usize::from(uidb.0)].outbound()
    }

    /// Whether packets with the SPI of SA number `n` find a row.
    fn finds(&self, n: u32) -> bool {
        let mut reader = self.reader.borrow_mut();
        let tables = reader.tables();
        let spis = SpiTable::new(tables.view(table_kind::ESP_SPIS));
        spis.find(0x1000 + n, |_| true).is_some()
    }

    /// Keys that lcores could use.
    fn keys(&self) -> usize {
        let mut reader = self.reader.borrow_mut();
        let tables = reader.tables();
        let keys = tables.view(table_kind::ESP_KEYS).iter();
        keys.filter(|key| key.algorithm().is_some()).count()
    }

    fn in_use(&self) -> Vec<(String, bool)> {
        self.client.sas().into_iter().map(|status| (status.sa.name, status.in_use)).collect()
    }

    /// What has become of SAs at a second.
    fn watch(&mut self, second: u64) -> Vec<SaEvent> {
        let mut events = Vec::new();
        self.client.watch_sas(second * SECOND, &mut events);
        events
    }

    pub(super) fn sequence(&self, name: &str) -> u64 {
        self.client.sa(name).unwrap().counts.sequence
    }
}

fn world() -> World {
    let mut world = World::new(&TINY);
    world.commit(&config()).unwrap();
    world
}

#[test]
fn a_tunnel_is_a_link_with_one_neighbour_that_nobody_has_to_ask_for() {
    let mut world = World::new(&TINY);
    let mut config = config();
    config.routes.push(route("10.2.0.0/16".parse().unwrap(), Target::Dev("tunnel0".into()), 1));
    config.routes.push(via("10.3.0.0/16", "10.255.0.2".parse().unwrap()));
    world.commit(&config).unwrap();
    for dst in ["10.2.9.9", "10.3.9.9", "10.255.0.2"] {
        let dst: IpAddr = dst.parse().unwrap();
        let leaf = world.leaf(TableId::GLOBAL, dst);
        let mut reader = world.reader.borrow_mut();
        let tables = AdjacencyTables::open(&reader.tables());
        let group = tables.group(leaf);
        let row = &tables.adjacencies[group.first as usize];
        let kind = (row.state().kind, row.state().mtu);
        assert_eq!(kind, (AdjacencyKind::Featured, 1500), "{dst}");
        assert_eq!(row.output(), world.client.uidb("tunnel0").unwrap());
    }
    assert!(world.client.lost_next_hops().is_empty());
}

#[test]
fn the_newest_outbound_sa_protects_until_it_is_deleted() {
    let mut world = world();
    let first = world.protecting().expect("the configured SA protects");
    world.client.add_sa(sa("new", Direction::Out, 3)).unwrap();
    let second = world.protecting().unwrap();
    assert_ne!(first, second);
    let states = [("in", true), ("new", true), ("out", false)];
    assert_eq!(world.in_use(), states.map(|(name, in_use)| (name.to_owned(), in_use)));
    world.client.delete_sa("new").unwrap();
    assert_eq!(world.protecting(), Some(first));
    world.client.delete_sa("out").unwrap();
    assert_eq!(world.protecting(), None);
    assert_eq!(world.client.flush_sas(), 1);
    assert!(!world.finds(2) && world.client.sas().is_empty());
    assert_eq!((world.settle(), world.keys()).1, 0);
}

#[test]
fn what_lcores_may_still_look_at_stays_until_they_have_left() {
    let mut world = world();
    world.client.add_sa(sa("more", Direction::In, 3)).unwrap();
    assert!(world.finds(2) && world.finds(3), "both are taken while one replaces the other");
    world.client.delete_sa("in").unwrap();
    assert!(!world.finds(2) && world.finds(3), "no packet finds it any more");
    world.client.housekeeping();
    assert_eq!((world.keys(), world.client.sa_usage().1), (3, 3), "but who has found it may go on");
    world.settle();
    assert_eq!((world.keys(), world.client.sa_usage().1), (2, 2), "and the key is wiped then");
}

#[test]
fn an_sa_with_the_same_key_keeps_what_it_has_counted() {
    let mut world = world();
    world.client.update_sa(Sa { ttl: 9, ..sa("out", Direction::Out, 1) }).unwrap();
    let state = |world: &World| world.client.sa_places().find(|p| p.sa.name == "out").unwrap();
    let (row, before) = (world.protecting(), state(&world));
    let moved = Endpoints { remote: address(0, 8, false), ..endpoints() };
    world.client.update_sa(Sa { endpoints: moved, ..before.sa.clone() }).unwrap();
    world.settle();
    let after = state(&world);
    assert_eq!((after.state, after.sa.endpoints), (before.state, moved));
    assert_ne!(world.protecting(), row, "other settings are another row, seen at once");
    // A key of its own is an SA of its own.
    world.client.update_sa(sa("out", Direction::Out, 7)).unwrap();
    assert_ne!(state(&world).state, before.state);
    assert!(matches!(
        world.client.update_sa(Sa { replay_window: 128, ..sa("in", Direction::In, 2) }),
        Err(IpsecError::WindowChange(_))
    ));
    world.settle();
    assert_eq!(world.keys(), 2);
}

#[test]
fn what_cannot_be_changes_nothing() {
    let mut world = world();
    let before = (world.in_use(), world.protecting(), world.client.sa_usage());
    let out = |n| sa("new", Direction::Out, n);
    let within = |n| sa("new", Direction::In, n);
    let wrong = [
        (sa("out", Direction::Out, 9), "already an SA \"out\""),
        (Sa { spi: 255, ..out(9) }, "SPI 255 is reserved"),
        (out(1), "has the key of SA out"),
        (Sa { spi: 0x9000, ..within(2) }, "has the key of SA in"),
        (Sa { spi: 0x1002, ..within(9) }, "SPI 0x1002 to 10.0.0.1 is already that of SA in"),
        (Sa { interface: Some("port0".to_owned()), ..out(9) }, "no tunnel or policy entry"),
        (Sa { vrf: Some("red".to_owned()), ..out(9) }, "no interface is in VRF"),
        (Sa { key: Secret::new(&[1; 16]), ..out(9) }, "takes a key of 20 bytes, not 16"),
        (Sa { replay_window: 65, ..within(9) }, "65"),
        (Sa { replay_window: 4096, ..within(9) }, "words of replay windows"),
    ];
    for (sa, wants) in wrong {
        let error = world.client.add_sa(sa).unwrap_err().to_string();
        assert!(error.contains(wants), "{wants:?}: {error}");
        world.settle();
        assert_eq!((world.in_use(), world.protecting(), world.client.sa_usage()), before);
        assert_eq!(world.keys(), 2, "{error}");
    }
    assert!(matches!(world.client.delete_sa("none"), Err(IpsecError::Unknown(_))));
    // A commit with more SAs than there is room for.
    let mut more = config();
    more.routes.push(via("172.16.0.0/16", address(0, 9, false)));
    for n in 10..40 {
        more.ipsec.sas.push(configured(sa(&format!("more{n}"), Direction::In, n)));
    }
    let error = world.commit(&more).unwrap_err().to_string();
    assert!(error.contains("SAs"), "{error}");
    assert_eq!((world.in_use(), world.protecting(), world.client.sa_usage()), before);
    assert_eq!((world.keys(), world.lookup("172.16.0.1".parse().unwrap())), (2, None));
    assert!(!world.finds(10));
}

#[test]
fn a_commit_rekeys_and_leaves_what_others_have_added() {
    let mut world = world();
    world.client.add_sa(sa("exchange", Direction::In, 5)).unwrap();
    let row = world.protecting();
    world.commit(&config()).unwrap();
    assert_eq!(world.protecting(), row, "nothing new is said of it");
    let mut rekeyed = config();
    rekeyed.ipsec.sas[0] = configured(sa("out", Direction::Out, 6));
    world.commit(&rekeyed).unwrap();
    assert_ne!(world.protecting(), row);
    assert!(world.finds(5) && world.finds(2));
    rekeyed.ipsec.sas.pop();
    rekeyed.ipsec.tunnels[0].sa_in.clear();
    world.commit(&rekeyed).unwrap();
    assert!(world.finds(5) && !world.finds(2), "what the configuration says no more is gone");
    // Without the tunnel nothing is left for it to come in through.
    world.commit(&interfaces(1)).unwrap();
    assert!(!world.finds(5) && world.client.sas().is_empty());
    assert_eq!(world.protecting(), None);
}

#[test]
fn a_restart_begins_behind_every_number_that_was_reserved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("marks");
    let mut reserved = 0;
    for _ in 0..3 {
        let mut world = World::new(&TINY);
        world.client.keep_marks(Marks::open(&path).unwrap());
        world.commit(&config()).unwrap();
        assert_eq!(world.sequence("out"), reserved, "as many as the one before may have used");
        // A key that lives as long as this process needs no mark.
        world.client.add_sa(sa("exchange", Direction::Out, 5)).unwrap();
        assert_eq!(world.sequence("exchange"), 0);
        reserved += 1 << 24;
    }
    // The same key for another name and SPI is still the same key.
    let mut world = World::new(&TINY);
    world.client.keep_marks(Marks::open(&path).unwrap());
    let renamed = Sa { spi: 0x9999, lasting: true, ..sa("out", Direction::Out, 1) };
    let mut config = config();
    config.ipsec.sas[0] = configured(Sa { name: "other".to_owned(), ..renamed });
    config.ipsec.tunnels[0].sa_out = Some("other".to_owned());
    world.commit(&config).unwrap();
    assert_eq!(world.sequence("other"), reserved);
}

#[test]
fn a_key_that_goes_to_another_sa_goes_on_behind_what_was_reserved() {
    let mut world = world();
    world.client.add_sa(sa("exchange", Direction::Out, 5)).unwrap();
    for round in 1..4 {
        let other = Sa { spi: 0x9000 + round, ..sa("exchange", Direction::Out, 5) };
        world.client.update_sa(other).unwrap();
        assert_eq!(world.sequence("exchange"), u64::from(round) << 24);
    }
    // Under another name in one commit, too.
    let mut config = config();
    config.ipsec.sas[0].sa.name = "renamed".to_owned();
    config.ipsec.tunnels[0].sa_out = Some("renamed".to_owned());
    world.client.rekey(&config).unwrap();
    assert_eq!(world.sequence("renamed"), 0, "it is the same SA");
}

#[test]
fn a_key_whose_numbers_are_used_up_is_refused() {
    for (used, esn, good) in [
        (u64::from(u32::MAX) - 1, false, true),
        (u64::from(u32::MAX), false, false),
        (u64::from(u32::MAX), true, true),
        (u64::MAX - 1, true, false),
    ] {
        let mut marks = Marks::default();
        let mut config = config();
        config.ipsec.sas[0].sa.esn = esn;
        let id = MarkId::of_sa(&config.ipsec.sas[0].sa).unwrap();
        marks.write(&[(id, Mark::reserved(used))]).unwrap();
        let mut world = World::new(&TINY);
        world.client.keep_marks(marks);
        let result = world.commit(&config).map_err(|error| error.to_string());
        let refused = "SA out has no sequence numbers left: it needs another key".to_owned();
        assert_eq!(result, if good { Ok(()) } else { Err(refused) });
        assert_eq!(world.client.sas().is_empty(), !good);
    }
}

#[test]
fn lifetimes_end_softly_then_hard_and_the_sa_is_gone() {
    let mut world = world();
    assert_eq!(world.watch(1), []);
    let seconds = |n| Lifetime { seconds: Some(n), ..Lifetime::default() };
    let timed = Sa { soft: seconds(5), hard: seconds(9), ..sa("timed", Direction::Out, 3) };
    world.client.add_sa(timed).unwrap();
    let row = world.protecting();
    assert_eq!(world.watch(5), []);
    assert_eq!(world.watch(6), [SaEvent::SoftExpired { sa: "timed".to_owned() }]);
    assert_eq!(world.watch(7), [], "told once");
    assert_eq!(world.protecting(), row, "it goes on");
    assert_eq!(world.watch(10), [SaEvent::HardExpired { sa: "timed".to_owned() }]);
    assert_ne!(world.protecting(), row, "and the one before it protects again");
    assert!(world.client.sa("timed").is_none());
}

#[test]
fn lifetimes_of_the_first_configuration_begin_when_packets_can_flow() {
    let mut world = World::new(&TINY);
    let mut config = config();
    config.ipsec.sas[0].sa.hard = Lifetime { seconds: Some(10), ..Lifetime::default() };
    world.commit(&config).unwrap();
    assert_eq!(world.watch(1000), []);
    assert_eq!(world.watch(1009), []);
    assert_eq!(world.watch(1010), [SaEvent::HardExpired { sa: "out".to_owned() }]);
    assert_eq!(world.protecting(), None);
}

#[test]
fn spis_that_are_allocated_are_nobody_s() {
    let mut world = world();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let spi = world.client.allocate_spi().unwrap();
        assert!(spi > 255 && spi != 0x1002 && seen.insert(spi));
    }
}

#[test]
fn as_many_tunnels_as_a_configuration_has_fit_the_tables_made_for_it() {
    let mut config = interfaces(1);
    for n in 0..9000_u16 {
        let [high, low] = n.to_be_bytes();
        config.ipsec.tunnels.push(Tunnel::new(format!("tunnel{n}")));
        let prefix = format!("172.{}.{low}.0/24", 16 + high).parse().unwrap();
        config.routes.push(route(prefix, Target::Dev(format!("tunnel{n}")), 1));
    }
    let mut world = World::new(&Capacity::fitting(&config, &RouteTable::default()));
    world.commit(&config).unwrap();
    let last = world.leaf(TableId::GLOBAL, "172.51.39.9".parse().unwrap());
    let mut reader = world.reader.borrow_mut();
    let tables = reader.tables();
    let output = AdjacencyTables::open(&tables).group(last).output;
    assert_eq!(Some(output), world.client.uidb("tunnel8999"));
}

#[test]
fn sixty_four_thousand_sas_are_all_found_and_all_go() {
    const SAS: u32 = 1 << 16;
    let capacity = Capacity { sas: SAS, replay_words: SAS * 4, ..TINY };
    let mut world = World::new(&capacity);
    let mut config = config();
    (config.ipsec.sas, config.ipsec.tunnels[0].sa_out) = (Vec::new(), None);
    config.ipsec.tunnels[0].sa_in.clear();
    world.client.commit(&config, &RouteTable::default(), &facts()).unwrap();
    for n in 0..SAS {
        let direction = if n % 2 == 0 { Direction::In } else { Direction::Out };
        world.client.add_sa(sa(&format!("sa{n}"), direction, n)).unwrap();
    }
    assert_eq!(world.client.sa_usage(), (SAS, SAS));
    assert!((0..SAS).step_by(2).all(|n| world.finds(n)));
    assert_eq!(world.client.sa(&format!("sa{}", SAS - 1)).map(|sa| sa.in_use), Some(true));
    let error = world.client.add_sa(sa("more", Direction::In, SAS)).unwrap_err();
    assert!(matches!(error, IpsecError::Full(_)), "{error}");
    assert_eq!(world.client.flush_sas(), SAS as usize);
    world.settle();
    assert_eq!((world.keys(), world.client.sa_usage()), (0, (SAS, 0)));
}
