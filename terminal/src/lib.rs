//! What the programs tell people and other programs: lines on standard error, and reports as tables
//! and as JSON.
#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod arguments;
mod crypto;
pub mod json;
mod lists;
pub mod log;
mod policies;
pub mod report;
