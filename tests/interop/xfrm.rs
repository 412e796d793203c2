//! IPsec of a Linux kernel: what `ip xfrm` is told and tells.

use std::collections::HashMap;

use qfp::core::crypto::Algorithm;

use crate::agreement::{Agreement, From, V4};
use crate::guest::Guest;
use crate::hex;
use crate::router::{self, Used};

/// The line that makes the kernel's SA of a direction.
pub(crate) fn state(agreement: &Agreement, from: From) -> String {
    let (src, dst) = agreement.gateways(from);
    let mut line = format!(
        "xfrm state add src {src} dst {dst} proto esp spi {} reqid {} mode {} {}",
        agreement.sa(from).spi,
        agreement.number,
        mode(agreement),
        algorithm(agreement, from)
    );
    line += &format!(" replay-window {}", agreement.window);
    if agreement.esn {
        line += " flag esn";
    }
    if agreement.inner != agreement.outer {
        line += " flag af-unspec";
    }
    if let Some(used) = agreement.used {
        let which = if from == From::Us { "replay-seq" } else { "replay-oseq" };
        line += &format!(" {which} {used}");
    }
    if agreement.udp {
        let any = if agreement.outer == V4 { "0.0.0.0" } else { "::" };
        line += &format!(" encap espinudp 4500 4500 {any}");
    }
    if let (From::Them, Some(bytes)) = (from, agreement.filled) {
        line += &format!(" tfcpad {bytes}");
    }
    line + "\n"
}

const fn mode(agreement: &Agreement) -> &'static str {
    if agreement.transport { "transport" } else { "tunnel" }
}

/// The lines that make the kernel's side of it.
pub(crate) fn lines(agreement: &Agreement) -> String {
    let mut lines = String::new();
    for from in [From::Us, From::Them] {
        let (src, dst) = agreement.gateways(from);
        let (ours, theirs) = agreement.ends();
        let (dir, here, there) =
            if from == From::Us { ("in", ours, theirs) } else { ("out", theirs, ours) };
        lines += &format!(
            "{}xfrm policy add src {here} dst {there} dir {dir} tmpl src {src} dst {dst} \
             proto esp reqid {} mode {}\n",
            state(agreement, from),
            agreement.number,
            mode(agreement),
        );
    }
    if agreement.transport {
        // Who asked for a neighbour would be answered in the clear, which the policy forbids.
        let (us, _) = agreement.gateways(From::Us);
        lines + &format!("neigh add {us} lladdr {} dev vec0 nud permanent\n", router::WAN_MAC)
    } else {
        lines + &format!("addr add {} dev lo\n", agreement.host())
    }
}

/// How `ip xfrm` names the algorithm and its keys.
fn algorithm(agreement: &Agreement, from: From) -> String {
    let sa = agreement.sa(from);
    let (cipher, auth) = (hex(&sa.cipher), hex(&sa.auth));
    let aead = |name| format!("aead {name} 0x{cipher} 128");
    let hmac = |hash, bits| {
        let enc = if cipher.is_empty() {
            "enc ecb(cipher_null) \"\"".to_owned()
        } else {
            format!("enc cbc(aes) 0x{cipher}")
        };
        format!("{enc} auth-trunc hmac({hash}) 0x{auth} {bits}")
    };
    match agreement.algorithm {
        Algorithm::Aes128Gcm | Algorithm::Aes256Gcm => aead("rfc4106(gcm(aes))"),
        Algorithm::Aes128Gmac | Algorithm::Aes256Gmac => aead("rfc4543(gcm(aes))"),
        Algorithm::ChaCha20Poly1305 => aead("rfc7539esp(chacha20,poly1305)"),
        Algorithm::Aes128CbcSha256 | Algorithm::Aes256CbcSha256 | Algorithm::NullSha256 => {
            hmac("sha256", 128)
        }
        Algorithm::Aes128CbcSha384 | Algorithm::Aes256CbcSha384 | Algorithm::NullSha384 => {
            hmac("sha384", 192)
        }
        Algorithm::Aes128CbcSha512 | Algorithm::Aes256CbcSha512 | Algorithm::NullSha512 => {
            hmac("sha512", 256)
        }
    }
}

/// What the kernel has counted, by SPI.
pub(crate) fn counters(guest: &mut Guest) -> HashMap<u32, Used> {
    let said = guest.must("ip -s xfrm state");
    let mut counters = HashMap::new();
    let mut spi = 0;
    for line in said.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["proto", "esp", "spi", number, ..] => {
                let digits = number.split('(').next().unwrap().trim_start_matches("0x");
                spi = u32::from_str_radix(digits, 16).unwrap();
                counters.insert(spi, Used::default());
            }
            [bytes, packets] if bytes.ends_with("(bytes),") && packets.ends_with("(packets)") => {
                let number = |word: &str| word.split('(').next().unwrap().parse().unwrap();
                let used = counters.get_mut(&spi).unwrap();
                (used.packets, used.bytes) = (number(packets), number(bytes));
            }
            ["replay-window", window, "replay", replay, "failed", failed] => {
                let used = counters.get_mut(&spi).unwrap();
                used.failed =
                    [window, replay, failed].map(|word| word.parse::<u64>().unwrap()).iter().sum();
            }
            _ => {}
        }
    }
    counters
}
