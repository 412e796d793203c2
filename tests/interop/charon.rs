//! strongSwan's daemon charon, which seals and opens ESP itself (kernel-libipsec), in a namespace.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::agreement::{Agreement, From, Sa, gateway, ours};
use crate::namespaces::Namespace;
use crate::router::Used;
use crate::unhex;

/// What it needs of the machine: files and Debian packages.
pub(crate) const NEEDS: [(&str, &str); 4] = [
    (DAEMON, "strongswan-charon"),
    (CONTROL, "strongswan-swanctl"),
    ("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so", "libcharon-extra-plugins"),
    ("/usr/lib/ipsec/plugins/libstrongswan-openssl.so", "libstrongswan-standard-plugins"),
];

const DAEMON: &str = "/usr/lib/ipsec/charon";
const CONTROL: &str = "/usr/sbin/swanctl";
const PLUGINS: &str =
    "random nonce openssl hmac kdf kernel-libipsec kernel-netlink socket-default vici";

/// A running daemon.
pub(crate) struct Charon {
    child: Child,
    folder: tempfile::TempDir,
}

impl Charon {
    /// Starts the daemon of one gateway, which knows the other gateway and what is agreed.
    pub(crate) fn start(
        namespace: &Namespace,
        side: From,
        agreed: &[(Agreement, &'static str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // Where a system confines the daemon to its own folders, it does so by the program's path.
        for program in [DAEMON, CONTROL] {
            std::fs::copy(program, path(program.rsplit('/').next().unwrap())).unwrap();
        }
        let log = path("log");
        let settings = format!(
            "charon {{\n load = {PLUGINS}\n install_virtual_ip = no\n\
             filelog {{ log {{ path = {}\n flush_line = yes\n default = 1\n chd = 4\n }} }}\n\
             plugins {{ vici {{ socket = unix://{}\n }} }}\n}}\nswanctl {{ load = random openssl }}\n",
            log.display(),
            path("vici").display()
        );
        std::fs::write(path("strongswan.conf"), settings).unwrap();
        std::fs::write(path("swanctl.conf"), connections(side, agreed)).unwrap();
        // One daemon has its process number in /run; each of ours has a /run of its own.
        let mut command = namespace.command("sh -c");
        command.arg("mount -t tmpfs tmpfs /run && exec \"$0\"").arg(path("charon"));
        command.env("STRONGSWAN_CONF", path("strongswan.conf"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let charon = Self { child: command.spawn().unwrap(), folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !charon.path("vici").exists() {
            assert!(Instant::now() < deadline, "charon does not start: {}", charon.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        charon.control("--load-all --noprompt");
        charon
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// What `swanctl` answers; it must succeed.
    fn control(&self, line: &str) -> String {
        let mut command = std::process::Command::new(self.path("swanctl"));
        command.args(line.split_whitespace());
        command.env("STRONGSWAN_CONF", self.path("strongswan.conf"));
        command.arg("--uri").arg(format!("unix://{}", self.path("vici").display()));
        if line.starts_with("--load") {
            command.arg("--file").arg(self.path("swanctl.conf"));
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}: {said} {output:?} {}", self.log());
        said
    }

    /// Negotiates the SAs of an agreement as the initiator, and takes what was negotiated into it
    /// from the log: `from` sends with the initiator's keys.
    pub(crate) fn initiate(&self, agreement: &mut Agreement, from: From) {
        self.control(&format!("--initiate --timeout 60 --child {}", agreement.name));
        let log = self.log();
        let start = format!("CHILD_SA {}{{", agreement.name);
        let at = log.find(&start).unwrap();
        let (inbound, outbound) = sas(&log[at..]);
        let (ours, theirs) =
            if from == From::Us { (outbound, inbound) } else { (inbound, outbound) };
        (agreement.ours, agreement.theirs) = (ours, theirs);
    }

    /// What it has counted of an agreement: received, sent.
    pub(crate) fn counters(&self, agreement: &Agreement) -> (Used, Used) {
        let said = self.control("--list-sas --raw");
        let name = format!("{{name={} ", agreement.name);
        let child = &said[said.find(&name).unwrap()..];
        let value = |key: &str| -> u64 {
            let start = child.find(&format!(" {key}=")).unwrap() + key.len() + 2;
            child[start..].split(' ').next().unwrap().parse().unwrap()
        };
        let used = |direction: &str| Used {
            packets: value(&format!("packets-{direction}")),
            bytes: value(&format!("bytes-{direction}")),
            failed: 0,
        };
        (used("in"), used("out"))
    }
}

impl Drop for Charon {
    fn drop(&mut self) {
        // At once: a daemon that ends in order would tell its peer.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Connections as `swanctl.conf` has them: a child for each agreement.
fn connections(side: From, agreed: &[(Agreement, &'static str)]) -> String {
    let other = if side == From::Us { From::Them } else { From::Us };
    let family = agreed[0].0.outer;
    let (local, remote) = (gateway(side, family), gateway(other, family));
    let mut children = String::new();
    for (agreement, proposal) in agreed {
        let (here, there) = (ours(agreement.inner).1.to_owned(), agreement.network());
        let (local, remote) = if side == From::Us { (here, there) } else { (there, here) };
        children += &format!(
            "{} {{\n local_ts = {local}\n remote_ts = {remote}\n esp_proposals = {proposal}\n }}\n",
            agreement.name
        );
    }
    format!(
        "connections {{ pair {{\n version = 2\n local_addrs = {local}\n remote_addrs = {remote}\n\
         proposals = aes128-sha256-x25519\n\
         local {{ auth = psk\n id = {local}\n }}\n remote {{ auth = psk\n id = {remote}\n }}\n\
         children {{\n{children} }}\n}} }}\n\
         secrets {{ ike-pair {{ secret = \"known to both\"\n }} }}\n"
    )
}

/// The SAs of a child, inbound and outbound, from the initiator's log of its making.
fn sas(log: &str) -> (Sa, Sa) {
    let after = |text: &str| log.find(text).map(|at| &log[at + text.len()..]);
    // "established with SPIs 13cd86c3_i f9f9e5b4_o and"
    let spis = after("established with SPIs ").unwrap();
    let mut spis = spis.split(' ').map(|spi| spi.split('_').next().unwrap());
    let mut spi = || u32::from_str_radix(spis.next().unwrap(), 16).unwrap();
    let (inbound, outbound) = (spi(), spi());
    let end = log.find("established with SPIs ").unwrap();
    let key = |kind: &str, role: &str| {
        let title = format!("{kind} {role} key => ");
        log[..end].find(&title).map_or(Vec::new(), |at| dump(&log[at + title.len()..]))
    };
    let sa = |spi, role| Sa { spi, cipher: key("encryption", role), auth: key("integrity", role) };
    (sa(inbound, "responder"), sa(outbound, "initiator"))
}

/// The bytes of `20 bytes @ 0x7f...` and lines of sixteen such as
/// `01[CHD]   16: B2 40 14 1B                                      .@..`.
fn dump(log: &str) -> Vec<u8> {
    let len: usize = log.split(' ').next().unwrap().parse().unwrap();
    let lines = log.lines().skip(1).map(|line| line.split_once(": ").unwrap().1);
    let digits: String = lines
        .take(len.div_ceil(16))
        .flat_map(|line| line.split(' ').take(16).take_while(|word| word.len() == 2))
        .collect();
    let mut bytes = unhex(&digits);
    bytes.truncate(len);
    bytes
}
