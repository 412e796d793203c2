//! The platform below the packet engine: what the operating system and the CPU give.
//!
//! From the top down, each module uses only those below it:
//!
//! - [`rights`]: what a process may do, given up
//! - [`inventory`]: which network interfaces the machine has, and what happens to them
//! - [`publication`]: tables change under readers that never wait
//! - [`counters`]: one writer per counter, sums for everybody
//! - [`region`]: memory that holds the tables, mapped read-only by those who forward
//! - [`ring`]: bounded queues between lcores
//! - [`lcore`]: threads that own a CPU
//! - [`process`]: other processes, and that they have ended
//! - [`doorbell`]: sleeping until there is work
//! - [`clock`]: time as an argument
//! - [`mod@file`]: regular files, read within bounds
//! - [`crash`]: tests have the process end at some point
//! - [`refusal`]: tests have memory and numbers refused
//! - [`faults`]: a simulator stops, kills or cheats whoever writes shared memory
//!
//! Nothing here knows what a packet or a feature is.
//!
//! # Example
//! Two lcores read a table while the control thread replaces it.
//!
//! ```
//! use pal::lcore::{CpuId, LcoreId, LcoreSpec, allowed_cpus, launch};
//! use pal::publication::{Generation, Publisher, TableKind, TableReader, TableShape};
//! use pal::region::{HugePages, Region};
//! use std::sync::Mutex;
//! use std::time::Duration;
//!
//! const TABLE: TableKind<u32> = TableKind::new(0);
//! static SHAPES: [TableShape; 1] = [TableShape::of("TABLE", TABLE, 1)];
//!
//! let region = Region::anonymous(1 << 20, HugePages::Try)?;
//! let state = Region::anonymous(1 << 20, HugePages::Never)?; // for what lcores write
//! let mut publisher = Publisher::in_regions(&region, &state)?;
//! let mut root = publisher.draft();
//! root.set(TABLE, region.alloc::<u32>(1)?.publish());
//! publisher.publish(&root)?;
//! let mut readers = Vec::new();
//! for name in ["lcore-0", "lcore-1"] {
//!     let (reader, tables) = (publisher.register_reader(name)?, region.map_read_only()?);
//!     readers.push(TableReader::new(reader, tables, state.share(), &SHAPES)?);
//! }
//!
//! let cpu = allowed_cpus()?.cpus()[0];
//! let spec = |id| LcoreSpec { id: LcoreId(id), cpu, name: format!("lcore-{id}") };
//! let readers = Mutex::new(readers);
//! let lcores = launch(vec![spec(0), spec(1)], move |lcore| {
//!     let Some(mut reader) = readers.lock().ok().and_then(|mut all| all.pop()) else { return 0 };
//!     let mut last = 0;
//!     while !lcore.stop.is_stopped() {
//!         reader.quiescent();
//!         last = reader.tables().view(TABLE)[0]; // here the vector would be forwarded
//!         std::thread::yield_now();
//!     }
//!     last
//! })?;
//!
//! for value in [7, 8] {
//!     let mut table = region.alloc::<u32>(1)?;
//!     table[0] = value;
//!     let mut root = publisher.draft();
//!     root.set(TABLE, table.publish());
//!     publisher.publish(&root)?;
//!     // Once nobody can have the old table any more, its memory may be used again.
//!     publisher.wait_for_readers(Duration::from_secs(10))?;
//! }
//! assert!(publisher.generations().iter().all(|reader| reader.generation == Some(Generation(3))));
//! # std::thread::sleep(Duration::from_millis(20)); // lets each lcore run one more vector
//! lcores.stop_flag().stop();
//! assert_eq!(lcores.join()?, [8, 8]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod clock;
pub mod counters;
pub mod crash;
pub mod doorbell;
pub mod faults;
pub mod file;
pub mod inventory;
pub mod lcore;
pub mod pool;
pub mod process;
pub mod publication;
pub mod refusal;
pub mod region;
pub mod rights;
pub mod ring;
pub mod seqpacket;
mod shared;
