//! Writes pcap files with nanosecond timestamps.

use std::io::{self, Write};

use pal::clock::Nanos;

/// Magic of a pcap file whose fractions are nanoseconds.
const MAGIC_NS: u32 = 0xa1b2_3c4d;
/// Largest packet that readers of such a file must expect, bytes.
const SNAPLEN: u32 = 262_144;
const ETHERNET: u32 = 1;
/// Bytes gathered before the system is called.
const BUFFER: usize = 1 << 20;

/// A capture being written. Its first error stops it and comes out of [`Writer::finish`].
#[derive(Debug)]
pub struct Writer<W: Write> {
    output: io::BufWriter<W>,
    failed: bool,
    error: Option<io::Error>,
}

impl<W: Write> Writer<W> {
    /// Starts a capture of Ethernet frames in `output`.
    pub fn new(output: W) -> Self {
        let mut writer = Self {
            output: io::BufWriter::with_capacity(BUFFER, output),
            failed: false,
            error: None,
        };
        let mut header = [0; 24];
        header[..4].copy_from_slice(&MAGIC_NS.to_le_bytes());
        header[4..6].copy_from_slice(&2_u16.to_le_bytes());
        header[6..8].copy_from_slice(&4_u16.to_le_bytes());
        header[16..20].copy_from_slice(&SNAPLEN.to_le_bytes());
        header[20..].copy_from_slice(&ETHERNET.to_le_bytes());
        writer.put(&[&header]);
        writer
    }

    /// Appends `frame` with the time `now` (since the epoch; the format ends in the year 2106).
    ///
    /// False when this or an earlier write failed.
    pub fn write(&mut self, now: Nanos, frame: &[u8]) -> bool {
        let seconds = u32::try_from(now.0 / 1_000_000_000).unwrap_or(u32::MAX);
        let Ok(nanos) = u32::try_from(now.0 % 1_000_000_000) else { return false };
        let Ok(len) = u32::try_from(frame.len()) else { return false };
        let mut header = [0; 16];
        for (field, value) in header.chunks_exact_mut(4).zip([seconds, nanos, len, len]) {
            field.copy_from_slice(&value.to_le_bytes());
        }
        self.put(&[&header, frame])
    }

    /// Writes out what is still buffered. Gives the first error of this file, once.
    pub fn finish(&mut self) -> io::Result<()> {
        if !self.failed {
            return self.output.flush();
        }
        self.error.take().map_or(Ok(()), Err)
    }

    fn put(&mut self, parts: &[&[u8]]) -> bool {
        if self.failed {
            return false;
        }
        for part in parts {
            if let Err(error) = self.output.write_all(part) {
                self.failed = true;
                self.error = Some(error);
            }
        }
        !self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcap::Reader;

    #[test]
    fn what_is_written_reads_back() {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file);
        let times = [Nanos(0), Nanos(1_700_000_000_123_456_789), Nanos(1_700_000_000_123_456_790)];
        for (index, time) in times.into_iter().enumerate() {
            assert!(writer.write(time, &vec![7; 60 + index]));
        }
        writer.finish().unwrap();
        drop(writer);
        let mut reader = Reader::new(file.as_slice()).unwrap();
        for (index, time) in times.into_iter().enumerate() {
            assert!(reader.advance().unwrap());
            assert_eq!((reader.time(), reader.frame().len()), (time, 60 + index));
        }
        assert!(!reader.advance().unwrap());
    }

    #[test]
    fn the_first_error_stops_the_file_and_is_reported_at_the_end() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = Writer::new(Full);
        let frame = vec![0; BUFFER];
        assert!(!writer.write(Nanos(0), &frame));
        assert!(!writer.write(Nanos(0), &[0; 60]));
        assert_eq!(writer.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(writer.finish().is_ok());
    }
}
