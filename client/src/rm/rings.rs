//! When numbers that packets know outside of a vector are nobody's any more.

use driver::Driver;
use pal::publication::{Grace, GraceClock, Timekeeper};

/// A clock for numbers of interfaces and routing tables, which packets keep in the rings between
/// lcores and slow path, in both directions. A period passes when what the slow path had put in is
/// taken, then walked, and what came of that is taken by the slow path, which does nothing more about
/// packets of what is gone.
pub(crate) struct Rings {
    time: Timekeeper,
    clearing: Clearing,
}

/// Where packets with numbers of what is gone may still be.
enum Clearing {
    Nowhere,
    /// In the rings to the lcores, and everywhere else.
    ToLcores(Grace),
    /// In walks, until the second period has passed, and in the rings to the slow path.
    Walks(Grace, Grace),
    ToSlowPath(Grace),
}

impl Rings {
    pub(crate) fn new() -> Self {
        Self { time: Timekeeper::default(), clearing: Clearing::Nowhere }
    }

    /// The clock.
    pub(crate) const fn clock(&self) -> &GraceClock {
        self.time.clock()
    }

    /// Whether the rings are to be cleared now, for numbers to be used again.
    pub(crate) fn want_clearing(&mut self, driver: &Driver) -> bool {
        match self.clearing {
            Clearing::Nowhere if self.time.is_wanted() => {
                self.clearing = Clearing::ToLcores(self.time.begin());
            }
            Clearing::Walks(grace, walks) if driver.all_passed(walks) => {
                self.clearing = Clearing::ToSlowPath(grace);
            }
            _ => return false,
        }
        true
    }

    /// What was in the rings when that was wanted has been taken out.
    pub(crate) fn cleared(&mut self, driver: &mut Driver) {
        self.clearing = match self.clearing {
            Clearing::ToLcores(grace) => Clearing::Walks(grace, driver.grace_period()),
            Clearing::ToSlowPath(grace) => {
                self.time.pass(grace);
                Clearing::Nowhere
            }
            Clearing::Nowhere | Clearing::Walks(..) => return,
        };
    }
}
