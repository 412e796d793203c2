//! From packed headers to the keys of a vector, as the pipeline builds them before it classifies.

use qfp::core::acl::key::{Keys, NO_TAG, link_word, transport_word};
use qfp::hal::VECTOR;

use crate::packed::{Packed, RECORD_V4, RECORD_V6};

/// Keys without tags; what differs from packet to packet is filled in later.
pub(crate) fn untagged<const W: usize>() -> Keys<W> {
    let mut keys = Keys::new();
    keys.words[link_word(W)] = [u64::from(NO_TAG) << 48 | u64::from(NO_TAG) << 32; VECTOR];
    keys
}

/// A family's records.
pub(crate) trait Records: Sized {
    /// Bytes of a record.
    type Record;

    /// The records of `headers`; none if they are of another family.
    fn of(headers: &Packed) -> &[Self::Record];

    /// Builds the keys of up to a vector of records.
    fn fill(&mut self, records: &[Self::Record]);
}

impl Records for Keys<{ qfp::core::acl::key::WORDS4 }> {
    type Record = [u8; RECORD_V4];

    fn of(headers: &Packed) -> &[Self::Record] {
        headers.as_records()
    }

    #[inline]
    fn fill(&mut self, records: &[Self::Record]) {
        let at = transport_word(self.words.len());
        for (slot, record) in records.iter().enumerate().take(VECTOR) {
            self.words[0][slot] = word(record, 1);
            self.words[at][slot] = transport(record, 9);
        }
    }
}

impl Records for Keys<{ qfp::core::acl::key::WORDS6 }> {
    type Record = [u8; RECORD_V6];

    fn of(headers: &Packed) -> &[Self::Record] {
        headers.as_records()
    }

    #[inline]
    fn fill(&mut self, records: &[Self::Record]) {
        let at = transport_word(self.words.len());
        for (slot, record) in records.iter().enumerate().take(VECTOR) {
            for part in 0..4 {
                self.words[part][slot] = word(record, 1 + 8 * part);
            }
            self.words[at][slot] = transport(record, 33);
        }
    }
}

/// Eight bytes of a record in network byte order.
#[inline(always)]
fn word<const N: usize>(record: &[u8; N], at: usize) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|byte| record[at + byte]))
}

/// Ports and protocol where the key has them.
#[inline(always)]
fn transport<const N: usize>(record: &[u8; N], ports: usize) -> u64 {
    let ports = u32::from_be_bytes(std::array::from_fn(|byte| record[ports + byte]));
    u64::from(ports) << 32 | u64::from(record[0]) << 24
}
