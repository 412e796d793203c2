//! What the program `l3fwd` refuses, and how: one line, status 2, and nothing written.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/l3fwd.rs"]
mod l3fwd;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Status for bad arguments and configurations.
const USAGE: i32 = 2;

/// Names of all files below `dir`, and their contents.
fn contents(dir: &Path) -> BTreeSet<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().to_str().unwrap().to_owned();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Writes a file that nobody else can read, as keys have to be in.
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Runs `l3fwd` in a directory with the files `inputs`; it must refuse with status 2, say one line
/// that has every piece of `wanted`, print nothing else, and write nothing.
fn refused(inputs: &[(&str, &[u8])], args: &[&str], wanted: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in inputs {
        write(&dir.path().join(name), bytes);
    }
    let before = contents(dir.path());
    let child = l3fwd::command().args(args).current_dir(&dir).spawn().unwrap();
    let outcome = l3fwd::finish(child);
    assert_eq!(outcome.status, USAGE, "{args:?}: {outcome:?}");
    assert_eq!(outcome.stdout, "", "{args:?}");
    let line = outcome.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("{args:?}: {outcome:?}"));
    assert!(!line.contains('\n') && line.starts_with("l3fwd: "), "{args:?}: {line}");
    for piece in wanted {
        assert!(line.contains(piece), "{args:?}: no {piece:?} in {line:?}");
    }
    assert_eq!(contents(dir.path()), before, "{args:?} wrote something");
}

/// A capture of one frame, whose link type is `link`.
fn one_frame(link: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, link, 1, 0, 60, 60] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0; 60]);
    bytes
}

#[test]
fn a_bad_argument_is_one_line_and_status_2() {
    let sink = ["--port", "sink"];
    let with = |args: &[&'static str]| [&sink[..], args].concat();
    refused(&[], &["--frobnicate"], &["--frobnicate"]);
    refused(&[], &["leftover"], &["leftover"]);
    refused(&[], &["--port"], &["--port"]);
    refused(&[], &[], &["no port"]);
    refused(&[], &with(&["--seconds", "soon"]), &["soon"]);
    refused(&[], &with(&["--seconds", "0"]), &["--seconds"]);
    refused(&[], &with(&["--trace", "-1"]), &["-1"]);
    refused(&[], &with(&["--lcores", "1-"]), &["1-"]);
    refused(&[], &with(&["--lcores", "3-1"]), &["3-1"]);
    refused(&[], &with(&["--lcores", ""]), &["--lcores"]);
}

#[test]
fn a_cpu_that_does_not_exist_is_named() {
    refused(&[], &["--port", "sink", "--lcores", "1023"], &["cpu 1023"]);
    refused(&[], &["--port", "sink", "--lcores", "70000"], &["70000"]);
}

#[test]
fn a_bad_spec_is_repeated() {
    for spec in ["", "eth0", "sink:x", "pcap:", "pcap:rx=", "synth:size=1", "tap:", "dpdk:"] {
        refused(&[], &["--port", spec], &[spec, "--port"]);
    }
    let missing = "dst.txt: No such file";
    refused(&[], &["--port", "synth:dst=dst.txt", "--port", "sink"], &[missing]);
    refused(
        &[("dst.txt", b"nonsense")],
        &["--port", "synth:dst=dst.txt"],
        &["dst.txt", "nonsense"],
    );
}

#[test]
fn a_missing_file_is_named() {
    refused(&[], &["--config", "none.toml"], &["none.toml", "No such file"]);
    refused(&[], &["--port", "pcap:rx=none.pcap"], &["none.pcap", "No such file"]);
    refused(&[], &["--port", "sink", "--routes", "none.txt"], &["none.txt", "No such file"]);
}

#[test]
fn what_is_no_regular_file_is_refused_at_once_wherever_one_is_read() {
    const SA: &str = "[[sa]]\nname = \"a\"\ndirection = \"out\"\nspi = 300\nlocal = \"192.0.2.1\"\n\
        remote = \"192.0.2.2\"\nalgorithm = \"aes-128-gcm\"\nkey_file = ";
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    let mut odd = vec![("/dev/zero", "a device, not a regular file"), ("/", "a directory, ")];
    if made.is_ok_and(|status| status.success()) {
        odd.push((pipe.to_str().unwrap(), "a pipe, not a regular file"));
    }
    for (file, wanted) in odd {
        let wanted = &[file, wanted];
        refused(&[], &["--config", file], wanted);
        refused(&[], &["--port", "sink", "--routes", file], wanted);
        refused(&[], &["--port", &format!("pcap:rx={file}")], wanted);
        refused(&[], &["--port", &format!("synth:dst={file}")], wanted);
        for table in ["[[acl]]\nfile = ", "[[route_map]]\nfile = ", "[qos]\nfile = ", SA] {
            let config = format!("{table}{file:?}\n");
            let args = ["--config", "c.toml", "--port", "sink"];
            let line = format!("c.toml:{}: ", config.lines().count());
            refused(&[("c.toml", config.as_bytes())], &args, &[&line, wanted[0], wanted[1]]);
        }
    }
}

#[test]
fn every_mistake_of_a_configuration_has_a_line() {
    let refuse = |config: &str, wanted: &[&str]| {
        let args = ["--config", "c.toml", "--port", "sink"];
        refused(&[("c.toml", config.as_bytes())], &args, wanted);
    };
    refuse(&format!("[[port]]\n\n{} = 1\n", ["a"; 3000].join(".")), &["c.toml:3: recursion limit"]);
    refuse(&format!("\n[{}]\n", ["a"; 3000].join(".")), &["c.toml:2: recursion limit"]);
    refuse(&format!("\nport = {}", "[".repeat(3000)), &["c.toml:2: cannot recurse further"]);
    for (side, class, wanted) in [
        ("in", "class class-default\n  set cos 3", "cos cannot be set"),
        ("out", "class class-default\n  police cir 1 gbps bc 1", "below the largest frame"),
        ("out", "class class-default\n  police cir percent 10", "percent"),
        ("out", "class class-default\n  bandwidth percent 10", "traffic manager"),
    ] {
        let config = format!(
            "[[port]]\naddress = [\"192.0.2.1/24\"]\nservice_policy_{side} = \"P\"\n\
             [qos]\ntext = \"\"\"\npolicy-map P\n {class}\n\"\"\"\n"
        );
        refuse(&config, &["c.toml:3: port0: ", wanted]);
        let explain = ["--config", "c.toml", "--port", "sink", "--explain"];
        let packet = ["in=port0 src=192.0.2.2 dst=192.0.2.3 proto=tcp dport=1"];
        let args = [&explain[..], &packet[..]].concat();
        refused(&[("c.toml", config.as_bytes())], &args, &["c.toml:3: port0: ", wanted]);
    }
}

#[test]
fn numbers_that_no_clock_and_no_memory_has_are_refused() {
    for args in [
        "--seconds 1e19",
        "--seconds NaN",
        "--seconds=-1",
        "--trace 4294967295",
        "--lcores 0-4294967295",
        "--port synth:flows=1e12",
        "--port synth:flows=4194305",
        "--port synth:size=0",
        "--port synth:count=1e30",
        "--port synth:zipf=1e999",
    ] {
        let value = args.rsplit(['=', ' ']).next().unwrap();
        let args: Vec<&str> = ["--port", "sink"].into_iter().chain(args.split(' ')).collect();
        refused(&[], &args, &[value]);
    }
}

#[test]
fn a_configuration_that_is_no_text_is_named_with_line_and_column() {
    let config = ("c.toml", &b"[[port]]\nname = \"p\xff\"\n"[..]);
    refused(&[config], &["--config", "c.toml"], &["c.toml:2:10: ", "not UTF-8"]);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let refuse = |args: &[&str], wanted| refused(&[], args, &[wanted]);
    refuse(&["--port", "sink", "--stats-json", "no/such.json"], "no/such.json");
    refuse(&["--port", "sink", "--stats-json", "."], ".: cannot be written");
    refuse(&["--port", "pcap:tx=no/such.pcap"], "no/such.pcap");
}

#[test]
fn a_file_that_is_no_sound_capture_is_one_line_and_status_2() {
    let whole = one_frame(1);
    for (bytes, wanted) in [
        (&b""[..], "empty"),
        (b"ab", "not a capture"),
        (b"this is a letter, not a capture", "not a capture"),
        (&whole[..20], "cut off"),
        (&whole[..30], "cut off"),
        (&whole[..whole.len() - 1], "cut off: the file ends inside the record behind packet 0"),
        (&one_frame(101), "only Ethernet"),
        (&one_frame(113), "only Ethernet"),
        (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "gzip"),
    ] {
        refused(&[("in.pcap", bytes)], &["--port", "pcap:rx=in.pcap"], &["in.pcap", wanted]);
        let looped = ["--port", "pcap:rx=in.pcap,loop", "--port", "sink"];
        refused(&[("in.pcap", bytes)], &looped, &["in.pcap", wanted]);
    }
    let same = ["--port", "pcap:rx=in.pcap,tx=./in.pcap"];
    refused(&[("in.pcap", &whole)], &same, &["overwrite"]);
}

#[test]
fn a_file_that_one_port_writes_belongs_to_no_other() {
    let input = ("in.pcap", &one_frame(1)[..]);
    let twice = ["--port", "pcap:rx=in.pcap,tx=out.pcap", "--port", "pcap:tx=./out.pcap"];
    refused(&[input], &twice, &["pcap:tx=./out.pcap", "another port"]);
    let read = ["--port", "pcap:rx=in.pcap", "--port", "pcap:tx=in.pcap"];
    refused(&[input], &read, &["pcap:tx=in.pcap", "another port"]);
}

#[test]
fn a_run_that_cannot_start_leaves_earlier_results_alone() {
    let stats = ("stats.json", &b"{}"[..]);
    let bad_port = ["--stats-json", "stats.json", "--port", "pcap:rx=none.pcap"];
    refused(&[stats], &bad_port, &["none.pcap"]);
    refused(&[], &bad_port, &["none.pcap"]);
    let bad_config = ["--stats-json", "stats.json", "--config", "none.toml"];
    refused(&[stats], &bad_config, &["none.toml"]);
    refused(&[], &bad_config, &["none.toml"]);
    let output = ("out.pcap", &b"what an earlier run wrote"[..]);
    let second = ["--port", "pcap:tx=out.pcap", "--port", "pcap:rx=none.pcap"];
    refused(&[output], &second, &["none.pcap"]);
}

/// A configuration of two ports and what `rest` adds; it is refused on `line`.
fn refused_config(rest: &str, line: usize, wanted: &str) {
    let text = format!("{TWO_SINKS}{rest}");
    let place = format!("router.toml:{line}: ");
    refused(&[("router.toml", text.as_bytes())], &["--config", "router.toml"], &[&place, wanted]);
}

const TWO_SINKS: &str = "\
[[port]]
device = \"sink\"
address = [\"192.0.2.1/24\"]
[[port]]
device = \"sink\"
address = [\"198.51.100.1/24\"]
";

#[test]
fn a_mistake_in_a_configuration_is_named_with_file_and_line() {
    refused_config("[[port", 7, "unclosed");
    refused_config("speed = 9\n", 7, "speed");
    refused_config("mtu = \"big\"\n", 7, "mtu");
    refused_config("mtu = 9001\n", 7, "9001");
    refused_config("mac = \"01:00:5e:00:00:01\"\n", 7, "01:00:5e:00:00:01");
    refused_config("[[port]]\ndevice = \"sink\"\naddress = [\"192.0.2.1/24\"]\n", 9, "192.0.2.1");
    refused_config("[[port]]\ndevice = \"sink\"\naddress = [\"192.0.2.129/25\"]\n", 9, "overlaps");
    refused_config("[[port]]\ndevice = \"sink\"\nname = \"port0\"\n", 9, "port0");
    refused_config("[[port.vlan]]\nid = 5\n[[port.vlan]]\nid = 5\n", 10, "VLAN 5");
    let twice = "[[port.vlan]]\nid = 5\ninner = 7\n[[port.vlan]]\nid = 5\ninner = 7\n";
    refused_config(twice, 11, "VLAN 5.7");
    refused_config("[[port.vlan]]\nid = 4095\n", 8, "4095");
    let elsewhere = "[[port.vlan]]\nid = 5\naddress = [\"192.0.2.65/26\"]\n";
    refused_config(elsewhere, 9, "overlaps");
    refused_config("[[port]]\ndevice = \"eth0\"\n", 8, "eth0");
    refused_config("[[port]]\nname = \"wan\"\n", 7, "wan");
}

#[test]
fn a_route_that_leads_nowhere_is_named_with_file_and_line() {
    refused_config("[[route]]\nprefix = \"10.0.0.0/8\"\ndev = \"wan\"\n", 9, "wan");
    refused_config("[[route]]\nprefix = \"10.0.0.0/8\"\nvia = \"203.0.113.1\"\n", 9, "203.0.113.1");
    refused_config("[[route]]\nprefix = \"10.0.0.1/8\"\nvia = \"192.0.2.2\"\n", 8, "10.0.0.0/8");
    refused_config("[[route]]\nprefix = \"10.0.0.0/8\"\n", 7, "10.0.0.0/8");
    refused_config(
        "[[neighbor]]\naddress = \"9.9.9.9\"\nmac = \"02:00:00:00:00:09\"\n",
        8,
        "9.9.9.9",
    );
}

#[test]
fn a_mistake_in_access_list_text_is_named_with_file_line_and_column() {
    let config = |key: &str| format!("{TWO_SINKS}[[acl]]\n{key}\n");
    let file =
        ("edge.txt", &b"! comment\nip access-list extended EDGE\n permit tcp any any eq htp\n"[..]);
    let text = config("file = \"edge.txt\"");
    let args = ["--config", "router.toml"];
    let wanted = ["edge.txt:3:24: expected a port", "found \"htp\""];
    refused(&[("router.toml", text.as_bytes()), file], &args, &wanted);
    refused(&[("router.toml", text.as_bytes())], &args, &["edge.txt", "No such file"]);
    for (list, line, column, wanted) in [
        ("access-list 101 permit tcp any", 9, 31, ""),
        ("access-list 101 permit tcp any any eq 65536", 9, 39, "65536"),
        ("access-list 101 allow ip any any", 9, 17, "allow"),
        ("ip access-list extended A\n permit ip any any time-range WORK", 10, 20, "time-range"),
        ("ip access-list extended A\n 10 permit ip any any\n 10 deny ip any any", 11, 2, "10"),
        ("ipv6 access-list A\n permit tcp 10.0.0.0/8 any", 10, 13, "10.0.0.0/8"),
        ("access-list 700 permit 0000.0000.0000", 9, 13, "700"),
    ] {
        let text = config(&format!("text = '''\n{list}\n'''"));
        let place = format!("router.toml:{line}:{column}: ");
        refused(&[("router.toml", text.as_bytes())], &args, &[&place, wanted]);
    }
}

#[test]
fn a_binding_that_cannot_be_is_named_with_file_and_line() {
    let one = "[[acl]]\ntext = \"access-list 1 permit any\"\n";
    refused_config("acl_in = \"NONE\"\n", 7, "there is no access list \"NONE\"");
    refused_config("policy_route = \"NONE\"\n", 7, "there is no route map \"NONE\"");
    refused_config(&format!("acl_in = [\"1\", \"1\"]\n{one}"), 7, "one of each");
    let no_group = "access-list 101 permit ip object-group HOSTS any";
    refused_config(&format!("[[acl]]\ntext = \"{no_group}\"\n"), 8, "HOSTS");
    refused_config(&format!("[[acl]]\nname = \"2\"\n{}", &one[8..]), 8, "\"2\"");
    let map = "[[route_map]]\ntext = \"route-map P permit 10\\n match ip address 99\"\n";
    refused_config(map, 8, "99");
}

#[test]
fn a_packet_that_cannot_be_explained_is_one_line() {
    let config = ("router.toml", TWO_SINKS.as_bytes());
    let refuse = |packet: &str, wanted: &str| {
        let args = ["--config", "router.toml", "--explain", packet];
        refused(&[config], &args, &[wanted]);
    };
    refuse("", "in is missing");
    refuse("in=port0 src=192.0.2.2", "dst is missing");
    refuse("in=port9 src=192.0.2.2 dst=192.0.2.3", "in=port9: there is no such interface");
    refuse("in=port0 src=192.0.2.2 dst=2001:db8::1", "two families");
    refuse("in=port0 src=192.0.2.2 dst=192.0.2.3 proto=udp flags=syn", "flags");
    refuse("in=port0 src=192.0.2.2 dst=192.0.2.3 len=65535", "fits no buffer");
    refuse("in=port0 src=192.0.2.2 dst=192.0.2.3 colour=red", "colour");
    refused(&[], &["--explain", "in=port0 src=192.0.2.2 dst=192.0.2.3"], &["no port"]);
}

#[test]
fn a_bad_line_of_a_route_file_is_named_with_its_number() {
    let config = ("router.toml", TWO_SINKS.as_bytes());
    let args = ["--config", "router.toml", "--routes", "routes.txt"];
    for (line, wanted) in [
        ("10.0.0.0/8", "found \"10.0.0.0/8\""),
        ("10.0.0.0/8 via nobody", "nobody"),
        ("10.0.0.0/40 via 192.0.2.2", "10.0.0.0/40"),
        ("10.0.0.0/8 via 192.0.2.2 dev wan", "wan"),
        ("10.0.0.0/8 via 203.0.113.1", "203.0.113.1"),
        ("2001:db8::/32 via 192.0.2.2", "family"),
    ] {
        let text = format!("# two lines before\n172.16.0.0/12 via 192.0.2.2\n{line}\n");
        refused(&[config, ("routes.txt", text.as_bytes())], &args, &["routes.txt:3: ", wanted]);
    }
    let broken = [0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3];
    refused(&[config, ("routes.txt", &broken)], &args, &["routes.txt"]);
}

#[cfg(not(feature = "dpdk"))]
#[test]
fn a_port_that_this_build_does_not_have_names_the_feature() {
    refused(&[], &["--port", "dpdk:net_null0"], &["--features dpdk"]);
}

/// A tunnel's configuration whose key is in `east.key`.
const SA: &str = r#"
[[port]]
device = "sink"
address = ["203.0.113.1/24"]
[[sa]]
name = "east"
direction = "out"
spi = 0x1001
local = "203.0.113.1"
remote = "203.0.113.2"
algorithm = "aes-128-gcm"
key_file = "east.key"
[[tunnel]]
name = "tunnel0"
sa_out = "east"
"#;

#[test]
fn a_mistake_about_an_sa_is_one_line_that_never_says_the_key() {
    let key = "00112233445566778899aabbccddeeff01020304";
    let short = &key[..38];
    let not_hex = key.replace("ee", "zz");
    let zero = "0".repeat(40);
    let zero_but_for_its_salt = format!("{}01020304", "0".repeat(32));
    for (key, from, to, wanted) in [
        (short, "", "", &["c.toml:12: ", "a key of 20 bytes, not 19"][..]),
        (&zero, "", "", &["c.toml:12: ", "a key of zeroes alone protects nothing"]),
        (&zero_but_for_its_salt, "", "", &["c.toml:12: ", "a key of zeroes alone"]),
        (&not_hex, "", "", &["c.toml:12: ", "hexadecimal digits, and character 29"]),
        (key, "east.key", "west.key", &["c.toml:12: ", "west.key", "cannot be read"]),
        (key, "0x1001", "200", &["c.toml:8: ", "SPI 200 is reserved"]),
        (key, "gcm", "gcn", &["c.toml:11: ", "aes-128-gcn"]),
        (key, "203.0.113.2", "2001:db8::2", &["c.toml:10: ", "different families"]),
        (key, "sa_out = \"east\"", "sa_out = \"west\"", &["c.toml:15: ", "no SA \"west\""]),
        (key, "key_file = \"east.key\"", "key = \"00\"", &["c.toml:12: ", "\"key\""]),
    ] {
        let config = SA.replacen(from, to, 1);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("c.toml"), &config).unwrap();
        write(&dir.path().join("east.key"), key.as_bytes());
        let inputs = [("c.toml", config.as_bytes()), ("east.key", key.as_bytes())];
        refused(&inputs, &["--config", "c.toml"], wanted);
        let child =
            l3fwd::command().args(["--config", "c.toml"]).current_dir(&dir).spawn().unwrap();
        let said = l3fwd::finish(child).stderr;
        assert!(!said.contains("0011") && !said.contains("aabb"), "{said}");
    }
}

/// Runs `l3fwd` with the tunnel's configuration in a directory; it must refuse at once with one line
/// that has every piece of `wanted`.
fn refused_in(dir: &Path, wanted: &[&str]) {
    let begun = Instant::now();
    let mut command = l3fwd::command();
    command.args(["--config", "c.toml", "--seconds", "1"]).current_dir(dir);
    let child = command.env("QFP_STATE_DIR", dir.join("states")).spawn().unwrap();
    let outcome = l3fwd::finish(child);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (USAGE, ""), "{wanted:?}: {outcome:?}");
    let line = outcome.stderr.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n') && wanted.iter().all(|piece| line.contains(piece)), "{line}");
    assert!(begun.elapsed() < Duration::from_secs(30), "it waits for nobody");
}

fn mkfifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_key_file_that_is_none_or_that_others_can_get_at_is_refused_at_once() {
    let key = "00112233445566778899aabbccddeeff01020304";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("east.key");
    write(&dir.path().join("c.toml"), SA.as_bytes());
    mkfifo(&file);
    refused_in(dir.path(), &["c.toml:12: ", "east.key", "a pipe, not a regular file"]);
    write(&dir.path().join("c.toml"), SA.replace("east.key", "/dev/zero").as_bytes());
    refused_in(dir.path(), &["c.toml:12: ", "/dev/zero", "a device, not a regular file"]);
    write(&dir.path().join("c.toml"), SA.as_bytes());
    std::fs::remove_file(&file).unwrap();
    write(&file, key.as_bytes());
    for (mode, wanted) in [
        (0o644, "its mode is 644: everybody can read it"),
        (0o620, "its mode is 620: others than its owner can write it"),
        (0o666, "its mode is 666: others"),
    ] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        refused_in(dir.path(), &["c.toml:12: ", "east.key", wanted]);
    }
    assert!(!dir.path().join("states").exists(), "nothing was written");
}

#[test]
fn a_list_that_is_a_fifo_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    mkfifo(&dir.path().join("lists"));
    for table in ["acl", "route_map", "qos"] {
        let table = if table == "qos" { "[qos]".to_owned() } else { format!("[[{table}]]") };
        let config = format!("{TWO_SINKS}{table}\nfile = \"lists\"\n");
        write(&dir.path().join("c.toml"), config.as_bytes());
        refused_in(dir.path(), &["c.toml:8: ", "lists", "a pipe, not a regular file"]);
    }
}

#[test]
fn a_file_of_sequence_numbers_that_is_not_as_it_was_is_refused_and_left_alone() {
    let key = "00112233445566778899aabbccddeeff01020304";
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("c.toml"), SA.as_bytes());
    write(&dir.path().join("east.key"), key.as_bytes());
    let run = || {
        let mut command = l3fwd::command();
        command.args(["--config", "c.toml", "--seconds", "0.1"]).current_dir(&dir);
        let child = command.env("QFP_STATE_DIR", dir.path().join("states")).spawn().unwrap();
        l3fwd::finish(child)
    };
    let first = run();
    assert_eq!((first.status, first.stderr.as_str()), (0, ""), "{first:?}");
    let states = dir.path().join("states");
    let names: Vec<_> =
        std::fs::read_dir(&states).unwrap().map(|one| one.unwrap().path()).collect();
    let [file] = &names[..] else { panic!("{names:?}") };
    let whole = std::fs::read(file).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let last_line = whole.len() - text.lines().last().unwrap().len() - 1;
    for len in [0, 10, last_line, whole.len() - 1] {
        write(file, &whole[..len]);
        refused_in(dir.path(), &["sequence-marks: has ", "bytes of ", "numbers would repeat"]);
        assert_eq!(std::fs::read(file).unwrap().len(), len, "it is left as it is");
    }
    let mut lower = whole.clone();
    lower[last_line + 40] ^= 1;
    write(file, &lower);
    refused_in(dir.path(), &["sequence-marks:2: is not as it was written"]);
    write(file, &whole);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).unwrap();
    refused_in(dir.path(), &["sequence-marks: has mode 666, which lets others in"]);
    std::fs::remove_file(file).unwrap();
    mkfifo(file);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    refused_in(dir.path(), &["sequence-marks: is not a regular file"]);
    std::fs::remove_file(file).unwrap();
    let precious = dir.path().join("precious");
    write(&precious, b"precious");
    std::os::unix::fs::symlink(&precious, file).unwrap();
    refused_in(dir.path(), &["sequence-marks: is a symbolic link, which is not followed"]);
    std::fs::remove_file(file).unwrap();
    std::os::unix::fs::symlink(&precious, states.join("sequence-marks.new")).unwrap();
    let last = run();
    assert_eq!((last.status, last.stderr.as_str()), (0, ""), "{last:?}");
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
}
