//! The table at the end and `target/qfp-bench/qos.json`.

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::sharing::Shared;
use contest::Spread;
use contest::results::{self, round};

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    entries: Vec<Value>,
    lines: Vec<String>,
    /// Errors at the rate of the races, in parts in a million: ours, the peer's.
    errors: Vec<(Kind, (f64, Option<f64>))>,
}

/// One contestant in one case.
pub(crate) struct Score<'a> {
    pub(crate) name: &'static str,
    pub(crate) ns: &'a [f64],
    pub(crate) cycles: &'a [f64],
}

impl Report {
    /// The errors that go with the costs of a kind.
    pub(crate) fn expect_error(&mut self, kind: Kind, errors: (f64, Option<f64>)) {
        self.errors.push((kind, errors));
    }

    /// What a packet costs; the fastest of `rivals` is the measure.
    pub(crate) fn cost(&mut self, case: &str, kind: Kind, ours: &Score<'_>, rivals: &[Score<'_>]) {
        let error = self.errors.iter().find(|(of, _)| *of == kind).map(|(_, errors)| *errors);
        let (ours_error, peer_error) = error.unwrap_or((f64::NAN, None));
        let (ns, cycles) =
            (Spread::of(ours.ns.iter().copied()), Spread::of(ours.cycles.iter().copied()));
        let mut line = format!(
            "{case:30} {:5.2} ns [{:5.2} - {:5.2}] {:5.1} cycles, {ours_error:+8.1} ppm",
            ns.median, ns.low, ns.high, cycles.median
        );
        let mut entry = json!({
            "case": case, "ours_ns": round(ns.median), "low": round(ns.low),
            "high": round(ns.high), "ours_cycles": round(cycles.median),
            "peer": null, "peer_ns": null, "ratio": null,
            "ours_error_ppm": round(ours_error), "peer_error_ppm": null,
        });
        let fastest = rivals.iter().min_by(|a, b| {
            f64::total_cmp(
                &Spread::of(a.ns.iter().copied()).median,
                &Spread::of(b.ns.iter().copied()).median,
            )
        });
        if let Some(peer) = fastest {
            let (ns, cycles) =
                (Spread::of(peer.ns.iter().copied()), Spread::of(peer.cycles.iter().copied()));
            // Samples of one round were taken within milliseconds of each other.
            let ratio: Vec<f64> =
                ours.ns.iter().zip(peer.ns).map(|(ours, peer)| ours / peer).collect();
            let ratio = Spread::of(ratio);
            line += &format!(
                "   {:16} {:5.2} ns {:5.1} cycles, {:+8.1} ppm   x{:.2} [{:.2} - {:.2}]",
                peer.name,
                ns.median,
                cycles.median,
                peer_error.unwrap_or(f64::NAN),
                ratio.median,
                ratio.low,
                ratio.high
            );
            entry["peer"] = json!(peer.name);
            entry["peer_ns"] = round(ns.median);
            entry["peer_cycles"] = round(cycles.median);
            entry["peer_error_ppm"] = peer_error.map_or(Value::Null, round);
            entry["ratio"] = round(ratio.median);
            entry["ratio_low"] = round(ratio.low);
            entry["ratio_high"] = round(ratio.high);
        }
        self.add(line, entry);
    }

    /// How far a rate is off.
    pub(crate) fn accuracy(&mut self, case: &str, ours: f64, peer: Option<f64>) {
        let theirs = peer.map_or(String::new(), |peer| format!("   rte_meter {peer:+9.1} ppm"));
        let entry = json!({
            "case": case, "ours_ns": null, "peer": peer.map(|_| "rte_meter"), "peer_ns": null,
            "ours_error_ppm": round(ours), "peer_error_ppm": peer.map_or(Value::Null, round),
        });
        self.add(format!("{case:30} {ours:+6.1} ppm{theirs}"), entry);
    }

    /// A policer of several lcores.
    pub(crate) fn sharing(&mut self, case: &str, shared: &Shared) {
        let Shared { ns, error_ppm, retries } = shared;
        let entry = json!({
            "case": case, "ours_ns": round(*ns), "peer": null, "peer_ns": null,
            "ours_error_ppm": round(*error_ppm), "peer_error_ppm": null,
            "retries_per_packet": round(*retries),
        });
        let line = format!("{case:30} {ns:5.2} ns, {error_ppm:+8.1} ppm, {retries:.3} retries");
        self.add(line, entry);
    }

    fn add(&mut self, line: String, entry: Value) {
        eprintln!("{line}");
        self.lines.push(line);
        self.entries.push(entry);
    }

    /// Prints everything and writes the file.
    pub(crate) fn finish(&self) -> std::io::Result<()> {
        println!("\nCPU time a packet, median [10 % - 90 %]; error of the rate; peer; ratio");
        for line in &self.lines {
            println!("{line}");
        }
        results::write("qos", &self.entries)
    }
}
