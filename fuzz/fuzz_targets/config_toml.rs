//! Any text read as a configuration: it is refused with one line, or means the same when it is
//! written and read again.
#![no_main]

use std::io;

use client::config::{Config, Interfaces};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Config::parse_with(text, "fuzz.toml", |_| Err(io::ErrorKind::NotFound.into())) {
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        Ok(config) => match config.validate() {
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
            Ok(()) => {
                let again = Config::parse(&config.to_string(), "again.toml");
                let again = again.expect("what was written is read");
                again.validate().expect("and is as valid as it was");
                assert_eq!(config.ports.len(), again.ports.len());
                assert_eq!(config.to_string(), again.to_string());
                for route in &config.routes {
                    let interfaces = Interfaces::new(&config);
                    let vrf = route.vrf.as_deref();
                    assert!(interfaces.resolve_in(vrf, route.prefix, &route.target).is_ok());
                }
            }
        },
    }
});
