//! Writes a few inputs for each fuzz target below `corpus/`, for it to start from:
//! `cargo run --example seeds` in this folder.

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let write = |target: &str, n: usize, bytes: &[u8]| {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("seed-{n}")), bytes)
    };
    let packets = packets();
    for (n, packet) in packets.iter().enumerate() {
        // A byte of kind, two of flags, then the header; strings are read from the end.
        let kind = u8::from(packet[0] >> 4 == 6);
        write("l3_scalar", n, &[&[kind, 0, 0], &packet[..]].concat())?;
        if kind == 1 {
            write(
                "ipv6_chain",
                n,
                &packet[6..7].iter().chain(&packet[40..]).copied().collect::<Vec<_>>(),
            )?;
        }
    }
    let tags: [&[u8]; 3] = [&[], &[0x81, 0, 0, 5], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7]];
    for (n, tags) in tags.iter().enumerate() {
        let mut walk = vec![n as u8 * 2];
        let mut slow = Vec::new();
        for packet in &packets {
            let ethertype: [u8; 2] = if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [8, 0] };
            let frame = [&MACS, *tags, &ethertype, packet].concat();
            walk.extend((frame.len() as u16 | 7 << 11).to_le_bytes());
            walk.extend(&frame);
            for cause in 0..11 {
                let control = [cause, 3, 4, 14 + tags.len() as u8, 0, 0, 1, 1];
                slow.extend(((control.len() + frame.len()) as u16).to_le_bytes());
                slow.extend(control);
                slow.extend(&frame);
            }
        }
        slow.extend([0, 0]);
        write("walk", n, &walk)?;
        write("slow_path", n, &slow)?;
    }
    for how in 0..=1 {
        // For each SA a packet that passes, and one that is changed or cut.
        let esp: Vec<u8> = (0..84u8)
            .flat_map(|sa| {
                [&[40, 0, sa], &[sa; 40][..], &[9, 0x80, sa, sa, 0, 1, how], &[sa; 9]].concat()
            })
            .collect();
        write("esp", usize::from(how), &esp)?;
    }
    let configs = ["demo.toml", "demo-generate.toml"];
    for (n, name) in configs.into_iter().enumerate() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/configs").join(name);
        write("config_toml", n, &std::fs::read(path)?)?;
    }
    write("config_toml", 9, CONFIG.as_bytes())?;
    write("routes_file", 0, ROUTES.as_bytes())?;
    for (target, text) in TEXTS {
        write(target, 0, text.as_bytes())?;
    }
    for scene in 0..4 {
        for way in 0..4 {
            write("router", usize::from(4 * scene + way), &operations(scene, way))?;
        }
    }
    Ok(())
}

/// Every packet of the target `router` on one port, or inside of ESP, with changes in between.
fn operations(scene: u8, way: u8) -> Vec<u8> {
    let mut bytes = vec![scene, way * 2];
    for template in 0..35 {
        let sa = template & 1;
        let kind = if way < 3 { way } else { 160 | sa };
        bytes.extend([kind, template, 0]);
        if template % 6 == 5 {
            bytes.extend([208, 40, 0]);
        }
        // One change in each.
        if template == 17 {
            bytes.extend([248 + (scene + way) % 6, template, 0]);
        }
    }
    bytes
}

/// Texts that are read whole.
const TEXTS: [(&str, &str); 5] = [
    (
        "acl_text",
        "object-group network N\n host 10.0.0.1\n 10.1.0.0 255.255.0.0\nip access-list extended A\n \
         10 permit tcp any eq 80 object-group N established log\n deny udp any any range 5 9 dscp ef\n \
         permit icmp any any echo\nipv6 access-list B\n permit tcp any host 2001:db8::1 eq 22\n\
         access-list 101 deny ip 10.0.0.0 0.0.0.255 any fragments\n",
    ),
    (
        "mqc_text",
        "class-map match-any C\n match dscp ef af21\n match not precedence 5\npolicy-map P\n class C\n  \
         police cir 8000 bc 2000 pir 16000 be 4000 conform-action transmit exceed-action \
         set-dscp-transmit af22 violate-action drop\n class class-default\n  set dscp 10\n",
    ),
    (
        "route_map_text",
        "route-map P permit 10\n match ip address 110 X\n match length 64 1500\n set ip next-hop 10.0.0.1 \
         10.0.0.2\n set ip dscp ef\nroute-map P deny 20\n match ipv6 address Y\nroute-map P permit 30\n \
         set interface Null0\n set vrf blue\n set ipv6 default next-hop 2001:db8::1\n",
    ),
    (
        "probe_text",
        "in=port0 src=192.0.2.2 dst=203.0.113.1 proto=tcp sport=1 dport=22 flags=syn+ack dscp=ef \
         ttl=9 len=80 frag=first",
    ),
    ("key_text", "0x00112233 44556677\n8899AABB ccddeeff"),
];

const MACS: [u8; 12] = [2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 9];

const CONFIG: &str = r#"[[port]]
device = "sink"
mac = "02:00:00:00:00:01"
mtu = 9000
mac_filter = true
address = ["192.0.2.1/24", "2001:db8::1/64"]
[[port.vlan]]
id = 5
inner = 7
tpid = "dot1ad"
address = ["198.51.100.1/31"]
[[route]]
prefix = "10.0.0.0/8"
via = "192.0.2.2"
weight = 3
[[route]]
prefix = "::/0"
drop = true
[[neighbor]]
address = "192.0.2.2"
mac = "02:00:00:00:00:02"
"#;

const ROUTES: &str = "# routes\n10.0.0.0/8 via 192.0.2.2\n10.0.0.0/8 via 192.0.2.3 dev port0\n\
                      172.16.0.0/12 drop\n2001:db8:1::/48 via 2001:db8::2\n::/0 dev port1\n";

/// Plain packets, options, extension headers, fragments, ARP's neighbours and errors.
fn packets() -> Vec<Vec<u8>> {
    let udp = [0, 9, 0, 53, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let echo = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    let local = [192, 0, 2, 1];
    let far = [8, 8, 8, 8];
    let solicit =
        [&[135, 0, 0, 0, 0, 0, 0, 0], &addr6(1, 1)[..], &[1, 1, 2, 0, 0, 0, 0, 9]].concat();
    vec![
        ipv4(far, 64, 17, 0, &[], &udp),
        ipv4(far, 1, 17, 0, &[], &udp),
        ipv4([10, 1, 9, 9], 64, 17, 0, &[], &udp),
        ipv4([172, 16, 0, 1], 64, 6, 0, &[], &udp),
        ipv4(local, 64, 1, 0, &[], &echo),
        ipv4(far, 64, 17, 0x2000, &[], &udp),
        ipv4(far, 64, 17, 0x4001, &[148, 4, 0, 0], &udp),
        ipv4(far, 64, 17, 0, &[131, 7, 4, 1, 2, 3, 4, 0], &udp),
        ipv4([224, 0, 0, 1], 1, 2, 0, &[], &echo),
        ipv4(far, 64, 17, 0x4000, &[], &[7; 1400]),
        ipv6(addr6(9, 9), 64, 17, &udp),
        ipv6(addr6(1, 9), 64, 17, &[7; 1300]),
        ipv6(addr6(0, 1), 255, 58, &solicit),
        ipv6(addr6(9, 9), 64, 0, &[&[17, 0, 5, 2, 0, 0, 1, 0], &udp[..]].concat()),
        ipv6(addr6(9, 9), 64, 44, &[&[17, 0, 0, 1, 0, 0, 0, 9], &udp[..]].concat()),
        ipv6(addr6(9, 9), 1, 43, &[&[17, 0, 4, 0, 0, 0, 0, 0], &udp[..]].concat()),
        ipv6(addr6(9, 9), 64, 44, &[60, 0, 0, 1, 0, 0, 0, 9, 6, 0, 1, 4, 0, 0, 0, 0]),
        ipv6(
            addr6(9, 9),
            64,
            135,
            &[&[51, 0, 1, 4, 0, 0, 0, 0, 17, 0], &[0; 6][..], &udp].concat(),
        ),
        ipv4(far, 64, 6, 1, &[], &[0; 24]),
    ]
}

fn addr6(net: u8, host: u8) -> [u8; 16] {
    [0x20, 1, 0xd, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
}

fn ipv4(
    dst: [u8; 4],
    ttl: u8,
    protocol: u8,
    fragment: u16,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let header = 20 + options.len();
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend(((header + payload.len()) as u16).to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([ttl, protocol, 0, 0, 192, 0, 2, 9]);
    packet.extend(dst);
    packet.extend(options);
    let words = packet.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
    let sum: u32 = words.sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

fn ipv6(dst: [u8; 16], hops: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, hops]);
    packet.extend(addr6(0, 9));
    packet.extend(dst);
    packet.extend(payload);
    packet
}
