//! Lines of the file of marks: how far the sequence numbers of a key have come. The client keeps the
//! file; while there is none, who forwards does.

use sha2::{Digest, Sha256};

/// Bytes of a line. A line is part of one sector of a disk, which is written whole or not at all.
pub const LINE: usize = 64;
/// Bytes of a line that its check is of.
const BODY: usize = 51;
/// Hexadecimal digits of a check.
const CHECK: usize = LINE - BODY - 2;

/// The line of a key, known by half of a hash of it: numbers up to `number` may have been used, and
/// if it is `exact` no others may be.
#[must_use]
pub fn line(id: u128, number: u64, exact: bool) -> [u8; LINE] {
    let state = if exact { '=' } else { '<' };
    with_check(&format!("{id:032x} {number:016x} {state}"))
}

/// A line of other text, 51 bytes at most.
#[must_use]
pub fn with_check(body: &str) -> [u8; LINE] {
    let body = format!("{body:<BODY$}");
    let text = format!("{body} {}\n", check(body.as_bytes()));
    let mut line = [b' '; LINE];
    line.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    line
}

/// What a line says; none if it is not as it was written.
#[must_use]
pub fn checked(line: &[u8; LINE]) -> Option<&str> {
    let (body, rest) = line.split_at(BODY);
    let whole = rest == format!(" {}\n", check(body)).as_bytes();
    std::str::from_utf8(body).ok().filter(|_| whole)
}

/// Tells what is damaged, not what is forged: who may write the file may write any number.
fn check(body: &[u8]) -> String {
    let hash = Sha256::digest(body);
    let mut digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(CHECK);
    digits
}
