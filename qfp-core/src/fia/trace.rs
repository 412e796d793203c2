//! Packet trace: which rows a packet went through in each of its walks, and how they ended.
//!
//! Off by default, and free when off.

use hal::PacketMask;
use pal::clock::Nanos;

use crate::packet::{DropReason, End, PuntCause, Vector};
use crate::uidb::UidbIndex;

/// One row of a packet's walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// The row.
    pub row: &'static str,
    /// TSC cycles the row took for the whole vector.
    pub cycles: u64,
    /// Packets of the vector that were in the row.
    pub packets: u32,
}

/// How a traced walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceOutcome {
    /// To the transmit queue.
    Sent,
    /// Dropped.
    Dropped(DropReason),
    /// To the slow path.
    Punted(PuntCause),
    /// A step took it over.
    Consumed,
    /// It walks again: a tunnel has put headers around it, or taken them off.
    Again,
}

/// One walk of a packet under trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedPacket {
    /// Which packet of the lcore's trace it is, from 0. Its walks have the same number.
    pub number: usize,
    /// When its vector was received.
    pub at: Nanos,
    /// Input interface.
    pub input: UidbIndex,
    /// Output interface, if one was found.
    pub output: UidbIndex,
    /// The frame at the beginning of the walk.
    pub before: Vec<u8>,
    /// The frame at the end of the walk; empty when a step took it over.
    pub after: Vec<u8>,
    /// The rows it went through, in order.
    pub steps: Vec<TraceStep>,
    /// How it ended.
    pub outcome: TraceOutcome,
}

/// The trace of one lcore.
#[derive(Debug, Default)]
pub struct Trace {
    /// Packets that are yet to be traced.
    left: usize,
    /// Packets that have been.
    packets: usize,
    /// Those of the vector that walks, with their slots.
    walking: Vec<(usize, TracedPacket)>,
    /// Those between two walks.
    between: Vec<Between>,
    walks: Vec<TracedPacket>,
}

/// A packet between two walks.
#[derive(Debug)]
struct Between {
    number: usize,
    /// The slot that it had.
    slot: usize,
    /// Where its frame lies, by which it is known again.
    place: usize,
}

impl Trace {
    /// Traces the next `packets` packets.
    pub fn start(&mut self, packets: usize) {
        self.left = packets;
    }

    /// Whether a walk is to be traced.
    #[inline]
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.left > 0 || !self.between.is_empty()
    }

    /// The walks so far, in the order in which they ended, and forgets them.
    pub fn take(&mut self) -> Vec<TracedPacket> {
        std::mem::take(&mut self.walks)
    }

    /// A walk begins. Its packets are those that walk again, if there are some, or as many as are
    /// yet to be traced.
    pub(super) fn begin(&mut self, vector: &Vector) {
        for slot in vector.live {
            let place = vector.burst.frame(slot).as_ptr().addr();
            if let Some(at) = self.between.iter().position(|packet| packet.place == place) {
                let number = self.between.swap_remove(at).number;
                self.add(number, slot, vector);
            }
        }
        if !self.walking.is_empty() {
            return;
        }
        // Those that it did not find have been given to a crypto engine on the way.
        self.between.clear();
        for slot in vector.live.into_iter().take(self.left) {
            self.add(self.packets, slot, vector);
            (self.packets, self.left) = (self.packets + 1, self.left - 1);
        }
    }

    fn add(&mut self, number: usize, slot: usize, vector: &Vector) {
        let packet = TracedPacket {
            number,
            at: vector.walk.now,
            input: UidbIndex::NONE,
            output: UidbIndex::NONE,
            before: vector.burst.frame(slot).to_vec(),
            after: Vec::new(),
            steps: Vec::new(),
            outcome: TraceOutcome::Sent,
        };
        self.walking.push((slot, packet));
    }

    /// Packets have been in a row.
    pub(super) fn row(
        &mut self,
        row: &'static str,
        vector: &Vector,
        select: PacketMask,
        cycles: u64,
    ) {
        for (slot, packet) in &mut self.walking {
            if select.contains(*slot) {
                packet.steps.push(TraceStep { row, cycles, packets: select.count() });
                // What was sent is the port's: the frame is as the row before has left it.
                if vector.burst.owned().contains(*slot) {
                    packet.after.clear();
                    packet.after.extend_from_slice(vector.burst.frame(*slot));
                }
            }
        }
    }

    /// The walk has ended; what is punted goes through the row `punt` next.
    pub(super) fn end(&mut self, vector: &Vector, punt: Option<&'static str>) {
        if let Some(punt) = punt {
            self.row(punt, vector, vector.ends.punted, 0);
        }
        for (slot, mut packet) in self.walking.drain(..) {
            let i = slot & 63;
            packet.input = vector.route.input[i];
            packet.outcome = match vector.ends.end[i] {
                _ if vector.ends.sent.contains(slot) => TraceOutcome::Sent,
                _ if vector.ends.recirculated.contains(slot) => TraceOutcome::Again,
                End::Drop(reason) => TraceOutcome::Dropped(reason),
                End::Punt(cause) => TraceOutcome::Punted(cause),
                End::Walking | End::Consumed => TraceOutcome::Consumed,
            };
            if matches!(packet.outcome, TraceOutcome::Sent | TraceOutcome::Again) {
                packet.output = vector.route.output[i];
            }
            if packet.outcome == TraceOutcome::Again {
                let place = vector.burst.frame(slot).as_ptr().addr();
                self.between.push(Between { number: packet.number, slot, place });
            }
            if packet.outcome == TraceOutcome::Consumed {
                packet.after.clear();
            }
            self.walks.push(packet);
        }
    }

    /// Ends the packets that were to walk again and are not allowed to.
    #[cold]
    pub(crate) fn settle(&mut self, vector: &Vector) {
        for packet in
            self.between.extract_if(.., |packet| vector.ends.dropped.contains(packet.slot))
        {
            let last = self.walks.iter_mut().rfind(|walk| walk.number == packet.number);
            if let (Some(last), End::Drop(reason)) = (last, vector.ends.end[packet.slot & 63]) {
                last.outcome = TraceOutcome::Dropped(reason);
            }
        }
    }
}
