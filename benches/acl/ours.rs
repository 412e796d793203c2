//! Our classifier.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use qfp::core::acl::key::{Keys, WORDS4, WORDS6};
use qfp::core::acl::{
    Change, Classifier, Line, Matches, Memory, NO_MATCH, Nodes, Pattern, Pattern4, Pattern6, Place,
    Rule, Space, Tcam,
};
use qfp::core::isa::Isa;
use qfp::hal::{PacketMask, VECTOR};
use qfp::pal::publication::{Grace, Timekeeper};

use crate::keys::{Records, untagged};
use crate::memory::heap_during;
use crate::packed::Packed;
use crate::race::Contestant;
use crate::set::{self, Family, Prefix, Set};
use crate::updates::{Reader, Writer};
use contest::BenchError;
use contest::Spread;
use contest::thread_ns;

/// Builds that are timed.
const BUILDS: usize = 5;
/// Bytes of a packet, where they are counted.
const LENGTH: u64 = 64;
/// Lines of 64 bytes that there is room for, beside those of a rule.
const ROOM: usize = 1 << 20;
const ROOM_OF_RULE: usize = 64;

/// Whether matches are counted, rule by rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counters {
    On,
    Off,
}

/// Our classifier with a feature for each of `lists`.
pub(crate) fn contestant(
    family: Family,
    lists: &[&[set::Rule]],
    counters: Counters,
) -> Result<Box<dyn Contestant>, BenchError> {
    Ok(match (family, lists.len()) {
        (Family::V4, 1) => Box::new(Ours::<WORDS4, 1>::new(lists, counters)?),
        (Family::V4, 3) => Box::new(Ours::<WORDS4, 3>::new(lists, counters)?),
        (Family::V6, 1) => Box::new(Ours::<WORDS6, 1>::new(lists, counters)?),
        (family, lists) => return Err(format!("no case has {lists} lists of {family:?}").into()),
    })
}

/// A family's patterns.
pub(crate) trait Patterns: Sized {
    /// What a line of a set asks for.
    fn of(rule: &set::Rule) -> Self;
}

impl Patterns for Pattern4 {
    #[expect(clippy::cast_possible_truncation, reason = "IPv4 addresses")]
    fn of(rule: &set::Rule) -> Self {
        let mask = |prefix: Prefix| prefix.mask(Family::V4) as u32;
        transport(Self::any(), rule)
            .source(rule.src.value as u32, mask(rule.src))
            .destination(rule.dst.value as u32, mask(rule.dst))
    }
}

impl Patterns for Pattern6 {
    fn of(rule: &set::Rule) -> Self {
        transport(Self::any(), rule)
            .source(rule.src.value, rule.src.mask(Family::V6))
            .destination(rule.dst.value, rule.dst.mask(Family::V6))
    }
}

fn transport<const W: usize>(pattern: Pattern<W>, rule: &set::Rule) -> Pattern<W> {
    pattern
        .protocol(rule.proto, rule.proto_mask)
        .source_port(&rule.sport)
        .destination_port(&rule.dport)
}

/// The rule on a line of a list: a lookup returns the number of the line, of which 1 is the first.
fn placed<const W: usize>(feature: usize, line: usize, rule: &set::Rule) -> (Place, Rule<W>)
where
    Pattern<W>: Patterns,
{
    let feature = u8::try_from(feature).unwrap_or(u8::MAX);
    let place = Place { feature, sequence: line as u64 };
    let result = u32::try_from(line + 1).unwrap_or(u32::MAX);
    (place, Rule { result, patterns: vec![Pattern::of(rule)] })
}

/// Compiled rules with their memory.
struct Compiled<const W: usize> {
    lines: Arc<[Line]>,
    space: Space,
    time: Timekeeper,
    classifier: Classifier<W>,
}

impl<const W: usize> Compiled<W>
where
    Pattern<W>: Patterns,
{
    /// Compiles `rules` in memory of their own.
    fn new(rules: Vec<(Place, Rule<W>)>) -> Result<Self, BenchError> {
        let room = ROOM + ROOM_OF_RULE * rules.len();
        Self::within((0..room).map(|_| Line::default()).collect(), rules)
    }

    fn within(lines: Arc<[Line]>, rules: Vec<(Place, Rule<W>)>) -> Result<Self, BenchError> {
        let time = Timekeeper::default();
        let mut space = Space::new(u32::try_from(lines.len())?, time.clock());
        let mut memory = Memory { lines: &lines, space: &mut space };
        let classifier = Classifier::build(&mut memory, rules)?;
        Ok(Self { lines, space, time, classifier })
    }

    fn memory(&mut self) -> (Memory<'_>, &mut Classifier<W>) {
        (Memory { lines: &self.lines, space: &mut self.space }, &mut self.classifier)
    }

    /// Bytes of the image in use.
    fn bytes(&self) -> usize {
        self.space.lines().in_use() as usize * size_of::<Line>()
    }
}

/// A compiled object and what a vector needs.
struct Ours<const W: usize, const F: usize> {
    compiled: Compiled<W>,
    isa: Isa,
    keys: Keys<W>,
    peak: usize,
    ms: f64,
    /// Packets and bytes of each line of each list, as one lcore counts them; line 0 is for none.
    counters: Option<[Vec<[u64; 2]>; F]>,
}

impl<const W: usize, const F: usize> Ours<W, F>
where
    Pattern<W>: Patterns,
{
    fn new(lists: &[&[set::Rule]], counters: Counters) -> Result<Self, BenchError> {
        let of_list = |(feature, list): (usize, &&[set::Rule])| {
            let rules = list.iter().enumerate();
            rules.map(|(line, rule)| placed(feature, line, rule)).collect::<Vec<_>>()
        };
        let rules: Vec<_> = lists.iter().enumerate().flat_map(of_list).collect();
        let mut compiled = Compiled::new(rules.clone())?;
        let mut times = Vec::new();
        let mut peak = 0;
        for _ in 0..BUILDS {
            let (lines, rules) = (Arc::clone(&compiled.lines), rules.clone());
            let start = thread_ns();
            let (heap, built) = heap_during(|| Compiled::within(lines, rules));
            times.push((thread_ns() - start) as f64 / 1e6);
            compiled = built?;
            peak = heap + compiled.bytes();
        }
        let ms = Spread::of(times).median;
        let zeroes = |feature: usize| vec![[0; 2]; lists[feature].len() + 1];
        let counters = (counters == Counters::On).then(|| std::array::from_fn(zeroes));
        Ok(Self { compiled, isa: Isa::detect(), keys: untagged(), peak, ms, counters })
    }
}

impl<const W: usize, const F: usize> Ours<W, F>
where
    Keys<W>: Records,
{
    /// Hands the results of each vector, and how many count, to `each`.
    fn look_up(&mut self, headers: &Packed, mut each: impl FnMut(&Matches<F>, usize)) {
        let tcam = Tcam::new(&self.compiled.lines, self.isa);
        let object = self.compiled.classifier.object();
        for records in Keys::<W>::of(headers).chunks(VECTOR) {
            self.keys.fill(records);
            let select = PacketMask(u64::MAX >> (VECTOR - records.len()));
            let mut matches = Matches::new();
            tcam.look_up(object, &self.keys, select, &mut matches);
            for (feature, counters) in self.counters.iter_mut().flatten().enumerate() {
                for slot in 0..records.len() {
                    let counter = &mut counters[first(&matches, feature, slot) as usize];
                    *counter = [counter[0] + 1, counter[1] + LENGTH];
                }
            }
            each(&matches, records.len());
        }
    }
}

impl<const W: usize, const F: usize> Contestant for Ours<W, F>
where
    Keys<W>: Records,
    Pattern<W>: Patterns,
{
    fn name(&self) -> &'static str {
        if self.counters.is_some() { "qfp counting" } else { "qfp" }
    }

    fn bytes(&self) -> usize {
        self.compiled.bytes()
    }

    fn build_ms(&self) -> f64 {
        self.ms
    }

    fn peak_bytes(&self) -> usize {
        self.peak
    }

    fn run(&mut self, headers: &Packed) -> u32 {
        let mut sum = 0u32;
        self.look_up(headers, |matches, count| {
            sum = sum.wrapping_add(matches.result(0, 0) ^ matches.result(F - 1, count - 1));
        });
        sum
    }

    fn collect(&mut self, headers: &Packed) -> Vec<u32> {
        let mut all = Vec::with_capacity(headers.len() * F);
        self.look_up(headers, |matches, count| {
            for slot in 0..count {
                all.extend((0..F).map(|feature| first(matches, feature, slot)));
            }
        });
        all
    }
}

/// The number of the line found; 0 for none.
fn first<const F: usize>(matches: &Matches<F>, feature: usize, slot: usize) -> u32 {
    let result = matches.result(feature, slot);
    if result == NO_MATCH { 0 } else { result }
}

/// A classifier whose rules come and go.
pub(crate) struct Live<const W: usize> {
    compiled: Compiled<W>,
    rules: Vec<set::Rule>,
    object: Arc<AtomicU32>,
    /// How often all was built anew, because so much had changed.
    pub(crate) rebuilds: u64,
}

impl<const W: usize> Live<W>
where
    Pattern<W>: Patterns,
{
    /// All rules of a set.
    pub(crate) fn new(set: &Set) -> Result<Self, BenchError> {
        let rules = set.rules.iter().enumerate();
        let compiled = Compiled::new(rules.map(|(line, rule)| placed(0, line, rule)).collect())?;
        let object = Arc::new(AtomicU32::new(compiled.classifier.object()));
        Ok(Self { compiled, rules: set.rules.clone(), object, rebuilds: 0 })
    }

    /// One that looks up in it.
    pub(crate) fn reader(&self) -> LiveReader<W> {
        let (lines, object) = (Arc::clone(&self.compiled.lines), Arc::clone(&self.object));
        LiveReader { lines, object, isa: Isa::detect() }
    }
}

impl<const W: usize> Writer for Live<W>
where
    Pattern<W>: Patterns,
{
    fn change(&mut self, line: usize, present: bool) -> Result<(), BenchError> {
        let (place, rule) = placed(0, line, &self.rules[line]);
        let change = if present { Change::Add(place, rule) } else { Change::Remove(place) };
        let (mut memory, classifier) = self.compiled.memory();
        classifier.apply(&mut memory, &[change], Nodes::InPlace)?;
        self.object.store(classifier.object(), Release);
        Ok(())
    }

    fn grace(&mut self, passed: Grace) -> Result<(), BenchError> {
        let (mut memory, classifier) = self.compiled.memory();
        if classifier.wants_rebuild(&memory) {
            classifier.rebuild(&mut memory)?;
            self.object.store(classifier.object(), Release);
            self.rebuilds += 1;
        }
        self.compiled.time.begin();
        self.compiled.time.pass(passed);
        self.compiled.space.reclaim();
        Ok(())
    }
}

/// Looks up in a [`Live`].
pub(crate) struct LiveReader<const W: usize> {
    lines: Arc<[Line]>,
    object: Arc<AtomicU32>,
    isa: Isa,
}

impl<const W: usize> Reader for LiveReader<W>
where
    Keys<W>: Records,
{
    fn look_up(
        &self,
        headers: &Packed,
        vectors: Range<usize>,
        mut each: impl FnMut(&[u32; VECTOR]),
    ) {
        let tcam = Tcam::new(&self.lines, self.isa);
        let mut keys = untagged();
        let mut lines = [0; VECTOR];
        for records in &Keys::<W>::of(headers).as_chunks::<VECTOR>().0[vectors] {
            keys.fill(records);
            let mut matches = Matches::<1>::new();
            let object = self.object.load(Acquire);
            tcam.look_up(object, &keys, PacketMask(u64::MAX), &mut matches);
            for (slot, line) in lines.iter_mut().enumerate() {
                *line = first(&matches, 0, slot);
            }
            each(&lines);
        }
    }
}
