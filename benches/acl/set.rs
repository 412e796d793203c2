//! Rule sets and traces: what a line says, and which files there are.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

pub(crate) use qfp::core::wire::Family;

/// Rules of a set beyond which it takes part only when asked for.
const LARGE: usize = 50_000;

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A line is not what it should be.
    #[error("{}, line {line}: {text:?} is not {expected:?}", path.display())]
    Syntax { path: PathBuf, line: usize, text: String, expected: &'static str },
}

/// Bits of an address.
pub(crate) const fn bits(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

/// All bits of an address set.
pub(crate) const fn all(family: Family) -> u128 {
    u128::MAX >> (128 - bits(family))
}

/// The leading `len` bits of an address; an IPv4 address is a number below 2^32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    pub(crate) value: u128,
    pub(crate) len: u8,
}

impl Prefix {
    pub(crate) fn mask(self, family: Family) -> u128 {
        let host = u32::from(bits(family) - self.len);
        all(family) & u128::MAX.checked_shl(host).unwrap_or(0)
    }

    pub(crate) fn last(self, family: Family) -> u128 {
        self.value | all(family) & !self.mask(family)
    }
}

/// One line of a rule set, without the column of TCP flags.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) src: Prefix,
    pub(crate) dst: Prefix,
    pub(crate) sport: RangeInclusive<u16>,
    pub(crate) dport: RangeInclusive<u16>,
    pub(crate) proto: u8,
    pub(crate) proto_mask: u8,
}

impl Rule {
    /// Whether a header is in all of its fields.
    pub(crate) fn matches(&self, family: Family, header: &Header) -> bool {
        (header.src ^ self.src.value) & self.src.mask(family) == 0
            && (header.dst ^ self.dst.value) & self.dst.mask(family) == 0
            && self.sport.contains(&header.sport)
            && self.dport.contains(&header.dport)
            && (header.proto ^ self.proto) & self.proto_mask == 0
    }
}

/// The fields of a packet that rules look at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header {
    pub(crate) src: u128,
    pub(crate) dst: u128,
    pub(crate) sport: u16,
    pub(crate) dport: u16,
    pub(crate) proto: u8,
}

/// Headers, with the number of the first rule that matches: 1 is the first line, 0 none.
pub(crate) type Trace = Vec<(Header, u32)>;

/// Rules in order of precedence, with the trace that belongs to them.
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) family: Family,
    pub(crate) rules: Vec<Rule>,
    pub(crate) trace: Option<Trace>,
}

/// The files of one set.
#[derive(Default)]
struct Files {
    rules: Option<PathBuf>,
    trace: Option<PathBuf>,
}

/// All sets under `QFP_ACL_DIR` or the default folder, v4 before v6, then by size and name; those
/// of more than 50,000 rules only with `large`. A set without a trace is a large one.
pub(crate) fn sets(large: bool) -> Result<Vec<Set>, InputError> {
    let Some(folder) = folder() else {
        eprintln!("skipped: no rule sets in QFP_ACL_DIR nor in ../shared/data/acl");
        return Ok(Vec::new());
    };
    let mut all = BTreeMap::new();
    find(&folder, &mut all)?;
    let mut sets = Vec::new();
    for (name, files) in all {
        let Some(path) = files.rules else {
            eprintln!("skipped: {name}, a trace without rules");
            continue;
        };
        if files.trace.is_none() && !large {
            continue;
        }
        let rules = read(&path, "a rule", rule)?;
        if rules.is_empty() || (rules.len() > LARGE && !large) {
            continue;
        }
        let family = if rules.iter().all(|(_, v4)| *v4) { Family::V4 } else { Family::V6 };
        let rules = rules.into_iter().map(|(rule, _)| rule).collect();
        let trace = files.trace.map(|path| read(&path, "a header", header)).transpose()?;
        sets.push(Set { name, family, rules, trace });
    }
    sets.sort_by_key(|set| (set.family == Family::V6, set.rules.len() / 5000, set.name.clone()));
    Ok(sets)
}

/// A folder named by the environment must be there; the default one need not.
fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("QFP_ACL_DIR") {
        return Some(named.into());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/acl");
    Some(folder).filter(|folder| folder.exists())
}

fn find(folder: &Path, all: &mut BTreeMap<String, Files>) -> Result<(), InputError> {
    let failed = |source| InputError::Read { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            find(&path, all)?;
        } else if let Some(name) = name.strip_suffix(".rules.zst") {
            all.entry(name.to_owned()).or_default().rules = Some(path);
        } else if let Some(name) = name.strip_suffix(".trace.zst") {
            all.entry(name.to_owned()).or_default().trace = Some(path);
        }
    }
    Ok(())
}

fn read<T>(
    path: &Path,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, InputError> {
    let failed = |source| InputError::Read { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    let bytes = zstd::decode_all(&bytes[..]).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| {
            let (path, text) = (path.to_owned(), line.to_owned());
            parse(line).ok_or(InputError::Syntax { path, line: n + 1, text, expected })
        })
        .collect()
}

/// A rule, and whether its addresses are IPv4.
fn rule(line: &str) -> Option<(Rule, bool)> {
    let mut columns = line.strip_prefix('@')?.split('\t').map(str::trim);
    let (src, v4) = prefix(columns.next()?)?;
    let (dst, _) = prefix(columns.next()?)?;
    let (sport, dport) = (range(columns.next()?)?, range(columns.next()?)?);
    let (proto, mask) = columns.next()?.split_once('/')?;
    let (proto, proto_mask) = (hex(proto)?, hex(mask)?);
    Some((Rule { src, dst, sport, dport, proto: proto & proto_mask, proto_mask }, v4))
}

fn prefix(text: &str) -> Option<(Prefix, bool)> {
    let (address, len) = text.split_once('/')?;
    let len = len.parse().ok()?;
    let (value, family) = match address.parse::<Ipv4Addr>() {
        Ok(v4) => (u128::from(u32::from(v4)), Family::V4),
        Err(_) => (u128::from(address.parse::<Ipv6Addr>().ok()?), Family::V6),
    };
    let prefix = Prefix { value, len };
    (len <= bits(family))
        .then(|| (Prefix { value: value & prefix.mask(family), len }, family == Family::V4))
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.split_once(':')?;
    Some(low.trim().parse().ok()?..=high.trim().parse().ok()?)
}

fn hex(text: &str) -> Option<u8> {
    u8::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

fn header(line: &str) -> Option<(Header, u32)> {
    let mut columns = line.split_ascii_whitespace();
    let (src, dst) = (address(columns.next()?)?, address(columns.next()?)?);
    let mut number = || columns.next()?.parse::<i64>().ok();
    let (sport, dport) = (u16::try_from(number()?).ok()?, u16::try_from(number()?).ok()?);
    let proto = u8::try_from(number()?).ok()?;
    let expected = u32::try_from(number()? + 1).ok()?;
    Some((Header { src, dst, sport, dport, proto }, expected))
}

/// A decimal number is an IPv4 address.
fn address(text: &str) -> Option<u128> {
    match text.parse::<u32>() {
        Ok(v4) => Some(v4.into()),
        Err(_) => text.parse::<Ipv6Addr>().ok().map(u128::from),
    }
}
