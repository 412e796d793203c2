//! Sequence numbers of lasting keys while there is no client: more of them may be used only when the
//! file of marks says so, on the disk.
//!
//! A client that comes goes on from what the states and the file say then. Should the machine, or both
//! processes, end meanwhile, the file says at least as much as was used.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use pal::region::{ReadWrite, RegionError};
use qfp_core::ipsec::SaState;
use qfp_core::ipsec::marks::line;

/// Numbers that an outbound SA is given at a time; half of them are left when it is given more.
const RESERVE: u64 = 1 << 24;
/// An inbound SA may be so far ahead at least, and at most: what it may accept counts as seen when
/// both processes end.
const LEAST: u64 = 960;
const MOST: u64 = 1 << 22;
/// It is given what its peer sends in this time at its present pace, milliseconds.
const AHEAD_MS: u64 = 200;

/// An SA of a lasting key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastingSa {
    /// Row of its state.
    pub row: u32,
    /// Where its line begins in the file of marks.
    pub place: u64,
    /// Who its key is, in that line.
    pub id: u128,
    /// Whether it accepts numbers rather than takes them.
    pub inbound: bool,
    /// The highest number there is.
    pub last: u64,
}

/// All SAs of lasting keys, and where their states lie in the memory that lcores write.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastingSas {
    /// Offset and number of the states.
    pub states: (u64, u64),
    /// The SAs.
    pub sas: Vec<LastingSa>,
}

/// Who keeps marks.
pub(crate) struct Keeper {
    state: ReadWrite,
    pub(crate) file: OwnedFd,
    pub(crate) lasting: LastingSas,
    /// How far inbound SAs had come at the last look, by row, and when that was.
    come: BTreeMap<u32, u64>,
    looked: Option<Instant>,
}

impl Keeper {
    /// One for the states in `state`, which writes to `file`.
    pub(crate) fn new(
        state: &OwnedFd,
        file: OwnedFd,
        sas: LastingSas,
    ) -> Result<Self, RegionError> {
        let state = ReadWrite::from_fd(state)?;
        Ok(Self { state, file, lasting: sas, come: BTreeMap::new(), looked: None })
    }

    /// A client keeps them again.
    pub(crate) fn rest(&mut self) {
        (self.looked, self.come) = (None, BTreeMap::new());
    }

    /// Lets SAs that need it use more numbers as of `now`, which are on the disk first. To be called
    /// often.
    ///
    /// # Errors
    /// They cannot be written: nothing has changed.
    pub(crate) fn look(&mut self, now: Instant) -> io::Result<()> {
        let passed = self.looked.map(|looked| (now - looked).as_millis());
        let passed = passed.map(|passed| u64::try_from(passed).unwrap_or(u64::MAX).max(1));
        self.looked = Some(now);
        let states = self.state.view_at::<SaState>(self.lasting.states);
        let states = states.map_err(io::Error::other)?;
        let mut raised = Vec::new();
        for sa in &self.lasting.sas {
            let Some(state) = states.get(sa.row as usize) else { continue };
            let (used, reserved) = (state.sequence().max(state.wanted()), state.reserved());
            let number = if sa.inbound {
                let before = self.come.insert(sa.row, used).unwrap_or(used);
                let pace = used.saturating_sub(before) * AHEAD_MS / passed.unwrap_or(AHEAD_MS);
                let ahead = pace.clamp(LEAST, MOST);
                if reserved.saturating_sub(used) > ahead / 2 || used == 0 {
                    continue;
                }
                used.saturating_add(ahead)
            } else {
                if reserved.saturating_sub(used) > RESERVE / 2 {
                    continue;
                }
                reserved.saturating_add(RESERVE)
            };
            let number = number.min(sa.last);
            if number > reserved {
                raised.push((sa, state, number));
            }
        }
        if raised.is_empty() {
            return Ok(());
        }
        let file = File::from(self.file.try_clone()?);
        for (sa, _, number) in &raised {
            file.write_all_at(&line(sa.id, *number, false), sa.place)?;
        }
        file.sync_data()?;
        for (_, state, number) in raised {
            state.reserve(number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::Duration;

    use pal::region::{HugePages, Region};

    use super::*;

    /// States of two SAs, the second of them inbound, and a file with their lines.
    fn rig() -> (Region, pal::region::Block<SaState>, File, Keeper) {
        let region = Region::anonymous(4096, HugePages::Never).unwrap();
        let states = region.alloc::<SaState>(2).unwrap().publish();
        let path = std::env::temp_dir().join(format!("qfp-keeper-{}", std::process::id()));
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let sa = |row: u32, inbound, last| LastingSa {
            row,
            place: 64 * u64::from(row + 1),
            id: 7 + u128::from(row),
            inbound,
            last,
        };
        let sas = vec![sa(0, false, u64::MAX), sa(1, true, 5000)];
        let lasting = LastingSas { states: (states.offset(), states.len()), sas };
        let state = region.as_fd().try_clone_to_owned().unwrap();
        let keeper = Keeper::new(&state, file.try_clone().unwrap().into(), lasting).unwrap();
        (region, states, file, keeper)
    }

    fn written(file: &File, place: u64) -> String {
        let mut line = [0; 64];
        if file.read_exact_at(&mut line, place).is_err() {
            return String::new();
        }
        let text = qfp_core::ipsec::marks::checked(&line).unwrap_or_default();
        text.split(' ').nth(1).unwrap_or_default().trim_start_matches('0').to_owned()
    }

    #[test]
    fn what_may_be_used_is_in_the_file_first_and_no_more_than_there_is() {
        let (region, states, file, mut keeper) = rig();
        // Ten seconds pass between two looks: nobody is fast.
        let mut now = Instant::now();
        let mut look = || {
            now += Duration::from_secs(10);
            keeper.look(now).unwrap();
        };
        let [out, inbound] = region.view(states).unwrap() else { panic!() };
        out.resume(5);
        out.reserve(RESERVE);
        inbound.reserve(1000);
        look();
        assert_eq!((out.reserved(), inbound.reserved()), (RESERVE, 1000), "there is enough");
        out.resume(RESERVE - 10);
        inbound.want(990);
        look();
        assert_eq!((out.reserved(), inbound.reserved()), (2 * RESERVE, 990 + LEAST));
        assert_eq!(written(&file, 64), format!("{:x}", 2 * RESERVE));
        assert_eq!(written(&file, 128), format!("{:x}", 990 + LEAST));
        inbound.want(4900);
        look();
        assert_eq!((inbound.reserved(), written(&file, 128)), (5000, format!("{:x}", 5000)));
        inbound.want(5000);
        look();
        assert_eq!(inbound.reserved(), 5000);
    }

    #[test]
    fn what_cannot_be_written_is_not_used() {
        let (region, states, _, keeper) = rig();
        let state = region.as_fd().try_clone_to_owned().unwrap();
        let read_only = File::open("/dev/null").unwrap();
        let lasting = keeper.lasting.clone();
        let mut keeper = Keeper::new(&state, read_only.into(), lasting).unwrap();
        let [out, _] = region.view(states).unwrap() else { panic!() };
        out.resume(3);
        assert!(keeper.look(Instant::now()).is_err());
        assert_eq!(out.reserved(), 3);
        // Neither is what lies outside.
        keeper.lasting.states = (1 << 40, 2);
        assert!(keeper.look(Instant::now()).is_err());
    }
}
