//! Sequence numbers that are promised never to be used again, in a file that outlives the process.
//!
//! Lines of a key and a number: who it is, as a hash, and the highest number that may have been
//! used with it; of several lines of a key the highest counts. The number is written before it may
//! be used, so that a process that ends at any moment, and a machine that loses its power, leave a
//! file that says at least as much as was used.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::key::Secret;

/// First line of the file.
const TITLE: &str =
    "# Sequence numbers used with keys of SAs: without this file they would repeat.";

/// Who a key is, without saying what it is: the first half of a hash of it.
///
/// Of the key alone, so that the same key with another SPI goes on behind what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyId(u128);

impl KeyId {
    pub(crate) fn of(key: &Secret) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"qfp sequence numbers\0");
        hash.update(key.bytes());
        let hash = hash.finalize();
        Self(hash.first_chunk().map_or(0, |half| u128::from_be_bytes(*half)))
    }
}

/// Why marks cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum MarksError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not what was written.
    #[error("{}:{line}: expected a key's hash and a number: without what stood here sequence numbers would repeat", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// Another process has it.
    #[error("{}: is in use by another process: two would send the same sequence numbers", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The marks of all keys, and the file that has them, which one process at a time may use.
///
/// Without a file they end with the process: enough where its keys do, too.
#[derive(Debug, Default)]
pub struct Marks {
    kept: Option<Kept>,
    marks: BTreeMap<KeyId, u64>,
}

/// The file of marks.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    /// Locked as long as it is open.
    file: File,
    /// Lines of keys in it.
    lines: usize,
    /// It is empty, or its last line may be half of one: nothing can be written behind it.
    anew: bool,
}

/// Lines that may be out of date before the file is written anew.
const STALE_LINES: usize = 1024;

impl Marks {
    /// Reads the marks of `path`, and makes an empty file if there is none.
    ///
    /// # Errors
    /// See [`MarksError`].
    pub fn open(path: &Path) -> Result<Self, MarksError> {
        let read = |source| MarksError::Read { path: path.to_owned(), source };
        let file = loop {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).mode(0o600);
            let file = options
                .open(path)
                .map_err(|source| MarksError::Write { path: path.to_owned(), source })?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(MarksError::InUse { path: path.to_owned() });
                }
                Err(TryLockError::Error(source)) => return Err(read(source)),
            }
            // Whoever had it may have put another file in its place meanwhile.
            let same = std::fs::metadata(path).map_err(read)?.ino();
            if file.metadata().map_err(read)?.ino() == same {
                break file;
            }
        };
        let (mut marks, mut lines) = (BTreeMap::new(), 0);
        let mut anew = file.metadata().map_err(read)?.len() == 0;
        let mut input = BufReader::new(&file);
        let mut text = String::new();
        for line in 1.. {
            text.clear();
            if input.read_line(&mut text).map_err(read)? == 0 {
                break;
            }
            let Some(text) = text.strip_suffix('\n') else {
                // It was being written when the machine stopped, so nobody relied on it yet.
                anew = true;
                break;
            };
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (key, mark) =
                entry(text).ok_or(MarksError::Line { path: path.to_owned(), line })?;
            let known: &mut u64 = marks.entry(key).or_default();
            *known = mark.max(*known);
            lines += 1;
        }
        Ok(Self { kept: Some(Kept { path: path.to_owned(), file, lines, anew }), marks })
    }

    /// The highest number that may have been used with a key; 0 for none.
    pub(crate) fn get(&self, key: KeyId) -> u64 {
        self.marks.get(&key).copied().unwrap_or(0)
    }

    /// Notes higher marks, all or none. When this returns they are in the file, whatever happens.
    ///
    /// Costs one write to the disk, of as many lines as there are marks here; now and then of all.
    pub(crate) fn raise(
        &mut self,
        marks: impl IntoIterator<Item = (KeyId, u64)>,
    ) -> Result<(), MarksError> {
        let raised = marks.into_iter().filter(|(key, mark)| *mark > self.get(*key));
        let raised: BTreeMap<KeyId, u64> = raised.collect();
        if raised.is_empty() {
            return Ok(());
        }
        if let Some(kept) = &mut self.kept {
            let stale = kept.lines > 2 * self.marks.len() + STALE_LINES;
            let written = if kept.anew || stale || !kept.is_there() {
                let mut all = self.marks.clone();
                all.extend(&raised);
                kept.write(&all)
            } else {
                kept.append(&raised)
            };
            written.map_err(|source| MarksError::Write { path: kept.path.clone(), source })?;
        }
        self.marks.extend(raised);
        Ok(())
    }
}

impl Kept {
    /// Whether the file still has its name.
    fn is_there(&self) -> bool {
        let inode = |facts: io::Result<std::fs::Metadata>| facts.map(|facts| facts.ino()).ok();
        inode(std::fs::metadata(&self.path)) == inode(self.file.metadata())
    }

    /// Writes lines behind the others, and sees them on the disk.
    fn append(&mut self, marks: &BTreeMap<KeyId, u64>) -> io::Result<()> {
        let mut lines = Vec::new();
        write_lines(&mut lines, marks)?;
        self.anew = true;
        self.file.write_all(&lines)?;
        self.file.sync_data()?;
        self.anew = false;
        self.lines += marks.len();
        Ok(())
    }

    /// Writes a new file beside the old one, sees it on the disk, and puts it in its place.
    fn write(&mut self, marks: &BTreeMap<KeyId, u64>) -> io::Result<()> {
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(".new");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = file.open(&beside)?;
        file.lock()?;
        let mut out = BufWriter::new(&file);
        writeln!(out, "{TITLE}")?;
        write_lines(&mut out, marks)?;
        out.flush()?;
        drop(out);
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        (self.file, self.lines, self.anew) = (file, marks.len(), false);
        Ok(())
    }
}

fn write_lines(out: &mut impl Write, marks: &BTreeMap<KeyId, u64>) -> io::Result<()> {
    marks.iter().try_for_each(|(KeyId(key), mark)| writeln!(out, "{key:032x} {mark}"))
}

/// A line of the file.
fn entry(line: &str) -> Option<(KeyId, u64)> {
    let (key, mark) = line.split_once(' ')?;
    let key = (key.len() == 32).then(|| u128::from_str_radix(key, 16).ok())??;
    Some((KeyId(key), mark.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> KeyId {
        KeyId::of(&Secret::new(&[n; 20]))
    }

    #[test]
    fn marks_outlive_the_process_and_never_go_down() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marks");
        let mut marks = Marks::open(&path).unwrap();
        assert_eq!(marks.get(key(1)), 0);
        marks.raise([(key(1), 100), (key(2), 7)]).unwrap();
        marks.raise([(key(1), 50)]).unwrap();
        drop(marks);
        let marks = Marks::open(&path).unwrap();
        assert_eq!([1, 2, 3].map(|n| marks.get(key(n))), [100, 7, 0]);
    }

    #[test]
    fn many_raises_of_few_keys_do_not_make_a_long_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marks");
        let mut marks = Marks::open(&path).unwrap();
        for n in 1..=2 * STALE_LINES as u64 {
            marks.raise([(key((n % 3) as u8), n)]).unwrap();
        }
        drop(marks);
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines < STALE_LINES + 20, "{lines} lines");
        let marks = Marks::open(&path).unwrap();
        assert_eq!([0, 1, 2].map(|n| marks.get(key(n))), [2046, 2047, 2048]);
    }

    #[test]
    fn half_a_line_at_the_end_is_one_that_nobody_relied_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marks");
        let mut marks = Marks::open(&path).unwrap();
        marks.raise([(key(1), 1000)]).unwrap();
        marks.raise([(key(1), 2000), (key(2), 3000)]).unwrap();
        drop(marks);
        let text = std::fs::read(&path).unwrap();
        for cut in 1..30 {
            std::fs::write(&path, &text[..text.len() - cut]).unwrap();
            let mut marks = Marks::open(&path).unwrap();
            assert!(marks.get(key(1)) >= 1000, "{cut} bytes are missing");
            marks.raise([(key(3), 7)]).unwrap();
            drop(marks);
            assert_eq!(Marks::open(&path).unwrap().get(key(3)), 7, "{cut} bytes were missing");
        }
    }

    #[test]
    fn a_file_that_somebody_removed_is_written_again_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marks");
        let mut marks = Marks::open(&path).unwrap();
        marks.raise([(key(1), 5)]).unwrap();
        std::fs::remove_file(&path).unwrap();
        marks.raise([(key(2), 6)]).unwrap();
        drop(marks);
        let marks = Marks::open(&path).unwrap();
        assert_eq!([1, 2].map(|n| marks.get(key(n))), [5, 6]);
    }

    #[test]
    fn the_file_says_nothing_of_a_key_and_is_nobody_else_s_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marks");
        Marks::open(&path).unwrap().raise([(key(0xab), 1)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("abab"), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let names = std::fs::read_dir(dir.path()).unwrap();
        assert_eq!(names.count(), 1, "nothing is left beside it");
    }

    #[test]
    fn one_process_has_the_file_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marks");
        let mut marks = Marks::open(&path).unwrap();
        assert!(matches!(Marks::open(&path), Err(MarksError::InUse { .. })));
        marks.raise([(key(1), 1)]).unwrap();
        assert!(matches!(Marks::open(&path), Err(MarksError::InUse { .. })));
        drop(marks);
        Marks::open(&path).unwrap();
    }

    #[test]
    fn a_line_that_cannot_be_read_is_an_error_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marks");
        let hash = "0".repeat(32);
        for line in ["x", &hash, &format!("{hash} x"), &format!("{hash} -1"), "00 1"] {
            std::fs::write(&path, format!("# title\n{hash} 5\n{line}\n")).unwrap();
            let error = Marks::open(&path).unwrap_err().to_string();
            assert!(error.contains("marks:3: "), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_before_anything_is_promised() {
        let error = Marks::open(Path::new("/nowhere/marks")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/marks: cannot be written: "), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub").join("marks");
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let mut marks = Marks::open(&path).unwrap();
        std::fs::remove_dir_all(dir.path().join("sub")).unwrap();
        assert!(marks.raise([(key(1), 9)]).is_err());
        assert_eq!(marks.get(key(1)), 0);
    }
}
