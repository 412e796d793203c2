//! Frames that the kernel has left whole for a device to cut: TCP and UDP in large pieces.
//!
//! Such a frame is one header and many segments' payloads. It is cut in place: each header is
//! written over the end of the payload before, which has been handed over by then.
//!
//! Source: Documentation/networking/segmentation-offloads.rst, RFC 3168 section 6.1.2 (CWR).

use super::offload::{Offload, TAG, complete_checksum, fold, insert_tag, sum};

/// Bytes that the headers of a frame may take: Ethernet, two tags, IPv4 and TCP with options.
const HEADERS: usize = 14 + 2 * TAG + 60 + 60;

const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// What the headers of layers 3 and 4 are, by the kernel's numbers for them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer3 {
    V4,
    V6,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer4 {
    Tcp,
    Udp,
}

/// A large frame and how far it has been cut.
pub(super) struct Segments {
    headers: [u8; HEADERS],
    /// Bytes of the headers that are used.
    header: usize,
    layer3: (Layer3, usize),
    layer4: (Layer4, usize),
    /// Sum of the pseudo header, but for the length.
    pseudo: u64,
    /// Bytes of payload in each segment but the last.
    size: usize,
    /// Where the next segment's payload is in the room.
    next: usize,
    end: usize,
    count: u16,
}

impl Segments {
    /// The frame from `start` to the end of `room`; `None` when it is not what `offload` says.
    pub(super) fn of(
        room: &mut [u8],
        start: usize,
        offload: Offload,
        tag: Option<[u8; TAG]>,
    ) -> Option<Self> {
        let end = room.len();
        let layer4 = offload.sum_start + tag.map_or(0, |_| TAG);
        let frame = &*insert_tag(room, start, tag)?;
        let (kind3, kind4) = match offload.segmentation & !CWR {
            1 => (Layer3::V4, Layer4::Tcp),
            4 => (Layer3::V6, Layer4::Tcp),
            5 if *frame.get(layer3_of(frame)?)? >> 4 == 4 => (Layer3::V4, Layer4::Udp),
            5 => (Layer3::V6, Layer4::Udp),
            _ => return None,
        };
        let layer3 = layer3_of(frame)?;
        let (number, bytes) = match kind4 {
            Layer4::Tcp => (6, usize::from(*frame.get(layer4 + 12)? >> 4) * 4),
            Layer4::Udp => (17, 8),
        };
        // No headers between: those would have to be made anew for each segment, too.
        let fits = match kind3 {
            Layer3::V4 => {
                let first = *frame.get(layer3)?;
                first >> 4 == 4
                    && layer3 + usize::from(first & 15) * 4 == layer4
                    && *frame.get(layer3 + 9)? == number
            }
            Layer3::V6 => {
                *frame.get(layer3)? >> 4 == 6
                    && layer3 + 40 == layer4
                    && *frame.get(layer3 + 6)? == number
            }
        };
        let header = layer4 + bytes;
        let rest = u16::try_from(frame.len().checked_sub(layer4)?).ok()?;
        let shortest = if kind4 == Layer4::Tcp { 20 } else { 8 };
        if !fits || !offload.needs_checksum() || bytes < shortest || offload.segment == 0 {
            return None;
        }
        let mut headers = [0; HEADERS];
        headers.get_mut(..header)?.copy_from_slice(frame.get(..header)?);
        let field = layer4 + kind4.checksum();
        let pseudo = sum(headers.get(field..field + 2)?) + sum(&(!rest).to_be_bytes());
        let next = end - frame.len() + header;
        Some(Self {
            headers,
            header,
            layer3: (kind3, layer3),
            layer4: (kind4, layer4),
            pseudo,
            size: offload.segment,
            next,
            end,
            count: 0,
        })
    }

    /// The next segment, a whole frame; `None` after the last. `room` is the one it was made with.
    pub(super) fn next<'a>(&mut self, room: &'a mut [u8]) -> Option<&'a [u8]> {
        if self.next >= self.end {
            return None;
        }
        let payload = self.next;
        let end = self.end.min(payload + self.size);
        let frame = room.get_mut(payload.checked_sub(self.header)?..end)?;
        frame.get_mut(..self.header)?.copy_from_slice(self.headers.get(..self.header)?);
        self.set_layer3(frame)?;
        self.set_layer4(frame, end == self.end)?;
        self.next = end;
        self.count += 1;
        Some(frame)
    }

    /// Length, and of IPv4 identification and checksum.
    fn set_layer3(&self, frame: &mut [u8]) -> Option<()> {
        let (kind, at) = self.layer3;
        let packet = frame.get_mut(at..)?;
        let len = u16::try_from(packet.len()).ok()?;
        if kind == Layer3::V6 {
            *packet.get_mut(4..)?.first_chunk_mut()? = (len - 40).to_be_bytes();
            return Some(());
        }
        *packet.get_mut(2..)?.first_chunk_mut()? = len.to_be_bytes();
        let id: &mut [u8; 2] = packet.get_mut(4..)?.first_chunk_mut()?;
        *id = u16::from_be_bytes(*id).wrapping_add(self.count).to_be_bytes();
        packet.get_mut(10..12)?.fill(0);
        let header = packet.get_mut(..self.layer4.1 - at)?;
        complete_checksum(header, 0, 10)
    }

    /// Sequence number and flags, or length; and the checksum.
    fn set_layer4(&self, frame: &mut [u8], last: bool) -> Option<()> {
        let (kind, at) = self.layer4;
        let rest = frame.get_mut(at..)?;
        let len = u16::try_from(rest.len()).ok()?;
        match kind {
            Layer4::Tcp => {
                let before = u32::try_from(usize::from(self.count) * self.size).ok()?;
                let number: &mut [u8; 4] = rest.get_mut(4..)?.first_chunk_mut()?;
                *number = u32::from_be_bytes(*number).wrapping_add(before).to_be_bytes();
                let flags = rest.get_mut(13)?;
                *flags &= if last { !0 } else { !FIN_PSH };
                *flags &= if self.count == 0 { !0 } else { !CWR };
            }
            Layer4::Udp => *rest.get_mut(4..)?.first_chunk_mut()? = len.to_be_bytes(),
        }
        let pseudo = fold(self.pseudo + sum(&len.to_be_bytes()));
        *rest.get_mut(kind.checksum()..)?.first_chunk_mut()? = pseudo.to_ne_bytes();
        complete_checksum(rest, 0, kind.checksum())
    }
}

impl Layer4 {
    /// Where its checksum is.
    const fn checksum(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// Where the packet begins in a frame, behind up to two tags.
fn layer3_of(frame: &[u8]) -> Option<usize> {
    let is_tag = |at: usize| {
        let ether_type = frame.get(at..at + 2)?;
        Some(ether_type == [0x81, 0x00] || ether_type == [0x88, 0xa8])
    };
    Some(match (is_tag(12)?, is_tag(16)?) {
        (false, _) => 14,
        (true, false) => 14 + TAG,
        (true, true) => 14 + 2 * TAG,
    })
}

#[cfg(test)]
mod tests;
