//! Files with keys: regular ones, which others cannot write and not everybody can read.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it belongs to user {0}, and must belong to whoever runs the router, or to root")]
    Owner(u32),
    #[error("its mode is {:o}: others than its owner can write it", .0 & 0o7777)]
    Writable(u32),
    #[error("its mode is {:o}: everybody can read it", .0 & 0o7777)]
    Readable(u32),
}

/// The bytes of a file that nobody else can write, and not everybody read; `limit` at most.
///
/// They are read into one piece of memory, so that no copies are left that nobody wipes.
pub(super) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = pal::file::open(path)?;
    let facts = file.metadata()?;
    let (owner, mode) = (facts.uid(), facts.mode());
    let unfit = if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        Unfit::Owner(owner)
    } else if mode & 0o022 != 0 {
        Unfit::Writable(mode)
    } else if mode & 0o004 != 0 {
        Unfit::Readable(mode)
    } else {
        return pal::file::contents(file, limit);
    };
    Err(io::Error::other(unfit))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_its_owner_s_to_write_and_not_everybody_s_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "00").unwrap();
        for mode in [0o600, 0o400, 0o640, 0o604, 0o644, 0o620, 0o602, 0o666] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let outcome = read(&file, 10).map_err(|error| error.to_string());
            match mode {
                0o600 | 0o400 | 0o640 => assert_eq!(outcome, Ok(b"00".to_vec()), "{mode:o}"),
                _ => assert!(outcome.unwrap_err().contains(&format!("mode is {mode:o}: "))),
            }
        }
    }
}
