use qfp::pal::inventory::{IfIndex, PciAddress};

use super::*;

fn interface(ifindex: u32, name: &str, pci: Option<&str>) -> Interface {
    Interface {
        ifindex: IfIndex(ifindex),
        name: name.to_owned(),
        mac: Some([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        pci: pci.and_then(PciAddress::parse),
        ..Interface::default()
    }
}

fn gethd(dir: &Path, interfaces: Vec<Interface>) -> Gethd {
    let state = State { interfaces, mapping: Mapping::load(dir).unwrap(), in_force: None };
    Gethd { state: Mutex::new(state), journal: Journal::to_stderr() }
}

/// Port and device of each port of `[discover]` with these patterns.
fn ports(gethd: &Gethd, patterns: &str) -> Vec<(String, String)> {
    let text = format!("[discover]\ninterfaces = [{patterns}]\nname = \"Gi{{}}\"\n");
    let config = gethd.complete(Config::parse(&text, "test").unwrap(), true);
    config.ports.into_iter().map(|port| (port.name, port.device.unwrap())).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(port, name): &(&str, &str)| ((*port).to_owned(), format!("packet:{name}"));
    all.iter().map(pair).collect()
}

// rows: PLT-02
#[test]
fn numbers_stay_over_restarts_whatever_comes_goes_or_is_renamed() {
    let dir = tempfile::tempdir().unwrap();
    let (pci_a, pci_b) = (Some("0000:00:03.0"), Some("0000:00:04.0"));
    let first =
        || vec![interface(2, "w3a", pci_a), interface(3, "w3b", pci_b), interface(4, "w3v", None)];
    for _ in 0..10 {
        let seen = ports(&gethd(dir.path(), first()), "\"w3*\"");
        assert_eq!(seen, pairs(&[("Gi1", "w3a"), ("Gi2", "w3b"), ("Gi3", "w3v")]));
    }
    // One with an earlier place comes, one is called otherwise, one is away.
    let now = vec![
        interface(7, "w30", Some("0000:00:01.0")),
        interface(2, "w3z", pci_a),
        interface(4, "w3v", None),
    ];
    let later = gethd(dir.path(), now);
    let seen = ports(&later, "\"w3*\"");
    assert_eq!(seen, pairs(&[("Gi1", "w3z"), ("Gi3", "w3v"), ("Gi4", "w30")]));
    let told = later.mapping();
    let told: Vec<_> = told
        .iter()
        .map(|one| (one.port.as_str(), one.kernel.as_str(), one.state.as_str()))
        .collect();
    let (z, b, v, o) = (("Gi1", "w3z"), ("Gi2", "w3b"), ("Gi3", "w3v"), ("Gi4", "w30"));
    assert_eq!(
        told,
        [(z.0, z.1, "down"), (b.0, b.1, "absent"), (v.0, v.1, "down"), (o.0, o.1, "down")]
    );
    // And back.
    let seen = ports(&gethd(dir.path(), first()), "\"w3*\"");
    assert_eq!(seen, pairs(&[("Gi1", "w3a"), ("Gi2", "w3b"), ("Gi3", "w3v")]));
}

#[test]
fn what_is_only_looked_at_gives_no_numbers_away() {
    let dir = tempfile::tempdir().unwrap();
    let gethd = gethd(dir.path(), vec![interface(2, "w3a", None), interface(3, "w3b", None)]);
    let config = Config::parse("[discover]\ninterfaces = [\"w3*\"]\n", "test").unwrap();
    assert_eq!(gethd.complete(config, false).ports.len(), 2);
    assert_eq!(ports(&gethd, "\"w3b\""), pairs(&[("Gi1", "w3b")]));
    assert_eq!(std::fs::read_to_string(dir.path().join("interfaces")).unwrap(), "1 - w3b\n");
}

#[test]
fn devices_of_ports_and_what_is_no_ethernet_interface_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut tunnel = interface(5, "w3t", None);
    tunnel.mac = None;
    let all = vec![
        interface(2, "w3a", None),
        interface(3, "w3b", None),
        interface(4, "w3c", None),
        tunnel,
    ];
    let gethd = gethd(dir.path(), all);
    let text = "[discover]\ninterfaces = [\"w3*\"]\n[[port]]\ndevice = \"packet:w3a\"\n\
                [[port]]\ndevice = \"tap:w3b,persist\"\n";
    let config = gethd.complete(Config::parse(text, "test").unwrap(), true);
    let devices: Vec<_> = config.ports.into_iter().map(|port| port.device.unwrap()).collect();
    assert_eq!(devices, ["packet:w3a", "tap:w3b,persist", "packet:w3c"]);
}

#[test]
fn an_event_counts_only_if_other_ports_follow_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (interface(2, "w3a", None), interface(3, "w3b", None));
    let gethd = gethd(dir.path(), vec![a.clone()]);
    assert!(!gethd.hear(vec![a.clone(), b.clone()]), "no configuration asks for any");
    assert_eq!(ports(&gethd, "\"w3a\"").len(), 1);
    assert!(!gethd.hear(vec![a.clone()]));
    let smaller = Interface { mtu: 1400, ..a.clone() };
    assert!(gethd.hear(vec![smaller.clone()]));
    assert_eq!(ports(&gethd, "\"w3*\"").len(), 1);
    let up = Interface { carrier: true, admin_up: true, ..smaller.clone() };
    assert!(!gethd.hear(vec![up.clone()]), "links are the data plane's");
    assert!(gethd.hear(vec![up.clone(), b]));
    assert_eq!(ports(&gethd, "\"w3*\"").len(), 2);
    assert!(gethd.hear(vec![up]));
    assert_eq!(ports(&gethd, "\"w3*\"").len(), 1);
}

#[test]
fn a_damaged_mapping_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    for (text, line) in [
        ("1 - w3a\n2\n", 2),
        ("0 - w3a\n", 1),
        ("1 - w3a\n1 - w3b\n", 2),
        ("1 - w3a\n2 - w3a\n", 2),
        ("1 nonsense w3a\n", 1),
    ] {
        std::fs::write(dir.path().join("interfaces"), text).unwrap();
        let error = Mapping::load(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("interfaces:{line}: ")) && !error.contains('\n'),
            "{error}"
        );
    }
}
