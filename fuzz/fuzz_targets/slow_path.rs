//! Any bytes as packets for the slow path, one after the other: every packet has one fate, and
//! every buffer comes back. Two bytes of length stand in front of each piece.
#![no_main]

use std::cell::RefCell;

use hal::Pool;
use hal::pool::NativePool;
use libfuzzer_sys::fuzz_target;
use pal::clock::Nanos;
use qfp_core::punt::{Interface, Limits, SlowPath, VlanTag, exercise};
use qfp_core::uidb::{TableId, UidbIndex};

const BUFFERS: usize = 512;

fn interfaces() -> Vec<Interface> {
    let interface = |uidb, v4: &str, v6: &str, tags| Interface {
        uidb: UidbIndex(uidb),
        table: TableId::GLOBAL,
        name: format!("port{uidb}"),
        mac: [2, 0, 0, 0, 0, uidb as u8],
        mtu: 1500,
        ipv4: vec![v4.parse().expect("a network")],
        ipv6: vec![v6.parse().expect("a network")],
        tags,
    };
    vec![
        interface(3, "192.0.2.1/24", "2001:db8::1/64", Vec::new()),
        interface(4, "198.51.100.1/30", "2001:db8:1::1/64", Vec::new()),
        interface(5, "203.0.113.0/31", "fe80::1/64", vec![VlanTag { tpid: 0x8100, vid: 5 }]),
    ]
}

thread_local! {
    // Pools stay until the process ends: one is enough.
    static POOL: RefCell<NativePool> = RefCell::new(NativePool::new(BUFFERS, 2048));
}

fuzz_target!(|bytes: &[u8]| {
    let native = POOL.with(|pool| pool.borrow().clone());
    let pool = Pool::Native(native);
    {
        let mut cache = pool.cache(0);
        let mut slow_path = SlowPath::new(interfaces(), Limits::default());
        let (mut now, mut actions) = (Nanos::from_secs(1000), Vec::new());
        let mut rest = bytes;
        while let Some((len, tail)) = rest.split_first_chunk::<2>() {
            let len = usize::from(u16::from_le_bytes(*len)).min(tail.len());
            let (piece, tail) = tail.split_at(len);
            rest = tail;
            now = exercise(&mut slow_path, now, piece, &mut cache, &mut actions);
            assert!(slow_path.counters().conserved());
            actions.clear();
        }
        slow_path.drain();
        assert!(slow_path.counters().conserved());
    }
    pool.check_complete().expect("every buffer comes back");
});
