use super::*;

mod acl;
mod ipsec;
mod qos;

/// Two ports and a VLAN, with which everything below agrees but for what it shows.
const GOOD: &str = r#"
[[port]]
device = "pcap:rx=in.pcap"
mac = "02:00:00:00:00:01"
address = ["192.0.2.1/24", "2001:db8::1/64"]

[[port.vlan]]
id = 5
address = ["198.51.100.1/24"]

[[port]]
device = "sink"
address = ["203.0.113.1/24"]

[[route]]
prefix = "10.0.0.0/8"
via = "192.0.2.2"

[[neighbor]]
address = "192.0.2.2"
mac = "02:00:00:00:00:02"
"#;

fn check(text: &str) -> Result<Config, ConfigError> {
    let config = Config::parse(text, "c.toml")?;
    config.validate()?;
    Ok(config)
}

/// The error of `text`, which must be one line.
fn error(text: &str) -> String {
    let error = check(text).expect_err(text).to_string();
    assert!(!error.contains('\n'), "more than one line: {error:?}");
    error
}

/// The error of the good configuration with `more` behind it, at line `line` of `more`.
fn error_after_good(more: &str, line: usize) -> String {
    let error = error(&format!("{GOOD}{more}"));
    let place = format!("c.toml:{}: ", GOOD.lines().count() + line);
    error.strip_prefix(&place).unwrap_or_else(|| panic!("{error:?} is not at {place}")).to_owned()
}

#[test]
fn a_configuration_is_read_with_its_defaults() {
    let config = check(GOOD).unwrap();
    let [first, second] = &config.ports[..] else { panic!() };
    assert_eq!((&*first.name, first.mtu, first.mac_filter), ("port0", 1500, None));
    assert_eq!(first.device.as_deref(), Some("pcap:rx=in.pcap"));
    assert_eq!(first.layer3.addresses[0].to_string(), "192.0.2.1/24");
    assert_eq!(first.vlans[0].name, "port0.5");
    assert_eq!(first.vlans[0].tpid, Tpid::Dot1q);
    assert_eq!(second.name, "port1");
    assert_eq!(config.routes[0].weight, 1);
}

#[test]
fn a_double_tag_has_a_name_and_a_type_of_its_own() {
    let text = format!(
        "{GOOD}\n[[port]]\ndevice = \"sink\"\nname = \"wan\"\n[[port.vlan]]\nid = 5\ninner = 7\n"
    );
    let config = check(&text).unwrap();
    let vlan = &config.ports[2].vlans[0];
    assert_eq!((&*vlan.name, vlan.tpid.ethertype()), ("wan.5.7", 0x88a8));
}

#[test]
fn interfaces_are_found_by_name_and_by_address() {
    let config = check(GOOD).unwrap();
    let interfaces = Interfaces::new(&config);
    assert_eq!(interfaces.named("port0.5"), Some(InterfaceId(1)));
    assert_eq!(interfaces.named("port1"), Some(InterfaceId(2)));
    let (port, _) = interfaces.get(InterfaceId(2)).port().unwrap();
    assert_eq!(port, 1);
    assert_eq!(interfaces.connected(None, "198.51.100.9".parse().unwrap()), Some(InterfaceId(1)));
    assert_eq!(interfaces.connected(None, "2001:db8::9".parse().unwrap()), Some(InterfaceId(0)));
    assert_eq!(interfaces.connected(None, "8.8.8.8".parse().unwrap()), None);
    assert_eq!(interfaces.owner(None, "203.0.113.1".parse().unwrap()), Some(InterfaceId(2)));
    let address = "192.0.2.2".parse().unwrap();
    assert_eq!(
        interfaces.resolve(config.routes[0].prefix, &config.routes[0].target).unwrap(),
        Hop::Via { interface: InterfaceId(0), address }
    );
    assert_eq!(interfaces.locate(&config.neighbours[0]).unwrap(), InterfaceId(0));
}

#[test]
fn what_is_unusual_but_sensible_is_accepted() {
    for more in [
        "[[route]]\nprefix = \"0.0.0.0/0\"\ndrop = true\n",
        "[[route]]\nprefix = \"11.0.0.0/8\"\ndev = \"port0.5\"\n",
        "[[route]]\nprefix = \"::/0\"\nvia = \"fe80::1\"\ndev = \"port1\"\n",
        "[[route]]\nprefix = \"10.0.0.0/8\"\nvia = \"198.51.100.2\"\nweight = 3\n",
        "[[route]]\nprefix = \"12.0.0.0/8\"\nvia = \"9.9.9.9\"\ndev = \"port1\"\n",
        "[[neighbour]]\naddress = \"fe80::1\"\nmac = \"02:00:00:00:00:09\"\ndev = \"port1\"\n",
        "[[neighbor]]\naddress = \"192.0.2.2\"\nmac = \"0200.0000.0002\"\n",
        "[[port]]\ndevice = \"sink\"\naddress = [\"10.9.9.0/31\", \"10.9.8.1/24\", \"10.9.8.2/24\"]\n",
        "[[port]]\ndevice = \"sink\"\naddress = [\"fe80::1/64\"]\n\
         [[port]]\ndevice = \"sink\"\naddress = [\"fe80::1/64\"]\n",
        "[[port]]\ndevice = \"sink\"\n[[port.vlan]]\nid = 5\n[[port.vlan]]\nid = 5\ninner = 5\n",
        "[[port]]\ndevice = \"sink\"\nmtu = 68\n[[port.vlan]]\nid = 5\n",
        "[[port]]\ndevice = \"sink\"\nshutdown = true\npromiscuous = true\nmac_filter = false\n",
    ] {
        if let Err(error) = check(&format!("{GOOD}{more}")) {
            panic!("{more}\n{error}");
        }
    }
}

#[test]
fn mistakes_of_writing_name_their_line() {
    for (text, wanted) in [
        ("[[port]]\nname = \"x\ndevice = \"y\"\n", "c.toml:2: "),
        ("[[port]]\nname = \"x\"\nname = \"y\"\n", "c.toml:3: duplicate key"),
        (
            "\n[[prot]]\n",
            "c.toml:2: unknown key \"prot\" in the file, which may have port, discover",
        ),
        ("[[port]]\nmtu = 1500\nmto = 3\n", "c.toml:3: unknown key \"mto\" in [[port]]"),
        ("[[port]]\n[[port.vlan]]\nvid = 3\n", "c.toml:3: unknown key \"vid\" in [[port.vlan]]"),
        ("[[route]]\nmetric = 3\n", "c.toml:2: unknown key \"metric\" in [[route]]"),
        ("[[neighbor]]\nage = 3\n", "c.toml:2: unknown key \"age\" in [[neighbor]]"),
        ("port = 3\n", "c.toml:1: \"port\" must be a list of tables, not a whole number"),
        ("port = [3]\n", "c.toml:1: \"port\" must be a list of tables, not a whole number"),
        ("[port]\n", "c.toml:1: \"port\" must be a list of tables, not a table"),
        ("[[port]]\nmtu = \"big\"\n", "c.toml:2: \"mtu\" must be a whole number, not a text"),
        ("[[port]]\nmtu = 1.5\n", "c.toml:2: \"mtu\" must be a whole number, not a fraction"),
        ("[[port]]\naddress = \"192.0.2.1/24\"\n", "c.toml:2: \"address\" must be a list of texts"),
        (
            "[[port]]\naddress = [\n 1]\n",
            "c.toml:3: \"address\" must be a text, not a whole number",
        ),
        ("[[port]]\nshutdown = 1\n", "c.toml:2: \"shutdown\" must be true or false"),
        ("[[port]]\naddress = [\"192.0.2.1\"]\n", "c.toml:2: \"192.0.2.1\" is not an address with"),
        ("[[port]]\naddress = [\n\"192.0.2.300/24\"]\n", "c.toml:3: \"192.0.2.300/24\" is not"),
        ("[[port]]\nmac = \"02:00\"\n", "c.toml:2: \"02:00\" is not a MAC address"),
        ("[[port]]\nmtu = 67\n", "c.toml:2: \"mtu\" must be between 68 and 9000, not 67"),
        ("[[port]]\nmtu = 9001\n", "c.toml:2: \"mtu\" must be between 68 and 9000, not 9001"),
        ("[[port]]\nmtu = -1\n", "c.toml:2: \"mtu\" must be between 68 and 9000, not -1"),
        ("[[port]]\n[[port.vlan]]\n", "c.toml:2: [[port.vlan]] has no \"id\""),
        ("[[port]]\n[[port.vlan]]\nid = 0\n", "c.toml:3: \"id\" must be between 1 and 4094, not 0"),
        ("[[port]]\n[[port.vlan]]\nid = 1\ninner = 4095\n", "c.toml:4: \"inner\" must be between"),
        ("[[port]]\n[[port.vlan]]\nid = 1\ntpid = \"x\"\n", "c.toml:4: tpid \"x\" is neither"),
        ("[[route]]\nvia = \"192.0.2.2\"\n", "c.toml:1: [[route]] has no \"prefix\""),
        ("[[route]]\nprefix = \"10/8\"\n", "c.toml:2: \"10/8\" is not an address with a prefix"),
        (
            "[[route]]\nprefix = \"10.0.0.0/8\"\nvia = \"x\"\n",
            "c.toml:3: \"x\" is not an IP address",
        ),
        (
            "[[route]]\nprefix = \"10.0.0.0/8\"\n",
            "c.toml:1: route 10.0.0.0/8 needs \"via\", \"dev\"",
        ),
        (
            "[[route]]\nprefix = \"10.0.0.0/8\"\ndev = \"port0\"\ndrop = true\n",
            "c.toml:1: route 10.0.0.0/8 discards, so it takes no \"via\"",
        ),
        (
            "[[route]]\nprefix = \"10.0.0.0/8\"\ndev = \"port0\"\nweight = 256\n",
            "c.toml:4: \"weight\" must be between 1 and 255, not 256",
        ),
        ("[[neighbor]]\naddress = \"1.2.3.4\"\n", "c.toml:1: [[neighbor]] has no \"mac\""),
        ("[[neighbor]]\naddress = \"1.2.3\"\n", "c.toml:2: \"1.2.3\" is not an IP address"),
        ("[[neighbor]]\naddress = \"1.2.3.4\"\nmac = \"z\"\n", "c.toml:3: \"z\" is not a MAC"),
    ] {
        let error = error(text);
        assert!(error.starts_with(wanted), "{text:?} gave {error:?}");
    }
}

#[test]
fn mistakes_of_meaning_name_their_line() {
    for (more, line, wanted) in [
        (
            "[[port]]\ndevice = \"sink\"\nname = \"port1\"\n",
            3,
            "there is already an interface \"port1\", on line 11",
        ),
        ("[[port]]\ndevice = \"sink\"\nname = \"a b\"\n", 3, "\"a b\" is no interface name"),
        (
            "[[port]]\ndevice = \"sink\"\nname = \"port0.5\"\n",
            3,
            "there is already an interface \"port0.5\"",
        ),
        (
            "[[port]]\ndevice = \"sink\"\nmac = \"01:00:5e:00:00:01\"\n",
            3,
            "MAC address 01:00:5e:00:00:01 is not",
        ),
        (
            "[[port]]\ndevice = \"sink\"\nmac = \"00:00:00:00:00:00\"\n",
            3,
            "MAC address 00:00:00:00:00:00 is not",
        ),
        (
            "[[port]]\ndevice = \"sink\"\naddress = [\"192.0.2.1/32\"]\n",
            3,
            "address 192.0.2.1 is already that of port0",
        ),
        (
            "[[port]]\ndevice = \"sink\"\naddress = [\n\"9.0.0.1/8\",\n\"9.0.0.1/16\"]\n",
            5,
            "address 9.0.0.1 is already that of port2",
        ),
        (
            "[[port]]\ndevice = \"sink\"\naddress = [\n\"9.0.0.1/8\",\n\"192.0.2.3/25\"]\n",
            5,
            "network 192.0.2.0/25 overlaps 192.0.2.0/24 of port0",
        ),
        (
            "[[port]]\ndevice = \"sink\"\naddress = [\"192.0.0.9/16\"]\n",
            3,
            "network 192.0.0.0/16 overlaps 192.0.2.0/24 of port0",
        ),
        (
            "[[port]]\ndevice = \"sink\"\naddress = [\"2001:db8::2/64\"]\n",
            3,
            "network 2001:db8::/64 overlaps 2001:db8::/64 of port0",
        ),
        (
            "[[port]]\ndevice = \"sink\"\naddress = [\"9.0.0.0/24\"]\n",
            3,
            "9.0.0.0/24 is not the address of one host",
        ),
        (
            "[[port]]\ndevice = \"sink\"\naddress = [\"9.0.0.255/24\"]\n",
            3,
            "9.0.0.255/24 is not the address of one host",
        ),
        (
            "[[port]]\ndevice = \"sink\"\naddress = [\"224.0.0.1/24\"]\n",
            3,
            "224.0.0.1/24 is not the address of one host",
        ),
        (
            "[[port]]\ndevice = \"sink\"\nmtu = 1279\naddress = [\"2001:db9::1/64\"]\n",
            3,
            "mtu 1279 of port2 is too small for its IPv6 address: 1280",
        ),
        (
            "[[port]]\ndevice = \"sink\"\n[[port.vlan]]\nid = 5\nmtu = 1501\n",
            5,
            "mtu 1501 is more than the 1500 of its port",
        ),
        (
            "[[port]]\ndevice = \"sink\"\n[[port.vlan]]\nid = 5\n[[port.vlan]]\nid = 5\nname = \"b\"\n",
            6,
            "VLAN 5 of port2 is already port2.5",
        ),
        (
            "[[port]]\ndevice = \"sink\"\n[[port.vlan]]\nid = 5\ninner = 6\n[[port.vlan]]\nid = 5\ninner = 6\n",
            7,
            "VLAN 5.6 of port2 is already port2.5.6",
        ),
        (
            "[[route]]\nprefix = \"10.0.0.1/8\"\ndrop = true\n",
            2,
            "10.0.0.1/8 has host bits set: it should be 10.0.0.0/8",
        ),
        (
            "[[route]]\nprefix = \"9.0.0.0/8\"\ndev = \"port9\"\n",
            3,
            "there is no port, VLAN or tunnel \"port9\"",
        ),
        (
            "[[route]]\nprefix = \"9.0.0.0/8\"\nvia = \"192.0.2.2\"\ndev = \"port9\"\n",
            4,
            "there is no port, VLAN or tunnel \"port9\"",
        ),
        (
            "[[route]]\nprefix = \"9.0.0.0/8\"\nvia = \"2001:db8::2\"\n",
            3,
            "next hop 2001:db8::2 is not of the same family as 9.0.0.0/8",
        ),
        (
            "[[route]]\nprefix = \"9.0.0.0/8\"\nvia = \"11.1.1.1\"\n",
            3,
            "next hop 11.1.1.1 is on no connected network, and no other route leads to it",
        ),
        (
            "[[route]]\nprefix = \"9.0.0.0/8\"\nvia = \"203.0.113.1\"\n",
            3,
            "203.0.113.1 is our own address, on port1",
        ),
        (
            "[[route]]\nprefix = \"9.0.0.0/8\"\nvia = \"192.0.2.255\"\n",
            3,
            "192.0.2.255 is not the address of one neighbour",
        ),
        (
            "[[route]]\nprefix = \"9.0.0.0/8\"\nvia = \"224.0.0.5\"\ndev = \"port0\"\n",
            3,
            "224.0.0.5 is not the address of one neighbour",
        ),
        (
            "[[route]]\nprefix = \"::/0\"\nvia = \"fe80::1\"\n",
            3,
            "link-local fe80::1 needs \"dev\"",
        ),
        (
            "[[route]]\nprefix = \"10.0.0.0/8\"\nvia = \"192.0.2.2\"\n",
            1,
            "this path of 10.0.0.0/8 is given twice",
        ),
        (
            "[[route]]\nprefix = \"10.0.0.0/8\"\ndrop = true\n",
            1,
            "10.0.0.0/8 both has paths and is dropped",
        ),
        (
            "[[neighbor]]\naddress = \"192.0.2.2\"\nmac = \"02:00:00:00:00:03\"\n",
            3,
            "neighbour 192.0.2.2 already has MAC address 02:00:00:00:00:02",
        ),
        (
            "[[neighbor]]\naddress = \"192.0.2.3\"\nmac = \"ff:ff:ff:ff:ff:ff\"\n",
            3,
            "MAC address ff:ff:ff:ff:ff:ff is not",
        ),
        (
            "[[neighbor]]\naddress = \"9.9.9.9\"\nmac = \"02:00:00:00:00:03\"\n",
            2,
            "neighbour 9.9.9.9 is on no connected network, so it needs \"dev\"",
        ),
        (
            "[[neighbor]]\naddress = \"fe80::9\"\nmac = \"02:00:00:00:00:03\"\n",
            2,
            "link-local fe80::9 needs \"dev\"",
        ),
        (
            "[[neighbor]]\naddress = \"192.0.2.1\"\nmac = \"02:00:00:00:00:03\"\n",
            2,
            "192.0.2.1 is our own address, on port0",
        ),
        (
            "[[neighbor]]\naddress = \"192.0.2.3\"\nmac = \"02:00:00:00:00:03\"\ndev = \"x\"\n",
            4,
            "there is no port, VLAN or tunnel \"x\"",
        ),
    ] {
        let error = error_after_good(more, line);
        assert!(error.starts_with(wanted), "{more:?} gave {error:?}");
    }
}

#[test]
fn a_prefix_has_at_most_64_paths() {
    let paths = |count: usize| -> String {
        (0..count)
            .map(|i| format!("[[route]]\nprefix = \"9.0.0.0/8\"\nvia = \"192.0.2.{}\"\n", i + 2))
            .collect()
    };
    check(&format!("{GOOD}{}", paths(64))).unwrap();
    assert_eq!(error_after_good(&paths(65), 3 * 64 + 1), "9.0.0.0/8 has more than 64 paths");
}

#[test]
fn a_configuration_without_ports_is_refused() {
    assert!(Config::default().validate().unwrap_err().to_string().starts_with("there is no port"));
    assert!(error("").starts_with("c.toml: there is no port: give --port SPEC"));
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let error = Config::from_toml("/nowhere/c.toml").unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/c.toml: cannot be read: "), "{error}");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"\xd4\xc3\xb2\xa1").unwrap();
    let error = Config::from_toml(file.path()).unwrap_err().to_string();
    assert!(error.ends_with(":1:1: this is not UTF-8 text"), "{error}");
}

#[test]
fn a_model_made_in_code_is_checked_like_a_file() {
    let port = |name: &str| Port { device: Some("sink".to_owned()), ..Port::new(name) };
    let mut config = Config { ports: vec![port("a"), port("b")], ..Config::default() };
    config.validate().unwrap();
    config.ports[1].mtu = 10;
    let error = config.validate().unwrap_err().to_string();
    assert_eq!(error, "\"mtu\" must be between 68 and 9000, not 10");
}
