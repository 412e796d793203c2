//! A change of one line in a router with full tables: how long it takes, and what else it touches.
//!
//! Full in a release build; a debug build has a fiftieth of everything, and takes its time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use channel::Channel;
use full_size::Line;
use qfp::Forwarder;
use qfp::client::config::{Config, RouteTable};

#[path = "../examples/own_port/channel.rs"]
mod channel;
#[path = "support/full_size.rs"]
mod full_size;

const DEVICES: [&str; 2] = ["sink", "sink"];

#[test]
fn a_commit_of_one_line_leaves_all_else_alone() {
    let folder = tempfile::tempdir().unwrap();
    full_size::write(folder.path(), DEVICES);
    let read = |line| {
        full_size::write_line(folder.path(), DEVICES, line);
        Config::from_toml(folder.path().join("config.toml")).unwrap()
    };
    let start = Instant::now();
    let routes = RouteTable::from_file(folder.path().join("routes.txt"), |_, _| ()).unwrap();
    eprintln!("{} routes read in {:.0?}", routes.len(), start.elapsed());
    let config = read(Line::None);
    let start = Instant::now();
    let (west, _input, _answers) = Channel::new();
    let (east, _idle, _output) = Channel::new();
    let forwarder = Forwarder::new(config).routes(routes.clone());
    let running = forwarder.port("west", west).port("east", east).start().unwrap();
    eprintln!("started in {:.0?}", start.elapsed());
    for line in [Line::None, Line::Address, Line::Route, Line::Rule, Line::Rate, Line::Sa] {
        let mut times = Vec::new();
        for round in 0..std::env::var("QFP_ROUNDS").map_or(5, |n| n.parse().unwrap()) {
            let line = if round % 2 == 0 { line } else { Line::None };
            let start = Instant::now();
            let config = read(line);
            let parsed = start.elapsed();
            let routes = routes.clone();
            let start = Instant::now();
            running.commit(config, routes).unwrap();
            times.push((start.elapsed(), parsed));
        }
        times.sort();
        eprintln!(
            "{line:?}: commit {:.2?} (longest {:.2?}); written and read in {:.2?}",
            times[times.len() / 2].0,
            times[times.len() - 1].0,
            times[times.len() / 2].1
        );
    }
    assert_eq!(running.stop().unwrap().conserved, Some(true));
}
