//! What must not get through does not, and each reason is counted, in the report and for the SA.

use super::peer::{fixed, nested, outer, sealed, with_trailer};
use crate::gateways::{LAN, Pair, WAN, counts, esp_at, events, ip};
use crate::packets::{payload, udp};

fn packet() -> Vec<u8> {
    udp("10.1.0.2", "10.2.0.2", 64, (7, 9), &payload(40))
}

#[test]
fn what_comes_in_and_must_not_get_through_is_counted_by_reason() {
    let pair = Pair::default();
    let good = ip(&pair.side(1, LAN, &[packet()]), WAN).remove(0);
    let esp = esp_at(&good);
    let changed = |at: usize, bit: u8| {
        let mut ip = good.clone();
        ip[at] ^= bit;
        fixed(ip)
    };
    let cut = |len: usize| fixed(good[..len].to_vec());
    let last = good.len() - 1;
    // What comes in, and the reason for which it ends; whether an SA counts it.
    let cases = [
        ("EspBadIcv", changed(last, 1), true),
        ("EspBadIcv", changed(esp + 8, 0x80), true),
        ("EspBadIcv", changed(esp + 7, 4), true),
        ("EspNoSa", changed(esp + 3, 8), false),
        ("EspNoSa", changed(19, 1), false),
        ("EspRunt", cut(esp), false),
        ("EspRunt", cut(esp + 7), false),
        ("EspRunt", cut(esp + 20), true),
        ("EspReplay", sealed(0, &with_trailer(&packet(), 4)), true),
        ("EspDummy", sealed(1, &with_trailer(&[7; 18], 59)), true),
        ("EspBadPadding", sealed(1, &[0, 0, 255, 4]), true),
        ("EspBadPadding", sealed(1, &[&packet()[..], &[9, 2, 2, 4]].concat()), true),
        ("EspBadNextHeader", sealed(1, &with_trailer(&packet(), 41)), true),
        ("EspBadNextHeader", sealed(1, &with_trailer(&packet(), 17)), true),
        ("EspBadNextHeader", sealed(1, &with_trailer(&[], 4)), true),
        ("EspBadNextHeader", sealed(1, &with_trailer(&packet()[..30], 4)), true),
        // An SA without encapsulation in UDP takes none.
        (
            "EspPolicy",
            outer(17, &[&[0x11, 0x94, 0x11, 0x94, 0, 88, 0, 0], &good[esp..][..80]].concat()),
            true,
        ),
        ("NatKeepalive", outer(17, &[0x11, 0x94, 0x11, 0x94, 0, 9, 0, 0, 0xff]), false),
    ];
    for (n, (reason, bad, of_sa)) in cases.into_iter().enumerate() {
        let name = format!("case {n}, {reason}");
        // As if nothing had been accepted before.
        drop(std::fs::remove_dir_all(pair.state_dir(2)));
        let run = pair.side(2, WAN, &[bad]);
        if run.report.drops != [(reason, 1)] && reason == "EspNoSa" && n == 4 {
            // Another destination is nobody's here.
            continue;
        }
        assert_eq!(run.report.drops, [(reason, 1)], "{name}");
        assert_eq!((run.sent[LAN].len(), run.report.punted()), (0, 0), "{name}");
        let wanted = if of_sa { vec![(reason, 1)] } else { vec![] };
        assert_eq!(counts(&run, "in"), (0, wanted), "{name}");
    }
}

#[test]
fn a_packet_is_taken_once_and_an_old_one_never() {
    let pair = Pair { sa_in: "replay_window = 64".to_owned(), ..Pair::default() };
    let sent = ip(&pair.side(1, LAN, &vec![packet(); 100]), WAN);
    // Twice each, the newest first, then those that are too old: the window covers 37 to 100.
    let mut all = vec![sent[99].clone(), sent[99].clone()];
    all.extend(sent[30..99].iter().rev().flat_map(|ip| [ip.clone(), ip.clone()]));
    let run = pair.side(2, WAN, &all);
    assert_eq!(run.sent[LAN].len(), 64);
    let replayed = all.len() as u64 - 64;
    assert_eq!(run.report.drops, [("EspReplay", replayed)]);
    assert_eq!(counts(&run, "in"), (64, vec![("EspReplay", replayed)]));
}

#[test]
fn congestion_on_the_way_reaches_who_can_hear_of_it() {
    let pair = Pair::default();
    let mut with_ect = packet();
    with_ect[1] = 2;
    let mut sent = ip(&pair.side(1, LAN, &[fixed(with_ect), packet()]), WAN);
    assert_eq!(sent.iter().map(|ip| ip[1] & 3).collect::<Vec<_>>(), [2, 0]);
    for ip in &mut sent {
        ip[1] |= 3;
        *ip = fixed(ip.clone());
    }
    let run = pair.side(2, WAN, &sent);
    assert_eq!(run.report.drops, [("EspEcn", 1)]);
    let got = ip(&run, LAN);
    assert_eq!(got.iter().map(|ip| ip[1] & 3).collect::<Vec<_>>(), [3]);
}

#[test]
fn lifetimes_end_an_sa_for_both_sides_and_are_told() {
    let sa = "soft = { packets = 3 }\nhard = { packets = 5 }".to_owned();
    let pair = Pair { sa, ..Pair::default() };
    let run = pair.side(1, LAN, &vec![packet(); 9]);
    assert_eq!((run.sent[WAN].len(), &run.report.drops[..]), (5, &[("EspSaExpired", 4)][..]));
    assert_eq!(events(&run), ["SA out: the hard lifetime is over, it is deleted"]);
    // An SA that ends by time, of which packets come at each second.
    let sa_out = "soft = { seconds = 2 }\nhard = { seconds = 5 }".to_owned();
    let pair = Pair { sa_out, ..Pair::default() };
    let each_second: Vec<_> = (1..=9).map(|second| (second * 1_000_000_000, packet())).collect();
    let run = pair.timed(1, LAN, &each_second);
    assert_eq!(
        events(&run),
        [
            "SA out: the soft lifetime is over",
            "SA out: the hard lifetime is over, it is deleted",
            "tunnel0 has packets to send and no SA",
        ]
    );
    assert_eq!((run.sent[WAN].len(), &run.report.drops[..]), (5, &[("EspNoSa", 4)][..]));
}

#[test]
fn an_sa_whose_numbers_are_used_up_sends_nothing_more() {
    let pair = Pair::default();
    assert_eq!(pair.side(1, LAN, &[packet()]).sent[WAN].len(), 1);
    crate::marks::set_all(&pair.state_dir(1), 4_294_967_290);
    let run = pair.side(1, LAN, &vec![packet(); 9]);
    let sent = ip(&run, WAN);
    let numbers: Vec<u32> = sent.iter().map(|outer| crate::gateways::numbers(outer).1).collect();
    assert_eq!(numbers, [4_294_967_291, 4_294_967_292, 4_294_967_293, 4_294_967_294, u32::MAX]);
    assert_eq!(run.report.drops, [("EspSequenceOverflow", 4)]);
    assert_eq!(events(&run), ["SA out: no sequence numbers are left, it sends nothing any more"]);
}

#[test]
fn tunnels_in_tunnels_end_somewhere() {
    // Outwards, where the peer's address is behind the tunnel: there is no room for more headers.
    let more = "[[route]]\nprefix = \"192.0.2.2/32\"\ndev = \"tunnel0\"\n".to_owned();
    let pair = Pair { more, ..Pair::default() };
    let run = pair.side(1, LAN, &[packet()]);
    assert_eq!((run.sent[WAN].len(), &run.report.drops[..]), (0, &[("EspNoRoom", 1)][..]));
    // Inwards: a few are opened, each walk after the other.
    for (depth, reason) in [(2, None), (20, Some("RecirculationLimit"))] {
        let run = Pair::default().side(2, WAN, &[nested(packet(), depth)]);
        let drops: Vec<_> = reason.into_iter().map(|reason| (reason, 1)).collect();
        assert_eq!((run.sent[LAN].len(), run.report.drops), (1 - drops.len(), drops.clone()));
    }
}

#[test]
fn a_peer_behind_a_nat_that_moves_is_told_and_still_heard() {
    let pair = Pair { sa: "udp = [4500, 4500]".to_owned(), ..Pair::default() };
    let mut sent = ip(&pair.side(1, LAN, &vec![packet(); 2]), WAN);
    // The NAT has another address and port for it.
    sent[1][12..16].copy_from_slice(&[192, 0, 2, 77]);
    sent[1][20..22].copy_from_slice(&40_000u16.to_be_bytes());
    sent[1] = fixed(sent[1].clone());
    let run = pair.side(2, WAN, &sent);
    assert_eq!(run.sent[LAN].len(), 2);
    assert_eq!(events(&run), ["SA in: the peer's packets come from 192.0.2.77 port 40000"]);
}
