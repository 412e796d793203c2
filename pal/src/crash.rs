//! Ends on purpose: what a process leaves behind that is killed at some point is what others find.

/// Ends the process as `kill -9` does if the variable `QFP_CRASH_AT` names `point`. Without feature
/// `crash-points` it does nothing.
#[cfg(feature = "crash-points")]
pub fn point(point: &str) {
    use rustix::process::{Signal, getpid, kill_process};
    if std::env::var_os("QFP_CRASH_AT").is_some_and(|at| at == point) {
        // Whoever cannot kill itself goes on, and the test sees that.
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

/// Nothing: the feature `crash-points` is off.
#[cfg(not(feature = "crash-points"))]
pub fn point(_: &str) {}
