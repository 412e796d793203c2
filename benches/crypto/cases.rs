//! Which cases there are.

use qfp::core::crypto::{Algorithm, CryptoEngine, Tier};

use crate::Effort;
use crate::aws_lc::AwsLc;
#[cfg(feature = "dpdk")]
use crate::cryptodev::Devices;
use crate::ours::{self, Ours};
use crate::packets::Shape;
use crate::race::{Contestant, race};
use crate::report::Report;
use crate::rust_crypto::RustCrypto;
use contest::BenchError;

/// Runs all cases and returns how many results were wrong.
pub(crate) fn run(effort: &Effort) -> Result<usize, BenchError> {
    let mut engines = Vec::new();
    // The portable one first: it is the measure of all ciphertexts.
    for tier in Tier::ALL.into_iter().rev() {
        let started = CryptoEngine::start_with(tier)?;
        if started.refused.is_empty() {
            engines.push(started.engine);
        } else {
            eprintln!("{}: {:?}", tier.name(), started.refused);
        }
    }
    #[cfg(feature = "dpdk")]
    let devices = Devices::start();
    #[cfg(not(feature = "dpdk"))]
    eprintln!("A PEER IS MISSING: with `--features dpdk` the cryptodevs are measured too");
    let (sizes, sas): (&[usize], &[usize]) = if effort.quick {
        (&[64, 512, 1400], &[1, 4096])
    } else {
        (&[64, 256, 512, 1024, 1400, 8192], &[1, 64, 1024, 4096])
    };
    let mut report = Report::default();
    for algorithm in Algorithm::ALL {
        for &len in sizes {
            for &sas in sas {
                // CBC takes whole blocks: 1392 instead of 1400.
                let block = algorithm.block() as usize;
                let shape = Shape { algorithm, len: len / block * block, sas };
                if !wanted(effort, shape, len) {
                    continue;
                }
                let mut contestants: Vec<Box<dyn Contestant>> = Vec::new();
                let keys = ours::keys(shape)?;
                for engine in &engines {
                    contestants.push(Box::new(Ours::new(*engine, &keys, shape)));
                }
                let tiers = contestants.len();
                contestants.extend(AwsLc::new(shape).map(|peer| Box::new(peer) as Box<_>));
                contestants.extend(RustCrypto::new(shape).map(|peer| Box::new(peer) as Box<_>));
                #[cfg(feature = "dpdk")]
                contestants.extend(devices.iter().flat_map(|devices| devices.contestants(shape)));
                one(&mut report, effort, shape, len, contestants, tiers);
            }
        }
    }
    report.finish()?;
    Ok(report.wrong)
}

/// What a case is called; `len` is its nominal size.
fn name(shape: Shape, way: &str, len: usize, tier: &str) -> String {
    format!("{}/{way}/{len}/{}sa/{tier}", shape.algorithm.name(), shape.sas)
}

/// Whether any case of this shape is.
fn wanted(effort: &Effort, shape: Shape, len: usize) -> bool {
    ["seal", "open"].iter().any(|way| {
        Tier::ALL.iter().any(|tier| selected(effort, &name(shape, way, len, tier.name())))
    })
}

fn selected(effort: &Effort, name: &str) -> bool {
    effort.words.iter().all(|word| name.contains(word.as_str()))
}

/// Races one shape and reports each tier against each peer.
fn one(
    report: &mut Report,
    effort: &Effort,
    shape: Shape,
    len: usize,
    mut contestants: Vec<Box<dyn Contestant>>,
    tiers: usize,
) {
    let samples = race(&mut contestants, shape, effort.rounds);
    for (contestant, samples) in contestants.iter().zip(&samples) {
        if samples.wrong > 0 {
            let case = name(shape, "both", len, contestant.name());
            eprintln!("{case}: {} packets wrong", samples.wrong);
        }
    }
    report.wrong += samples[..tiers].iter().map(|samples| samples.wrong).sum::<usize>();
    for (tier, ours) in contestants[..tiers].iter().zip(&samples).rev() {
        for (way, open) in [("seal", false), ("open", true)] {
            let case = name(shape, way, len, tier.name());
            if !selected(effort, &case) {
                continue;
            }
            let pick = |samples: &crate::race::Samples| {
                if open { samples.open.clone() } else { samples.seal.clone() }
            };
            if contestants.len() == tiers {
                report.add(&case, &pick(ours), None);
            }
            for (peer, theirs) in contestants[tiers..].iter().zip(&samples[tiers..]) {
                report.add(&case, &pick(ours), Some((peer.name(), &pick(theirs))));
            }
        }
    }
}
