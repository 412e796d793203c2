//! Classification: the objects that interfaces are bound to, and the numbers of their rules.
//!
//! Interfaces with the same lists and the same policy share one object. A commit builds new objects
//! beside those in use and binds them with its generation; edits of a single list change objects in
//! place, each with one store.

mod object;
mod patterns;
mod rules;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Release;

use driver::{Driver, DriverError};
use pal::publication::{Grace, RootDraft};
use pal::region::{Block, Draft};
use qfp_core::acl::key::{WORDS4, WORDS6};
use qfp_core::acl::{
    Binding, Bindings, Change, ClassifierError, Feature, Line, Memory, NO_MATCH, Pattern, Place,
    Rule, Space,
};
use qfp_core::pbr::{NEXT_HOPS, PbrAction};
use qfp_core::tables::table_kind;
use qfp_core::uidb::{TableId, UidbIndex};

use self::object::{Changes, Compiled, Rules};
use self::patterns::Addresses;
use crate::acl::{AccessList, Document, Family};
use crate::commit::Features;
use crate::config::{Config, Interface, Interfaces};
use crate::ea::qos::{BoundClass, ClassFacts, QosAgent, QosBefore, QosError, QosPlan};
use crate::flowspec::Match;
use crate::mqc;
use crate::pbr::{self, Condition, Mark, RuleKey};
use crate::rm::{Exhausted, Numbers};

pub(crate) use self::rules::MAX_ACES;
pub use self::rules::{RuleError, RuleName};

/// Why access lists and policies cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum AclError {
    /// A list or policy.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The classifier.
    #[error("{what}: {error}")]
    Classifier {
        /// Which lists and policies.
        what: String,
        /// What is wrong.
        error: ClassifierError,
    },
    /// No numbers left.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// A service policy.
    #[error(transparent)]
    Service(#[from] QosError),
    /// A service policy's rules.
    #[error(transparent)]
    Policy(#[from] Box<mqc::CompileError<RuleError>>),
    /// Memory for the tables.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

impl AclError {
    /// Whether more memory would have helped.
    pub(crate) const fn is_no_room(&self) -> bool {
        matches!(self, Self::Classifier { error: ClassifierError::Space(_), .. })
    }
}

/// What a classification object is made of: interfaces with the same share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// Whose packets.
    pub family: Family,
    /// Access list.
    pub list: Option<String>,
    /// Route map.
    pub policy: Option<String>,
    /// Whether flow specifications apply.
    pub flows: bool,
    /// Service policy.
    pub service: Option<String>,
}

impl ObjectName {
    /// The name of an object without rules.
    fn nothing(family: Family) -> Self {
        Self { family, list: None, policy: None, flows: false, service: None }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match self.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        f.write_str(family)?;
        if let Some(list) = &self.list {
            write!(f, " access list {list}")?;
        }
        if let Some(policy) = &self.policy {
            write!(f, " route map {policy}")?;
        }
        if let Some(service) = &self.service {
            write!(f, " policy-map {service}")?;
        }
        f.write_str(if self.flows { " flow specifications" } else { "" })
    }
}

/// Whose counters a number stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CounterName {
    /// A rule of an access list.
    Ace(Family, String, RuleName),
    /// A rule of a route map.
    Policy(Family, String, RuleKey),
}

/// What of the classifier is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcamUsage {
    /// Lines of 64 bytes in all.
    pub lines: u32,
    /// Free lines.
    pub free: u32,
    /// Lines that wait for lcores to move on.
    pub waiting: u32,
    /// Numbers for rules' counters, in all and in use.
    pub counters: (u32, u32),
    /// Objects: what they are made of, how many rules, how many bindings.
    pub objects: Vec<(ObjectName, usize, usize)>,
}

struct Object {
    number: u32,
    compiled: Compiled,
    bindings: usize,
}

/// The tables that change with a generation.
#[derive(Clone, Copy)]
struct Blocks {
    bindings: Block<Bindings>,
    actions: Block<PbrAction>,
}

/// A generation's objects and tables, ready to be published.
pub(crate) struct AclPlan {
    fresh: Vec<(ObjectName, Object)>,
    /// All objects of the generation, and their bindings.
    used: BTreeMap<ObjectName, usize>,
    bindings: Draft<Bindings>,
    actions: Draft<PbrAction>,
    counters: Vec<CounterName>,
    counters_used: HashSet<CounterName>,
    services: QosPlan,
}

/// A rule of a list that an edit has touched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touched {
    /// Which one.
    pub(crate) rule: RuleName,
    /// Which one it was before, if its counters are still its own.
    pub(crate) was: Option<RuleName>,
}

/// Numbers of counters that an edit wants changed.
struct Renumbered {
    /// For each rule in question; none for one that goes.
    new: Vec<Option<u32>>,
    /// Those that no rule had.
    taken: Vec<u32>,
    /// Those that no rule will have.
    gone: Vec<u32>,
}

/// What a publication replaced.
#[must_use]
pub(crate) struct AclBefore(Option<Blocks>, Option<QosBefore>);

/// The agent for access lists and policies.
pub(crate) struct AclAgent {
    lines: Block<Line>,
    heads: Block<AtomicU32>,
    space: Space,
    /// Epochs of the space, and the grace periods that end them.
    waiting: VecDeque<(u64, Grace)>,
    numbers: Numbers,
    /// Object numbers that lcores may still look up, by epoch.
    leaving: VecDeque<(u64, u32)>,
    counter_numbers: Numbers,
    counters: HashMap<CounterName, u32>,
    /// Counter numbers of rules that are gone, which lcores may still count by, by epoch.
    ceasing: VecDeque<(u64, u32)>,
    /// Those that no lcore counts by any more. New rules get them once somebody has asked.
    idle: Vec<u32>,
    objects: BTreeMap<ObjectName, Object>,
    blocks: Option<Blocks>,
    limits: (u32, u32),
    services: QosAgent,
    /// Rules of flow specifications, IPv4 and IPv6.
    flows: [Vec<pbr::Rule>; 2],
}

impl AclAgent {
    /// Tables of `lines` lines, for rules with `counters` counters and `classes` bound classes.
    pub(crate) fn new(
        driver: &mut Driver,
        lines: u32,
        counters: u32,
        classes: u32,
    ) -> Result<Self, DriverError> {
        let services = QosAgent::new(driver, classes, counters)?;
        let objects = 1 << 12;
        let memory = driver.alloc::<Line>(lines.max(1) as usize)?.publish();
        let heads = driver.alloc::<AtomicU32>(objects as usize)?.publish();
        driver.commit(|root| {
            root.set(table_kind::ACL_LINES, memory).set(table_kind::ACL_OBJECTS, heads);
        })?;
        Ok(Self {
            lines: memory,
            heads,
            space: Space::new(lines),
            waiting: VecDeque::new(),
            numbers: Numbers::new("classification objects", 1, objects),
            leaving: VecDeque::new(),
            counter_numbers: Numbers::new("rules' counters", 0, counters),
            counters: HashMap::new(),
            ceasing: VecDeque::new(),
            idle: Vec::new(),
            objects: BTreeMap::new(),
            blocks: None,
            limits: (lines, counters),
            services,
            flows: [Vec::new(), Vec::new()],
        })
    }

    /// The agent for service policies.
    pub(crate) fn services(&mut self) -> &mut QosAgent {
        &mut self.services
    }

    /// Bound classes, and what they have.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (&BoundClass, &ClassFacts)> {
        self.services.classes()
    }

    /// Takes the rules of flow specifications, which the next commit binds to all interfaces.
    pub(crate) fn set_flows(&mut self, four: Vec<pbr::Rule>, six: Vec<pbr::Rule>) {
        self.flows = [four, six];
    }

    fn has_flows(&self) -> bool {
        self.flows.iter().any(|rules| !rules.is_empty())
    }

    /// Rows that are on for an interface because of what is bound to it.
    pub(crate) fn features(&self, interface: &Interface<'_>) -> Features {
        use qfp_core::fia::Gate;
        let on = |condition: bool, gate: Gate| if condition { gate.mask() } else { 0 };
        Features {
            ingress: on(!interface.acl_in().is_empty(), Gate::ACL_IN)
                | on(interface.policy_route().is_some() || self.has_flows(), Gate::PBR_IN)
                | on(interface.service_policy_in().is_some(), Gate::QOS_IN),
            egress: on(!interface.acl_out().is_empty(), Gate::ACL_OUT)
                | on(interface.service_policy_out().is_some(), Gate::QOS_OUT),
        }
    }

    /// Compiles what `config` binds to interfaces, where no lcore sees it.
    pub(crate) fn prepare(
        &mut self,
        driver: &Driver,
        config: &Config,
        interfaces: &Interfaces<'_>,
        uidb: impl Fn(&Interface<'_>) -> UidbIndex,
        rows: usize,
        table: impl Fn(&str) -> Option<TableId>,
    ) -> Result<AclPlan, AclError> {
        let mut wanted: Vec<(UidbIndex, [Option<ObjectName>; 4])> = Vec::new();
        for interface in interfaces.all() {
            wanted.push((uidb(interface), names(config, interface, self.has_flows())));
        }
        let services = self.services.prepare(driver, config, interfaces, &uidb)?;
        let mut plan = AclPlan {
            fresh: Vec::new(),
            used: BTreeMap::new(),
            bindings: driver.alloc::<Bindings>(rows.max(1))?,
            actions: driver.alloc::<PbrAction>(1)?,
            counters: Vec::new(),
            counters_used: HashSet::new(),
            services,
        };
        let outcome = self.fill(driver, config, &wanted, &table, &mut plan);
        match outcome {
            Ok(()) => Ok(plan),
            Err(error) => {
                self.cancel(driver, plan);
                Err(error)
            }
        }
    }

    fn fill(
        &mut self,
        driver: &Driver,
        config: &Config,
        wanted: &[(UidbIndex, [Option<ObjectName>; 4])],
        table: &impl Fn(&str) -> Option<TableId>,
        plan: &mut AclPlan,
    ) -> Result<(), AclError> {
        for name in wanted.iter().flat_map(|(_, names)| names).flatten() {
            *plan.used.entry(name.clone()).or_default() += 1;
        }
        let mut numbers: HashMap<&ObjectName, u32> = HashMap::new();
        let mut actions: BTreeMap<u32, PbrAction> = BTreeMap::new();
        let used: Vec<(ObjectName, usize)> =
            plan.used.iter().map(|(name, count)| (name.clone(), *count)).collect();
        for (name, bindings) in &used {
            let rules = self.rules(config, name, table, plan, &mut actions)?;
            if let Some(object) = self.objects.get(name).filter(|o| o.compiled.holds(&rules)) {
                numbers.insert(name, object.number);
                continue;
            }
            let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
            let compiled = Compiled::build(&mut memory, rules)
                .map_err(|error| AclError::Classifier { what: name.to_string(), error })?;
            let number = match self.numbers.take() {
                Ok(number) => number,
                Err(error) => {
                    compiled.retire(&mut memory);
                    return Err(error.into());
                }
            };
            self.point(driver, number, compiled.line());
            numbers.insert(name, number);
            plan.fresh.push((name.clone(), Object { number, compiled, bindings: *bindings }));
        }
        let last = actions.last_key_value().map_or(0, |(row, _)| *row as usize + 1);
        plan.actions = driver.alloc::<PbrAction>(last.max(1))?;
        for (row, action) in actions {
            plan.actions[row as usize] = action;
        }
        for (uidb, names) in wanted {
            let binding = |name: &Option<ObjectName>| {
                let Some(name) = name else { return Binding::default() };
                let object = numbers.get(name).copied().unwrap_or(0);
                Binding { object, only: only(name).map_or(0, |feature| feature as u32 + 1) }
            };
            let [in4, in6, out4, out6] = names.each_ref().map(binding);
            if let Some(row) = plan.bindings.get_mut(usize::from(uidb.0)) {
                let bases = plan.services.bases.get(uidb).copied().unwrap_or_default();
                let (classes_in, classes_out) = bases;
                *row = Bindings { in4, in6, out4, out6, classes_in, classes_out };
            }
        }
        Ok(())
    }

    /// Points an object's number to its line; lcores that know the number follow at once.
    fn point(&self, driver: &Driver, number: u32, line: u32) {
        if let Some(head) = driver.view(self.heads).get(number as usize - 1) {
            // Whatever the line refers to comes before it.
            head.store(line, Release);
        }
    }

    /// The rules of an object, and the rows of its policy's actions.
    fn rules(
        &mut self,
        config: &Config,
        name: &ObjectName,
        table: &impl Fn(&str) -> Option<TableId>,
        plan: &mut AclPlan,
        actions: &mut BTreeMap<u32, PbrAction>,
    ) -> Result<Rules, AclError> {
        match name.family {
            Family::V4 => {
                self.rules_of::<WORDS4>(config, name, table, plan, actions).map(Rules::V4)
            }
            Family::V6 => {
                self.rules_of::<WORDS6>(config, name, table, plan, actions).map(Rules::V6)
            }
        }
    }

    fn rules_of<const W: usize>(
        &mut self,
        config: &Config,
        name: &ObjectName,
        table: &impl Fn(&str) -> Option<TableId>,
        plan: &mut AclPlan,
        actions: &mut BTreeMap<u32, PbrAction>,
    ) -> Result<Vec<(Place, Rule<W>)>, AclError>
    where
        Pattern<W>: Addresses,
    {
        let mut all = Vec::new();
        let lists = &config.access_lists;
        if let Some(list) = &name.list {
            let list =
                lists.list(name.family, list).ok_or_else(|| RuleError::NoList(list.clone()))?;
            let rules = rules::of_list::<W>(list, &lists.objects)?;
            for (rule, ..) in &rules {
                let counter = CounterName::Ace(name.family, list.name().to_string(), *rule);
                self.number(counter, plan)?;
            }
            let number = |rule| {
                let counter = CounterName::Ace(name.family, list.name().to_string(), rule);
                self.counters.get(&counter).copied().unwrap_or(u32::MAX)
            };
            all.extend(rules::numbered(rules, number));
        }
        // Flow specifications come before the operator's own policy (ING-06).
        let mut rules: Vec<pbr::Rule> = Vec::new();
        if name.flows {
            rules.extend_from_slice(&self.flows[usize::from(name.family == Family::V6)]);
        }
        let policy = name.policy.as_deref().unwrap_or_default();
        if name.policy.is_some() {
            let Some(map) = config.route_maps.get(policy) else {
                return Err(RuleError::NoList(policy.to_owned()).into());
            };
            rules.extend(map.rules(name.family));
        }
        let mut rows = Vec::with_capacity(rules.len());
        for rule in &rules {
            let counter = CounterName::Policy(name.family, policy.to_owned(), rule.key);
            let row = self.number(counter, plan)?;
            actions.insert(row, action(policy, rule, row, table)?);
            rows.push(row);
        }
        let patterns = rules::of_policy::<W>(policy, &rules, lists, name.family)?;
        for (sequence, (pattern, outcome)) in (1..).zip(patterns) {
            let result = outcome.and_then(|n| rows.get(n).copied()).unwrap_or(NO_MATCH);
            let place = Place { feature: Feature::Pbr as u8, sequence };
            all.push((place, Rule { result, patterns: vec![pattern] }));
        }
        if let Some(service) = &name.service {
            let rules_of = |list: &AccessList| {
                let rules = rules::of_list::<W>(list, &lists.objects)?;
                let rules = rules.into_iter().flat_map(|(_, verdict, patterns)| {
                    patterns.into_iter().map(move |pattern| (pattern, !verdict.denies()))
                });
                Ok(rules.collect())
            };
            let rules = mqc::compile::<W, RuleError>(
                &config.policies,
                service,
                name.family,
                lists,
                rules_of,
            )
            .map_err(Box::new)?;
            for (sequence, (pattern, class)) in (1..).zip(rules) {
                let place = Place { feature: Feature::Qos as u8, sequence };
                all.push((place, Rule { result: class, patterns: vec![pattern] }));
            }
        }
        Ok(alone(name, all))
    }

    /// The number of a rule's counters, a new one if it has none.
    fn number(&mut self, name: CounterName, plan: &mut AclPlan) -> Result<u32, Exhausted> {
        plan.counters_used.insert(name.clone());
        if let Some(number) = self.counters.get(&name) {
            return Ok(*number);
        }
        let number = self.take_counter()?;
        self.counters.insert(name.clone(), number);
        plan.counters.push(name);
        Ok(number)
    }

    /// A number for a new rule's counters.
    fn take_counter(&mut self) -> Result<u32, Exhausted> {
        self.counter_numbers.take().or_else(|error| {
            // Nobody asks what counts are worth: then they need not begin at zero.
            if self.idle.is_empty() {
                return Err(error);
            }
            drop(self.take_idle_counters());
            self.counter_numbers.take()
        })
    }

    /// The counters of a rule that lcores may have looked up are not its any more.
    fn cease(&mut self, number: u32) {
        self.ceasing.push_back((self.space.epoch(), number));
    }

    /// Gives up what was prepared.
    pub(crate) fn cancel(&mut self, driver: &Driver, plan: AclPlan) {
        for (_, object) in plan.fresh {
            self.leave(driver, object);
        }
        for name in plan.counters {
            if let Some(number) = self.counters.remove(&name) {
                self.counter_numbers.give(number);
            }
        }
        self.services.cancel(&plan.services);
    }

    /// Retires an object that no generation to come binds.
    fn leave(&mut self, driver: &Driver, object: Object) {
        let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
        object.compiled.retire(&mut memory);
        self.leaving.push_back((self.space.epoch(), object.number));
    }

    /// The plan's tables, to be named in the next generation, and what is there now.
    pub(crate) fn publish(&mut self, plan: &mut Option<AclPlan>) -> (AclBefore, AclDone) {
        let Some(plan) = plan.take() else {
            return (AclBefore(self.blocks, None), AclDone::default());
        };
        let (services, classes) = self.services.publish(plan.services);
        let before = AclBefore(self.blocks, Some(services));
        let blocks = Blocks { bindings: plan.bindings.publish(), actions: plan.actions.publish() };
        self.blocks = Some(blocks);
        let done = AclDone {
            fresh: plan.fresh,
            used: plan.used,
            counters: plan.counters,
            counters_used: plan.counters_used,
            classes,
        };
        (before, done)
    }

    /// Names the present tables.
    pub(crate) fn name_in(&self, root: &mut RootDraft) {
        if let Some(blocks) = self.blocks {
            root.set(table_kind::ACL_BINDINGS, blocks.bindings)
                .set(table_kind::PBR_ACTIONS, blocks.actions);
        } else {
            root.clear(table_kind::ACL_BINDINGS).clear(table_kind::PBR_ACTIONS);
        }
        self.services.name_in(root);
    }

    /// The generation with the new tables stays: what only the old one bound goes.
    pub(crate) fn keep(&mut self, driver: &mut Driver, before: AclBefore, done: AclDone) {
        if let Some(old) = before.0 {
            driver.retire(old.bindings);
            driver.retire(old.actions);
        }
        for (name, object) in done.fresh {
            if let Some(old) = self.objects.insert(name, object) {
                self.leave(driver, old);
            }
        }
        let unused: Vec<ObjectName> =
            self.objects.keys().filter(|name| !done.used.contains_key(*name)).cloned().collect();
        for name in unused {
            if let Some(object) = self.objects.remove(&name) {
                self.leave(driver, object);
            }
        }
        for (name, object) in &mut self.objects {
            object.bindings = done.used.get(name).copied().unwrap_or(0);
        }
        let gone = self.counters.extract_if(|name, _| !done.counters_used.contains(name));
        for (_, number) in gone.collect::<Vec<_>>() {
            self.cease(number);
        }
        if let Some(services) = before.1 {
            self.services.keep(driver, services, &done.classes);
        }
        self.seal(driver);
    }

    /// The publication failed: the old tables stay, and what was new goes.
    pub(crate) fn restore(&mut self, driver: &mut Driver, before: AclBefore, done: AclDone) {
        let undo = self.restore_tables(before);
        self.forget(driver, undo, done);
    }

    /// Takes the old tables up again, to be named in the next generation; gives the new ones.
    pub(crate) fn restore_tables(&mut self, before: AclBefore) -> AclBefore {
        let services = before.1.map(|services| self.services.restore_tables(services));
        AclBefore(std::mem::replace(&mut self.blocks, before.0), services)
    }

    /// Gives back what no generation names any more.
    pub(crate) fn forget(&mut self, driver: &mut Driver, new: AclBefore, done: AclDone) {
        if let Some(new) = new.0 {
            driver.retire(new.bindings);
            driver.retire(new.actions);
        }
        for (_, object) in done.fresh {
            self.leave(driver, object);
        }
        for name in done.counters {
            if let Some(number) = self.counters.remove(&name) {
                self.cease(number);
            }
        }
        if let Some(services) = new.1 {
            self.services.drop_new(driver, services, &done.classes);
        }
        self.seal(driver);
    }

    /// Begins a grace period for what was retired.
    fn seal(&mut self, driver: &mut Driver) {
        let epoch = self.space.seal();
        self.waiting.push_back((epoch, driver.grace_period()));
    }

    /// Frees what every lcore has left. Does not wait.
    pub(crate) fn reclaim(&mut self, driver: &Driver) {
        while let Some((epoch, grace)) = self.waiting.front() {
            if !driver.all_passed(*grace) {
                return;
            }
            let epoch = *epoch;
            self.space.reclaim(epoch);
            self.waiting.pop_front();
            while let Some((_, number)) = self.leaving.pop_front_if(|(left, _)| *left <= epoch) {
                self.numbers.give(number);
            }
            while let Some((_, number)) = self.ceasing.pop_front_if(|(left, _)| *left <= epoch) {
                self.idle.push(number);
            }
        }
    }

    /// Makes the objects say of some rules of a list what `lists` says of them. All objects or none.
    ///
    /// A rule that is new gets counters, one that goes gives them back.
    pub(crate) fn edit(
        &mut self,
        driver: &mut Driver,
        lists: &Document,
        (family, name): (Family, &str),
        touched: &[Touched],
    ) -> Result<(), AclError> {
        let bound =
            |object: &ObjectName| object.family == family && object.list.as_deref() == Some(name);
        if !self.objects.keys().any(bound) {
            return Ok(());
        }
        match family {
            Family::V4 => self.edit_of::<WORDS4>(driver, lists, family, name, touched, Changes::V4),
            Family::V6 => self.edit_of::<WORDS6>(driver, lists, family, name, touched, Changes::V6),
        }
    }

    fn edit_of<const W: usize>(
        &mut self,
        driver: &mut Driver,
        lists: &Document,
        family: Family,
        name: &str,
        touched: &[Touched],
        wrap: impl Fn(Vec<Change<W>>) -> Changes,
    ) -> Result<(), AclError>
    where
        Pattern<W>: Addresses,
        Compiled: Holds<W>,
    {
        let list = lists.list(family, name).ok_or_else(|| RuleError::NoList(name.to_owned()))?;
        let mut wanted = Vec::with_capacity(touched.len());
        for touched in touched {
            wanted.push((*touched, rules::of_rule::<W>(list, &lists.objects, touched.rule)?));
        }
        let numbers = self.renumber(family, name, &wanted)?;
        let mut undo: Vec<(ObjectName, Changes)> = Vec::new();
        let mut outcome = Ok(());
        for (object_name, object) in &mut self.objects {
            if object_name.family != family || object_name.list.as_deref() != Some(name) {
                continue;
            }
            let mut changes = Vec::new();
            for ((touched, new), number) in wanted.iter().zip(&numbers.new) {
                let place = alone_place(object_name, rules::place(touched.rule));
                if object.compiled.rule(place).is_some() {
                    changes.push(Change::Remove(place));
                }
                if let (Some((verdict, patterns)), Some(number)) = (new, number) {
                    let result = verdict.with_rule(*number).0;
                    changes.push(Change::Add(place, Rule { result, patterns: patterns.clone() }));
                }
            }
            let changes = wrap(changes);
            let inverse = object.compiled.inverse(&changes);
            let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
            if let Err(error) = object.compiled.apply(&mut memory, &changes) {
                outcome = Err(AclError::Classifier { what: object_name.to_string(), error });
                break;
            }
            undo.push((object_name.clone(), inverse));
        }
        if outcome.is_err() {
            for (object_name, inverse) in &undo {
                if let Some(object) = self.objects.get_mut(object_name) {
                    let mut memory =
                        Memory { lines: driver.view(self.lines), space: &mut self.space };
                    // Should there be no room even for this, lcores go on with what it is now.
                    let _ = object.compiled.apply(&mut memory, inverse);
                }
            }
            for number in numbers.taken {
                self.counter_numbers.give(number);
            }
        } else {
            for (touched, number) in touched.iter().zip(numbers.new) {
                let counter = CounterName::Ace(family, name.to_owned(), touched.rule);
                match number {
                    Some(number) => self.counters.insert(counter, number),
                    None => self.counters.remove(&counter),
                };
            }
            for number in numbers.gone {
                self.cease(number);
            }
        }
        for (object_name, _) in &undo {
            if let Some(object) = self.objects.get(object_name) {
                self.point(driver, object.number, object.compiled.line());
            }
        }
        self.seal(driver);
        outcome
    }

    /// Which counters each rule will have, without changing any.
    fn renumber<R>(
        &mut self,
        family: Family,
        name: &str,
        wanted: &[(Touched, Option<R>)],
    ) -> Result<Renumbered, Exhausted> {
        let known = |rule| CounterName::Ace(family, name.to_owned(), rule);
        let numbers = wanted.iter().map(|(touched, _)| self.counters.get(&known(touched.rule)));
        let mut free: HashMap<RuleName, u32> = HashMap::new();
        for ((touched, _), number) in wanted.iter().zip(numbers) {
            free.extend(number.map(|number| (touched.rule, *number)));
        }
        let mut plan = Renumbered { new: Vec::new(), taken: Vec::new(), gone: Vec::new() };
        for (touched, new) in wanted {
            let own = touched.was.filter(|_| new.is_some()).and_then(|was| free.remove(&was));
            if own.is_some() || new.is_none() {
                plan.new.push(own);
                continue;
            }
            match self.take_counter() {
                Ok(number) => {
                    plan.new.push(Some(number));
                    plan.taken.push(number);
                }
                Err(error) => {
                    for number in plan.taken {
                        self.counter_numbers.give(number);
                    }
                    return Err(error);
                }
            }
        }
        plan.gone = free.into_values().collect();
        Ok(plan)
    }

    /// Builds one object anew that has been edited a lot. Returns whether there was one.
    pub(crate) fn tidy(&mut self, driver: &mut Driver) -> bool {
        for object in self.objects.values_mut() {
            let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
            if matches!(object.compiled.tidy(&mut memory), Ok(true)) {
                let (number, line) = (object.number, object.compiled.line());
                self.point(driver, number, line);
                self.seal(driver);
                return true;
            }
        }
        false
    }

    /// Numbers of counters that rules have left and that new ones get from now on.
    pub(crate) fn take_idle_counters(&mut self) -> Vec<u32> {
        let idle = std::mem::take(&mut self.idle);
        for number in &idle {
            self.counter_numbers.give(*number);
        }
        idle
    }

    /// Rules with counters, and the numbers of these.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (&CounterName, u32)> {
        self.counters.iter().map(|(name, number)| (name, *number))
    }

    pub(crate) fn usage(&self) -> TcamUsage {
        let (free, waiting) = self.space.free();
        let objects = self
            .objects
            .iter()
            .map(|(name, object)| (name.clone(), object.compiled.rules(), object.bindings))
            .collect();
        let counters = (self.limits.1, self.counter_numbers.in_use(0));
        TcamUsage { lines: self.limits.0, free, waiting, counters, objects }
    }
}

/// Reads rules of one family.
trait Holds<const W: usize> {
    fn rule(&self, place: Place) -> Option<&Rule<W>>;
}

impl Holds<WORDS4> for Compiled {
    fn rule(&self, place: Place) -> Option<&Rule<WORDS4>> {
        match self {
            Self::V4(classifier) => classifier.rule(place),
            Self::V6(_) => None,
        }
    }
}

impl Holds<WORDS6> for Compiled {
    fn rule(&self, place: Place) -> Option<&Rule<WORDS6>> {
        match self {
            Self::V6(classifier) => classifier.rule(place),
            Self::V4(_) => None,
        }
    }
}

/// What a publication has put in place.
#[derive(Default)]
#[must_use]
pub(crate) struct AclDone {
    fresh: Vec<(ObjectName, Object)>,
    used: BTreeMap<ObjectName, usize>,
    counters: Vec<CounterName>,
    counters_used: HashSet<CounterName>,
    classes: Vec<BoundClass>,
}

/// The objects of an interface: IPv4 and IPv6 in, IPv4 and IPv6 out.
fn names(config: &Config, interface: &Interface<'_>, flows: bool) -> [Option<ObjectName>; 4] {
    let list = |names: &[String], family| {
        names.iter().find(|name| config.access_lists.list(family, name).is_some()).cloned()
    };
    let object = |lists: &[String], policy: Option<&str>, service: Option<&str>, flows, family| {
        let name = ObjectName {
            family,
            list: list(lists, family),
            policy: policy.map(str::to_owned),
            flows,
            service: service.map(str::to_owned),
        };
        (name != ObjectName::nothing(family)).then_some(name)
    };
    let (inbound, outbound) = (interface.acl_in(), interface.acl_out());
    let route = interface.policy_route();
    let (service_in, service_out) = (interface.service_policy_in(), interface.service_policy_out());
    [
        object(inbound, route, service_in, flows, Family::V4),
        object(inbound, route, service_in, flows, Family::V6),
        object(outbound, None, service_out, false, Family::V4),
        object(outbound, None, service_out, false, Family::V6),
    ]
}

/// The only feature of an object, if it has one alone.
fn only(name: &ObjectName) -> Option<Feature> {
    match (name.list.is_some(), name.policy.is_some() || name.flows, name.service.is_some()) {
        (true, false, false) => Some(Feature::Acl),
        (false, true, false) => Some(Feature::Pbr),
        (false, false, true) => Some(Feature::Qos),
        _ => None,
    }
}

/// Where a rule stands in an object: the only feature of an object is its first.
fn alone_place(name: &ObjectName, place: Place) -> Place {
    if only(name).is_some() { Place { feature: 0, ..place } } else { place }
}

fn alone<const W: usize>(name: &ObjectName, rules: Vec<(Place, Rule<W>)>) -> Vec<(Place, Rule<W>)> {
    rules.into_iter().map(|(place, rule)| (alone_place(name, place), rule)).collect()
}

/// The row of a policy's rule.
fn action(
    policy: &str,
    rule: &pbr::Rule,
    row: u32,
    table: &impl Fn(&str) -> Option<TableId>,
) -> Result<PbrAction, RuleError> {
    let sets = &rule.outcome.sets;
    let mut action = PbrAction { rule: row, ..PbrAction::default() };
    if let RuleKey::Flow(id) = rule.key {
        action.flags |= PbrAction::FLOWSPEC;
        if rule.outcome.goes_on {
            return Err(RuleError::NotTerminal(id.0));
        }
        if !rule.outcome.rates.is_empty() || rule.outcome.sample {
            return Err(RuleError::NotCarriedOut(id.0));
        }
        let flags = |alternative: &Match| {
            let flags = alternative.tcp_flags.iter().flatten();
            flags.into_iter().any(|flags| flags.mask() > 0xff)
        };
        if matches!(&rule.condition, Condition::Flow(any) if any.iter().any(flags)) {
            return Err(RuleError::WideFlags(id.0));
        }
    }
    if sets.null0 {
        action.flags |= PbrAction::DROP;
    }
    if let Some(vrf) = &sets.vrf {
        let no_vrf = || RuleError::NoVrf { policy: policy.to_owned(), vrf: vrf.to_string() };
        action.table = table(vrf.as_str()).ok_or_else(no_vrf)?.0;
        action.flags |= PbrAction::TABLE;
    }
    (action.class, action.class_mask) = match sets.mark {
        None => (0, 0),
        Some(Mark::Dscp(dscp)) => (dscp << 2, 0xfc),
        Some(Mark::Precedence(precedence)) => (precedence << 5, 0xe0),
    };
    let four = |hops: &[std::net::Ipv4Addr]| {
        let mut row = [0; NEXT_HOPS];
        row.iter_mut().zip(hops).for_each(|(to, hop)| *to = hop.to_bits());
        row
    };
    let six = |hops: &[std::net::Ipv6Addr]| {
        let mut row = [0; NEXT_HOPS];
        row.iter_mut().zip(hops).for_each(|(to, hop)| *to = hop.to_bits());
        row
    };
    action.next_hop4 = four(&sets.next_hops4);
    action.next_hop6 = six(&sets.next_hops6);
    action.default4 = four(&sets.default_next_hops4);
    action.default6 = six(&sets.default_next_hops6);
    Ok(action)
}

/// Lines that the configured lists and policies need at most, as far as one can say.
pub(crate) fn lines_for(config: &Config) -> u32 {
    let aces = |list: &AccessList| {
        list.resolved(&config.access_lists.objects, MAX_ACES).map_or(0, |aces| aces.len())
    };
    let aces: usize = config.access_lists.lists().map(aces).sum();
    // Each list may be in several objects, and all are built beside those in use.
    u32::try_from(aces.saturating_mul(32)).unwrap_or(u32::MAX).clamp(1 << 13, 1 << 24)
}
