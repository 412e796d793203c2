//! The table at the end and `target/qfp-bench/crypto.json`.

use serde_json::{Value, json};

use contest::Spread;
use contest::results::{self, round};

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    entries: Vec<Value>,
    pub(crate) wrong: usize,
}

impl Report {
    /// One tier in one case, against one peer.
    pub(crate) fn add(&mut self, case: &str, ours: &[f64], peer: Option<(&str, &[f64])>) {
        let speed = Spread::of(ours.iter().copied()).median;
        let mut line = format!("{case:46} {speed:7.2}");
        let mut entry = json!({
            "case": case, "ours_gbytes": round(speed),
            "peer": null, "peer_gbytes": null, "ratio": null,
        });
        if let Some((name, samples)) = peer {
            let theirs = Spread::of(samples.iter().copied()).median;
            // Samples of one round were taken within milliseconds of each other.
            let ratio = Spread::of(ours.iter().zip(samples).map(|(o, p)| o / p));
            let Spread { median, low, high } = ratio;
            line += &format!("  {name:14} {theirs:7.2}  x{median:.2} [{low:.2} - {high:.2}]");
            entry["peer"] = json!(name);
            entry["peer_gbytes"] = round(theirs);
            entry["ratio"] = round(median);
            entry["ratio_low"] = round(low);
            entry["ratio_high"] = round(high);
        }
        println!("{line}");
        self.entries.push(entry);
    }

    /// Writes the file.
    pub(crate) fn finish(&self) -> std::io::Result<()> {
        println!("gigabytes of payload a CPU second, medians");
        results::write("crypto", &self.entries)
    }
}
