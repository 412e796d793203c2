//! The kernel agrees with the scalar rules on every frame, good or bad.

use hal::pool::NativePool;
use hal::{PacketMask, PoolCache};
use proptest::prelude::*;

use super::{available, parse};
use crate::l3::fragment;
use crate::l3::scalar::{self, Arrived, Parsed, tests::ipv4, tests::ipv6};
use crate::l3::source::Own;
use crate::packet::{End, Source, Vector};
use crate::wire::checksum;
use pal::clock::Nanos;

/// A frame that is mostly right, with some bytes overwritten.
fn frame() -> impl Strategy<Value = (Vec<u8>, u8)> {
    let fragment = prop::sample::select(vec![
        (17, 0),
        (6, 0x4000),
        (6, 0x2000),
        (17, 0x2000),
        (6, 1),
        (6, 0x2002),
        (6, 3),
        (17, 1),
    ]);
    let lens = (0..60usize, fragment);
    let v4 = (any::<[u8; 4]>(), any::<[u8; 4]>(), any::<u8>(), lens, any::<bool>()).prop_map(
        |(src, dst, ttl, (len, (protocol, fragment)), options)| {
            let options: &[u8] = if options { &[1, 1, 1, 0] } else { &[] };
            let mut ip = ipv4(src, dst, ttl, options, &vec![0xa5; len]);
            ip[6..8].copy_from_slice(&u16::to_be_bytes(fragment));
            (ip[9], ip[10], ip[11]) = (protocol, 0, 0);
            let sum = checksum::internet(&ip[..20 + options.len()]);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            (0x0800u16, ip)
        },
    );
    let v6 = (any::<u128>(), any::<u128>(), any::<u8>(), any::<u8>(), 0..40usize, any::<bool>())
        .prop_map(|(src, dst, next, hops, len, global)| {
            let top = |a: u128| if global { a >> 3 | 1 << 125 } else { a };
            let text = |a: u128| std::net::Ipv6Addr::from(top(a)).to_string();
            (0x86ddu16, ipv6(&text(src), &text(dst), next, hops, &vec![0x5a; len]))
        });
    let tags = prop_oneof![4 => Just(0usize), 1 => Just(1), 1 => Just(2)];
    let damage = prop::collection::vec((0..60usize, any::<u8>()), 0..3);
    (prop_oneof![3 => v4, 2 => v6], tags, damage, 0..80usize, prop::bool::weighted(0.1)).prop_map(
        |((ethertype, packet), tags, damage, cut, group)| {
            let mut frame = vec![if group { 3 } else { 2 }; 12];
            for _ in 0..tags {
                frame.extend([0x81, 0x00, 0x00, 0x05]);
            }
            frame.extend(ethertype.to_be_bytes());
            frame.extend(packet);
            for (at, value) in damage {
                if let Some(byte) = frame.get_mut(at + 12) {
                    *byte = value;
                }
            }
            if cut > 60 {
                frame.truncate(cut - 45);
            }
            (frame, 14 + 4 * tags as u8)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_kernel_agrees_with_the_scalar_rules(
        frames in prop::collection::vec(frame(), 1..=64),
        holes in any::<u64>(),
    ) {
        if !available() {
            eprintln!("skipped: no AVX-512 with VBMI");
            return Ok(());
        }
        let pool = NativePool::new(64, 2048);
        let mut cache = PoolCache::Native(pool.cache());
        let mut vector = Vector::new(cache.origin());
        for (frame, _) in &frames {
            prop_assert!(cache.append(&mut vector.burst, frame));
        }
        vector.begin(Source::Port(0), Nanos::ZERO);
        for (slot, (_, offset)) in frames.iter().enumerate() {
            vector.l3.offset[slot] = *offset;
        }
        let select = vector.live & PacketMask(holes | 1);
        let plain = parse(&mut vector, select, &Own::NOTHING).plain;
        prop_assert_eq!(plain - select, PacketMask::EMPTY);
        for slot in select {
            let (frame, offset) = &frames[slot];
            let offset = usize::from(*offset);
            let scalar = match (frame.get(offset - 2..offset), frame.get(offset..)) {
                (Some(e), Some(packet)) => {
                    scalar::parse(u16::from_be_bytes([e[0], e[1]]), packet, Arrived { group: frame[0] & 1 == 1, ..Arrived::default() })
                }
                _ => Parsed::Drop(crate::packet::DropReason::Truncated),
            };
            let hides = match scalar {
                Parsed::Ipv4(fields) => {
                    fragment::refused_v4(&frame[offset..], fields.total_len).is_some()
                }
                _ => false,
            };
            prop_assert!(!(hides && plain.contains(slot)), "kernel took {:02x?}", frame);
            if !plain.contains(slot) {
                // What the kernel leaves must be something that it may leave.
                if let Parsed::Ipv4(_) = scalar {
                    let may = frame[offset] != 0x45 || hides;
                    prop_assert!(may, "slot {} left: {:02x?}", slot, frame);
                }
                continue;
            }
            if !vector.live.contains(slot) {
                let End::Drop(reason) = vector.ends.end[slot] else { panic!("dropped without a reason") };
                prop_assert_eq!(scalar, Parsed::Drop(reason), "{:02x?}", frame);
                continue;
            }
            match scalar {
                Parsed::Ipv4(fields) => {
                    prop_assert!(vector.is.ipv4.contains(slot));
                    prop_assert_eq!(vector.l3.src4[slot], fields.src);
                    prop_assert_eq!(vector.l3.dst4[slot], fields.dst);
                    prop_assert_eq!(vector.l3.ip_len[slot], fields.total_len);
                    prop_assert_eq!(vector.l3.next_ttl[slot], fields.next_ttl);
                    prop_assert_eq!(vector.is.ttl_expiring.contains(slot), fields.ttl <= 1);
                }
                Parsed::Ipv6(fields) => {
                    prop_assert!(vector.is.ipv6.contains(slot));
                    let dst = u128::from(vector.l3.dst6_hi[slot]) << 64 | u128::from(vector.l3.dst6_lo[slot]);
                    prop_assert_eq!(dst, fields.dst);
                    prop_assert_eq!(vector.l3.ip_len[slot], fields.total_len);
                    prop_assert_eq!(vector.l3.next_ttl[slot], u32::from(fields.hop_limit.wrapping_sub(1)));
                    prop_assert_eq!(vector.is.ttl_expiring.contains(slot), fields.hop_limit <= 1);
                    prop_assert!(!fields.link_local_source && fields.transport.is_none());
                }
                other => prop_assert!(false, "kernel took {:?}: {:02x?}", other, frame),
            }
        }
        cache.free(&mut vector.burst, PacketMask::FULL);
    }
}
