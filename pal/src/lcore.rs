//! Lcores: threads that own one CPU each.
//!
//! [`launch`] pins and names every thread before the first body runs, so a CPU that cannot be had
//! is an error at start-up and not a slow router. A panic on one lcore stops all of them: half a
//! data plane forwards half the traffic, which is harder to notice than none.
#![allow(unsafe_code, reason = "CPU affinity is a pair of C calls")]

mod cpu;
mod launch;
mod stop;

pub use cpu::{CpuId, CpuList, CpuListError, allowed_cpus, current_numa_node};
pub use launch::{LaunchError, LcoreContext, LcoreError, LcoreSpec, Lcores, launch, launch_with};
pub use stop::StopFlag;

use std::fmt;

/// Number of an lcore: dense from zero, unlike the CPU it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LcoreId(pub u16);

impl fmt::Display for LcoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lcore {}", self.0)
    }
}
