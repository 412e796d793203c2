//! A forwarder: what it is made of, and the handle to one that runs.

use std::path::PathBuf;
use std::time::Duration;

use client::acl::Family;
use client::config::{Config, ConfigError, RouteTable};
use client::ea::TcamUsage;
use client::ipsec::MarksError;
use client::{Capacity, Client, CommitError, Features, ListEdit, ListError};
use hal::{Port, PortError};
use pal::lcore::{CpuId, CpuList, LaunchError, LcoreError, StopFlag};
use pal::rights::User;
use qfp_core::fia::{FiaBuilder, FiaError, TracedPacket};
use qfp_core::lpts::LptsRates;
use qfp_core::punt::Limits;
use ucode::PuntHooks;

use crate::apart::{ApartError, UcodeState};
use crate::control::Request;
use crate::explain::{ExplainError, Explanation, Probe, explain};
use crate::report::RunReport;
use crate::start::{OwnPorts, Parts, start};

/// Why a forwarder cannot start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A port cannot be opened or started.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A port of the configuration has a device that does not parse or open.
    #[error("{place}{source}")]
    Device {
        /// Where the device was named.
        place: client::config::Place,
        /// What is wrong with it.
        source: PortError,
    },
    /// A port has neither a device in the configuration nor a SPEC.
    #[error("{place}{name} has no \"device\", and no --port stands for it")]
    NoDevice {
        /// Where the port was configured.
        place: client::config::Place,
        /// The port.
        name: String,
    },
    /// A port was given for one that the configuration does not have.
    #[error("the configuration has no port {0}")]
    UnknownPort(String),
    /// There is no port.
    #[error("no port: give --port, or [[port]] in a configuration file")]
    NoPorts,
    /// The tables have no room for the configuration.
    #[error(transparent)]
    Commit(CommitError),
    /// The machine has less memory than the tables will take.
    #[error("no memory for {what}: {wanted} bytes wanted, {available} available")]
    NoMemory {
        /// What takes it.
        what: String,
        /// Bytes that it takes.
        wanted: usize,
        /// Bytes that there are.
        available: usize,
    },
    /// Sequence numbers of SAs cannot be kept over a restart.
    #[error(transparent)]
    Marks(#[from] MarksError),
    /// Lcores cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A CPU is to forward and to be a crypto engine.
    #[error("{0} is to forward and to be a crypto engine: give each a CPU of its own")]
    SharedCpu(CpuId),
    /// The order of operations has no ESP rows for crypto engines.
    #[error(transparent)]
    Fia(#[from] FiaError),
    /// A data plane in a process of its own.
    #[error(transparent)]
    Apart(#[from] ApartError),
    /// What only one process can have.
    #[error("own ports, own features, hooks and traces need client and data plane in one process")]
    NotApart,
    /// The CPUs of this process cannot be told.
    #[error("cannot tell which CPUs this process may use: {0}")]
    Cpus(std::io::Error),
    /// DPDK does not start.
    #[cfg(feature = "dpdk")]
    #[error(transparent)]
    Eal(#[from] hal::dpdk::EalError),
    /// DPDK gives no buffers.
    #[cfg(feature = "dpdk")]
    #[error(transparent)]
    Mbufs(#[from] hal::dpdk::MbufPoolError),
}

impl From<ucode::StartError> for StartError {
    fn from(error: ucode::StartError) -> Self {
        use ucode::StartError as Ucode;
        match error {
            Ucode::Device { source, .. } | Ucode::Port(source) => Self::Port(source),
            Ucode::Launch(error) => Self::Launch(error),
            Ucode::Fia(error) => Self::Fia(error),
            #[cfg(feature = "dpdk")]
            Ucode::Eal(error) => Self::Eal(error),
            #[cfg(feature = "dpdk")]
            Ucode::Mbufs(error) => Self::Mbufs(error),
        }
    }
}

impl From<ucode::EndError> for RunError {
    fn from(error: ucode::EndError) -> Self {
        match error {
            ucode::EndError::Lcore(error) => Self::Lcore(error),
            ucode::EndError::SlowPath => Self::Control,
        }
    }
}

impl From<CommitError> for StartError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Config(error) => Self::Config(error),
            error => Self::Commit(error),
        }
    }
}

impl StartError {
    /// True when the user's words are at fault rather than the machine: exit status 2.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Config(_) | Self::Device { .. } | Self::NoDevice { .. } | Self::NoPorts => true,
            Self::UnknownPort(_) => true,
            Self::Port(error) => is_usage(error),
            Self::Commit(error) => error.is_usage(),
            Self::Marks(_) | Self::SharedCpu(_) | Self::NotApart => true,
            Self::Launch(LaunchError::Pin { .. }) => true,
            _ => false,
        }
    }
}

fn is_usage(error: &PortError) -> bool {
    !matches!(
        error,
        PortError::Device { .. }
            | PortError::NotPermitted { .. }
            | PortError::NoMemory { .. }
            | PortError::BuffersMissing { .. }
    )
}

/// Why a run ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An lcore panicked.
    #[error(transparent)]
    Lcore(#[from] LcoreError),
    /// A port could not be completed, or kept buffers.
    #[error("{source}")]
    Port {
        /// What the first of them said.
        source: PortError,
        /// What the run did all the same: as [`Running::join_traced`] would have returned it.
        ended: Box<(RunReport, Vec<TracedPacket>)>,
    },
    /// The slow path or the client panicked.
    #[error("the control side panicked")]
    Control,
}

/// Why a list of a running forwarder is not edited. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The edits themselves, or no room.
    #[error(transparent)]
    List(#[from] ListError),
    /// The run is over.
    #[error("the run has ended")]
    Ended,
}

/// Why a data plane is not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// It has no process of its own.
    #[error("the data plane is in the client's process")]
    NotApart,
    /// The program.
    #[error(transparent)]
    Apart(#[from] ApartError),
}

/// A forwarder in the making.
pub struct Forwarder {
    pub(crate) parts: Parts,
}

impl Forwarder {
    /// A forwarder for `config`, whose ports name their devices.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let parts = Parts {
            config,
            routes: RouteTable::default(),
            fia: FiaBuilder::router(),
            features: Vec::new(),
            own_ports: OwnPorts::new(),
            hooks: PuntHooks::new(),
            lcores: None,
            crypto_lcores: None,
            eal_args: Vec::new(),
            capacity: None,
            punt: None,
            limits: Limits::default(),
            trace: 0,
            buffers: None,
            prepare: None,
            ucode: None,
            outlives: None,
            ucode_user: None,
            stages: Box::new(|_| ()),
        };
        Self { parts }
    }

    /// Routes of a route file, in addition to those of the configuration.
    #[must_use]
    pub fn routes(mut self, routes: RouteTable) -> Self {
        self.parts.routes = routes;
        self
    }

    /// Another order of operations, such as [`FiaBuilder::router`] with features inserted.
    #[must_use]
    pub fn fia(mut self, fia: FiaBuilder) -> Self {
        self.parts.fia = fia;
        self
    }

    /// Switches gated rows on for an interface.
    #[must_use]
    pub fn features(mut self, interface: &str, features: Features) -> Self {
        self.parts.features.push((interface.to_owned(), features));
        self
    }

    /// A port of your own in place of the device of the `[[port]]` of that name, which needs none
    /// then: `examples/own_port` has one. Its queues are polled by lcores; frames for any address are
    /// taken in. If [`PortInfo::virtual_time`](hal::PortInfo) says so, time is its input's.
    #[must_use]
    pub fn port(mut self, name: &str, port: Box<dyn Port>) -> Self {
        self.parts.own_ports.insert(name.to_owned(), port);
        self
    }

    /// One lcore on each of these CPUs. Without it there is one, on the first CPU allowed.
    #[must_use]
    pub fn lcores(mut self, cpus: CpuList) -> Self {
        self.parts.lcores = Some(cpus);
        self
    }

    /// A crypto engine on each of these CPUs besides: lcores hand it the ESP packets of tunnels and
    /// take them on when they are back. It may pay where one SA of a slow algorithm needs more than
    /// one core; without it each lcore does its own, which is faster with AES-GCM. In the time of
    /// captures there are none.
    #[must_use]
    pub fn crypto_lcores(mut self, cpus: CpuList) -> Self {
        self.parts.crypto_lcores = Some(cpus);
        self
    }

    /// Arguments for DPDK, used when a port is a `dpdk:` port.
    #[must_use]
    pub fn eal_args(mut self, args: Vec<String>) -> Self {
        self.parts.eal_args = args;
        self
    }

    /// Sizes of the tables. Without it they fit the routes given, with room to grow.
    #[must_use]
    pub fn capacity(mut self, capacity: Capacity) -> Self {
        self.parts.capacity = Some(capacity);
        self
    }

    /// Rates of what goes to the slow path, of all lcores together, in place of those of the
    /// configuration.
    #[must_use]
    pub fn punt_rates(mut self, rates: LptsRates) -> Self {
        self.parts.punt = Some(rates);
        self
    }

    /// Bounds of the slow path.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.parts.limits = limits;
        self
    }

    /// Traces the first `packets` packets of each lcore.
    #[must_use]
    pub fn trace(mut self, packets: usize) -> Self {
        self.parts.trace = packets;
        self
    }

    /// Packet buffers in all. Without it there are enough for queues, caches and held packets.
    #[must_use]
    pub fn buffers(mut self, buffers: usize) -> Self {
        self.parts.buffers = Some(buffers);
        self
    }

    /// Has `prepare` do something to the client once it has the configuration, before lcores see its
    /// tables: routes of sources that are not here yet, for example.
    #[must_use]
    pub fn prepared(mut self, prepare: impl FnOnce(&mut Client, &Config) + Send + 'static) -> Self {
        self.parts.prepare = Some(Box::new(prepare));
        self
    }

    /// Has the data plane run in a process of its own, `program` (`qfp-ucode` of the same build): when
    /// it dies, another one takes its place and forwards by the same tables. Counters go on, sequence
    /// numbers of SAs do not repeat, and packets that were inside are counted as `UcodeRestart`. This
    /// process opens TAP devices and packet sockets, and keeps them: they stay, with what waits in
    /// them. The other one keeps no rights but those that drivers of DPDK need; started by root, it is
    /// [`User::NOBODY`]'s.
    #[must_use]
    pub fn apart(mut self, program: PathBuf) -> Self {
        self.parts.ucode = Some(program);
        self
    }

    /// Has a data plane in a process of its own ([`apart`](Self::apart)) outlive this process, should
    /// that end without [`Running::stop`]: it forwards on, for ever or for as long as `alone` says.
    /// Another forwarder that is started with the same `dir`, the same program and the configuration
    /// that was in force takes it over: no packet is lost, counters, policers and SAs go on.
    ///
    /// `dir` is there, nobody else may write to it, and one process at a time uses it.
    #[must_use]
    pub fn outliving(mut self, dir: PathBuf, alone: Option<Duration>) -> Self {
        self.parts.outlives = Some((dir, alone));
        self
    }

    /// Has `told` hear what [`Forwarder::start`] comes to: `driver`, where devices are opened, `client`,
    /// which fills the tables, and `ucode`, which forwards.
    #[must_use]
    pub fn stages(mut self, told: impl FnMut(&'static str) + Send + 'static) -> Self {
        self.parts.stages = Box::new(told);
        self
    }

    /// Whose that process is.
    #[must_use]
    pub fn ucode_user(mut self, user: User) -> Self {
        self.parts.ucode_user = Some(user);
        self
    }

    /// What would become of a packet. Opens no port and forwards nothing: devices need not be there,
    /// and neighbours that are not configured are not known.
    ///
    /// # Errors
    /// See [`ExplainError`].
    pub fn explain(self, probe: &Probe) -> Result<Explanation, ExplainError> {
        explain(self.parts, probe)
    }

    /// Opens the ports, commits the configuration and starts to forward.
    ///
    /// # Errors
    /// See [`StartError`]; then no port is left open and no lcore runs.
    pub fn start(self) -> Result<Running, StartError> {
        Ok(Running { inner: start(self.parts)? })
    }
}

/// A forwarder that runs.
pub struct Running {
    pub(crate) inner: crate::start::Started,
}

impl Running {
    /// The statistics: all counts so far, some microseconds an interface and rule. Takes no lock that
    /// an lcore could wait for, and stops nobody; [`RunReport::since`] makes rates of two.
    #[must_use]
    pub fn report(&self) -> RunReport {
        self.inner.report()
    }

    /// Edits an access list while packets flow: all edits or none. A packet meets the list as it was
    /// before the call or as it is after it, in each interface's direction. See
    /// [`Client::edit_list`](client::Client::edit_list). In the time of captures the edit happens
    /// between two vectors.
    ///
    /// # Errors
    /// No such list or entry, no room, or a run that is over; then nothing has changed.
    pub fn edit_list(
        &self,
        family: Family,
        name: &str,
        edits: &[ListEdit],
    ) -> Result<(), EditError> {
        let (name, edits) = (name.to_owned(), edits.to_vec());
        let edited = self.inner.ask(|reply| Request::EditList { family, name, edits, reply });
        Ok(edited.ok_or(EditError::Ended)??)
    }

    /// What of the classifier is in use, and by whom; as it was last when the run has ended.
    #[must_use]
    pub fn tcam_usage(&self) -> Option<TcamUsage> {
        self.inner.ask(Request::TcamUsage).or_else(|| self.report().tcam)
    }

    /// The process of its data plane, if that has one of its own.
    #[must_use]
    pub fn ucode(&self) -> Option<UcodeState> {
        self.inner.ucode.state()
    }

    /// Replaces the process of its data plane by one of the same program as it is now: the other one is
    /// started beside it, and goes on with its tables, counters and devices when it has ended. What
    /// comes meanwhile waits in the devices, as far as they have room. Waits for that.
    ///
    /// # Errors
    /// The program does not start, or is of another build: then nothing has changed.
    pub fn upgrade_ucode(&self) -> Result<(), UpgradeError> {
        Ok(self.inner.ucode.upgrade().ok_or(UpgradeError::NotApart)??)
    }

    /// Packets that the inputs hold in all, when they are finite and known.
    #[must_use]
    pub fn total_packets(&self) -> Option<u64> {
        self.inner.ucode.total_packets()
    }

    /// True when all inputs have ended, or somebody stopped it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.inner.ucode.is_finished()
    }

    /// What stops it, for a signal handler or another thread.
    #[must_use]
    pub fn stop_flag(&self) -> StopFlag {
        self.inner.ucode.stop_flag()
    }

    /// Waits until it has finished by itself, or for `patience`. True when it has finished.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> bool {
        let start = std::time::Instant::now();
        let mut pause = Duration::from_millis(1);
        while !self.is_finished() {
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        true
    }

    /// Waits until all inputs have ended, closes the ports, and returns the final counts.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn join(self) -> Result<RunReport, RunError> {
        self.join_traced().map(|(report, _)| report)
    }

    /// As [`Running::join`], with the packets that were traced.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn join_traced(self) -> Result<(RunReport, Vec<TracedPacket>), RunError> {
        self.inner.join()
    }

    /// Stops it and waits as [`Running::join`] does.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn stop(self) -> Result<RunReport, RunError> {
        self.inner.ucode.stop_flag().stop();
        self.join()
    }
}
