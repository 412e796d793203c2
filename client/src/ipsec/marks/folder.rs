//! The folder that the file of marks is in: whose it is, and one process in it at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::MarksError;

/// Name of the file.
const FILE: &str = "sequence-marks";
/// Name of a file that is not whole yet.
const NEW: &str = "sequence-marks.new";

/// A folder that nobody else may write.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

/// As long as this is there, no other process opens, makes or lengthens the file.
pub(super) struct Turn(File);

impl Folder {
    /// The folder, which is made if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, MarksError> {
        let read = |source| MarksError::Read { path: path.to_owned(), source };
        if path.is_symlink() {
            return Err(MarksError::Link { path: path.to_owned() });
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| MarksError::Write { path: path.to_owned(), source })?;
        let folder = Self(path.to_owned());
        let facts = folder.handle().and_then(|handle| handle.metadata()).map_err(read)?;
        check_owner(path, &facts)?;
        if facts.mode() & 0o022 != 0 {
            return Err(MarksError::Mode {
                path: path.to_owned(),
                mode: facts.mode(),
                wants: 0o700,
            });
        }
        Ok(folder)
    }

    fn handle(&self) -> io::Result<File> {
        let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
        OpenOptions::new().read(true).custom_flags(flags).open(&self.0)
    }

    /// Waits until no other process is at the file.
    pub(super) fn turn(&self) -> io::Result<Turn> {
        let handle = self.handle()?;
        handle.lock()?;
        Ok(Turn(handle))
    }

    /// The name of the file.
    pub(super) fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    /// Opens the file; none if there is none. Links are not followed, and nothing is waited for.
    pub(super) fn open_file(&self) -> Result<Option<File>, MarksError> {
        let path = self.file();
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        let file = match options.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) if path.is_symlink() => return Err(MarksError::Link { path }),
            Err(source) => return Err(MarksError::Read { path, source }),
        };
        let facts = match file.metadata() {
            Ok(facts) => facts,
            Err(source) => return Err(MarksError::Read { path, source }),
        };
        if !facts.is_file() {
            return Err(MarksError::NoFile { path });
        }
        check_owner(&path, &facts)?;
        if facts.mode() & 0o077 != 0 {
            return Err(MarksError::Mode { path, mode: facts.mode(), wants: 0o600 });
        }
        Ok(Some(file))
    }

    /// Makes the file from `text`: beside its place first, then by one step there, on the disk.
    pub(super) fn make_file(&self, turn: &Turn, text: &[u8]) -> io::Result<File> {
        let (path, beside) = (self.file(), self.0.join(NEW));
        // Whatever has that name is from a process that ended, or a trap.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&beside)?;
        std::os::unix::fs::FileExt::write_all_at(&file, text, 0)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)?;
        turn.0.sync_all()?;
        Ok(file)
    }
}

fn check_owner(path: &Path, facts: &std::fs::Metadata) -> Result<(), MarksError> {
    if facts.uid() == nix::unistd::geteuid().as_raw() {
        return Ok(());
    }
    Err(MarksError::Owner { path: path.to_owned(), owner: facts.uid() })
}
