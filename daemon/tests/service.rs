//! The daemon and qfpctl, as programs.

#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a rig that cannot be built is a failed test"
)]
mod support;

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use api::wire::{self, Welcome};
use api::{Call, CallError, Connection, Reply, Status};
use rustix::process::Signal;
use support::{Daemon, ctl_program, run};

fn status(error: &CallError) -> Option<Status> {
    match error {
        CallError::Failure(failure) => Some(failure.status),
        _ => None,
    }
}

// rows: ARC-05, ARC-19, PLT-05
#[test]
fn qfpctl_does_what_it_says_and_its_status_says_what_became_of_it() {
    let mut daemon = Daemon::start();
    daemon.write("b.toml", &[("via = \"10.2.0.2\"", "via = \"10.3.0.2\"")]);
    daemon.write("wrong.toml", &[("via = \"10.2.0.2\"", "via = \"10.9.0.2\"")]);
    daemon.write("device.toml", &[("device = \"sink\"", "device = \"sinkhole\"")]);
    let ok = |line: &str| match daemon.ctl(line) {
        (0, text, errors) if errors.is_empty() => text,
        other => panic!("{line}: {other:?}"),
    };
    let fails = |line: &str, wanted: i32, part: &str| {
        let (status, text, error) = daemon.ctl(line);
        assert_eq!((status, text.as_str()), (wanted, ""), "{line}: {error}");
        assert!(error.contains(part) && error.lines().count() == 1, "{line}: {error}");
    };
    assert_eq!(ok("commit b.toml --check"), "");
    assert!(ok("show config").contains("via = \"10.2.0.2\""));
    assert_eq!(ok("commit b.toml"), "version 2 is in force\n");
    assert!(ok("show config").contains("via = \"10.3.0.2\""));
    let diff = ok("show config diff 1");
    assert!(diff.contains("-via = \"10.2.0.2\"\n+via = \"10.3.0.2\"\n"), "{diff}");
    fails("commit wrong.toml", 2, "wrong.toml:23: ");
    fails("commit nowhere.toml", 2, "nowhere.toml");
    fails("commit device.toml", 2, "sinkhole: unknown kind of port");
    fails("commit device.toml --check", 2, "sinkhole: unknown kind of port");
    fails("commit", 2, "see --help");
    fails("confirm", 3, "no commit waits");
    fails("rollback 9", 3, "so far back");
    assert_eq!(ok("rollback 1"), "version 3 is in force\n");
    assert!(ok("show config").contains("via = \"10.2.0.2\""));

    ok("route add 20.0.0.0/8 via 10.2.0.2");
    ok("route add 20.0.0.0/8 via 10.3.0.2 dev right");
    assert_eq!(
        ok("show routes 20.1.2.3"),
        "> 20.0.0.0/8 [api] via 10.2.0.2 via 10.3.0.2 dev right\n"
    );
    ok("route del 20.0.0.0/8 via 10.2.0.2");
    fails("route del 20.0.0.0/8 via 10.2.0.2", 3, "no such route to 20.0.0.0/8");
    fails("route add 20.0.0.0/8 via 10.2.0.2 vrf RED", 3, "there is no VRF RED");
    fails("route add 20.0.0.0/8 via 10.2.0.2 dev middle", 3, "there is no interface middle");
    fails("route add 20.0.0.0/8 via 2001:db8::1", 2, "two families");
    fails("show routes 21.0.0.0/8", 3, "no such route");
    // A commit leaves routes of others alone.
    ok("commit b.toml");
    let routes: Vec<serde_json::Value> =
        serde_json::from_str(&ok("--json show routes 20.0.0.0/8")).unwrap();
    assert_eq!(routes[0]["source"], "api");
    assert_eq!(routes[0]["paths"][0]["hop"]["via"]["address"], "10.3.0.2");
    std::fs::write(daemon.dir.path().join("r"), "30.0.0.0/8 via 10.2.0.2\n31.0.0.0/8 drop\n")
        .unwrap();
    assert_eq!(ok("routes load r"), "2 prefixes\n");
    assert_eq!(ok("show routes 31.0.0.0/8"), "> 31.0.0.0/8 [api] drop\n");

    let processes: serde_json::Value = serde_json::from_str(&ok("--json show processes")).unwrap();
    let members = ["name", "domain", "pid", "state", "restarts", "uptime_s", "last_exit"];
    assert!(members.iter().all(|member| processes[0].get(member).is_some()), "{processes}");
    assert_eq!(processes[0]["pid"], daemon.pid());
    let counts: serde_json::Value = serde_json::from_str(&ok("show statistics --json")).unwrap();
    assert!(counts["ports"]["in"]["rx_packets"].as_u64().unwrap() > 0);
    let resources: serde_json::Value = serde_json::from_str(&ok("--json show client rm")).unwrap();
    let all = resources.as_array().unwrap();
    let adjacencies = all.iter().find(|one| one["name"] == "adjacencies").unwrap();
    assert!(adjacencies["peak"].as_u64() >= adjacencies["in_use"].as_u64());
    for (line, part) in [
        ("show client ea", "IPv4 access list FILTER"),
        ("show boot", "ucode"),
        ("show interfaces", "10.3.0.1/24"),
        ("show neighbours", "02:00:00:00:03:02"),
        ("show history", "b.toml"),
    ] {
        assert!(ok(line).contains(part), "{line}");
    }
    assert_eq!(ok("port add more sink"), "version 5 is in force\n");
    assert!(ok("show statistics").contains("more"));
    assert!(ok("show config diff 1").contains("+device = \"sink\""));
    fails("port add more sink", 2, "there is a port more already");
    fails("port add other nonsense", 2, "nonsense");
    fails("port add file pcap:rx=/no/such", 2, "/no/such");
    fails("port add other", 2, "see --help");
    fails("port del other", 3, "there is no port other");
    assert_eq!(ok("port del more"), "version 6 is in force\n");
    assert!(!ok("show statistics").contains("more"));
    assert!(ok("show history").contains("port del more"));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().code(), Some(0));
    let (status, _, error) = daemon.ctl("show boot");
    assert_eq!((status, error.lines().count()), (4, 1));
}

#[test]
fn a_restart_has_the_configuration_that_was_confirmed_last_with_the_files_of_then() {
    let mut daemon = Daemon::start();
    let deny = support::FILTER.replace("permit", "deny");
    std::fs::write(daemon.dir.path().join("filter.txt"), deny).unwrap();
    let b = daemon.write("b.toml", &[("via = \"10.2.0.2\"", "via = \"10.3.0.2\"")]);
    daemon.commit(&b, None).unwrap();
    let committed = daemon.config();
    assert!(committed.contains("deny ip any any"));
    let c = daemon.write("c.toml", &[("10.2.0.2", "10.2.0.3")]);
    daemon.commit(&c, Some(1000)).unwrap();
    for name in ["a.toml", "b.toml", "filter.txt"] {
        std::fs::remove_file(daemon.dir.path().join(name)).unwrap();
    }
    daemon.signal(Signal::KILL);
    daemon.ended();
    daemon.again(None);
    assert_eq!(daemon.config(), committed);
    assert!(daemon.log().contains("version 2 of the configuration, from "), "{}", daemon.log());
    // What was in force before has its own list.
    daemon.call(Call::Rollback { back: 1 }).unwrap();
    assert!(daemon.config().contains("permit ip any any"));
}

#[test]
fn what_is_not_confirmed_comes_back_by_itself_and_is_for_its_own_session() {
    let daemon = Daemon::start();
    let (before, b) = (daemon.config(), daemon.write("b.toml", &[("10.2.0.2", "10.2.0.3")]));
    daemon.commit(&b, Some(2)).unwrap();
    assert!(daemon.config().contains("10.2.0.3"));
    let error = daemon.commit(&b, None).unwrap_err().to_string();
    assert!(error.contains("version 2 of user ") && error.contains("session"), "{error}");
    let mut other = Command::new("setsid");
    other.arg("--wait").arg(ctl_program()).arg("--run-dir").arg(daemon.run_dir()).arg("confirm");
    let (status, _, line) = run(&mut other);
    assert_eq!(status, 1, "{line}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while daemon.config() != before {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(daemon.history().len(), 1);
    // In time it stays; and from elsewhere by its number.
    daemon.commit(&b, Some(600)).unwrap();
    other.arg("2");
    assert_eq!(run(&mut other).0, 0);
    assert_eq!(daemon.history()[0].until, None);
    // Its own session may end it early.
    let c = daemon.write("c.toml", &[("10.3.0.2", "10.3.0.3")]);
    daemon.commit(&c, Some(600)).unwrap();
    daemon.call(Call::Rollback { back: 1 }).unwrap();
    assert_eq!(daemon.history().len(), 2);
    daemon.commit(&c, Some(600)).unwrap();
    daemon.call(Call::Confirm { number: None }).unwrap();
    assert_eq!(daemon.history().len(), 3);
}

#[test]
fn of_many_versions_the_last_twenty_one_are_kept() {
    let daemon = Daemon::start();
    for n in 3..30 {
        let path = daemon.write("n.toml", &[("10.2.0.2", &format!("10.2.0.{n}"))]);
        daemon.commit(&path, None).unwrap();
    }
    let numbers: Vec<u64> = daemon.history().iter().map(|version| version.number).collect();
    assert_eq!(numbers, (8..=28).rev().collect::<Vec<u64>>());
    daemon.call(Call::Rollback { back: 20 }).unwrap();
    assert!(daemon.config().contains("10.2.0.9\""));
}

#[test]
fn a_signal_reads_the_files_again() {
    let daemon = Daemon::start_with(&[("--routes", "routes")], |dir| {
        std::fs::write(dir.join("routes"), "40.0.0.0/8 via 10.2.0.2\n").unwrap();
    });
    let routes = |prefix: &str| daemon.ctl(&format!("show routes {prefix}")).1;
    assert!(routes("40.0.0.0/8").contains("[static]"));
    std::fs::write(daemon.dir.path().join("routes"), "41.0.0.0/8 via 10.2.0.2\n").unwrap();
    daemon.write("a.toml", &[("10.3.0.2", "10.3.0.3")]);
    daemon.signal(Signal::HUP);
    let deadline = Instant::now() + Duration::from_secs(20);
    while routes("41.0.0.0/8").is_empty() {
        assert!(Instant::now() < deadline, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(routes("40.0.0.0/8"), "");
    assert!(daemon.config().contains("10.3.0.3"));
    // The routes of then come back with the configuration of then.
    daemon.call(Call::Rollback { back: 1 }).unwrap();
    assert!(routes("40.0.0.0/8").contains("[static]"));
    assert_eq!(routes("41.0.0.0/8"), "");
}

// rows: ARC-02
#[test]
fn a_thousand_requests_may_be_outstanding() {
    let daemon = Daemon::start();
    let mut connection = daemon.connect();
    let calls = [Call::Boot, Call::Interfaces, Call::Processes, Call::History];
    let asked: Vec<u64> =
        (0..1000).map(|n| connection.send(calls[n % 4].clone()).unwrap()).collect();
    for (n, id) in asked.into_iter().enumerate() {
        let response = connection.receive().unwrap();
        let right = match response.outcome.unwrap() {
            Reply::Boot(_) => n % 4 == 0,
            Reply::Interfaces(_) => n % 4 == 1,
            Reply::Processes(_) => n % 4 == 2,
            Reply::History(_) => n % 4 == 3,
            _ => false,
        };
        assert!(response.id == id && right);
    }
}

#[test]
fn who_does_not_read_or_write_holds_up_nobody_and_is_cut_off() {
    let daemon = Daemon::start();
    // Greets, and sends half a message.
    let mut half = UnixStream::connect(daemon.run_dir().join(api::SOCKET)).unwrap();
    wire::greet(&mut half, wire::VERSION, Welcome::Come).unwrap();
    half.write_all(&[9, 0, 0, 0, 1]).unwrap();
    // Asks for more than it reads.
    let mut deaf = daemon.connect();
    let cut_off = (0..1_000_000).any(|_| deaf.send(Call::Statistics { json: true }).is_err());
    assert!(cut_off);
    let asked = Instant::now();
    daemon.call(Call::Boot).unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(daemon.log().contains("does not read its answers"), "{}", daemon.log());
}

#[test]
fn what_is_no_request_ends_its_connection_and_no_other() {
    let daemon = Daemon::start();
    let raw = || UnixStream::connect(daemon.run_dir().join(api::SOCKET)).unwrap();
    let ends = |mut stream: UnixStream| {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rest = Vec::new();
        let end = stream.read_to_end(&mut rest);
        let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(end.as_ref().err().is_none_or(reset) && rest.len() <= 8, "{end:?}");
    };
    let mut stream = raw();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    ends(stream);
    let mut stream = raw();
    wire::greet(&mut stream, wire::VERSION + 1, Welcome::Come).unwrap();
    assert_eq!(wire::greeting(&mut stream).unwrap(), (wire::VERSION, Welcome::OtherVersion));
    ends(stream);
    for message in [&[3, 0, 0, 0, 255, 255, 255][..], &[255; 8]] {
        let mut stream = raw();
        wire::greet(&mut stream, wire::VERSION, Welcome::Come).unwrap();
        stream.write_all(message).unwrap();
        ends(stream);
    }
    daemon.call(Call::Boot).unwrap();
}

#[test]
fn a_run_directory_has_one_daemon() {
    let daemon = Daemon::start();
    let mut second = Command::new(env!("CARGO_BIN_EXE_qfp-client"));
    second.args(["--config", "a.toml", "--run-dir", "run"]).current_dir(daemon.dir.path());
    let (status, _, error) = run(&mut second);
    assert_eq!(status, 1);
    assert!(error.contains("another router runs there"), "{error}");
    daemon.call(Call::Boot).unwrap();
}

#[test]
fn a_wrong_first_configuration_is_one_line_and_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_qfp-client"));
    command.args(["--config", "a.toml", "--run-dir", "run"]).current_dir(dir.path());
    let config = support::CONFIG.replace("filter.txt", "nowhere.txt");
    std::fs::write(dir.path().join("a.toml"), config).unwrap();
    let (status, _, error) = run(&mut command);
    assert_eq!(status, 2, "{error}");
    let last = error.lines().last().unwrap();
    assert!(last.starts_with("qfp-client: a.toml:25: "), "{last}");
    let wrong = support::CONFIG.replace("acl_in = \"FILTER\"", "acl_in = \"OTHER\"");
    std::fs::write(dir.path().join("a.toml"), wrong).unwrap();
    std::fs::write(dir.path().join("filter.txt"), support::FILTER).unwrap();
    assert_eq!(run(&mut command).0, 2);
    assert_eq!(std::fs::read_dir(dir.path().join("run/config")).unwrap().count(), 0);
    std::fs::write(dir.path().join("a.toml"), support::CONFIG).unwrap();
    command.args(["--ucode", "qfp-ucode", "--ucode-user", "no such user"]);
    let (status, _, error) = run(&mut command);
    let last = error.lines().last().unwrap();
    assert_eq!((status, last), (2, "qfp-client: there is no user no such user"));
}

/// A program as the user `nobody`; none where this user cannot become another.
fn as_nobody(program: &std::path::Path) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    Some(command)
}

// rows: ARC-17
#[test]
fn another_user_is_not_listened_to_even_if_the_socket_lets_it() {
    let daemon = Daemon::start();
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(daemon.dir.path(), 0o755);
    open(&daemon.run_dir(), 0o755);
    // A copy that everybody can reach.
    let program = daemon.dir.path().join("qfpctl");
    std::fs::copy(ctl_program(), &program).unwrap();
    let Some(mut command) = as_nobody(&program) else { return };
    command.arg("--run-dir").arg(daemon.run_dir()).args(["show", "boot"]);
    assert_eq!(run(&mut command).0, 4);
    open(&daemon.run_dir().join(api::SOCKET), 0o666);
    let (status, text, error) = run(&mut command);
    assert_eq!((status, text.as_str()), (1, ""), "{error}");
    assert!(error.contains("does not take requests of this user"), "{error}");
    assert!(daemon.log().contains("user 65534 (process "), "{}", daemon.log());
}

// rows: ARC-17
#[test]
fn nobody_else_of_its_own_user_reads_its_memory() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut command) = as_nobody(env!("CARGO_BIN_EXE_qfp-client").as_ref()) else { return };
    std::fs::write(dir.path().join("a.toml"), support::CONFIG).unwrap();
    std::fs::write(dir.path().join("filter.txt"), support::FILTER).unwrap();
    std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).unwrap();
    command.args(["--config", "a.toml", "--run-dir", "run"]).current_dir(dir.path());
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while Connection::open(&dir.path().join("run")).is_err() {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    // Of a process that is not to be looked into these are root's.
    let memory = std::fs::metadata(format!("/proc/{}/mem", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((memory.uid(), memory.mode() & 0o077), (0, 0));
}

#[test]
fn a_group_may_look_and_change_nothing() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let daemon = Daemon::start_with(&[("--read-group", "65534")], |_| ());
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(daemon.dir.path(), open).unwrap();
    let program = daemon.dir.path().join("qfpctl");
    std::fs::copy(ctl_program(), &program).unwrap();
    let nobody = |line: &str| {
        let mut command = as_nobody(&program).unwrap();
        command.arg("--run-dir").arg(daemon.run_dir()).args(line.split_whitespace());
        run(&mut command)
    };
    let (status, text, error) = nobody("show config");
    assert!(status == 0 && text.contains("FILTER"), "{error}");
    let (status, _, error) = nobody("rollback 1");
    assert!(status == 1 && error.contains("may look, and change nothing"), "{error}");
    assert!(daemon.log().contains("user 65534 may look"), "{}", daemon.log());
    assert!(std::fs::read_dir(daemon.run_dir().join("config")).is_ok());
}

#[test]
fn keys_are_kept_with_the_configuration_and_are_shown_nowhere() {
    const KEY: &str = "000102030405060708090a0b0c0d0e0f10111213";
    let esp = format!(
        "{}[ipsec]\nstate_dir = \"STATE\"\n[[sa]]\nname = \"east\"\ndirection = \"out\"\nspi = 4097\n\
         local = \"10.2.0.1\"\nremote = \"10.2.0.2\"\nalgorithm = \"aes-128-gcm\"\n\
         key_file = \"key\"\n[[tunnel]]\nname = \"tun\"\naddress = [\"10.4.0.1/30\"]\n\
         sa_out = \"east\"\n",
        support::CONFIG
    );
    let mut daemon = Daemon::start_with(&[], |dir| {
        let state = dir.join("state").display().to_string();
        std::fs::write(dir.join("a.toml"), esp.replace("STATE", &state)).unwrap();
        std::fs::write(dir.join("key"), KEY).unwrap();
        std::fs::set_permissions(dir.join("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    });
    let a = std::fs::read_to_string(daemon.dir.path().join("a.toml")).unwrap();
    let b = daemon.dir.path().join("b.toml");
    std::fs::write(&b, a.replace("10.3.0.2", "10.3.0.3")).unwrap();
    daemon.commit(&b, None).unwrap();
    std::fs::remove_file(daemon.dir.path().join("key")).unwrap();
    daemon.signal(Signal::KILL);
    daemon.ended();
    daemon.again(None);
    assert!(daemon.config().contains("key_file = "));
    let shown = [
        daemon.config(),
        daemon.ctl("show config diff").1,
        daemon.ctl("show statistics").1,
        daemon.ctl("--json show statistics").1,
        daemon.ctl("--json show client ea").1,
        daemon.log(),
    ];
    assert!(shown.iter().all(|text| !text.contains("0405060708")), "{shown:?}");
    assert!(shown[1].contains("10.3.0.3"));
    let error = Connection::open(daemon.dir.path()).unwrap_err();
    assert_eq!(status(&error), None);
}
