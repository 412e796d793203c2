//! The data plane: turns of its lcores and its slow path, its deaths, and what comes after it.

use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};

use hal::{Pool, Queues, RxQueue, TxQueue};
use qfp::stepped::Launched;
use qfp_core::fia::{FiaBuilder, FiaError, Gate};
use rand::Rng;
use ucode::{ByHand, Stepped, line_apart};

use crate::client::{Called, Death};
use crate::frames::{Seen, seen};
use crate::judge::Fate;
use crate::pause::Pause;
use crate::story;
use crate::swarm::Swarm;
use crate::wire::{Coming, Gone};
use crate::world::World;

/// The ports' number.
pub(crate) const PORTS: usize = 3;

/// The order of operations, with a row in which lcores stand still.
pub(crate) fn fia(swarm: &Swarm) -> Result<FiaBuilder, FiaError> {
    let make = || Box::new(Pause) as Box<dyn qfp_core::step::Step>;
    let fia = FiaBuilder::router().insert_after(swarm.pause_behind, "pause", Gate::Always, make)?;
    Ok(if swarm.row_by_row { fia.row_by_row() } else { fia })
}

impl World {
    /// Starts a data plane.
    pub(crate) fn launch(&self, launched: Launched) -> Result<(), String> {
        let lcores = usize::from(self.swarm.lcores);
        let queues = |port: usize| Queues {
            rx: (0..lcores)
                .map(|queue| self.wires[port][(port + queue) % lcores].clone())
                .map(|wire| Box::new(Coming(wire)) as Box<dyn RxQueue>)
                .collect(),
            tx: self.wires[port]
                .iter()
                .map(|wire| Box::new(Gone(wire.clone())) as Box<dyn TxQueue>)
                .collect(),
        };
        let by_hand = ByHand {
            queues: (0..).zip((0..PORTS).map(queues)).collect(),
            pool: Pool::Native(self.pool.clone()),
            fia: fia(&self.swarm).map_err(|error| error.to_string())?,
            ring: self.swarm.ring,
            clock: self.clock,
        };
        let (line, inbox) = line_apart();
        let heard = Arc::clone(&self.heard);
        let tell = move |message| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push_back(message);
        };
        let Launched { launch, places, inbox: said } = launched;
        let plane = Stepped::launch(&launch, places, (inbox, Arc::new(tell)), by_hand);
        let plane = plane.map_err(|error| error.to_string())?;
        *self.said.borrow_mut() = Some((said, line));
        *self.plane.borrow_mut() = Some(Rc::new(plane));
        Ok(())
    }

    /// A turn of some lcore.
    pub(crate) fn lcore_turn(self: &Rc<Self>) {
        let lcore = self.random.borrow_mut().random_range(0..usize::from(self.swarm.lcores));
        self.turn_of(lcore);
    }

    pub(crate) fn turn_of(self: &Rc<Self>, lcore: usize) {
        let Some(plane) = self.plane.borrow().clone() else { return };
        let port = self.random.borrow_mut().random_range(0..PORTS);
        let full = self.fault(self.swarm.full_port);
        self.wires[port][lcore].look().full = full;
        let doomed = self.fault(self.swarm.die_walking);
        let (birth, life) = (self.model.borrow().birth(), self.lives.get());
        let before = self.doomed.replace(doomed);
        self.walks.borrow_mut().push(birth);
        let turned = catch_unwind(AssertUnwindSafe(|| plane.lcore(lcore, self.now.get())));
        self.walks.borrow_mut().pop();
        self.doomed.set(before);
        self.wires[port][lcore].look().full = false;
        pal::faults::died(plane);
        let died = match turned {
            Ok(None) => return,
            Ok(Some(_)) => false,
            Err(death) if death.is::<Death>() => true,
            Err(panic) => return self.fail(format!("an lcore panics: {}", story::text(&*panic))),
        };
        self.gather(lcore, birth, died || full);
        if died && self.lives.get() == life {
            self.note(|| format!("the data plane dies in a walk of lcore {lcore}"));
            self.plane_dies();
        }
        if !died {
            self.check_conservation();
        }
    }

    /// What an lcore has taken from its wires, and put there, since the state numbered `birth`.
    fn gather(&self, lcore: usize, birth: usize, excused: bool) {
        let mut taken = Vec::new();
        let mut gone = Vec::new();
        for (port, wires) in self.wires.iter().enumerate() {
            let mut cable = wires[lcore].look();
            taken.append(&mut cable.taken);
            gone.extend(cable.gone.drain(..).map(|frame| (port, frame)));
        }
        self.judge().taken(&taken, birth);
        for (port, frame) in gone {
            match seen(&frame) {
                Seen::Probe { id, to, class, ttl } => {
                    if ttl != 63 {
                        self.fail(format!("probe {id} leaves with TTL {ttl}"));
                    }
                    self.judgement(id, Fate::Sent(port, to, class));
                }
                Seen::Request { target, router } => {
                    let (mut hosts, mut random) =
                        (self.hosts.borrow_mut(), self.random.borrow_mut());
                    hosts.hear(port, (target, router), &self.swarm, &mut random);
                }
                Seen::Other => {}
            }
        }
        for id in taken {
            self.judgement(id, Fate::NotYet { excused });
        }
    }

    /// A turn of the slow path.
    pub(crate) fn slow_path_turn(&self) {
        let Some(plane) = self.plane.borrow().clone() else { return };
        let turned = catch_unwind(AssertUnwindSafe(|| plane.slow_path(self.now.get())));
        pal::faults::died(plane);
        if let Err(panic) = turned {
            self.fail(format!("the slow path panics: {}", story::text(&*panic)));
        }
    }

    /// The slow path hears the next thing that the client has said.
    pub(crate) fn tell_slow_path(&self) -> bool {
        let said = self.said.borrow();
        let Some((said, line)) = &*said else { return false };
        let Some(message) = said.try_next() else { return false };
        line.tell(message);
        true
    }

    /// The client hears the next thing that the slow path has said.
    pub(crate) fn tell_client(self: &Rc<Self>) -> bool {
        if self.control.try_borrow().map_or(true, |control| control.is_none()) {
            return false;
        }
        let message = self.heard.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(message) = message else { return false };
        self.note(|| format!("the client hears {message:?}"));
        let now = self.now.get();
        self.call("a message", |control| control.hear(now, message));
        true
    }

    /// An lcore is in the row in which it may stand still.
    pub(crate) fn paused(self: &Rc<Self>) {
        if self.doomed.replace(false) {
            resume_unwind(Box::new(Death));
        }
        if self.walks.borrow().len() > 2 || !self.fault(self.swarm.pause) {
            return;
        }
        let life = self.lives.get();
        self.note(|| "an lcore stands still in its walk".to_owned());
        for _ in 0..self.below(1, 4) {
            self.deed();
        }
        if self.lives.get() != life {
            // It has died meanwhile, and so has this lcore.
            resume_unwind(Box::new(Death));
        }
        self.note(|| "the lcore that has stood still goes on".to_owned());
    }

    /// It is there no more, from one moment to the next.
    pub(crate) fn plane_dies(&self) {
        let Some(plane) = self.plane.borrow_mut().take() else { return };
        self.lives.set(self.lives.get() + 1);
        *self.counted.borrow_mut() = plane.shown();
        *self.said.borrow_mut() = None;
        pal::faults::died(plane);
        // What lcores had taken that stand still is gone.
        let birth = self.walks.borrow().first().copied().unwrap_or(0);
        (0..usize::from(self.swarm.lcores)).for_each(|lcore| self.gather(lcore, birth, true));
    }

    /// Another data plane in place of one that has died: it has the same tables.
    pub(crate) fn relaunch(self: &Rc<Self>) {
        // What the old one has said is heard first.
        while self.tell_client() {}
        let (now, counted) = (self.now.get(), self.counted.borrow().clone());
        let killed = ExitStatus::from_raw(9).into();
        let called = self.call("a relaunch", |control| control.relaunch(now, killed, counted));
        let launched = match called {
            Called::Returned(Ok(Some(launched)), _) => launched,
            Called::Returned(Err(_), true) | Called::Died | Called::Absent => return,
            Called::Returned(Ok(None), _) => {
                return self.fail("there are no orders for another data plane".to_owned());
            }
            Called::Returned(Err(error), false) => {
                return self.fail(format!("another data plane is not launched: {error}"));
            }
        };
        self.note(|| "another data plane is launched".to_owned());
        if let Err(error) = self.launch(launched) {
            return self.fail(format!("another data plane does not start: {error}"));
        }
        self.check_conservation();
        self.call("the news of a relaunch", |control| control.relaunched(now));
    }
}
