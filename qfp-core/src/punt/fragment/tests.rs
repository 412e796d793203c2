use super::*;
use proptest::prelude::*;

const NOP: u8 = 1;

/// A packet with `options` (padded), `len` bytes of payload, and a fragment word.
fn packet(options: &[u8], len: usize, position: u16) -> Vec<u8> {
    let words = HEADER.div_ceil(4) + options.len().div_ceil(4);
    let mut bytes = vec![0; words * 4];
    bytes[0] = 0x40 | u8::try_from(words).unwrap();
    let total = u16::try_from(words * 4 + len).unwrap();
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes[4..6].copy_from_slice(&[0xca, 0xfe]);
    bytes[6..8].copy_from_slice(&position.to_be_bytes());
    bytes[8..20].copy_from_slice(&[63, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
    bytes[20..20 + options.len()].copy_from_slice(options);
    frame::set_checksum(&mut bytes, 10, Sum::default());
    bytes.extend((0..len).map(|n| u8::try_from(n % 251).unwrap()));
    bytes
}

fn option() -> impl Strategy<Value = Vec<u8>> {
    let valued = (2..10_u8, prop::sample::select(vec![7, 68, 82, 130, 134, 136, 148]));
    prop_oneof![
        Just(vec![NOP]),
        valued.prop_map(|(len, kind)| {
            let mut option = vec![kind; usize::from(len)];
            option[1] = len;
            option
        }),
    ]
}

proptest! {
    #[test]
    fn fragments_reassemble_to_the_packet(
        options in prop::collection::vec(option(), 0..8),
        len in 0..9000_usize,
        mtu in 68..3000_u16,
        offset in 0..2000_u16,
        more in any::<bool>(),
    ) {
        let mut all = options.concat();
        all.truncate(40);
        // A cut option is malformed: leave it out.
        let mut fits = 0;
        let whole = options.iter().take_while(|option| {
            fits += option.len();
            fits <= 40
        });
        all = whole.flatten().copied().collect();
        let bytes = packet(&all, len, u16::from(more) << 13 | offset);
        let ip = Ipv4::parse(&bytes).unwrap();
        let fragments = split(&ip, mtu).unwrap();
        let copied: Vec<u8> =
            options_of(&ip).into_iter().filter(|option| option[0] & 0x80 != 0).flatten().collect();

        let mut payload = Vec::new();
        for (n, bytes) in fragments.iter().enumerate() {
            let fragment = Ipv4::parse(bytes).unwrap();
            let last = n + 1 == fragments.len();
            prop_assert!(bytes.len() <= usize::from(mtu));
            prop_assert_eq!(bytes.len(), fragment.packet().len());
            prop_assert!(fragment.checksum_ok());
            prop_assert_eq!(fragment.more_fragments(), !last || more);
            let position = usize::from(fragment.fragment_offset() - offset) * 8;
            prop_assert_eq!(position, payload.len());
            prop_assert!(last || fragment.payload().len().is_multiple_of(8));
            prop_assert_eq!((fragment.id(), fragment.ttl(), fragment.protocol()), (0xcafe, 63, 17));
            prop_assert_eq!((fragment.src(), fragment.dst()), (ip.src(), ip.dst()));
            if n == 0 {
                prop_assert_eq!(fragment.option_bytes(), ip.option_bytes());
            } else {
                prop_assert_eq!(options_of(&fragment).concat(), copied.clone());
            }
            payload.extend_from_slice(fragment.payload());
        }
        prop_assert_eq!(payload, ip.payload());
    }
}

fn options_of(ip: &Ipv4<'_>) -> Vec<Vec<u8>> {
    ip.options().map(|option| option.unwrap().bytes.to_vec()).collect()
}

#[test]
fn an_mtu_without_room_for_eight_bytes_is_refused() {
    let bytes = packet(&[], 100, 0);
    let ip = Ipv4::parse(&bytes).unwrap();
    assert_eq!(split(&ip, 27), Err(SlowDrop::CannotFragment));
    assert_eq!(split(&ip, 28).unwrap().len(), 13);
    assert_eq!(split(&ip, 0), Err(SlowDrop::CannotFragment));
}

#[test]
fn offsets_beyond_the_largest_datagram_are_malformed() {
    let bytes = packet(&[], 100, 0x1ff8);
    assert_eq!(split(&Ipv4::parse(&bytes).unwrap(), 28), Err(SlowDrop::Malformed));
}

#[test]
fn malformed_options_are_not_copied() {
    let bytes = packet(&[148, 9, 0, 0], 100, 0);
    assert_eq!(split(&Ipv4::parse(&bytes).unwrap(), 68), Err(SlowDrop::Malformed));
}
