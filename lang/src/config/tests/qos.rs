//! `[qos]`, and the interfaces that use its policies.

use std::io;
use std::path::Path;

use qfp_core::qos::accounting::Accounting;
use qfp_core::qos::police::Granularity;

use super::*;

const POLICIES: &str = r#"
[[port]]
device = "sink"
speed = "10g"
service_policy_in = "EDGE"

[[port.vlan]]
id = 5
service_policy_in = "EDGE"
service_policy_out = "UP"

[qos]
accounting = "user-defined -4"
granularity = "trident"
text = """
class-map match-any VOICE
 match dscp ef
policy-map EDGE
 class VOICE
  police percent 10
policy-map UP
 class class-default
  set cos 5
"""
"#;

#[test]
fn policies_and_what_is_bound_to_interfaces_are_read() {
    let config = check(POLICIES).unwrap();
    let (port, vlan) = (&config.ports[0], &config.ports[0].vlans[0]);
    assert_eq!(port.speed.map(|speed| speed.get()), Some(10_000_000_000));
    assert_eq!(
        (port.layer3.service_policy_in.as_deref(), port.layer3.service_policy_out.as_deref()),
        (Some("EDGE"), None)
    );
    assert_eq!(vlan.layer3.service_policy_out.as_deref(), Some("UP"));
    assert!(matches!(config.qos.accounting, Accounting::UserDefined(n) if n.get() == -4));
    assert_eq!(config.qos.granularity, Granularity::Trident);
    let names: Vec<&str> = config.policies.policies().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["EDGE", "UP"]);
    assert_eq!(Config::parse(&config.to_string(), "c.toml").unwrap(), config);
}

#[test]
fn without_the_table_frames_count_as_on_an_asr_9000_and_rates_are_exact() {
    for text in ["", "[qos]\n"] {
        let config = check(&format!("{GOOD}{text}")).unwrap();
        assert_eq!(config.qos, Qos::default());
        assert_eq!(config.qos.accounting, Accounting::Asr9000);
        assert_eq!(config.qos.granularity, Granularity::Native);
        assert!(!config.to_string().contains("[qos]"));
    }
}

#[test]
fn policies_may_be_in_a_file_of_their_own() {
    let text = "[[port]]\ndevice = \"sink\"\nservice_policy_out = \"UP\"\n\
                [qos]\nfile = \"p/policy.txt\"\n";
    let read = |policy: &'static str| {
        Config::parse_with(text, "etc/c.toml", |path| match path {
            path if path == Path::new("etc/p/policy.txt") => Ok(policy.as_bytes().to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    };
    let config = read("policy-map UP\n class class-default\n  set cos 5\n").unwrap();
    config.validate().unwrap();
    let error = read("policy-map UP\n class class-default\n  set cos 8\n").unwrap_err().to_string();
    assert!(error.starts_with("etc/p/policy.txt:3:11: "), "{error}");
}

#[test]
fn every_mistake_is_at_its_place() {
    let cases = [
        ("[qos]\naccounting = \"ios\"\n", 2, "\"accounting\" is asr9000, iosxe or user-defined N"),
        ("[qos]\naccounting = \"user-defined 64\"\n", 2, "\"accounting\" is asr9000"),
        ("[qos]\n\ngranularity = \"8k\"\n", 3, "\"granularity\" is native, typhoon or trident"),
        ("[qos]\nqueue = 1\n", 2, ""),
        ("[qos]\ntext = \"\"\nfile = \"p.txt\"\n", 1, ""),
        ("[[port]]\ndevice = \"sink\"\nspeed = \"fast\"\n", 3, "\"speed\" is bits a second"),
        ("[[port]]\ndevice = \"sink\"\nspeed = \"0\"\n", 3, "\"speed\" is bits a second"),
        ("[[port.vlan]]\nid = 9\nspeed = \"1g\"\n", 3, ""),
        (
            "[[port]]\ndevice = \"sink\"\nservice_policy_in = \"EDGE\"\n",
            3,
            "there is no policy-map \"EDGE\"",
        ),
        ("[qos]\ntext = '''\npolicy-map P\n class C\n'''\n", 4, ""),
    ];
    for (more, line, wanted) in cases {
        let error = error(&format!("{GOOD}{more}"));
        let place = format!("c.toml:{}:", GOOD.lines().count() + line);
        let said =
            error.strip_prefix(&place).unwrap_or_else(|| panic!("{error} is not at {place}"));
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn a_class_map_of_the_text_may_name_lists_of_the_configuration() {
    let text = "[qos]\ntext = '''\nclass-map C\n match access-group name EDGE\npolicy-map P\n \
                class C\n  set dscp ef\n'''\n[[acl]]\ntext = 'access-list 1 permit any'\n";
    check(&format!("{GOOD}{text}")).unwrap();
}
