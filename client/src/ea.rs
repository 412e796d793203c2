//! Execution agents: each turns its part of the configuration into the tables of one feature.

mod acl;
mod adjacency;
mod fib;
mod interface;
mod qos;

pub(crate) use acl::{AclAgent, AclPlan, Touched, lines_for};
pub use acl::{AclError, CounterName, ObjectName, RuleError, RuleName, TcamUsage};
pub(crate) use adjacency::{AdjacencyAgent, AdjacencyKey, LinkFacts, Macs};
pub(crate) use fib::FibAgent;
pub(crate) use interface::{Drafts, InterfaceAgent};
pub use qos::{BoundClass, ClassFacts, Direction, QosError};
