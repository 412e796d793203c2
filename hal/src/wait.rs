//! Sleeping until a packet comes, for loops whose queues have descriptors.
#![expect(unsafe_code, reason = "calls poll")]

use std::os::fd::RawFd;
use std::time::Duration;

/// Sleeps until one of `fds` is readable, for `patience` at most.
///
/// Returns early for signals; waking up for no packet does no harm to a loop that polls anyway. A
/// descriptor whose device has vanished never becomes readable and does not end the sleep. One
/// system call, and one more for each descriptor of this kind.
pub fn readable(fds: &[RawFd], patience: Duration) {
    let entry = |fd: &RawFd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 };
    let mut polled: Vec<libc::pollfd> = fds.iter().map(entry).collect();
    let timeout = libc::timespec {
        tv_sec: patience.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    loop {
        // SAFETY: `polled` holds as many entries as its length says, and the timeout outlives the
        // call; no signal mask is given.
        let ready = unsafe {
            libc::ppoll(
                polled.as_mut_ptr(),
                polled.len() as libc::nfds_t,
                &raw const timeout,
                std::ptr::null(),
            )
        };
        if ready <= 0 || polled.iter().any(|entry| entry.revents & libc::POLLIN != 0) {
            return;
        }
        // Only errors, which are there at once every time. Negative numbers are not looked at.
        polled.iter_mut().filter(|entry| entry.revents != 0).for_each(|entry| entry.fd = -1);
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

    #[test]
    fn a_descriptor_in_error_neither_ends_the_sleep_nor_hides_data_of_others() {
        let (reader, gone) = std::io::pipe().unwrap();
        drop(reader);
        let start = Instant::now();
        readable(&[gone.as_raw_fd()], Duration::from_millis(20));
        assert!(start.elapsed() >= Duration::from_millis(20));
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let fds = [gone.as_raw_fd(), theirs.as_raw_fd()];
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            ours.write_all(b"x").unwrap();
            std::thread::sleep(Duration::from_secs(5));
        });
        readable(&fds, Duration::from_secs(60));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
