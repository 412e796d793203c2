//! Marks that are written beside other work: nobody waits for the disk.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::store::Store;
use super::{Mark, MarkId, MarksError};

/// A thread that writes one batch of marks at a time.
#[derive(Debug)]
pub(super) struct Writer {
    batches: Option<Sender<Vec<(MarkId, Mark)>>>,
    written: Receiver<Result<(), MarksError>>,
    thread: Option<JoinHandle<()>>,
    is_busy: bool,
}

impl Writer {
    pub(super) fn start(store: &Arc<Mutex<Store>>) -> std::io::Result<Self> {
        let (batches, wanted) = channel::<Vec<(MarkId, Mark)>>();
        let (done, written) = channel();
        let store = Arc::clone(store);
        let thread = std::thread::Builder::new().name("qfp-marks".to_owned());
        let thread = thread.spawn(move || {
            for batch in wanted {
                let outcome = store.lock().unwrap_or_else(PoisonError::into_inner).write(&batch);
                if done.send(outcome).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { batches: Some(batches), written, thread: Some(thread), is_busy: false })
    }

    /// Whether a batch is under way.
    pub(super) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Begins to write; false if there is no thread any more.
    pub(super) fn begin(&mut self, batch: Vec<(MarkId, Mark)>) -> bool {
        self.is_busy = self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok());
        self.is_busy
    }

    /// What has become of the batch; none while it is under way.
    pub(super) fn outcome(&mut self) -> Option<Result<(), MarksError>> {
        let outcome = self.written.try_recv().ok()?;
        self.is_busy = false;
        Some(outcome)
    }
}

impl Drop for Writer {
    /// Waits for the batch that is under way.
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // It has not panicked, or there is nothing left to tell.
            let _ = thread.join();
        }
    }
}
