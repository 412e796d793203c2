//! Resource managers: who owns which number, and how many there are.

mod numbers;

pub use numbers::{Exhausted, Numbers};
