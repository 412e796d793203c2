//! Tables and update streams from files, or a generated table where there is no file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use qfp::core::fib::{Leaf, Prefix};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::family::Family;
use crate::traffic::hosts;

/// Routes by address and length.
pub(crate) type Rib<A> = BTreeMap<Prefix<A>, Leaf>;

/// A change of one route; none withdraws it.
pub(crate) type Update<A> = (Prefix<A>, Option<Leaf>);

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A line is not what it should be.
    #[error("{}, line {line}: {text:?} is not {expected:?}", path.display())]
    Syntax { path: PathBuf, line: usize, text: String, expected: &'static str },
}

/// The table that `variable` names, or the default one, or a generated one; and where it is from.
pub(crate) fn table<A: Family>(
    variable: &str,
    default: &str,
) -> Result<(Rib<A>, String), InputError> {
    let Some(path) = path(variable, default) else {
        eprintln!("no table in {variable} nor in {default}: a generated one is used");
        return Ok((generated(), "generated".to_owned()));
    };
    let rib = read(&path, "prefix nexthop", |line| {
        let (prefix, leaf) = line.split_once(' ')?;
        Some((self::prefix(prefix)?, Leaf(leaf.trim().parse().ok()?)))
    })?;
    Ok((rib.into_iter().collect(), path.display().to_string()))
}

/// The updates that `variable` names, or the default ones.
pub(crate) fn updates<A: Family>(
    variable: &str,
    default: &str,
) -> Result<Option<Vec<Update<A>>>, InputError> {
    let Some(path) = path(variable, default) else { return Ok(None) };
    read(&path, "A prefix nexthop, or W prefix", |line| {
        let mut words = line.split_ascii_whitespace();
        let kind = words.next()?;
        let prefix = prefix(words.next()?)?;
        match kind {
            "A" => Some((prefix, Some(Leaf(words.next()?.parse().ok()?)))),
            "W" => Some((prefix, None)),
            _ => None,
        }
    })
    .map(Some)
}

/// A file named by the environment must be there; the default one need not.
fn path(variable: &str, default: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(named.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Some(root.join("../shared/data/rib").join(default)).filter(|path| path.exists())
}

fn prefix<A: Family>(text: &str) -> Option<Prefix<A>> {
    let (address, len) = text.split_once('/')?;
    Prefix::new(A::parse(address)?, len.parse().ok()?)
}

fn read<T>(
    path: &Path,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, InputError> {
    let failed = |source| InputError::Read { path: path.to_owned(), source };
    let mut bytes = std::fs::read(path).map_err(failed)?;
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        bytes = zstd::decode_all(&bytes[..]).map_err(failed)?;
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| {
            let (path, text) = (path.to_owned(), line.to_owned());
            parse(line).ok_or(InputError::Syntax { path, line: n + 1, text, expected })
        })
        .collect()
}

/// As many routes as the Internet has, of about its lengths, and some longer ones.
fn generated<A: Family>() -> Rib<A> {
    // Length and share in a thousand; routes lie in a few thousand allocations, those of IPv6 in
    // a few dozen /16.
    let (routes, region, allocated, lengths): (_, _, _, &[(u8, u32)]) = if A::BITS == 32 {
        (1_000_000, 0, 14, &[(16, 30), (20, 80), (22, 180), (23, 110), (24, 595), (28, 3), (32, 2)])
    } else {
        (240_000, 16, 28, &[(32, 120), (40, 130), (44, 150), (48, 595), (64, 3), (128, 2)])
    };
    let mut rng = StdRng::seed_from_u64(1);
    let regions: Vec<A> = (0..48).map(|_| A::uniform(&mut rng)).collect();
    let inside = |region: A, len: u8, rng: &mut StdRng| {
        region & !A::host_mask(len) | A::random(rng) & A::host_mask(len)
    };
    let allocations: Vec<A> =
        regions.iter().cycle().take(6000).map(|&of| inside(of, region, &mut rng)).collect();
    let mut rib = Rib::new();
    while rib.len() < routes {
        let mut dice = rng.random_range(0..1000);
        let long = lengths.iter().find(|(_, share)| {
            let hit = dice < *share;
            dice = dice.saturating_sub(*share);
            hit
        });
        let len = long.map_or(24, |&(len, _)| len);
        let place = rng.random_range(0..allocations.len());
        let address = inside(allocations[place], allocated, &mut rng);
        // Neighbours often share their next hop.
        let leaf = if rng.random_bool(0.6) { place % 192 + 1 } else { rng.random_range(1..=192) };
        let leaf = Leaf(u16::try_from(leaf).unwrap_or(1));
        rib.extend(Prefix::new(address, len).map(|prefix| (prefix, leaf)));
    }
    rib
}

/// The same routes with a random leaf each: no two neighbours merge.
pub(crate) fn with_random_leaves<A: Family>(rib: &Rib<A>) -> Rib<A> {
    let mut rng = StdRng::seed_from_u64(2);
    rib.keys().map(|&prefix| (prefix, Leaf(rng.random_range(1..=192)))).collect()
}

/// The same routes with a default route and, inside of them, routes of every longer length.
pub(crate) fn with_long_routes<A: Family>(rib: &Rib<A>) -> Rib<A> {
    let mut rng = StdRng::seed_from_u64(8);
    let shortest = if A::BITS == 32 { 25 } else { 49 };
    let hosts = hosts(rib.keys().copied(), 1024, 9);
    let any = |address| {
        let leaf = Leaf(rng.random_range(1..=192));
        Prefix::new(address, rng.random_range(shortest..=A::BITS)).map(|prefix| (prefix, leaf))
    };
    let mut longer = rib.clone();
    longer.extend(hosts.into_iter().filter_map(any));
    longer.extend(Prefix::new(A::zero(), 0).map(|prefix| (prefix, Leaf(1))));
    longer
}
