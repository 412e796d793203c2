//! A packet as one says it: `in=port0 src=192.0.2.2 dst=203.0.113.1 proto=tcp dport=22`.

use std::net::IpAddr;
use std::str::FromStr;

use client::ios::names;

/// The packet to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Interface that it comes in by.
    pub input: String,
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// Protocol.
    pub protocol: u8,
    /// Source and destination port, where the protocol has ports.
    pub ports: (u16, u16),
    /// ICMP type and code, where the protocol is ICMP.
    pub icmp: (u8, u8),
    /// TCP flags, where the protocol is TCP.
    pub flags: u8,
    /// DSCP.
    pub dscp: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Length from the IP header on, bytes; without, as long as the headers and 16 bytes.
    pub len: Option<u16>,
    /// Whether it is a fragment.
    pub fragment: Option<FragmentKind>,
}

/// Which fragment of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentKind {
    /// The first, with the transport header.
    First,
    /// One behind the first, without.
    Later,
}

/// What is wrong with a packet's description. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// A word without an equals sign.
    #[error("{0:?} is not FIELD=VALUE")]
    NotField(String),
    /// A field that packets do not have here.
    #[error(
        "there is no field {0:?}: there are in, src, dst, proto, sport, dport, icmp, dscp, len, ttl, flags, frag"
    )]
    UnknownField(String),
    /// A field a second time.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// A field that must be there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value that the field cannot have.
    #[error("{field}={value:?}: expected {wants}")]
    BadValue {
        /// The field.
        field: &'static str,
        /// What it is said to be.
        value: String,
        /// What it could be.
        wants: &'static str,
    },
    /// Addresses that cannot be in one packet.
    #[error("src={src} and dst={dst} are of two families")]
    TwoFamilies {
        /// Source.
        src: IpAddr,
        /// Destination.
        dst: IpAddr,
    },
    /// A field of another protocol.
    #[error("{field} does not go with protocol {protocol}")]
    OtherProtocol {
        /// The field.
        field: &'static str,
        /// The protocol.
        protocol: u8,
    },
    /// Less room than the headers need.
    #[error("len={len} is too short: the headers take {least} bytes")]
    TooShort {
        /// Bytes asked for.
        len: u16,
        /// Bytes that the headers are.
        least: u16,
    },
}

const FIELDS: [&str; 12] =
    ["in", "src", "dst", "proto", "sport", "dport", "icmp", "dscp", "len", "ttl", "flags", "frag"];

/// Names and bits of TCP flags.
const FLAGS: [(&str, u8); 6] =
    [("fin", 1), ("syn", 2), ("rst", 4), ("psh", 8), ("ack", 16), ("urg", 32)];

/// The fields of one description, by place in [`FIELDS`].
struct Fields<'a>([Option<&'a str>; FIELDS.len()]);

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Result<Self, ProbeError> {
        let mut fields = Self([None; FIELDS.len()]);
        for word in text.split_whitespace() {
            let (name, value) =
                word.split_once('=').ok_or_else(|| ProbeError::NotField(word.to_owned()))?;
            let found = FIELDS.into_iter().zip(&mut fields.0).find(|(field, _)| *field == name);
            let (field, place) = found.ok_or_else(|| ProbeError::UnknownField(name.to_owned()))?;
            if place.replace(value).is_some() {
                return Err(ProbeError::Twice(field));
            }
        }
        Ok(fields)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        FIELDS.into_iter().zip(self.0).find(|(field, _)| *field == name).and_then(|(_, v)| v)
    }

    /// The value of a field as `parse` reads it; none when it is not given.
    fn read<T>(
        &self,
        field: &'static str,
        wants: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ProbeError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let bad = || ProbeError::BadValue { field, value: value.to_owned(), wants };
        parse(value).map(Some).ok_or_else(bad)
    }

    fn number<T: FromStr>(
        &self,
        field: &'static str,
        wants: &'static str,
    ) -> Result<Option<T>, ProbeError> {
        self.read(field, wants, |value| value.parse().ok())
    }

    fn address(&self, field: &'static str) -> Result<IpAddr, ProbeError> {
        self.number(field, "an IPv4 or IPv6 address")?.ok_or(ProbeError::Missing(field))
    }
}

impl FromStr for Probe {
    type Err = ProbeError;

    /// Words `FIELD=VALUE` in any order; `in`, `src` and `dst` must be there. Without `proto` it is
    /// ICMP when there is `icmp`, TCP when there are `flags`, and UDP otherwise.
    fn from_str(text: &str) -> Result<Self, ProbeError> {
        let fields = Fields::of(text)?;
        let input = fields.get("in").ok_or(ProbeError::Missing("in"))?.to_owned();
        let (src, dst) = (fields.address("src")?, fields.address("dst")?);
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(ProbeError::TwoFamilies { src, dst });
        }
        let icmp_number = if src.is_ipv4() { 1 } else { 58 };
        let protocol = fields.read(
            "proto",
            "a protocol, such as tcp, udp, icmp or 47",
            |value| match named(names::PROTOCOLS, value) {
                _ if value.eq_ignore_ascii_case("icmp") => Some(icmp_number),
                Some(number) => Some(number),
                None => value.parse().ok(),
            },
        )?;
        let protocol = match protocol {
            Some(protocol) => protocol,
            None if fields.get("icmp").is_some() => icmp_number,
            None if fields.get("flags").is_some() => 6,
            None => 17,
        };
        let goes_with: [(&'static str, &[u8]); 4] = [
            ("sport", &[6, 17, 132]),
            ("dport", &[6, 17, 132]),
            ("icmp", &[icmp_number]),
            ("flags", &[6]),
        ];
        for (field, protocols) in goes_with {
            if fields.get(field).is_some() && !protocols.contains(&protocol) {
                return Err(ProbeError::OtherProtocol { field, protocol });
            }
        }
        let port =
            |field| fields.number(field, "a port, 0 to 65535").map(|port| port.unwrap_or(49152));
        let dscp = fields.read("dscp", "a DSCP, 0 to 63 or a name such as ef", |value| {
            named(names::DSCP, value).or_else(|| value.parse().ok().filter(|dscp| *dscp < 64))
        })?;
        let fragment = fields.read("frag", "first or later", |value| match value {
            "first" => Some(FragmentKind::First),
            "later" => Some(FragmentKind::Later),
            _ => None,
        })?;
        let probe = Self {
            input,
            src,
            dst,
            protocol,
            ports: (port("sport")?, port("dport")?),
            icmp: fields
                .read("icmp", "a type and perhaps a code, such as 3/4", message)?
                .unwrap_or(if src.is_ipv4() { (8, 0) } else { (128, 0) }),
            flags: fields
                .read("flags", "TCP flags of fin, syn, rst, psh, ack, urg, as in syn,ack", flags)?
                .unwrap_or(2),
            dscp: dscp.unwrap_or(0),
            ttl: fields.number("ttl", "a number, 0 to 255")?.unwrap_or(64),
            len: fields.number("len", "a number of bytes up to 65535")?,
            fragment,
        };
        match probe.len {
            Some(len) if len < probe.least_len() => {
                Err(ProbeError::TooShort { len, least: probe.least_len() })
            }
            _ => Ok(probe),
        }
    }
}

fn named(table: &[(&'static str, u8)], name: &str) -> Option<u8> {
    table.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

fn message(value: &str) -> Option<(u8, u8)> {
    let (kind, code) = value.split_once('/').unwrap_or((value, "0"));
    Some((kind.parse().ok()?, code.parse().ok()?))
}

fn flags(value: &str) -> Option<u8> {
    value.split(',').try_fold(0, |flags, name| Some(flags | named(&FLAGS, name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<Probe, ProbeError> {
        format!("in=port0 src=192.0.2.1 dst=198.51.100.1 {rest}").parse()
    }

    #[test]
    fn every_field_is_read() {
        let probe =
            parse("proto=tcp sport=1 dport=22 flags=syn,ack dscp=ef len=100 ttl=3 frag=first");
        let probe = probe.unwrap();
        assert_eq!((probe.protocol, probe.ports, probe.flags), (6, (1, 22), 0x12));
        assert_eq!((probe.dscp, probe.len, probe.ttl), (46, Some(100), 3));
        assert_eq!(probe.fragment, Some(FragmentKind::First));
        assert_eq!(parse("proto=47").unwrap().protocol, 47);
        assert_eq!(parse("proto=ospf").unwrap().protocol, 89);
        assert_eq!(parse("").unwrap().protocol, 17);
        assert_eq!(parse("flags=rst").unwrap().protocol, 6);
        assert_eq!(
            (parse("icmp=3/4").unwrap().protocol, parse("icmp=3/4").unwrap().icmp),
            (1, (3, 4))
        );
        let six: Probe = "in=a.5 src=2001:db8::1 dst=2001:db8::2 icmp=2".parse().unwrap();
        assert_eq!((six.input.as_str(), six.protocol, six.icmp), ("a.5", 58, (2, 0)));
    }

    #[test]
    fn every_mistake_is_named_in_one_line() {
        for (rest, wanted) in [
            ("tcp", "\"tcp\" is not FIELD=VALUE"),
            ("port=1", "there is no field \"port\""),
            ("src=192.0.2.2", "src is given twice"),
            ("proto=tpc", "proto=\"tpc\": expected a protocol"),
            ("proto=256", "proto=\"256\""),
            ("dport=65536", "dport=\"65536\": expected a port"),
            ("proto=icmp dport=1", "dport does not go with protocol 1"),
            ("proto=udp flags=syn", "flags does not go with protocol 17"),
            ("proto=udp icmp=8", "icmp does not go with protocol 17"),
            ("icmp=8/x", "icmp=\"8/x\": expected a type"),
            ("flags=sny", "flags=\"sny\": expected TCP flags"),
            ("dscp=64", "dscp=\"64\": expected a DSCP"),
            ("ttl=256", "ttl=\"256\""),
            ("len=20", "len=20 is too short: the headers take 28 bytes"),
            ("frag=last", "frag=\"last\": expected first or later"),
            ("frag=a\nb=", "b"),
        ] {
            let error = parse(rest).unwrap_err().to_string();
            assert!(error.contains(wanted) && !error.contains('\n'), "{rest}: {error}");
        }
        let error = |text: &str| text.parse::<Probe>().unwrap_err().to_string();
        assert_eq!(error("src=192.0.2.1 dst=192.0.2.2"), "in is missing");
        assert_eq!(error("in=a src=192.0.2.1"), "dst is missing");
        assert!(error("in=a src=192.0.2.256 dst=192.0.2.2").contains("an IPv4 or IPv6 address"));
        assert!(error("in=a src=192.0.2.1 dst=2001:db8::1").contains("two families"));
    }
}
