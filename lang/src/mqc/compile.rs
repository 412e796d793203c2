//! From a policy to rules of a classifier.
//!
//! A condition is first a [`Decision`]: patterns in order, each with a yes or a no, of which the
//! first that matches a packet decides. So an access list that denies, or a class that must not
//! match, can be combined with others without a complement of patterns, of which there is none.

mod condition;
mod field;

use std::collections::HashMap;
use std::rc::Rc;

use qfp_core::acl::Pattern;

use self::condition::{Conditions, Decision};
use super::tree::{colour_classes, colours};
use super::{CLASS_DEFAULT, LEVELS, MAX_LEAVES, Policies};
use crate::acl::{AccessList, Document, Family, Name};

/// Most rules of a policy.
pub const MAX_RULES: usize = 65_536;

/// Why a policy cannot be compiled. [`Policies::check`] finds all but the last three.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError<E> {
    /// A policy that is not defined.
    #[error("there is no policy-map {0}")]
    NoPolicy(String),
    /// A class map that is not defined.
    #[error("there is no class-map {0}")]
    NoClass(String),
    /// Policies or class maps that go too deep, or in circles.
    #[error("{0} goes too deep")]
    TooDeep(String),
    /// A list that is not defined.
    #[error("class-map {class}: there is no access list {list}")]
    NoList {
        /// The class map.
        class: Name,
        /// The list.
        list: Name,
    },
    /// A list that cannot be compiled.
    #[error("class-map {class}: {error}")]
    List {
        /// The class map.
        class: Name,
        /// What is wrong with the list.
        error: E,
    },
    /// Too many combinations: of the matches of a class, of what it must not match with the classes
    /// behind, or of a class with those of its child policy.
    #[error("policy-map {policy}, class {class}: more than {MAX_RULES} rules")]
    TooComplex {
        /// The policy.
        policy: String,
        /// The class.
        class: String,
    },
}

/// Rules, the first that matches a packet first, and the leaf that each gives.
type Rules<const W: usize> = Vec<(Pattern<W>, u32)>;

/// A policy's rules with leaves numbered from zero, and how many leaves there are.
#[derive(Clone)]
struct Compiled<const W: usize> {
    rules: Rc<Rules<W>>,
    leaves: usize,
}

/// The rules of a policy for packets of `family`, in order: the first whose pattern matches a packet
/// gives its number in [`Tree::leaves`](super::Tree::leaves). The last matches every packet.
///
/// `rules_of` gives a list's rules in order, what is implicit included: which packets, and whether
/// they are permitted. Takes time in proportion to the rules.
///
/// # Errors
/// See [`CompileError`].
pub fn compile<const W: usize, E>(
    policies: &Policies,
    policy: &str,
    family: Family,
    lists: &Document,
    rules_of: impl FnMut(&AccessList) -> Result<Vec<(Pattern<W>, bool)>, E>,
) -> Result<Rules<W>, CompileError<E>> {
    let conditions = Conditions::new(policies, family, lists, rules_of);
    let mut compiler = Compiler { policies, conditions, done: HashMap::new() };
    let compiled = compiler.policy(policy, 0)?;
    drop(compiler);
    Ok(Rc::unwrap_or_clone(compiled.rules))
}

/// More rules than there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooMany;

struct Compiler<'a, F, const W: usize> {
    policies: &'a Policies,
    conditions: Conditions<'a, F, W>,
    done: HashMap<&'a str, Compiled<W>>,
}

impl<'a, F, E, const W: usize> Compiler<'a, F, W>
where
    F: FnMut(&AccessList) -> Result<Vec<(Pattern<W>, bool)>, E>,
{
    fn policy(&mut self, name: &str, level: usize) -> Result<Compiled<W>, CompileError<E>> {
        if let Some(done) = self.done.get(name) {
            return Ok(done.clone());
        }
        let policies = self.policies;
        let found = policies.policy(name);
        let policy = found.ok_or_else(|| CompileError::NoPolicy(name.to_owned()))?;
        if level >= LEVELS {
            return Err(CompileError::TooDeep(name.to_owned()));
        }
        // From the last class to the first, as each is put in front of those behind; so the rules
        // are kept in reverse.
        let mut parts = Vec::with_capacity(policy.classes.len() + 1);
        let mut leaves = 0;
        for (class, actions) in policy.all() {
            let below = match &actions.child {
                Some(child) => self.policy(child.as_str(), level + 1)?,
                None => Compiled { rules: Rc::new(vec![(Pattern::any(), 0)]), leaves: 1 },
            };
            let first = leaves;
            leaves += below.leaves * colours(actions.police.as_ref()).len();
            if leaves > MAX_LEAVES {
                return Err(too_complex(name, class));
            }
            parts.push((class, actions, below, first));
        }
        let mut rules: Rules<W> = Vec::new();
        for (class, actions, below, first) in parts.into_iter().rev() {
            let complex = |TooMany| too_complex(name, class);
            let colour_classes: Vec<&Name> = colour_classes(actions.police.as_ref()).collect();
            let leaves_of = |colour: usize| {
                let first = first + colour * below.leaves;
                below.rules.iter().map(move |(pattern, leaf)| (*pattern, number(first) + leaf))
            };
            // The child's rules once more for each colour: the last is that of all other packets.
            let mut inside: Rules<W> = leaves_of(colour_classes.len()).rev().collect();
            for (colour, class) in colour_classes.iter().enumerate().rev() {
                let condition = self.conditions.class(class.as_str())?.map_err(complex)?;
                let own: Rules<W> = leaves_of(colour).collect();
                in_front(&condition, &own, &mut inside).map_err(complex)?;
            }
            inside.reverse();
            let condition = if class == CLASS_DEFAULT {
                Rc::new(Decision::always())
            } else {
                self.conditions.class(class)?.map_err(complex)?
            };
            in_front(&condition, &inside, &mut rules).map_err(complex)?;
        }
        rules.reverse();
        let compiled = Compiled { rules: Rc::new(rules), leaves };
        self.done.insert(policy.name.as_str(), compiled.clone());
        Ok(compiled)
    }
}

fn too_complex<E>(policy: &str, class: &str) -> CompileError<E> {
    CompileError::TooComplex { policy: policy.to_owned(), class: class.to_owned() }
}

/// A leaf's number: there are at most [`MAX_LEAVES`].
fn number(leaf: usize) -> u32 {
    u32::try_from(leaf).unwrap_or(u32::MAX)
}

/// Puts the rules `inside`, which match every packet, in front of `rest` for packets that meet the
/// condition. `rest` is in reverse order.
///
/// What the condition refuses in so many words goes on to the rules behind, which one lookup
/// cannot do: they are repeated for it.
fn in_front<const W: usize>(
    condition: &Decision<W>,
    inside: &[(Pattern<W>, u32)],
    rest: &mut Rules<W>,
) -> Result<(), TooMany> {
    let mut front: Rules<W> = Vec::new();
    for (pattern, met) in condition.rules() {
        if *met {
            narrowed(&mut front, pattern, inside.iter())?;
        } else {
            narrowed(&mut front, pattern, rest.iter().rev())?;
        }
        if front.len() + rest.len() > MAX_RULES {
            return Err(TooMany);
        }
    }
    if condition.is_total() {
        rest.clear();
    }
    rest.extend(front.into_iter().rev());
    Ok(())
}

/// Adds `rules` as far as they match packets of `pattern`.
fn narrowed<'r, T: Copy + 'r, const W: usize>(
    to: &mut Vec<(Pattern<W>, T)>,
    pattern: &Pattern<W>,
    rules: impl Iterator<Item = &'r (Pattern<W>, T)>,
) -> Result<(), TooMany> {
    for (other, outcome) in rules {
        let Some(both) = pattern.and(other) else { continue };
        if to.len() >= MAX_RULES {
            return Err(TooMany);
        }
        to.push((both, *outcome));
        if both == *pattern {
            // Nothing of the pattern is left for the rules behind.
            break;
        }
    }
    Ok(())
}
