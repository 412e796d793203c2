//! A data plane in a process of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use hal::PortError;
use hal::handover::Handed;
use hal::spec::Spec;
use pal::counters::CounterBlock;
use pal::publication::{AttachError, ReaderSite};
use pal::region::{ReadWrite, RegionError};
use pal::rights::{Rights, RightsError};
use pal::seqpacket::SeqPacket;
use qfp_core::counters::{CounterLayout, LcoreCounters};
use qfp_core::fia::FiaBuilder;
use qfp_core::tables::{TableReader, table_kind};

use crate::applications::ToApplications;
use crate::engine::Beside;
use crate::hooks::PuntHooks;
use crate::launch::{Hands, Launch, StartError};
use crate::messages::{Inbox, Line, ToClient, line};
use crate::ports::{Device, Opened, open};
use crate::running::Running;
use crate::wire::{Answer, Order, build, receive, send};

/// Between two looks at what there is to tell.
const ROUND: Duration = Duration::from_millis(50);

/// Why a data plane in a process of its own does not start.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Rights(#[from] RightsError),
    #[error("the program is of another build than its client")]
    Build,
    #[error("out of turn: the first two messages open and launch")]
    Turn,
    #[error("captures set the time: they need client and data plane in one process")]
    VirtualTime,
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error("counters: {0}")]
    Region(#[from] RegionError),
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

/// Gives up the rights of its process by way of `confine`, opens, launches and forwards as the other
/// end of `orders` says, until it says so or is gone.
///
/// # Errors
/// What came is no message of this build.
pub fn serve(
    orders: SeqPacket,
    confine: impl FnOnce(Rights) -> Result<(), RightsError>,
) -> io::Result<()> {
    let answers = orders.try_clone()?;
    match started(&orders, &answers, confine) {
        Ok(Some((running, line, told))) => forward(&orders, answers, running, &line, told),
        Ok(None) => Ok(()),
        Err(refusal) => send(&answers, &Answer::Refused(refusal.to_string()), &[]),
    }
}

/// Packets for programs that wait until the other end is not behind.
const PUNTED: usize = 256;

/// What is to be told, and how many packets for programs are among it.
struct Told {
    tell: Sender<Answer>,
    told: Receiver<Answer>,
    punted: Arc<AtomicUsize>,
}

impl Told {
    fn new() -> Self {
        let (tell, told) = channel();
        Self { tell, told, punted: Arc::default() }
    }

    fn to_applications(&self) -> ToApplications {
        let (tell, punted) = (self.tell.clone(), Arc::clone(&self.punted));
        Arc::new(move |packet| {
            // The slow path alone adds to it.
            let has_room = punted.load(Ordering::Relaxed) < PUNTED;
            if has_room {
                punted.fetch_add(1, Ordering::Relaxed);
                drop(tell.send(Answer::Punted(packet)));
            }
            has_room
        })
    }
}

/// None when the other end is gone.
fn started(
    orders: &SeqPacket,
    answers: &SeqPacket,
    confine: impl FnOnce(Rights) -> Result<(), RightsError>,
) -> Result<Option<(Running<Nobody>, Line, Told)>, Refusal> {
    let Ok(Some((order, with))) = receive(orders) else { return Ok(None) };
    let Order::Open { build: theirs, rights, devices, eal_args } = order else {
        return Err(Refusal::Turn);
    };
    if theirs != build() {
        return Err(Refusal::Build);
    }
    confine(rights)?;
    let mut with = with.into_iter();
    let device = |handed: Handed| match handed {
        Handed::Named(spec) => Ok(Device::Named(Spec::parse(&spec)?)),
        handed => handed.open(&mut with).map(Device::Own),
    };
    let devices = devices.into_iter().map(device).collect::<Result<_, PortError>>()?;
    let opened = open(devices, &eal_args)?;
    if opened.virtual_time() {
        return Err(Refusal::VirtualTime);
    }
    let infos = opened.infos().into_iter().cloned().collect();
    let answer = Answer::Opened { infos, total_packets: opened.total_packets };
    if send(answers, &answer, &[]).is_err() {
        return Ok(None);
    }
    let Ok(Some((order, with))) = receive(orders) else { return Ok(None) };
    let Order::Launch { launch, sites, layout } = order else { return Err(Refusal::Turn) };
    let told = Told::new();
    let to_client = told.tell.clone();
    // A client that is gone misses nothing.
    let to_client: ToClient =
        Arc::new(move |message| drop(to_client.send(Answer::SlowPath(message))));
    let (line, inbox) = line(false).map_err(StartError::from)?;
    let running = launched(
        opened,
        *launch,
        (sites, layout, with),
        ((inbox, to_client), told.to_applications()),
    )?;
    Ok(Some((running, line, told)))
}

fn launched(
    opened: Opened,
    launch: Launch,
    (sites, layout, with): (Vec<ReaderSite>, CounterLayout, Vec<OwnedFd>),
    (lines, to_applications): ((Inbox, ToClient), ToApplications),
) -> Result<Running<Nobody>, Refusal> {
    let [tables, state, counters] = with.as_slice() else { return Err(Refusal::Turn) };
    let counters = ReadWrite::from_fd(counters)?;
    let block = |n| {
        let block = CounterBlock::nth(&counters, layout.words(), n).map_err(RegionError::from)?;
        Ok(LcoreCounters::new(block, layout))
    };
    let blocks = (0..sites.len()).map(block).collect::<Result<_, RegionError>>()?;
    let attach = |site| TableReader::attach((tables, state), site, table_kind::SHAPES);
    let hands = Hands {
        fia: FiaBuilder::router(),
        tables: sites.into_iter().map(attach).collect::<Result<_, _>>()?,
        counters: blocks,
        hooks: PuntHooks::new(),
        to_applications,
        lines,
    };
    Ok(opened.launch(launch, hands, None)?)
}

/// Passes messages on until the other end has had enough.
fn forward(
    orders: &SeqPacket,
    answers: SeqPacket,
    mut running: Running<Nobody>,
    line: &Line,
    Told { tell, told, punted }: Told,
) -> io::Result<()> {
    // Who tells something does not wait for who reads it.
    let teller = std::thread::Builder::new().name("qfp-teller".to_owned()).spawn(move || {
        for answer in told {
            if send(&answers, &answer, &[]).is_err() {
                break;
            }
            if matches!(answer, Answer::Punted(_)) {
                punted.fetch_sub(1, Ordering::Relaxed);
            }
        }
    })?;
    let tell = move |answer| drop(tell.send(answer));
    tell(Answer::Launched);
    loop {
        if !orders.wait(ROUND) {
            tell(Answer::Counts(Box::new(running.slow_path()), running.is_finished()));
            continue;
        }
        match receive(orders)? {
            Some((Order::SlowPath(message), _)) => line.tell(message),
            Some((Order::Ports(number), _)) => tell(Answer::Ports(number, running.ports())),
            // One without its new device would not know: another data plane starts with it.
            Some((Order::Device(port, handed), with)) => {
                running.take(port, &handed, with).map_err(io::Error::other)?;
            }
            // A packet that is not put in is counted.
            Some((Order::Inject(to, bytes), _)) => drop(running.inject((to, bytes))),
            Some((Order::Open { .. } | Order::Launch { .. }, _)) => {}
            Some((Order::End, _)) | None => break,
        }
    }
    running.stop_flag().stop();
    let (ports, error) = match running.end() {
        Ok(ended) => (ended.ports, ended.finished.err().map(|error| error.to_string())),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    tell(Answer::Counts(Box::new(running.slow_path()), true));
    tell(Answer::Ended(ports, error));
    drop((tell, running));
    drop(teller.join());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Answer, Handed, Order, OwnedFd, Rights, SeqPacket, build, receive, send, serve};

    /// What one says that was told `order` first.
    fn first_answer(order: &Order, with: &[OwnedFd]) -> Option<Answer> {
        let (ours, theirs) = SeqPacket::pair().unwrap();
        let served = std::thread::spawn(|| serve(theirs, |_| Ok(())));
        send(&ours, order, with).unwrap();
        let answer = receive(&ours).unwrap().map(|(answer, _)| answer);
        drop(ours);
        served.join().unwrap().unwrap();
        answer
    }

    fn open(build: u64, device: &str) -> Order {
        open_handed(build, Handed::Named(device.to_owned()))
    }

    fn open_handed(build: u64, device: Handed) -> Order {
        let (rights, eal_args) = (Rights::default(), Vec::new());
        Order::Open { build, rights, devices: vec![device], eal_args }
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
            let answer = first_answer(&order, &[]);
            let Some(Answer::Refused(why)) = answer else { panic!("{order:?}: {answer:?}") };
            assert!(why.contains(word) && !why.contains('\n'), "{why}");
        }
        assert!(matches!(first_answer(&open(build(), "sink"), &[]), Some(Answer::Opened { .. })));
    }
}
