//! Any bytes behind an IPv6 header: the walk of extension headers is that of a slow reader, who knows
//! the formats of RFC 8200 and RFC 4302 and one header at a time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qfp_core::wire::{Chain, ChainEnd};

/// What a reader finds: where the header is that ends the chain, of what kind, which field names it,
/// and of what fragments the packet may be one.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    protocol: u8,
    offset: usize,
    named_at: usize,
    cut: bool,
    /// Offset and more of every fragment header.
    fragments: Vec<(u16, bool)>,
}

/// `bytes` is the packet from its fixed header on.
fn read(
    bytes: &[u8],
    kind: u8,
    at: usize,
    named_at: usize,
    mut fragments: Vec<(u16, bool)>,
) -> Found {
    let end = |cut, fragments| Found { protocol: kind, offset: at, named_at, cut, fragments };
    if ![0, 43, 44, 51, 60, 135, 139, 140].contains(&kind) {
        return end(false, fragments);
    }
    let Some(len) = bytes.get(at + 1).map(|len| usize::from(*len)) else {
        return end(true, fragments);
    };
    let size = match kind {
        44 => 8,
        51 => (len + 2) * 4,
        _ => (len + 1) * 8,
    };
    if at + size > bytes.len() {
        return end(true, fragments);
    }
    let next = bytes[at];
    if kind >= 135 && next == 59 {
        return end(false, fragments);
    }
    if kind == 44 {
        let word = u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]);
        fragments.push((word / 8, word % 2 == 1));
        if word >= 8 {
            return Found { protocol: next, offset: at + 8, named_at: at, cut: false, fragments };
        }
    }
    read(bytes, next, at + size, at, fragments)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (first, payload) = input;
    let chain = Chain::walk(first, payload);
    let packet = [&[0; 40], payload].concat();
    let found = read(&packet, first, 40, 6, Vec::new());
    assert_eq!(
        (chain.protocol, chain.offset, chain.named_at, chain.end == ChainEnd::ExtensionCut),
        (found.protocol, found.offset, found.named_at, found.cut),
        "{found:?} {chain:?}"
    );
    let outermost = chain.fragment.map(|fragment| (fragment.offset, fragment.more));
    assert_eq!(outermost, found.fragments.first().copied());
    let later = found.fragments.last().filter(|(offset, _)| *offset != 0);
    assert_eq!(chain.later_fragment, later.is_some());
    assert_eq!(chain.fragment_offset, later.map_or(0, |(offset, _)| *offset));
    assert_eq!(chain.last_fragment, later.is_some_and(|(_, more)| !more));
    assert_eq!(chain.is_fragment, found.fragments.iter().any(|part| *part != (0, false)));
    assert!(!chain.is_undetermined() || !chain.later_fragment);
    assert!(chain.is_undetermined() || found.protocol < 148 || chain.later_fragment);
});
