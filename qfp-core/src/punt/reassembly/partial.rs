//! A datagram of which something is missing.

use std::collections::BTreeMap;

use super::room::Source;
use super::{First, Piece};
use crate::punt::counters::SlowDrop;
use crate::punt::frame;
use crate::wire::checksum::Sum;

/// Congestion experienced (RFC 3168).
const CE: u8 = 3;
/// What a fragment takes besides its data, about, bytes.
pub(super) const OVERHEAD: usize = 64;

/// A datagram of which something is missing.
#[derive(Debug)]
pub(super) struct Partial {
    /// Counts up with each that begins.
    pub(super) number: u64,
    /// On whose account it is.
    pub(super) source: Source,
    /// Header of the first fragment, if that has come.
    header: Option<Vec<u8>>,
    /// The first fragment as it came, for its sender to be told when the others do not come.
    pub(super) first: Option<First>,
    /// Data by offset, without overlaps.
    pieces: BTreeMap<usize, Vec<u8>>,
    /// Bytes of all pieces.
    bytes: usize,
    /// Bytes of the datagram's data, if the last fragment has come.
    total: Option<usize>,
    congested: bool,
    not_capable: bool,
}

impl Partial {
    /// A datagram that nothing has come of yet.
    pub(super) fn new(number: u64, source: Source) -> Self {
        Self {
            number,
            source,
            header: None,
            first: None,
            pieces: BTreeMap::new(),
            bytes: 0,
            total: None,
            congested: false,
            not_capable: false,
        }
    }

    /// What it takes of the memory, bytes.
    pub(super) fn cost(&self) -> usize {
        let first = self.first.as_ref().map_or(0, |first| first.frame.len());
        self.bytes + self.pieces.len() * OVERHEAD + first
    }

    /// Whether a fragment has come before.
    pub(super) fn has(&self, piece: &Piece<'_>) -> bool {
        self.pieces.get(&piece.offset).is_some_and(|known| known[..] == *piece.data)
    }

    /// Adds a fragment that has not come before.
    ///
    /// Fragments that overlap are an attack, and end the datagram (RFC 5722; RFC 1858 for IPv4).
    pub(super) fn add(&mut self, piece: Piece<'_>) -> Result<(), SlowDrop> {
        let (start, end) = (piece.offset, piece.offset + piece.data.len());
        let before = self.pieces.range(..end).next_back();
        let overlaps = before.is_some_and(|(at, known)| at + known.len() > start);
        let furthest = self.pieces.last_key_value().map_or(0, |(at, known)| at + known.len());
        let total = if piece.more { self.total } else { Some(end) };
        let contradicts = self.total.is_some() && self.total != total;
        if overlaps || contradicts || total.is_some_and(|total| end.max(furthest) > total) {
            return Err(SlowDrop::FragmentOverlap);
        }
        self.total = total;
        self.congested |= piece.ecn == CE;
        self.not_capable |= piece.ecn == 0;
        if start == 0 {
            self.header = Some(piece.header);
            self.first = Some(piece.origin);
        }
        self.pieces.insert(start, piece.data.to_vec());
        self.bytes += piece.data.len();
        Ok(())
    }

    pub(super) fn is_whole(&self) -> bool {
        self.total == Some(self.bytes) && self.header.is_some()
    }

    /// The datagram, with the congestion that any of its fragments has met (RFC 3168 §5.3).
    pub(super) fn datagram(self) -> Result<Vec<u8>, SlowDrop> {
        if self.congested && self.not_capable {
            return Err(SlowDrop::Malformed);
        }
        let mut datagram = self.header.unwrap_or_default();
        let header = datagram.len();
        datagram.extend(self.pieces.into_values().flatten());
        let v6 = datagram.first().is_some_and(|first| first >> 4 == 6);
        let (at, fixed) = if v6 { (4, 40) } else { (2, 0) };
        let len = u16::try_from(datagram.len() - fixed).map_err(|_| SlowDrop::Malformed)?;
        if let Some(length) = datagram.get_mut(at..at + 2) {
            length.copy_from_slice(&len.to_be_bytes());
        }
        let ce = if self.congested { CE } else { 0 };
        if let Some(class) = datagram.get_mut(1) {
            *class |= if v6 { ce << 4 } else { ce };
        }
        if let Some(header) = datagram.get_mut(..header).filter(|_| !v6) {
            frame::set_checksum(header, 10, Sum::default());
        }
        Ok(datagram)
    }
}
