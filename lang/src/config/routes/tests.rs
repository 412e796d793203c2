use std::io::Write;
use std::net::Ipv4Addr;
use std::time::Instant;

use super::*;

const CONFIG: &str = r#"
[[port]]
device = "sink"
address = ["192.0.2.1/24", "2001:db8::1/64"]
[[port]]
device = "sink"
[[route]]
prefix = "203.0.113.0/24"
drop = true
"#;

fn read(text: &str) -> Result<RouteTable, String> {
    RouteTable::read(text.as_bytes(), "r.txt").map_err(|error| error.to_string())
}

/// The one line that reading or checking `text` ends with.
fn error(text: &str) -> String {
    let config = Config::parse(CONFIG, "c.toml").unwrap();
    config.validate().unwrap();
    match read(text) {
        Err(error) => error,
        Ok(table) => table.validate(&config).unwrap_err().to_string(),
    }
}

#[test]
fn every_form_of_line_is_read() {
    let table = read(
        "# comment\n\n10.0.0.0/8 via 192.0.2.2\r\n\t198.51.100.0/24\tvia 192.0.2.3  dev port0 # why\n\
         172.16.0.0/12 dev port1\n192.168.0.0/16 drop\n2001:db8:1::/48 via 2001:db8::2\n\
         ::/0 via fe80::1 dev port1",
    )
    .unwrap();
    table.validate(&Config::parse(CONFIG, "c.toml").unwrap()).unwrap();
    assert_eq!(table.len(), 6);
    let ipv4: Vec<_> = table
        .ipv4()
        .map(|paths| (paths[0].prefix.to_string(), table.path(paths[0].path).clone()))
        .collect();
    let via = |text: &str, dev: Option<&str>| Target::Via {
        address: text.parse().unwrap(),
        dev: dev.map(str::to_owned),
    };
    let expected = [
        ("10.0.0.0/8", via("192.0.2.2", None)),
        ("172.16.0.0/12", Target::Dev("port1".to_owned())),
        ("192.168.0.0/16", Target::Drop),
        ("198.51.100.0/24", via("192.0.2.3", Some("port0"))),
    ];
    assert_eq!(ipv4, expected.map(|(prefix, target)| (prefix.to_owned(), target)));
    let last = table.ipv6().last().unwrap()[0];
    assert_eq!((last.prefix.to_string(), last.line()), ("2001:db8:1::/48".to_owned(), 7));
}

#[test]
fn lines_of_one_prefix_are_its_paths_and_repeated_lines_count_once() {
    let table = read(
        "10.0.0.0/8 via 192.0.2.2\n10.1.0.0/16 drop\n10.0.0.0/8 via 192.0.2.3\n\
         10.0.0.0/8 via  192.0.2.2\n",
    )
    .unwrap();
    let counts: Vec<_> = table.ipv4().map(<[_]>::len).collect();
    assert_eq!((counts, table.paths().len()), (vec![2, 1], 3));
}

#[test]
fn every_mistake_is_one_line_with_its_number() {
    for (text, wanted) in [
        ("10.0.0.0/8 via 192.0.2.2\nnonsense\n", "r.txt:2: expected `PREFIX via ADDRESS"),
        ("10.0.0.0/8", "r.txt:1: expected"),
        ("10.0.0.0/8 via", "found \"10.0.0.0/8 via\""),
        ("10.0.0.0/8 via 192.0.2.2 dev", "r.txt:1: expected"),
        ("10.0.0.0/8 via 192.0.2.2 port0", "r.txt:1: expected"),
        ("10.0.0.0/8 via 192.0.2.2 dev port0 x", "r.txt:1: expected"),
        ("10.0.0.0/8 drop it", "r.txt:1: expected"),
        ("10.0.0/8 drop", "r.txt:1: \"10.0.0/8\" is not an address with a prefix length"),
        ("10.0.0.0/33 drop", "r.txt:1: \"10.0.0.0/33\" is not"),
        ("10.0.0.0 drop", "r.txt:1: \"10.0.0.0\" is not"),
        ("10.0.0.1/8 drop", "r.txt:1: 10.0.0.1/8 has host bits set: it should be 10.0.0.0/8"),
        ("2001:db8::1/32 drop", "r.txt:1: 2001:db8::1/32 has host bits set"),
        ("10.0.0.0/8 via x", "r.txt:1: \"x\" is not an IP address"),
        ("\n10.0.0.0/8 via 2001:db8::2", "r.txt:2: next hop 2001:db8::2 is not of the same family"),
        ("10.0.0.0/8 via 198.51.100.1", "next hop 198.51.100.1 is on no connected network"),
        ("10.0.0.0/8 via 192.0.2.1", "r.txt:1: 192.0.2.1 is our own address, on port0"),
        ("::/0 via fe80::1", "r.txt:1: link-local fe80::1 needs \"dev\""),
        ("10.0.0.0/8 dev port7", "r.txt:1: there is no port, VLAN or tunnel \"port7\""),
        (
            "10.0.0.0/8 dev port0\n10.0.0.0/8 drop",
            "r.txt:2: 10.0.0.0/8 both has paths and is dropped",
        ),
        ("203.0.113.0/24 dev port0", "r.txt:1: 203.0.113.0/24 both has paths and is dropped"),
        ("203.0.113.0/24 drop", "r.txt:1: this path of 203.0.113.0/24 is given twice"),
    ] {
        let error = error(text);
        assert!(error.contains(wanted) && !error.contains('\n'), "{text:?} gave {error:?}");
    }
    let many: String =
        (0..65).map(|host| format!("10.0.0.0/8 via 192.0.2.{}\n", host + 2)).collect();
    assert_eq!(error(&many), "r.txt:65: 10.0.0.0/8 has more than 64 paths");
}

#[test]
fn what_is_no_text_at_all_is_refused_at_once() {
    let binary = RouteTable::read(&[0xff; 100_000][..], "x").unwrap_err();
    assert_eq!(
        binary.to_string(),
        "x:1: the line is longer than 1024 bytes: this is no list of routes"
    );
    let binary = RouteTable::read(&b"\xd4\xc3\xb2\xa1\n"[..], "x").unwrap_err().to_string();
    assert!(binary.starts_with("x:1: expected") && !binary.contains('\n'), "{binary}");
    let missing = RouteTable::from_file("/nowhere/routes", |_, _| ()).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/routes: cannot be read: "), "{missing}");
}

#[test]
fn a_zstd_file_is_known_by_its_first_bytes_and_progress_reaches_the_end() {
    let text = "10.0.0.0/8 drop\n2001:db8::/32 drop\n";
    let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
    for bytes in [text.as_bytes(), &packed] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut seen = (0, 0);
        let table = RouteTable::from_file(file.path(), |done, total| seen = (done, total)).unwrap();
        assert_eq!((table.len(), seen.0, seen.1), (2, bytes.len() as u64, bytes.len() as u64));
    }
    let mut cut = tempfile::NamedTempFile::new().unwrap();
    cut.write_all(&packed[..packed.len() - 3]).unwrap();
    let error = RouteTable::from_file(cut.path(), |_, _| ()).unwrap_err().to_string();
    assert!(error.contains(": cannot be read: "), "{error}");
}

#[test]
fn a_full_table_is_read_and_its_paths_are_stored_once() {
    let full = if cfg!(debug_assertions) { 50_000 } else { 1_040_000_u32 };
    let mut text = Vec::new();
    for number in 0..full {
        let (prefix, hop) = (Ipv4Addr::from(number << 8), number % 192 + 2);
        writeln!(text, "{prefix}/24 via 192.0.2.{hop}").unwrap();
    }
    let start = Instant::now();
    let table = RouteTable::read(&text[..], "full").unwrap();
    eprintln!("{} routes in {:?}", table.len(), start.elapsed());
    assert_eq!((table.len(), table.paths().len()), (full as usize, 192));
    assert_eq!((size_of::<RouteEntry<Ipv4Net>>(), size_of::<RouteEntry<Ipv6Net>>()), (16, 28));
}
