//! Our side: `l3fwd` with a port to the stranger, `wan`, and one to the network behind us, `lan`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::Value;

use crate::agreement::{Agreement, From, V4, V6, gateway, ours};
use crate::capture::{self, Timed};
use crate::namespaces::Namespace;
use crate::{apart, l3fwd};

/// Our address in the network between the gateways.
pub(crate) const WAN_MAC: &str = "02:00:00:00:01:01";
/// The stranger's there.
pub(crate) const STRANGER_MAC: &str = "02:00:00:00:01:02";

/// What an SA has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) packets: u64,
    /// Bytes of inner packets.
    pub(crate) bytes: u64,
    /// Packets that were refused.
    pub(crate) failed: u64,
}

/// The configuration, in a folder with its keys.
struct Config {
    folder: tempfile::TempDir,
    file: PathBuf,
    /// All of it but what is agreed.
    ports: String,
}

impl Config {
    fn new(wan: &str, lan: &str, agreements: &[Agreement], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = format!(
            "[ipsec]\nstate_dir = '{}'\n\
             [[port]]\nname = \"wan\"\ndevice = \"{wan}\"\nmac = \"{WAN_MAC}\"\n\
             address = [\"203.0.113.1/24\", \"2001:db8:ff::1/64\"]\n\
             [[port]]\nname = \"lan\"\ndevice = \"{lan}\"\nmac = \"02:00:00:00:02:01\"\n\
             address = [\"10.1.0.1/24\", \"2001:db8:1::1/64\"]\n{more}",
            folder.path().join("states").display()
        );
        let file = folder.path().join("router.toml");
        let config = Self { folder, file, ports };
        config.agree(agreements);
        config
    }

    /// Makes these what is agreed.
    fn agree(&self, agreements: &[Agreement]) {
        let folder = self.folder.path();
        let agreed: String = agreements.iter().map(|agreement| agreement.toml(folder)).collect();
        std::fs::write(&self.file, format!("{}{agreed}", self.ports)).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = l3fwd::command();
        command.arg("--config").arg(&self.file).arg("--stats-json").arg(self.stats());
        command
    }

    /// Lets the numbers of all SAs go on behind `used`, as after a run that has sent so many packets.
    fn go_on_behind(&self, used: u64) {
        // A run without packets notes which keys it has.
        let mut command = self.command();
        let child = command.args(["--port", "sink", "--port", "sink"]).spawn().unwrap();
        let outcome = l3fwd::finish(child);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
        crate::marks::set_all(&self.folder.path().join("states"), used);
    }

    fn stats(&self) -> PathBuf {
        self.folder.path().join("stats.json")
    }

    /// Waits for the end of a run that must be a good one.
    fn finish(self, child: Child) -> Report {
        let outcome = l3fwd::finish(child);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
        let stats = std::fs::read_to_string(self.stats()).unwrap();
        let report = Report { stats: serde_json::from_str(&stats).unwrap() };
        assert_eq!(report.stats["conserved"], true, "{stats}");
        report
    }
}

/// What a run reported.
#[derive(Debug)]
pub(crate) struct Report {
    stats: Value,
}

impl Report {
    /// Packets that crypto engines on lcores of their own were handed.
    pub(crate) fn handed_over(&self) -> u64 {
        self.stats["crypto_engines"]["handed_over"].as_u64().unwrap_or(0)
    }

    /// Counters of the SA of that name.
    pub(crate) fn sa(&self, name: &str) -> Used {
        let sa = &self.stats["ipsec"]["sas"][name];
        let count = |value: &Value| value.as_u64().unwrap();
        let failures = sa["failures"].as_object().unwrap();
        Used {
            packets: count(&sa["packets"]),
            bytes: count(&sa["bytes"]),
            failed: failures.values().map(count).sum(),
        }
    }
}

/// A router that runs between two namespaces, with TAP devices `wan` and `lan` in them.
pub(crate) struct Live {
    child: Option<Child>,
    config: Option<Config>,
}

impl Live {
    pub(crate) fn start(wan: &Namespace, lan: &Namespace, agreements: &[Agreement]) -> Self {
        Self::with((wan, lan), agreements, &[])
    }

    /// As [`start`](Self::start), with more options of `l3fwd`.
    pub(crate) fn with(
        (wan, lan): (&Namespace, &Namespace),
        agreements: &[Agreement],
        options: &[&str],
    ) -> Self {
        let [wan_spec, lan_spec] = [("wan", wan), ("lan", lan)]
            .map(|(name, namespace)| format!("tap:{name}@{}", namespace.name));
        let asks = !agreements.iter().any(|agreement| agreement.transport);
        let more = if asks { String::new() } else { neighbours() };
        let config = Config::new(&wan_spec, &lan_spec, agreements, &more);
        if let Some(used) = agreements.iter().find_map(|agreement| agreement.used) {
            config.go_on_behind(used.into());
        }
        let child = config.command().args(options).args(apart::options()).spawn().unwrap();
        let running = l3fwd::is_running(&child);
        let mut live = Self { child: Some(child), config: Some(config) };
        if !running {
            panic!("{:?}", l3fwd::finish(live.child.take().unwrap()));
        }
        // Nobody but the stranger and the host shall speak there.
        for (namespace, device) in [(wan, "wan"), (lan, "lan")] {
            assert!(namespace.must(&format!("ip link show dev {device}")).contains("LOWER_UP"));
        }
        wan.must("sysctl -q net.ipv6.conf.wan.disable_ipv6=1");
        for line in [
            "ip addr add 10.1.0.2/24 dev lan",
            "ip addr add 2001:db8:1::2/64 dev lan nodad",
            "ip route add default via 10.1.0.1",
            "ip route add default via 2001:db8:1::1",
        ] {
            lan.must(line);
        }
        live
    }

    /// Lets it take the SAs of these in place of those that it has.
    pub(crate) fn rekey(&mut self, agreements: &[Agreement]) {
        self.config.as_ref().unwrap().agree(agreements);
        let child = self.child.as_mut().unwrap();
        signal(child, "-HUP");
        let mut said = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "l3fwd: the SAs are those that the configuration has now\n");
    }

    /// Ends it; what it reports.
    pub(crate) fn finish(mut self) -> Report {
        let child = self.child.take().unwrap();
        signal(&child, "-INT");
        self.config.take().unwrap().finish(child)
    }
}

fn signal(child: &Child, signal: &str) {
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Only after a failure; it has ended by itself otherwise.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Frames that a router between two captures has sent.
pub(crate) struct Replayed {
    pub(crate) wan: Vec<Timed>,
    pub(crate) lan: Vec<Timed>,
    pub(crate) report: Report,
}

/// Routes captures of both ports.
pub(crate) fn replay(wan: &[Timed], lan: &[Timed], agreements: &[Agreement]) -> Replayed {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let port = |name: &str, frames: &[Timed]| {
        let (input, output) = (path(&format!("{name}-in.pcap")), path(&format!("{name}-out.pcap")));
        capture::write(&input, frames);
        (format!("pcap:rx={},tx={}", input.display(), output.display()), output)
    };
    let ((wan_spec, wan_out), (lan_spec, lan_out)) = (port("wan", wan), port("lan", lan));
    let config = Config::new(&wan_spec, &lan_spec, agreements, &neighbours());
    let child = config.command().spawn().unwrap();
    let report = config.finish(child);
    let read = |path: &Path| capture::read(path);
    Replayed { wan: read(&wan_out), lan: read(&lan_out), report }
}

/// Who is next to a router that cannot ask.
fn neighbours() -> String {
    let neighbour = |address: &str, mac: &str| {
        format!("[[neighbor]]\naddress = \"{address}\"\nmac = \"{mac}\"\n")
    };
    let families = [V4, V6].into_iter();
    let around = families.map(|family| {
        neighbour(&gateway(From::Them, family).to_string(), STRANGER_MAC)
            + &neighbour(ours(family).0, "02:00:00:00:02:02")
    });
    around.collect()
}
