//! Rules as the operator wrote them.

use client::acl::{AccessList, Ace, Body, Family, Kind, PlainAce, Protocol};
use client::ea::RuleName;
use client::pbr::{Action, RouteMap};

/// A rule of a list without its sequence number; what follows the last ace is written as if the
/// operator had. None when there is no such rule.
pub(crate) fn of_rule(list: &AccessList, rule: RuleName) -> Option<String> {
    match rule.implicit.checked_sub(1) {
        None => line(list, rule.sequence),
        Some(number) => {
            let plain = list.implicit().into_iter().nth(number as usize)?;
            let mut one = AccessList::new(list.name().clone(), list.family(), list.kind()).ok()?;
            let sequence = one.put(None, Body::Ace(Box::new(ace(plain, list)))).ok()?;
            line(&one, sequence)
        }
    }
}

/// An entry of a route map in one line. None when there is no such entry.
pub(crate) fn of_entry(map: &RouteMap, sequence: u16) -> Option<String> {
    let (_, entry) = map.entries().find(|(number, _)| *number == sequence)?;
    let action = match entry.action {
        Action::Permit => "permit",
        Action::Deny => "deny",
    };
    let clauses = entry.to_string();
    let clauses = clauses.lines().map(str::trim).filter(|line| !line.starts_with("description "));
    Some(std::iter::once(action).chain(clauses).collect::<Vec<_>>().join(", "))
}

fn line(list: &AccessList, sequence: u32) -> Option<String> {
    let line = list.line_of(sequence)?.to_string();
    let words = if list.family() == Family::V6 { 2 } else { 1 };
    line.splitn(words + 1, ' ').nth(words).map(str::to_owned)
}

/// The ace that an implicit rule would be: these name no groups and no ports.
fn ace(plain: PlainAce, list: &AccessList) -> Ace {
    let protocol = plain.protocol.map_or(Protocol::Any, Protocol::Number);
    let ace = Ace::new(plain.action, protocol).source(plain.source);
    if list.kind() == Kind::Standard {
        return ace;
    }
    ace.destination(plain.destination).options(plain.options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::acl::Document;
    use client::pbr::RouteMaps;

    #[test]
    fn every_rule_has_the_text_that_the_list_prints_without_its_number() {
        let text = "ip access-list extended A\n 10 permit tcp any any eq www\n\
                    ip access-list standard 7\n 5 deny host 192.0.2.1\n\
                    ip access-list extended EMPTY\n 10 remark nothing\n\
                    ipv6 access-list A\n sequence 30 deny tcp any any established log\n";
        let document = Document::parse(text).unwrap();
        let list = |family, name| document.list(family, name).unwrap();
        let of = |family, name, rule| of_rule(list(family, name), rule);
        let implicit = |n| RuleName::implicit(n);
        let (v4, v6) = (Family::V4, Family::V6);
        assert_eq!(of(v4, "A", RuleName::of_ace(10)).unwrap(), "permit tcp any any eq www");
        assert_eq!(of(v4, "A", implicit(1)).unwrap(), "deny ip any any");
        assert_eq!(of(v4, "7", RuleName::of_ace(5)).unwrap(), "deny host 192.0.2.1");
        assert_eq!(of(v4, "7", implicit(1)).unwrap(), "deny any");
        assert_eq!(of(v4, "EMPTY", implicit(1)).unwrap(), "permit ip any any");
        let six = of(v6, "A", RuleName::of_ace(30)).unwrap();
        assert_eq!(six, "deny tcp any any established log");
        assert_eq!(of(v6, "A", implicit(1)).unwrap(), "permit icmp any any nd-na");
        assert_eq!(of(v6, "A", implicit(2)).unwrap(), "permit icmp any any nd-ns");
        assert_eq!(of(v6, "A", implicit(3)).unwrap(), "deny ipv6 any any");
        assert_eq!(of(v4, "A", implicit(2)), None);
        assert_eq!(of(v4, "A", RuleName::of_ace(11)), None);
    }

    #[test]
    fn an_entry_is_one_line() {
        let text = "route-map M permit 10\n description what for\n match ip address A\n \
                    set ip next-hop 192.0.2.1\nroute-map M deny 20\n";
        let maps = RouteMaps::parse(text).unwrap();
        let of = |sequence| of_entry(maps.get("M").unwrap(), sequence);
        let wanted = "permit, match ip address A, set ip next-hop 192.0.2.1";
        assert_eq!(of(10).unwrap(), wanted);
        assert_eq!(of(20).unwrap(), "deny");
        assert_eq!(of(30), None);
    }
}
