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
            bound = Some(place);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} {}: {policy}\n", place.0, place.1.name());
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
        let direction = match class.class.direction.name() {
            "input" => "in",
            _ => "out",
        };
        interface[direction][names.join("/")] = counts;
    }
    Value::Object(interfaces)
}
