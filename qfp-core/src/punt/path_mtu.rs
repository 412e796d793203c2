//! Messages that say a packet of ours was too large for some link on its way (RFC 1191, RFC 8201).
//!
//! The router's own packets fit its links; what may be too large further on is what it puts into
//! tunnels. So only what quotes ESP is passed on, for its tunnel to be made smaller (RFC 4301 §8.2).
//! Anybody can send such a message: what it names must have an own address as source, and no path
//! is believed to be smaller than every path must be.

use std::net::IpAddr;

use super::{Action, SlowPath, Turn};
use crate::packet::PuntedPacket;
use crate::wire::{Icmp, protocol};

/// Protocol number of ESP.
const ESP: u8 = 50;
/// Port of encapsulated ESP (RFC 3948 §2.1).
const NAT_T: [u8; 2] = 4500u16.to_be_bytes();
/// What no path is smaller than: hosts take as much (RFC 1122 3.3.3), links must (RFC 8200 5).
const SMALLEST: [u16; 2] = [576, 1280];

impl SlowPath {
    /// Passes on what an ICMP error says about the path of a tunnel.
    pub(super) fn path_mtu(
        &mut self,
        turn: &mut Turn<'_>,
        punted: &PuntedPacket,
        icmp: &Icmp<'_>,
        v6: bool,
    ) {
        // ICMPv4 has sixteen bits for the size, and old routers leave them 0.
        let mtu = if v6 { icmp.rest() } else { icmp.rest() & 0xffff };
        let Some(quoted) = Quoted::of(icmp.body(), v6).filter(|_| mtu != 0) else { return };
        if self.interfaces.owns(punted, quoted.source) {
            let mtu = u16::try_from(mtu).unwrap_or(u16::MAX).max(SMALLEST[usize::from(v6)]);
            let (table, destination, spi) = (punted.table, quoted.destination, quoted.spi);
            turn.actions.push(Action::PathMtu { table, destination, spi, mtu });
        }
    }

    /// Changes the size of what an interface takes whole.
    pub fn set_mtu(&mut self, uidb: crate::uidb::UidbIndex, mtu: u16) {
        self.interfaces.set_mtu(uidb, mtu);
    }
}

/// The beginning of a packet that could not be forwarded. What follows is missing, so nothing here
/// can be checked against lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quoted {
    source: IpAddr,
    destination: IpAddr,
    spi: u32,
}

impl Quoted {
    fn of(bytes: &[u8], v6: bool) -> Option<Self> {
        let first = bytes.first()?;
        let (source, destination, next, upper): (IpAddr, IpAddr, u8, &[u8]) = if v6 {
            let header = bytes.first_chunk::<40>().filter(|_| first >> 4 == 6)?;
            let address = |at: usize| header[at..].first_chunk::<16>().copied().map(IpAddr::from);
            (address(8)?, address(24)?, header[6], &bytes[40..])
        } else {
            let header = bytes.first_chunk::<20>().filter(|_| first >> 4 == 4)?;
            let address = |at: usize| header[at..].first_chunk::<4>().copied().map(IpAddr::from);
            (address(12)?, address(16)?, header[9], bytes.get(usize::from(first & 15) * 4..)?)
        };
        let esp = match next {
            ESP => upper,
            protocol::UDP if upper.get(..2) == Some(&NAT_T) => upper.get(8..)?,
            _ => return None,
        };
        let spi = u32::from_be_bytes(*esp.first_chunk()?);
        // Behind port 4500 this is the mark of IKE (RFC 3948 §2.2).
        (spi != 0).then_some(Self { source, destination, spi })
    }
}
