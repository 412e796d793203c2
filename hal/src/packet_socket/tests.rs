#![expect(unsafe_code, reason = "the right to make sockets is given up through libc")]

use std::process::Command;

use super::*;
use crate::Spec;
use crate::interface::rig::{frame, in_own_namespace, packet_socket, readable, receive, send};
use crate::pool::{NativePool, Origin, Pool};

/// Runs `ip` in the namespace of this thread; false, said aloud, when it cannot.
fn ip(line: &str) -> bool {
    let output = match Command::new("ip").args(line.split_whitespace()).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: ip: {error}");
            return false;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {line}: {said}");
    true
}

/// A cable from `near` to `far`, both ends up.
fn cable() -> bool {
    ip("link add near type veth peer name far")
        && ip("link set near addrgenmode none up")
        && ip("link set far addrgenmode none up")
}

fn open(text: &str) -> Result<Box<dyn Port>, PortError> {
    Spec::parse(text).unwrap().open()
}

/// A port on one end of a cable, a socket on the other, and buffers.
struct Rig {
    port: Box<dyn Port>,
    queues: Queues,
    far: std::os::fd::OwnedFd,
    cache: PoolCache,
    burst: Burst,
}

impl Rig {
    fn new(config: &PortConfig) -> Self {
        let mut port = open("packet:near").unwrap();
        let queues = port.start(config).unwrap();
        let pool = Pool::Native(NativePool::new(1024, 2048));
        let (cache, burst) = (pool.cache(0), Burst::new(Origin::Native));
        Self { port, queues, far: packet_socket("far"), cache, burst }
    }

    /// All frames of ours that are in a queue.
    fn receive(&mut self, queue: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while self.queues.rx[queue].rx_burst(&mut self.burst, &mut self.cache) > 0 {
            let own = |slot| self.burst.frame(slot).to_vec();
            frames.extend((0..self.burst.count()).map(own));
            self.cache.free(&mut self.burst, PacketMask::FULL);
            self.burst.clear();
        }
        frames
    }

    fn send(&mut self, frames: &[&[u8]]) -> PacketMask {
        for frame in frames {
            assert!(self.cache.append(&mut self.burst, frame));
        }
        let all = PacketMask::FULL;
        let sent = self.queues.tx[0].tx_burst(&mut self.burst, all, &mut self.cache, Nanos(0));
        assert!(self.burst.owned().is_empty());
        self.burst.clear();
        sent
    }

    fn wait(&self) {
        assert!(readable(self.queues.rx[0].pollable_fd().unwrap()));
    }
}

#[test]
fn frames_cross_in_both_directions_and_own_ones_do_not_return() {
    in_own_namespace(|| {
        if !cable() {
            return;
        }
        let mut rig = Rig::new(&PortConfig::default());
        let link = rig.port.link();
        assert_eq!((link.state, link.bits_per_second), (LinkState::Up, 10_000_000_000));
        let frames = [frame(0, 100), frame(1, 1514)];
        let too_long = vec![7; 1900];
        let sent = rig.send(&[&frames[0], &[0; 3], &too_long, &frames[1]]);
        assert_eq!(sent, PacketMask(0b1001), "the others cannot be sent");
        assert_eq!([(); 2].map(|()| receive(&rig.far)), frames);

        let frames: Vec<_> = (60..200).chain([1514]).map(|len| frame(7, len)).collect();
        frames.iter().for_each(|frame| send(&rig.far, frame));
        rig.wait();
        assert_eq!(rig.receive(0), frames);
        assert_eq!((rig.queues.rx[0].missed(), rig.port.counters().missed), (0, 0));
    });
}

#[test]
fn tags_that_the_kernel_took_out_are_put_back() {
    in_own_namespace(|| {
        if !cable() {
            return;
        }
        let mut rig = Rig::new(&PortConfig::default());
        let mut frames = Vec::new();
        for tags in [&[0x81, 0, 0xa0, 7][..], &[0x88, 0xa8, 0, 9, 0x81, 0, 0, 7]] {
            let mut frame = frame(3, 80);
            frame.splice(12..12, tags.iter().copied());
            frames.push(frame);
        }
        frames.iter().for_each(|frame| send(&rig.far, frame));
        assert_eq!(rig.receive(0), frames);
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        assert_eq!(rig.send(&frames), PacketMask(0b11));
    });
}

#[test]
fn a_frame_without_room_in_the_ring_comes_by_the_socket() {
    in_own_namespace(|| {
        if !cable() || !ip("link set near mtu 9000") || !ip("link set far mtu 9000") {
            return;
        }
        let mut rig = Rig::new(&PortConfig::default());
        let middle = frame(2, 2040);
        for frame in [&frame(1, 60), &middle, &frame(3, 5000), &frame(4, 60)] {
            send(&rig.far, frame);
        }
        assert_eq!(rig.receive(0), [frame(1, 60), middle, frame(4, 60)]);
        assert_eq!(rig.queues.rx[0].missed(), 1, "no buffer is as long");
    });
}

#[test]
fn frames_that_the_ring_had_no_room_for_are_counted() {
    in_own_namespace(|| {
        if !cable() {
            return;
        }
        let mut rig = Rig::new(&PortConfig::default());
        let sent = 5_000;
        (0..sent).for_each(|_| send(&rig.far, &frame(7, 60)));
        let received = rig.receive(0).len() as u64;
        let missed = rig.port.counters().missed;
        assert!(missed > 0 && received + missed == sent, "{received} + {missed}");
        send(&rig.far, &frame(8, 60));
        assert_eq!(rig.receive(0), [frame(8, 60)]);
        assert_eq!(rig.port.counters().missed, missed);
    });
}

#[test]
fn a_flow_stays_in_its_queue_and_nothing_is_received_twice() {
    in_own_namespace(|| {
        if !cable() {
            return;
        }
        let mut rig = Rig::new(&PortConfig { rx_queues: 2, tx_queues: 2, ..PortConfig::default() });
        for round in 0..4 {
            for flow in 0..64 {
                let mut packet = frame(0, 60);
                packet[12..34].copy_from_slice(&[
                    8, 0, 0x45, 0, 0, 46, 0, round, 0, 0, 64, 17, 0, 0, 10, 0, 0, flow, 10, 1, 0, 1,
                ]);
                send(&rig.far, &packet);
            }
        }
        let seen = [0, 1].map(|queue| rig.receive(queue));
        assert_eq!(seen[0].len() + seen[1].len(), 256);
        let flows = seen.map(|frames| {
            let mut flows: Vec<u8> = frames.iter().map(|frame| frame[29]).collect();
            flows.sort_unstable();
            flows.dedup();
            flows
        });
        assert_eq!(flows[0].len() + flows[1].len(), 64);
        assert!(flows.iter().all(|flows| !flows.is_empty()));
    });
}

#[test]
fn an_interface_that_was_deleted_is_found_again() {
    in_own_namespace(|| {
        if !cable() {
            return;
        }
        for queues in [1, 2] {
            let config =
                PortConfig { rx_queues: queues, tx_queues: queues, ..PortConfig::default() };
            let mut rig = Rig::new(&config);
            let fd = rig.queues.rx[0].pollable_fd();
            assert!(ip("link set near down"));
            assert_eq!(rig.port.link().state, LinkState::Down);
            assert!(ip("link del near"));
            assert!(rig.send(&[&frame(1, 60)]).is_empty());
            assert!(rig.queues.tx[0].is_gone());
            assert_eq!(rig.port.link().state, LinkState::Gone);
            assert!(matches!(rig.port.reopen(), Err(PortError::NoInterface { .. })));
            assert!(!readable(fd.unwrap()), "nobody is woken");

            assert!(cable());
            assert_eq!(rig.port.link().state, LinkState::Gone, "it is another one");
            rig.port.reopen().unwrap();
            assert_eq!(rig.port.link().state, LinkState::Up);
            assert!(!rig.queues.tx[0].is_gone());
            rig.far = packet_socket("far");
            assert_eq!(rig.send(&[&frame(1, 60)]), PacketMask(1));
            assert_eq!(receive(&rig.far), frame(1, 60));
            for queue in 0..usize::from(queues) {
                assert!(rig.receive(queue).is_empty());
            }
            send(&rig.far, &frame(2, 60));
            let seen: Vec<_> = (0..usize::from(queues)).flat_map(|n| rig.receive(n)).collect();
            assert_eq!(seen, [frame(2, 60)]);
            assert_eq!(rig.queues.rx[0].pollable_fd(), fd);
        }
    });
}

#[test]
fn another_mac_address_makes_the_interface_promiscuous() {
    in_own_namespace(|| {
        if !cable() {
            return;
        }
        let promiscuous = |config: &PortConfig| {
            let mut port = open("packet:near").unwrap();
            let mac = port.info().mac.unwrap();
            let _queues = port.start(config).unwrap();
            let output = Command::new("ip").args(["-d", "link", "show", "near"]).output().unwrap();
            (mac, String::from_utf8_lossy(&output.stdout).contains("promiscuity 1"))
        };
        let (mac, is_promiscuous) = promiscuous(&PortConfig::default());
        assert!(!is_promiscuous);
        let own = PortConfig { mac: Some(mac), ..PortConfig::default() };
        assert!(!promiscuous(&own).1);
        let other = PortConfig { mac: Some([2, 0, 0, 0, 0, 9]), ..PortConfig::default() };
        assert!(promiscuous(&other).1);
        let asked = PortConfig { promiscuous: true, ..PortConfig::default() };
        assert!(promiscuous(&asked).1);
    });
}

#[test]
fn what_cannot_be_a_port_is_refused_in_one_line() {
    in_own_namespace(|| {
        let said = |result: Result<Box<dyn Port>, PortError>| result.err().unwrap().to_string();
        assert_eq!(said(open("packet:nowhere")), "packet:nowhere: there is no such interface");
        assert_eq!(said(open("packet:lo")), "packet:lo: this is no Ethernet interface");
        if !cable() {
            return;
        }
        let mut port = open("packet:near").unwrap();
        let jumbo = PortConfig { mtu: 9000, ..PortConfig::default() };
        let error = port.start(&jumbo).err().unwrap().to_string();
        assert_eq!(error, "packet:near: mtu 9000 is more than the interface's 1500");
        // SAFETY: takes numbers only, and as a system call changes nothing but this thread.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) }, 0);
        let error = port.start(&PortConfig::default()).err().unwrap().to_string();
        assert_eq!(error, "packet:near: not permitted, this needs CAP_NET_RAW");
    });
}
