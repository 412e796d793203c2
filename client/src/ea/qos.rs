//! Quality of service: the classes of service policies where they are bound, and their policers.
//!
//! Every binding of a policy to an interface and a direction has rows, counters and policers of its
//! own; what packets match is compiled once a policy ([`crate::ea`], classification), and so is what
//! becomes of them. A class keeps its numbers, and with them its tokens and counts, for as long as its
//! policy is bound with it.

mod error;
mod mark;
mod template;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use driver::{Driver, DriverError};
use pal::pool::{Pool, PoolUsage};
use pal::publication::RootDraft;
use pal::region::{Block, Draft};
use qfp_core::qos::police::{Limits, PolicerConfig, PolicerState, PolicerWarning, Snapshot};
use qfp_core::qos::{ClassEvent, ClassRow, QosSettings};
use qfp_core::tables::table_kind;
use qfp_core::uidb::{Direction, UidbIndex};

use crate::config::{Config, Interface, Interfaces};
use crate::rm::{Kind, Named, Numbers};

pub use error::QosError;
use template::{Template, Templates};

/// What there is a limited number of.
const CLASSES: &str = "classes of service policies";

/// Bytes that a frame can have around an IP packet: Ethernet with two tags, and its check sequence.
const FRAME_OVERHEAD: u64 = 14 + 8 + 4;

/// Policies and classes, from the top down.
pub type ClassPath = Arc<[(String, String)]>;

/// A class where its policy is bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoundClass {
    /// The interface.
    pub interface: String,
    /// The direction.
    pub direction: Direction,
    /// Policies and classes, from the top down.
    pub path: ClassPath,
}

/// What a class has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassFacts {
    /// The first of its counters ([`ClassEvent`]).
    pub counters: u32,
    /// Whether it has a policer.
    pub policed: bool,
    /// What the operator ought to know about its policer.
    pub warnings: Vec<PolicerWarning>,
}

#[derive(Clone, Copy)]
struct Blocks {
    classes: Block<ClassRow>,
    settings: Block<QosSettings>,
    configs: Block<PolicerConfig>,
    config_of: Block<u32>,
}

impl Blocks {
    fn retire(self, driver: &mut Driver) {
        driver.retire(self.classes);
        driver.retire(self.settings);
        driver.retire(self.configs);
        driver.retire(self.config_of);
    }
}

/// Tables that nobody sees yet.
struct Drafts {
    classes: Draft<ClassRow>,
    settings: Draft<QosSettings>,
    configs: Draft<PolicerConfig>,
    config_of: Draft<u32>,
}

/// Rows of all bound policies, ready to be published.
#[derive(Default)]
pub(crate) struct QosPlan {
    drafts: Option<Drafts>,
    /// First class rows, by interface: for what comes in, and for what leaves.
    pub(crate) bases: HashMap<UidbIndex, (u32, u32)>,
    bound: BTreeMap<(String, Direction), Bound>,
    templates: Templates,
    /// Numbers of classes that had none.
    fresh: Vec<u32>,
    /// Classes that have the numbers again that they had with another client.
    kept: Vec<(String, u32)>,
    /// The tables before, once the plan's are published.
    before: Option<Blocks>,
}

/// A policy that is bound, and the numbers of its classes.
#[derive(Clone)]
struct Bound {
    template: Arc<Template>,
    numbers: Arc<[u32]>,
}

/// The agent for service policies.
pub(crate) struct QosAgent {
    states: Block<PolicerState>,
    /// One a class where it is bound: of its policer and of its counters.
    numbers: Numbers,
    first_counter: u32,
    shared: bool,
    blocks: Option<Blocks>,
    bound: BTreeMap<(String, Direction), Bound>,
    templates: Templates,
    renamed: Vec<u32>,
}

impl QosAgent {
    /// An agent for `classes` bound classes, whose counters have numbers from `first_counter` on.
    pub(crate) fn new(
        driver: &mut Driver,
        classes: u32,
        first_counter: u32,
    ) -> Result<Self, DriverError> {
        let states = driver.alloc_state::<PolicerState>(classes.max(1) as usize)?;
        driver.commit(|root| {
            root.set(table_kind::POLICER_STATES, states);
        })?;
        Ok(Self {
            states,
            numbers: Numbers::new(Kind::Class, Pool::new(CLASSES, 0..classes, driver.clock())),
            first_counter,
            shared: false,
            blocks: None,
            bound: BTreeMap::new(),
            templates: Templates::default(),
            renamed: Vec::new(),
        })
    }

    /// Numbers by name.
    pub(crate) const fn numbers(&mut self) -> &mut Numbers {
        &mut self.numbers
    }

    /// All names with their numbers.
    pub(crate) fn names(&self) -> impl Iterator<Item = Named> {
        let name = |(class, facts): (BoundClass, ClassFacts)| {
            let number = (facts.counters - self.first_counter) / ClassEvent::COUNT;
            self.numbers.named(format!("{class:?}"), number)
        };
        self.classes().map(name)
    }

    /// What it takes of.
    pub(crate) fn pools(&self) -> [PoolUsage; 1] {
        [self.numbers.usage()]
    }

    /// Says whether several lcores forward: policers are then shared.
    pub(crate) fn share(&mut self, shared: bool) {
        self.shared = shared;
    }

    /// Prepares the rows of all bound policies.
    pub(crate) fn prepare(
        &mut self,
        driver: &Driver,
        config: &Config,
        interfaces: &Interfaces<'_>,
        uidb: impl Fn(&Interface<'_>) -> UidbIndex,
        plan: &mut QosPlan,
    ) -> Result<(), QosError> {
        let (mut order, mut rows) = (Vec::new(), 0);
        for interface in interfaces.all() {
            let bound = [
                (Direction::In, interface.service_policy_in(), "service_policy_in"),
                (Direction::Out, interface.service_policy_out(), "service_policy_out"),
            ];
            for (direction, policy, key) in bound {
                let Some(policy) = policy else { continue };
                let base = u32::try_from(rows).unwrap_or(u32::MAX);
                let bases = plan.bases.entry(uidb(interface)).or_default();
                match direction {
                    Direction::In => bases.0 = base,
                    Direction::Out => bases.1 = base,
                }
                let bound = (interface, direction, policy);
                let bound = self.bind(driver, config, bound, plan).map_err(|error| {
                    let place = interface.origin().at(key);
                    QosError::Bound { place, error: Box::new(error) }
                })?;
                rows += bound.template.leaves();
                order.push(bound.clone());
                plan.bound.insert((interface.name().to_owned(), direction), bound);
            }
        }
        plan.drafts = Some(self.draft(driver, config, &order, rows)?);
        Ok(())
    }

    /// The tables of policies bound in this order, with so many class rows.
    fn draft(
        &self,
        driver: &Driver,
        config: &Config,
        order: &[Bound],
        rows: usize,
    ) -> Result<Drafts, DriverError> {
        let policers: usize = order.iter().map(|bound| bound.template.policers()).sum();
        let numbers = self.numbers.high_water() as usize;
        let mut drafts = Drafts {
            classes: driver.alloc::<ClassRow>(rows.max(1))?,
            settings: driver.alloc::<QosSettings>(1)?,
            configs: driver.alloc::<PolicerConfig>(policers.max(1))?,
            config_of: driver.alloc::<u32>(numbers.max(1))?,
        };
        drafts.settings[0] = QosSettings::of(config.qos.accounting);
        drafts.config_of.fill(u32::MAX);
        let mut classes = drafts.classes.iter_mut();
        let mut configs = (0..).zip(drafts.configs.iter_mut());
        for Bound { template, numbers } in order {
            template.rows(numbers, self.first_counter, &mut classes);
            for (number, config) in template.configs(numbers) {
                if let (Some((place, row)), Some(of)) =
                    (configs.next(), drafts.config_of.get_mut(number as usize))
                {
                    (*row, *of) = (*config, place);
                }
            }
        }
        Ok(drafts)
    }

    /// A policy where it is bound. Classes that it had there keep their numbers.
    fn bind(
        &mut self,
        driver: &Driver,
        config: &Config,
        (interface, direction, policy): (&Interface<'_>, Direction, &str),
        plan: &mut QosPlan,
    ) -> Result<Bound, QosError> {
        let limits = Limits {
            link: interface.speed(),
            ..Limits::new(config.qos.granularity, u64::from(interface.mtu()) + FRAME_OVERHEAD)
        };
        let at = (interface.name(), direction, policy);
        let made = (&mut plan.templates, &self.templates);
        let template = Templates::get(made, &config.policies, at, &limits, self.shared)?;
        let before = self.bound.get(&(interface.name().to_owned(), direction));
        if let Some(before) = before.filter(|before| Arc::ptr_eq(&before.template, &template)) {
            return Ok(before.clone());
        }
        let known: HashMap<&ClassPath, u32> = match before {
            Some(before) => before.template.paths().zip(before.numbers.iter().copied()).collect(),
            None => HashMap::new(),
        };
        let states = driver.state_view(self.states);
        let mut numbers = Vec::with_capacity(template.paths().len());
        for path in template.paths() {
            numbers.push(match known.get(path) {
                Some(number) => *number,
                None => {
                    let class = BoundClass {
                        interface: interface.name().to_owned(),
                        direction,
                        path: path.clone(),
                    };
                    let name = format!("{class:?}");
                    let (number, is_kept) = self.numbers.give(name.clone())?;
                    if is_kept {
                        plan.kept.push((name, number));
                    } else {
                        plan.fresh.push(number);
                        // What another policer of this number has left is not this one's.
                        if let Some(state) = states.get(number as usize) {
                            state.restore(&Snapshot::default());
                        }
                    }
                    number
                }
            });
        }
        Ok(Bound { template, numbers: numbers.into() })
    }

    /// Gives up what was prepared.
    pub(crate) fn abort(&mut self, plan: QosPlan) {
        plan.fresh.into_iter().for_each(|number| self.numbers.give_back(number));
        plan.kept.into_iter().for_each(|(name, number)| self.numbers.keep_again(name, number));
    }

    #[cfg(test)]
    pub(super) fn numbers_used(&self) -> u32 {
        self.numbers.in_use()
    }

    /// Names the tables that were prepared.
    pub(crate) fn name(&mut self, plan: &mut QosPlan, root: &mut RootDraft) {
        let Some(drafts) = plan.drafts.take() else { return };
        let blocks = Blocks {
            classes: drafts.classes.publish(),
            settings: drafts.settings.publish(),
            configs: drafts.configs.publish(),
            config_of: drafts.config_of.publish(),
        };
        root.set(table_kind::QOS_CLASSES, blocks.classes)
            .set(table_kind::QOS_SETTINGS, blocks.settings)
            .set(table_kind::POLICER_CONFIGS, blocks.configs)
            .set(table_kind::POLICER_CONFIG_OF, blocks.config_of);
        plan.before = self.blocks.replace(blocks);
    }

    /// The generation with the new tables stays.
    pub(crate) fn keep(&mut self, driver: &mut Driver, plan: QosPlan) {
        if let Some(old) = plan.before {
            old.retire(driver);
        }
        let first = |number: &u32| self.first_counter + number * ClassEvent::COUNT;
        self.renamed.extend(plan.fresh.iter().map(first));
        self.templates = plan.templates;
        let before = std::mem::replace(&mut self.bound, plan.bound);
        for (place, old) in before {
            let new = self.bound.get(&place);
            if new.is_some_and(|new| Arc::ptr_eq(&new.numbers, &old.numbers)) {
                continue;
            }
            let kept: HashSet<u32> =
                new.map(|new| new.numbers.iter().copied().collect()).unwrap_or_default();
            let gone = old.numbers.iter().filter(|number| !kept.contains(number));
            gone.for_each(|number| self.numbers.retire(*number));
        }
    }

    /// Numbers that every lcore has left can be used again.
    pub(crate) fn reclaim(&mut self) {
        self.numbers.reclaim(|_| ());
    }

    /// Bound classes, and what they have.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (BoundClass, ClassFacts)> {
        self.bound.iter().flat_map(|((interface, direction), bound)| {
            bound.template.facts().map(|(node, path, policed, warnings)| {
                let class =
                    BoundClass { interface: interface.clone(), direction: *direction, path };
                let number = bound.numbers.get(node).copied().unwrap_or(0);
                let counters = self.first_counter + number * ClassEvent::COUNT;
                (class, ClassFacts { counters, policed, warnings })
            })
        })
    }

    /// First counters of classes that are new since this was last asked.
    pub(crate) fn take_renamed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.renamed)
    }
}
