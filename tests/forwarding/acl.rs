//! Access lists: what is denied is dropped once and counted once, what is permitted goes on.

use std::sync::{Arc, Mutex};

use qfp::client::acl::Family;
use qfp::core::fia::{FiaBuilder, Gate, TraceOutcome};
use qfp::core::packet::{DropReason, Vector};
use qfp::core::step::{Lcore, Step};
use qfp::hal::PacketMask;

use crate::capture::Timed;
use crate::packets::{
    DOT1Q, Mac, Tag, arp, echo, frame, link, mac, payload, tcp, udp, with_fragment_field,
};
use crate::router::{Run, TWO_NETWORKS, route, route_with};

/// [`TWO_NETWORKS`] with more keys for its ports, and lists.
pub(crate) fn lists(west: &str, east: &str, text: &str) -> String {
    let config = TWO_NETWORKS
        .replace("name = \"west\"\n", &format!("name = \"west\"\n{west}\n"))
        .replace("name = \"east\"\n", &format!("name = \"east\"\n{east}\n"));
    format!("{config}[[acl]]\ntext = '''\n{text}\n'''\n")
}

pub(crate) const V4: (&str, &str) = ("10.1.0.2", "203.0.113.9");
pub(crate) const V6: (&str, &str) = ("2001:db8:1::2", "2001:db8:ff::9");

/// The packets at once, from the west.
pub(crate) fn west(packets: &[Vec<u8>]) -> Vec<Timed> {
    packets.iter().map(|ip| (0, frame(mac(1, 1), mac(1, 2), &[], ip))).collect()
}

/// Sequence number, packets and bytes of every rule of a list.
pub(crate) fn counts(run: &Run, family: Family, name: &str) -> Vec<(u32, u64, u64)> {
    let is = |list: &&qfp::report::AccessListReport| (list.family, &*list.name) == (family, name);
    let list = run.report.access_lists.iter().find(is).unwrap();
    list.rules.iter().map(|rule| (rule.sequence, rule.packets, rule.bytes)).collect()
}

#[test]
fn what_a_list_denies_inbound_is_dropped_and_each_rule_counts_its_packets() {
    let text = "ip access-list extended EDGE\n permit udp any any eq 53\n deny udp any any\n\
                ipv6 access-list EDGE\n deny udp any any eq 53\n permit ipv6 any any";
    let config = lists("acl_in = \"EDGE\"", "", text);
    let mut packets = Vec::new();
    for (src, dst) in [V4, V6] {
        packets.extend(
            [(53, 10), (53, 20), (54, 30), (55, 40)]
                .map(|(port, len)| udp(src, dst, 64, (9, port), &payload(len))),
        );
    }
    packets.push(tcp(V4.0, V4.1, 64, (9, 80), 2, &[]));
    let run = route(&config, &[&west(&packets)]);
    assert_eq!(run.report.drops, [("Ipv4Acl", 3), ("Ipv6Acl", 2)]);
    assert_eq!(run.sent[1].len(), 4);
    let four = counts(&run, Family::V4, "EDGE");
    assert_eq!(four, [(10, 2, 2 * 42 + 30), (20, 2, 2 * 42 + 70), (0, 1, 54)]);
    let six = counts(&run, Family::V6, "EDGE");
    let nothing = [(0, 0, 0); 3];
    assert_eq!(six, [&[(10, 2, 2 * 62 + 30), (20, 2, 2 * 62 + 70)][..], &nothing].concat());
}

#[test]
fn what_a_list_denies_outbound_is_dropped_behind_the_rewrite() {
    let text = "access-list 101 deny udp any any eq 53\naccess-list 101 permit ip any any";
    let config = lists("", "acl_out = \"101\"", text);
    let packets = [53, 54].map(|port| udp(V4.0, V4.1, 64, (9, port), &payload(40)));
    // The other direction has no list.
    let back = udp("203.0.113.9", "10.1.0.2", 64, (9, 53), &payload(40));
    let back = [(0, frame(mac(2, 1), mac(2, 2), &[], &back))];
    let run = route(&config, &[&west(&packets), &back]);
    assert_eq!(run.report.drops, [("Ipv4Acl", 1)]);
    assert_eq!(counts(&run, Family::V4, "101"), [(10, 1, 82), (20, 1, 82), (0, 0, 0)]);
    let passed = udp(V4.0, V4.1, 63, (9, 54), &payload(40));
    assert_eq!(run.frames(1), [frame(mac(2, 2), mac(2, 1), &[], &passed)]);
    assert_eq!(run.frames(0).len(), 2, "the packet back, and what is said about the denied one");
}

/// RFC 1812 5.3.9: the source of a denied packet is told that communication is prohibited.
#[test]
fn the_source_of_a_denied_packet_is_told() {
    let config = lists("acl_in = \"1\"", "", "access-list 1 deny any");
    let run = route(&config, &[&west(&[udp(V4.0, V4.1, 64, (1, 2), &payload(40))])]);
    let [told] = run.frames(0)[..] else { panic!("{:?}", run.sent) };
    assert_eq!(told[34..36], [3, 13]);
}

/// ING-02 and ING-12: the result is known early and takes effect behind the route.
// rows: ARC-23
#[test]
fn classification_precedes_the_forwarding_lookup_and_action_follows_it() {
    let config = lists(
        "acl_in = \"1\"",
        "acl_out = \"2\"",
        "access-list 1 deny host 10.1.0.9\n\
                        access-list 1 permit any\naccess-list 2 deny host 10.1.0.8\n\
                        access-list 2 permit any",
    );
    let from = |src: &str| udp(src, V4.1, 64, (1, 2), &payload(40));
    let packets = west(&["10.1.0.9", "10.1.0.8", "10.1.0.7"].map(from));
    for fast in [true, false] {
        let fia = FiaBuilder::router();
        let fia = if fast { fia } else { fia.row_by_row() };
        let run = route_with(&config, &[&packets], |forwarder| forwarder.fia(fia).trace(3));
        assert_eq!(run.report.drops, [("Ipv4Acl", 2)]);
        let rows =
            |n: usize| -> Vec<&str> { run.traces[n].steps.iter().map(|step| step.row).collect() };
        let inbound = ["if-classify", "l3-parse", "acl-classify-in", "fib4-lookup", "next-hop"];
        let inbound = [&inbound[..], &["acl-act-in"]].concat();
        assert_eq!(rows(0), inbound);
        let by_row = ["ttl", "ifib-act", "adjacency", "l2-rewrite"];
        let rewrite = if fast { &["egress-fast"][..] } else { &by_row };
        let outbound = [&inbound[..], rewrite, &["acl-classify-out", "acl-act-out"]].concat();
        assert_eq!(rows(1), outbound);
        assert_eq!(rows(2), [&outbound[..], &["mtu", "tx"]].concat());
        let denied = TraceOutcome::Dropped(DropReason::Ipv4Acl);
        let outcomes: Vec<_> = run.traces.iter().map(|packet| packet.outcome).collect();
        assert_eq!(outcomes, [denied, denied, TraceOutcome::Sent]);
    }
}

/// A packet that is denied and has no route has the reason of the row that comes first, and is
/// counted once.
#[test]
fn a_packet_has_one_reason_even_when_it_has_two() {
    let config = lists("acl_in = \"1\"", "", "access-list 1 deny any");
    let run = route(&config, &[&west(&[udp(V4.0, "192.0.2.1", 64, (1, 2), &payload(40))])]);
    assert_eq!(run.report.drops, [("Ipv4NoRoute", 1)]);
    assert_eq!(counts(&run, Family::V4, "1"), [(10, 0, 0), (0, 0, 0)]);
}

#[test]
fn what_no_ace_matches_is_denied_and_a_list_without_aces_permits() {
    let packet = west(&[udp(V4.0, V4.1, 64, (1, 2), &payload(40))]);
    let of = |text: &str| {
        let run = route(&lists("acl_in = \"L\"", "", text), &[&packet]);
        (run.report.drops.clone(), counts(&run, Family::V4, "L"))
    };
    let denied = of("ip access-list extended L\n permit tcp any any");
    assert_eq!(denied, (vec![("Ipv4Acl", 1)], vec![(10, 0, 0), (0, 1, 82)]));
    assert_eq!(of("ip access-list extended L\n remark nothing"), (vec![], vec![(0, 1, 82)]));
}

#[test]
fn a_list_of_one_family_leaves_the_other_alone() {
    let config = lists("acl_in = \"L\"", "", "ip access-list extended L\n deny ip any any");
    let packets = [V4, V6].map(|(src, dst)| udp(src, dst, 64, (1, 2), &payload(40)));
    let run = route(&config, &[&west(&packets)]);
    assert_eq!(run.report.drops, [("Ipv4Acl", 1)]);
    assert_eq!(run.sent[1].len(), 1);
}

/// Fragments of one datagram: whole, first, middle, last.
fn fragments() -> [Vec<u8>; 4] {
    let whole = tcp(V4.0, V4.1, 64, (9, 80), 0x10, &payload(40));
    [0, 0x2000, 0x2005, 0x0005].map(|field| with_fragment_field(whole.clone(), field))
}

#[test]
fn an_ace_that_looks_at_layer_4_permits_later_fragments_and_does_not_deny_them() {
    let of = |ace: &str| {
        let text = format!("ip access-list extended L\n {ace}\n permit ip any any");
        let run = route(&lists("acl_in = \"L\"", "", &text), &[&west(&fragments())]);
        assert_eq!(run.sent[1].len() as u64 + run.report.dropped(), 4);
        counts(&run, Family::V4, "L")[0].1
    };
    assert_eq!(of("deny tcp any any eq 80"), 2);
    assert_eq!(of("deny tcp any any established"), 2);
    assert_eq!(of("deny tcp any any"), 4);
    assert_eq!(of("deny tcp any any fragments"), 2);
    assert_eq!(of("deny ip any any fragments"), 2);
    assert_eq!(of("deny udp any any fragments"), 0);
    // Of 80 it is the whole packet, the first fragment, and the later ones; of 81 these alone.
    assert_eq!(of("permit tcp any any eq 80"), 4);
    assert_eq!(of("permit tcp any any eq 81"), 2);
    assert_eq!(of("permit tcp any any established"), 4);
    assert_eq!(of("permit tcp any any syn"), 2);
    // By all that is said of layer 3.
    assert_eq!(of("permit udp any any eq 80"), 0);
    assert_eq!(of("permit tcp host 10.1.0.3 any eq 80"), 0);
    assert_eq!(of("permit tcp any any eq 81 dscp ef"), 0);
    assert_eq!(of("permit tcp any any eq 81 ttl lt 64"), 0);
    assert_eq!(of("permit tcp any any eq 81 ttl eq 64"), 2);
}

#[test]
fn a_later_fragment_goes_from_an_ace_that_denies_ports_on_to_the_next() {
    let text = "ip access-list extended L\n deny tcp any any eq 80\n permit tcp any any eq 22\n \
                deny ip any any fragments";
    let run = route(&lists("acl_in = \"L\"", "", text), &[&west(&fragments())]);
    let counted: Vec<u64> = counts(&run, Family::V4, "L").iter().map(|rule| rule.1).collect();
    assert_eq!((counted, run.sent[1].len()), (vec![2, 2, 0, 0], 2));
}

#[test]
fn neighbour_discovery_is_not_permitted_in_fragments() {
    let text = "ipv6 access-list L\n permit udp any any";
    let mut solicitation = udp(V6.0, V6.1, 64, (9, 53), &payload(40));
    solicitation.truncate(40 + 32);
    (solicitation[5], solicitation[6]) = (32, 44);
    solicitation[40..50].copy_from_slice(&[58, 0, 0, 0x19, 0, 0, 0, 1, 135, 0]);
    let run = route(&lists("acl_in = \"L\"", "", text), &[&west(&[solicitation])]);
    let counted: Vec<u64> = counts(&run, Family::V6, "L").iter().map(|rule| rule.1).collect();
    assert_eq!(counted, [0, 0, 0, 1]);
}

#[test]
fn established_are_segments_with_ack_or_rst() {
    let text = "ip access-list extended L\n permit tcp any any established";
    let flags = [0x02, 0x12, 0x10, 0x04, 0x01, 0x18, 0x00];
    let packets = flags.map(|flags| tcp(V4.0, V4.1, 64, (9, 80), flags, &[]));
    let run = route(&lists("acl_in = \"L\"", "", text), &[&west(&packets)]);
    assert_eq!(counts(&run, Family::V4, "L"), [(10, 4, 4 * 54), (0, 3, 3 * 54)]);
}

/// Behind the extension headers is what an ace looks at; a fragment header says which fragment.
#[test]
fn ipv6_extension_headers_are_looked_behind() {
    let text = "ipv6 access-list L\n deny udp any any eq 53\n deny ipv6 any any fragments\n \
                permit ipv6 any any";
    let plain = udp(V6.0, V6.1, 64, (9, 53), &payload(40));
    let behind = |headers: &[&[u8]], first: u8| {
        let extensions = headers.concat();
        let mut ip = plain.clone();
        ip.splice(40..40, extensions.iter().copied());
        let len = u16::try_from(ip.len() - 40).unwrap();
        ip[4..6].copy_from_slice(&len.to_be_bytes());
        ip[6] = first;
        ip
    };
    let destination = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let fragment = |word: u16| [&[17, 0][..], &word.to_be_bytes(), &[0, 0, 0, 1]].concat();
    let packets = [
        behind(&[&destination(17)], 60),
        behind(&[&destination(60), &destination(17)], 60),
        behind(&[&fragment(1)], 44),
        behind(&[&destination(44), &fragment(1)], 60),
        behind(&[&fragment(0x29)], 44),
        behind(&[&destination(44), &fragment(0x28)], 60),
        udp(V6.0, V6.1, 64, (53, 9), &payload(40)),
    ];
    let run = route(&lists("acl_in = \"L\"", "", text), &[&west(&packets)]);
    let counted: Vec<u64> = counts(&run, Family::V6, "L").iter().map(|rule| rule.1).collect();
    assert_eq!(counted, [4, 2, 1, 0, 0, 0]);
    assert_eq!((run.report.drops.clone(), run.sent[1].len()), (vec![("Ipv6Acl", 6)], 1));
}

#[test]
fn undetermined_transport_is_what_hides_its_upper_layer() {
    let text = "ipv6 access-list L\n deny ipv6 any any undetermined-transport\n \
                permit ipv6 any any";
    let six = |next: u8, behind: &[&[u8]]| {
        let behind = behind.concat();
        let mut ip = udp(V6.0, V6.1, 64, (9, 53), &[])[..40].to_vec();
        (ip[5], ip[6]) = (u8::try_from(behind.len()).unwrap(), next);
        ip.extend(behind);
        ip
    };
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let fragment = |next: u8, word: u8| [next, 0, 0, word, 0, 0, 0, 1];
    let hidden = [
        // First fragments that end in the chain, before the upper layer's header, and in it.
        six(44, &[&fragment(60, 1), &options(6)[..7]]),
        six(44, &[&fragment(60, 1), &options(6)]),
        six(44, &[&fragment(6, 1), &[0; 19]]),
        // Whole packets without all of that header.
        six(17, &[&[0; 7]]),
        six(60, &[&options(58), &[128, 0, 0]]),
        // Numbers that may be those of extension headers one day, and experiments.
        six(200, &[&[0; 80]]),
        six(60, &[&options(253), &[0; 80]]),
    ];
    let plain = [
        six(44, &[&fragment(6, 1), &[0; 24]]),
        six(44, &[&fragment(60, 8), &[0; 3]]),
        six(44, &[&fragment(200, 8), &[0; 8]]),
        six(17, &[&[0; 8]]),
        six(135, &[&options(58), &[128, 0, 0, 0]]),
        six(50, &[&[0; 8]]),
        six(59, &[]),
        six(89, &[&[0; 4]]),
    ];
    let packets = [&hidden[..], &plain].concat();
    let config = lists("acl_in = \"L\"\npass_tiny_fragments = true", "", text);
    let run = route(&config, &[&west(&packets)]);
    let counted: Vec<u64> = counts(&run, Family::V6, "L").iter().map(|rule| rule.1).collect();
    assert_eq!(counted, [hidden.len() as u64, plain.len() as u64, 0, 0, 0]);
    let mut sent: Vec<_> = run.frames(1).iter().map(|frame| frame[14 + 8..].to_vec()).collect();
    let mut wanted = plain.map(|ip| ip[8..].to_vec());
    sent.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(sent, wanted);
}

/// Lists and forwarding see the same protocol behind headers that a router passes.
#[test]
fn a_list_sees_what_is_behind_mobility_host_identity_and_authentication_headers() {
    let text = "ipv6 access-list L\n deny icmp any any echo-request\n deny 135 any any\n \
                permit ipv6 any any";
    let echo = echo(V6.0, V6.1, 64, false, &[]);
    let behind = |kind: u8, next: u8, len: u8| {
        let mut header = vec![next, len, 0, 0, 0, 0, 0, 0];
        header.resize(8 + usize::from(len) * if kind == 51 { 4 } else { 8 }, 0);
        let mut ip = echo.clone();
        ip[6] = kind;
        ip[5] += u8::try_from(header.len()).unwrap();
        ip.splice(40..40, header);
        ip
    };
    let mut packets: Vec<_> = [135, 139, 140, 60].map(|kind| behind(kind, 58, 1)).to_vec();
    packets.push(behind(51, 58, 4));
    // With nothing behind it, the mobility header is what the packet carries.
    packets.push(behind(135, 59, 1));
    packets.push(behind(135, 89, 1));
    let run = route(&lists("acl_in = \"L\"", "", text), &[&west(&packets)]);
    let counted: Vec<u64> = counts(&run, Family::V6, "L").iter().map(|rule| rule.1).collect();
    assert_eq!(counted, [5, 1, 1, 0, 0, 0]);
}

const ALL_HOSTS: Mac = [0x01, 0, 0x5e, 0, 0, 1];

/// An echo request with an option that routers must look at (RFC 2113).
fn router_alert(src: &str, dst: &str) -> Vec<u8> {
    let plain = echo(src, dst, 64, false, &payload(40));
    let (mut header, rest) = etherparse::Ipv4Header::from_slice(&plain).unwrap();
    header.options = [148, 4, 0, 0].into();
    header.set_payload_len(rest.len()).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], rest].concat()
}

/// What is for the router itself passes its inbound lists like all else, however early it leaves
/// the walk; ARP is not IP.
#[test]
fn packets_for_the_router_itself_are_filtered_and_arp_is_not() {
    let request = arp(false, (mac(1, 2), "10.1.0.2"), ([0; 6], "10.1.0.1"));
    let received: Vec<Timed> = [
        link([0xff; 6], mac(1, 2), &[], 0x0806, &request),
        frame(mac(1, 1), mac(1, 2), &[], &echo("10.1.0.2", "10.1.0.1", 64, false, &payload(40))),
        frame(mac(1, 1), mac(1, 2), &[], &router_alert("10.1.0.2", "203.0.113.9")),
        frame(ALL_HOSTS, mac(1, 2), &[], &echo("10.1.0.2", "224.0.0.1", 1, false, &payload(40))),
    ]
    .map(|frame| (0, frame))
    .to_vec();
    let of = |text: &str| route(&lists("acl_in = \"L\"", "", text), &[&received]);
    let denied = of("ip access-list extended L\n deny icmp any any");
    assert_eq!(
        (denied.report.drops.clone(), denied.report.punts.clone()),
        (vec![("Ipv4Acl", 3)], vec![("Arp", 1)])
    );
    assert_eq!(counts(&denied, Family::V4, "L")[0].1, 3);
    assert!(denied.frames(0).iter().any(|frame| frame[12..14] == [8, 6]), "no answer to ARP");
    let permitted = of("ip access-list extended L\n permit icmp any any");
    assert_eq!(permitted.report.drops, []);
    let mut punts = permitted.report.punts.clone();
    punts.sort_unstable();
    let wanted = [("Arp", 1), ("Ipv4ForUs", 1), ("Ipv4LocalGroup", 1), ("Ipv4Options", 1)];
    assert_eq!(punts, wanted);
    assert_eq!(counts(&permitted, Family::V4, "L")[0].1, 3);
    assert_eq!(permitted.sent[1].len(), 1, "the packet with the option goes on");
}

/// Neighbour discovery is permitted behind the last ace, and denied where an ace says so.
#[test]
fn an_ipv6_list_permits_neighbour_discovery_unless_an_ace_denies_it() {
    let solicitation = {
        let target: std::net::Ipv6Addr = "2001:db8:1::1".parse().unwrap();
        let mut bytes = Vec::new();
        let group: std::net::Ipv6Addr = "ff02::1:ff00:1".parse().unwrap();
        let src: std::net::Ipv6Addr = "2001:db8:1::2".parse().unwrap();
        let body = [&target.octets()[..], &[1, 1], &mac(1, 2)].concat();
        let packet = etherparse::PacketBuilder::ipv6(src.octets(), group.octets(), 255);
        packet.icmpv6_raw(135, 0, [0; 4]).write(&mut bytes, &body).unwrap();
        frame([0x33, 0x33, 0xff, 0, 0, 1], mac(1, 2), &[], &bytes)
    };
    let of = |text: &str| {
        let run = route(&lists("acl_in = \"L\"", "", text), &[&[(0, solicitation.clone())]]);
        (run.report.drops.clone(), run.sent[0].len(), counts(&run, Family::V6, "L"))
    };
    let (drops, answers, counted) = of("ipv6 access-list L\n permit tcp any any");
    assert_eq!((drops, answers), (vec![], 1));
    assert_eq!(counted.iter().map(|rule| rule.1).collect::<Vec<_>>(), [0, 0, 1, 0]);
    let (drops, answers, _) = of("ipv6 access-list L\n deny ipv6 any any");
    assert_eq!((drops, answers), (vec![("Ipv6Acl", 1)], 0));
}

#[test]
fn what_the_router_sends_itself_passes_its_outbound_lists() {
    let config = lists("acl_out = \"1\"", "", "access-list 1 deny any");
    let packets = [
        echo("10.1.0.2", "10.1.0.1", 64, false, &payload(40)),
        udp(V4.0, V4.1, 1, (1, 2), &payload(40)),
    ];
    let run = route(&config, &[&west(&packets)]);
    assert_eq!((run.report.drops.clone(), run.sent[0].len()), (vec![], 2));
    assert_eq!(counts(&run, Family::V4, "1"), [(10, 0, 0), (0, 0, 0)]);
}

/// Packets that the slow path holds or looks into are still somebody else's: they meet the lists of
/// the interface that they leave by, in the end.
#[test]
fn packets_that_go_on_after_the_slow_path_had_them_meet_outbound_lists() {
    let text = "ip access-list extended OUT\n deny udp any any eq 1\n deny icmp any any\n \
                permit ip any any";
    let config = lists("", "acl_out = \"OUT\"", text);
    let to = |port| udp(V4.0, "10.2.0.77", 64, (9, port), &payload(40));
    let mut packets = west(&[to(1), to(2), router_alert(V4.0, V4.1)]);
    packets.sort();
    let answer = arp(true, (mac(2, 7), "10.2.0.77"), (mac(2, 1), "10.2.0.1"));
    let answer = [(1_000_000, link(mac(2, 1), mac(2, 7), &[], 0x0806, &answer))];
    let run = route(&config, &[&packets, &answer]);
    let passed = udp(V4.0, "10.2.0.77", 63, (9, 2), &payload(40));
    let sent = run.frames(1).into_iter().filter(|frame| frame[12..14] == [8, 0]);
    assert_eq!(sent.collect::<Vec<_>>(), [frame(mac(2, 7), mac(2, 1), &[], &passed)]);
    assert_eq!(run.report.drops, [("Ipv4Acl", 2)]);
    let counted: Vec<u64> = counts(&run, Family::V4, "OUT").iter().map(|rule| rule.1).collect();
    assert_eq!(counted, [1, 1, 1, 0]);
}

/// A step of a user who wants to see what is captured.
struct Captured(Arc<Mutex<Vec<usize>>>);

impl Step for Captured {
    fn process(&mut self, _lcore: &mut Lcore<'_>, vector: &mut Vector, _select: PacketMask) {
        self.0.lock().unwrap().extend(vector.captured());
    }
}

#[test]
fn capture_marks_permitted_and_denied_packets_alike() {
    let text = "ip access-list extended L\n permit udp any any eq 1 capture\n\
                 deny udp any any eq 2 capture\n deny udp any any eq 3\n permit ip any any";
    let packets = [1, 2, 3, 4].map(|port| udp(V4.0, V4.1, 64, (9, port), &payload(40)));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (gate, noted) = (Gate::Always, Arc::clone(&seen));
    let make = move || Box::new(Captured(Arc::clone(&noted))) as Box<dyn Step>;
    let fia = FiaBuilder::router().insert_after("acl-act-in", "span", gate, make).unwrap();
    let config = lists("acl_in = \"L\"", "", text);
    let run = route_with(&config, &[&west(&packets)], |forwarder| forwarder.fia(fia));
    assert_eq!(run.report.drops, [("Ipv4Acl", 2)]);
    assert_eq!(*seen.lock().unwrap(), [0, 1]);
}

/// Sub-interfaces with lists of their own, and one without, in one vector.
#[test]
fn every_interface_has_its_own_lists() {
    let port = |n: u8, vlans: &str| {
        format!("[[port]]\nmac = \"02:00:00:00:0{n}:01\"\naddress = [\"10.{n}.0.1/24\"]\n{vlans}\n")
    };
    let vlan = |id: u16, rest: &str| format!("[[port.vlan]]\nid = {id}\n{rest}");
    let vlans = [
        vlan(10, "address = [\"10.1.10.1/24\"]\nacl_in = \"A\"\n"),
        vlan(20, "address = [\"10.1.20.1/24\"]\nacl_in = \"B\"\n"),
        vlan(30, "address = [\"10.1.30.1/24\"]\n"),
        vlan(40, "address = [\"10.1.40.1/24\"]\nacl_in = \"A\"\n"),
    ];
    let config = port(1, &vlans.concat())
        + &port(2, "")
        + "[[neighbor]]\naddress = \"10.2.0.2\"\nmac = \"02:00:00:00:02:02\"\n[[acl]]\ntext = '''\n\
           ip access-list extended A\n permit udp any any eq 1\n\
           ip access-list extended B\n permit udp any any eq 2\n'''\n";
    let mut received = Vec::new();
    for tags in
        [&[][..], &[Tag(DOT1Q, 10)], &[Tag(DOT1Q, 20)], &[Tag(DOT1Q, 30)], &[Tag(DOT1Q, 40)]]
    {
        for port in 1..4 {
            let ip = udp("10.9.9.9", "10.2.0.2", 64, (9, port), &payload(40));
            received.push((0, frame(mac(1, 1), mac(1, 9), tags, &ip)));
        }
    }
    let run = route(&config, &[&received]);
    let packets =
        |name| counts(&run, Family::V4, name).iter().map(|rule| rule.1).collect::<Vec<_>>();
    assert_eq!((packets("A"), packets("B")), (vec![2, 4], vec![1, 2]));
    // Three untagged and three of VLAN 30 have no list.
    assert_eq!(run.sent[1].len(), 3 + 1 + 1 + 3 + 1);
    assert!(run.report.drops.contains(&("Ipv4Acl", 6)), "{:?}", run.report.drops);
    let usage = run.report.tcam.unwrap();
    let objects: Vec<_> =
        usage.objects.iter().map(|(name, rules, used)| (name.to_string(), *rules, *used)).collect();
    let a = ("IPv4 access list A".to_owned(), 2, 2);
    assert_eq!(objects, [a, ("IPv4 access list B".to_owned(), 2, 1)]);
}
