//! The walk against chains whose parts are known because they were put together from them.

use proptest::prelude::*;

use super::*;

/// A header: its kind, and its bytes, the first of which names the next one.
#[derive(Clone, Debug)]
struct Part {
    kind: u8,
    bytes: Vec<u8>,
}

/// Extension headers of all kinds and sizes, with anything in them.
fn part() -> impl Strategy<Value = Part> {
    let kinds = prop::sample::select(vec![0_u8, 43, 44, 44, 51, 60, 60, 135, 139, 140]);
    let word = prop::sample::select(vec![0_u16, 1, 8, 0x10, 0x11, 0x18, 0x19, 0xfff8, 0xffff]);
    (kinds, 0..4_u8, word, any::<[u8; 40]>()).prop_map(|(kind, len, word, noise)| {
        let size = match kind {
            44 => 8,
            51 => 8 + 4 * usize::from(len),
            _ => 8 + 8 * usize::from(len),
        };
        let mut bytes = noise[..size].to_vec();
        bytes[1] = if kind == 44 { noise[1] } else { len };
        if kind == 44 {
            bytes[2..4].copy_from_slice(&word.to_be_bytes());
        }
        Part { kind, bytes }
    })
}

/// Protocol and header of an upper layer, whose length is that of the header; with bytes behind it.
fn upper() -> impl Strategy<Value = (u8, usize, Vec<u8>)> {
    let kinds = vec![
        (6, 20),
        (17, 8),
        (58, 4),
        (1, 4),
        (50, 8),
        (47, 4),
        (132, 12),
        (33, 12),
        (136, 8),
        (4, 20),
        (41, 40),
        (59, 0),
        (89, 0),
        (147, 0),
        (148, 0),
        (253, 0),
        (255, 0),
    ];
    let tcp_options = prop::sample::select(vec![0, 0, 1, 5, 10]);
    (prop::sample::select(kinds), tcp_options, 0..70_usize, any::<u8>()).prop_map(
        |((protocol, len), options, behind, noise)| {
            let len = if protocol == 6 { len + 4 * options } else { len };
            let mut bytes = vec![noise; len + behind];
            if protocol == 6 {
                bytes[12] = u8::try_from(len / 4).unwrap() << 4 | noise & 0xf;
            }
            (protocol, len, bytes)
        },
    )
}

/// What the walk must say of `parts` and an upper layer of which only `room` bytes are there: looked
/// up in the parts one after the other.
fn expected(parts: &[Part], (protocol, len, _): &(u8, usize, Vec<u8>), room: usize) -> Chain {
    let starts: Vec<usize> =
        (0..=parts.len()).map(|n| parts[..n].iter().map(|part| part.bytes.len()).sum()).collect();
    let kind = |n: usize| parts.get(n).map_or(*protocol, |part| part.kind);
    let whole = |n: &usize| starts[n + 1] <= room;
    let word = |n: usize| u16::from_be_bytes([parts[n].bytes[2], parts[n].bytes[3]]);
    let is = |n: usize, kind| parts[n].kind == kind;
    let is_later = |n: usize| is(n, 44) && word(n) >= 8;
    let for_ends = |n: usize| [135, 139, 140].contains(&parts[n].kind);
    // The header that the walk ends at: one that is cut, one behind a later fragment's, one for the
    // ends with nothing behind it, or the upper layer's.
    let stop = (0..parts.len())
        .find(|n| !whole(n) || (*n > 0 && is_later(n - 1)) || (for_ends(*n) && kind(n + 1) == 59))
        .unwrap_or(parts.len());
    let place = |n: usize| HeaderPlace {
        at: 40 + starts[n],
        named_at: if n == 0 { 6 } else { 40 + starts[n - 1] },
    };
    let passed = || 0..stop;
    let looked_at = || (0..parts.len()).filter(|n| *n < stop || (*n == stop && whole(n)));
    let later = stop > 0 && is_later(stop - 1);
    let HeaderPlace { at, named_at } = place(stop);
    let fragment = passed().find(|n| is(*n, 44)).map(|n| FragmentHeader {
        at: place(n).at,
        named_at: place(n).named_at,
        next_header: kind(n + 1),
        offset: word(n) / 8,
        more: word(n) % 2 == 1,
        id: u32::from_be_bytes(parts[n].bytes[4..8].try_into().unwrap()),
        authenticated: (0..n).any(|n| is(n, 51)),
    });
    let route = passed().find(|n| is(*n, 43) && parts[*n].bytes[3] != 0);
    let ended_by_end = !later && stop < parts.len() && whole(&stop);
    Chain {
        protocol: kind(stop),
        offset: at,
        named_at,
        fragment,
        is_fragment: passed().any(|n| is(n, 44) && word(n) & 0xfff9 != 0),
        later_fragment: later,
        fragment_offset: if later { word(stop - 1) / 8 } else { 0 },
        last_fragment: later && word(stop - 1) % 2 == 0,
        source_route: route.map(|n| RoutingHeader {
            at: place(n).at,
            kind: parts[n].bytes[2],
            segments_left: parts[n].bytes[3],
        }),
        misplaced_hop_by_hop: passed().find(|n| *n > 0 && is(*n, 0)).map(|n| place(n).named_at),
        ends_only: looked_at().find(|n| for_ends(*n) && !(later && *n == stop)).map(place),
        end: if later || ended_by_end {
            ChainEnd::Whole
        } else if stop < parts.len() {
            ChainEnd::ExtensionCut
        } else if room < starts[parts.len()] + len {
            ChainEnd::UpperCut
        } else {
            ChainEnd::Whole
        },
    }
}

/// The bytes behind the fixed header, and its next header.
fn payload(parts: &[Part], upper: &(u8, usize, Vec<u8>)) -> (u8, Vec<u8>) {
    let mut bytes = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        let from = bytes.len();
        bytes.extend(&part.bytes);
        bytes[from] = parts.get(n + 1).map_or(upper.0, |next| next.kind);
    }
    bytes.extend(&upper.2);
    (parts.first().map_or(upper.0, |first| first.kind), bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn a_chain_of_known_parts_is_walked_to_where_it_is_cut(
        parts in prop::collection::vec(part(), 0..6),
        upper in upper(),
        cut in prop::option::of(0..200_usize),
    ) {
        let (first, bytes) = payload(&parts, &upper);
        let room = cut.unwrap_or(bytes.len()).min(bytes.len());
        let found = Chain::walk(first, &bytes[..room]);
        prop_assert_eq!(found, expected(&parts, &upper, room));
        let hidden = upper.0 >= 148 && found.protocol == upper.0;
        let undetermined = !found.later_fragment && (hidden || found.end != ChainEnd::Whole);
        prop_assert_eq!(found.is_undetermined(), undetermined);
    }

    #[test]
    fn no_bytes_lead_the_walk_out_of_the_packet(
        first in any::<u8>(),
        bytes in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 8, 43, 44, 51, 60, 135, 255]), 0..120),
    ) {
        let chain = Chain::walk(first, &bytes);
        prop_assert!(chain.offset <= 40 + bytes.len() && chain.named_at < chain.offset);
    }
}

#[test]
fn headers_for_the_ends_are_passed_unless_nothing_is_behind_them() {
    for kind in [135, 139, 140] {
        let chain = Chain::walk(kind, &[58, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!((chain.protocol, chain.offset), (58, 48));
        assert_eq!(chain.ends_only, Some(HeaderPlace { at: 40, named_at: 6 }));
        let chain = Chain::walk(kind, &[59, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((chain.protocol, chain.offset, chain.named_at), (kind, 40, 6));
        assert_eq!(chain.end, ChainEnd::Whole);
        assert!(!chain.is_undetermined());
    }
}
