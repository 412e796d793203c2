//! Execution agents: each turns its part of the configuration into the tables of one feature.

mod adjacency;
mod fib;
mod interface;

pub(crate) use adjacency::{AdjacencyAgent, AdjacencyKey, LinkFacts, Macs};
pub(crate) use fib::FibAgent;
pub(crate) use interface::{Drafts, InterfaceAgent};
