//! The environment abstraction layer: started once a process, left when nobody uses it any more.

use std::ffi::{CString, c_char};
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock, Weak};

use dpdk_sys as sys;

/// Set by the first call of [`Eal::init`], to null when it fails: DPDK cannot be started twice.
static FIRST: OnceLock<Weak<Running>> = OnceLock::new();

/// Why the EAL, or a thread's place in it, is not available.
#[derive(Debug, thiserror::Error)]
pub enum EalError {
    /// The EAL was initialised before in this process.
    #[error("DPDK has been initialised in this process before")]
    AlreadyInitialised,
    /// An argument that would end the process, or that C cannot hold.
    #[error("EAL argument {0:?} is not accepted")]
    BadArgument(String),
    /// Another process has the files of this name.
    #[error(
        "DPDK does not start: process {process} uses the file prefix {prefix:?}; \
         give another with -- --file-prefix NAME"
    )]
    PrefixInUse {
        /// The prefix.
        prefix: String,
        /// Who has it.
        process: i32,
    },
    /// DPDK refused to start; it has printed the details.
    #[error("DPDK does not start: {0}")]
    Init(String),
    /// The thread cannot become an lcore.
    #[error("cannot register this thread as an lcore: {0}")]
    Register(String),
}

/// The running EAL. Clones share it; the last one to go, ports and pools included, cleans it up.
#[derive(Clone)]
pub struct Eal {
    running: Arc<Running>,
}

struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: the EAL was initialised, and every port and pool held a reference to `self`, so
        // none is left. A failure has no consequence: the process keeps its memory.
        unsafe { sys::rte_eal_cleanup() };
    }
}

impl Eal {
    /// Starts DPDK with the user's EAL arguments (without a program name).
    ///
    /// The calling thread becomes DPDK's main lcore but keeps its CPU affinity. Unless `args`
    /// choose lcores, DPDK gets the first CPU this thread may use, and no thread of its own there.
    /// DPDK reports what it dislikes on standard error.
    pub fn init(args: &[String]) -> Result<Self, EalError> {
        let mut argv = vec![c_string("qfp")?];
        if !args.iter().any(|arg| chooses_lcores(arg)) {
            argv.push(c_string(&format!("--lcores=0@{}", first_cpu()))?);
        }
        for arg in args {
            if ends_the_process(arg) {
                return Err(EalError::BadArgument(arg.clone()));
            }
            argv.push(c_string(arg)?);
        }
        let mut outcome = Err(EalError::AlreadyInitialised);
        FIRST.get_or_init(|| {
            outcome = Self::start(argv).map_err(|error| in_use(args).unwrap_or(error));
            outcome.as_ref().map_or_else(|_| Weak::new(), |eal| Arc::downgrade(&eal.running))
        });
        outcome
    }

    /// DPDK itself leaves no error when another process has its files.
    fn start(argv: Vec<CString>) -> Result<Self, EalError> {
        // DPDK keeps pointers into its arguments: they stay for the life of the process.
        let mut pointers: Vec<*mut c_char> = argv.into_iter().map(CString::into_raw).collect();
        let count = i32::try_from(pointers.len())
            .map_err(|_| EalError::Init("too many arguments".to_owned()))?;
        pointers.push(std::ptr::null_mut());
        let pointers = pointers.leak();
        let affinity = Affinity::of_this_thread();
        // SAFETY: `pointers` holds `count` C strings and a terminating null, all of which live as
        // long as the process, and DPDK was not initialised before.
        let result = unsafe { sys::rte_eal_init(count, pointers.as_mut_ptr()) };
        let error = super::last_error();
        affinity.restore();
        if result < 0 {
            let error = if error == super::error_text(0) { "see above".to_owned() } else { error };
            return Err(EalError::Init(error));
        }
        Ok(Self { running: Arc::new(Running) })
    }

    /// The EAL, while it runs.
    pub(super) fn running() -> Option<Self> {
        Some(Self { running: FIRST.get()?.upgrade()? })
    }

    /// Keeps DPDK's memory mapped until the process ends, because somebody may still point there.
    pub(super) fn keep_forever(&self) {
        std::mem::forget(Arc::clone(&self.running));
    }
}

fn c_string(arg: &str) -> Result<CString, EalError> {
    CString::new(arg).map_err(|_| EalError::BadArgument(arg.to_owned()))
}

/// True when `arg` is a long option called `name`, abbreviated to no less than `least`.
fn is_long(arg: &str, name: &str, least: usize) -> bool {
    let given = arg.split('=').next().unwrap_or(arg);
    given.len() >= least && name.starts_with(given)
}

/// The file prefix that `args` choose.
fn file_prefix(args: &[String]) -> &str {
    let named = |arg: &String| is_long(arg, "--file-prefix", "--file".len());
    let Some(at) = args.iter().position(named) else { return "rte" };
    let own = args[at].split_once('=').map(|(_, prefix)| prefix);
    own.or(args.get(at + 1).map(String::as_str)).unwrap_or("rte")
}

/// Whether another process has locked the files of the prefix that `args` choose.
fn in_use(args: &[String]) -> Option<EalError> {
    let prefix = file_prefix(args).to_owned();
    let own = std::env::var("XDG_RUNTIME_DIR").ok();
    let folders = ["/var/run", own.as_deref().unwrap_or("/tmp"), "/tmp"];
    let holder = |folder: &str| lock_holder(&format!("{folder}/dpdk/{prefix}/config"));
    let process = folders.into_iter().find_map(holder)?;
    Some(EalError::PrefixInUse { prefix, process })
}

/// The process that has a lock on a file which keeps us from ours.
fn lock_holder(path: &str) -> Option<i32> {
    let file = std::fs::File::options().read(true).write(true).open(path).ok()?;
    // SAFETY: a lock is plain integers, for which zero is the whole file.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK.try_into().ok()?;
    // SAFETY: the descriptor is open, and the lock outlives the call, which fills it in.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
    (asked == 0 && i32::from(lock.l_type) != libc::F_UNLCK && lock.l_pid > 0).then_some(lock.l_pid)
}

/// True for an option that says which lcores there are.
fn chooses_lcores(arg: &str) -> bool {
    let short = !arg.starts_with("--") && (arg.starts_with("-l") || arg.starts_with("-c"));
    short || is_long(arg, "--lcores", "--lc".len()) || is_long(arg, "--main-lcore", "--ma".len())
}

/// True for an option that makes DPDK print its usage and exit.
fn ends_the_process(arg: &str) -> bool {
    arg == "-h" || is_long(arg, "--help", "--he".len())
}

/// The affinity of a thread, to be put back after DPDK has pinned it.
struct Affinity(libc::cpu_set_t);

impl Affinity {
    fn of_this_thread() -> Self {
        // SAFETY: a CPU set is plain bits, for which zero is the empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set has the size passed. On failure it stays empty.
        unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
        Self(set)
    }

    fn restore(&self) {
        // SAFETY: the set has the size passed. An empty set is refused, which changes nothing.
        unsafe { libc::sched_setaffinity(0, size_of_val(&self.0), &raw const self.0) };
    }
}

/// Lowest CPU that this thread may run on.
fn first_cpu() -> usize {
    let set = Affinity::of_this_thread().0;
    let cpus = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: `cpu` is below CPU_SETSIZE.
    (0..cpus).find(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).unwrap_or(0)
}

/// A thread's place among DPDK's lcores, given up on drop. Stays on its thread.
#[derive(Debug)]
pub struct LcoreRegistration {
    registered: bool,
    _this_thread: PhantomData<*const ()>,
}

/// Makes the calling thread an lcore of DPDK, so that mempools keep a cache for it.
///
/// Without it every burst goes to the pool's shared ring, at several times the cost. The thread
/// that initialised DPDK is an lcore already. Secondary DPDK processes cannot attach afterwards.
pub fn register_lcore() -> Result<LcoreRegistration, EalError> {
    // SAFETY: reads a thread-local integer.
    if unsafe { sys::qfp_lcore_id() } != sys::QFP_LCORE_ID_ANY {
        return Ok(LcoreRegistration { registered: false, _this_thread: PhantomData });
    }
    // SAFETY: takes no pointers; refuses by itself when DPDK does not run.
    if unsafe { sys::rte_thread_register() } < 0 {
        return Err(EalError::Register(super::last_error()));
    }
    Ok(LcoreRegistration { registered: true, _this_thread: PhantomData })
}

impl Drop for LcoreRegistration {
    fn drop(&mut self) {
        if self.registered {
            // SAFETY: this thread was registered by `register_lcore`, and the registration cannot
            // have moved to another one.
            unsafe { sys::rte_thread_unregister() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lcore_options_are_recognised_in_every_spelling() {
        for arg in ["-l", "-l0-1", "-c", "-c3", "--lcores", "--lcores=0@1", "--lc", "--main-lcore"]
        {
            assert!(chooses_lcores(arg), "{arg}");
        }
        for arg in ["--legacy-mem", "--log-level=5", "-m", "--vdev=net_null0", "64", "--"] {
            assert!(!chooses_lcores(arg), "{arg}");
        }
    }

    #[test]
    fn an_argument_that_would_end_the_process_is_refused() {
        for arg in ["-h", "--help", "--hel"] {
            let refused = Eal::init(&[arg.to_owned()]);
            assert!(matches!(refused, Err(EalError::BadArgument(given)) if given == arg));
        }
        assert!(!ends_the_process("--huge-dir"));
        assert!(!ends_the_process("--huge-unlink=always"));
    }
}
