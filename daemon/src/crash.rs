//! Ends for tests: what a crash leaves behind is what a new start finds.

/// Ends the process as `kill -9` does if the variable `QFP_CRASH_AT` names `point`.
#[cfg(feature = "crash-points")]
pub(crate) fn point(point: &str) {
    if std::env::var_os("QFP_CRASH_AT").is_some_and(|at| at == point) {
        // Whoever cannot kill itself goes on, and the test sees that.
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
}

/// Nothing: the feature `crash-points` is off.
#[cfg(not(feature = "crash-points"))]
pub(crate) fn point(_: &str) {}
