//! What a seed draws for its whole life: sizes, and how often what happens. Lives are unlike each
//! other: in some, one thing never happens and another all the time.

use rand::Rng;
use rand::rngs::SmallRng;

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Probes,
    Ping,
    Lcore,
    SlowPath,
    ToClient,
    ToSlowPath,
    Housekeeping,
    Commit,
    Routes,
    EditList,
    Host,
    Time,
    KillUcode,
    KillClient,
}

/// Each with how often it happens where it does.
const DEEDS: [(Deed, u32); 14] = [
    (Deed::Probes, 40),
    (Deed::Ping, 3),
    (Deed::Lcore, 60),
    (Deed::SlowPath, 25),
    (Deed::ToClient, 20),
    (Deed::ToSlowPath, 20),
    (Deed::Housekeeping, 10),
    (Deed::Commit, 6),
    (Deed::Routes, 8),
    (Deed::EditList, 5),
    (Deed::Host, 8),
    (Deed::Time, 5),
    (Deed::KillUcode, 1),
    (Deed::KillClient, 1),
];

/// The constants of a life.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    pub(crate) lcores: u16,
    pub(crate) steps: u32,
    /// Places of the rings between lcores and slow path.
    pub(crate) ring: usize,
    pub(crate) buffers: usize,
    /// Stores of the client, on average, between two looks at its tables.
    pub(crate) gap: u64,
    /// The row behind which lcores may stand still.
    pub(crate) pause_behind: &'static str,
    pub(crate) row_by_row: bool,
    /// Chances of each turn: that an lcore stands still in its walk, dies in it, or cannot send.
    pub(crate) pause: f64,
    pub(crate) die_walking: f64,
    pub(crate) full_port: f64,
    /// Chances of each call of the client: that it dies, or is refused memory or a number.
    pub(crate) die_storing: f64,
    pub(crate) refuse: f64,
    /// Chances of each packet between hosts and router: that it is lost, or comes twice.
    pub(crate) lose: f64,
    pub(crate) double: f64,
    weights: Vec<(Deed, u32)>,
}

impl Swarm {
    pub(crate) fn draw(random: &mut SmallRng) -> Self {
        let rows = ["if-classify", "urpf", "fib4-lookup", "next-hop", "ifib-act", "l2-rewrite"];
        let mut rate = |often: f64| {
            if random.random_bool(0.4) { 0.0 } else { random.random_range(0.0..often) }
        };
        let (pause, die_walking, full_port) = (rate(0.3), rate(0.02), rate(0.1));
        let (die_storing, refuse) = (rate(0.1), rate(0.3));
        let (lose, double) = (rate(0.5), rate(0.3));
        let weight = |&(deed, often): &(Deed, u32)| {
            let factor = [0, 1, 1, 2, 5][random.random_range(0..5)];
            // Without these nothing moves.
            let least = u32::from(matches!(deed, Deed::Probes | Deed::Lcore));
            (deed, often * factor.max(least))
        };
        let weights = DEEDS.iter().map(weight).collect();
        Self {
            lcores: random.random_range(1..=3),
            steps: random.random_range(40..300),
            ring: [1, 4, 64, 4096][random.random_range(0..4)],
            buffers: [64, 256, 1024][random.random_range(0..3)],
            gap: [2, 20, 200, 5000][random.random_range(0..4)],
            pause_behind: rows[random.random_range(0..rows.len())],
            row_by_row: random.random_bool(0.3),
            pause,
            die_walking,
            full_port,
            die_storing,
            refuse,
            lose,
            double,
            weights,
        }
    }

    pub(crate) fn deed(&self, random: &mut SmallRng) -> Deed {
        let sum: u32 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut left = random.random_range(0..sum.max(1));
        for (deed, weight) in &self.weights {
            match left.checked_sub(*weight) {
                Some(less) => left = less,
                None => return *deed,
            }
        }
        Deed::Lcore
    }
}
