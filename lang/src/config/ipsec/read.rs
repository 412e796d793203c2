use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use qfp_core::crypto::Algorithm;
use qfp_core::ipsec::{DontFragment, Dscp, Endpoints, Mode};
use zeroize::Zeroizing;

use super::{ANY_PORT, ConfiguredSa, IpsecProblem, KeySource, SpdAction, SpdEntry, Tunnel, check};
use crate::config::read::layer3;
use crate::config::table::{Found, Table, Word};
use crate::config::texts::{Load, Named};
use crate::config::{Config, ConfigError, MTU, Place, Problem};
use crate::ipsec::{Direction, Lifetime, Sa, Secret};

pub(in crate::config) const IPSEC: &[&str] = &["state_dir"];
pub(in crate::config) const SA: &[&str] = &[
    "name",
    "direction",
    "spi",
    "mode",
    "local",
    "remote",
    "algorithm",
    "key_file",
    "key_env",
    "udp",
    "esn",
    "replay_window",
    "ttl",
    "dscp",
    "df",
    "ecn",
    "vrf",
    "soft",
    "hard",
];
pub(in crate::config) const TUNNEL: &[&str] = &[
    "name",
    "mtu",
    "address",
    "shutdown",
    "vrf",
    "urpf",
    "urpf_allow_default",
    "pass_tiny_fragments",
    "allow_own_source",
    "acl_in",
    "acl_out",
    "policy_route",
    "service_policy_in",
    "service_policy_out",
    "sa_out",
    "sa_in",
];
pub(in crate::config) const SPD: &[&str] = &[
    "interface",
    "name",
    "action",
    "local",
    "remote",
    "protocol",
    "local_port",
    "remote_port",
    "sa_out",
    "sa_in",
];
const LIFETIME: &[&str] = &["bytes", "packets", "seconds"];

/// Longest key file, bytes: the longest key has 192 digits.
pub(in crate::config) const MAX_KEY_FILE: usize = 4096;

impl IpsecProblem {
    pub(in crate::config) fn at(self, place: Place) -> ConfigError {
        Problem::Ipsec(self).at(place)
    }
}

impl Config {
    /// Reads `[ipsec]`.
    pub(in crate::config) fn add_ipsec(&mut self, mut table: Table<'_>) -> Result<(), ConfigError> {
        if let Some(folder) = table.text("state_dir")? {
            let path = file_name(&folder, Path::new(""))?;
            if !path.is_absolute() {
                return Err(bad(IpsecProblem::StateDir, folder));
            }
            self.ipsec.state_dir = Some(path);
        }
        self.ipsec.origin = table.origin;
        Ok(())
    }

    /// Reads an `[[sa]]`, and its key.
    pub(in crate::config) fn add_sa(
        &mut self,
        mut table: Table<'_>,
        base: &Path,
        load: Load<'_>,
    ) -> Result<(), ConfigError> {
        let name = table.need("name")?.text.to_owned();
        let direction = match table.need("direction")? {
            Found { text: "in", .. } => Direction::In,
            Found { text: "out", .. } => Direction::Out,
            other => return Err(bad(IpsecProblem::BadDirection, other)),
        };
        let spi = table.need_number("spi", &(0..=u32::MAX))?;
        let endpoints = Endpoints {
            local: table.need("local")?.parse(Problem::BadAddress)?,
            remote: table.need("remote")?.parse(Problem::BadAddress)?,
        };
        let algorithm = table.need("algorithm")?;
        let known = Algorithm::ALL.into_iter().find(|known| known.name() == algorithm.text);
        let algorithm = known.ok_or_else(|| bad(IpsecProblem::BadAlgorithm, algorithm))?;
        let (source, key) = key(&mut table, base, load)?;
        let mut sa = Sa::new(name, direction, spi, endpoints, (algorithm, key));
        sa.lasting = true;
        sa.mode = match table.text("mode")? {
            None | Some(Found { text: "tunnel", .. }) => Mode::Tunnel,
            Some(Found { text: "transport", .. }) => Mode::Transport,
            Some(other) => return Err(bad(IpsecProblem::BadMode, other)),
        };
        sa.udp = match table.numbers::<u16>("udp")? {
            None => None,
            Some((ports, place)) => match ports[..] {
                [local, remote] if local > 0 && remote > 0 => Some((local, remote)),
                _ => return Err(IpsecProblem::BadUdp.at(place)),
            },
        };
        sa.esn = table.flag("esn")?.unwrap_or(sa.esn);
        sa.replay_window =
            table.number("replay_window", &(0..=u32::MAX))?.unwrap_or(sa.replay_window);
        sa.ttl = table.number("ttl", &(1..=u8::MAX))?.unwrap_or(sa.ttl);
        sa.dscp = match table.word("dscp")? {
            None | Some(Word::Text(Found { text: "copy", .. })) => Dscp::Copy,
            Some(Word::Number(dscp @ 0..64, _)) => Dscp::Set(dscp.to_le_bytes()[0]),
            Some(other) => return Err(bad_word(IpsecProblem::BadDscp, &other)),
        };
        sa.df = match table.text("df")? {
            None | Some(Found { text: "copy", .. }) => DontFragment::Copy,
            Some(Found { text: "set", .. }) => DontFragment::Set,
            Some(Found { text: "clear", .. }) => DontFragment::Clear,
            Some(other) => return Err(bad(IpsecProblem::BadDf, other)),
        };
        sa.ecn = table.flag("ecn")?.unwrap_or(sa.ecn);
        sa.vrf = table.text("vrf")?.map(|vrf| vrf.text.to_owned());
        sa.soft = lifetime(&mut table, "soft", "soft of [[sa]]")?;
        sa.hard = lifetime(&mut table, "hard", "hard of [[sa]]")?;
        self.ipsec.sas.push(ConfiguredSa { sa, key: source, origin: table.origin });
        Ok(())
    }

    /// Reads a `[[tunnel]]`.
    pub(in crate::config) fn add_tunnel(
        &mut self,
        mut table: Table<'_>,
    ) -> Result<(), ConfigError> {
        let mut tunnel = Tunnel::new(table.need("name")?.text);
        tunnel.mtu = table.number("mtu", &MTU)?;
        tunnel.shutdown = table.flag("shutdown")?.unwrap_or_default();
        tunnel.layer3 = layer3(&mut table)?;
        tunnel.sa_out = table.text("sa_out")?.map(|sa| sa.text.to_owned());
        tunnel.sa_in = table.one_or_more("sa_in")?;
        tunnel.origin = table.origin;
        self.ipsec.tunnels.push(tunnel);
        Ok(())
    }

    /// Reads an `[[spd]]`.
    pub(in crate::config) fn add_spd_entry(
        &mut self,
        mut table: Table<'_>,
    ) -> Result<(), ConfigError> {
        let (interface, name) = (table.need("interface")?.text, table.need("name")?.text);
        let sa_out = table.text("sa_out")?.map(|sa| sa.text.to_owned());
        let sa_in = table.one_or_more("sa_in")?;
        let has_sa = sa_out.is_some() || !sa_in.is_empty();
        let action = match table.need("action")? {
            Found { text: "protect", .. } => SpdAction::Protect { sa_out, sa_in },
            Found { place, text: "bypass" | "discard" } if has_sa => {
                return Err(IpsecProblem::SaWithoutProtect.at(place));
            }
            Found { text: "bypass", .. } => SpdAction::Bypass,
            Found { text: "discard", .. } => SpdAction::Discard,
            other => return Err(bad(IpsecProblem::BadAction, other)),
        };
        let mut entry = SpdEntry::new(interface, name, action);
        entry.local = network(&mut table, "local")?;
        entry.remote = network(&mut table, "remote")?;
        entry.protocol = match table.word("protocol")? {
            None => None,
            Some(word) => {
                let number = match &word {
                    Word::Text(found) => check::protocol_of(found.text),
                    Word::Number(number, _) => u8::try_from(*number).ok().filter(|n| *n > 0),
                };
                Some(number.ok_or_else(|| bad_word(IpsecProblem::BadProtocol, &word))?)
            }
        };
        entry.local_ports = ports(&mut table, "local_port")?;
        entry.remote_ports = ports(&mut table, "remote_port")?;
        entry.origin = table.origin;
        self.ipsec.spd.push(entry);
        Ok(())
    }
}

fn bad(problem: impl FnOnce(String) -> IpsecProblem, found: Found<'_>) -> ConfigError {
    problem(found.text.to_owned()).at(found.place)
}

fn bad_word(problem: impl FnOnce(String) -> IpsecProblem, word: &Word<'_>) -> ConfigError {
    match word {
        Word::Text(found) => problem(found.text.to_owned()).at(found.place.clone()),
        Word::Number(number, place) => problem(number.to_string()).at(place.clone()),
    }
}

/// A file's name, relative to the folder of the configuration.
fn file_name(file: &Found<'_>, base: &Path) -> Result<PathBuf, ConfigError> {
    if file.text.is_empty() || file.text.contains(char::is_control) {
        return Err(Problem::BadFileName(file.text.to_owned()).at(file.place.clone()));
    }
    Ok(base.join(file.text))
}

/// The key that `key_file` or `key_env` names, and where it is from.
fn key(
    table: &mut Table<'_>,
    base: &Path,
    load: Load<'_>,
) -> Result<(KeySource, Secret), ConfigError> {
    let (source, place, text) = match (table.text("key_file")?, table.text("key_env")?) {
        (Some(file), None) => {
            let path = file_name(&file, base)?;
            let text = match load(Named::Key(&path)) {
                Ok(text) => Zeroizing::new(text),
                Err(error) => {
                    return Err(IpsecProblem::KeyFile { path, error }.at(file.place));
                }
            };
            if text.len() > MAX_KEY_FILE {
                let problem = IpsecProblem::KeyFileTooLong { path, limit: MAX_KEY_FILE };
                return Err(problem.at(file.place));
            }
            (KeySource::File(path), file.place, text)
        }
        (None, Some(name)) => match load(Named::Variable(name.text)) {
            Ok(text) => (KeySource::Env(name.text.to_owned()), name.place, Zeroizing::new(text)),
            Err(_) => return Err(bad(IpsecProblem::KeyEnv, name)),
        },
        _ => return Err(IpsecProblem::KeySource.at(table.origin.place())),
    };
    match Secret::from_hex(&text) {
        Ok(key) => Ok((source, key)),
        Err(error) => {
            let source_name = match &source {
                KeySource::File(path) => path.display().to_string(),
                KeySource::Env(name) => name.clone(),
                KeySource::Given => String::new(),
            };
            Err(IpsecProblem::Key { source_name, error }.at(place))
        }
    }
}

fn lifetime(
    table: &mut Table<'_>,
    key: &'static str,
    title: &'static str,
) -> Result<Lifetime, ConfigError> {
    let Some(mut table) = table.table(key, title, LIFETIME)? else {
        return Ok(Lifetime::default());
    };
    let mut number = |key| table.number(key, &(1..=i64::MAX.unsigned_abs()));
    Ok(Lifetime {
        bytes: number("bytes")?,
        packets: number("packets")?,
        seconds: number("seconds")?,
    })
}

fn network(table: &mut Table<'_>, key: &'static str) -> Result<Option<IpNet>, ConfigError> {
    let Some(found) = table.text(key)? else { return Ok(None) };
    let net: IpNet = match found.text.parse() {
        Ok(address) => std::net::IpAddr::into(address),
        Err(_) => found.parse(Problem::BadPrefix)?,
    };
    if net == net.trunc() { Ok(Some(net)) } else { Err(Problem::HostBits(net).at(found.place)) }
}

/// A port, or a range of them.
fn ports(table: &mut Table<'_>, key: &'static str) -> Result<RangeInclusive<u16>, ConfigError> {
    let Some(word) = table.word(key)? else { return Ok(ANY_PORT) };
    let range = match &word {
        Word::Number(number, _) => u16::try_from(*number).ok().map(|port| port..=port),
        Word::Text(found) => {
            let (low, high) = found.text.split_once('-').unwrap_or((found.text, found.text));
            let ends = low.trim().parse::<u16>().ok().zip(high.trim().parse::<u16>().ok());
            ends.filter(|(low, high)| low <= high).map(|(low, high)| low..=high)
        }
    };
    range.ok_or_else(|| bad_word(IpsecProblem::BadPorts, &word))
}
