//! Captures of real and of malformed traffic through a router: whatever comes, every packet is
//! accounted for and nothing panics. Skipped aloud where the collection is not there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/l3fwd.rs"]
mod l3fwd;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qfp::Forwarder;
use qfp::client::config::Config;
use qfp::hal::Spec;
use qfp::report::RunReport;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const COLLECTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/pcaps");

/// Routes for everything, and some networks in which captures like to happen.
const CONFIG: &str = r#"
[[port]]
name = "lab"
device = "pcap:tx=lab.pcap"
address = ["198.51.100.1/24", "2001:db8:51::1/64"]
[[port]]
name = "ten"
device = "pcap:tx=ten.pcap"
address = ["192.168.1.1/24", "fd00::1/64"]
mtu = 1400
[[port.vlan]]
id = 10
[[port.vlan]]
id = 10
inner = 20
address = ["10.0.0.1/24"]
[[neighbor]]
address = "198.51.100.2"
mac = "02:00:00:00:00:02"
[[neighbor]]
address = "2001:db8:51::2"
mac = "02:00:00:00:00:02"
[[route]]
prefix = "0.0.0.0/0"
via = "198.51.100.2"
[[route]]
prefix = "::/0"
via = "2001:db8:51::2"
"#;

/// How many damaged copies are made of each capture.
const VARIANTS: usize = 6;

/// What follows, for each port with a capture: the VLANs that captures like to use.
const INPUT: &str = "[[port.vlan]]\nid = 1\n[[port.vlan]]\nid = 32\n[[port.vlan]]\nid = 100\n";

/// All captures of the collection in a fixed order; none, said aloud, where there is no collection.
fn collection() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(COLLECTION)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    if files.is_empty() {
        eprintln!("skipped: no captures at {COLLECTION}");
    }
    files.sort();
    files
}

/// Routes the captures, each through a port of its own, all in one run. Those that cannot be opened
/// must say why in one line. Returns how many were refused, and the report.
fn route(dir: &Path, captures: &[PathBuf]) -> (usize, RunReport) {
    let mut text = CONFIG.replace("pcap:tx=", &format!("pcap:tx={}/", dir.display()));
    let mut refused = 0;
    for path in captures {
        let spec = format!("pcap:rx={}", path.display());
        match Spec::parse(&spec).unwrap().open() {
            Ok(_) => text += &format!("[[port]]\ndevice = \"{spec}\"\n{INPUT}"),
            Err(error) => {
                refused += 1;
                let line = error.to_string();
                assert!(line.len() > path.as_os_str().len() && !line.contains('\n'), "{line}");
            }
        }
    }
    let config = Config::parse(&text, "captures.toml").unwrap();
    let report = Forwarder::new(config).start().unwrap().join().unwrap();
    assert_eq!(report.conserved, Some(true), "{report:?}");
    let came = report.received() + report.injected;
    let went = report.forwarded() + report.dropped() + report.punted() + report.consumed;
    assert_eq!(came, went);
    (refused, report)
}

/// Runs `test` with the collection and a directory; it must not take long.
fn timed(test: impl FnOnce(&Path, &[PathBuf])) {
    let files = collection();
    if files.is_empty() {
        return;
    }
    let (start, dir) = (Instant::now(), tempfile::tempdir().unwrap());
    test(dir.path(), &files);
    let time = start.elapsed();
    eprintln!("{} captures in {:.1} s", files.len(), time.as_secs_f64());
    assert!(time < Duration::from_secs(60), "{time:?}");
}

#[test]
fn every_capture_is_routed_or_refused() {
    timed(|dir, files| {
        let (refused, report) = route(dir, files);
        eprintln!("{refused} refused; {} received", report.received());
        eprintln!("drops {:?}, punts {:?}", report.drops, report.punts);
        eprintln!("slow path {:?}", report.slow_path);
        assert!(refused < files.len() / 2 && report.forwarded() > 500);
    });
}

#[test]
fn captures_that_end_anywhere_are_routed_or_refused() {
    timed(|dir, files| {
        let seed = 0x5eed_0001;
        eprintln!("seed {seed:#x}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut cut = |n: usize| {
            let bytes = std::fs::read(&files[n % files.len()]).unwrap();
            let path = dir.join(format!("cut-{n}"));
            std::fs::write(&path, &bytes[..random.random_range(0..=bytes.len())]).unwrap();
            path
        };
        let cuts: Vec<PathBuf> = (0..files.len() * VARIANTS).map(&mut cut).collect();
        let refused: usize = cuts.chunks(files.len()).map(|cuts| route(dir, cuts).0).sum();
        // Hardly any file ends just behind a packet.
        assert!(refused > cuts.len() / 2, "only {refused} of {} refused", cuts.len());
    });
}

#[test]
fn captures_with_flipped_bits_are_routed_or_refused() {
    timed(|dir, files| {
        let seed = 0x5eed_0002;
        eprintln!("seed {seed:#x}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut flip = |n: usize| {
            let mut bytes = std::fs::read(&files[n % files.len()]).unwrap();
            // The header of the file stays as it is, or most would be refused for it.
            for _ in 0..(bytes.len() / 200).clamp(1, 100) {
                let at = random.random_range(24.min(bytes.len() - 1)..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            let path = dir.join(format!("flipped-{n}"));
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let flipped: Vec<PathBuf> = (0..files.len() * VARIANTS).map(&mut flip).collect();
        let runs: Vec<_> = flipped.chunks(files.len()).map(|files| route(dir, files)).collect();
        let received: u64 = runs.iter().map(|(_, report)| report.received()).sum();
        eprintln!(
            "{} refused, {received} packets received",
            runs.iter().map(|run| run.0).sum::<usize>()
        );
        assert!(received > 1000);
    });
}

// rows: ARC-07, ARC-08
#[test]
fn the_program_routes_a_capture_or_says_in_one_line_why_not() {
    timed(|dir, files| {
        let config = dir.join("router.toml");
        let text = CONFIG.replace("pcap:tx=", &format!("pcap:tx={}/", dir.display()));
        std::fs::write(&config, text).unwrap();
        for file in files.iter().step_by(13) {
            let port = format!("pcap:rx={}", file.display());
            let config = config.to_str().unwrap();
            let args = ["--config", config, "--port", &port, "--trace", "1000"];
            let outcome = l3fwd::finish(l3fwd::command().args(args).spawn().unwrap());
            match outcome.status {
                0 => assert!(outcome.stdout.contains("conserved: yes"), "{file:?}: {outcome:?}"),
                2 => assert_eq!(outcome.stderr.lines().count(), 1, "{file:?}: {outcome:?}"),
                other => panic!("{file:?}: status {other}: {}", outcome.stderr),
            }
        }
    });
}
