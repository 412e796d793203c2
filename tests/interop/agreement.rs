//! What we and a stranger have agreed about: one SA in each direction, and what they protect.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use qfp::core::crypto::Algorithm;
pub(crate) use qfp::core::wire::Family::{self, V4, V6};

use crate::hex;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Us,
    Them,
}

/// What protects the packets of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Sa {
    pub(crate) spi: u32,
    /// Key of the cipher, with its salt.
    pub(crate) cipher: Vec<u8>,
    /// Key of the HMAC.
    pub(crate) auth: Vec<u8>,
}

impl Sa {
    /// One that is unlike that of any other number and direction.
    fn new(number: u8, algorithm: Algorithm, from: From) -> Self {
        let (side, first) = match from {
            From::Us => (0x1000, 2 * number),
            From::Them => (0x2000, 2 * number + 1),
        };
        let key = |len: usize, salt: u8| -> Vec<u8> {
            let rest = (0..=u8::MAX).map(|n| n.wrapping_mul(29).wrapping_add(salt));
            std::iter::once(first).chain(rest).take(len).collect()
        };
        Self {
            spi: side + u32::from(number),
            cipher: key(algorithm.cipher_key_len(), 7),
            auth: key(algorithm.auth_key_len(), 99),
        }
    }
}

/// A tunnel between the network behind us and one of the stranger's.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    pub(crate) name: &'static str,
    /// Unlike that of any other agreement with the same stranger; below 128.
    pub(crate) number: u8,
    pub(crate) algorithm: Algorithm,
    /// For what we send.
    pub(crate) ours: Sa,
    /// For what the stranger sends.
    pub(crate) theirs: Sa,
    /// For what it sent before it took that one, and may still send.
    pub(crate) before: Option<Sa>,
    /// Transport mode, between the two gateways themselves.
    pub(crate) transport: bool,
    /// Tunnel mode by a policy of our port, instead of an interface that is the tunnel.
    pub(crate) policy: bool,
    pub(crate) outer: Family,
    pub(crate) inner: Family,
    /// In UDP.
    pub(crate) udp: bool,
    pub(crate) esn: bool,
    /// Of our replay window, packets.
    pub(crate) window: u32,
    /// The last sequence number that was used before, in both directions.
    pub(crate) used: Option<u32>,
    /// Bytes that the stranger fills its packets up to, so that they do not tell their length (RFC
    /// 4303 §2.7).
    pub(crate) filled: Option<u16>,
}

impl Agreement {
    /// The simplest with this algorithm.
    pub(crate) fn new(number: u8, name: &'static str, algorithm: Algorithm) -> Self {
        Self {
            name,
            number,
            algorithm,
            ours: Sa::new(number, algorithm, From::Us),
            theirs: Sa::new(number, algorithm, From::Them),
            before: None,
            transport: false,
            policy: false,
            outer: V4,
            inner: V4,
            udp: false,
            esn: false,
            window: 64,
            used: None,
            filled: None,
        }
    }

    /// The same with new SAs.
    pub(crate) fn renewed(&self) -> Self {
        let new = |from| Sa::new(self.number + 64, self.algorithm, from);
        let before = Some(self.theirs.clone());
        Self { ours: new(From::Us), theirs: new(From::Them), before, ..self.clone() }
    }

    /// The SA of a direction.
    pub(crate) const fn sa(&self, from: From) -> &Sa {
        match from {
            From::Us => &self.ours,
            From::Them => &self.theirs,
        }
    }

    /// What our configuration calls it.
    pub(crate) fn sa_name(&self, from: From) -> String {
        self.name_of(self.sa(from), from)
    }

    fn name_of(&self, sa: &Sa, from: From) -> String {
        let direction = if from == From::Us { "out" } else { "in" };
        format!("{}-{direction}-{:x}", self.name, sa.spi)
    }

    /// The gateways, sender first.
    pub(crate) fn gateways(&self, from: From) -> (IpAddr, IpAddr) {
        let (us, them) = (gateway(From::Us, self.outer), gateway(From::Them, self.outer));
        if from == From::Us { (us, them) } else { (them, us) }
    }

    /// The stranger's network of this tunnel; its host has number 1.
    pub(crate) fn network(&self) -> String {
        match self.inner {
            V4 => format!("10.2.{}.0/24", self.number),
            V6 => format!("2001:db8:2:{:x}::/64", self.number),
        }
    }

    /// The host in the stranger's network.
    pub(crate) fn host(&self) -> String {
        match self.inner {
            V4 => format!("10.2.{}.1", self.number),
            V6 => format!("2001:db8:2:{:x}::1", self.number),
        }
    }

    /// What it protects, our end first: addresses or networks.
    pub(crate) fn ends(&self) -> (String, String) {
        if self.transport {
            let (us, them) = self.gateways(From::Us);
            (us.to_string(), them.to_string())
        } else {
            (ours(self.inner).1.to_owned(), self.network())
        }
    }

    /// One SA of ours, as configuration; puts the key into `folder`.
    fn sa_toml(&self, folder: &Path, sa: &Sa, from: From) -> String {
        let name = self.name_of(sa, from);
        let file = format!("{name}.key");
        let path = folder.join(&file);
        std::fs::write(&path, hex(&sa.cipher) + &hex(&sa.auth)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (local, remote) = self.gateways(From::Us);
        let mut toml = format!(
            "[[sa]]\nname = \"{name}\"\nspi = {}\nlocal = \"{local}\"\nremote = \"{remote}\"\n\
             algorithm = \"{}\"\nkey_file = \"{file}\"\nesn = {}\n",
            sa.spi,
            self.algorithm.name(),
            self.esn,
        );
        if from == From::Us {
            toml += "direction = \"out\"\n";
        } else {
            toml += &format!("direction = \"in\"\nreplay_window = {}\n", self.window);
        }
        if self.transport {
            toml += "mode = \"transport\"\n";
        }
        if self.udp {
            toml += "udp = [4500, 4500]\n";
        }
        toml
    }

    /// Our side of it, as configuration; puts the keys into `folder`.
    pub(crate) fn toml(&self, folder: &Path) -> String {
        let inbound = std::iter::once(&self.theirs).chain(&self.before);
        let names: Vec<_> = inbound.clone().map(|sa| self.name_of(sa, From::Them)).collect();
        let sas = format!("sa_out = \"{}\"\nsa_in = {names:?}\n", self.sa_name(From::Us));
        let mut toml = self.sa_toml(folder, &self.ours, From::Us);
        toml.extend(inbound.map(|sa| self.sa_toml(folder, sa, From::Them)));
        let (name, network) = (self.name, self.network());
        if self.transport || self.policy {
            let (ours, theirs) = self.ends();
            toml += &format!(
                "[[spd]]\ninterface = \"wan\"\nname = \"{name}\"\naction = \"protect\"\n\
                 local = \"{ours}\"\nremote = \"{theirs}\"\n{sas}"
            );
        } else {
            toml += &format!("[[tunnel]]\nname = \"{name}\"\n{sas}");
        }
        if self.policy {
            let via = gateway(From::Them, self.inner);
            toml += &format!("[[route]]\nprefix = \"{network}\"\nvia = \"{via}\"\n");
        } else if !self.transport {
            toml += &format!("[[route]]\nprefix = \"{network}\"\ndev = \"{name}\"\n");
        }
        toml
    }
}

/// Address of a gateway in the network between them.
pub(crate) fn gateway(who: From, family: Family) -> IpAddr {
    let host = if who == From::Us { 1 } else { 2 };
    let text = match family {
        V4 => format!("203.0.113.{host}"),
        V6 => format!("2001:db8:ff::{host}"),
    };
    text.parse().unwrap()
}

/// A host in the network behind us, and the network.
pub(crate) const fn ours(family: Family) -> (&'static str, &'static str) {
    match family {
        V4 => ("10.1.0.2", "10.1.0.0/24"),
        V6 => ("2001:db8:1::2", "2001:db8:1::/64"),
    }
}
