//! Routes of the API, for the next start.
//!
//! A file in which each change is added at the end: what its routes are from then on. It is written
//! before the change is answered, and not waited for: the end of this process loses nothing, a power
//! cut what the system had not written yet. What was not written whole counts for nothing.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use api::{RouteAction, RouteChange, wire};
use ipnet::IpNet;

/// The name of the file.
const FILE: &str = "api.routes";
/// What it begins with.
const MAGIC: &[u8] = b"qfp routes 1\n";
/// Routes of one change in a file that is written anew.
const PIECE: usize = 1 << 15;
/// A file that is longer, and several times as long as when it was written anew, is again.
const LONG: u64 = 1 << 24;

/// The file of routes.
pub(crate) struct KeptRoutes {
    path: PathBuf,
    file: File,
    /// Bytes now, and when it was written anew.
    length: u64,
    short: u64,
}

/// FNV-1a: tells what is torn.
fn check(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn frame(changes: &[RouteChange]) -> io::Result<Vec<u8>> {
    let body = wire::encode(&changes).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend_from_slice(&check(&body).to_le_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// The next change, and what follows it; none at the end of what is whole.
fn next(bytes: &[u8]) -> Option<(Vec<RouteChange>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let whole = check(body) == u64::from_le_bytes(*sum);
    whole.then(|| wire::decode(body).ok()).flatten().map(|changes| (changes, rest))
}

/// What routes are after all changes.
fn replay(bytes: &[u8]) -> Vec<RouteChange> {
    let mut routes: BTreeMap<(Option<String>, IpNet), RouteAction> = BTreeMap::new();
    let mut rest = bytes.strip_prefix(MAGIC).unwrap_or_default();
    while let Some((changes, after)) = next(rest) {
        rest = after;
        for RouteChange { vrf, prefix, action } in changes {
            match &action {
                RouteAction::Replace(paths) if paths.is_empty() => {
                    drop(routes.remove(&(vrf, prefix)));
                }
                _ => drop(routes.insert((vrf, prefix), action)),
            }
        }
    }
    let change = |((vrf, prefix), action)| RouteChange { vrf, prefix, action };
    routes.into_iter().map(change).collect()
}

impl KeptRoutes {
    /// The routes in the file in `dir`, which is written anew.
    ///
    /// # Errors
    /// The system does not do it.
    pub(crate) fn open(dir: &Path) -> io::Result<(Self, Vec<RouteChange>)> {
        let path = dir.join(FILE);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let routes = replay(&bytes);
        let (file, length) = write(&path, &routes)?;
        Ok((Self { path, file, length, short: length }, routes))
    }

    /// Adds a change: the paths that routes have from now on.
    ///
    /// # Errors
    /// The system does not do it.
    pub(crate) fn add(&mut self, changes: &[RouteChange]) -> io::Result<()> {
        let frame = frame(changes)?;
        if let Err(error) = self.file.write_all(&frame) {
            // What comes later stands behind what is whole.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Whether it says the same much longer than it could.
    pub(crate) const fn is_long(&self) -> bool {
        self.length > LONG && self.length > 4 * self.short
    }

    /// Writes it anew, with the routes that there are.
    ///
    /// # Errors
    /// The system does not do it; the file stays as it is.
    pub(crate) fn shorten(&mut self, routes: &[RouteChange]) -> io::Result<()> {
        (self.file, self.length) = write(&self.path, routes)?;
        self.short = self.length;
        Ok(())
    }
}

/// A file in place of the one before, whole or not at all.
fn write(path: &Path, routes: &[RouteChange]) -> io::Result<(File, u64)> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    drop(options.open(&beside)?);
    let mut file = OpenOptions::new().append(true).open(&beside)?;
    let mut length = MAGIC.len() as u64;
    file.write_all(MAGIC)?;
    for piece in routes.chunks(PIECE) {
        let frame = frame(piece)?;
        file.write_all(&frame)?;
        length += frame.len() as u64;
    }
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use api::Hop;

    use super::*;

    fn route(n: u8, via: u8) -> RouteChange {
        let hop = Hop::Via { address: [10, 0, 0, via].into(), interface: None };
        let paths = if via == 0 { Vec::new() } else { vec![api::Path { hop, weight: 1 }] };
        let prefix = format!("10.{n}.0.0/16").parse().unwrap();
        RouteChange { vrf: None, prefix, action: RouteAction::Replace(paths) }
    }

    #[test]
    fn what_was_added_whole_is_there_again_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (mut kept, routes) = KeptRoutes::open(dir.path()).unwrap();
        assert!(routes.is_empty());
        kept.add(&[route(1, 1), route(2, 2)]).unwrap();
        kept.add(&[route(1, 0), route(3, 3)]).unwrap();
        let whole = std::fs::read(dir.path().join(FILE)).unwrap();
        kept.add(&[route(4, 4)]).unwrap();
        let all = std::fs::read(dir.path().join(FILE)).unwrap();
        let (first, more) = ([route(2, 2), route(3, 3)], [route(2, 2), route(3, 3), route(4, 4)]);
        for length in whole.len()..=all.len() {
            std::fs::write(dir.path().join(FILE), &all[..length]).unwrap();
            let (_, routes) = KeptRoutes::open(dir.path()).unwrap();
            let wanted: &[_] = if length == all.len() { &more } else { &first };
            assert_eq!(routes, wanted, "{length}");
        }
        // Written anew it says the same, and changes go on behind it.
        let (mut kept, routes) = KeptRoutes::open(dir.path()).unwrap();
        assert!(!kept.is_long());
        kept.shorten(&routes).unwrap();
        kept.add(&[route(2, 0)]).unwrap();
        assert_eq!(KeptRoutes::open(dir.path()).unwrap().1, [route(3, 3), route(4, 4)]);
    }

    #[test]
    fn a_file_that_is_damaged_or_another_has_no_routes_behind_that() {
        let dir = tempfile::tempdir().unwrap();
        let (mut kept, _) = KeptRoutes::open(dir.path()).unwrap();
        kept.add(&[route(1, 1)]).unwrap();
        let bytes = std::fs::read(dir.path().join(FILE)).unwrap();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_eq!(replay(&other), [], "{at}");
        }
        assert_eq!(replay(&bytes), [route(1, 1)]);
    }
}
