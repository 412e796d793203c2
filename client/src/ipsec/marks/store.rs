//! The file of marks, and the marks in it that are this process's.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::folder::{Folder, Turn};
use super::record::{LINE, Record, parse_title, title};
use super::{Mark, MarkId, MarksError, UNSYNCED};

/// How often a line that another process may just be writing is read again.
const PATIENCE: u32 = 100;

/// The file, and what is known of it.
///
/// Each record is in one place for ever, is written there by the one process that has locked it,
/// and is whole at any time: it is part of one sector. Records are added at the end by whoever has
/// the [`Turn`], first themselves, then their count.
#[derive(Debug)]
pub(super) struct Store {
    folder: Folder,
    file: File,
    /// Which start of the machine this is, and which one the file is of.
    boot: u32,
    of_boot: Option<u32>,
    /// Places of records, counted from 1.
    places: HashMap<MarkId, u64>,
    /// Marks as they were when all of them were read last.
    known: BTreeMap<MarkId, Mark>,
    /// Marks that this process has locked.
    own: BTreeMap<MarkId, Mark>,
}

impl Store {
    /// Opens the file in `folder`, and makes an empty one if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, MarksError> {
        Self::with(Folder::open(folder)?, None)
    }

    /// The same with `file`, if it is the file in `folder` still.
    pub(super) fn adopt(folder: &Path, file: File) -> Result<Self, MarksError> {
        let folder = Folder::open(folder)?;
        let inode = |facts: io::Result<std::fs::Metadata>| {
            facts.map(|facts| (facts.dev(), facts.ino())).ok()
        };
        let own = inode(file.metadata());
        let same = own.is_some() && own == inode(std::fs::symlink_metadata(folder.file()));
        Self::with(folder, same.then_some(file))
    }

    fn with(folder: Folder, file: Option<File>) -> Result<Self, MarksError> {
        let path = folder.file();
        let turn = folder.turn().map_err(|source| MarksError::Read { path, source })?;
        let boot = this_boot();
        let file = match file {
            Some(file) => file,
            None => open_or_make(&folder, &turn, boot)?,
        };
        let (places, known, own) = (HashMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut store = Self { folder, file, boot, of_boot: None, places, known, own };
        store.read(&turn)?;
        if store.of_boot != Some(boot) || boot == 0 {
            store.after_boot(&turn).map_err(|source| store.unwritable(source))?;
        }
        Ok(store)
    }

    /// Locks marks, and returns them as they are; those of keys that were never used are zero.
    /// All or none.
    pub(super) fn claim(&mut self, ids: &[(MarkId, &str)]) -> Result<Vec<Mark>, MarksError> {
        let new = ids.iter().filter(|(id, _)| !self.own.contains_key(id));
        let new: Vec<_> = new.copied().collect();
        if !new.is_empty() {
            let turn = self.folder.turn().map_err(|source| self.unreadable(source))?;
            if !self.is_there() {
                self.restore(&turn)?;
            }
            self.read(&turn)?;
            let fresh = new.iter().filter(|(id, _)| !self.known.contains_key(id));
            let fresh = fresh.map(|(id, _)| Record { id: *id, mark: Mark::UNUSED }).collect();
            self.append(&turn, fresh)?;
            let mut locked = Vec::new();
            for (id, name) in new {
                match self.lock(id, name) {
                    Ok(mark) => locked.push((id, mark)),
                    Err(error) => {
                        locked.iter().for_each(|(id, _)| self.unlock(*id));
                        return Err(error);
                    }
                }
            }
            self.own.extend(locked);
        }
        Ok(ids.iter().map(|(id, _)| self.own.get(id).copied().unwrap_or(Mark::UNUSED)).collect())
    }

    /// A mark that need not be this process's, as of the last [`claim`](Self::claim).
    pub(super) fn known(&self, id: MarkId) -> Option<Mark> {
        self.known.get(&id).copied()
    }

    /// Where the line of a mark begins.
    pub(super) fn place(&self, id: MarkId) -> Option<u64> {
        self.places.get(&id).map(|place| place * LINE as u64)
    }

    /// A mark is this by what another process has written.
    pub(super) fn heard(&mut self, id: MarkId, mark: Mark) {
        self.own.insert(id, mark);
    }

    /// Lets other processes have a mark.
    pub(super) fn release(&mut self, id: MarkId) {
        if self.own.remove(&id).is_some() {
            self.unlock(id);
        }
    }

    /// Raises marks to what may have been accepted when the machine stopped: the disk need not have
    /// the last of them.
    fn after_boot(&mut self, _: &Turn) -> io::Result<()> {
        for (id, mark) in self.known.iter_mut().filter(|(_, mark)| !mark.exact) {
            mark.number = mark.number.saturating_add(UNSYNCED);
            let place = self.places.get(id).ok_or(io::ErrorKind::NotFound)?;
            self.file.write_all_at(&Record { id: *id, mark: *mark }.line(), place * LINE as u64)?;
        }
        self.file.sync_all()?;
        self.file.write_all_at(&title(self.places.len() as u64, self.boot), 0)?;
        self.file.sync_all()
    }

    /// The file, for a thread that waits for the disk.
    pub(super) fn file(&self) -> Result<File, MarksError> {
        self.file.try_clone().map_err(|source| self.unwritable(source))
    }

    /// Waits for the disk.
    pub(super) fn sync(&self) -> Result<(), MarksError> {
        self.file.sync_data().map_err(|source| self.unwritable(source))
    }

    /// Writes marks that were claimed: one write for each.
    pub(super) fn write(&mut self, marks: &[(MarkId, Mark)]) -> Result<(), MarksError> {
        if !self.is_there() {
            let turn = self.folder.turn().map_err(|source| self.unreadable(source))?;
            self.restore(&turn)?;
        }
        self.write_all(marks).map_err(|source| self.unwritable(source))?;
        self.own.extend(marks.iter().copied());
        Ok(())
    }

    fn write_all(&self, marks: &[(MarkId, Mark)]) -> io::Result<()> {
        for (id, mark) in marks {
            let place = self.places.get(id).filter(|_| self.own.contains_key(id));
            let place = place.ok_or(io::ErrorKind::NotFound)?;
            self.file.write_all_at(&Record { id: *id, mark: *mark }.line(), place * LINE as u64)?;
        }
        Ok(())
    }

    /// Reads all of it, and cuts off what was being added when a process ended.
    fn read(&mut self, _: &Turn) -> Result<(), MarksError> {
        let path = || self.folder.file();
        let unreadable = |source| MarksError::Read { path: path(), source };
        let len = self.file.metadata().map_err(unreadable)?.len();
        let mut first = [0; LINE];
        if len < LINE as u64 {
            return Err(MarksError::Cut { path: path(), has: len, wants: LINE as u64 });
        }
        self.file.read_exact_at(&mut first, 0).map_err(unreadable)?;
        let line = |line| MarksError::Line { path: path(), line };
        let (records, boot) = parse_title(&first).ok_or_else(|| line(1))?;
        let wants = records.saturating_add(1).saturating_mul(LINE as u64);
        if len < wants {
            return Err(MarksError::Cut { path: path(), has: len, wants });
        }
        if len > wants {
            self.file.set_len(wants).map_err(|source| self.unwritable(source))?;
        }
        let mut known = BTreeMap::new();
        let mut places = HashMap::new();
        for place in 1..=records {
            let record = self.record(place).map_err(unreadable)?;
            let Some(Record { id, mark }) = record else {
                return Err(line(usize::try_from(place + 1).unwrap_or(usize::MAX)));
            };
            places.insert(id, place);
            known.insert(id, mark);
        }
        (self.places, self.known, self.of_boot) = (places, known, Some(boot));
        Ok(())
    }

    /// One record; none if it is not as it was written.
    fn record(&self, place: u64) -> io::Result<Option<Record>> {
        let mut line = [0; LINE];
        for _ in 0..PATIENCE {
            self.file.read_exact_at(&mut line, place * LINE as u64)?;
            if let Some(record) = Record::parse(&line) {
                return Ok(Some(record));
            }
            std::thread::yield_now();
        }
        Ok(None)
    }

    /// Adds records at the end: nobody looks at them before their count is on the disk, too.
    fn append(&mut self, _: &Turn, records: Vec<Record>) -> Result<(), MarksError> {
        if records.is_empty() {
            return Ok(());
        }
        self.append_lines(&records).map_err(|source| self.unwritable(source))?;
        let places = self.places.len() as u64 + 1;
        self.places.extend(records.iter().map(|record| record.id).zip(places..));
        Ok(())
    }

    fn append_lines(&self, records: &[Record]) -> io::Result<()> {
        let before = self.places.len() as u64;
        let lines: Vec<u8> = records.iter().flat_map(|record| record.line()).collect();
        self.file.write_all_at(&lines, (before + 1) * LINE as u64)?;
        self.file.sync_all()?;
        self.file.write_all_at(&title(before + records.len() as u64, self.boot), 0)?;
        self.file.sync_all()
    }

    /// Whether the file still has its name.
    fn is_there(&self) -> bool {
        let inode = |facts: io::Result<std::fs::Metadata>| facts.map(|facts| facts.ino()).ok();
        inode(std::fs::symlink_metadata(self.folder.file())) == inode(self.file.metadata())
    }

    /// Puts what was in a file that somebody has removed into the one in its place.
    fn restore(&mut self, turn: &Turn) -> Result<(), MarksError> {
        self.read(turn)?;
        let mut lost = std::mem::take(&mut self.known);
        lost.extend(&self.own);
        self.file = open_or_make(&self.folder, turn, self.boot)?;
        self.read(turn)?;
        let missing = lost.iter().filter(|(id, _)| !self.known.contains_key(id));
        let missing = missing.map(|(id, mark)| Record { id: *id, mark: *mark }).collect();
        self.append(turn, missing)?;
        let own: Vec<_> = self.own.iter().map(|(id, mark)| (*id, *mark)).collect();
        for (id, _) in &own {
            self.lock(*id, "an SA")?;
        }
        let higher = |(id, mark): &(MarkId, Mark)| {
            self.known.get(id).is_none_or(|known| known.number <= mark.number)
        };
        let own: Vec<_> = own.into_iter().filter(higher).collect();
        self.write_all(&own).map_err(|source| self.unwritable(source))?;
        self.sync()
    }

    /// Locks a record, and reads it.
    fn lock(&self, id: MarkId, sa: &str) -> Result<Mark, MarksError> {
        let path = || self.folder.file();
        let place = self.places.get(&id).copied().unwrap_or_default();
        match self.set_lock(place, libc::F_WRLCK) {
            Ok(()) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => {
                return Err(MarksError::InUse { path: path(), sa: sa.to_owned() });
            }
            Err(error) => return Err(self.unreadable(error.into())),
        }
        match self.record(place) {
            Ok(Some(record)) if record.id == id => Ok(record.mark),
            Ok(_) => {
                let line = usize::try_from(place + 1).unwrap_or(usize::MAX);
                Err(MarksError::Line { path: path(), line })
            }
            Err(source) => Err(self.unreadable(source)),
        }
    }

    fn unlock(&self, id: MarkId) {
        if let Some(place) = self.places.get(&id) {
            // It ends with the file at the latest.
            let _ = self.set_lock(*place, libc::F_UNLCK);
        }
    }

    /// Locks belong to the open file: two in one process exclude each other, too.
    fn set_lock(&self, place: u64, kind: libc::c_int) -> Result<(), Errno> {
        let offset = |bytes: u64| libc::off_t::try_from(bytes).map_err(|_| Errno::EOVERFLOW);
        let part = libc::flock {
            l_type: libc::c_short::try_from(kind).map_err(|_| Errno::EINVAL)?,
            l_whence: libc::c_short::try_from(libc::SEEK_SET).map_err(|_| Errno::EINVAL)?,
            l_start: offset(place * LINE as u64)?,
            l_len: offset(LINE as u64)?,
            l_pid: 0,
        };
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&part)).map(drop)
    }

    fn unreadable(&self, source: io::Error) -> MarksError {
        MarksError::Read { path: self.path(), source }
    }

    pub(super) fn unwritable(&self, source: io::Error) -> MarksError {
        MarksError::Write { path: self.path(), source }
    }

    fn path(&self) -> PathBuf {
        self.folder.file()
    }
}

/// Tells this start of the machine from others; 0 if it cannot be told.
fn this_boot() -> u32 {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

fn open_or_make(folder: &Folder, turn: &Turn, boot: u32) -> Result<File, MarksError> {
    if let Some(file) = folder.open_file()? {
        return Ok(file);
    }
    let made = folder.make_file(turn, &title(0, boot));
    made.map_err(|source| MarksError::Write { path: folder.file(), source })
}
