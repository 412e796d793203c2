use super::*;

#[test]
fn numbered_lists_of_ios() {
    let document = parse(
        "!
access-list 10 remark management
access-list 10 permit 192.0.2.1
access-list 10 permit 198.51.100.0 0.0.0.255 log
access-list 10 permit host 203.0.113.7
access-list 10 deny   any
access-list 1301 permit 10.0.0.0/8
!
access-list 101 permit tcp any host 10.0.0.1 eq www
access-list 101 deny ip any any log-input
access-list 2000 permit udp any any eq domain
",
    );
    let ten = document.list(Family::V4, "10").unwrap();
    assert_eq!(
        ten.to_string(),
        "ip access-list standard 10
 10 remark management
 20 permit host 192.0.2.1
 30 permit 198.51.100.0 0.0.0.255 log
 40 permit host 203.0.113.7
 50 deny any
"
    );
    assert_eq!(document.list(Family::V4, "1301").unwrap().kind(), Kind::Standard);
    assert_eq!(document.list(Family::V4, "2000").unwrap().kind(), Kind::Extended);
    assert_eq!(
        document.list(Family::V4, "101").unwrap().to_string(),
        "ip access-list extended 101
 10 permit tcp any host 10.0.0.1 eq www
 20 deny ip any any log-input
"
    );
}

#[test]
fn named_lists_of_ios_xe() {
    let document = parse(
        "ip access-list extended EDGE-IN
 10 remark anti spoofing
 5 deny ip 10.0.0.0 0.255.255.255 any
 permit tcp any any established
permit icmp any any echo-reply
 exit
ip access-list standard VTY
 permit 192.0.2.0 0.0.0.255
!
ip access-list extended EDGE-IN
 40 permit tcp any host 192.0.2.80 eq www 443
 no 5
ipv6 access-list EDGE6
 sequence 20 deny ipv6 2001:db8:bad::/48 any
 permit tcp any host 2001:db8::80 eq 443 sequence 10
 permit icmp any any nd-na
end
",
    );
    assert_eq!(
        document.to_string(),
        "ip access-list extended EDGE-IN
 10 remark anti spoofing
 20 permit tcp any any established
 30 permit icmp any any echo-reply
 40 permit tcp any host 192.0.2.80 eq www 443
ip access-list standard VTY
 10 permit 192.0.2.0 0.0.0.255
ipv6 access-list EDGE6
 sequence 10 permit tcp any host 2001:db8::80 eq 443
 sequence 20 deny ipv6 2001:db8:bad::/48 any
 sequence 30 permit icmp any any nd-na
"
    );
}

#[test]
fn lists_of_ios_xr() {
    let document = parse(
        "object-group network ipv4 SERVERS
 description web
 10.0.0.0/24
 range 192.0.2.10 192.0.2.20
 object-group MORE
!
object-group network ipv6 SERVERS6
 2001:db8::/64
!
object-group port WEB
 eq 80
 range 8000 8099
!
ipv4 access-list CORE
 10 permit ipv4 any any ttl eq 1
 20 permit 192.168.34.0 0.0.0.255
 30 permit tcp net-group SERVERS any port-group WEB capture
 40 deny ipv4 any any packet-length gt 1500
!
ipv6 access-list CORE
 10 permit ipv6 any any
!
end
",
    );
    assert_eq!(
        document.to_string(),
        "object-group network SERVERS
 description web
 10.0.0.0 255.255.255.0
 range 192.0.2.10 192.0.2.20
 group-object MORE
object-group v6-network SERVERS6
 2001:db8::/64
object-group port WEB
 eq 80
 range 8000 8099
ip access-list extended CORE
 10 permit ip any any ttl eq 1
 20 permit ip 192.168.34.0 0.0.0.255 any
 30 permit tcp object-group SERVERS any portgroup WEB capture
 40 deny ip any any packet-length gt 1500
ipv6 access-list CORE
 sequence 10 permit ipv6 any any
"
    );
}

#[test]
fn object_groups_of_ios() {
    let text = "object-group network HOSTS
 any
 host 10.0.0.1
 10.1.0.0 255.255.0.0
 10.2.0.0 /16
object-group service WEB
 tcp www
 tcp source gt 1024 eq 443
 tcp-udp range 53 54
 icmp echo
 ip
 ospf
 group-object OTHER
ip access-list extended X
 permit object-group WEB any object-group HOSTS
";
    assert_eq!(
        parse(text).to_string(),
        "object-group network HOSTS
 any
 host 10.0.0.1
 10.1.0.0 255.255.0.0
 10.2.0.0 255.255.0.0
object-group service WEB
 tcp eq www
 tcp source gt 1024 eq 443
 tcp-udp range 53 54
 icmp echo
 ip
 ospf
 group-object OTHER
ip access-list extended X
 10 permit object-group WEB any object-group HOSTS
"
    );
}

#[test]
fn whole_lists_and_groups_are_deleted() {
    let mut document = parse("access-list 7 permit any\nobject-group port P\n eq 1\n");
    let text = "no access-list 7\nno object-group port P\nno ipv6 access-list GONE\n\
                no ip access-list extended GONE\nno ipv4 access-list GONE\n";
    document.apply(text).unwrap();
    assert_eq!(document, Document::default());
}

#[test]
fn text_resequences() {
    let mut document = parse("access-list 101 permit ip any any\naccess-list 101 deny ip any any");
    document.apply("ip access-list resequence 101 100 5").unwrap();
    let list = document.list(Family::V4, "101").unwrap();
    assert_eq!(list.aces().map(|(sequence, _)| sequence).collect::<Vec<_>>(), [100, 105]);
    document.apply("ip access-list resequence 101").unwrap();
    let list = document.list(Family::V4, "101").unwrap();
    assert_eq!(list.aces().map(|(sequence, _)| sequence).collect::<Vec<_>>(), [10, 20]);
}

#[test]
fn a_refused_text_changes_nothing() {
    let mut document = parse("access-list 101 permit ip any any");
    let before = document.clone();
    assert!(document.apply("no access-list 101\naccess-list 102 permit nothing").is_err());
    assert_eq!(document, before);
}
