//! One packet that ESP is taken off, in place: before and after the engine has opened it.

use hal::Burst;

use super::encap::{Upper, set_upper};
use super::header::{self, LINK, UDP};
use super::sa::{ESP, InboundSa, SaFlags};
use super::{ecn, replay::Window};
use crate::crypto::{Aad, Iv, Job};
use crate::packet::DropReason;
use crate::wire::checksum::Sum;
use crate::wire::{Ipv4, Ipv6, protocol};

/// UDP port of encapsulated ESP and of IKE behind NAT (RFC 3948 §2.1).
const NAT_T: [u8; 2] = 4500u16.to_be_bytes();

/// An IPv4 header without options.
const PLAIN: usize = 20;

/// What a packet for this router is to ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// Something else: IKE among it.
    Other,
    /// ESP, with or without UDP around it.
    Esp(Located),
    /// It ends here.
    Drop(DropReason),
}

/// Where ESP is in a packet; offsets from the network header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) spi: u32,
    /// The low half of the sequence number.
    pub(super) sequence: u32,
    /// SPI.
    pub(super) esp: u16,
    /// Behind the ICV.
    pub(super) end: u16,
    /// Source port of the UDP header.
    pub(super) udp: Option<u16>,
}

/// Looks for ESP behind the IP header; `packet` ends where the IP packet does.
#[inline]
pub(super) fn locate(packet: &[u8], v6: bool) -> Arrived {
    // Most of it: a whole packet, ESP behind an IPv4 header without options.
    if !v6
        && let Some((fixed, rest)) = packet.split_first_chunk::<PLAIN>()
        && (fixed[0] & 0xf, fixed[6] & 0x3f, fixed[7], fixed[9]) == (5, 0, 0, header::ESP)
    {
        return located(rest, PLAIN, None);
    }
    // One byte tells most of what is not ESP.
    if !v6 && !matches!(packet.get(9), Some(&(header::ESP | protocol::UDP))) {
        return Arrived::Other;
    }
    let Some(upper) = Upper::of(packet, v6) else { return Arrived::Other };
    let (offset, fragment) = (upper.offset, upper.fragment);
    let rest = packet.get(offset..).unwrap_or_default();
    match (upper.protocol, rest.split_first_chunk::<UDP>()) {
        // Reassembly comes before ESP (RFC 4303 §3.4.1): the slow path does it.
        (header::ESP, _) if fragment => Arrived::Other,
        (header::ESP, _) => located(rest, offset, None),
        (protocol::UDP, Some((udp, _))) if !fragment && udp[2..4] == NAT_T => {
            encapsulated(*udp, rest, offset)
        }
        _ => Arrived::Other,
    }
}

/// UDP to port 4500: ESP, IKE, or a keepalive (RFC 3948 §2).
fn encapsulated(udp: [u8; UDP], upper: &[u8], offset: usize) -> Arrived {
    let [a, b, _, _, high, low, ..] = udp;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let Some(payload) = upper.get(UDP..len) else { return Arrived::Drop(DropReason::EspRunt) };
    match payload {
        [0xff] => Arrived::Drop(DropReason::NatKeepalive),
        [0, 0, 0, 0, ..] => Arrived::Other,
        _ => located(payload, offset + UDP, Some(u16::from_be_bytes([a, b]))),
    }
}

#[inline]
fn located(esp: &[u8], offset: usize, udp: Option<u16>) -> Arrived {
    let (Some([a, b, c, d, e, f, g, h]), Ok(start), Ok(end)) =
        (esp.first_chunk::<ESP>(), u16::try_from(offset), u16::try_from(offset + esp.len()))
    else {
        return Arrived::Drop(DropReason::EspRunt);
    };
    Arrived::Esp(Located {
        spi: u32::from_be_bytes([*a, *b, *c, *d]),
        sequence: u32::from_be_bytes([*e, *f, *g, *h]),
        esp: start,
        end,
        udp,
    })
}

/// A packet that may be opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed {
    pub(super) job: Job,
    pub(super) sequence: u64,
}

/// Checks the lengths and the sequence number, and says what the engine shall do (RFC 4303 §3.4).
///
/// `frame` holds the packet behind `l3_offset` bytes.
#[inline]
pub(super) fn prepare(
    frame: &[u8],
    l3_offset: usize,
    at: Located,
    sa: &InboundSa,
    window: Option<&Window<'_>>,
) -> Result<Sealed, DropReason> {
    if sa.is(SaFlags::UDP) != at.udp.is_some() {
        return Err(DropReason::EspPolicy);
    }
    let iv_at = l3_offset + usize::from(at.esp) + ESP;
    let payload = iv_at + usize::from(sa.sizes.iv);
    let icv_at = (l3_offset + usize::from(at.end)).wrapping_sub(usize::from(sa.sizes.icv));
    let align = usize::from(sa.sizes.align);
    let len = icv_at.wrapping_sub(payload);
    // At least a trailer; a packet that is too short gives a difference beyond any length.
    if len < align || len > usize::from(u16::MAX) || len & align.wrapping_sub(1) != 0 {
        return Err(DropReason::EspRunt);
    }
    let sequence = match window {
        Some(window) if sa.is(SaFlags::ESN) => window.extended(at.sequence),
        _ => Some(u64::from(at.sequence)),
    };
    let sequence = sequence.ok_or(DropReason::EspReplay)?;
    if window.is_some_and(|window| !window.may_accept(sequence)) {
        return Err(DropReason::EspReplay);
    }
    let iv = match (sa.sizes.iv, frame.get(iv_at..payload)) {
        (8, Some(iv)) => iv.first_chunk().map(|iv| Iv::short(*iv)),
        (16, Some(iv)) => iv.first_chunk().map(|iv| Iv::block(*iv)),
        _ => Some(Iv::default()),
    };
    let aad = if sa.is(SaFlags::ESN) {
        Aad::esn(at.spi, sequence)
    } else {
        Aad::esp(at.spi, at.sequence)
    };
    #[expect(clippy::cast_possible_truncation, reason = "a frame has fewer than 2^16 bytes")]
    let job = Job::new(sa.key, payload as u32, len as u32, iv.ok_or(DropReason::EspRunt)?, aad);
    Ok(Sealed { job, sequence })
}

/// What was inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// Bytes of the IP packet.
    pub(super) ip_len: u16,
    pub(super) v6: bool,
}

/// Checks the trailer of an authentic payload; returns the length of what was protected and the
/// next header (RFC 4303 §2.4, §2.6).
#[inline]
fn trailer(payload: &[u8]) -> Result<(usize, u8), DropReason> {
    let Some((rest, &[pad_len, next])) = payload.split_last_chunk::<2>() else {
        return Err(DropReason::EspBadPadding);
    };
    let Some(len) = rest.len().checked_sub(usize::from(pad_len)) else {
        return Err(DropReason::EspBadPadding);
    };
    if next == protocol::NO_NEXT_HEADER {
        return Err(DropReason::EspDummy);
    }
    if is_padding(rest, len) { Ok((len, next)) } else { Err(DropReason::EspBadPadding) }
}

/// Whether the bytes from `len` on are 1, 2, 3 and so on.
#[inline]
fn is_padding(payload: &[u8], len: usize) -> bool {
    const COUNT: u64 = u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
    let padding = payload.len() - len;
    match payload.last_chunk::<8>() {
        // All of it in one word: a cipher in counter mode needs three bytes at most.
        Some(last) if (1..8).contains(&padding) => {
            let unpadded = 8 * (8 - padding);
            u64::from_le_bytes(*last) >> unpadded == COUNT << unpadded >> unpadded
        }
        _ => payload[len..].iter().zip(1..).all(|(byte, n)| *byte == n),
    }
}

/// Takes the outer headers off the packet in `slot`: it begins with an Ethernet header without
/// addresses and the inner packet then.
#[inline]
pub(super) fn tunnel(
    burst: &mut Burst,
    slot: usize,
    l3_offset: usize,
    job: &Job,
    sa: &InboundSa,
) -> Result<Opened, DropReason> {
    let (start, sealed) = (job.payload as usize, job.payload_len as usize);
    let frame = burst.frame_mut(slot);
    let outer_class = header::class(frame.get(l3_offset..).unwrap_or_default());
    let payload = frame.get_mut(start..start + sealed).ok_or(DropReason::EspRunt)?;
    let (len, next) = trailer(payload)?;
    let inner = &mut payload[..len];
    let v6 = match (next, inner.first().map(|first| first >> 4)) {
        (header::IPV4_IN, Some(4)) => false,
        (header::IPV6_IN, Some(6)) => true,
        _ => return Err(DropReason::EspBadNextHeader),
    };
    let ip_len = packet_len(inner, v6).ok_or(DropReason::EspBadNextHeader)?;
    if sa.is(SaFlags::SELECT) && !sa.selector.takes(inner) {
        return Err(DropReason::EspPolicy);
    }
    let class = header::class(inner);
    if outer_class & 3 != 0 {
        let ecn = ecn::decapsulated(class, outer_class).ok_or(DropReason::EspEcn)?;
        if ecn != class & 3 {
            header::set_ecn(inner, ecn);
        }
    }
    let front = start - LINK;
    if let Some(link) = frame.get_mut(front..).and_then(|rest| rest.first_chunk_mut()) {
        *link = header::link(v6);
    }
    // What follows the inner packet hides its length from those on the way (RFC 4303 §2.7).
    if !burst.narrow(slot, front, LINK + usize::from(ip_len)) {
        return Err(DropReason::EspRunt);
    }
    Ok(Opened { ip_len, v6 })
}

/// Length of an IP packet, where its header and `packet` are long enough.
#[inline]
fn packet_len(packet: &[u8], v6: bool) -> Option<u16> {
    let fixed = packet.first_chunk::<20>()?;
    let len = if v6 {
        40 + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]))
    } else {
        usize::from(u16::from_be_bytes([fixed[2], fixed[3]]))
    };
    let header_len = if v6 { 40 } else { 20 };
    u16::try_from(len).ok().filter(|_| (header_len..=packet.len()).contains(&len))
}

/// Takes ESP out of the packet in `slot`, which keeps its IP header.
pub(super) fn transport(
    burst: &mut Burst,
    slot: usize,
    l3_offset: usize,
    at: Located,
    job: &Job,
    sa: &InboundSa,
) -> Result<Opened, DropReason> {
    let v6 = sa.is(SaFlags::V6);
    let (start, sealed) = (job.payload as usize, job.payload_len as usize);
    let udp = if at.udp.is_some() { UDP } else { 0 };
    let header_end = l3_offset + usize::from(at.esp) - udp;
    let frame = burst.frame_mut(slot);
    let (len, next) = trailer(frame.get(start..start + sealed).ok_or(DropReason::EspRunt)?)?;
    let shift = start - header_end;
    let header_len = header_end - l3_offset;
    let total = u16::try_from(header_len + len).map_err(|_| DropReason::EspRunt)?;
    let named_at = match frame.get(l3_offset..l3_offset + usize::from(at.end)) {
        Some(packet) => Upper::of(packet, v6).ok_or(DropReason::EspRunt)?.named_at,
        None => return Err(DropReason::EspRunt),
    };
    frame.copy_within(..header_end, shift);
    let packet = frame.get_mut(shift + l3_offset..start + len).unwrap_or_default();
    if let Some(header) = packet.get_mut(..header_len) {
        set_upper(header, v6, named_at, next, total);
    }
    if sa.is(SaFlags::SELECT) && !sa.selector.takes(packet) {
        return Err(DropReason::EspPolicy);
    }
    if udp != 0 {
        restore_checksum(packet, v6, header_len, next);
    }
    if !burst.move_start(slot, shift.cast_signed()) {
        return Err(DropReason::EspRunt);
    }
    burst.truncate(slot, l3_offset + usize::from(total));
    Ok(Opened { ip_len: total, v6 })
}

/// Computes the checksum of TCP or UDP anew: it was made with addresses that NAT has changed
/// (RFC 3948 §3.1.2), and ESP has shown that the rest is as it was sent.
fn restore_checksum(packet: &mut [u8], v6: bool, header_len: usize, next: u8) {
    let ends = if v6 {
        Ipv6::parse(packet).map(|ip| (ip.src().into(), ip.dst().into()))
    } else {
        Ipv4::parse(packet).map(|ip| (ip.src().into(), ip.dst().into()))
    };
    let (Ok((src, dst)), Some(upper)) = (ends, packet.get_mut(header_len..)) else { return };
    let at = match next {
        protocol::TCP => 16,
        protocol::UDP => 6,
        _ => return,
    };
    let Ok(len) = u32::try_from(upper.len()) else { return };
    let Some(field) = upper.get_mut(at..at + 2) else { return };
    if next == protocol::UDP && *field == [0, 0] {
        return;
    }
    field.fill(0);
    let Some(sum) = Sum::default().pseudo(src, dst, next, len) else { return };
    let sum = match sum.bytes(upper).finish() {
        0 if next == protocol::UDP => u16::MAX,
        sum => sum,
    };
    if let Some(field) = upper.get_mut(at..at + 2) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}
