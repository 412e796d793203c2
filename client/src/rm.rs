//! Resource managers: who owns which number.

mod rings;
mod vrfs;

pub(crate) use rings::Rings;
pub(crate) use vrfs::Vrfs;
