//! Ethernet II with up to two VLAN tags (IEEE 802.3, 802.1Q, 802.1ad).

use super::{Malformed, ethertype};

/// Bytes of the header without tags.
const HEADER: usize = 14;
/// Bytes of one tag.
const TAG: usize = 4;
/// Tags looked through; what follows more of them is reported as the EtherType.
const MAX_TAGS: usize = 2;

/// True for group addresses, broadcast among them.
#[inline]
#[must_use]
pub const fn is_group(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 1
}

/// True for EtherTypes that announce a VLAN tag.
#[inline]
#[must_use]
pub const fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, ethertype::DOT1Q | ethertype::DOT1AD | ethertype::QINQ_9100)
}

/// A frame.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a> {
    frame: &'a [u8],
    header: &'a [u8; HEADER],
    tags: [(u16, u16); MAX_TAGS],
    tag_count: usize,
    ethertype: u16,
}

impl<'a> Ethernet<'a> {
    /// Reads the header and its tags.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Malformed> {
        let header = frame.first_chunk().ok_or(Malformed::Truncated)?;
        let mut this = Self { frame, header, tags: [(0, 0); MAX_TAGS], tag_count: 0, ethertype: 0 };
        this.ethertype = u16::from_be_bytes([header[12], header[13]]);
        while is_vlan(this.ethertype) && this.tag_count < MAX_TAGS {
            let rest = frame.get(this.payload_offset()..).unwrap_or_default();
            let tag: &[u8; TAG] = rest.first_chunk().ok_or(Malformed::Truncated)?;
            let control = u16::from_be_bytes([tag[0], tag[1]]);
            this.tags[this.tag_count] = (this.ethertype, control & 0x0fff);
            this.tag_count += 1;
            this.ethertype = u16::from_be_bytes([tag[2], tag[3]]);
        }
        Ok(this)
    }

    /// Destination address.
    #[must_use]
    pub fn dst(&self) -> [u8; 6] {
        let [mac @ .., _, _, _, _, _, _, _, _] = *self.header;
        mac
    }

    /// Source address.
    #[must_use]
    pub fn src(&self) -> [u8; 6] {
        let [_, _, _, _, _, _, mac @ .., _, _] = *self.header;
        mac
    }

    /// The tags, outer first: TPID and VLAN id.
    #[must_use]
    pub fn tags(&self) -> &[(u16, u16)] {
        &self.tags[..self.tag_count]
    }

    /// What follows the header and its tags.
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        self.ethertype
    }

    /// Bytes of the header with its tags.
    #[must_use]
    pub fn payload_offset(&self) -> usize {
        HEADER + self.tag_count * TAG
    }

    /// What follows the header, padding included.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.frame.get(self.payload_offset()..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QINQ: [u8; 23] = [
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x88, 0xa8, 0x20, 100, 0x81, 0x00, 0x0f, 0xff, 8, 0,
        0x45,
    ];

    #[test]
    fn two_tags_are_read_outer_first() {
        let frame = Ethernet::parse(&QINQ).unwrap();
        assert_eq!((frame.dst(), frame.src()), ([1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]));
        assert_eq!(frame.tags(), [(0x88a8, 100), (0x8100, 4095)]);
        assert_eq!((frame.ethertype(), frame.payload_offset()), (ethertype::IPV4, 22));
        assert_eq!(frame.payload(), [0x45]);
    }

    #[test]
    fn every_cut_inside_the_header_is_truncated() {
        for len in 0..22 {
            assert_eq!(Ethernet::parse(&QINQ[..len]).unwrap_err(), Malformed::Truncated);
        }
    }
}
