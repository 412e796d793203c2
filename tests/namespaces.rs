//! Real kernels on both sides of the router: two network namespaces, with a TAP device in each, or
//! one end of a cable whose other end is in a third namespace, for the router.
//!
//! Needs root and the usual network programs; skipped aloud without them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/apart.rs"]
mod apart;
#[path = "namespaces/floods.rs"]
mod floods;
#[path = "namespaces/idle.rs"]
mod idle;
#[path = "support/l3fwd.rs"]
mod l3fwd;
#[path = "support/namespaces.rs"]
mod namespaces;
#[path = "namespaces/packet_ports.rs"]
mod packet_ports;

use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use namespaces::{Namespace, has_programs};

/// One after the other: each of them keeps both CPUs of a small machine busy.
static TURN: Mutex<()> = Mutex::new(());

/// Two hosts and the router between them, gone when dropped.
struct Bench {
    // First, so that the router ends before its devices' namespaces do.
    router: Router,
    west: Namespace,
    east: Namespace,
    /// Where the router's ends of cables are.
    middle: Option<Namespace>,
    _turn: MutexGuard<'static, ()>,
}

struct Router {
    child: Option<Child>,
    _dir: tempfile::TempDir,
}

const WEST: (&str, &str) = ("10.1.0.2", "2001:db8:1::2");
const EAST: (&str, &str) = ("10.2.0.2", "2001:db8:2::2");
/// What the router sends from in the west.
const ROUTER: (&str, &str) = ("10.1.0.1", "2001:db8:1::1");

impl Bench {
    /// The router's link to the east has this MTU.
    fn new(east_mtu: u16) -> Option<Self> {
        Self::with(east_mtu, &[])
    }

    /// As [`Bench::new`], with more options for the router.
    fn with(east_mtu: u16, options: &[&str]) -> Option<Self> {
        Self::start(false, &format!("mtu = {east_mtu}"), options)
    }

    /// On cables, or on TAP devices. `east_keys` is more that is to be said of the east.
    fn start(cables: bool, east_keys: &str, options: &[&str]) -> Option<Self> {
        if !has_programs(&["ip", "ping", "traceroute", "iperf3", "kill"]) {
            return None;
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (west, east) = (Namespace::new("west")?, Namespace::new("east")?);
        let middle = if cables { Some(Namespace::new("middle")?) } else { None };
        let device = |name: &str, host: &Namespace| {
            let Some(middle) = &middle else { return format!("tap:{name}@{}", host.name) };
            lay_cable(name, host, middle);
            format!("packet:{name}@{}", middle.name)
        };
        let devices = [device("west", &west), device("east", &east)];
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("router.toml");
        std::fs::write(
            &config,
            format!(
                "[[port]]\ndevice = \"{}\"\n\
                 address = [\"10.1.0.1/24\", \"2001:db8:1::1/64\"]\n\
                 [[port]]\ndevice = \"{}\"\n\
                 address = [\"10.2.0.1/24\", \"2001:db8:2::1/64\"]\n{east_keys}\n",
                devices[0], devices[1]
            ),
        )
        .unwrap();
        let mut command = l3fwd::command();
        let child = command
            .arg("--config")
            .arg(config)
            .args(options)
            .args(apart::options())
            .spawn()
            .unwrap();
        // The devices are up before the router is; until then they only queue.
        let running = l3fwd::is_running(&child);
        let router = Router { child: Some(child), _dir: dir };
        assert!(running);
        let bench = Self { router, west, east, middle, _turn: turn };
        bench.attach(&bench.west, "west", WEST, ROUTER);
        bench.attach(&bench.east, "east", EAST, ("10.2.0.1", "2001:db8:2::1"));
        // The hosts' end of the narrow link is as wide as any other: that it is narrow must be
        // found out.
        bench.east.must("ip link set east mtu 1500");
        Some(bench)
    }

    /// Gives the kernel's end of a device its addresses and routes.
    fn attach(&self, host: &Namespace, device: &str, address: (&str, &str), router: (&str, &str)) {
        assert!(host.must(&format!("ip link show dev {device}")).contains("LOWER_UP"));
        host.must(&format!("ip addr add {}/24 dev {device}", address.0));
        host.must(&format!("ip addr add {}/64 dev {device} nodad", address.1));
        host.must(&format!("ip route add default via {}", router.0));
        host.must(&format!("ip route add default via {}", router.1));
    }

    /// Ends the router, which must have accounted for everything; what it reported.
    fn finish(mut self) -> String {
        let outcome = self.router.end();
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
        assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
        outcome.stdout
    }

    /// Bits a second that an iperf3 run from west to east has brought over; `options` are more of
    /// the client's.
    fn iperf(&self, server: &str, options: &str) -> f64 {
        let mut listen = self.east.command("iperf3 --server --one-off --forceflush");
        let mut listen = listen.stdout(Stdio::piped()).spawn().unwrap();
        wait_for_line(&mut listen, "Server listening");
        let client =
            format!("iperf3 --json --connect-timeout 20000 --time 2 --client {server} {options}");
        let (success, said) = self.west.run(&client);
        // It ends by itself after one test; if there was none, it must not stay.
        if !success {
            listen.kill().unwrap();
        }
        listen.wait().unwrap();
        assert!(success, "{said}");
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        let (end, intervals) = (&report["end"], report["intervals"].as_array().unwrap());
        eprintln!("{server} {options}: {}", end["sum_sent"]["retransmits"]);
        // A stall would show as a second in which nothing was sent.
        for interval in intervals {
            assert!(interval["sum"]["bytes"].as_f64().unwrap() > 0.0, "{said}");
        }
        let received =
            if end["sum_received"].is_object() { &end["sum_received"] } else { &end["sum"] };
        received["bits_per_second"].as_f64().unwrap()
    }
}

impl Router {
    /// Ends it as a user does; what it said.
    fn end(&mut self) -> l3fwd::Outcome {
        let child = self.child.take().unwrap();
        let kill = format!("kill -INT {}", child.id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        l3fwd::finish(child)
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Only after a failure; it has ended by itself otherwise.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A cable from a host to where the router is, both ends called `name` and up.
fn lay_cable(name: &str, host: &Namespace, middle: &Namespace) {
    host.must(&format!("ip link add {name} type veth peer name {name} netns {}", middle.name));
    host.must(&format!("ip link set {name} up"));
    // That kernel is to have no part in it.
    middle.must(&format!("ip link set {name} addrgenmode none up"));
    let show = format!("ip link show dev {name}");
    let patience = Instant::now() + Duration::from_secs(10);
    while !middle.must(&show).contains("state UP") && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Reads what the child says until a line has `wanted` in it.
fn wait_for_line(child: &mut Child, wanted: &str) {
    use std::io::{BufRead, BufReader};
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(wanted)), "no {wanted:?}");
    // Who listens to the rest keeps the child from being cut off.
    std::thread::spawn(move || lines.for_each(drop));
}

// rows: PLT-06
#[test]
fn hosts_on_both_sides_reach_each_other_and_the_router() {
    let Some(bench) = Bench::new(1500) else { return };
    for (from, to) in
        [(&bench.west, EAST), (&bench.east, WEST), (&bench.west, ROUTER), (&bench.east, ROUTER)]
    {
        for address in [to.0, to.1] {
            let said = from.must(&format!("ping -n -c 5 -i 0.05 -W 10 {address}"));
            assert!(said.contains(" 0% packet loss"), "{said}");
        }
    }
    // Large ones too, in both directions: fragmented by the sender, put together by the receiver.
    for address in [EAST.0, EAST.1] {
        bench.west.must(&format!("ping -n -c 2 -i 0.05 -W 10 -s 8000 {address}"));
    }
    bench.finish();
}

#[test]
fn the_router_is_the_first_hop_of_a_traceroute() {
    let Some(bench) = Bench::new(1500) else { return };
    for (family, router, far) in [("-4", ROUTER.0, EAST.0), ("-6", ROUTER.1, EAST.1)] {
        // One at a time: the router's errors are limited.
        let said = bench.west.must(&format!("traceroute -n {family} -N 1 -q 1 -w 10 {far}"));
        let hops: Vec<Vec<&str>> =
            said.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        let hop = |n: usize| (hops[n][0], hops[n][1]);
        assert_eq!((hops.len(), hop(0), hop(1)), (2, ("1", router), ("2", far)), "{said}");
    }
    let report = bench.finish();
    assert!(report.contains("IpTtlExceeded"), "{report}");
}

#[test]
fn tcp_and_udp_flow_without_stalls() {
    let Some(bench) = Bench::new(1500) else { return };
    for server in [EAST.0, EAST.1] {
        for options in ["", "--reverse", "--udp --bitrate 2M --length 1000"] {
            let rate = bench.iperf(server, options);
            eprintln!("{server} {options}: {:.1} Mbit/s", rate / 1e6);
            assert!(rate > 5e5, "{server} {options}: {rate} bit/s");
        }
    }
    bench.finish();
}

#[test]
fn several_lcores_serve_the_ports_together() {
    let cpus = qfp::pal::lcore::allowed_cpus().unwrap();
    let [first, second, ..] = cpus.cpus() else { return eprintln!("skipped: there is one CPU") };
    let list = format!("{},{}", first.0, second.0);
    let Some(bench) = Bench::with(1400, &["--lcores", &list]) else { return };
    for address in [EAST.0, EAST.1] {
        // What the slow path sends leaves through either lcore. It holds some packets until the
        // neighbour is known, so one goes ahead.
        bench.west.must(&format!("ping -n -c 1 -W 10 {address}"));
        let said = bench.west.must(&format!("ping -n -c 20 -i 0.02 -W 10 {address}"));
        assert!(said.contains(" 0% packet loss"), "{said}");
        bench.west.must(&format!("ping -n -c 5 -i 0.05 -W 10 -s 8000 {address}"));
        assert!(bench.iperf(address, "") > 5e5);
    }
    bench.finish();
}

#[test]
fn the_path_mtu_is_found_across_a_narrow_link() {
    let Some(bench) = Bench::new(1400) else { return };
    // 1500 bytes of IPv4, not to be fragmented.
    let (_, said) = bench.west.run(&format!("ping -n -c 1 -W 10 -M do -s 1472 {}", EAST.0));
    assert!(said.contains("Frag needed and DF set (mtu = 1400)"), "{said}");
    assert!(said.contains(&format!("From {}", ROUTER.0)), "{said}");
    let (_, said) = bench.west.run(&format!("ping -n -c 1 -W 10 -M do -s 1452 {}", EAST.1));
    assert!(said.contains("Packet too big: mtu=1400"), "{said}");
    for address in [EAST.0, EAST.1] {
        let route = bench.west.must(&format!("ip route get {address}"));
        assert!(route.contains("mtu 1400"), "{route}");
        // What fits goes through, and so does what the sender fragments now.
        let fits = if address == EAST.0 { 1372 } else { 1352 };
        bench.west.must(&format!("ping -n -c 1 -W 10 -M do -s {fits} {address}"));
        bench.west.must(&format!("ping -n -c 1 -W 10 -s 4000 {address}"));
    }
    let report = bench.finish();
    assert!(report.contains("IpMtuExceeded"), "{report}");
}

#[test]
fn the_router_s_own_answers_are_cut_to_a_narrow_link() {
    let Some(bench) = Bench::new(1400) else { return };
    for address in ["10.2.0.1", "2001:db8:2::1"] {
        bench.east.must(&format!("ping -n -c 2 -i 0.05 -W 10 -s 4000 {address}"));
    }
    bench.finish();
}

#[test]
fn tcp_finds_the_path_mtu_by_itself() {
    let Some(bench) = Bench::new(1400) else { return };
    for server in [EAST.0, EAST.1] {
        let rate = bench.iperf(server, "");
        assert!(rate > 5e5, "{server}: {rate} bit/s");
        let route = bench.west.must(&format!("ip route get {server}"));
        assert!(route.contains("mtu 1400"), "{route}");
    }
    bench.finish();
}

#[test]
fn packets_that_may_be_fragmented_are_and_arrive_whole() {
    let Some(bench) = Bench::new(1400) else { return };
    bench.west.must(&format!("ping -n -c 3 -i 0.05 -W 10 -M dont -s 1472 {}", EAST.0));
    bench.west.must(&format!("ping -n -c 3 -i 0.05 -W 10 -M dont -s 5000 {}", EAST.0));
    let report = bench.finish();
    assert!(report.contains("fragments"), "{report}");
}

#[test]
fn what_cannot_be_reached_is_said_to_be_so() {
    let Some(bench) = Bench::new(1500) else { return };
    for (address, router) in [("192.0.2.1", ROUTER.0), ("2001:db8:dead::1", ROUTER.1)] {
        let (success, said) = bench.west.run(&format!("ping -n -c 1 -W 10 {address}"));
        assert!(!success && said.contains(&format!("From {router}")), "{said}");
        let no_route = ["Destination Net Unreachable", "Destination unreachable: No route"];
        assert!(no_route.iter().any(|wanted| said.contains(wanted)), "{said}");
    }
    for (address, router) in [("10.2.0.77", ROUTER.0), ("2001:db8:2::77", ROUTER.1)] {
        let (success, said) = bench.west.run(&format!("ping -n -c 1 -W 15 {address}"));
        assert!(!success && said.contains(&format!("From {router}")), "{said}");
        let no_host =
            ["Destination Host Unreachable", "Destination unreachable: Address unreachable"];
        assert!(no_host.iter().any(|wanted| said.contains(wanted)), "{said}");
    }
    bench.finish();
}

/// CPU time that the lcores of a program have used, in ticks of a hundredth of a second.
fn lcore_ticks(child: &Child) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let stat = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("stat"));
    let lcores = tasks.filter_map(|task| stat(task.ok()?).ok());
    let ticks = |stat: String| {
        let (name, rest) = stat.rsplit_once(')').unwrap();
        // User and system time are the 14th and 15th field, and the state is the third.
        let times = rest.split_whitespace().skip(11).take(2);
        name.contains("qfp-lcore")
            .then(|| times.map(|time| time.parse::<u64>().unwrap()).sum::<u64>())
    };
    lcores.filter_map(ticks).sum()
}

#[test]
fn a_device_that_vanishes_is_told_costs_no_cpu_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let stats = dir.path().join("stats.json");
    let options = ["--stats-json", stats.to_str().unwrap()];
    let Some(mut bench) = Bench::with(1500, &options) else { return };
    let pings = |bench: &Bench| bench.east.must("ping -n -c 3 -i 0.1 -W 10 10.2.0.1");
    let busy = |bench: &Bench| {
        let router = bench.router.child.as_ref().unwrap();
        let before = lcore_ticks(router);
        std::thread::sleep(Duration::from_secs(2));
        lcore_ticks(router) - before
    };
    let idle = busy(&bench);
    // Another device of the same name keeps the router from making its own again. It may be faster.
    let taken =
        || bench.west.run("ip link del west").0 && bench.west.run("ip link add west type bridge").0;
    assert!((0..10).any(|_| taken()));
    std::thread::sleep(Duration::from_secs(2));
    let gone = busy(&bench);
    assert!(gone <= 2 * idle + 20, "{gone} ticks of 200 with a device less, {idle} before");
    pings(&bench);
    let (success, said) = bench.east.run("ping -n -c 3 -i 0.2 -W 1 10.1.0.2");
    assert!(!success, "{said}");

    bench.west.must("ip link del west");
    let back = || bench.west.run("ip link show dev west").1.contains("LOWER_UP");
    let patience = Instant::now() + Duration::from_secs(30);
    while !back() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(100));
    }
    bench.attach(&bench.west, "west", WEST, ROUTER);
    let said = bench.west.must(&format!("ping -n -c 3 -i 0.1 -W 10 {}", ROUTER.0));
    assert!(said.contains(" 0% packet loss"), "{said}");
    pings(&bench);
    std::thread::sleep(Duration::from_millis(1500));

    let outcome = bench.router.end();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    // Where the router was faster, it has said that first.
    let [.., vanished, back] = lines[..] else { panic!("{lines:?}") };
    assert!(
        vanished.contains("port0 (tap:west@") && vanished.contains("has vanished"),
        "{lines:?}"
    );
    assert!(back.contains("port0 (tap:west@") && back.ends_with("link is up"), "{lines:?}");
    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    let port = &stats["ports"]["port0"];
    let losses = u64::try_from(lines.len() - 1).unwrap();
    assert_eq!((&port["link"], &port["link_losses"]), (&"up".into(), &losses.into()), "{port}");
    assert!(stats["drops"]["PortGone"].as_u64().unwrap() > 0, "{}", stats["drops"]);
}
