//! One way in for arbitrary bytes: fuzzing and property tests.

use std::net::{IpAddr, Ipv4Addr};

use hal::PoolCache;
use pal::clock::Nanos;

use super::{Action, SlowPath};
use crate::packet::{DropReason, L3, PuntCause, PuntedPacket};
use crate::uidb::{TableId, UidbIndex};

/// Bytes of `input` that become metadata rather than frame.
const CONTROL: usize = 8;

/// Lets `slow_path` handle a packet made of `input` and returns the time it happened at.
///
/// The first 8 bytes choose cause, interfaces, network offset, next hop and how far the time moves
/// from `now`; the rest is the frame. Shorter input only moves the time. Afterwards everything
/// that is due is done.
pub fn exercise(
    slow_path: &mut SlowPath,
    now: Nanos,
    input: &[u8],
    pool: &mut PoolCache,
    actions: &mut Vec<Action>,
) -> Nanos {
    let Some((control, frame)) = input.split_first_chunk::<CONTROL>() else {
        let later = now.saturating_add(Nanos::PER_SECOND);
        slow_path.poll(later, pool, actions);
        return later;
    };
    let [cause, input, output, l3_offset, next_hop, reason, time, report] = *control;
    let now = now.saturating_add(u64::from(time) * 10 * Nanos::PER_MILLI);
    if let Some(packet) = pool.packet(frame) {
        let punted = PuntedPacket {
            packet,
            cause: PuntCause::ALL[usize::from(cause) % PuntCause::COUNT],
            input: UidbIndex(u16::from(input % 8)),
            output: if output == 0 { UidbIndex::NONE } else { UidbIndex(u16::from(output % 8)) },
            table: TableId::GLOBAL,
            l3_offset,
            l3: L3::Other,
            lcore: 0,
            opened: false,
            within: None,
            next_hop: (next_hop != 0).then(|| IpAddr::V4(Ipv4Addr::new(192, 0, 2, next_hop))),
        };
        if report == 0 {
            let reason = DropReason::ALL[usize::from(reason) % DropReason::COUNT];
            slow_path.unreachable(now, &punted, reason, pool, actions);
        } else {
            slow_path.punt(now, punted, pool, actions);
        }
    }
    slow_path.poll(now, pool, actions);
    now
}
