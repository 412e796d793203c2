//! What a pcapng section says about its packets: byte order, interfaces, time scales.
//!
//! Source: draft-ietf-opsawg-pcapng, sections 4.1 to 4.4 and appendix A (the obsolete packet block).

use std::ops::Range;

use pal::clock::Nanos;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{
    Block, InterfaceDescriptionBlock, OptionCode, SHB_MAGIC, parse_block_be, parse_block_le,
};

/// Bytes that tell how long a block is, and in which byte order.
pub(super) const BLOCK_HEADER: usize = 12;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_BLOCK: u32 = 1;
const OBSOLETE_PACKET_BLOCK: u32 = 2;
const SIMPLE_PACKET_BLOCK: u32 = 3;
const ENHANCED_PACKET_BLOCK: u32 = 6;

/// The section that is being read.
#[derive(Debug, Default)]
pub(super) struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

#[derive(Debug)]
struct Interface {
    link: u32,
    snaplen: u32,
    resolution: u8,
    offset_s: i64,
}

/// A packet found in a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Link type of its interface.
    pub(super) link: u32,
    /// When it was captured; `None` where the block does not say.
    pub(super) time: Option<Nanos>,
    /// Where its bytes stand in the block.
    pub(super) frame: Range<usize>,
}

impl Section {
    /// Length of the block whose first [`BLOCK_HEADER`] bytes are `header`, bytes; at least 12.
    ///
    /// A section header sets the byte order of what follows, its own length included.
    pub(super) fn block_length(&mut self, header: &[u8]) -> Result<usize, &'static str> {
        if u32_at(header, 0, false) == Some(SHB_MAGIC) {
            self.big_endian = match u32_at(header, 8, false) {
                Some(BYTE_ORDER_MAGIC) => false,
                Some(magic) if magic.swap_bytes() == BYTE_ORDER_MAGIC => true,
                _ => return Err("bad byte-order magic in a section header"),
            };
        }
        match self.u32(header, 4) {
            Some(length) if length >= 12 && length % 4 == 0 => Ok(length as usize),
            _ => Err("bad block length"),
        }
    }

    /// Takes in a whole block; returns its packet if it holds one.
    pub(super) fn block(&mut self, block: &[u8]) -> Result<Option<Found>, &'static str> {
        if self.u32(block, block.len().wrapping_sub(4)) != self.u32(block, 4) {
            return Err("the two lengths of a block differ");
        }
        match self.u32(block, 0) {
            Some(OBSOLETE_PACKET_BLOCK) => return self.obsolete_packet(block).map(Some),
            Some(SHB_MAGIC | INTERFACE_BLOCK | SIMPLE_PACKET_BLOCK | ENHANCED_PACKET_BLOCK) => {}
            _ => return Ok(None),
        }
        let parse = if self.big_endian { parse_block_be } else { parse_block_le };
        // The block is whole, so "incomplete" means that its inner lengths point out of it.
        let Ok((_, parsed)) = parse(block) else { return Err("malformed block") };
        match parsed {
            Block::SectionHeader(_) => self.interfaces.clear(),
            Block::InterfaceDescription(idb) => {
                let interface = Interface::new(&idb, self.big_endian);
                self.interfaces.push(interface);
            }
            Block::EnhancedPacket(epb) => {
                let ticks = u64::from(epb.ts_high) << 32 | u64::from(epb.ts_low);
                return self.packet(epb.if_id, Some(ticks), 28, epb.packet_data().len()).map(Some);
            }
            Block::SimplePacket(spb) => {
                let snaplen = self.interfaces.first().map_or(0, |i| i.snaplen as usize);
                let len = match spb.packet_data().len() {
                    len if snaplen != 0 => len.min(snaplen),
                    len => len,
                };
                return self.packet(0, None, 12, len).map(Some);
            }
            _ => {}
        }
        Ok(None)
    }

    /// The packet of `interface` with `len` bytes at `start` of its block.
    fn packet(
        &self,
        interface: u32,
        ticks: Option<u64>,
        start: usize,
        len: usize,
    ) -> Result<Found, &'static str> {
        let interface = self
            .interfaces
            .get(interface as usize)
            .ok_or("a packet names an interface that is not described")?;
        Ok(Found {
            link: interface.link,
            time: ticks.map(|ticks| interface.time(ticks)),
            frame: start..start + len,
        })
    }

    fn obsolete_packet(&self, block: &[u8]) -> Result<Found, &'static str> {
        const START: usize = 28;
        let field = |at| self.u32(block, at).ok_or("malformed block");
        // Interface and drop count share one word, the interface first in either byte order.
        let word = field(8)?;
        let interface = if self.big_endian { word >> 16 } else { word & 0xffff };
        let ticks = u64::from(field(12)?) << 32 | u64::from(field(16)?);
        let len = field(20)? as usize;
        if block.len() < START + 4 || len > block.len() - START - 4 {
            return Err("malformed block");
        }
        self.packet(interface, Some(ticks), START, len)
    }

    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        u32_at(bytes, at, self.big_endian)
    }
}

impl Interface {
    fn new(idb: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Self {
        // The offset is taken from the option's bytes: its byte order is that of the section.
        let mut offset_s = 0;
        for option in idb.options.iter().take_while(|o| o.code != OptionCode::EndOfOpt) {
            if option.code == OptionCode::IfTsoffset
                && let Some(bytes) = option.value().first_chunk()
            {
                offset_s = if big_endian {
                    i64::from_be_bytes(*bytes)
                } else {
                    i64::from_le_bytes(*bytes)
                };
            }
        }
        Self {
            link: u32::from_ne_bytes(idb.linktype.0.to_ne_bytes()),
            snaplen: idb.snaplen,
            resolution: idb.if_tsresol,
            offset_s,
        }
    }

    /// Nanoseconds since the epoch, clamped to what 64 bits hold.
    fn time(&self, ticks: u64) -> Nanos {
        let exponent = u32::from(self.resolution & 0x7f);
        let ns = if self.resolution & 0x80 != 0 {
            // Below 2^94, and the exponent is at most 127.
            (u128::from(ticks) * 1_000_000_000) >> exponent
        } else if exponent <= 9 {
            u128::from(ticks) * u128::from(10_u64.pow(9 - exponent))
        } else {
            // Units so small that 64 bits of them are no nanosecond count as none.
            10_u64.checked_pow(exponent - 9).map_or(0, |unit| u128::from(ticks / unit))
        };
        // Below 2^97 by now, so neither the cast nor the sum can wrap.
        let ns = ns.cast_signed() + i128::from(self.offset_s) * 1_000_000_000;
        Nanos(u64::try_from(ns.max(0)).unwrap_or(u64::MAX))
    }
}

fn u32_at(bytes: &[u8], at: usize, big_endian: bool) -> Option<u32> {
    let bytes = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(resolution: u8, offset_s: i64) -> Interface {
        Interface { link: 1, snaplen: 0, resolution, offset_s }
    }

    #[test]
    fn every_resolution_gives_nanoseconds_without_overflow() {
        assert_eq!(interface(6, 0).time(1_500_000), Nanos(1_500_000_000));
        assert_eq!(interface(9, 0).time(7), Nanos(7));
        assert_eq!(interface(0, 0).time(3), Nanos(3_000_000_000));
        assert_eq!(interface(12, 0).time(7_999), Nanos(7));
        assert_eq!(interface(0x80 | 10, 0).time(512), Nanos(500_000_000));
        assert_eq!(interface(6, 10).time(1), Nanos(10_000_001_000));
        assert_eq!(interface(6, -10).time(1), Nanos(0));
        for resolution in 0..=255 {
            for offset in [i64::MIN, -1, 0, i64::MAX] {
                let _ = interface(resolution, offset).time(u64::MAX);
            }
        }
    }
}
