//! The one way to standard error.
//!
//! Messages never end or stop a router. A line that cannot be written (nobody listens, the disk is
//! full) or would have to wait for its reader is lost, and lines of one kind that come too often are
//! held back, so that packets cannot fill a disk with them. Both are counted.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::mem::{Discriminant, discriminant};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use qfp::client::ipsec::SaEvent;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

/// Lines of one kind that are shown however fast they come.
const BURST: u32 = 20;
/// After that, one in this time: a megabyte a day.
const PERIOD: Duration = Duration::from_secs(10);
/// Bytes that a pipe which is ready takes without waiting: a page.
const PIECE: usize = 4096;

/// Kinds of messages; each is limited by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What ended the program.
    End,
    /// What has become of a configuration.
    Reload,
    /// A stage of the start.
    Boot,
    /// Who was not listened to, and why.
    Refused,
    /// What became of a link.
    Link,
    /// What became of an SA, by kind of event.
    Sa(Discriminant<SaEvent>),
}

impl Kind {
    /// The kind of an event's message.
    pub fn of(event: &SaEvent) -> Self {
        Self::Sa(discriminant(event))
    }
}

/// Lines that nobody got to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Could not be written, or not without waiting.
    pub lost: u64,
    /// Came too often.
    pub held_back: u64,
}

/// Where messages go.
pub struct Log<W> {
    out: W,
    /// What each line begins with.
    program: &'static str,
    kinds: HashMap<Kind, Bucket>,
    unseen: Unseen,
}

/// What a kind of message may still say.
struct Bucket {
    lines: u32,
    /// When the last line was added.
    filled: Instant,
    /// Held back since the last line that was shown.
    held_back: u64,
}

impl Log<io::Stderr> {
    /// To standard error, where each line begins with the name of the program.
    #[must_use]
    pub fn to_stderr(program: &'static str) -> Self {
        Self::to(io::stderr(), program)
    }
}

impl<W: Write + AsFd> Log<W> {
    fn to(out: W, program: &'static str) -> Self {
        Self { out, program, kinds: HashMap::new(), unseen: Unseen::default() }
    }

    /// Writes `message` as one line, or counts it. Never waits, never fails.
    pub fn say(&mut self, kind: Kind, message: &str) {
        self.say_at(kind, message, Instant::now());
    }

    /// Lines that nobody got to see, up to now.
    pub fn unseen(&self) -> Unseen {
        self.unseen
    }

    fn say_at(&mut self, kind: Kind, message: &str, now: Instant) {
        let full = || Bucket { lines: BURST, filled: now, held_back: 0 };
        let bucket = self.kinds.entry(kind).or_insert_with(full);
        bucket.fill(now);
        if bucket.lines == 0 {
            bucket.held_back += 1;
            self.unseen.held_back += 1;
            return;
        }
        bucket.lines -= 1;
        let mut line = format!("{}: {}", self.program, message.replace('\n', " "));
        match std::mem::take(&mut bucket.held_back) {
            0 => line.push('\n'),
            // Writing to a string cannot fail.
            more => drop(writeln!(line, " ({more} more like it were not shown)")),
        }
        self.unseen.lost += u64::from(self.write(line.as_bytes()).is_err());
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        for piece in line.chunks(PIECE) {
            if !is_ready(&self.out, Some(Duration::ZERO))? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.out.write_all(piece)?;
        }
        Ok(())
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let periods = now.saturating_duration_since(self.filled).as_secs() / PERIOD.as_secs();
        let lines = u32::try_from(periods).unwrap_or(u32::MAX);
        self.lines = self.lines.saturating_add(lines).min(BURST);
        self.filled = if self.lines == BURST { now } else { self.filled + PERIOD * lines };
    }
}

impl Unseen {
    /// A line of the report; none when all was seen.
    pub fn text(self) -> Option<String> {
        let Self { lost, held_back } = self;
        (self != Self::default())
            .then(|| format!("messages: {lost} could not be written, {held_back} held back"))
    }

    /// The member `log` of the statistics.
    pub fn json(self) -> Value {
        json!({ "lost": self.lost, "held_back": self.held_back })
    }
}

/// Whether a page can be written without waiting, after `patience` at most (`None` is for ever).
/// What will fail is ready.
fn is_ready(out: &impl AsFd, patience: Option<Duration>) -> io::Result<bool> {
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    match poll(&mut [PollFd::new(out, PollFlags::OUT)], patience.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Prints `text` to standard output, however long its reader takes. Whoever has stopped listening
/// wants no more of it.
pub fn print(text: &str) -> io::Result<()> {
    // Without the buffer of the library, which does not say how much of it has been written.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut left = text.as_bytes();
    while !left.is_empty() {
        match out.write(left) {
            Ok(written) => left = &left[written..],
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::BrokenPipe => return Ok(()),
                io::ErrorKind::WouldBlock => drop(is_ready(&out, None)?),
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn file() -> Log<File> {
        Log::to(tempfile::tempfile().unwrap(), "l3fwd")
    }

    fn written(log: &mut Log<File>) -> String {
        use std::io::{Seek, SeekFrom};
        let mut text = String::new();
        log.out.seek(SeekFrom::Start(0)).unwrap();
        log.out.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_flood_of_one_kind_is_held_back_and_counted_and_others_are_shown() {
        let mut log = file();
        let start = Instant::now();
        for n in 0..1000 {
            log.say_at(Kind::Reload, "again", start + Duration::from_millis(n));
        }
        log.say_at(Kind::End, "the\nend", start);
        assert_eq!(log.unseen(), Unseen { lost: 0, held_back: 980 });
        // Thirty seconds later there are three lines more, the first of which owns up.
        for _ in 0..5 {
            log.say_at(Kind::Reload, "later", start + PERIOD * 3);
        }
        let text = written(&mut log);
        assert_eq!(text.matches("l3fwd: again\n").count(), 20);
        assert_eq!(text.matches("l3fwd: the end\n").count(), 1);
        assert!(text.contains("l3fwd: later (980 more like it were not shown)\n"), "{text}");
        assert_eq!((text.matches("later").count(), text.lines().count()), (3, 24));
        assert_eq!(log.unseen(), Unseen { lost: 0, held_back: 982 });
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut log = Log::to(writer, "l3fwd");
        log.say(Kind::End, "nobody listens");
        assert_eq!(log.unseen(), Unseen { lost: 1, held_back: 0 });
        assert_eq!(log.unseen().text().unwrap(), "messages: 1 could not be written, 0 held back");
        if let Ok(full) = File::options().write(true).open("/dev/full") {
            let mut log = Log::to(full, "l3fwd");
            log.say(Kind::End, "no room");
            assert_eq!(log.unseen().lost, 1);
        }
        assert_eq!(Unseen::default().text(), None);
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up() {
        // A pipe that waits, as others make them: a write into a full one would never return.
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = Log::to(writer, "l3fwd");
        let long = "x".repeat(3000);
        let start = Instant::now();
        for n in 0..200 {
            log.say_at(Kind::End, &long, start + PERIOD * n);
        }
        let lost = log.unseen().lost;
        assert!((100..200).contains(&lost), "{lost}");
        drop(log);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("l3fwd: ").count() as u64, 200 - lost);
    }
}
