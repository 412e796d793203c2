//! Several lcores with one policer, and policies as large as they may be.

use std::fmt::Write;
use std::time::{Duration, Instant};

use qfp::Forwarder;
use qfp::client::config::Config;
use qfp::client::ea::Direction;
use qfp::pal::lcore::{CpuList, allowed_cpus};

use super::again::Live;
use super::{SECOND, at_once, class, class_of, from_west, ip, packets, router, station};
use crate::packets::{payload, udp};
use crate::router::route;

/// The total of what passes is that of one policer, whoever meets it with what.
#[test]
fn lcores_share_a_policer_and_its_total_is_exact() {
    let text = "policy-map P\n class class-default\n  police 8 mbps bc 1000000\n";
    let config = router(&[("west", "service_policy_in = \"P\"")], text);
    for lcores in [1, 2, 4] {
        let mut live = Live::new(&config, lcores);
        let frames = vec![from_west(&[], &ip(2, false, 982)); 1500];
        assert_eq!(live.send_on_all(0, &frames), 1000, "the burst, on {lcores}");
        assert_eq!(live.send_on_all(SECOND / 2, &frames), 500, "what half a second has earned");
        assert_eq!(live.send_on_all(SECOND / 2, &frames), 0);
        let all = 3 * 1500 * lcores as u64;
        assert_eq!(live.counts("class-default"), [all, 1500, all - 1500, all - 1500]);
    }
}

/// Two levels and three colours, at one moment: what the children share is exact as well.
#[test]
fn lcores_share_the_policers_of_a_hierarchy() {
    let text = "policy-map C\n class class-default\n  police cir 8 mbps bc 500000 be 300000\n   \
                conform-action transmit\n   exceed-action transmit\n   violate-action drop\n\
                policy-map P\n class class-default\n  police 8 mbps bc 700000\n  \
                service-policy C\n";
    let config = router(&[("west", "service_policy_in = \"P\"")], text);
    let mut live = Live::new(&config, 3);
    let frames = vec![from_west(&[], &ip(2, false, 982)); 1000];
    assert_eq!(live.send_on_all(0, &frames), 700);
}

/// The machine's own time and two inputs, each on an lcore of its own.
#[test]
fn a_policer_of_two_ports_inputs_passes_its_burst_and_what_time_earns() {
    let cpus = allowed_cpus().unwrap();
    let list: Vec<String> = cpus.cpus().iter().take(2).map(|cpu| cpu.0.to_string()).collect();
    if list.len() < 2 {
        return eprintln!("skipped: one CPU only");
    }
    let text = "policy-map P\n class class-default\n  police rate 10 pps burst 5000\n";
    let config = router(&[("east", "service_policy_out = \"P\"")], text);
    let config = config + "[[port]]\nname = \"north\"\naddress = [\"10.9.0.1/16\"]\n";
    let config = config + "[[route]]\nprefix = \"0.0.0.0/0\"\nvia = \"10.2.0.2\"\n";
    let mut config = Config::parse(&config, "two.toml").unwrap();
    for (port, device) in
        config.ports.iter_mut().zip(["synth:count=20000", "sink", "synth:count=30000"])
    {
        port.device = Some(device.to_owned());
    }
    let cpus = CpuList::parse(&list.join(",")).unwrap();
    let start = Instant::now();
    let running = Forwarder::new(config).buffers(4096).lcores(cpus).start().unwrap();
    assert!(running.wait(Duration::from_secs(120)), "it does not end");
    let report = running.join().unwrap();
    let most = 5000 + 10 * (start.elapsed().as_secs() + 1);
    assert!(report.conserved == Some(true) && report.lcores.len() == 2);
    let passed = report.ports[1].tx_packets;
    assert!((5000..=most).contains(&passed), "{passed}");
    assert_eq!(report.drops, [("Policer", 50_000 - passed)]);
    assert_eq!(report.classes[0].matched.packets, 50_000);
    assert_eq!(report.classes[0].conform.packets, passed);
}

/// LIM-08 and LIM-09 at once: classes of eight lists any of which may permit, and classes of eight
/// matches all of which must hold.
#[test]
fn a_policy_of_1024_classes_with_8_matches_each_is_compiled_and_classifies() {
    const CLASSES: u16 = 1024;
    let (mut text, mut lists) = (String::new(), String::new());
    let mut policy = String::from("policy-map P\n");
    for class in 0..CLASSES {
        let port = 1000 + 8 * class;
        if class % 2 == 0 {
            let _ = writeln!(text, "class-map match-any C{class}");
            for n in 0..8 {
                let _ = writeln!(
                    lists,
                    "ip access-list extended L{class}-{n}\n permit udp any any eq {}",
                    port + n
                );
                let _ = writeln!(text, " match access-group name L{class}-{n}");
            }
        } else {
            let _ = writeln!(
                lists,
                "ip access-list extended L{class}\n permit udp any any range {port} {}",
                port + 7
            );
            let _ = writeln!(
                text,
                "class-map match-all C{class}\n match access-group name L{class}\n \
                 match dscp default\n match precedence routine\n match protocol udp\n \
                 match packet length min 60 max 200\n match not cos 5\n match qos-group 0\n \
                 match not vlan 100"
            );
        }
        let _ = writeln!(policy, " class C{class}\n  set dscp {}", class % 63 + 1);
    }
    let config = router(&[("west", "service_policy_in = \"P\"")], &format!("{text}{policy}"))
        + &format!("[[acl]]\ntext = '''\n{lists}'''\n");

    let start = Instant::now();
    Config::parse(&config, "large.toml").unwrap();
    let read = start.elapsed();
    let start = Instant::now();
    drop(Live::new(&config, 1));
    let committed = start.elapsed();
    println!(
        "1024 classes of 8 matches: read in {read:?}, read and committed in {committed:?}, unoptimised"
    );

    let to = |class: u16| {
        let port = 1000 + 8 * class + class % 8;
        udp(&station(1, false), &station(2, false), 64, (9, port), &payload(40))
    };
    let received = at_once(&(0..CLASSES).map(to).collect::<Vec<_>>());
    let run = route(&config, &[&received]);
    let found: Vec<u8> = run.frames(1).iter().map(|frame| class_of(&frame[14..]) >> 2).collect();
    let wanted: Vec<u8> = (1..=63).cycle().take(CLASSES.into()).collect();
    assert_eq!(found, wanted);
    for number in 0..CLASSES {
        let class = class(&run, "west", Direction::In, &format!("C{number}"));
        assert_eq!(packets(class)[0], 1, "C{number}");
    }
}
