//! What is measured, in order.

use std::sync::Arc;
use std::time::Instant;

use qfp::core::fib::Leaf;
use qfp::pal::lcore::CpuId;
use qfp::pal::region::HugePages;

use crate::Effort;
use crate::allowed::Allowed;
use crate::family::Family;
use crate::input::{self, Rib, Update};
use crate::layout::{Compact, Dir24, Dir24Ahead, Layout, Trie};
use crate::race::{Contestant, race};
use crate::reference::Intervals;
use crate::replay::replay;
use crate::report::{Report, Score};
use crate::rivals::{Maker, Peers};
use crate::table::{Room, Table};
use crate::traffic::{Keys, hosts, patterns};
use contest::BenchError;

/// How and against whom.
pub(crate) struct Bench<'a> {
    pub(crate) effort: Effort,
    pub(crate) cpus: &'a [CpuId],
    pub(crate) peers: &'a Peers,
}

/// A table and what changes in it.
struct Input<A: Family> {
    rib: Rib<A>,
    updates: Vec<Update<A>>,
}

/// Updates with what readers look up meanwhile.
struct Stream<A: Family> {
    updates: Vec<Update<A>>,
    keys: Arc<Vec<A::Vector>>,
    allowed: Arc<Allowed>,
    /// Addresses with their leaves, before and after.
    before: (Keys<A>, Vec<u32>),
    after: (Keys<A>, Vec<u32>),
}

impl Bench<'_> {
    /// All cases of IPv4.
    pub(crate) fn v4(&self, report: &mut Report) -> Result<(), BenchError> {
        let input = self.input::<u32>("QFP_RIB_V4", "rib-v4", "QFP_UPDATES_V4", "updates-v4")?;
        let long = input::with_long_routes(&input.rib);
        let room = Room::new(&long, &input.updates, self.pages());
        let makers = &self.peers.v4;
        self.loads::<Dir24>(&input.rib, room, makers, report)?;
        self.loads::<Compact>(&input.rib, room, &[], report)?;
        let ours = |rib: &Rib<u32>| -> Result<Vec<Contestant<u32>>, BenchError> {
            let (mut dir24, mut compact) =
                (Table::<Dir24>::new(room)?, Table::<Compact>::new(room)?);
            dir24.load(rib)?;
            compact.load(rib)?;
            let ahead = Dir24Ahead(dir24.reader()?);
            Ok(vec![
                dir24.contestant()?,
                Contestant::new("dir24", "-ahead", dir24.bytes()?, ahead),
                compact.contestant()?,
            ])
        };
        self.lookups("", &input.rib, ours(&input.rib)?, makers, room, report);
        let measure = &makers[..makers.len().min(1)];
        let random = input::with_random_leaves(&input.rib);
        for (variant, rib) in [("-random-nh", &random), ("-long", &long)] {
            self.lookups(variant, rib, ours(rib)?, measure, room, report);
        }
        if let Some(stream) = self.stream(&input) {
            self.replay::<Dir24>(&input.rib, room, &stream, report)?;
            self.replay::<Compact>(&input.rib, room, &stream, report)?;
        }
        Ok(())
    }

    /// All cases of IPv6.
    pub(crate) fn v6(&self, report: &mut Report) -> Result<(), BenchError> {
        let input = self.input::<u128>("QFP_RIB_V6", "rib-v6", "QFP_UPDATES_V6", "updates-v6")?;
        let long = input::with_long_routes(&input.rib);
        let room = Room::new(&long, &input.updates, self.pages());
        let makers = &self.peers.v6;
        self.loads::<Trie>(&input.rib, room, makers, report)?;
        let ours = |rib: &Rib<u128>| -> Result<Vec<Contestant<u128>>, BenchError> {
            let mut trie = Table::<Trie>::new(room)?;
            trie.load(rib)?;
            Ok(vec![trie.contestant()?])
        };
        self.lookups("", &input.rib, ours(&input.rib)?, makers, room, report);
        let measure = &makers[..makers.len().min(1)];
        let random = input::with_random_leaves(&input.rib);
        for (variant, rib) in [("-random-nh", &random), ("-long", &long)] {
            self.lookups(variant, rib, ours(rib)?, measure, room, report);
        }
        if let Some(stream) = self.stream(&input) {
            self.replay::<Trie>(&input.rib, room, &stream, report)?;
        }
        Ok(())
    }

    fn pages(&self) -> HugePages {
        if self.peers.ordinary_pages { HugePages::Never } else { HugePages::Try }
    }

    fn input<A: Family>(
        &self,
        rib_variable: &str,
        rib_file: &str,
        updates_variable: &str,
        updates_file: &str,
    ) -> Result<Input<A>, BenchError> {
        let (rib, from) = input::table(rib_variable, &format!("{rib_file}.txt.zst"))?;
        eprintln!("{}: {} routes, {from}", A::NAME, rib.len());
        let file = format!("{updates_file}.txt.zst");
        let updates = input::updates(updates_variable, &file)?.unwrap_or_else(|| {
            eprintln!("skipped: {} updates, no stream in {updates_variable} nor {file}", A::NAME);
            Vec::new()
        });
        let updates = updates.into_iter().take(self.effort.updates).collect();
        Ok(Input { rib, updates })
    }

    /// Seconds to a table that forwards, memory included.
    fn loads<L: Layout>(
        &self,
        rib: &Rib<L::Key>,
        room: Room,
        makers: &[Maker<L::Key>],
        report: &mut Report,
    ) -> Result<(), BenchError> {
        let mut ours = Vec::new();
        let mut bytes = 0;
        for _ in 0..self.effort.loads {
            let start = Instant::now();
            let mut table = Table::<L>::new(room)?;
            table.load(rib)?;
            ours.push(start.elapsed().as_secs_f64());
            bytes = table.bytes()?;
        }
        let mut peer = None;
        if let Some(make) = makers.first() {
            for _ in 0..self.effort.loads {
                let start = Instant::now();
                match make(rib, room) {
                    Ok(made) => {
                        let (_, times) = peer.get_or_insert((made.name, Vec::new()));
                        times.push(start.elapsed().as_secs_f64());
                    }
                    Err(error) => eprintln!("no peer: {error}"),
                }
            }
        }
        let case = format!("{}{}/load", L::Key::NAME, L::LABEL);
        let peer = peer.as_ref().map(|(name, times)| (*name, &times[..]));
        report.load(&case, L::NAME, rib.len(), &ours, bytes, peer);
        Ok(())
    }

    /// Races on all patterns.
    fn lookups<A: Family>(
        &self,
        variant: &str,
        rib: &Rib<A>,
        ours: Vec<Contestant<A>>,
        makers: &[Maker<A>],
        room: Room,
        report: &mut Report,
    ) {
        let count = ours.len();
        let mut all = ours;
        for make in makers {
            match make(rib, room) {
                Ok(peer) => all.push(peer),
                Err(error) => eprintln!("no peer: {error}"),
            }
        }
        let reference = Intervals::new(rib);
        let rounds = if variant.is_empty() { self.effort.rounds } else { self.effort.rounds / 3 };
        for (pattern, keys) in patterns(rib) {
            if self.effort.quick && !variant.is_empty() && pattern != "P" {
                continue;
            }
            let expected: Vec<u32> = keys.iter().map(|&key| reference.leaf(key)).collect();
            let keys = Keys::new(&keys);
            let samples = race(&all, &keys, rounds);
            let score = |i: usize| Score {
                name: all[i].name,
                samples: &samples[i],
                bytes: all[i].bytes,
                wrong: all[i].wrong(&keys, &expected),
            };
            let measure = (count < all.len()).then(|| score(count));
            for (i, contestant) in all[..count].iter().enumerate() {
                let case = format!("{}{}{variant}/{pattern}", A::NAME, contestant.label);
                report.lookups(&case, &score(i), measure.as_ref());
            }
            for (i, peer) in all.iter().enumerate().skip(count + 1) {
                let case = format!("{}-{}{variant}/{pattern}", A::NAME, peer.name);
                report.lookups(&case, &score(0), Some(&score(i)));
            }
        }
    }

    /// What a replay needs, or none without updates.
    fn stream<A: Family>(&self, input: &Input<A>) -> Option<Stream<A>> {
        let Input { rib, updates } = input;
        if updates.is_empty() {
            return None;
        }
        // Half of the readers' addresses lie in prefixes that change.
        let half = self.effort.replay_keys / 2;
        let quiet = hosts(rib.keys().copied(), half, 6);
        let busy = hosts(updates.iter().map(|(prefix, _)| *prefix), half, 7);
        let keys: Vec<A> = quiet.into_iter().zip(busy).flat_map(|(a, b)| [a, b]).collect();
        let mut last: Rib<A> = rib.clone();
        for &(prefix, leaf) in updates {
            set(&mut last, prefix, leaf);
        }
        let check = |rib: &Rib<A>| {
            let reference = Intervals::new(rib);
            let mut probes = reference.edges();
            probes.extend(&keys);
            // Whole vectors.
            probes.truncate(probes.len() / 64 * 64);
            let leaves = probes.iter().map(|&key| reference.leaf(key)).collect();
            (Keys::new(&probes), leaves)
        };
        Some(Stream {
            updates: updates.clone(),
            before: check(rib),
            after: check(&last),
            allowed: Arc::new(Allowed::new(&keys, rib, updates)),
            keys: Arc::new(Keys::new(&keys).vectors),
        })
    }

    fn replay<L: Layout>(
        &self,
        rib: &Rib<L::Key>,
        room: Room,
        stream: &Stream<L::Key>,
        report: &mut Report,
    ) -> Result<(), BenchError> {
        let mut table = Table::<L>::new(room)?;
        table.load(rib)?;
        let contestant = table.contestant()?;
        let mut wrong = contestant.wrong(&stream.before.0, &stream.before.1);
        let outcome =
            replay(&mut table, &stream.updates, &stream.keys, &stream.allowed, self.cpus)?;
        wrong += contestant.wrong(&stream.after.0, &stream.after.1);
        let case = format!("{}{}/updates", L::Key::NAME, L::LABEL);
        report.updates(&case, L::NAME, &outcome, wrong);
        Ok(())
    }
}

fn set<A: Family>(rib: &mut Rib<A>, prefix: qfp::core::fib::Prefix<A>, leaf: Option<Leaf>) {
    match leaf {
        Some(leaf) => rib.insert(prefix, leaf),
        None => rib.remove(&prefix),
    };
}
