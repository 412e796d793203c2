//! A data plane that forwards, and its clients, one after the other.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hal::PortInfo;
use hal::handover::Handed;
use hal::spec::Spec;
use pal::publication::ReaderSite;
use pal::seqpacket::SeqPacket;
use qfp_core::counters::CounterLayout;

use super::{Lasting, Nobody, Refusal, attach, copies};
use crate::door::{Caller, Door};
use crate::keeper::Keeper;
use crate::launch::{Launch, PortLaunch};
use crate::memory::Memory;
use crate::messages::{Configured, Line, ToSlowPath};
use crate::plug::fitting;
use crate::ports::Device;
use crate::running::Running;
use crate::wire::{Answer, Legacy, Order, Welcome, receive, send};

/// Between two looks at what there is to tell.
const ROUND: Duration = Duration::from_millis(50);
/// The same while nobody else lets SAs use more numbers.
const KEEPING: Duration = Duration::from_millis(5);
/// How long lcores may take to come to other tables.
const PATIENCE: Duration = Duration::from_secs(10);

/// A data plane that forwards, whoever its client is.
pub(super) struct Served {
    pub(super) running: Running<Nobody>,
    /// To the slow path.
    pub(super) line: Line,
    pub(super) memory: Arc<Memory>,
    pub(super) door: Option<Door>,
    /// What lcores write and count.
    pub(super) lasting: [OwnedFd; 2],
    /// Who keeps marks while there is no client.
    pub(super) keeper: Option<Keeper>,
    /// The devices of the ports.
    pub(super) devices: Vec<Lasting>,
    pub(super) launch: Launch,
    pub(super) infos: Vec<PortInfo>,
    pub(super) layout: CounterLayout,
    pub(super) legacy: Legacy,
    /// There is a client that keeps marks itself.
    pub(super) is_kept: bool,
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
        punted: Arc<AtomicUsize>,
    ) -> io::Result<Self> {
        let answers = orders.try_clone()?;
        let teller = std::thread::Builder::new().name("qfp-teller".to_owned());
        let teller = teller.spawn(move || {
            let mut hears = send(&answers, &first, &with).is_ok();
            drop((first, with));
            for answer in told {
                if matches!(answer, Answer::Punted(_)) {
                    punted.fetch_sub(1, Ordering::Relaxed);
                }
                hears = hears && send(&answers, &answer, &[]).is_ok();
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
    pub(super) fn run(mut self, orders: SeqPacket) -> io::Result<()> {
        let (tell, told) = channel();
        self.memory.tell(tell.clone());
        let mut client = Client::new(
            orders,
            (Answer::Launched, Vec::new()),
            (tell, told),
            self.memory.punted(),
        )?;
        loop {
            let leave = self.serve(&client)?;
            // Programs were the client's.
            self.pass_on(ToSlowPath::Applications(Vec::new()));
            if matches!(leave, Leave::End) || self.door.is_none() {
                break self.end(client);
            }
            self.memory.tell_nobody();
            // Its end of the line is closed: nobody is held up.
            drop(client);
            match self.next() {
                Some(next) => client = next,
                None => break self.running.stop_flag().stop(),
            }
        }
        Ok(())
    }

    /// Waits for another client; none if it is to end.
    fn next(&mut self) -> Option<Client> {
        self.is_kept = false;
        let alone = Instant::now();
        while !self.running.is_finished() {
            self.keep();
            let round = self.round();
            let door = self.door.as_ref()?;
            match door.wait(round, alone) {
                Caller::Nobody => {}
                Caller::End => return None,
                Caller::Client(orders) => match self.welcome(orders) {
                    Ok(client) => return Some(client),
                    // It hears that its line is closed, and may come again.
                    Err(_) => self.memory.tell_nobody(),
                },
            }
        }
        None
    }

    /// Until there is a client that does it, lets SAs use more numbers.
    fn keep(&mut self) {
        if let Some(keeper) = self.keeper.as_mut().filter(|_| !self.is_kept) {
            // What cannot be written now may be later; until then nothing more is used.
            let _ = keeper.look(Instant::now());
        }
    }

    fn round(&self) -> Duration {
        if self.is_kept || self.keeper.is_none() { ROUND } else { KEEPING }
    }

    /// Serves a client until it is gone, or has had enough.
    ///
    /// # Errors
    /// It cannot go on as it is: another data plane is started.
    fn serve(&mut self, client: &Client) -> io::Result<Leave> {
        loop {
            self.keep();
            if !client.orders.wait(self.round()) {
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
                Some((Order::Device(port, handed), with)) => self.device(port, handed, with)?,
                Some((Order::Plug { asked, port, device }, with)) => {
                    let plugged = self.plug(port, device, with);
                    client.tell(Answer::Plugged(asked, plugged.map(|info| Some(Box::new(info)))));
                }
                Some((Order::Pull { asked, number }, _)) => {
                    client.tell(Answer::Plugged(asked, self.pull(number).map(|()| None)));
                }
                // A packet that is not put in is counted.
                Some((Order::Inject(to, bytes), _)) => drop(self.running.inject((to, bytes))),
                Some((Order::Names { all, names }, _)) => self.legacy.keep_names(all, names),
                Some((Order::Switch { sites, configured, kept }, with)) => {
                    match self.switch(sites, *configured, with) {
                        Ok(()) => {
                            self.legacy.kept = kept;
                            // From here on the client does.
                            self.is_kept = true;
                            self.keeper.iter_mut().for_each(Keeper::rest);
                            client.tell(Answer::Switched);
                        }
                        Err(refusal) => client.tell(Answer::Refused(refusal.to_string())),
                    }
                }
                Some((Order::Lasting(sas), _)) => {
                    self.keeper.iter_mut().for_each(|keeper| keeper.lasting = sas.clone());
                }
                Some((Order::Open { .. } | Order::Launch { .. }, _)) => {}
                Some((Order::End, _)) => return Ok(Leave::End),
                None => return Ok(Leave::Gone),
            }
        }
    }

    /// Takes a device in place of one that has vanished: without it, it would not know.
    fn device(&mut self, port: u16, handed: Handed, with: Vec<OwnedFd>) -> io::Result<()> {
        self.running.take(port, &handed, copies(&with)?).map_err(io::Error::other)?;
        let place = self.place(port);
        if let Some(device) = place.and_then(|place| self.devices.get_mut(place)) {
            *device = (handed, with);
        }
        Ok(())
    }

    /// Where the port of a number is among all.
    fn place(&self, number: u16) -> Option<usize> {
        self.launch.ports.iter().position(|port| port.number == number)
    }

    fn plug(
        &mut self,
        port: PortLaunch,
        handed: Handed,
        with: Vec<OwnedFd>,
    ) -> Result<PortInfo, String> {
        fn text(error: impl ToString) -> String {
            error.to_string()
        }
        let plug = self.running.plug().ok_or("it has ended")?;
        let device = match &handed {
            Handed::Named(spec) => Device::Named(Spec::parse(spec).map_err(text)?),
            open => {
                let copies = copies(&with).map_err(text)?;
                Device::Own(open.clone().open(&mut copies.into_iter()).map_err(text)?)
            }
        };
        let info = plug.plug(port.number, device, &port.config).map_err(text)?;
        let config = fitting(&port.config, &info, (port.number, self.launch.lcores.len()));
        let (port, device) = (PortLaunch { config, ..port }, (handed, with));
        match self.place(port.number) {
            Some(place) => {
                self.launch.ports[place] = port;
                self.infos[place] = info.clone();
                self.devices[place] = device;
            }
            None => {
                self.launch.ports.push(port);
                self.infos.push(info.clone());
                self.devices.push(device);
            }
        }
        Ok(info)
    }

    fn pull(&mut self, number: u16) -> Result<(), String> {
        let plug = self.running.plug().ok_or("it has ended")?;
        plug.pull(number).map_err(|error| error.to_string())?;
        if let Some(place) = self.place(number) {
            self.launch.ports.remove(place);
            self.infos.remove(place);
            self.devices.remove(place);
        }
        Ok(())
    }

    fn pass_on(&mut self, message: ToSlowPath) {
        if let ToSlowPath::Configured(configured) = &message {
            self.launch.configured = Configured::clone(configured);
        }
        if let ToSlowPath::Applications(all) = &message {
            self.launch.applications.clone_from(all);
        }
        self.line.tell(message);
    }

    /// Has all lcores read other tables, and the slow path know what is in them.
    fn switch(
        &mut self,
        sites: Vec<ReaderSite>,
        configured: Configured,
        with: Vec<OwnedFd>,
    ) -> Result<(), Refusal> {
        let [tables, slots, last_words] = with.as_slice() else { return Err(Refusal::Turn) };
        let readers = attach(sites, [tables, slots, &self.lasting[0]])?;
        self.running.exchange_tables(readers, PATIENCE)?;
        // Without it the last words are lost, and nothing else.
        let _ = rustix::stdio::dup2_stderr(last_words);
        // Who has those tables does not know which neighbours were configured before.
        let configured = configured.in_place_of(&self.launch.configured.neighbours);
        self.pass_on(ToSlowPath::Configured(Box::new(configured)));
        Ok(())
    }

    /// Tells another client all that it has to know.
    fn welcome(&self, orders: SeqPacket) -> io::Result<Client> {
        let with = [&self.lasting[0], &self.lasting[1]].map(OwnedFd::try_clone);
        let with = with.into_iter().chain(self.door.as_ref().map(Door::listener));
        let mut with = with.collect::<io::Result<Vec<_>>>()?;
        if let Some(keeper) = &self.keeper {
            with.push(keeper.file.try_clone()?);
        }
        for (_, own) in &self.devices {
            with.extend(copies(own)?);
        }
        let (tell, told) = channel();
        let (known, reported) = self.memory.meet(tell.clone());
        let welcome = Welcome {
            launch: self.launch.clone(),
            devices: self.devices.iter().map(|(handed, _)| handed.clone()).collect(),
            infos: self.infos.clone(),
            total_packets: self.running.total_packets(),
            layout: self.layout,
            legacy: Legacy {
                known,
                lasting: self.keeper.as_ref().map(|keeper| keeper.lasting.clone()),
                ..self.legacy.clone()
            },
            reported,
            counts: self.running.slow_path(),
        };
        let first = (Answer::Welcome(Box::new(welcome)), with);
        Client::new(orders, first, (tell, told), self.memory.punted())
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
