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
        let dies = self.fault(self.swarm.die_storing);
        let mut left = if dies { self.below(1, 3000) } else { u64::MAX };
        let granted = if self.fault(self.swarm.refuse) { self.below(0, 60) } else { u64::MAX };
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
        let act = || hooked(first, hook, || refusal::after(granted, || act(client)));
        let ended = catch_unwind(AssertUnwindSafe(act));
        let called = match ended {
            Ok((result, refused)) => Called::Returned(result, refused),
            Err(death) => {
                died(control.take());
                if death.is::<Death>() {
                    self.note(|| format!("the client dies in {what}"));
                } else {
                    self.fail(format!("the client panics in {what}: {}", story::text(&*death)));
                }
                Called::Died
            }
        };
        drop(control);
        let refused = matches!(called, Called::Returned(_, true));
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
