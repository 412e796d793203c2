//! Any bytes read as a route file: refused with one line, or a sorted list of routes that all
//! resolve when they are valid.
#![no_main]

use client::config::{Config, Interfaces, RouteTable};
use libfuzzer_sys::fuzz_target;

const CONFIG: &str = r#"
[[port]]
device = "sink"
address = ["192.0.2.1/24", "2001:db8::1/64"]
[[port]]
device = "sink"
address = ["198.51.100.1/31"]
"#;

fuzz_target!(|bytes: &[u8]| {
    let config = Config::parse(CONFIG, "fuzz.toml").expect("a good configuration");
    match RouteTable::read(bytes, "routes") {
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        Ok(table) => {
            let v4: Vec<_> = table.ipv4().map(|paths| paths[0].prefix).collect();
            assert!(v4.is_sorted_by(|a, b| a < b));
            assert!(table.len() <= bytes.len() / 8);
            match table.validate(&config) {
                Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
                Ok(()) => {
                    let interfaces = Interfaces::new(&config);
                    for entry in table.ipv4().flatten() {
                        let target = table.path(entry.path);
                        assert!(interfaces.resolve(entry.prefix.into(), target).is_ok());
                    }
                }
            }
        }
    }
});
