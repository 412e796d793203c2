//! Any bytes read as access lists: refused with one line that points into the text, or a document
//! that is printed as text of the same meaning and resolved within its limit.
#![no_main]

use client::acl::Document;
use client::ios::utf8;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1000;

fuzz_target!(|bytes: &[u8]| {
    match utf8(bytes).and_then(Document::parse) {
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&error.line) && error.column >= 1, "{error}");
        }
        Ok(document) => {
            let again = Document::parse(&document.to_string()).expect("what was printed is read");
            assert_eq!(document, again);
            for list in document.lists() {
                match list.resolved(&document.objects, LIMIT) {
                    Ok(plain) => assert!(plain.len() <= LIMIT),
                    Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
                }
                assert!(!list.implicit().is_empty());
            }
        }
    }
});
