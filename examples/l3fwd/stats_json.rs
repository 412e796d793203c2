//! `--stats-json`: the final report for programs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use qfp::client::acl::Family;
use qfp::report::{PolicedReport, RuleReport, RunReport};
use serde_json::{Map, Value, json};

/// The file the statistics go to, opened before the run so that a bad path is found at once. What
/// it holds stays until there are new ones.
#[derive(Debug)]
pub(crate) struct StatsFile {
    path: PathBuf,
    file: File,
    /// Made by this run and still empty: it goes if the run fails.
    fresh: bool,
}

/// Statistics that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {source}", path.display())]
pub(crate) struct StatsError {
    path: PathBuf,
    source: io::Error,
}

impl StatsFile {
    /// Opens the file for writing, and makes it if there is none.
    pub(crate) fn create(path: &Path) -> Result<Self, StatsError> {
        let fresh = !path.exists();
        match OpenOptions::new().write(true).create(true).truncate(false).open(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file, fresh }),
            Err(source) => Err(StatsError { path: path.to_owned(), source }),
        }
    }

    /// Writes the report in place of what the file held, and closes it.
    pub(crate) fn write(mut self, report: &RunReport) -> Result<(), StatsError> {
        self.fresh = false;
        let write = || {
            // Pipes and terminals have no length to cut.
            if self.file.metadata()?.is_file() {
                self.file.set_len(0)?;
            }
            writeln!(&self.file, "{:#}", to_json(report))
        };
        write().map_err(|source| StatsError { path: self.path.clone(), source })
    }
}

impl Drop for StatsFile {
    fn drop(&mut self) {
        if self.fresh {
            // An empty file that stays does no harm.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

fn to_json(report: &RunReport) -> Value {
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
            });
            (port.name.clone(), counts)
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
        "drops": counts(&report.drops),
        "punts": counts(&report.punts),
        "lpts": policed(&report.policed),
        "consumed": report.consumed,
        "injected": report.injected,
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
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats.json");
        let rule =
            RuleReport { sequence: 10, text: "deny ip any any".into(), packets: 2, bytes: 120 };
        let list = AccessListReport {
            family: Family::V6,
            name: "EDGE".to_owned(),
            kind: Kind::Extended,
            rules: vec![rule],
        };
        let report = RunReport { access_lists: vec![list], ..example() };
        StatsFile::create(&path).unwrap().write(&report).unwrap();
        let json: Value = serde_json::from_reader(File::open(path).unwrap()).unwrap();
        assert_eq!(json["elapsed_s"], 2.0);
        assert_eq!(json["mpps"], 1.25);
        assert_eq!(json["ports"]["port0"]["rx_packets"], 2_500_137);
        assert_eq!(json["ports"]["port1"]["tx_bytes"], 150_000_000);
        assert_eq!(json["drops"], json!({ "Ipv4NoRoute": 100 }));
        assert_eq!(json["punts"], json!({ "Arp": 30 }));
        assert_eq!((&json["consumed"], &json["injected"]), (&json!(7), &json!(2)));
        assert_eq!(json["slow_path"], json!({ "arp_replies": 2 }));
        let step = json!({ "name": "if-classify", "packets": 2_500_137, "cycles_per_packet": 1.5 });
        assert_eq!(json["steps"][0], step);
        let rule = json!({ "sequence": 10, "text": "deny ip any any", "packets": 2, "bytes": 120 });
        assert_eq!(json["access_lists"], json!({ "v4": {}, "v6": { "EDGE": [rule] } }));
        assert_eq!(json["route_maps"], json!({ "v4": {}, "v6": {} }));
        assert_eq!((&json["generation"], &json["conserved"]), (&json!(3), &json!(true)));
    }

    #[test]
    fn a_path_that_cannot_be_written_is_one_line() {
        let error = StatsFile::create(Path::new("/nowhere/s.json")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/s.json: cannot be written: "), "{error}");
        assert!(!error.contains('\n'));
    }
}
