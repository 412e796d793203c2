//! Files that are replaced, for the time after a crash too.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use qfp::pal::crash;

/// What a file is called before it has its name. Such files are removed at start.
pub(crate) const NEW: &str = ".new-";

/// Makes `bytes` the file at `path`, whole or not at all; they are on the disk then. `steps` are names of
/// the points after they are written and after they have their name.
pub(crate) fn replace(
    path: &Path,
    bytes: &[u8],
    [written, renamed]: [&'static str; 2],
) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(dir)?;
    file.write_all(bytes)?;
    crash::point(written);
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    crash::point(renamed);
    File::open(dir)?.sync_all()
}
