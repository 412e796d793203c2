//! Any bytes read as policies: refused with one line that points into the text, or policies that
//! are printed as text of the same meaning, and compiled or refused in one line.
#![no_main]

use std::convert::Infallible;

use client::acl::{AccessList, Document, Family};
use client::ios::utf8;
use client::mqc::{Limits, MAX_RULES, Policies, compile};
use libfuzzer_sys::fuzz_target;
use qfp_core::acl::Pattern4;

fuzz_target!(|bytes: &[u8]| {
    match utf8(bytes).and_then(Policies::parse) {
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&error.line) && error.column >= 1, "{error}");
        }
        Ok(policies) => {
            let text = policies.to_string();
            let again = Policies::parse(&text).expect("what was printed is read");
            assert_eq!(policies, again);
            let mut twice = policies.clone();
            twice.apply(&text, &Limits::default()).expect("what was printed is applied");
            assert_eq!(policies, twice);
            for policy in policies.policies() {
                compiled(&policies, policy.name.as_str());
            }
        }
    }
});

fn compiled(policies: &Policies, policy: &str) {
    let Ok(tree) = policies.tree(policy) else { return };
    let none = |_: &AccessList| Ok::<_, Infallible>(Vec::new());
    let rules = compile(policies, policy, Family::V4, &Document::default(), none);
    match rules {
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        Ok(rules) => {
            assert!(rules.len() <= MAX_RULES);
            assert_eq!(rules.last().map(|(pattern, _)| *pattern), Some(Pattern4::any()));
            let leaves = tree.leaves().len();
            assert!(rules.iter().all(|(_, leaf)| (*leaf as usize) < leaves));
        }
    }
}
