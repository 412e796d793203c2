//! DPDK's `rte_meter`.
#![expect(unsafe_code, reason = "the meters are C")]

use std::ops::Range;

use dpdk_sys as sys;
use qfp::hal::dpdk::{Eal, EalError};

use crate::cost::Contestant;
use crate::kind::{BURST, Kind, peak};
use crate::traffic::{Traffic, VECTOR};
use contest::BenchError;

/// Packets of a vector, as DPDK counts them.
const PACKETS: u32 = 64;
const _: () = assert!(PACKETS as usize == VECTOR);

/// It does not like a configuration.
#[derive(Debug, thiserror::Error)]
#[error("rte_meter refuses a configuration (error {0})")]
struct Refused(i32);

/// Starts DPDK with little memory.
pub(crate) fn start() -> Result<Eal, EalError> {
    let args = ["--no-pci", "--no-telemetry", "--no-huge", "--log-level=4", "-m", "64"];
    let args: Vec<String> =
        args.into_iter().chain(["--file-prefix=qosbench"]).map(str::to_owned).collect();
    Eal::init(&args)
}

/// Cycles a second, as DPDK has measured them.
pub(crate) fn hz() -> Result<u64, BenchError> {
    // At one byte a second, the period of a meter is all cycles of a second.
    Ok(srtcm_profile(1)?.cir_period)
}

fn srtcm_profile(cir: u64) -> Result<sys::rte_meter_srtcm_profile, Refused> {
    let mut params = sys::rte_meter_srtcm_params { cir, cbs: BURST, ebs: BURST };
    let mut profile = sys::rte_meter_srtcm_profile::default();
    // SAFETY: both are exclusively borrowed for the whole call, which keeps neither.
    checked(unsafe { sys::rte_meter_srtcm_profile_config(&raw mut profile, &raw mut params) })?;
    Ok(profile)
}

fn trtcm_profile(cir: u64, pir: u64) -> Result<sys::rte_meter_trtcm_profile, Refused> {
    let mut params = sys::rte_meter_trtcm_params { cir, pir, cbs: BURST, pbs: BURST };
    let mut profile = sys::rte_meter_trtcm_profile::default();
    // SAFETY: both are exclusively borrowed for the whole call, which keeps neither.
    checked(unsafe { sys::rte_meter_trtcm_profile_config(&raw mut profile, &raw mut params) })?;
    Ok(profile)
}

fn checked(code: i32) -> Result<(), Refused> {
    if code == 0 { Ok(()) } else { Err(Refused(code)) }
}

/// Meters an array of packets: meters, profile, time, and of each packet the meter, the length,
/// the colour before and after; how many.
type Check<M, P> = unsafe extern "C" fn(*mut M, *mut P, u64, *const u32, *const u32, *mut u8, u32);

/// Meters of one kind.
struct Meters<M, P> {
    meters: Vec<M>,
    profile: P,
    check: Check<M, P>,
    ahead: bool,
    hz: u64,
    /// Cycles in which all meters were full.
    start: u64,
    /// Cycles that have gone by in races.
    cycles: u64,
}

/// Meters for `kind` with `rate` bit/s; none if there are no such meters.
pub(crate) fn contestant(
    kind: Kind,
    rate: u64,
    meters: u32,
    ahead: bool,
) -> Result<Option<Box<dyn Contestant>>, BenchError> {
    let hz = hz()?;
    let made: Box<dyn Contestant> = match kind {
        Kind::OneRate | Kind::Rfc2697 { .. } => {
            let mut profile = srtcm_profile(rate / 8)?;
            let mut meter = sys::rte_meter_srtcm::default();
            // SAFETY: both are exclusively borrowed for the whole call, which keeps neither.
            checked(unsafe { sys::rte_meter_srtcm_config(&raw mut meter, &raw mut profile) })?;
            let aware = kind == Kind::Rfc2697 { aware: true };
            let check = if aware { sys::qfp_meter_srtcm_aware } else { sys::qfp_meter_srtcm_blind };
            let meters = vec![meter; meters as usize];
            Box::new(Meters { meters, profile, check, ahead, hz, start: meter.time, cycles: 0 })
        }
        Kind::Rfc2698 { aware } => {
            let mut profile = trtcm_profile(rate / 8, peak(rate) / 8)?;
            let mut meter = sys::rte_meter_trtcm::default();
            // SAFETY: both are exclusively borrowed for the whole call, which keeps neither.
            checked(unsafe { sys::rte_meter_trtcm_config(&raw mut meter, &raw mut profile) })?;
            let check = if aware { sys::qfp_meter_trtcm_aware } else { sys::qfp_meter_trtcm_blind };
            let meters = vec![meter; meters as usize];
            Box::new(Meters { meters, profile, check, ahead, hz, start: meter.time_tc, cycles: 0 })
        }
        Kind::Rfc4115 { .. } => return Ok(None),
    };
    Ok(Some(made))
}

impl<M, P> Meters<M, P> {
    /// Meters packets `cycles` after the start; the arrays are equally long.
    fn check(&mut self, cycles: u64, meters: &[u32], lengths: &[u32], colours: &mut [u8]) {
        assert!(meters.iter().all(|&meter| (meter as usize) < self.meters.len()));
        let count = meters.len().min(lengths.len()).min(colours.len());
        self.check_known(cycles, meters, lengths, colours, u32::try_from(count).unwrap_or(0));
    }

    /// The same for meters that are known to exist.
    fn check_known(
        &mut self,
        cycles: u64,
        meters: &[u32],
        lengths: &[u32],
        colours: &mut [u8],
        count: u32,
    ) {
        let Self { meters: all, profile, check, .. } = self;
        let (all, profile) = (all.as_mut_ptr(), std::ptr::from_mut(profile));
        let (meters, lengths) = (meters.as_ptr(), lengths.as_ptr());
        let now = self.start + cycles;
        // SAFETY: all meters were made from this profile and are exclusively borrowed; the three
        // arrays have `count` elements, and the numbers of meters are below their count.
        unsafe { check(all, profile, now, meters, lengths, colours.as_mut_ptr(), count) };
    }
}

impl<M, P> Contestant for Meters<M, P> {
    fn name(&self) -> &'static str {
        if self.ahead { "rte_meter-ahead" } else { "rte_meter" }
    }

    fn run(&mut self, traffic: &Traffic, vectors: Range<usize>) -> u64 {
        let gap = traffic.gap * self.hz / 1_000_000_000;
        let mut sum = 0;
        for vector in &traffic.vectors[vectors] {
            self.cycles += gap;
            let mut colours = vector.colours;
            if self.ahead {
                for &meter in &vector.policers {
                    prefetch(&raw const self.meters[meter as usize]);
                }
            }
            let (meters, lengths) = (&vector.policers, &vector.lengths);
            self.check_known(self.cycles, meters, lengths, &mut colours, PACKETS);
            sum += u64::from(colours[0]) + u64::from(colours[VECTOR - 1]);
        }
        sum
    }

    fn green(&mut self, ns: u64, length: u32) -> bool {
        let cycles = u128::from(ns) * u128::from(self.hz) / 1_000_000_000;
        let mut colours = [0];
        self.check(u64::try_from(cycles).unwrap_or(u64::MAX), &[0], &[length], &mut colours);
        colours[0] == 0
    }
}

/// Asks for the line at `at`.
fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch cannot fault, and SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
