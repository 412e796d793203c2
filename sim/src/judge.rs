//! What must hold, whatever happens.
//!
//! - A packet leaves once, as some configuration says that was in force since it came.
//! - A packet that all of these send is sent in the vector that it comes in.
//! - Every packet is counted once, also those of a data plane that has died.

use std::cell::RefMut;
use std::collections::HashMap;
use std::fmt;

use crate::frames::{Mac, Probe};
use crate::model::{Sending, fates};
use crate::world::World;

/// A probe that has not left yet.
#[derive(Debug)]
struct Under {
    probe: Probe,
    /// The first state that it may have met; none while it is on its way to the router.
    birth: Option<usize>,
}

/// What has become of a packet in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Sent(usize, Mac, u8),
    /// It has not been sent in its vector; excused by a fault.
    NotYet {
        excused: bool,
    },
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(port, to, class) => write!(f, "{}", Sending(*port, *to, *class)),
            Self::NotYet { .. } => f.write_str("not sent"),
        }
    }
}

/// Who keeps an eye on probes.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    under: HashMap<u64, Under>,
    next: u64,
    /// What is judged when it is known what a change that is on its way has come to.
    late: Vec<(u64, Probe, usize, Fate)>,
}

impl Judge {
    /// The number of another probe.
    pub(crate) fn send(&mut self, probe: Probe) -> u64 {
        self.next += 1;
        self.under.insert(self.next, Under { probe, birth: None });
        self.next
    }

    /// These are in the router, since the state numbered `birth`.
    pub(crate) fn taken(&mut self, ids: &[u64], birth: usize) {
        for id in ids {
            if let Some(under) = self.under.get_mut(id) {
                under.birth.get_or_insert(birth);
            }
        }
    }
}

impl World {
    pub(crate) fn judge(&self) -> RefMut<'_, Judge> {
        self.judge.borrow_mut()
    }

    /// Judges what has become of a probe, as soon as that can be told.
    pub(crate) fn judgement(&self, id: u64, fate: Fate) {
        let mut judge = self.judge();
        let Some(under) = judge.under.get(&id) else {
            if let Fate::Sent(..) = fate {
                self.fail(format!("probe {id} leaves twice"));
            }
            return;
        };
        let probe = under.probe;
        let Some(birth) = under.birth else {
            return self.fail(format!("probe {id} leaves before it has come"));
        };
        if let Fate::Sent(..) = fate {
            judge.under.remove(&id);
        }
        if self.changing.get() > 0 {
            judge.late.push((id, probe, birth, fate));
            return;
        }
        drop(judge);
        self.pass(id, probe, birth, fate);
    }

    /// No change is on its way: judges what had to wait for that.
    pub(crate) fn judge_late(&self) {
        if self.changing.get() == 0 {
            let late = std::mem::take(&mut self.judge().late);
            late.into_iter().for_each(|(id, probe, birth, fate)| self.pass(id, probe, birth, fate));
        }
    }

    fn pass(&self, id: u64, probe: Probe, birth: usize, fate: Fate) {
        let (model, hosts) = (self.model.borrow(), self.hosts.borrow());
        let fates = fates(&probe, model.since(birth), hosts.answered());
        let fair = match fate {
            Fate::Sent(port, to, class) => fates.sent.contains(&Sending(port, to, class)),
            Fate::NotYet { excused } => {
                excused || fates.lost || !self.judge().under.contains_key(&id)
            }
        };
        self.note(|| format!("probe {id} {probe} is {fate}"));
        if !fair {
            let states: Vec<_> = model.since(birth).collect();
            self.fail(format!("probe {id} {probe} is {fate}, and may be {fates}: {states:?}"));
        }
    }

    /// Every packet has one end, or is inside.
    pub(crate) fn check_conservation(&self) {
        if !self.walks.borrow().is_empty() || self.plane.borrow().is_none() {
            return;
        }
        if !self.totals.borrow().conserved(0) {
            let missing = self.totals.borrow().unaccounted();
            self.fail(format!("packets are not counted once: {missing} are missing"));
        }
    }
}
