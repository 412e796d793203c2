//! Steps of a user's that call everything public on vectors, bursts and packets, in any order.
#![no_main]

#[path = "meddle/router.rs"]
mod router;

use libfuzzer_sys::fuzz_target;

use router::Router;

thread_local! {
    static ROUTER: std::cell::RefCell<Router> = std::cell::RefCell::new(Router::new());
}

fuzz_target!(|script: &[u8]| ROUTER.with(|router| router.borrow_mut().run(script)));
