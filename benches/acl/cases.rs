//! What is measured, in order.

use qfp::core::acl::Pattern;
use qfp::core::acl::key::{Keys, WORDS4, WORDS6};
use qfp::hal::VECTOR;
use qfp::pal::lcore::CpuId;

use crate::Effort;
use crate::keys::Records;
use crate::oracle::Oracle;
use crate::ours::{self, Counters, Live, Patterns};
use crate::packed::Packed;
use crate::race::{Contestant, race, wrong};
use crate::report::{Report, Score};
use crate::rivals::Peers;
use crate::set::{Family, Rule, Set};
use crate::traffic::Traffic;
use crate::updates::{Reader, updates};
use contest::BenchError;

/// Headers of a kind that is not in a file.
const HEADERS: usize = 20_480;
/// The same for large sets: a trace visits most of their rules.
const HEADERS_LARGE: usize = 65_536;
/// Sizes of the short lists.
const SHORT: [usize; 3] = [16, 32, 64];
/// The lists of the case with three features: ACL, PBR, QoS.
const FEATURES: [&str; 3] = ["acl1_1k", "fw1_1k", "ipc1_1k"];

/// The sets whose rules are counted, and come and go.
const BUSY: [&str; 4] = ["acl1_10k", "fw1_10k", "ipc1_10k", "acl1_v6_10k"];

/// How and against whom.
pub(crate) struct Bench<'a> {
    pub(crate) effort: &'a Effort,
    pub(crate) peers: &'a Peers,
    /// Where another thread may run.
    pub(crate) cpu: CpuId,
}

/// Lists with headers to look up in them.
struct Case<'a> {
    name: &'a str,
    family: Family,
    lists: &'a [&'a [Rule]],
    peers: Vec<Box<dyn Contestant>>,
}

impl Bench<'_> {
    /// All cases.
    pub(crate) fn run(&self, sets: &[Set], report: &mut Report) -> Result<(), BenchError> {
        for set in sets.iter().filter(|set| self.effort.wants(&set.name)) {
            self.whole(set, report)?;
        }
        for set in sets.iter().filter(|set| FEATURES.contains(&&*set.name)) {
            self.short(set, report)?;
        }
        self.features(sets, report)?;
        for set in sets.iter().filter(|set| BUSY.contains(&&*set.name)) {
            self.counters(set, report)?;
            self.updates(set, report)?;
        }
        Ok(())
    }

    /// A set with its trace, or one like it, and with traffic that likes it less.
    fn whole(&self, set: &Set, report: &mut Report) -> Result<(), BenchError> {
        let (name, rules) = (&set.name, &set.rules[..]);
        let count = if set.trace.is_some() { HEADERS } else { HEADERS_LARGE };
        let lists = [Oracle::new(set.family, rules)];
        let mut all = Vec::new();
        match &set.trace {
            Some(trace) => {
                let headers = trace.iter().map(|(header, _)| *header).collect();
                let expected = trace.iter().map(|(_, first)| *first).collect();
                all.push((Traffic { kind: "trace", headers }, expected));
            }
            None => all.push(checked(Traffic::corners(set.family, rules, count), &lists)),
        }
        all.push(checked(Traffic::random(set.family, HEADERS), &lists));
        all.push(checked(Traffic::crossed(set.family, rules, HEADERS), &lists));
        let peers = self.peers.one(set.family, rules);
        let case = Case { name, family: set.family, lists: &[rules], peers };
        self.race(case, &all, report)
    }

    /// A few rules of a set, taken from all over it.
    fn short(&self, set: &Set, report: &mut Report) -> Result<(), BenchError> {
        for size in SHORT {
            let name = format!("{}-{size}", set.name);
            if !self.effort.wants(&name) {
                continue;
            }
            let step = set.rules.len().div_ceil(size);
            let rules: Vec<Rule> = set.rules.iter().step_by(step).cloned().collect();
            let lists = [Oracle::new(set.family, &rules)];
            let all = [
                checked(Traffic::corners(set.family, &rules, HEADERS), &lists),
                checked(Traffic::random(set.family, HEADERS), &lists),
            ];
            let peers = self.peers.one(set.family, &rules);
            let case = Case { name: &name, family: set.family, lists: &[&rules], peers };
            self.race(case, &all, report)?;
        }
        Ok(())
    }

    /// Three lists in one pass, with headers from the traces of all of them.
    fn features(&self, sets: &[Set], report: &mut Report) -> Result<(), BenchError> {
        let name = "features";
        if !self.effort.wants(name) {
            return Ok(());
        }
        let found = FEATURES.map(|name| sets.iter().find(|set| set.name == name));
        let [Some(acl), Some(pbr), Some(qos)] = found else {
            eprintln!("skipped: {name}, which takes {FEATURES:?}");
            return Ok(());
        };
        let family = acl.family;
        let lists = [acl, pbr, qos].map(|set| &set.rules[..]);
        let oracles = lists.map(|rules| Oracle::new(family, rules));
        let each = lists.map(|rules| Traffic::corners(family, rules, HEADERS / 3).headers);
        let headers = (0..HEADERS / 3).flat_map(|at| each.iter().map(move |list| list[at]));
        let corners = Traffic { kind: "trace", headers: headers.collect() };
        let all =
            [corners, Traffic::random(family, HEADERS)].map(|traffic| checked(traffic, &oracles));
        let peers = self.peers.several(family, &lists);
        self.race(Case { name, family, lists: &lists, peers }, &all, report)
    }

    /// What counters cost: with them against without.
    fn counters(&self, set: &Set, report: &mut Report) -> Result<(), BenchError> {
        let (name, family, rules) = (format!("{}-counters", set.name), set.family, &set.rules[..]);
        if !self.effort.wants(&name) {
            return Ok(());
        }
        let corners = Traffic::corners(family, rules, HEADERS);
        let all = [checked(corners, &[Oracle::new(family, rules)])];
        let (lists, peers) = ([rules], vec![ours::contestant(family, &[rules], Counters::Off)?]);
        let ours = ours::contestant(family, &lists, Counters::On)?;
        self.race_of(ours, Case { name: &name, family, lists: &lists, peers }, &all, report)
    }

    /// Rules come and go.
    fn updates(&self, set: &Set, report: &mut Report) -> Result<(), BenchError> {
        match set.family {
            Family::V4 => self.updates_of::<WORDS4>(set, report),
            Family::V6 => self.updates_of::<WORDS6>(set, report),
        }
    }

    fn updates_of<const W: usize>(&self, set: &Set, report: &mut Report) -> Result<(), BenchError>
    where
        Keys<W>: Records,
        Pattern<W>: Patterns,
    {
        let name = format!("{}/updates", set.name);
        if !self.effort.wants(&name) {
            return Ok(());
        }
        let oracle = [Oracle::new(set.family, &set.rules)];
        let (traffic, expected) =
            checked(Traffic::corners(set.family, &set.rules, HEADERS), &oracle);
        let mut live = Live::<W>::new(set)?;
        let reader = live.reader();
        let outcome = updates(set, &traffic.headers, &mut live, reader, self.cpu)?;
        let packed = Packed::new(set.family, &traffic.headers);
        let mut after: Vec<u32> = Vec::new();
        live.reader().look_up(&packed, 0..packed.len() / VECTOR, |lines| after.extend(lines));
        let wrong = after.iter().zip(&expected).filter(|(line, right)| line != right).count();
        let peer = self.peers.one(set.family, &set.rules);
        let rebuild_ms = peer.first().map(|peer| (peer.name(), peer.build_ms()));
        report.updates(&name, set.rules.len(), &outcome, live.rebuilds, rebuild_ms, wrong);
        Ok(())
    }

    /// Races on each kind of headers.
    fn race(
        &self,
        case: Case<'_>,
        all: &[(Traffic, Vec<u32>)],
        report: &mut Report,
    ) -> Result<(), BenchError> {
        let ours = ours::contestant(case.family, case.lists, Counters::Off)?;
        self.race_of(ours, case, all, report)
    }

    fn race_of(
        &self,
        ours: Box<dyn Contestant>,
        case: Case<'_>,
        all: &[(Traffic, Vec<u32>)],
        report: &mut Report,
    ) -> Result<(), BenchError> {
        let mut contestants: Vec<_> = std::iter::once(ours).chain(case.peers).collect();
        let rules = case.lists.iter().map(|list| list.len()).sum();
        for (traffic, expected) in all {
            let headers = Packed::new(case.family, &traffic.headers);
            let bursts: Vec<_> = contestants.iter_mut().map(|one| one.tune(&headers)).collect();
            let samples = race(&mut contestants, &headers, self.effort.rounds);
            let scores = contestants.iter_mut().zip(samples).zip(bursts);
            let mut scores: Vec<Score> = scores
                .map(|((one, samples), burst)| {
                    let wrong = wrong(one.as_mut(), &headers, expected);
                    Score::new(one.as_ref(), samples, wrong, burst)
                })
                .collect();
            let peers = scores.split_off(1);
            let name = format!("{}/{}", case.name, traffic.kind);
            report.lookups(&name, rules, &scores[0], &peers);
        }
        Ok(())
    }
}

/// Headers with what is right for them.
fn checked(traffic: Traffic, lists: &[Oracle]) -> (Traffic, Vec<u32>) {
    let expected = traffic.expected(lists);
    (traffic, expected)
}
