//! A data plane in a process of its own, which serves one client after the other.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hal::PortInfo;
use hal::spec::Spec;
use pal::counters::CounterBlock;
use pal::publication::{AttachError, ReaderSite};
use pal::region::{ReadWrite, RegionError};
use pal::seqpacket::{Listener, SeqPacket};
use qfp_core::counters::{CounterLayout, LcoreCounters};
use qfp_core::fia::FiaBuilder;
use qfp_core::tables::{TableReader, table_kind};

use crate::door::{Caller, Door, Stay};
use crate::engine::Beside;
use crate::hooks::PuntHooks;
use crate::launch::{Hands, Launch, StartError};
use crate::mailbox::HandOverError;
use crate::memory::Memory;
use crate::messages::{Configured, Line, ToClient, ToSlowPath, line};
use crate::ports::{Device, open};
use crate::running::Running;
use crate::wire::{Answer, Legacy, Order, Welcome, build, receive, send};

/// Between two looks at what there is to tell.
const ROUND: Duration = Duration::from_millis(50);
/// How long lcores may take to come to other tables.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a data plane in a process of its own does not start.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the program is of another build than its client")]
    Build,
    #[error("out of turn: the first two messages open and launch")]
    Turn,
    #[error("captures set the time: they need client and data plane in one process")]
    VirtualTime,
    #[error(transparent)]
    Port(#[from] hal::PortError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error("counters: {0}")]
    Region(#[from] RegionError),
    #[error("where another client is to find it: {0}")]
    Door(io::Error),
    #[error(transparent)]
    HandOver(#[from] HandOverError),
}

/// No client is here.
enum Nobody {}

impl Beside for Nobody {
    fn obey(&mut self, _: pal::clock::Nanos) -> usize {
        match *self {}
    }

    fn turn(&mut self, _: pal::clock::Nanos) {
        match *self {}
    }

    fn turn_away(&mut self) {
        match *self {}
    }
}

/// Opens, launches and forwards as the other end of `orders` says. Should that be gone, it goes on for
/// another client if it was told to stay.
///
/// # Errors
/// What came is no message of this build, or there is no thread to answer.
pub fn serve(orders: SeqPacket) -> io::Result<()> {
    match started(&orders) {
        Ok(Some(served)) => served.run(orders),
        Ok(None) => Ok(()),
        Err(refusal) => send(&orders, &Answer::Refused(refusal.to_string()), &[]),
    }
}

/// None when the other end is gone.
fn started(orders: &SeqPacket) -> Result<Option<Served>, Refusal> {
    let Ok(Some((order, _))) = receive(orders) else { return Ok(None) };
    let Order::Open { build: theirs, devices, eal_args } = order else {
        return Err(Refusal::Turn);
    };
    if theirs != build() {
        return Err(Refusal::Build);
    }
    let devices = devices.iter().map(|spec| Spec::parse(spec).map(Device::Named));
    let opened = open(devices.collect::<Result<_, _>>()?, &eal_args)?;
    if opened.virtual_time() {
        return Err(Refusal::VirtualTime);
    }
    let infos: Vec<PortInfo> = opened.infos().into_iter().cloned().collect();
    let total_packets = opened.total_packets;
    let answer = Answer::Opened { infos: infos.clone(), total_packets };
    if send(orders, &answer, &[]).is_err() {
        return Ok(None);
    }
    // Names that are given from now on may come before those that there are.
    let mut later = Vec::new();
    let (order, with) = loop {
        match receive(orders) {
            Ok(Some((Order::Names { names, .. }, _))) => later.push(names),
            Ok(Some(order)) => break order,
            _ => return Ok(None),
        }
    };
    let Order::Launch { launch, sites, layout, legacy, stay } = order else {
        return Err(Refusal::Turn);
    };
    let mut legacy = *legacy;
    legacy.names.append(&mut later);
    let memory = Arc::new(Memory::default());
    memory.learn(std::mem::take(&mut legacy.known));
    let told = Arc::clone(&memory);
    let to_client: ToClient = Arc::new(move |message| told.note(message));
    let (line, inbox) = line(false).map_err(StartError::from)?;
    let mut with = with.into_iter();
    let [Some(tables), Some(slots), Some(state), Some(counters)] = [(); 4].map(|()| with.next())
    else {
        return Err(Refusal::Turn);
    };
    let door = |stay: Stay| {
        let listener = with.next().ok_or(Refusal::Turn)?;
        Door::open(Listener::from_fd(listener), stay).map_err(Refusal::Door)
    };
    let door = stay.map(door).transpose()?;
    let hands = Hands {
        fia: FiaBuilder::router(),
        tables: attach(sites, [&tables, &slots, &state])?,
        counters: counters_of(&launch, &counters, layout)?,
        hooks: PuntHooks::new(),
        lines: (inbox, to_client),
    };
    let running = opened.launch(Launch::clone(&launch), hands, None)?;
    let lasting = [state, counters];
    let launch = *launch;
    Ok(Some(Served { running, line, memory, door, lasting, launch, infos, layout, legacy }))
}

/// Readers of tables, lcore by lcore.
fn attach(sites: Vec<ReaderSite>, regions: [&OwnedFd; 3]) -> Result<Vec<TableReader>, AttachError> {
    let attach = |site| TableReader::attach(regions, site, table_kind::SHAPES);
    sites.into_iter().map(attach).collect()
}

/// What each lcore counts.
fn counters_of(
    launch: &Launch,
    counters: &OwnedFd,
    layout: CounterLayout,
) -> Result<Vec<LcoreCounters>, RegionError> {
    let counters = ReadWrite::from_fd(counters)?;
    let block = |n| {
        let block = CounterBlock::nth(&counters, layout.words(), n).map_err(RegionError::from)?;
        Ok(LcoreCounters::new(block, layout))
    };
    (0..launch.lcores.len() + launch.crypto.len()).map(block).collect()
}

/// A data plane that forwards, whoever its client is.
struct Served {
    running: Running<Nobody>,
    /// To the slow path.
    line: Line,
    memory: Arc<Memory>,
    door: Option<Door>,
    /// What lcores write and count.
    lasting: [OwnedFd; 2],
    launch: Launch,
    infos: Vec<PortInfo>,
    layout: CounterLayout,
    legacy: Legacy,
}

/// How it ends that a client is served.
enum Leave {
    /// The data plane is to end.
    End,
    /// The client is gone.
    Gone,
}

/// A client, and the thread that tells it what there is to tell: who tells something does not wait
/// for who reads it.
struct Client {
    orders: SeqPacket,
    tell: Sender<Answer>,
    teller: JoinHandle<()>,
}

impl Client {
    /// A client that hears `first` with descriptors, and then what comes through a channel.
    fn new(
        orders: SeqPacket,
        (first, with): (Answer, Vec<OwnedFd>),
        (tell, told): (Sender<Answer>, Receiver<Answer>),
    ) -> io::Result<Self> {
        let answers = orders.try_clone()?;
        let teller = std::thread::Builder::new().name("qfp-teller".to_owned());
        let teller = teller.spawn(move || {
            if send(&answers, &first, &with).is_err() {
                return;
            }
            drop((first, with));
            for answer in told {
                if send(&answers, &answer, &[]).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { orders, tell, teller })
    }

    /// What it does not get to hear it does not miss.
    fn tell(&self, answer: Answer) {
        drop(self.tell.send(answer));
    }
}

impl Served {
    fn run(mut self, orders: SeqPacket) -> io::Result<()> {
        let (tell, told) = channel();
        self.memory.tell(tell.clone());
        let mut client = Client::new(orders, (Answer::Launched, Vec::new()), (tell, told))?;
        loop {
            let leave = self.serve(&client);
            let forwards = || !self.running.is_finished();
            match (leave, &self.door) {
                (Leave::Gone, Some(door)) => {
                    self.memory.tell_nobody();
                    // Its end of the line is closed: nobody is held up.
                    drop(client);
                    match door.wait(ROUND, forwards) {
                        Caller::Client(orders) => client = self.welcome(orders)?,
                        Caller::End => break self.running.stop_flag().stop(),
                    }
                }
                (_, _) => break self.end(client),
            }
        }
        Ok(())
    }

    /// Serves a client until it is gone, or has had enough.
    fn serve(&mut self, client: &Client) -> Leave {
        loop {
            if !client.orders.wait(ROUND) {
                let counts = Box::new(self.running.slow_path());
                client.tell(Answer::Counts(counts, self.running.is_finished()));
                if let Some(door) = &self.door {
                    door.look(true);
                }
                continue;
            }
            // Who says what makes no sense is gone.
            match receive(&client.orders).ok().flatten() {
                Some((Order::SlowPath(message), _)) => self.pass_on(message),
                Some((Order::Ports(number), _)) => {
                    client.tell(Answer::Ports(number, self.running.ports()));
                }
                // A packet that is not put in is counted.
                Some((Order::Inject(to, bytes), _)) => drop(self.running.inject((to, bytes))),
                Some((Order::Names { all, names }, _)) => {
                    if all {
                        self.legacy.names.clear();
                    }
                    self.legacy.names.push(names);
                }
                Some((Order::Switch { sites, configured, kept }, with)) => {
                    match self.switch(sites, *configured, with) {
                        Ok(()) => {
                            self.legacy.kept = kept;
                            client.tell(Answer::Switched);
                        }
                        Err(refusal) => client.tell(Answer::Refused(refusal.to_string())),
                    }
                }
                Some((Order::Open { .. } | Order::Launch { .. }, _)) => {}
                Some((Order::End, _)) => return Leave::End,
                None => return Leave::Gone,
            }
        }
    }

    fn pass_on(&mut self, message: ToSlowPath) {
        if let ToSlowPath::Configured(configured) = &message {
            self.launch.configured = Configured::clone(configured);
        }
        self.line.tell(message);
    }

    /// Has all lcores read other tables, and the slow path know what is in them.
    fn switch(
        &mut self,
        sites: Vec<ReaderSite>,
        mut configured: Configured,
        with: Vec<OwnedFd>,
    ) -> Result<(), Refusal> {
        let [tables, slots, last_words] = with.as_slice() else { return Err(Refusal::Turn) };
        let readers = attach(sites, [tables, slots, &self.lasting[0]])?;
        self.running.exchange_tables(readers, PATIENCE)?;
        // Without it the last words are lost, and nothing else.
        let _ = rustix::stdio::dup2_stderr(last_words);
        // Who has those tables does not know which neighbours were configured before.
        let kept: HashSet<_> = configured.neighbours.iter().map(|one| (one.0, one.1)).collect();
        let before = self.launch.configured.neighbours.iter().map(|one| (one.0, one.1));
        configured.removed = before.filter(|one| !kept.contains(one)).collect();
        self.pass_on(ToSlowPath::Configured(Box::new(configured)));
        Ok(())
    }

    /// Tells another client all that it has to know.
    fn welcome(&self, orders: SeqPacket) -> io::Result<Client> {
        let with = [&self.lasting[0], &self.lasting[1]].map(OwnedFd::try_clone);
        let with = with.into_iter().chain(self.door.as_ref().map(Door::listener));
        let with = with.collect::<io::Result<_>>()?;
        let (tell, told) = channel();
        let (known, reported) = self.memory.meet(tell.clone());
        let welcome = Welcome {
            launch: self.launch.clone(),
            infos: self.infos.clone(),
            total_packets: self.running.total_packets(),
            layout: self.layout,
            legacy: Legacy { known, ..self.legacy.clone() },
            reported,
            counts: self.running.slow_path(),
        };
        Client::new(orders, (Answer::Welcome(Box::new(welcome)), with), (tell, told))
    }

    /// Ends it, and tells the client what there is to say at the end.
    fn end(mut self, client: Client) {
        self.running.stop_flag().stop();
        let (ports, error) = match self.running.end() {
            Ok(ended) => (ended.ports, ended.finished.err().map(|error| error.to_string())),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        client.tell(Answer::Counts(Box::new(self.running.slow_path()), true));
        client.tell(Answer::Ended(ports, error));
        // The slow path tells nobody any more.
        self.memory.tell_nobody();
        drop(self);
        let Client { tell, teller, .. } = client;
        drop(tell);
        drop(teller.join());
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Order, SeqPacket, build, receive, send, serve};

    /// What one says that was told `order` first.
    fn first_answer(order: &Order) -> Option<Answer> {
        let (ours, theirs) = SeqPacket::pair().unwrap();
        let served = std::thread::spawn(|| serve(theirs));
        send(&ours, order, &[]).unwrap();
        let answer = receive(&ours).unwrap().map(|(answer, _)| answer);
        drop(ours);
        served.join().unwrap().unwrap();
        answer
    }

    fn open(build: u64, device: &str) -> Order {
        Order::Open { build, devices: vec![device.to_owned()], eal_args: Vec::new() }
    }

    #[test]
    fn what_cannot_be_started_says_why_in_one_line() {
        let refused = [
            (open(build() + 1, "sink"), "another build"),
            (open(build(), "nonsense"), "nonsense"),
            (open(build(), "pcap:rx=/no/such/file"), "/no/such/file"),
            (Order::End, "out of turn"),
        ];
        for (order, word) in refused {
            let answer = first_answer(&order);
            let Some(Answer::Refused(why)) = answer else { panic!("{order:?}: {answer:?}") };
            assert!(why.contains(word) && !why.contains('\n'), "{why}");
        }
        assert!(matches!(first_answer(&open(build(), "sink")), Some(Answer::Opened { .. })));
    }
}
