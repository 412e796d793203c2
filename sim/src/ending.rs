//! The end of a life: all that came goes again, and then nothing is in use that was not at the start.

use std::rc::Rc;
use std::sync::LazyLock;

use pal::clock::Nanos;
use qfp::stepped::InUse;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::client::Called;
use crate::configuration::Choice;
use crate::swarm::Swarm;
use crate::world::{World, control};

/// Rounds that hosts which are gone are asked for, and readers move on.
const ROUNDS: u32 = 200;

impl World {
    pub(crate) fn end(self: &Rc<Self>) {
        self.note(|| "the end begins".to_owned());
        self.calm.set(true);
        self.hosts.borrow_mut().leave();
        self.wires.iter().flatten().for_each(|wire| wire.look().coming.clear());
        if self.control.borrow().is_none() {
            self.start_client();
        }
        if self.plane.borrow().is_none() {
            self.relaunch();
        }
        self.round();
        self.commit_this(Choice::BASE);
        self.withdraw_all();
        for _ in 0..ROUNDS {
            self.round();
            if self.has_failed() || self.is_at_baseline() {
                break;
            }
        }
        if !self.has_failed() && !self.is_at_baseline() {
            let used = self.in_use();
            self.fail(format!("in use at the end {used:?}, and at a start {:?}", *BASELINE));
        }
        for _ in 0..4 {
            self.probes();
            (0..usize::from(self.swarm.lcores)).for_each(|lcore| self.turn_of(lcore));
        }
        let plane = self.plane.borrow_mut().take();
        if let Some(plane) = plane.and_then(Rc::into_inner) {
            let counts = plane.end(self.now.get());
            if !counts.slow_path.conserved() {
                self.fail("packets of the slow path are not counted once".to_owned());
            }
        }
        if let Some(control) = self.control.borrow_mut().take() {
            control.finish();
        }
        if let Err(error) = hal::Pool::Native(self.pool.clone()).check_complete() {
            self.fail(error.to_string());
        }
    }

    /// Everybody has a turn.
    fn round(self: &Rc<Self>) {
        self.now.set(self.now.get().saturating_add(5 * Nanos::PER_SECOND));
        for _ in 0..4 {
            (0..usize::from(self.swarm.lcores)).for_each(|lcore| self.turn_of(lcore));
            self.slow_path_turn();
            while self.tell_client() | self.tell_slow_path() {
                self.slow_path_turn();
            }
        }
        let now = self.now.get();
        self.call("housekeeping", |control| control.turn(now));
    }

    /// What is in use.
    fn in_use(self: &Rc<Self>) -> Option<Uses> {
        let now = self.now.get();
        let asked = self.call("a look at resources", |control| control.resources(now));
        let Called::Returned(answer, _) = asked else { return None };
        Some(uses(answer.try_recv().ok()?))
    }

    fn is_at_baseline(self: &Rc<Self>) -> bool {
        self.in_use().is_some_and(|used| used == *BASELINE)
    }
}

type Uses = Vec<(&'static str, u32)>;

fn uses((pools, routes): InUse) -> Uses {
    let pools = pools.into_iter().map(|(_, pool)| (pool.what, pool.in_use));
    let routes = ("routes", u32::try_from(routes).unwrap_or(u32::MAX));
    pools.chain([routes]).collect()
}

/// What is in use at the start of the configuration that lives end with. Found out on a thread of its
/// own, which has no bugs planted.
static BASELINE: LazyLock<Uses> = LazyLock::new(|| {
    let found = || {
        let swarm = Swarm::draw(&mut SmallRng::seed_from_u64(0));
        let (mut control, _) = control(&Choice::BASE, &swarm, None).ok()?;
        control.turn(Nanos::from_secs(1));
        Some(uses(control.resources(Nanos::from_secs(1)).try_recv().ok()?))
    };
    std::thread::spawn(found).join().ok().flatten().unwrap_or_default()
});
