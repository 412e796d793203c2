//! A report for programs.

use std::collections::BTreeMap;

use qfp::client::acl::Family;
use qfp::report::{PolicedReport, RuleReport, RunReport};
use serde_json::{Map, Value, json};

use crate::log::Unseen;

/// The counts of a run, or of a running router, as `--stats-json` has them.
#[must_use]
pub fn statistics(report: &RunReport, unseen: Unseen) -> Value {
    let ports: Map<String, Value> = report
        .ports
        .iter()
        .map(|port| {
            let counts = json!({
                "rx_packets": port.rx_packets,
                "rx_bytes": port.rx_bytes,
                "tx_packets": port.tx_packets,
                "tx_bytes": port.tx_bytes,
                "rx_missed": port.rx_missed,
                "tx_dropped": port.tx_dropped,
                "link": port.link.name(),
                "link_losses": port.link_losses,
                "speed": port.speed,
                "missed": port.device.missed,
                "no_buffer": port.device.no_buffer,
                "rx_errors": port.device.rx_errors,
                "tx_errors": port.device.tx_errors,
                "xstats": port.xstats.iter().cloned().collect::<BTreeMap<_, _>>(),
            });
            (port.name.clone(), counts)
        })
        .collect();
    let interfaces: Map<String, Value> = report
        .interfaces
        .iter()
        .map(|one| {
            let counts = json!({
                "in_packets": one.counters.in_packets,
                "in_bytes": one.counters.in_bytes,
                "out_packets": one.counters.out_packets,
                "out_bytes": one.counters.out_bytes,
            });
            (one.name.to_string(), counts)
        })
        .collect();
    let steps: Vec<Value> = report
        .steps
        .iter()
        .map(|step| {
            json!({
                "name": step.name,
                "packets": step.packets,
                "cycles_per_packet": step.cycles_per_packet,
            })
        })
        .collect();
    json!({
        "elapsed_s": report.elapsed_s,
        "mpps": report.mpps(),
        "ports": ports,
        "interfaces": interfaces,
        "drops": counts(&report.drops),
        "punts": counts(&report.punts),
        "lpts": policed(&report.policed),
        "consumed": report.consumed,
        "injected": report.injected,
        "queued": report.queued,
        "features": counts(&report.features),
        "slow_path": counts(&report.slow_path),
        "crypto_engines": counts(&report.crypto_engines),
        "steps": steps,
        "access_lists": by_family(report.access_lists.iter().map(|list| {
            (list.family, &list.name, &list.rules)
        })),
        "route_maps": by_family(report.route_maps.iter().map(|map| {
            (map.family, &map.name, &map.entries)
        })),
        "policies": crate::policies::json(report),
        "ipsec": crate::crypto::json(report),
        "log": unseen.json(),
        "generation": report.generation,
        "conserved": report.conserved,
    })
}

/// Rules by address family and name.
fn by_family<'a>(all: impl Iterator<Item = (Family, &'a String, &'a Vec<RuleReport>)>) -> Value {
    let (mut v4, mut v6) = (Map::new(), Map::new());
    for (family, name, rules) in all {
        let of_family = match family {
            Family::V4 => &mut v4,
            Family::V6 => &mut v6,
        };
        let rules = rules.iter().map(|rule| {
            json!({
                "sequence": rule.sequence,
                "text": *rule.text,
                "packets": rule.packets,
                "bytes": rule.bytes,
            })
        });
        of_family.insert(name.clone(), rules.collect());
    }
    json!({ "v4": v4, "v6": v6 })
}

/// What goes to the slow path, by interface and type of flow.
fn policed(all: &[PolicedReport]) -> Value {
    let mut interfaces: Map<String, Value> = Map::new();
    for one in all {
        let types = interfaces.entry(&*one.interface).or_insert_with(|| json!({}));
        types[one.flow] = json!({ "passed": one.passed, "dropped": one.dropped });
    }
    Value::Object(interfaces)
}

/// Counts by name. Those that are zero are left out.
fn counts(counts: &[(&'static str, u64)]) -> Map<String, Value> {
    let seen = counts.iter().filter(|(_, count)| *count > 0);
    seen.map(|(name, count)| ((*name).to_owned(), json!(count))).collect()
}

#[cfg(test)]
mod tests {
    use qfp::client::acl::Kind;
    use qfp::report::AccessListReport;

    use super::*;
    use crate::report::tests::example;

    #[test]
    fn the_json_has_the_promised_members() {
        let rule =
            RuleReport { sequence: 10, text: "deny ip any any".into(), packets: 2, bytes: 120 };
        let list = AccessListReport {
            family: Family::V6,
            name: "EDGE".to_owned(),
            kind: Kind::Extended,
            rules: vec![rule],
        };
        let report = RunReport { access_lists: vec![list], ..example() };
        let json = statistics(&report, Unseen { lost: 4, held_back: 9 });
        assert_eq!(json["elapsed_s"], 2.0);
        assert_eq!(json["mpps"], 1.25);
        assert_eq!(json["ports"]["port0"]["rx_packets"], 2_500_137);
        assert_eq!(json["ports"]["port1"]["tx_bytes"], 150_000_000);
        let port0 = &json["ports"]["port0"];
        assert_eq!((&port0["speed"], &port0["missed"]), (&json!(10_000_000_000_u64), &json!(7)));
        assert_eq!((&port0["no_buffer"], &port0["rx_errors"]), (&json!(8), &json!(9)));
        assert_eq!((&port0["tx_errors"], &port0["xstats"]), (&json!(6), &json!({ "late": 5 })));
        let through = json!({ "in_packets": 3, "in_bytes": 180, "out_packets": 0, "out_bytes": 0 });
        assert_eq!(json["interfaces"], json!({ "port0.7": through }));
        assert_eq!(json["queued"], 0);
        assert_eq!(json["drops"], json!({ "Ipv4NoRoute": 100 }));
        assert_eq!(json["punts"], json!({ "Arp": 30 }));
        assert_eq!((&json["consumed"], &json["injected"]), (&json!(7), &json!(2)));
        assert_eq!(json["slow_path"], json!({ "arp_replies": 2 }));
        let step = json!({ "name": "if-classify", "packets": 2_500_137, "cycles_per_packet": 1.5 });
        assert_eq!(json["steps"][0], step);
        let rule = json!({ "sequence": 10, "text": "deny ip any any", "packets": 2, "bytes": 120 });
        assert_eq!(json["access_lists"], json!({ "v4": {}, "v6": { "EDGE": [rule] } }));
        assert_eq!(json["route_maps"], json!({ "v4": {}, "v6": {} }));
        assert_eq!(json["log"], json!({ "lost": 4, "held_back": 9 }));
        assert_eq!((&json["generation"], &json["conserved"]), (&json!(3), &json!(true)));
    }
}
