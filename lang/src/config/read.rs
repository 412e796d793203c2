use std::cmp::Reverse;
use std::io;
use std::path::Path;

use ipnet::IpNet;
use toml::de::DeTable;

use super::table::{Source, Table};
use super::texts::{Load, Named};
use super::{
    Config, ConfigError, Discover, Layer3, MTU, Neighbour, Place, Port, Problem, Route, Target,
    Tpid, Urpf, VLAN_ID, Vlan, WEIGHT,
};
use super::{discover, ipsec, lpts, neighbours, punt, qos};
use crate::ios::{TextError, utf8};

const FILE: &[&str] = &[
    "port",
    "discover",
    "route",
    "neighbor",
    "neighbour",
    "neighbors",
    "neighbours",
    "acl",
    "route_map",
    "qos",
    "punt",
    "ipsec",
    "sa",
    "tunnel",
    "spd",
    "lpts",
];
const PORT: &[&str] = &[
    "name",
    "device",
    "mac",
    "mtu",
    "address",
    "promiscuous",
    "mac_filter",
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
    "speed",
    "vlan",
];
const VLAN: &[&str] = &[
    "id",
    "inner",
    "tpid",
    "name",
    "mtu",
    "address",
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
];
const ACL: &[&str] = &["name", "file", "text"];
const ROUTE_MAP: &[&str] = &["file", "text"];
const QOS: &[&str] = &["file", "text", "accounting", "granularity"];
const ROUTE: &[&str] = &["prefix", "via", "dev", "drop", "weight", "vrf"];
const NEIGHBOUR: &[&str] = &["address", "mac", "dev"];

impl Config {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// As [`Config::parse`], and when the file cannot be read.
    pub fn from_toml(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        Self::parse(&Self::read_text(path)?, &path.display().to_string())
    }

    /// The text of a TOML file.
    ///
    /// # Errors
    /// When the file cannot be read, or is no text.
    pub fn read_text(path: &Path) -> Result<String, ConfigError> {
        let file = path.display().to_string();
        let bytes = Named::Text(path)
            .read()
            .map_err(|error| Problem::Unreadable(error).at(Place::whole(&file)))?;
        match utf8(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(TextError { line, column, what }) => {
                let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
                let place =
                    Place { line: number(line), column: number(column), ..Place::whole(&file) };
                Err(Problem::Text(what).at(place))
            }
        }
    }

    /// Reads TOML; `file` is its name in messages, and files that the text names are relative to
    /// its folder.
    ///
    /// # Errors
    /// On bad syntax, unknown keys, wrong types, values that are not what their key needs, and
    /// when a file that the text names cannot be read. Whether the parts agree is for
    /// [`Config::validate`] to say.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        Self::parse_all(text, file, |named| named.read())
    }

    /// As [`Config::parse`], with the files that the text names from `load`.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_with(
        text: &str,
        file: &str,
        mut load: impl FnMut(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Self, ConfigError> {
        Self::parse_all(text, file, |named| match named {
            Named::Text(path) | Named::Key(path) => load(path),
            Named::Variable(_) => named.read(),
        })
    }

    /// As [`Config::parse`], with all that the text names from `load`.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_all(
        text: &str,
        file: &str,
        mut load: impl FnMut(Named<'_>) -> io::Result<Vec<u8>>,
    ) -> Result<Self, ConfigError> {
        Self::parse_from(text, file, &mut load)
    }

    fn parse_from(text: &str, file: &str, load: Load<'_>) -> Result<Self, ConfigError> {
        let source = Source::new(text, file);
        let root = DeTable::parse(source.text).map_err(|error| {
            let start = error.span().map_or_else(|| deepest(source.text), |span| span.start);
            let place = source.place(start);
            Problem::Syntax(Box::new(error)).at(place)
        })?;
        let mut root = Table::open(&source, "the file", root.get_ref(), source.whole(), FILE)?;

        let mut config = Self { origin: root.origin.clone(), ..Self::default() };
        for (index, table) in root.tables("port", "[[port]]", PORT)?.into_iter().enumerate() {
            config.ports.push(port(index, table)?);
        }
        if let Some(table) = root.table("discover", "[discover]", discover::KEYS)? {
            config.discover = Some(Discover::read(table)?);
        }
        let base = Path::new(file).parent().unwrap_or(Path::new(""));
        for table in root.tables("acl", "[[acl]]", ACL)? {
            config.add_access_lists(table, base, load)?;
        }
        for table in root.tables("route_map", "[[route_map]]", ROUTE_MAP)? {
            config.add_route_maps(table, base, load)?;
        }
        if let Some(table) = root.table("qos", "[qos]", QOS)? {
            config.add_qos(table, base, load)?;
        }
        if let Some(table) = root.table("punt", "[punt]", punt::PUNT)? {
            config.add_punt(table)?;
        }
        if let Some(table) = root.table("ipsec", "[ipsec]", ipsec::IPSEC)? {
            config.add_ipsec(table)?;
        }
        for table in root.tables("sa", "[[sa]]", ipsec::SA)? {
            config.add_sa(table, base, load)?;
        }
        for table in root.tables("tunnel", "[[tunnel]]", ipsec::TUNNEL)? {
            config.add_tunnel(table)?;
        }
        for table in root.tables("spd", "[[spd]]", ipsec::SPD)? {
            config.add_spd_entry(table)?;
        }
        if let Some(table) = root.table("lpts", "[lpts]", lpts::LPTS)? {
            config.lpts.read(table)?;
        }
        for table in root.tables("route", "[[route]]", ROUTE)? {
            config.routes.push(route(table)?);
        }
        for key in ["neighbors", "neighbours"] {
            if let Some(table) = root.table(key, "[neighbors]", neighbours::KEYS)? {
                config.neighbour_limits.read(table)?;
            }
        }
        for key in ["neighbor", "neighbour"] {
            for table in root.tables(key, "[[neighbor]]", NEIGHBOUR)? {
                config.neighbours.push(neighbour(table)?);
            }
        }
        Ok(config)
    }
}

/// Where the line with the deepest dotted key begins: that keys are too deep is the one mistake that
/// the parser gives no place for.
fn deepest(text: &str) -> usize {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let began = start;
        start += line.len();
        (line.matches('.').count(), Reverse(began))
    });
    lines.max().map_or(0, |(_, Reverse(began))| began)
}

fn port(index: usize, mut table: Table<'_>) -> Result<Port, ConfigError> {
    let name = table.text("name")?.map_or(Port::default_name(index), |name| name.text.to_owned());
    let mut port = Port::new(name);
    port.device = table.text("device")?.map(|device| device.text.to_owned());
    port.mac = table.text("mac")?.map(|mac| mac.parse(Problem::BadMac)).transpose()?;
    port.mtu = table.number("mtu", &MTU)?.unwrap_or(port.mtu);
    port.promiscuous = table.flag("promiscuous")?.unwrap_or_default();
    port.mac_filter = table.flag("mac_filter")?;
    port.shutdown = table.flag("shutdown")?.unwrap_or_default();
    port.layer3 = layer3(&mut table)?;
    port.speed = match table.text("speed")? {
        Some(speed) => Some(qos::speed(speed.text).map_err(|problem| problem.at(speed.place))?),
        None => None,
    };
    for table in table.tables("vlan", "[[port.vlan]]", VLAN)? {
        port.vlans.push(vlan(&port.name, table)?);
    }
    port.origin = table.origin;
    Ok(port)
}

fn vlan(port: &str, mut table: Table<'_>) -> Result<Vlan, ConfigError> {
    let missing = Problem::MissingKey { table: "[[port.vlan]]", key: "id" };
    let id = table.number("id", &VLAN_ID)?.ok_or_else(|| missing.at(table.origin.place()))?;
    let mut vlan = Vlan::new(port, id, table.number("inner", &VLAN_ID)?);
    if let Some(tpid) = table.text("tpid")? {
        vlan.tpid = [Tpid::Dot1q, Tpid::Dot1ad]
            .into_iter()
            .find(|known| known.name() == tpid.text)
            .ok_or_else(|| Problem::BadTpid(tpid.text.to_owned()).at(tpid.place))?;
    }
    if let Some(name) = table.text("name")? {
        vlan.name = name.text.to_owned();
    }
    vlan.mtu = table.number("mtu", &MTU)?;
    vlan.layer3 = layer3(&mut table)?;
    vlan.origin = table.origin;
    Ok(vlan)
}

/// What interfaces of any kind have.
pub(super) fn layer3(table: &mut Table<'_>) -> Result<Layer3, ConfigError> {
    let mut named = |key| Ok::<_, ConfigError>(table.text(key)?.map(|found| found.text.to_owned()));
    let (vrf, policy_route) = (named("vrf")?, named("policy_route")?);
    let policies = (named("service_policy_in")?, named("service_policy_out")?);
    let addresses = table.texts("address")?;
    Ok(Layer3 {
        addresses: addresses
            .iter()
            .map(|text| text.parse(Problem::BadPrefix))
            .collect::<Result<_, _>>()?,
        vrf,
        urpf: urpf(table)?,
        pass_tiny_fragments: table.flag("pass_tiny_fragments")?.unwrap_or_default(),
        allow_own_source: table.flag("allow_own_source")?.unwrap_or_default(),
        acl_in: table.one_or_more("acl_in")?,
        acl_out: table.one_or_more("acl_out")?,
        policy_route,
        service_policy_in: policies.0,
        service_policy_out: policies.1,
    })
}

fn urpf(table: &mut Table<'_>) -> Result<Option<Urpf>, ConfigError> {
    let mode = table.text("urpf")?;
    let allow_default = table.flag("urpf_allow_default")?;
    let Some(mode) = mode else {
        return match allow_default {
            None => Ok(None),
            Some(_) => Err(Problem::UrpfMissing.at(table.origin.at("urpf_allow_default"))),
        };
    };
    let strict = match mode.text {
        "strict" => true,
        "loose" => false,
        other => return Err(Problem::BadUrpf(other.to_owned()).at(mode.place)),
    };
    Ok(Some(Urpf { strict, allow_default: allow_default.unwrap_or_default() }))
}

fn route(mut table: Table<'_>) -> Result<Route, ConfigError> {
    let prefix: IpNet = table.need("prefix")?.parse(Problem::BadPrefix)?;
    let via = table.text("via")?.map(|via| via.parse(Problem::BadAddress)).transpose()?;
    let dev = table.text("dev")?.map(|dev| dev.text.to_owned());
    let weight = table.number("weight", &WEIGHT)?;
    let target = match (table.flag("drop")?.unwrap_or_default(), via, dev) {
        (true, None, None) if weight.is_none() => Target::Drop,
        (true, ..) => return Err(Problem::DropWithPath(prefix).at(table.origin.place())),
        (false, Some(address), dev) => Target::Via { address, dev },
        (false, None, Some(dev)) => Target::Dev(dev),
        (false, None, None) => return Err(Problem::NoTarget(prefix).at(table.origin.place())),
    };
    let vrf = table.text("vrf")?.map(|vrf| vrf.text.to_owned());
    Ok(Route { prefix, target, weight: weight.unwrap_or(1), vrf, origin: table.origin })
}

fn neighbour(mut table: Table<'_>) -> Result<Neighbour, ConfigError> {
    Ok(Neighbour {
        address: table.need("address")?.parse(Problem::BadAddress)?,
        mac: table.need("mac")?.parse(Problem::BadMac)?,
        dev: table.text("dev")?.map(|dev| dev.text.to_owned()),
        origin: table.origin,
    })
}
