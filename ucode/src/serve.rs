//! A data plane in a process of its own, which serves one client after the other.

mod served;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hal::handover::Handed;
use hal::spec::Spec;
use hal::{PortError, PortInfo};
use pal::counters::CounterBlock;
use pal::publication::{AttachError, ReaderSite};
use pal::region::{ReadWrite, RegionError};
use pal::rights::{Rights, RightsError};
use pal::seqpacket::{Listener, SeqPacket};
use qfp_core::counters::{CounterLayout, LcoreCounters};
use qfp_core::fia::FiaBuilder;
use qfp_core::tables::{TableReader, table_kind};

use self::served::Served;
use crate::door::{Door, Stay};
use crate::engine::Beside;
use crate::hooks::PuntHooks;
use crate::keeper::Keeper;
use crate::launch::{Hands, Launch, StartError};
use crate::mailbox::HandOverError;
use crate::memory::Memory;
use crate::messages::{ToClient, line};
use crate::ports::{Device, open};
use crate::wire::{Answer, Order, build, receive, send};

/// Why a data plane in a process of its own does not start.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It does not give up the rights that it has.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// Its client means other tables.
    #[error("the program is of another build than its client")]
    Build,
    /// What came is no order, or lacks descriptors.
    #[error("out of turn: the first two messages open and launch")]
    Turn,
    /// A capture is among its ports.
    #[error("captures set the time: they need client and data plane in one process")]
    VirtualTime,
    /// A device has no such SPEC, or does not open.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Ports or lcores do not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The tables are not there, or not those of this build.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// There is no place for counters.
    #[error("counters: {0}")]
    Region(#[from] RegionError),
    /// The system gives none.
    #[error("no more descriptors: {0}")]
    Descriptors(io::Error),
    /// Another client would not find it.
    #[error("where another client is to find it: {0}")]
    Door(io::Error),
    /// Lcores do not take what they are handed.
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

/// Gives up the rights of its process by way of `confine`, opens, launches and forwards as the other
/// end of `orders` says. Should that be gone, it goes on for another client if it was told to stay.
///
/// # Errors
/// What came is no message of this build, or there is no thread to answer.
pub fn serve(
    orders: SeqPacket,
    confine: impl FnOnce(Rights) -> Result<(), RightsError>,
) -> io::Result<()> {
    match started(&orders, confine) {
        Ok(Some(served)) => served.run(orders),
        Ok(None) => Ok(()),
        Err(refusal) => send(&orders, &Answer::Refused(refusal.to_string()), &[]),
    }
}

/// None when the other end is gone.
fn started(
    orders: &SeqPacket,
    confine: impl FnOnce(Rights) -> Result<(), RightsError>,
) -> Result<Option<Served>, Refusal> {
    let Ok(Some((order, with))) = receive(orders) else { return Ok(None) };
    let Order::Open { build: theirs, rights, devices, eal_args } = order else {
        return Err(Refusal::Turn);
    };
    if theirs != build() {
        return Err(Refusal::Build);
    }
    confine(rights)?;
    let kept = keep(devices, with);
    let device = |(handed, with): &Lasting| match handed {
        Handed::Named(spec) => Ok(Device::Named(Spec::parse(spec)?)),
        handed => {
            let copies = copies(with).map_err(Refusal::Descriptors)?;
            Ok(Device::Own(handed.clone().open(&mut copies.into_iter())?))
        }
    };
    let devices = kept.iter().map(device).collect::<Result<_, Refusal>>()?;
    let opened = open(devices, &eal_args)?;
    if opened.virtual_time() {
        return Err(Refusal::VirtualTime);
    }
    let infos: Vec<PortInfo> = opened.infos().into_iter().cloned().collect();
    let total_packets = opened.total_packets;
    let answer = Answer::Opened { infos: infos.clone(), total_packets };
    if send(orders, &answer, &[]).is_err() {
        return Ok(None);
    }
    // What is new from now on may come before what there is.
    let (mut later, mut lasting_sas) = (Vec::new(), None);
    let (order, with) = loop {
        match receive(orders) {
            Ok(Some((Order::Names { names, .. }, _))) => later.push(names),
            Ok(Some((Order::Lasting(sas), _))) => lasting_sas = Some(sas),
            Ok(Some(order)) => break order,
            _ => return Ok(None),
        }
    };
    let Order::Launch { launch, sites, layout, legacy, stay } = order else {
        return Err(Refusal::Turn);
    };
    let mut legacy = *legacy;
    legacy.names.append(&mut later);
    if let (Some(sas), Some(later)) = (&mut legacy.lasting, lasting_sas) {
        *sas = later;
    }
    let memory = Arc::new(Memory::default());
    memory.learn(std::mem::take(&mut legacy.known));
    let (told, to_applications) = (Arc::clone(&memory), Arc::clone(&memory));
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
    let keeper = legacy.lasting.take().zip(with.next());
    let keeper = keeper.map(|(sas, file)| Keeper::new(&state, file, sas)).transpose()?;
    let hands = Hands {
        fia: FiaBuilder::router(),
        tables: attach(sites, [&tables, &slots, &state])?,
        counters: counters_of(&launch, &counters, layout)?,
        hooks: PuntHooks::new(),
        to_applications: Arc::new(move |packet| to_applications.pass(packet)),
        lines: (inbox, to_client),
    };
    let running = opened.launch(Launch::clone(&launch), hands, None)?;
    let lasting = [state, counters];
    let launch = *launch;
    let (devices, is_kept) = (kept, true);
    Ok(Some(Served {
        running,
        line,
        memory,
        door,
        lasting,
        keeper,
        devices,
        launch,
        infos,
        layout,
        legacy,
        is_kept,
    }))
}

/// A device that a client has opened, with its descriptors, for another client.
type Lasting = (Handed, Vec<OwnedFd>);

/// Which descriptors are which device's.
fn keep(devices: Vec<Handed>, with: Vec<OwnedFd>) -> Vec<Lasting> {
    let mut with = with.into_iter();
    let own = |handed: Handed| {
        let own = with.by_ref().take(handed.descriptors()).collect();
        (handed, own)
    };
    devices.into_iter().map(own).collect()
}

fn copies(all: &[OwnedFd]) -> io::Result<Vec<OwnedFd>> {
    all.iter().map(OwnedFd::try_clone).collect()
}

/// Readers of tables, lcore by lcore.
pub(crate) fn attach(
    sites: Vec<ReaderSite>,
    regions: [&OwnedFd; 3],
) -> Result<Vec<TableReader>, AttachError> {
    let attach = |site| TableReader::attach(regions, site, table_kind::SHAPES);
    sites.into_iter().map(attach).collect()
}

/// What each lcore counts.
pub(crate) fn counters_of(
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
