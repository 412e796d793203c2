//! Fragments that hide what they carry: filters behind this see whole headers, or later fragments
//! that cannot change them.

use crate::packet::{DropReason, L3, Vector};
use crate::step::Lcore;
use crate::uidb::{Uidb, UidbTable};
use crate::wire::{Chain, ChainEnd, TCP_HEADER, protocol};

/// Drops the packet in `slot`, whose header has been read, if it is a fragment that hides something
/// and its input interface does not let such pass ([`Uidb::PASS_FRAGMENTS`]).
#[inline]
pub(super) fn judge(lcore: &Lcore<'_>, vector: &mut Vector, slot: usize) {
    let refused = match vector.l3(slot) {
        L3::Ipv4 => refused_v4(vector.network(slot), vector.ip_len(slot)),
        L3::Ipv6 if vector.is.extended.contains(slot) => refused_v6(&vector.chain(slot)),
        _ => None,
    };
    let Some(reason) = refused else { return };
    let input = UidbTable::open(&lcore.tables).get(vector.route.input[slot & 63]);
    if input.features_in & Uidb::PASS_FRAGMENTS == 0 {
        vector.drop(slot, reason);
    }
}

/// RFC 1858 §3, RFC 3128 §4: a first fragment has all of TCP's fixed header, and no later one begins
/// inside of it, where it would overwrite what the first one was judged by.
pub(super) fn refused_v4(packet: &[u8], ip_len: u16) -> Option<DropReason> {
    let fixed = packet.first_chunk::<20>()?;
    let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
    if fragment & 0x3fff == 0 || fixed[9] != protocol::TCP {
        return None;
    }
    let payload = usize::from(ip_len).saturating_sub(usize::from(fixed[0] & 0xf) * 4);
    let offset = usize::from(fragment & 0x1fff) * 8;
    let tiny = if offset == 0 { payload < TCP_HEADER } else { offset < TCP_HEADER };
    tiny.then_some(DropReason::TinyFragment)
}

/// RFC 7112 §5: a first fragment has the whole chain of headers, that of the upper layer included.
/// Later ones as of IPv4, where they say that TCP begins in the first.
fn refused_v6(chain: &Chain) -> Option<DropReason> {
    chain.fragment?;
    if chain.later_fragment {
        let inside = usize::from(chain.fragment_offset) * 8 < TCP_HEADER;
        return (inside && chain.protocol == protocol::TCP).then_some(DropReason::TinyFragment);
    }
    (chain.end != ChainEnd::Whole).then_some(DropReason::Ipv6FirstFragment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l3::scalar::tests::{ipv4, ipv6};

    fn v4(protocol: u8, fragment: u16, payload: usize) -> Option<DropReason> {
        let mut ip = ipv4([10, 0, 0, 1], [192, 0, 2, 1], 64, &[], &vec![0; payload]);
        ip[6..8].copy_from_slice(&fragment.to_be_bytes());
        ip[9] = protocol;
        let ip_len = u16::try_from(ip.len()).unwrap();
        // Link-layer padding is no payload.
        ip.extend([0; 40]);
        refused_v4(&ip, ip_len)
    }

    fn v6(next: u8, payload: &[u8]) -> Option<DropReason> {
        let ip = ipv6("2001:db8::1", "2001:db8:1::1", next, 64, payload);
        refused_v6(&Chain::walk(next, &ip[40..]))
    }

    #[test]
    fn tcp_has_twenty_bytes_in_its_first_fragment() {
        const MORE: u16 = 0x2000;
        for (payload, tiny) in [(0, true), (8, true), (16, true), (19, true), (20, false)] {
            let wanted = tiny.then_some(DropReason::TinyFragment);
            assert_eq!(v4(6, MORE, payload), wanted, "{payload} bytes");
            // Not of other protocols, and not of a packet that is whole.
            assert_eq!((v4(17, MORE, payload), v4(6, 0x4000, payload)), (None, None));
        }
    }

    #[test]
    fn no_later_fragment_begins_inside_the_header_of_tcp() {
        for (offset, inside) in [(1, true), (2, true), (3, false), (185, false)] {
            for more in [0, 0x2000] {
                let wanted = inside.then_some(DropReason::TinyFragment);
                assert_eq!(v4(6, more | offset, 64), wanted, "offset {offset}");
                assert_eq!(v4(17, more | offset, 64), None);
                let [a, b] = (offset << 3 | more >> 13).to_be_bytes();
                let six = |next| v6(44, &[&[next, 0, a, b, 0, 0, 0, 1][..], &[0; 64]].concat());
                assert_eq!((six(6), six(17), six(60)), (wanted, None, None));
            }
        }
    }

    #[test]
    fn an_ipv6_first_fragment_has_the_whole_chain() {
        const WANTED: Option<DropReason> = Some(DropReason::Ipv6FirstFragment);
        let first = [60, 0, 0, 1, 0, 0, 0, 1];
        let options = [6, 0, 1, 4, 0, 0, 0, 0];
        let behind = |rest: &[u8]| v6(44, &[&first[..], rest].concat());
        assert_eq!(behind(&[]), WANTED);
        assert_eq!(behind(&options[..7]), WANTED);
        assert_eq!(behind(&options), WANTED);
        assert_eq!(behind(&[&options[..], &[0; 19]].concat()), WANTED);
        assert_eq!(behind(&[&options[..], &[0; 20]].concat()), None);
        // TCP's options belong to its header.
        let mut tcp = [0; 24];
        tcp[12] = 0x70;
        assert_eq!(behind(&[&options[..], &tcp].concat()), WANTED);
        assert_eq!(behind(&[&options[..], &tcp, &[0; 4]].concat()), None);
        // A packet that is not a fragment is for its end to judge.
        assert_eq!(v6(6, &[0; 4]), None);
        assert_eq!(v6(60, &options), None);
    }
}
