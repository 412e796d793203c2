//! What the program `l3fwd` does for other programs that call it: statuses, reports, statistics.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/capture.rs"]
mod capture;
#[path = "support/l3fwd.rs"]
mod l3fwd;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use l3fwd::Outcome;
use serde_json::Value;

/// Two ports that receive nothing.
const TWO_SINKS: &str = "\
[[port]]
device = \"sink\"
address = [\"192.0.2.1/24\"]
[[port]]
device = \"sink\"
address = [\"198.51.100.1/24\"]
";

/// Runs `l3fwd` to its end.
fn run<'a>(args: impl IntoIterator<Item = &'a str>) -> Outcome {
    l3fwd::finish(l3fwd::command().args(args).spawn().unwrap())
}

#[test]
fn nobody_has_to_listen_to_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let stats = dir.path().join("stats.json");
    let mut command = l3fwd::command();
    command.args(["--port", "synth:count=1000", "--port", "sink", "--stats-json"]).arg(&stats);
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let outcome = l3fwd::finish(child);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
    assert!(std::fs::read_to_string(stats).unwrap().contains("\"conserved\": true"));
}

#[test]
fn an_output_that_fills_up_is_a_failure_at_run_time() {
    if !Path::new("/dev/full").exists() {
        return eprintln!("skipped: no /dev/full");
    }
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.pcap");
    capture::write(&input, &[(0, vec![0; 60])]);
    let port = format!("pcap:rx={},tx=/dev/full", input.display());
    let outcome = run(["--port", &port]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("/dev/full"), "{outcome:?}");
}

#[test]
fn help_and_version_are_answers_and_not_errors() {
    let help = run(["--help"]);
    assert_eq!((help.status, help.stderr.as_str()), (0, ""));
    for option in [
        "--config",
        "--port",
        "--routes",
        "--stats-json",
        "--seconds",
        "--lcores",
        "--trace",
        "--tcam",
        "--explain",
    ] {
        assert!(help.stdout.contains(option), "{}", help.stdout);
    }
    let version = run(["--version"]);
    assert_eq!((version.status, version.stderr.as_str()), (0, ""));
    assert_eq!(version.stdout, format!("l3fwd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_interrupt_ends_a_run_in_order() {
    for signal in ["INT", "TERM"] {
        let start = Instant::now();
        let endless = ["--port", "synth:flows=4", "--port", "sink", "--seconds", "300"];
        let child = l3fwd::command().args(endless).spawn().unwrap();
        let running = l3fwd::is_running(&child);
        let kill = format!("kill -{signal} {}", child.id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let outcome = l3fwd::finish(child);
        assert!(running && start.elapsed() < Duration::from_secs(250));
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("port0 (synth:size=64,flows=4,seed=1)"));
    }
}

#[test]
fn a_run_ends_after_its_seconds() {
    let start = Instant::now();
    let args = ["--port", "synth", "--port", "sink", "--seconds", "0.3"];
    let outcome = run(args);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
}

/// The members of `value` must be those of `wanted`, each a number of the kind asked for.
fn assert_counts(value: &Value, wanted: &[&str]) {
    let object = value.as_object().unwrap();
    for name in wanted {
        assert!(object[*name].is_u64(), "{name} of {value}");
    }
}

#[test]
fn the_statistics_have_the_promised_members_and_types() {
    let dir = tempfile::tempdir().unwrap();
    let (path, config) = (dir.path().join("stats.json"), dir.path().join("router.toml"));
    // Nobody answers for 198.51.100.2, so there are drops, punts and packets of our own as well.
    let text = format!(
        "{TWO_SINKS}[[route]]\nprefix = \"198.18.0.0/16\"\nvia = \"192.0.2.2\"\n\
         [[route]]\nprefix = \"198.19.0.0/16\"\nvia = \"198.51.100.2\"\n\
         [[neighbor]]\naddress = \"192.0.2.2\"\nmac = \"02:00:00:00:00:02\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let args = [
        "--config",
        config.to_str().unwrap(),
        "--port",
        "synth:count=1000",
        "--stats-json",
        path.to_str().unwrap(),
    ];
    let outcome = run(args);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    let stats: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(stats["elapsed_s"].as_f64().unwrap() > 0.0);
    assert!(stats["mpps"].is_f64());
    assert_eq!(stats["ports"].as_object().unwrap().len(), 2);
    for port in ["port0", "port1"] {
        let members = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"];
        assert_counts(&stats["ports"][port], &members);
    }
    assert_eq!(stats["ports"]["port0"]["rx_packets"], 1000);
    assert_eq!(stats["ports"]["port0"]["rx_bytes"], 60_000);
    assert!(stats["drops"].is_object());
    assert!(stats["punts"]["IncompleteAdjacency"].as_u64().unwrap() > 0);
    assert!(stats["consumed"].is_u64());
    let steps = stats["steps"].as_array().unwrap();
    assert_eq!(steps[0]["name"], "if-classify");
    let rx = steps.last().unwrap();
    assert_eq!((&rx["name"], &rx["packets"]), (&"rx".into(), &1000.into()));
    for step in steps {
        assert!(step["name"].is_string() && step["packets"].is_u64(), "{step}");
        assert!(step["cycles_per_packet"].is_f64(), "{step}");
    }
    assert_eq!(stats["conserved"], true);
}

#[test]
fn the_ith_port_of_the_command_line_is_port_i() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stats.json");
    let args = ["--port", "synth:count=1", "--port", "sink", "--port", "synth:count=3"];
    let stats = ["--stats-json", path.to_str().unwrap()];
    assert_eq!(run(args.into_iter().chain(stats)).status, 0);
    let stats: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let received = ["port0", "port1", "port2"].map(|port| &stats["ports"][port]["rx_packets"]);
    assert_eq!(received, [1, 0, 3]);

    // The file names its ports in another order.
    let config = dir.path().join("router.toml");
    std::fs::write(&config, "[[port]]\nname = \"port1\"\n[[port]]\nname = \"port0\"\n").unwrap();
    let config = ["--config", config.to_str().unwrap()];
    let args = ["--port", "synth:count=1", "--port", "sink"];
    let stats = ["--stats-json", path.to_str().unwrap()];
    assert_eq!(run(config.into_iter().chain(args).chain(stats)).status, 0);
    let stats: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(["port0", "port1"].map(|p| &stats["ports"][p]["rx_packets"]), [1, 0]);
}

/// What `--trace` prints of three packets, with the times left out.
const TRACE: &str = "\
packet 0 at 1.000000000 on uidb 3, 62 bytes
  in   0200 0000 0101 0200 0000 0102 0800 4500 0024 1234 0000 4011 228d 0a01 0002 cb00 7105 \
1000 0035 0010 9d80 0001 0203 0405 0607 0000 0000 0000 0000 0000 0000
  if-classify
  l3-parse
  fib4-lookup
  next-hop
  egress-fast
  tx
  sent on uidb 4
  out  0200 0000 0202 0200 0000 0201 0800 4500 0024 1234 0000 3f11 238d 0a01 0002 cb00 7105 \
1000 0035 0010 9d80 0001 0203 0405 0607
packet 1 at 2.000000000 on uidb 3, 62 bytes
  if-classify
  l3-parse
  dropped: Ipv4BadChecksum
packet 2 at 3.000000000 on uidb 3, 62 bytes
  if-classify
  l3-parse
  fib4-lookup
  next-hop
  ttl
  lpts
  punt-police
  punt
  punted: IpTtlExceeded
";

#[test]
fn a_trace_is_the_walk_in_the_order_of_operations() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("router.toml");
    let text = "[[port]]\nmac = \"02:00:00:00:01:01\"\naddress = [\"10.1.0.1/24\"]\n\
                [[port]]\ndevice = \"sink\"\nmac = \"02:00:00:00:02:01\"\n\
                address = [\"10.2.0.1/24\"]\n[[neighbor]]\naddress = \"10.2.0.2\"\n\
                mac = \"02:00:00:00:02:02\"\n[[route]]\nprefix = \"203.0.113.0/24\"\n\
                via = \"10.2.0.2\"\n";
    std::fs::write(&config, text).unwrap();
    let mut good = vec![2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2, 8, 0];
    good.extend([0x45, 0, 0, 0x24, 0x12, 0x34, 0, 0, 0x40, 0x11, 0x22, 0x8d, 10, 1, 0, 2]);
    good.extend([203, 0, 113, 5, 0x10, 0, 0, 0x35, 0, 0x10, 0x9d, 0x80, 0, 1, 2, 3, 4, 5, 6, 7]);
    good.extend([0; 12]);
    // The TTL changed alone, and with the checksum.
    let mut bad = good.clone();
    bad[22] = 1;
    let mut expired = bad.clone();
    expired[24] = 0x61;
    let input = dir.path().join("in.pcap");
    let packets = (1..).map(|n| n * 1_000_000_000).zip([good, bad, expired]);
    capture::write(&input, &packets.collect::<Vec<_>>());
    let port = format!("pcap:rx={}", input.display());
    let outcome = run(["--config", config.to_str().unwrap(), "--port", &port, "--trace", "3"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let trace = outcome.stdout.lines().take_while(|line| !line.starts_with(" port"));
    let mut found = String::new();
    let mut last = "";
    for line in trace {
        if line.starts_with("packet ") {
            last = line;
        }
        // The frames of the first packet are enough.
        let frame = line.starts_with("  in ") || line.starts_with("  out ");
        if !frame || last.starts_with("packet 0") {
            let row = line.split("  ").find(|word| !word.is_empty()).unwrap();
            let row = if line.contains(" ns for ") {
                format!("  {}", row.trim())
            } else {
                line.to_owned()
            };
            found += &format!("{row}\n");
        }
    }
    assert_eq!(found, TRACE);
}

/// A router with lists and a route map; its devices do not exist.
const FILTER: &str = r#"
[[port]]
name = "lan"
device = "tap:not-there"
mac = "02:00:00:00:01:01"
address = ["10.1.0.1/24", "2001:db8:1::1/64"]
acl_in = ["IN", "IN6"]
policy_route = "SCRUB"
[[port.vlan]]
id = 7
address = ["10.7.0.1/24"]
[[port]]
name = "wan"
device = "tap:not-there-either"
mac = "02:00:00:00:02:01"
address = ["10.2.0.1/24", "2001:db8:2::1/64"]
acl_out = "OUT"
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
[[neighbor]]
address = "2001:db8:2::2"
mac = "02:00:00:00:02:02"
[[route]]
prefix = "0.0.0.0/0"
via = "10.2.0.2"
[[route]]
prefix = "::/0"
via = "2001:db8:2::2"
[[acl]]
text = """
ip access-list extended IN
 deny tcp any any eq 22
 remark hosts that misbehave
 deny ip host 10.1.0.66 any
 deny tcp any any match-all +syn +ack
 permit ip any any
ip access-list extended OUT
 permit udp any any dscp ef
 deny udp any any
 permit ip any any
access-list 110 permit udp any any eq 53
ipv6 access-list IN6
 permit icmp any any packet-too-big
"""
[[route_map]]
text = """
route-map SCRUB permit 10
 match ip address 110
 set ip next-hop 10.2.0.254
"""
"#;

/// What `--explain` says of a packet: what matches, the row that ends its walk, and its fate. What is
/// punted by a row goes through the last ones.
fn explained(config: &Path, packet: &str) -> (Vec<String>, String, String) {
    let config = ["--config", config.to_str().unwrap(), "--port", "sink", "--port", "sink"];
    let outcome = run(config.into_iter().chain(["--explain", packet]));
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{packet}");
    let lines: Vec<String> = outcome.stdout.lines().map(str::to_owned).collect();
    let matches = lines.iter().take_while(|line| !line.starts_with("  ")).cloned().collect();
    let (fate, walk) = lines.split_last().unwrap();
    let mut rows: Vec<&str> =
        walk.iter().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    if fate.starts_with("punted: ") {
        let last = rows.split_off(rows.len() - 3);
        assert_eq!(last, ["lpts", "punt-police", "punt"], "{packet}");
    }
    (matches, (*rows.last().unwrap()).to_owned(), fate.clone())
}

#[test]
fn a_packet_is_explained_without_any_device() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("router.toml");
    std::fs::write(&config, FILTER).unwrap();
    let check = |packet: &str, matches: &[&str], row: &str, fate: &str| {
        let found = explained(&config, packet);
        assert_eq!(found.0, matches, "{packet}");
        assert_eq!((found.1.as_str(), found.2.as_str()), (row, fate), "{packet}");
    };
    let no_policy = "policy_route SCRUB: nothing matches";
    let out = "acl_out OUT: 30 permit ip any any";
    let sent = "sent via wan to next hop 10.2.0.2";
    check(
        "src=10.1.0.2 dst=192.0.2.1 proto=tcp dport=22 in=lan",
        &["acl_in IN: 10 deny tcp any any eq 22", no_policy],
        "acl-act-in",
        "dropped: Ipv4Acl",
    );
    check(
        "src=10.1.0.2 dst=192.0.2.1 proto=tcp dport=22 frag=later in=lan",
        &["acl_in IN: 50 permit ip any any", no_policy, out],
        "tx",
        sent,
    );
    check(
        "src=10.1.0.2 dst=192.0.2.1 flags=syn,ack frag=first in=lan",
        &["acl_in IN: 40 deny tcp any any match-all +ack +syn", no_policy],
        "acl-act-in",
        "dropped: Ipv4Acl",
    );
    check("src=10.1.0.66 dst=192.0.2.1 icmp=8/0 in=lan.7", &[out], "tx", sent);
    let permit = "acl_in IN: 50 permit ip any any";
    check(
        "src=10.1.0.2 dst=192.0.2.1 proto=udp dport=1 in=lan",
        &[permit, no_policy, "acl_out OUT: 20 deny udp any any"],
        "acl-act-out",
        "dropped: Ipv4Acl",
    );
    check(
        "src=10.1.0.2 dst=192.0.2.1 proto=udp dport=1 dscp=46 in=lan",
        &[permit, no_policy, "acl_out OUT: 10 permit udp any any dscp ef"],
        "tx",
        sent,
    );
    check(
        "src=10.1.0.2 dst=192.0.2.1 proto=udp dport=53 in=lan",
        &[
            permit,
            "policy_route SCRUB: 10 permit, match ip address 110, set ip next-hop 10.2.0.254",
        ],
        "adjacency",
        "punted: Glean, next hop 10.2.0.254 via wan",
    );
    let ttl = "punted: IpTtlExceeded";
    check("src=10.1.0.2 dst=192.0.2.1 ttl=1 in=lan", &[permit, no_policy], "ttl", ttl);
    let own = "punted: Ipv4ForUs";
    check("src=10.1.0.2 dst=10.2.0.1 in=lan", &[permit, no_policy], "ifib-act", own);
    let implicit = "acl_in IN6: implicit deny ipv6 any any";
    let too_big = "acl_in IN6: 10 permit icmp any any packet-too-big";
    let six = "src=2001:db8:1::2 dst=2001:db8:9::1 in=lan";
    check(&format!("{six} icmp=128"), &[implicit, no_policy], "acl-act-in", "dropped: Ipv6Acl");
    let sent = "sent via wan to next hop 2001:db8:2::2";
    check(&format!("{six} icmp=2 len=1280"), &[too_big, no_policy], "tx", sent);
    // To a group that the router listens to: the list is asked first.
    let group = "src=10.1.0.66 dst=224.0.0.1 in=lan";
    let deny = "acl_in IN: 30 deny ip host 10.1.0.66 any";
    check(group, &[deny, no_policy], "acl-act-in", "dropped: Ipv4Acl");
}

// rows: ARC-14, ARC-21
#[test]
fn reports_show_what_rules_have_matched_and_what_the_classifier_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (config, stats) = (dir.path().join("router.toml"), dir.path().join("stats.json"));
    std::fs::write(&config, FILTER).unwrap();
    let mut args = vec!["--config", config.to_str().unwrap(), "--stats-json"];
    args.extend([stats.to_str().unwrap(), "--port", "synth:count=1000,flows=1", "--port", "sink"]);
    // The i-th port of the command line is for portI, and these have other names.
    let text = FILTER.replace("\"lan\"", "\"port0\"").replace("\"wan\"", "\"port1\"");
    std::fs::write(&config, text).unwrap();
    let outcome = run(args.iter().copied().chain(["--tcam"]));
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    for wanted in [
        "Extended IP access list IN\n    10 deny tcp any any eq 22\n",
        "    50 permit ip any any (1000 matches)\n    implicit deny ip any any\n",
        "Extended IP access list OUT\n",
        "    20 deny udp any any (1000 matches)\n",
        "route-map SCRUB, permit, sequence 10\n  match ip address 110\n",
        "IPv4 policy routing matches: 0 packets, 0 bytes\n",
        "IPv4 access list IN route map SCRUB",
        "rule counters",
    ] {
        assert!(outcome.stdout.contains(wanted), "no {wanted:?} in\n{}", outcome.stdout);
    }
    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let lists = &stats["access_lists"];
    let rule = |n: u64, text: &str, packets: u64| serde_json::json!({ "sequence": n, "text": text, "packets": packets, "bytes": packets * 60 });
    let wanted = [
        rule(10, "permit udp any any dscp ef", 0),
        rule(20, "deny udp any any", 1000),
        rule(30, "permit ip any any", 0),
        rule(0, "deny ip any any", 0),
    ];
    assert_eq!(lists["v4"]["OUT"], Value::from(wanted.to_vec()));
    assert_eq!(lists["v4"]["IN"][3]["packets"], 1000);
    assert_eq!(lists["v6"]["IN6"].as_array().unwrap().len(), 4);
    let text = "permit, match ip address 110, set ip next-hop 10.2.0.254";
    assert_eq!(stats["route_maps"]["v4"]["SCRUB"], Value::from(vec![rule(10, text, 0)]));
    assert!(!run(args).stdout.contains("rule counters"), "not asked for");
}

#[test]
fn the_class_of_an_explained_packet_is_named_with_those_above_it() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/configs/qos.toml");
    let matches = |packet: &str| explained(&config, packet).0;
    assert_eq!(
        matches("src=192.0.2.2 dst=203.0.113.1 proto=udp dport=5060 dscp=46 in=customer"),
        [
            "service_policy_in FROM-CUSTOMER: class class-default, CUSTOMER-CLASSES class VOICE",
            "service_policy_out TO-CORE: class VOICE-MARKED",
        ]
    );
    let sent = explained(&config, "src=192.0.2.2 dst=203.0.113.1 dscp=46 in=customer").2;
    assert_eq!(sent, "sent via core.100 to next hop 198.51.100.2");
    assert_eq!(
        matches("src=192.0.2.2 dst=203.0.113.1 proto=tcp dport=873 in=customer"),
        [
            "service_policy_in FROM-CUSTOMER: class class-default, CUSTOMER-CLASSES class BACKUP",
            "service_policy_out TO-CORE: class class-default",
        ]
    );
}

/// The example's configuration in a folder of its own, since it keeps sequence numbers there.
#[test]
fn the_example_of_a_tunnel_runs_and_takes_new_keys_at_a_hangup() {
    let dir = tempfile::tempdir().unwrap();
    let (path, stats) = (dir.path().join("ipsec.toml"), dir.path().join("stats.json"));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/configs/ipsec.toml");
    let text = std::fs::read_to_string(example).unwrap();
    std::fs::write(&path, &text).unwrap();
    let destinations = dir.path().join("destinations");
    std::fs::write(&destinations, "10.2.0.0/16\n").unwrap();
    let lan = format!("synth:dst={},src=10.1.0.64/26", destinations.display());
    let mut command = l3fwd::command();
    command.env("QFP_TO_EAST", "11".repeat(20)).env("QFP_FROM_EAST", "22".repeat(20));
    command.env("QFP_STATE_DIR", dir.path());
    command.arg("--config").arg(&path).args(["--port", &lan, "--port", "sink"]);
    let mut child = command.arg("--stats-json").arg(&stats).spawn().unwrap();
    assert!(l3fwd::is_running(&child));
    let (pid, stderr) = (child.id().to_string(), child.stderr.take().unwrap());
    let (say, said) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(stderr).lines().for_each(|line| say.send(line.unwrap()).unwrap());
    });
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    let patience = Duration::from_secs(60);
    std::fs::write(&path, text.replace("0x1001", "0x1002")).unwrap();
    signal("-HUP");
    let good = said.recv_timeout(patience).unwrap();
    // Long enough for the new key to be used.
    std::thread::sleep(Duration::from_millis(200));
    std::fs::write(&path, text.replace("0x1001", "7")).unwrap();
    signal("-HUP");
    let bad = said.recv_timeout(patience).unwrap();
    signal("-INT");
    let outcome = l3fwd::finish(child);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(said.recv(), Err(mpsc::RecvError), "nothing else is said");
    assert_eq!(good, "l3fwd: the configuration is in force as it is now");
    assert!(bad.contains("ipsec.toml:26: ") && bad.contains("SPI 7 is reserved"), "{bad}");
    for line in ["crypto engine name:", "interface: tunnel0", "current outbound spi: 0x1002(4098)"]
    {
        assert!(outcome.stdout.contains(line), "no {line:?} in {}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains("1111") && !outcome.stdout.contains("2222"));
    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    assert_eq!(stats["drops"].as_object().unwrap().len(), 0, "{}", stats["drops"]);
    let sa = &stats["ipsec"]["sas"]["to-east"];
    assert_eq!((&sa["spi"], &sa["interface"]), (&4098.into(), &"tunnel0".into()));
    assert!(
        sa["packets"].as_u64().unwrap() > 0 && sa["sequence"].as_u64() > sa["packets"].as_u64()
    );
    let marks = std::fs::read_to_string(dir.path().join("sequence-marks")).unwrap();
    // It has ended in order: the mark is the last number.
    let mark = format!(" {:016x} = ", sa["sequence"].as_u64().unwrap());
    assert!(marks.lines().any(|line| line.contains(&mark)), "{marks} {sa}");
}

/// Starts a router with `config` in `dir`; its process, and the lines that it says.
fn started(dir: &Path, config: &str) -> (std::process::Child, mpsc::Receiver<String>) {
    std::fs::write(dir.join("router.toml"), config).unwrap();
    let mut command = l3fwd::command();
    command.current_dir(dir).args(["--config", "router.toml", "--stats-json", "stats.json"]);
    let mut child = command.spawn().unwrap();
    assert!(l3fwd::is_running(&child));
    let (stderr, (say, said)) = (child.stderr.take().unwrap(), mpsc::channel());
    std::thread::spawn(move || {
        BufReader::new(stderr).lines().for_each(|line| say.send(line.unwrap()).unwrap());
    });
    (child, said)
}

#[test]
fn a_hangup_puts_lists_in_force_and_a_mistake_leaves_everything() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[[port]]\ndevice = \"synth\"\nacl_in = \"A\"\n[[port]]\ndevice = \"sink\"\n\
        address = [\"10.2.0.1/24\"]\n[[route]]\nprefix = \"0.0.0.0/0\"\nvia = \"10.2.0.2\"\n\
        [[neighbor]]\naddress = \"10.2.0.2\"\nmac = \"02:00:00:00:00:02\"\n\
        [[acl]]\ntext = \"ip access-list extended A\\n permit ip any any\"\n";
    let (child, said) = started(dir.path(), config);
    let hangup = |config: &str| {
        std::fs::write(dir.path().join("router.toml"), config).unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        said.recv_timeout(Duration::from_secs(60)).unwrap()
    };
    let denied = config.replace("permit ip", "deny ip");
    assert_eq!(hangup(&denied), "l3fwd: the configuration is in force as it is now");
    let wrong = hangup(&config.replace("[[acl]]", "[[acls]]"));
    assert!(wrong.starts_with("l3fwd: router.toml:13: "), "{wrong}");
    let absent = hangup(&config.replace("\"sink\"", "\"pcap:rx=/no/such/file\""));
    assert!(absent.starts_with("l3fwd: router.toml:5: /no/such/file: "), "{absent}");
    // Long enough for some packets to meet the list.
    std::thread::sleep(Duration::from_millis(200));
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let outcome = l3fwd::finish(child);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let stats = std::fs::read(dir.path().join("stats.json")).unwrap();
    let stats: Value = serde_json::from_slice(&stats).unwrap();
    assert!(stats["drops"]["Ipv4Acl"].as_u64() > Some(0), "{}", stats["drops"]);
    assert!(outcome.stdout.contains("deny ip any any ("), "{}", outcome.stdout);
}

#[test]
fn both_walks_of_a_packet_into_a_tunnel_are_explained_and_no_sequence_number_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/configs/ipsec.toml");
    let text = std::fs::read_to_string(example).unwrap();
    let list = "[[acl]]\ntext = \"ip access-list extended OUT\\n permit esp any any\"\n";
    let text = text.replace("name = \"wan\"", "name = \"wan\"\nacl_out = \"OUT\"") + list;
    let policy = "[[spd]]\ninterface = \"wan\"\nname = \"secret\"\naction = \"protect\"\n\
                  remote = \"10.9.0.0/16\"\n";
    let path = dir.path().join("ipsec.toml");
    std::fs::write(&path, text + policy).unwrap();
    let explain = |packet: &str| {
        let mut command = l3fwd::command();
        command.env("QFP_TO_EAST", "11".repeat(20)).env("QFP_FROM_EAST", "22".repeat(20));
        command.env("QFP_STATE_DIR", dir.path().join("states"));
        command.arg("--config").arg(&path).args(["--port", "sink", "--port", "sink"]);
        let outcome = l3fwd::finish(command.args(["--explain", packet]).spawn().unwrap());
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{packet}");
        let lines = outcome.stdout.lines().map(|line| line.split("  ").find(|p| !p.is_empty()));
        lines.map(|line| line.unwrap_or_default().trim().to_owned()).collect::<Vec<_>>()
    };
    let lines = explain("src=10.1.0.5 dst=10.2.0.9 in=lan");
    let place = |wanted: &str| lines.iter().position(|line| line == wanted).unwrap();
    let sealed = place("esp-encap");
    assert_eq!(lines[sealed + 1], "protected by SA to-east (SPI 0x1001) of tunnel0");
    // The list of the port is met by the outer packet.
    assert_eq!(lines[sealed + 2], "acl_out OUT: 10 permit esp any any");
    assert_eq!(lines[sealed + 3], "if-classify");
    assert_eq!(lines.last().unwrap(), "sent via wan to next hop 203.0.113.2");
    assert_eq!(lines.iter().filter(|line| *line == "fib4-lookup").count(), 2);
    // In the clear what the policy wants protected does not come in.
    let lines = explain("src=10.9.0.5 dst=10.1.0.9 in=wan");
    assert_eq!(lines[0], "spd wan: secret");
    assert_eq!(lines.last().unwrap(), "dropped: SpdUnprotected");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no file of numbers");
}
