//! Marks: fields of a packet that policies set, and marks that never leave the router.

use hal::PacketMask;

use crate::packet::Vector;
use crate::uidb::TableId;

impl Vector {
    /// Sets the bits `mask` of the byte that holds DSCP and ECN (RFC 2474, RFC 3168); an IPv4
    /// checksum is adjusted. The internal class of service stays what it was before (VOQ-10).
    #[inline]
    pub fn set_traffic_class(&mut self, slot: usize, value: u8, mask: u8) {
        self.glean_cos(slot);
        if self.is.ipv4.contains(slot) {
            let Some(header) = self.network_mut(slot).first_chunk_mut::<20>() else { return };
            let (before, after) = (header[1], header[1] & !mask | value & mask);
            header[1] = after;
            let checksum = adjust(u16::from_be_bytes([header[10], header[11]]), before, after);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            // The row `ttl` writes these bytes again, with the TTL that it has worked out already.
            let next = &mut self.l3.next_ttl[slot & 63];
            let [ttl, protocol, high, low] = next.to_le_bytes();
            let [high, low] = adjust(u16::from_be_bytes([high, low]), before, after).to_be_bytes();
            *next = u32::from_le_bytes([ttl, protocol, high, low]);
        } else if self.is.ipv6.contains(slot)
            && let Some(header) = self.network_mut(slot).first_chunk_mut::<2>()
        {
            let before = header[0] << 4 | header[1] >> 4;
            let after = before & !mask | value & mask;
            *header = [header[0] & 0xf0 | after >> 4, header[1] & 0x0f | after << 4];
        }
    }

    /// Sets the priority code points of the tags that the frame has, outer and inner.
    pub fn set_cos(&mut self, slot: usize, outer: Option<u8>, inner: Option<u8>) {
        let l3_offset = usize::from(self.l3.offset[slot & 63]);
        let frame = self.burst.frame_mut(slot);
        for (at, cos) in [(14, outer), (18, inner)] {
            if let (Some(cos), true, Some(byte)) = (cos, l3_offset >= at + 4, frame.get_mut(at)) {
                *byte = *byte & 0x1f | cos << 5;
            }
        }
    }

    /// Notes the internal class of service of a packet that is going to be marked: its precedence
    /// as it came in (DQ-03).
    #[inline]
    fn glean_cos(&mut self, slot: usize) {
        self.classes.cos[slot & 63] = self.internal_cos(slot);
        self.is.gleaned.insert(slot);
    }

    /// The internal class of service of the packet in `slot`: its precedence, as it came in if it has
    /// been marked since.
    #[inline]
    #[must_use]
    pub(crate) fn internal_cos(&self, slot: usize) -> u8 {
        let start = self.network(slot).first_chunk().copied().unwrap_or_default();
        self.imposed_cos(slot, start, self.is.ipv6.contains(slot))
    }

    /// The same for who knows already how the packet starts, and of which family it is.
    #[inline]
    pub(crate) fn imposed_cos(&self, slot: usize, start: [u8; 2], is_ipv6: bool) -> u8 {
        // The upper three bits of the byte of DSCP and ECN.
        let [first, second] = start;
        let precedence = if is_ipv6 { (first & 0xf) >> 1 } else { second >> 5 };
        if self.is.gleaned.contains(slot) { self.classes.cos[slot & 63] } else { precedence }
    }

    /// Gives the tags of the header that has just been put in front of the packets of `select`
    /// the packets' internal class of service (DQ-02).
    #[inline]
    pub(crate) fn impose_cos(&mut self, select: PacketMask) {
        for slot in select {
            let cos = self.internal_cos(slot);
            self.set_cos(slot, Some(cos), Some(cos));
        }
    }

    /// Routes the packet in `slot` in another table than its interface's.
    #[inline]
    pub(crate) fn redirect(&mut self, slot: usize, table: TableId) {
        self.is.redirected.insert(slot);
        self.route.redirect[slot & 63] = table;
    }

    /// QoS group and discard class, which ingress policies set and later ones match; zeroes unless
    /// set.
    #[inline]
    #[must_use]
    pub fn internal_marks(&self, slot: usize) -> (u16, u8) {
        let (group, discard) = self.classes.marks[slot & 63];
        let set = self.is.marked.contains(slot);
        (if set { group } else { 0 }, if set { discard } else { 0 })
    }

    /// Sets QoS group and discard class.
    #[inline]
    pub fn set_internal_marks(&mut self, slot: usize, group: u16, discard_class: u8) {
        self.is.marked.insert(slot);
        self.classes.marks[slot & 63] = (group, discard_class);
    }

    /// The first match of feature number `feature` for the packet in `slot`; all ones for none.
    #[inline]
    #[must_use]
    pub(crate) fn class(&self, feature: usize, slot: usize) -> u32 {
        self.classes.found[feature % self.classes.found.len()][slot & 63]
    }

    /// Packets that a rule with the flag `capture` matched, for a SPAN session (ING-03).
    #[inline]
    #[must_use]
    pub fn captured(&self) -> hal::PacketMask {
        self.is.captured
    }
}

/// The IPv4 checksum after the second byte of the header changed (RFC 1624 equation 3).
#[inline]
fn adjust(checksum: u16, before: u8, after: u8) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!u16::from(before)) + u32::from(after);
    let sum = (sum & 0xffff) + (sum >> 16);
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits")]
    let folded = ((sum & 0xffff) + (sum >> 16)) as u16;
    !folded
}
