//! Any bytes as a network header: no panic, and what is said of it holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qfp_core::l3::scalar::{Arrived, Parsed, parse};

fuzz_target!(|input: (u8, bool, bool, &[u8])| {
    let (kind, group, injected, packet) = input;
    let ethertype = [0x0800, 0x86dd, 0x0806, 0x8100, 0x88cc][usize::from(kind % 5)];
    match parse(ethertype, packet, Arrived { group, injected, ..Arrived::default() }) {
        Parsed::Ipv4(fields) => {
            let len = usize::from(fields.total_len);
            assert!((20..=packet.len()).contains(&len));
            assert_eq!(fields.ttl, packet[8]);
            assert!(!group || fields.local, "unicast in a group frame is not routed");
            // The header with its next TTL is as good as this one.
            let mut next = packet.to_vec();
            next[8..12].copy_from_slice(&fields.next_ttl.to_le_bytes());
            match parse(ethertype, &next, Arrived { group, injected, ..Arrived::default() }) {
                Parsed::Ipv4(after) => assert_eq!(after.ttl, fields.ttl.wrapping_sub(1)),
                other => assert!(fields.ttl == 0, "{other:?} after {fields:?}"),
            }
        }
        Parsed::Ipv6(fields) => {
            let len = usize::from(fields.total_len);
            assert!((40..=packet.len()).contains(&len));
            assert_eq!(fields.hop_limit, packet[7]);
            assert!(!group || fields.local, "unicast in a group frame is not routed");
            if let Some((offset, ..)) = fields.transport {
                assert!((40..=len).contains(&usize::from(offset)));
            }
        }
        Parsed::Drop(_) | Parsed::Arp => {}
    }
});
