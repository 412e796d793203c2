//! The walk: a vector through the rows.

use hal::PacketMask;
use pal::clock::{Nanos, rdtsc};
use pal::publication::Seen;

use crate::adjacency::fused::{self, Kinds, Rewritten};
use crate::counters::INTERRUPTED;
use crate::fia::Gate;
use crate::fia::order::{
    FUSED_FIRST, FUSED_LAST, Kit, OWN_FRAMES_FIRST, OWN_FRAMES_LAST, Path, ROUTER, Row,
};
use crate::fia::trace::Trace;
use crate::isa::Isa;
use crate::packet::{DropReason, Vector};
use crate::step::{Lcore, Step};
use crate::uidb::{Gates, UidbTable};
use crate::wire::Family;

/// Why a feature cannot be inserted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FiaError {
    /// No row has the name that the feature is to stand next to.
    #[error("no row is called {0}")]
    NoSuchRow(String),
    /// A row has the feature's name already.
    #[error("a row is called {0} already")]
    NameTaken(&'static str),
}

/// Makes a step for each lcore.
type Factory = Box<dyn Fn(&Kit) -> Box<dyn Step> + Send + Sync>;

struct Plan {
    name: &'static str,
    path: Path,
    gate: Gate,
    family: Option<Family>,
    make: Option<Factory>,
}

/// The rows of a FIA before steps are made for each lcore.
pub struct FiaBuilder {
    plan: Vec<Plan>,
    fuse: bool,
}

impl FiaBuilder {
    /// The order of operations of a router.
    #[must_use]
    pub fn router() -> Self {
        let plan = ROUTER.iter().map(|row: &Row| Plan {
            name: row.name,
            path: row.path,
            gate: row.gate,
            family: row.family,
            make: row.make.map(|make| Box::new(make) as Factory),
        });
        Self { plan: plan.collect(), fuse: true }
    }

    /// Inserts a feature behind the row `after`, on that row's path.
    ///
    /// `make` is called once per lcore. With [`Gate::Always`] between `ttl` and `mtu` it takes
    /// every vector off the fused kernel; with a gate bit only those that it looks at. Behind `tx`
    /// it sees nothing: all that walked has been sent.
    ///
    /// # Errors
    /// There is no row `after`, or one called `name` already.
    pub fn insert_after(
        mut self,
        after: &str,
        name: &'static str,
        gate: Gate,
        make: impl Fn() -> Box<dyn Step> + Send + Sync + 'static,
    ) -> Result<Self, FiaError> {
        if self.plan.iter().any(|row| row.name == name) {
            return Err(FiaError::NameTaken(name));
        }
        let Some(at) = self.plan.iter().position(|row| row.name == after) else {
            return Err(FiaError::NoSuchRow(after.to_owned()));
        };
        let path = self.plan[at].path;
        let make: Factory = Box::new(move |_| make());
        let row = Plan { name, path, gate, family: None, make: Some(make) };
        self.plan.insert(at + 1, row);
        Ok(self)
    }

    /// Leaves the fused kernel out: every packet goes through the rows one by one.
    #[must_use]
    pub fn without_fusion(mut self) -> Self {
        self.fuse = false;
        self
    }

    /// Names of the rows, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.plan.iter().map(|row| row.name).collect()
    }

    /// Makes the steps for one lcore, which polices by itself what goes to the slow path, at the
    /// published rates.
    #[must_use]
    pub fn build(&self, isa: Isa) -> Fia {
        self.build_with(&Kit { isa, ..Kit::default() })
    }

    /// Makes the steps for one lcore.
    #[must_use]
    pub fn build_with(&self, kit: &Kit) -> Fia {
        let rows: Vec<ActiveRow> = self
            .plan
            .iter()
            .enumerate()
            .filter_map(|(number, plan)| {
                Some(ActiveRow {
                    number,
                    name: plan.name,
                    path: plan.path,
                    gate: plan.gate,
                    family: plan.family,
                    step: plan.make.as_ref()?(kit),
                })
            })
            .collect();
        let position = |name: &str| rows.iter().position(|row| row.name == name);
        let fusion = match (position(FUSED_FIRST), position(FUSED_LAST)) {
            (Some(first), Some(last)) if self.fuse => Fusion::of(&rows, first, last),
            _ => None,
        };
        let own = match ["l3-parse", OWN_FRAMES_FIRST, OWN_FRAMES_LAST].map(position) {
            [Some(parse), Some(first), Some(last)] => Some((parse, first, last)),
            _ => None,
        };
        let leaving = rows.iter().position(|row| row.path == Path::Punt);
        let leaving = leaving.unwrap_or(rows.len());
        let tx = position("tx").unwrap_or(leaving);
        let punt = self.plan.iter().position(|plan| plan.name == "punt");
        Fia { names: self.names(), rows, fusion, own, tx, leaving, punt, turn: 0, isa: kit.isa }
    }
}

/// A row that has a step.
struct ActiveRow {
    /// Its number in the order of operations, which is that of its counters.
    number: usize,
    name: &'static str,
    path: Path,
    gate: Gate,
    family: Option<Family>,
    step: Box<dyn Step>,
}

/// The run of rows that the fused kernel serves, and what keeps a vector off it.
#[derive(Clone, Debug)]
struct Fusion {
    /// First of its rows, and the first behind it, among those with steps.
    first: usize,
    end: usize,
    /// First of the rows that packets with egress features go through one by one; none if they
    /// go through all of them.
    behind_rewrite: Option<usize>,
    /// Ingress features that stand inside the run, other than its own.
    blocked_by: u64,
    /// Numbers of the rows that it does the work of: up to `l2-rewrite`, and behind it.
    counted: [Vec<usize>; 2],
    /// Number of the row that its cycles are shown at.
    shown_at: usize,
}

impl Fusion {
    fn of(rows: &[ActiveRow], first: usize, last: usize) -> Option<Self> {
        let mut fusion = Self {
            first,
            end: last + 1,
            behind_rewrite: None,
            blocked_by: 0,
            counted: [Vec::new(), Vec::new()],
            shown_at: 0,
        };
        let mut before_rewrite = false;
        for (n, row) in rows.iter().enumerate().take(last + 1).skip(first) {
            let own = ROUTER.iter().any(|r| r.name == row.name);
            match (row.path, row.gate) {
                // What every packet needs: the kernel does it.
                (_, Gate::Always | Gate::TTL) if own => {
                    fusion.counted[usize::from(fusion.shown_at != 0)].push(row.number);
                }
                // The kernel leaves such vectors alone.
                (_, Gate::Confined) => {}
                // A feature of the user's own that looks at every packet.
                (_, Gate::Always) => return None,
                (Path::Ingress, gate) => fusion.blocked_by |= gate.mask(),
                // Egress features show in the adjacency, which is then not plain.
                (Path::Egress | Path::Punt, _) => before_rewrite |= fusion.shown_at == 0,
            }
            if row.name == "l2-rewrite" {
                fusion.shown_at = row.number;
                fusion.behind_rewrite = (!before_rewrite).then_some(n + 1);
            }
        }
        Some(fusion)
    }

    /// What the kernel may take of a vector; none if it must be left to the rows.
    #[inline]
    fn kinds(&self, vector: &Vector) -> Option<Kinds> {
        let (gates_in, ttl) = (vector.gates_in, Gate::TTL.mask());
        if vector.within.is_some() {
            return None;
        }
        if gates_in.any & self.blocked_by != 0 || (gates_in.any & !gates_in.all) & ttl != 0 {
            return None;
        }
        Some(Kinds { ttl: gates_in.any & ttl != 0, featured: self.behind_rewrite.is_some() })
    }

    /// Numbers of the rows that it has done the work of for all packets, and for the plain ones.
    #[inline]
    fn rows(&self, kinds: Kinds) -> [&[usize]; 2] {
        // The row `ttl` is the first of them.
        let [head, tail] = &self.counted;
        [head.get(usize::from(!kinds.ttl)..).unwrap_or(&[]), tail]
    }
}

/// The feature invocation array of one lcore.
pub struct Fia {
    names: Vec<&'static str>,
    rows: Vec<ActiveRow>,
    fusion: Option<Fusion>,
    /// The row that reads headers, and the first and last of those that frames of the router's own
    /// go through.
    own: Option<(usize, usize, usize)>,
    /// The row `tx`, where what is complete goes on.
    tx: usize,
    /// First of the rows for what leaves for the slow path.
    leaving: usize,
    /// Number of the row `punt`, which the loop serves.
    punt: Option<usize>,
    /// Row that is asked first for held packets.
    turn: usize,
    isa: Isa,
}

impl Fia {
    /// Names of the rows, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.names.clone()
    }

    /// Puts another step into the row `name`.
    ///
    /// # Errors
    /// No row with a step has that name.
    pub fn replace(&mut self, name: &str, step: Box<dyn Step>) -> Result<(), FiaError> {
        let Some(at) = self.rows.iter().position(|row| row.name == name) else {
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

    /// Takes frames that the slow path has made, and that have their output interface and their
    /// header, through the security policy, and sends them.
    pub fn walk_own(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector) {
        let Some((parse, first, last)) = self.own else { return };
        // Only IP packets have a policy.
        let mut packets = PacketMask::EMPTY;
        for slot in vector.live {
            let frame = vector.burst.frame(slot);
            let offset = header_len(frame);
            let ethertype = frame.get(usize::from(offset) - 2..usize::from(offset));
            if let Some([0x08, 0x00] | [0x86, 0xdd]) = ethertype {
                packets.insert(slot);
            }
            vector.l3_offset[slot & 63] = offset;
        }
        if let Some(row) = self.rows.get_mut(parse).filter(|_| !packets.is_empty()) {
            row.step.process(lcore, vector, packets);
        }
        let uidbs = UidbTable::open(&lcore.tables);
        vector.gates_out = Gates::of(uidbs, &vector.output, vector.live, |row| row.features_out);
        for row in self.rows.get_mut(first..=last).unwrap_or_default() {
            let select = select(row.path, row.gate, row.family, lcore, vector);
            if !select.is_empty() {
                row.step.process(lcore, vector, select);
                lcore.counters.row(row.number, u64::from(select.count()));
            }
        }
        self.send(lcore, vector);
    }

    /// Takes what has left its walk for the slow path through the rows of its own.
    #[cold]
    fn leave(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, observer: &mut Observer<'_>) {
        for row in self.rows.get_mut(self.leaving..).unwrap_or_default() {
            let select = vector.leaving();
            if select.is_empty() {
                return;
            }
            row.step.process(lcore, vector, select);
            lcore.counters.row(row.number, u64::from(select.count()));
            if !matches!(observer, Observer::Nobody) {
                // The walk of a dropped packet is over, whoever is told; its cost is not.
                let traced = matches!(observer, Observer::Tracer { .. });
                let over = if traced { vector.reported } else { PacketMask::EMPTY };
                observer.row(row.name, row.number, lcore, vector, select - over);
            }
        }
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
        let (fused_first, behind_rewrite, fused_end) = match &self.fusion {
            Some(fusion) => (fusion.first, fusion.behind_rewrite.unwrap_or(usize::MAX), fusion.end),
            None => (usize::MAX, usize::MAX, usize::MAX),
        };
        let (mut done, mut gates_out) = (Rewritten::default(), Gates::default());
        let mut n = first;
        loop {
            if n == fused_first
                && let Some(fusion) = &self.fusion
                && let Some(kinds) = fusion.kinds(vector)
            {
                (done, gates_out) = fused::egress(lcore, vector, vector.live, kinds);
                for (rows, mask) in fusion.rows(kinds).into_iter().zip([vector.ahead, done.plain]) {
                    let count = u64::from(mask.count());
                    rows.iter().for_each(|row| lcore.counters.row(*row, count));
                }
                if !matches!(observer, Observer::Nobody) {
                    observer.fused(&self.rows, fusion, lcore, vector, kinds, done);
                }
                if vector.live == vector.ahead {
                    vector.gates_out = gates_out;
                    n = if done.featured.is_empty() { fusion.end } else { behind_rewrite };
                }
            }
            if n == behind_rewrite && !done.featured.is_empty() {
                // From here on they are like all others.
                vector.ahead = done.plain;
                vector.gates_out.any |= gates_out.any;
                vector.gates_out.all &= gates_out.all;
            }
            if n == fused_end && !vector.ahead.is_empty() {
                // Behind the run its packets are like all others, but have no egress features.
                vector.ahead = PacketMask::EMPTY;
                vector.gates_out.all = 0;
            }
            // Behind the kernel's run there may be no row left.
            let row = self.rows.get_mut(n).filter(|_| n < self.leaving);
            let Some(row) = row else { break };
            let select = select(row.path, row.gate, row.family, lcore, vector);
            if !select.is_empty() {
                row.step.process(lcore, vector, select);
                lcore.counters.row(row.number, u64::from(select.count()));
                if !matches!(observer, Observer::Nobody) {
                    observer.row(row.name, row.number, lcore, vector, select);
                }
            }
            n += 1;
        }
        if !vector.leaving().is_empty() {
            self.leave(lcore, vector, observer);
        }
    }
}

/// Bytes in front of the network header of a frame with up to two tags.
fn header_len(frame: &[u8]) -> u8 {
    let tagged =
        |at: usize| matches!(frame.get(at..at + 2), Some([0x81, 0] | [0x88, 0xa8] | [0x91, 0]));
    14 + if !tagged(12) {
        0
    } else if tagged(16) {
        8
    } else {
        4
    }
}

/// The packets a row works on.
#[inline(always)]
fn select(
    path: Path,
    gate: Gate,
    family: Option<Family>,
    lcore: &Lcore<'_>,
    vector: &Vector,
) -> PacketMask {
    let walking = vector.live - vector.ahead;
    let of_family = match family {
        None => walking,
        Some(Family::V4) => walking & vector.ipv4,
        Some(Family::V6) => walking & vector.ipv6,
    };
    let mask = match gate {
        Gate::Always => return of_family,
        Gate::Confined if vector.within.is_some() => return of_family,
        Gate::Confined => return PacketMask::EMPTY,
        Gate::Bit(_) => gate.mask(),
    };
    let gates = match path {
        Path::Ingress => vector.gates_in,
        Path::Egress | Path::Punt => vector.gates_out,
    };
    match gates {
        Gates { any, .. } if any & mask == 0 => PacketMask::EMPTY,
        Gates { all, .. } if all & mask != 0 => of_family,
        _ => gated(path, mask, lcore, vector, of_family),
    }
}

/// The packets of `select` whose interface has the feature, when not all of them do.
fn gated(
    path: Path,
    mask: u64,
    lcore: &Lcore<'_>,
    vector: &Vector,
    select: PacketMask,
) -> PacketMask {
    let uidbs = UidbTable::open(&lcore.tables);
    let mut on = PacketMask::EMPTY;
    for slot in select {
        let bits = match path {
            Path::Ingress => uidbs.get(vector.input[slot & 63]).features_in,
            Path::Egress | Path::Punt => uidbs.get(vector.output[slot & 63]).features_out,
        };
        if bits & mask != 0 {
            on.insert(slot);
        }
    }
    on
}

/// Who is told after each row.
enum Observer<'a> {
    Nobody,
    Sampler { last: u64 },
    Tracer { last: u64, trace: &'a mut Trace },
}

impl Observer<'_> {
    fn row(
        &mut self,
        name: &'static str,
        row: usize,
        lcore: &Lcore<'_>,
        vector: &Vector,
        select: PacketMask,
    ) {
        match self {
            Self::Nobody => {}
            Self::Sampler { last } => {
                let cycles = lap(last);
                if cycles < INTERRUPTED {
                    lcore.counters.row_sample(row, u64::from(select.count()), cycles);
                }
            }
            Self::Tracer { last, trace } => trace.row(name, vector, select, lap(last)),
        }
    }

    /// The run's cycles are shown at its row `l2-rewrite`, which does the stores; its other rows
    /// are sampled too, at no cost, so that their averages are over all packets.
    fn fused(
        &mut self,
        rows: &[ActiveRow],
        fusion: &Fusion,
        lcore: &Lcore<'_>,
        vector: &Vector,
        kinds: Kinds,
        done: Rewritten,
    ) {
        let (Self::Sampler { last } | Self::Tracer { last, .. }) = self else { return };
        let all = done.plain | done.featured;
        if all.is_empty() {
            return;
        }
        let cycles = lap(last);
        let interrupted = cycles >= INTERRUPTED;
        let masks = fusion.rows(kinds).into_iter().zip([all, done.plain]);
        for (number, mask) in masks.flat_map(|(rows, mask)| rows.iter().map(move |n| (*n, mask))) {
            let cycles = if number == fusion.shown_at { cycles } else { 0 };
            match self {
                Self::Sampler { .. } if !interrupted => {
                    lcore.counters.row_sample(number, u64::from(mask.count()), cycles);
                }
                Self::Nobody | Self::Sampler { .. } => {}
                Self::Tracer { trace, .. } => {
                    let row = rows.iter().find(|row| row.number == number);
                    trace.row(row.map_or("", |row| row.name), vector, mask, cycles);
                }
            }
        }
    }
}

/// TSC cycles since `last`, which becomes now.
fn lap(last: &mut u64) -> u64 {
    let now = rdtsc();
    let cycles = now.wrapping_sub(*last);
    *last = now;
    cycles
}
