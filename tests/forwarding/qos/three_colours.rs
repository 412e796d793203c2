//! Policers of three colours, and what becomes of each colour.

use qfp::client::ea::Direction;

use super::{MILLISECOND, at_once, class, class_of, from_west, ip, packets, router, with_class};
use crate::capture::Timed;
use crate::router::{Run, route};

const BIND: [(&str, &str); 1] = [("west", "service_policy_in = \"P\"")];

/// Frames at these milliseconds, that count for so many bytes.
fn arrivals(at: &[(u64, usize)]) -> Vec<Timed> {
    let frame = |bytes: usize| from_west(&[], &ip(2, false, bytes - 18));
    at.iter().map(|(time, bytes)| (time * MILLISECOND, frame(*bytes))).collect()
}

/// DSCPs of what was sent.
fn dscps(run: &Run) -> Vec<u8> {
    run.frames(1).iter().map(|frame| class_of(&frame[14..]) >> 2).collect()
}

/// Colours as DSCPs: conform 10, exceed 12, violate 14.
const COLOURS: &str = "conform-action set-dscp-transmit af11\n   \
                       exceed-action set-dscp-transmit af12\n   \
                       violate-action set-dscp-transmit af13";
const G: u8 = 10;
const Y: u8 = 12;
const R: u8 = 14;

/// RFC 2697: what the committed bucket cannot hold fills the other.
#[test]
fn one_rate_has_three_colours_with_an_excess_burst() {
    let text = format!(
        "policy-map P\n class class-default\n  police cir 8000 bc 2000 be 3000\n   {COLOURS}\n"
    );
    let at = [
        (0, 1000),
        (0, 1000),
        (0, 1000),
        (0, 1000),
        (0, 1000),
        (0, 1000),
        (1000, 1000),
        (1000, 1000),
        (3000, 1500),
        (3500, 1000),
        (10_000, 1518),
        (10_000, 1000),
    ];
    let run = route(&router(&BIND, &text), &[&arrivals(&at)]);
    assert_eq!(dscps(&run), [G, G, Y, Y, Y, R, G, R, G, G, G, Y]);
    let class = class(&run, "west", Direction::In, "class-default");
    assert_eq!(packets(class), [12, 6, 4, 2, 0]);
}

/// RFC 2698: what exceeds the peak rate violates, whatever the committed bucket holds.
#[test]
fn two_rates_have_three_colours() {
    let text = format!(
        "policy-map P\n class class-default\n  police cir 8000 bc 1526 pir 16000 be 3026\n   \
         {COLOURS}\n"
    );
    let at = [
        (0, 1000),
        (0, 1000),
        (0, 1000),
        (0, 1000),
        (500, 500),
        (500, 500),
        (500, 500),
        (4000, 1518),
        (4000, 1500),
        (4000, 100),
    ];
    let run = route(&router(&BIND, &text), &[&arrivals(&at)]);
    assert_eq!(dscps(&run), [G, Y, Y, R, G, G, R, G, Y, R]);
    let class = class(&run, "west", Direction::In, "class-default");
    assert_eq!(packets(class), [10, 4, 3, 3, 0]);
}

#[test]
fn the_colours_that_are_dropped_are_counted_as_dropped() {
    let text = "policy-map P\n class class-default\n  police cir 8000 bc 2000 be 3000\n   \
                conform-action transmit\n   exceed-action set-dscp-transmit af12\n   \
                violate-action drop\n";
    let run = route(&router(&BIND, text), &[&arrivals(&[(0, 1000); 9])]);
    assert_eq!(dscps(&run), [0, 0, Y, Y, Y]);
    let class = class(&run, "west", Direction::In, "class-default");
    assert_eq!(packets(class), [9, 2, 3, 4, 4]);
    assert_eq!(class.transmitted().bytes, 5000);
    assert_eq!(run.report.drops, [("Policer", 4)]);
}

/// The colour that packets come with is what their classes say (RFC 2697 and 2698, colour-aware).
#[test]
fn packets_come_with_the_colour_of_the_class_that_they_are_in() {
    let text = format!(
        "class-map GREEN\n match dscp 1\nclass-map YELLOW\n match dscp 2\n\
         policy-map P\n class class-default\n  police cir 8000 bc 2000 be 3000\n   \
         conform-color GREEN exceed-color YELLOW\n   {COLOURS}\n"
    );
    // The colour-aware sequence of RFC 2697: green, yellow, red, green, green, yellow.
    let came = [1, 2, 3, 1, 1, 2, 2];
    let packets = came.map(|dscp| with_class(ip(2, false, 982), dscp << 2));
    let run = route(&router(&BIND, &text), &[&at_once(&packets)]);
    assert_eq!(dscps(&run), [G, Y, R, G, Y, Y, R]);
}
