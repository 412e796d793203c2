//! Ports: found by name, configured, started, stopped.

use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use super::eal::Eal;
use super::pool::MbufPool;
use super::queue::{DpdkRxQueue, DpdkTxQueue, InUse};
use super::{device, error_text};
use crate::port::{
    DeviceCounters, Link, LinkState, Port, PortConfig, PortError, PortInfo, Queues, RxQueue,
    TxQueue,
};

/// Drivers that copy frames with this CPU.
const SOFTWARE_DRIVERS: [&str; 5] =
    ["net_pcap", "net_null", "net_ring", "net_af_packet", "net_tap"];

/// Descriptors asked for on each ring; the driver has the last word.
const RING: u16 = 1024;

/// Ethernet header and two VLAN tags.
const FRAME_OVERHEAD: usize = 14 + 2 * 4;

/// Drivers that are known to filter on the destination address unless they are told otherwise.
const FILTERING_DRIVERS: &[&str] = &[
    "mlx5_pci",
    "net_bnxt",
    "net_e1000_em",
    "net_e1000_igb",
    "net_i40e",
    "net_ice",
    "net_igc",
    "net_ixgbe",
];

/// Devices that a [`DpdkPort`] of this process has opened.
static OPENED: Mutex<Vec<u16>> = Mutex::new(Vec::new());

/// What a device could do beyond forwarding; see the module's decisions for why it stays off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// Receive offloads it has, `RTE_ETH_RX_OFFLOAD_*` bits.
    pub rx: u64,
    /// Transmit offloads it has, `RTE_ETH_TX_OFFLOAD_*` bits.
    pub tx: u64,
}

/// An Ethernet device of DPDK.
pub struct DpdkPort {
    id: u16,
    name: String,
    driver: String,
    device: sys::rte_eth_dev_info,
    info: PortInfo,
    state: State,
    eal: Eal,
}

// SAFETY: the pointers in `device` lead to strings and flags of the driver, which stay as long as
// the EAL runs, and the port keeps it running.
unsafe impl Send for DpdkPort {}

enum State {
    Open,
    Started { in_use: Arc<InUse>, _pool: MbufPool },
    Closed,
}

impl DpdkPort {
    /// Opens the device called `name`: a virtual device, or a PCI address with or without domain.
    ///
    /// With arguments behind a comma (`net_null3,size=60`) the device is added if DPDK does not
    /// have it. The EAL runs before; starting the port needs an [`MbufPool`] besides.
    pub fn open(name: &str) -> Result<Self, PortError> {
        let refuse = |reason| refuse(name, "open", reason);
        let eal = Eal::running().ok_or_else(|| refuse("DPDK is not running".to_owned()))?;
        let id = device::find_or_add(name).map_err(refuse)?;
        let device = check(name, "info", device::info(id))?;
        let driver = device::driver(&device);
        let info = PortInfo {
            spec: format!("dpdk:{name}"),
            mac: device::mac(id),
            numa_node: device::numa_node(id),
            max_rx_queues: device.max_rx_queues,
            max_tx_queues: device.max_tx_queues,
            virtual_time: false,
            total_packets: None,
            filters_mac: FILTERING_DRIVERS.contains(&driver.as_str())
                && !device::is_promiscuous(id),
        };
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.contains(&id) {
            return Err(refuse("it is open already".to_owned()));
        }
        opened.push(id);
        Ok(Self { id, name: name.to_owned(), driver, device, info, state: State::Open, eal })
    }

    /// Name of the poll-mode driver.
    #[must_use]
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// Offloads the device has.
    #[must_use]
    pub fn offloads(&self) -> Offloads {
        Offloads { rx: self.device.rx_offload_capa, tx: self.device.tx_offload_capa }
    }

    /// Receives frames for other MAC addresses, too.
    fn set_promiscuous(&mut self) -> Result<(), PortError> {
        // SAFETY: takes a port number only.
        self.check("promiscuous mode", unsafe { sys::rte_eth_promiscuous_enable(self.id) })?;
        self.info.filters_mac = false;
        Ok(())
    }

    /// Receives frames for all groups: neighbour discovery and routing protocols use many.
    fn set_all_multicast(&self) -> Result<(), PortError> {
        // SAFETY: takes a port number only.
        match unsafe { sys::rte_eth_allmulticast_enable(self.id) } {
            // Most virtual devices filter nothing and have no such mode.
            unsupported if unsupported == -libc::ENOTSUP && !self.info.filters_mac => Ok(()),
            result => self.check("reception of all groups", result),
        }
    }

    /// Turns the negative results of DPDK into errors.
    fn check(&self, what: &'static str, result: i32) -> Result<(), PortError> {
        check(&self.name, what, if result < 0 { Err(result) } else { Ok(()) })
    }

    fn configure(&self, config: &PortConfig, pool: &MbufPool) -> Result<(), PortError> {
        // SAFETY: zero is the default of every setting.
        let mut conf: sys::rte_eth_conf = unsafe { std::mem::zeroed() };
        let hash = sys::QFP_RSS_5_TUPLE & self.device.flow_type_rss_offloads;
        if config.rx_queues > 1 && hash != 0 {
            conf.rxmode.mq_mode = sys::QFP_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = hash;
        }
        // Which packets are too big for an interface is decided in forwarding; the device only
        // must take everything that fits.
        conf.rxmode.mtu = u32::from(config.mtu.max(self.device.min_mtu));
        conf.txmode.offloads = self.tx_offloads(pool);
        let (rx, tx) = (config.rx_queues, config.tx_queues);
        // SAFETY: the configuration outlives the call, which copies it.
        let result = unsafe { sys::rte_eth_dev_configure(self.id, rx, tx, &raw const conf) };
        self.check("configure", result)
    }

    /// Fast free needs all buffers of a queue to come from one mempool, unshared, in one segment.
    fn tx_offloads(&self, pool: &MbufPool) -> u64 {
        if pool.node_count() == 1 {
            self.device.tx_offload_capa & sys::QFP_TX_OFFLOAD_MBUF_FAST_FREE
        } else {
            0
        }
    }

    fn set_up_queues(&self, config: &PortConfig, pool: &MbufPool) -> Result<(), PortError> {
        let (mut rx_ring, mut tx_ring) = (RING, RING);
        // SAFETY: both numbers outlive the call.
        let result = unsafe {
            sys::rte_eth_dev_adjust_nb_rx_tx_desc(self.id, &raw mut rx_ring, &raw mut tx_ring)
        };
        self.check("ring sizes", result)?;
        let node = self.info.numa_node;
        let mut rx_conf = self.device.default_rxconf;
        rx_conf.offloads = 0;
        for queue in 0..config.rx_queues {
            // SAFETY: the mempool holds mbufs and outlives the port, which keeps a handle to it.
            let result = unsafe {
                let mempool = pool.mempool(node);
                sys::rte_eth_rx_queue_setup(
                    self.id,
                    queue,
                    rx_ring,
                    node,
                    &raw const rx_conf,
                    mempool,
                )
            };
            self.check("receive queue", result)?;
        }
        let mut tx_conf = self.device.default_txconf;
        tx_conf.offloads = self.tx_offloads(pool);
        for queue in 0..config.tx_queues {
            // SAFETY: the configuration outlives the call, which copies it.
            let result = unsafe {
                sys::rte_eth_tx_queue_setup(self.id, queue, tx_ring, node, &raw const tx_conf)
            };
            self.check("transmit queue", result)?;
        }
        Ok(())
    }

    /// Sets the MAC address. A device that cannot then takes all frames, if it can do that.
    fn set_mac(&mut self, bytes: [u8; 6]) -> Result<(), PortError> {
        if self.info.mac == Some(bytes) {
            return Ok(());
        }
        let mut address = sys::rte_ether_addr { addr_bytes: bytes };
        // SAFETY: the address outlives the call, which copies it.
        let result = unsafe { sys::rte_eth_dev_default_mac_addr_set(self.id, &raw mut address) };
        if result == -libc::ENOTSUP {
            let promiscuous = self.set_promiscuous();
            if self.info.filters_mac {
                promiscuous?;
            }
        } else {
            self.check("MAC address", result)?;
        }
        self.info.mac = Some(bytes);
        Ok(())
    }

    fn close(&mut self) -> Result<(), PortError> {
        // SAFETY: takes a port number only; no queue of it is left.
        let result = match unsafe { sys::rte_eth_dev_close(self.id) } {
            // A driver that has nothing to close; the device is stopped.
            unsupported if unsupported == -libc::ENOTSUP => 0,
            result => result,
        };
        self.state = State::Closed;
        OPENED.lock().unwrap_or_else(PoisonError::into_inner).retain(|&id| id != self.id);
        self.check("close", result)
    }
}

impl Port for DpdkPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn start(&mut self, config: &PortConfig) -> Result<Queues, PortError> {
        if !matches!(self.state, State::Open) {
            return Err(refuse(&self.name, "start", "it was started before".to_owned()));
        }
        self.info.admits(config)?;
        let pool = MbufPool::current()
            .ok_or_else(|| refuse(&self.name, "start", "there is no buffer pool".to_owned()))?;
        let needed = usize::from(config.mtu) + FRAME_OVERHEAD;
        if needed > pool.frame_room() {
            let room = pool.frame_room();
            let reason = format!("frames of {needed} bytes, buffers have {room}");
            return Err(refuse(&self.name, "MTU", reason));
        }
        self.configure(config, &pool)?;
        self.set_up_queues(config, &pool)?;
        if let Some(bytes) = config.mac {
            self.set_mac(bytes)?;
        }
        if config.promiscuous {
            self.set_promiscuous()?;
        }
        self.set_all_multicast()?;
        // SAFETY: takes a port number only.
        self.check("start", unsafe { sys::rte_eth_dev_start(self.id) })?;
        let in_use = Arc::new(InUse);
        let software = SOFTWARE_DRIVERS.contains(&self.driver.as_str());
        let rx = |queue| {
            Box::new(DpdkRxQueue::new(self.id, queue, software, &in_use)) as Box<dyn RxQueue>
        };
        let tx = |queue| Box::new(DpdkTxQueue::new(self.id, queue, &in_use)) as Box<dyn TxQueue>;
        let queues = Queues {
            rx: (0..config.rx_queues).map(rx).collect(),
            tx: (0..config.tx_queues).map(tx).collect(),
        };
        self.state = State::Started { in_use, _pool: pool };
        Ok(queues)
    }

    fn link(&self) -> Link {
        // Drivers of interfaces of the kernel do not tell all that these are gone.
        match interface(&self.name).is_some_and(|name| !device::has_interface(name)) {
            true => Link { state: LinkState::Gone, bits_per_second: 0 },
            false => device::link(self.id),
        }
    }

    fn counters(&self) -> DeviceCounters {
        device::counters(self.id)
    }

    fn xstats(&self) -> Vec<(String, u64)> {
        device::xstats(self.id)
    }

    fn stop(&mut self) -> Result<(), PortError> {
        match &self.state {
            State::Closed => return Ok(()),
            State::Open => return self.close(),
            State::Started { in_use, .. } if Arc::strong_count(in_use) > 1 => {
                return Err(refuse(&self.name, "stop", "its queues are still in use".to_owned()));
            }
            State::Started { .. } => {}
        }
        // SAFETY: takes a port number only; no queue of it is left.
        let stopped = unsafe { sys::rte_eth_dev_stop(self.id) };
        let closed = self.close();
        self.check("stop", stopped)?;
        closed
    }
}

impl Drop for DpdkPort {
    fn drop(&mut self) {
        if self.stop().is_err() && !matches!(self.state, State::Closed) {
            // Its queues may still be polled: the driver's memory must stay.
            self.eal.keep_forever();
        }
    }
}

/// The kernel's interface that a virtual device works with, as in `net_af_packet0,iface=veth0`.
fn interface(name: &str) -> Option<&str> {
    let mut arguments = name.split(',').skip(1);
    arguments
        .find_map(|argument| argument.strip_prefix("iface="))
        .filter(|name| !name.contains('%'))
}

fn refuse(port: &str, what: &'static str, reason: String) -> PortError {
    PortError::Device { port: port.to_owned(), what, reason }
}

fn check<T>(port: &str, what: &'static str, result: Result<T, i32>) -> Result<T, PortError> {
    result.map_err(|errno| refuse(port, what, error_text(errno)))
}
