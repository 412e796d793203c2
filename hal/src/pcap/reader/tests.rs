#![expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

use proptest::prelude::*;

use super::*;

/// A pcap file with the given magic, in either byte order, of packets `(seconds, fraction, frame)`.
fn pcap(magic: u32, big: bool, network: u32, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let half = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut file = word(magic).to_vec();
    file.extend([half(2), half(4)].concat());
    file.extend([word(0), word(0), word(262_144), word(network)].concat());
    for (seconds, fraction, frame) in packets {
        let len = word(frame.len() as u32);
        file.extend([word(*seconds), word(*fraction), len, len].concat());
        file.extend(*frame);
    }
    file
}

/// A pcapng block.
fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let padded = body.len().next_multiple_of(4);
    let length = word(padded as u32 + 12);
    let padding = vec![0; padded - body.len()];
    [word(kind).as_slice(), &length, body, &padding, &length].concat()
}

/// Blocks of one section.
struct Ng(bool);

impl Ng {
    fn word(&self, value: u32) -> [u8; 4] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn half(&self, value: u16) -> [u8; 2] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn section(&self) -> Vec<u8> {
        let version = [self.half(1), self.half(0)].concat();
        block(self.0, SECTION, &[&self.word(0x1a2b_3c4d)[..], &version, &[0xff; 8]].concat())
    }

    fn interface(&self, link: u16, snaplen: u32, resolution: u8, offset_s: i64) -> Vec<u8> {
        let offset = if self.0 { offset_s.to_be_bytes() } else { offset_s.to_le_bytes() };
        let mut body = [self.half(link), [0; 2]].concat();
        body.extend(self.word(snaplen));
        body.extend([self.half(9), self.half(1)].concat());
        body.extend([resolution, 0, 0, 0]);
        body.extend([self.half(14), self.half(8)].concat());
        body.extend(offset);
        body.extend([0; 4]);
        block(self.0, 1, &body)
    }

    fn enhanced(&self, interface: u32, ticks: u64, frame: &[u8]) -> Vec<u8> {
        let len = self.word(frame.len() as u32);
        let high = self.word((ticks >> 32) as u32);
        let head = [self.word(interface), high, self.word(ticks as u32), len, len].concat();
        block(self.0, 6, &[&head, frame].concat())
    }

    fn obsolete(&self, interface: u16, ticks: u64, frame: &[u8]) -> Vec<u8> {
        let len = self.word(frame.len() as u32);
        let mut body = [self.half(interface), self.half(0xffff)].concat();
        body.extend([self.word((ticks >> 32) as u32), self.word(ticks as u32), len, len].concat());
        body.extend(frame);
        block(self.0, 2, &body)
    }

    fn simple(&self, original: u32, data: &[u8]) -> Vec<u8> {
        block(self.0, 3, &[&self.word(original), data].concat())
    }
}

const SECTION: u32 = 0x0a0d_0d0a;
const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;

fn read(file: &[u8]) -> Result<Vec<(u64, Vec<u8>)>, CaptureError> {
    let mut reader = Reader::new(file)?;
    let mut packets = Vec::new();
    while reader.advance()? {
        packets.push((reader.time().0, reader.frame().to_vec()));
    }
    assert_eq!(reader.packets(), packets.len() as u64);
    Ok(packets)
}

fn refusal(file: &[u8]) -> String {
    read(file).unwrap_err().to_string()
}

#[test]
fn pcap_is_read_in_both_resolutions_and_byte_orders() {
    for big in [false, true] {
        let packets: [(u32, u32, &[u8]); 2] = [(5, 7, b"first"), (u32::MAX, 999_999, b"")];
        let expected = |unit: u64| {
            let end = u64::from(u32::MAX) * 1_000_000_000 + 999_999 * unit;
            vec![(5_000_000_000 + 7 * unit, b"first".to_vec()), (end, Vec::new())]
        };
        assert_eq!(read(&pcap(MICRO, big, 1, &packets)).unwrap(), expected(1_000));
        assert_eq!(read(&pcap(NANO, big, 1, &packets)).unwrap(), expected(1));
    }
}

#[test]
fn time_never_goes_backwards() {
    let file = pcap(NANO, false, 1, &[(5, 0, b"a"), (4, 0, b"b"), (5, 1, b"c")]);
    let times: Vec<u64> = read(&file).unwrap().into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, [5_000_000_000, 5_000_000_000, 5_000_000_001]);
}

#[test]
fn an_announced_fcs_is_cut_off() {
    let network = 0x2400_0001;
    let file = pcap(MICRO, false, network, &[(0, 0, b"frameFCS!"), (0, 0, b"abc")]);
    let frames: Vec<Vec<u8>> = read(&file).unwrap().into_iter().map(|(_, frame)| frame).collect();
    assert_eq!(frames, [b"frame".to_vec(), Vec::new()]);
}

#[test]
fn a_record_longer_than_the_buffer_is_read() {
    let long = vec![9; BUFFER * 2 + 1];
    let file = pcap(MICRO, false, 1, &[(0, 0, b"a"), (1, 0, &long), (2, 0, b"c")]);
    let lens: Vec<usize> = read(&file).unwrap().iter().map(|(_, frame)| frame.len()).collect();
    assert_eq!(lens, [1, long.len(), 1]);
}

#[test]
fn pcapng_is_read_with_several_interfaces_sections_and_block_kinds() {
    let (little, big) = (Ng(false), Ng(true));
    let file = [
        little.section(),
        little.interface(1, 0, 6, 0),
        little.interface(113, 0, 6, 0),
        little.interface(1, 0, 9, 100),
        little.enhanced(0, 1_000_000, b"micro"),
        block(false, 5, b"statistics are skipped"),
        little.enhanced(2, 7, b"nano with an offset"),
        big.section(),
        big.interface(1, 6, 0x80 | 1, 200),
        big.simple(5, b"plain"),
        big.enhanced(0, 3, b"halves"),
        big.obsolete(0, 4, b"old"),
        big.simple(9, b"cut here"),
    ];
    let expected = [
        (1_000_000_000, "micro"),
        (100_000_000_007, "nano with an offset"),
        (100_000_000_007, "plain"),
        (201_500_000_000, "halves"),
        (202_000_000_000, "old"),
        (202_000_000_000, "cut he"),
    ];
    let expected = expected.map(|(time, frame)| (time, frame.as_bytes().to_vec()));
    assert_eq!(read(&file.concat()).unwrap(), expected);
}

#[test]
fn what_is_no_capture_is_refused_by_its_first_bytes() {
    assert_eq!(refusal(b""), "the file is empty");
    assert_eq!(refusal(b"abc"), "not a capture (neither pcap nor pcapng)");
    assert_eq!(refusal(&[b'x'; 100]), "not a capture (neither pcap nor pcapng)");
    assert_eq!(refusal(&[0x1f, 0x8b, 8, 0, 0]), "compressed with gzip: unpack it first");
    let header = pcap(MICRO, true, 1, &[]);
    assert_eq!(refusal(&header[..20]), CaptureError::Truncated(0).to_string());
}

#[test]
fn only_ethernet_is_taken() {
    let said = "link type 113 (LINUX_SLL), only Ethernet can be forwarded";
    assert_eq!(refusal(&pcap(MICRO, false, 113, &[])), said);
    let ng = Ng(false);
    let idle = [ng.section(), ng.interface(113, 0, 6, 0), ng.interface(1, 0, 6, 0)].concat();
    assert!(read(&idle).unwrap().is_empty());
    assert_eq!(refusal(&[idle, ng.enhanced(0, 0, b"x")].concat()), said);
}

#[test]
fn contradictions_are_refused_and_say_where() {
    let ng = Ng(false);
    let start = [ng.section(), ng.interface(1, 0, 6, 0), ng.enhanced(0, 0, b"good")].concat();
    let with = |tail: &[u8]| refusal(&[&start, tail].concat());
    assert!(with(&ng.enhanced(1, 0, b"x")).ends_with("not described, behind packet 1"));
    let mut lengths = ng.enhanced(0, 0, b"x");
    *lengths.last_mut().unwrap() = 1;
    assert!(with(&lengths).starts_with("the two lengths of a block differ"));
    let mut inner = ng.enhanced(0, 0, b"x");
    inner[21] = 0xff;
    assert!(with(&inner).starts_with("malformed block"));
    let mut inner = ng.obsolete(0, 0, b"x");
    inner[21] = 0xff;
    assert!(with(&inner).starts_with("malformed block"));
    assert!(with(&[1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]).starts_with("bad block length"));
    assert!(with(&[1, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0]).contains("no capture needs"));
    let mut huge = pcap(MICRO, false, 1, &[(0, 0, b"x")]);
    huge[32..36].fill(0xff);
    assert!(refusal(&huge).contains("no capture needs"));
}

#[test]
fn every_cut_inside_a_record_is_noticed() {
    let ng = Ng(true);
    let blocks = [
        ng.section(),
        ng.interface(1, 0, 6, 0),
        ng.enhanced(0, 0, b"one"),
        ng.obsolete(0, 0, b"two"),
        ng.simple(5, b"three"),
    ];
    let records = [b"one".as_slice(), b"two"].map(|frame| (0, 0, frame));
    let pcap_file = pcap(MICRO, false, 1, &records);
    let ends: Vec<usize> =
        blocks.iter().scan(0, |sum, b| Some((*sum += b.len(), *sum).1)).collect();
    for (file, ends) in [(blocks.concat(), ends), (pcap_file, vec![24, 43, 62])] {
        for cut in 4..=file.len() {
            match read(&file[..cut]) {
                Ok(_) => assert!(ends.contains(&cut), "{cut}"),
                Err(CaptureError::Truncated(_)) => assert!(!ends.contains(&cut), "{cut}"),
                Err(error) => panic!("{cut}: {error}"),
            }
        }
    }
}

/// Gives one byte a call, and an interruption before each.
struct Trickle<'a>(&'a [u8], bool);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        let count = self.0.len().min(buffer.len()).min(1);
        self.0.read(&mut buffer[..count])
    }
}

proptest! {
    #[test]
    fn short_reads_change_nothing(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..9)) {
        let packets: Vec<(u32, u32, &[u8])> =
            frames.iter().zip(0..).map(|(frame, time)| (time, 0, frame.as_slice())).collect();
        let file = pcap(MICRO, true, 1, &packets);
        let mut reader = Reader::new(Trickle(&file, false)).unwrap();
        for frame in &frames {
            prop_assert!(reader.advance().unwrap());
            prop_assert_eq!(reader.frame(), frame);
        }
        prop_assert!(!reader.advance().unwrap());
    }

    #[test]
    fn a_flipped_byte_never_panics_or_loops(
        big: bool, at in 0_usize..400, value: u8, obsolete: bool, cut in 0_usize..400
    ) {
        let ng = Ng(big);
        let packet = if obsolete { ng.obsolete(0, 1, b"obsolete") } else { ng.enhanced(0, 1, b"enhanced") };
        let blocks = [ng.section(), ng.interface(1, 9, 6, 0), packet, ng.simple(30, b"simple")];
        for mut file in [blocks.concat(), pcap(NANO, big, 1, &[(1, 2, b"three"), (4, 5, b"six")])] {
            let at = at % file.len();
            file[at] = value;
            file.truncate(cut.max(at + 1));
            if let Ok(packets) = read(&file) {
                prop_assert!(packets.len() <= file.len());
            }
        }
    }
}

#[test]
fn every_capture_of_the_collection_is_read_or_refused() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/pcaps");
    let Ok(folders) = std::fs::read_dir(root) else {
        eprintln!("skipped: no captures in {root}");
        return;
    };
    let (mut sound, mut refused) = (0, 0);
    for folder in folders.flatten() {
        for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            match std::fs::read(file.path()).map(|bytes| read(&bytes)) {
                Ok(Ok(_)) => sound += 1,
                Ok(Err(error)) => {
                    refused += 1;
                    assert!(!error.to_string().contains('\n'));
                }
                Err(_) => {}
            }
        }
    }
    println!("{sound} captures read, {refused} refused");
    assert!(sound > 0);
}
