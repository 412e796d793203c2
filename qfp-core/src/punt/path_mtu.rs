//! Messages that say a packet of ours was too large for some link on its way (RFC 1191, RFC 8201).
//!
//! What the router puts into tunnels is the client's business: the tunnel is to be made smaller (RFC
//! 4301 §8.2). What the slow path sends itself is cut to the size of its path from then on. Anybody
//! can send such a message: what it names must have an own address as source, and no path is
//! believed to be smaller than every path must be.

mod cache;

use std::net::IpAddr;

use super::{Action, SlowPath, Turn};
use crate::packet::PuntedPacket;
use crate::wire::{Icmp, protocol};

pub(super) use cache::PathMtus;

/// Protocol number of ESP.
const ESP: u8 = 50;
/// Port of encapsulated ESP (RFC 3948 §2.1).
const NAT_T: [u8; 2] = 4500u16.to_be_bytes();
/// What no path is smaller than: hosts take as much (RFC 1122 3.3.3), links must (RFC 8200 5).
const SMALLEST: [u16; 2] = [576, 1280];

impl SlowPath {
    /// Takes in what an ICMP error says about a path.
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
        if !self.interfaces.owns(punted, quoted.source) {
            return;
        }
        let smallest = SMALLEST[usize::from(v6)];
        let said = u16::try_from(mtu).unwrap_or(u16::MAX);
        let (table, destination, mtu) = (punted.table, quoted.destination, said.max(smallest));
        match quoted.carries {
            Carries::Esp(spi) => {
                turn.actions.push(Action::PathMtu { table, destination, spi, mtu });
            }
            // A size that no link has is not to be believed at all (RFC 8201 4).
            Carries::Other if !v6 || said >= smallest => {
                self.path_mtus.narrow(turn.now, (table, destination), mtu);
                self.counters.path_mtus_heeded += 1;
            }
            Carries::Other | Carries::Nothing => {}
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
    carries: Carries,
}

/// What is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carries {
    /// ESP of this SPI, in UDP or not.
    Esp(u32),
    /// Something that may be in UDP encapsulation, of which not enough is quoted; or IKE.
    Nothing,
    /// What is neither.
    Other,
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
            ESP => Some(upper),
            protocol::UDP if upper.get(..2) == Some(&NAT_T) => upper.get(8..),
            _ => return Some(Self { source, destination, carries: Carries::Other }),
        };
        let spi = esp.and_then(|esp| esp.first_chunk()).map(|spi| u32::from_be_bytes(*spi));
        // Behind port 4500 no SPI is the mark of IKE (RFC 3948 §2.2).
        let carries = spi.filter(|spi| *spi != 0).map_or(Carries::Nothing, Carries::Esp);
        Some(Self { source, destination, carries })
    }
}
