//! The table at the end and `target/qfp-bench/crypto.json`.

use std::path::Path;

use serde_json::{Value, json};

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    entries: Vec<Value>,
    pub(crate) wrong: usize,
}

impl Report {
    /// One tier in one case, against one peer.
    pub(crate) fn add(&mut self, case: &str, ours: &[f64], peer: Option<(&str, &[f64])>) {
        let speed = median(ours.iter().copied());
        let mut line = format!("{case:46} {speed:7.2}");
        let mut entry = json!({
            "case": case, "ours_gbytes": round(speed),
            "peer": null, "peer_gbytes": null, "ratio": null,
        });
        if let Some((name, samples)) = peer {
            let theirs = median(samples.iter().copied());
            // Samples of one round were taken within milliseconds of each other.
            let ratio = median(ours.iter().zip(samples).map(|(o, p)| o / p));
            line += &format!("  {name:14} {theirs:7.2}  x{ratio:.2}");
            entry["peer"] = json!(name);
            entry["peer_gbytes"] = round(theirs);
            entry["ratio"] = round(ratio);
        }
        println!("{line}");
        self.entries.push(entry);
    }

    /// Writes the file.
    pub(crate) fn finish(&self) -> std::io::Result<()> {
        // Others on the machine take cache and clock from all contestants alike.
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!(
            "gigabytes of payload a CPU second, medians; load of the machine: {}",
            load.trim()
        );
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/qfp-bench");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("crypto.json");
        std::fs::write(&path, serde_json::to_string_pretty(&self.entries)? + "\n")?;
        println!("written to {}", path.display());
        Ok(())
    }
}

fn median(samples: impl IntoIterator<Item = f64>) -> f64 {
    let mut samples: Vec<f64> = samples.into_iter().filter(|x| x.is_finite()).collect();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three decimals, which is more than is known.
fn round(value: f64) -> Value {
    json!((value * 1e3).round() / 1e3)
}
