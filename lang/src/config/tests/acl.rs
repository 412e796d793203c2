//! Access lists, route maps, and the interfaces that use them.

use std::io;
use std::path::{Path, PathBuf};

use super::super::texts::MAX_TEXT;
use super::*;
use crate::acl::{AccessList, Family, Kind};
use crate::pbr::{RouteMap, RouteMaps};

const LISTS: &str = r#"
[[port]]
device = "sink"
acl_in = ["EDGE", "EDGE6"]
acl_out = "101"
policy_route = "WEB"

[[port.vlan]]
id = 5
vrf = "red"
acl_out = ["BOTH"]

[[acl]]
name = "EDGE"
text = """
object-group network SERVERS
 192.0.2.0 255.255.255.0
ip access-list extended EDGE
 permit tcp any object-group SERVERS eq 443
ipv6 access-list EDGE6
 deny ipv6 any any log
"""

[[acl]]
text = 'access-list 101 permit ip any any'

[[acl]]
text = '''
ipv4 access-list BOTH
ipv6 access-list BOTH
'''

[[route_map]]
text = """
route-map WEB permit 10
 match ip address EDGE
 set vrf red
"""
"#;

/// Reads and checks `text` in folder `etc`, where there is a file `lists.txt`.
fn check_with_file(text: &str, lists: &[u8]) -> Result<Config, ConfigError> {
    let config = Config::parse_with(text, "etc/c.toml", |path| match path {
        path if path == Path::new("etc/lists.txt") => Ok(lists.to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    })?;
    config.validate()?;
    Ok(config)
}

fn error_with_file(text: &str, lists: &[u8]) -> String {
    let error = check_with_file(text, lists).expect_err(text).to_string();
    assert!(!error.contains('\n'), "more than one line: {error:?}");
    error
}

#[test]
fn interfaces_have_their_own_lists_and_route_maps() {
    let config = check(LISTS).unwrap();
    let interfaces = Interfaces::new(&config);
    let (port, vlan) = (interfaces.get(InterfaceId(0)), interfaces.get(InterfaceId(1)));
    assert_eq!(port.acl_in(), ["EDGE", "EDGE6"]);
    assert_eq!(port.acl_out(), ["101"]);
    assert_eq!(port.policy_route(), Some("WEB"));
    assert_eq!(vlan.acl_in(), &[] as &[String]);
    assert_eq!(vlan.acl_out(), ["BOTH"]);
    assert_eq!(vlan.policy_route(), None);
    let name = |names, family| config.access_list(names, family).map(|list| list.name().as_str());
    assert_eq!(name(port.acl_in(), Family::V4), Some("EDGE"));
    assert_eq!(name(port.acl_in(), Family::V6), Some("EDGE6"));
    assert_eq!(name(port.acl_out(), Family::V6), None);
    assert_eq!(name(vlan.acl_out(), Family::V6), Some("BOTH"));
    assert_eq!(config.access_lists.lists().count(), 5);
    assert!(config.access_lists.objects.get("SERVERS").is_some());
    assert_eq!(config.route_maps.iter().count(), 1);
}

#[test]
fn a_written_configuration_has_its_lists_within() {
    let config = check(LISTS).unwrap();
    let written = config.to_string();
    assert_eq!(check(&written).unwrap(), config, "{written}");
    assert!(written.contains("acl_in = [\"EDGE\", \"EDGE6\"]\nacl_out = \"101\"\n"), "{written}");
    let list = "[[acl]]\nname = \"101\"\ntext = \"\"\"\nip access-list extended 101\n 10 permit";
    assert!(written.contains(list), "{written}");
}

#[test]
fn a_text_may_be_in_a_file_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let text = "[[port]]\ndevice = \"sink\"\nacl_in = \"7\"\n[[acl]]\nfile = \"lists.txt\"\n";
    std::fs::write(&path, text).unwrap();
    let error = Config::from_toml(&path).unwrap_err().to_string();
    let wanted = format!("{}:5: \"{}/lists.txt\" ", path.display(), folder.path().display());
    assert!(error.starts_with(&(wanted + "cannot be read: ")), "{error}");

    std::fs::write(folder.path().join("lists.txt"), "access-list 7 permit any\n").unwrap();
    let config = Config::from_toml(&path).unwrap();
    config.validate().unwrap();
    assert!(config.access_lists.list(Family::V4, "7").is_some());
    assert_eq!(check(&config.to_string()).unwrap(), config);
}

#[test]
fn an_error_of_a_file_has_its_place_there() {
    let text = "[[port]]\ndevice = \"sink\"\n[[acl]]\nfile = \"lists.txt\"\n";
    for (lists, wanted) in [
        (
            &b"!\nip access-list extended EDGE\n permit tcp any any eq htp\n"[..],
            "etc/lists.txt:3:24: expected a port, found \"htp\"",
        ),
        (b"access-list 1 permit any\n\xff\n", "etc/lists.txt:2:1: this is not UTF-8 text"),
        (b"hostname r1", "etc/lists.txt:1:1: \"hostname r1\" begins no command known here"),
        (
            b"ip access-list extended EDGE\n permit ip object-group NONE any\n",
            "etc/c.toml:4: IPv4 access list EDGE: entry 10 needs object-group NONE, which is not",
        ),
    ] {
        let error = error_with_file(text, lists);
        assert!(error.starts_with(wanted), "{error:?} is not {wanted:?}");
    }
    let error = error_with_file("[[route_map]]\nfile = \"lists.txt\"\n", b"\nroute-map A permt 1");
    assert!(error.starts_with("etc/lists.txt:2:13: expected "), "{error}");
    let error = error_with_file("[[acl]]\nfile = \"other.txt\"\n", b"");
    assert!(error.starts_with("etc/c.toml:2: \"etc/other.txt\" cannot be read: "), "{error}");
    let error = error_with_file("[[acl]]\nfile = \"a\\nb\"\n", b"");
    assert!(error.starts_with("etc/c.toml:2: \"a\\nb\" is no file name"), "{error}");
}

#[test]
fn a_file_without_end_is_refused() {
    let read = |path: &Path| {
        assert_eq!(path, PathBuf::from("/dev/zero"));
        Ok(vec![b' '; MAX_TEXT + 1])
    };
    let error = Config::parse_with("[[acl]]\nfile = \"/dev/zero\"\n", "etc/c.toml", read);
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "etc/c.toml:2: \"/dev/zero\" is longer than 67108864 bytes");
}

#[test]
fn an_error_of_a_text_has_its_line_of_the_toml() {
    for (text, wanted) in [
        ("[[acl]]\ntext = \"\"\"\n!\naccess-list 1 permt any\n\"\"\"\n", "c.toml:4:15: expected"),
        ("[[acl]]\ntext = '''\r\n!\r\nhostname\r\n'''\r\n", "c.toml:4:1: \"hostname\" begins"),
        ("[[acl]]\ntext = '''hostname\n'''\n", "c.toml:2:1: \"hostname\" begins no command"),
        ("[[acl]]\ntext = 'hostname'\n", "c.toml:2:1: \"hostname\" begins no command"),
        // One line of TOML for three of the text.
        ("[[acl]]\ntext = \"!\\n!\\nhostname\"\n", "c.toml:2:1: \"hostname\" begins no command"),
        ("[[route_map]]\ntext = \"\"\"\nroute-map A permit 1\n set x\"\"\"\n", "c.toml:4:6: "),
    ] {
        let error = error(text);
        assert!(error.starts_with(wanted), "{error:?} is not {wanted:?}");
    }
}

#[test]
fn mistakes_of_writing_lists_name_their_line() {
    for (text, wanted) in [
        ("[[acl]]\n", "c.toml:1: [[acl]] needs either \"file\" or \"text\""),
        ("[[acl]]\nfile = \"\"\ntext = \"\"\n", "c.toml:1: [[acl]] needs either \"file\" or"),
        ("[[route_map]]\n", "c.toml:1: [[route_map]] needs either \"file\" or \"text\""),
        ("[[acl]]\nacl = 1\n", "c.toml:2: unknown key \"acl\" in [[acl]], which may have name"),
        ("[[route_map]]\nname = \"A\"\n", "c.toml:2: unknown key \"name\" in [[route_map]]"),
        ("[[acl]]\ntext = 1\n", "c.toml:2: \"text\" must be a text, not a whole number"),
        (
            "[[acl]]\nname = \"2\"\ntext = \"access-list 1 permit any\"\n",
            "c.toml:2: there is no access list \"2\" in what this defines",
        ),
        (
            "[[port]]\nacl_in = 1\n",
            "c.toml:2: \"acl_in\" must be a text or a list of texts, not a whole number",
        ),
        ("[[port]]\nacl_out = [\n1]\n", "c.toml:3: \"acl_out\" must be a text, not a whole number"),
        ("[[port]]\npolicy_route = []\n", "c.toml:2: \"policy_route\" must be a text, not a list"),
        (
            "[[acl]]\ntext = \"access-list 1 permit any\"\n[[acl]]\ntext = \"access-list 1 deny any\"\n",
            "c.toml:4: IPv4 access list 1 is already defined, on line 2",
        ),
        (
            "[[acl]]\ntext = \"object-group network A\"\n[[acl]]\ntext = \"object-group port A\"\n",
            "c.toml:4: object-group A is already defined, on line 2",
        ),
        (
            "[[route_map]]\ntext = \"route-map A permit 1\"\n[[route_map]]\ntext = \"route-map A deny 2\"\n",
            "c.toml:4: route map A is already defined, on line 2",
        ),
    ] {
        let error = error(text);
        assert!(error.starts_with(wanted), "{text:?} gave {error:?}");
    }
}

#[test]
fn lists_and_route_maps_that_are_used_must_exist() {
    for (more, line, wanted) in [
        ("[[port]]\ndevice = \"sink\"\nacl_in = \"X\"\n", 3, "there is no access list \"X\""),
        (
            "[[port]]\ndevice = \"sink\"\n[[port.vlan]]\nid = 7\nacl_out = [\n\"BOTH\",\n\"\"]\n",
            7,
            "there is no access list \"\"",
        ),
        (
            "[[port]]\ndevice = \"sink\"\nacl_in = [\"EDGE\", \"101\"]\n",
            3,
            "\"101\" is of the same address family as \"EDGE\": there can be one of each",
        ),
        (
            "[[port]]\ndevice = \"sink\"\nacl_in = [\"EDGE6\", \"BOTH\"]\n",
            3,
            "\"BOTH\" is of the same address family as \"EDGE6\"",
        ),
        (
            "[[port]]\ndevice = \"sink\"\nacl_in = [\"EDGE6\", \"EDGE6\"]\n",
            3,
            "\"EDGE6\" is of the same address family as \"EDGE6\"",
        ),
        ("[[port]]\ndevice = \"sink\"\npolicy_route = \"X\"\n", 3, "there is no route map \"X\""),
        (
            "[[route_map]]\ntext = '''\nroute-map X deny 7\n match ipv6 address EDGE'''\n",
            2,
            "route map X: entry 7 needs IPv6 access list EDGE, which is not defined",
        ),
        (
            "[[route_map]]\ntext = '''\nroute-map X permit 7\n set vrf blue'''\n",
            2,
            "route map X: entry 7 sets VRF blue, and no interface is in it",
        ),
    ] {
        let error = error(&format!("{LISTS}{more}"));
        let place = format!("c.toml:{}: ", LISTS.lines().count() + line);
        assert!(error.starts_with(&(place + wanted)), "{more:?} gave {error:?}");
    }
}

#[test]
fn a_program_may_define_lists_and_route_maps_itself() {
    let mut port = Port { device: Some("sink".to_owned()), ..Port::new("a") };
    port.layer3.acl_in = vec!["EDGE".to_owned()];
    port.layer3.policy_route = Some("PBR".to_owned());
    let mut config = Config { ports: vec![port], ..Config::default() };
    let error = |config: &Config| config.validate().unwrap_err().to_string();
    assert_eq!(error(&config), "there is no access list \"EDGE\"");
    let list = AccessList::new("EDGE".parse().unwrap(), Family::V6, Kind::Extended).unwrap();
    config.access_lists.insert(list);
    assert_eq!(error(&config), "there is no route map \"PBR\"");
    config.route_maps.insert(RouteMap::new("PBR".parse().unwrap()));
    assert_eq!(error(&config), "route map \"PBR\" has no entry");
    config.route_maps = RouteMaps::parse("route-map PBR deny 10").unwrap();
    config.validate().unwrap();
    assert_eq!(check(&config.to_string()).unwrap(), config);
}

#[test]
fn the_example_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/configs/acl.toml");
    let mut config = Config::from_toml(path).unwrap();
    config.merge_ports(&["sink".to_owned(), "sink".to_owned()]);
    config.validate().unwrap();
    assert_eq!(check(&config.to_string()).unwrap(), config);
}
