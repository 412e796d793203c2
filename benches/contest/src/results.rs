//! `target/qfp-bench/NAME.json`.

use std::path::Path;

use serde_json::{Value, json};

/// Writes the file of a bench, and says how busy the machine is: times of waiting mean little
/// when others want the CPUs, too.
pub fn write(name: &str, entries: &[Value]) -> std::io::Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of the machine: {}", load.trim());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/qfp-bench");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(name).with_extension("json");
    std::fs::write(&path, serde_json::to_string_pretty(entries)? + "\n")?;
    println!("written to {}", path.display());
    Ok(())
}

/// Three decimals, which is more than is known.
pub fn round(value: f64) -> Value {
    json!((value * 1e3).round() / 1e3)
}
