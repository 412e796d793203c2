//! A generator floods the router as fast as one of its lcores can receive, while a kernel behind
//! another port pings it, asks for its MAC address and is told when a TTL runs out.

use std::process::Command;
use std::time::Duration;

use crate::namespaces::{Namespace, has_programs};
use crate::{TURN, l3fwd};

/// Where a flood goes, and what the report must say that it met.
const FLOODS: [(&str, &str); 4] = [
    // The router itself.
    ("10.1.0.1/32", "UDP-default from west"),
    // Neighbours that are not there.
    ("10.3.0.0/16", "Glean from west"),
    // Nowhere.
    ("192.0.2.0/24", "Unreachable from west"),
    // A local group.
    ("224.0.0.5/32", "from west"),
];

/// Runs the router under a flood; pings that were sent and not answered, and its report.
fn flooded(dst: &str, options: &[&str]) -> Option<(u32, String)> {
    let east = Namespace::new("east")?;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let prefixes = file("dst", format!("{dst}\n"));
    let config = format!(
        "[[port]]\nname = \"west\"\ndevice = \"synth:size=64,flows=65536,dst={prefixes}\"\n\
         address = [\"10.1.0.1/24\"]\n\
         [[port]]\nname = \"east\"\ndevice = \"tap:east@{}\"\n\
         address = [\"10.2.0.1/24\", \"2001:db8:2::1/64\"]\n\
         [[port]]\nname = \"third\"\ndevice = \"sink\"\naddress = [\"10.3.0.1/16\"]\n",
        east.name
    );
    let config = file("router.toml", config);
    let child = l3fwd::command().args(["--config", &config]).args(options).spawn().unwrap();
    assert!(l3fwd::is_running(&child));
    east.must("ip addr add 10.2.0.2/24 dev east");
    east.must("ip addr add 2001:db8:2::2/64 dev east nodad");
    east.must("ip route add default via 10.2.0.1");
    // On a machine that has other work an answer may take long. It comes all the same.
    let mut lost = 0;
    // One at a time: behind answers, ping waits for the last ones no longer than twice their time.
    let mut ping = |line: &str| {
        let (_, said) = east.run(line);
        let summary = said.lines().find(|line| line.contains("packets transmitted"));
        let numbers: Vec<u32> =
            summary.unwrap_or("").split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert!(numbers.len() > 1, "{line}: {said}");
        lost += numbers[0] - numbers[1];
    };
    for _ in 0..3 {
        for _ in 0..20 {
            ping("ping -n -c 1 -W 10 10.2.0.1");
            ping("ping -n -c 1 -W 10 2001:db8:2::1");
        }
        // ARP and neighbour discovery again.
        east.must("ip neigh flush dev east");
    }
    // Time exceeded, and answers to ARP requests alone.
    for _ in 0..5 {
        let (_, said) = east.run("ping -n -c 1 -t 1 -W 10 10.1.0.9");
        lost += u32::from(!said.contains("Time to live exceeded"));
        std::thread::sleep(Duration::from_millis(100));
    }
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let outcome = l3fwd::finish(child);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
    Some((lost, outcome.stdout))
}

fn nothing_is_lost(options: &[&str]) {
    if !has_programs(&["ip", "ping", "kill"]) {
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (dst, met) in FLOODS {
        let Some((lost, report)) = flooded(dst, options) else { return };
        assert!(report.contains(met), "{dst}: {report}");
        assert_eq!(lost, 0, "{dst}: {report}");
    }
}

#[test]
fn a_flood_at_one_port_costs_a_host_behind_another_no_answer() {
    nothing_is_lost(&[]);
}

#[test]
fn nor_with_two_lcores() {
    let cpus = qfp::pal::lcore::allowed_cpus().unwrap();
    let [first, second, ..] = cpus.cpus() else { return eprintln!("skipped: there is one CPU") };
    nothing_is_lost(&["--lcores", &format!("{},{}", first.0, second.0)]);
}
