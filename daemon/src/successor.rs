//! The client that takes the place of this one, in the same process.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use api::{Failure, Status};

/// The program of this process and what it was started with.
pub(crate) struct Successor {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// A data plane of its own process goes on meanwhile.
    may_come: bool,
    is_called: AtomicBool,
}

impl Successor {
    /// To be made at the start: another program may get the name of this one later.
    pub(crate) fn new(may_come: bool) -> io::Result<Self> {
        let arguments = std::env::args_os().skip(1).collect();
        let program = std::env::current_exe()?;
        Ok(Self { program, arguments, may_come, is_called: AtomicBool::new(false) })
    }

    /// Has the program take over soon.
    ///
    /// # Errors
    /// Packets would be lost, or it does not run.
    pub(crate) fn call(&self) -> Result<(), Failure> {
        if !self.may_come {
            let line = "the data plane is in the client's process: end it and start it again";
            return Err(Failure::new(Status::Refused, line));
        }
        let mut look = Command::new(&self.program);
        look.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let line = |why: String| format!("{}: {why}", self.program.display());
        let failed = |why: String| Failure::new(Status::Failed, line(why));
        let status = look.status().map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            return Err(failed(format!("does not run: {status}")));
        }
        self.is_called.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether it is to take over now.
    pub(crate) fn is_called(&self) -> bool {
        self.is_called.swap(false, Ordering::Acquire)
    }

    /// Becomes the program. What is open is closed: the lock of the directory, connections, and the
    /// line to the data plane, which goes on. Returns only if that cannot be.
    pub(crate) fn take_over(&self) -> io::Error {
        Command::new(&self.program).args(&self.arguments).exec()
    }
}
