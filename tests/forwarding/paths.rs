//! Several paths of one prefix.

use std::collections::{BTreeMap, BTreeSet};

use crate::capture::Timed;
use crate::packets::{frame, mac, payload, udp};
use crate::router::{Run, route};

/// A router between one network in the west and three neighbours in the east.
fn config(weights: [u8; 3]) -> String {
    let mut text = String::from(
        "[[port]]\nname = \"west\"\naddress = [\"10.1.0.1/24\", \"2001:db8:1::1/64\"]\n\
         [[port]]\nname = \"east\"\naddress = [\"10.2.0.1/24\", \"2001:db8:2::1/64\"]\n",
    );
    for (host, weight) in (2..).zip(weights) {
        for (prefix, via) in [("203.0.113.0/24", "10.2.0."), ("2001:db8:ff::/48", "2001:db8:2::")] {
            text += &format!(
                "[[neighbor]]\naddress = \"{via}{host}\"\nmac = \"02:00:00:00:02:0{host}\"\n\
                 [[route]]\nprefix = \"{prefix}\"\nvia = \"{via}{host}\"\nweight = {weight}\n"
            );
        }
    }
    text
}

/// `count` flows of `times` packets each, of one family.
fn flows(count: u16, times: u64, ipv6: bool) -> Vec<Timed> {
    let (src, dst) =
        if ipv6 { ("2001:db8:1::2", "2001:db8:ff::9") } else { ("10.1.0.2", "203.0.113.9") };
    let packet = |time, flow: u16| {
        let ip = udp(src, dst, 64, (1024 + flow, 53), &payload(20));
        (time, frame(mac(1, 1), mac(1, 2), &[], &ip))
    };
    (0..times).flat_map(|time| (0..count).map(move |flow| packet(time, flow))).collect()
}

/// Source ports by the host they were sent to, and every host a source port was sent to.
fn members(run: &Run) -> BTreeMap<u16, BTreeSet<u8>> {
    let mut members = BTreeMap::<u16, BTreeSet<u8>>::new();
    for sent in run.frames(1) {
        let ports = if sent[12] == 0x08 { 34 } else { 54 };
        let port = u16::from_be_bytes([sent[ports], sent[ports + 1]]);
        members.entry(port).or_default().insert(sent[5]);
    }
    members
}

/// Flows on each of the hosts 2, 3 and 4.
fn shares(members: &BTreeMap<u16, BTreeSet<u8>>) -> [usize; 3] {
    [2, 3, 4].map(|host| members.values().filter(|hosts| hosts.contains(&host)).count())
}

#[test]
fn a_flow_keeps_its_path_and_all_paths_are_used() {
    for ipv6 in [false, true] {
        let run = route(&config([1, 1, 1]), &[&flows(300, 4, ipv6)]);
        assert_eq!(run.sent[1].len(), 1200);
        let members = members(&run);
        assert!(members.values().all(|hosts| hosts.len() == 1), "a flow has changed its path");
        for share in shares(&members) {
            assert!((60..=140).contains(&share), "{:?}", shares(&members));
        }
    }
}

#[test]
fn a_path_of_more_weight_has_more_of_the_flows() {
    for ipv6 in [false, true] {
        let run = route(&config([1, 2, 5]), &[&flows(800, 1, ipv6)]);
        let [one, two, five] = shares(&members(&run));
        assert_eq!(one + two + five, 800);
        assert!((50..=150).contains(&one), "{one} of 100");
        assert!((140..=260).contains(&two), "{two} of 200");
        assert!((430..=570).contains(&five), "{five} of 500");
    }
}
