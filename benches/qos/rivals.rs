//! Who of DPDK takes part: nobody, aloud, when it is not built in or does not start.

use crate::cost::Contestant;
use crate::kind::Kind;
#[cfg(feature = "dpdk")]
use crate::peers;
use contest::BenchError;

/// `rte_meter`, if it is there.
#[derive(Default)]
pub(crate) struct Peers {
    #[cfg(feature = "dpdk")]
    eal: Option<qfp::hal::dpdk::Eal>,
}

#[cfg(not(feature = "dpdk"))]
impl Peers {
    /// Nobody.
    pub(crate) fn start() -> Self {
        eprintln!("THE PEERS ARE MISSING: with `--features dpdk` rte_meter is measured too");
        Self::default()
    }

    /// Nobody.
    pub(crate) fn contestants(
        &self,
        _: Kind,
        _: u64,
        _: u32,
    ) -> Result<Vec<Box<dyn Contestant>>, BenchError> {
        Ok(Vec::new())
    }

    /// Nobody has one.
    pub(crate) fn worst_rate(&self) -> Option<u64> {
        None
    }
}

#[cfg(feature = "dpdk")]
impl Peers {
    /// Starts DPDK, which knows the rate of the cycle counter.
    pub(crate) fn start() -> Self {
        match peers::start() {
            Ok(eal) => Self { eal: Some(eal) },
            Err(error) => {
                eprintln!("THE PEERS ARE MISSING: {error}");
                Self::default()
            }
        }
    }

    /// Meters for `kind`, plain and asked for ahead.
    pub(crate) fn contestants(
        &self,
        kind: Kind,
        rate: u64,
        meters: u32,
    ) -> Result<Vec<Box<dyn Contestant>>, BenchError> {
        let modes = if self.eal.is_some() { &[false, true][..] } else { &[] };
        let all = modes.iter().map(|&ahead| peers::contestant(kind, rate, meters, ahead));
        all.filter_map(Result::transpose).collect()
    }

    /// The rate that `rte_meter` misses by most, bits a second.
    ///
    /// It refills every whole number of cycles, at least 100, so it is off by almost one in 100
    /// where 101 would be right.
    pub(crate) fn worst_rate(&self) -> Option<u64> {
        self.eal.as_ref()?;
        let bytes = peers::hz().ok()? * 1000 / 100_999;
        Some(bytes * 8)
    }
}
