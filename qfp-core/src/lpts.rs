//! Local packet transport services: what goes to the slow path, and how much of it (ING-23).
//!
//! A packet for the router belongs to one of the [`FlowType`]s. Protocols with sessions have up to
//! three: the flow of an established session is *known*; one from a peer that is configured is
//! trusted less; anybody may send the rest. What is punted for another reason, and a dropped packet
//! whose source is to be told, has a type of its own. Each type has a packet rate, in total over the
//! lcores of a group, so that strangers cannot take what sessions need; and in each of them every
//! input interface has a share that no other interface can take ([`share`](self)).
//!
//! | file | what |
//! |---|---|
//! | `classify` | [`Lpts`]: filled by whoever knows the sessions, read by lcores, no allocation |
//! | `rates` | [`LptsRates`]: the rates, from published defaults |
//! | `share` | the meter of one type: a total, and shares of interfaces and senders |
//! | `group` | [`LptsGroup`]: all of it, for the lcores that share it |
//! | `stage` | rows `lpts` and `punt-police` |

mod classify;
mod group;
mod rates;
mod share;
mod stage;

#[cfg(test)]
mod tests;

pub use classify::{ForUs, Lpts, Service, Session, Trust};
pub use group::{Admission, LptsGroup, LptsSuccession, Offered};
pub use rates::{LptsRateError, LptsRates};
pub use stage::{LptsClassify, PuntPolice};

pub use crate::packet::FlowType;
