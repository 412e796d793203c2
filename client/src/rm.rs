//! Resource managers: who owns which number.

mod vrfs;

pub(crate) use vrfs::Vrfs;
