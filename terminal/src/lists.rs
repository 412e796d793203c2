//! Access lists, route maps and the classifier's tables, in the layout of IOS.

use std::fmt::Write;

use qfp::client::acl::{Family, IMPLICIT, Kind};
use qfp::client::ea::TcamUsage;
use qfp::report::{RuleReport, RunReport};

use crate::report::{grouped, table};

/// As `show access-lists`, with what follows the last ace; none when no list is bound.
pub(crate) fn access_lists(report: &RunReport) -> Option<String> {
    let mut text = String::new();
    for list in &report.access_lists {
        let sort = match (list.family, list.kind) {
            (Family::V6, _) => "IPv6",
            (Family::V4, Kind::Standard) => "Standard IP",
            (Family::V4, Kind::Extended) => "Extended IP",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{sort} access list {}", list.name);
        for rule in &list.rules {
            let _ = match rule.sequence {
                IMPLICIT => writeln!(text, "    implicit {}{}", rule.text, matches(rule)),
                sequence => writeln!(text, "    {sequence} {}{}", rule.text, matches(rule)),
            };
        }
    }
    (!text.is_empty()).then(|| text.trim_end().to_owned())
}

/// As IOS counts them: nothing for none.
fn matches(rule: &RuleReport) -> String {
    match rule.packets {
        0 => String::new(),
        1 => " (1 match)".to_owned(),
        packets => format!(" ({packets} matches)"),
    }
}

/// As `show route-map`; none when no route map is bound.
pub(crate) fn route_maps(report: &RunReport) -> Option<String> {
    let mut text = String::new();
    for map in &report.route_maps {
        let family = map.family.name();
        for entry in &map.entries {
            let mut clauses = entry.text.split(", ");
            let action = clauses.next().unwrap_or_default();
            let _ = writeln!(text, "route-map {}, {action}, sequence {}", map.name, entry.sequence);
            for clause in clauses {
                let _ = writeln!(text, "  {clause}");
            }
            let (packets, bytes) = (entry.packets, entry.bytes);
            let _ = writeln!(
                text,
                "  {family} policy routing matches: {packets} packets, {bytes} bytes"
            );
        }
    }
    (!text.is_empty()).then(|| text.trim_end().to_owned())
}

/// As `show platform hardware qfp active tcam resource-manager usage`.
pub(crate) fn tcam(usage: &TcamUsage) -> String {
    const LINE_BYTES: u64 = 64;
    let mut sizes = table(["classifier", "in all", "used", "free", "waiting"]);
    let lines = [usage.lines, usage.lines - usage.free - usage.waiting, usage.free, usage.waiting];
    let lines = lines.map(u64::from);
    let mut row = |name: &str, counts: [u64; 4]| {
        sizes.add_row(std::iter::once(name.to_owned()).chain(counts.map(grouped)));
    };
    row("lines", lines);
    row("bytes", lines.map(|lines| lines * LINE_BYTES));
    let (all, used) = (u64::from(usage.counters.0), u64::from(usage.counters.1));
    row("rule counters", [all, used, all - used, 0]);
    let mut objects = table(["object", "rules", "bindings"]);
    for (name, rules, bindings) in &usage.objects {
        let counts = [*rules, *bindings].map(|count| grouped(count as u64));
        objects.add_row(std::iter::once(name.to_string()).chain(counts));
    }
    format!("{}\n\n{}", sizes.trim_fmt(), objects.trim_fmt())
}

#[cfg(test)]
mod tests {
    use qfp::client::ea::ObjectName;
    use qfp::report::{AccessListReport, RouteMapReport};

    use super::*;

    fn rule(sequence: u32, text: &str, packets: u64) -> RuleReport {
        RuleReport { sequence, text: text.into(), packets, bytes: packets * 60 }
    }

    #[test]
    fn lists_and_route_maps_look_as_in_ios() {
        let rules = vec![
            rule(10, "permit tcp any any eq www", 123),
            rule(20, "deny udp any any", 1),
            rule(0, "deny ip any any", 0),
        ];
        let (family, kind) = (Family::V4, Kind::Extended);
        let list = AccessListReport { family, name: "EDGE".to_owned(), kind, rules };
        let entries = vec![rule(10, "permit, match ip address 110, set interface Null0", 7)];
        let map = RouteMapReport { family, name: "SCRUB".to_owned(), entries };
        let report =
            RunReport { access_lists: vec![list], route_maps: vec![map], ..RunReport::default() };
        assert_eq!(
            access_lists(&report).unwrap(),
            "Extended IP access list EDGE\n    10 permit tcp any any eq www (123 matches)\n    \
             20 deny udp any any (1 match)\n    implicit deny ip any any"
        );
        assert_eq!(
            route_maps(&report).unwrap(),
            "route-map SCRUB, permit, sequence 10\n  match ip address 110\n  set interface Null0\n  \
             IPv4 policy routing matches: 7 packets, 420 bytes"
        );
        assert_eq!(access_lists(&RunReport::default()), None);
    }

    #[test]
    fn usage_adds_up() {
        let name = ObjectName {
            family: Family::V4,
            list: Some("EDGE".to_owned()),
            policy: None,
            flows: false,
            service: None,
            security: None,
        };
        let usage = TcamUsage {
            lines: 8192,
            free: 8000,
            waiting: 2,
            counters: (65_536, 3),
            objects: vec![(name, 3, 2)],
        };
        let text = tcam(&usage);
        let row = |first: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(first)).unwrap();
            line.trim_start()[first.len()..]
                .split("  ")
                .map(str::trim)
                .filter(|w| !w.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(row("lines"), ["8 192", "190", "8 000", "2"]);
        assert_eq!(row("bytes"), ["524 288", "12 160", "512 000", "128"]);
        assert_eq!(row("rule counters"), ["65 536", "3", "65 533", "0"]);
        assert_eq!(row("IPv4 access list EDGE"), ["3", "2"]);
    }
}
