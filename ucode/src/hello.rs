//! The first words on a line to a data plane that is at work. They are the same in all builds, so that
//! those of two builds understand each other well enough to part.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use pal::process::{Handle, own_handle};
use pal::seqpacket::SeqPacket;

/// How a message begins.
const MAGIC: &[u8] = b"qfp-ucode 1\n";
/// How long the other end may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a client wants of a data plane that another one has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wish {
    /// To be its client.
    TakeOver = 1,
    /// That it ends.
    End = 2,
}

/// What it is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It is its client.
    Welcome,
    /// It is of another build: all that it may wish is the end.
    OtherBuild,
    /// Another client is there still.
    Taken,
    /// Why not, in one line.
    Refused(String),
}

/// Says what a client of this build wants. Returns the answer, and the process that gives it.
///
/// # Errors
/// There is no answer, or none that makes sense.
pub fn ask(line: &SeqPacket, build: u64, wish: Wish) -> io::Result<(Greeting, Handle)> {
    let mut message = MAGIC.to_vec();
    message.extend_from_slice(&build.to_le_bytes());
    message.push(wish as u8);
    line.send(&message, &[])?;
    let Some((answer, with)) = wait(line)? else { return Err(io::ErrorKind::TimedOut.into()) };
    let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
    let (words, rest) = answer.split_at_checked(5).ok_or_else(nonsense)?;
    let pid = words.last_chunk().copied().map(u32::from_le_bytes).ok_or_else(nonsense)?;
    let greeting = match words.first() {
        Some(0) => Greeting::Welcome,
        Some(1) => Greeting::OtherBuild,
        Some(2) => Greeting::Taken,
        Some(3) => Greeting::Refused(String::from_utf8_lossy(rest).into_owned()),
        _ => return Err(nonsense()),
    };
    let fd = with.into_iter().next().ok_or_else(nonsense)?;
    Ok((greeting, Handle::new(fd, pid)?))
}

/// What the other end wants, and of which build it is; none if it says nothing that makes sense.
pub(crate) fn hear(line: &SeqPacket) -> Option<(u64, Wish)> {
    let (message, _) = wait(line).ok().flatten()?;
    let (build, rest) = message.strip_prefix(MAGIC)?.split_first_chunk()?;
    let wish = match rest {
        [1] => Wish::TakeOver,
        [2] => Wish::End,
        _ => return None,
    };
    Some((u64::from_le_bytes(*build), wish))
}

/// Answers a client.
pub(crate) fn greet(line: &SeqPacket, greeting: &Greeting) -> io::Result<()> {
    let (word, text) = match greeting {
        Greeting::Welcome => (0, ""),
        Greeting::OtherBuild => (1, ""),
        Greeting::Taken => (2, ""),
        Greeting::Refused(why) => (3, why.as_str()),
    };
    let mut message = vec![word];
    message.extend_from_slice(&std::process::id().to_le_bytes());
    message.extend_from_slice(text.as_bytes());
    line.send(&message, &[own_handle()?])
}

/// The next message, unless it takes too long.
fn wait(line: &SeqPacket) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    if line.wait(PATIENCE) { line.receive() } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_understand_each_other_and_nobody_understands_nonsense() {
        let (ours, theirs) = SeqPacket::pair().unwrap();
        for (wish, greeting) in [
            (Wish::TakeOver, Greeting::Welcome),
            (Wish::TakeOver, Greeting::OtherBuild),
            (Wish::TakeOver, Greeting::Taken),
            (Wish::End, Greeting::Refused("another one".to_owned())),
        ] {
            let answered = std::thread::scope(|scope| {
                let asked = scope.spawn(|| ask(&ours, 7, wish).unwrap().0);
                assert_eq!(hear(&theirs), Some((7, wish)));
                greet(&theirs, &greeting).unwrap();
                asked.join().unwrap()
            });
            assert_eq!(answered, greeting);
        }
        let long = [MAGIC, &[0; 9], b"x"].concat();
        let wrong = [MAGIC, &7_u64.to_le_bytes(), &[3]].concat();
        for nonsense in [&b""[..], b"qfp-ucode 2\n", MAGIC, &long, &wrong, &[0xff; 1000]] {
            ours.send(nonsense, &[]).unwrap();
            assert_eq!(hear(&theirs), None, "{nonsense:?}");
        }
        for nonsense in [&b""[..], &[0], &[9; 5], &[0; 5]] {
            theirs.send(nonsense, &[]).unwrap();
            assert!(ask(&ours, 7, Wish::TakeOver).is_err(), "{nonsense:?}");
        }
    }
}
