//! Crypto engines on lcores of their own.

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::rig::{Agreement, Build, Gateway, LAN, WAN};
use super::round_trip::{agreement, packet};
use crate::adjacency::AdjacencyKind;
use crate::counters::LoopEvent;
use crate::fia::tests::bench::Hop;
use crate::ipsec::Mode;
use crate::l3::scalar::tests::ipv4;
use crate::packet::DropReason;

fn with_engines(side: u8, agreed: &Agreement, engines: usize) -> Gateway {
    Build { engines, ..Build::of(side, agreed) }.gateway()
}

/// Different packets from the west to the east.
fn numbered(count: u16) -> Vec<Vec<u8>> {
    let one = |n: u16| {
        ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &[&n.to_be_bytes()[..], &[7; 40]].concat())
    };
    (0..count).map(one).collect()
}

/// The numbers of opened packets.
fn numbers(opened: &[Vec<u8>]) -> Vec<u16> {
    opened.iter().map(|packet| u16::from_be_bytes([packet[20], packet[21]])).collect()
}

fn engine_events(gateway: &Gateway) -> [u64; 4] {
    use LoopEvent::{EngineDone, EngineFull, EngineHanded, EngineOvertaken};
    [EngineHanded, EngineFull, EngineOvertaken, EngineDone].map(|event| gateway.totals.event(event))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn engines_give_the_same_bytes_in_the_same_order_as_the_walk(
        agreed in agreement(),
        packets in prop::collection::vec(packet(), 1..400),
        engines in 1..4usize,
    ) {
        let mut plain = [Gateway::new(1, &agreed), Gateway::new(2, &agreed)];
        let mut engine = [1, 2].map(|side| with_engines(side, &agreed, engines));
        // Packets may come in late with a small window, and still be in order.
        for some in packets.chunks(200) {
            let sealed = plain[0].through(LAN, WAN, some);
            prop_assert_eq!(&sealed, &engine[0].through(LAN, WAN, some));
            let opened = plain[1].through(WAN, LAN, &sealed);
            prop_assert_eq!(opened, engine[1].through(WAN, LAN, &sealed));
        }
        for (plain, engine) in plain.iter().zip(&engine) {
            prop_assert_eq!(engine.drops(), plain.drops());
            let count = packets.len() as u64;
            let [handed, full, overtaken, done] = engine_events(engine);
            prop_assert_eq!((handed, overtaken, full + done), (count, 0, count));
            prop_assert_eq!(engine_events(plain), [0; 4]);
            for row in [0, 1] {
                prop_assert_eq!(engine.state(row).used(), plain.state(row).used());
                prop_assert_eq!(engine.state(row).sequence(), plain.state(row).sequence());
            }
        }
    }
}

#[test]
fn a_full_queue_is_worked_off_by_its_own_lcore_and_the_order_stays() {
    let agreed = Agreement { window: Some(4096), ..Agreement::default() };
    let mut west = with_engines(1, &agreed, 1);
    let packets = numbered(20 * 64);
    west.receive(LAN, &packets);
    // Four bundles are in the queue, and the older ones have been taken back from it.
    assert_eq!(engine_events(&west), [20 * 64, 16 * 64, 0, 0]);
    assert_eq!(west.held(), 4 * 64);
    let sealed = west.through(LAN, WAN, &[]);
    assert_eq!(west.held(), 0);
    let mut east = with_engines(2, &agreed, 1);
    east.receive(WAN, &sealed);
    assert_eq!(engine_events(&east), [20 * 64, 16 * 64, 0, 0]);
    let opened = east.through(WAN, LAN, &[]);
    assert_eq!(numbers(&opened), (0..20 * 64).collect::<Vec<_>>());
    assert_eq!((west.drops(), east.drops()), (vec![], vec![]));
}

#[test]
fn without_any_place_left_packets_overtake_and_none_is_lost() {
    let agreed = Agreement { window: Some(4096), ..Agreement::default() };
    let mut west = with_engines(1, &agreed, 1);
    let packets = numbered(41 * 64);
    west.receive(LAN, &packets[..64]);
    // The engine stands still with the first bundle in its hands.
    let stalled = west.engines[0].interrupt();
    west.receive(LAN, &packets[64..]);
    assert_eq!(engine_events(&west), [32 * 64, 27 * 64, 9 * 64, 0]);
    assert_eq!(west.held(), 32 * 64);
    let mut sealed: Vec<_> = west.take_sent().into_iter().map(|(_, packet)| packet).collect();
    west.engines[0].go_on(stalled);
    assert_eq!(sealed.len(), 9 * 64);
    sealed.extend(west.through(LAN, WAN, &[]));
    let mut east = Gateway::new(2, &agreed);
    let mut opened = Vec::new();
    for some in sealed.chunks(128) {
        opened.extend(east.through(WAN, LAN, some));
    }
    let late = 32 * 64..41 * 64;
    assert_eq!(numbers(&opened), late.chain(0..32 * 64).collect::<Vec<_>>());
}

#[test]
fn a_packet_that_is_with_an_engine_twice_is_accepted_once() {
    let agreed = Agreement::default();
    let mut west = Gateway::new(1, &agreed);
    let mut east = with_engines(2, &agreed, 2);
    let mut sealed = west.through(LAN, WAN, &numbered(10));
    east.receive(WAN, &sealed);
    sealed[3][40] ^= 1;
    east.receive(WAN, &sealed);
    assert_eq!(east.held(), 20);
    assert_eq!(numbers(&east.through(WAN, LAN, &[])), (0..10).collect::<Vec<_>>());
    assert_eq!(east.drops(), [(DropReason::EspReplay, 9), (DropReason::EspBadIcv, 1)]);
}

#[test]
fn tables_wait_for_packets_that_are_with_an_engine() {
    let agreed = Agreement::default();
    let mut west = with_engines(1, &agreed, 1);
    west.receive(LAN, &numbered(10));
    assert!(!west.everybody_has_moved_on());
    // The engine has done its part, and now the lcore too.
    assert_eq!(west.held(), 10);
    west.poll();
    assert_eq!(west.held(), 0);
    assert!(west.everybody_has_moved_on());
}

#[test]
fn transport_mode_stays_on_its_lcore() {
    let agreed = Agreement { mode: Mode::Transport, ..Agreement::default() };
    let mut west = with_engines(1, &agreed, 1);
    let packet = ipv4([10, 1, 0, 9], [192, 0, 2, 2], 64, &[], &[7; 30]);
    assert_eq!(west.through(LAN, WAN, &[packet]).len(), 1);
    assert_eq!(engine_events(&west), [0; 4]);
}

#[test]
fn a_tunnel_that_leads_into_itself_ends_with_engines_too() {
    let agreed = Agreement::default();
    let mut loops = super::rig::plan(1, Mode::Tunnel);
    loops.routes.retain(|(prefix, _)| prefix.to_string() != "192.0.2.2/32");
    loops.route("192.0.2.2/32", Hop::new(AdjacencyKind::Featured, 5, 14).mtu(1400));
    let mut west = Build { plan: loops, engines: 2, ..Build::of(1, &agreed) }.gateway();
    assert!(west.walk(LAN, &numbered(70)).is_empty());
    let drops = west.drops();
    assert_eq!(drops.iter().map(|(_, count)| count).sum::<u64>(), 70);
    let known = [DropReason::EspNoRoom, DropReason::RecirculationLimit];
    assert!(drops.iter().all(|(reason, _)| known.contains(reason)), "{drops:?}");
    assert!(west.totals.event(LoopEvent::Recirculated) <= 70 * 8);
}

#[test]
fn engines_on_threads_lose_nothing_and_keep_the_order() {
    let agreed = Agreement { window: Some(4096), ..Agreement::default() };
    let mut west = with_engines(1, &agreed, 2);
    let mut east = Gateway::new(2, &agreed);
    let engines = std::mem::take(&mut west.engines);
    let ended = AtomicBool::new(false);
    let mut sealed = Vec::new();
    std::thread::scope(|scope| {
        for mut engine in engines {
            let ended = &ended;
            scope.spawn(move || {
                while !ended.load(Ordering::Acquire) {
                    if engine.poll() == 0 {
                        std::thread::yield_now();
                    }
                }
            });
        }
        for packets in numbered(30_000).chunks(300) {
            west.receive(LAN, packets);
            // Never so many that one overtakes another.
            while west.held() > 20 * 64 {
                west.poll();
            }
            sealed.extend(west.take_sent());
        }
        while west.held() > 0 {
            west.poll();
        }
        ended.store(true, Ordering::Release);
    });
    sealed.extend(west.take_sent());
    let [handed, full, overtaken, done] = engine_events(&west);
    assert_eq!((handed, overtaken, full + done), (30_000, 0, 30_000));
    let sealed: Vec<_> = sealed.into_iter().map(|(_, packet)| packet).collect();
    let mut opened = Vec::new();
    for some in sealed.chunks(128) {
        opened.extend(east.through(WAN, LAN, some));
    }
    assert_eq!(numbers(&opened), (0..30_000).collect::<Vec<_>>());
}
