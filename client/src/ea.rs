//! Execution agents: each turns its part of the configuration into the tables of one feature.

mod acl;
mod adjacency;
mod fib;
mod interface;
mod ipsec;
mod qos;

pub(crate) use acl::{AclAgent, AclPlan, EditPlan, Touched, lines_for};
pub use acl::{AclError, CounterName, ObjectName, RuleError, RuleName, SecurityRule, TcamUsage};
pub(crate) use adjacency::{AdjacencyAgent, AdjacencyKey, LinkFacts, Macs, Plan as Rows};
pub(crate) use fib::{FibAgent, Plan as FibPlan};
pub(crate) use interface::{InterfaceAgent, Plan as InterfacePlan, mac_of};
pub(crate) use ipsec::{Change as SaChange, IpsecAgent, IpsecPlan, Names as SaNames};
pub use ipsec::{IpsecError, SaCounts, SaStatus};
pub use qfp_core::uidb::Direction;
pub use qos::{BoundClass, ClassFacts, QosError};
