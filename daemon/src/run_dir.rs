//! The directory of a router: its lock, its sockets, its configurations.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use api::{APPLICATIONS, SHOW_SOCKET, SOCKET};
use nix::unistd::Group;
use rustix::fs::{FlockOperation, flock};

/// What only the daemon's own user can enter.
const PRIVATE: &str = "config";

/// Why a directory cannot be a router's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunDirError {
    /// The system does not do it.
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    /// Another daemon has it.
    #[error("{}: another router runs there", .0.display())]
    Taken(PathBuf),
    /// Others could put things in it.
    #[error("{}: must belong to user {uid}, and others must not be able to write to it", path.display())]
    NotOwn { path: PathBuf, uid: u32 },
    /// There is no such group.
    #[error("there is no group {0}")]
    NoGroup(String),
}

/// A directory that no other daemon has as long as this lives.
pub(crate) struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Takes a directory, which is made if it is not there.
    pub(crate) fn take(path: &Path) -> Result<Self, RunDirError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| RunDirError::Io { path, error }
        };
        let new = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
        new(path).map_err(at(path))?;
        let private = path.join(PRIVATE);
        new(&private).map_err(at(&private))?;
        let uid = nix::unistd::geteuid().as_raw();
        for (dir, others) in [(path, 0o022), (&private, 0o077)] {
            let facts = dir.symlink_metadata().map_err(at(dir))?;
            if !facts.is_dir() || facts.uid() != uid || facts.mode() & others != 0 {
                return Err(RunDirError::NotOwn { path: dir.to_owned(), uid });
            }
        }
        let name = path.join("lock");
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(&name);
        let lock = lock.map_err(at(&name))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(RunDirError::Taken(path.to_owned())),
            Err(error) => Err(at(&name)(error.into())),
        }
    }

    /// Its name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where configurations are kept.
    pub(crate) fn private(&self) -> PathBuf {
        self.path.join(PRIVATE)
    }

    /// The socket for who may change things, in place of one that a daemon before has left.
    pub(crate) fn listen(&self) -> Result<UnixListener, RunDirError> {
        self.socket(SOCKET, 0o600, None)
    }

    /// The socket for programs that get packets and put packets in.
    pub(crate) fn listen_to_applications(&self) -> Result<UnixListener, RunDirError> {
        self.socket(APPLICATIONS, 0o600, None)
    }

    /// The socket for members of `group`, by name or number, who may look.
    pub(crate) fn listen_to_group(&self, group: &str) -> Result<UnixListener, RunDirError> {
        let by_name = Group::from_name(group).ok().flatten().map(|group| group.gid.as_raw());
        let gid = by_name.or_else(|| group.parse().ok());
        let gid = gid.ok_or_else(|| RunDirError::NoGroup(group.to_owned()))?;
        // Members may pass through, and need not see what is there.
        let at = |error| RunDirError::Io { path: self.path.clone(), error };
        let mode = self.path.metadata().map_err(at)?.mode() & 0o777;
        chown(&self.path, None, Some(gid)).map_err(at)?;
        let passable = Permissions::from_mode(mode | 0o010);
        std::fs::set_permissions(&self.path, passable).map_err(at)?;
        self.socket(SHOW_SOCKET, 0o660, Some(gid))
    }

    /// A socket that has its rights before anybody can see it.
    fn socket(&self, name: &str, mode: u32, gid: Option<u32>) -> Result<UnixListener, RunDirError> {
        let (hidden, path) = (self.private().join(name), self.path.join(name));
        let make = || {
            match std::fs::remove_file(&hidden) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&hidden)?;
            chown(&hidden, None, gid)?;
            std::fs::set_permissions(&hidden, Permissions::from_mode(mode))?;
            std::fs::rename(&hidden, &path)?;
            Ok(listener)
        };
        make().map_err(|error| RunDirError::Io { path: path.clone(), error })
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        for name in [SOCKET, SHOW_SOCKET, APPLICATIONS] {
            // What is left is replaced at the next start.
            drop(std::fs::remove_file(self.path.join(name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_daemon_and_the_next_one_replaces_its_sockets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let taken = RunDir::take(&path).unwrap();
        assert!(matches!(RunDir::take(&path), Err(RunDirError::Taken(_))));
        let listener = taken.listen().unwrap();
        let socket = path.join(SOCKET);
        assert_eq!(socket.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(taken.private().metadata().unwrap().mode() & 0o777, 0o700);
        // As after a crash: the socket is there, and nobody listens.
        drop(listener);
        let left = socket.metadata().unwrap().ino();
        taken.listen().unwrap();
        assert_ne!(socket.metadata().unwrap().ino(), left);
        drop(taken);
        assert!(!socket.exists());
        RunDir::take(&path).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(RunDir::take(dir.path()), Err(RunDirError::NotOwn { .. })));
    }
}
