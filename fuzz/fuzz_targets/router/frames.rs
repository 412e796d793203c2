//! Frames: a known packet, bytes that lie over it, and checksums and lengths that are right again.

use crate::scene::{LAN, WAN};

/// What packets of the LAN carry: it must not be seen beyond a closed WAN.
pub(crate) const MARK: [u8; 8] = *b"\xa5READ\x5a\xc3!";

/// Bytes of a link header.
pub(crate) const LINK: usize = 14;

fn v4(port: usize) -> [u8; 8] {
    // To the other side, or from there.
    match port {
        LAN => [10, 1, 0, 2, 10, 2, 0, 9],
        WAN => [10, 2, 0, 9, 10, 1, 0, 2],
        _ => [10, 3, 0, 2, 10, 1, 0, 2],
    }
}

fn v6(port: usize) -> Vec<u8> {
    let host = |net: u8, host: u8| [0x20, 1, 0xd, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, host];
    match port {
        LAN => [host(1, 2), host(2, 9)].concat(),
        WAN => [host(2, 9), host(1, 2)].concat(),
        _ => [host(3, 2), host(1, 2)].concat(),
    }
}

fn four(port: usize, protocol: u8, options: &[u8], upper: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45 + (options.len() / 4) as u8, 0, 0, 0, 0, 7, 0, 0, 64, protocol, 0, 0];
    ip.extend(v4(port));
    ip.extend(options);
    ip.extend(upper);
    ip
}

fn six(port: usize, next: u8, behind: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    ip.extend(v6(port));
    ip.extend(behind);
    ip
}

/// The IP packet, or ARP, of a template.
fn template(port: usize, number: u8) -> Vec<u8> {
    let udp = [&[0, 7, 0, 53, 0, 0, 0, 0], &MARK[..], &MARK].concat();
    let tcp =
        [&[0, 7, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 2, 4, 0, 0, 0, 0, 0], &MARK[..]].concat();
    let echo = |kind| [&[kind, 0, 0, 0, 0, 1, 0, 1], &MARK[..], &MARK].concat();
    let own4 = [[10, 1, 0, 1], [192, 0, 2, 1], [10, 3, 0, 1]][port];
    let own6 = [1, 0xff, 3][port];
    let to_own = |mut ip: Vec<u8>| {
        if ip[0] >> 4 == 4 {
            ip[16..20].copy_from_slice(&own4);
        } else {
            ip[29] = own6;
            ip[39] = 1;
        }
        ip
    };
    let about = |inner: &[u8], kind| [&[kind, 4, 0, 0, 0, 0, 5, 0], inner].concat();
    match number {
        0 => four(port, 17, &[], &udp),
        1 => four(port, 6, &[], &tcp),
        2 => four(port, 1, &[], &echo(8)),
        3 => to_own(four(port, 1, &[], &echo(8))),
        4 => to_own(four(port, 17, &[], &udp)),
        5 => to_own(four(port, 6, &[], &tcp)),
        6 => four(port, 17, &[148, 4, 0, 0], &udp),
        7 => four(port, 17, &[131, 7, 4, 10, 2, 0, 9, 0], &udp),
        8 => four(port, 1, &[7, 7, 4, 0, 0, 0, 0, 0], &echo(8)),
        9 => four(port, 1, &[68, 8, 5, 1, 0, 0, 0, 0], &echo(8)),
        10 => four(port, 17, &[], &[&udp[..], &[7; 1400]].concat()),
        11 => {
            to_own(four(port, 1, &[], &about(&four(port, 50, &[], &[0, 0, 16, 0, 0, 0, 0, 1]), 3)))
        }
        12 => six(port, 17, &udp),
        13 => six(port, 6, &tcp),
        14 => six(port, 58, &echo(128)),
        15 => to_own(six(port, 58, &echo(128))),
        16 => to_own(six(port, 17, &udp)),
        17 => six(port, 0, &[&[17, 0, 5, 2, 0, 0, 1, 0], &udp[..]].concat()),
        18 => six(port, 0, &[&[17, 0, 0xde, 4, 0, 0, 0, 0], &udp[..]].concat()),
        19 => six(port, 44, &[&[17, 0, 0, 1, 0, 0, 0, 9], &udp[..]].concat()),
        20 => six(port, 44, &[&[17, 0, 0, 8, 0, 0, 0, 9], &udp[..]].concat()),
        21 => to_own(six(port, 44, &[&[17, 0, 0, 1, 0, 0, 0, 9], &udp[..]].concat())),
        22 => to_own(six(port, 44, &[&[17, 0, 0, 8, 0, 0, 0, 9], &udp[..]].concat())),
        23 => to_own(six(port, 43, &[&[17, 0, 4, 1, 0, 0, 0, 0], &udp[..]].concat())),
        24 => six(port, 60, &[&[51, 0, 1, 4, 0, 0, 0, 0, 17, 1, 0, 0], &[0; 8][..], &udp].concat()),
        25 => to_own(six(port, 58, &about(&six(port, 50, &[0, 0, 16, 0, 0, 0, 0, 1]), 2))),
        // Neighbour solicitation and advertisement.
        26 | 27 => {
            let kind = if number == 26 { 135 } else { 136 };
            let mut target = v6(port)[..16].to_vec();
            if number == 26 {
                (target[5], target[15]) = (own6, 1);
            }
            let mut ip = six(
                port,
                58,
                &[&[kind, 0, 0, 0, 0x60, 0, 0, 0], &target[..], &[1, 1, 2, 0, 0, 0, 0, 7]].concat(),
            );
            ip[7] = 255;
            if port == WAN {
                (ip[13], ip[23]) = (0xff, 9);
            }
            to_own(ip)
        }
        28 => [
            &[
                0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, port as u8, 9, own4[0], own4[1], own4[2], 9, 0,
                0, 0, 0, 0, 0,
            ],
            &own4[..],
        ]
        .concat(),
        29 => [
            &[
                0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, port as u8, 9, own4[0], own4[1], own4[2], 9, 2,
                0, 0, 0, port as u8, 1,
            ],
            &own4[..],
        ]
        .concat(),
        30 => {
            let mut ip = four(port, 89, &[], &MARK);
            ip[16..20].copy_from_slice(&[224, 0, 0, 5]);
            ip
        }
        _ => {
            let mut ip = four(port, 17, &[], &udp);
            // The first or a later fragment for the router.
            (ip[6], ip[7]) = if number & 1 == 0 { (0x20, 0) } else { (0, 1) };
            if number & 2 == 0 { to_own(ip) } else { ip }
        }
    }
}

/// Lays bytes over others: pairs of a place and a value, then what is left goes to the end.
fn lay(packet: &mut Vec<u8>, over: &[u8]) {
    let Some((count, over)) = over.split_first() else { return };
    let pairs = (usize::from(*count) & 15).min(over.len() / 2);
    let (pairs, tail) = over.split_at(2 * pairs);
    for pair in pairs.as_chunks::<2>().0 {
        let at = usize::from(pair[0]) % packet.len();
        packet[at] = pair[1];
    }
    packet.extend(tail);
}

/// An IP packet of a template, with what lies over it.
pub(crate) fn packet(port: usize, number: u8, fix: bool, over: &[u8]) -> Vec<u8> {
    let mut packet = template(port, number);
    lay(&mut packet, over);
    if fix {
        fixed(&mut packet);
    }
    packet
}

/// A frame with it.
pub(crate) fn frame(port: usize, number: u8, fix: bool, over: &[u8]) -> Vec<u8> {
    let ip = packet(port, number, fix, over);
    let ethertype: [u8; 2] = match (number, ip[0] >> 4) {
        (28 | 29, _) => [8, 6],
        (_, 6) => [0x86, 0xdd],
        _ => [8, 0],
    };
    let mut frame = vec![2, 0, 0, 0, port as u8, 1, 2, 0, 0, 0, port as u8, 2];
    match ip.get(16..20) {
        Some([224..=255, ..]) if ip[0] >> 4 == 4 => {
            frame[..6].copy_from_slice(&[1, 0, 0x5e, 0, 0, 5])
        }
        _ if ip[0] >> 4 == 6 && ip.get(24) == Some(&0xff) => {
            frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1])
        }
        _ if number == 28 => frame[..6].fill(0xff),
        _ => {}
    }
    // One of four packets of the third port is in its VLAN.
    if port == 2 && number % 4 == 3 {
        frame.extend([0x81, 0, 0, 5]);
    }
    frame.extend(ethertype);
    frame.extend(ip);
    frame
}

fn sum(parts: &[&[u8]]) -> [u8; 2] {
    let bytes = parts.concat();
    let words =
        bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |b| u32::from(*b)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// Lengths and checksums of an IP packet and of what is in it, as far as there is room.
pub(crate) fn fixed(ip: &mut [u8]) {
    let len = ip.len() as u16;
    let (protocol, at, ends) = match ip.first().map(|first| first >> 4) {
        Some(4) if ip.len() >= 20 => {
            let header = (usize::from(ip[0] & 15) * 4).clamp(20, ip.len());
            ip[2..4].copy_from_slice(&len.to_be_bytes());
            ip[10..12].fill(0);
            let sum = sum(&[&ip[..header]]);
            ip[10..12].copy_from_slice(&sum);
            (ip[9], header, 12..20)
        }
        Some(6) if ip.len() >= 40 => {
            ip[4..6].copy_from_slice(&(len - 40).to_be_bytes());
            let (mut next, mut at) = (ip[6], 40);
            while matches!(next, 0 | 43 | 44 | 60) && at + 8 <= ip.len() {
                let header = if next == 44 { 8 } else { 8 + 8 * usize::from(ip[at + 1]) };
                (next, at) = (ip[at], at + header);
            }
            (next, at, 8..40)
        }
        _ => return,
    };
    let (head, Some(upper)) = (ip[ends].to_vec(), ip.get_mut(at..)) else { return };
    let place = match protocol {
        1 | 58 => 2,
        6 => 16,
        17 => 6,
        _ => return,
    };
    if upper.len() < place + 2 {
        return;
    }
    let len = (upper.len() as u32).to_be_bytes();
    if protocol == 17 {
        upper[4..6].copy_from_slice(&len[2..]);
    }
    upper[place..place + 2].fill(0);
    let pseudo =
        if protocol == 1 { Vec::new() } else { [&head[..], &len, &[0, 0, 0, protocol]].concat() };
    let sum = sum(&[&pseudo, upper]);
    upper[place..place + 2].copy_from_slice(&sum);
}
