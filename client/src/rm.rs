//! Resource managers: who owns which number, and how many there are.

mod numbers;
mod places;
mod vrfs;

pub use numbers::{Exhausted, Numbers};
pub(crate) use places::Places;
pub(crate) use vrfs::Vrfs;
