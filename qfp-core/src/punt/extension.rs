//! Which IPv6 extension headers a packet may have (RFC 8200 4).
//!
//! In transit only the Hop-by-Hop header is looked into. Where the packet ends, so are the headers
//! up to the first fragment header: what is behind it is looked at when the datagram is whole.

use super::counters::SlowDrop;
use super::icmp::Problem;
use super::options::Refusal;
use crate::wire::{Extension, Extensions, Ipv6, Ipv6Options, protocol};

/// On which part of its way a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// For somebody else.
    Transit,
    /// For the router.
    Here,
    /// For a group that the router listens to.
    Group,
}

/// Offset of the payload length in the IPv6 header.
const PAYLOAD_LENGTH: u32 = 4;
/// Bytes of the fixed header.
const FIXED: usize = 40;

/// Looks at the extension headers of `ip` in their order; the first that stands in the way decides.
pub(super) fn judge(ip: &Ipv6<'_>, place: Where) -> Result<(), Refusal> {
    for (index, header) in Extensions::of(ip).enumerate() {
        // What is behind a header that is cut off may be an ICMP error: no report.
        let header = header.map_err(|_| Refusal::Drop(SlowDrop::Malformed))?;
        match header.kind {
            // It stands first or nowhere.
            protocol::HOP_BY_HOP if index > 0 => return Err(problem(1, header.named_at)),
            protocol::HOP_BY_HOP => judge_options(&header, place)?,
            _ if place == Where::Transit => {}
            protocol::DESTINATION_OPTIONS => judge_options(&header, place)?,
            // No type of routing header is known here (RFC 5095 for type 0).
            protocol::ROUTING if header.bytes.get(3).is_some_and(|left| *left != 0) => {
                return Err(problem(0, header.at + 2));
            }
            protocol::FRAGMENT if !is_atomic(&header) => return judge_fragment(ip, &header),
            _ => {}
        }
    }
    Ok(())
}

/// RFC 8200 4.2: what an option that nobody knows asks for. Of the known ones, all that is to be
/// done is to skip them: padding and router alert. Jumbo payloads are not known here.
fn judge_options(header: &Extension<'_>, place: Where) -> Result<(), Refusal> {
    for option in Ipv6Options::new(header.bytes, header.at) {
        let option = option.map_err(|bad| problem(0, bad.at))?;
        match option.kind >> 6 {
            0b00 => {}
            0b10 => {
                return Err(Refusal::Report(Problem::UnknownOption { at: place_of(option.at) }));
            }
            0b11 if place != Where::Group => return Err(problem(2, option.at)),
            _ => return Err(Refusal::Drop(SlowDrop::UnknownOption)),
        }
    }
    Ok(())
}

/// RFC 8200 4.5: lengths that no fragment has.
fn judge_fragment(ip: &Ipv6<'_>, header: &Extension<'_>) -> Result<(), Refusal> {
    let bad = |at| Err(Refusal::Report(Problem::BadFragment { at }));
    let data = ip.packet().len() - header.at - 8;
    let (offset, more) = offset_and_more(header);
    if more && !data.is_multiple_of(8) {
        return bad(PAYLOAD_LENGTH);
    }
    if header.at - FIXED + offset + data > usize::from(u16::MAX) {
        return bad(place_of(header.at + 2));
    }
    Ok(())
}

/// True for a datagram in one piece that has a fragment header nevertheless (RFC 6946).
fn is_atomic(header: &Extension<'_>) -> bool {
    offset_and_more(header) == (0, false)
}

/// Where the data of a fragment belong, bytes, and whether more follow.
fn offset_and_more(header: &Extension<'_>) -> (usize, bool) {
    let word = match header.bytes {
        [_, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    };
    (usize::from(word & 0xfff8), word & 1 == 1)
}

fn problem(code: u8, at: usize) -> Refusal {
    Refusal::Report(Problem::BadField { code, at: place_of(at) })
}

/// An offset in a packet, which has 65,575 bytes at most.
fn place_of(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
