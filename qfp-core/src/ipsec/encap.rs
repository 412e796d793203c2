//! One packet around which ESP is put, in place: what is left is the engine's to seal.

use hal::Burst;

use super::header::{self, LINK, Outer, UDP};
use super::sa::{COPY_DSCP, ESP, OutboundSa, SaFlags};
use crate::crypto::{Aad, Iv, Job};
use crate::packet::DropReason;
use crate::wire::checksum::Sum;
use crate::wire::{HeaderPlace, Ipv6, protocol};

/// What is about to be protected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clear {
    /// Bytes in front of the network header.
    pub(super) l3_offset: usize,
    /// Bytes of the IP packet.
    pub(super) ip_len: usize,
    pub(super) v6: bool,
}

/// The number and IV of a packet, which no other packet under its key has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) sequence: u64,
    pub(super) iv: Iv,
}

/// A packet in its place, and what the engine shall do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) job: Job,
    /// Bytes of the IP packet now.
    pub(super) ip_len: u16,
}

/// Puts the packet in `slot` into a tunnel: outer header, ESP, trailer, and an Ethernet header
/// without addresses in front (RFC 4303 §3.3).
#[inline]
pub(super) fn tunnel(
    burst: &mut Burst,
    slot: usize,
    clear: Clear,
    sa: &OutboundSa,
    number: Number,
) -> Result<Placed, DropReason> {
    let Clear { l3_offset, ip_len, v6 } = clear;
    let header_len = usize::from(sa.header_len);
    let payload = LINK + header_len + ESP + usize::from(sa.sizes.iv);
    let sealed = sa.sizes.padded(ip_len);
    let frame_len = payload + sealed + usize::from(sa.sizes.icv);
    let total = u16::try_from(frame_len - LINK).map_err(|_| DropReason::EspNoRoom)?;
    grow(
        burst,
        slot,
        l3_offset.cast_signed() - payload.cast_signed(),
        payload + ip_len,
        frame_len,
    )?;
    let frame = burst.frame_mut(slot);
    let next = if v6 { header::IPV6_IN } else { header::IPV4_IN };
    let (front, behind) = frame.split_at_mut_checked(payload).ok_or(DropReason::EspNoRoom)?;
    let inner = behind.first_chunk::<8>().ok_or(DropReason::EspNoRoom)?;
    let outer = outer(sa, inner, v6, total, number.sequence);
    trailer(behind, ip_len, sealed, next);
    let outer_v6 = sa.is(SaFlags::V6);
    if let Some((link, rest)) = front.split_first_chunk_mut::<LINK>()
        && let Some((ip, esp)) = rest.split_at_mut_checked(header_len)
    {
        *link = header::link(outer_v6);
        header::write(&sa.header, outer_v6, outer, ip);
        write_esp(esp, sa, number);
    }
    Ok(Placed { job: job(sa, payload, sealed, number), ip_len: total })
}

/// What the outer header takes from the inner one (RFC 6040 §4.1, RFC 4301 §5.1.2).
#[inline]
fn outer(sa: &OutboundSa, inner: &[u8; 8], v6: bool, total: u16, sequence: u64) -> Outer {
    let class = header::class(inner);
    let ecn = if sa.is(SaFlags::NO_ECN) { 0 } else { class & 3 };
    let dscp = if sa.dscp == COPY_DSCP { class & 0xfc } else { sa.dscp };
    // Routers do not fragment IPv6, so what it travels in is not fragmented either.
    let df = sa.is(SaFlags::COPY_DF) && (v6 || inner[6] & 0x40 != 0);
    let [.., high, low] = sequence.to_be_bytes();
    Outer { total, class: dscp | ecn, df, id: u16::from_be_bytes([high, low]) }
}

/// Puts ESP between the IP header of the packet in `slot` and what follows it.
///
/// IPv6 extension headers that come before the upper layer stay in the clear.
pub(super) fn transport(
    burst: &mut Burst,
    slot: usize,
    clear: Clear,
    sa: &OutboundSa,
    number: Number,
) -> Result<Placed, DropReason> {
    let Clear { l3_offset, ip_len, v6 } = clear;
    let packet = burst.frame(slot).get(l3_offset..l3_offset + ip_len);
    let upper = Upper::of(packet.ok_or(DropReason::EspRunt)?, v6).ok_or(DropReason::EspRunt)?;
    if upper.fragment {
        return Err(DropReason::EspFragment);
    }
    let udp = usize::from(sa.header_len);
    let added = udp + ESP + usize::from(sa.sizes.iv);
    let len = ip_len - upper.offset;
    let sealed = sa.sizes.padded(len);
    let payload = l3_offset + upper.offset + added;
    let frame_len = payload + sealed + usize::from(sa.sizes.icv);
    let total = u16::try_from(frame_len - l3_offset).map_err(|_| DropReason::EspNoRoom)?;
    grow(burst, slot, -added.cast_signed(), payload + len, frame_len)?;
    let frame = burst.frame_mut(slot);
    // What stands in front of the payload moves to the new start.
    frame.copy_within(added..added + l3_offset + upper.offset, 0);
    trailer(frame.get_mut(payload..).unwrap_or_default(), len, sealed, upper.protocol);
    let esp = frame.get_mut(l3_offset + upper.offset..payload).unwrap_or_default();
    if let Some((udp, esp)) = esp.split_at_mut_checked(udp) {
        let udp_len = usize::from(total) - upper.offset;
        header::write_udp(&sa.header, u16::try_from(udp_len).unwrap_or(u16::MAX), udp);
        write_esp(esp, sa, number);
    }
    let next = if udp == 0 { header::ESP } else { protocol::UDP };
    if let Some(ip) = frame.get_mut(l3_offset..l3_offset + upper.offset) {
        set_upper(ip, v6, upper.named_at, next, total);
    }
    Ok(Placed { job: job(sa, payload, sealed, number), ip_len: total })
}

/// The upper layer of a packet.
pub(super) struct Upper {
    pub(super) protocol: u8,
    pub(super) offset: usize,
    /// Where the field stands that names it.
    pub(super) named_at: usize,
    /// The packet is a fragment of a larger one.
    pub(super) fragment: bool,
}

impl Upper {
    /// Behind IPv4 options or IPv6 extension headers; none where headers contradict the length.
    #[inline]
    pub(super) fn of(packet: &[u8], v6: bool) -> Option<Self> {
        if v6 {
            let upper = Ipv6::parse(packet).ok()?.upper().ok()?;
            let fragment = upper.is_fragment;
            // What is for the ends alone is protected, and not left in front.
            if let Some(HeaderPlace { at: offset, named_at }) = upper.ends_only {
                let protocol = *packet.get(named_at)?;
                return Some(Self { protocol, offset, named_at, fragment });
            }
            let (protocol, offset, named_at) = (upper.protocol, upper.offset, upper.named_at);
            return Some(Self { protocol, offset, named_at, fragment });
        }
        let fixed = packet.first_chunk::<20>()?;
        let offset = usize::from(fixed[0] & 0xf) * 4;
        let fragment = fixed[6] & 0x3f != 0 || fixed[7] != 0;
        let fits = (20..=packet.len()).contains(&offset);
        fits.then_some(Self { protocol: fixed[9], offset, named_at: 9, fragment })
    }
}

/// Names another upper layer in an IP header, and another length of the packet.
pub(super) fn set_upper(ip: &mut [u8], v6: bool, named_at: usize, protocol: u8, total: u16) {
    let (at, len) = if v6 { (4, total.wrapping_sub(40)) } else { (2, total) };
    if let Some(field) = ip.get_mut(at..at + 2) {
        field.copy_from_slice(&len.to_be_bytes());
    }
    if let Some(field) = ip.get_mut(named_at) {
        *field = protocol;
    }
    if !v6 {
        header::set_ipv4_checksum(ip);
    }
}

/// Moves the start of a frame, cuts it to `kept` bytes and grows it to `len`.
#[inline]
fn grow(
    burst: &mut Burst,
    slot: usize,
    delta: isize,
    kept: usize,
    len: usize,
) -> Result<(), DropReason> {
    if !burst.move_start(slot, delta) {
        return Err(DropReason::EspNoRoom);
    }
    burst.truncate(slot, kept);
    if burst.len(slot) == kept && burst.extend(slot, len) {
        Ok(())
    } else {
        Err(DropReason::EspNoRoom)
    }
}

/// Padding 1, 2, 3 and so on, its length, and the next header behind `len` bytes (RFC 4303 §2.4).
#[inline]
fn trailer(payload: &mut [u8], len: usize, sealed: usize, next: u8) {
    let Some(trailer) = payload.get_mut(len..sealed) else { return };
    let pad = trailer.len().wrapping_sub(2);
    for (byte, n) in trailer.iter_mut().zip(1..) {
        *byte = n;
    }
    if let Some([pad_len, next_header]) = trailer.last_chunk_mut() {
        *pad_len = pad.to_le_bytes()[0];
        *next_header = next;
    }
}

/// SPI, sequence number and IV.
#[inline]
fn write_esp(esp: &mut [u8], sa: &OutboundSa, number: Number) {
    let Some((fixed, iv)) = esp.split_first_chunk_mut::<ESP>() else { return };
    let [.., a, b, c, d] = number.sequence.to_be_bytes();
    let [e, f, g, h] = sa.spi.to_be_bytes();
    *fixed = [e, f, g, h, a, b, c, d];
    if let Some(iv) = iv.first_chunk_mut::<16>() {
        *iv = number.iv.bytes();
    } else if let (Some(iv), Some(first)) =
        (iv.first_chunk_mut::<8>(), number.iv.bytes().first_chunk::<8>())
    {
        *iv = *first;
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a frame has fewer than 2^16 bytes")]
fn job(sa: &OutboundSa, payload: usize, sealed: usize, number: Number) -> Job {
    let aad = if sa.is(SaFlags::ESN) {
        Aad::esn(sa.spi, number.sequence)
    } else {
        Aad::esp(sa.spi, number.sequence as u32)
    };
    Job::new(sa.key, payload as u32, sealed as u32, number.iv, aad)
}

/// Fills in the checksum of UDP over IPv6, which may not be left out there (RFC 8200 §8.1), once
/// the packet is sealed. `packet` begins with its network header.
#[cold]
pub(super) fn udp_checksum(packet: &mut [u8]) {
    let Some(upper) = Upper::of(packet, true) else { return };
    let Ok(ip) = Ipv6::parse(packet) else { return };
    let (src, dst) = (ip.src(), ip.dst());
    let Some(udp) = packet.get_mut(upper.offset..) else { return };
    let Ok(len) = u32::try_from(udp.len()) else { return };
    if udp.len() < UDP {
        return;
    }
    udp[6..8].fill(0);
    let sum = match Sum::default().pseudo_v6(src, dst, protocol::UDP, len).bytes(udp).finish() {
        0 => u16::MAX,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
}
