//! What the kernel has left for hardware to do: checksums, VLAN tags, segmentation.
//!
//! A kernel hands frames to its packet sockets as it would to a device that does the rest: from the
//! other end of a veth pair, with half a checksum; from anywhere, with the VLAN tag beside the
//! frame. What arrives here is to look as on the wire.
//!
//! Source: virtio 1.2 section 5.1.6 (`struct virtio_net_hdr`), Documentation/networking/
//! packet_mmap.rst, RFC 1071.

/// Bytes of `struct virtio_net_hdr`.
pub(super) const HEADER: usize = 10;

/// Bytes of a VLAN tag.
pub(super) const TAG: usize = 4;

/// Flag: the checksum holds the sum of the pseudo header, and the rest is to be added.
const NEEDS_CHECKSUM: u8 = 1;

/// What `struct virtio_net_hdr` says of a frame. Offsets count from the frame's start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offload {
    flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`, 0 for a frame that is one packet.
    pub(super) segmentation: u8,
    /// Bytes behind the headers in each segment.
    pub(super) segment: usize,
    /// Where the sum begins: at the header of layer 4.
    pub(super) sum_start: usize,
    /// Where the checksum is, counted from there.
    pub(super) sum_offset: usize,
}

impl Offload {
    /// Reads the header, which is in the byte order of this machine.
    pub(super) fn parse(header: [u8; HEADER]) -> Self {
        let [flags, segmentation, _, _, fields @ ..] = header;
        let [a, b, c, d, e, f] = fields;
        let [segment, sum_start, sum_offset] =
            [[a, b], [c, d], [e, f]].map(|bytes| usize::from(u16::from_ne_bytes(bytes)));
        Self { flags, segmentation, segment, sum_start, sum_offset }
    }

    /// True when the checksum of layer 4 is to be completed.
    pub(super) fn needs_checksum(&self) -> bool {
        self.flags & NEEDS_CHECKSUM != 0
    }
}

/// Makes the frame that begins at `start` of `room` one that could have come from a wire, and
/// returns it. It may begin [`TAG`] bytes earlier then. `None` when `offload` makes no sense.
pub(super) fn complete(
    room: &mut [u8],
    start: usize,
    offload: Offload,
    tag: Option<[u8; TAG]>,
) -> Option<&mut [u8]> {
    if offload.needs_checksum() {
        let field = offload.sum_start + offload.sum_offset;
        complete_checksum(room.get_mut(start..)?, offload.sum_start, field)?;
    }
    insert_tag(room, start, tag)
}

/// Inserts `tag` behind the addresses of the frame at `start`, which move to the front for that.
pub(super) fn insert_tag(
    room: &mut [u8],
    start: usize,
    tag: Option<[u8; TAG]>,
) -> Option<&mut [u8]> {
    let Some(tag) = tag else { return room.get_mut(start..) };
    let earlier = start.checked_sub(TAG)?;
    let front = room.get_mut(earlier..start + 12)?;
    front.copy_within(TAG.., 0);
    front[12..].copy_from_slice(&tag);
    room.get_mut(earlier..)
}

/// Adds what stands from `start` on to the sum in the checksum at `field`, and completes that.
pub(super) fn complete_checksum(frame: &mut [u8], start: usize, field: usize) -> Option<()> {
    let sum = fold(sum(frame.get(start..)?));
    // Zero would say that there is none, to UDP; the other zero means the same to all.
    let checksum = if sum == u16::MAX { sum } else { !sum };
    *frame.get_mut(field..)?.first_chunk_mut()? = checksum.to_ne_bytes();
    Some(())
}

/// Sum of 16-bit words in this machine's byte order, as if a zero followed.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum: u64 = words.iter().map(|&word| u64::from(u32::from_ne_bytes(word))).sum();
    let mut last = [0; 4];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    sum + u64::from(u32::from_ne_bytes(last))
}

/// The one's complement sum as 16 bits.
#[expect(clippy::cast_possible_truncation, reason = "folded until it fits")]
pub(super) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}
