//! Random route maps: what is printed reads back.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z0-9_.:-]{1,12}".prop_map(|name| name.parse().unwrap())
}

fn entry() -> impl Strategy<Value = Entry> {
    let matches = (vec(name(), 0..4), vec(name(), 0..4), of((0..70_000u32, 0..0x7fff_0000u32)))
        .prop_map(|(ipv4, ipv6, length)| {
            let length = length.map(|(min, more)| min..=min + more);
            Matches { ipv4, ipv6, length }
        });
    let v4 = || vec(0xc000_0200..0xc000_02ffu32, 0..4);
    let v6 = || vec(0x2001_0db8_u128 << 96..(0x2001_0db8_u128 << 96) + 99, 0..4);
    let mark = prop_oneof![(0..64u8).prop_map(Mark::Dscp), (0..8u8).prop_map(Mark::Precedence)];
    let sets = (v4(), v4(), v6(), v6(), any::<bool>(), of(mark)).prop_map(
        |(next4, default4, next6, default6, null0, mark)| Sets {
            next_hops4: next4.into_iter().map(Into::into).collect(),
            default_next_hops4: default4.into_iter().map(Into::into).collect(),
            next_hops6: next6.into_iter().map(Into::into).collect(),
            default_next_hops6: default6.into_iter().map(Into::into).collect(),
            vrf: None,
            null0,
            mark,
        },
    );
    let sets = prop_oneof![
        3 => sets,
        1 => name().prop_map(|vrf| Sets { vrf: Some(vrf), ..Sets::default() }),
    ];
    let description = of("[!-~][ -~é]{0,20}[!-~]".prop_map(|text| text.parse().unwrap()));
    (any::<bool>(), description, matches, sets).prop_map(|(permit, description, matches, sets)| {
        let action = if permit { Action::Permit } else { Action::Deny };
        Entry { action, description, matches, sets }
    })
}

proptest! {
    #[test]
    fn route_maps_read_back_as_they_print(
        entries in vec((name(), any::<u16>(), entry()), 0..8),
    ) {
        let mut maps = RouteMaps::default();
        for (name, sequence, entry) in entries {
            if entry.check().is_ok() {
                maps.get_or_new(name).insert(sequence, entry).unwrap();
            }
        }
        let text = maps.to_string();
        let again = RouteMaps::parse(&text).unwrap();
        prop_assert_eq!(again.to_string(), text);
        prop_assert_eq!(again, maps);
    }

    #[test]
    fn any_words_are_refused_in_one_line_or_read_back(
        words in vec(prop::sample::select(WORDS), 0..40),
    ) {
        let text = format!("route-map A permit 10\n{}", words.concat());
        match RouteMaps::parse(&text) {
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
            Ok(maps) => prop_assert_eq!(RouteMaps::parse(&maps.to_string()).unwrap(), maps),
        }
    }
}

const WORDS: &[&str] = &[
    "\n",
    "\nmatch ip address ",
    "\nmatch length ",
    "\nset ip next-hop ",
    "\nset ip dscp ",
    "\nset vrf ",
    "\nset interface Null0",
    "\nroute-map ",
    "permit ",
    "deny ",
    "A ",
    "10 ",
    "ef ",
    "192.0.2.1 ",
    "2001:db8::1 ",
    "\nset ipv6 default next-hop ",
    "! ",
    "\ndescription ",
    "é ",
];
