//! The classes of a policy and of those below it, each under its parent.

use qfp_core::qos::police::Colour;

use super::{Actions, LEVELS, Police, Policies};
use crate::acl::Name;

/// Most classes that a policy may have with those below it, each counted for every class above it
/// and every colour that packets come with.
pub const MAX_LEAVES: usize = 65_536;

/// A class of a policy, in its place: a child policy that two classes share has its classes twice.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// The node above, whose class this one is part of; none in the topmost policy.
    pub parent: Option<usize>,
    /// Policy that it is a class of.
    pub policy: &'a str,
    /// Name of the class.
    pub class: &'a str,
    /// What happens to its packets.
    pub actions: &'a Actions,
}

/// What a packet is classified as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The lowest class that the packet is in.
    pub node: usize,
    /// Colours with which the packet comes to the policers of this class and of those above it,
    /// the topmost first: green where the policer does not ask.
    pub colours: [Colour; LEVELS],
}

/// The classes of a policy and of those below it.
///
/// It is the same for packets of both families, so that their rules give the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    leaves: Vec<Leaf>,
}

/// Why a policy has no such tree. [`Policies::check`] finds all but the last.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A policy that is not defined.
    #[error("there is no policy-map {0}")]
    NoPolicy(String),
    /// More levels than there can be.
    #[error("policy-map {0} has more than {LEVELS} levels")]
    TooDeep(String),
    /// More leaves than there can be.
    #[error("policy-map {0} has more than {MAX_LEAVES} classes with those of its children")]
    TooLarge(String),
}

impl Policies {
    /// The classes of a policy and of those below it.
    ///
    /// # Errors
    /// There is no such policy, or one below it; there are too many levels or classes.
    pub fn tree(&self, policy: &str) -> Result<Tree<'_>, TreeError> {
        let mut tree = Tree::default();
        let top = Grow { policies: self, top: policy };
        tree.leaves = top.policy(policy, None, 0, &mut tree.nodes)?;
        Ok(tree)
    }
}

impl<'a> Tree<'a> {
    /// The classes, each behind the one that it is part of.
    #[must_use]
    pub fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// What rules number: see [`compile()`](super::compile()).
    #[must_use]
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// A node and those above it, itself first: the order in which they police.
    pub fn path(&self, node: usize) -> impl Iterator<Item = (usize, &Node<'a>)> {
        let at = |node: usize| self.nodes.get(node).map(|found| (node, found));
        std::iter::successors(at(node), move |(_, found)| at(found.parent?))
    }
}

struct Grow<'a, 'n> {
    policies: &'a Policies,
    top: &'n str,
}

impl<'a> Grow<'a, '_> {
    /// Adds the nodes of a policy. Gives its leaves, with the colours of its own levels.
    fn policy(
        &self,
        policy: &str,
        parent: Option<usize>,
        level: usize,
        nodes: &mut Vec<Node<'a>>,
    ) -> Result<Vec<Leaf>, TreeError> {
        if level >= LEVELS {
            return Err(TreeError::TooDeep(self.top.to_owned()));
        }
        let found = self.policies.policy(policy);
        let map = found.ok_or_else(|| TreeError::NoPolicy(policy.to_owned()))?;
        let mut leaves = Vec::new();
        for (class, actions) in map.all() {
            let node = nodes.len();
            nodes.push(Node { parent, policy: map.name.as_str(), class, actions });
            let below = match &actions.child {
                Some(child) => self.policy(child.as_str(), Some(node), level + 1, nodes)?,
                None => vec![Leaf { node, colours: [Colour::Green; LEVELS] }],
            };
            for colour in colours(actions.police.as_ref()) {
                leaves.extend(below.iter().map(|leaf| {
                    let mut leaf = *leaf;
                    leaf.colours[level] = *colour;
                    leaf
                }));
            }
            if leaves.len() > MAX_LEAVES || nodes.len() > MAX_LEAVES {
                return Err(TreeError::TooLarge(self.top.to_owned()));
            }
        }
        Ok(leaves)
    }
}

/// The colours with which packets come to a policer, in the order of a class's leaves.
pub(super) fn colours(police: Option<&Police>) -> &'static [Colour] {
    match police.and_then(|police| police.colours.as_ref()) {
        None => &[Colour::Green],
        Some(classes) if classes.exceed.is_none() => &[Colour::Green, Colour::Yellow],
        Some(_) => &Colour::ALL,
    }
}

/// The class maps that give packets their colours, as [`colours`] orders them; all others have the
/// last colour.
pub(super) fn colour_classes(police: Option<&Police>) -> impl Iterator<Item = &Name> {
    let classes = police.and_then(|police| police.colours.as_ref());
    classes
        .into_iter()
        .flat_map(|classes| [Some(&classes.conform), classes.exceed.as_ref()])
        .flatten()
}
