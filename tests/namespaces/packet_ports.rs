//! The router on interfaces of a kernel's, whose other ends leave checksums, segmentation and tags to
//! a device that is not there.

use std::time::Duration;

use crate::{Bench, EAST, ROUTER, WEST, lay_cable};

// rows: PLT-06
#[test]
fn hosts_reach_each_other_and_the_router() {
    let Some(bench) = Bench::start(true, "", &[]) else { return };
    for (from, to) in [(&bench.west, EAST), (&bench.east, WEST), (&bench.west, ROUTER)] {
        for address in [to.0, to.1] {
            let said = from.must(&format!("ping -n -c 5 -i 0.05 -W 10 {address}"));
            assert!(said.contains(" 0% packet loss"), "{said}");
            from.must(&format!("ping -n -c 2 -i 0.05 -W 10 -s 8000 {address}"));
        }
    }
    bench.finish();
}

#[test]
fn tcp_and_udp_flow_though_hosts_leave_segmentation_to_a_device() {
    let cpus = qfp::pal::lcore::allowed_cpus().unwrap();
    let [first, second, ..] = cpus.cpus() else { return eprintln!("skipped: there is one CPU") };
    let both = format!("{},{}", first.0, second.0);
    for lcores in [first.0.to_string(), both] {
        let Some(bench) = Bench::start(true, "", &["--lcores", &lcores]) else { return };
        for server in [EAST.0, EAST.1] {
            for (options, least) in
                [("", 20e6), ("--reverse", 20e6), ("--udp --bitrate 2M --length 1000", 5e5)]
            {
                let rate = bench.iperf(server, options);
                eprintln!("{server} {options}: {:.1} Mbit/s", rate / 1e6);
                // What large frames alone could bring over by being sent again is far less.
                assert!(rate > least, "{server} {options}: {rate} bit/s");
            }
        }
        bench.finish();
    }
}

#[test]
fn tagged_frames_stay_what_they_are() {
    let vlan = "[[port.vlan]]\nid = 100\naddress = [\"10.3.0.1/24\", \"2001:db8:3::1/64\"]";
    let Some(bench) = Bench::start(true, vlan, &[]) else { return };
    let (has_vlans, said) = bench.east.run("ip link add link east name east.100 type vlan id 100");
    if !has_vlans {
        return eprintln!("skipped: no VLAN interfaces: {said}");
    }
    bench.east.must("ip addr add 10.3.0.2/24 dev east.100");
    bench.east.must("ip addr add 2001:db8:3::2/64 dev east.100 nodad");
    bench.east.must("ip link set east.100 up");
    for address in ["10.3.0.2", "2001:db8:3::2"] {
        let said = bench.west.must(&format!("ping -n -c 5 -i 0.05 -W 10 -s 1452 {address}"));
        assert!(said.contains(" 0% packet loss"), "{said}");
        assert!(bench.iperf(address, "") > 20e6);
        assert!(bench.iperf(address, "--reverse") > 20e6);
    }
    bench.finish();
}

#[test]
fn an_interface_that_is_deleted_and_made_again_is_forwarded_on() {
    let Some(mut bench) = Bench::start(true, "", &[]) else { return };
    let middle = bench.middle.as_ref().unwrap();
    bench.west.must("ping -n -c 2 -i 0.1 -W 10 10.2.0.2");
    middle.must("ip link del west");
    std::thread::sleep(Duration::from_millis(1500));
    bench.east.must("ping -n -c 2 -i 0.1 -W 10 10.2.0.1");
    lay_cable("west", &bench.west, middle);
    bench.attach(&bench.west, "west", WEST, ROUTER);
    for address in [ROUTER.0, ROUTER.1, EAST.0, EAST.1] {
        bench.west.must(&format!("ping -n -c 5 -i 0.5 -W 10 {address}"));
    }
    let outcome = bench.router.end();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    let [vanished, .., back] = lines[..] else { panic!("{lines:?}") };
    assert!(vanished.contains("(packet:west@") && vanished.contains("vanished"), "{lines:?}");
    assert!(back.contains("(packet:west@") && back.ends_with("link is up"), "{lines:?}");
}
