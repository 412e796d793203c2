//! Reads captures packet by packet, from any byte stream, in bounded memory.
//!
//! The reader frames records itself (a record's length decides how much to buffer) and leaves their
//! contents to `pcap-parser`, so a malformed record is an error and never an endless wait.

use std::io::{self, Read};
use std::ops::Range;

use pal::clock::Nanos;
use pcap_parser::nom::IResult;
use pcap_parser::{
    LegacyPcapBlock, Linktype, PcapError, PcapHeader, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header,
};

use super::pcapng::{BLOCK_HEADER, Section};

/// Longest record, bytes. Captures of Ethernet hold at most 256 KiB a packet; the rest is room for
/// pcapng blocks that hold no packet.
const LONGEST: usize = 16 << 20;
/// First size of the buffer, bytes; it grows when a longer record comes.
const BUFFER: usize = 256 << 10;
const FILE_HEADER: usize = 24;
const ETHERNET: u32 = 1;

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is not one byte.
    #[error("the file is empty")]
    Empty,
    /// The first bytes belong to no capture format.
    #[error("not a capture (neither pcap nor pcapng)")]
    NotACapture,
    /// The first bytes are those of a compressed file.
    #[error("compressed with {0}: unpack it first")]
    Compressed(&'static str),
    /// The file ends inside a record.
    #[error("cut off: the file ends inside the record behind packet {0}")]
    Truncated(u64),
    /// A record is longer than any record of a sane capture.
    #[error("the record behind packet {after} is {bytes} bytes long, which no capture needs")]
    TooLong {
        /// Packets before it.
        after: u64,
        /// Its length, bytes.
        bytes: u64,
    },
    /// A record contradicts itself.
    #[error("{what}, behind packet {after}")]
    Corrupt {
        /// Packets before it.
        after: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Packets of a link that is not Ethernet.
    #[error("link type {}, only Ethernet can be forwarded", link_name(*.0))]
    NotEthernet(u32),
}

/// A capture, positioned on one of its packets.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    format: Format,
    packets: u64,
    time: Nanos,
    frame: Range<usize>,
}

#[derive(Debug)]
enum Format {
    Pcap { parse: ParseRecord, header: usize, big_endian: bool, unit_ns: u64, fcs: usize },
    Pcapng(Section),
}

type ParseRecord = fn(&[u8]) -> IResult<&[u8], LegacyPcapBlock<'_>, PcapError<&[u8]>>;

impl<R: Read> Reader<R> {
    /// Reads the file's header; the reader then stands before the first packet.
    pub fn new(input: R) -> Result<Self, CaptureError> {
        let mut reader = Self {
            input,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            format: Format::Pcapng(Section::default()),
            packets: 0,
            time: Nanos(0),
            frame: 0..0,
        };
        if !reader.fill(4)? {
            return Err(if reader.end == 0 {
                CaptureError::Empty
            } else {
                CaptureError::NotACapture
            });
        }
        match reader.buffer[..4] {
            [0x0a, 0x0d, 0x0d, 0x0a] => return Ok(reader),
            [0x1f, 0x8b, ..] => return Err(CaptureError::Compressed("gzip")),
            [0x28, 0xb5, 0x2f, 0xfd] => return Err(CaptureError::Compressed("zstd")),
            _ => {}
        }
        let _ = reader.fill(FILE_HEADER)?;
        match parse_pcap_header(&reader.buffer[..reader.end]) {
            Ok((_, header)) => reader.format = pcap_format(&header)?,
            Err(pcap_parser::nom::Err::Incomplete(_)) => return Err(CaptureError::Truncated(0)),
            Err(_) => return Err(CaptureError::NotACapture),
        }
        reader.start = FILE_HEADER;
        Ok(reader)
    }

    /// Moves on to the next packet; false at the end of the capture.
    ///
    /// After an error the reader stays where it is: every further call gives an error or the end.
    pub fn advance(&mut self) -> Result<bool, CaptureError> {
        self.frame = 0..0;
        loop {
            let Some(length) = self.record_length()? else { return Ok(false) };
            if length > LONGEST {
                let bytes = length as u64;
                return Err(CaptureError::TooLong { after: self.packets, bytes });
            }
            if !self.fill(length)? {
                return Err(CaptureError::Truncated(self.packets));
            }
            let record = &self.buffer[self.start..self.start + length];
            let after = self.packets;
            let corrupt = |what| CaptureError::Corrupt { after, what };
            let found = match &mut self.format {
                Format::Pcap { parse, header, unit_ns, fcs, .. } => {
                    let Ok((_, packet)) = parse(record) else { return Err(corrupt("bad record")) };
                    let time = u64::from(packet.ts_sec) * 1_000_000_000
                        + u64::from(packet.ts_usec) * *unit_ns;
                    // A snapped packet has lost its FCS already.
                    let fcs = if packet.caplen == packet.origlen { *fcs } else { 0 };
                    Some((Some(Nanos(time)), *header..length.saturating_sub(fcs).max(*header)))
                }
                Format::Pcapng(section) => match section.block(record).map_err(corrupt)? {
                    Some(found) if found.link != ETHERNET => {
                        return Err(CaptureError::NotEthernet(found.link));
                    }
                    Some(found) => Some((found.time, found.frame)),
                    None => None,
                },
            };
            let start = self.start;
            self.start += length;
            if let Some((time, frame)) = found {
                self.packets += 1;
                self.time = time.map_or(self.time, |time| time.max(self.time));
                self.frame = start + frame.start..start + frame.end;
                return Ok(true);
            }
        }
    }

    /// When the current packet was captured, nanoseconds since the epoch.
    ///
    /// Never before an earlier packet: a clock that was set back stands still until it catches up.
    #[must_use]
    pub fn time(&self) -> Nanos {
        self.time
    }

    /// The current packet, without FCS; empty before the first one and after an error or the end.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.buffer[self.frame.clone()]
    }

    /// Packets so far, the current one included.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Length of the next record with its header, bytes; `None` at the end.
    fn record_length(&mut self) -> Result<Option<usize>, CaptureError> {
        let need = match &self.format {
            Format::Pcap { header, .. } => *header,
            Format::Pcapng(_) => BLOCK_HEADER,
        };
        if !self.fill(need)? {
            return match self.start == self.end {
                true => Ok(None),
                false => Err(CaptureError::Truncated(self.packets)),
            };
        }
        let head = &self.buffer[self.start..self.start + need];
        match &mut self.format {
            Format::Pcap { header, big_endian, .. } => {
                let caplen = [head[8], head[9], head[10], head[11]];
                let caplen = match big_endian {
                    true => u32::from_be_bytes(caplen),
                    false => u32::from_le_bytes(caplen),
                };
                Ok(Some(*header + caplen as usize))
            }
            Format::Pcapng(section) => match section.block_length(head) {
                Ok(length) => Ok(Some(length)),
                Err(what) => Err(CaptureError::Corrupt { after: self.packets, what }),
            },
        }
    }

    /// Buffers at least `need` bytes from `start` on; false when the input ends before.
    fn fill(&mut self, need: usize) -> io::Result<bool> {
        if self.buffer.len() - self.start < need {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() < need {
                self.buffer.resize(need.next_power_of_two(), 0);
            }
        }
        while self.end - self.start < need {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// How the records of a pcap file look.
fn pcap_format(header: &PcapHeader) -> Result<Format, CaptureError> {
    // The upper bits tell whether, and how many 16-bit words of, FCS stand behind each packet.
    let network = u32::from_ne_bytes(header.network.0.to_ne_bytes());
    let link = network & 0x03ff_ffff;
    if link != ETHERNET {
        return Err(CaptureError::NotEthernet(link));
    }
    let fcs = if network & 0x0400_0000 != 0 { (network >> 28) as usize * 2 } else { 0 };
    let big_endian = header.is_bigendian();
    let (parse, record_header): (ParseRecord, usize) = match header.is_modified_format() {
        true => (parse_pcap_frame_modified, 24),
        false if big_endian => (parse_pcap_frame_be, 16),
        false => (parse_pcap_frame, 16),
    };
    let unit_ns = if header.is_nanosecond_precision() { 1 } else { 1_000 };
    Ok(Format::Pcap { parse, header: record_header, big_endian, unit_ns, fcs })
}

/// Number and, if it is a common one, name of a link type.
fn link_name(link: u32) -> String {
    match i32::try_from(link) {
        Ok(number) => format!("{link} ({})", Linktype(number)),
        Err(_) => link.to_string(),
    }
}

#[cfg(test)]
mod tests;
