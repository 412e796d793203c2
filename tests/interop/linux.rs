//! A Linux kernel: pings from the network behind us, through tunnels, to hosts of the kernel, and
//! back, in every length that padding may have.

use std::process::Stdio;

use qfp::core::crypto::Algorithm;

use crate::agreement::{Agreement, From, V4, V6, ours};
use crate::bench::{Bench, counted, exchanged};
use crate::router::Used;
use crate::{pings, turn, xfrm};

/// Tunnels with all algorithms, in all pairs of families.
fn tunnels() -> Vec<Agreement> {
    use Algorithm as A;
    let new = Agreement::new;
    vec![
        new(1, "gcm-128", A::Aes128Gcm),
        Agreement { outer: V6, ..new(2, "gcm-256", A::Aes256Gcm) },
        Agreement { inner: V6, ..new(3, "gmac-128", A::Aes128Gmac) },
        Agreement { outer: V6, inner: V6, ..new(4, "gmac-256", A::Aes256Gmac) },
        new(5, "chacha", A::ChaCha20Poly1305),
        Agreement { outer: V6, ..new(6, "cbc-128-sha256", A::Aes128CbcSha256) },
        Agreement { inner: V6, ..new(7, "cbc-256-sha256", A::Aes256CbcSha256) },
        new(8, "cbc-128-sha384", A::Aes128CbcSha384),
        new(9, "cbc-256-sha384", A::Aes256CbcSha384),
        new(10, "cbc-128-sha512", A::Aes128CbcSha512),
        new(11, "cbc-256-sha512", A::Aes256CbcSha512),
        new(12, "null-sha256", A::NullSha256),
        new(13, "null-sha384", A::NullSha384),
        new(14, "null-sha512", A::NullSha512),
        Agreement { esn: true, window: 1024, ..new(20, "gcm-128-esn", A::Aes128Gcm) },
        Agreement { esn: true, window: 1024, outer: V6, ..new(21, "gcm-256-esn", A::Aes256Gcm) },
        Agreement { esn: true, window: 1024, ..new(22, "chacha-esn", A::ChaCha20Poly1305) },
        Agreement { esn: true, window: 1024, ..new(23, "cbc-esn", A::Aes256CbcSha256) },
        Agreement { udp: true, ..new(30, "gcm-nat-t", A::Aes128Gcm) },
        Agreement {
            udp: true,
            outer: V6,
            inner: V6,
            ..new(31, "chacha-nat-t", A::ChaCha20Poly1305)
        },
        Agreement {
            udp: true,
            esn: true,
            window: 1024,
            ..new(32, "cbc-nat-t-esn", A::Aes128CbcSha256)
        },
        Agreement { policy: true, ..new(35, "gcm-policy", A::Aes128Gcm) },
        Agreement { policy: true, inner: V6, ..new(36, "cbc-policy", A::Aes128CbcSha256) },
        Agreement { filled: Some(400), ..new(40, "gcm-filled", A::Aes128Gcm) },
        Agreement { filled: Some(400), inner: V6, ..new(41, "cbc-filled", A::Aes128CbcSha256) },
    ]
}

#[test]
fn a_linux_kernel_and_we_open_what_the_other_seals() {
    let _turn = turn();
    let agreements = tunnels();
    let Some(mut bench) = Bench::new(&agreements) else { return };
    let mut unanswered = Vec::new();
    for agreement in &agreements {
        let (here, there) = (ours(agreement.inner).0, agreement.host());
        // It has policies for what leaves and for what comes in, so both of us ask.
        for (answered, said) in [
            bench.lan.run(&pings::command(&there, here)),
            bench.guest.run(&format!("ping -n -c 1 -W 10 -I {there} {here}")),
        ] {
            if !answered {
                unanswered.push(format!("{}: {said}", agreement.name));
            }
        }
    }
    exchanged(bench, &agreements, pings::COUNT + 1, &unanswered);
}

/// Both ends begin where the numbers of a run before have ended.
#[test]
fn extended_numbers_roll_over_in_both_directions() {
    /// To the end of the low half. A window that reached below 0 would take them for older ones.
    const LEFT: u32 = 80;
    const PINGS: u64 = 140;
    let _turn = turn();
    let esn = |number, name, algorithm| Agreement {
        esn: true,
        window: 64,
        used: Some(u32::MAX - LEFT),
        ..Agreement::new(number, name, algorithm)
    };
    let agreements = [
        esn(1, "gcm-128", Algorithm::Aes128Gcm),
        esn(2, "chacha", Algorithm::ChaCha20Poly1305),
        esn(3, "cbc-sha256", Algorithm::Aes128CbcSha256),
    ];
    let Some(mut bench) = Bench::new(&agreements) else { return };
    bench.flood(&agreements, PINGS);
    let states = bench.guest.must("ip -s xfrm state");
    for half in [" seq-hi 0x1,", " oseq-hi 0x1,"] {
        assert_eq!(states.matches(half).count(), agreements.len(), "{half}: {states}");
    }
    exchanged(bench, &agreements, PINGS, &[]);
}

/// The gateways' own packets: the kernel asks for echoes, and the router answers.
#[test]
fn transport_mode_of_a_linux_kernel_and_ours_are_the_same() {
    const LENGTHS: [usize; 8] = [0, 1, 2, 3, 7, 8, 15, 1300];
    let _turn = turn();
    let transport = |family, agreement| Agreement {
        transport: true,
        outer: family,
        inner: family,
        ..agreement
    };
    let agreements = [
        transport(V4, Agreement::new(1, "host-v4", Algorithm::Aes128Gcm)),
        transport(V6, Agreement::new(2, "host-v6", Algorithm::Aes256CbcSha256)),
    ];
    let Some(mut bench) = Bench::new(&agreements) else { return };
    let mut unanswered = Vec::new();
    for agreement in &agreements {
        let (us, them) = agreement.gateways(From::Us);
        for len in LENGTHS {
            let line = format!("ping -n -c 1 -W 10 -s {len} -I {them} {us}");
            let (answered, said) = bench.guest.run(&line);
            if !answered {
                unanswered.push(format!("{}: {said}", agreement.name));
            }
        }
    }
    exchanged(bench, &agreements, LENGTHS.len() as u64, &unanswered);
}

#[test]
fn what_has_another_key_is_refused_and_counted_on_both_ends() {
    let _turn = turn();
    let agreements = [
        Agreement::new(1, "same-key", Algorithm::Aes128Gcm),
        Agreement::new(2, "other-gcm", Algorithm::Aes128Gcm),
        Agreement::new(3, "other-hmac", Algorithm::Aes128CbcSha256),
    ];
    let mut theirs = agreements.clone();
    theirs[1].ours.cipher[5] ^= 1;
    theirs[1].theirs.cipher[5] ^= 1;
    theirs[2].ours.auth[5] ^= 1;
    theirs[2].theirs.auth[5] ^= 1;
    let Some(mut bench) = Bench::with(&agreements, &theirs, &[]) else { return };
    // The last is answered, so all before it have arrived.
    for (agreement, wait) in [(&agreements[1], 1), (&agreements[2], 1), (&agreements[0], 10)] {
        let (here, there) = (ours(agreement.inner).0, agreement.host());
        let line = format!("ping -n -c 1 -W {wait} -I");
        let answers = [
            bench.lan.run(&format!("{line} {here} {there}")).0,
            bench.guest.run(&format!("{line} {there} {here}")).0,
        ];
        assert_eq!(answers, [agreement.name == "same-key"; 2], "{}", agreement.name);
    }
    for (name, ours, theirs) in counted(bench, &agreements, &[]).0 {
        let count = |used: Used| (used.packets, used.failed);
        let wanted = match (name.starts_with("same-key"), name.contains("-out-")) {
            (true, _) => [(2, 0), (2, 0)],
            (false, true) => [(1, 0), (0, 1)],
            (false, false) => [(0, 1), (1, 0)],
        };
        assert_eq!([count(ours), count(theirs)], wanted, "{name}");
    }
}

/// What is longer than a tunnel takes is cut before it is sealed, or its sender is told.
///
/// The kernel does likewise with IPv6. Its IPv4 packets it seals whole and cuts then: the router puts
/// these together before it opens them.
#[test]
fn long_packets_cross_in_fragments() {
    let _turn = turn();
    let agreements = [
        Agreement {
            inner: V6,
            udp: true,
            ..Agreement::new(1, "cbc-v6", Algorithm::Aes128CbcSha256)
        },
        Agreement::new(2, "gcm-v4", Algorithm::Aes128Gcm),
    ];
    let Some(mut bench) = Bench::new(&agreements) else { return };
    let [v6, v4] = agreements.each_ref().map(|agreement| agreement.host());
    for (host, told) in [(&v6, "Packet too big"), (&v4, "Frag needed")] {
        let (_, said) = bench.lan.run(&format!("ping -n -c 1 -W 10 -M do -s 1450 {host}"));
        assert!(said.contains(told), "{said}");
    }
    // What is put together must fit a buffer of the router.
    bench.lan.must(&format!("ping -n -c 1 -W 10 -s 1600 {v4}"));
    bench.lan.must(&format!("ping -n -c 1 -W 10 -s 4000 {v6}"));
    bench.guest.must(&format!("ping -n -c 1 -W 10 -s 4000 -I {v6} {}", ours(V6).0));
    for (name, ours, theirs) in counted(bench, &agreements, &[]).0 {
        let packets = match () {
            () if name.starts_with("gcm-v4-in-") => 1,
            () if name.starts_with("gcm-v4-out-") => 2,
            () => 6,
        };
        assert_eq!((ours.packets, ours.failed), (packets, 0), "{name}");
        assert_eq!(ours, theirs, "{name}");
    }
}

/// The kernel opens with both keys, then we seal with the new one while packets flow; we open with
/// both, so it does the same.
#[test]
fn keys_are_replaced_without_losing_a_packet() {
    const FLOW: u64 = 150;
    let _turn = turn();
    let old = [Agreement::new(1, "gcm-128", Algorithm::Aes128Gcm)];
    let new = [old[0].renewed()];
    let Some(mut bench) = Bench::new(&old) else { return };
    let once = format!("ping -n -c 1 -W 30 {}", old[0].host());
    bench.lan.must(&once);
    bench.guest.ip(&xfrm::state(&new[0], From::Us));
    let flow = format!("ping -n -q -i 0.02 -c {FLOW} {}", old[0].host());
    let mut flow = bench.lan.command(&flow).stdout(Stdio::null()).spawn().unwrap();
    bench.router.rekey(&new);
    bench.guest.ip(&xfrm::state(&new[0], From::Them));
    flow.wait().unwrap();
    // Once it is answered, all before it are.
    bench.lan.must(&once);
    assert_eq!(bench.answers(), FLOW + 2);

    let Bench { router, mut guest, .. } = bench;
    let theirs = xfrm::counters(&mut guest);
    let report = router.finish();
    for from in [From::Us, From::Them] {
        let [old_used, new_used] = [&old, &new].map(|[one]| theirs[&one.sa(from).spi]);
        println!("{from:?} {old_used:?} {new_used:?}");
        assert!(old_used.packets > 0 && new_used.packets > 0);
        assert_eq!((old_used.packets + new_used.packets, old_used.failed), (FLOW + 2, 0));
        assert_eq!(report.sa(&new[0].sa_name(from)), new_used);
        // What we sealed with is gone, what we open with may still be needed.
        if from == From::Them {
            assert_eq!(report.sa(&old[0].sa_name(from)), old_used);
        }
    }
}

/// Ports on different lcores, and lcores that are crypto engines.
#[test]
fn several_lcores_seal_and_open_as_one_does() {
    const PINGS: u64 = 100;
    let _turn = turn();
    let cpus = qfp::pal::lcore::allowed_cpus().unwrap();
    let [first, second, ..] = cpus.cpus() else { return eprintln!("skipped: there is one CPU") };
    let (first, second) = (first.0.to_string(), second.0.to_string());
    let agreements = [
        Agreement { inner: V6, ..Agreement::new(1, "gcm-128", Algorithm::Aes128Gcm) },
        Agreement { udp: true, ..Agreement::new(2, "cbc-sha256", Algorithm::Aes128CbcSha256) },
    ];
    for (options, engines) in [
        (["--lcores", &format!("{first},{second}")].as_slice(), false),
        (&["--lcores", &first, "--crypto-lcores", &second], true),
    ] {
        let Some(bench) = Bench::with(&agreements, &agreements, options) else { return };
        bench.flood(&agreements, PINGS);
        let report = exchanged(bench, &agreements, PINGS, &[]);
        assert_eq!(report.handed_over() > 0, engines, "{report:?}");
    }
}
