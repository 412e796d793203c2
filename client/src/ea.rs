//! Execution agents: each turns its part of the configuration into the tables of one feature.

mod acl;
mod adjacency;
mod fib;
mod interface;
mod ipsec;
mod qos;

pub(crate) use acl::{AclAgent, AclPlan, Touched, lines_for};
pub use acl::{AclError, CounterName, ObjectName, RuleError, RuleName, SecurityRule, TcamUsage};
pub(crate) use adjacency::{AdjacencyAgent, AdjacencyKey, LinkFacts, Macs};
pub(crate) use fib::FibAgent;
pub(crate) use interface::{Drafts, InterfaceAgent, mac_of};
pub(crate) use ipsec::{Change as SaChange, IpsecAgent, IpsecPlan, Names as SaNames};
pub use ipsec::{IpsecError, SaCounts, SaStatus};
pub use qfp_core::uidb::Direction;
pub use qos::{BoundClass, ClassFacts, QosError};
