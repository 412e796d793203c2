//! From open ports to lcores that forward.

use std::sync::Arc;

use hal::{Pool, PoolCache, PortConfig, PortError, Queues};
use pal::clock::TscClock;
use pal::lcore::{CpuId, LaunchError, LcoreId, LcoreSpec};
use pal::ring::Ring;
use qfp_core::counters::LcoreCounters;
use qfp_core::fia::{FiaBuilder, FiaError, Kit};
use qfp_core::ipsec::{EngineLanes, EngineLcore, EspDecap, EspEncap, engine_lanes};
use qfp_core::isa::Isa;
use qfp_core::lpts::{LptsGroup, LptsSuccession};
use qfp_core::ppe::{Ppe, PpeParts};
use qfp_core::punt::SlowPath;
use qfp_core::tables::TableReader;

use crate::applications::{Application, Applications, ToApplications};
use crate::engine::Beside;
use crate::hooks::{PLACES, PuntHooks};
use crate::links::{LINKS, Links, Ports};
use crate::messages::{Configured, Inbox, ToClient};
use crate::plug::shares;
use crate::ports::Opened;
use crate::running::{Run, Running};
use crate::slow_side::{Policing, Shown, SlowCounts, SlowSide};
use crate::threads::{launch_live, launch_virtual};

/// How a port is started.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PortLaunch {
    /// Its number, below [`MOST_PORTS`](qfp_core::ppe::MOST_PORTS).
    pub number: u16,
    /// What clients call it.
    pub name: String,
    /// What it is set to.
    pub config: PortConfig,
}

/// How a data plane is started and what for: plain data.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Launch {
    /// How each port is started, in the order of the devices.
    pub ports: Vec<PortLaunch>,
    /// The CPUs of lcores that forward.
    pub lcores: Vec<CpuId>,
    /// The CPUs of crypto engines.
    pub crypto: Vec<CpuId>,
    /// What the slow path knows of the configuration.
    pub configured: Configured,
    /// Programs that want punted packets.
    pub applications: Vec<Application>,
    /// What the slow paths of data planes before it have counted.
    pub counted: SlowCounts,
    /// Numbers of interfaces are below this, also of those that come later.
    pub interfaces: usize,
    /// Packets that each lcore traces.
    pub trace: usize,
    /// Packet buffers in all, in place of the usual number.
    pub buffers: Option<usize>,
    /// Ticks per second of the time stamp counter, which takes 20 ms to measure.
    pub hz: u64,
}

/// What a data plane is handed of what is others', lcore by lcore: those that forward come first.
pub struct Hands {
    /// The order of operations.
    pub fia: FiaBuilder,
    /// Who reads the tables.
    pub tables: Vec<TableReader>,
    /// What each lcore counts.
    pub counters: Vec<LcoreCounters>,
    /// Who looks at punted packets first.
    pub hooks: PuntHooks,
    /// Where packets for programs go.
    pub to_applications: ToApplications,
    /// The lines from and to the client.
    pub lines: (Inbox, ToClient),
}

/// Why a data plane does not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A device does not open.
    #[error("port {port}: {source}")]
    Device {
        /// Number of its port.
        port: usize,
        /// What is wrong with it.
        source: PortError,
    },
    /// A port cannot be started.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Lcores cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The order of operations has no ESP rows for crypto engines.
    #[error(transparent)]
    Fia(#[from] FiaError),
    /// DPDK does not start.
    #[cfg(feature = "dpdk")]
    #[error(transparent)]
    Eal(#[from] hal::dpdk::EalError),
    /// DPDK gives no buffers.
    #[cfg(feature = "dpdk")]
    #[error(transparent)]
    Mbufs(#[from] hal::dpdk::MbufPoolError),
}

impl Opened {
    /// Starts the ports and forwards. In the time of captures `client` has its turn between two
    /// vectors; otherwise there is none here.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn launch<C: Beside>(
        mut self,
        launch: Launch,
        hands: Hands,
        client: Option<C>,
    ) -> Result<Running<C>, StartError> {
        let pool = self.pool(&launch)?;
        let (ports, mut queues) = (Ports::default(), Vec::new());
        for (mut port, PortLaunch { number, config, .. }) in self.ports.drain(..).zip(&launch.ports)
        {
            queues.push((*number, port.start(config)?));
            ports.insert(*number, port, config.clone());
        }
        let ports = Arc::new(ports);
        let (specs, hz) = (lcore_specs(&launch), launch.hz);
        let (slow, policing, kit) = slow_path(&launch);
        let Hands { fia, tables, counters, hooks, to_applications, lines } = hands;
        let applications = Applications::new(launch.applications.clone(), to_applications);
        let (engines, crypto) =
            engines(&launch, queues, (&pool, &kit, &fia), tables.into_iter().zip(counters))?;
        let (injections, injected) = Ring::new(PLACES).split();
        let shown = Arc::new(Shown::default());
        let bell = lines.0.bell.clone();
        let mut slow = SlowSide::new(
            (slow, policing),
            pool.cache(0),
            lines,
            (hooks, applications, injected),
            Arc::clone(&shown),
        );
        slow.count_on(launch.counted);
        let mut links = Links::new(Arc::clone(&ports));
        let run = match (client, bell) {
            (Some(client), _) => Run::Virtual(launch_virtual(specs, engines, (slow, client))?),
            (None, Some(bell)) => {
                let spawned = links.watch();
                spawned.map_err(|source| LaunchError::Spawn { name: LINKS.to_owned(), source })?;
                let clock = TscClock::of_rate(hz);
                Run::Live(launch_live((specs, clock), engines, crypto, (slow, bell))?)
            }
            (None, None) => Run::Ended,
        };
        Ok(Running {
            stop: run.stop_flag(),
            run,
            links,
            ports,
            pool,
            shown,
            injections,
            total_packets: self.total_packets,
            #[cfg(feature = "dpdk")]
            _eal: self.eal,
        })
    }
}

/// The slow path, and what the steps of all lcores share.
pub(crate) fn slow_path(launch: &Launch) -> (SlowPath, Policing, Kit) {
    let Configured { interfaces, sides, neighbours, limits, rates, sessions, .. } =
        &launch.configured;
    let mut slow = SlowPath::new(interfaces.clone(), limits.clone());
    for &(uidb, address, mac) in neighbours {
        slow.add_static_neighbour(uidb, address, mac);
    }
    slow.set_sides(sides.clone());
    slow.count_on(launch.counted.slow_path.clone());
    let known = slow.acquaintance();
    let lpts = LptsGroup::new(rates, sessions.clone(), known, launch.interfaces);
    let groups = LptsSuccession::new(lpts.seeded(limits.seed));
    let kit = Kit { isa: Isa::detect(), lpts: groups.group(), ..Kit::default() };
    let policing = Policing { groups, rates: rates.clone(), sessions: sessions.clone() };
    (slow, policing, kit)
}

/// What an lcore reads, and where it counts.
type Own = (TableReader, LcoreCounters);

/// An engine for each lcore, and the crypto engines.
pub(crate) fn engines(
    launch: &Launch,
    queues: Vec<(u16, Queues)>,
    (pool, kit, fia): (&Pool, &Kit, &FiaBuilder),
    mut own: impl Iterator<Item = Own>,
) -> Result<(Vec<Ppe>, Vec<EngineLcore>), StartError> {
    let count = launch.lcores.len();
    let (lanes, crypto) = engine_lanes(count, launch.crypto.len());
    let lanes = if launch.crypto.is_empty() { Vec::new() } else { lanes };
    let mut engines = Vec::new();
    let mut lanes = lanes.into_iter();
    for (n, (tables, counters)) in own.by_ref().take(count).enumerate() {
        let mut fia = fia.build_with(kit);
        if let Some(EngineLanes { seal, open }) = lanes.next() {
            fia.replace("esp-encap", Box::new(EspEncap::with_engines(seal)))?;
            fia.replace("esp-decap", Box::new(EspDecap::with_engines(open)))?;
        }
        let mut ppe = Ppe::new(PpeParts {
            lcore: u16::try_from(n).unwrap_or(u16::MAX),
            fia,
            rx: Vec::new(),
            tx: Vec::new(),
            pool: near(pool, launch.lcores[n]),
            tables,
            counters,
        });
        ppe.trace(launch.trace);
        engines.push(ppe);
    }
    for (number, queues) in queues {
        for (ppe, mut queues) in engines.iter_mut().zip(shares(number, Some(queues), count)) {
            ppe.exchange_queues(&mut queues);
        }
    }
    let crypto = crypto.into_iter().zip(own);
    let crypto =
        crypto.map(|(queues, (tables, counters))| EngineLcore::new(queues, tables, counters));
    Ok((engines, crypto.collect()))
}

/// Buffers near a CPU.
fn near(pool: &Pool, cpu: CpuId) -> PoolCache {
    pool.cache(u32::from(pal::lcore::current_numa_node(cpu).unwrap_or(0)))
}

fn lcore_specs(launch: &Launch) -> Vec<LcoreSpec> {
    let spec = |(n, cpu): (u16, &CpuId)| LcoreSpec {
        id: LcoreId(n),
        cpu: *cpu,
        name: format!("qfp-lcore-{n}"),
    };
    (0..).zip(launch.lcores.iter().chain(&launch.crypto)).map(spec).collect()
}
