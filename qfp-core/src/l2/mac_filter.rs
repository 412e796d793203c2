//! Row `mac-filter`.

use hal::PacketMask;

use crate::l2::{MacRow, TagTables};
use crate::packet::{DropReason, Source, Vector};
use crate::step::{Lcore, Step};

/// Row `mac-filter`: drops frames for other stations, on ports that do not do it themselves.
#[derive(Debug, Default)]
pub struct MacFilter;

impl Step for MacFilter {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let Source::Port(port) = vector.walk.source else { return };
        let own = MacRow(TagTables::open(&lcore.tables).port(port).mac);
        for slot in select {
            let Some(&mac) = vector.burst.frame(slot).first_chunk::<6>() else {
                vector.drop(slot, DropReason::Truncated);
                continue;
            };
            let group = mac[0] & 1 == 1;
            if !group && MacRow::from(mac) != own {
                vector.drop(slot, DropReason::MacFilter);
            }
        }
    }
}
