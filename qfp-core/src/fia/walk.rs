//! The walk: a vector through the rows.

use hal::PacketMask;
use pal::clock::rdtsc;

use crate::fia::observe::Observer;
use crate::fia::order::Path;
use crate::fia::trace::Trace;
use crate::fia::{Fia, Gate};
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

impl Fia {
    /// Sends the complete frames in the vector.
    pub fn send(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector) {
        self.run(self.tx, lcore, vector, &mut Observer::Nobody);
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
