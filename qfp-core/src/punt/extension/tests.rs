use super::*;
use proptest::prelude::*;

fn packet(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 40];
    bytes[0] = 0x60;
    bytes[4..6].copy_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    bytes[6] = next;
    bytes.extend_from_slice(payload);
    bytes
}

fn judged(place: Where, next: u8, payload: &[u8]) -> Result<(), Refusal> {
    let bytes = packet(next, payload);
    judge(&Ipv6::parse(&bytes).unwrap(), place)
}

fn told(code: u8, pointer: u32) -> Result<(), Refusal> {
    Err(Refusal::Report(Problem::BadField { code, at: pointer }))
}

const SILENT: Result<(), Refusal> = Err(Refusal::Drop(SlowDrop::UnknownOption));

#[test]
fn the_top_bits_of_an_unknown_option_say_what_happens() {
    use Where::{Group, Here, Transit};
    let header = |kind| [17, 0, 1, 0, kind, 0, 1, 0];
    let asks = Err(Refusal::Report(Problem::UnknownOption { at: 44 }));
    for (kind, unicast, group) in [
        (0x3e, Ok(()), Ok(())),
        (0x7e, SILENT, SILENT),
        (0xbe, asks, asks),
        (0xfe, told(2, 44), SILENT),
        // A jumbo payload.
        (0xc2, told(2, 44), SILENT),
    ] {
        for place in [Transit, Here] {
            assert_eq!(judged(place, 0, &header(kind)), unicast, "{kind:#x} {place:?}");
        }
        assert_eq!(judged(Group, 0, &header(kind)), group, "{kind:#x}");
        // Options for the destination are nobody else's business.
        assert_eq!(judged(Transit, 60, &header(kind)), Ok(()));
        assert_eq!(judged(Here, 60, &header(kind)), unicast);
        assert_eq!(judged(Group, 60, &header(kind)), group);
    }
}

#[test]
fn a_hop_by_hop_header_stands_first_or_nowhere() {
    for place in [Where::Transit, Where::Here] {
        let second = [0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(judged(place, 0, &second), told(1, 40));
        let behind = [60, 0, 1, 4, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(judged(place, 0, &behind), told(1, 48));
        assert_eq!(judged(place, 60, &second), told(1, 40));
        assert_eq!(judged(place, 0, &second[8..]), Ok(()));
    }
}

#[test]
fn segments_left_of_a_routing_header_end_the_way_of_what_has_arrived() {
    for kind in [0, 2, 3, 4, 200] {
        let routed = |left| [17, 0, kind, left, 0, 0, 0, 0];
        assert_eq!(judged(Where::Here, 43, &routed(1)), told(0, 42));
        assert_eq!(judged(Where::Here, 43, &routed(0)), Ok(()));
        assert_eq!(judged(Where::Transit, 43, &routed(1)), Ok(()));
    }
}

#[test]
fn fragments_have_whole_units_and_end_within_a_datagram() {
    let fragment = |word: u16, data: usize| {
        let [high, low] = word.to_be_bytes();
        [&[17, 0, high, low, 0, 0, 0, 1][..], &vec![0; data]].concat()
    };
    let bad = |at| Err(Refusal::Report(Problem::BadFragment { at }));
    let here = |word, data| judged(Where::Here, 44, &fragment(word, data));
    assert_eq!(here(1, 16), Ok(()));
    assert_eq!(here(1, 15), bad(4));
    assert_eq!(here(8, 15), Ok(()), "the last one may have any length");
    assert_eq!(here(0, 15), Ok(()), "one piece");
    assert_eq!(here(0xfff8, 7), Ok(()), "65,535 bytes");
    assert_eq!(here(0xfff8, 8), bad(42));
    // Headers in front of it count.
    let chain = [&[44, 0, 1, 4, 0, 0, 0, 0][..], &fragment(0xfff8, 7)].concat();
    assert_eq!(judged(Where::Here, 60, &chain), bad(50));
    assert_eq!(judged(Where::Transit, 44, &fragment(1, 15)), Ok(()));
    // What a fragment hides is looked at when the datagram is whole.
    let hides = [&[43, 0, 0, 1, 0, 0, 0, 1][..], &[17, 0, 0, 1, 0, 0, 0, 0]].concat();
    assert_eq!(judged(Where::Here, 44, &hides), Ok(()));
    let in_one_piece = [&[43, 0, 0, 0, 0, 0, 0, 1][..], &[17, 0, 0, 1, 0, 0, 0, 0]].concat();
    assert_eq!(judged(Where::Here, 44, &in_one_piece), told(0, 50));
}

#[test]
fn options_that_run_over_their_header_are_reported_and_headers_that_do_so_are_not() {
    assert_eq!(judged(Where::Transit, 0, &[17, 0, 1, 5, 0, 0, 0, 0]), told(0, 43));
    assert_eq!(judged(Where::Transit, 0, &[17, 0, 1, 3, 0, 0, 0, 1]), told(0, 47));
    let cut = Err(Refusal::Drop(SlowDrop::Malformed));
    assert_eq!(judged(Where::Transit, 0, &[17, 1, 1, 4, 0, 0, 0, 0]), cut);
    assert_eq!(judged(Where::Here, 0, &[17, 0, 1]), cut);
}

/// RFC 8200 sentence by sentence, over bytes and offsets.
fn oracle(bytes: &[u8], place: Where) -> Result<(), Refusal> {
    let here = place != Where::Transit;
    let (mut kind, mut named_at, mut at) = (bytes[6], 6, 40);
    loop {
        let size = match kind {
            0 | 43 | 60 | 135 | 139 | 140 => bytes.get(at + 1).map(|n| (usize::from(*n) + 1) * 8),
            51 => bytes.get(at + 1).map(|n| (usize::from(*n) + 2) * 4),
            44 => Some(8),
            _ => return Ok(()),
        };
        let end = at + size.unwrap_or(usize::MAX / 2);
        if end > bytes.len() || bytes.len() < at + 8 {
            return Err(Refusal::Drop(SlowDrop::Malformed));
        }
        let pointer = |at: usize| u32::try_from(at).unwrap();
        if kind == 0 && at != 40 {
            return told(1, pointer(named_at));
        }
        if kind == 0 || (kind == 60 && here) {
            let mut option = at + 2;
            while option < end {
                if bytes[option] == 0 {
                    option += 1;
                    continue;
                }
                if option + 1 == end {
                    return told(0, pointer(option));
                }
                let behind = option + 2 + usize::from(bytes[option + 1]);
                if behind > end {
                    return told(0, pointer(option + 1));
                }
                match (bytes[option] & 0xc0, place) {
                    (0, _) => {}
                    (0x40, _) | (0xc0, Where::Group) => return SILENT,
                    (0x80, _) => {
                        return Err(Refusal::Report(Problem::UnknownOption {
                            at: pointer(option),
                        }));
                    }
                    _ => return told(2, pointer(option)),
                }
                option = behind;
            }
        }
        if kind == 43 && here && bytes[at + 3] > 0 {
            return told(0, pointer(at + 2));
        }
        if kind == 44 {
            let word = usize::from(bytes[at + 2]) << 8 | usize::from(bytes[at + 3]);
            let data = bytes.len() - end;
            if here && word & 0xfff9 != 0 {
                let bad = |at| Err(Refusal::Report(Problem::BadFragment { at }));
                if word & 1 == 1 && !data.is_multiple_of(8) {
                    return bad(4);
                }
                return if (at - 40) + (word & 0xfff8) + data > 65_535 {
                    bad(pointer(at + 2))
                } else {
                    Ok(())
                };
            }
            if word & 0xfff8 != 0 {
                return Ok(());
            }
        }
        (kind, named_at, at) = (bytes[at], at, end);
    }
}

/// An extension header that often makes sense: its kind, and what follows the next header field.
fn header() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let kinds = prop::sample::select(vec![0_u8, 0, 43, 44, 44, 51, 60, 60, 135, 139, 140, 17, 58]);
    let kind = prop_oneof![8 => Just(0x3e_u8), 1 => any::<u8>()];
    let len = prop_oneof![9 => 0..5_u8, 1 => any::<u8>()];
    let options = prop::collection::vec((prop_oneof![2 => 0..2_u8, 1 => kind], len), 1..6);
    let other = prop::collection::vec(prop_oneof![1 => Just(0_u8), 1 => any::<u8>()], 6);
    (kinds, options, other, prop_oneof![9 => Just(true), 1 => Just(false)]).prop_map(
        |(kind, options, other, right)| {
            let mut bytes = Vec::new();
            if matches!(kind, 0 | 60) {
                for (option, len) in options {
                    bytes.push(option);
                    if option != 0 {
                        bytes.push(len);
                        bytes.extend((0..len).map(|_| 0));
                    }
                }
            } else {
                bytes.extend(other);
            }
            let units = if kind == 51 { 4 } else { 8 };
            while !(bytes.len() + 2).is_multiple_of(units) || bytes.len() < 6 {
                bytes.push(0);
            }
            let len = (bytes.len() + 2) / units - if kind == 51 { 2 } else { 1 };
            let len = u8::try_from(len).unwrap_or(0);
            bytes.insert(0, if right { len } else { len.wrapping_add(1) });
            (kind, bytes)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_chain_is_judged_as_the_book_does(
        headers in prop::collection::vec(header(), 0..5),
        last in prop::sample::select(vec![17_u8, 59, 0, 60]),
        data in prop::collection::vec(any::<u8>(), 0..20),
        cut in prop_oneof![9 => Just(0_usize), 1 => 0..30_usize],
    ) {
        let kinds = headers.iter().map(|header| header.0).skip(1).chain([last]);
        let chain = headers.iter().zip(kinds).flat_map(|((_, bytes), next)| {
            std::iter::once(next).chain(bytes.iter().copied())
        });
        let mut payload: Vec<u8> = chain.chain(data.iter().copied()).collect();
        payload.truncate(payload.len().saturating_sub(cut));
        let bytes = packet(headers.first().map_or(last, |header| header.0), &payload);
        let ip = Ipv6::parse(&bytes).unwrap();
        for place in [Where::Transit, Where::Here, Where::Group] {
            prop_assert_eq!(judge(&ip, place), oracle(&bytes, place), "{:?}", place);
        }
    }
}
