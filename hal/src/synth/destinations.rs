//! Where generated packets go: prefixes, from a file or the ranges kept for benchmarks.

use std::io::{self, BufRead, BufReader, Read, Seek};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::IpNet;

use super::SynthSpec;
use super::random::Random;
use crate::port::PortError;

/// Longest line, bytes.
const MAX_LINE: u64 = 1024;
/// Most prefixes: as many as flows.
const MAX_PREFIXES: usize = 1 << 22;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The prefixes that `spec` sends to, never none.
pub(super) fn prefixes(spec: &SynthSpec) -> Result<Vec<IpNet>, PortError> {
    let Some(path) = &spec.dst else {
        return Ok(vec![if spec.ipv6 { range([0x2001, 2], 48) } else { range4(198, 18, 15) }]);
    };
    let error = |source| PortError::Io { path: path.display().to_string(), source };
    let mut prefixes = read(path).map_err(error)?;
    prefixes.retain(|prefix| !spec.ipv6 || matches!(prefix, IpNet::V6(_)));
    if prefixes.is_empty() {
        return Err(error(io::Error::new(io::ErrorKind::InvalidData, "holds no usable prefix")));
    }
    Ok(prefixes)
}

/// The range that sources of packets to `destination` come from.
pub(super) fn sources(spec: &SynthSpec, destination: IpAddr) -> IpNet {
    match (spec.src, destination) {
        (Some(src @ IpNet::V4(_)), IpAddr::V4(_)) | (Some(src @ IpNet::V6(_)), IpAddr::V6(_)) => {
            src
        }
        (_, IpAddr::V4(_)) => range4(10, 0, 8),
        (_, IpAddr::V6(_)) => range([0xfd00, 0], 8),
    }
}

/// An address of `prefix`, all of them equally likely.
#[expect(clippy::cast_possible_truncation, reason = "an IPv4 address takes the low 32 bits")]
pub(super) fn address(prefix: &IpNet, random: &mut Random) -> IpAddr {
    let dice = u128::from(random.next()) << 64 | u128::from(random.next());
    match prefix {
        IpNet::V4(net) => {
            let host = dice as u32 & u32::from(net.hostmask());
            IpAddr::V4((u32::from(net.network()) | host).into())
        }
        IpNet::V6(net) => {
            let host = dice & u128::from(net.hostmask());
            IpAddr::V6((u128::from(net.network()) | host).into())
        }
    }
}

/// The first word of each line, as prefixes. Empty lines and those that start with `#` are skipped.
fn read(path: &Path) -> io::Result<Vec<IpNet>> {
    let mut file = pal::file::open(path)?;
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic)?;
    file.rewind()?;
    let text: Box<dyn Read> = match magic == ZSTD_MAGIC {
        true => Box::new(zstd::Decoder::new(file)?),
        false => Box::new(file),
    };
    let mut prefixes = Vec::new();
    let (mut text, mut bytes) = (BufReader::new(text), Vec::new());
    for number in 1_u64.. {
        let bad = |what: &str| {
            io::Error::new(io::ErrorKind::InvalidData, format!("line {number}: {what}"))
        };
        bytes.clear();
        match text.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut bytes)? as u64 {
            0 => break,
            1..=MAX_LINE => {}
            _ => return Err(bad("longer than 1024 bytes: this is no list of prefixes")),
        }
        let line = std::str::from_utf8(&bytes).map_err(|_| bad("not UTF-8"))?;
        let Some(word) = line.split_whitespace().next().filter(|word| !word.starts_with('#'))
        else {
            continue;
        };
        if prefixes.len() == MAX_PREFIXES {
            return Err(bad("there are more than 4194304 prefixes"));
        }
        let shown = || word.chars().take(60).collect::<String>();
        prefixes.push(word.parse().map_err(|_| bad(&format!("{} is not a prefix", shown())))?);
    }
    Ok(prefixes)
}

fn range4(first: u8, second: u8, len: u8) -> IpNet {
    IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(first, second, 0, 0)), len)
}

fn range([first, second]: [u16; 2], len: u8) -> IpNet {
    IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)), len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spec;

    fn spec(text: &str) -> SynthSpec {
        match Spec::parse(text).unwrap() {
            Spec::Synth(spec) => spec,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_prefix_file_is_read_plain_and_compressed() {
        let text = "10.1.0.0/16 via 192.0.2.1\n\n# note\n2001:db8::/32\n 172.16.0.1/32\tx\n";
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("plain", text.as_bytes().to_vec()),
            ("packed", zstd::encode_all(text.as_bytes(), 0).unwrap()),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let all = prefixes(&spec(&format!("synth:dst={}", path.display()))).unwrap();
            assert_eq!(all.len(), 3);
            let v6 = prefixes(&spec(&format!("synth:dst={},ipv6", path.display()))).unwrap();
            assert_eq!(v6, ["2001:db8::/32".parse().unwrap()]);
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad");
        std::fs::write(&path, "10.0.0.0/8\n10.0.0.0/33\n").unwrap();
        let error = prefixes(&spec(&format!("synth:dst={}", path.display()))).unwrap_err();
        assert!(error.to_string().ends_with("bad: line 2: 10.0.0.0/33 is not a prefix"), "{error}");
    }

    #[test]
    fn addresses_stay_in_their_prefix_and_reach_its_ends() {
        let mut random = Random::new(5);
        for text in ["192.0.2.7/32", "192.0.2.4/30", "0.0.0.0/0", "2001:db8::/127", "::/0"] {
            let prefix: IpNet = text.parse().unwrap();
            let addresses: Vec<_> = (0..200).map(|_| address(&prefix, &mut random)).collect();
            assert!(addresses.iter().all(|address| prefix.contains(address)), "{text}");
        }
        let net: IpNet = "192.0.2.4/30".parse().unwrap();
        let distinct: std::collections::HashSet<_> =
            (0..200).map(|_| address(&net, &mut random)).collect();
        assert_eq!(distinct.len(), 4);
    }
}
