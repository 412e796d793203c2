use super::{AccessList, Action, Family, Fragments, Icmp, IpMatch, Options, PlainAce};

/// Sequence number of what [`AccessList::implicit`] gives: no entry has it.
pub const IMPLICIT: u32 = 0;

impl AccessList {
    /// What follows the last ace.
    ///
    /// A list with an ace denies all else. One of IPv6 permits neighbour discovery before it does:
    /// advertisements (`nd-na`), then solicitations (`nd-ns`), none of which comes in fragments (RFC
    /// 6980): later ones are not among what is permitted. A list without any ace, as one that
    /// is not defined, permits all packets.
    #[must_use]
    pub fn implicit(&self) -> Vec<PlainAce> {
        let all = |action| PlainAce {
            sequence: IMPLICIT,
            action,
            protocol: None,
            source: IpMatch::Any,
            destination: IpMatch::Any,
            source_ports: None,
            destination_ports: None,
            fragments: Fragments::All,
            options: Options::default(),
        };
        if self.aces().next().is_none() {
            return vec![all(Action::Permit)];
        }
        let discovery = |kind| PlainAce {
            protocol: Some(Family::V6.icmp()),
            fragments: Fragments::First,
            options: Options { icmp: Some(Icmp { kind, code: None }), ..Options::default() },
            ..all(Action::Permit)
        };
        let mut rules = Vec::new();
        if self.family() == Family::V6 {
            rules.extend([136, 135].map(discovery));
        }
        rules.push(all(Action::Deny));
        rules
    }
}
