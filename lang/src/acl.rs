//! Access lists as the operator says them: one typed model, and its IOS text.
//!
//! - [`AccessList`] holds remarks and [`Ace`]s by sequence number, and is edited by it
//! - [`Objects`] holds the object-groups that aces name
//! - [`AccessList::resolved`] gives [`PlainAce`]s, without names, for a classifier to compile
//! - [`Document`] is a text of lists and groups: [`Document::parse`] reads what IOS, IOS XE and
//!   IOS XR write, and printing it gives IOS text that parses back to the same document
//!
//! The first ace that matches a packet decides; what follows the last is
//! [`AccessList::implicit`].
//!
//! **Fragments.** Only the first fragment of a packet has ports, an ICMP type or TCP flags. An ace
//! that looks at any of these never matches the other fragments. An ace without them matches every
//! fragment, and with `fragments` it matches none but those others. [`PlainAce::fragments`] says
//! which of the three it is.
//!
//! **Not supported,** and refused by name: time ranges, reflexive, dynamic and evaluated lists, IP
//! options and extension headers, actions beyond permit, deny, log and capture. Lists of MAC
//! addresses are refused by their numbers.
//!
//! ```
//! use lang::acl::{Ace, AccessList, Address, Compare, Document, Family, Kind, Protocol};
//!
//! let mut edge = AccessList::new("EDGE".parse()?, Family::V4, Kind::Extended)?;
//! edge.add_remark("web servers")?;
//! let servers: ipnet::IpNet = "192.0.2.0/24".parse()?;
//! edge.add(Ace::permit(Protocol::TCP).destination(servers).destination_port(Compare::eq(443)))?;
//!
//! let text = "ip access-list extended EDGE
//!  10 remark web servers
//!  20 permit tcp any 192.0.2.0 0.0.0.255 eq 443
//! ";
//! assert_eq!(edge.to_string(), text);
//! assert_eq!(Document::parse(text)?.list(Family::V4, "EDGE"), Some(&edge));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ace;
mod address;
mod check;
mod compare;
mod document;
mod group;
mod implicit;
mod list;
mod name;
mod parse;
mod print;
mod resolve;
mod tcp;
#[cfg(test)]
mod tests;

pub use ace::{Ace, Action, Icmp, Log, Options, Ports, Protocol};
pub use address::{Address, IpMatch, Ternary};
pub use check::AceError;
pub use compare::{Compare, MAX_DSCP, MAX_FLOW_LABEL, MAX_PRECEDENCE, MAX_TOS, MAX_TTL};
pub use document::Document;
pub use group::{
    Addresses, GroupError, Member, Members, ObjectGroup, Objects, Service, ServiceProtocol,
};
pub use implicit::IMPLICIT;
pub use list::{AccessList, Body, EditError, Kind, MAX_SEQUENCE, STEP};
pub use name::{Name, NameError};
pub use qfp_core::wire::Family;
pub use resolve::{Fragments, PlainAce, ResolveError};
pub use tcp::{TcpFlags, TcpMatch};
