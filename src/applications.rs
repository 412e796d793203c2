//! Programs beside the router that get punted packets, wherever the data plane runs.
//!
//! Packets go past the client, which may be busy for seconds: from the slow path, or the line of a data
//! plane in another process, straight into the queue of who wants them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ucode::{Application, ForApplication, PuntFilter, Punted};

use crate::Running;
use crate::control::ToClient;

/// Packets that wait for a program.
const PLACES: usize = 256;

/// A program that gets packets, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationState {
    /// Its name.
    pub name: String,
    /// What it wants.
    pub filter: PuntFilter,
    /// Packets that it got.
    pub delivered: u64,
    /// Packets that it was too slow for.
    pub lost: u64,
}

struct Registered {
    application: Application,
    state: ApplicationState,
    queue: SyncSender<Punted>,
}

/// All that have registered, in order.
pub(crate) struct Applications {
    all: Mutex<Vec<Registered>>,
    client: Sender<ToClient>,
    next: AtomicU64,
}

impl Applications {
    pub(crate) fn new(client: Sender<ToClient>) -> Self {
        Self { all: Mutex::default(), client, next: AtomicU64::new(0) }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Registered>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes who there is, and lets the slow path know: in the same order.
    fn change(&self, change: impl FnOnce(&mut Vec<Registered>)) {
        let mut all = self.all();
        change(&mut all);
        let told = all.iter().map(|one| one.application).collect();
        // A router that has ended has no packets.
        drop(self.client.send(ToClient::Applications(told)));
    }

    /// Hands a packet over, or counts it as lost. Does not wait.
    pub(crate) fn deliver(&self, ForApplication { id, lost, packet }: ForApplication) {
        let mut all = self.all();
        // One that has gone meanwhile misses nothing.
        let Some(one) = all.iter_mut().find(|one| one.application.id == id) else { return };
        let delivered = one.queue.try_send(packet).is_ok();
        one.state.delivered += u64::from(delivered);
        one.state.lost += lost + u64::from(!delivered);
    }
}

/// Packets for a program. Once it is dropped they are the slow path's again.
pub struct Punts {
    id: u64,
    packets: Receiver<Punted>,
    applications: Arc<Applications>,
}

impl Punts {
    /// Waits for the next packet; none once [`Punts::closer`] has been used.
    #[must_use]
    pub fn next(&self) -> Option<Punted> {
        self.packets.recv().ok()
    }

    /// What ends it on another thread.
    pub fn closer(&self) -> impl FnOnce() + Send + 'static {
        let (id, applications) = (self.id, Arc::clone(&self.applications));
        move || applications.change(|all| all.retain(|one| one.application.id != id))
    }
}

impl Drop for Punts {
    fn drop(&mut self) {
        self.closer()();
    }
}

impl Running {
    /// Registers a program that gets the punted packets of `filter` from now on, in place of the slow
    /// path, after hooks and programs that have registered before. `lpts` and `punt-police` have let
    /// them pass, as they are on the wire: fragments are not put together. A program that is slow loses
    /// packets, and holds up nobody.
    #[must_use]
    pub fn register(&self, name: &str, filter: PuntFilter) -> Punts {
        let applications = Arc::clone(&self.inner.applications);
        let id = applications.next.fetch_add(1, Ordering::Relaxed);
        let (queue, packets) = sync_channel(PLACES);
        let application = Application { id, filter };
        let state = ApplicationState { name: name.to_owned(), filter, delivered: 0, lost: 0 };
        applications.change(|all| all.push(Registered { application, state, queue }));
        Punts { id, packets, applications }
    }

    /// All programs that have registered.
    #[must_use]
    pub fn applications(&self) -> Vec<ApplicationState> {
        self.inner.applications.all().iter().map(|one| one.state.clone()).collect()
    }
}
