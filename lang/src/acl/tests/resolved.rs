use super::*;

const GROUPS: &str = "object-group network A
 host 10.0.0.1
 range 10.0.0.4 10.0.0.7
 group-object B
object-group network B
 192.0.2.0 255.255.255.0
 group-object A
object-group service S
 tcp-udp eq 53
 icmp echo
 gre
object-group port P
 range 10 20
 eq 21 80
 lt 5
object-group network EMPTY
";

fn resolved(line: &str, limit: usize) -> Result<Vec<PlainAce>, ResolveError> {
    let document = parse(&format!("{GROUPS}ip access-list extended X\n 10 {line}\n"));
    document.list(Family::V4, "X").unwrap().resolved(&document.objects, limit)
}

fn host(text: &str) -> IpMatch {
    net(text).into()
}

#[test]
fn an_ace_without_groups_is_itself() {
    let plain = resolved("permit tcp host 10.0.0.1 any eq www 443 log", 1).unwrap();
    assert_eq!(plain.len(), 1);
    let ace = &plain[0];
    assert_eq!((ace.sequence, ace.action, ace.protocol), (10, Action::Permit, Some(6)));
    assert_eq!((ace.source, ace.destination), (host("10.0.0.1/32"), IpMatch::Any));
    assert_eq!(
        (&ace.source_ports, &ace.destination_ports),
        (&None, &Some(vec![80..=80, 443..=443]))
    );
    assert_eq!((ace.fragments, ace.options.log), (Fragments::ByLayer3, Log::On));
}

#[test]
fn layer_4_decides_which_fragments_match() {
    let fragments = |line: &str| resolved(line, 1).unwrap()[0].fragments;
    assert_eq!(fragments("permit ip any any ttl lt 5"), Fragments::All);
    assert_eq!(fragments("permit tcp any any"), Fragments::All);
    assert_eq!(fragments("permit tcp any any fragments"), Fragments::Later);
    assert_eq!(fragments("deny tcp any any fragments"), Fragments::Later);
    for layer4 in ["tcp any any established", "icmp any any 8", "tcp any any gt 1"] {
        assert_eq!(fragments(&format!("permit {layer4}")), Fragments::ByLayer3);
        assert_eq!(fragments(&format!("deny {layer4}")), Fragments::First);
    }
}

#[test]
fn network_groups_become_one_ace_a_prefix() {
    let plain = resolved("deny ip object-group A any", 3).unwrap();
    let sources: Vec<_> = plain.iter().map(|ace| ace.source).collect();
    let want = ["10.0.0.1/32", "10.0.0.4/30", "192.0.2.0/24"].map(host);
    assert_eq!(sources, want);
    assert!(plain.iter().all(|ace| ace.sequence == 10 && ace.action == Action::Deny));
    assert_eq!(resolved("permit ip object-group A object-group A", 9).unwrap().len(), 9);
    assert_eq!(resolved("permit ip object-group EMPTY any", 9).unwrap(), []);
}

#[test]
fn service_groups_bring_protocols_ports_and_messages() {
    let plain = resolved("permit object-group S any any", 9).unwrap();
    let seen: Vec<_> = plain
        .iter()
        .map(|ace| (ace.protocol, ace.destination_ports.clone(), ace.options.icmp, ace.fragments))
        .collect();
    let dns = Some(vec![53..=53]);
    let echo = Some(Icmp { kind: 8, code: None });
    assert_eq!(
        seen,
        [
            (Some(6), dns.clone(), None, Fragments::ByLayer3),
            (Some(17), dns, None, Fragments::ByLayer3),
            (Some(1), None, echo, Fragments::ByLayer3),
            (Some(47), None, None, Fragments::All),
        ]
    );
}

#[test]
fn port_groups_become_ranges_with_gaps() {
    let plain = resolved("permit tcp any portgroup P any", 9).unwrap();
    assert_eq!(plain[0].source_ports, Some(vec![0..=4, 10..=21, 80..=80]));
    assert_eq!(plain[0].fragments, Fragments::ByLayer3);
}

#[test]
fn groups_that_are_missing_or_of_another_sort_are_named() {
    let error = |line| resolved(line, 99).unwrap_err().to_string();
    assert_eq!(
        error("permit ip object-group NONE any"),
        "entry 10 needs object-group NONE, which is not defined"
    );
    assert_eq!(
        error("permit ip object-group P any"),
        "entry 10 cannot use object-group P, which is not of addresses of the list's family"
    );
    assert_eq!(
        error("permit object-group A any any"),
        "entry 10 cannot use object-group A, which is not of services"
    );
    assert_eq!(
        error("permit tcp any any portgroup S"),
        "entry 10 cannot use object-group S, which is not of ports"
    );
}

#[test]
fn expansion_stops_at_the_limit() {
    let error = resolved("permit ip object-group A object-group A", 8).unwrap_err();
    assert_eq!(error, ResolveError::TooMany { sequence: 10, limit: 8 });
    assert!(resolved("permit ip object-group A any", 2).is_err());
    let mut text = String::new();
    for depth in 0..64 {
        text += &format!("object-group network D{depth}\n group-object D{}\n", depth + 1);
        text += &format!(" group-object D{}\n", depth + 2);
    }
    text += "object-group network D64\n host 10.0.0.1\nobject-group network D65\n";
    text += "ip access-list extended X\n permit ip object-group D0 any\n";
    let document = parse(&text);
    let list = document.list(Family::V4, "X").unwrap();
    assert_eq!(list.resolved(&document.objects, 1).unwrap().len(), 1);
    assert_eq!(list.resolved_entry(10, &document.objects, 1).unwrap().len(), 1);
    assert_eq!(list.resolved_entry(11, &document.objects, 1).unwrap(), []);
}

#[test]
fn a_list_ends_as_its_family_says() {
    let actions = |rules: Vec<PlainAce>| {
        let kinds = rules.iter().map(|rule| rule.options.icmp.map(|icmp| icmp.kind));
        assert!(rules.iter().all(|rule| rule.sequence == IMPLICIT));
        rules.iter().map(|rule| rule.action).zip(kinds).collect::<Vec<_>>()
    };
    let mut v4 = AccessList::new(name("X"), Family::V4, Kind::Extended).unwrap();
    let mut v6 = AccessList::new(name("X"), Family::V6, Kind::Extended).unwrap();
    v4.add_remark("nothing yet").unwrap();
    assert_eq!(actions(v4.implicit()), [(Action::Permit, None)]);
    assert_eq!(actions(v6.implicit()), [(Action::Permit, None)]);
    v4.add(Ace::permit(Protocol::TCP)).unwrap();
    v6.add(Ace::permit(Protocol::TCP)).unwrap();
    assert_eq!(actions(v4.implicit()), [(Action::Deny, None)]);
    // Neighbour discovery never comes in fragments.
    assert!(v6.implicit()[..2].iter().all(|rule| rule.fragments == Fragments::First));
    let (na, ns) = ((Action::Permit, Some(136)), (Action::Permit, Some(135)));
    assert_eq!(actions(v6.implicit()), [na, ns, (Action::Deny, None)]);
}
