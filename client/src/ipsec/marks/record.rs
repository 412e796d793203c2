//! A line of the file of marks: a key's identity, its mark, and a check of both.

pub(super) use qfp_core::ipsec::marks::LINE;
use qfp_core::ipsec::marks::{checked, line, with_check};

use super::{Mark, MarkId};

/// How the first line begins.
const TITLE: &str = "qfp marks 1, boot ";
/// What stands between the start of the machine and the number of keys.
const KEYS: &str = ", keys ";

/// The mark of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: MarkId,
    pub(super) mark: Mark,
}

impl Record {
    pub(super) fn line(self) -> [u8; LINE] {
        line(self.id.0, self.mark.number, self.mark.exact)
    }

    /// The record of a line; none if it is not as it was written.
    pub(super) fn parse(line: &[u8; LINE]) -> Option<Self> {
        let body = checked(line)?;
        let mut words = body.split(' ');
        let id = u128::from_str_radix(words.next()?, 16).ok()?;
        let number = u64::from_str_radix(words.next()?, 16).ok()?;
        let exact = match words.next()? {
            "=" => true,
            "<" => false,
            _ => return None,
        };
        Some(Self { id: MarkId(id), mark: Mark { number, exact } })
    }
}

/// The first line of a file of so many records, which were written since the machine was started
/// like this: one that has fewer has been cut.
pub(super) fn title(records: u64, boot: u32) -> [u8; LINE] {
    with_check(&format!("{TITLE}{boot:08x}{KEYS}{records}"))
}

/// How many records there are, and the start of the machine, by the first line; none if it is not
/// as it was written.
pub(super) fn parse_title(line: &[u8; LINE]) -> Option<(u64, u32)> {
    let (boot, records) = checked(line)?.strip_prefix(TITLE)?.split_once(KEYS)?;
    Some((records.trim_end().parse().ok()?, u32::from_str_radix(boot, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_written_and_no_other_line_says_anything() {
        for (number, exact) in [(0, true), (1 << 32, false), (u64::MAX, true)] {
            let record = Record { id: MarkId(u128::MAX - 7), mark: Mark { number, exact } };
            let line = record.line();
            assert_eq!(Record::parse(&line), Some(record));
            for byte in 0..LINE {
                let mut other = line;
                other[byte] ^= 1;
                assert_eq!(Record::parse(&other), None, "byte {byte}");
            }
        }
        assert_eq!(Record::parse(&title(3, 0)), None);
    }

    #[test]
    fn the_first_line_counts_the_others() {
        for (records, boot) in [(0, 0), (1, 1), (9, u32::MAX), (10, 7), (1 << 40, 7)] {
            assert_eq!(parse_title(&title(records, boot)), Some((records, boot)));
        }
        let mut other = title(12, 0x1234_5678);
        other.swap(TITLE.len(), TITLE.len() + 1);
        assert_eq!(parse_title(&other), None);
    }
}
