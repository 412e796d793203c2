//! Model check of the doorbell: no wake-up is lost, whatever the order.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p pal --release --test loom_doorbell`
#![cfg(loom)]

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use pal::doorbell::Doorbell;

/// Works off `items` that others bring; sleeps without patience.
fn work_off(bell: &Doorbell, ring: &AtomicUsize, items: usize) {
    let mut done = 0;
    while done < items {
        bell.sleep(&[], Duration::MAX, || ring.load(Ordering::Relaxed) > done);
        done = ring.load(Ordering::Relaxed);
    }
}

#[test]
fn work_that_is_brought_is_found() {
    loom::model(|| {
        let bell = Arc::new(Doorbell::new().unwrap());
        let ring = Arc::new(AtomicUsize::new(0));
        let (theirs, other) = (Arc::clone(&bell), Arc::clone(&ring));
        let lcore = thread::spawn(move || {
            for _ in 0..2 {
                other.fetch_add(1, Ordering::Relaxed);
                theirs.ring();
            }
        });
        work_off(&bell, &ring, 2);
        lcore.join().unwrap();
    });
}

#[test]
fn either_of_two_wakes_it() {
    loom::model(|| {
        let bell = Arc::new(Doorbell::new().unwrap());
        let ring = Arc::new(AtomicUsize::new(0));
        let lcores = [(); 2].map(|()| {
            let (theirs, other) = (Arc::clone(&bell), Arc::clone(&ring));
            thread::spawn(move || {
                other.fetch_add(1, Ordering::Relaxed);
                theirs.ring();
            })
        });
        work_off(&bell, &ring, 2);
        for lcore in lcores {
            lcore.join().unwrap();
        }
    });
}

#[test]
fn a_wake_up_is_kept_for_who_is_awake() {
    loom::model(|| {
        let bell = Arc::new(Doorbell::new().unwrap());
        let theirs = Arc::clone(&bell);
        let stopper = thread::spawn(move || theirs.wake());
        bell.sleep(&[], Duration::MAX, || false);
        stopper.join().unwrap();
    });
}
