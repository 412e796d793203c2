//! A router with full tables: the Internet's IPv4 routes, ten thousand rules, a thousand SAs and ten
//! thousand policers. A debug build has a fiftieth of each.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What of everything there is.
const SHARE: usize = if cfg!(debug_assertions) { 50 } else { 1 };
pub(crate) const RULES: usize = 10_000 / SHARE;
/// Half of them out, half in.
pub(crate) const SAS: usize = 1_000 / SHARE;
const VLANS: usize = 200 / SHARE;
const CLASSES: usize = 50;
/// Next hops of the routes: 10.2.0.51 and on.
const NEXT_HOPS: u8 = 192;

/// One line that may be another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Nothing is different.
    None,
    /// The address of a sub-interface.
    Address,
    /// A route of the TOML.
    Route,
    /// A line of the access list.
    Rule,
    /// The rate of a class that all sub-interfaces have.
    Rate,
    /// The SPI of an SA.
    Sa,
}

/// Writes configuration and routes to `folder`; `devices` are those of the ports `west` and `east`.
/// Whether the routes are the Internet's; else they are made up.
pub(crate) fn write(folder: &Path, devices: [&str; 2]) -> bool {
    std::fs::create_dir_all(folder.join("keys")).unwrap();
    for number in 0..SAS {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        let file = options.open(folder.join(format!("keys/{number}")));
        writeln!(file.unwrap(), "{:032x}{number:08x}", 1 + number).unwrap();
    }
    std::fs::create_dir_all(folder.join("sa")).unwrap();
    write_line(folder, devices, Line::None);
    let (routes, real) = routes();
    std::fs::write(folder.join("routes.txt"), routes).unwrap();
    real
}

/// Writes the configuration with one line another.
pub(crate) fn write_line(folder: &Path, devices: [&str; 2], line: Line) {
    std::fs::write(folder.join("config.toml"), toml(folder, devices, line)).unwrap();
    std::fs::write(folder.join("filter.txt"), filter(line)).unwrap();
    std::fs::write(folder.join("qos.txt"), policy(line)).unwrap();
}

fn toml(folder: &Path, [west, east]: [&str; 2], line: Line) -> String {
    let mut text = format!(
        "[[port]]\nname = \"west\"\ndevice = \"{west}\"\nmac = \"02:00:00:00:01:01\"\n\
         address = [\"10.1.0.1/24\"]\nacl_in = \"FILTER\"\n"
    );
    for vlan in 1..=VLANS {
        let host = if vlan == 2 && line == Line::Address { 9 } else { 1 };
        let _ = write!(
            text,
            "[[port.vlan]]\nid = {vlan}\naddress = [\"10.64.{vlan}.{host}/24\"]\n\
             service_policy_in = \"CUSTOMER\"\n"
        );
    }
    let _ = write!(
        text,
        "[[port]]\nname = \"east\"\ndevice = \"{east}\"\nmac = \"02:00:00:00:02:01\"\n\
         address = [\"10.2.0.1/24\"]\n\
         [[acl]]\nfile = \"filter.txt\"\n[qos]\nfile = \"qos.txt\"\n\
         [ipsec]\nstate_dir = \"{}\"\n",
        folder.join("sa").display()
    );
    for number in 1..=NEXT_HOPS {
        let host = 50 + u16::from(number);
        let _ = write!(
            text,
            "[[neighbor]]\naddress = \"10.2.0.{host}\"\nmac = \"02:00:00:00:02:77\"\n"
        );
    }
    text += "[[neighbor]]\naddress = \"10.2.0.2\"\nmac = \"02:00:00:00:02:77\"\n\
             [[route]]\nprefix = \"10.99.0.0/24\"\ndev = \"tunnel0\"\n";
    let via = if line == Line::Route { 52 } else { 51 };
    let _ = write!(text, "[[route]]\nprefix = \"192.0.2.0/24\"\nvia = \"10.2.0.{via}\"\n");
    for n in 0..SAS / 2 {
        let ours = 0x1000 + n + usize::from(n == 3 && line == Line::Sa) * 0x1000;
        let _ = write!(
            text,
            "[[sa]]\nname = \"out{n}\"\ndirection = \"out\"\nspi = {ours}\nlocal = \"10.2.0.1\"\n\
             remote = \"10.2.0.2\"\nalgorithm = \"aes-128-gcm\"\nkey_file = \"keys/{n}\"\nesn = true\n\
             [[sa]]\nname = \"in{n}\"\ndirection = \"in\"\nspi = {}\nlocal = \"10.2.0.1\"\n\
             remote = \"10.2.0.2\"\nalgorithm = \"aes-128-gcm\"\nkey_file = \"keys/{}\"\nesn = true\n\
             [[tunnel]]\nname = \"tunnel{n}\"\naddress = [\"10.96.{}.{}/30\"]\nsa_out = \"out{n}\"\n\
             sa_in = \"in{n}\"\n",
            0x8000 + n,
            n + SAS / 2,
            n / 64,
            n % 64 * 4 + 1
        );
    }
    text
}

fn filter(line: Line) -> String {
    let mut text = String::from("ip access-list extended FILTER\n");
    for n in 0..RULES - 1 {
        let port = if n == 7 && line == Line::Rule { 4000 } else { 1000 + n % 60 };
        let _ = writeln!(
            text,
            " deny tcp 198.18.{}.{} 0.0.0.3 any eq {port}",
            n / 64 % 256,
            n % 64 * 4
        );
    }
    text + " permit ip any any\n"
}

fn policy(line: Line) -> String {
    let mut text = String::new();
    for class in 1..CLASSES {
        let _ = writeln!(text, "class-map match-any C{class}\n match dscp {class}");
    }
    text += "policy-map CUSTOMER\n";
    for class in 1..CLASSES {
        let rate = if class == 4 && line == Line::Rate { 77 } else { 10 + class };
        let _ = writeln!(text, " class C{class}\n  police cir {rate} mbps");
    }
    text + " class class-default\n  police cir 1000 mbps\n"
}

/// The Internet's routes, if `QFP_RIB_V4` or `../shared/data/rib` has them.
fn routes() -> (String, bool) {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut places = default.map(|folder| folder.join("shared/data/rib/rib-v4.txt.zst"));
    let path = std::env::var_os("QFP_RIB_V4").map(PathBuf::from);
    let path = path.or_else(|| places.find(|path| path.exists()));
    let mut lines = String::new();
    let real = SHARE == 1
        && path.and_then(|path| std::fs::File::open(path).ok()).is_some_and(|file| {
            zstd::Decoder::new(file).unwrap().read_to_string(&mut lines).unwrap();
            true
        });
    if !real {
        eprintln!("made-up routes: a debug build, or no routing table at QFP_RIB_V4");
        for n in 0..1_040_000 / SHARE {
            let _ = writeln!(
                lines,
                "{}.{}.{}.0/24 {}",
                20 + n / 65536,
                n / 256 % 256,
                n % 256,
                n % 192
            );
        }
    }
    let mut text = String::with_capacity(lines.len() * 2);
    for line in lines.lines() {
        let (prefix, number) = line.split_once(' ').unwrap();
        let number: u16 = number.parse().unwrap();
        let _ = writeln!(text, "{prefix} via 10.2.0.{}", 50 + number.clamp(1, NEXT_HOPS.into()));
    }
    (text, real)
}
