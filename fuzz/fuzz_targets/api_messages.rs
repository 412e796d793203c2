//! Any bytes as a request, a response, and what a stream brings: refused, or a message that is
//! written as it was read.
#![no_main]

use api::wire;
use api::{FromApplication, Request, Response, ToApplication};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn again<M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(message) = wire::decode::<M>(bytes) {
        let written = wire::encode(&message).expect("it came in as short");
        assert_eq!(wire::decode::<M>(&written).ok(), Some(message));
    }
}

fuzz_target!(|bytes: &[u8]| {
    again::<Request>(bytes);
    again::<Response>(bytes);
    again::<FromApplication>(bytes);
    again::<ToApplication>(bytes);
    let mut stream = bytes;
    if wire::greeting(&mut stream).is_ok() {
        while let Ok(Some(message)) = wire::receive(&mut stream, wire::MAX_LOOK) {
            again::<Request>(&message);
        }
    }
});
