#![expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

use super::*;
use crate::Spec;
use crate::pool::{NativePool, Origin, Pool};

const CONFIG: PortConfig =
    PortConfig { mac: None, mtu: 1500, rx_queues: 1, tx_queues: 2, promiscuous: false };

fn write(path: &Path, packets: &[(u64, usize)]) {
    let mut writer = Writer::new(File::create(path).unwrap());
    for (index, &(time, len)) in packets.iter().enumerate() {
        assert!(writer.write(Nanos(time), &vec![index as u8; len]));
    }
    writer.finish().unwrap();
}

struct Bench {
    dir: tempfile::TempDir,
    pool: Pool,
    cache: PoolCache,
    burst: Burst,
}

fn bench(buffers: usize) -> Bench {
    let pool = Pool::Native(NativePool::new(buffers, 256));
    let cache = pool.cache(0);
    let dir = tempfile::tempdir().unwrap();
    Bench { dir, pool, cache, burst: Burst::new(Origin::Native) }
}

impl Bench {
    fn open(&self, text: &str) -> Result<Box<dyn Port>, PortError> {
        let dir = self.dir.path().display();
        Spec::parse(&text.replace('=', &format!("={dir}/")))?.open()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn dispose(&mut self) {
        self.cache.free(&mut self.burst, PacketMask::FULL);
        self.burst.clear();
    }
}

#[test]
fn a_burst_holds_the_packets_of_one_moment() {
    let mut b = bench(256);
    let mut packets = vec![(5, 60), (5, 61), (6, 62), (7, 300)];
    packets.extend([(8, 60); 70]);
    write(&b.path("in"), &packets);
    let mut port = b.open("pcap:rx=in").unwrap();
    assert!(port.info().virtual_time);
    assert_eq!(port.info().total_packets, Some(74));
    let mut queues = port.start(&CONFIG).unwrap();
    let rx = &mut queues.rx[0];
    let mut seen = Vec::new();
    while let Arrival::At(time) = rx.arrival() {
        seen.push((time.0, rx.rx_burst(&mut b.burst, &mut b.cache)));
        b.dispose();
    }
    assert_eq!(seen, [(5, 2), (6, 1), (7, 0), (8, 64), (8, 6)]);
    assert_eq!(rx.missed(), 1, "the packet that no buffer holds");
    assert_eq!(rx.arrival(), Arrival::Ended);
    assert_eq!(rx.rx_burst(&mut b.burst, &mut b.cache), 0);
}

#[test]
fn what_is_sent_on_any_queue_is_in_the_file() {
    let mut b = bench(16);
    let mut port = b.open("pcap:tx=out").unwrap();
    assert!(!port.info().virtual_time);
    let mut queues = port.start(&CONFIG).unwrap();
    assert_eq!(queues.rx[0].arrival(), Arrival::Ended);
    for (index, tx) in queues.tx.iter_mut().enumerate() {
        for len in 60..64 {
            assert!(b.cache.append(&mut b.burst, &vec![index as u8; len]));
        }
        let now = Nanos(index as u64);
        let sent = tx.tx_burst(&mut b.burst, PacketMask(0b1010), &mut b.cache, now);
        assert_eq!(sent, PacketMask(0b1010));
        assert_eq!(b.burst.owned(), PacketMask(0b0101));
        b.dispose();
    }
    for tx in &mut queues.tx {
        tx.finish().unwrap();
    }
    let mut reader = Reader::new(File::open(b.path("out")).unwrap()).unwrap();
    let mut seen = Vec::new();
    while reader.advance().unwrap() {
        seen.push((reader.time().0, reader.frame().to_vec()));
    }
    let expected = [(0, vec![0; 61]), (0, vec![0; 63]), (1, vec![1; 61]), (1, vec![1; 63])];
    assert_eq!(seen, expected);
    drop(b.cache);
    b.pool.check_complete().unwrap();
}

#[test]
fn an_output_file_keeps_what_it_holds_until_the_port_starts() {
    let b = bench(8);
    std::fs::write(b.path("out"), [7; 1000]).unwrap();
    let mut port = b.open("pcap:tx=out").unwrap();
    assert_eq!(std::fs::read(b.path("out")).unwrap(), [7; 1000]);
    let mut queues = port.start(&CONFIG).unwrap();
    queues.tx[0].finish().unwrap();
    drop(queues);
    assert_eq!(std::fs::read(b.path("out")).unwrap().len(), 24);
}

#[test]
fn a_full_disk_is_reported_and_its_packets_are_unsent() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: no /dev/full");
        return;
    }
    let mut b = bench(256);
    let mut queues =
        Spec::parse("pcap:tx=/dev/full").unwrap().open().unwrap().start(&CONFIG).unwrap();
    let mut unsent = 0;
    for _ in 0..100 {
        while b.burst.count() < VECTOR {
            assert!(b.cache.append(&mut b.burst, &[0; 256]));
        }
        let sent = queues.tx[0].tx_burst(&mut b.burst, PacketMask::FULL, &mut b.cache, Nanos(0));
        unsent += VECTOR - sent.count() as usize;
        b.burst.clear();
    }
    assert!(unsent > 0);
    assert!(matches!(queues.tx[0].finish(), Err(PortError::Io { .. })));
}

#[test]
fn a_loop_replays_for_ever_and_leaves_out_what_fits_no_buffer() {
    let mut b = bench(256);
    write(&b.path("in"), &[(5, 60), (6, 130), (7, 257), (8, 256)]);
    let mut port = b.open("pcap:rx=in,loop").unwrap();
    assert!(!port.info().virtual_time);
    assert_eq!(port.info().total_packets, None);
    let mut queues = port.start(&CONFIG).unwrap();
    let rx = &mut queues.rx[0];
    assert_eq!(rx.arrival(), Arrival::Live);
    let mut seen = Vec::new();
    for _ in 0..3 {
        assert_eq!(rx.rx_burst(&mut b.burst, &mut b.cache), 48);
        for slot in 0..b.burst.count() {
            let frame = b.burst.frame(slot);
            assert!(frame.iter().all(|byte| *byte == frame[0]));
            seen.push((frame[0], frame.len()));
        }
        b.dispose();
    }
    assert_eq!(rx.missed(), 48);
    assert!(seen.chunks(3).all(|chunk| chunk == [(0, 60), (1, 130), (3, 256)]));
    drop((queues, b.cache));
    b.pool.check_complete().unwrap();
}

#[test]
fn an_exhausted_pool_stops_a_loop_and_counts_a_capture_as_missed() {
    let mut b = bench(2);
    write(&b.path("in"), &[(5, 60); 5]);
    let mut captured = b.open("pcap:rx=in").unwrap().start(&CONFIG).unwrap();
    assert_eq!(captured.rx[0].rx_burst(&mut b.burst, &mut b.cache), 2);
    assert_eq!(captured.rx[0].missed(), 3);
    let mut looped = b.open("pcap:rx=in,loop").unwrap().start(&CONFIG).unwrap();
    let mut other = Burst::new(Origin::Native);
    assert_eq!(looped.rx[0].rx_burst(&mut other, &mut b.cache), 0);
    b.dispose();
    assert_eq!(looped.rx[0].rx_burst(&mut other, &mut b.cache), 2);
}

#[test]
fn bad_files_are_refused_in_one_line() {
    let b = bench(1);
    let said = |text: &str| match b.open(text) {
        Ok(_) => panic!("{text} was opened"),
        Err(error) => error.to_string().replace(&format!("{}/", b.dir.path().display()), ""),
    };
    assert_eq!(said("pcap:rx=none"), "none: No such file or directory (os error 2)");
    std::fs::write(b.path("text"), "text").unwrap();
    assert_eq!(said("pcap:rx=text"), "text: not a capture (neither pcap nor pcapng)");
    write(&b.path("cut"), &[(5, 60); 2]);
    File::options().write(true).open(b.path("cut")).unwrap().set_len(120).unwrap();
    let cut = "cut: cut off: the file ends inside the record behind packet 1";
    assert_eq!(said("pcap:rx=cut"), cut);
    write(&b.path("idle"), &[]);
    assert_eq!(said("pcap:rx=idle,loop"), "idle: holds no packet to loop over");
    std::os::unix::fs::symlink(b.path("idle"), b.path("alias")).unwrap();
    assert_eq!(
        said("pcap:rx=idle,tx=alias"),
        "pcap:rx=idle,tx=alias: tx would overwrite the rx file"
    );
    let mut port = b.open("pcap:rx=idle").unwrap();
    let error = port.start(&PortConfig { rx_queues: 2, ..CONFIG }).err().unwrap().to_string();
    assert!(error.ends_with("2 receive queues wanted, the port has 1"), "{error}");
}
