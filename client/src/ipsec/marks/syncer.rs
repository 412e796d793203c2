//! Waiting for the disk, beside other work.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A thread that waits until what was written to a file is on the disk.
#[derive(Debug)]
pub(super) struct Syncer {
    files: Option<Sender<File>>,
    done: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
    is_busy: bool,
}

impl Syncer {
    pub(super) fn start() -> io::Result<Self> {
        let (files, wanted) = channel::<File>();
        let (tell, done) = channel();
        let thread = std::thread::Builder::new().name("qfp-marks".to_owned());
        let thread = thread.spawn(move || {
            for file in wanted {
                if tell.send(file.sync_data()).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { files: Some(files), done, thread: Some(thread), is_busy: false })
    }

    /// Whether somebody waits for an outcome.
    pub(super) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Begins to wait; false if there is no thread any more.
    pub(super) fn begin(&mut self, file: File) -> bool {
        self.is_busy = self.files.as_ref().is_some_and(|files| files.send(file).is_ok());
        self.is_busy
    }

    /// What has come of it; none before it is done.
    pub(super) fn outcome(&mut self) -> Option<io::Result<()>> {
        let outcome = self.done.try_recv().ok()?;
        self.is_busy = false;
        Some(outcome)
    }
}

impl Drop for Syncer {
    /// Waits for what is under way.
    fn drop(&mut self) {
        self.files = None;
        if let Some(thread) = self.thread.take() {
            // It has not panicked, or there is nothing left to tell.
            let _ = thread.join();
        }
    }
}
