//! The walk: a vector through the rows.

use hal::PacketMask;
use pal::clock::{Nanos, rdtsc};
use pal::publication::Seen;

use crate::fia::observe::Observer;
use crate::fia::order::Path;
use crate::fia::trace::Trace;
use crate::fia::{FiaError, Gate};
use crate::isa::Isa;
use crate::packet::{DropReason, Span, Vector};
use crate::step::{Lcore, Step};
use crate::uidb::{Gates, UidbTable};
use crate::wire::Family;

/// A row that has a step.
pub(super) struct ActiveRow {
    /// Its number in the order of operations, which is that of its counters.
    pub(super) number: usize,
    pub(super) name: &'static str,
    pub(super) path: Path,
    pub(super) gate: Gate,
    pub(super) family: Option<Family>,
    /// Which packets meet it.
    pub(super) span: Span,
    /// The first row behind it that others meet.
    pub(super) next: usize,
    /// It works on what it takes ahead and leaves the rest alone: `egress-fast`.
    pub(super) takes_ahead: bool,
    pub(super) step: Box<dyn Step>,
}

/// The feature invocation array of one lcore.
pub struct Fia {
    names: Vec<&'static str>,
    pub(super) rows: Vec<ActiveRow>,
    /// The row `tx`, where what is complete goes on.
    tx: usize,
    /// Number of the row `punt`, which the loop serves.
    punt: Option<usize>,
    /// Row that is asked first for held packets.
    turn: usize,
    isa: Isa,
}

impl Fia {
    pub(super) fn new(names: Vec<&'static str>, rows: Vec<ActiveRow>, isa: Isa) -> Self {
        let punt = names.iter().position(|name| *name == "punt");
        let tx = rows.iter().position(|row| row.name == "tx").unwrap_or(rows.len());
        Self { names, rows, tx, punt, turn: 0, isa }
    }

    /// Names of the rows, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.names.clone()
    }

    /// Where among those with steps the row `name` is.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.name == name)
    }

    /// Puts another step into the row `name`.
    ///
    /// # Errors
    /// No row with a step has that name.
    pub fn replace(&mut self, name: &str, step: Box<dyn Step>) -> Result<(), FiaError> {
        let Some(at) = self.position(name) else {
            return Err(FiaError::NoSuchRow(name.to_owned()));
        };
        self.rows[at].step = step;
        Ok(())
    }

    /// Since when rows of tables must stay for packets that steps hold ([`Step::pins`]).
    #[must_use]
    pub fn pins(&self) -> Option<Seen> {
        self.rows.iter().filter_map(|row| row.step.pins()).min()
    }

    /// Takes on packets that a row has held and gives back, in the empty vector; returns how many
    /// ([`Step::resume`]). The rows take turns.
    pub fn resume(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, now: Nanos) -> usize {
        for _ in 0..self.rows.len() {
            self.turn = (self.turn + 1) % self.rows.len();
            if self.rows[self.turn].step.resume(lcore, vector, now) {
                let given = vector.burst.count();
                vector.held = vector.held.saturating_sub(given);
                self.send(lcore, vector);
                return given;
            }
        }
        0
    }

    /// Sends the complete frames in the vector.
    pub fn send(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector) {
        self.run(self.tx, lcore, vector, &mut Observer::Nobody);
    }

    /// The instructions that the rows' kernels use.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Number of the row `punt`, which the loop serves.
    #[must_use]
    pub fn punt_row(&self) -> Option<usize> {
        self.punt
    }

    /// Takes the vector through all rows.
    #[inline]
    pub fn walk(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector) {
        self.run(0, lcore, vector, &mut Observer::Nobody);
    }

    /// As [`Fia::walk`], and samples the cycles of each row into its counters.
    #[inline]
    pub fn walk_sampled(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector) {
        self.run(0, lcore, vector, &mut Observer::Sampler { last: rdtsc() });
    }

    /// As [`Fia::walk`], and records what becomes of packets under trace. Allocates.
    #[cold]
    pub fn walk_traced(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, trace: &mut Trace) {
        trace.begin(vector);
        self.run(0, lcore, vector, &mut Observer::Tracer { last: rdtsc(), trace });
        trace.end(vector, self.punt.map(|row| self.names[row]));
    }

    /// One function for all walks, so that a sampled walk runs the code that the others run.
    #[inline(never)]
    fn run(
        &mut self,
        first: usize,
        lcore: &mut Lcore<'_>,
        vector: &mut Vector,
        observer: &mut Observer<'_>,
    ) {
        if !lcore.tables.are_whole() {
            vector.drop_all(vector.live, DropReason::NoTables);
        }
        let mut n = first;
        while let Some(row) = self.rows.get_mut(n) {
            let walking = vector.walking(row.span);
            if walking.is_empty() {
                n = row.next;
                continue;
            }
            n += 1;
            let select = row.select(lcore, vector, walking);
            if select.is_empty() {
                continue;
            }
            row.step.process(lcore, vector, select);
            let worked = if row.takes_ahead { select & vector.is.rewritten } else { select };
            lcore.counters.row(row.number, u64::from(worked.count()));
            if !matches!(observer, Observer::Nobody) {
                observer.row(row, lcore, vector, worked);
            }
        }
    }
}

impl ActiveRow {
    /// The packets of `walking` that the row works on.
    #[inline(always)]
    pub(super) fn select(
        &self,
        lcore: &Lcore<'_>,
        vector: &Vector,
        walking: PacketMask,
    ) -> PacketMask {
        let of_family = match self.family {
            None => walking,
            Some(Family::V4) => walking & vector.is.ipv4,
            Some(Family::V6) => walking & vector.is.ipv6,
        };
        let mask = match self.gate {
            Gate::Always => return of_family,
            Gate::Confined if vector.walk.within.is_some() => return of_family,
            Gate::Confined => return PacketMask::EMPTY,
            Gate::Bit(_) => self.gate.mask(),
        };
        let gates = match self.path {
            Path::Ingress | Path::Punt => vector.walk.gates_in,
            Path::Egress => vector.walk.gates_out,
        };
        match gates {
            Gates { any, .. } if any & mask == 0 => PacketMask::EMPTY,
            Gates { all, .. } if all & mask != 0 => of_family,
            _ => self.gated(mask, lcore, vector, of_family),
        }
    }

    /// The packets of `select` whose interface has the feature, when not all of them do.
    fn gated(
        &self,
        mask: u64,
        lcore: &Lcore<'_>,
        vector: &Vector,
        select: PacketMask,
    ) -> PacketMask {
        let uidbs = UidbTable::open(&lcore.tables);
        let mut on = PacketMask::EMPTY;
        for slot in select {
            let bits = match self.path {
                Path::Ingress | Path::Punt => uidbs.get(vector.route.input[slot & 63]).features_in,
                Path::Egress => uidbs.get(vector.route.output[slot & 63]).features_out,
            };
            if bits & mask != 0 {
                on.insert(slot);
            }
        }
        on
    }
}
