//! The file of marks: what outlives what, and what is refused.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::record::LINE;
use super::*;

fn id(n: u8) -> MarkId {
    MarkId::of(Direction::Out, &Secret::new(&[n; 20]))
}

/// A folder for marks, and the file that will be in it.
fn folder() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let states = dir.path().join("states");
    let file = states.join("sequence-marks");
    (dir, states, file)
}

/// Marks of some keys, which are claimed.
fn claim(marks: &mut Marks, keys: impl IntoIterator<Item = u8>) -> Vec<Mark> {
    let keys: Vec<_> = keys.into_iter().map(|n| (id(n), "east")).collect();
    marks.claim(&keys).unwrap()
}

fn numbers(marks: &mut Marks, keys: impl IntoIterator<Item = u8>) -> Vec<u64> {
    claim(marks, keys).into_iter().map(|mark| mark.number).collect()
}

#[test]
fn marks_outlive_the_process_and_are_what_was_written_last() {
    let (_dir, states, _) = folder();
    let mut marks = Marks::open(&states).unwrap();
    assert_eq!(claim(&mut marks, [1, 2]), [Mark::UNUSED; 2]);
    marks.write(&[(id(1), Mark::reserved(100)), (id(2), Mark::exact(7))]).unwrap();
    marks.write(&[(id(1), Mark::reserved(u64::MAX))]).unwrap();
    drop(marks);
    let mut marks = Marks::open(&states).unwrap();
    let found = claim(&mut marks, [3, 2, 1]);
    assert_eq!(found, [Mark::UNUSED, Mark::exact(7), Mark::reserved(u64::MAX)]);
}

#[test]
fn a_key_in_the_other_direction_is_another() {
    let key = Secret::new(&[1; 20]);
    let [out, within] = [Direction::Out, Direction::In].map(|way| MarkId::of(way, &key));
    assert_ne!(out, within);
    let (_dir, states, _) = folder();
    let mut marks = Marks::open(&states).unwrap();
    marks.claim(&[(out, "out")]).unwrap();
    marks.write(&[(out, Mark::exact(5))]).unwrap();
    let mut other = Marks::open(&states).unwrap();
    assert_eq!(other.claim(&[(within, "in")]).unwrap(), [Mark::UNUSED]);
    assert_eq!(other.peek(out), Mark::exact(5), "it can be looked at");
}

#[test]
fn a_key_is_one_process_s_and_others_of_the_same_file_go_on() {
    let (_dir, states, file) = folder();
    let mut west = Marks::open(&states).unwrap();
    let mut east = Marks::open(&states).unwrap();
    claim(&mut west, [1, 2]);
    let error = east.claim(&[(id(3), "mine"), (id(2), "taken")]).unwrap_err();
    let wants = "the key of SA taken is in use by another process: two would use the same sequence \
                 numbers";
    assert_eq!(error.to_string(), format!("{}: {wants}", file.display()));
    claim(&mut west, [3]);
    claim(&mut east, [4]);
    west.write(&[(id(3), Mark::exact(33))]).unwrap();
    east.write(&[(id(4), Mark::exact(44))]).unwrap();
    west.release(id(3));
    assert_eq!(numbers(&mut east, [3]), [33], "as the other has left it");
    drop(west);
    assert_eq!(numbers(&mut east, [1, 2, 3, 4]), [0, 0, 33, 44]);
    assert!(matches!(east.write(&[(id(9), Mark::exact(1))]), Err(MarksError::Write { .. })));
}

#[test]
fn as_much_as_is_written_is_kept_however_the_process_ends() {
    // The file after each step is what a process leaves that is killed there.
    let (_dir, states, file) = folder();
    let mut marks = Marks::open(&states).unwrap();
    let mut left = vec![std::fs::read(&file).unwrap()];
    for n in 1..20u8 {
        claim(&mut marks, [n]);
        left.push(std::fs::read(&file).unwrap());
        marks.write(&[(id(n), Mark::reserved(n.into())), (id(1), Mark::reserved(100))]).unwrap();
        left.push(std::fs::read(&file).unwrap());
    }
    drop(marks);
    for (step, bytes) in left.iter().enumerate() {
        std::fs::write(&file, bytes).unwrap();
        let count = u8::try_from(step / 2).unwrap();
        let found = numbers(&mut Marks::open(&states).unwrap(), 1..=count.max(1));
        let written: Vec<u64> = found.iter().skip(1).copied().collect();
        assert_eq!(written, (2..=count).map(u64::from).collect::<Vec<u64>>(), "step {step}");
        assert_eq!(found[0], if step < 2 { 0 } else { 100 }, "step {step}");
    }
}

#[test]
fn a_record_that_was_being_added_is_not_missed() {
    let (_dir, states, file) = folder();
    let mut marks = Marks::open(&states).unwrap();
    claim(&mut marks, [1]);
    marks.write(&[(id(1), Mark::exact(7))]).unwrap();
    drop(marks);
    let whole = std::fs::read(&file).unwrap();
    for more in 1..2 * LINE {
        std::fs::write(&file, [&whole[..], &whole[..more]].concat()).unwrap();
        let mut marks = Marks::open(&states).unwrap();
        assert_eq!(numbers(&mut marks, [1, 2]), [7, 0], "{more} bytes more");
        marks.write(&[(id(2), Mark::exact(8))]).unwrap();
        drop(marks);
        assert_eq!(numbers(&mut Marks::open(&states).unwrap(), [1, 2]), [7, 8]);
    }
}

#[test]
fn a_file_that_was_emptied_or_cut_anywhere_is_refused() {
    let (_dir, states, file) = folder();
    claim(&mut Marks::open(&states).unwrap(), [1, 2, 3]);
    let whole = std::fs::read(&file).unwrap();
    for len in 0..whole.len() {
        std::fs::write(&file, &whole[..len]).unwrap();
        let error = Marks::open(&states).unwrap_err().to_string();
        assert!(error.contains(&format!("sequence-marks: has {len} bytes of ")), "{error}");
    }
    // A line taken out in the middle.
    std::fs::write(&file, [&whole[..LINE], &whole[2 * LINE..]].concat()).unwrap();
    assert!(matches!(Marks::open(&states), Err(MarksError::Cut { .. })));
}

#[test]
fn a_byte_that_was_changed_anywhere_is_refused_with_its_line() {
    let (_dir, states, file) = folder();
    claim(&mut Marks::open(&states).unwrap(), [1, 2]);
    let whole = std::fs::read(&file).unwrap();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 0x11;
        std::fs::write(&file, changed).unwrap();
        let error = Marks::open(&states).unwrap_err().to_string();
        assert!(error.contains(&format!("sequence-marks:{}: ", place / LINE + 1)), "{error}");
    }
}

#[test]
fn links_fifos_and_what_others_may_write_are_refused_at_once() {
    let (dir, states, file) = folder();
    drop(Marks::open(&states).unwrap());
    let begun = Instant::now();
    let open = || Marks::open(&states).map(drop).unwrap_err().to_string();
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o644, 0o660, 0o602, 0o666] {
        set(&file, mode);
        assert!(open().contains(&format!("has mode {mode:o}, which lets others in")), "{mode:o}");
    }
    set(&file, 0o600);
    set(&states, 0o770);
    assert!(open().contains("states: has mode 770, which lets others in: it must be 700"));
    set(&states, 0o755);
    drop(Marks::open(&states).unwrap());
    let elsewhere = dir.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert!(open().ends_with("sequence-marks: is a symbolic link, which is not followed"));
    std::fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    assert!(open().ends_with("sequence-marks: is not a regular file"));
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(open().contains("sequence-marks: "));
    let link = dir.path().join("link");
    symlink(&states, &link).unwrap();
    assert!(matches!(Marks::open(&link), Err(MarksError::Link { .. })));
    assert!(begun.elapsed() < Duration::from_secs(5), "nothing waits");
}

#[test]
fn a_link_in_the_place_of_a_new_file_leads_nowhere() {
    let (dir, states, file) = folder();
    std::fs::create_dir(&states).unwrap();
    let target = dir.path().join("target");
    std::fs::write(&target, "precious").unwrap();
    symlink(&target, states.join("sequence-marks.new")).unwrap();
    drop(Marks::open(&states).unwrap());
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    assert!(std::fs::symlink_metadata(&file).unwrap().is_file());
}

#[test]
fn the_file_says_nothing_of_a_key_and_is_nobody_else_s_to_read() {
    let (_dir, states, file) = folder();
    claim(&mut Marks::open(&states).unwrap(), [0xab]);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("abab") && text.lines().all(|line| line.len() == LINE - 1), "{text}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&states), mode(&file)), (0o700, 0o600));
    assert_eq!(std::fs::read_dir(&states).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_file_that_somebody_removed_is_written_again_whole() {
    let (_dir, states, file) = folder();
    let mut west = Marks::open(&states).unwrap();
    let mut east = Marks::open(&states).unwrap();
    claim(&mut west, [1, 2]);
    claim(&mut east, [3]);
    west.write(&[(id(1), Mark::exact(1)), (id(2), Mark::exact(2))]).unwrap();
    east.write(&[(id(3), Mark::exact(3))]).unwrap();
    std::fs::remove_file(&file).unwrap();
    west.write(&[(id(1), Mark::exact(11))]).unwrap();
    east.write(&[(id(3), Mark::exact(33))]).unwrap();
    let mut third = Marks::open(&states).unwrap();
    assert!(matches!(third.claim(&[(id(2), "sa")]), Err(MarksError::InUse { .. })), "still locked");
    drop((west, east));
    assert_eq!(numbers(&mut third, [1, 2, 3]), [11, 2, 33]);
}

#[test]
fn what_cannot_be_written_is_an_error_before_anything_is_promised() {
    let error = Marks::open(Path::new("/proc/marks")).unwrap_err().to_string();
    assert!(error.starts_with("/proc/marks: cannot be written: "), "{error}");
    let (_dir, states, _) = folder();
    let mut marks = Marks::open(&states).unwrap();
    claim(&mut marks, [1]);
    std::fs::remove_dir_all(&states).unwrap();
    assert!(marks.write(&[(id(1), Mark::exact(9))]).is_err());
    assert_eq!(marks.get(id(1)), Mark::UNUSED);
}

#[test]
fn the_disk_is_waited_for_beside_other_work() {
    let (_dir, states, _) = folder();
    let mut marks = Marks::open(&states).unwrap();
    claim(&mut marks, [1]);
    for number in 1..50 {
        marks.note(&[(id(1), Mark::reserved(number))]).unwrap();
        let mut other = Marks::open(&states).unwrap();
        claim(&mut other, [2]);
        assert_eq!(other.peek(id(1)), Mark::reserved(number), "it is in the file before");
        assert!(marks.begin_sync().unwrap() && marks.is_busy());
        let deadline = Instant::now() + Duration::from_secs(60);
        let outcome = loop {
            match marks.outcome() {
                Some(outcome) => break outcome,
                None if Instant::now() > deadline => panic!("nothing is told"),
                None => std::thread::yield_now(),
            }
        };
        outcome.unwrap();
        assert!(!marks.is_busy() && marks.outcome().is_none());
    }
}

#[test]
fn when_the_machine_was_started_anew_marks_are_as_high_as_may_have_been_accepted() {
    let (_dir, states, file) = folder();
    let mut marks = Marks::open(&states).unwrap();
    claim(&mut marks, [1, 2]);
    marks.write(&[(id(1), Mark::reserved(1000)), (id(2), Mark::exact(2000))]).unwrap();
    drop(marks);
    assert_eq!(numbers(&mut Marks::open(&states).unwrap(), [1, 2]), [1000, 2000]);
    let mut text = std::fs::read(&file).unwrap();
    text[..LINE].copy_from_slice(&super::record::title(2, 0x1234_5678));
    std::fs::write(&file, text).unwrap();
    for _ in 0..2 {
        let mut marks = Marks::open(&states).unwrap();
        assert_eq!(
            numbers(&mut marks, [1, 2]),
            [1000 + UNSYNCED, 2000],
            "once, and not exact ones"
        );
    }
}
