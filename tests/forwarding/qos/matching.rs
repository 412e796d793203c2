//! What classes match: every field of a class map, alone and together.

use qfp::client::ea::Direction;

use super::{at_once, class, from_west, ip, packets, router, station, with_class};
use crate::capture::Timed;
use crate::packets::{
    DOT1AD, DOT1Q, Mac, Tag, echo, frame, mac, payload, tcp, udp, with_fragment_field,
};
use crate::router::route;

/// What a class `C` marks whose class map is behind others in `classes`.
const MARKED: u8 = 63;

/// The numbers of the frames that are in the class `C`, which `classes` ends with.
fn in_class(classes: &str, lists: &str, frames: &[Vec<u8>]) -> Vec<usize> {
    let keys = "service_policy_in = \"P\"";
    let names = ["west", "west.100", "west.200.7"];
    let text = format!("{classes}\npolicy-map P\n class C\n  set dscp {MARKED}\n");
    let config = router(&names.map(|name| (name, keys)), &text) + lists;
    let received: Vec<Timed> = (0..).zip(frames.iter().cloned()).collect();
    let run = route(&config, &[&received]);
    let matched = |name| {
        ["C", "class-default"]
            .map(|class_name| packets(class(&run, name, Direction::In, class_name))[0])
    };
    let [own, rest] = names.map(matched).into_iter().fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
    let found = run.sent[1].iter().filter(|(_, frame)| class_byte(frame) >> 2 == MARKED);
    let found: Vec<usize> = found.map(|(time, _)| usize::try_from(*time).unwrap()).collect();
    assert_eq!([own, rest], [found.len(), frames.len() - found.len()].map(|n| n as u64));
    found
}

/// The numbers of the frames that one of `matches` matches.
fn matching(matches: &str, lists: &str, frames: &[Vec<u8>]) -> Vec<usize> {
    in_class(&format!("class-map match-any C\n{matches}"), lists, frames)
}

/// The byte of DSCP and ECN of an untagged frame.
fn class_byte(frame: &[u8]) -> u8 {
    let ip = &frame[14..];
    if ip[0] >> 4 == 6 { ip[0] << 4 | ip[1] >> 4 } else { ip[1] }
}

fn plain(ip: &[u8]) -> Vec<u8> {
    from_west(&[], ip)
}

#[test]
fn dscp_and_precedence_are_those_of_either_version_or_of_one() {
    let frames: Vec<_> = [(false, 46), (true, 46), (false, 40), (true, 44), (false, 10), (true, 0)]
        .map(|(v6, dscp)| plain(&with_class(ip(2, v6, 100), dscp << 2 | 1)))
        .into();
    let cases: [(&str, &[usize]); 10] = [
        (" match dscp ef", &[0, 1]),
        (" match dscp ef af11", &[0, 1, 4]),
        (" match dscp 40-46", &[0, 1, 2, 3]),
        (" match ip dscp ef", &[0]),
        (" match ipv6 dscp ef", &[1]),
        (" match dscp default", &[5]),
        (" match precedence 5", &[0, 1, 2, 3]),
        (" match precedence critical routine", &[0, 1, 2, 3, 5]),
        (" match ip precedence 5", &[0, 2]),
        (" match not precedence 5", &[4, 5]),
    ];
    for (matches, wanted) in cases {
        assert_eq!(matching(matches, "", &frames), wanted, "{matches}");
    }
}

#[test]
fn tags_are_those_that_the_frame_came_with() {
    let tagged = |tags: &[Tag]| from_west(tags, &ip(2, false, 100));
    let frames = [
        tagged(&[]),
        tagged(&[Tag(DOT1Q, 100)]),
        tagged(&[Tag(DOT1Q, 5 << 13 | 100)]),
        tagged(&[Tag(DOT1AD, 3 << 13 | 200), Tag(DOT1Q, 5 << 13 | 7)]),
        tagged(&[Tag(DOT1AD, 5 << 13 | 1 << 12 | 200), Tag(DOT1Q, 7)]),
        // A priority tag has a priority and no VLAN.
        tagged(&[Tag(DOT1Q, 5 << 13)]),
    ];
    let cases: [(&str, &[usize]); 10] = [
        (" match cos 5", &[2, 4, 5]),
        (" match cos 3 5", &[2, 3, 4, 5]),
        (" match cos 0", &[1]),
        (" match cos inner 5", &[3]),
        (" match cos inner 0", &[4]),
        (" match vlan 100", &[1, 2]),
        (" match vlan 100-200", &[1, 2, 3, 4]),
        (" match vlan inner 7", &[3, 4]),
        (" match dei 1", &[4]),
        (" match not cos 5", &[0, 1, 3]),
    ];
    for (matches, wanted) in cases {
        assert_eq!(matching(matches, "", &frames), wanted, "{matches}");
    }
}

#[test]
fn lengths_protocols_and_stations_are_matched() {
    let ends = (station(1, false), station(2, false));
    let other: Mac = [2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee];
    let frames = [
        plain(&ip(2, false, 100)),
        plain(&ip(2, false, 200)),
        plain(&ip(2, true, 200)),
        plain(&tcp(&ends.0, &ends.1, 64, (9, 80), 2, &payload(60))),
        plain(&echo(&ends.0, &ends.1, 64, false, &payload(60))),
        plain(&echo(&station(1, true), &station(2, true), 64, false, &payload(60))),
        frame(mac(1, 1), other, &[], &ip(2, false, 99)),
    ];
    let cases: [(&str, &[usize]); 12] = [
        (" match packet length min 150", &[1, 2]),
        (" match packet length max 100", &[0, 3, 4, 6]),
        (" match packet length min 100 max 100", &[0, 3]),
        (" match not packet length min 100 max 100", &[1, 2, 4, 5, 6]),
        (" match protocol tcp", &[3]),
        (" match protocol icmp icmpv6", &[4, 5]),
        (" match protocol 17", &[0, 1, 2, 6]),
        (" match protocol ipv6", &[2, 5]),
        (" match not protocol ip", &[2, 5]),
        (" match source-address mac 02aa.bbcc.ddee", &[6]),
        (" match not source-address mac 02aa.bbcc.ddee", &[0, 1, 2, 3, 4, 5]),
        (" match destination-address mac 0200.0000.0101", &[0, 1, 2, 3, 4, 5, 6]),
    ];
    for (matches, wanted) in cases {
        assert_eq!(matching(matches, "", &frames), wanted, "{matches}");
    }
}

/// What a list denies is not in the class, and goes on to the next match, and to the next class.
#[test]
fn an_access_group_is_what_its_list_permits() {
    let lists = "[[acl]]\ntext = '''\nip access-list extended WEB\n deny udp any any eq 54\n \
                 permit udp any any range 50 60\nipv6 access-list WEB\n permit udp any any eq 54\n\
                 access-list 101 permit udp any any eq 54\n'''\n";
    let to = |port: u16, v6: bool| {
        plain(&udp(&station(1, v6), &station(2, v6), 64, (9, port), &payload(40)))
    };
    let frames =
        [to(53, false), to(54, false), to(55, false), to(70, false), to(54, true), to(53, true)];
    let cases: [(&str, &[usize]); 6] = [
        (" match access-group name WEB", &[0, 2, 4]),
        (" match access-group ipv4 WEB", &[0, 2]),
        (" match not access-group ipv4 WEB", &[1, 3, 4, 5]),
        (" match access-group 101", &[1]),
        (" match access-group name WEB\n match access-group 101", &[0, 1, 2, 4]),
        (" match any", &[0, 1, 2, 3, 4, 5]),
    ];
    for (matches, wanted) in cases {
        assert_eq!(matching(matches, lists, &frames), wanted, "{matches}");
    }
}

#[test]
fn a_later_fragment_is_in_a_class_by_the_layer_3_part_of_what_its_list_permits() {
    let lists = "[[acl]]\ntext = '''\nip access-list extended WEB\n deny udp any any eq 54\n \
                 permit udp any any range 50 60\naccess-list 101 permit tcp any any eq 54\n'''\n";
    let part = |port: u16, field: u16| {
        let whole = udp(&station(1, false), &station(2, false), 64, (9, port), &payload(40));
        plain(&with_fragment_field(whole, field))
    };
    let frames =
        [part(53, 0x2000), part(54, 0x2000), part(70, 0x2000), part(70, 0x2006), part(70, 9)];
    let cases: [(&str, &[usize]); 3] = [
        (" match access-group name WEB", &[0, 3, 4]),
        (" match not access-group ipv4 WEB", &[1, 2]),
        (" match access-group 101", &[]),
    ];
    for (matches, wanted) in cases {
        assert_eq!(matching(matches, lists, &frames), wanted, "{matches}");
    }
}

#[test]
fn class_maps_are_of_all_their_matches_or_of_any_and_of_one_another() {
    let frames: Vec<_> = [(46, 100), (46, 900), (10, 100), (10, 900)]
        .map(|(dscp, len)| plain(&with_class(ip(2, false, len), dscp << 2)))
        .into();
    let cases: [(&str, &str, &[usize]); 6] = [
        (
            "class-map match-all A\n match dscp ef\n match packet length max 500\n",
            "match class-map A",
            &[0],
        ),
        (
            "class-map match-any A\n match dscp ef\n match packet length max 500\n",
            "match class-map A",
            &[0, 1, 2],
        ),
        (
            "class-map match-all A\n match dscp ef\n match not packet length max 500\n",
            "match class-map A",
            &[1],
        ),
        (
            "class-map match-all A\n match dscp ef\n match packet length max 500\n",
            "match not class-map A",
            &[1, 2, 3],
        ),
        (
            "class-map match-all A\n match dscp ef\nclass-map match-all B\n match not class-map A\n \
             match packet length min 500\n",
            "match class-map B",
            &[3],
        ),
        ("class-map A\n", "match class-map A", &[]),
    ];
    for (classes, matches, wanted) in cases {
        let text = format!("{classes}class-map match-any C\n {matches}");
        assert_eq!(in_class(&text, "", &frames), wanted, "{text}");
    }
}

/// QoS group and discard class stay inside the router, for the policy on its other side.
#[test]
fn what_ingress_notes_about_a_packet_egress_can_match() {
    let text = "class-map EF\n match dscp ef\nclass-map AF\n match dscp af11\n\
                class-map GROUP\n match qos-group 300\nclass-map DISCARD\n match discard-class 2\n\
                class-map NONE\n match qos-group 0\n\
                policy-map IN\n class EF\n  set qos-group 300\n class AF\n  set qos-group 301\n  \
                set discard-class 2\n\
                policy-map OUT\n class GROUP\n  set dscp 50\n class DISCARD\n  set dscp 51\n \
                class NONE\n  set dscp 52\n";
    let config = router(
        &[("west", "service_policy_in = \"IN\""), ("east", "service_policy_out = \"OUT\"")],
        text,
    );
    for v6 in [false, true] {
        let sent = [46, 10, 0].map(|dscp| with_class(ip(2, v6, 100), dscp << 2));
        let run = route(&config, &[&at_once(&sent)]);
        let found: Vec<u8> = run.frames(1).iter().map(|frame| class_byte(frame) >> 2).collect();
        assert_eq!(found, [50, 51, 52]);
        let matched = |name| packets(class(&run, "east", Direction::Out, name))[0];
        assert_eq!(["GROUP", "DISCARD", "NONE", "class-default"].map(matched), [1, 1, 1, 0]);
    }
}

/// The first class that a packet is in takes it, and nothing that a policy sets is matched by it.
#[test]
fn the_first_class_takes_a_packet_and_none_matches_what_another_sets() {
    let text = "class-map EF\n match dscp ef\nclass-map ANY\n match any\nclass-map CS1\n \
                match dscp cs1\npolicy-map P\n class EF\n  set dscp cs1\n class CS1\n  \
                set dscp cs2\n class ANY\n  set dscp cs3\n";
    let config = router(&[("west", "service_policy_in = \"P\"")], text);
    let sent = [46, 8, 0].map(|dscp| with_class(ip(2, false, 100), dscp << 2));
    let run = route(&config, &[&at_once(&sent)]);
    let found: Vec<u8> = run.frames(1).iter().map(|frame| class_byte(frame) >> 2).collect();
    assert_eq!(found, [8, 16, 24]);
    let matched = |name| packets(class(&run, "west", Direction::In, name))[0];
    assert_eq!(["EF", "CS1", "ANY", "class-default"].map(matched), [1, 1, 1, 0]);
}
