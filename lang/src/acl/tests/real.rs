//! Lists of a campus backbone, where the data folder has them.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

/// The text by router: each line of the file is `router: line`.
fn texts() -> Option<BTreeMap<String, String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/acl/real");
    let plain = std::fs::read_to_string(folder.join("stanford_backbone_acls.ios.txt"));
    let packed = || {
        let file = std::fs::File::open(folder.join("stanford_backbone_acls.ios.txt.zst"))?;
        std::io::read_to_string(zstd::Decoder::new(file)?)
    };
    let text = plain.or_else(|_| packed()).ok()?;
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (router, line) = line.split_once(':').expect("router: line");
        let text = texts.entry(router.to_owned()).or_default();
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
    }
    Some(texts)
}

#[test]
fn lists_of_real_routers_are_read_and_printed() {
    let Some(texts) = texts() else {
        eprintln!("skipped: no shared/data/acl/real");
        return;
    };
    let mut aces = 0;
    for (router, text) in texts {
        let document = Document::parse(&text).unwrap_or_else(|error| panic!("{router}: {error}"));
        assert_eq!(parse(&document.to_string()), document, "{router}");
        aces += document.lists().map(|list| list.aces().count()).sum::<usize>();
    }
    assert!(aces > 1000, "{aces}");
}
