//! IPsec between two routers: what one protects, the other opens.

mod closed;
mod failures;
mod path;
pub(crate) mod peer;
mod policies;
mod policy_oracle;
mod restart;
mod round_trip;
mod windows;
