//! Ports on DPDK's virtual devices: no NIC and no huge pages needed.
//!
//! DPDK starts once a process and a device is gone once it was closed, so all tests share one EAL,
//! take turns, and use a device each.
#![cfg(feature = "dpdk")]
#![expect(clippy::unwrap_used, reason = "what must not fail in a test")]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use hal::dpdk::{
    DpdkPort, Eal, EalError, MbufPool, MbufPoolConfig, available_ports, register_lcore,
};
use hal::pool::Origin;
use hal::{Burst, PacketMask, Pool, PoolCache, Port, PortConfig, PortError, Queues};
use pal::clock::Nanos;

const DEVICES: &[&str] = &[
    "net_ring0",
    "net_ring1",
    "net_ring2",
    "net_ring3",
    "net_ring4",
    "net_ring5",
    "net_ring6",
    "net_ring7",
    "net_ring8",
    "net_ring9",
    "net_null0",
];

/// Set for the process that runs these tests on huge pages.
const HUGE_PAGES: &str = "QFP_TEST_HUGE_PAGES";

fn on_huge_pages() -> bool {
    std::env::var_os(HUGE_PAGES).is_some()
}

static TURN: Mutex<()> = Mutex::new(());

/// The EAL and this test's turn; `None`, said aloud, where DPDK does not start.
fn eal() -> Option<(&'static Eal, MutexGuard<'static, ()>)> {
    static EAL: OnceLock<Option<Eal>> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let eal = EAL.get_or_init(|| {
        let memory = if on_huge_pages() { "--in-memory" } else { "--no-huge" };
        let mut args: Vec<String> =
            [memory, "--no-pci", "--no-shconf", "--no-telemetry", "-m", "256"]
                .map(Into::into)
                .into();
        args.extend(DEVICES.iter().map(|device| format!("--vdev={device}")));
        let path = capture();
        for index in 0..3 {
            args.push(format!("--vdev=net_pcap{index},rx_pcap={}", path.display()));
        }
        Eal::init(&args).inspect_err(|error| eprintln!("skipped: {error}")).ok()
    });
    Some((eal.as_ref()?, turn))
}

/// A capture of three frames, the second of which needs a jumbo buffer.
fn capture() -> PathBuf {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for (seconds, frame) in (0_u32..).zip(captured_frames()) {
        let length = u32::try_from(frame.len()).unwrap();
        for word in [seconds, 0, length, length] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(frame);
    }
    let name = if on_huge_pages() { "dpdk-huge-pages.pcap" } else { "dpdk.pcap" };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn captured_frames() -> [Vec<u8>; 3] {
    [frame(1, 60), frame(2, 9014), frame(3, 61)]
}

/// A frame whose bytes depend on `seed` and position.
fn frame(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 7 + seed * 13) % 251).unwrap()).collect()
}

/// A started port with its pool and one thread's access to it.
struct Bed {
    port: DpdkPort,
    queues: Queues,
    cache: PoolCache,
    pool: Pool,
}

impl Bed {
    fn new(eal: &Eal, device: &str, frame_room: usize, queues: u16) -> Self {
        let config = MbufPoolConfig { buffers: 4095, frame_room, ..MbufPoolConfig::default() };
        let pool = Pool::Mbuf(MbufPool::create(eal, &config).unwrap());
        let mtu = if frame_room > 9000 { 9000 } else { 1500 };
        let mut port = DpdkPort::open(device).unwrap();
        let config =
            PortConfig { mtu, rx_queues: queues, tx_queues: queues, ..PortConfig::default() };
        let queues = port.start(&config).unwrap();
        Self { port, queues, cache: pool.cache(0), pool }
    }

    fn burst(&mut self, frames: &[Vec<u8>]) -> Burst {
        let mut burst = Burst::new(Origin::Mbuf);
        for frame in frames {
            assert!(self.cache.append(&mut burst, frame));
        }
        burst
    }

    fn send(&mut self, queue: usize, burst: &mut Burst, select: PacketMask) -> PacketMask {
        self.queues.tx[queue].tx_burst(burst, select, &mut self.cache, Nanos::ZERO)
    }

    /// Adds to `burst` until nothing comes or fits, and returns how many packets it added.
    fn fill(&mut self, queue: usize, burst: &mut Burst) -> usize {
        let first = burst.count();
        while self.queues.rx[queue].rx_burst(burst, &mut self.cache) > 0 {}
        burst.count() - first
    }

    /// Everything that waits on a queue.
    fn receive(&mut self, queue: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut burst = Burst::new(Origin::Mbuf);
        while self.fill(queue, &mut burst) > 0 {
            frames.extend((0..burst.count()).map(|slot| burst.frame(slot).to_vec()));
            self.cache.free(&mut burst, PacketMask::FULL);
            burst.clear();
        }
        frames
    }

    /// Stops the port and checks that every buffer is back.
    fn end(self) {
        let Self { mut port, queues, cache, pool } = self;
        drop(queues);
        port.stop().unwrap();
        drop(cache);
        pool.check_complete().unwrap();
    }
}

#[test]
fn frames_pass_a_ring_unchanged_and_in_order() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_ring0", 2048, 1);
    let frames: Vec<_> = (0..64).map(|i| frame(i, 60 + i * 20)).collect();
    let mut burst = bed.burst(&frames);
    assert_eq!(bed.send(0, &mut burst, PacketMask::FULL), PacketMask::FULL);
    assert!(burst.owned().is_empty());
    assert_eq!(bed.receive(0), frames);
    assert_eq!(bed.port.link().state, hal::LinkState::Up);
    let xstats = bed.port.xstats();
    assert!(xstats.contains(&("rx_good_packets".to_owned(), 64)), "{xstats:?}");
    bed.end();
}

#[test]
fn only_selected_packets_leave_and_moved_ones_leave_as_they_are() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_ring1", 2048, 1);
    let mut sent = bed.burst(&(0..64).map(|i| frame(i, 200)).collect::<Vec<_>>());
    bed.send(0, &mut sent, PacketMask::FULL);
    let mut burst = Burst::new(Origin::Mbuf);
    assert_eq!(bed.fill(0, &mut burst), 64);
    assert!(burst.move_start(1, -4) && burst.move_start(3, 10) && burst.extend(5, 300));
    burst.truncate(7, 60);
    burst.frame_mut(1)[..4].copy_from_slice(b"tag.");
    let odd = PacketMask(0xaaaa_aaaa_aaaa_aaaa);
    let expected: Vec<_> = odd.into_iter().map(|slot| burst.frame(slot).to_vec()).collect();
    assert_eq!(bed.send(0, &mut burst, odd), odd);
    assert_eq!(burst.owned(), !odd);
    assert_eq!(bed.receive(0), expected);
    assert_eq!(expected[0].len(), 204);
    assert_eq!(burst.frame(2), frame(2, 200));
    bed.cache.free(&mut burst, PacketMask::FULL);
    bed.end();
}

#[test]
fn a_burst_is_filled_up_to_its_room() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_null0", 2048, 2);
    let mut burst = bed.burst(&[frame(1, 60), frame(2, 60), frame(3, 60)]);
    assert_eq!(bed.fill(1, &mut burst), 61);
    assert_eq!(bed.fill(0, &mut burst), 0);
    assert_eq!(burst.owned(), PacketMask::FULL);
    assert_eq!(burst.frame(2), frame(3, 60));
    bed.cache.free(&mut burst, PacketMask::FULL);
    bed.end();
}

#[test]
fn what_a_full_ring_refuses_is_freed_and_reported() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_ring2", 2048, 1);
    let frames: Vec<_> = (0..64).map(|i| frame(i, 60)).collect();
    let mut sent = 0;
    for _ in 0..20 {
        let mut burst = bed.burst(&frames);
        let mask = bed.send(0, &mut burst, PacketMask::FULL);
        assert_eq!(mask.dense(), Some(mask.count() as usize));
        assert!(burst.owned().is_empty());
        sent += mask.count() as usize;
    }
    assert!(sent < 20 * 64, "the ring took everything");
    assert_eq!(bed.receive(0).len(), sent);
    bed.end();
}

#[test]
fn each_queue_is_its_own_and_threads_share_the_pool() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_ring3", 2048, 4);
    let queues = std::mem::replace(&mut bed.queues, Queues { rx: Vec::new(), tx: Vec::new() });
    std::thread::scope(|scope| {
        for (index, (mut rx, mut tx)) in queues.rx.into_iter().zip(queues.tx).enumerate() {
            let mut cache = bed.pool.cache(0);
            scope.spawn(move || {
                let _lcore = register_lcore().unwrap();
                let mut burst = Burst::new(Origin::Mbuf);
                for round in 0..100 {
                    assert!(cache.append(&mut burst, &frame(index, 60 + round)));
                    tx.tx_burst(&mut burst, PacketMask::FULL, &mut cache, Nanos::ZERO);
                    burst.clear();
                    assert_eq!(rx.rx_burst(&mut burst, &mut cache), 1);
                    assert_eq!(burst.frame(0), frame(index, 60 + round));
                    cache.free(&mut burst, PacketMask::FULL);
                    burst.clear();
                }
            });
        }
    });
    bed.end();
}

#[test]
fn a_frame_in_several_segments_is_freed_and_counted() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_pcap0", 2048, 1);
    let [first, _, third] = captured_frames();
    assert_eq!(bed.receive(0), [first, third]);
    assert_eq!(bed.queues.rx[0].missed(), 1);
    bed.end();
}

#[test]
fn a_jumbo_frame_takes_one_segment() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_pcap1", 9216, 1);
    assert_eq!(bed.receive(0), captured_frames());
    assert_eq!(bed.queues.rx[0].missed(), 0);
    bed.end();
}

#[test]
fn a_buffer_that_is_kept_back_is_an_error_until_it_returns() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_ring4", 2048, 1);
    let mut burst = bed.burst(&[frame(1, 60)]);
    bed.send(0, &mut burst, PacketMask::FULL);
    burst.clear();
    assert_eq!(bed.fill(0, &mut burst), 1);
    let kept = burst.take(0).unwrap();
    let Bed { mut port, queues, cache, pool } = bed;
    assert!(matches!(port.stop(), Err(PortError::Device { what: "stop", .. })));
    drop(queues);
    port.stop().unwrap();
    drop(cache);
    let missing = pool.check_complete();
    assert!(matches!(missing, Err(PortError::BuffersMissing { missing: 1, total: 4095 })));
    assert_eq!(kept.frame(), frame(1, 60));
    drop(kept);
    pool.check_complete().unwrap();
}

#[test]
fn only_a_registered_thread_keeps_buffers_to_itself() {
    let Some((eal, _turn)) = eal() else { return };
    let pool = MbufPool::create(eal, &MbufPoolConfig::default()).unwrap();
    let use_one = || drop(Pool::Mbuf(pool.clone()).cache(0).packet(&[]).unwrap());
    std::thread::scope(|scope| scope.spawn(use_one).join()).unwrap();
    assert_eq!(pool.uncached_count(), pool.total());
    let registered = || {
        let _lcore = register_lcore().unwrap();
        use_one();
    };
    std::thread::scope(|scope| scope.spawn(registered).join()).unwrap();
    assert!(pool.uncached_count() < pool.total());
    assert_eq!(pool.free_count(), pool.total());
}

#[test]
fn a_pool_that_is_dropped_early_leaves_its_packets_valid() {
    let Some((eal, _turn)) = eal() else { return };
    let pool = MbufPool::create(eal, &MbufPoolConfig::default()).unwrap();
    let packet = Pool::Mbuf(pool).cache(0).packet(&frame(9, 99)).unwrap();
    assert_eq!(packet.frame(), frame(9, 99));
}

#[test]
fn frames_that_come_in_moved_promise_no_headroom_and_grow_to_the_buffers_end() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_ring8", 2048, 1);
    let mut burst = bed.burst(&[frame(1, 60), frame(2, 60)]);
    assert!(burst.move_start(1, -120));
    let grown = burst.frame(1).to_vec();
    bed.send(0, &mut burst, PacketMask::FULL);
    burst.clear();
    assert_eq!(bed.fill(0, &mut burst), 2);
    assert!(burst.shifted().contains(1));
    assert_eq!(burst.frame(1), grown);
    assert!(!burst.move_start(1, -9) && burst.move_start(1, -8));
    bed.cache.free(&mut burst, PacketMask::FULL);
    let mut burst = bed.burst(&[frame(1, 60), frame(2, 60)]);
    bed.send(0, &mut burst, PacketMask::FULL);
    burst.clear();
    assert_eq!(bed.fill(0, &mut burst), 2);
    assert!(burst.shifted().is_empty(), "these lie where a device puts them");
    bed.cache.free(&mut burst, PacketMask::FULL);
    bed.end();
}

#[test]
#[expect(unsafe_code, reason = "mbufs are changed behind the port's back")]
fn what_lies_in_a_shared_or_external_buffer_is_copied() {
    use dpdk_sys as sys;

    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_ring9", 2048, 1);
    let mut burst = bed.burst(&[frame(1, 60), frame(2, 60), frame(3, 60)]);
    let header = hal::packet::HEADROOM + sys::QFP_MBUF_SIZE as usize;
    let starts = [0, 1].map(|slot| burst.frame_mut(slot).as_mut_ptr());
    let [shared, external] = starts.map(|start| start.wrapping_sub(header));
    let mut outside = frame(7, 60);
    bed.send(0, &mut burst, PacketMask::FULL);
    burst.clear();
    let field = |mbuf: *mut u8, offset: u32| mbuf.wrapping_add(offset as usize);
    let base = field(external, sys::QFP_MBUF_BUF_ADDR).cast::<*mut u8>();
    // SAFETY: both mbufs wait in the ring, where nobody looks at them.
    let inside = unsafe {
        field(shared, sys::QFP_MBUF_REFCNT).cast::<u16>().write(2);
        field(external, sys::QFP_MBUF_DATA_OFF).cast::<u16>().write(0);
        field(external, sys::QFP_MBUF_BUF_LEN).cast::<u16>().write(60);
        base.replace(outside.as_mut_ptr())
    };
    assert_eq!(bed.fill(0, &mut burst), 3);
    let frames = [0, 1, 2].map(|slot| burst.frame(slot).to_vec());
    assert_eq!(frames, [frame(1, 60), frame(7, 60), frame(3, 60)]);
    burst.frame_mut(0).fill(0);
    assert!(burst.move_start(1, -128) && burst.extend(1, 1000));
    assert_eq!(outside, frame(7, 60));
    bed.cache.free(&mut burst, PacketMask::FULL);
    // SAFETY: the external one is back in its pool, the shared one has one owner left: this test.
    unsafe {
        let kept = std::slice::from_raw_parts(starts[0], 60);
        assert_eq!(kept, frame(1, 60), "a shared buffer is not written");
        field(external, sys::QFP_MBUF_BUF_LEN).cast::<u16>().write(128 + 2048);
        base.write(inside);
        sys::rte_pktmbuf_free_bulk([shared].as_mut_ptr().cast(), 1);
    }
    bed.end();
}

#[test]
fn a_device_with_arguments_is_added() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_null7,size=128", 2048, 1);
    let mut burst = Burst::new(Origin::Mbuf);
    assert_eq!(bed.fill(0, &mut burst), 64);
    assert_eq!(burst.len(0), 128);
    bed.cache.free(&mut burst, PacketMask::FULL);
    bed.end();
    assert!(DpdkPort::open("net_nonsense7,size=1").is_err());
}

#[test]
fn refusals_say_what_is_wrong() {
    let Some((eal, _turn)) = eal() else { return };
    assert!(matches!(Eal::init(&[]), Err(EalError::AlreadyInitialised)));
    assert!(available_ports().iter().any(|name| name == "net_ring5"));
    let unknown = DpdkPort::open("net_none").err().unwrap().to_string();
    assert!(unknown.contains("net_none") && unknown.contains("net_ring5"), "{unknown}");
    let mut port = DpdkPort::open("net_ring5").unwrap();
    assert!(DpdkPort::open("net_ring5").is_err());
    let queues = |rx_queues| PortConfig { rx_queues, ..PortConfig::default() };
    assert!(port.start(&queues(1)).is_err_and(|error| error.to_string().contains("pool")));
    let config = MbufPoolConfig { buffers: 2047, ..MbufPoolConfig::default() };
    let _pool = MbufPool::create(eal, &config).unwrap();
    assert!(matches!(port.start(&queues(999)), Err(PortError::TooManyQueues { .. })));
    let more = PortConfig { tx_queues: port.info().max_tx_queues + 1, ..queues(1) };
    assert!(matches!(port.start(&more), Err(PortError::TooManyQueues { kind: "transmit", .. })));
    let jumbo = PortConfig { mtu: 9000, ..queues(1) };
    assert!(port.start(&jumbo).is_err_and(|error| error.to_string().contains("MTU")));
    drop(port.start(&queues(1)).unwrap());
    assert!(port.start(&queues(1)).is_err());
}

#[test]
fn frames_that_found_no_buffer_are_counted() {
    let Some((eal, _turn)) = eal() else { return };
    let mut bed = Bed::new(eal, "net_pcap2", 2048, 1);
    assert_eq!(bed.port.counters(), hal::DeviceCounters::default());
    let mut taken = Vec::new();
    loop {
        let mut burst = Burst::new(Origin::Mbuf);
        while bed.cache.append(&mut burst, &[0; 60]) {}
        let got = burst.count();
        taken.push(burst);
        if got < hal::VECTOR {
            break;
        }
    }
    let mut burst = Burst::new(Origin::Mbuf);
    assert_eq!(bed.queues.rx[0].rx_burst(&mut burst, &mut bed.cache), 0);
    assert_eq!(bed.port.counters().no_buffer, 1);
    for mut burst in taken {
        bed.cache.free(&mut burst, PacketMask::FULL);
    }
    bed.end();
}

#[test]
fn the_mac_address_and_promiscuous_mode_can_be_set() {
    let Some((eal, _turn)) = eal() else { return };
    let _pool = MbufPool::create(eal, &MbufPoolConfig::default()).unwrap();
    let mut port = DpdkPort::open("net_ring6").unwrap();
    let mac = [2, 0, 0, 0, 0, 7];
    let config = PortConfig { mac: Some(mac), promiscuous: true, ..PortConfig::default() };
    drop(port.start(&config).unwrap());
    assert_eq!(port.info().mac, Some(mac));
    assert!(!port.info().filters_mac);
    port.stop().unwrap();
}

#[test]
fn all_of_this_holds_on_huge_pages_too() {
    if on_huge_pages() {
        return;
    }
    let free = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("HugePages_Free:"))?;
        line.trim().parse::<u32>().ok()
    });
    if free.is_none_or(|pages| pages < 256) {
        eprintln!("skipped: no 256 free huge pages");
        return;
    }
    let tests = std::env::current_exe().unwrap();
    let status = std::process::Command::new(tests).env(HUGE_PAGES, "1").status().unwrap();
    assert!(status.success());
}
