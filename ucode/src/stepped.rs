//! A data plane without threads: whoever has it says whose turn it is, and what time.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use hal::{Pool, Queues};
use pal::clock::{Nanos, TscClock};
use pal::lcore::StopFlag;
use pal::publication::ReaderSite;
use pal::ring::Ring;
use qfp_core::counters::CounterLayout;
use qfp_core::fia::FiaBuilder;
use qfp_core::ppe::Injected;

use crate::applications::Applications;
use crate::engine::{LiveLoop, SlowRing};
use crate::hooks::{PLACES, PuntHooks};
use crate::launch::{Launch, StartError, engines, slow_path};
use crate::mailbox::mailbox;
use crate::messages::{Inbox, ToClient};
use crate::serve::{Refusal, attach, counters_of};
use crate::slow_side::{LcoreRings, Shown, SlowCounts, SlowLoop, SlowSide, Work};
use crate::threads::{SLOW_PATH, doorbell};

/// What a data plane that is moved by hand gets from who moves it.
pub struct ByHand {
    /// Queues of its ports by number, which are started.
    pub queues: Vec<(u16, Queues)>,
    /// Buffers.
    pub pool: Pool,
    /// The order of operations.
    pub fia: FiaBuilder,
    /// Places in the ring from each lcore to the slow path, and back.
    pub ring: usize,
    /// Any: nobody looks at it.
    pub clock: TscClock,
}

/// A data plane that is moved by hand. Dropping it is its death: nothing that is inside is counted.
pub struct Stepped {
    lcores: Vec<RefCell<(LiveLoop, Vec<Injected>)>>,
    slow: RefCell<(SlowLoop, Work)>,
    shown: Arc<Shown>,
}

impl Stepped {
    /// What an [`Order::Launch`](crate::wire::Order::Launch) asks for.
    ///
    /// # Errors
    /// As a process would refuse it.
    pub fn launch(
        launch: &Launch,
        places: (Vec<ReaderSite>, CounterLayout, Vec<OwnedFd>),
        lines: (Inbox, ToClient),
        by_hand: ByHand,
    ) -> Result<Self, Refusal> {
        let ByHand { queues, pool, fia, ring, clock } = by_hand;
        let (sites, layout, with) = places;
        let [tables, slots, state, counters, ..] = with.as_slice() else {
            return Err(Refusal::Turn);
        };
        let counters = counters_of(launch, counters, layout)?;
        let (slow, policing, kit) = slow_path(launch);
        let own = attach(sites, [tables, slots, state])?.into_iter().zip(counters);
        let (engines, _) = engines(launch, queues, (&pool, &kit, &fia), own)?;
        let shown = Arc::new(Shown::default());
        let (_, injections) = Ring::new(PLACES).split();
        // No program is beside it.
        let applications = Applications::new(Vec::new(), Arc::new(|_| false));
        let rest = (PuntHooks::new(), applications, injections);
        let slow = (slow, policing);
        let mut side = SlowSide::new(slow, pool.cache(0), lines, rest, Arc::clone(&shown));
        side.count_on(launch.counted.clone());
        let bell = doorbell(SLOW_PATH).map_err(StartError::from)?;
        let ended = Arc::new(AtomicUsize::new(0));
        let (mut lcores, mut rings) = (Vec::new(), Vec::new());
        for ppe in engines {
            let (punts, punted) = Ring::new(ring).split();
            let (inject, injected) = Ring::new(ring).split();
            let punts = SlowRing { ring: punts, bell: Arc::clone(&bell), filled: false };
            let own = Arc::clone(&bell);
            rings.push(LcoreRings { punts: punted, inject, bell: own, cleared: [false; 2] });
            let (bell, ended) = (Arc::clone(&bell), Arc::clone(&ended));
            let forwards = Arc::new(());
            // Nobody hands it anything.
            let (_, mail) = mailbox("lcore", None);
            let lcore = LiveLoop { ppe, punts, injected, mail, bell, clock, ended, forwards };
            lcores.push(RefCell::new((lcore, Vec::new())));
        }
        let lcores_stop = StopFlag::new();
        let slow = SlowLoop { side, lcores: rings, bell, clock, ended, lcores_stop };
        Ok(Self { lcores, slow: RefCell::new((slow, Work::new())), shown })
    }

    /// A turn of lcore number `lcore`: it takes one vector from each of its queues, and what the slow
    /// path has put in. Returns how many packets that was; none if it is inside a turn already.
    pub fn lcore(&self, lcore: usize, now: Nanos) -> Option<usize> {
        let mut lcore = self.lcores.get(lcore)?.try_borrow_mut().ok()?;
        let (own, batch) = &mut *lcore;
        let busy = own.turn(now, batch);
        own.ppe.quiescent();
        Some(busy)
    }

    /// A turn of the slow path. Returns whether it had something to do; none if it is inside a turn
    /// already.
    pub fn slow_path(&self, now: Nanos) -> Option<bool> {
        let mut slow = self.slow.try_borrow_mut().ok()?;
        let (slow, injected) = &mut *slow;
        Some(slow.turn(now, injected).1)
    }

    /// When the slow path has something to do by itself.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.slow.try_borrow().ok()?.0.side.next_deadline()
    }

    /// How many lcores it has.
    #[must_use]
    pub fn lcores(&self) -> usize {
        self.lcores.len()
    }

    /// What its slow path has shown that it has counted.
    #[must_use]
    pub fn shown(&self) -> SlowCounts {
        self.shown.counts()
    }

    /// Ends it in good order: what still waits is dropped and counted. Returns what the slow path has
    /// counted.
    #[must_use]
    pub fn end(self, now: Nanos) -> SlowCounts {
        drop(self.lcores);
        self.slow.into_inner().0.settle(now);
        self.shown.counts()
    }
}
