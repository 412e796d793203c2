//! How far the sequence numbers of keys have come, in a file that outlives the process.
//!
//! A mark is the highest number that may have been sent, or accepted, with a key. It is in the file
//! before the number is used, so that a process that ends at any moment leaves a file that says at
//! least as much as was used: nothing is sent with a number again, and nothing is accepted again.
//! When a process ends in order its marks are exact.
//!
//! What is sent waits until its mark is on the disk. What is accepted does not wait, up to
//! [`UNSYNCED`] numbers beyond the mark that is: where the machine has started anew since, its marks
//! are taken to be so much higher. Which start of the machine they are of is in the first line.
//!
//! There is one file for a machine, whatever the configurations that name its keys are called and
//! wherever they lie: `sequence-marks` in the folder of states. It has lines of [64
//! bytes](record::LINE): how many keys there are, then for each who it is, as a hash, its mark,
//! and a check. A file that was emptied, cut or changed is refused; one that was removed is like
//! one that never was. Several processes may use the file, each with keys of its own.
//!
//! Nothing is ever taken out of it: a key that comes back in years must not repeat its numbers.

mod folder;
mod record;
mod store;
mod syncer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use self::store::Store;
use self::syncer::Syncer;
use super::{Direction, Sa, Secret};

/// What a key is used for, without saying what it is: half of a hash of it.
///
/// Of the key and the direction alone: the same key with another SPI, or with an algorithm that
/// makes the same nonces of the same numbers, goes on behind what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MarkId(u128);

impl MarkId {
    pub(crate) fn of(direction: Direction, key: &Secret) -> Self {
        let purpose = format!("qfp sequence marks\0{}\0", direction.name());
        Self(key.fingerprint(purpose.as_bytes()))
    }

    /// As it is written.
    pub(crate) const fn number(self) -> u128 {
        self.0
    }

    /// Of an SA; none if nothing of it outlives the process.
    pub(crate) fn of_sa(sa: &Sa) -> Option<Self> {
        let has_mark = sa.direction == Direction::Out || sa.replay_window != 0;
        (sa.lasting && has_mark).then(|| Self::of(sa.direction, &sa.key))
    }
}

/// Numbers that may be accepted beyond the mark that is on the disk, if theirs is in the file.
pub(crate) const UNSYNCED: u64 = 4096;

/// How far a key has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// No number above it was used.
    pub(crate) number: u64,
    /// Whether that is what was used, rather than what was reserved.
    pub(crate) exact: bool,
}

impl Mark {
    /// Of a key that was never used.
    pub(crate) const UNUSED: Self = Self { number: 0, exact: true };

    /// Numbers up to this one may be used from now on.
    pub(crate) const fn reserved(number: u64) -> Self {
        Self { number, exact: false }
    }

    /// Nothing is used any more, and this was the last.
    pub(crate) const fn exact(number: u64) -> Self {
        Self { number, exact: true }
    }
}

/// Why marks cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum MarksError {
    /// The file or its folder cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file or its folder cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is somewhere else than it says.
    #[error("{}: is a symbolic link, which is not followed", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A FIFO, a device or a folder.
    #[error("{}: is not a regular file", path.display())]
    NoFile {
        /// What has its name.
        path: PathBuf,
    },
    /// It is somebody else's.
    #[error("{}: belongs to user {owner}, and must belong to whoever runs the router", path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others may write it.
    #[error("{}: has mode {:o}, which lets others in: it must be {wants:o}", path.display(), mode & 0o7777)]
    Mode {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it should be.
        wants: u32,
    },
    /// Part of it is missing.
    #[error("{}: has {has} bytes of {wants}: without what is missing sequence numbers would repeat", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Its length, bytes.
        has: u64,
        /// The length that it should have at least.
        wants: u64,
    },
    /// A line is not what was written.
    #[error("{}:{line}: is not as it was written: without what stood here sequence numbers would repeat", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// Another process has a key.
    #[error("{}: the key of SA {sa} is in use by another process: two would use the same sequence numbers", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
        /// Whose key it is.
        sa: String,
    },
    /// Nothing can be written beside other work.
    #[error("no thread that writes sequence marks: {0}")]
    Thread(io::Error),
}

/// The marks of this process's keys, and the file that has them.
///
/// Without a file they end with the process: enough where its keys do, too.
#[derive(Debug, Default)]
pub struct Marks {
    store: Option<Store>,
    syncer: Option<Syncer>,
    marks: BTreeMap<MarkId, Mark>,
}

impl Marks {
    /// Marks in the file in `folder`, each of which is made if it is not there.
    ///
    /// # Errors
    /// See [`MarksError`].
    pub fn open(folder: &Path) -> Result<Self, MarksError> {
        Ok(Self { store: Some(Store::open(folder)?), ..Self::default() })
    }

    /// Marks in `file`, which a process has kept open since another one like this opened it: its keys
    /// have been nobody else's meanwhile. In the file in `folder`, if that is another by now.
    ///
    /// # Errors
    /// See [`MarksError`].
    pub fn adopt(folder: &Path, file: OwnedFd) -> Result<Self, MarksError> {
        let store = Store::adopt(folder, file.into())?;
        Ok(Self { store: Some(store), ..Self::default() })
    }

    /// The file, for a process that keeps it open.
    ///
    /// # Errors
    /// The system has no descriptors.
    pub(crate) fn file(&self) -> Result<Option<OwnedFd>, MarksError> {
        let file = self.store.as_ref().map(Store::file).transpose()?;
        Ok(file.map(OwnedFd::from))
    }

    /// Where the line of a key begins in the file; none without a file.
    pub(crate) fn place(&self, id: MarkId) -> Option<u64> {
        self.store.as_ref()?.place(id)
    }

    /// A key has come so far by what another process has written.
    pub(crate) fn heard(&mut self, id: MarkId, mark: Mark) {
        self.marks.insert(id, mark);
        if let Some(store) = &mut self.store {
            store.heard(id, mark);
        }
    }

    /// Marks of keys, which are this process's alone from now on, with the names of their SAs. All
    /// or none.
    pub(crate) fn claim(&mut self, keys: &[(MarkId, &str)]) -> Result<Vec<Mark>, MarksError> {
        if let Some(store) = &mut self.store {
            let marks = store.claim(keys)?;
            for ((id, _), mark) in keys.iter().zip(marks) {
                self.marks.entry(*id).or_insert(mark);
            }
        }
        Ok(keys.iter().map(|(id, _)| self.get(*id)).collect())
    }

    /// The mark of a key, as far as it is known here.
    pub(crate) fn get(&self, id: MarkId) -> Mark {
        self.marks.get(&id).copied().unwrap_or(Mark::UNUSED)
    }

    /// The mark of a key, whoever's it is, as of the last [`claim`](Self::claim).
    pub(crate) fn peek(&self, id: MarkId) -> Mark {
        let known = || self.store.as_ref()?.known(id);
        self.marks.get(&id).copied().or_else(known).unwrap_or(Mark::UNUSED)
    }

    /// Lets other processes have a key.
    pub(crate) fn release(&mut self, id: MarkId) {
        if let Some(store) = &mut self.store {
            store.release(id);
            self.marks.remove(&id);
        }
    }

    /// Writes marks. When this returns they are on the disk: it waits for that.
    pub(crate) fn write(&mut self, marks: &[(MarkId, Mark)]) -> Result<(), MarksError> {
        if marks.is_empty() {
            return Ok(());
        }
        self.note(marks)?;
        self.sync()
    }

    /// Waits until everything that was noted is on the disk.
    pub(crate) fn sync(&self) -> Result<(), MarksError> {
        self.store.as_ref().map_or(Ok(()), Store::sync)
    }

    /// Writes marks, and does not wait. The end of the process does not lose them.
    pub(crate) fn note(&mut self, marks: &[(MarkId, Mark)]) -> Result<(), MarksError> {
        if let Some(store) = &mut self.store {
            store.write(marks)?;
        }
        self.marks.extend(marks.iter().copied());
        Ok(())
    }

    /// Begins to wait for the disk. Not while that is under way. True when
    /// [`outcome`](Self::outcome) will tell of it, false without a file.
    pub(crate) fn begin_sync(&mut self) -> Result<bool, MarksError> {
        let Some(store) = &self.store else { return Ok(false) };
        let file = store.file()?;
        let syncer = match &mut self.syncer {
            Some(syncer) => syncer,
            none => none.insert(Syncer::start().map_err(MarksError::Thread)?),
        };
        let ended = || MarksError::Thread(io::ErrorKind::BrokenPipe.into());
        if syncer.begin(file) { Ok(true) } else { Err(ended()) }
    }

    /// Whether the disk is waited for.
    pub(crate) fn is_busy(&self) -> bool {
        self.syncer.as_ref().is_some_and(Syncer::is_busy)
    }

    /// Whether what was noted before [`begin_sync`](Self::begin_sync) is on the disk; none while it
    /// is under way, or has been told.
    pub(crate) fn outcome(&mut self) -> Option<Result<(), MarksError>> {
        let outcome = self.syncer.as_mut()?.outcome()?;
        let unwritable = |source| self.store.as_ref().map(|store| store.unwritable(source));
        Some(outcome.or_else(|source| unwritable(source).map_or(Ok(()), Err)))
    }
}
