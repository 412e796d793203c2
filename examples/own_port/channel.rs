//! A port whose frames a program makes and takes itself.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use qfp::hal::{
    Arrival, Burst, PacketMask, PoolCache, Port, PortConfig, PortError, PortInfo, Queues, RxQueue,
    TxQueue, VECTOR,
};
use qfp::pal::clock::Nanos;

/// One queue each way. It has ended when nobody can send to it any more.
pub(crate) struct Channel {
    info: PortInfo,
    queues: Option<Queues>,
}

impl Channel {
    /// The port, where its packets come from, and where those that it sends go.
    pub(crate) fn new() -> (Box<Self>, Sender<Vec<u8>>, Receiver<Vec<u8>>) {
        let (to_router, input) = channel();
        let (output, from_router) = channel();
        let (rx, tx) = (Box::new(Input { input, has_ended: false }), Box::new(Output(output)));
        let info = PortInfo {
            spec: "channel".to_owned(),
            mac: None,
            numa_node: 0,
            max_rx_queues: 1,
            max_tx_queues: 1,
            virtual_time: false,
            total_packets: None,
            filters_mac: false,
        };
        let queues = Some(Queues { rx: vec![rx], tx: vec![tx] });
        (Box::new(Self { info, queues }), to_router, from_router)
    }
}

impl Port for Channel {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn start(&mut self, _: &PortConfig) -> Result<Queues, PortError> {
        let again = || PortError::BadSpec { spec: self.info.spec.clone(), reason: "it ran before" };
        self.queues.take().ok_or_else(again)
    }
}

struct Input {
    input: Receiver<Vec<u8>>,
    has_ended: bool,
}

impl RxQueue for Input {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let before = burst.count();
        while burst.count() < VECTOR {
            match self.input.try_recv() {
                Ok(frame) => drop(pool.append(burst, &frame)),
                Err(error) => {
                    self.has_ended = error == TryRecvError::Disconnected;
                    break;
                }
            }
        }
        burst.count() - before
    }

    fn arrival(&mut self) -> Arrival {
        if self.has_ended { Arrival::Ended } else { Arrival::Live }
    }
}

struct Output(Sender<Vec<u8>>);

impl TxQueue for Output {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        // Nobody may be there to take them; then they are sent and lost, as on a wire.
        select.into_iter().for_each(|slot| drop(self.0.send(burst.frame(slot).to_vec())));
        pool.free(burst, select);
        select
    }
}
