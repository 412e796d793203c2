//! Access lists and route maps in use, and what their rules have counted.

mod text;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use client::Client;
use client::acl::{AccessList, Document, Family};
use client::config::Config;
use client::ea::{BoundClass, ClassFacts, CounterName, RuleName, SecurityRule};
use client::pbr::{RouteMaps, RuleKey};
use qfp_core::counters::CounterTotals;

pub(crate) use self::text::{of_entry, of_rule};
use qfp_core::qos::ClassEvent;

use crate::report::{
    AccessListReport, ClassReport, Count, RouteMapReport, RuleReport, SecurityReport,
};

/// What an operator may change while packets flow, and where the counts of its rules begin.
pub(crate) struct Lists {
    pub(crate) document: Document,
    route_maps: RouteMaps,
    totals: Arc<CounterTotals>,
    /// Packets and bytes that were counted for earlier rules, by number of the counters.
    baselines: HashMap<u32, Counts>,
}

type Counts = (u64, u64);

/// A rule's text, and where it is counted.
#[derive(Clone, Debug)]
struct Counted {
    sequence: u32,
    text: Arc<str>,
    number: u32,
    before: Counts,
}

/// A list, its report without rules, and these.
#[derive(Debug)]
struct ListInUse {
    list: Arc<AccessList>,
    report: AccessListReport,
    rules: Arc<[Counted]>,
}

/// Lists, route maps and tables as they are until rules change again.
#[derive(Debug, Default)]
pub(crate) struct InUse {
    lists: Vec<ListInUse>,
    route_maps: Vec<(RouteMapReport, Vec<Counted>)>,
    /// With the baselines of their events.
    classes: Vec<(BoundClass, ClassFacts, Vec<Counts>)>,
    security: Vec<(SecurityRule, Counted)>,
}

impl Lists {
    /// The lists of a configuration that has been committed.
    pub(crate) fn new(config: &Config, totals: Arc<CounterTotals>) -> Self {
        Self {
            document: config.access_lists.clone(),
            route_maps: config.route_maps.clone(),
            totals,
            baselines: HashMap::new(),
        }
    }

    /// To be called before rules change: what counts new rules may get, they get from here on.
    pub(crate) fn before_change(&mut self, client: &mut Client) {
        for number in client.take_idle_counters() {
            self.baselines.insert(number, self.totals.rule(number));
        }
    }

    /// The lists of another configuration, which has been committed.
    pub(crate) fn follow(&mut self, config: &Config, client: &mut Client) {
        self.document = config.access_lists.clone();
        self.route_maps = config.route_maps.clone();
        // What the counters of new classes have counted so far is not theirs.
        for first in client.take_new_classes() {
            for number in first..first + ClassEvent::COUNT {
                self.baselines.insert(number, self.totals.rule(number));
            }
        }
    }

    /// What is bound to interfaces now. Some microseconds a rule of lists that were not `before`.
    pub(crate) fn in_use(&self, client: &Client, before: &InUse) -> InUse {
        let mut lists: BTreeMap<(Family, &str), Vec<(RuleName, u32)>> = BTreeMap::new();
        let mut maps: BTreeMap<(Family, &str), Vec<(u16, u32)>> = BTreeMap::new();
        let mut security: Vec<(SecurityRule, u32)> = Vec::new();
        for (name, number) in client.rule_counters() {
            match name {
                CounterName::Ace(family, list, rule) => {
                    lists.entry((*family, list)).or_default().push((*rule, number));
                }
                CounterName::Policy(family, map, RuleKey::Entry(sequence)) => {
                    maps.entry((*family, map)).or_default().push((*sequence, number));
                }
                CounterName::Policy(_, _, RuleKey::Flow(_)) => {}
                CounterName::Security(rule) => security.push((rule.clone(), number)),
            }
        }
        let lists = lists.into_iter().filter_map(|((family, name), mut rules)| {
            let list = self.document.shared(family, name)?;
            let known = before.lists.iter().find(|known| known.list == *list);
            let known = known.filter(|known| known.rules.len() == rules.len());
            rules.sort_unstable_by_key(|(rule, _)| (rule.implicit, rule.sequence));
            let counted = rules.into_iter().enumerate().filter_map(|(n, (rule, number))| {
                let text = match known {
                    Some(known) => Arc::clone(&known.rules[n].text),
                    None => of_rule(list, rule)?.into(),
                };
                Some(self.counted(rule.sequence, text, number))
            });
            let (name, kind, rules) = (name.to_owned(), list.kind(), counted.collect());
            let report = AccessListReport { family, name, kind, rules: Vec::new() };
            Some(ListInUse { list: Arc::clone(list), report, rules })
        });
        let route_maps = maps.into_iter().filter_map(|((family, name), mut entries)| {
            let map = self.route_maps.get(name)?;
            entries.sort_unstable();
            let counted = entries.into_iter().filter_map(|(sequence, number)| {
                let text = of_entry(map, sequence)?;
                Some(self.counted(u32::from(sequence), text.into(), number))
            });
            let name = name.to_owned();
            Some((RouteMapReport { family, name, entries: Vec::new() }, counted.collect()))
        });
        let classes = client.service_classes();
        let before = |number| self.baselines.get(&number).copied().unwrap_or_default();
        let classes = classes.map(|(class, facts)| {
            let before = (facts.counters..facts.counters + ClassEvent::COUNT).map(before);
            let before = before.collect();
            (class, facts, before)
        });
        security.sort_unstable();
        let security = security.into_iter().map(|(rule, number)| {
            let counted = self.counted(0, Arc::default(), number);
            (rule, counted)
        });
        InUse {
            lists: lists.collect(),
            route_maps: route_maps.collect(),
            classes: classes.collect(),
            security: security.collect(),
        }
    }

    fn counted(&self, sequence: u32, text: Arc<str>, number: u32) -> Counted {
        let before = self.baselines.get(&number).copied().unwrap_or_default();
        Counted { sequence, text, number, before }
    }
}

impl InUse {
    /// The lists, with what has been counted so far.
    pub(crate) fn access_lists(&self, totals: &CounterTotals) -> Vec<AccessListReport> {
        let report = |one: &ListInUse| AccessListReport {
            rules: rules(&one.rules, totals),
            ..one.report.clone()
        };
        self.lists.iter().map(report).collect()
    }

    /// The classes of service policies, with what has been counted so far.
    pub(crate) fn classes(&self, totals: &CounterTotals) -> Vec<ClassReport> {
        let report = |(class, facts, before): &(BoundClass, ClassFacts, Vec<Counts>)| {
            let count = |event: ClassEvent| {
                let (packets, bytes) = totals.rule(facts.counters + event as u32);
                let before = before.get(event as usize).copied().unwrap_or_default();
                let packets = packets.saturating_sub(before.0);
                Count { packets, bytes: bytes.saturating_sub(before.1) }
            };
            ClassReport {
                class: class.clone(),
                warnings: facts.warnings.clone(),
                policed: facts.policed,
                matched: count(ClassEvent::Matched),
                conform: count(ClassEvent::Conform),
                exceed: count(ClassEvent::Exceed),
                violate: count(ClassEvent::Violate),
                dropped: count(ClassEvent::Dropped),
            }
        };
        self.classes.iter().map(report).collect()
    }

    /// The rules of security policies, with what has been counted so far.
    pub(crate) fn security(&self, totals: &CounterTotals) -> Vec<SecurityReport> {
        let report = |(rule, counted): &(SecurityRule, Counted)| {
            let (packets, bytes) = totals.rule(counted.number);
            let count = Count {
                packets: packets.saturating_sub(counted.before.0),
                bytes: bytes.saturating_sub(counted.before.1),
            };
            SecurityReport { rule: rule.clone(), count }
        };
        self.security.iter().map(report).collect()
    }

    /// The route maps, with what has been counted so far.
    pub(crate) fn route_maps(&self, totals: &CounterTotals) -> Vec<RouteMapReport> {
        let report = |(map, counted): &(RouteMapReport, Vec<Counted>)| RouteMapReport {
            entries: rules(counted, totals),
            ..map.clone()
        };
        self.route_maps.iter().map(report).collect()
    }
}

fn rules(counted: &[Counted], totals: &CounterTotals) -> Vec<RuleReport> {
    let report = |rule: &Counted| {
        let (packets, bytes) = totals.rule(rule.number);
        RuleReport {
            sequence: rule.sequence,
            text: Arc::clone(&rule.text),
            packets: packets.saturating_sub(rule.before.0),
            bytes: bytes.saturating_sub(rule.before.1),
        }
    };
    counted.iter().map(report).collect()
}
