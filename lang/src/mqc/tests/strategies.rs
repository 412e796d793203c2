//! Random class maps and policies.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use qfp_core::qos::police::{BitsPerSecond, PacketsPerSecond, Percent, Rate};

use super::*;
use crate::acl::Family;
use crate::mac::MacAddr;

pub(super) const CLASSES: [&str; 6] = ["A", "B", "C", "D", "match-any", "type"];
pub(super) const POLICIES: [&str; 3] = ["top", "middle", "low"];
pub(super) const LISTS: [&str; 3] = ["L", "M", "101"];

fn names(names: &'static [&'static str]) -> impl Strategy<Value = Name> {
    select(names).prop_map(name)
}

fn ip() -> impl Strategy<Value = Ip> {
    select(&[Ip::Both, Ip::V4, Ip::V6][..])
}

/// Numbers near the ends of a field, so that random packets meet them.
fn numbers(min: u16, max: u16) -> impl Strategy<Value = Numbers> {
    vec((min..=max, 0..=max / 3), 1..4).prop_map(move |ranges| {
        ranges.into_iter().map(|(low, more)| low..=low.saturating_add(more).min(max)).collect()
    })
}

fn mac() -> impl Strategy<Value = MacAddr> {
    (0..3_u8).prop_map(|last| MacAddr([2, 0, 0, 0, 0, last]))
}

fn is(classes: &'static [&'static str]) -> BoxedStrategy<Match> {
    let family = select(&[Family::V4, Family::V6][..]);
    let length = (0..2000_u16, 0..2000_u16).prop_map(|(min, more)| min..=min + more);
    let field = prop_oneof![
        (ip(), numbers(0, 63)).prop_map(|(ip, numbers)| Match::Dscp(ip, numbers)),
        (ip(), numbers(0, 7)).prop_map(|(ip, numbers)| Match::Precedence(ip, numbers)),
        numbers(0, 7).prop_map(Match::Cos),
        numbers(0, 7).prop_map(Match::InnerCos),
        any::<bool>().prop_map(Match::Dei),
        numbers(1, 4094).prop_map(Match::Vlan),
        numbers(1, 4094).prop_map(Match::InnerVlan),
        numbers(0, 7).prop_map(Match::TopmostExp),
        numbers(0, 511).prop_map(Match::QosGroup),
        numbers(0, 7).prop_map(Match::DiscardClass),
        numbers(0, 255).prop_map(Match::Protocol),
    ];
    let other = prop_oneof![
        Just(Match::Any),
        family.prop_map(Match::Version),
        mac().prop_map(Match::SourceMac),
        mac().prop_map(Match::DestinationMac),
        length.prop_map(Match::PacketLength),
        (ip(), names(&LISTS)).prop_map(|(ip, list)| Match::AccessGroup(ip, list)),
    ];
    if classes.is_empty() {
        return prop_oneof![2 => field, 1 => other].boxed();
    }
    prop_oneof![6 => field, 3 => other, 2 => names(classes).prop_map(Match::Class)].boxed()
}

fn class(own: &'static str, below: &'static [&'static str]) -> BoxedStrategy<ClassMap> {
    let criterion = (prop::bool::weighted(0.3), is(below));
    let criterion = criterion.prop_map(|(not, is)| Criterion { not, is });
    let logic = select(&[Logic::Any, Logic::All][..]);
    let description = of(Just("two  words ! and more".parse().unwrap()));
    (logic, vec(criterion, 0..5), description)
        .prop_map(move |(logic, mut matches, description)| {
            let mut seen = Vec::new();
            matches.retain(|one| {
                !seen.contains(one) && {
                    seen.push(one.clone());
                    true
                }
            });
            ClassMap { name: name(own), description, logic, matches }
        })
        .boxed()
}

/// Class maps, each of which may name those behind it.
pub(super) fn classes() -> BoxedStrategy<Vec<ClassMap>> {
    const C: &[&str] = &CLASSES;
    (
        class(C[0], &C[1..]),
        class(C[1], &C[2..]),
        class(C[2], &C[3..]),
        class(C[3], &C[4..]),
        class(C[4], &C[5..]),
        class(C[5], &[]),
    )
        .prop_map(|(a, b, c, d, e, f)| vec![a, b, c, d, e, f])
        .boxed()
}

fn mark() -> BoxedStrategy<Mark> {
    prop_oneof![
        (ip(), 0..64_u8).prop_map(|(ip, value)| Mark::Dscp(ip, value)),
        (ip(), 0..8_u8).prop_map(|(ip, value)| Mark::Precedence(ip, value)),
        (0..8_u8).prop_map(Mark::Cos),
        (0..8_u8).prop_map(Mark::InnerCos),
        any::<bool>().prop_map(Mark::Dei),
        (0..8_u8).prop_map(Mark::ImposedExp),
        (0..8_u8).prop_map(Mark::TopmostExp),
        (0..512_u16).prop_map(Mark::QosGroup),
        (0..8_u8).prop_map(Mark::DiscardClass),
    ]
    .boxed()
}

fn marks() -> BoxedStrategy<Vec<Mark>> {
    vec(mark(), 0..3)
        .prop_map(|marks| {
            let mut kept: Vec<Mark> = Vec::new();
            for mark in marks {
                if !kept.iter().any(|own| own.collides(mark)) {
                    kept.push(mark);
                }
            }
            kept
        })
        .boxed()
}

fn outcome() -> BoxedStrategy<Outcome> {
    prop_oneof![Just(Outcome::Drop), marks().prop_map(Outcome::Transmit)].boxed()
}

fn percent() -> impl Strategy<Value = Percent> {
    (1..30_u8).prop_map(|percent| Percent::new(percent).unwrap())
}

fn bits() -> impl Strategy<Value = BitsPerSecond> {
    prop_oneof![1..5000_u64, (1..800_u64).prop_map(|rate| rate * 1_000_000)]
        .prop_map(|rate| BitsPerSecond::new(rate).unwrap())
}

fn burst(packets: bool) -> BoxedStrategy<Burst> {
    let size = (1..1_u64 << 41).prop_map(move |size| match packets {
        true => Size::Packets(size),
        false => Size::Bytes(size),
    });
    let time = (1..=u32::MAX)
        .prop_flat_map(|time| select(vec![Size::Milliseconds(time), Size::Microseconds(time)]));
    prop_oneof![
        Just(Burst::Default),
        Just(Burst::Auto250Ms),
        prop_oneof![size, time].prop_map(Burst::Size),
    ]
    .boxed()
}

pub(super) fn police() -> BoxedStrategy<Police> {
    let pps =
        (1..2_000_000_000_u64).prop_map(|rate| Rate::Packets(PacketsPerSecond::new(rate).unwrap()));
    let rate = prop_oneof![
        (bits().prop_map(Rate::Bits), Just(false)),
        (percent().prop_map(Rate::Percent), Just(false)),
        (pps, Just(true)),
    ];
    rate.prop_flat_map(|(rate, packets)| {
        let peak = of(Just(rate));
        let beyond = (peak, burst(packets), outcome()).prop_map(|(peak, burst, violate)| Beyond {
            peak,
            burst,
            violate,
        });
        let colours = (names(&CLASSES), of(names(&CLASSES)))
            .prop_map(|(conform, exceed)| ColourClasses { conform, exceed });
        let outcomes = (outcome(), outcome());
        (burst(packets), of(beyond), outcomes, of(colours), any::<bool>()).prop_map(
            move |(burst, beyond, (conform, exceed), colours, child_conform_aware)| Police {
                rate,
                burst,
                beyond,
                conform,
                exceed,
                colours,
                child_conform_aware,
            },
        )
    })
    .boxed()
}

fn share() -> BoxedStrategy<Share> {
    prop_oneof![bits().prop_map(Share::Bits), percent().prop_map(Share::Percent)].boxed()
}

fn size() -> BoxedStrategy<Size> {
    (0..5000_u32)
        .prop_flat_map(|size| {
            let number = size.into();
            select(vec![
                Size::Bits(number),
                Size::Bytes(number),
                Size::Packets(number),
                Size::Milliseconds(size),
                Size::Microseconds(size),
            ])
        })
        .boxed()
}

fn selector() -> impl Strategy<Value = Selector> {
    use Selector::{Cos, DiscardClass, Dscp, Exp, Precedence};
    select(&[Dscp, Precedence, Cos, Exp, DiscardClass][..])
}

fn random_detect() -> BoxedStrategy<RandomDetect> {
    of(selector())
        .prop_flat_map(|by| {
            let of_field = match by {
                Some(selector) => numbers(0, selector.max()).prop_map(Some).boxed(),
                None => Just(None).boxed(),
            };
            let curve = (of_field, 0..50_u64, 1..50_u64, of(1..=u16::MAX));
            let curve = curve.prop_map(|(of, min, more, denominator)| Curve {
                of,
                min: Size::Packets(min),
                max: Size::Packets(min + more),
                denominator,
            });
            (vec(curve, 0..3), of(1..17_u8), any::<bool>())
                .prop_map(move |(curves, weight, ecn)| RandomDetect { by, curves, weight, ecn })
        })
        .boxed()
}

fn queueing() -> BoxedStrategy<Queueing> {
    let priority = (1..4_u8, of(share()), of(1..=u32::MAX))
        .prop_map(|(level, limit, burst)| Priority { level, limit, burst });
    let remaining = prop_oneof![
        (1..1001_u16).prop_map(Remaining::Ratio),
        percent().prop_map(Remaining::Percent)
    ];
    let kind = select(&[ShapeKind::Average, ShapeKind::Peak][..]);
    let shape = (kind, share(), of(size()), of(size())).prop_map(|(kind, rate, bc, be)| Shape {
        kind,
        rate,
        bc,
        be,
    });
    let by = selector().prop_flat_map(|by| (Just(by), numbers(0, by.max())));
    let limit = (of(by), size()).prop_map(|(of, size)| QueueLimit { of, size });
    let fair = of(16..=4096_u16).prop_map(|queues| FairQueue { queues });
    let first = (of(priority), of(share()), of(remaining), of(shape));
    (first, vec(limit, 0..3), of(random_detect()), of(fair))
        .prop_map(
            |((priority, bandwidth, remaining, shape), queue_limits, random_detect, fair_queue)| {
                Queueing {
                    priority,
                    bandwidth,
                    remaining,
                    shape,
                    queue_limits,
                    random_detect,
                    fair_queue,
                }
            },
        )
        .boxed()
}

/// What a class says, which may not pass a check.
pub(super) fn actions() -> BoxedStrategy<Actions> {
    let queueing = prop_oneof![1 => Just(Queueing::default()), 2 => queueing()];
    (of(police()), marks(), queueing, of(names(&POLICIES)))
        .prop_map(|(police, marks, queueing, child)| Actions { police, marks, queueing, child })
        .boxed()
}
