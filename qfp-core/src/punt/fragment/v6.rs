//! Fragmentation of IPv6 packets, which is for their source alone (RFC 8200 4.5).

use super::{MAX_OFFSET, SlowDrop};
use crate::wire::{Extensions, Ipv6, protocol};

/// Bytes of a fragment header.
const FRAGMENT: usize = 8;

/// The fragments of `ip`, a packet of the router's own, for `mtu`; the packet itself when it fits.
///
/// `id` is the identification of the datagram. A packet that is a fragment already keeps its own and
/// is split further: offsets go on, and the last piece keeps its more-fragments flag.
pub(in crate::punt) fn split(ip: &Ipv6<'_>, mtu: u16, id: u32) -> Result<Vec<Vec<u8>>, SlowDrop> {
    let mtu = usize::from(mtu);
    if ip.packet().len() <= mtu {
        return Ok(vec![ip.packet().to_vec()]);
    }
    let whole = Whole::of(ip, id)?;
    let room = mtu.saturating_sub(whole.head.len() + FRAGMENT);
    let (mut offset, mut rest) = (whole.offset, whole.data);
    let mut fragments = Vec::new();
    while !rest.is_empty() {
        let (piece, after) = match rest.split_at_checked(room & !7) {
            _ if rest.len() <= room => (rest, &[][..]),
            Some(split) if !split.0.is_empty() => split,
            _ => return Err(SlowDrop::CannotFragment),
        };
        if offset > MAX_OFFSET {
            return Err(SlowDrop::Malformed);
        }
        fragments.push(whole.fragment(offset, !after.is_empty() || whole.more, piece)?);
        offset += piece.len() / 8;
        rest = after;
    }
    if fragments.is_empty() { Err(SlowDrop::CannotFragment) } else { Ok(fragments) }
}

/// A packet, taken apart.
struct Whole<'a> {
    /// Headers that every fragment has, and where the last next header field of them is.
    head: &'a [u8],
    named_at: usize,
    /// What follows them.
    next_header: u8,
    data: &'a [u8],
    /// Of the data in their datagram, in units of 8 bytes, and whether more of it follow.
    offset: usize,
    more: bool,
    id: u32,
}

impl<'a> Whole<'a> {
    fn of(ip: &Ipv6<'a>, id: u32) -> Result<Self, SlowDrop> {
        let bytes = ip.packet();
        let (mut cut, mut named_at) = (bytes.len() - ip.payload().len(), 6);
        for header in Extensions::of(ip) {
            let header = header.map_err(|_| SlowDrop::Malformed)?;
            match header.kind {
                // Each router on the way looks at these.
                protocol::HOP_BY_HOP | protocol::ROUTING => {
                    (cut, named_at) = (header.at + header.bytes.len(), header.at);
                }
                protocol::FRAGMENT => {
                    let [next_header, _, high, low, id @ ..] =
                        *header.bytes.first_chunk::<FRAGMENT>().ok_or(SlowDrop::Malformed)?;
                    let place = u16::from_be_bytes([high, low]);
                    return Ok(Self {
                        head: bytes.get(..header.at).unwrap_or_default(),
                        named_at: header.named_at,
                        next_header,
                        data: bytes.get(header.at + FRAGMENT..).unwrap_or_default(),
                        offset: usize::from(place >> 3),
                        more: place & 1 == 1,
                        id: u32::from_be_bytes(id),
                    });
                }
                _ => {}
            }
        }
        let next_header = bytes.get(named_at).copied().ok_or(SlowDrop::Malformed)?;
        let (head, data) = bytes.split_at(cut);
        Ok(Self { head, named_at, next_header, data, offset: 0, more: false, id })
    }

    fn fragment(&self, offset: usize, more: bool, piece: &[u8]) -> Result<Vec<u8>, SlowDrop> {
        let mut bytes = self.head.to_vec();
        let len = u16::try_from(bytes.len() - 40 + FRAGMENT + piece.len());
        let len = len.map_err(|_| SlowDrop::Malformed)?;
        if let Some(named) = bytes.get_mut(self.named_at) {
            *named = protocol::FRAGMENT;
        }
        if let Some(field) = bytes.get_mut(4..6) {
            field.copy_from_slice(&len.to_be_bytes());
        }
        let place = u16::try_from(offset << 3).map_err(|_| SlowDrop::Malformed)? | u16::from(more);
        bytes.extend_from_slice(&[self.next_header, 0]);
        bytes.extend_from_slice(&place.to_be_bytes());
        bytes.extend_from_slice(&self.id.to_be_bytes());
        bytes.extend_from_slice(piece);
        Ok(bytes)
    }
}
