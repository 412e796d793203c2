//! Service policies, as `show policy-map interface` and as JSON.

use std::fmt::Write;

use qfp::core::qos::police::PolicerWarning;
use qfp::report::{ClassReport, Count, RunReport};
use serde_json::{Map, Value, json};

/// As `show policy-map interface`; none when no policy is bound. Rates are averages of the run.
pub(crate) fn text(report: &RunReport) -> Option<String> {
    let mut text = String::new();
    let mut bound = None;
    for class in &report.classes {
        let place = (&class.class.interface, class.class.direction);
        let policy = class.class.path.first().map_or("", |(policy, _)| policy);
        if bound != Some(place) {
            let blank = if bound.is_some() { "\n" } else { "" };
            bound = Some(place);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{blank}{} {}: {policy}\n", place.0, place.1.ios());
        }
        one(&mut text, class, report.elapsed_s);
    }
    (!text.is_empty()).then(|| text.trim_end().to_owned())
}

fn one(text: &mut String, class: &ClassReport, elapsed_s: f64) {
    let indent = "  ".repeat(class.class.path.len().saturating_sub(1));
    let Some((policy, name)) = class.class.path.last() else { return };
    let title = if indent.is_empty() { String::new() } else { format!("Policy {policy} ") };
    let _ = writeln!(text, "{indent}{title}Class {name}");
    let _ = writeln!(
        text,
        "{indent}  Classification statistics          (packets/bytes)     (rate - kbps)"
    );
    let mut row = |name: &str, count: Count| {
        let counts = format!("{}/{}", count.packets, count.bytes);
        let rate = kbps(count, elapsed_s);
        let _ = writeln!(text, "{indent}    {name:<20}:  {counts:>24}  {rate:>14}");
    };
    row("Matched", class.matched);
    if class.policed {
        row("Transmitted", class.transmitted());
        row("Total Dropped", class.dropped);
    } else {
        let _ = writeln!(text, "{indent}    {:<20}:  {:>24}", "Transmitted", "N/A");
        let _ = writeln!(text, "{indent}    {:<20}:  {:>24}", "Total Dropped", "N/A");
    }
    if !class.policed {
        return;
    }
    let _ = writeln!(
        text,
        "{indent}  Policing statistics                (packets/bytes)     (rate - kbps)"
    );
    let colours = [
        ("Policed(conform)", class.conform),
        ("Policed(exceed)", class.exceed),
        ("Policed(violate)", class.violate),
        ("Policed and dropped", class.dropped),
    ];
    for (name, count) in colours {
        let counts = format!("{}/{}", count.packets, count.bytes);
        let rate = kbps(count, elapsed_s);
        let _ = writeln!(text, "{indent}    {name:<20}:  {counts:>24}  {rate:>14}");
    }
    for warning in &class.warnings {
        let _ = writeln!(text, "{indent}  {}", advice(warning));
    }
}

/// What the operator ought to know.
fn advice(warning: &PolicerWarning) -> String {
    match warning {
        PolicerWarning::Rounded { rate, programmed } => {
            format!("rate {} bps is programmed as {} bps", rate.get(), programmed.get())
        }
        PolicerWarning::DefaultBurst { rate, burst } => {
            format!("burst {burst} bytes follows from rate {} bps: better say one", rate.get())
        }
        PolicerWarning::Raised { burst, raised, .. } => {
            format!("burst {burst} bytes is raised to {raised}, the largest frame")
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
#[expect(clippy::cast_possible_truncation, reason = "a rate for people to read")]
#[expect(clippy::cast_sign_loss, reason = "rates are not negative")]
fn kbps(count: Count, elapsed_s: f64) -> u64 {
    if elapsed_s > 0.0 { (count.bytes as f64 * 8.0 / elapsed_s / 1000.0) as u64 } else { 0 }
}

/// `{interface: {direction: {class: {...}}}}`; classes of child policies by their path.
pub(crate) fn json(report: &RunReport) -> Value {
    let mut interfaces = Map::new();
    for class in &report.classes {
        let names: Vec<&str> = class.class.path.iter().map(|(_, name)| name.as_str()).collect();
        let policy = class.class.path.first().map_or("", |(policy, _)| policy);
        let count = |count: Count| json!({ "packets": count.packets, "bytes": count.bytes });
        let counts = json!({
            "policy": policy,
            "matched": count(class.matched),
            "transmitted": count(class.transmitted()),
            "dropped": count(class.dropped),
            "conform": count(class.conform),
            "exceed": count(class.exceed),
            "violate": count(class.violate),
        });
        let interface = interfaces
            .entry(class.class.interface.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        interface[class.class.direction.name()][names.join("/")] = counts;
    }
    Value::Object(interfaces)
}

#[cfg(test)]
mod tests {
    use qfp::client::ea::{BoundClass, Direction};
    use qfp::core::qos::police::BitsPerSecond;

    use super::*;
    use crate::report::tests::example;

    fn count(packets: u64) -> Count {
        Count { packets, bytes: packets * 1000 }
    }

    /// A class of the interface `wan` with these packets: matched, and by colour.
    fn class(direction: Direction, path: &[(&str, &str)], counts: [u64; 4]) -> ClassReport {
        let path = path.iter().map(|(policy, name)| ((*policy).to_owned(), (*name).to_owned()));
        let [matched, conform, exceed, violate] = counts;
        ClassReport {
            class: BoundClass {
                interface: "wan".to_owned(),
                direction,
                path: path.collect::<Vec<_>>().into(),
            },
            warnings: Vec::new(),
            policed: conform + exceed + violate > 0,
            matched: count(matched),
            conform: count(conform),
            exceed: count(exceed),
            violate: count(violate),
            dropped: count(exceed + violate),
        }
    }

    /// Two seconds of a policy for what comes in, with a child, and of one for what leaves.
    fn report() -> RunReport {
        let rate = |rate| BitsPerSecond::new(rate).unwrap();
        let rounded = PolicerWarning::Rounded { rate: rate(100_000), programmed: rate(64_000) };
        let mut voice = class(Direction::In, &[("EDGE", "VOICE")], [1000, 900, 60, 40]);
        voice.warnings.push(rounded);
        let rest = ("EDGE", "class-default");
        let classes = vec![
            voice,
            class(Direction::In, &[rest], [500, 0, 0, 0]),
            class(Direction::In, &[rest, ("CHILD", "WEB")], [300, 250, 50, 0]),
            class(Direction::Out, &[("UP", "class-default")], [7, 0, 0, 0]),
        ];
        RunReport { classes, ..example() }
    }

    const TEXT: &str = "\
wan input: EDGE

Class VOICE
  Classification statistics          (packets/bytes)     (rate - kbps)
    Matched             :              1000/1000000            4000
    Transmitted         :                900/900000            3600
    Total Dropped       :                100/100000             400
  Policing statistics                (packets/bytes)     (rate - kbps)
    Policed(conform)    :                900/900000            3600
    Policed(exceed)     :                  60/60000             240
    Policed(violate)    :                  40/40000             160
    Policed and dropped :                100/100000             400
  rate 100000 bps is programmed as 64000 bps
Class class-default
  Classification statistics          (packets/bytes)     (rate - kbps)
    Matched             :                500/500000            2000
    Transmitted         :                       N/A
    Total Dropped       :                       N/A
  Policy CHILD Class WEB
    Classification statistics          (packets/bytes)     (rate - kbps)
      Matched             :                300/300000            1200
      Transmitted         :                250/250000            1000
      Total Dropped       :                  50/50000             200
    Policing statistics                (packets/bytes)     (rate - kbps)
      Policed(conform)    :                250/250000            1000
      Policed(exceed)     :                  50/50000             200
      Policed(violate)    :                       0/0               0
      Policed and dropped :                  50/50000             200

wan output: UP

Class class-default
  Classification statistics          (packets/bytes)     (rate - kbps)
    Matched             :                    7/7000              28
    Transmitted         :                       N/A
    Total Dropped       :                       N/A";

    #[test]
    fn the_report_has_the_layout_of_show_policy_map_interface() {
        let shown = text(&report()).unwrap();
        assert_eq!(shown, TEXT, "\n{shown}");
        assert_eq!(text(&example()), None);
    }

    #[test]
    fn the_json_is_by_interface_direction_and_class() {
        let json = json(&report());
        let count = |packets: u64| json!({ "packets": packets, "bytes": packets * 1000 });
        assert_eq!(
            json["wan"]["in"]["VOICE"],
            json!({
                "policy": "EDGE",
                "matched": count(1000),
                "transmitted": count(900),
                "dropped": count(100),
                "conform": count(900),
                "exceed": count(60),
                "violate": count(40),
            })
        );
        let names: Vec<&String> = json["wan"]["in"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["VOICE", "class-default", "class-default/WEB"]);
        assert_eq!(json["wan"]["out"]["class-default"]["matched"], count(7));
        assert_eq!(super::json(&example()), json!({}));
    }

    #[test]
    fn advice_is_a_line_for_each_warning() {
        let rate = BitsPerSecond::new(10_000_000_000).unwrap();
        let advised = [
            PolicerWarning::DefaultBurst { rate, burst: 1_875_000_000 },
            PolicerWarning::Raised {
                bucket: qfp::core::qos::police::Bucket::Committed,
                burst: 1500,
                raised: 1526,
            },
        ]
        .map(|warning| advice(&warning));
        assert_eq!(
            advised,
            [
                "burst 1875000000 bytes follows from rate 10000000000 bps: better say one",
                "burst 1500 bytes is raised to 1526, the largest frame",
            ]
        );
    }
}
