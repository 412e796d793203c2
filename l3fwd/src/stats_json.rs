//! `--stats-json`: the file of the final report for programs.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use qfp::report::RunReport;
use terminal::json::statistics;
use terminal::log::Unseen;

/// The file the statistics go to, tried before the run so that a bad path is found at once. What it
/// holds stays, whole, until there are new ones, whole.
#[derive(Debug)]
pub(crate) struct StatsFile {
    /// As the operator says it.
    path: PathBuf,
    place: Place,
}

/// Where the statistics are written.
#[derive(Debug)]
enum Place {
    /// A new file, which then takes this one's name. Links have been followed.
    Rename(PathBuf),
    /// A pipe or a device, which has no contents to keep.
    Open(File),
}

/// Statistics that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {source}", path.display())]
pub(crate) struct StatsError {
    path: PathBuf,
    source: io::Error,
}

impl StatsFile {
    /// Finds out whether the file can be written. Changes nothing.
    pub(crate) fn create(path: &Path) -> Result<Self, StatsError> {
        match Place::of(path) {
            Ok(place) => Ok(Self { path: path.to_owned(), place }),
            Err(source) => Err(StatsError { path: path.to_owned(), source }),
        }
    }

    /// Writes the report in place of what the file held.
    pub(crate) fn write(self, report: &RunReport, unseen: Unseen) -> Result<(), StatsError> {
        let text = format!("{:#}\n", statistics(report, unseen));
        self.place.write(&text).map_err(|source| StatsError { path: self.path, source })
    }
}

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        let target = match OpenOptions::new().write(true).open(path) {
            Ok(file) if !file.metadata()?.is_file() => return Ok(Self::Open(file)),
            Ok(_) => path.canonicalize()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        if target.file_name().is_none() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Gone at once: a run that is killed leaves nothing behind.
        beside(&target)?.close()?;
        Ok(Self::Rename(target))
    }

    fn write(self, text: &str) -> io::Result<()> {
        match self {
            Self::Open(mut file) => file.write_all(text.as_bytes()),
            Self::Rename(target) => {
                let mut file = beside(&target)?;
                file.write_all(text.as_bytes())?;
                file.as_file().sync_all()?;
                file.persist(&target).map(drop).map_err(|error| error.error)
            }
        }
    }
}

/// A new file in the folder of `target`, with the rights that that has or would have; removed again
/// unless it is kept.
fn beside(target: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let file = tempfile::Builder::new()
        .prefix(".stats-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|error| io::Error::from(error.kind()))?;
    if let Ok(old) = target.metadata() {
        file.as_file().set_permissions(old.permissions())?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_take_the_place_of_others_and_keep_their_rights_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("stats.json"), dir.path().join("link"));
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("stats.json", &link).unwrap();
        let file = StatsFile::create(&link).unwrap();
        let mut reader = File::open(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        file.write(&RunReport::default(), Unseen::default()).unwrap();
        // Who has the old file open goes on with it.
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "old");
        assert!(std::fs::read_to_string(&path).unwrap().contains("\"conserved\": null"));
        assert!(link.is_symlink());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_one_line() {
        let error = StatsFile::create(Path::new("/nowhere/s.json")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/s.json: cannot be written: "), "{error}");
        assert!(!error.contains('\n'));
    }
}
