//! What the text says, in the words of IOS XE and of IOS XR.

use super::*;
use crate::acl::Family;
use crate::mac::MacAddr;

#[test]
fn matches_are_read_in_both_dialects() {
    let mac = MacAddr([2, 0, 0x5e, 0, 0x53, 1]);
    let cases: Vec<(&str, Match)> = vec![
        ("match any", Match::Any),
        ("match access-group 101", Match::AccessGroup(Ip::Both, name("101"))),
        ("match access-group name WEB", Match::AccessGroup(Ip::Both, name("WEB"))),
        ("match access-group ipv4 WEB", Match::AccessGroup(Ip::V4, name("WEB"))),
        ("match access-group ipv6 WEB", Match::AccessGroup(Ip::V6, name("WEB"))),
        ("match dscp ef 10 af13", Match::Dscp(Ip::Both, [46, 10, 14].into())),
        ("match ip dscp default", Match::Dscp(Ip::V4, [0].into())),
        ("match dscp ipv4 8-10,46", Match::Dscp(Ip::V4, [8, 9, 10, 46].into())),
        ("match dscp ipv6 ef", Match::Dscp(Ip::V6, [46].into())),
        ("match ipv6 dscp ef", Match::Dscp(Ip::V6, [46].into())),
        ("match precedence critical 6", Match::Precedence(Ip::Both, [5, 6].into())),
        ("match ip precedence 5", Match::Precedence(Ip::V4, [5].into())),
        ("match cos 1 3 5", Match::Cos([1, 3, 5].into())),
        ("match cos inner 5", Match::InnerCos([5].into())),
        ("match dei 1", Match::Dei(true)),
        ("match vlan 10 20-30", Match::Vlan([10..=10, 20..=30].into_iter().collect())),
        ("match vlan inner 4094", Match::InnerVlan([4094].into())),
        ("match mpls experimental topmost 5 6", Match::TopmostExp([5, 6].into())),
        ("match qos-group 511", Match::QosGroup([511].into())),
        ("match discard-class 2", Match::DiscardClass([2].into())),
        ("match protocol udp 6", Match::Protocol([17, 6].into())),
        ("match protocol icmp", Match::Protocol([1].into())),
        ("match protocol ip", Match::Version(Family::V4)),
        ("match protocol ipv6", Match::Version(Family::V6)),
        ("match source-address mac 0200.5e00.5301", Match::SourceMac(mac)),
        ("match destination-address mac 02:00:5e:00:53:01", Match::DestinationMac(mac)),
        ("match packet length min 64 max 1500", Match::PacketLength(64..=1500)),
        ("match packet length min 64", Match::PacketLength(64..=u16::MAX)),
        ("match packet length max 64", Match::PacketLength(0..=64)),
        ("match packet length 64-128", Match::PacketLength(64..=128)),
        ("match class-map inner", Match::Class(name("inner"))),
    ];
    for (line, is) in cases {
        assert_eq!(matched(line), Criterion { not: false, is: is.clone() }, "{line}");
        let not = line.replacen("match", "MATCH Not", 1);
        assert_eq!(matched(&not), Criterion { not: true, is }, "{not}");
    }
}

#[test]
fn marks_are_read_in_both_dialects() {
    let cases = [
        ("set dscp af13", Mark::Dscp(Ip::Both, 14)),
        ("set ip dscp 63", Mark::Dscp(Ip::V4, 63)),
        ("set ipv6 dscp ef", Mark::Dscp(Ip::V6, 46)),
        ("set precedence 5", Mark::Precedence(Ip::Both, 5)),
        ("set ip precedence network", Mark::Precedence(Ip::V4, 7)),
        ("set cos 3", Mark::Cos(3)),
        ("set cos inner 4", Mark::InnerCos(4)),
        ("set cos-inner 4", Mark::InnerCos(4)),
        ("set dei 1", Mark::Dei(true)),
        ("set mpls experimental imposition 2", Mark::ImposedExp(2)),
        ("set mpls experimental topmost 1", Mark::TopmostExp(1)),
        ("set qos-group 99", Mark::QosGroup(99)),
        ("set discard-class 7", Mark::DiscardClass(7)),
    ];
    for (line, mark) in cases {
        assert_eq!(actions(line).marks, [mark], "{line}");
        let police = actions(&format!("police 8000\n exceed-action {line}")).police.expect(line);
        assert_eq!(police.exceed, Outcome::Transmit(vec![mark]), "{line}");
    }
    let both = actions("set dscp ef\nset cos 5");
    assert_eq!(both.marks, [Mark::Dscp(Ip::Both, 46), Mark::Cos(5)]);
}

#[test]
fn queueing_actions_stay_in_the_model() {
    use qfp_core::qos::police::{BitsPerSecond, Percent};
    let bits = |rate| Share::Bits(BitsPerSecond::new(rate).unwrap());
    let percent = |percent| Percent::new(percent).unwrap();
    let queueing = |lines| actions(lines).queueing;
    let priority = |level, limit, burst| Some(Priority { level, limit, burst });
    assert_eq!(queueing("priority").priority, priority(1, None, None));
    assert_eq!(queueing("priority 1000").priority, priority(1, Some(bits(1_000_000)), None));
    let with_burst = priority(1, Some(bits(1_000_000)), Some(25_000));
    assert_eq!(queueing("priority 1000 25000").priority, with_burst);
    let share = priority(2, Some(Share::Percent(percent(20))), None);
    assert_eq!(queueing("priority level 2 percent 20").priority, share);
    assert_eq!(queueing("bandwidth 1000").bandwidth, Some(bits(1_000_000)));
    assert_eq!(queueing("bandwidth 10 mbps").bandwidth, Some(bits(10_000_000)));
    let shares = queueing("bandwidth percent 30\nbandwidth remaining ratio 4");
    assert_eq!(shares.bandwidth, Some(Share::Percent(percent(30))));
    assert_eq!(shares.remaining, Some(Remaining::Ratio(4)));
    let remaining = queueing("bandwidth remaining percent 30").remaining;
    assert_eq!(remaining, Some(Remaining::Percent(percent(30))));
    let shape = |kind, rate, bc, be| Some(Shape { kind, rate, bc, be });
    let (average, peak) = (ShapeKind::Average, ShapeKind::Peak);
    let ms = Size::Milliseconds;
    assert_eq!(queueing("shape average 10m").shape, shape(average, bits(10_000_000), None, None));
    let sized = shape(average, bits(64_000), Some(Size::Bits(8_000)), Some(Size::Bits(0)));
    assert_eq!(queueing("shape average 64000 8000 0").shape, sized);
    let share = shape(peak, Share::Percent(percent(20)), Some(ms(300)), Some(ms(100)));
    assert_eq!(queueing("shape peak percent 20 300 ms 100 ms").shape, share);
    let xr = shape(average, bits(1_000_000_000), Some(ms(10)), None);
    assert_eq!(queueing("shape average 1 gbps 10 ms").shape, xr);
    let limits = "shape average 1m\nqueue-limit 100 ms\nqueue-limit dscp af11,af12 64 packets\n\
                  queue-limit cos 3 20000 bytes\nqueue-limit exp 1 500 us";
    let limit = |of, size| QueueLimit { of, size };
    assert_eq!(
        queueing(limits).queue_limits,
        [
            limit(None, Size::Milliseconds(100)),
            limit(Some((Selector::Dscp, [10, 12].into())), Size::Packets(64)),
            limit(Some((Selector::Cos, [3].into())), Size::Bytes(20_000)),
            limit(Some((Selector::Exp, [1].into())), Size::Microseconds(500)),
        ]
    );
    assert_eq!(queueing("fair-queue").fair_queue, Some(FairQueue { queues: None }));
    assert_eq!(queueing("fair-queue 256").fair_queue, Some(FairQueue { queues: Some(256) }));
}

#[test]
fn random_detect_goes_by_one_field() {
    let detect = |lines: &str| {
        let queueing = actions(&format!("bandwidth percent 1\n{lines}")).queueing;
        queueing.random_detect.expect(lines)
    };
    let by = |by| RandomDetect { by, ..RandomDetect::default() };
    assert_eq!(detect("random-detect"), by(Some(Selector::Precedence)));
    assert_eq!(detect("random-detect dscp-based"), by(Some(Selector::Dscp)));
    assert_eq!(detect("random-detect default"), by(None));
    let packets = Size::Packets;
    let curve = |of, min, max, denominator| Curve { of, min, max, denominator };
    let full = detect(
        "random-detect dscp-based\nrandom-detect ecn\nrandom-detect dscp af11 24 40 10\n\
         random-detect dscp 46 30 packets 50 packets\n\
         random-detect exponential-weighting-constant 9",
    );
    assert_eq!(
        full,
        RandomDetect {
            by: Some(Selector::Dscp),
            ecn: true,
            weight: Some(9),
            curves: vec![
                curve(Some([10].into()), packets(24), packets(40), Some(10)),
                curve(Some([46].into()), packets(30), packets(50), None),
            ],
        }
    );
    let (low, high) = (Size::Milliseconds(10), Size::Milliseconds(20));
    let xr = detect("random-detect 10 ms 20 ms probability 5");
    assert_eq!(xr, RandomDetect { curves: vec![curve(None, low, high, Some(5))], ..by(None) });
    assert_eq!(detect("random-detect exp 3,4 1 2").by, Some(Selector::Exp));
}

const XR: &str = "\
class-map match-any VOICE
 match dscp ipv4 ef
 match mpls experimental topmost 5
 end-class-map
!
class-map type qos match-any BULK
 match access-group ipv4 BULK
 end-class-map
!
policy-map type qos PARENT
 class class-default
  service-policy CHILD
  shape average 100 mbps
 !
 end-policy-map
!
policy-map CHILD
 class VOICE
  priority level 1
  police rate 10 mbps burst 250 ms
   conform-action set mpls experimental imposition 5
   conform-action set dscp ef
   exceed-action drop
  !
 !
 class type qos BULK
  bandwidth remaining percent 40
 !
 class class-default
 !
 end-policy-map
!
end
";

#[test]
fn a_text_of_ios_xr_prints_in_the_words_of_ios() {
    let printed = "\
class-map match-any BULK
 match access-group ipv4 BULK
class-map match-any VOICE
 match ip dscp ef
 match mpls experimental topmost 5
policy-map CHILD
 class VOICE
  priority level 1
  police cir 10000000 bc 250 ms
   conform-action set-mpls-exp-imposition-transmit 5
   conform-action set-dscp-transmit ef
   exceed-action drop
 class BULK
  bandwidth remaining percent 40
policy-map PARENT
 class class-default
  shape average 100000000
  service-policy CHILD
";
    assert_eq!(parse(XR).to_string(), printed);
    assert_eq!(parse(printed), parse(XR));
}

#[test]
fn a_text_adds_to_what_is_there_and_may_be_applied_again() {
    let mut policies = parse(XR);
    let before = policies.clone();
    policies.apply(XR, &Limits::default()).unwrap();
    assert_eq!(policies, before);

    let edit = "policy-map CHILD\n class VOICE\n  police cir 20m\n   exit\n  set cos 5\n  exit\n \
                description edited ! in place\n exit\nclass-map VOICE\n match cos 5\n";
    policies.apply(edit, &Limits::default()).unwrap();
    let child = policies.policy("CHILD").unwrap();
    assert_eq!(child.description.as_ref().unwrap().as_str(), "edited ! in place");
    let voice = child.actions("VOICE").unwrap();
    assert_eq!(voice.marks, [Mark::Cos(5)]);
    assert_eq!(voice.police.as_ref().unwrap().burst, Burst::Default);
    assert!(voice.queueing.priority.is_some(), "stays");
    assert_eq!(policies.class("VOICE").unwrap().matches.len(), 3);

    let gone = "no policy-map PARENT\nno policy-map CHILD\nno class-map match-any BULK\n\
                no class-map match-any VOICE\nno class-map NEVER\n";
    policies.apply(gone, &Limits::default()).unwrap();
    assert_eq!(policies, Policies::default());
}

#[test]
fn a_class_may_be_called_like_a_keyword() {
    let text = "class-map match-all match-any\n match cos 1\nclass-map match-all type\n match cos 2\n\
                policy-map type\n class match-any\n  set cos 1\n class type\n  set cos 2\n";
    assert_eq!(parse(text).to_string(), text);
    assert_eq!(parse("class-map type\nclass-map match-any\n").classes().count(), 2);
}

#[test]
fn class_default_is_last_wherever_it_stands() {
    let text = "class-map A\npolicy-map P\n class CLASS-default\n  set cos 1\n class A\n";
    let policies = parse(text);
    let classes: Vec<&str> = policies.policy("P").unwrap().all().map(|(name, _)| name).collect();
    assert_eq!(classes, ["A", CLASS_DEFAULT]);
    assert_eq!(policies.policy("P").unwrap().default.marks, [Mark::Cos(1)]);
}

#[test]
fn queueing_is_found_by_name_through_the_hierarchy() {
    let policies = parse(XR);
    assert_eq!(policies.policy("PARENT").unwrap().queueing(), Some((CLASS_DEFAULT, "shape")));
    let text = "class-map A\npolicy-map C\n class A\n  bandwidth remaining ratio 2\n\
                policy-map P\n class A\n  set cos 1\n  service-policy C\npolicy-map Q\n";
    let policies = parse(text);
    assert_eq!(policies.policy("P").unwrap().queueing(), None);
    let found = policies.queueing("P").unwrap();
    assert_eq!((found.policy, found.class, found.action), ("C", "A", "bandwidth remaining"));
    assert_eq!(policies.queueing("Q"), None);
    assert_eq!(policies.queueing("none"), None);
}
