//! The file in which routers keep how far sequence numbers have come.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The file in a folder of states.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join("sequence-marks")
}

/// Has all keys in a folder of states have come to `number`.
pub(crate) fn set_all(folder: &Path, number: u64) {
    let text = std::fs::read_to_string(file(folder)).unwrap();
    let mut lines = text.lines();
    let mut changed = format!("{}\n", lines.next().unwrap());
    for line in lines {
        // Who it is, how far it has come, whether that is exact; then a check of these.
        let body = format!("{} {number:016x} =", &line[..32]);
        let hash = Sha256::digest(&body);
        let check: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        changed += &format!("{body} {}\n", &check[..11]);
    }
    assert!(text.lines().count() > 1, "no key is in {text}");
    std::fs::write(file(folder), changed).unwrap();
}
