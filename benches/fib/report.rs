//! The table at the end and `target/qfp-bench/fib.json`.

use serde_json::{Value, json};

use crate::replay::Outcome;
use contest::Spread;
use contest::results::{self, round};

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    entries: Vec<Value>,
    lines: Vec<String>,
    /// Wrong results of ours, in all cases.
    pub(crate) wrong: usize,
}

/// One contestant in one case.
pub(crate) struct Score<'a> {
    pub(crate) name: &'static str,
    pub(crate) samples: &'a [f64],
    pub(crate) bytes: usize,
    pub(crate) wrong: usize,
}

impl Report {
    /// Lookups of ours, against a peer if there is one.
    pub(crate) fn lookups(&mut self, case: &str, ours: &Score<'_>, peer: Option<&Score<'_>>) {
        let speed = Spread::of(ours.samples.iter().copied());
        let mut line = format!(
            "{case:24} {:8} {:6.0} [{:4.0} -{:5.0}]  {:10}",
            ours.name, speed.median, speed.low, speed.high, ours.bytes
        );
        let mut entry = json!({
            "case": case, "layout": ours.name, "ours_mlps": round(speed.median),
            "low": round(speed.low), "high": round(speed.high), "bytes": ours.bytes,
            "wrong": ours.wrong, "peer": null, "peer_mlps": null, "ratio": null,
        });
        if let Some(peer) = peer {
            let theirs = Spread::of(peer.samples.iter().copied());
            // Samples of one round were taken within milliseconds of each other.
            let ratio = Spread::of(ours.samples.iter().zip(peer.samples).map(|(o, p)| o / p));
            line += &format!(
                "  {:8} {:6.0} [{:4.0} -{:5.0}]  x{:.2} [{:.2} - {:.2}]",
                peer.name,
                theirs.median,
                theirs.low,
                theirs.high,
                ratio.median,
                ratio.low,
                ratio.high
            );
            entry["peer"] = json!(peer.name);
            entry["peer_mlps"] = round(theirs.median);
            entry["peer_low"] = round(theirs.low);
            entry["peer_high"] = round(theirs.high);
            entry["peer_bytes"] = json!(peer.bytes);
            entry["peer_wrong"] = json!(peer.wrong);
            entry["ratio"] = round(ratio.median);
            entry["ratio_low"] = round(ratio.low);
            entry["ratio_high"] = round(ratio.high);
        }
        line += &format!("  wrong {}", ours.wrong);
        self.wrong += ours.wrong;
        self.add(line, entry);
    }

    /// Seconds from routes in memory to a table that forwards.
    pub(crate) fn load(
        &mut self,
        case: &str,
        layout: &str,
        routes: usize,
        seconds: &[f64],
        bytes: usize,
        peer: Option<(&str, &[f64])>,
    ) {
        let ours = Spread::of(seconds.iter().copied());
        let mut line = format!("{case:24} {layout:8} {:6.3} s for {routes} routes", ours.median);
        let mut entry = json!({
            "case": case, "layout": layout, "routes": routes, "seconds": round(ours.median),
            "low": round(ours.low), "high": round(ours.high), "bytes": bytes,
            "peer": null, "peer_seconds": null, "ratio": null,
        });
        if let Some((name, seconds)) = peer {
            let theirs = Spread::of(seconds.iter().copied()).median;
            line += &format!("  {name:8} {theirs:6.3} s");
            entry["peer"] = json!(name);
            entry["peer_seconds"] = round(theirs);
            entry["ratio"] = round(theirs / ours.median);
        }
        self.add(line, entry);
    }

    /// A replay of updates; `wrong` counts results before and after it.
    pub(crate) fn updates(&mut self, case: &str, layout: &str, replay: &Outcome, wrong: usize) {
        let Outcome { published, seen, applied, slower, slower_paced, .. } = replay;
        let wrong = wrong + usize::try_from(replay.torn).unwrap_or(usize::MAX);
        let line = format!(
            "{case:24} {layout:8} {:6.0} k/s, paced {:.0} k/s: published p50 {:.0} p99 {:.0} us, \
             seen p50 {:.0} p99 {:.0} us, readers slower {:.1} % [{:.1} - {:.1}]; unpaced \
             p50 {:.1} p99 {:.1} us an update, readers slower {:.1} %  wrong {wrong}",
            replay.sustained / 1e3,
            replay.paced / 1e3,
            published[0],
            published[1],
            seen[0],
            seen[1],
            slower_paced.median,
            slower_paced.low,
            slower_paced.high,
            applied[0],
            applied[1],
            slower.median,
        );
        self.wrong += wrong;
        let entry = json!({
            "case": case, "layout": layout, "updates": replay.updates,
            "updates_per_second": replay.sustained.round(),
            "updates_per_cpu_second": replay.sustained_cpu.round(),
            "paced_per_second": replay.paced.round(),
            "visible_p50_us": round(seen[0]), "visible_p99_us": round(seen[1]),
            "published_p50_us": round(published[0]), "published_p99_us": round(published[1]),
            "apply_p50_us": round(applied[0]), "apply_p99_us": round(applied[1]),
            "readers_slower_percent": round(slower_paced.median),
            "low": round(slower_paced.low), "high": round(slower_paced.high),
            "readers_slower_unpaced_percent": round(slower.median),
            "checked_during": replay.checked, "wrong_during": replay.torn,
            "waits_for_readers": replay.waits, "wrong": wrong,
        });
        self.add(line, entry);
    }

    fn add(&mut self, line: String, entry: Value) {
        eprintln!("{line}");
        self.lines.push(line);
        self.entries.push(entry);
    }

    /// Prints everything and writes the file.
    pub(crate) fn finish(&self) -> std::io::Result<()> {
        println!(
            "\nmillion lookups a CPU second of one core, median [10 % - 90 %]; bytes in use; peer; ratio"
        );
        for line in &self.lines {
            println!("{line}");
        }
        results::write("fib", &self.entries)
    }
}
