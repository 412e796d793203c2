//! Options that a router writes into: record route and timestamp (RFC 791 3.1, RFC 1812 5.2.4).

use std::net::Ipv4Addr;

use pal::clock::Nanos;

/// What a router leaves in the packets that pass it.
pub(super) struct Stamp<'a> {
    /// Its address where the packet leaves.
    pub(super) address: Ipv4Addr,
    /// Whether an address is one of its own.
    pub(super) is_own: &'a dyn Fn(Ipv4Addr) -> bool,
    /// When.
    pub(super) now: Nanos,
}

/// Offsets in both options: length, pointer, and in a timestamp option overflow and flag. The
/// pointer counts bytes of the option from 1.
const LEN: usize = 1;
const POINTER: usize = 2;
const FLAG: usize = 3;

/// Writes the router's address into a record route option, if there is room.
///
/// # Errors
/// The offset in the option of what is wrong: a length without a pointer, or a pointer into the
/// option's own header or to less than an address.
pub(super) fn route(option: &mut [u8], stamp: &Stamp<'_>) -> Result<(), usize> {
    let Some(&pointer) = option.get(POINTER) else { return Err(LEN) };
    if pointer < 4 {
        return Err(POINTER);
    }
    if usize::from(pointer) > option.len() {
        return Ok(());
    }
    write(option, pointer, &stamp.address.octets())
}

/// Writes the time, and the router's address if the option asks for it, into a timestamp option;
/// counts it if there is no room.
///
/// The time is not that of day, and says so with its top bit (RFC 791).
///
/// # Errors
/// The offset in the option of what is wrong: as for [`route`], a flag that nobody has defined, or
/// a count that is full.
pub(super) fn timestamp(option: &mut [u8], stamp: &Stamp<'_>) -> Result<(), usize> {
    /// Kinds of timestamp: alone, behind an address, behind an address given beforehand.
    const ALONE: u8 = 0;
    const ADDRESSED: u8 = 1;
    const PRESPECIFIED: u8 = 3;
    let &[_, _, pointer, overflow_and_flag, ..] = &*option else { return Err(LEN) };
    let flag = overflow_and_flag & 15;
    if pointer < 5 {
        return Err(POINTER);
    }
    if !matches!(flag, ALONE | ADDRESSED | PRESPECIFIED) {
        return Err(FLAG);
    }
    if usize::from(pointer) > option.len() {
        // All routers that were asked for have answered, or there is no room.
        if flag != PRESPECIFIED {
            option[FLAG] = overflow_and_flag.checked_add(0x10).ok_or(FLAG)?;
        }
        return Ok(());
    }
    let time = milliseconds(stamp.now).to_be_bytes();
    if flag == ALONE {
        return write(option, pointer, &time);
    }
    let place = option.get(usize::from(pointer) - 1..).and_then(|rest| rest.first_chunk::<8>());
    let [a, b, c, d, ..] = *place.ok_or(POINTER)?;
    let address = if flag == ADDRESSED { stamp.address } else { Ipv4Addr::new(a, b, c, d) };
    if flag == PRESPECIFIED && !(stamp.is_own)(address) {
        return Ok(());
    }
    write(option, pointer, &[address.octets(), time].concat())
}

/// Writes `data` where `pointer` points, and lets it point behind.
fn write(option: &mut [u8], pointer: u8, data: &[u8]) -> Result<(), usize> {
    let start = usize::from(pointer) - 1;
    let place = option.get_mut(start..start + data.len()).ok_or(POINTER)?;
    place.copy_from_slice(data);
    // An option has 40 bytes at most.
    option[POINTER] = u8::try_from(start + data.len() + 1).unwrap_or(u8::MAX);
    Ok(())
}

/// Milliseconds of a day, with the bit that says that the day is nobody else's.
fn milliseconds(now: Nanos) -> u32 {
    const DAY: u64 = 86_400_000;
    let of_day = u32::try_from(now.0 / Nanos::PER_MILLI % DAY).unwrap_or_default();
    1 << 31 | of_day
}
