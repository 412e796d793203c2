//! What DPDK says about its Ethernet devices.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use dpdk_sys as sys;

use super::error_text;
use crate::port::{DeviceCounters, Link, LinkState};

/// Names of the Ethernet devices that DPDK has found.
#[must_use]
pub fn available_ports() -> Vec<String> {
    let mut names = Vec::new();
    let mut next = 0;
    loop {
        // SAFETY: takes numbers only.
        let found = unsafe { sys::rte_eth_find_next_owned_by(next, sys::QFP_NO_OWNER) };
        let Ok(id) = u16::try_from(found) else { break };
        if u32::from(id) >= sys::QFP_MAX_PORTS {
            break;
        }
        let mut name = [0; 256];
        // SAFETY: a device name, with its final null, has at most RTE_ETH_NAME_MAX_LEN (64) bytes.
        if unsafe { sys::rte_eth_dev_get_name_by_port(id, name.as_mut_ptr()) } == 0 {
            // SAFETY: the call has written a C string.
            let name = unsafe { CStr::from_ptr(name.as_ptr()) };
            names.push(name.to_string_lossy().into_owned());
        }
        next = id + 1;
    }
    names
}

/// Port number of `name`, which may leave out the PCI domain or carry arguments behind a comma; with
/// arguments the device is added if need be. The error is a reason for people.
pub(super) fn find_or_add(name: &str) -> Result<u16, String> {
    let (device, has_arguments) = match name.split_once(',') {
        Some((device, _)) => (device, true),
        None => (name, false),
    };
    if let Some(id) = find(device).or_else(|| find(&format!("0000:{device}"))) {
        return Ok(id);
    }
    if has_arguments {
        add(name).map_err(error_text)?;
        return find(device).ok_or_else(|| "it is no Ethernet device".to_owned());
    }
    match available_ports().as_slice() {
        [] => Err("DPDK has no ports at all".to_owned()),
        names => Err(format!("no such device; DPDK has {}", names.join(", "))),
    }
}

fn find(name: &str) -> Option<u16> {
    let name = CString::new(name).ok()?;
    let mut id = 0;
    // SAFETY: a C string, and a number that outlives the call.
    let result = unsafe { sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut id) };
    (result == 0).then_some(id)
}

/// Adds a device, or gives a negative error number.
fn add(arguments: &str) -> Result<(), i32> {
    let arguments = CString::new(arguments).map_err(|_| -libc::EINVAL)?;
    // SAFETY: a C string, which the call copies.
    let result = unsafe { sys::rte_dev_probe(arguments.as_ptr()) };
    if result < 0 { Err(result) } else { Ok(()) }
}

/// Address of a device, if it has one.
pub(super) fn mac(id: u16) -> Option<[u8; 6]> {
    let mut address = sys::rte_ether_addr { addr_bytes: [0; 6] };
    // SAFETY: the address outlives the call, which fills it in.
    let result = unsafe { sys::rte_eth_macaddr_get(id, &raw mut address) };
    (result == 0).then_some(address.addr_bytes)
}

/// NUMA node of a device, 0 when unknown.
pub(super) fn numa_node(id: u16) -> u32 {
    // SAFETY: takes a port number only.
    u32::try_from(unsafe { sys::rte_eth_dev_socket_id(id) }).unwrap_or(0)
}

/// True when a device takes frames for any address.
pub(super) fn is_promiscuous(id: u16) -> bool {
    // SAFETY: takes a port number only.
    unsafe { sys::rte_eth_promiscuous_get(id) != 0 }
}

/// Limits and capabilities, or a negative error number.
pub(super) fn info(id: u16) -> Result<sys::rte_eth_dev_info, i32> {
    let mut info = MaybeUninit::uninit();
    // SAFETY: the structure outlives the call, which fills it in when it succeeds.
    let result = unsafe { sys::rte_eth_dev_info_get(id, info.as_mut_ptr()) };
    if result < 0 {
        return Err(result);
    }
    // SAFETY: the call succeeded.
    Ok(unsafe { info.assume_init() })
}

/// Name of the poll-mode driver.
pub(super) fn driver(info: &sys::rte_eth_dev_info) -> String {
    if info.driver_name.is_null() {
        return String::new();
    }
    // SAFETY: a driver's name is a C string that lives as long as the driver.
    unsafe { CStr::from_ptr(info.driver_name) }.to_string_lossy().into_owned()
}

/// State of the link, without waiting for it.
pub(super) fn link(id: u16) -> Link {
    let mut mbps = 0;
    // SAFETY: the number outlives the call.
    let up = unsafe { sys::qfp_link_is_up(id, &raw mut mbps) };
    let known = up && mbps != sys::QFP_LINK_SPEED_UNKNOWN;
    let state = if up { LinkState::Up } else { LinkState::Down };
    Link { state, bits_per_second: if known { u64::from(mbps) * 1_000_000 } else { 0 } }
}

/// What the device counts itself; zeros if it does not say.
pub(super) fn counters(id: u16) -> DeviceCounters {
    // SAFETY: zero is a valid value of every field.
    let mut stats: sys::rte_eth_stats = unsafe { std::mem::zeroed() };
    // SAFETY: the structure outlives the call, which fills it in.
    if unsafe { sys::rte_eth_stats_get(id, &raw mut stats) } < 0 {
        return DeviceCounters::default();
    }
    DeviceCounters {
        missed: stats.imissed,
        no_buffer: stats.rx_nombuf,
        rx_errors: stats.ierrors,
        tx_errors: stats.oerrors,
    }
}

/// The driver's own counters, by name.
pub(super) fn xstats(id: u16) -> Vec<(String, u64)> {
    // SAFETY: without a table the calls only return its size; with one they fill `count`
    // entries of it at most.
    unsafe {
        let count = sys::rte_eth_xstats_get_names(id, null_mut(), 0);
        let Ok(size) = usize::try_from(count) else { return Vec::new() };
        let entries = u32::try_from(count).unwrap_or(0);
        let mut names = vec![sys::rte_eth_xstat_name { name: [0; 64] }; size];
        let mut values = vec![sys::rte_eth_xstat { id: 0, value: 0 }; size];
        let named = sys::rte_eth_xstats_get_names(id, names.as_mut_ptr(), entries);
        let valued = sys::rte_eth_xstats_get(id, values.as_mut_ptr(), entries);
        if named != count || valued != count {
            return Vec::new();
        }
        let name = |id: u64| {
            let name = names.get(usize::try_from(id).ok()?)?;
            Some(CStr::from_ptr(name.name.as_ptr()).to_string_lossy().into_owned())
        };
        values.iter().filter_map(|stat| Some((name(stat.id)?, stat.value))).collect()
    }
}

/// Whether the kernel has an interface called `name`, in this thread's network namespace.
pub(super) fn has_interface(name: &str) -> bool {
    let Ok(name) = std::ffi::CString::new(name) else { return false };
    // SAFETY: the name is a C string that outlives the call.
    unsafe { libc::if_nametoindex(name.as_ptr()) != 0 }
}
