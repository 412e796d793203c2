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

/// A large list of static routes, as read from a file. Cheap to clone: copies share the routes.
///
/// One entry a line, 16 bytes for IPv4 and 28 for IPv6, sorted by prefix. Paths are stored once.
#[derive(Clone, Debug, Default)]
pub struct RouteTable(Arc<Routes>);

#[derive(Debug, Default)]
struct Routes {
    file: Arc<str>,
    ipv4: Vec<RouteEntry<Ipv4Net>>,
    ipv6: Vec<RouteEntry<Ipv6Net>>,
    paths: Vec<Target>,
    /// Entries that a check has to look at, IPv4 and IPv6: the first one of each path, and the first
    /// one of each prefix with several.
    notable: [Vec<usize>; 2],
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
        let mut table = Routes { file: file.into(), ..Routes::default() };
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
        table.notable =
            [notable(&table.ipv4, table.paths.len()), notable(&table.ipv6, table.paths.len())];
        Ok(Self(Arc::new(table)))
    }

    /// Whether it shares its routes with `other`: then both say the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Checks that every path can be followed on the interfaces of `config`, which is valid, and
    /// that no prefix has too many paths or is discarded as well, the routes of `config` included.
    /// Linear in the paths, in the prefixes that have several, and in the routes of `config`.
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
        let routes = &self.0;
        let [mut at4, mut at6] = routes.notable.clone();
        for prefix in configured.keys() {
            match prefix {
                IpNet::V4(net) if self.contains(*prefix) => at4.push(place_of(&routes.ipv4, net)),
                IpNet::V6(net) if self.contains(*prefix) => at6.push(place_of(&routes.ipv6, net)),
                _ => {}
            }
        }
        at4.sort_unstable();
        at6.sort_unstable();
        self.check((&routes.ipv4, at4), &interfaces, &configured, &mut recursion)?;
        self.check((&routes.ipv6, at6), &interfaces, &configured, &mut recursion)
    }

    /// Checks the prefixes that begin at `places`, which are in order.
    fn check<P: Copy + PartialEq + Into<IpNet>>(
        &self,
        (entries, places): (&[RouteEntry<P>], Vec<usize>),
        interfaces: &Interfaces<'_>,
        configured: &HashMap<IpNet, Vec<&Target>>,
        recursion: &mut Recursion<'_>,
    ) -> Result<(), ConfigError> {
        let mut resolved = vec![false; self.paths().len()];
        for place in places {
            let rest = &entries[place..];
            let paths = rest.iter().take_while(|entry| entry.prefix == rest[0].prefix);
            let prefix: IpNet = rest[0].prefix.into();
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
                check_path(prefix, &earlier, target).map_err(at)?;
                earlier.push(target);
            }
        }
        Ok(())
    }

    /// Where a prefix leads.
    pub fn targets(&self, prefix: IpNet) -> impl Iterator<Item = &Target> {
        let (v4, v6) = match prefix {
            IpNet::V4(net) => (self.ipv4_of(net), &[][..]),
            IpNet::V6(net) => (&[][..], self.ipv6_of(net)),
        };
        let paths = v4.iter().map(|entry| entry.path).chain(v6.iter().map(|entry| entry.path));
        paths.map(|path| self.path(path))
    }

    /// Whether a prefix has a path.
    #[must_use]
    pub fn contains(&self, prefix: IpNet) -> bool {
        self.targets(prefix).next().is_some()
    }

    /// The paths of an IPv4 prefix; none if the table does not have it.
    #[must_use]
    pub fn ipv4_of(&self, prefix: Ipv4Net) -> &[RouteEntry<Ipv4Net>] {
        own(&self.0.ipv4, prefix)
    }

    /// The paths of an IPv6 prefix; none if the table does not have it.
    #[must_use]
    pub fn ipv6_of(&self, prefix: Ipv6Net) -> &[RouteEntry<Ipv6Net>] {
        own(&self.0.ipv6, prefix)
    }

    /// The paths of each IPv4 prefix in ascending order of prefixes: one slice a prefix.
    pub fn ipv4(&self) -> impl Iterator<Item = &[RouteEntry<Ipv4Net>]> {
        self.0.ipv4.chunk_by(|a, b| a.prefix == b.prefix)
    }

    /// The paths of each IPv6 prefix in ascending order of prefixes: one slice a prefix.
    pub fn ipv6(&self) -> impl Iterator<Item = &[RouteEntry<Ipv6Net>]> {
        self.0.ipv6.chunk_by(|a, b| a.prefix == b.prefix)
    }

    /// All different paths. Entries name them by their place here.
    #[must_use]
    pub fn paths(&self) -> &[Target] {
        &self.0.paths
    }

    /// The path an entry of this table names.
    #[must_use]
    pub fn path(&self, index: u32) -> &Target {
        &self.0.paths[index as usize]
    }

    /// Number of entries: prefixes times their paths.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.ipv4.len() + self.0.ipv6.len()
    }

    /// True if there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A line of the file, for messages about one of its routes.
    #[must_use]
    pub fn place(&self, line: u32) -> Place {
        self.0.place(line)
    }
}

impl Routes {
    fn place(&self, line: u32) -> Place {
        Place::new(&self.file, line)
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
        let path = match paths.texts.get(rest) {
            Some(path) => *path,
            None => {
                let path = paths.index(target(rest).ok_or_else(not_route)??);
                let path = path.ok_or_else(not_route)?;
                paths.texts.insert(rest.to_owned(), path);
                path
            }
        };
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

/// Where the first entry of `prefix` is among entries that are in order, or would be.
fn place_of<P: Ord>(entries: &[RouteEntry<P>], prefix: &P) -> usize {
    entries.partition_point(|entry| entry.prefix < *prefix)
}

/// The entries of `prefix` among entries that are in order.
fn own<P: Ord>(entries: &[RouteEntry<P>], prefix: P) -> &[RouteEntry<P>] {
    let rest = &entries[place_of(entries, &prefix)..];
    &rest[..rest.iter().take_while(|entry| entry.prefix == prefix).count()]
}

/// Where prefixes begin that have several of `paths` paths, or one that no prefix before has.
fn notable<P: PartialEq>(entries: &[RouteEntry<P>], paths: usize) -> Vec<usize> {
    let mut seen = vec![false; paths];
    let (mut places, mut first) = (Vec::new(), 0);
    for own in entries.chunk_by(|a, b| a.prefix == b.prefix) {
        let is_new =
            |entry: &RouteEntry<P>| !std::mem::replace(&mut seen[entry.path as usize], true);
        if own.iter().map(is_new).fold(own.len() > 1, |any, new| any | new) {
            places.push(first);
        }
        first += own.len();
    }
    places
}

fn network<P: FromStr>(text: &str) -> Result<P, Problem> {
    text.parse().map_err(|_| Problem::BadPrefix(text.to_owned()))
}

/// Different paths and their places in the list.
#[derive(Default)]
struct Interned {
    list: Vec<Target>,
    places: HashMap<Target, u32>,
    /// As they were written.
    texts: HashMap<String, u32>,
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
