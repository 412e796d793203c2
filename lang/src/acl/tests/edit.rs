use super::*;

fn list() -> AccessList {
    let mut list = AccessList::new(name("X"), Family::V4, Kind::Extended).unwrap();
    for port in [1, 2, 3] {
        list.add(ace(port)).unwrap();
    }
    list
}

fn ace(port: u16) -> Ace {
    Ace::permit(Protocol::TCP).destination_port(Compare::eq(port))
}

fn body(port: u16) -> Body {
    Body::Ace(Box::new(ace(port)))
}

/// Sequence number and port of each ace.
fn seen(list: &AccessList) -> Vec<(u32, u16)> {
    let port = |ace: &Ace| (1..100).find(|port| *ace == self::ace(*port)).unwrap();
    list.aces().map(|(sequence, ace)| (sequence, port(ace))).collect()
}

#[test]
fn entries_are_numbered_by_ten() {
    let mut list = list();
    assert_eq!(seen(&list), [(10, 1), (20, 2), (30, 3)]);
    assert_eq!(list.put(Some(15), body(9)), Ok(15));
    assert_eq!(list.add(ace(4)), Ok(40));
    assert_eq!(seen(&list), [(10, 1), (15, 9), (20, 2), (30, 3), (40, 4)]);
}

#[test]
fn entries_are_deleted_replaced_and_moved_by_number() {
    let mut list = list();
    assert_eq!(list.delete(20), Ok(body(2)));
    assert_eq!(list.replace(10, body(7)), Ok(body(1)));
    assert_eq!(list.move_entry(30, 5), Ok(()));
    assert_eq!(list.move_entry(10, 10), Ok(()));
    assert_eq!(seen(&list), [(5, 3), (10, 7)]);
}

#[test]
fn impossible_edits_change_nothing() {
    let mut list = list();
    let before = list.clone();
    let udp = Ace::permit(Protocol::UDP).tcp(TcpMatch::ESTABLISHED);
    assert_eq!(list.delete(15), Err(EditError::NoEntry(15)));
    assert_eq!(list.replace(15, body(1)), Err(EditError::NoEntry(15)));
    assert_eq!(list.move_entry(15, 16), Err(EditError::NoEntry(15)));
    assert_eq!(list.move_entry(10, 20), Err(EditError::Taken(20)));
    assert_eq!(list.move_entry(10, 0), Err(EditError::BadSequence(0)));
    assert_eq!(list.put(Some(10), body(1)), Err(EditError::Taken(10)));
    assert_eq!(list.put(Some(u32::MAX), body(1)), Err(EditError::BadSequence(u32::MAX)));
    assert_eq!(list.add(udp), Err(AceError::NotTcp.into()));
    assert_eq!(list.add_remark("two\nlines"), Err(EditError::BadRemark));
    assert_eq!(list.resequence(0, 1), Err(EditError::BadSequence(0)));
    assert_eq!(list.resequence(MAX_SEQUENCE, 1), Err(EditError::Exhausted));
    assert_eq!(list.resequence(1, MAX_SEQUENCE), Err(EditError::Exhausted));
    assert_eq!(list, before);
}

#[test]
fn resequencing_says_what_became_of_each() {
    let mut list = list();
    assert_eq!(list.resequence(15, 5), Ok(vec![(10, 15), (20, 20), (30, 25)]));
    assert_eq!(seen(&list), [(15, 1), (20, 2), (25, 3)]);
    assert_eq!(list.resequence(MAX_SEQUENCE - 2, 1).unwrap()[2].1, MAX_SEQUENCE);
    assert_eq!(list.add(ace(4)), Err(EditError::Exhausted));
}

#[test]
fn an_ace_that_cannot_be_is_refused() {
    let check = |ace: Ace| ace.check(Family::V4, Kind::Extended).unwrap_err();
    let any = || Ace::permit(Protocol::Any);
    let tcp = || Ace::permit(Protocol::TCP);
    let none = TcpMatch::All { set: TcpFlags::NONE, clear: TcpFlags::NONE };
    assert_eq!(check(any().source(net("2001:db8::/32"))), AceError::OtherFamily);
    assert_eq!(check(any().icmp(8, None)), AceError::NotIcmp);
    assert_eq!(check(tcp().tcp(none)), AceError::NoFlags);
    assert_eq!(check(tcp().source_port(Compare::Eq(vec![]))), AceError::MatchesNothing("port"));
    assert_eq!(check(tcp().source_port(Compare::Neq(vec![]))), AceError::MatchesNothing("port"));
    let ttl = Options { ttl: Some(Compare::Lt(256)), ..Options::default() };
    let error = AceError::TooLarge { field: "TTL", value: 256, max: 255 };
    assert_eq!(check(any().options(ttl)), error);
    let label = Options { flow_label: Some(1), ..Options::default() };
    assert_eq!(check(any().options(label)), AceError::NoSuchField("flow-label"));
    let standard = AccessList::new(name("X"), Family::V6, Kind::Standard);
    assert_eq!(standard, Err(EditError::StandardIpv6));
    assert_eq!(tcp().check(Family::V4, Kind::Standard), Err(AceError::NotStandard));
    assert_eq!(any().check(Family::V4, Kind::Standard), Ok(()));
}

#[test]
fn a_name_is_one_word() {
    for bad in ["", "a b", "!a", "a\n", "\u{feff}a", "a\u{0}"] {
        assert!(bad.parse::<Name>().is_err(), "{bad:?}");
    }
    assert_eq!(name("EDGE-IN").as_str(), "EDGE-IN");
}
