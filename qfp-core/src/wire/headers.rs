//! The extension headers of an IPv6 packet one by one, with what is in them (RFC 8200 §4).

use super::extension::{is_extension, split};
use super::{Ipv6, Malformed, protocol};

/// An extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What it is.
    pub kind: u8,
    /// Where it starts, bytes from the start of the IPv6 header.
    pub at: usize,
    /// Where the next header field that names it stands, likewise.
    pub named_at: usize,
    /// All of it, at least 8 bytes.
    pub bytes: &'a [u8],
}

/// Iterator over the extension headers of a packet.
///
/// Ends after the first that is cut off, and behind the fragment header of a later fragment: what
/// follows that is the middle of something.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    packet: &'a [u8],
    kind: u8,
    at: usize,
    named_at: usize,
}

impl<'a> Extensions<'a> {
    /// The extension headers of `ip`.
    #[must_use]
    pub fn of(ip: &Ipv6<'a>) -> Self {
        let at = ip.packet().len() - ip.payload().len();
        Self { packet: ip.packet(), kind: ip.next_header(), at, named_at: 6 }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, at, named_at) = (self.kind, self.at, self.named_at);
        if !is_extension(kind) {
            return None;
        }
        // Nothing follows, unless this one is whole.
        self.kind = protocol::NO_NEXT_HEADER;
        let rest = self.packet.get(at..).unwrap_or_default();
        let Some((&[next, _, high, low, ..], behind)) = split(kind, rest) else {
            return Some(Err(Malformed::Truncated));
        };
        let (bytes, _) = rest.split_at(rest.len() - behind.len());
        if kind != protocol::FRAGMENT || u16::from_be_bytes([high, low]) & 0xfff8 == 0 {
            (self.kind, self.at, self.named_at) = (next, at + bytes.len(), at);
        }
        Some(Ok(Extension { kind, at, named_at, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(chain: &[u8]) -> Vec<Result<(u8, usize, usize, usize), Malformed>> {
        let mut bytes = vec![0; 40];
        (bytes[0], bytes[5]) = (0x60, u8::try_from(chain.len()).unwrap());
        bytes.extend_from_slice(chain);
        let ip = Ipv6::parse(&bytes).unwrap();
        let places =
            |found: Extension<'_>| (found.kind, found.at, found.named_at, found.bytes.len());
        Extensions::of(&ip).map(|found| found.map(places)).collect()
    }

    #[test]
    fn each_header_comes_with_the_field_that_names_it() {
        let chain = [60, 0, 5, 2, 0, 0, 1, 0, 44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 9];
        let all = [Ok((0, 40, 6, 8)), Ok((60, 48, 40, 8)), Ok((44, 56, 48, 8))];
        assert_eq!(found(&chain), all);
        assert_eq!(found(&chain[..20]), [all[0], all[1], Err(Malformed::Truncated)]);
        let authentication = [[60, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 6, 0, 1, 4], [0; 8]].concat();
        let chain = [&[51, 0, 1, 4, 0, 0, 0, 0], &authentication[..]].concat();
        assert_eq!(found(&chain), [Ok((0, 40, 6, 8)), Ok((51, 48, 40, 12)), Ok((60, 60, 48, 8))]);
    }

    #[test]
    fn behind_a_later_fragment_there_is_none() {
        let later = [60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 8, 0, 0, 0, 9];
        let all = [Ok((0, 40, 6, 8)), Ok((60, 48, 40, 8)), Ok((44, 56, 48, 8))];
        assert_eq!(found(&[&later[..], &later].concat()), all);
    }
}
