//! How far the committed rate is off, in virtual time.

use crate::cost::Contestant;
use crate::kind::{BURST, Kind};
use crate::ours::Ours;
use crate::report::Report;
use crate::rivals::Peers;
use contest::BenchError;

/// Rates of operators, bits a second.
const RATES: [u64; 7] = [
    1_000_000,
    10_000_000,
    159_000_000,
    1_000_000_000,
    10_000_000_000,
    100_000_000_000,
    400_000_000_000,
];
const LENGTH: u32 = 64;

/// The errors at all rates, and that at the rate of the races for each kind.
pub(crate) fn run(packets: u64, peers: &Peers, report: &mut Report) -> Result<(), BenchError> {
    for kind in Kind::ALL {
        let error = errors(kind, crate::cost::RATE, packets, peers)?;
        report.expect_error(kind, error);
    }
    let kind = Kind::Rfc2697 { aware: false };
    for rate in RATES.into_iter().chain(peers.worst_rate()) {
        let (ours, peer) = errors(kind, rate, packets, peers)?;
        report.accuracy(&format!("accuracy/{rate}"), ours, peer);
    }
    Ok(())
}

/// Parts in a million by which the rate of ours and of the peer is off.
fn errors(
    kind: Kind,
    rate: u64,
    packets: u64,
    peers: &Peers,
) -> Result<(f64, Option<f64>), BenchError> {
    let ours = error(&mut Ours::new(kind, rate, 1, false)?, rate, packets);
    let mut rivals = peers.contestants(kind, rate, 1)?;
    let peer = rivals.first_mut().map(|peer| error(peer.as_mut(), rate, packets));
    Ok((ours, peer))
}

/// The error of one, which gets packets at twice the rate.
fn error(contestant: &mut dyn Contestant, rate: u64, packets: u64) -> f64 {
    let bits = u128::from(LENGTH) * 8;
    let time = |packet: u64| {
        let ns = u128::from(packet) * bits * 1_000_000_000 / (2 * u128::from(rate));
        u64::try_from(ns).unwrap_or(u64::MAX)
    };
    let green = (0..packets).filter(|&packet| contestant.green(time(packet), LENGTH)).count();
    let wanted = rate as f64 * time(packets - 1) as f64 / 8e9 + BURST as f64;
    (green as f64 * f64::from(LENGTH) / wanted - 1.0) * 1e6
}
