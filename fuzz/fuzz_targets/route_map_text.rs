//! Any bytes read as route maps: refused with one line that points into the text, or maps that are
//! printed as text of the same meaning.
#![no_main]

use client::ios::utf8;
use client::pbr::RouteMaps;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match utf8(bytes).and_then(RouteMaps::parse) {
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&error.line) && error.column >= 1, "{error}");
        }
        Ok(maps) => {
            let again = RouteMaps::parse(&maps.to_string()).expect("what was printed is read");
            assert_eq!(maps, again);
            for map in maps.iter() {
                for (_, entry) in map.entries() {
                    entry.check().expect("what was read is right");
                }
            }
        }
    }
});
