//! What a process may do, given up before it sees anything from outside.

use std::fmt;
use std::io;

use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Uid, getegid, geteuid, set_dumpable_behavior,
    setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// The user that owns nothing, on Linux.
const NOBODY: u32 = 65_534;

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The group, the only one.
    pub gid: u32,
}

impl User {
    /// The user that owns nothing.
    pub const NOBODY: Self = Self { uid: NOBODY, gid: NOBODY };

    /// That of this process.
    #[must_use]
    pub fn own() -> Self {
        Self { uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}, group {}", self.uid, self.gid)
    }
}

/// What a process keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Rights {
    /// Whom it becomes; itself without one.
    pub user: Option<User>,
    /// It sets up network devices (`CAP_NET_ADMIN`).
    pub net_admin: bool,
    /// It opens packet sockets (`CAP_NET_RAW`).
    pub net_raw: bool,
    /// It locks memory (`CAP_IPC_LOCK`).
    pub ipc_lock: bool,
}

/// Why rights cannot be given up.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// Threads have rights of their own: those that run already would keep theirs.
    #[error("rights are given up before there are threads")]
    Threads,
    /// The system does not do it.
    #[error("{what}: {error}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        error: io::Error,
    },
}

impl Rights {
    fn capabilities(self) -> CapabilitySet {
        let kept = [
            (self.net_admin, CapabilitySet::NET_ADMIN),
            (self.net_raw, CapabilitySet::NET_RAW),
            (self.ipc_lock, CapabilitySet::IPC_LOCK),
        ];
        kept.into_iter().filter(|(kept, _)| *kept).map(|(_, one)| one).collect()
    }

    /// Gives up everything else, for good: other users, groups, capabilities and new privileges. Its
    /// memory is in no core file, and no process without privileges reads it.
    ///
    /// A capability that the process does not have is not among those kept.
    ///
    /// # Errors
    /// There are threads beside the first one, or the process may not become that user.
    pub fn confine(self) -> Result<(), RightsError> {
        let threads = std::fs::read_dir("/proc/self/task");
        let threads =
            threads.map_err(|error| RightsError::System { what: "/proc/self/task", error })?;
        if threads.count() != 1 {
            return Err(RightsError::Threads);
        }
        let held = capabilities(None).map_err(at("capget"))?.permitted;
        if let Some(user) = self.user.filter(|user| *user != User::own() || geteuid().is_root()) {
            set_keep_capabilities(true).map_err(at("PR_SET_KEEPCAPS"))?;
            let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
            set_thread_groups(&[]).map_err(at("setgroups"))?;
            set_thread_res_gid(gid, gid, gid).map_err(at("setresgid"))?;
            set_thread_res_uid(uid, uid, uid).map_err(at("setresuid"))?;
        }
        let kept = self.capabilities() & held;
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: none };
        set_capabilities(None, sets).map_err(at("capset"))?;
        set_no_new_privs(true).map_err(at("PR_SET_NO_NEW_PRIVS"))?;
        keep_to_itself()
    }
}

/// The memory of this process is in no core file, and no process without privileges reads it, not
/// even one of the same user.
///
/// # Errors
/// The system does not do it.
pub fn keep_to_itself() -> Result<(), RightsError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at("PR_SET_DUMPABLE"))?;
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, nothing).map_err(at("RLIMIT_CORE"))
}

fn at(what: &'static str) -> impl Fn(rustix::io::Errno) -> RightsError {
    move |error| RightsError::System { what, error: error.into() }
}
