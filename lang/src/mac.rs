use std::fmt;
use std::str::FromStr;

/// An Ethernet address, bytes in the order of transmission.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddr(pub [u8; 6]);

/// A text that is no MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address")]
pub struct NotMac;

impl MacAddr {
    /// True for an address that one station can have: neither a group nor all zero.
    #[must_use]
    pub fn is_station(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl FromStr for MacAddr {
    type Err = NotMac;

    /// Reads `02:00:5e:00:53:01`, the same with dashes, and the dotted form `0200.5e00.5301`.
    fn from_str(text: &str) -> Result<Self, NotMac> {
        let (separator, groups, digits) = match text {
            _ if text.contains(':') => (':', 6, 2),
            _ if text.contains('-') => ('-', 6, 2),
            _ => ('.', 3, 4),
        };
        let mut bytes = [0; 6];
        let mut count = 0;
        for (group, slot) in text.split(separator).zip(bytes.chunks_exact_mut(6 / groups)) {
            if group.len() != digits || !group.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(NotMac);
            }
            let value = u16::from_str_radix(group, 16).map_err(|_| NotMac)?;
            slot.copy_from_slice(&value.to_be_bytes()[2 - slot.len()..]);
            count += 1;
        }
        if count == groups && text.split(separator).count() == groups {
            Ok(Self(bytes))
        } else {
            Err(NotMac)
        }
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_usual_spellings_mean_the_same() {
        let mac = MacAddr([0x02, 0, 0x5e, 0, 0x53, 0x01]);
        for text in ["02:00:5e:00:53:01", "02-00-5E-00-53-01", "0200.5e00.5301"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        assert_eq!(mac.to_string(), "02:00:5e:00:53:01");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "02",
            "02:00:5e:00:53",
            "02:00:5e:00:53:01:00",
            "02:00:5e:00:53:0g",
            "2:0:5e:0:53:1",
            "+2:00:5e:00:53:01",
            "0200.5e00",
            "0200.5e00.5301.0000",
            "02:00-5e:00:53:01",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(NotMac), "{text}");
        }
    }

    #[test]
    fn a_group_or_zero_address_is_no_station() {
        assert!(MacAddr([2, 0, 0, 0, 0, 1]).is_station());
        assert!(!MacAddr([0; 6]).is_station());
        assert!(!MacAddr([0xff; 6]).is_station());
        assert!(!MacAddr([1, 0, 0x5e, 0, 0, 1]).is_station());
    }
}
