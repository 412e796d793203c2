//! Frames that the slow path has made: the way past the rows that is theirs.

use hal::PacketMask;

use crate::adjacency::open_gates;
use crate::fia::Fia;
use crate::fia::order::{OWN_FRAMES_FIRST, OWN_FRAMES_LAST};
use crate::packet::Vector;
use crate::step::Lcore;
use crate::uidb::UidbTable;

impl Fia {
    /// Takes frames that the slow path has made, and that have their output interface and their
    /// header, through the security policy, and sends them.
    pub fn walk_own(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector) {
        let rows = ["l3-parse", OWN_FRAMES_FIRST, OWN_FRAMES_LAST].map(|name| self.position(name));
        let [Some(parse), Some(first), Some(last)] = rows else { return };
        // Only IP packets have a policy.
        let mut packets = PacketMask::EMPTY;
        for slot in vector.live {
            let frame = vector.burst.frame(slot);
            let offset = header_len(frame);
            let ethertype = frame.get(usize::from(offset) - 2..usize::from(offset));
            if let Some([0x08, 0x00] | [0x86, 0xdd]) = ethertype {
                packets.insert(slot);
            }
            vector.l3.offset[slot & 63] = offset;
        }
        if let Some(row) = self.rows.get_mut(parse).filter(|_| !packets.is_empty()) {
            row.step.process(lcore, vector, packets);
        }
        open_gates(UidbTable::open(&lcore.tables), vector, vector.live);
        for row in self.rows.get_mut(first..=last).unwrap_or_default() {
            let select = row.select(lcore, vector, vector.live);
            if !select.is_empty() {
                row.step.process(lcore, vector, select);
                lcore.counters.row(row.number, u64::from(select.count()));
            }
        }
        self.send(lcore, vector);
    }
}

/// Bytes in front of the network header of a frame with up to two tags.
fn header_len(frame: &[u8]) -> u8 {
    let tagged =
        |at: usize| matches!(frame.get(at..at + 2), Some([0x81, 0] | [0x88, 0xa8] | [0x91, 0]));
    14 + if !tagged(12) {
        0
    } else if tagged(16) {
        8
    } else {
        4
    }
}
