//! Policy routing: what a route map matches goes where it says, and all else as usual.

use qfp::client::acl::Family;
use qfp::core::fia::FiaBuilder;

use crate::acl::{V4, V6, lists, west};
use crate::packets::{echo, frame, mac, payload, udp, with_fragment_field};
use crate::router::{Run, route, route_with};

/// Two more neighbours of the east that are known, and what a policy may be about.
fn config(text: &str, acl: &str) -> String {
    let known = |address: &str, host: u8| {
        format!("[[neighbor]]\naddress = \"{address}\"\nmac = \"02:00:00:00:02:{host:02}\"\n")
    };
    let text = format!("[[route_map]]\ntext = '''\n{text}\n'''\n");
    lists("policy_route = \"P\"", "", &format!("access-list 110 permit udp any any eq 53\n{acl}"))
        + &known("10.2.0.3", 3)
        + &known("10.2.0.4", 4)
        + &known("2001:db8:2::3", 3)
        + &text
}

fn packet((src, dst): (&str, &str), ttl: u8, port: u16) -> Vec<u8> {
    udp(src, dst, ttl, (9, port), &payload(40))
}

/// MAC addresses of the stations that the router sent packets in the east to, by their last byte.
fn stations(run: &Run) -> Vec<u8> {
    run.frames(1).iter().map(|frame| frame[5]).collect()
}

#[test]
fn what_matches_goes_to_the_policy_s_next_hop_and_all_else_as_routed() {
    let config =
        config("route-map P permit 10\n match ip address 110\n set ip next-hop 10.2.0.3", "");
    let run =
        route(&config, &[&west(&[packet(V4, 64, 53), packet(V4, 64, 54), packet(V6, 64, 53)])]);
    let sent = |host, packet: Vec<u8>| frame(mac(2, host), mac(2, 1), &[], &packet);
    let wanted =
        [sent(3, packet(V4, 63, 53)), sent(2, packet(V4, 63, 54)), sent(2, packet(V6, 63, 53))];
    let mut found = run.frames(1);
    found.sort_by_key(|frame| wanted.iter().position(|wanted| wanted == frame));
    assert_eq!(found, wanted);
    let maps: Vec<_> = run.report.route_maps.iter().map(|map| (map.family, &*map.name)).collect();
    // An entry that is for IPv4 lists alone is none for IPv6 packets.
    assert_eq!(maps, [(Family::V4, "P")]);
    let entry = &run.report.route_maps[0].entries[0];
    assert_eq!((entry.sequence, entry.packets, entry.bytes), (10, 1, 82));
    assert_eq!(&*entry.text, "permit, match ip address 110, set ip next-hop 10.2.0.3");
}

#[test]
fn a_later_fragment_goes_where_its_layer_3_part_is_permitted() {
    let text = "route-map P permit 10\n match ip address 111\n set ip next-hop 10.2.0.3\n\
                route-map P permit 20\n match ip address 110\n set ip next-hop 10.2.0.4";
    let acl = "access-list 111 deny udp any any eq 53\naccess-list 111 permit tcp any any eq 53\n";
    let fragments = [0x2000, 0x2003, 5].map(|field| with_fragment_field(packet(V4, 64, 53), field));
    // Denied ports go on to the next entry, and so does what only might have them.
    let run = route(&config(text, acl), &[&west(&fragments)]);
    assert_eq!(stations(&run), [4, 4, 4]);
    let other = [0x2000, 0x2003, 5].map(|field| with_fragment_field(packet(V4, 64, 54), field));
    let run = route(&config(text, acl), &[&west(&other)]);
    let mut found = stations(&run);
    found.sort_unstable();
    assert_eq!(found, [2, 4, 4]);
    // A route map that denies what a list permits routes it as usual, later fragments too.
    let text = text.replace("permit 20", "deny 20");
    let run = route(&config(&text, acl), &[&west(&fragments)]);
    assert_eq!(stations(&run), [2, 2, 2]);
}

#[test]
fn ipv6_packets_have_next_hops_of_their_own() {
    let text = "route-map P permit 10\n set ip next-hop 10.2.0.4\n set ipv6 next-hop 2001:db8:2::3";
    let run = route(&config(text, ""), &[&west(&[packet(V4, 64, 1), packet(V6, 64, 1)])]);
    let mut found = stations(&run);
    found.sort_unstable();
    assert_eq!(found, [3, 4]);
}

/// Whoever asks for the MAC address of an unknown next hop asks for that of the next hop, not of the
/// packet's destination.
#[test]
fn a_next_hop_that_is_unknown_is_asked_for_and_the_packet_waits_for_it() {
    let config = config(
        "route-map P permit 10\n set ip next-hop 10.2.0.77\n set ipv6 next-hop 2001:db8:2::77",
        "",
    );
    let run = route(&config, &[&west(&[packet(V4, 64, 1), packet(V6, 64, 1)])]);
    let frames = run.frames(1);
    let arp = frames.iter().find(|frame| frame[12..14] == [8, 6]).unwrap();
    assert_eq!(arp[38..42], [10, 2, 0, 77]);
    let solicitation = frames.iter().find(|frame| frame[12..14] == [0x86, 0xdd]).unwrap();
    let target: std::net::Ipv6Addr = "2001:db8:2::77".parse().unwrap();
    assert_eq!(solicitation[62..78], target.octets());
    assert_eq!(run.report.punts, [("Glean", 2)]);
    // The answer lets it go.
    let answer = crate::packets::arp(true, (mac(2, 7), "10.2.0.77"), (mac(2, 1), "10.2.0.1"));
    let answer = crate::packets::link(mac(2, 1), mac(2, 7), &[], 0x0806, &answer);
    let run = route(&config, &[&west(&[packet(V4, 64, 1)]), &[(1_000_000, answer)]]);
    assert!(run.frames(1).contains(&&*frame(mac(2, 7), mac(2, 1), &[], &packet(V4, 63, 1))));
}

#[test]
fn the_first_next_hop_that_there_is_a_route_to_is_taken() {
    let config = config("route-map P permit 10\n set ip next-hop 192.0.2.1 10.2.0.3 10.2.0.4", "");
    assert_eq!(stations(&route(&config, &[&west(&[packet(V4, 64, 1)])])), [3]);
    let none = config.replace("192.0.2.1 10.2.0.3 10.2.0.4", "192.0.2.1");
    assert_eq!(stations(&route(&none, &[&west(&[packet(V4, 64, 1)])])), [2], "as routed");
}

#[test]
fn the_first_entry_decides_and_one_that_denies_routes_as_usual() {
    let text = "route-map P deny 5\n match ip address 110\nroute-map P permit 10\n \
                set ip next-hop 10.2.0.3\nroute-map P permit 20\n set interface Null0";
    let run = route(&config(text, ""), &[&west(&[packet(V4, 64, 53), packet(V4, 64, 54)])]);
    assert_eq!(stations(&run), [2, 3]);
    let counted: Vec<_> =
        run.report.route_maps[0].entries.iter().map(|e| (e.sequence, e.packets)).collect();
    assert_eq!(counted, [(5, 1), (10, 1), (20, 0)]);
}

/// A list that denies a packet of an entry leaves it to the entries behind.
#[test]
fn what_a_list_denies_is_left_to_the_next_entry() {
    let acl = "access-list 111 deny udp any any eq 53\naccess-list 111 permit udp any any";
    let text = "route-map P permit 10\n match ip address 111\n set ip next-hop 10.2.0.3\n\
                route-map P permit 20\n match ip address 110\n set ip next-hop 10.2.0.4";
    let packets = [packet(V4, 64, 53), packet(V4, 64, 54), echo(V4.0, V4.1, 64, false, &[])];
    assert_eq!(stations(&route(&config(text, acl), &[&west(&packets)])), [4, 3, 2]);
}

#[test]
fn null0_drops_unless_a_next_hop_is_there_and_other_packets_pass() {
    let text = "route-map P permit 10\n match ip address 110\n set interface Null0";
    let packets = west(&[packet(V4, 64, 53), packet(V4, 64, 54)]);
    let run = route(&config(text, ""), &[&packets]);
    assert_eq!((run.report.drops.clone(), stations(&run)), (vec![("PbrNull0", 1)], vec![2]));
    let both = format!("{text}\n set ip next-hop 10.2.0.3");
    let run = route(&config(&both, ""), &[&packets]);
    assert_eq!((run.report.drops.clone(), stations(&run)), (vec![], vec![3, 2]));
}

#[test]
fn a_default_next_hop_takes_the_place_of_the_default_route_alone() {
    let text = "route-map P permit 10\n set ip default next-hop 10.2.0.3\n \
                set ipv6 default next-hop 2001:db8:2::3";
    let unknown = (V4.0, "192.0.2.1");
    let unknown6 = (V6.0, "2001:db8:dead::1");
    let packets = [V4, unknown, V6, unknown6].map(|ends| packet(ends, 64, 1));
    let with_default = "[[route]]\nprefix = \"0.0.0.0/0\"\nvia = \"10.2.0.4\"\n";
    for default in ["", with_default] {
        let run = route(&(config(text, "") + default), &[&west(&packets)]);
        let mut found = stations(&run);
        found.sort_unstable();
        assert_eq!(found, [2, 2, 3, 3], "{default}");
        assert_eq!(run.report.drops, []);
    }
}

#[test]
fn a_policy_may_route_in_the_table_of_a_vrf() {
    let vrf = "[[port]]\nname = \"red\"\nmac = \"02:00:00:00:03:01\"\nvrf = \"RED\"\n\
               address = [\"10.3.0.1/24\"]\n[[neighbor]]\naddress = \"10.3.0.2\"\ndev = \"red\"\n\
               mac = \"02:00:00:00:03:02\"\n[[route]]\nprefix = \"203.0.113.0/24\"\nvrf = \"RED\"\n\
               via = \"10.3.0.2\"\n";
    let text = "route-map P permit 10\n match ip address 110\n set vrf RED";
    let run = route(&(config(text, "") + vrf), &[&west(&[packet(V4, 64, 53), packet(V4, 64, 54)])]);
    assert_eq!(run.frames(1), [frame(mac(2, 2), mac(2, 1), &[], &packet(V4, 63, 54))]);
    assert_eq!(run.frames(2), [frame(mac(3, 2), mac(3, 1), &[], &packet(V4, 63, 53))]);
}

/// The byte of DSCP and ECN and the TTL change together, and the checksum is right.
#[test]
fn a_new_code_point_and_the_new_ttl_share_one_right_checksum() {
    for fast in [true, false] {
        for (set, class, before) in
            [("dscp ef", 0xbb, 0x03), ("precedence 5", 0xa7, 0x47), ("dscp 0", 0x02, 0xfe)]
        {
            let text = format!("route-map P permit 10\n set ip {set}");
            let mut ip = packet(V4, 64, 53);
            ip[1] = before;
            let (mut header, rest) = etherparse::Ipv4Header::from_slice(&ip).unwrap();
            header.header_checksum = header.calc_header_checksum();
            let ip = [&header.to_bytes()[..], rest].concat();
            let mut six = packet(V6, 64, 53);
            six[0] = 0x60 | before >> 4;
            six[1] = before << 4 | 0x5;
            let fia = FiaBuilder::router();
            let fia = if fast { fia } else { fia.row_by_row() };
            let received = west(&[ip, six]);
            let run = route_with(&config(&text, ""), &[&received], |forwarder| forwarder.fia(fia));
            let [four, six] = run.frames(1)[..] else { panic!("{:?}", run.sent) };
            let header = etherparse::Ipv4Header::from_slice(&four[14..]).unwrap().0;
            assert_eq!((four[15], header.time_to_live), (class, 63), "{set}");
            assert_eq!(header.header_checksum, header.calc_header_checksum(), "{set}");
            assert_eq!((six[14], six[15], six[21]), (0x60 | class >> 4, class << 4 | 5, 63));
        }
    }
}

#[test]
fn what_an_access_list_denies_is_not_policy_routed() {
    let text = "route-map P permit 10\n set ip next-hop 10.2.0.77\n set ip dscp ef";
    let config = config(text, "access-list 1 deny any")
        .replace("policy_route = \"P\"", "policy_route = \"P\"\nacl_in = \"1\"");
    let run = route(&config, &[&west(&[packet(V4, 64, 53)])]);
    assert_eq!((run.report.drops.clone(), run.sent[1].len()), (vec![("Ipv4Acl", 1)], 0));
    assert_eq!(run.report.route_maps[0].entries[0].packets, 0);
    // What its source is told quotes the packet as it came.
    assert_eq!(run.frames(0)[0][34 + 8..][..20], packet(V4, 64, 53)[..20]);
}

#[test]
fn packets_for_the_router_itself_are_not_policy_routed() {
    for set in ["ip next-hop 10.2.0.3", "interface Null0"] {
        let config = config(&format!("route-map P permit 10\n set {set}"), "");
        let ask = |own| echo("10.1.0.2", own, 64, false, &payload(40));
        let run = route(&config, &[&west(&["10.1.0.1", "10.2.0.1"].map(ask))]);
        assert_eq!((run.sent[0].len(), run.sent[1].len()), (2, 0), "{set}");
        assert_eq!(
            (run.report.drops.clone(), run.report.punts.clone()),
            (vec![], vec![("Ipv4ForUs", 2)])
        );
    }
}

#[test]
fn packets_that_the_slow_path_looks_at_keep_the_policy_s_next_hop() {
    let text = "route-map P permit 10\n set ip next-hop 10.2.0.3\n set ipv6 next-hop 2001:db8:2::3";
    // Router alerts.
    let mut four = etherparse::Ipv4Header::from_slice(&packet(V4, 64, 1)).unwrap().0;
    four.options = [148, 4, 0, 0].into();
    four.total_len += 4;
    four.header_checksum = four.calc_header_checksum();
    let four = [&four.to_bytes()[..], &packet(V4, 64, 1)[20..]].concat();
    let mut six = packet(V6, 64, 1);
    six.splice(40..40, [six[6], 0, 5, 2, 0, 0, 1, 0]);
    (six[5], six[6]) = (six[5] + 8, 0);
    let run = route(&config(text, ""), &[&west(&[four, six])]);
    assert_eq!(run.report.punts, [("Ipv4Options", 1), ("Ipv6HopByHop", 1)]);
    assert_eq!(stations(&run), [3, 3]);
}
