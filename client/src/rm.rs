//! Resource managers: who owns which number, and how many there are.

mod numbers;
mod places;

pub use numbers::{Exhausted, Numbers};
pub(crate) use places::Places;
