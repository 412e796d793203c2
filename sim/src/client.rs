//! Calls of the client, which may die at any store, and be refused anything.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use pal::faults::{Point, died, hooked};
use pal::refusal;
use qfp::stepped::Control;
use rand::Rng;

use crate::story;
use crate::world::World;

/// How whoever stores or walks dies.
pub(crate) struct Death;

/// How a call of the client has ended.
pub(crate) enum Called<R> {
    /// It has returned, and been refused something on the way or not.
    Returned(R, bool),
    /// It has died.
    Died,
    /// It is not there, or in another call.
    Absent,
}

/// Times that somebody who waits is given.
const WAITS: u32 = 4;

impl World {
    /// A call of the client. Lcores have turns between its stores.
    pub(crate) fn call<R>(
        self: &Rc<Self>,
        what: &str,
        act: impl FnOnce(&mut Control) -> R,
    ) -> Called<R> {
        let Ok(mut control) = self.control.try_borrow_mut() else { return Called::Absent };
        let Some(client) = control.as_mut() else { return Called::Absent };
        let called = self.guard(what, true, || act(client));
        drop(control);
        if matches!(called, Called::Died) {
            self.client_dies();
        }
        called
    }

    /// It is there no more. What it was asked and has not done is not done.
    pub(crate) fn client_dies(&self) {
        // One that is on its way is none yet.
        let Ok(mut control) = self.control.try_borrow_mut() else { return };
        let Some(client) = control.take() else { return };
        died(client);
        if let Some(plane) = &*self.plane.borrow() {
            plane.tell_nobody();
        }
    }

    /// Something that a client does. Lcores have turns between its stores.
    pub(crate) fn guard<R>(
        self: &Rc<Self>,
        what: &str,
        may_be_refused: bool,
        act: impl FnOnce() -> R,
    ) -> Called<R> {
        let dies = self.fault(self.swarm.die_storing);
        let mut left = if dies { self.below(1, 3000) } else { u64::MAX };
        let refuses = may_be_refused && self.fault(self.swarm.refuse);
        let granted = if refuses { self.below(0, 60) } else { u64::MAX };
        let gap = |world: &Self| world.below(0, 2 * world.swarm.gap);
        let first = gap(self).min(left);
        left -= first;
        let (world, mut waits) = (Rc::clone(self), 0);
        let hook = move |point| match point {
            Point::Store if left == 0 => resume_unwind(Box::new(Death)),
            Point::Store => {
                world.meanwhile();
                let next = gap(&world).min(left);
                left -= next;
                next
            }
            Point::Wait => {
                world.meanwhile();
                waits += 1;
                if waits > WAITS { u64::MAX } else { 0 }
            }
        };
        self.changing.set(self.changing.get() + 1);
        let act = || hooked(first, hook, || refusal::after(granted, act));
        let ended = catch_unwind(AssertUnwindSafe(act));
        let called = match ended {
            Ok((result, refused)) => Called::Returned(result, refused),
            Err(death) => {
                if death.is::<Death>() {
                    self.note(|| format!("the client dies in {what}"));
                } else {
                    self.fail(format!("the client panics in {what}: {}", story::text(&*death)));
                }
                Called::Died
            }
        };
        // One that has died may have been refused something before.
        let refused = matches!(called, Called::Returned(_, true) | Called::Died);
        self.hear_answers(matches!(called, Called::Died), refused);
        self.changing.set(self.changing.get() - 1);
        self.judge_late();
        called
    }

    /// While somebody else is in the middle of something, an lcore or the slow path has a turn.
    fn meanwhile(self: &Rc<Self>) {
        if self.random.borrow_mut().random_bool(0.8) {
            self.lcore_turn();
        } else {
            self.tell_slow_path();
            self.slow_path_turn();
        }
    }
}
