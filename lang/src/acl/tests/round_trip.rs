//! Any model that can be is printed as text that parses back to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;

fn names() -> impl Strategy<Value = Name> {
    // Words of the language are names as well as any.
    let words = prop_oneof!["[!-~é]{1,8}", Just("any".into()), Just("ipv4".into()), "[0-9]{1,4}"];
    words.prop_filter_map("no name", |word: String| word.parse().ok())
}

fn notes() -> impl Strategy<Value = String> {
    "\\PC{0,20}".prop_map(|text| text.trim().to_owned())
}

fn compares(max: u16) -> impl Strategy<Value = Compare> {
    prop_oneof![
        vec(0..=max, 1..4).prop_map(Compare::Eq),
        vec(0..=max, 1..4).prop_map(Compare::Neq),
        (1..=max).prop_map(Compare::Lt),
        (0..max).prop_map(Compare::Gt),
        (0..=max, 0..=max).prop_map(|(a, b)| Compare::Range(a.min(b), a.max(b))),
    ]
}

/// Ports, among them many that have names.
fn port_compares() -> impl Strategy<Value = Compare> {
    prop_oneof![compares(u16::MAX), compares(600)]
}

fn nets(family: Family) -> BoxedStrategy<IpNet> {
    match family {
        Family::V4 => (any::<u32>(), 0..=32_u8)
            .prop_map(|(bits, length)| {
                Ipv4Net::new(Ipv4Addr::from(bits), length).unwrap().trunc().into()
            })
            .boxed(),
        Family::V6 => (any::<u128>(), 0..=128_u8)
            .prop_map(|(bits, length)| {
                Ipv6Net::new(Ipv6Addr::from(bits), length).unwrap().trunc().into()
            })
            .boxed(),
    }
}

fn matches(family: Family) -> BoxedStrategy<IpMatch> {
    let masked = match family {
        Family::V4 => any::<(u32, u32)>()
            .prop_map(|(value, mask)| IpMatch::V4(Ternary::new(value, mask)))
            .boxed(),
        Family::V6 => any::<(u128, u128)>()
            .prop_map(|(value, mask)| IpMatch::V6(Ternary::new(value, mask)))
            .boxed(),
    };
    prop_oneof![Just(IpMatch::Any), nets(family).prop_map(IpMatch::from), masked].boxed()
}

fn addresses(family: Family) -> impl Strategy<Value = Address> {
    prop_oneof![
        4 => matches(family).prop_map(Address::Is),
        1 => names().prop_map(Address::Group),
    ]
}

fn flags() -> impl Strategy<Value = TcpMatch> {
    (any::<bool>(), vec(0..3_u8, 6)).prop_filter_map("no flag", |(all, choices)| {
        let chosen = |choice| {
            let both = TcpFlags::NAMES.iter().zip(&choices).filter(|(_, of)| **of == choice);
            both.fold(TcpFlags::NONE, |flags, ((_, flag), _)| flags | *flag)
        };
        let (set, clear) = (chosen(1), chosen(2));
        let flags = if all { TcpMatch::All { set, clear } } else { TcpMatch::Any { set, clear } };
        (set | clear != TcpFlags::NONE).then_some(flags)
    })
}

fn options(family: Family) -> impl Strategy<Value = Options> {
    let log = prop_oneof![Just(Log::Off), Just(Log::On), Just(Log::WithInput)];
    let numbers = (of(0..=MAX_TOS), of(0..=MAX_FLOW_LABEL), log, any::<bool>());
    let compared = (
        of(compares(MAX_DSCP)),
        of(compares(MAX_PRECEDENCE)),
        of(compares(MAX_TTL)),
        of(compares(u16::MAX)),
    );
    (numbers, compared).prop_map(move |((tos, label, log, capture), compared)| Options {
        icmp: None,
        tcp: None,
        dscp: compared.0,
        precedence: compared.1,
        tos: tos.filter(|_| family == Family::V4),
        ttl: compared.2,
        packet_length: compared.3,
        flow_label: label.filter(|_| family == Family::V6),
        undetermined_transport: false,
        log,
        capture,
    })
}

fn ports() -> impl Strategy<Value = Ports> {
    prop_oneof![4 => port_compares().prop_map(Ports::Are), 1 => names().prop_map(Ports::Group)]
}

fn messages() -> impl Strategy<Value = Icmp> {
    let few = (0..=13_u8, of(0..=4_u8)).boxed();
    prop_oneof![few, any::<(u8, Option<u8>)>().boxed()].prop_map(|(kind, code)| Icmp { kind, code })
}

/// An ace whose layer 4 is what its protocol can have.
fn aces(family: Family) -> impl Strategy<Value = Ace> {
    let number = prop_oneof![Just(6), Just(17), Just(132), Just(1), Just(58), any::<u8>()];
    let protocol = prop_oneof![
        1 => Just(Protocol::Any),
        6 => number.prop_map(Protocol::Number),
        1 => names().prop_map(Protocol::Group),
    ];
    let layer4 = (of(ports()), of(ports()), of(flags()), of(messages()), any::<bool>());
    let action = prop_oneof![Just(Action::Permit), Just(Action::Deny)];
    let layer3 = (action, protocol, addresses(family), addresses(family), options(family));
    (layer3, layer4, any::<bool>()).prop_map(move |(layer3, layer4, undetermined)| {
        let (action, protocol, source, destination, options) = layer3;
        let (from, to, tcp, icmp, fragments) = layer4;
        let has_ports = protocol.has_ports();
        let mut ace = Ace::new(action, protocol).source(source).destination(destination);
        ace = ace.options(options);
        ace.source_port = from.filter(|_| has_ports);
        ace.destination_port = to.filter(|_| has_ports);
        ace.options.tcp = tcp.filter(|_| ace.protocol == Protocol::TCP);
        ace.options.icmp = icmp.filter(|_| ace.protocol == Protocol::Number(family.icmp()));
        let group = matches!(ace.protocol, Protocol::Group(_));
        ace.fragments = fragments && !ace.is_layer4() && !group;
        let denies_all = ace.action == Action::Deny && ace.protocol == Protocol::Any;
        ace.options.undetermined_transport =
            undetermined && denies_all && !ace.fragments && family == Family::V6;
        ace
    })
}

fn standard_aces() -> impl Strategy<Value = Ace> {
    (any::<(bool, bool)>(), matches(Family::V4)).prop_map(|((permit, log), source)| {
        let action = if permit { Action::Permit } else { Action::Deny };
        let log = if log { Log::On } else { Log::Off };
        let options = Options { log, ..Options::default() };
        Ace::new(action, Protocol::Any).source(source).options(options)
    })
}

fn lists() -> impl Strategy<Value = AccessList> {
    let kinds = prop_oneof![
        Just((Family::V4, Kind::Standard)),
        Just((Family::V4, Kind::Extended)),
        Just((Family::V6, Kind::Extended)),
    ];
    let list = (names(), kinds).prop_flat_map(|(name, (family, kind))| {
        let ace = match kind {
            Kind::Standard => standard_aces().boxed(),
            Kind::Extended => aces(family).boxed(),
        };
        let body = prop_oneof![
            4 => ace.prop_map(|ace| Body::Ace(Box::new(ace))),
            1 => notes().prop_map(Body::Remark),
        ];
        let entries = proptest::collection::btree_map(1..=MAX_SEQUENCE, body, 0..6);
        (Just((name, family, kind)), entries)
    });
    list.prop_map(|((name, family, kind), entries)| {
        let mut list = AccessList::new(name, family, kind).unwrap();
        for (sequence, body) in entries {
            list.put(Some(sequence), body).unwrap();
        }
        list
    })
}

fn members<T: std::fmt::Debug + Clone + 'static>(
    own: BoxedStrategy<T>,
) -> impl Strategy<Value = Vec<Member<T>>> {
    vec(prop_oneof![4 => own.prop_map(Member::Is), 1 => names().prop_map(Member::Group)], 0..5)
}

fn network_members(family: Family) -> BoxedStrategy<Addresses> {
    let ends = (nets(family), nets(family)).prop_map(|(a, b)| {
        let (a, b): (IpAddr, IpAddr) = (a.addr(), b.addr());
        Addresses::Range(a.min(b), a.max(b))
    });
    prop_oneof![nets(family).prop_map(Addresses::Net), ends].boxed()
}

fn services(family: Family) -> BoxedStrategy<Service> {
    let number = prop_oneof![Just(6), Just(17), Just(132), Just(1), Just(58), any::<u8>()];
    let protocol = prop_oneof![
        Just(ServiceProtocol::Any),
        Just(ServiceProtocol::TcpUdp),
        number.prop_map(ServiceProtocol::Number),
    ];
    let service = (protocol, of(port_compares()), of(port_compares()), of(messages()));
    service
        .prop_map(move |(protocol, source_port, destination_port, icmp)| {
            let all = Service { protocol, source_port, destination_port, icmp };
            let ports = Service { icmp: None, ..all.clone() };
            let message = Service { icmp: all.icmp, ..Service::new(protocol) };
            let fits = [ports, message].into_iter().find(|service| service.check(family).is_ok());
            fits.unwrap_or(Service::new(protocol))
        })
        .boxed()
}

fn groups() -> impl Strategy<Value = ObjectGroup> {
    let families = prop_oneof![Just(Family::V4), Just(Family::V6)];
    let members = families.prop_flat_map(|family| {
        prop_oneof![
            members(network_members(family)).prop_map(move |list| Members::Network(family, list)),
            members(services(family)).prop_map(move |list| Members::Service(family, list)),
            members(port_compares().boxed()).prop_map(Members::Ports),
        ]
    });
    (of(notes()), members).prop_map(|(description, members)| ObjectGroup { description, members })
}

fn documents() -> impl Strategy<Value = Document> {
    (vec((names(), groups()), 0..4), vec(lists(), 0..4)).prop_map(|(groups, lists)| {
        let mut document = Document::default();
        for (name, group) in groups {
            document.objects.insert(name, group).unwrap();
        }
        for list in lists {
            document.insert(list);
        }
        document
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(document in documents()) {
        let text = document.to_string();
        let again = Document::parse(&text);
        prop_assert!(again.is_ok(), "{}\n{}", again.unwrap_err(), text);
        prop_assert_eq!(again.unwrap(), document, "{}", text);
    }

    #[test]
    fn a_line_is_the_one_that_the_list_prints(list in lists()) {
        for (sequence, _) in list.entries() {
            let line = format!("\n {}\n", list.line_of(sequence).unwrap());
            prop_assert!(list.to_string().contains(&line));
        }
    }

    #[test]
    fn mangled_text_is_refused_in_one_line_or_read(
        document in documents(),
        at in any::<prop::sample::Index>(),
        word in prop_oneof!["\\PC{0,4}", Just("\n".to_owned()), Just(" any ".to_owned())],
    ) {
        let mut text = document.to_string();
        let at = (0..=at.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at));
        text.insert_str(at.unwrap_or(0), &word);
        match Document::parse(&text) {
            Err(error) => {
                prop_assert!(!error.to_string().contains('\n'));
                prop_assert!(error.line <= text.lines().count() && error.column >= 1);
            }
            Ok(document) => prop_assert_eq!(&parse(&document.to_string()), &document),
        }
    }
}
