use super::{Block, HUGE_PAGE, HugePages, ReadOnly, ReadWrite, Region, RegionError, ViewError};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

fn region(bytes: usize) -> Region {
    Region::memfd("qfp-test", bytes, HugePages::Never).unwrap()
}

#[test]
fn a_reader_sees_what_was_published_and_what_atomics_change() {
    let region = region(1 << 16);
    let mut draft = region.alloc::<AtomicU64>(4).unwrap();
    *draft[3].get_mut() = 7;
    let block = draft.publish();
    let reader = region.map_read_only().unwrap();
    let seen = reader.view(block).unwrap();
    assert_eq!(seen[3].load(Ordering::Relaxed), 7);
    region.view(block).unwrap()[3].store(8, Ordering::Release);
    assert_eq!(seen[3].load(Ordering::Acquire), 8);
}

#[test]
#[cfg_attr(miri, ignore = "no /proc under miri")]
fn no_region_is_in_a_core_file() {
    let name = "qfp-secret-test";
    let region = Region::memfd(name, 4096, HugePages::Never).unwrap();
    let _reader = region.map_read_only().unwrap();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut flags = Vec::new();
    let mut own = false;
    for line in maps.lines() {
        // What begins with a range of addresses begins a mapping.
        if line.split_whitespace().next().is_some_and(|word| word.contains('-')) {
            own = line.contains(name);
        }
        flags.extend(line.strip_prefix("VmFlags:").filter(|_| own));
    }
    assert_eq!(flags.len(), 2);
    assert!(
        flags.iter().all(|flags| flags.split_whitespace().any(|flag| flag == "dd")),
        "{flags:?}"
    );
}

#[test]
fn fresh_memory_is_zeroed_even_when_used_before() {
    let region = region(4096);
    for _ in 0..3 {
        let mut draft = region.alloc::<u8>(4096).unwrap();
        assert!(draft.iter().all(|&byte| byte == 0));
        draft.fill(0xff);
    }
}

#[test]
fn a_draft_that_is_dropped_gives_its_memory_back() {
    let region = region(4096);
    let draft = region.alloc::<u32>(17).unwrap();
    assert_eq!(region.used(), 128);
    drop(draft);
    assert_eq!(region.used(), 0);
    let block = region.alloc::<u32>(17).unwrap().publish();
    assert_eq!(region.used(), 128);
    // SAFETY: the block has no view.
    unsafe { region.free(block) };
    assert_eq!(region.used(), 0);
}

#[test]
fn a_full_region_says_what_was_wanted_and_what_is_left() {
    let region = region(8192);
    let _half = region.alloc::<u8>(4096).unwrap();
    let error = region.alloc::<u64>(1024).unwrap_err();
    let RegionError::OutOfMemory { wanted, free, what } = error else { panic!("{error}") };
    assert_eq!((wanted, free, what), (8192, 4096, "u64"));
    assert!(matches!(region.alloc::<u64>(usize::MAX), Err(RegionError::OutOfMemory { .. })));
}

#[test]
fn views_outside_or_askew_are_refused() {
    let region = region(4096);
    // SAFETY: never viewed successfully.
    let block = |offset, len| unsafe { Block::<u64>::from_raw_parts(offset, len) };
    let reader = region.map_read_only().unwrap();
    for (offset, len) in [(4096, 1), (0, 513), (8, u64::MAX / 8), (u64::MAX, 1)] {
        let out = ViewError::OutOfBounds { offset, len, capacity: 4096 };
        assert_eq!(reader.view(block(offset, len)), Err(out));
    }
    assert_eq!(reader.view(block(4, 1)), Err(ViewError::Misaligned { offset: 4, align: 8 }));
}

#[test]
fn big_blocks_start_at_a_huge_page() {
    let region = region(4 * HUGE_PAGE);
    let _small = region.alloc::<u8>(1).unwrap();
    assert_eq!(region.alloc::<u8>(HUGE_PAGE).unwrap().publish().offset(), HUGE_PAGE as u64);
}

#[test]
fn lack_of_huge_pages_is_no_error() {
    let region = Region::memfd("qfp-huge", HUGE_PAGE, HugePages::Try).unwrap();
    if !region.has_huge_pages() {
        eprintln!("skipped: no free huge pages, ordinary ones were used");
    }
    let mut draft = region.alloc::<u64>(HUGE_PAGE / 8).unwrap();
    draft.fill(3);
    let block = draft.publish();
    assert_eq!(region.map_read_only().unwrap().view(block).unwrap()[HUGE_PAGE / 8 - 1], 3);
    // Far more than any machine has reserved: falls back, and touches nothing.
    let vast = Region::anonymous(1 << 42, HugePages::Try).unwrap();
    assert!(!vast.has_huge_pages());
}

/// The access rights the kernel shows for the mapping that holds `address`.
fn rights_at(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let holds = |line: &&str| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let hex = |text| usize::from_str_radix(text, 16).unwrap();
        (hex(start)..hex(end)).contains(&address)
    };
    maps.lines().find(holds).unwrap().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn the_readers_mapping_cannot_be_written() {
    let region = region(4096);
    let block = region.alloc::<u64>(1).unwrap().publish();
    let reader = region.map_read_only().unwrap();
    let address = |view: &[u64]| view.as_ptr() as usize;
    assert_eq!(rights_at(address(reader.view(block).unwrap())), "r--s");
    assert_eq!(rights_at(address(region.view(block).unwrap())), "rw-s");
}

#[test]
fn a_read_only_descriptor_cannot_be_mapped_for_writing() {
    let region = region(4096);
    let mut draft = region.alloc::<u64>(1).unwrap();
    draft[0] = 42;
    let block = draft.publish();
    let fd = region.read_only_fd().unwrap();
    assert_eq!(ReadOnly::from_fd(&fd).unwrap().view(block).unwrap(), [42]);
    assert!(matches!(ReadWrite::from_fd(&fd), Err(RegionError::Map { .. })));
}

#[test]
fn two_writable_mappings_share_atomics() {
    let region = region(4096);
    let block = region.alloc::<AtomicU64>(1).unwrap().publish();
    let other = ReadWrite::from_fd(&region.as_fd().try_clone_to_owned().unwrap()).unwrap();
    other.view(block).unwrap()[0].store(5, Ordering::Relaxed);
    assert_eq!(region.view(block).unwrap()[0].load(Ordering::Relaxed), 5);
    assert_eq!(region.share().view(block).unwrap()[0].load(Ordering::Relaxed), 5);
}

#[test]
fn a_file_that_may_shrink_is_refused() {
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    assert!(ReadOnly::from_fd(&file.into()).is_err());
}

#[test]
#[cfg_attr(miri, ignore = "no memory files under miri")]
fn a_region_that_is_adopted_has_the_same_elements_in_the_same_places() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let first = region(1 << 20);
    let [a, b] = [100, 3].map(|count| first.alloc::<AtomicU64>(count).unwrap().publish());
    first.view(b).unwrap()[2].store(7, Ordering::Relaxed);
    let fd = std::os::fd::AsFd::as_fd(&first).try_clone_to_owned().unwrap();
    drop(first);
    let next = Region::adopt(fd).unwrap();
    let same = [100, 3].map(|count| next.keep::<AtomicU64>(count).unwrap());
    assert_eq!(same.map(|block| block.offset()), [a, b].map(|block| block.offset()));
    assert_eq!(next.view(same[1]).unwrap()[2].load(Ordering::Relaxed), 7);
    assert!(next.keep::<u8>(1 << 20).is_err());
    assert!(Region::adopt(next.read_only_fd().unwrap()).is_err());
}
