//! Options of IPv4 headers (RFC 791) and of IPv6 extension headers (RFC 8200 §4.2).

/// An option contradicts the header that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an option is wrong at byte {at}")]
pub struct BadOption {
    /// The byte that is wrong, from the start of the IP header: a length, or the kind of an option
    /// whose length is missing.
    pub at: usize,
}

/// One IPv4 option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Option<'a> {
    /// Copied flag, class and number.
    pub kind: u8,
    /// Where it starts, bytes from the start of the IP header.
    pub at: usize,
    /// The whole option: kind, and length and data unless it is a no-operation.
    pub bytes: &'a [u8],
}

impl Ipv4Option<'_> {
    /// No operation.
    pub const NOP: u8 = 1;
    /// Record route.
    pub const RECORD_ROUTE: u8 = 7;
    /// Internet timestamp.
    pub const TIMESTAMP: u8 = 68;
    /// Loose source and record route.
    pub const LOOSE_SOURCE_ROUTE: u8 = 131;
    /// Strict source and record route.
    pub const STRICT_SOURCE_ROUTE: u8 = 137;
    /// Router alert (RFC 2113).
    pub const ROUTER_ALERT: u8 = 148;

    /// True when every fragment carries the option, not only the first (RFC 791 3.1).
    #[must_use]
    pub const fn copied(&self) -> bool {
        self.kind & 0x80 != 0
    }

    /// True for both source routes.
    #[must_use]
    pub const fn is_source_route(&self) -> bool {
        matches!(self.kind, Self::LOOSE_SOURCE_ROUTE | Self::STRICT_SOURCE_ROUTE)
    }

    /// True when a router must look at what it forwards with an option of this `kind` (RFC 1812
    /// 5.2.4): source routes, router alert, and, if it `records`, record route and timestamp.
    #[must_use]
    pub const fn needs_router(kind: u8, records: bool) -> bool {
        match kind {
            Self::LOOSE_SOURCE_ROUTE | Self::STRICT_SOURCE_ROUTE | Self::ROUTER_ALERT => true,
            Self::RECORD_ROUTE | Self::TIMESTAMP => records,
            _ => false,
        }
    }
}

/// Iterator over the options of an IPv4 header; ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Ipv4Options<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Ipv4Options<'a> {
    /// The options in `bytes`, which start `at` bytes behind the start of the IP header.
    pub(super) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { rest: bytes, at }
    }
}

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Result<Ipv4Option<'a>, BadOption>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, tail) = self.rest.split_first()?;
        let at = self.at;
        let len = match (kind, tail.first()) {
            (0, _) => return None,
            (Ipv4Option::NOP, _) => Ok(1),
            (_, None) => Err(at),
            (_, Some(0..=1)) => Err(at + 1),
            (_, Some(len)) => Ok(usize::from(*len)),
        };
        let found = len.and_then(|len| self.rest.split_at_checked(len).ok_or(at + 1));
        let (bytes, rest) = found.unwrap_or_default();
        self.rest = rest;
        self.at += bytes.len();
        Some(found.map(|_| Ipv4Option { kind, at, bytes }).map_err(|at| BadOption { at }))
    }
}

/// One option of a Hop-by-Hop or Destination Options header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Option {
    /// Its type; the two top bits say what to do with one that is unknown.
    pub kind: u8,
    /// Where it starts, bytes from the start of the IPv6 header.
    pub at: usize,
}

impl Ipv6Option {
    /// One byte of padding.
    pub const PAD1: u8 = 0;
}

/// Iterator over the options of an IPv6 extension header; ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Ipv6Options<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Ipv6Options<'a> {
    /// The options of the extension header `bytes`, which starts `at` bytes behind the start of
    /// the IPv6 header.
    #[must_use]
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { rest: bytes.get(2..).unwrap_or_default(), at: at + 2 }
    }
}

impl Iterator for Ipv6Options<'_> {
    type Item = Result<Ipv6Option, BadOption>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, tail) = self.rest.split_first()?;
        let at = self.at;
        let len = match (kind, tail.first()) {
            (Ipv6Option::PAD1, _) => Ok(1),
            (_, None) => Err(at),
            (_, Some(len)) => Ok(2 + usize::from(*len)),
        };
        let rest = len.and_then(|len| self.rest.get(len..).ok_or(at + 1));
        self.at += len.unwrap_or_default();
        self.rest = rest.unwrap_or_default();
        Some(rest.map(|_| Ipv6Option { kind, at }).map_err(|at| BadOption { at }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad<T>(at: usize) -> Result<T, BadOption> {
        Err(BadOption { at })
    }

    #[test]
    fn ipv4_options_end_at_the_end_of_list_or_the_first_malformed_one() {
        let places = |bytes: &[u8]| {
            let options = Ipv4Options::new(bytes, 20);
            options.map(|found| found.map(|found| (found.kind, found.at))).collect::<Vec<_>>()
        };
        assert_eq!(places(&[148, 4, 0, 0]), [Ok((148, 20))]);
        assert_eq!(places(&[1, 7, 3, 4, 0, 148, 4, 0]), [Ok((1, 20)), Ok((7, 21))]);
        assert_eq!(places(&[7, 0, 1, 1]), [bad(21)]);
        assert_eq!(places(&[7, 1, 1, 1]), [bad(21)]);
        assert_eq!(places(&[1, 1, 7, 9]), [Ok((1, 20)), Ok((1, 21)), bad(23)]);
        assert_eq!(places(&[1, 1, 1, 7]), [Ok((1, 20)), Ok((1, 21)), Ok((1, 22)), bad(23)]);
    }

    #[test]
    fn ipv6_options_fill_their_header() {
        let places = |bytes: &[u8]| {
            let options = Ipv6Options::new(bytes, 40);
            options.map(|found| found.map(|found| (found.kind, found.at))).collect::<Vec<_>>()
        };
        assert_eq!(places(&[17, 0, 5, 2, 0, 0, 1, 0]), [Ok((5, 42)), Ok((1, 46))]);
        assert_eq!(places(&[17, 0, 0, 0, 0, 0, 0, 0xc2]), {
            [Ok((0, 42)), Ok((0, 43)), Ok((0, 44)), Ok((0, 45)), Ok((0, 46)), bad(47)]
        });
        assert_eq!(places(&[17, 0, 0, 0xc2, 4, 0, 0, 0]), [Ok((0, 42)), bad(44)]);
        assert_eq!(places(&[17, 0, 1, 3, 0, 0, 0, 0]), [Ok((1, 42)), Ok((0, 47))]);
    }

    #[test]
    fn record_route_and_timestamp_need_a_router_that_records() {
        let needed = |records| {
            (0..=255).filter(|kind| Ipv4Option::needs_router(*kind, records)).collect::<Vec<u8>>()
        };
        assert_eq!(needed(false), [131, 137, 148]);
        assert_eq!(needed(true), [7, 68, 131, 137, 148]);
    }
}
