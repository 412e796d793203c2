//! Two gateways, west (1) and east (2), each with a network of its own and the same link between
//! them; captures carry what one sends to the other.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use qfp::Forwarder;
use qfp::client::config::Config;
use qfp::client::ipsec::SaEvent;
use qfp::core::crypto::Algorithm;
use qfp::report::IpsecReport;

use crate::capture::{self, Timed};
use crate::packets::{frame, mac};
use crate::router::Run;

/// Ports of a gateway.
pub(crate) const LAN: usize = 0;
pub(crate) const WAN: usize = 1;
/// The link between the gateways, for MAC addresses.
const BETWEEN: u8 = 9;

/// Two gateways and what they agree on.
pub(crate) struct Pair {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) algorithm: Algorithm,
    pub(crate) outer_v6: bool,
    /// More lines of all SAs.
    pub(crate) sa: String,
    /// More lines of outbound SAs.
    pub(crate) sa_out: String,
    /// More lines of inbound SAs.
    pub(crate) sa_in: String,
    /// More lines of the tunnels.
    pub(crate) tunnel: String,
    /// More of the configurations.
    pub(crate) more: String,
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            algorithm: Algorithm::Aes128Gcm,
            outer_v6: false,
            sa: String::new(),
            sa_out: String::new(),
            sa_in: String::new(),
            tunnel: String::new(),
            more: String::new(),
        }
    }
}

/// The address of a gateway on the link between them.
pub(crate) fn wan(side: u8, v6: bool) -> IpAddr {
    match v6 {
        false => [192, 0, 2, side].into(),
        true => [0x2001, 0xdb8, 0xff, 0, 0, 0, 0, u16::from(side)].into(),
    }
}

/// Bytes of the key of what a side sends.
pub(crate) fn key(algorithm: Algorithm, side: u8) -> Vec<u8> {
    let len = algorithm.cipher_key_len() + algorithm.auth_key_len();
    (0..).map(|n: u8| n ^ side << 5).take(len).collect()
}

/// The SPI of what a side sends.
pub(crate) const fn spi(side: u8) -> u32 {
    0x1000 + side as u32
}

/// Writes a file that nobody else can read.
pub(crate) fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl Pair {
    /// The name of a file that has a key in it.
    pub(crate) fn key_file(&self, side: u8) -> PathBuf {
        let path = self.dir.path().join(format!("{side}.key"));
        let key = key(self.algorithm, side);
        write_secret(&path, &key.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        path
    }

    /// Where a side keeps the numbers that are not to be used again.
    pub(crate) fn state_dir(&self, side: u8) -> PathBuf {
        self.dir.path().join(format!("{side}.states"))
    }

    /// An SA of a side: what `sender` sends.
    pub(crate) fn sa(&self, side: u8, sender: u8) -> String {
        let (direction, more) =
            if side == sender { ("out", &self.sa_out) } else { ("in", &self.sa_in) };
        format!(
            "[[sa]]\nname = \"{direction}\"\ndirection = \"{direction}\"\nspi = {}\n\
             local = \"{}\"\nremote = \"{}\"\nalgorithm = \"{}\"\nkey_file = '{}'\n{}\n{more}\n",
            spi(sender),
            wan(side, self.outer_v6),
            wan(3 - side, self.outer_v6),
            self.algorithm.name(),
            self.key_file(sender).display(),
            self.sa,
        )
    }

    /// The ports of a side, and who is behind them.
    pub(crate) fn ports(&self, side: u8) -> String {
        let other = 3 - side;
        format!(
            r#"
[[port]]
name = "lan"
mac = "02:00:00:00:{side:02x}:01"
mtu = 2000
address = ["10.{side}.0.1/24", "2001:db8:{side}::1/64"]
[[port]]
name = "wan"
mac = "02:00:00:00:{BETWEEN:02x}:{side:02x}"
address = ["192.0.2.{side}/24", "2001:db8:ff::{side}/64"]
[[neighbor]]
address = "10.{side}.0.2"
mac = "02:00:00:00:{side:02x}:02"
[[neighbor]]
address = "2001:db8:{side}::2"
mac = "02:00:00:00:{side:02x}:02"
[[neighbor]]
address = "192.0.2.{other}"
mac = "02:00:00:00:{BETWEEN:02x}:{other:02x}"
[[neighbor]]
address = "2001:db8:ff::{other}"
mac = "02:00:00:00:{BETWEEN:02x}:{other:02x}"
[ipsec]
state_dir = '{}'
"#,
            self.state_dir(side).display()
        )
    }

    /// A side with a tunnel to the network of the other.
    pub(crate) fn config(&self, side: u8) -> String {
        let other = 3 - side;
        format!(
            r#"{}{}{}
[[tunnel]]
name = "tunnel0"
address = ["10.255.0.{side}/30", "2001:db8:fe::{side}/64"]
sa_out = "out"
sa_in = "in"
{}
[[route]]
prefix = "10.{other}.0.0/16"
dev = "tunnel0"
[[route]]
prefix = "2001:db8:{other}::/48"
dev = "tunnel0"
{}"#,
            self.ports(side),
            self.sa(side, 1),
            self.sa(side, 2),
            self.tunnel,
            self.more,
        )
    }

    /// A side whose security policy are the entries of `[[spd]]` in `entries`, each a table's lines
    /// but for the interface; what is for the other's network leaves by the WAN.
    pub(crate) fn policy(&self, side: u8, entries: &[&str]) -> String {
        let other = 3 - side;
        let entries =
            entries.iter().map(|entry| format!("[[spd]]\ninterface = \"wan\"\n{entry}\n"));
        let via = [wan(other, false), wan(other, true)];
        format!(
            "{}{}{}{}[[route]]\nprefix = \"10.{other}.0.0/16\"\nvia = \"{}\"\n\
             [[route]]\nprefix = \"2001:db8:{other}::/48\"\nvia = \"{}\"\n{}",
            self.ports(side),
            self.sa(side, 1),
            self.sa(side, 2),
            entries.collect::<String>(),
            via[0],
            via[1],
            self.more,
        )
    }

    /// What a side makes of what comes in by one port.
    pub(crate) fn side(&self, side: u8, port: usize, packets: &[Vec<u8>]) -> Run {
        let timed: Vec<(u64, Vec<u8>)> = packets.iter().map(|ip| (0, ip.clone())).collect();
        self.timed(side, port, &timed)
    }

    /// The same, each packet with its time.
    pub(crate) fn timed(&self, side: u8, port: usize, packets: &[Timed]) -> Run {
        if port == LAN { self.both(side, packets, &[]) } else { self.both(side, &[], packets) }
    }

    /// What a side makes of what comes in from its network, and from the other gateway.
    pub(crate) fn both(&self, side: u8, lan: &[Timed], wan: &[Timed]) -> Run {
        run(&self.config(side), side, lan, wan)
    }
}

/// What a side with this configuration makes of what comes in.
pub(crate) fn run(config: &str, side: u8, lan: &[Timed], wan: &[Timed]) -> Run {
    let framed = |packets: &[Timed], to, from| -> Vec<Timed> {
        packets.iter().map(|(at, ip)| (*at, frame(to, from, &[], ip))).collect()
    };
    let lan = framed(lan, mac(side, 1), mac(side, 2));
    let wan = framed(wan, mac(BETWEEN, side), mac(BETWEEN, 3 - side));
    crate::router::route(config, &[&lan, &wan])
}

impl Pair {
    /// IP packets of the west's network that come out of the east's, and both runs.
    pub(crate) fn across(&self, packets: &[Vec<u8>]) -> (Run, Run) {
        let west = self.side(1, LAN, packets);
        let east = self.side(2, WAN, &ip(&west, WAN));
        (west, east)
    }

    /// A side whose WAN is a generator's, in the machine's time; what it sends goes to a file.
    pub(crate) fn live(&self, config: &str, devices: [&str; 2]) -> Forwarder {
        let mut config = Config::parse(config, "test.toml").unwrap();
        for (port, device) in config.ports.iter_mut().zip(devices) {
            port.device = Some(device.to_owned());
        }
        Forwarder::new(config).buffers(4096)
    }

    /// IP packets in a capture.
    pub(crate) fn captured(&self, name: &str) -> Vec<Vec<u8>> {
        let frames = capture::read(&self.dir.path().join(name));
        frames.into_iter().map(|(_, frame)| frame[14..].to_vec()).collect()
    }
}

/// IP packets that a port sent.
pub(crate) fn ip(run: &Run, port: usize) -> Vec<Vec<u8>> {
    run.frames(port).into_iter().map(|frame| frame[14..].to_vec()).collect()
}

/// What a run says about SAs.
pub(crate) fn ipsec(run: &Run) -> &IpsecReport {
    run.report.ipsec.as_ref().unwrap()
}

/// Packets that an SA has passed, and what it has refused.
pub(crate) fn counts(run: &Run, sa: &str) -> (u64, Vec<(&'static str, u64)>) {
    let found = ipsec(run).sas.iter().find(|status| status.sa.name == sa).unwrap();
    let failures = found.counts.failures.iter().map(|(reason, count)| (reason.name(), *count));
    (found.counts.packets, failures.collect())
}

/// What has become of SAs, a line each.
pub(crate) fn events(run: &Run) -> Vec<String> {
    ipsec(run).events.iter().map(SaEvent::to_string).collect()
}

/// Where ESP begins in an outer packet.
pub(crate) fn esp_at(outer: &[u8]) -> usize {
    let (ip, protocol) = if outer[0] >> 4 == 4 { (20, outer[9]) } else { (40, outer[6]) };
    match protocol {
        50 => ip,
        17 => ip + 8,
        other => panic!("protocol {other} is not ESP"),
    }
}

/// SPI and sequence number of an outer packet.
pub(crate) fn numbers(outer: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_be_bytes(outer[at..at + 4].try_into().unwrap());
    (word(esp_at(outer)), word(esp_at(outer) + 4))
}
