//! There is one way from the walk to the slow path: what a row of the order of operations punts goes
//! through the last rows, and row `punt` hands it over. Read from the sources, so that nobody opens
//! another one by accident.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use qfp::core::fia::order::{Path, ROUTER};
use qfp::core::packet::PuntCause;
use sources::{product_code, root, rust_files};

#[path = "support/sources.rs"]
mod sources;

type Outcome = Result<(), Box<dyn Error>>;

/// Product code of all crates that packets go through, by file.
fn code() -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let mut code = BTreeMap::new();
    for folder in [
        "qfp-core/src",
        "src",
        "client/src",
        "lang/src",
        "driver/src",
        "hal/src",
        "pal/src",
        "ucode/src",
    ] {
        for file in rust_files(&root().join(folder))? {
            let name = file.strip_prefix(root())?.display().to_string();
            code.insert(name, product_code(&std::fs::read_to_string(&file)?));
        }
    }
    Ok(code)
}

/// Files with a line that has one of `words`, and is no pattern that takes one apart.
fn files_with(words: &[&str]) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let is_pattern = |line: &str, word: &str| {
        let behind = line.split_once(word).map_or("", |(_, behind)| behind);
        line.contains("let ") && behind.contains(" = ") || behind.contains("=>")
    };
    let made = |text: &str| {
        text.lines().any(|line| {
            words.iter().any(|word| {
                line.contains(word) && !is_pattern(line, word) && !line.contains("struct ")
            })
        })
    };
    Ok(code()?.into_iter().filter(|(_, text)| made(text)).map(|(name, _)| name).collect())
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn only_the_row_punt_makes_work_for_the_slow_path() -> Outcome {
    let found = files_with(&["SlowWork::Punt(", "SlowWork::Unreachable("])?;
    assert_eq!(found, set(&["qfp-core/src/ppe/hand_over.rs"]));
    // `exercise` feeds a slow path that stands alone. `reassembly` has kept a first fragment that was
    // handed over, to tell its source when the others do not come.
    let found = files_with(&["PuntedPacket {"])?;
    let made = ["ppe/hand_over.rs", "punt/exercise.rs", "punt/reassembly.rs"];
    assert_eq!(found, made.iter().map(|name| format!("qfp-core/src/{name}")).collect());
    Ok(())
}

#[test]
fn only_the_row_punt_gives_it_away_and_only_the_control_side_takes_it() -> Outcome {
    assert_eq!(files_with(&["sink.push("])?, set(&["qfp-core/src/ppe/hand_over.rs"]));
    let sinks = files_with(&["impl SlowPathSink for"])?;
    assert_eq!(sinks, set(&["qfp-core/src/ppe/work.rs", "ucode/src/engine.rs"]));
    let fed = files_with(&["slow.punt(", "slow.unreachable(", "slow_path.punt("])?;
    let control = ["qfp-core/src/punt/exercise.rs", "ucode/src/slow_side.rs"];
    assert_eq!(fed, set(&control));
    Ok(())
}

/// Only the vector itself says which packets have left for the slow path.
#[test]
fn nothing_marks_a_packet_as_punted_but_the_vector() -> Outcome {
    let words = ["punted.insert(", "punted |=", "punted = PacketMask", "End::Punt(cause);"];
    let own = ["qfp-core/src/packet/ends.rs", "qfp-core/src/packet/vector.rs"];
    assert_eq!(files_with(&words)?, set(&own));
    Ok(())
}

/// Causes that a row's `ends` names.
fn causes_of(ends: &str) -> BTreeSet<&str> {
    let punts = ends.split(';').filter_map(|part| part.trim().strip_prefix("punt "));
    punts.flat_map(|list| list.split(", ")).collect()
}

#[test]
fn every_cause_is_that_of_a_row_in_front_of_the_last_ones() {
    let mut named = BTreeSet::new();
    for row in ROUTER {
        let causes = causes_of(row.ends);
        assert!(causes.is_empty() || row.path != Path::Punt, "{}", row.name);
        named.extend(causes);
    }
    // What a user's own row punts.
    named.insert(PuntCause::Feature.name());
    let all: BTreeSet<&str> = PuntCause::ALL.iter().map(|cause| cause.name()).collect();
    assert_eq!(named, all);
}

/// Steps of the rows, by row, as the table makes them.
fn steps() -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let table = std::fs::read_to_string(root().join("qfp-core/src/fia/order.rs"))?;
    let rows = table.lines().filter_map(|line| {
        let name = line.trim().strip_prefix('"')?.split('"').next()?;
        let step = line.split_once("Box::new(")?.1;
        let step = step.split(|c: char| !c.is_alphanumeric()).next()?;
        Some((name.to_owned(), step.to_owned()))
    });
    Ok(rows.collect())
}

#[test]
fn every_row_that_punts_names_its_causes_and_no_other_code_punts() -> Outcome {
    let steps = steps()?;
    assert!(steps.len() > 20, "{steps:?}");
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in code()?.iter().filter(|(file, _)| file.starts_with("qfp-core/src/")) {
        let mut step = None;
        for line in text.lines() {
            if let Some((_, name)) = line.split_once("impl Step for ") {
                step = name.split(|c: char| !c.is_alphanumeric()).next();
            }
            let punts = line.contains(".punt(slot") || line.contains(".punt_all(");
            let Some((_, cause)) = line.split_once("PuntCause::").filter(|_| punts) else {
                // The vector's own.
                assert!(!punts || file.ends_with("packet/vector.rs"), "{file}: {line}");
                continue;
            };
            let cause = cause.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            let step = step.ok_or_else(|| format!("{file} punts outside of a step: {line}"))?;
            let row = steps.iter().find(|(_, made)| made == step);
            let (row, _) = row.ok_or_else(|| format!("{step} punts and is no row's step"))?;
            found.entry(row.as_str()).or_default().insert(cause.to_owned());
        }
    }
    let named = ROUTER.iter().map(|row| (row.name, causes_of(row.ends)));
    let named: BTreeMap<&str, BTreeSet<String>> = named
        .filter(|(_, causes)| !causes.is_empty())
        .map(|(row, causes)| (row, causes.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(found, named);
    Ok(())
}
