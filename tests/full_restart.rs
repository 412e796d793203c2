//! A data plane with full tables is killed again and again, under traffic and with an SA in use.
//!
//! Needs root and the usual network programs; skipped aloud without them. `QFP_KILLS` is how often it
//! is killed. Full in a release build, where the Internet's table is there; else a fiftieth.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use full_size::Line;
use namespaces::{Namespace, has_programs};
use qfp::Forwarder;
use qfp::client::config::{Config, RouteTable};
use rustix::fs::SeekFrom;
use rustix::net::{AddressFamily, RecvFlags, SocketType, ipproto, recv, socket};
use stream::{Stream, enter, kill_again_and_again};

#[path = "support/full_size.rs"]
mod full_size;
#[path = "support/namespaces.rs"]
mod namespaces;
#[path = "support/stream.rs"]
mod stream;

/// A host behind the first route.
const HOST: &str = if cfg!(debug_assertions) { "20.0.0.7" } else { "1.0.0.7" };
/// A host behind the first tunnel.
const BEHIND: &str = "10.99.0.9";
const PATIENCE: Duration = Duration::from_secs(60);
const PAGE: usize = 4096;

/// Hashes of the pages of the tables, as they lie in memory; those without a byte are not there.
fn pages() -> HashMap<u64, u64> {
    let mut pages = HashMap::new();
    let memory = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let is_tables = |path: &PathBuf| {
        std::fs::read_link(path).is_ok_and(|at| at.to_string_lossy().contains("qfp-tables"))
    };
    let file = File::open(memory.into_iter().find(is_tables).unwrap()).unwrap();
    let mut start = 0;
    while let Ok(data) = rustix::fs::seek(&file, SeekFrom::Data(start)) {
        let end = rustix::fs::seek(&file, SeekFrom::Hole(data)).unwrap();
        let mut bytes = vec![0; PAGE];
        for at in (data..end).step_by(PAGE) {
            let length = file.read_at(&mut bytes, at).unwrap();
            let words = bytes[..length].chunks(8);
            let hash = words.fold(0_u64, |hash, word| {
                let mut whole = [0; 8];
                whole[..word.len()].copy_from_slice(word);
                (hash ^ u64::from_le_bytes(whole))
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(29)
            });
            pages.insert(at, hash);
        }
        start = end;
    }
    pages
}

/// What other processes would miss if it were not given back.
fn held() -> (usize, String) {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let huge = meminfo.lines().find(|line| line.starts_with("HugePages_Free")).unwrap_or_default();
    (std::fs::read_dir("/proc/self/fd").unwrap().count(), huge.to_owned())
}

/// Sequence numbers of the SAs' packets that come to a namespace, in order.
fn listen(east: &Namespace, stop: &Arc<AtomicBool>) -> JoinHandle<HashMap<u32, Vec<u32>>> {
    let (stop, east) = (Arc::clone(stop), east.name.clone());
    std::thread::spawn(move || {
        enter(&east);
        let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ESP)).unwrap();
        let timeout = Some(Duration::from_millis(100));
        let option = rustix::net::sockopt::Timeout::Recv;
        rustix::net::sockopt::set_socket_timeout(&socket, option, timeout).unwrap();
        let (mut seen, mut packet): (HashMap<u32, Vec<u32>>, _) = (HashMap::new(), [0; 256]);
        while !stop.load(Ordering::Relaxed) {
            if recv(&socket, &mut packet, RecvFlags::empty()).is_ok() {
                let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
                seen.entry(word(20)).or_default().push(word(24));
            }
        }
        seen
    })
}

// rows: ARC-01, ARC-14, ARC-16
#[test]
fn full_tables_are_what_they_were_after_every_kill_and_no_sequence_number_repeats() {
    if !has_programs(&["ip", "ping", "kill"]) {
        return;
    }
    let Some((west, east)) = Namespace::new("west").zip(Namespace::new("east")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let devices = [
        format!("tap:west@{}", west.name),
        format!("tap:east@{},peer=02:00:00:00:02:77", east.name),
    ];
    full_size::write(folder.path(), devices.each_ref().map(String::as_str));
    full_size::write_line(folder.path(), devices.each_ref().map(String::as_str), Line::None);
    let config = Config::from_toml(folder.path().join("config.toml")).unwrap();
    let routes = RouteTable::from_file(folder.path().join("routes.txt"), |_, _| ()).unwrap();
    let (count, start) = (routes.len(), Instant::now());
    let program = PathBuf::from(env!("CARGO_BIN_EXE_qfp-ucode"));
    let running = Forwarder::new(config).routes(routes).apart(program).start().unwrap();
    eprintln!("{count} routes forward after {:.0?}", start.elapsed());
    for (host, device, own, router) in
        [(&west, "west", "10.1.0.2", "10.1.0.1"), (&east, "east", "10.2.0.2", "10.2.0.1")]
    {
        host.must(&format!("ip addr add {own}/24 dev {device}"));
        host.must(&format!("ip link set {device} up"));
        host.must(&format!("ip route add default via {router}"));
    }
    east.must(&format!("ip addr add {HOST}/32 dev lo"));
    // It would ask for the router in the name of an address that is on no link.
    east.must("ip neigh replace 10.2.0.1 lladdr 02:00:00:00:02:01 dev east");
    west.must(&format!("ping -c 3 -i 0.2 -W 5 {HOST}"));

    let kills = std::env::var("QFP_KILLS").map_or(10, |kills| kills.parse::<u32>().unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let stream = Stream::start(&west, &east, HOST);
    let protected = stream::send(&west, BEHIND, Duration::from_millis(1), &stop);
    let peer = listen(&east, &stop);
    std::thread::sleep(Duration::from_millis(500));
    let (tables, before_all, resources) = (pages(), held(), running.resources());
    kill_again_and_again(&running, kills, (Duration::from_millis(1100), PATIENCE));
    std::thread::sleep(Duration::from_millis(500));
    let (after, now) = (pages(), held());
    let differ = |page: &&u64| tables.get(page) != after.get(page);
    let mut different: Vec<u64> =
        tables.keys().chain(after.keys()).filter(differ).copied().collect();
    different.sort_unstable();
    different.dedup();
    eprintln!("{} pages of tables, {} differ", after.len(), different.len());
    stop.store(true, Ordering::Relaxed);
    protected.join().unwrap();
    let numbers = peer.join().unwrap();
    let longest = stream.finish(kills as usize);
    assert!(longest < 5_000.0, "{longest}");

    assert!(different.is_empty(), "pages that have changed: {different:?}");
    assert_eq!(now, before_all, "something was left behind");
    assert_eq!(running.resources(), resources);
    let numbers = &numbers[&0x1000];
    eprintln!("{} packets of an SA, the last one is {}", numbers.len(), numbers.last().unwrap());
    assert!(numbers.is_sorted_by(|a, b| a < b), "a sequence number came again");
    assert!(numbers.len() > 200 * kills as usize, "{}", numbers.len());
    let report = running.stop().unwrap();
    assert_eq!(report.conserved, Some(true), "{report:?}");
    eprintln!("drops: {:?}", report.drops);
}
