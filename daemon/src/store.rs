//! Configurations on the disk.
//!
//! Each version has a file that is never changed, and its routes may have one. The file `running`
//! names the version that was confirmed last: what it says once it has been replaced is in force at
//! the next start, whatever happens before and after. A version with a higher number than that was
//! not confirmed, and goes.
//!
//! A file comes into being beside its name, is on the disk before it gets it, and so is the name
//! before anything else is done.

use std::io;
use std::path::{Path, PathBuf};

use api::{Candidate, RouteFile, Version, wire};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::replace::{NEW, replace};

/// What a file begins with, before the digest of the rest.
const MAGIC: [u8; 8] = *b"qfpcfg1\n";
const DIGEST: usize = 32;
const RUNNING: &str = "running";

/// Why there is no version, or none is kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system does not do it.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is not what was written.
    #[error("{}: is damaged", .0.display())]
    Damaged(PathBuf),
    /// It is too long.
    #[error(transparent)]
    TooLong(#[from] wire::WireError),
}

/// A version as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) version: Version,
    pub(crate) candidate: Candidate,
    /// The version with which the routes came that it has.
    pub(crate) routes: Option<u64>,
}

/// The folder of all versions.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The versions in `dir`, which nobody else can enter or uses. What was not finished or not
    /// confirmed goes.
    ///
    /// # Errors
    /// The system does not do it.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let store = Self { dir: dir.to_owned() };
        for name in store.names()? {
            if name.starts_with(NEW) {
                store.remove_file(&name)?;
            }
        }
        let running = store.running()?.unwrap_or(0);
        for number in store.versions()?.into_iter().filter(|number| *number > running) {
            store.remove(number)?;
        }
        store.tidy_routes(None)?;
        Ok(store)
    }

    /// The version that was confirmed last.
    pub(crate) fn running(&self) -> Result<Option<u64>, StoreError> {
        let path = self.dir.join(RUNNING);
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(StoreError::Damaged(path)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Io { path, error }),
        }
    }

    /// Makes `number` the version of the next start.
    pub(crate) fn set_running(&self, number: u64) -> Result<(), StoreError> {
        self.replace(RUNNING, format!("{number}\n").as_bytes())
    }

    /// Numbers of all versions, the newest first.
    pub(crate) fn versions(&self) -> Result<Vec<u64>, StoreError> {
        self.numbers("config")
    }

    pub(crate) fn load(&self, number: u64) -> Result<Saved, StoreError> {
        self.read(&format!("{number}.config"))
    }

    pub(crate) fn save(&self, saved: &Saved) -> Result<(), StoreError> {
        self.write(&format!("{}.config", saved.version.number), saved)
    }

    pub(crate) fn load_routes(&self, number: u64) -> Result<RouteFile, StoreError> {
        self.read(&format!("{number}.routes"))
    }

    pub(crate) fn save_routes(&self, number: u64, routes: &RouteFile) -> Result<(), StoreError> {
        self.write(&format!("{number}.routes"), routes)
    }

    /// Forgets a version. Its routes stay as long as another has them.
    pub(crate) fn remove(&self, number: u64) -> Result<(), StoreError> {
        self.remove_file(&format!("{number}.config"))
    }

    /// Forgets routes that no version has. Those of the version in force are known to be `in_force`:
    /// if there are no others, no version is read.
    pub(crate) fn tidy_routes(&self, in_force: Option<u64>) -> Result<(), StoreError> {
        let files = self.numbers("routes")?;
        if files.iter().all(|number| Some(*number) == in_force) {
            return Ok(());
        }
        let mut used = Vec::new();
        for number in self.versions()? {
            used.extend(self.load(number)?.routes);
        }
        let unused = files.into_iter().filter(|number| !used.contains(number));
        unused.map(|number| format!("{number}.routes")).try_for_each(|name| self.remove_file(&name))
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let at = |error| StoreError::Io { path: self.dir.clone(), error };
        let entries = std::fs::read_dir(&self.dir).map_err(at)?;
        let name = |entry: io::Result<std::fs::DirEntry>| {
            Ok(entry.map_err(at)?.file_name().to_string_lossy().into_owned())
        };
        entries.map(name).collect()
    }

    /// Numbers of the files with an extension, highest first.
    fn numbers(&self, extension: &str) -> Result<Vec<u64>, StoreError> {
        let names = self.names()?;
        let number = |name: &String| {
            let (number, found) = name.split_once('.')?;
            (found == extension).then(|| number.parse().ok())?
        };
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbers)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        let path = self.dir.join(name);
        let bytes = std::fs::read(&path);
        let bytes = bytes.map_err(|error| StoreError::Io { path: path.clone(), error })?;
        let bytes = Zeroizing::new(bytes);
        let parts = bytes.split_at_checked(MAGIC.len() + DIGEST);
        match parts {
            Some((head, body)) if head[..MAGIC.len()] == MAGIC => {
                let whole = Sha256::digest(body).as_slice() == &head[MAGIC.len()..];
                let read = if whole { wire::decode(body).ok() } else { None };
                read.ok_or(StoreError::Damaged(path))
            }
            _ => Err(StoreError::Damaged(path)),
        }
    }

    fn write(&self, name: &str, what: &impl Serialize) -> Result<(), StoreError> {
        let body = wire::encode(what)?;
        let mut all = Zeroizing::new(Vec::with_capacity(MAGIC.len() + DIGEST + body.len()));
        all.extend_from_slice(&MAGIC);
        all.extend_from_slice(&Sha256::digest(&body));
        all.extend_from_slice(&body);
        self.replace(name, &all)
    }

    /// Makes `bytes` what is called `name`, as [`replace`] does.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        let steps = match name {
            RUNNING => ["running-written", "running-renamed"],
            _ => ["written", "renamed"],
        };
        replace(&path, bytes, steps).map_err(|error| StoreError::Io { path, error })
    }

    fn remove_file(&self, name: &str) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Io { path, error })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn saved(dir: &Path, number: u64, routes: Option<u64>) -> Saved {
        let file = dir.join("c.toml");
        std::fs::write(&file, format!("# {number}\n")).unwrap();
        let (candidate, _) = Candidate::read(&file).unwrap();
        let from = file.display().to_string();
        let version = Version { number, time: 5, uid: 0, from, until: None };
        Saved { version, candidate, routes }
    }

    #[test]
    fn what_was_confirmed_is_there_again_and_what_was_not_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let kept = tempfile::tempdir().unwrap();
        let store = Store::open(kept.path()).unwrap();
        assert_eq!(store.running().unwrap(), None);
        for number in [1, 2, 10] {
            store.save(&saved(dir.path(), number, (number > 1).then_some(number))).unwrap();
            let routes = RouteFile { file: "r".to_owned(), bytes: b"10.0.0.0/8 drop\n".to_vec() };
            store.save_routes(number, &routes).unwrap();
        }
        store.set_running(2).unwrap();
        std::fs::write(kept.path().join(".new-x"), "half").unwrap();
        let store = Store::open(kept.path()).unwrap();
        assert_eq!((store.running().unwrap(), store.versions().unwrap()), (Some(2), vec![2, 1]));
        assert_eq!(store.load(2).unwrap(), saved(dir.path(), 2, Some(2)));
        assert_eq!(store.load_routes(2).unwrap().parse().unwrap().len(), 1);
        let mut names = store.names().unwrap();
        names.sort();
        assert_eq!(names, ["1.config", "2.config", "2.routes", "running"]);
        let mode = kept.path().join("2.config").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_with_a_changed_bit_is_damaged_and_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.save(&saved(dir.path(), 1, None)).unwrap();
        let path = dir.path().join("1.config");
        let bytes = std::fs::read(&path).unwrap();
        for bit in [0, 70, 8 * bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, changed).unwrap();
            assert!(matches!(store.load(1), Err(StoreError::Damaged(_))));
        }
        std::fs::write(&path, &bytes[..30]).unwrap();
        assert!(store.load(1).unwrap_err().to_string().ends_with("1.config: is damaged"));
    }
}
