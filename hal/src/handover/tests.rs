use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use pal::clock::Nanos;

use super::*;
use crate::interface::rig::{EXPERIMENT, frame, in_own_namespace, packet_socket, receive, send};
use crate::mask::PacketMask;
use crate::packet::Burst;
use crate::pool::{NativePool, Origin, Pool, PoolCache};
use crate::port::{LinkState, Queues};

fn ip(line: &str) -> bool {
    let status = Command::new("ip").args(line.split_whitespace()).status();
    status.is_ok_and(|status| status.success())
}

fn keep(spec: &str, config: &PortConfig) -> Option<Kept> {
    match Kept::open(Spec::parse(spec).unwrap(), config) {
        Ok(kept) => Some(kept),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// The port over what is kept, as another process would make it, and its queues.
fn start(kept: &Kept, config: &PortConfig) -> (Box<dyn Port>, Queues) {
    let (handed, with) = kept.hand().unwrap();
    let mut with = with.into_iter();
    let mut port = handed.open(&mut with).unwrap();
    assert_eq!(with.len(), 0);
    let queues = port.start(config).unwrap();
    (port, queues)
}

/// First bytes of the bodies of all frames of ours in the first queue.
fn receive_all(queues: &mut Queues, cache: &mut PoolCache) -> Vec<u8> {
    let (mut burst, mut marks) = (Burst::new(Origin::Native), Vec::new());
    for queue in &mut queues.rx {
        // A ring is looked for its frames some slots at a time.
        for _ in 0..300 {
            queue.rx_burst(&mut burst, cache);
            let own = (0..burst.count()).map(|slot| burst.frame(slot));
            marks.extend(own.filter(|frame| frame[12..14] == EXPERIMENT).map(|frame| frame[14]));
            cache.free(&mut burst, PacketMask::FULL);
            burst.clear();
        }
    }
    marks
}

#[test]
fn what_waits_in_a_kept_device_is_received_by_the_next_port_in_order() {
    in_own_namespace(|| {
        if !ip("link add near type veth peer name far") || !ip("link set near up") {
            return eprintln!("skipped: no veth");
        }
        assert!(ip("link set far up"));
        let config = PortConfig { mtu: 1400, ..PortConfig::default() };
        let pool = Pool::Native(NativePool::new(4096, 2048));
        let mut cache = pool.cache(0);
        for (spec, peer) in [("tap:cable0", "cable0"), ("packet:near", "far")] {
            let Some(kept) = keep(spec, &config) else { return };
            let other_end = packet_socket(peer);
            // The kernel's place in a ring moves on from port to port, and over its end.
            for round in 0..7 {
                let (port, mut queues) = start(&kept, &config);
                assert_eq!(port.link().state, LinkState::Up, "{spec}");
                for mark in 0..200 {
                    send(&other_end, &frame(mark, 100));
                    if round % 2 == 0 && mark % 16 == 0 {
                        let one = receive_all(&mut queues, &mut cache);
                        assert_eq!(one.last(), Some(&mark), "{spec}");
                    }
                }
                let rest = receive_all(&mut queues, &mut cache);
                assert_eq!(rest.last(), Some(&199), "{spec}");
                // These wait for the next one.
                (0..5).for_each(|mark| send(&other_end, &frame(mark, 100)));
                drop((port, queues));
                (5..9).for_each(|mark| send(&other_end, &frame(mark, 100)));
                let (_port, mut queues) = start(&kept, &config);
                let waited = receive_all(&mut queues, &mut cache);
                assert_eq!(waited, [0, 1, 2, 3, 4, 5, 6, 7, 8], "{spec}");

                let mut burst = Burst::new(Origin::Native);
                assert!(cache.append(&mut burst, &frame(77, 100)));
                let all = PacketMask::FULL;
                let sent = queues.tx[0].tx_burst(&mut burst, all, &mut cache, Nanos(0));
                assert_eq!(sent, PacketMask(1), "{spec}");
                while receive(&other_end) != frame(77, 100) {}
            }
        }
    });
}

#[test]
fn a_ring_that_is_full_is_read_from_its_oldest_frame() {
    in_own_namespace(|| {
        if !ip("link add near type veth peer name far") || !ip("link set near up") {
            return eprintln!("skipped: no veth");
        }
        assert!(ip("link set far up"));
        let config = PortConfig::default();
        let Some(kept) = keep("packet:near", &config) else { return };
        let far = packet_socket("far");
        let pool = Pool::Native(NativePool::new(4096, 2048));
        let mut cache = pool.cache(0);
        let (_, mut queues) = start(&kept, &config);
        (0..100).for_each(|mark| send(&far, &frame(mark, 100)));
        assert_eq!(receive_all(&mut queues, &mut cache).len(), 100);
        drop(queues);
        (0..3000_u32).for_each(|n| send(&far, &frame(n.to_le_bytes()[0], 100)));
        let (port, mut queues) = start(&kept, &config);
        let seen = receive_all(&mut queues, &mut cache);
        let expected: Vec<u8> = (0..seen.len()).map(|n| n.to_le_bytes()[0]).collect();
        assert!(seen.len() > 1000 && seen == expected, "{}", seen.len());
        assert!(port.counters().missed + seen.len() as u64 >= 3000);
    });
}

#[test]
fn a_port_goes_on_with_a_device_that_was_opened_in_place_of_one_that_has_vanished() {
    in_own_namespace(|| {
        let config = PortConfig::default();
        let Some(mut kept) = keep("tap:again0", &config) else { return };
        let (mut port, mut queues) = start(&kept, &config);
        assert!(!kept.is_gone() && kept.reopen().is_err(), "it is there");
        assert!(ip("link del again0"));
        assert!(kept.is_gone());
        assert_eq!(port.link().state, LinkState::Gone);
        assert!(matches!(port.reopen(), Err(PortError::Elsewhere { .. })));
        // One that is gone starts all the same.
        drop(start(&kept, &config));
        kept.reopen().unwrap();
        let (handed, with) = kept.hand().unwrap();
        let mut with = Descriptors::new(handed.spec(), with);
        port.take(&mut with).unwrap();
        with.end().unwrap();
        assert_eq!(port.link().state, LinkState::Up);
        let pool = Pool::Native(NativePool::new(128, 2048));
        send(&packet_socket("again0"), &frame(3, 100));
        assert_eq!(receive_all(&mut queues, &mut pool.cache(0)), [3]);
    });
}

#[test]
fn descriptors_that_are_something_else_are_refused_in_one_line() {
    in_own_namespace(|| {
        let config = PortConfig::default();
        let Some(tap) = keep("tap:lies0", &config) else { return };
        if !ip("link add near type veth peer name far") || !ip("link set near up") {
            return eprintln!("skipped: no veth");
        }
        let Some(packet) = keep("packet:near", &config) else { return };
        let null = || std::fs::File::open("/dev/null").unwrap().into();
        let regular = || tempfile::tempfile().unwrap().into();
        let socket = || UnixDatagram::unbound().unwrap().into();
        let others: [fn() -> OwnedFd; 3] = [null, regular, socket];
        for kept in [&tap, &packet] {
            let (handed, whole) = kept.hand().unwrap();
            let refused = |with: Vec<OwnedFd>| {
                let opened = handed.clone().open(&mut with.into_iter());
                let Err(error) = opened else { panic!("{handed:?} was taken") };
                assert!(matches!(error, PortError::Descriptor { .. }), "{error}");
                assert!(!error.to_string().contains('\n'));
            };
            let copies = || whole.iter().map(|one| one.as_fd().try_clone_to_owned().unwrap());
            for place in 0..whole.len() {
                for other in others {
                    let lie = |(n, fd)| if n == place { other() } else { fd };
                    refused(copies().enumerate().map(lie).collect());
                }
                refused(copies().take(place).collect());
                // Of the right kind elsewhere, and not here.
                if place > 0 {
                    let mut turned: Vec<_> = copies().collect();
                    turned.rotate_left(place);
                    refused(turned);
                }
            }
            let Handed::Open { info, config, before, descriptors } = handed.clone() else {
                panic!("it is open")
            };
            let more = Handed::Open {
                info: info.clone(),
                config: config.clone(),
                before,
                descriptors: descriptors + 1,
            };
            let one_more = || copies().chain([null()]).collect::<Vec<_>>();
            assert!(more.open(&mut one_more().into_iter()).is_err());
            let info = PortInfo { spec: "sink".to_owned(), ..info };
            let sink = Handed::Open { info, config, before, descriptors };
            assert!(sink.open(&mut one_more().into_iter()).is_err());
            assert!(handed.open(&mut whole.into_iter()).is_ok());
        }
    });
}
