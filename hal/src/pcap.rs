//! `pcap:` capture files as ports.
//!
//! Reads pcap (micro- and nanoseconds, both byte orders) and pcapng; writes nanosecond pcap. Time
//! is the capture's own, so that everything behind the port runs in virtual time; with `loop` the
//! frames are held in memory and replayed for ever as fast as they are asked for.

mod memory;
mod pcapng;
mod port;
mod reader;
mod writer;

use std::fmt;
use std::path::PathBuf;

pub use port::PcapPort;
pub use reader::{CaptureError, Reader};
pub use writer::Writer;

use crate::spec::{items, once};

/// `pcap:rx=IN[,tx=OUT][,loop]` or `pcap:tx=OUT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcapSpec {
    /// Capture to receive from.
    pub rx: Option<PathBuf>,
    /// Capture to write what is sent; without it that is discarded.
    pub tx: Option<PathBuf>,
    /// Replay from memory, endlessly, at full speed.
    pub looped: bool,
}

impl PcapSpec {
    /// Reads the part of the SPEC behind `pcap:`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut rx, mut tx, mut looped) = (None, None, None);
        for item in items(text) {
            match item {
                ("rx" | "tx", None | Some("")) => return Err("a file name is missing"),
                ("rx", Some(file)) => once(&mut rx, PathBuf::from(file))?,
                ("tx", Some(file)) => once(&mut tx, PathBuf::from(file))?,
                ("loop", None) => once(&mut looped, true)?,
                ("loop", Some(_)) => return Err("loop takes no value"),
                _ => return Err("unknown option (known: rx=FILE, tx=FILE, loop)"),
            }
        }
        match (&rx, &tx) {
            (None, None) => return Err("needs rx=FILE or tx=FILE"),
            (None, _) if looped.is_some() => return Err("loop needs rx=FILE"),
            (Some(rx), Some(tx)) if rx == tx => return Err("tx would overwrite the rx file"),
            _ => {}
        }
        Ok(Self { rx, tx, looped: looped.is_some() })
    }
}

impl fmt::Display for PcapSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = [("rx", &self.rx), ("tx", &self.tx)];
        let mut separator = ':';
        f.write_str("pcap")?;
        for (key, path) in files.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?))) {
            write!(f, "{separator}{key}={}", path.display())?;
            separator = ',';
        }
        if self.looped { f.write_str(",loop") } else { Ok(()) }
    }
}
