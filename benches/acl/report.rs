//! The table at the end and `target/qfp-bench/acl.json`.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde_json::{Value, json};

use crate::race::Contestant;
use crate::updates::Outcome;
use contest::Spread;
use contest::results::{self, round};

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    entries: Vec<Value>,
    rows: Vec<[String; 11]>,
    notes: Vec<String>,
    /// Wrong results of ours, in all cases.
    pub(crate) wrong: usize,
}

/// One contestant in one case.
pub(crate) struct Score {
    name: &'static str,
    samples: Vec<f64>,
    bytes: usize,
    peak: usize,
    build_ms: f64,
    wrong: usize,
    burst: Option<usize>,
}

impl Score {
    pub(crate) fn new(
        contestant: &dyn Contestant,
        samples: Vec<f64>,
        wrong: usize,
        burst: Option<usize>,
    ) -> Self {
        Self {
            name: contestant.name(),
            samples,
            bytes: contestant.bytes(),
            peak: contestant.peak_bytes(),
            build_ms: contestant.build_ms(),
            wrong,
            burst,
        }
    }
}

impl Report {
    /// Lookups of ours in `rules` rules, against each peer.
    pub(crate) fn lookups(&mut self, case: &str, rules: usize, ours: &Score, peers: &[Score]) {
        self.wrong += ours.wrong;
        if peers.is_empty() {
            self.lookup(case, rules, ours, None);
        }
        for peer in peers {
            self.lookup(case, rules, ours, Some(peer));
        }
    }

    fn lookup(&mut self, case: &str, rules: usize, ours: &Score, peer: Option<&Score>) {
        let speed = Spread::of(ours.samples.iter().copied());
        let mut entry = json!({
            "case": case, "rules": rules, "peer": null, "peer_mlps": null, "ratio": null,
            "bytes": ours.bytes, "build_peak_bytes": ours.peak, "build_ms": round(ours.build_ms),
            "wrong": ours.wrong,
        });
        put(&mut entry, "ours", speed);
        let mut row: [String; 11] = Default::default();
        (row[0], row[1], row[2]) = (case.to_owned(), rules.to_string(), shown(speed, 1));
        (row[5], row[6]) = (kilobytes(ours.bytes), format!("{:.1}", ours.build_ms));
        row[10] = ours.wrong.to_string();
        if let Some(peer) = peer {
            let speed = Spread::of(peer.samples.iter().copied());
            entry["peer"] = json!(peer.name);
            put(&mut entry, "peer", speed);
            entry["peer_bytes"] = json!(peer.bytes);
            entry["peer_build_peak_bytes"] = json!(peer.peak);
            entry["peer_build_ms"] = round(peer.build_ms);
            entry["peer_wrong"] = json!(peer.wrong);
            entry["peer_burst"] = json!(peer.burst);
            (row[7], row[3]) = (peer.name.to_owned(), shown(speed, 1));
            (row[8], row[9]) = (kilobytes(peer.bytes), format!("{:.1}", peer.build_ms));
            // Samples of one round were taken within milliseconds of each other.
            let ratio = Spread::of(ours.samples.iter().zip(&peer.samples).map(|(o, p)| o / p));
            entry["ratio"] = round(ratio.median);
            entry["ratio_low"] = round(ratio.low);
            entry["ratio_high"] = round(ratio.high);
            row[4] = shown(ratio, 2);
            if peer.wrong > 0 {
                row[10] += &format!(", peer {}", peer.wrong);
            }
        }
        eprintln!(
            "{case}: ours {} peer {} [{}] ratio {} wrong {}",
            row[2], row[3], row[7], row[4], row[10]
        );
        self.rows.push(row);
        self.entries.push(entry);
    }

    /// Rules that came and went; `wrong` counts results afterwards.
    pub(crate) fn updates(
        &mut self,
        case: &str,
        rules: usize,
        outcome: &Outcome,
        rebuilds: u64,
        peer: Option<(&str, f64)>,
        wrong: usize,
    ) {
        let Outcome { applied, applied_cpu, seen, applied_unpaced, slower, slower_unpaced, .. } =
            outcome;
        let wrong = wrong + usize::try_from(outcome.torn).unwrap_or(usize::MAX);
        let mut line = format!(
            "{case}: paced {:.0} /s: a change takes p50 {:.1} p99 {:.1} us (CPU {:.1} and {:.1}), is seen after p50 \
             {:.1} p99 {:.1} us, lookups slower {:.1} % [{:.1} - {:.1}]; unpaced {:.0} /s, CPU p50 \
             {:.1} p99 {:.1} us, lookups slower {:.1} %; {rebuilds} rebuilds; checked {}, wrong \
             {wrong}",
            outcome.paced,
            applied[0],
            applied[1],
            applied_cpu[0],
            applied_cpu[1],
            seen[0],
            seen[1],
            slower.median,
            slower.low,
            slower.high,
            outcome.sustained,
            applied_unpaced[0],
            applied_unpaced[1],
            slower_unpaced.median,
            outcome.checked,
        );
        if let Some((name, ms)) = peer {
            line += &format!("; {name} builds {ms:.0} ms for any change");
        }
        eprintln!("{line}");
        self.wrong += wrong;
        self.notes.push(line);
        self.entries.push(json!({
            "case": case, "rules": rules,
            "updates_per_second": outcome.sustained.round(),
            "updates_per_cpu_second": outcome.sustained_cpu.round(),
            "paced_per_second": outcome.paced.round(),
            "apply_p50_us": round(applied[0]), "apply_p99_us": round(applied[1]),
            "apply_cpu_p50_us": round(applied_cpu[0]), "apply_cpu_p99_us": round(applied_cpu[1]),
            "visible_p50_us": round(seen[0]), "visible_p99_us": round(seen[1]),
            "apply_cpu_unpaced_p50_us": round(applied_unpaced[0]),
            "apply_cpu_unpaced_p99_us": round(applied_unpaced[1]),
            "lookups_slower_percent": round(slower.median),
            "low": round(slower.low), "high": round(slower.high),
            "lookups_slower_unpaced_percent": round(slower_unpaced.median),
            "rebuilds": rebuilds, "checked_during": outcome.checked,
            "peer": peer.map(|(name, _)| name), "peer_build_ms": peer.map(|(_, ms)| round(ms)),
            "wrong": wrong,
        }));
    }

    /// Prints everything and writes the file.
    pub(crate) fn finish(&self) -> std::io::Result<()> {
        println!(
            "\nmillion headers a CPU second of one core, median [10 % - 90 %]; table sizes and \
             CPU milliseconds from rules to table"
        );
        println!("{}", self.table().trim_fmt());
        for line in &self.notes {
            println!("{line}");
        }
        results::write("acl", &self.entries)
    }

    fn table(&self) -> Table {
        const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));
        let header = [
            "case",
            "rules",
            "ours",
            "theirs",
            "ratio",
            "kB",
            "build ms",
            "peer",
            "its kB",
            "its build ms",
            "wrong",
        ];
        let mut table = Table::new();
        table.load_style(STYLE).set_header(header);
        for (at, column) in table.column_iter_mut().enumerate() {
            if at != 0 && at != 7 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in &self.rows {
            table.add_row(row);
        }
        table
    }
}

fn put(entry: &mut Value, who: &str, speed: Spread) {
    entry[format!("{who}_mlps")] = round(speed.median);
    entry[format!("{who}_low")] = round(speed.low);
    entry[format!("{who}_high")] = round(speed.high);
}

fn shown(spread: Spread, digits: usize) -> String {
    let Spread { median, low, high } = spread;
    format!("{median:.digits$} [{low:.digits$} - {high:.digits$}]")
}

fn kilobytes(bytes: usize) -> String {
    bytes.div_ceil(1000).to_string()
}
