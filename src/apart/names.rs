//! Names and their numbers, told to the data plane before lcores see anything of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use client::ea::{LastingKey, LastingKeys};
use client::rm::Named;
use client::{Client, Tell};
use ucode::wire::Order;
use ucode::{LastingSa, LastingSas};

use super::{Program, lock};

/// Names that may be told of beyond twice as many as there are before all are told of anew.
const SLACK: usize = 1024;

/// The way of names to whichever data plane there is.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Told>);

#[derive(Default)]
struct Told {
    program: Mutex<Option<Arc<Program>>>,
    /// Names that it was told of, and how many there were when it was told of all.
    count: AtomicUsize,
    all: AtomicUsize,
}

/// As the data plane knows them.
pub(super) fn lasting(keys: &LastingKeys) -> LastingSas {
    let sa = |key: &LastingKey| LastingSa {
        row: key.state,
        place: key.place,
        id: key.id,
        inbound: key.inbound,
        last: key.last,
    };
    LastingSas { states: keys.states, sas: keys.keys.iter().map(sa).collect() }
}

fn encoded(names: &[Named]) -> Vec<u8> {
    // Plain data is always written.
    postcard::to_stdvec(names).unwrap_or_default()
}

/// The names that clients before have told of, in their order.
///
/// # Errors
/// They are none.
pub(super) fn decode(told: &[Vec<u8>]) -> Result<Vec<Named>, postcard::Error> {
    let mut all = Vec::new();
    for names in told {
        all.extend(postcard::from_bytes::<Vec<Named>>(names)?);
    }
    Ok(all)
}

impl Names {
    /// Names are told to this data plane from now on.
    pub(crate) fn tell_to(&self, program: Arc<Program>) {
        *lock(&self.0.program) = Some(program);
    }

    /// All names, for a data plane that knows none.
    pub(super) fn all(&self, client: &Client) -> Vec<Vec<u8>> {
        let names = client.names();
        self.0.all.store(names.len(), Ordering::Relaxed);
        self.0.count.store(names.len(), Ordering::Relaxed);
        vec![encoded(&names)]
    }

    /// What tells of names that are given numbers.
    pub(crate) fn teller(&self) -> Tell {
        let own = self.clone();
        Box::new(move |names: Vec<Named>, keys: Option<LastingKeys>| {
            own.0.count.fetch_add(names.len(), Ordering::Relaxed);
            if let Some(keys) = keys {
                own.send(&Order::Lasting(lasting(&keys)));
            }
            own.send(&Order::Names { all: false, names: encoded(&names) });
        })
    }

    /// Has the data plane forget names that are gone, when it has been told of many.
    pub(crate) fn tidy(&self, client: &Client) {
        let [count, all] = [&self.0.count, &self.0.all].map(|one| one.load(Ordering::Relaxed));
        if count > 2 * all + SLACK {
            let names = self.all(client).concat();
            self.send(&Order::Names { all: true, names });
        }
    }

    fn send(&self, order: &Order) {
        // One that is gone is told of all when there is another.
        if let Some(program) = &*lock(&self.0.program) {
            drop(program.send(order));
        }
    }
}
