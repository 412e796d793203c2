use super::*;
use pal::clock::Nanos;
use proptest::prelude::*;

const OWN: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Half a day and 5 ms, some days on.
const NOW: Nanos = Nanos((20 * 86_400_000 + 43_200_000 + 5) * Nanos::PER_MILLI);
const TIME: [u8; 4] = (0x8000_0000_u32 + 43_200_005).to_be_bytes();

fn header(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    let words = 5 + options.len().div_ceil(4);
    bytes[0] = 0x40 | u8::try_from(words).unwrap();
    bytes[3] = u8::try_from(words * 4).unwrap();
    bytes.extend_from_slice(options);
    bytes.resize(words * 4, 0);
    frame::set_checksum(&mut bytes, 10, Sum::default());
    bytes
}

/// The options as they go on; the pointer to what is wrong; or that there is a source route.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    GoesOn(Vec<u8>),
    Wrong(u32),
    SourceRoute,
}
use Verdict::{GoesOn, SourceRoute, Wrong};

fn judged(options: &[u8], records: bool) -> Verdict {
    let bytes = header(options);
    let ip = Ipv4::parse(&bytes).unwrap();
    let is_own = |address| address == OWN;
    let stamp = Stamp { address: OWN, is_own: &is_own, now: NOW };
    match judge(&ip, records.then_some(&stamp)) {
        Ok(changed) => {
            let header = changed.unwrap_or_else(|| bytes.clone());
            assert_eq!((header.len(), &header[..10]), (bytes.len(), &bytes[..10]));
            assert!(Ipv4::parse(&header).unwrap().checksum_ok());
            GoesOn(header[20..20 + options.len()].to_vec())
        }
        Err(Refusal::Report(Problem::BadField { code: 0, at: pointer })) => Wrong(pointer),
        Err(Refusal::Drop(SlowDrop::SourceRoute)) => SourceRoute,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_route_is_recorded_while_there_is_room() {
    let recorded = |options: &[u8]| judged(options, true);
    assert_eq!(recorded(&[7, 7, 4, 0, 0, 0, 0]), GoesOn(vec![7, 7, 8, 198, 51, 100, 1]));
    let half = [7, 11, 8, 1, 2, 3, 4, 0, 0, 0, 0];
    assert_eq!(recorded(&half), GoesOn(vec![7, 11, 12, 1, 2, 3, 4, 198, 51, 100, 1]));
    let full = [7, 7, 8, 1, 2, 3, 4];
    assert_eq!(recorded(&full), GoesOn(full.to_vec()));
    assert_eq!(recorded(&[1, 7, 7, 3, 0, 0, 0, 0]), Wrong(23), "points into its own header");
    assert_eq!(recorded(&[1, 7, 7, 5, 0, 0, 0, 0]), Wrong(23), "no room for an address");
    assert_eq!(recorded(&[1, 1, 7, 2]), Wrong(23), "no pointer");
    assert_eq!(judged(&[7, 7, 3, 0, 0, 0, 0], false), GoesOn(vec![7, 7, 3, 0, 0, 0, 0]));
}

#[test]
fn a_time_is_recorded_in_each_of_the_three_ways() {
    let recorded = |options: &[u8]| judged(options, true);
    let with = |head: &[u8], rest: &[&[u8]]| GoesOn([head, &rest.concat()].concat());
    assert_eq!(recorded(&[68, 8, 5, 0, 0, 0, 0, 0]), with(&[68, 8, 9, 0], &[&TIME]));
    let empty = [68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(recorded(&empty), with(&[68, 12, 13, 1], &[&[198, 51, 100, 1], &TIME]));
    let ours = [68, 12, 5, 3, 198, 51, 100, 1, 0, 0, 0, 0];
    assert_eq!(recorded(&ours), with(&[68, 12, 13, 3], &[&[198, 51, 100, 1], &TIME]));
    let others = [68, 12, 5, 3, 198, 51, 100, 2, 0, 0, 0, 0];
    assert_eq!(recorded(&others), GoesOn(others.to_vec()));
}

#[test]
fn routers_without_room_for_a_time_are_counted_until_the_count_is_full() {
    let recorded = |options: &[u8]| judged(options, true);
    assert_eq!(recorded(&[68, 4, 5, 0xe1]), GoesOn(vec![68, 4, 5, 0xf1]));
    assert_eq!(recorded(&[68, 4, 5, 0xf1]), Wrong(23));
    assert_eq!(recorded(&[68, 4, 5, 0xf3]), GoesOn(vec![68, 4, 5, 0xf3]), "all have answered");
    assert_eq!(recorded(&[68, 4, 4, 0]), Wrong(22));
    assert_eq!(recorded(&[68, 4, 5, 2]), Wrong(23), "a flag that nobody has defined");
    assert_eq!(recorded(&[68, 8, 6, 0, 0, 0, 0, 0]), Wrong(22), "no room for a time");
    assert_eq!(recorded(&[68, 8, 5, 1, 0, 0, 0, 0]), Wrong(22), "no room for an address");
    assert_eq!(recorded(&[1, 68, 3, 5]), Wrong(22));
}

/// RFC 791 sentence by sentence, over bytes and offsets in the options.
fn oracle(options: &[u8], records: bool) -> Verdict {
    let mut out = options.to_vec();
    // The list is padded to whole words.
    out.resize(options.len().next_multiple_of(4), 0);
    let end = out.len();
    let mut at = 0;
    let wrong = |at: usize| Wrong(20 + u32::try_from(at).unwrap());
    while at < end && out[at] != 0 {
        let kind = out[at];
        if kind == 1 {
            at += 1;
            continue;
        }
        if at + 1 == end {
            return wrong(at);
        }
        let len = usize::from(out[at + 1]);
        if len < 2 || at + len > end {
            return wrong(at + 1);
        }
        if kind == 131 || kind == 137 {
            return SourceRoute;
        }
        if records && kind == 7 {
            if len < 3 {
                return wrong(at + 1);
            }
            let pointer = usize::from(out[at + 2]);
            if pointer < 4 || (pointer <= len && pointer + 3 > len) {
                return wrong(at + 2);
            }
            if pointer <= len {
                let slot = at + pointer - 1;
                out[slot..slot + 4].copy_from_slice(&OWN.octets());
                out[at + 2] += 4;
            }
        }
        if records && kind == 68 {
            if len < 4 {
                return wrong(at + 1);
            }
            let (pointer, flag) = (usize::from(out[at + 2]), out[at + 3] % 16);
            if pointer < 5 {
                return wrong(at + 2);
            }
            if flag == 2 || flag > 3 {
                return wrong(at + 3);
            }
            let slot = at + pointer - 1;
            if pointer > len {
                if flag != 3 && out[at + 3] / 16 == 15 {
                    return wrong(at + 3);
                }
                out[at + 3] += if flag == 3 { 0 } else { 16 };
            } else if flag == 0 {
                if pointer + 3 > len {
                    return wrong(at + 2);
                }
                out[slot..slot + 4].copy_from_slice(&TIME);
                out[at + 2] += 4;
            } else if pointer + 7 > len {
                return wrong(at + 2);
            } else if flag == 1 || out[slot..slot + 4] == OWN.octets() {
                out[slot..slot + 4].copy_from_slice(&OWN.octets());
                out[slot + 4..slot + 8].copy_from_slice(&TIME);
                out[at + 2] += 8;
            }
        }
        at += len;
    }
    out.truncate(options.len());
    GoesOn(out)
}

/// Options that often make sense.
fn option() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![
        8 => prop::sample::select(vec![7_u8, 68, 68, 1, 148]),
        1 => prop::sample::select(vec![0_u8, 131, 137]),
        1 => any::<u8>(),
    ];
    let flag = prop_oneof![4 => prop::sample::select(vec![0_u8, 1, 3]), 1 => any::<u8>()];
    let pointer = prop_oneof![6 => (1..4_u8).prop_map(|n| n * 4), 2 => 2..6_u8, 1 => any::<u8>()];
    let data = prop_oneof![1 => Just(OWN.octets().repeat(3)), 2 => prop::collection::vec(any::<u8>(), 0..13)];
    let len = prop_oneof![9 => Just(0_u8), 1 => any::<u8>()];
    (kind, flag, pointer, data, len).prop_map(|(kind, flag, pointer, data, len)| {
        let mut option = match kind {
            0 | 1 => return vec![kind],
            68 => vec![kind, 0, pointer.wrapping_add(1), flag],
            _ => vec![kind, 0, pointer],
        };
        option.extend(data);
        option[1] = u8::try_from(option.len()).unwrap().wrapping_add(len);
        option
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn every_option_area_is_judged_as_the_book_does(
        options in prop::collection::vec(option(), 1..5),
        cut in prop_oneof![3 => Just(40_usize), 1 => 1..40_usize],
        records in any::<bool>(),
    ) {
        let mut options = options.concat();
        options.truncate(cut.min(40));
        prop_assert_eq!(judged(&options, records), oracle(&options, records), "{:?}", options);
    }
}
