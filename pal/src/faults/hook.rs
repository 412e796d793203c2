//! Who has a say at stores and waits of this thread.

use std::cell::{Cell, RefCell};

/// Where the hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before a store that others may see.
    Store,
    /// Somebody waits for others. [`NO_MORE`] says that they have had their turn.
    Wait,
}

/// The hook is called no more; who waits gives up.
const NO_MORE: u64 = u64::MAX;

type Hook = Box<dyn FnMut(Point) -> u64>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    /// Stores until it is called.
    static LEFT: Cell<u64> = const { Cell::new(NO_MORE) };
    static DEAD: Cell<bool> = const { Cell::new(false) };
}

/// Does something while `hook` is called after `first` stores, and then after as many as it returns,
/// and wherever somebody waits. It may unwind: then that was the end of who stored.
pub fn hooked<R>(
    first: u64,
    hook: impl FnMut(Point) -> u64 + 'static,
    act: impl FnOnce() -> R,
) -> R {
    /// However it ends.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            LEFT.set(NO_MORE);
            HOOK.take();
        }
    }
    HOOK.set(Some(Box::new(hook)));
    LEFT.set(first);
    let _end = End;
    act()
}

#[inline]
pub(super) fn store() {
    let left = LEFT.get();
    if left == 0 {
        LEFT.set(call(Point::Store).unwrap_or(NO_MORE));
    } else if left != NO_MORE {
        LEFT.set(left - 1);
    }
}

pub(super) fn rest() -> Option<bool> {
    call(Point::Wait).map(|more| more != NO_MORE)
}

/// The hook itself stores unseen.
fn call(point: Point) -> Option<u64> {
    let left = LEFT.replace(NO_MORE);
    let more = HOOK.with(|hook| match hook.try_borrow_mut() {
        Ok(mut hook) => hook.as_mut().map(|hook| hook(point)),
        Err(_) => None,
    });
    LEFT.set(left);
    more
}

/// Ends something as a death does: nothing that it knows is told to others.
pub fn died<T>(something: T) {
    DEAD.set(true);
    drop(something);
    DEAD.set(false);
}

pub(super) fn is_dead() -> bool {
    DEAD.get()
}
