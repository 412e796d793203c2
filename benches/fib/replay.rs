//! Updates while two readers look up: how fast, how soon visible, at what cost to the readers.
//!
//! Quiet and busy phases alternate, so that noise hits both alike. In the busy phases the writer
//! applies the first half of the stream at a set pace, what is due once a millisecond, and the
//! rest as fast as it can. Readers time most of their vectors and check the others.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use qfp::core::fib::{FibError, LANES};
use qfp::pal::lcore::{CpuId, LcoreId, LcoreSpec, launch};
use qfp::pal::publication::Grace;

use crate::allowed::Allowed;
use crate::input::Update;
use crate::layout::Layout;
use crate::table::{Open, Ours, Reader, Table, Vector};
use contest::BenchError;
use contest::Spread;
use contest::thread_ns;

/// Lcores that look up.
const READERS: usize = 2;
/// Updates a second in the paced part: what must be borne is 300,000, and the last tick of a phase
/// ends a little after it.
const PACE: usize = 320_000;
/// How often the writer looks what is due in the paced part.
const TICK: Duration = Duration::from_millis(1);
/// How long quiet and busy phases last.
const PHASE: Duration = Duration::from_millis(40);
/// Changes that share a generation in the unpaced part.
const BURST: usize = 256;
/// Vectors timed at a time, and checked after them.
const TIMED: usize = 256;
const CHECKED: usize = 8;

/// What a replay shows.
pub(crate) struct Outcome {
    /// Updates applied.
    pub(crate) updates: usize,
    /// Updates a second while paced.
    pub(crate) paced: f64,
    /// Updates a second of wall time, and of the writer's CPU time, when not paced.
    pub(crate) sustained: f64,
    pub(crate) sustained_cpu: f64,
    /// Microseconds from due to published, paced: median and 99th percentile.
    pub(crate) published: [f64; 2],
    /// Microseconds until every reader has finished a vector that began after that, paced.
    pub(crate) seen: [f64; 2],
    /// Microseconds that the writer takes for an update, unpaced.
    pub(crate) applied: [f64; 2],
    /// Percent by which readers are slower while updates come, by CPU time: paced and not.
    pub(crate) slower_paced: Spread,
    pub(crate) slower: Spread,
    /// Results checked during the replay, and how many were never right for their address.
    pub(crate) checked: u64,
    pub(crate) torn: u64,
    /// Updates that waited for readers because memory had run out.
    pub(crate) waits: u64,
}

/// What writer and readers share.
struct Shared<L: Layout> {
    reader: Ours<L>,
    vectors: Arc<Vec<Vector<L>>>,
    allowed: Arc<Allowed>,
    generation: AtomicU64,
    passed: [AtomicU64; READERS],
    /// Even phases are quiet, odd ones busy.
    phase: AtomicU32,
    stop: AtomicBool,
    ready: Barrier,
    epoch: Instant,
}

/// What a reader has to tell.
#[derive(Default)]
struct Diary {
    /// Lookups and nanoseconds of CPU time by phase.
    phases: Vec<(u64, u64)>,
    /// When a vector ended that began in a generation, for the first one of each.
    seen: Vec<(u64, u64)>,
    checked: u64,
    torn: u64,
}

/// Applies `updates` to a loaded table while readers on `cpus` look up `vectors`.
pub(crate) fn replay<L: Layout>(
    table: &mut Table<L>,
    updates: &[Update<L::Key>],
    vectors: &Arc<Vec<Vector<L>>>,
    allowed: &Arc<Allowed>,
    cpus: &[CpuId],
) -> Result<Outcome, BenchError> {
    let shared = Arc::new(Shared {
        reader: table.reader()?,
        vectors: Arc::clone(vectors),
        allowed: Arc::clone(allowed),
        generation: AtomicU64::new(1),
        passed: [const { AtomicU64::new(0) }; READERS],
        phase: AtomicU32::new(0),
        stop: AtomicBool::new(false),
        ready: Barrier::new(READERS + 1),
        epoch: Instant::now(),
    });
    let specs = (0u16..).take(READERS).zip(cpus.iter().cycle());
    let specs =
        specs.map(|(id, &cpu)| LcoreSpec { id: LcoreId(id), cpu, name: format!("reader-{id}") });
    let readers = launch(specs.collect(), {
        let shared = Arc::clone(&shared);
        move |lcore| shared.read(lcore.spec.id.0.into())
    })?;
    shared.ready.wait();
    let mut writer =
        Writer { shared: &shared, table: table.open()?, now: 1, log: Log::default(), waits: 0 };
    let (paced, rest) = updates.split_at(updates.len() / 2);
    let written = writer.paced(paced).and_then(|()| writer.unpaced(rest));
    let last_paced = writer.log.last_paced_phase;
    let (log, waits) = (std::mem::take(&mut writer.log), writer.waits);
    shared.stop.store(true, Release);
    let diaries = readers.join()?;
    written?;
    Ok(Outcome {
        updates: updates.len(),
        paced: paced.len() as f64 / log.paced_wall,
        sustained: rest.len() as f64 / log.wall,
        sustained_cpu: rest.len() as f64 / log.cpu,
        published: percentiles(log.published.iter().map(|&(_, due, done)| (done - due) as f64)),
        seen: percentiles(log.published.iter().filter_map(|&(generation, due, _)| {
            let seen = diaries.iter().map(|diary| diary.first_after(generation));
            seen.collect::<Option<Vec<u64>>>()?.into_iter().max().map(|at| (at - due) as f64)
        })),
        applied: percentiles(log.applied.iter().map(|&ns| f64::from(ns))),
        slower_paced: slower(&diaries, 0..last_paced),
        slower: slower(&diaries, last_paced..usize::MAX),
        checked: diaries.iter().map(|diary| diary.checked).sum(),
        torn: diaries.iter().map(|diary| diary.torn).sum(),
        waits,
    })
}

impl<L: Layout> Shared<L> {
    fn ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A reader: looks up until it is told to stop.
    fn read(&self, who: usize) -> Diary {
        let mut diary = Diary::default();
        self.ready.wait();
        let mut now = self.generation.load(Acquire);
        let mut last = 0;
        let mut at = who * self.vectors.len() / READERS;
        while !self.stop.load(Acquire) {
            if at + TIMED + CHECKED > self.vectors.len() {
                at = 0;
            }
            let mut quiescent = |diary: &mut Diary| {
                self.passed[who].store(now, Release);
                if now != last {
                    diary.seen.push((now, self.ns()));
                    last = now;
                }
                now = self.generation.load(Acquire);
            };
            let phase = self.phase.load(Acquire) as usize;
            let start = thread_ns();
            let mut sum = 0u32;
            self.reader.look_up(&self.vectors[at..at + TIMED], |leaves| {
                sum = sum.wrapping_add(leaves[0] ^ leaves[LANES - 1]);
                quiescent(&mut diary);
            });
            let ns = thread_ns() - start;
            std::hint::black_box(sum);
            diary.phases.resize(diary.phases.len().max(phase + 1), (0, 0));
            diary.phases[phase].0 += (TIMED * LANES) as u64;
            diary.phases[phase].1 += ns;
            at += TIMED;
            let mut key = at * LANES;
            self.reader.look_up(&self.vectors[at..at + CHECKED], |leaves| {
                for &leaf in leaves {
                    diary.torn += u64::from(!self.allowed.holds(key, leaf));
                    key += 1;
                }
                quiescent(&mut diary);
            });
            diary.checked += (CHECKED * LANES) as u64;
            at += CHECKED;
        }
        diary
    }
}

impl Diary {
    /// When a vector ended that began after the changes of `generation`.
    fn first_after(&self, generation: u64) -> Option<u64> {
        let place = self.seen.partition_point(|(seen, _)| *seen <= generation);
        self.seen.get(place).map(|(_, at)| *at)
    }
}

/// Times of the writer; nanoseconds where nothing else is said.
#[derive(Default)]
struct Log {
    /// Generation, when due, when published.
    published: Vec<(u64, u64, u64)>,
    applied: Vec<u32>,
    /// Seconds.
    paced_wall: f64,
    wall: f64,
    cpu: f64,
    last_paced_phase: usize,
}

struct Writer<'a, L: Layout> {
    shared: &'a Shared<L>,
    table: Open<'a, L>,
    now: u64,
    log: Log,
    waits: u64,
}

impl<L: Layout> Writer<'_, L> {
    /// Applies what is due every tick.
    fn paced(&mut self, updates: &[Update<L::Key>]) -> Result<(), FibError> {
        let mut next = 0;
        while next < updates.len() {
            self.quiet();
            let (start, first) = (self.shared.ns(), next);
            let due = |n: usize| start + ((n - first) * 1_000_000_000 / PACE) as u64;
            let end = due(first + PACE * PHASE.subsec_millis() as usize / 1000);
            while next < updates.len() && due(next) < end {
                let now = self.shared.ns();
                let mine = self.log.published.len();
                while next < updates.len() && due(next) <= now && due(next) < end {
                    self.apply(&updates[next])?;
                    self.log.published.push((self.now, due(next), self.shared.ns()));
                    next += 1;
                }
                if self.log.published.len() > mine {
                    self.next_generation();
                }
                if next < updates.len() && due(next) < end {
                    std::thread::sleep(TICK);
                }
            }
            self.log.paced_wall += (self.shared.ns() - start).max(1) as f64 / 1e9;
        }
        self.log.last_paced_phase = self.shared.phase.load(Relaxed) as usize + 1;
        Ok(())
    }

    /// Applies all, with pauses in which readers are alone.
    fn unpaced(&mut self, updates: &[Update<L::Key>]) -> Result<(), FibError> {
        let mut bursts = updates.chunks(BURST).peekable();
        while bursts.peek().is_some() {
            self.quiet();
            let (start, cpu) = (Instant::now(), thread_ns());
            while start.elapsed() < PHASE
                && let Some(burst) = bursts.next()
            {
                for update in burst {
                    let before = Instant::now();
                    self.apply(update)?;
                    let ns = before.elapsed().as_nanos();
                    self.log.applied.push(u32::try_from(ns).unwrap_or(u32::MAX));
                }
                self.next_generation();
            }
            self.log.wall += start.elapsed().as_secs_f64();
            self.log.cpu += (thread_ns() - cpu) as f64 / 1e9;
        }
        Ok(())
    }

    /// A quiet phase, and the beginning of a busy one.
    fn quiet(&mut self) {
        let phase = self.shared.phase.load(Relaxed);
        // The first phase is quiet already, an odd one has just ended.
        self.shared.phase.store(phase + phase % 2, Release);
        std::thread::sleep(PHASE);
        self.shared.phase.store(phase + phase % 2 + 1, Release);
    }

    fn apply(&mut self, (prefix, leaf): &Update<L::Key>) -> Result<(), FibError> {
        loop {
            match self.table.set(*prefix, *leaf) {
                Err(FibError::Full(full)) if full.waiting > 0 => {
                    self.waits += 1;
                    self.next_generation();
                    std::thread::yield_now();
                }
                done => return done,
            }
        }
    }

    /// Ends a generation and takes back what readers have let go of.
    fn next_generation(&mut self) {
        let passed = &self.shared.passed;
        let passed = passed.iter().map(|passed| passed.load(Acquire)).min().unwrap_or(0);
        self.now += 1;
        self.shared.generation.store(self.now, Release);
        // A reader that began a vector in generation g sees all changes of g - 1 and before.
        self.table.grace(Grace(passed.saturating_sub(1)));
    }
}

/// Median and 99th percentile of nanoseconds, in microseconds.
fn percentiles(ns: impl Iterator<Item = f64>) -> [f64; 2] {
    let mut ns: Vec<f64> = ns.collect();
    ns.sort_by(f64::total_cmp);
    [50, 99].map(|percent| {
        let place = (ns.len() * percent / 100).min(ns.len().saturating_sub(1));
        ns.get(place).map_or(f64::NAN, |ns| ns / 1e3)
    })
}

/// Percent of lookups a second that busy phases cost, each against the quiet ones beside it.
fn slower(diaries: &[Diary], phases: std::ops::Range<usize>) -> Spread {
    let rate = |phase: usize| -> Option<f64> {
        let rates = diaries.iter().map(|diary| match diary.phases.get(phase) {
            Some(&(lookups, ns)) if ns > 1_000_000 => Some(lookups as f64 / ns as f64),
            _ => None,
        });
        rates.sum()
    };
    let last = diaries.iter().map(|diary| diary.phases.len()).max().unwrap_or(0);
    let busy = (phases.start..phases.end.min(last)).filter(|phase| !phase.is_multiple_of(2));
    let loss = busy.filter_map(|busy| {
        let before = rate(busy - 1)?;
        let quiet = rate(busy + 1).map_or(before, |after| (before + after) / 2.0);
        Some(100.0 * (1.0 - rate(busy)? / quiet))
    });
    Spread::of(loss.collect::<Vec<_>>())
}
