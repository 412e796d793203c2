//! Resource managers: who owns which number.

mod numbers;
mod vrfs;

pub use numbers::Named;
pub(crate) use numbers::{Kind, Numbers};
pub(crate) use vrfs::Vrfs;
