//! A row of the order of operations in which an lcore stands still, while others go on.

use std::cell::RefCell;
use std::rc::Rc;

use hal::PacketMask;
use qfp_core::packet::Vector;
use qfp_core::step::{Lcore, Step};

use crate::world::World;

thread_local! {
    /// The world that the lcores of this thread are in.
    static HERE: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Says which world the lcores of this thread are in.
pub(crate) fn enter(world: &Rc<World>) {
    HERE.set(Some(Rc::clone(world)));
}

/// There is no world any more.
pub(crate) fn leave() {
    HERE.set(None);
}

/// The row's step.
pub(crate) struct Pause;

impl Step for Pause {
    fn process(&mut self, _: &mut Lcore<'_>, _: &mut Vector, _: PacketMask) {
        let here = HERE.with_borrow(Option::clone);
        if let Some(world) = here {
            world.paused();
        }
    }
}
