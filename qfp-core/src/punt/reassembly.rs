//! Fragments for the router itself become datagrams again (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! Every fragment is copied and its buffer is free at once; a datagram that is whole is routed to
//! the router anew, so that ESP is opened wherever it was cut. Memory and time are bounded: the
//! oldest datagram gives way to a new one, and none waits longer than a minute.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;

use pal::clock::Nanos;

use super::counters::{Done, Fate, SlowDrop};
use super::{Limits, SlowPath, Turn, frame};
use crate::packet::{Origin, PuntedPacket};
use crate::uidb::TableId;
use crate::wire::checksum::Sum;
use crate::wire::{Ipv4, Ipv6};

/// How long a datagram waits for its fragments (RFC 8200 §4.5; RFC 1122 3.3.2 for IPv4).
const PATIENCE: u64 = 60 * Nanos::PER_SECOND;
/// Congestion experienced (RFC 3168).
const CE: u8 = 3;

/// Which datagram a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    table: TableId,
    ends: (IpAddr, IpAddr),
    /// IPv4 only: identifications of IPv6 are not by protocol.
    protocol: u8,
    id: u32,
}

/// A fragment.
struct Piece<'a> {
    key: Key,
    /// Bytes in front of the data, as in the datagram, but for its lengths and checksum.
    header: Vec<u8>,
    ecn: u8,
    /// Of the data in the datagram's, bytes.
    offset: usize,
    more: bool,
    data: &'a [u8],
}

/// A datagram of which something is missing.
struct Partial {
    /// Counts up with each that begins.
    number: u64,
    /// Header of the first fragment, if that has come.
    header: Option<Vec<u8>>,
    /// Data by offset, without overlaps.
    pieces: BTreeMap<usize, Vec<u8>>,
    /// Bytes of all pieces.
    bytes: usize,
    /// Bytes of the datagram's data, if the last fragment has come.
    total: Option<usize>,
    congested: bool,
    not_capable: bool,
}

/// All datagrams that wait.
#[derive(Default)]
pub(super) struct Reassembly {
    partial: HashMap<Key, Partial>,
    /// When each ends, in order; those that are done already are still here.
    order: VecDeque<(Nanos, u64, Key)>,
    bytes: usize,
    begun: u64,
}

impl SlowPath {
    /// Takes a fragment of an IPv4 datagram to the router.
    pub(super) fn fragment_v4(
        &mut self,
        turn: &mut Turn<'_>,
        punted: &PuntedPacket,
        ip: &Ipv4<'_>,
    ) -> Fate {
        let header = ip.packet().get(..ip.packet().len() - ip.payload().len());
        let mut header = header.unwrap_or_default().to_vec();
        if let Some(fragmentation) = header.get_mut(6..8) {
            fragmentation.fill(0);
        }
        let key = Key {
            table: punted.table,
            ends: (IpAddr::V4(ip.src()), IpAddr::V4(ip.dst())),
            protocol: ip.protocol(),
            id: ip.id().into(),
        };
        let offset = usize::from(ip.fragment_offset()) * 8;
        let (ecn, more, data) = (ip.tos() & CE, ip.more_fragments(), ip.payload());
        self.reassemble(turn, punted, Piece { key, header, ecn, offset, more, data })
    }

    /// Takes a fragment of an IPv6 datagram to the router.
    pub(super) fn fragment_v6(
        &mut self,
        turn: &mut Turn<'_>,
        punted: &PuntedPacket,
        ip: &Ipv6<'_>,
    ) -> Fate {
        let found = ip.fragment().map_err(|_| SlowDrop::Malformed)?.ok_or(SlowDrop::Malformed)?;
        let mut header = ip.packet().get(..found.at).unwrap_or_default().to_vec();
        if let Some(next) = header.get_mut(found.named_at) {
            *next = found.next_header;
        }
        let ends = (IpAddr::V6(ip.src()), IpAddr::V6(ip.dst()));
        let key = Key { table: punted.table, ends, protocol: 0, id: found.id };
        let data = ip.packet().get(found.at + 8..).unwrap_or_default();
        let ecn = ip.traffic_class() & CE;
        let (offset, more) = (usize::from(found.offset) * 8, found.more);
        self.reassemble(turn, punted, Piece { key, header, ecn, offset, more, data })
    }

    fn reassemble(&mut self, turn: &mut Turn<'_>, punted: &PuntedPacket, piece: Piece<'_>) -> Fate {
        let table = piece.key.table;
        let given_up = &mut self.counters.reassemblies_given_up;
        let Some(datagram) = self.reassembly.add(turn.now, piece, &self.limits, given_up)? else {
            return Ok(Done::Consumed);
        };
        turn.deliver(table, Origin { input: punted.input, opened: punted.opened }, &datagram)?;
        self.counters.reassembled += 1;
        Ok(Done::Resent)
    }
}

impl Reassembly {
    /// Adds a fragment; the datagram, if it was the one that was missing. Counts in `given_up` those
    /// that gave way.
    fn add(
        &mut self,
        now: Nanos,
        piece: Piece<'_>,
        limits: &Limits,
        given_up: &mut u64,
    ) -> Result<Option<Vec<u8>>, SlowDrop> {
        let end = piece.offset + piece.data.len();
        let longest = usize::from(u16::MAX) - piece.header.len();
        let is_odd = piece.more && !piece.data.len().is_multiple_of(8);
        if piece.data.is_empty() || is_odd || end > longest {
            return Err(SlowDrop::Malformed);
        }
        let key = piece.key;
        if !self.partial.contains_key(&key) {
            self.begin(now, key, limits, given_up);
        }
        while self.bytes + piece.data.len() > limits.reassembly_bytes && self.order.len() > 1 {
            // The datagram itself stays if it is the oldest.
            let oldest = usize::from(self.order.front().is_some_and(|oldest| oldest.2 == key));
            self.give_up(oldest, given_up);
        }
        let Some(partial) = self.partial.get_mut(&key) else {
            return Err(SlowDrop::ReassemblyFull);
        };
        match partial.add(piece) {
            Ok(bytes) => self.bytes += bytes,
            Err(reason) => {
                self.remove(&key);
                return Err(reason);
            }
        }
        if !partial.is_whole() {
            return Ok(None);
        }
        self.remove(&key).map_or(Ok(None), |partial| partial.datagram().map(Some))
    }

    fn begin(&mut self, now: Nanos, key: Key, limits: &Limits, given_up: &mut u64) {
        while self.partial.len() >= limits.reassemblies.max(1) {
            self.give_up(0, given_up);
        }
        self.begun += 1;
        let partial = Partial {
            number: self.begun,
            header: None,
            pieces: BTreeMap::new(),
            bytes: 0,
            total: None,
            congested: false,
            not_capable: false,
        };
        self.partial.insert(key, partial);
        self.order.push_back((now.saturating_add(PATIENCE), self.begun, key));
    }

    fn remove(&mut self, key: &Key) -> Option<Partial> {
        let partial = self.partial.remove(key)?;
        self.bytes -= partial.bytes;
        Some(partial)
    }

    /// Forgets the datagram that was the `at`-th to begin, if it still waits.
    fn give_up(&mut self, at: usize, given_up: &mut u64) {
        let Some((_, number, key)) = self.order.remove(at) else { return };
        if self.partial.get(&key).is_some_and(|partial| partial.number == number) {
            self.remove(&key);
            *given_up += 1;
        }
    }

    /// Forgets what has waited too long.
    pub(super) fn expire(&mut self, now: Nanos, given_up: &mut u64) {
        while self.order.front().is_some_and(|(end, ..)| *end <= now) {
            self.give_up(0, given_up);
        }
    }

    /// When something will have waited too long.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        self.order.front().map(|(end, ..)| *end)
    }
}

impl Partial {
    /// Adds a fragment and returns how many bytes are new: none if it has come before.
    ///
    /// Fragments that overlap are an attack, and end the datagram (RFC 5722; RFC 1858 for IPv4).
    fn add(&mut self, piece: Piece<'_>) -> Result<usize, SlowDrop> {
        let (start, end) = (piece.offset, piece.offset + piece.data.len());
        if self.pieces.get(&start).is_some_and(|known| known[..] == *piece.data) {
            return Ok(0);
        }
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
        }
        self.pieces.insert(start, piece.data.to_vec());
        self.bytes += piece.data.len();
        Ok(piece.data.len())
    }

    fn is_whole(&self) -> bool {
        self.total == Some(self.bytes) && self.header.is_some()
    }

    /// The datagram, with the congestion that any of its fragments has met (RFC 3168 §5.3).
    fn datagram(self) -> Result<Vec<u8>, SlowDrop> {
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
