//! Who is there, and whose turn it is.

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock};

use hal::PortConfig;
use hal::pool::NativePool;
use pal::clock::{Nanos, TscClock};
use pal::faults::died;
use pal::seqpacket::SeqPacket;
use qfp::client::Capacity;
use qfp::stepped::{Control, Orders};
use qfp_core::counters::CounterTotals;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use ucode::wire::{Answer, Welcome};
use ucode::{Inbox, SlowCounts, Stepped};

use crate::configuration::Choice;
use crate::frames::{Probe, ping};
use crate::hosts::Hosts;
use crate::judge::Judge;
use crate::model::Model;
use crate::operator::Waiting;
use crate::plane::{PORTS, fia};
use crate::swarm::{Deed, Swarm};
use crate::wire::Wire;
use crate::{Life, Story, pause};

/// Nobody looks at it, and measuring it takes time.
static CLOCK: LazyLock<TscClock> = LazyLock::new(TscClock::calibrate);

/// Small tables: a start is most of a short life.
pub(crate) const CAPACITY: Capacity = Capacity {
    adjacencies: 128,
    paths: 1 << 13,
    long_prefixes: 16,
    ipv6_lines: 1 << 11,
    vrfs: 0,
    acl_lines: 1 << 11,
    rules: 256,
    sas: 0,
    replay_words: 0,
    classes: 32,
    ..Capacity::SMALL
};

/// All there is. Whoever has a turn may give others one in the middle of it.
pub(crate) struct World {
    pub(crate) swarm: Swarm,
    pub(crate) random: RefCell<SmallRng>,
    pub(crate) now: Cell<Nanos>,
    pub(crate) clock: TscClock,
    pub(crate) pool: NativePool,
    /// By port, then by lcore.
    pub(crate) wires: [Vec<Wire>; PORTS],
    /// None once it has died.
    pub(crate) control: RefCell<Option<Control>>,
    pub(crate) plane: RefCell<Option<Rc<Stepped>>>,
    pub(crate) totals: RefCell<Arc<CounterTotals>>,
    /// What the client has said to the data plane: to its slow path, and names.
    pub(crate) said: RefCell<Option<(Inbox, SeqPacket)>>,
    /// What the data plane has said to the client.
    pub(crate) heard: RefCell<Receiver<Answer>>,
    /// What the slow path of a data plane that has died had counted.
    pub(crate) counted: RefCell<SlowCounts>,
    pub(crate) hosts: RefCell<Hosts>,
    pub(crate) model: RefCell<Model>,
    pub(crate) waiting: RefCell<Waiting>,
    pub(crate) judge: RefCell<Judge>,
    /// Calls of the client that are under way.
    pub(crate) changing: Cell<u32>,
    /// Walks of lcores that are under way, each with the first state that it may have met.
    pub(crate) walks: RefCell<Vec<usize>>,
    /// Whoever walks dies in it.
    pub(crate) doomed: Cell<bool>,
    /// No faults any more.
    pub(crate) calm: Cell<bool>,
    /// Data planes so far.
    pub(crate) lives: Cell<u64>,
    story: RefCell<Story>,
    violation: RefCell<Option<String>>,
}

impl World {
    /// Lives the life of a seed.
    pub(crate) fn live(seed: u64, told: bool) -> Life {
        let mut random = SmallRng::seed_from_u64(seed);
        let swarm = Swarm::draw(&mut random);
        let choice = Choice::random(&mut random);
        let wires = |_| (0..swarm.lcores).map(|_| Wire::default()).collect();
        let world = Rc::new(Self {
            pool: NativePool::new(swarm.buffers, 2048),
            wires: [0; PORTS].map(wires),
            swarm,
            random: RefCell::new(random),
            now: Cell::new(Nanos::from_secs(1)),
            clock: *CLOCK,
            control: RefCell::default(),
            plane: RefCell::default(),
            totals: RefCell::new(Arc::new(CounterTotals::new(
                qfp_core::counters::CounterLayout::new(0, 0, 0),
            ))),
            said: RefCell::default(),
            heard: RefCell::new(channel().1),
            counted: RefCell::default(),
            hosts: RefCell::new(Hosts::new()),
            model: RefCell::new(Model::new(choice)),
            waiting: RefCell::default(),
            judge: RefCell::default(),
            changing: Cell::new(0),
            walks: RefCell::default(),
            doomed: Cell::new(false),
            calm: Cell::new(false),
            lives: Cell::new(0),
            story: RefCell::new(Story::new(told)),
            violation: RefCell::default(),
        });
        world.note(|| format!("{:?}", world.swarm));
        pause::enter(&world);
        world.start();
        for _ in 0..world.swarm.steps {
            if world.has_failed() {
                break;
            }
            world.deed();
            world.check_conservation();
        }
        if !world.has_failed() {
            world.end();
        }
        pause::leave();
        died((world.plane.take(), world.control.take()));
        let story = world.story.replace(Story::new(false));
        Life { violation: world.violation.take(), story }
    }

    /// Client and data plane begin with what is confirmed.
    fn start(&self) {
        let choice = self.model.borrow().confirmed().clone();
        let started = control(&choice, &self.swarm, None).and_then(|(control, orders)| {
            *self.totals.borrow_mut() = control.totals();
            *self.control.borrow_mut() = Some(control);
            self.launch(orders)
        });
        if let Err(error) = started {
            self.fail(format!("the router does not start: {error}"));
        }
    }

    /// The next thing happens.
    pub(crate) fn deed(self: &Rc<Self>) {
        let passed = self.below(1, 2_000_000);
        self.now.set(self.now.get().saturating_add(passed));
        if self.control.try_borrow().is_ok_and(|control| control.is_none()) && self.chance(0.1) {
            return self.start_client();
        }
        if self.plane.borrow().is_none() && self.chance(0.3) {
            return self.relaunch();
        }
        let deed = self.swarm.deed(&mut self.random.borrow_mut());
        match deed {
            Deed::Probes => self.probes(),
            Deed::Ping => self.wires[0][0].look().coming.push_back(ping()),
            Deed::Lcore => self.lcore_turn(),
            Deed::SlowPath => self.slow_path_turn(),
            Deed::ToClient => drop(self.tell_client()),
            Deed::ToSlowPath => drop(self.tell_slow_path()),
            Deed::Housekeeping => {
                let now = self.now.get();
                self.call("housekeeping", |control| control.turn(now));
            }
            Deed::Commit => self.commit(),
            Deed::Routes => self.change_routes(),
            Deed::EditList => self.edit_list(),
            Deed::Host => self.host(),
            Deed::Time => {
                let jump = self.below(0, 400) * Nanos::PER_SECOND / 8;
                self.now.set(self.now.get().saturating_add(jump));
            }
            Deed::KillUcode => {
                self.note(|| "the data plane dies".to_owned());
                self.plane_dies();
            }
            Deed::KillClient => {
                self.note(|| "the client dies".to_owned());
                self.client_dies();
            }
        }
    }

    /// The client has died, and there is another one: for the data plane that is at work, or with one.
    pub(crate) fn start_client(self: &Rc<Self>) {
        // Lcores that stand still hold it up.
        if !self.walks.borrow().is_empty() || self.changing.get() > 0 {
            return;
        }
        if self.plane.borrow().is_some() {
            return self.take_over();
        }
        self.note(|| "client and data plane start again".to_owned());
        self.forget_client();
        self.model.borrow_mut().restart();
        self.start();
    }

    /// Some probes come.
    pub(crate) fn probes(&self) {
        let mut random = self.random.borrow_mut();
        for _ in 0..random.random_range(1..12) {
            let source = [[10, 1, 0, 2], [20, 9, 0, 2]][usize::from(random.random_bool(0.2))];
            let destination = match random.random_range(0..5) {
                0 => [50, 0, 0, random.random_range(1..9)],
                1 => [51, 0, 0, random.random_range(1..9)],
                2 => [20, 1, [0, 128, 255][random.random_range(0..3)], 9],
                3 => [20, 3, 3, [1, 3, 129][random.random_range(0..3)]],
                _ => [20, random.random_range(0..6), 0, 1],
            };
            let probe = Probe {
                source: Ipv4Addr::from(source),
                destination: Ipv4Addr::from(destination),
                port: random.random_range(8..11),
            };
            let id = self.judge().send(probe);
            let lcore = random.random_range(0..usize::from(self.swarm.lcores));
            self.wires[0][lcore].look().coming.push_back(probe.frame(id));
        }
    }

    /// A frame of a host arrives, or a host changes.
    fn host(&self) {
        let (mut hosts, mut random) = (self.hosts.borrow_mut(), self.random.borrow_mut());
        if let Some((port, frame)) = hosts.next(&mut random) {
            self.wires[port][0].look().coming.push_back(frame);
        } else {
            let change = hosts.change(&mut random);
            self.note(|| change);
        }
    }

    /// Whether something of that chance happens now.
    pub(crate) fn chance(&self, chance: f64) -> bool {
        chance > 0.0 && self.random.borrow_mut().random_bool(chance)
    }

    /// Whether a fault of that chance happens now.
    pub(crate) fn fault(&self, chance: f64) -> bool {
        !self.calm.get() && self.chance(chance)
    }

    /// A number from `least` to `most`.
    pub(crate) fn below(&self, least: u64, most: u64) -> u64 {
        self.random.borrow_mut().random_range(least..=most)
    }

    pub(crate) fn note(&self, event: impl FnOnce() -> String) {
        self.story.borrow_mut().note(self.now.get(), event);
    }

    /// An invariant does not hold.
    pub(crate) fn fail(&self, what: String) {
        self.note(|| format!("VIOLATED: {what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.violation.borrow().is_some()
    }
}

/// A client that begins with a configuration, and what it asks of a data plane: of a new one, or of
/// one that is at work.
pub(crate) fn control(
    choice: &Choice,
    swarm: &Swarm,
    at_work: Option<(Box<Welcome>, [OwnedFd; 2])>,
) -> Result<(Control, Orders), String> {
    let config = choice.config().map_err(|error| error.to_string())?;
    let fia = fia(swarm).map_err(|error| error.to_string())?;
    let queues = swarm.lcores;
    let port = PortConfig { rx_queues: queues, tx_queues: queues, ..PortConfig::default() };
    let control = Control::start(&config, &CAPACITY, &port, (queues.into(), &fia), at_work);
    control.map_err(|error| error.to_string())
}
