//! Marks of SAs in the tables: what goes on with a key, and what a process leaves behind.

use std::path::Path;
use std::sync::atomic::AtomicU64;

use qfp_core::crypto::Algorithm;
use qfp_core::ipsec::SaState;

use super::sas::{config, configured, sa};
use super::world::{TINY, World};
use crate::config::Config;
use crate::ipsec::{Direction, Marks, Sa, SaEvent, Secret};

const MS: u64 = 1_000_000;

/// Words of a window of 64 numbers.
type Words = [AtomicU64; 4];

impl World {
    fn kept(folder: &Path) -> Self {
        let mut world = Self::new(&TINY);
        world.client.keep_marks(Marks::open(folder).unwrap());
        world
    }

    fn state(&self, name: &str) -> (u32, &SaState) {
        let place = self.client.sa_places().find(|place| place.sa.name == name).unwrap();
        let states = self.client.driver.state_view(self.client.ipsec.states());
        (place.state, &states[place.state as usize])
    }

    /// What an lcore accepts of numbers that come for an SA.
    fn accept(&self, name: &str, numbers: std::ops::RangeInclusive<u64>, words: &Words) -> u64 {
        let (_, state) = self.state(name);
        let mut count = 0;
        for number in numbers {
            let window = state.window(words, 64).unwrap();
            if window.accept(number) {
                window.advance(number);
                state.count(1, 100, 1);
                count += 1;
            } else if window.is_beyond(number) {
                state.want(number);
            }
        }
        count
    }

    fn keep_ahead(&mut self, ms: u64) -> Vec<SaEvent> {
        let mut events = Vec::new();
        self.client.keep_ahead(ms * MS, true, &mut events);
        events
    }
}

/// The configuration with something about its inbound SA changed.
fn changed(change: impl FnOnce(&mut Sa)) -> Config {
    let mut config = config();
    change(&mut config.ipsec.sas[1].sa);
    config.ipsec.tunnels[0].sa_in = vec![config.ipsec.sas[1].sa.name.clone()];
    config
}

fn without() -> Config {
    let mut config = config();
    config.ipsec.sas.pop();
    config.ipsec.tunnels[0].sa_in.clear();
    config
}

#[test]
fn a_window_goes_on_with_its_key_under_another_name_and_with_another_spi() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::kept(dir.path());
    world.commit(&config()).unwrap();
    let words = Words::default();
    assert_eq!(world.accept("in", 1..=500, &words), 500);
    let row = world.state("in").0;
    for (name, config) in [
        ("new", changed(|sa| sa.name = "new".to_owned())),
        ("in", config()),
        ("in", changed(|sa| sa.spi = 0x9999)),
        ("in", config()),
    ] {
        world.client.rekey(&config).unwrap();
        world.settle();
        assert_eq!(world.state(name).0, row, "it is the same state, with the same window");
        assert_eq!(world.accept(name, 1..=500, &words), 0);
    }
    // Names that are exchanged leave each key its own.
    let mut exchanged = config();
    exchanged.ipsec.sas.push(configured(sa("more", Direction::In, 3)));
    exchanged.ipsec.tunnels[0].sa_in.push("more".to_owned());
    world.client.rekey(&exchanged).unwrap();
    let rows = ["in", "more"].map(|name| world.state(name).0);
    exchanged.ipsec.sas[1].sa.name = "more".to_owned();
    exchanged.ipsec.sas[2].sa.name = "in".to_owned();
    world.client.rekey(&exchanged).unwrap();
    world.settle();
    assert_eq!(["more", "in"].map(|name| world.state(name).0), rows);
    assert_eq!(world.accept("more", 1..=500, &words), 0);
}

#[test]
fn a_key_that_was_away_goes_on_exactly_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::kept(dir.path());
    world.commit(&config()).unwrap();
    assert_eq!(world.accept("in", 1..=300, &Words::default()), 300);
    for _ in 0..3 {
        world.client.rekey(&without()).unwrap();
        world.settle();
        world.client.rekey(&config()).unwrap();
        assert_eq!(world.sequence("in"), 300);
        assert_eq!(world.accept("in", 1..=236, &Words::default()), 0, "before the window");
    }
    // Back before every lcore has left it, and another algorithm: not before what was reserved.
    world.client.rekey(&without()).unwrap();
    world.client.rekey(&config()).unwrap();
    assert_eq!(world.sequence("in"), 300 + 960);
    world.settle();
    let gmac = changed(|sa| sa.algorithm = Algorithm::Aes128Gmac);
    world.client.rekey(&gmac).unwrap();
    assert!(world.sequence("in") >= 300 + 960, "the key may be used with another algorithm");
    world.settle();
    assert_eq!(world.client.sa_usage().1, 2);
}

#[test]
fn a_process_that_is_killed_leaves_more_than_was_accepted_and_one_that_ends_exactly_that() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..20_u64 {
        let mut world = World::kept(dir.path());
        world.commit(&config()).unwrap();
        let begin = world.sequence("in");
        assert!(begin >= last, "round {round}: {begin} is before {last}");
        assert!(begin - last <= 1024, "round {round}: {begin} is far behind {last}");
        let words = Words::default();
        // The peer has to get past what was reserved: the first number beyond it wakes the SA.
        for number in begin + 1..=begin + 64 {
            world.accept("in", number..=number, &words);
        }
        assert_eq!(world.keep_ahead(round * 2), []);
        let accepted = world.accept("in", begin + 65..=begin + 700, &words);
        assert_eq!(accepted, 636, "round {round}");
        last = begin + 700;
        let out = world.sequence("out");
        if round % 3 == 0 {
            world.client.close_marks(&mut Vec::new());
            drop(world);
            let mut world = World::kept(dir.path());
            world.commit(&config()).unwrap();
            assert_eq!((world.sequence("in"), world.sequence("out")), (last, out));
        }
    }
}

#[test]
fn what_a_slower_peer_does_not_need_any_more_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::kept(dir.path());
    world.commit(&config()).unwrap();
    let words = Words::default();
    let mut next = 1;
    let mut begin_of = |world: &mut World, ms: std::ops::Range<u64>, packets: u64| {
        for ms in ms {
            assert_eq!(world.accept("in", next..=next + packets - 1, &words), packets, "{ms} ms");
            next += packets;
            world.keep_ahead(ms);
            world.reader.get_mut().quiescent();
        }
        next - 1
    };
    begin_of(&mut world, 0..500, 100);
    let fast = world.state("in").1.reserved() - world.sequence("in");
    assert!((4000..=10_000).contains(&fast), "{fast} ahead at 10 000 in 100 ms");
    let highest = begin_of(&mut world, 500..2500, 1);
    let slow = world.state("in").1.reserved() - highest;
    assert!(slow <= 1024, "{slow} ahead at 100 in 100 ms");
    drop(world);
    let mut world = World::kept(dir.path());
    world.commit(&config()).unwrap();
    assert!((highest..=highest + 1024).contains(&world.sequence("in")));
}

#[test]
fn a_key_is_one_router_s_until_it_gives_it_up() {
    let dir = tempfile::tempdir().unwrap();
    let (mut west, mut east) = (World::kept(dir.path()), World::kept(dir.path()));
    west.commit(&config()).unwrap();
    for _ in 0..2 {
        let error = east.commit(&config()).unwrap_err().to_string();
        assert!(error.contains("is in use by another process"), "{error}");
    }
    // One key of the two is free, and stays so when both are refused.
    west.client.rekey(&without()).unwrap();
    west.settle();
    west.client.housekeeping();
    assert!(east.commit(&config()).is_err());
    west.client.rekey(&config()).unwrap();
    west.client.flush_sas();
    west.settle();
    west.client.housekeeping();
    east.commit(&config()).unwrap();
}

#[test]
fn a_key_that_was_received_with_is_not_sent_with_from_the_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::kept(dir.path());
    world.commit(&config()).unwrap();
    world.accept("in", 1..=100, &Words::default());
    world.client.close_marks(&mut Vec::new());
    drop(world);
    let mut world = World::kept(dir.path());
    let mut turned = config();
    let key: Secret = turned.ipsec.sas[1].sa.key.clone();
    turned.ipsec.sas.pop();
    turned.ipsec.tunnels[0].sa_in.clear();
    turned.ipsec.sas[0].sa.key = key;
    world.commit(&turned).unwrap();
    assert_eq!(world.sequence("out"), 100);
}
