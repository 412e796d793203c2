//! Lcores and the slow path, each on its thread.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use pal::clock::{Nanos, TscClock};
use pal::doorbell::Doorbell;
use pal::lcore::{LaunchError, LcoreContext, LcoreSpec, Lcores, StopFlag};
use pal::ring::Ring;
use qfp_core::ipsec::EngineLcore;
use qfp_core::ppe::Ppe;

use crate::engine::{Beside, CryptoLoop, LiveLoop, SlowRing, VirtualLoop};
use crate::mailbox::{Mailboxes, mailbox};
use crate::slow_side::{LcoreRings, SlowLoop, SlowSide};

/// Places in the ring from each lcore to the slow path, and back.
pub(crate) const RING: usize = 4096;

/// Hands each lcore its part, once.
struct HandOut<T>(Mutex<Vec<Option<T>>>);

impl<T> HandOut<T> {
    fn new(parts: impl IntoIterator<Item = T>) -> Self {
        Self(Mutex::new(parts.into_iter().map(Some).collect()))
    }

    fn take(&self, lcore: &LcoreContext) -> Option<T> {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.get_mut(usize::from(lcore.spec.id.0)).and_then(Option::take)
    }
}

/// Runs `body` on this thread as one that DPDK's mempools keep a cache for.
fn as_lcore<T>(body: impl FnOnce() -> T) -> T {
    // Without DPDK running there is nothing to register with.
    #[cfg(feature = "dpdk")]
    let _registration = hal::dpdk::register_lcore();
    body()
}

pub(crate) fn launch_virtual<C: Beside>(
    specs: Vec<LcoreSpec>,
    engines: Vec<Ppe>,
    control: (SlowSide, C),
) -> Result<Lcores<Option<VirtualLoop<C>>>, LaunchError> {
    let loops = engines.into_iter().zip([control]);
    let start = Nanos::ZERO;
    let loops = loops.map(|(ppe, (slow, client))| VirtualLoop { ppe, slow, client, start });
    let loops = HandOut::new(loops);
    pal::lcore::launch(specs, move |context| {
        as_lcore(|| loops.take(&context).map(|engine| engine.run(&context.stop)))
    })
}

/// What an lcore is there for.
enum Role {
    Forward(Box<LiveLoop>),
    Crypto(Box<CryptoLoop>),
}

impl Role {
    fn run(self, stop: &StopFlag) -> Option<Ppe> {
        match self {
            Self::Forward(live) => Some(live.run(stop)),
            Self::Crypto(crypto) => {
                crypto.run(stop);
                None
            }
        }
    }
}

/// The thread that serves the lcores.
pub(crate) const SLOW_PATH: &str = "qfp-slow-path";

pub(crate) struct Live {
    pub(crate) lcores: Lcores<Option<Ppe>>,
    /// Of those that forward, and then of the crypto engines.
    pub(crate) mailboxes: Arc<Mailboxes>,
    /// How many forward.
    pub(crate) forwarding: usize,
    pub(crate) slow: JoinHandle<SlowLoop>,
    /// The slow path's.
    pub(crate) bell: Arc<Doorbell>,
    pub(crate) stop: StopFlag,
}

pub(crate) fn doorbell(name: &str) -> Result<Arc<Doorbell>, LaunchError> {
    let made = Doorbell::new().map(Arc::new);
    made.map_err(|source| LaunchError::Spawn { name: name.to_owned(), source })
}

pub(crate) fn launch_live(
    (specs, clock): (Vec<LcoreSpec>, TscClock),
    engines: Vec<Ppe>,
    crypto: Vec<EngineLcore>,
    (slow, bell): (SlowSide, Arc<Doorbell>),
) -> Result<Live, LaunchError> {
    let (ended, count) = (Arc::new(AtomicUsize::new(0)), engines.len());
    let forwarding = Arc::new(());
    let mut bells = vec![Arc::clone(&bell)];
    let mut loops = Vec::new();
    let mut rings = Vec::new();
    let mut mailboxes = Vec::new();
    let mut spec = specs.iter();
    for (ppe, spec) in engines.into_iter().zip(spec.by_ref()) {
        let own = doorbell(&spec.name)?;
        bells.push(Arc::clone(&own));
        let (punts, punted) = Ring::new(RING).split();
        let (inject, injected) = Ring::new(RING).split();
        let ended = Arc::clone(&ended);
        let forwards = Arc::clone(&forwarding);
        let punts = SlowRing { ring: punts, bell: Arc::clone(&bell), filled: false };
        let (bell, cleared) = (Arc::clone(&own), [false; 2]);
        rings.push(LcoreRings { punts: punted, inject, bell, cleared });
        let (mailbox, mail) = mailbox(&spec.name, Some(Arc::clone(&own)));
        mailboxes.push(mailbox);
        let live = LiveLoop { ppe, punts, injected, mail, bell: own, clock, ended, forwards };
        loops.push(Role::Forward(Box::new(live)));
    }
    for (engine, spec) in crypto.into_iter().zip(spec) {
        let (mailbox, mail) = mailbox(&spec.name, None);
        mailboxes.push(mailbox);
        let served = Arc::downgrade(&forwarding);
        loops.push(Role::Crypto(Box::new(CryptoLoop { engine, mail, served })));
    }
    // From here on the lcores' loops alone keep the engines.
    drop(forwarding);
    let loops = HandOut::new(loops);
    let lcores_stop = StopFlag::waking(bells);
    let lcores = pal::lcore::launch_with(lcores_stop.clone(), specs, move |context| {
        as_lcore(|| loops.take(&context).and_then(|role| role.run(&context.stop)))
    })?;
    let mailboxes = Arc::new(Mailboxes::new(mailboxes, lcores_stop.clone()));
    let stop = StopFlag::waking(vec![Arc::clone(&bell)]);
    let own = Arc::clone(&bell);
    let slow = SlowLoop { side: slow, lcores: rings, bell: own, clock, ended, lcores_stop };
    let flag = stop.clone();
    let thread = std::thread::Builder::new().name(SLOW_PATH.to_owned());
    match thread.spawn(move || slow.run(&flag)) {
        Ok(slow) => Ok(Live { lcores, mailboxes, forwarding: count, slow, bell, stop }),
        Err(source) => {
            lcores.stop_flag().stop();
            drop(lcores.join());
            Err(LaunchError::Spawn { name: SLOW_PATH.to_owned(), source })
        }
    }
}
