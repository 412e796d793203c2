#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

mod limits;
mod neighbours;
mod oracle;
mod readers;
mod refusals;
mod routes;
mod sas;
mod speed;
mod takeover;
mod updates;
mod vrfs;
mod windows;
mod world;
