//! What the rules of a policy do, as rows.

use qfp_core::pbr::{NEXT_HOPS, PbrAction};
use qfp_core::uidb::TableId;

use super::rules::RuleError;
use crate::flowspec::Match;
use crate::pbr::{self, Condition, Mark, RuleKey};

/// The row of a policy's rule.
pub(super) fn action(
    policy: &str,
    rule: &pbr::Rule,
    row: u32,
    table: &impl Fn(&str) -> Option<TableId>,
) -> Result<PbrAction, RuleError> {
    let sets = &rule.outcome.sets;
    let mut action = PbrAction { rule: row, ..PbrAction::default() };
    if let RuleKey::Flow(id) = rule.key {
        action.flags |= PbrAction::FLOWSPEC;
        if rule.outcome.goes_on {
            return Err(RuleError::NotTerminal(id.0));
        }
        if !rule.outcome.rates.is_empty() || rule.outcome.sample {
            return Err(RuleError::NotCarriedOut(id.0));
        }
        let flags = |alternative: &Match| {
            let flags = alternative.tcp_flags.iter().flatten();
            flags.into_iter().any(|flags| flags.mask() > 0xff)
        };
        if matches!(&rule.condition, Condition::Flow(any) if any.iter().any(flags)) {
            return Err(RuleError::WideFlags(id.0));
        }
    }
    if sets.null0 {
        action.flags |= PbrAction::DROP;
    }
    if let Some(vrf) = &sets.vrf {
        let no_vrf = || RuleError::NoVrf { policy: policy.to_owned(), vrf: vrf.to_string() };
        action.table = table(vrf.as_str()).ok_or_else(no_vrf)?.0;
        action.flags |= PbrAction::TABLE;
    }
    (action.class, action.class_mask) = match sets.mark {
        None => (0, 0),
        Some(Mark::Dscp(dscp)) => (dscp << 2, 0xfc),
        Some(Mark::Precedence(precedence)) => (precedence << 5, 0xe0),
    };
    let four = |hops: &[std::net::Ipv4Addr]| {
        let mut row = [0; NEXT_HOPS];
        row.iter_mut().zip(hops).for_each(|(to, hop)| *to = hop.to_bits());
        row
    };
    let six = |hops: &[std::net::Ipv6Addr]| {
        let mut row = [0; NEXT_HOPS];
        row.iter_mut().zip(hops).for_each(|(to, hop)| *to = hop.to_bits());
        row
    };
    action.next_hop4 = four(&sets.next_hops4);
    action.next_hop6 = six(&sets.next_hops6);
    action.default4 = four(&sets.default_next_hops4);
    action.default6 = six(&sets.default_next_hops6);
    Ok(action)
}
