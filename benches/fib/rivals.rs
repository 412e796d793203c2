//! Who of DPDK takes part: nobody, aloud, when it is not built in or does not start.

use crate::input::Rib;
#[cfg(feature = "dpdk")]
use crate::peers;
use crate::race::Contestant;
use crate::table::Room;

/// Why a peer is missing.
#[cfg(feature = "dpdk")]
pub(crate) use peers::PeerError;

/// Why a peer is missing: none is ever asked.
#[cfg(not(feature = "dpdk"))]
pub(crate) type PeerError = std::convert::Infallible;

/// Makes a peer's table with all routes.
pub(crate) type Maker<A> = fn(&Rib<A>, Room) -> Result<Contestant<A>, PeerError>;

/// The peers of each family; the first is the measure.
#[derive(Default)]
pub(crate) struct Peers {
    pub(crate) v4: Vec<Maker<u32>>,
    pub(crate) v6: Vec<Maker<u128>>,
    /// Their memory is in ordinary pages.
    pub(crate) ordinary_pages: bool,
    #[cfg(feature = "dpdk")]
    _eal: Option<qfp::hal::dpdk::Eal>,
}

impl Peers {
    /// Nobody.
    #[cfg(not(feature = "dpdk"))]
    pub(crate) fn start(_lpm: bool) -> Self {
        eprintln!("THE PEERS ARE MISSING: with `--features dpdk` DPDK's tables are measured too");
        Self::default()
    }

    /// Starts DPDK; with `lpm` its older tables take part as well.
    #[cfg(feature = "dpdk")]
    pub(crate) fn start(lpm: bool) -> Self {
        let (eal, huge) = match peers::start() {
            Ok(started) => started,
            Err(error) => {
                eprintln!("THE PEERS ARE MISSING: {error}");
                return Self::default();
            }
        };
        let pages = if huge { "huge" } else { "ordinary" };
        eprintln!("peers: {}, memory in {pages} pages", qfp::hal::dpdk::version());
        let mut all = Self {
            v4: vec![peers::contestant::<peers::Fib4>],
            v6: vec![peers::contestant::<peers::Fib6>],
            ordinary_pages: !huge,
            _eal: Some(eal),
        };
        if lpm {
            all.v4.push(peers::contestant::<peers::Lpm4>);
            all.v6.push(peers::contestant::<peers::Lpm6>);
        }
        all
    }
}
