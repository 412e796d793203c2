//! IPsec of a Linux kernel: what `ip xfrm` is told and tells.

use std::collections::HashMap;

use qfp::core::crypto::Algorithm;

use crate::agreement::{Agreement, From, V4};
use crate::guest::Guest;
use crate::hex;
use crate::router::{self, Used};

/// The `ip xfrm` commands that make the stranger's side of it.
pub(crate) fn lines(agreement: &Agreement) -> String {
    let Agreement { number, .. } = agreement;
    let mode = if agreement.transport { "transport" } else { "tunnel" };
    let mut lines = String::new();
    for from in [From::Us, From::Them] {
        let (src, dst) = agreement.gateways(from);
        let mut sa = format!(
            "xfrm state add src {src} dst {dst} proto esp spi {} reqid {number} mode {mode} {}",
            agreement.sa(from).spi,
            algorithm(agreement, from)
        );
        sa += &format!(" replay-window {}", agreement.window);
        if agreement.esn {
            sa += " flag esn";
        }
        if agreement.inner != agreement.outer {
            sa += " flag af-unspec";
        }
        if let Some(used) = agreement.used {
            let which = if from == From::Us { "replay-seq" } else { "replay-oseq" };
            sa += &format!(" {which} {used}");
        }
        if agreement.udp {
            let any = if agreement.outer == V4 { "0.0.0.0" } else { "::" };
            sa += &format!(" encap espinudp 4500 4500 {any}");
        }
        if let (From::Them, Some(bytes)) = (from, agreement.filled) {
            sa += &format!(" tfcpad {bytes}");
        }
        let (ours, theirs) = agreement.ends();
        let (dir, from, to) =
            if from == From::Us { ("in", ours, theirs) } else { ("out", theirs, ours) };
        lines += &format!(
            "{sa}\nxfrm policy add src {from} dst {to} dir {dir} tmpl src {src} dst {dst} \
             proto esp reqid {number} mode {mode}\n"
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
