//! Quality of service: the classes of service policies where they are bound, and their policers.
//!
//! Every binding of a policy to an interface and a direction has rows, counters and policers of its
//! own; what packets match is compiled once a policy ([`crate::ea`], classification). A class keeps
//! its numbers, and with them its tokens and counts, for as long as its policy is bound with it.

mod error;
mod mark;

use std::collections::{BTreeMap, HashMap};

use driver::{Driver, DriverError};
use pal::pool::{Pool, PoolUsage};
use pal::publication::RootDraft;
use pal::region::{Block, Draft};
use qfp_core::qos::police::{
    Colour, Limits, NO_POLICER, PolicerConfig, PolicerState, PolicerWarning, Snapshot,
};
use qfp_core::qos::{Action, ClassEvent, ClassRow, LEVELS, Level, QosSettings};
use qfp_core::tables::table_kind;
use qfp_core::uidb::{Direction, UidbIndex};

use crate::config::{Config, Interface, Interfaces};
use crate::mqc::{self, Outcome, Tree};
use crate::rm::{Kind, Named, Numbers};

pub use error::QosError;
use mark::{label, marks};

/// What there is a limited number of.
const CLASSES: &str = "classes of service policies";

/// Bytes that a frame can have around an IP packet: Ethernet with two tags, and its check sequence.
const FRAME_OVERHEAD: u64 = 14 + 8 + 4;

/// A class where its policy is bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoundClass {
    /// The interface.
    pub interface: String,
    /// The direction.
    pub direction: Direction,
    /// Policies and classes, from the top down.
    pub path: Vec<(String, String)>,
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
    facts: BTreeMap<BoundClass, ClassFacts>,
    /// Classes that had no number.
    fresh: Vec<BoundClass>,
    /// The tables before, once the plan's are published.
    before: Option<Blocks>,
}

/// The agent for service policies.
pub(crate) struct QosAgent {
    states: Block<PolicerState>,
    /// One a class where it is bound: of its policer and of its counters.
    numbers: Numbers,
    known: HashMap<BoundClass, u32>,
    first_counter: u32,
    shared: bool,
    blocks: Option<Blocks>,
    facts: BTreeMap<BoundClass, ClassFacts>,
    renamed: Vec<u32>,
}

/// Rows in the making.
struct Rows {
    classes: Vec<ClassRow>,
    configs: Vec<PolicerConfig>,
    config_of: Vec<u32>,
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
            known: HashMap::new(),
            first_counter,
            shared: false,
            blocks: None,
            facts: BTreeMap::new(),
            renamed: Vec::new(),
        })
    }

    /// Numbers by name.
    pub(crate) const fn numbers(&mut self) -> &mut Numbers {
        &mut self.numbers
    }

    /// All names with their numbers.
    pub(crate) fn names(&self) -> impl Iterator<Item = Named> {
        self.known.iter().map(|(class, n)| self.numbers.named(format!("{class:?}"), *n))
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
        let mut rows = Rows {
            classes: Vec::new(),
            configs: Vec::new(),
            config_of: vec![u32::MAX; self.numbers.high_water() as usize],
        };
        for interface in interfaces.all() {
            let bound = [
                (Direction::In, interface.service_policy_in(), "service_policy_in"),
                (Direction::Out, interface.service_policy_out(), "service_policy_out"),
            ];
            for (direction, policy, key) in bound {
                let Some(policy) = policy else { continue };
                let base = u32::try_from(rows.classes.len()).unwrap_or(u32::MAX);
                let bases = plan.bases.entry(uidb(interface)).or_default();
                match direction {
                    Direction::In => bases.0 = base,
                    Direction::Out => bases.1 = base,
                }
                let bound = (interface, direction, policy);
                self.bind(driver, config, bound, &mut rows, plan).map_err(|error| {
                    let place = interface.origin().at(key);
                    QosError::Bound { place, error: Box::new(error) }
                })?;
            }
        }
        let mut settings = driver.alloc::<QosSettings>(1)?;
        settings[0] = QosSettings::of(config.qos.accounting);
        plan.drafts = Some(Drafts {
            classes: filled(driver, &rows.classes)?,
            settings,
            configs: filled(driver, &rows.configs)?,
            config_of: filled(driver, &rows.config_of)?,
        });
        Ok(())
    }

    fn bind(
        &mut self,
        driver: &Driver,
        config: &Config,
        (interface, direction, policy): (&Interface<'_>, Direction, &str),
        rows: &mut Rows,
        plan: &mut QosPlan,
    ) -> Result<(), QosError> {
        let policies = &config.policies;
        let name = interface.name().to_owned();
        if policies.policy(policy).is_none() {
            return Err(QosError::NoPolicy { interface: name, policy: policy.to_owned() });
        }
        if let Some(queueing) = policies.queueing(policy) {
            return Err(QosError::Queueing {
                interface: name,
                policy: queueing.policy.to_owned(),
                class: queueing.class.to_owned(),
                action: queueing.action,
            });
        }
        let limits = Limits {
            link: interface.speed(),
            ..Limits::new(config.qos.granularity, u64::from(interface.mtu()) + FRAME_OVERHEAD)
        };
        let tree = policies.tree(policy);
        let tree = tree.map_err(|error| QosError::Tree { interface: name.clone(), error })?;
        let mut levels = Vec::with_capacity(tree.nodes().len());
        for node in 0..tree.nodes().len() {
            let class = BoundClass { interface: name.clone(), direction, path: path(&tree, node) };
            let actions = tree.nodes()[node].actions;
            levels.push(self.level(driver, actions, class, &limits, (rows, plan))?);
        }
        for leaf in tree.leaves() {
            let above: Vec<usize> = tree.path(leaf.node).map(|(node, _)| node).collect();
            let mut row = ClassRow {
                depth: u32::try_from(above.len().min(LEVELS)).unwrap_or(0),
                ..ClassRow::default()
            };
            for (place, (level, node)) in row.levels.iter_mut().zip(&above).enumerate() {
                *level = levels[*node];
                let police = tree.nodes()[*node].actions.police.as_ref();
                let own = police.is_some_and(|police| police.colours.is_some());
                // The topmost level is the first of the leaf's colours.
                let colour = leaf.colours[above.len() - 1 - place];
                level.colour = if own || place == 0 { colour as u32 } else { Level::FROM_BELOW };
            }
            rows.classes.push(row);
        }
        Ok(())
    }

    /// The row of one class at its level.
    fn level(
        &mut self,
        driver: &Driver,
        actions: &mqc::Actions,
        class: BoundClass,
        limits: &Limits,
        (rows, plan): (&mut Rows, &mut QosPlan),
    ) -> Result<Level, QosError> {
        let number = match self.known.get(&class) {
            Some(number) => *number,
            None => {
                let (number, is_kept) = self.numbers.give(format!("{class:?}"))?;
                self.known.insert(class.clone(), number);
                if !is_kept {
                    plan.fresh.push(class.clone());
                }
                number
            }
        };
        let counters = self.first_counter + number * ClassEvent::COUNT;
        let mut level = Level { policer: NO_POLICER, counters, ..Level::default() };
        level.mark = marks(&class, &actions.marks)?;
        let mut facts = ClassFacts { counters, policed: false, warnings: Vec::new() };
        if let Some(police) = &actions.police {
            for (colour, action) in Colour::ALL.into_iter().zip(&mut level.actions) {
                *action = match police.outcome(colour) {
                    Outcome::Drop => Action { drop: 1, ..Action::default() },
                    Outcome::Transmit(set) => Action { mark: marks(&class, set)?, drop: 0 },
                };
            }
            let error = |error| QosError::Policer {
                interface: class.interface.clone(),
                class: label(&class),
                error,
            };
            let mut spec = police.spec(limits).map_err(error)?;
            spec.shared = self.shared;
            // A parent whose children have policers gets their colours.
            let programmed = spec.program(limits).map_err(error)?;
            facts.policed = true;
            facts.warnings = programmed.warnings;
            level.policer = number;
            if rows.config_of.len() <= number as usize {
                rows.config_of.resize(number as usize + 1, u32::MAX);
            }
            if rows.config_of[number as usize] == u32::MAX {
                rows.config_of[number as usize] =
                    u32::try_from(rows.configs.len()).unwrap_or(u32::MAX);
                rows.configs.push(programmed.config);
            }
            if plan.fresh.contains(&class)
                && let Some(state) = driver.state_view(self.states).get(number as usize)
            {
                // What another policer of this number has left is not this one's.
                state.restore(&Snapshot::default());
            }
        }
        plan.facts.insert(class, facts);
        Ok(level)
    }

    /// Gives up what was prepared.
    pub(crate) fn abort(&mut self, plan: QosPlan) {
        for class in plan.fresh {
            if let Some(number) = self.known.remove(&class) {
                self.numbers.give_back(number);
            }
        }
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
        self.facts = plan.facts;
        let fresh = plan.fresh.iter().filter_map(|class| self.known.get(class));
        self.renamed.extend(fresh.map(|number| self.first_counter + number * ClassEvent::COUNT));
        let gone = self.known.extract_if(|class, _| !self.facts.contains_key(class));
        gone.for_each(|(_, number)| self.numbers.retire(number));
    }

    /// Numbers that every lcore has left can be used again.
    pub(crate) fn reclaim(&mut self) {
        self.numbers.reclaim(|_| ());
    }

    /// Bound classes, and what they have.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (&BoundClass, &ClassFacts)> {
        self.facts.iter()
    }

    /// First counters of classes that are new since this was last asked.
    pub(crate) fn take_renamed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.renamed)
    }
}

fn filled<T: pal::region::Plain + Copy>(
    driver: &Driver,
    rows: &[T],
) -> Result<Draft<T>, DriverError> {
    let mut draft = driver.alloc::<T>(rows.len().max(1))?;
    draft.iter_mut().zip(rows).for_each(|(to, row)| *to = *row);
    Ok(draft)
}

/// Policies and classes from the top down to a node.
fn path(tree: &Tree<'_>, node: usize) -> Vec<(String, String)> {
    let names = |node: &mqc::Node<'_>| (node.policy.to_owned(), node.class.to_owned());
    let mut path: Vec<_> = tree.path(node).map(|(_, node)| names(node)).collect();
    path.reverse();
    path
}
