//! A simulator: client, driver, data plane, the hosts around them and an operator, in one thread on
//! virtual time. Everything that is by chance comes from one seed, and so does every fault.
//!
//! - `run`: the life of one seed
//! - `world`: who is there, and whose turn it is
//! - `swarm`: what a seed draws for its whole life, such as how often faults come
//! - `client`, `plane`, `hosts`: the actors, and how each of them dies
//! - `model`: an obvious router, which says where packets may go
//! - `judge`: what must hold, whatever happens

#![cfg(feature = "faults")]
#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod client;
mod configuration;
mod ending;
mod frames;
mod hosts;
mod judge;
mod model;
mod operator;
mod pause;
mod plane;
mod story;
mod swarm;
mod wire;
mod world;

use pal::faults::{Plant, planted};

pub use story::Story;
use world::World;

/// How the life of a seed went.
#[derive(Clone, Debug)]
pub struct Life {
    /// The invariant that did not hold, if one did not.
    pub violation: Option<String>,
    /// What happened, if that was asked for.
    pub story: Story,
}

/// Lives the life of a seed, with a bug planted or without. `told` keeps its story.
///
/// On a thread of its own: what hash maps do depends on how many of them a thread has made.
#[must_use]
pub fn run(seed: u64, plant: Option<Plant>, told: bool) -> Life {
    let life = move || planted(plant, || World::live(seed, told));
    let thread = std::thread::Builder::new().name(format!("seed {seed}")).spawn(life);
    let lived = thread.map_err(|error| error.to_string()).and_then(|thread| {
        thread.join().map_err(|panic| format!("the simulator itself: {}", story::text(&*panic)))
    });
    lived.unwrap_or_else(|error| Life { violation: Some(error), story: Story::new(false) })
}
