use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::recursion::Recursion;
use super::validate::check_path;
use super::{Config, ConfigError, Hop, Interfaces, Place, Problem, Target};

/// Longest line of a route file, bytes.
const MAX_LINE: usize = 1024;
/// Most lines of a route file: sixty times the Internet's table.
const MAX_LINES: u32 = 1 << 26;
/// First bytes of a zstd frame (RFC 8878 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A large list of static routes, as read from a file.
///
/// One entry a line, 16 bytes for IPv4 and 28 for IPv6, sorted by prefix. Paths are stored once.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    file: Arc<str>,
    ipv4: Vec<RouteEntry<Ipv4Net>>,
    ipv6: Vec<RouteEntry<Ipv6Net>>,
    paths: Vec<Target>,
}

/// One path of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteEntry<P> {
    /// The destinations, without host bits.
    pub prefix: P,
    /// Index into [`RouteTable::paths`].
    pub path: u32,
    line: u32,
}

impl RouteTable {
    /// Reads a file, plain or zstd, told apart by its first bytes.
    ///
    /// A line is `PREFIX via ADDRESS [dev NAME]`, `PREFIX dev NAME` or `PREFIX drop`; it may be
    /// blank, and `#` begins a comment. Lines of one prefix are its paths. `progress` is told
    /// after every read how many bytes of the file have been read, and how many there are.
    ///
    /// # Errors
    /// When the file cannot be read, or at the first line that is no route. Whether the routes
    /// agree with the rest of the configuration is for [`RouteTable::validate`] to say.
    pub fn from_file(
        path: impl AsRef<Path>,
        progress: impl FnMut(u64, u64),
    ) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let unreadable = |error| Problem::Unreadable(error).at(Place::whole(&name));
        let file = pal::file::open(path).map_err(unreadable)?;
        let total = file.metadata().map_err(unreadable)?.len();
        let metered = Metered { inner: file, done: 0, total, progress };
        Self::decode(BufReader::with_capacity(1 << 17, metered), &name)
    }

    /// Reads what a file holds, plain or zstd; `file` is its name in messages.
    ///
    /// # Errors
    /// As [`RouteTable::from_file`].
    pub fn decode(mut input: impl BufRead, file: &str) -> Result<Self, ConfigError> {
        let unreadable = |error| Problem::Unreadable(error).at(Place::whole(file));
        if input.fill_buf().map_err(unreadable)?.starts_with(&ZSTD_MAGIC) {
            let plain = zstd::Decoder::with_buffer(input).map_err(unreadable)?;
            Self::read(BufReader::with_capacity(1 << 17, plain), file)
        } else {
            Self::read(input, file)
        }
    }

    /// Reads plain text; `file` is its name in messages.
    ///
    /// # Errors
    /// As [`RouteTable::from_file`].
    pub fn read(mut input: impl BufRead, file: &str) -> Result<Self, ConfigError> {
        let mut table = Self { file: file.into(), ..Self::default() };
        let mut paths = Interned::default();
        let mut line = Vec::with_capacity(MAX_LINE);
        for number in 1.. {
            line.clear();
            let limit = MAX_LINE as u64 + 1;
            let end = input.by_ref().take(limit).read_until(b'\n', &mut line);
            let outcome = match end {
                Ok(0) => break,
                Ok(length) if length > MAX_LINE => Err(Problem::LineTooLong(MAX_LINE)),
                Ok(_) if number > MAX_LINES => Err(Problem::TooManyLines(MAX_LINES)),
                Ok(_) => table.add(&line, number, &mut paths),
                Err(error) => Err(Problem::Unreadable(error)),
            };
            outcome.map_err(|problem| problem.at(table.place(number)))?;
        }
        table.paths = paths.list;
        sort(&mut table.ipv4);
        sort(&mut table.ipv6);
        Ok(table)
    }

    /// Adds the route of one line, if there is one.
    fn add(&mut self, bytes: &[u8], line: u32, paths: &mut Interned) -> Result<(), Problem> {
        let not_route = || {
            let shown: String = String::from_utf8_lossy(bytes).trim().chars().take(60).collect();
            Problem::NotRouteLine(shown)
        };
        let text = std::str::from_utf8(bytes).map_err(|_| not_route())?;
        let text = text.split_once('#').map_or(text, |(text, _)| text).trim();
        if text.is_empty() {
            return Ok(());
        }
        let (prefix, rest) = text.split_once([' ', '\t']).ok_or_else(not_route)?;
        let path = target(rest).ok_or_else(not_route)??;
        let path = paths.index(path).ok_or_else(not_route)?;
        if prefix.contains(':') {
            let prefix: Ipv6Net = network(prefix)?;
            if prefix != prefix.trunc() {
                return Err(Problem::HostBits(prefix.into()));
            }
            self.ipv6.push(RouteEntry { prefix, path, line });
        } else {
            let prefix: Ipv4Net = network(prefix)?;
            if prefix != prefix.trunc() {
                return Err(Problem::HostBits(prefix.into()));
            }
            self.ipv4.push(RouteEntry { prefix, path, line });
        }
        Ok(())
    }

    /// Checks that every path can be followed on the interfaces of `config`, which is valid, and
    /// that no prefix has too many paths or is discarded as well, the routes of `config` included.
    ///
    /// # Errors
    /// The first route that does not fit, with its line.
    pub fn validate(&self, config: &Config) -> Result<(), ConfigError> {
        let interfaces = Interfaces::new(config);
        let mut configured: HashMap<IpNet, Vec<&Target>> = HashMap::new();
        for route in config.routes.iter().filter(|route| route.vrf.is_none()) {
            configured.entry(route.prefix).or_default().push(&route.target);
        }
        let mut recursion = Recursion::new(config, &interfaces, Some(self));
        self.check(&self.ipv4, &interfaces, &configured, &mut recursion)?;
        self.check(&self.ipv6, &interfaces, &configured, &mut recursion)
    }

    /// Where a prefix leads.
    pub fn targets(&self, prefix: IpNet) -> impl Iterator<Item = &Target> {
        let paths: Vec<u32> = match prefix {
            IpNet::V4(net) => paths_of(&self.ipv4, net),
            IpNet::V6(net) => paths_of(&self.ipv6, net),
        };
        paths.into_iter().map(|path| self.path(path))
    }

    fn check<P: Copy + PartialEq + Into<IpNet>>(
        &self,
        entries: &[RouteEntry<P>],
        interfaces: &Interfaces<'_>,
        configured: &HashMap<IpNet, Vec<&Target>>,
        recursion: &mut Recursion<'_>,
    ) -> Result<(), ConfigError> {
        let mut resolved = vec![false; self.paths.len()];
        for paths in entries.chunk_by(|a, b| a.prefix == b.prefix) {
            let prefix: IpNet = paths[0].prefix.into();
            let mut earlier = configured.get(&prefix).cloned().unwrap_or_default();
            for entry in paths {
                let target = self.path(entry.path);
                let at = |problem: Problem| problem.at(self.place(entry.line));
                if !std::mem::replace(&mut resolved[entry.path as usize], true)
                    && let Hop::Recursive(address) =
                        interfaces.resolve(prefix, target).map_err(at)?
                    && !recursion.reaches(None, address)
                {
                    return Err(at(Problem::NextHopUnreachable(address)));
                }
                if paths.len() > 1 || !earlier.is_empty() {
                    check_path(prefix, &earlier, target).map_err(at)?;
                    earlier.push(target);
                }
            }
        }
        Ok(())
    }

    /// The paths of each IPv4 prefix in ascending order of prefixes: one slice a prefix.
    pub fn ipv4(&self) -> impl Iterator<Item = &[RouteEntry<Ipv4Net>]> {
        self.ipv4.chunk_by(|a, b| a.prefix == b.prefix)
    }

    /// The paths of each IPv6 prefix in ascending order of prefixes: one slice a prefix.
    pub fn ipv6(&self) -> impl Iterator<Item = &[RouteEntry<Ipv6Net>]> {
        self.ipv6.chunk_by(|a, b| a.prefix == b.prefix)
    }

    /// All different paths. Entries name them by their place here.
    #[must_use]
    pub fn paths(&self) -> &[Target] {
        &self.paths
    }

    /// The path an entry of this table names.
    #[must_use]
    pub fn path(&self, index: u32) -> &Target {
        &self.paths[index as usize]
    }

    /// Number of entries: prefixes times their paths.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// True if there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A line of the file, for messages about one of its routes.
    #[must_use]
    pub fn place(&self, line: u32) -> Place {
        Place::new(&self.file, line)
    }
}

impl<P> RouteEntry<P> {
    /// The line it was written on.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }
}

/// Orders entries by prefix and drops repeated ones. Linear when the file is sorted.
fn sort<P: Ord>(entries: &mut Vec<RouteEntry<P>>) {
    entries.sort_by(|a, b| a.prefix.cmp(&b.prefix).then(a.path.cmp(&b.path)));
    entries.dedup_by(|b, a| a.prefix == b.prefix && a.path == b.path);
    entries.shrink_to_fit();
}

/// The paths of `prefix` among entries that are in order.
fn paths_of<P: Ord>(entries: &[RouteEntry<P>], prefix: P) -> Vec<u32> {
    let first = entries.partition_point(|entry| entry.prefix < prefix);
    let own = entries[first..].iter().take_while(|entry| entry.prefix == prefix);
    own.map(|entry| entry.path).collect()
}

fn network<P: FromStr>(text: &str) -> Result<P, Problem> {
    text.parse().map_err(|_| Problem::BadPrefix(text.to_owned()))
}

/// Different paths and their places in the list.
#[derive(Default)]
struct Interned {
    list: Vec<Target>,
    places: HashMap<Target, u32>,
}

impl Interned {
    fn index(&mut self, target: Target) -> Option<u32> {
        if let Some(index) = self.places.get(&target) {
            return Some(*index);
        }
        let index = u32::try_from(self.list.len()).ok()?;
        self.list.push(target.clone());
        self.places.insert(target, index);
        Some(index)
    }
}

/// Reads what follows the prefix of a line.
fn target(text: &str) -> Option<Result<Target, Problem>> {
    let mut words = text.split_ascii_whitespace();
    let target = match (words.next()?, words.next()) {
        ("drop", None) => Target::Drop,
        ("dev", Some(name)) => Target::Dev(name.to_owned()),
        ("via", Some(text)) => {
            let dev = match words.next() {
                Some("dev") => Some(words.next()?.to_owned()),
                Some(_) => return None,
                None => None,
            };
            match text.parse::<IpAddr>() {
                Ok(address) => Target::Via { address, dev },
                Err(_) => return Some(Err(Problem::BadAddress(text.to_owned()))),
            }
        }
        _ => return None,
    };
    words.next().is_none().then_some(Ok(target))
}

/// A file that tells how much of it has been read.
struct Metered<F> {
    inner: File,
    done: u64,
    total: u64,
    progress: F,
}

impl<F: FnMut(u64, u64)> Read for Metered<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        (self.progress)(self.done, self.total);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
