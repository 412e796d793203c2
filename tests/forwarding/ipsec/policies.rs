//! Security policies: what an interface protects, lets pass and discards.

use super::path::{SECOND, message, sized, too_big};
use crate::gateways::{LAN, Pair, WAN, counts, ip, numbers, run, spi};
use crate::packets::{echo, payload, tcp, udp, with_fragment_field};
use crate::router::Run;

/// Entries of a side: DNS of the other side passes, port 54 there is discarded, and all else
/// between the two networks is protected.
fn entries(side: u8) -> Vec<String> {
    let other = 3 - side;
    let nets = format!("local = \"10.{side}.0.0/16\"\nremote = \"10.{other}.0.0/16\"\n");
    // What is remote for the west is local for the east.
    let port = if side == 1 { "remote_port" } else { "local_port" };
    vec![
        format!("name = \"dns\"\naction = \"bypass\"\n{nets}protocol = \"udp\"\n{port} = 53"),
        format!("name = \"no\"\naction = \"discard\"\n{nets}protocol = 17\n{port} = \"54-55\""),
        format!("name = \"all\"\naction = \"protect\"\n{nets}sa_out = \"out\"\nsa_in = [\"in\"]"),
    ]
}

fn config(pair: &Pair, side: u8) -> String {
    let entries = entries(side);
    pair.policy(side, &entries.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What a side makes of packets that come in by a port.
fn side(config: &str, side: u8, port: usize, packets: &[Vec<u8>]) -> Run {
    let timed: Vec<_> = packets.iter().map(|ip| (0, ip.clone())).collect();
    if port == LAN { run(config, side, &timed, &[]) } else { run(config, side, &[], &timed) }
}

/// UDP from the west's network to a port of the east's.
fn to(port: u16, ttl: u8) -> Vec<u8> {
    udp("10.1.0.2", "10.2.0.2", ttl, (7, port), &payload(40))
}

/// Packets that the rules of entries have matched, by entry, direction and whether it is the rule for
/// later fragments.
fn matched(run: &Run) -> Vec<(&str, &str, bool, u64)> {
    let rules = run.report.security.iter().filter(|one| one.count.packets > 0);
    rules
        .map(|one| {
            let rule = &one.rule;
            (&*rule.entry, rule.direction.name(), rule.fragments, one.count.packets)
        })
        .collect()
}

#[test]
fn the_first_entry_that_matches_says_what_becomes_of_a_packet() {
    let pair = Pair::default();
    let web = tcp("10.1.0.2", "10.2.0.2", 64, (7, 80), 2, &[]);
    let packets = [to(52, 64), to(53, 64), to(54, 64), to(55, 64), to(56, 64), web];
    let west = side(&config(&pair, 1), 1, LAN, &packets);
    assert_eq!(west.report.drops, [("SpdDiscard", 2)]);
    let sent = ip(&west, WAN);
    let mut protocols: Vec<u8> = sent.iter().map(|ip| ip[9]).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, [17, 50, 50, 50], "DNS alone is in the clear");
    let esp = sent.iter().filter(|ip| ip[9] == 50);
    assert!(esp.map(|ip| numbers(ip)).eq((1..=3).map(|n| (spi(1), n))));
    assert_eq!(
        matched(&west),
        [("wan/all", "out", false, 3), ("wan/dns", "out", false, 1), ("wan/no", "out", false, 2)]
    );
    assert_eq!(counts(&west, "out"), (3, vec![]));
    let east = side(&config(&pair, 2), 2, WAN, &sent);
    let mut got = ip(&east, LAN);
    let web = tcp("10.1.0.2", "10.2.0.2", 62, (7, 80), 2, &[]);
    let mut wanted = vec![to(52, 62), to(53, 62), to(56, 62), web];
    got.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(got, wanted);
    assert_eq!((counts(&east, "in"), east.report.dropped()), ((3, vec![]), 0));
}

#[test]
fn what_an_entry_wants_protected_or_discarded_is_not_taken_in_the_clear() {
    let pair = Pair::default();
    let packets: Vec<_> = (52..=56).map(|port| to(port, 64)).collect();
    let east = side(&config(&pair, 2), 2, WAN, &packets);
    assert_eq!(ip(&east, LAN), [to(53, 63)]);
    let mut drops = east.report.drops.clone();
    drops.sort_unstable();
    assert_eq!(drops, [("SpdDiscard", 2), ("SpdUnprotected", 2)]);
    // What no entry names passes.
    let other = udp("172.16.0.1", "10.2.0.2", 64, (7, 56), &[]);
    assert_eq!(side(&config(&pair, 2), 2, WAN, &[other]).sent[LAN].len(), 1);
}

#[test]
fn what_an_sa_carries_must_be_what_its_entry_says() {
    let pair = Pair::default();
    let narrow = "name = \"all\"\naction = \"protect\"\nlocal = \"10.2.0.0/25\"\n\
                  remote = \"10.1.0.0/16\"\nprotocol = 17\nsa_in = \"in\"";
    let packets = [
        to(56, 64),
        udp("10.1.0.2", "10.2.0.200", 64, (7, 9), &payload(40)),
        tcp("10.1.0.2", "10.2.0.2", 64, (7, 80), 2, &[]),
    ];
    let sent = ip(&side(&config(&pair, 1), 1, LAN, &packets), WAN);
    assert_eq!(sent.len(), 3);
    let east = side(&pair.policy(2, &[narrow]), 2, WAN, &sent);
    assert_eq!(ip(&east, LAN), [to(56, 62)]);
    assert_eq!(east.report.drops, [("EspPolicy", 2)]);
    assert_eq!(counts(&east, "in"), (1, vec![("EspPolicy", 2)]));
}

#[test]
fn both_families_are_told_apart_and_an_entry_without_addresses_is_for_both() {
    let pair = Pair::default();
    let any = "name = \"all\"\naction = \"protect\"\nprotocol = \"tcp\"\nsa_out = \"out\"";
    let packets = [
        tcp("10.1.0.2", "10.2.0.2", 64, (7, 80), 2, &[]),
        tcp("2001:db8:1::2", "2001:db8:2::2", 64, (7, 80), 2, &[]),
        udp("2001:db8:1::2", "2001:db8:2::2", 64, (7, 80), &[]),
    ];
    let west = side(&pair.policy(1, &[any]), 1, LAN, &packets);
    assert_eq!(counts(&west, "out"), (2, vec![]));
    let sent = ip(&west, WAN);
    assert_eq!(sent.iter().filter(|ip| ip[0] >> 4 == 6).count(), 1, "UDP over IPv6 passes");
    let four = "name = \"all\"\naction = \"protect\"\nlocal = \"0.0.0.0/0\"\nsa_out = \"out\"";
    assert_eq!(counts(&side(&pair.policy(1, &[four]), 1, LAN, &packets), "out"), (1, vec![]));
}

#[test]
fn later_fragments_of_what_ports_tell_apart_do_not_pass_in_the_clear() {
    let pair = Pair::default();
    let entry = "name = \"web\"\naction = \"protect\"\nremote = \"10.2.0.0/16\"\n\
                 protocol = \"udp\"\nremote_port = 80\nsa_out = \"out\"";
    let packets = [
        to(80, 64),
        to(81, 64),
        with_fragment_field(to(80, 64), 0x2000),
        with_fragment_field(to(80, 64), 100),
    ];
    let west = side(&pair.policy(1, &[entry]), 1, LAN, &packets);
    assert_eq!(counts(&west, "out"), (2, vec![]));
    assert_eq!(west.report.drops, [("SpdDiscard", 1)]);
    assert_eq!(matched(&west), [("wan/web", "out", false, 2), ("wan/web", "out", true, 1)]);
    // Another entry may protect them, and none may let them pass.
    let all = |action: &str| format!("name = \"all\"\naction = \"{action}\"\n");
    let no = entry.replace("protect", "discard").replace("sa_out = \"out\"", "");
    let rest = all("protect") + "sa_out = \"out\"";
    assert_eq!(counts(&side(&pair.policy(1, &[&no, &rest]), 1, LAN, &packets), "out"), (2, vec![]));
    let run = side(&pair.policy(1, &[entry, &all("bypass")]), 1, LAN, &packets);
    assert_eq!((run.sent[WAN].len(), &run.report.drops[..]), (3, &[("SpdDiscard", 1)][..]));
    // An entry in between that lets others pass takes nothing from the one that protects.
    let other = "name = \"other\"\naction = \"bypass\"\nremote = \"10.2.7.0/24\"";
    let run = side(&pair.policy(1, &[&no, other, &rest]), 1, LAN, &packets);
    assert_eq!(counts(&run, "out"), (2, vec![]));
}

#[test]
fn in_transport_mode_hosts_and_this_router_itself_are_protected() {
    let pair = Pair { sa: "mode = \"transport\"".to_owned(), ..Pair::default() };
    let entry = |local: &str, remote: &str| {
        format!(
            "name = \"host\"\naction = \"protect\"\nlocal = \"{local}\"\nremote = \"{remote}\"\n\
             sa_out = \"out\"\nsa_in = \"in\""
        )
    };
    let west = pair.policy(1, &[&entry("10.1.0.2", "192.0.2.2")]);
    let east = pair.policy(2, &[&entry("192.0.2.2", "10.1.0.2")]);
    let ping = echo("10.1.0.2", "192.0.2.2", 64, false, &payload(40));
    let sent = ip(&side(&west, 1, LAN, std::slice::from_ref(&ping)), WAN);
    let [esp] = &sent[..] else { panic!("{} packets", sent.len()) };
    assert_eq!((esp[9], &esp[12..20], esp[8]), (50, &[10, 1, 0, 2, 192, 0, 2, 2][..], 63));
    // The east opens it and answers, as protected as it was asked.
    let run = side(&east, 2, WAN, &sent);
    assert_eq!((counts(&run, "in"), counts(&run, "out")), ((1, vec![]), (1, vec![])));
    let answer = ip(&run, WAN);
    let [esp] = &answer[..] else { panic!("{} packets: {:?}", answer.len(), run.report) };
    assert_eq!((esp[9], &esp[12..20]), (50, &[192, 0, 2, 2, 10, 1, 0, 2][..]));
    assert_eq!(numbers(esp), (spi(2), 1));
    // In the clear nobody hears it.
    let run = side(&east, 2, WAN, &[ping]);
    assert_eq!((run.sent[WAN].len(), &run.report.drops[..]), (0, &[("SpdUnprotected", 1)][..]));
}

#[test]
fn what_is_too_large_for_an_entry_is_told_so() {
    let pair = Pair::default();
    let mut large = udp("10.1.0.2", "10.2.0.2", 64, (7, 9), &payload(1500 - 28));
    large[6] = 0x40;
    let run = side(&config(&pair, 1), 1, LAN, &[with_fragment_field(large, 0x4000)]);
    let back = ip(&run, LAN);
    let [error] = &back[..] else { panic!("{} packets: {:?}", back.len(), run.report) };
    assert_eq!((error[20], error[21], &error[26..28]), (3, 4, &1446_u16.to_be_bytes()[..]));
    // One that may be cut gets through in two.
    let large = udp("10.1.0.2", "10.2.0.2", 64, (7, 9), &payload(1500 - 28));
    let run = side(&config(&pair, 1), 1, LAN, &[large]);
    assert_eq!((run.sent[WAN].len(), counts(&run, "out")), (2, (2, vec![])), "{:?}", run.report);
}

#[test]
fn a_path_that_is_smaller_makes_an_entry_smaller() {
    let pair = Pair::default();
    let config = config(&pair, 1);
    let sent = ip(&side(&config, 1, LAN, &[sized(1000, true)]), WAN);
    let lan = [(SECOND, sized(1300, true)), (3 * SECOND, sized(1300, true))];
    let run = run(&config, 1, &lan, &[(2 * SECOND, too_big(&sent[0], 1300))]);
    assert_eq!(ip(&run, WAN).iter().map(Vec::len).collect::<Vec<_>>(), [1356]);
    let told = ip(&run, LAN);
    assert_eq!(told.iter().map(|ip| message(ip).2).collect::<Vec<_>>(), [1246]);
}

/// The policy of a sub-interface: tags are those of its link.
#[test]
fn a_sub_interface_has_a_policy_of_its_own() {
    let wan = "name = \"wan\"\nmac = \"02:00:00:00:09:01\"\n";
    let vlan = "[[port.vlan]]\nid = 7\nname = \"wan\"\n";
    let untagged = wan.replace("\"wan\"", "\"trunk\"");
    for (mode, entry) in [
        ("tunnel", "local = \"10.1.0.0/16\"\nremote = \"10.2.0.0/16\""),
        ("transport", "local = \"10.1.0.2\"\nremote = \"192.0.2.2\""),
    ] {
        let pair = Pair { sa: format!("mode = \"{mode}\""), ..Pair::default() };
        let entry = format!("name = \"all\"\naction = \"protect\"\n{entry}\nsa_out = \"out\"");
        let config = pair.policy(1, &[&entry]);
        assert!(config.contains(wan));
        let config = config.replace(wan, &format!("{untagged}{vlan}"));
        let dst = if mode == "tunnel" { "10.2.0.2" } else { "192.0.2.2" };
        let packet = udp("10.1.0.2", dst, 64, (7, 9), &payload(40));
        let run = side(&config, 1, LAN, &[packet]);
        let frames = run.frames(WAN);
        let [frame] = &frames[..] else { panic!("{mode}: {:?}", run.report) };
        assert_eq!(frame[12..18], [0x81, 0, 0, 7, 8, 0], "{mode}");
        assert_eq!(frame[18 + 9], 50, "{mode}");
    }
}

#[test]
fn an_entry_without_an_sa_asks_for_one_and_lets_nothing_pass() {
    let pair = Pair::default();
    let entry = "name = \"all\"\naction = \"protect\"\nremote = \"10.2.0.0/16\"";
    let run = side(&pair.policy(1, &[entry]), 1, LAN, &[to(56, 64)]);
    assert_eq!((run.sent[WAN].len(), &run.report.drops[..]), (0, &[("EspNoSa", 1)][..]));
    let asked = crate::gateways::events(&run);
    assert_eq!(asked, ["wan/all has packets to send and no SA"]);
}
