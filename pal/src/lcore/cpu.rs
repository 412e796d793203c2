use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::mem;

/// Number of a CPU as Linux counts them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct CpuId(pub u16);

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu {}", self.0)
    }
}

/// CPUs that fit the kernel's fixed-size set.
const MAX_CPUS: u16 = 1024;

/// A set of CPUs in ascending order, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(Vec<CpuId>);

/// Why a text is not a CPU list.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuListError {
    /// Not a number and not `first-last`.
    #[error("{token:?} is neither a CPU number nor a range such as 2-5")]
    Syntax {
        /// The part between commas that was not understood.
        token: String,
    },
    /// A range whose end comes first.
    #[error("range {token:?} runs backwards")]
    Backwards {
        /// The range as written.
        token: String,
    },
    /// A number no CPU has.
    #[error("{token:?} is beyond the last possible CPU, {}", MAX_CPUS - 1)]
    TooLarge {
        /// The number or range as written.
        token: String,
    },
    /// The same CPU twice.
    #[error("{cpu} is named twice, the second time by {token:?}")]
    Repeated {
        /// The CPU.
        cpu: CpuId,
        /// The part that named it again.
        token: String,
    },
}

impl CpuList {
    /// Reads the kernel's list format: numbers and ranges between commas, such as `0,2-3`.
    ///
    /// # Errors
    /// Names the offending token.
    pub fn parse(text: &str) -> Result<Self, CpuListError> {
        let mut cpus = BTreeSet::new();
        for token in text.trim().split(',').map(str::trim) {
            let owned = || token.to_owned();
            let number = |digits: &str| {
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(CpuListError::Syntax { token: owned() });
                }
                match digits.parse::<u16>() {
                    Ok(cpu) if cpu < MAX_CPUS => Ok(cpu),
                    _ => Err(CpuListError::TooLarge { token: owned() }),
                }
            };
            let (first, last) = token.split_once('-').unwrap_or((token, token));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(CpuListError::Backwards { token: owned() });
            }
            for cpu in (first..=last).map(CpuId) {
                if !cpus.insert(cpu) {
                    return Err(CpuListError::Repeated { cpu, token: owned() });
                }
            }
        }
        Ok(Self(cpus.into_iter().collect()))
    }

    /// The CPUs, ascending.
    #[must_use]
    pub fn cpus(&self) -> &[CpuId] {
        &self.0
    }
}

/// The CPUs this thread may run on, ascending.
///
/// # Errors
/// What `sched_getaffinity` says.
pub fn allowed_cpus() -> io::Result<CpuList> {
    // SAFETY: a cpu_set_t is an array of integers; all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is exclusively borrowed and its true size is given; 0 means this thread.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every number below MAX_CPUS is inside a cpu_set_t.
    let is_set = |cpu: &u16| unsafe { libc::CPU_ISSET(usize::from(*cpu), &set) };
    Ok(CpuList((0..MAX_CPUS).filter(is_set).map(CpuId).collect()))
}

/// Binds the calling thread to `cpu`.
pub(super) fn pin_to(cpu: CpuId) -> io::Result<()> {
    if cpu.0 >= MAX_CPUS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a cpu_set_t is an array of integers; all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `cpu` was just checked to lie inside the set.
    unsafe { libc::CPU_SET(usize::from(cpu.0), &mut set) };
    // SAFETY: `set` outlives the call and its true size is given; 0 means this thread.
    if unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The NUMA node `cpu` belongs to, or `None` where the kernel does not say (no such CPU, or one
/// node only and no NUMA support).
#[must_use]
pub fn current_numa_node(cpu: CpuId) -> Option<u16> {
    let entries = std::fs::read_dir(format!("/sys/devices/system/cpu/cpu{}", cpu.0)).ok()?;
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("node")?.parse().ok())
        .next()
}

#[cfg(test)]
mod tests {
    use super::{CpuId, CpuList, CpuListError, allowed_cpus, current_numa_node};
    use proptest::prelude::*;

    #[test]
    fn reads_numbers_and_ranges() {
        let list = CpuList::parse(" 4, 0,2-3\n").unwrap();
        assert_eq!(list.cpus(), [CpuId(0), CpuId(2), CpuId(3), CpuId(4)]);
    }

    #[test]
    fn names_the_token_it_cannot_read() {
        use CpuListError::{Backwards, Repeated, Syntax, TooLarge};
        for token in ["", "x", "1-", "-1", "1-2-3", "+1"] {
            let text = format!("0,{token}");
            assert_eq!(CpuList::parse(&text), Err(Syntax { token: token.into() }), "{text}");
        }
        assert_eq!(CpuList::parse("5-2"), Err(Backwards { token: "5-2".into() }));
        assert_eq!(CpuList::parse("1024"), Err(TooLarge { token: "1024".into() }));
        assert_eq!(CpuList::parse("99999999999"), Err(TooLarge { token: "99999999999".into() }));
        let again = Repeated { cpu: CpuId(3), token: "3-4".into() };
        assert_eq!(CpuList::parse("0-3,3-4"), Err(again));
    }

    proptest! {
        #[test]
        fn never_panics_on_any_text(text in ".{0,40}") {
            if let Ok(list) = CpuList::parse(&text) {
                prop_assert!(!list.cpus().is_empty());
                prop_assert!(list.cpus().is_sorted());
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "no affinity under miri")]
    fn at_least_one_cpu_is_allowed_and_its_node_is_plausible() {
        let cpu = allowed_cpus().unwrap().cpus()[0];
        assert!(current_numa_node(cpu).is_none_or(|node| node < 1024));
        assert_eq!(current_numa_node(CpuId(60_000)), None);
    }
}
