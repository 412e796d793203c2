//! BGP flow specifications: what they match, their order, and what they ask for.
//!
//! - [`Components`]: what a rule matches, read from and written as NLRI (RFC 8955 §4, RFC 8956 §3)
//! - [`Actions`]: what happens to the packets, from extended communities (RFC 8955 §7)
//! - [`FlowTable`]: the rules of all peers in the order of RFC 8955 §5.1, with stable numbers
//! - [`Match`]: a rule as plain alternatives of fields and ranges, for the classifier
//!
//! [`Components`] are ordered: the lesser of two rules is looked at first.
//! [`Components::eval`] says what a rule means, component by component; the compiled
//! alternatives are tested to say the same.

mod actions;
mod compile;
mod component;
mod header;
mod matches;
mod nlri;
mod operator;
mod order;
mod prefix;
mod ranges;
mod rate;
mod table;
mod ternary;
#[cfg(test)]
mod tests;

pub use crate::acl::{Family, IpMatch, Ternary};
pub use actions::{ActionError, Actions, RouteTarget};
pub use compile::{MAX_ENTRIES, TooComplex};
pub use component::{Component, Components, ComponentsError, MAX_NLRI};
pub use header::{Header, Transport};
pub use matches::Match;
pub use nlri::NlriError;
pub use operator::{BitTest, Bitmask, Comparison, NoTerms, Numeric, Operator, Term, Terms, Width};
pub use prefix::{BadPattern, Ipv6Pattern, Prefix};
pub use rate::{RateUnit, TrafficRate};
pub use table::{FlowTable, RuleId, TableFull};

/// One rule: what it matches, and what happens to that.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowSpec {
    /// What it matches.
    pub components: Components,
    /// What happens to the packets.
    pub actions: Actions,
}

impl FlowSpec {
    /// The alternatives that together match what the rule matches. See [`Components::matches`].
    ///
    /// # Errors
    /// The rule takes more than [`MAX_ENTRIES`] entries of a classifier.
    pub fn matches(&self) -> Result<Vec<Match>, TooComplex> {
        self.components.matches()
    }
}
