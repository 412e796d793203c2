//! The table `[discover]`: interfaces of the kernel's that become ports by themselves.

use std::fmt::{self, Display};

use super::table::Table;
use super::{Config, ConfigError, MTU, Origin, Port, Problem};

pub(super) const KEYS: &[&str] = &["interfaces", "name"];

/// Where the number of a port stands in its name.
const NUMBER: &str = "{}";

/// Which interfaces become ports, and what these are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discover {
    /// Names of interfaces; `*` stands for any characters and `?` for one.
    pub interfaces: Vec<String>,
    /// Name of a port, with `{}` in place of its number.
    pub name: String,
    /// Where this was said.
    pub origin: Origin,
}

/// An interface that was found and is to be a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Number of the port.
    pub number: u32,
    /// The kernel's name.
    pub kernel: String,
    /// Bytes of the largest IP packet; none if it is not there now.
    pub mtu: Option<u32>,
}

impl Discover {
    pub(super) fn read(mut table: Table<'_>) -> Result<Self, ConfigError> {
        let found = table.texts("interfaces")?;
        let interfaces: Vec<String> = found.iter().map(|one| one.text.to_owned()).collect();
        if interfaces.is_empty() {
            let missing = Problem::MissingKey { table: "[discover]", key: "interfaces" };
            return Err(missing.at(table.origin.place()));
        }
        let name = match table.text("name")? {
            None => format!("GigabitEthernet{NUMBER}"),
            Some(name) if name.text.matches(NUMBER).count() == 1 => name.text.to_owned(),
            Some(name) => return Err(Problem::BadTemplate(name.text.to_owned()).at(name.place)),
        };
        Ok(Self { interfaces, name, origin: table.origin })
    }

    /// Whether the interface of this name is to be a port.
    #[must_use]
    pub fn takes(&self, kernel: &str) -> bool {
        self.interfaces.iter().any(|pattern| fits(pattern.as_bytes(), kernel.as_bytes()))
    }

    /// Whether it is named itself, not by a pattern.
    #[must_use]
    pub fn names(&self, kernel: &str) -> bool {
        self.interfaces.iter().any(|pattern| pattern == kernel)
    }

    /// The name of a port.
    #[must_use]
    pub fn port(&self, number: u32) -> String {
        self.name.replace(NUMBER, &number.to_string())
    }
}

/// Whether a pattern stands for a name.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // The last star, and how much of the name it stands for.
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = name.get(read) {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, read));
                at += 1;
            }
            (Some(one), _) if matches!(one, b'?') || one == letter => {
                at += 1;
                read += 1;
            }
            (_, Some((place, end))) => {
                star = Some((place, end + 1));
                (at, read) = (place + 1, end + 1);
            }
            _ => return false,
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

impl Config {
    /// Gives ports without a device the interface of their name, with an MTU that this has room for,
    /// and adds a port for each interface that is there and has none. Without `[discover]` nothing
    /// changes.
    pub fn take_found(&mut self, found: &[Found]) {
        let Some(discover) = self.discover.clone() else { return };
        for Found { number, kernel, mtu } in found {
            let name = discover.port(*number);
            let largest = mtu.map(|mtu| u16::try_from(mtu).unwrap_or(u16::MAX).min(*MTU.end()));
            let device = Some(format!("packet:{kernel}"));
            if let Some(port) = self.ports.iter_mut().find(|port| port.name == name) {
                if port.device.is_none() {
                    port.device = device;
                    port.mtu = port.mtu.min(largest.unwrap_or(port.mtu));
                }
            } else if let Some(mtu) = largest {
                let origin = discover.origin.clone();
                self.ports.push(Port { device, mtu, origin, ..Port::new(name) });
            }
        }
    }
}

impl Display for Discover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[discover]\ninterfaces = {:?}\nname = {:?}", self.interfaces, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, "test")
    }

    #[test]
    fn patterns_stand_for_names() {
        let config = parse("[discover]\ninterfaces = [\"eth*\", \"ens?f?\", \"lan0\"]\n").unwrap();
        let discover = config.discover.unwrap();
        let takes = |name| discover.takes(name);
        assert!(["eth", "eth0", "eth10.7", "ens1f0", "lan0"].into_iter().all(takes));
        assert!(!["veth0", "ens1f", "ens1f10", "lan1", "lan", ""].into_iter().any(takes));
        assert!(discover.names("lan0") && !discover.names("eth0"));
        assert_eq!(discover.port(12), "GigabitEthernet12");
    }

    #[test]
    fn ports_get_the_interface_of_their_name_and_others_become_ports() {
        let text = "[discover]\ninterfaces = [\"*\"]\nname = \"Gi{}\"\n\
                    [[port]]\nname = \"Gi2\"\nmtu = 1400\naddress = [\"10.0.0.1/24\"]\n\
                    [[port]]\nname = \"Gi3\"\ndevice = \"sink\"\n\
                    [[port]]\nname = \"Gi5\"\n";
        let mut config = parse(text).unwrap();
        assert_eq!(parse(&config.to_string()).unwrap().to_string(), config.to_string());
        let found = |number, mtu| Found { number, kernel: format!("eth{number}"), mtu };
        config.take_found(&[
            found(1, Some(65_536)),
            found(2, Some(1500)),
            found(3, Some(1500)),
            found(4, None),
            found(5, None),
        ]);
        let seen = |port: &Port| (port.name.clone(), port.device.clone().unwrap(), port.mtu);
        let seen: Vec<_> = config.ports.iter().map(seen).collect();
        let wanted = [
            ("Gi2", "packet:eth2", 1400),
            ("Gi3", "sink", 1500),
            ("Gi5", "packet:eth5", 1500),
            ("Gi1", "packet:eth1", 9000),
        ];
        let wanted = wanted.map(|(name, device, mtu)| (name.to_owned(), device.to_owned(), mtu));
        assert_eq!(seen, wanted);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, word) in [
            ("[discover]\n", "interfaces"),
            ("[discover]\ninterfaces = []\n", "interfaces"),
            ("[discover]\ninterfaces = [\"a\"]\nname = \"Gi\"\n", "{}"),
            ("[discover]\ninterfaces = [\"a\"]\nname = \"{}{}\"\n", "{}"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains('\n'), "{error}");
        }
    }
}
