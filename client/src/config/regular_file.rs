//! Files that a configuration names: read whole, without waiting for anybody and without end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it belongs to user {0}, and must belong to whoever runs the router, or to root")]
    Owner(u32),
    #[error("its mode is {:o}: others than its owner can write it", .0 & 0o7777)]
    Writable(u32),
    #[error("its mode is {:o}: everybody can read it", .0 & 0o7777)]
    Readable(u32),
}

/// The bytes of a regular file, one more than `limit` at most: then it is longer.
pub(super) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_all(&open(path)?, limit)
}

/// As [`read`], of a file that nobody else can write, and not everybody read.
pub(super) fn read_secret(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let facts = file.metadata()?;
    let (owner, mode) = (facts.uid(), facts.mode());
    let unfit = if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        Unfit::Owner(owner)
    } else if mode & 0o022 != 0 {
        Unfit::Writable(mode)
    } else if mode & 0o004 != 0 {
        Unfit::Readable(mode)
    } else {
        return read_all(&file, limit);
    };
    Err(io::Error::other(unfit))
}

fn read_all(file: &File, limit: usize) -> io::Result<Vec<u8>> {
    // Never larger than it has to be: copies that growing leaves behind would not be wiped.
    let mut bytes = Vec::with_capacity(capacity(file, limit)?);
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn capacity(file: &File, limit: usize) -> io::Result<usize> {
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    Ok(len.min(limit) + 1)
}

/// Opens a regular file. One that is a FIFO has nobody wait for who writes it.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other(Unfit::NotRegular)) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_never_more_of_them_than_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let (file, fifo) = (dir.path().join("file"), dir.path().join("fifo"));
        std::fs::write(&file, "0123456789").unwrap();
        assert_eq!(read(&file, 10).unwrap(), b"0123456789");
        assert_eq!(read(&file, 9).unwrap().len(), 10, "one more than the limit");
        assert_eq!(read(&file, 4).unwrap(), b"01234");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        for path in [&*fifo, dir.path(), Path::new("/dev/zero"), Path::new("/dev/null")] {
            let error = read(path, 10).unwrap_err().to_string();
            assert_eq!(error, "it is not a regular file", "{path:?}");
            assert!(read_secret(path, 10).is_err());
        }
    }

    #[test]
    fn a_secret_is_its_owner_s_to_write_and_not_everybody_s_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "00").unwrap();
        for mode in [0o600, 0o400, 0o640, 0o604, 0o644, 0o620, 0o602, 0o666] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let outcome = read_secret(&file, 10).map_err(|error| error.to_string());
            match mode {
                0o600 | 0o400 | 0o640 => assert_eq!(outcome, Ok(b"00".to_vec()), "{mode:o}"),
                _ => assert!(outcome.unwrap_err().contains(&format!("mode is {mode:o}: "))),
            }
        }
    }
}
