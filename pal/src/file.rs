//! Files that a program is told to read: regular ones, within bounds.
//!
//! A pipe without a writer would hold a program up for ever, and a device may have no end. Neither
//! holds a configuration, routes or keys, so both are refused before a byte of them is read.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Opens a regular file for reading. Never waits.
///
/// # Errors
/// What the system says, and `InvalidInput` for a directory, pipe, device or socket.
pub fn open(path: &Path) -> io::Result<File> {
    // Asked before, as opening a device may do something; and of what was opened, as it may be
    // another by then.
    regular(&path.metadata()?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// The bytes of a regular file, `limit` at most. Never waits.
///
/// # Errors
/// As [`open`], and `FileTooLarge`.
pub fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    contents(open(path)?, limit)
}

/// The bytes of an open file from where it stands, `limit` at most.
///
/// # Errors
/// What the system says, `FileTooLarge`, and `OutOfMemory`.
pub fn contents(file: File, limit: usize) -> io::Result<Vec<u8>> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    let too_large = || {
        io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("the file is longer than {limit} bytes"),
        )
    };
    let length = file.metadata()?.len();
    if length > most {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(length).unwrap_or(limit))?;
    // It may grow meanwhile.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit { Err(too_large()) } else { Ok(bytes) }
}

/// Opens what output goes to, as `options` say: a file, a device, or a pipe that somebody reads.
///
/// # Errors
/// What the system says; for a pipe that nobody has opened for reading, "No such device or address".
pub fn open_output(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let _reader_is_there = match path.metadata() {
        Ok(found) if found.file_type().is_fifo() => {
            Some(OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path)?)
        }
        _ => None,
    };
    options.open(path)
}

fn regular(found: &Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let what = format!("{}, not a regular file", name(found.file_type()));
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

fn name(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("qfp-file-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn fifo(path: &Path) -> bool {
        std::process::Command::new("mkfifo").arg(path).status().is_ok_and(|made| made.success())
    }

    #[test]
    fn a_regular_file_is_read_up_to_its_bound() {
        let folder = folder("bound");
        let path = folder.join("file");
        std::fs::write(&path, b"eight by").unwrap();
        assert_eq!(read(&path, 8).unwrap(), b"eight by");
        let error = read(&path, 7).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "the file is longer than 7 bytes");
        // Files of the system say that they have no bytes, and have.
        assert!(!read(Path::new("/proc/self/status"), 1 << 16).unwrap().is_empty());
        assert!(read(Path::new("/proc/self/status"), 10).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = folder("kinds");
        let pipe = folder.join("pipe");
        for (path, wanted) in [
            (Path::new("/dev/zero"), "a device, not a regular file"),
            (&folder, "a directory, not a regular file"),
        ] {
            let error = read(path, 100).unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string().as_str()),
                (io::ErrorKind::InvalidInput, wanted)
            );
        }
        if fifo(&pipe) {
            let error = read(&pipe, 100).unwrap_err();
            assert_eq!(error.to_string(), "a pipe, not a regular file");
        }
        assert_eq!(read(&folder.join("none"), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_output_pipe_needs_a_reader_and_waits_for_none() {
        let folder = folder("output");
        let pipe = folder.join("pipe");
        if !fifo(&pipe) {
            return eprintln!("skipped: no mkfifo");
        }
        let mut options = OpenOptions::new();
        options.write(true);
        let error = open_output(&pipe, &options).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
        let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&pipe);
        assert!(open_output(&pipe, &options).is_ok());
        drop(reader);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
