//! What lcores that run are handed, each between two of its vectors, and give back.
//!
//! An lcore neither waits nor allocates nor frees: it puts what it is handed in the place of what it
//! has, and that goes back the same way, to be dropped by who has sent the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pal::doorbell::Doorbell;
use pal::lcore::StopFlag;
use pal::ring::{Consumer, Producer, Ring};
use qfp_core::ppe::PortQueues;
use qfp_core::tables::TableReader;

/// One at a time is under way, and those of who was given up before may come back late.
const PLACES: usize = 4;
/// Between two looks at what has come back.
const LOOK: Duration = Duration::from_micros(50);

/// What an lcore is handed, and what it gives back for it.
pub(crate) enum Mail {
    /// It reads these tables. Numbers of rows mean the same in both.
    Tables(TableReader),
    /// It has these queues of a port.
    Queues(PortQueues),
}

/// Why lcores have not all taken what they were handed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// This one has not come to it; all others have taken what was theirs.
    #[error("{lcore} stands still: it has not looked for {} ms", patience.as_millis())]
    Stuck {
        /// Its thread.
        lcore: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// Nobody was handed anything.
    #[error("{handed} things were to be handed to {lcores} lcores")]
    Count {
        /// What there is to hand over.
        handed: usize,
        /// Who takes one each.
        lcores: usize,
    },
    /// The run is over.
    #[error("the run has ended")]
    Ended,
}

/// An lcore's end.
pub(crate) struct Letterbox {
    mail: Consumer<Mail>,
    back: Producer<Mail>,
}

impl Letterbox {
    /// Whether there is nothing to take. Two loads.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.mail.is_empty()
    }

    /// Has `exchange` put what was handed over in its place, and leave what was there.
    pub(crate) fn open(&mut self, mut exchange: impl FnMut(&mut Mail)) {
        while let Some(mut mail) = self.mail.pop() {
            exchange(&mut mail);
            // There is room for all that can be under way.
            drop(self.back.push(mail));
        }
    }
}

/// The other end.
pub(crate) struct Mailbox {
    lcore: String,
    mail: Producer<Mail>,
    back: Consumer<Mail>,
    /// What the lcore sleeps on, if it sleeps for long.
    bell: Option<Arc<Doorbell>>,
}

/// A way to an lcore, which sleeps on `bell`.
pub(crate) fn mailbox(lcore: &str, bell: Option<Arc<Doorbell>>) -> (Mailbox, Letterbox) {
    let (to, mail) = Ring::new(PLACES).split();
    let (back, from) = Ring::new(PLACES).split();
    (Mailbox { lcore: lcore.to_owned(), mail: to, back: from, bell }, Letterbox { mail, back })
}

impl Mailbox {
    /// What comes back, until `deadline`; what nobody has come to by then is taken back.
    fn wait(
        &mut self,
        (deadline, patience): (Instant, Duration),
        stop: &StopFlag,
    ) -> Result<Mail, HandOverError> {
        loop {
            if let Some(mail) = self.back.pop() {
                return Ok(mail);
            }
            if stop.is_stopped() {
                return Err(HandOverError::Ended);
            }
            let now = Instant::now();
            // Who has taken it needs no time, unless its thread is held up right there.
            if now > deadline && (self.mail.take_back().is_some() || now > deadline + patience) {
                return Err(HandOverError::Stuck { lcore: self.lcore.clone(), patience });
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The ways to all lcores.
pub(crate) struct Mailboxes {
    boxes: Mutex<Vec<Mailbox>>,
    /// What stops the lcores.
    stop: StopFlag,
}

impl Mailboxes {
    pub(crate) fn new(boxes: Vec<Mailbox>, stop: StopFlag) -> Self {
        Self { boxes: Mutex::new(boxes), stop }
    }

    /// Hands each of the first lcores what is its own, and waits until it has taken it, for `patience` at most.
    /// Returns what they have given back.
    ///
    /// # Errors
    /// See [`HandOverError`].
    pub(crate) fn hand_over(
        &self,
        mail: Vec<Mail>,
        patience: Duration,
    ) -> Result<Vec<Mail>, HandOverError> {
        let mut boxes = self.boxes.lock().unwrap_or_else(PoisonError::into_inner);
        let (handed, lcores) = (mail.len(), boxes.len());
        let Some(boxes) = boxes.get_mut(..handed) else {
            return Err(HandOverError::Count { handed, lcores });
        };
        for (to, mail) in boxes.iter_mut().zip(mail) {
            // What has come back from who was not waited for any more.
            while to.back.pop().is_some() {}
            // If it finds no place, its lcore has come to none of those before.
            drop(to.mail.push(mail));
            if let Some(bell) = &to.bell {
                bell.ring();
            }
        }
        let deadline = Instant::now() + patience;
        let waited: Vec<_> =
            boxes.iter_mut().map(|from| from.wait((deadline, patience), &self.stop)).collect();
        waited.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Sender, channel};

    use hal::sink::SinkPort;
    use hal::{
        Burst, Packet, PacketMask, PoolCache, Port, PortConfig, PortError, PortInfo, Queues,
        RxQueue,
    };
    use pal::clock::Nanos;
    use pal::publication::{Publisher, TableShape};
    use pal::region::{HugePages, Region};
    use qfp_core::counters::{CounterLayout, CounterTotals};
    use qfp_core::fia::{FiaBuilder, Gate};
    use qfp_core::lpts::{Lpts, LptsRates};
    use qfp_core::packet::{Source, Vector};
    use qfp_core::punt::{InjectTo, Limits};
    use qfp_core::step::{Lcore, Step};
    use qfp_core::tables::table_kind;
    use qfp_core::uidb::{NO_PORT, TableId, Uidb, UidbIndex};

    use super::*;
    use crate::engine::Beside;
    use crate::hooks::PuntHooks;
    use crate::launch::{Hands, Launch, PortLaunch};
    use crate::messages::{Configured, line};
    use crate::ports::{Device, open};
    use crate::running::Running;
    use crate::slow_side::SlowCounts;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A queue whose lcore stands before it while it is shut, and says so.
    struct Door(Arc<AtomicBool>, Sender<()>);

    impl RxQueue for Door {
        fn rx_burst(&mut self, _: &mut Burst, _: &mut PoolCache) -> usize {
            if self.0.load(Ordering::Acquire) {
                self.1.send(()).unwrap();
            }
            while self.0.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            0
        }
    }

    /// A port that has one, or no queue.
    struct Gatekeeper(PortInfo, Option<Door>);

    impl Port for Gatekeeper {
        fn info(&self) -> &PortInfo {
            &self.0
        }

        fn start(&mut self, _: &PortConfig) -> Result<Queues, PortError> {
            let rx = self.1.take().into_iter().map(|door| Box::new(door) as _);
            Ok(Queues { rx: rx.collect(), tx: Vec::new() })
        }
    }

    /// Holds what it meets until it may go on.
    struct Shelf(Option<Packet>, Arc<AtomicBool>, Sender<()>);

    impl Step for Shelf {
        fn process(&mut self, _: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
            self.0 = select.into_iter().next().and_then(|slot| vector.hold(slot));
            self.2.send(()).unwrap();
        }

        fn resume(&mut self, _: &mut Lcore<'_>, vector: &mut Vector, now: Nanos) -> bool {
            let Some(packet) = self.0.take_if(|_| self.1.load(Ordering::Relaxed)) else {
                return false;
            };
            drop(vector.put(packet));
            let (uidb, table) = (UidbIndex::RP, TableId::GLOBAL);
            vector.begin(Source::Internal { uidb, table }, now);
            vector.drop_all(PacketMask(1), qfp_core::packet::DropReason::NoAdjacency);
            true
        }
    }

    struct Nobody;

    impl Beside for Nobody {
        fn obey(&mut self, _: Nanos) -> usize {
            0
        }

        fn turn(&mut self, _: Nanos) {}

        fn turn_away(&mut self) {}
    }

    static SHAPES: [TableShape; 1] = [TableShape::of("uidb", table_kind::UIDB, 1)];

    /// Tables of interfaces that are up and no more, and who reads them.
    fn tables(publisher: &mut Publisher, name: &str) -> TableReader {
        let region = Region::anonymous(1 << 16, HugePages::Never).unwrap();
        let mut uidbs = region.alloc::<Uidb>(4).unwrap();
        uidbs.fill(Uidb { port: NO_PORT, mtu: u16::MAX, state: Uidb::UP, ..Uidb::default() });
        let mut root = publisher.draft();
        root.set(table_kind::UIDB, uidbs.publish());
        publisher.publish(&root).unwrap();
        let reader = publisher.register_reader(name).unwrap();
        let only_read = region.map_read_only().unwrap();
        TableReader::new(reader, only_read, region.share(), &SHAPES).unwrap()
    }

    /// A data plane with one lcore and one crypto engine.
    fn run(publisher: &mut Publisher, fia: FiaBuilder, door: Option<Door>) -> Running<Nobody> {
        let info = SinkPort::new().info().clone();
        let opened = open(vec![Device::Own(Box::new(Gatekeeper(info, door)))], &[]).unwrap();
        let cpu = pal::lcore::allowed_cpus().unwrap().cpus()[0];
        let layout = CounterLayout::new(fia.names().len(), 1, 4);
        let mut totals = CounterTotals::new(layout);
        let names = ["forwards", "enciphers"];
        let hands = Hands {
            fia,
            tables: names.iter().map(|name| tables(publisher, name)).collect(),
            counters: names.iter().map(|_| totals.add_lcore()).collect(),
            hooks: PuntHooks::new(),
            to_applications: std::sync::Arc::new(|_| false),
            lines: (line(false).unwrap().1, Arc::new(|_| ())),
        };
        let (interfaces, sides) = (Vec::new(), Vec::new());
        let launch = Launch {
            ports: vec![PortLaunch {
                number: 0,
                name: String::new(),
                config: PortConfig::default(),
            }],
            lcores: vec![cpu],
            crypto: vec![cpu],
            configured: Configured {
                interfaces,
                sides,
                neighbours: Vec::new(),
                removed: Vec::new(),
                limits: Limits::default(),
                rates: LptsRates::default(),
                sessions: Lpts::default(),
            },
            applications: Vec::new(),
            counted: SlowCounts::default(),
            interfaces: 4,
            trace: 0,
            buffers: Some(512),
            hz: pal::clock::TscClock::calibrate().hz(),
        };
        opened.launch(launch, hands, None).unwrap()
    }

    fn names(publisher: &Publisher) -> Vec<String> {
        publisher.generations().into_iter().map(|reader| reader.name).collect()
    }

    #[test]
    fn lcores_and_engines_read_other_tables_and_those_before_have_no_reader() {
        let [mut old, mut new] = [Publisher::new(), Publisher::new()];
        let mut running = run(&mut old, FiaBuilder::router(), None);
        for round in 0..50 {
            let both = ["a", "b"].map(|name| tables(&mut new, name));
            running.exchange_tables(both.into(), PATIENCE).unwrap();
            assert_eq!((names(&old), names(&new)), (vec![], vec!["a".into(), "b".into()]));
            // They say so between two vectors.
            new.publish(&new.draft()).unwrap();
            new.wait_for_readers(PATIENCE).unwrap_or_else(|error| panic!("round {round}: {error}"));
            std::mem::swap(&mut old, &mut new);
        }
        let one = vec![tables(&mut new, "a")];
        let error = running.exchange_tables(one, PATIENCE).unwrap_err();
        assert_eq!(error, HandOverError::Count { handed: 1, lcores: 2 });
        running.stop_flag().stop();
        running.end().unwrap().finished.unwrap();
        let both = ["a", "b"].map(|name| tables(&mut new, name));
        assert_eq!(running.exchange_tables(both.into(), PATIENCE), Err(HandOverError::Ended));
        assert_eq!((names(&old), names(&new)), (vec![], vec![]));
    }

    #[test]
    fn an_lcore_that_stands_still_is_named_and_keeps_what_it_has() {
        let [mut old, mut new] = [Publisher::new(), Publisher::new()];
        let ((stands, is_standing), shut) = (channel(), Arc::new(AtomicBool::new(true)));
        let door = Door(Arc::clone(&shut), stands);
        let mut running = run(&mut old, FiaBuilder::router(), Some(door));
        is_standing.recv_timeout(PATIENCE).unwrap();
        let both = ["a", "b"].map(|name| tables(&mut new, name));
        let error = running.exchange_tables(both.into(), Duration::from_millis(500)).unwrap_err();
        assert!(error.to_string().starts_with("qfp-lcore-0 stands still"), "{error}");
        assert_eq!((names(&old), names(&new)), (vec!["forwards".into()], vec!["b".into()]));
        shut.store(false, Ordering::Release);
        let both = ["c", "d"].map(|name| tables(&mut new, name));
        running.exchange_tables(both.into(), PATIENCE).unwrap();
        assert_eq!((names(&old), names(&new).len()), (vec![], 2));
        running.stop_flag().stop();
        running.end().unwrap().finished.unwrap();
    }

    #[test]
    fn packets_that_an_lcore_holds_come_back_to_the_tables_they_have_met() {
        let [mut old, mut new] = [Publisher::new(), Publisher::new()];
        let may_go_on = Arc::new(AtomicBool::new(false));
        let ((held, is_held), open) = (channel(), Arc::clone(&may_go_on));
        let shelf = move || Box::new(Shelf(None, Arc::clone(&open), held.clone())) as Box<dyn Step>;
        let fia = FiaBuilder::router();
        let first = fia.names()[0];
        let fia = fia.insert_after(first, "shelf", Gate::Always, shelf).unwrap();
        let mut running = run(&mut old, fia, None);
        let mut packet = [0; 20];
        packet[..10].copy_from_slice(&[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17]);
        running.inject((InjectTo::Table(TableId::GLOBAL), packet.to_vec())).unwrap();
        is_held.recv_timeout(PATIENCE).unwrap();
        let both = ["a", "b"].map(|name| tables(&mut new, name));
        let error = running.exchange_tables(both.into(), Duration::from_millis(500)).unwrap_err();
        assert!(matches!(error, HandOverError::Stuck { .. }), "{error}");
        assert_eq!(names(&old), ["forwards"]);
        may_go_on.store(true, Ordering::Relaxed);
        let both = ["a", "b"].map(|name| tables(&mut new, name));
        running.exchange_tables(both.into(), PATIENCE).unwrap();
        assert_eq!(names(&old), [""; 0]);
        running.stop_flag().stop();
        running.end().unwrap().finished.unwrap();
    }
}
