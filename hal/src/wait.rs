//! Sleeping until a packet comes, for loops whose queues have descriptors.
#![expect(unsafe_code, reason = "calls poll")]

use std::os::fd::RawFd;
use std::time::Duration;

/// Sleeps until one of `fds` is readable, for `patience` at most.
///
/// Returns early for signals and for descriptors that are closed; waking up for no packet does no
/// harm to a loop that polls anyway. One system call.
pub fn readable(fds: &[RawFd], patience: Duration) {
    let entry = |fd: &RawFd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 };
    let mut polled: Vec<libc::pollfd> = fds.iter().map(entry).collect();
    let timeout = libc::timespec {
        tv_sec: patience.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    // SAFETY: `polled` holds as many entries as its length says, and the timeout outlives the
    // call; no signal mask is given.
    unsafe {
        libc::ppoll(
            polled.as_mut_ptr(),
            polled.len() as libc::nfds_t,
            &raw const timeout,
            std::ptr::null(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::time::Instant;

    #[test]
    fn data_ends_the_sleep_and_silence_the_patience() {
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let start = Instant::now();
        readable(&[theirs.as_raw_fd()], Duration::from_millis(5));
        assert!(start.elapsed() >= Duration::from_millis(5));
        ours.write_all(b"x").unwrap();
        readable(&[theirs.as_raw_fd()], Duration::from_secs(60));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
