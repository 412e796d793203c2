//! Execution agents: each turns its part of the configuration into the tables of one feature.

mod adjacency;
mod classification;
mod fib;
mod interface;
mod ipsec;
mod qos;

pub(crate) use adjacency::{AdjacencyAgent, LinkFacts, Macs, Plan as Rows};
pub(crate) use classification::{
    ClassificationAgent, ClassificationPlan, EditPlan, Touched, lines_for,
};
pub use classification::{
    ClassificationError, CounterName, ObjectName, RuleError, RuleName, SecurityRule, TcamUsage,
};
pub(crate) use fib::{FibAgent, Plan as FibPlan};
pub(crate) use interface::{InterfaceAgent, Plan as InterfacePlan, mac_of};
pub(crate) use ipsec::{Change as SaChange, IpsecAgent, IpsecPlan, Names as SaNames};
pub use ipsec::{IpsecError, LastingKey, LastingKeys, SaCounts, SaStatus};
pub use qfp_core::uidb::Direction;
pub use qos::{BoundClass, ClassFacts, ClassPath, QosError};
