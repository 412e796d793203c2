//! The data plane: turns of its lcores and its slow path, its deaths, and what comes after it.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

use hal::{Pool, Queues, RxQueue, TxQueue};
use qfp::stepped::Orders;
use qfp_core::fia::{FiaBuilder, FiaError, Gate};
use rand::Rng;
use ucode::wire::{Answer, Order, receive};
use ucode::{ByHand, Stepped};

use crate::client::{Called, Death};
use crate::frames::{Seen, seen};
use crate::judge::Fate;
use crate::pause::Pause;
use crate::story;
use crate::swarm::Swarm;
use crate::wire::{Coming, Gone};
use crate::world::{World, control};

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
    pub(crate) fn launch(&self, orders: Orders) -> Result<(), String> {
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
        let (tell, heard) = channel();
        let Orders { order, with, inbox, names } = orders;
        let plane = Stepped::launch(order, with, by_hand, tell);
        let plane = plane.map_err(|error| error.to_string())?;
        *self.heard.borrow_mut() = heard;
        *self.said.borrow_mut() = Some((inbox, names));
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

    /// The data plane hears names, and its slow path the next thing, that the client has said.
    pub(crate) fn tell_slow_path(&self) -> bool {
        self.tell_names();
        let said = self.said.borrow();
        let Some((said, _)) = &*said else { return false };
        let Some(message) = said.try_next() else { return false };
        self.tell(Order::SlowPath(message), &[]);
        true
    }

    fn tell_names(&self) {
        let said = self.said.borrow();
        let Some((_, names)) = &*said else { return };
        while names.wait(Duration::ZERO) {
            let Ok(Some((order, _))) = receive(names) else { return };
            self.tell(order, &[]);
        }
    }

    fn tell(&self, order: Order, with: &[OwnedFd]) {
        let Some(plane) = self.plane.borrow().clone() else { return };
        if let Err(error) = plane.obey(order, with) {
            self.fail(format!("the data plane does not obey: {error}"));
        }
    }

    /// The client hears the next thing that the slow path has said.
    pub(crate) fn tell_client(self: &Rc<Self>) -> bool {
        if self.control.try_borrow().map_or(true, |control| control.is_none()) {
            return false;
        }
        let answer = self.heard.borrow().try_recv();
        let Ok(Answer::SlowPath(message)) = answer else { return false };
        self.note(|| format!("the client hears {message:?}"));
        let now = self.now.get();
        self.call("a message", |control| control.hear(now, message));
        true
    }

    /// Nobody answers what the client was asked, and nobody hears what the data plane says to it.
    pub(crate) fn forget_client(&self) {
        self.waiting.borrow_mut().clear();
        *self.heard.borrow_mut() = channel().1;
        *self.said.borrow_mut() = None;
    }

    /// A client for the data plane that is at work: it may die on its way, too.
    pub(crate) fn take_over(self: &Rc<Self>) {
        // What the one before has said was on its way.
        self.tell_names();
        self.forget_client();
        let Some(plane) = self.plane.borrow().clone() else { return };
        let (tell, heard) = channel();
        let welcome = plane.welcome(tell).map_err(|error| error.to_string());
        pal::faults::died(plane);
        let choice = self.model.borrow().confirmed().clone();
        let at_work = match welcome {
            Ok(at_work) => at_work,
            Err(error) => return self.fail(error),
        };
        self.note(|| format!("a client takes over, with {choice:?}"));
        let began =
            self.guard("a takeover", false, || control(&choice, &self.swarm, Some(at_work)));
        let (control, orders) = match began {
            Called::Returned(Ok(began), _) => began,
            Called::Returned(Err(error), _) => {
                return self.fail(format!("there is no takeover: {error}"));
            }
            Called::Died | Called::Absent => return,
        };
        let Orders { order, with, inbox, names } = orders;
        *self.heard.borrow_mut() = heard;
        *self.said.borrow_mut() = Some((inbox, names));
        self.tell_names();
        *self.totals.borrow_mut() = control.totals();
        self.tell(order, &with);
        *self.control.borrow_mut() = Some(control);
        self.model.borrow_mut().restart();
        self.check_conservation();
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
