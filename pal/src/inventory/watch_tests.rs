#![allow(unsafe_code, reason = "gives a test thread its own network namespace")]

use super::{InterfaceEvent, InterfaceWatch, difference};
use crate::inventory::{IfIndex, Interface, net_dev_counters};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const VETHS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(20);

fn interface(index: u32, mtu: u32) -> (IfIndex, Interface) {
    let ifindex = IfIndex(index);
    (ifindex, Interface { ifindex, name: format!("eth{index}"), mtu, ..Interface::default() })
}

#[test]
fn a_difference_removes_then_adds_and_changes() {
    use InterfaceEvent::{Added, Changed, Removed};
    let before = BTreeMap::from([interface(1, 1500), interface(2, 1500), interface(3, 1500)]);
    let after = BTreeMap::from([interface(1, 1500), interface(2, 9000), interface(4, 1500)]);
    let expected = vec![
        Removed(interface(3, 1500).1),
        Changed { before: interface(2, 1500).1, after: interface(2, 9000).1 },
        Added(interface(4, 1500).1),
    ];
    assert_eq!(difference(&before, &after), expected);
    assert!(difference(&after, &after).is_empty());
}

// rows: PLT-02
#[test]
fn ports_are_ordered_by_pci_address_and_then_by_name() {
    let on = |name: &str, pci: Option<&str>| Interface {
        name: name.into(),
        pci: pci.and_then(crate::inventory::PciAddress::parse),
        ..Interface::default()
    };
    let mut ports = [
        on("tap10", None),
        on("tap9", None),
        on("a", Some("0000:05:00.1")),
        on("b", Some("0000:05:00.0")),
    ];
    ports.sort_by(Interface::port_order);
    assert_eq!(ports.map(|port| port.name), ["b", "a", "tap9", "tap10"]);
}

/// Runs `body` on a thread in a fresh network namespace, or says why it cannot.
fn in_own_namespace(body: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: changes this thread's namespace only, and the thread ends with the test.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("skipped: no network namespace: {}", std::io::Error::last_os_error());
        } else if ip(&["link add qfp-probe type veth"]).is_none() {
            eprintln!("skipped: cannot run `ip link add` for veth interfaces");
        } else {
            ip(&["link del qfp-probe"]).unwrap();
            body();
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` commands in this thread's namespace, which child processes inherit.
fn ip<S: AsRef<str>>(lines: &[S]) -> Option<()> {
    use std::io::Write;
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let text: String = lines.iter().map(|line| format!("{}\n", line.as_ref())).collect();
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    child.wait().ok()?.success().then_some(())
}

/// Reads events until `enough` says so.
fn events_until(
    watch: &mut InterfaceWatch,
    enough: impl Fn(&[InterfaceEvent]) -> bool,
) -> Vec<InterfaceEvent> {
    let start = Instant::now();
    let mut events = Vec::new();
    while !enough(&events) {
        assert!(start.elapsed() < PATIENCE, "only {events:#?}");
        events.extend(watch.next(Duration::from_millis(200)).unwrap());
    }
    events
}

fn add_veths() {
    let lines: Vec<_> =
        (0..VETHS).map(|n| format!("link add qa{n} type veth peer name qb{n}")).collect();
    ip(&lines).unwrap();
}

fn names(interfaces: impl IntoIterator<Item = Interface>) -> BTreeSet<String> {
    interfaces.into_iter().map(|interface| interface.name).collect()
}

fn expected_names() -> BTreeSet<String> {
    (0..VETHS).flat_map(|n| [format!("qa{n}"), format!("qb{n}")]).collect()
}

// rows: PLT-04
#[test]
#[cfg_attr(miri, ignore = "no netlink under miri")]
fn every_veth_is_seen_coming_changing_and_going() {
    in_own_namespace(|| {
        assert!(net_dev_counters().unwrap().is_empty());
        let mut watch = InterfaceWatch::open().unwrap();
        assert!(watch.interfaces().is_empty(), "the loopback is left out");

        add_veths();
        let added = |event: &InterfaceEvent| match event {
            InterfaceEvent::Added(interface) => Some(interface.clone()),
            _ => None,
        };
        let events =
            events_until(&mut watch, |events| events.iter().filter_map(added).count() == 2 * VETHS);
        assert_eq!(names(events.iter().filter_map(added)), expected_names());
        assert_eq!(names(watch.interfaces()), expected_names());
        let from_proc = net_dev_counters().unwrap().into_iter().map(|dev| dev.name);
        assert_eq!(from_proc.collect::<BTreeSet<_>>(), expected_names());

        // A second watch finds the same by its list alone, in the same order.
        let listed = InterfaceWatch::open().unwrap().interfaces();
        assert_eq!(listed, watch.interfaces());
        assert_eq!([&listed[2].name, &listed[10].name], ["qa2", "qa10"]);
        assert!(listed.iter().all(|port| port.mac.is_some() && port.mtu == 1500));

        ip(&[
            "link set qa3 mtu 9000 address 02:00:00:00:00:07",
            "link set qa3 up",
            "link set qb3 up",
        ])
        .unwrap();
        let ready = |event: &InterfaceEvent| {
            matches!(event, InterfaceEvent::Changed { after, .. }
                if after.name == "qa3" && after.admin_up && after.carrier && after.mtu == 9000
                    && after.mac == Some([2, 0, 0, 0, 0, 7]))
        };
        events_until(&mut watch, |events| events.iter().any(ready));

        ip(&["link del qa3"]).unwrap();
        let removed = |name: &str, events: &[InterfaceEvent]| {
            events.iter().any(|it| matches!(it, InterfaceEvent::Removed(old) if old.name == name))
        };
        events_until(&mut watch, |events| removed("qa3", events) && removed("qb3", events));
        assert_eq!(watch.interfaces().len(), 2 * VETHS - 2);
    });
}

#[test]
#[cfg_attr(miri, ignore = "no netlink under miri")]
fn when_the_kernel_drops_events_the_difference_is_found_by_listing() {
    in_own_namespace(|| {
        let mut watch = InterfaceWatch::with_receive_buffer(2048).unwrap();
        add_veths();
        let resync = |events: &[InterfaceEvent]| {
            events.iter().any(|event| matches!(event, InterfaceEvent::Resync(_)))
        };
        events_until(&mut watch, resync);
        // What was queued before the loss may still repeat itself; the list is right at once.
        while watch.next(Duration::from_millis(100)).unwrap().is_some() {}
        assert_eq!(names(watch.interfaces()), expected_names());
    });
}
