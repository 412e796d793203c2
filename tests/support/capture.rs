//! Captures written and read whole.

use std::fs::File;
use std::path::Path;

use qfp::hal::pcap::{Reader, Writer};
use qfp::pal::clock::Nanos;

/// A frame and when it passed, nanoseconds since the epoch.
pub(crate) type Timed = (u64, Vec<u8>);

/// Writes a capture.
pub(crate) fn write(path: &Path, packets: &[Timed]) {
    let mut writer = Writer::new(File::create(path).unwrap());
    for (time, frame) in packets {
        assert!(writer.write(Nanos(*time), frame));
    }
    writer.finish().unwrap();
}

/// Reads a capture.
pub(crate) fn read(path: &Path) -> Vec<Timed> {
    let mut reader = Reader::new(File::open(path).unwrap()).unwrap();
    let mut packets = Vec::new();
    while reader.advance().unwrap() {
        packets.push((reader.time().0, reader.frame().to_vec()));
    }
    packets
}
