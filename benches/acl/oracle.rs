//! Linear search over all rules, eight at a time: slow, obvious and right.

use crate::set::{Family, Header, Rule};

/// Rules of a block.
const WIDE: usize = 64;
/// Columns that compare under a mask: four words of each address, and the protocol.
const COLUMNS: usize = 9;
/// No header has this bit in the column of the protocol, so a rule that wants it never matches.
const NEVER: u32 = 1 << 8;

type Column = [u32; WIDE];

struct Block {
    value: [Column; COLUMNS],
    mask: [Column; COLUMNS],
    /// First port and number of ports after it, source and destination.
    first: [Column; 2],
    span: [Column; 2],
}

/// Finds the first rule that matches.
pub(crate) struct Oracle {
    blocks: Vec<Block>,
    /// Columns in which rules of the family differ.
    used: &'static [usize],
}

impl Oracle {
    pub(crate) fn new(family: Family, rules: &[Rule]) -> Self {
        let used: &[usize] = match family {
            Family::V4 => &[3, 7, 8],
            Family::V6 => &[0, 1, 2, 3, 4, 5, 6, 7, 8],
        };
        let blocks = rules.chunks(WIDE).map(|rules| block(family, rules)).collect();
        Self { blocks, used }
    }

    /// The number of the first rule that matches: 1 is the first rule, 0 none.
    pub(crate) fn first(&self, header: &Header) -> u32 {
        let key = words(header.src, header.dst, header.proto.into());
        let ports = [header.sport, header.dport].map(u32::from);
        for (at, block) in self.blocks.iter().enumerate() {
            let misses = block.misses(&key, ports, self.used);
            // One reduction a block is cheap; the search for the place is not.
            if misses.iter().fold(u32::MAX, |least, &miss| least.min(miss)) == 0 {
                let place = misses.iter().position(|&miss| miss == 0).unwrap_or(0);
                return u32::try_from(at * WIDE + place + 1).unwrap_or(u32::MAX);
            }
        }
        0
    }
}

fn block(family: Family, rules: &[Rule]) -> Block {
    let none = [[0; WIDE]; COLUMNS];
    let mut block = Block { value: none, mask: none, first: [[0; WIDE]; 2], span: [[0; WIDE]; 2] };
    block.value[COLUMNS - 1] = [NEVER; WIDE];
    block.mask[COLUMNS - 1] = [NEVER; WIDE];
    for (at, rule) in rules.iter().enumerate() {
        let value = words(rule.src.value, rule.dst.value, rule.proto.into());
        let mask = words(rule.src.mask(family), rule.dst.mask(family), rule.proto_mask.into());
        for column in 0..COLUMNS {
            block.value[column][at] = value[column];
            block.mask[column][at] = mask[column];
        }
        for (column, range) in [&rule.sport, &rule.dport].into_iter().enumerate() {
            block.first[column][at] = u32::from(*range.start());
            block.span[column][at] = u32::from(range.end().saturating_sub(*range.start()));
        }
    }
    block
}

impl Block {
    /// Zero for each rule that matches.
    fn misses(&self, key: &[u32; COLUMNS], ports: [u32; 2], used: &[usize]) -> Column {
        let mut misses = [0; WIDE];
        for &column in used {
            let (value, mask) = (&self.value[column], &self.mask[column]);
            for at in 0..WIDE {
                misses[at] |= (value[at] ^ key[column]) & mask[at];
            }
        }
        for (port, (first, span)) in ports.iter().zip(self.first.iter().zip(&self.span)) {
            for at in 0..WIDE {
                misses[at] |= u32::from(port.wrapping_sub(first[at]) > span[at]);
            }
        }
        misses
    }
}

#[expect(clippy::cast_possible_truncation, reason = "words of an address")]
fn words(src: u128, dst: u128, proto: u32) -> [u32; COLUMNS] {
    let word = |address: u128, at: u32| (address >> (96 - 32 * at)) as u32;
    std::array::from_fn(|column| match column {
        0..4 => word(src, column as u32),
        4..8 => word(dst, column as u32 - 4),
        _ => proto,
    })
}
