//! Values with bits that count for nothing.

use std::ops::BitAnd;

use super::Ternary;

/// Whether `field` has the bits of `bits`.
pub(super) fn has<T>(bits: Ternary<T>, field: T) -> bool
where
    T: Copy + Eq + BitAnd<Output = T> + std::ops::Not<Output = T>,
{
    field & bits.mask() == bits.value()
}

/// A few ternaries that match just the fields of `bits` bits for which `wanted` says so.
///
/// Fields for which it says `None` never occur, so they may be matched or not. Each ternary is as
/// wide as it can be. At most 2^`bits` steps for each bit and ternary; `bits` is at most 12.
pub(super) fn cover(bits: u32, wanted: impl Fn(u16) -> Option<bool>) -> Vec<Ternary<u16>> {
    let all = (1u16 << bits) - 1;
    let table: Vec<Option<bool>> = (0..=all).map(wanted).collect();
    let mut covered = vec![false; table.len()];
    let mut cover = Vec::new();
    for start in 0..=all {
        if table[usize::from(start)] != Some(true) || covered[usize::from(start)] {
            continue;
        }
        let mut cube = Ternary::new(start, all);
        for bit in (0..bits).rev() {
            let wider = Ternary::new(start, cube.mask() & !(1 << bit));
            if fields(wider, all).all(|field| table[field] != Some(false)) {
                cube = wider;
            }
        }
        for field in fields(cube, all) {
            covered[field] = true;
        }
        cover.push(cube);
    }
    cover
}

/// [`cover`] of fields of up to 8 bits; `None` if every field is matched.
pub(super) fn cover_octet(
    bits: u32,
    wanted: impl Fn(u8) -> Option<bool>,
) -> Option<Vec<Ternary<u8>>> {
    let octet = |field: u16| field.to_le_bytes()[0];
    let cubes = cover(bits, |field| wanted(octet(field)));
    let all = cubes.iter().any(|cube| cube.mask() == 0);
    let cubes = cubes.iter().map(|cube| Ternary::new(octet(cube.value()), octet(cube.mask())));
    (!all).then(|| cubes.collect())
}

/// Every field up to `all` that `cube` matches.
fn fields(cube: Ternary<u16>, all: u16) -> impl Iterator<Item = usize> {
    let free = all & !cube.mask();
    let next = move |part: &u16| (*part != free).then(|| (*part | !free).wrapping_add(1) & free);
    std::iter::successors(Some(0), next).map(move |part| usize::from(cube.value() | part))
}
