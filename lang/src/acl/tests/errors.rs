use super::*;

/// The refusal of one line of an extended list, without the line number, which is 2.
fn entry(line: &str) -> String {
    let refusal = refusal(&format!("ip access-list extended X\n{line}\n"));
    refusal.strip_prefix("line 2, ").unwrap_or_else(|| panic!("{refusal}")).to_owned()
}

fn entry6(line: &str) -> String {
    let refusal = refusal(&format!("ipv6 access-list X\n{line}\n"));
    refusal.strip_prefix("line 2, ").unwrap_or_else(|| panic!("{refusal}")).to_owned()
}

#[test]
fn a_wrong_word_is_named_with_its_place() {
    assert_eq!(entry("permit tcp any any eq htp"), "column 23: expected a port, found \"htp\"");
    assert_eq!(
        entry("  allow ip any any"),
        "column 3: expected permit, deny or remark, found \"allow\""
    );
    assert_eq!(entry("permit tpc any any"), "column 8: expected a protocol, found \"tpc\"");
    assert_eq!(
        entry("permit ip 10.0.0.1 any"),
        "column 20: expected a wildcard mask, found \"any\""
    );
    assert_eq!(
        entry("permit ip any 10.0.0.0/33"),
        "column 15: expected an IPv4 prefix, found \"10.0.0.0/33\""
    );
    assert_eq!(
        entry("permit ip any"),
        "column 14: expected any, host, object-group, an IPv4 address or prefix, \
         found the end of the line"
    );
    assert_eq!(
        entry("permit ip any any bananas"),
        "column 19: expected an option or the end of the line, found \"bananas\""
    );
}

#[test]
fn a_number_out_of_bounds_is_named_with_its_bounds() {
    assert_eq!(
        entry("permit tcp any any eq 65536"),
        "column 23: expected a port (0 to 65535), found \"65536\""
    );
    assert_eq!(
        entry("permit 256 any any"),
        "column 8: expected a protocol (0 to 255), found \"256\""
    );
    assert_eq!(
        entry("0 permit ip any any"),
        "column 1: expected a sequence number (1 to 2147483647), found \"0\""
    );
    assert_eq!(
        entry("permit ip any any dscp 64"),
        "column 24: expected a DSCP (0 to 63), found \"64\""
    );
    assert_eq!(
        entry("permit icmp any any 8 256"),
        "column 23: expected an ICMP code (0 to 255), found \"256\""
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for word in ["time-range", "reflect", "option", "counter", "nexthop1", "routing"] {
        assert_eq!(
            entry(&format!("permit tcp any any eq 80 {word} X")),
            format!("column 26: {word} is not supported")
        );
    }
    assert_eq!(entry("evaluate RETURN"), "column 1: evaluate is not supported");
    assert_eq!(entry("10 dynamic D permit ip any any"), "column 4: dynamic is not supported");
    assert_eq!(entry6("permit hbh any any"), "column 8: hbh is not supported");
    assert_eq!(
        refusal("access-list 700 permit 0000.5e00.5301 0000.0000.0000"),
        "line 1, column 13: access-list 700 is not supported"
    );
}

#[test]
fn what_cannot_be_is_refused_where_it_is_said() {
    assert_eq!(entry("permit ip any any established"), "column 19: TCP flags need protocol tcp");
    assert_eq!(entry("permit gre any any eq 1"), "column 20: ports need protocol tcp, udp or sctp");
    assert_eq!(
        entry("permit udp any any eq 53 fragments"),
        "column 26: fragments have no ports, ICMP type or TCP flags to match"
    );
    assert_eq!(entry("permit tcp any lt 0 any"), "column 16: no port compares so");
    assert_eq!(entry("permit tcp any any range 9 1"), "column 20: no port compares so");
    assert_eq!(
        entry("permit tcp any any match-all +syn -syn"),
        "column 20: a TCP flag cannot be asked for both with + and with -"
    );
    assert_eq!(
        entry("permit tcp any any match-all syn"),
        "column 30: expected a TCP flag with + or -, found \"syn\""
    );
    assert_eq!(entry("permit ip any any log ttl 1 log"), "column 29: log is given twice");
    assert_eq!(entry("permit ip any any ttl 1 ttl 2"), "column 25: ttl is given twice");
    assert_eq!(
        entry6("permit ipv6 any any tos 1"),
        "column 21: tos needs a list of the other family"
    );
    for wrong in [
        "permit ipv6 any any undetermined-transport",
        "deny tcp any any undetermined-transport",
        "deny ipv6 any any undetermined-transport fragments",
        "deny ipv6 any any fragments undetermined-transport",
    ] {
        let error = entry6(wrong);
        let said = "undetermined-transport needs \"deny ipv6\", and no fragments";
        assert!(error.ends_with(said), "{error}");
    }
    assert_eq!(
        entry("deny ip any any undetermined-transport"),
        "column 17: undetermined-transport needs a list of the other family"
    );
    assert_eq!(
        entry("permit object-group S any any fragments"),
        "column 31: a service group takes no ports, ICMP type, TCP flags or fragments beside it"
    );
    assert_eq!(
        refusal("access-list 10 permit any fragments"),
        "line 1, column 27: a standard list matches the source address alone"
    );
    assert_eq!(
        refusal("access-list 10 permit any any"),
        "line 1, column 27: expected an option or the end of the line, found \"any\""
    );
}

#[test]
fn sequence_numbers_are_used_once() {
    assert_eq!(
        refusal("ip access-list extended X\n 10 permit ip any any\n 10 deny ip any any"),
        "line 3, column 2: there is already an entry 10"
    );
    assert_eq!(
        refusal(
            "ipv6 access-list X\n sequence 10 permit ipv6 any any\n deny ipv6 any any sequence 10"
        ),
        "line 3, column 20: there is already an entry 10"
    );
    assert_eq!(entry("no 10"), "column 4: there is no entry 10");
    assert_eq!(
        entry("no permit ip any any"),
        "column 4: expected a sequence number (1 to 2147483647), found \"permit\""
    );
    assert_eq!(
        refusal("ip access-list extended X\n 2147483647 permit ip any any\n deny ip any any"),
        "line 3, column 2: sequence numbers end at 2147483647"
    );
}

#[test]
fn lines_of_other_features_are_refused_whole() {
    assert_eq!(
        refusal("access-list 1 permit any\ninterface Gi0/0"),
        "line 2, column 1: \"interface Gi0/0\" begins no command known here"
    );
    assert_eq!(
        refusal("ip route 0.0.0.0 0.0.0.0 192.0.2.1"),
        "line 1, column 1: \"ip route 0.0.0.0 0.0.0.0 192.0.2.1\" begins no command known here"
    );
    assert_eq!(
        refusal("permit ip any any"),
        "line 1, column 1: \"permit ip any any\" begins no command known here"
    );
    assert!(refusal("no shutdown").contains("begins no command"));
}

#[test]
fn a_list_stays_of_its_kind() {
    assert_eq!(
        refusal("ip access-list standard 101\nip access-list extended 101"),
        "line 2, column 25: access-list 101 is a standard list"
    );
    assert_eq!(
        refusal("ip access-list resequence X 10 10"),
        "line 1, column 27: there is no access-list X"
    );
    assert_eq!(
        refusal("ip access-list extended !X"),
        "line 1, column 25: expected a name, found the end of the line"
    );
}

#[test]
fn groups_refuse_what_is_not_of_them() {
    assert_eq!(
        refusal("object-group network N\n host 2001:db8::1"),
        "line 2, column 2: 2001:db8::1 is not of the group's family"
    );
    assert_eq!(
        refusal("object-group network N\n 10.0.0.0 0.255.255.255"),
        "line 2, column 11: expected a network mask or prefix length, found \"0.255.255.255\""
    );
    assert_eq!(
        refusal("object-group network N\n range 10.0.0.2 10.0.0.1"),
        "line 2, column 2: the range from 10.0.0.2 to 10.0.0.1 is backwards"
    );
    assert_eq!(
        refusal("object-group service S\n gre eq 1"),
        "line 2, column 2: ports need protocol tcp, udp or sctp"
    );
    assert_eq!(
        refusal("object-group service S\nobject-group port S"),
        "line 2, column 14: object-group S is already one of another sort"
    );
    assert_eq!(
        refusal("object-group ip address A"),
        "line 1, column 14: expected network, service or port, found \"ip\""
    );
}
