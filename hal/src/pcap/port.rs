//! The port over capture files.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pal::clock::Nanos;

use super::memory::{Frames, MemoryRx};
use super::{CaptureError, PcapSpec, Reader, Writer};
use crate::mask::PacketMask;
use crate::packet::{Burst, VECTOR};
use crate::pool::PoolCache;
use crate::port::{Arrival, Port, PortConfig, PortError, PortInfo, Queues, RxQueue, TxQueue};
use crate::sink::{Tally, discard_queues, discard_stats, silent_queues};

/// Receives from a capture file, sends to another.
///
/// One receive queue; any number of transmit queues share the output file.
pub struct PcapPort {
    info: PortInfo,
    spec: PcapSpec,
    input: Option<File>,
    output: Option<File>,
    discarded: Arc<Vec<Tally>>,
}

impl PcapPort {
    /// Opens the files and reads the whole input once, so that a bad capture is refused before a
    /// packet of it is forwarded. The output file is created; what it held before stays until the
    /// port is started.
    pub fn open(spec: &PcapSpec) -> Result<Self, PortError> {
        let mut input = None;
        let mut total_packets = None;
        if let Some(path) = &spec.rx {
            let mut file = pal::file::open(path).map_err(|source| io_error(path, source))?;
            let packets = count(&file).map_err(|error| bad_capture(path, error))?;
            if spec.looped && packets == 0 {
                let reason = "holds no packet to loop over".to_owned();
                return Err(PortError::BadCapture { path: path.display().to_string(), reason });
            }
            file.rewind().map_err(|source| io_error(path, source))?;
            total_packets = (!spec.looped).then_some(packets);
            input = Some(file);
        }
        if let (Some(rx), Some(tx)) = (&spec.rx, &spec.tx)
            && let (Ok(rx), Ok(tx)) = (rx.canonicalize(), tx.canonicalize())
            && rx == tx
        {
            let reason = "tx would overwrite the rx file";
            return Err(PortError::BadSpec { spec: spec.to_string(), reason });
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let create =
            |path| pal::file::open_output(path, &options).map_err(|source| io_error(path, source));
        let output = spec.tx.as_deref().map(create).transpose()?;
        let info = PortInfo {
            spec: spec.to_string(),
            mac: None,
            numa_node: 0,
            max_rx_queues: if spec.rx.is_some() { 1 } else { u16::MAX },
            max_tx_queues: u16::MAX,
            virtual_time: spec.rx.is_some() && !spec.looped,
            total_packets,
            filters_mac: false,
        };
        Ok(Self { info, spec: spec.clone(), input, output, discarded: Arc::default() })
    }

    fn rx_queues(&mut self, count: u16) -> Result<Vec<Box<dyn RxQueue>>, PortError> {
        let (Some(path), Some(mut file)) = (&self.spec.rx, self.input.take()) else {
            return Ok(silent_queues(count));
        };
        let bad = |error| bad_capture(path, error);
        let mut reader = Reader::new(&mut file).map_err(bad)?;
        if !self.spec.looped {
            drop(reader);
            file.rewind().map_err(|source| io_error(path, source))?;
            let mut queue =
                PcapRx { reader: Reader::new(file).map_err(bad)?, more: true, missed: 0 };
            queue.advance();
            return Ok(vec![Box::new(queue)]);
        }
        let (mut frames, mut missed) = (Frames::default(), 0);
        while reader.advance().map_err(bad)? {
            missed += u64::from(!frames.push(reader.frame()));
        }
        Ok(vec![Box::new(MemoryRx::new(frames, missed))])
    }

    fn tx_queues(&mut self, count: u16) -> Result<Vec<Box<dyn TxQueue>>, PortError> {
        let queues;
        let (Some(path), Some(file)) = (&self.spec.tx, self.output.take()) else {
            (self.discarded, queues) = discard_queues(count);
            return Ok(queues);
        };
        empty(&file).map_err(|source| io_error(path, source))?;
        let writer = Arc::new(Mutex::new(Writer::new(file)));
        let path: Arc<Path> = path.as_path().into();
        let queue =
            |_| Box::new(PcapTx { writer: writer.clone(), path: path.clone() }) as Box<dyn TxQueue>;
        Ok((0..count).map(queue).collect())
    }
}

impl Port for PcapPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn start(&mut self, config: &PortConfig) -> Result<Queues, PortError> {
        self.info.admits(config)?;
        Ok(Queues { rx: self.rx_queues(config.rx_queues)?, tx: self.tx_queues(config.tx_queues)? })
    }

    fn xstats(&self) -> Vec<(String, u64)> {
        discard_stats(&self.discarded)
    }
}

/// Packets of a capture that is sound from beginning to end.
fn count(file: &File) -> Result<u64, CaptureError> {
    let mut reader = Reader::new(file)?;
    while reader.advance()? {}
    Ok(reader.packets())
}

/// Empties an output file. Pipes and devices have nothing to cut off.
fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

fn io_error(path: &Path, source: io::Error) -> PortError {
    PortError::Io { path: path.display().to_string(), source }
}

fn bad_capture(path: &Path, error: CaptureError) -> PortError {
    match error {
        CaptureError::Io(source) => io_error(path, source),
        error => {
            PortError::BadCapture { path: path.display().to_string(), reason: error.to_string() }
        }
    }
}

/// Packets in the order and at the times of the capture.
struct PcapRx {
    reader: Reader<File>,
    more: bool,
    missed: u64,
}

impl PcapRx {
    fn advance(&mut self) {
        // The file was sound when it was opened. If it has become bad since, it ends there.
        self.more = self.reader.advance().unwrap_or(false);
    }
}

impl RxQueue for PcapRx {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let (before, time) = (burst.count(), self.reader.time());
        while self.more && burst.count() < VECTOR && self.reader.time() == time {
            self.missed += u64::from(!pool.append(burst, self.reader.frame()));
            self.advance();
        }
        burst.count() - before
    }

    fn arrival(&mut self) -> Arrival {
        if self.more { Arrival::At(self.reader.time()) } else { Arrival::Ended }
    }

    fn missed(&self) -> u64 {
        self.missed
    }
}

struct PcapTx {
    writer: Arc<Mutex<Writer<File>>>,
    path: Arc<Path>,
}

impl TxQueue for PcapTx {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        now: Nanos,
    ) -> PacketMask {
        let select = select & burst.owned();
        let mut sent = PacketMask::EMPTY;
        // A writer is whole between two calls, so one that a panic left behind may go on.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in select {
            if writer.write(now, burst.frame(slot)) {
                sent.insert(slot);
            }
        }
        drop(writer);
        pool.free(burst, select);
        sent
    }

    fn finish(&mut self) -> Result<(), PortError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.finish().map_err(|source| io_error(&self.path, source))
    }
}

#[cfg(test)]
mod tests;
