//! An obvious router: where packets may go, given all that may have been in force.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::rc::Rc;

use rand::Rng;
use rand::rngs::SmallRng;

use crate::configuration::{Choice, DENIABLE};
use crate::frames::{Mac, Probe, mac};

/// Where routes lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hop {
    /// Neighbours that the configuration knows.
    Left,
    Right,
    /// Neighbours that are asked for, on the left and on the right.
    Far,
    Near,
    Drop,
}

impl Hop {
    pub(crate) fn random(random: &mut SmallRng) -> Self {
        if random.random_bool(0.2) { Self::Drop } else { Self::gateway(random) }
    }

    pub(crate) fn gateway(random: &mut SmallRng) -> Self {
        [Self::Left, Self::Right, Self::Left, Self::Right, Self::Far, Self::Near]
            [random.random_range(0..6)]
    }

    pub(crate) const fn address(self) -> Option<Ipv4Addr> {
        match self {
            Self::Left => Some(Ipv4Addr::new(10, 2, 0, 200)),
            Self::Right => Some(Ipv4Addr::new(10, 3, 0, 200)),
            Self::Far => Some(Ipv4Addr::new(10, 2, 0, 50)),
            Self::Near => Some(Ipv4Addr::new(10, 3, 0, 60)),
            Self::Drop => None,
        }
    }

    /// The number of its port.
    pub(crate) const fn port(self) -> usize {
        match self {
            Self::Left | Self::Far => 1,
            Self::Right | Self::Near => 2,
            Self::Drop => 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Prefix {
    len: u8,
    address: u32,
}

impl Prefix {
    pub(crate) const fn new(address: [u8; 4], len: u8) -> Self {
        Self { len, address: u32::from_be_bytes(address) }
    }

    pub(crate) const fn parts(self) -> (Ipv4Addr, u8) {
        (Ipv4Addr::from_bits(self.address), self.len)
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        let rest = 32 - u32::from(self.len);
        (u64::from(address.to_bits() ^ self.address)) >> rest == 0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.address), self.len)
    }
}

/// Shorter prefixes come first.
pub(crate) type Routes = BTreeMap<Prefix, Vec<Hop>>;

/// What is in force at some moment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) choice: Choice,
    /// Routes of another source, which those of the configuration go before.
    pub(crate) learnt: Rc<Routes>,
    routes: Rc<Routes>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} learnt", self.choice)?;
        self.learnt.iter().try_for_each(|(prefix, hops)| write!(f, " {prefix} {hops:?}"))
    }
}

impl State {
    pub(crate) fn new(choice: Choice, learnt: Rc<Routes>) -> Self {
        let mut routes = Routes::clone(&learnt);
        routes.extend(choice.routes());
        Self { choice, learnt, routes: Rc::new(routes) }
    }

    /// The traffic class that a packet leaves with; none if it does not pass.
    fn passes(&self, probe: &Probe) -> Option<u8> {
        let mut lists = DENIABLE.iter().zip(self.choice.denied);
        let denied = lists.any(|(port, denied)| denied && *port == probe.port);
        let foreign = probe.source.octets()[0] != 10;
        let class = if self.choice.marks { 46 << 2 } else { 0 };
        (!(denied || foreign && self.choice.strict)).then_some(class)
    }
}

/// By which port a packet leaves, to which station, and with which traffic class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sending(pub(crate) usize, pub(crate) Mac, pub(crate) u8);

impl fmt::Display for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(port, [.., link, host], class) = self;
        write!(f, "sent by port {port} to {link:02x}:{host:02x} with class {class:02x}")
    }
}

/// What may become of a packet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fates {
    pub(crate) sent: BTreeSet<Sending>,
    /// It is dropped, or waits for a neighbour for ever.
    pub(crate) lost: bool,
}

impl fmt::Display for Fates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sent.iter().try_for_each(|sending| write!(f, "{sending}, "))?;
        f.write_str(if self.lost { "not sent" } else { "nothing else" })
    }
}

/// What may become of a packet while each of `states` may have been in force, and neighbours have had
/// those MAC addresses: interfaces and lists are those of one of them, and so is the route of each
/// prefix on its own.
pub(crate) fn fates<'s>(
    probe: &Probe,
    states: impl Iterator<Item = &'s State> + Clone,
    answered: &BTreeMap<Hop, BTreeSet<Mac>>,
) -> Fates {
    let mut fates = Fates::default();
    let passed: BTreeSet<Option<u8>> = states.clone().map(|state| state.passes(probe)).collect();
    fates.lost = passed.contains(&None);
    let mut hops = BTreeSet::new();
    let prefixes: BTreeSet<Prefix> =
        states.clone().flat_map(|s| s.routes.keys().copied()).collect();
    let mut open = true;
    for prefix in prefixes.iter().rev().filter(|prefix| prefix.contains(probe.destination)) {
        let entries = states.clone().map(|state| state.routes.get(prefix));
        hops.extend(entries.clone().flatten().flatten().copied());
        if entries.clone().all(|entry| entry.is_some()) {
            open = false;
            break;
        }
    }
    fates.lost |= open;
    for hop in hops {
        let known = answered.get(&hop).into_iter().flatten().copied();
        let macs: BTreeSet<Mac> = match hop {
            Hop::Left => BTreeSet::from([mac(2, 2)]),
            Hop::Right => states.clone().map(|state| mac(3, state.choice.right)).collect(),
            Hop::Far | Hop::Near => known.collect(),
            Hop::Drop => BTreeSet::new(),
        };
        fates.lost |= matches!(hop, Hop::Far | Hop::Near | Hop::Drop);
        for to in macs {
            fates.sent.extend(passed.iter().flatten().map(|class| Sending(hop.port(), to, *class)));
        }
    }
    fates
}

/// What has been in force, and what may be.
#[derive(Debug)]
pub(crate) struct Model {
    states: Vec<State>,
    /// From here on any of them may be in force, whatever came later: a client has died.
    unsure: Option<usize>,
    /// The configuration that a router that starts again has.
    confirmed: Choice,
}

impl Model {
    pub(crate) fn new(choice: Choice) -> Self {
        let state = State::new(choice.clone(), Rc::default());
        Self { states: vec![state], unsure: None, confirmed: choice }
    }

    pub(crate) fn now(&self) -> &State {
        &self.states[self.states.len() - 1]
    }

    /// The first of the states that a packet may meet from now on.
    pub(crate) fn birth(&self) -> usize {
        self.unsure.unwrap_or(self.states.len() - 1)
    }

    pub(crate) fn since(&self, birth: usize) -> impl Iterator<Item = &State> + Clone {
        self.states[birth..].iter()
    }

    pub(crate) fn push(&mut self, state: State) {
        if state != *self.now() {
            self.states.push(state);
        }
    }

    pub(crate) fn push_perhaps(&mut self, state: State) {
        self.unsure.get_or_insert(self.states.len() - 1);
        self.push(state);
    }

    pub(crate) fn confirm(&mut self, choice: Choice) {
        self.confirmed = choice;
    }

    pub(crate) const fn confirmed(&self) -> &Choice {
        &self.confirmed
    }

    /// The router has started again.
    pub(crate) fn restart(&mut self) {
        self.unsure = None;
        let state = State::new(self.confirmed.clone(), Rc::default());
        self.push(state);
    }
}
