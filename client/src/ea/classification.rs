//! Classification: the objects that interfaces are bound to, and the numbers of their rules.
//!
//! Interfaces with the same lists and the same policy share one object. A commit builds new objects
//! beside those in use and binds them with its generation; edits of a single list change objects
//! while lcores look up in them.

mod action;
mod edit;
mod names;
mod object;
mod patterns;
mod plan;
mod rules;
mod security;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use driver::{Driver, DriverError};
use pal::pool::{Full, Pool, PoolUsage};
use pal::publication::RootDraft;
use pal::region::{Block, Draft};
use qfp_core::acl::{Bindings, ClassifierError, Line, Memory, Space};
use qfp_core::ipsec::SpdEntry;
use qfp_core::pbr::PbrAction;
use qfp_core::tables::table_kind;

use self::object::Compiled;
use crate::acl::{AccessList, Document, Family, Fragments, Objects};
use crate::commit::Features;
use crate::config::{Config, Interface, Place as ConfigPlace};
use crate::ea::qos::{BoundClass, ClassFacts, QosAgent, QosError, QosPlan};
use crate::mqc;
use crate::pbr;
use crate::rm::{Kind, Named, Numbers};

pub(crate) use self::edit::{EditPlan, Touched};
pub use self::names::{CounterName, ObjectName, SecurityRule};
pub(crate) use self::rules::MAX_ACES;
pub use self::rules::{RuleError, RuleName};

/// Why access lists and policies cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ClassificationError {
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
    Full(#[from] Full),
    /// A service policy.
    #[error(transparent)]
    Service(#[from] QosError),
    /// A service policy's rules.
    #[error(transparent)]
    Policy(#[from] Box<mqc::CompileError<RuleError>>),
    /// Memory for the tables.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Any of these, of an interface that is bound to the list or policy.
    #[error("{place}{error}")]
    Bound {
        /// Where the configuration binds it.
        place: ConfigPlace,
        /// What is wrong.
        error: Box<ClassificationError>,
    },
}

impl ClassificationError {
    /// Whether the operator has asked for what cannot be, rather than for more than there is room
    /// for.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Bound { error, .. } => error.is_usage(),
            Self::Rule(_) | Self::Policy(_) => true,
            Self::Service(error) => error.is_usage(),
            _ => false,
        }
    }

    /// Whether lcores that move on make room.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Bound { error, .. } => error.may_pass(),
            Self::Full(full) | Self::Classifier { error: ClassifierError::Full(full), .. } => {
                full.waiting > 0
            }
            _ => false,
        }
    }

    /// The error with the place of what binds an interface to the list or policy.
    fn bound(self, place: ConfigPlace) -> Self {
        match self {
            placed @ Self::Bound { .. } => placed,
            error => Self::Bound { place, error: Box::new(error) },
        }
    }
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
    /// None if it may have been made of something else.
    from: Option<Source>,
}

/// What an object is made of that is one list alone.
#[derive(PartialEq, Eq)]
struct Source {
    list: Arc<AccessList>,
    groups: Objects,
}

impl Source {
    /// None for an object of something else.
    fn of(name: &ObjectName, lists: &Document) -> Option<Self> {
        let list = name.list.as_ref()?;
        let alone = ObjectName { list: Some(list.clone()), ..ObjectName::nothing(name.family) };
        let list = lists.shared(name.family, list).filter(|_| alone == *name)?;
        Some(Self { list: Arc::clone(list), groups: lists.objects.clone() })
    }
}

/// The tables that change with a generation.
#[derive(Clone, Copy)]
struct Blocks {
    bindings: Block<Bindings>,
    actions: Block<PbrAction>,
    security: Block<SpdEntry>,
}

impl Blocks {
    fn retire(self, driver: &mut Driver) {
        driver.retire(self.bindings);
        driver.retire(self.actions);
        driver.retire(self.security);
    }
}

/// Tables that nobody sees yet.
struct Drafts {
    bindings: Draft<Bindings>,
    actions: Draft<PbrAction>,
    security: Draft<SpdEntry>,
}

/// A generation's objects and tables, ready to be published.
#[derive(Default)]
pub(crate) struct ClassificationPlan {
    fresh: Vec<(ObjectName, Object)>,
    /// All objects of the generation, and their bindings.
    used: BTreeMap<ObjectName, usize>,
    drafts: Option<Drafts>,
    /// Rules that had no counters.
    counters: Vec<CounterName>,
    counters_used: HashSet<CounterName>,
    /// Lists that are as they were, and how many counters they have.
    same: HashMap<(Family, String), usize>,
    /// What objects that stay are made of.
    sources: Vec<(ObjectName, Option<Source>)>,
    services: QosPlan,
    /// The tables before, once the plan's are published.
    before: Option<Blocks>,
}

/// The agent for access lists and policies.
pub(crate) struct ClassificationAgent {
    lines: Block<Line>,
    heads: Block<AtomicU32>,
    space: Space,
    numbers: Pool,
    /// New rules get those of rules that are gone once somebody has asked which no lcore counts by
    /// any more.
    counter_numbers: Numbers,
    counters: HashMap<CounterName, u32>,
    objects: BTreeMap<ObjectName, Object>,
    blocks: Option<Blocks>,
    services: QosAgent,
    /// Rules of flow specifications, IPv4 and IPv6.
    flows: [Vec<pbr::Rule>; 2],
}

impl ClassificationAgent {
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
            space: Space::new(lines, driver.clock()),
            numbers: Pool::new("classification objects", 1..objects, driver.clock()),
            counter_numbers: Numbers::new(
                Kind::Rule,
                Pool::new("rules' counters", 0..counters, driver.clock()),
            ),
            counters: HashMap::new(),
            objects: BTreeMap::new(),
            blocks: None,
            services,
            flows: [Vec::new(), Vec::new()],
        })
    }

    /// The agent for service policies.
    pub(crate) fn services(&mut self) -> &mut QosAgent {
        &mut self.services
    }

    /// Bound classes, and what they have.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (BoundClass, ClassFacts)> {
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
    pub(crate) fn features(&self, config: &Config, interface: &Interface<'_>) -> Features {
        use qfp_core::fia::Gate;
        let policed = names::has_security(config, interface);
        let on = |condition: bool, gate: Gate| if condition { gate.mask() } else { 0 };
        Features {
            ingress: on(!interface.acl_in().is_empty(), Gate::ACL_IN)
                | on(interface.policy_route().is_some() || self.has_flows(), Gate::PBR_IN)
                | on(interface.service_policy_in().is_some(), Gate::QOS_IN)
                | on(policed, Gate::SPD_IN),
            egress: on(!interface.acl_out().is_empty(), Gate::ACL_OUT)
                | on(interface.service_policy_out().is_some(), Gate::QOS_OUT)
                | on(policed, Gate::SPD_OUT),
        }
    }

    /// Numbers of rules by name.
    pub(crate) const fn numbers(&mut self) -> &mut Numbers {
        &mut self.counter_numbers
    }

    /// All rules and bound classes with their numbers.
    pub(crate) fn names(&self) -> impl Iterator<Item = Named> {
        let rule = |(name, number): (&CounterName, &u32)| {
            self.counter_numbers.named(format!("{name:?}"), *number)
        };
        self.counters.iter().map(rule).chain(self.services.names())
    }

    /// A number for a new rule's counters, and whether the rule has had it before.
    fn take_counter(&mut self, name: &CounterName) -> Result<(u32, bool), Full> {
        if self.counter_numbers.free() == 0 {
            // Nobody asks what counts are worth: then they need not begin at zero.
            self.counter_numbers.reclaim(|_| ());
        }
        self.counter_numbers.give(format!("{name:?}"))
    }

    /// Gives up what was prepared.
    pub(crate) fn abort(&mut self, driver: &Driver, plan: ClassificationPlan) {
        for (_, object) in plan.fresh {
            self.leave(driver, object);
        }
        for name in plan.counters {
            if let Some(number) = self.counters.remove(&name) {
                self.counter_numbers.give_back(number);
            }
        }
        self.services.abort(plan.services);
    }

    /// Retires an object that no generation to come binds.
    fn leave(&mut self, driver: &Driver, object: Object) {
        let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
        object.compiled.retire(&mut memory);
        self.numbers.retire(object.number);
    }

    /// Names the tables that were prepared.
    pub(crate) fn name(&mut self, plan: &mut ClassificationPlan, root: &mut RootDraft) {
        self.services.name(&mut plan.services, root);
        let Some(drafts) = plan.drafts.take() else { return };
        let blocks = Blocks {
            bindings: drafts.bindings.publish(),
            actions: drafts.actions.publish(),
            security: drafts.security.publish(),
        };
        root.set(table_kind::ACL_BINDINGS, blocks.bindings)
            .set(table_kind::PBR_ACTIONS, blocks.actions)
            .set(table_kind::ESP_POLICIES, blocks.security);
        plan.before = self.blocks.replace(blocks);
    }

    /// The generation with the new tables stays: what only the old one bound goes.
    pub(crate) fn keep(&mut self, driver: &mut Driver, plan: ClassificationPlan) {
        if let Some(old) = plan.before {
            old.retire(driver);
        }
        for (name, object) in plan.fresh {
            if let Some(old) = self.objects.insert(name, object) {
                self.leave(driver, old);
            }
        }
        let unused = self.objects.extract_if(.., |name, _| !plan.used.contains_key(name));
        for (_, object) in unused.collect::<Vec<_>>() {
            self.leave(driver, object);
        }
        for (name, object) in &mut self.objects {
            object.bindings = plan.used.get(name).copied().unwrap_or(0);
        }
        for (name, from) in plan.sources {
            if let Some(object) = self.objects.get_mut(&name) {
                object.from = from;
            }
        }
        let is_same = |name: &CounterName| match name {
            CounterName::Ace(family, list, _) => plan.same.contains_key(&(*family, list.clone())),
            _ => false,
        };
        let others = plan.counters_used.iter().filter(|name| !is_same(name)).count();
        if others + plan.same.values().sum::<usize>() != self.counters.len() {
            let is_used = |name: &CounterName| plan.counters_used.contains(name) || is_same(name);
            let gone = self.counters.extract_if(|name, _| !is_used(name));
            for (_, number) in gone.collect::<Vec<_>>() {
                self.counter_numbers.retire(number);
            }
        }
        self.services.keep(driver, plan.services);
    }

    /// Frees what every lcore has left. Does not wait.
    pub(crate) fn reclaim(&mut self) {
        self.space.reclaim();
        self.numbers.reclaim(|_| ());
        self.services.reclaim();
    }

    /// Builds one object anew that has been edited a lot. Returns whether there was one.
    pub(crate) fn tidy(&mut self, driver: &Driver) -> bool {
        for object in self.objects.values_mut() {
            let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
            if matches!(object.compiled.tidy(&mut memory), Ok(true)) {
                let (number, line) = (object.number, object.compiled.line());
                self.point(driver, number, line);
                return true;
            }
        }
        false
    }

    /// Numbers of counters that rules have left and that new ones get from now on.
    pub(crate) fn take_idle_counters(&mut self) -> Vec<u32> {
        let mut idle = Vec::new();
        self.counter_numbers.reclaim(|number| idle.push(number.first));
        idle
    }

    /// Rules with counters, and the numbers of these.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (&CounterName, u32)> {
        self.counters.iter().map(|(name, number)| (name, *number))
    }

    /// Numbers of objects and of bound classes in use.
    #[cfg(test)]
    pub(crate) fn numbers_used(&self) -> (u32, u32) {
        (self.numbers.in_use(), self.services.numbers_used())
    }

    /// What it takes of, and what the agent for service policies does.
    pub(crate) fn pools(&self) -> ([PoolUsage; 3], [PoolUsage; 1]) {
        let own = [&self.numbers, &*self.counter_numbers, self.space.lines()].map(Pool::usage);
        (own, self.services.pools())
    }

    pub(crate) fn usage(&self) -> TcamUsage {
        let lines = self.space.lines();
        let objects = self
            .objects
            .iter()
            .map(|(name, object)| (name.clone(), object.compiled.rules(), object.bindings))
            .collect();
        let counters = (self.counter_numbers.capacity(), self.counter_numbers.in_use());
        let (free, waiting) = (lines.free(), lines.waiting());
        TcamUsage { lines: lines.capacity(), free, waiting, counters, objects }
    }
}

/// Lines that the configured lists and policies need at most, as far as one can say.
pub(crate) fn lines_for(config: &Config) -> u32 {
    let aces = |list: &AccessList| {
        let aces = list.resolved(&config.access_lists.objects, MAX_ACES).unwrap_or_default();
        // These have a pattern more, which many others have, too.
        let by_layer3 = aces.iter().filter(|ace| ace.fragments == Fragments::ByLayer3).count();
        aces.len() + by_layer3 / 2
    };
    let aces: usize = config.access_lists.lists().map(aces).sum();
    // Both directions, and what is implicit.
    let aces = aces + 4 * config.ipsec.spd.len();
    // How many rules a policy has shows when it is compiled: a few classes that exclude each other
    // have thousands. What is not used takes no memory.
    let least = if config.policies.policies().len() > 0 { 1 << 18 } else { 1 << 13 };
    // Each list may be in several objects, and all are built beside those in use.
    u32::try_from(aces.saturating_mul(32)).unwrap_or(u32::MAX).clamp(least, 1 << 24)
}
