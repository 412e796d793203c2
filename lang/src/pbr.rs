//! Policy-based routing: which packets are not routed as usual, and how instead.
//!
//! - [`RouteMap`] holds [`Entry`]s by sequence number; the first that matches a packet decides
//! - [`RouteMaps`] is a text of them: [`RouteMaps::parse`] reads IOS text, and printing it gives
//!   text that parses back to the same
//! - [`Rule`] is what a classifier and its actions are made from: an entry seen from one address
//!   family, or a flow specification of BGP
//!
//! An entry that permits does what its [`Sets`] say; one that denies routes as usual, and so does
//! what no entry matches.
//!
//! **Not supported,** and refused by name: matches and sets of route maps for routing protocols,
//! prefix lists, interfaces other than Null0, next hops that are tracked, resolved recursively or
//! learned.
//!
//! ```
//! use lang::pbr::RouteMaps;
//!
//! let text = "route-map WEB permit 10
//!  match ip address EDGE
//!  set ip next-hop 192.0.2.1 192.0.2.2
//! ";
//! let maps = RouteMaps::parse(text)?;
//! assert_eq!(maps.get("WEB").map(|map| map.entries().count()), Some(1));
//! assert_eq!(maps.to_string(), text);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod parse;
mod print;
mod route_map;
mod rule;
#[cfg(test)]
mod tests;

pub use check::EntryError;
pub use route_map::{Action, Entry, Mark, Matches, RouteMap, RouteMaps, Sets};
pub use rule::{Condition, Outcome, Rule, RuleKey};
