//! Ports of a program's own: what it sends is routed, and it is answered at any time. What is punted
//! may be its own as well, and so may what the router sends.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use channel::Channel;
use packets::{arp, frame, link, mac, udp};
use qfp::client::config::{Config, RouteTable};
use qfp::core::packet::{PuntCause, PuntedPacket};
use qfp::core::uidb::{TableId, UidbIndex};
use qfp::{Forwarder, InjectError, InjectTo, PuntVerdict, StartError};

#[path = "../examples/own_port/channel.rs"]
mod channel;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "support/packets.rs"]
mod packets;

/// Port `east` has the device of the configuration, `west` none.
const CONFIG: &str = r#"
[[port]]
name = "west"
mac = "02:00:00:00:01:01"
address = ["10.1.0.1/24"]
[[port]]
name = "east"
device = "sink"
mac = "02:00:00:00:02:01"
address = ["10.2.0.1/24"]
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
"#;

const PATIENCE: Duration = Duration::from_secs(60);

type Ends = (Sender<Vec<u8>>, Receiver<Vec<u8>>);

fn config() -> Config {
    Config::parse(CONFIG, "own.toml").unwrap()
}

fn forwarder() -> (Forwarder, Ends, Ends) {
    let (west, to_west, from_west) = Channel::new();
    let (east, to_east, from_east) = Channel::new();
    let forwarder = Forwarder::new(config()).port("west", west).port("east", east);
    (forwarder, (to_west, from_west), (to_east, from_east))
}

#[test]
fn what_a_program_sends_is_routed_to_where_it_takes_it() {
    let (forwarder, west, east) = forwarder();
    let running = forwarder.start().unwrap();
    for port in 1..=1000 {
        let ip = udp("10.1.0.2", "10.2.0.2", 64, (port, 9), b"of our own");
        west.0.send(frame(mac(1, 1), mac(1, 2), &[], &ip)).unwrap();
    }
    for port in 1..=1000 {
        let ip = udp("10.1.0.2", "10.2.0.2", 63, (port, 9), b"of our own");
        let wanted = frame(mac(2, 2), mac(2, 1), &[], &ip);
        assert_eq!(east.1.recv_timeout(PATIENCE).unwrap(), wanted);
    }
    drop((west.0, east.0));
    let report = running.join().unwrap();
    assert_eq!((report.forwarded(), report.conserved), (1000, Some(true)));
    assert_eq!(report.ports[1].spec, "channel");
}

#[test]
fn a_port_that_is_nobodys_is_refused_by_name() {
    let (west, ..) = Channel::new();
    let error = Forwarder::new(config()).port("north", west).start().err().unwrap();
    assert!(matches!(&error, StartError::UnknownPort(name) if name == "north"), "{error}");
    let error = Forwarder::new(config()).start().err().unwrap();
    let said = "own.toml:2: west has no \"device\", and no --port stands for it";
    assert_eq!((error.to_string().as_str(), error.is_usage()), (said, true));
}

/// The client makes tables of 200 000 routes; meanwhile the slow path answers for its address.
#[test]
fn a_commit_keeps_nobody_from_an_answer() {
    let mut file = Vec::new();
    for route in 0..200_000_u32 {
        let network = std::net::Ipv4Addr::from(0x1400_0000 + (route << 8));
        writeln!(file, "{network}/24 via 10.2.0.{}", 2 + route % 200).unwrap();
    }
    let routes = RouteTable::read(&file[..], "routes").unwrap();
    let (forwarder, west, _east) = forwarder();
    let capacity = qfp::client::Capacity::fitting(&config(), &routes);
    let running = forwarder.capacity(capacity).start().unwrap();
    let request = arp(false, (mac(1, 2), "10.1.0.2"), ([0; 6], "10.1.0.1"));
    let request = link([0xff; 6], mac(1, 2), &[], 0x0806, &request);
    let mut slowest = Duration::ZERO;
    let mut ask = || {
        let asked = Instant::now();
        west.0.send(request.clone()).unwrap();
        let answer = west.1.recv_timeout(PATIENCE).unwrap();
        assert_eq!(answer[20..28], [0, 2, 2, 0, 0, 0, 1, 1], "{:?}", running.report());
        slowest = slowest.max(asked.elapsed());
    };
    ask();
    let start = Instant::now();
    let (took, answers) = std::thread::scope(|scope| {
        let commit = scope.spawn(|| running.commit(config(), routes).map(|_| start.elapsed()));
        let mut answers = 0;
        while !commit.is_finished() {
            ask();
            answers += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        (commit.join().unwrap().unwrap(), answers)
    });
    eprintln!("a commit of {took:?}, {answers} answers meanwhile, the slowest in {slowest:?}");
    // Who waits for the commit has one answer, and perhaps one more behind it.
    assert!(answers > 3, "{answers} in {took:?}");
    assert_eq!(running.stop().unwrap().conserved, Some(true));
}

/// What the slow path has counted as `name`.
fn slow_path(report: &qfp::report::RunReport, name: &str) -> u64 {
    report.slow_path.iter().find(|(known, _)| *known == name).map_or(0, |known| known.1)
}

/// The program answers UDP to the router itself; the slow path goes on to answer pings.
#[test]
fn a_program_takes_what_is_punted_and_answers_it() {
    let (punted, taken) = std::sync::mpsc::channel();
    let hook = move |packet: &PuntedPacket| {
        let ip = &packet.packet.frame()[usize::from(packet.l3_offset)..];
        if ip[9] != 17 {
            return PuntVerdict::Pass;
        }
        punted.send((packet.input, packet.table, ip.to_vec())).unwrap();
        PuntVerdict::Taken
    };
    let (forwarder, west, east) = forwarder();
    let running = forwarder.on_punt(PuntCause::Ipv4ForUs, hook).start().unwrap();
    let ask = udp("10.1.0.2", "10.1.0.1", 64, (4000, 520), b"who is there?");
    west.0.send(frame(mac(1, 1), mac(1, 2), &[], &ask)).unwrap();
    let (input, table, ip) = taken.recv_timeout(PATIENCE).unwrap();
    assert_eq!((table, ip), (TableId::GLOBAL, ask));
    let interfaces = running.interfaces();
    let named = |name| interfaces.iter().find(|one| one.name == name).unwrap().uidb;
    assert_eq!(input, named("west"));
    // Routed to a neighbour that is known.
    let answer = udp("10.2.0.1", "10.2.0.2", 64, (520, 4000), b"me");
    running.inject(InjectTo::Table(table), &answer).unwrap();
    let wanted = frame(mac(2, 2), mac(2, 1), &[], &answer);
    assert_eq!(east.1.recv_timeout(PATIENCE).unwrap(), wanted);
    // A frame for one interface goes out as it is.
    let hello = link([1, 0x80, 0xc2, 0, 0, 14], mac(1, 1), &[], 0x88cc, b"a neighbour");
    running.inject(InjectTo::Interface(named("west")), &hello).unwrap();
    assert_eq!(west.1.recv_timeout(PATIENCE).unwrap(), hello);
    // What the hook lets pass is the slow path's.
    let ping = packets::echo("10.2.0.2", "10.1.0.1", 64, false, b"ping");
    east.0.send(frame(mac(2, 1), mac(2, 2), &[], &ping)).unwrap();
    let reply = packets::echo("10.1.0.1", "10.2.0.2", 64, true, b"ping");
    assert_eq!(east.1.recv_timeout(PATIENCE).unwrap()[34..], reply[20..]);
    // Nothing comes of these but a count.
    running.inject(InjectTo::Table(table), b"no packet").unwrap();
    running.inject(InjectTo::Interface(UidbIndex(4000)), &hello).unwrap();
    drop((west.0, east.0));
    let report = running.join().unwrap();
    let counts = ["consumed", "echo_replies", "inject_refused"].map(|n| slow_path(&report, n));
    assert_eq!((counts, report.conserved), ([1, 1, 2], Some(true)));
}

#[test]
fn what_a_busy_slow_path_has_no_room_for_is_refused_and_counted() {
    let (busy, is_busy) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let hook = move |_: &PuntedPacket| {
        busy.send(()).unwrap();
        may_go_on.recv().unwrap_or_default();
        PuntVerdict::Taken
    };
    let (forwarder, west, east) = forwarder();
    let running = forwarder.on_punt(PuntCause::Ipv4ForUs, hook).start().unwrap();
    let ask = udp("10.1.0.2", "10.1.0.1", 64, (4000, 520), b"who is there?");
    west.0.send(frame(mac(1, 1), mac(1, 2), &[], &ask)).unwrap();
    is_busy.recv_timeout(PATIENCE).unwrap();
    let ip = udp("10.2.0.1", "10.2.0.2", 64, (520, 4000), b"me");
    let inject = |_: &u32| running.inject(InjectTo::Table(TableId::GLOBAL), &ip);
    let refused: Vec<_> = (0..5000).filter_map(|n| inject(&n).err()).collect();
    assert_eq!(refused, vec![InjectError::Full; 5000 - 4096]);
    drop(go_on);
    for _ in 0..4096 {
        east.1.recv_timeout(PATIENCE).unwrap();
    }
    drop((west.0, east.0));
    assert!(running.wait(PATIENCE));
    assert_eq!(inject(&0), Err(InjectError::Ended));
    let report = running.join().unwrap();
    let counts = [slow_path(&report, "inject_refused"), report.injected];
    assert_eq!((counts, report.conserved), ([904, 4096], Some(true)));
}
