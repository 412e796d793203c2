//! The Modular QoS CLI: class maps, policy maps, and what a classifier is made from.
//!
//! - [`ClassMap`] says which packets a class is for, [`PolicyMap`] what happens to those of each
//!   class: they are policed, then marked, then queued, or divided further by a child policy
//! - [`Policies`] holds both by name: [`Policies::parse`] reads what IOS, IOS XE and IOS XR write,
//!   and printing it gives text that parses back to the same
//! - [`Policies::check`] finds what cannot be, within the [`Limits`] of a platform
//! - [`Policies::tree`] numbers the classes of a policy and of those below it, and [`compile()`]
//!   makes patterns of them for one lookup
//!
//! **Classification** looks at packets as they come into a policy. What a policy sets, neither it
//! nor a child of it can match; a policy on the other side of the router can, QoS group and discard
//! class included.
//!
//! **Queueing** is part of the model. Who has no traffic manager asks [`Policies::queueing`] and
//! refuses the policy.
//!
//! **Readings.** A class map without `match-any` or `match-all` is match-all, as in IOS. A class map
//! without matches matches nothing. A policer has two colours, unless an excess or peak burst, a
//! peak rate or a `violate-action` asks for three; without `violate-action`, packets that violate
//! are treated like those that exceed. Rates without a unit are bits a second, those of `bandwidth`
//! and `priority` kilobits; bursts are bytes, those of `shape` bits.
//!
//! **Not supported,** and refused by name: matches and marks of tunnels, applications, flow tags and
//! traffic classes, tables of marks, overhead accounting a class (it is a router's), `drop`.
//!
//! ```
//! use lang::mqc::{ClassMap, Logic, Match, Policies};
//!
//! let text = "class-map match-any VOICE
//!  match dscp ef
//!  match cos 5
//! policy-map EDGE
//!  class VOICE
//!   police cir 1000000 bc 187500
//!    conform-action transmit
//!    exceed-action drop
//!   set mpls experimental imposition 5
//! ";
//! let policies = Policies::parse(text)?;
//! assert_eq!(policies.to_string(), text);
//! let voice = ClassMap::new("VOICE".parse()?, Logic::Any)
//!     .matching(Match::Dscp(Default::default(), [46].into()))
//!     .matching(Match::Cos([5].into()));
//! assert_eq!(policies.class("VOICE"), Some(&voice));
//!
//! let refused = Policies::parse("policy-map EDGE\n class VIDEO\n").unwrap_err().to_string();
//! assert_eq!(refused, "line 2, column 2: policy-map EDGE, class VIDEO: there is no such class-map");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod class;
mod compile;
mod error;
mod limits;
mod mark;
mod numbers;
mod parse;
mod police;
mod policies;
mod policy;
mod print;
mod queueing;
#[cfg(test)]
mod tests;
mod tree;

pub use class::{CLASS_DEFAULT, ClassMap, Criterion, Logic, MAX_QOS_GROUP, MAX_VLAN, Match};
pub use compile::{CompileError, MAX_RULES, compile};
pub use error::{Fault, PolicyError, PolicyPlace};
pub use limits::{LEVELS, Limits};
pub use mark::{Ip, Mark};
pub use numbers::Numbers;
pub use police::{Beyond, Burst, ColourClasses, Outcome, Police};
pub use policies::{Policies, QueueingAction};
pub use policy::{Actions, PolicyClass, PolicyMap};
pub use queueing::{
    Curve, FairQueue, Priority, QueueLimit, Queueing, RandomDetect, Remaining, Selector, Shape,
    ShapeKind, Share, Size,
};
pub use tree::{Leaf, MAX_LEAVES, Node, Tree, TreeError};
