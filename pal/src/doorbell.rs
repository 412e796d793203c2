//! Sleeping until there is work, without a system call for who brings it to somebody awake.
#![allow(unsafe_code, reason = "calls eventfd and ppoll")]

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

use event::Event;

/// What one thread sleeps on, and others wake it with.
#[derive(Debug)]
pub struct Doorbell {
    asleep: AtomicBool,
    event: Event,
}

impl Doorbell {
    /// A bell that nobody sleeps on yet. Takes a file descriptor.
    ///
    /// # Errors
    /// The system has none.
    pub fn new() -> io::Result<Self> {
        Ok(Self { asleep: AtomicBool::new(false), event: Event::new()? })
    }

    /// Wakes the sleeper, who looks for work before it sleeps: to be called once the work is where
    /// it looks. A fence and a load as long as it is awake, and one system call a sleep.
    #[inline]
    pub fn ring(&self) {
        // Pairs with the fence in `sleep`: either that look finds the work, or this sees it asleep.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.ring_out();
        }
    }

    #[cold]
    fn ring_out(&self) {
        if self.asleep.swap(false, Ordering::Relaxed) {
            self.event.set();
        }
    }

    /// Ends this sleep or the next one, for what the sleeper does not look for. One system call,
    /// which signal handlers may make.
    pub fn wake(&self) {
        self.event.set();
    }

    /// Sleeps until it is woken or one of `fds` is readable, for `patience` at most; not at all if
    /// `has_work`. One thread at a time.
    ///
    /// May return early. A descriptor whose device has vanished never becomes readable and does not
    /// end the sleep. Up to two system calls, and one more for each descriptor of this kind.
    pub fn sleep(&self, fds: &[RawFd], patience: Duration, has_work: impl FnOnce() -> bool) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !has_work() {
            self.event.wait(fds, patience);
        }
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Sleeps for `patience`, or until it is woken: who rings goes by, and makes no system call.
    pub fn nap(&self, patience: Duration) {
        self.event.wait(&[], patience);
    }
}

#[cfg(loom)]
mod event {
    use super::{Duration, RawFd, io};

    /// Stays set until somebody has waited for it, as the real one does.
    #[derive(Debug)]
    pub(super) struct Event(loom::sync::Notify);

    impl Event {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self(loom::sync::Notify::new()))
        }

        pub(super) fn set(&self) {
            self.0.notify();
        }

        /// Without patience: a wake-up that is lost is a deadlock.
        pub(super) fn wait(&self, _: &[RawFd], _: Duration) {
            self.0.wait();
        }
    }
}

#[cfg(not(loom))]
mod event {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use super::{Duration, RawFd, io};

    /// A number that wakes who polls it as long as it is not zero.
    #[derive(Debug)]
    pub(super) struct Event(OwnedFd);

    impl Event {
        pub(super) fn new() -> io::Result<Self> {
            // SAFETY: plain system call without pointers.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the kernel just returned this descriptor; nobody else knows it.
            Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
        }

        pub(super) fn set(&self) {
            let one = 1_u64;
            // SAFETY: eight bytes that outlive the call. Refused only if the number is so high that
            // it wakes anyway.
            unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        }

        /// The number is zero from here on.
        fn clear(&self) {
            let mut number = 0_u64;
            // SAFETY: eight bytes that outlive the call. Never blocks; refused if it is zero.
            unsafe { libc::read(self.0.as_raw_fd(), (&raw mut number).cast(), size_of::<u64>()) };
        }

        /// Until it is set or one of `fds` is readable.
        pub(super) fn wait(&self, fds: &[RawFd], patience: Duration) {
            let entry = |fd: RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            let own = [entry(self.0.as_raw_fd())];
            let mut polled: Vec<libc::pollfd> =
                own.into_iter().chain(fds.iter().copied().map(entry)).collect();
            let timeout = libc::timespec {
                tv_sec: patience.as_secs().try_into().unwrap_or(libc::time_t::MAX),
                tv_nsec: patience.subsec_nanos().into(),
            };
            loop {
                // SAFETY: `polled` holds as many entries as its length says, and the timeout
                // outlives the call; no signal mask is given.
                let ready = unsafe {
                    libc::ppoll(
                        polled.as_mut_ptr(),
                        polled.len() as libc::nfds_t,
                        &raw const timeout,
                        std::ptr::null(),
                    )
                };
                if polled.first().is_some_and(|own| ready > 0 && own.revents != 0) {
                    return self.clear();
                }
                if ready <= 0 || polled.iter().any(|entry| entry.revents & libc::POLLIN != 0) {
                    return;
                }
                // Only errors, which are there at once every time. Negative numbers are not looked
                // at.
                polled.iter_mut().filter(|entry| entry.revents != 0).for_each(|one| one.fd = -1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::sync::Arc;
    use std::time::Instant;

    fn readable(fds: &[RawFd], patience: Duration) {
        Doorbell::new().unwrap().sleep(fds, patience, || false);
    }

    #[test]
    fn a_sleeper_is_woken_and_who_is_awake_sleeps_on() {
        let bell = Arc::new(Doorbell::new().unwrap());
        let start = Instant::now();
        bell.ring();
        bell.sleep(&[], Duration::from_millis(5), || false);
        assert!(start.elapsed() >= Duration::from_millis(5), "nobody slept when it was rung");
        bell.sleep(&[], Duration::from_secs(60), || true);
        bell.wake();
        bell.sleep(&[], Duration::from_secs(60), || false);
        let (other, (ready, is_ready)) = (Arc::clone(&bell), std::sync::mpsc::channel());
        let ringer = std::thread::spawn(move || {
            is_ready.recv().unwrap();
            std::thread::sleep(Duration::from_millis(5));
            other.ring();
        });
        bell.sleep(&[], Duration::from_secs(60), || {
            ready.send(()).unwrap();
            false
        });
        ringer.join().unwrap();
        assert!(start.elapsed() < Duration::from_secs(30));
        // What has woken it is gone.
        bell.sleep(&[], Duration::from_millis(5), || false);
        assert!(start.elapsed() >= Duration::from_millis(15));
        bell.ring();
        bell.nap(Duration::from_millis(5));
        assert!(start.elapsed() >= Duration::from_millis(20), "a nap was ended by a ring");
        bell.wake();
        bell.nap(Duration::from_secs(60));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

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
