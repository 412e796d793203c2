//! Rules come and go while a reader looks up: how soon a change is seen, at what cost to lookups.
//!
//! Quiet and busy phases alternate, so that noise hits both alike. In the busy phases the writer
//! makes one change after the other: first at a set pace, then as fast as it can. Between paced
//! changes it watches the clock, and so it does in the quiet phases beside them: the two may share
//! a core, whose other half is slowed by that alone. The reader times most of its vectors and checks
//! the others.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use qfp::hal::VECTOR;
use qfp::pal::lcore::{CpuId, LcoreId, LcoreSpec, launch};
use qfp::pal::publication::Grace;

use crate::packed::Packed;
use crate::set::{Header, Set};
use contest::BenchError;
use contest::Spread;
use contest::thread_ns;

/// Changes a second in the paced part.
const PACE: usize = 10_000;
/// Busy phases of the paced part, and of the unpaced one.
const PHASES: usize = 32;
/// How long quiet and busy phases last.
const PHASE: Duration = Duration::from_millis(50);
/// Vectors timed at a time, and checked after them.
const TIMED: usize = 64;
const CHECKED: usize = 4;
/// One rule in so many comes and goes.
const CHANGING: usize = 8;
/// Rules that are gone at a time.
const GONE: usize = 64;
/// Changes that the reader may be behind.
const BEHIND: u64 = 1024;

/// Changes a classifier that others read.
pub(crate) trait Writer {
    /// Takes out the rule on a line of the set, or puts it back; readers see it at once.
    fn change(&mut self, line: usize, present: bool) -> Result<(), BenchError>;
    /// The next generation has begun. No vector is looked up any more that may see what was replaced
    /// up to `passed`.
    fn grace(&mut self, passed: Grace) -> Result<(), BenchError>;
}

/// Looks up while a writer writes.
pub(crate) trait Reader: Send + Sync + 'static {
    /// Hands the first matches of each of these vectors of headers to `each`; 1 is the first line.
    fn look_up(&self, headers: &Packed, vectors: Range<usize>, each: impl FnMut(&[u32; VECTOR]));
}

/// What updates show.
pub(crate) struct Outcome {
    /// Changes a second while paced; of wall time and of the writer's CPU time while not.
    pub(crate) paced: f64,
    pub(crate) sustained: f64,
    pub(crate) sustained_cpu: f64,
    /// Microseconds that a change takes, paced, by the clock and of the writer's CPU time: median
    /// and 99th percentile.
    pub(crate) applied: [f64; 2],
    pub(crate) applied_cpu: [f64; 2],
    /// Microseconds from when it is due until the reader has finished a vector that began after it.
    pub(crate) seen: [f64; 2],
    /// Microseconds of CPU time that a change takes, unpaced.
    pub(crate) applied_unpaced: [f64; 2],
    /// Percent by which the reader is slower while changes come, by CPU time.
    pub(crate) slower: Spread,
    pub(crate) slower_unpaced: Spread,
    /// Results checked meanwhile, and how many were never right.
    pub(crate) checked: u64,
    pub(crate) torn: u64,
}

/// Which results are right at some moment: all matches up to the first rule that stays.
struct Allowed {
    starts: Vec<u32>,
    lines: Vec<u32>,
}

impl Allowed {
    fn new(set: &Set, headers: &[Header]) -> Self {
        let (mut starts, mut lines) = (vec![0], Vec::new());
        for header in headers {
            let matching =
                (1u32..).zip(&set.rules).filter(|(_, rule)| rule.matches(set.family, header));
            let mut stays = false;
            for (line, _) in matching {
                lines.push(line);
                stays = !changes(line as usize - 1);
                if stays {
                    break;
                }
            }
            if !stays {
                lines.push(0);
            }
            starts.push(u32::try_from(lines.len()).unwrap_or(u32::MAX));
        }
        Self { starts, lines }
    }

    fn holds(&self, header: usize, line: u32) -> bool {
        self.lines[self.starts[header] as usize..self.starts[header + 1] as usize].contains(&line)
    }
}

/// Whether the rule on a line comes and goes.
fn changes(line: usize) -> bool {
    // A multiplicative hash spreads them over the set.
    (line.wrapping_mul(0x9e37_79b9) >> 16).is_multiple_of(CHANGING)
}

/// What writer and reader share.
struct Shared {
    generation: AtomicU64,
    passed: AtomicU64,
    /// Even phases are quiet, odd ones busy.
    phase: AtomicU32,
    stop: AtomicBool,
    ready: Barrier,
    epoch: Instant,
}

/// What the reader has to tell.
#[derive(Default)]
struct Diary {
    /// Lookups and nanoseconds of CPU time by phase.
    phases: Vec<(u64, u64)>,
    /// When a vector ended that began in a generation, for the first one of each.
    seen: Vec<(u64, u64)>,
    checked: u64,
    torn: u64,
}

/// Changes `set` through `writer` while a reader on `cpu` looks up `headers`; all rules are in
/// their places before and after.
pub(crate) fn updates(
    set: &Set,
    headers: &[Header],
    writer: &mut impl Writer,
    reader: impl Reader,
    cpu: CpuId,
) -> Result<Outcome, BenchError> {
    let lines: Vec<usize> = (0..set.rules.len()).filter(|&line| changes(line)).collect();
    if lines.len() <= GONE {
        return Err(format!("{}: too few rules to change", set.name).into());
    }
    let shared = Arc::new(Shared {
        generation: AtomicU64::new(1),
        passed: AtomicU64::new(0),
        phase: AtomicU32::new(0),
        stop: AtomicBool::new(false),
        ready: Barrier::new(2),
        epoch: Instant::now(),
    });
    let packed = Packed::new(set.family, headers);
    let allowed = Allowed::new(set, headers);
    let spec = LcoreSpec { id: LcoreId(0), cpu, name: "reader".to_owned() };
    let readers = launch(vec![spec], {
        let shared = Arc::clone(&shared);
        move |_| shared.read(&reader, &packed, &allowed)
    })?;
    shared.ready.wait();
    let (gone, log) = (VecDeque::new(), Log::default());
    let mut changer = Changer { shared: &shared, writer, lines, next: 0, gone, generation: 1, log };
    let done = changer.run();
    let log = std::mem::take(&mut changer.log);
    shared.stop.store(true, Release);
    let diary = readers.join()?.into_iter().next().unwrap_or_default();
    done?;
    Ok(Outcome {
        paced: log.paced.len() as f64 / log.paced_wall,
        sustained: log.unpaced.len() as f64 / log.wall,
        sustained_cpu: log.unpaced.len() as f64 / log.cpu,
        applied: percentiles(log.paced.iter().map(|change| change.done - change.begun)),
        applied_cpu: percentiles(log.paced.iter().map(|change| change.cpu)),
        seen: percentiles(log.paced.iter().filter_map(|change| {
            Some(diary.first_after(change.generation)?.saturating_sub(change.due))
        })),
        applied_unpaced: percentiles(log.unpaced.iter().copied()),
        slower: slower(&diary, 0..log.last_paced_phase),
        slower_unpaced: slower(&diary, log.last_paced_phase..usize::MAX),
        checked: diary.checked,
        torn: diary.torn,
    })
}

impl Shared {
    fn ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Watches the clock until it is `due`.
    fn watch(&self, due: u64) {
        while self.ns() < due {
            std::hint::spin_loop();
        }
    }

    /// The reader: looks up until it is told to stop.
    fn read(&self, reader: &impl Reader, headers: &Packed, allowed: &Allowed) -> Diary {
        let mut diary = Diary::default();
        let vectors = headers.len() / VECTOR;
        self.ready.wait();
        let mut now = self.generation.load(Acquire);
        let (mut last, mut at) = (0, 0);
        while !self.stop.load(Acquire) {
            if at + TIMED + CHECKED > vectors {
                at = 0;
            }
            let mut quiescent = |diary: &mut Diary| {
                self.passed.store(now, Release);
                if now != last {
                    diary.seen.push((now, self.ns()));
                    last = now;
                }
                now = self.generation.load(Acquire);
            };
            let phase = self.phase.load(Acquire) as usize;
            let start = thread_ns();
            let mut sum = 0u32;
            reader.look_up(headers, at..at + TIMED, |lines| {
                sum = sum.wrapping_add(lines[0] ^ lines[VECTOR - 1]);
                quiescent(&mut diary);
            });
            let ns = thread_ns() - start;
            std::hint::black_box(sum);
            diary.phases.resize(diary.phases.len().max(phase + 1), (0, 0));
            diary.phases[phase].0 += (TIMED * VECTOR) as u64;
            diary.phases[phase].1 += ns;
            at += TIMED;
            let mut header = at * VECTOR;
            reader.look_up(headers, at..at + CHECKED, |lines| {
                for &line in lines {
                    diary.torn += u64::from(!allowed.holds(header, line));
                    header += 1;
                }
                quiescent(&mut diary);
            });
            diary.checked += (CHECKED * VECTOR) as u64;
            at += CHECKED;
        }
        diary
    }
}

impl Diary {
    /// When a vector ended that began after the change of `generation`.
    fn first_after(&self, generation: u64) -> Option<u64> {
        let place = self.seen.partition_point(|(seen, _)| *seen <= generation);
        self.seen.get(place).map(|(_, at)| *at)
    }
}

/// A change of the paced part, in nanoseconds of the clock.
struct Timed {
    generation: u64,
    due: u64,
    begun: u64,
    done: u64,
    /// Of the writer's CPU time.
    cpu: u64,
}

#[derive(Default)]
struct Log {
    paced: Vec<Timed>,
    unpaced: Vec<u64>,
    /// Seconds.
    paced_wall: f64,
    wall: f64,
    cpu: f64,
    last_paced_phase: usize,
}

struct Changer<'a, W> {
    shared: &'a Shared,
    writer: &'a mut W,
    /// Lines of the rules that come and go, and which is next.
    lines: Vec<usize>,
    next: usize,
    /// Those that are gone, the oldest first.
    gone: VecDeque<usize>,
    generation: u64,
    log: Log,
}

impl<W: Writer> Changer<'_, W> {
    fn run(&mut self) -> Result<(), BenchError> {
        for _ in 0..PHASES {
            let phase = u64::from(PHASE.subsec_nanos());
            self.quiet(|shared| shared.watch(shared.ns() + phase));
            let start = self.shared.ns();
            for due in (start..start + phase).step_by(1_000_000_000 / PACE) {
                self.shared.watch(due);
                let timed = self.one()?;
                self.log.paced.push(Timed { due, ..timed });
            }
            self.log.paced_wall += (self.shared.ns() - start).max(1) as f64 / 1e9;
        }
        self.log.last_paced_phase = self.shared.phase.load(Relaxed) as usize + 1;
        for _ in 0..PHASES {
            self.quiet(|_| std::thread::sleep(PHASE));
            let (start, cpu) = (Instant::now(), thread_ns());
            while start.elapsed() < PHASE {
                let timed = self.one()?;
                self.log.unpaced.push(timed.cpu);
            }
            self.log.wall += start.elapsed().as_secs_f64();
            self.log.cpu += (thread_ns() - cpu) as f64 / 1e9;
        }
        self.gone.drain(..).try_for_each(|line| self.writer.change(line, true))
    }

    /// Takes out a rule, or puts back the one that has been gone longest.
    fn one(&mut self) -> Result<Timed, BenchError> {
        let back = if self.gone.len() < GONE { None } else { self.gone.pop_front() };
        let line = back.unwrap_or_else(|| self.lines[self.next % self.lines.len()]);
        let (begun, cpu) = (self.shared.ns(), thread_ns());
        self.writer.change(line, back.is_some())?;
        let (done, cpu) = (self.shared.ns(), thread_ns() - cpu);
        if back.is_none() {
            self.gone.push_back(line);
            self.next += 1;
        }
        let generation = self.generation;
        self.generation += 1;
        self.shared.generation.store(self.generation, Release);
        // A reader that has lost its CPU is waited for: what it may still see takes memory.
        while self.shared.passed.load(Acquire) + BEHIND < self.generation {
            std::thread::yield_now();
        }
        // A vector that begins in a generation sees all changes of those before.
        self.writer.grace(Grace(self.shared.passed.load(Acquire).saturating_sub(1)))?;
        Ok(Timed { generation, due: begun, begun, done, cpu })
    }

    /// A quiet phase, which the writer `spends`, and the beginning of a busy one.
    fn quiet(&mut self, spends: impl FnOnce(&Shared)) {
        let phase = self.shared.phase.load(Relaxed);
        // The first phase is quiet already, an odd one has just ended.
        self.shared.phase.store(phase + phase % 2, Release);
        spends(self.shared);
        self.shared.phase.store(phase + phase % 2 + 1, Release);
    }
}

/// Median and 99th percentile of nanoseconds, in microseconds.
fn percentiles(ns: impl Iterator<Item = u64>) -> [f64; 2] {
    let mut ns: Vec<u64> = ns.collect();
    ns.sort_unstable();
    [50, 99].map(|percent| {
        let place = (ns.len() * percent / 100).min(ns.len().saturating_sub(1));
        ns.get(place).map_or(f64::NAN, |&ns| ns as f64 / 1e3)
    })
}

/// Percent of lookups a second that busy phases cost, each against the quiet ones beside it.
fn slower(diary: &Diary, phases: Range<usize>) -> Spread {
    let rate = |phase: usize| match diary.phases.get(phase) {
        Some(&(lookups, ns)) if ns > 1_000_000 => Some(lookups as f64 / ns as f64),
        _ => None,
    };
    let busy = phases.start..phases.end.min(diary.phases.len());
    let busy = busy.filter(|phase| !phase.is_multiple_of(2));
    Spread::of(busy.filter_map(|busy| {
        let before = rate(busy - 1)?;
        let quiet = rate(busy + 1).map_or(before, |after| (before + after) / 2.0);
        Some(100.0 * (1.0 - rate(busy)? / quiet))
    }))
}
