//! Resource managers: who owns which number.

mod numbers;
mod rings;
mod vrfs;

pub use numbers::Named;
pub(crate) use numbers::{Kind, Numbers};
pub(crate) use rings::Rings;
pub(crate) use vrfs::Vrfs;
