//! ARP (RFC 826), with probes and conflicts as in RFC 5227.

use std::net::{IpAddr, Ipv4Addr};

use super::counters::{Done, Fate, SlowDrop};
use super::neighbour::{Heard, Mac};
use super::{SlowPath, Turn, frame, is_station, network};
use crate::packet::PuntedPacket;
use crate::uidb::UidbIndex;
use crate::wire::{Arp, ArpOperation, ethertype};

impl SlowPath {
    pub(super) fn arp(&mut self, turn: &mut Turn<'_>, punted: &PuntedPacket) -> Fate {
        let link = self.interfaces.get(punted.input).ok_or(SlowDrop::NoInterface)?;
        let arp = Arp::parse(network(punted)).map_err(|_| SlowDrop::Malformed)?;
        let mac = arp.sender_mac();
        if !is_station(mac) {
            return Err(SlowDrop::Malformed);
        }
        if !frame::is_for(link, punted) {
            return Err(SlowDrop::OtherStation);
        }
        if mac == link.mac {
            return Err(SlowDrop::LoopedBack);
        }
        let sender = IpAddr::V4(arp.sender_ip());
        if link.has_address(sender) {
            self.counters.address_conflicts += 1;
            return Err(SlowDrop::AddressConflict);
        }
        let operation = arp.operation();
        if matches!(operation, ArpOperation::Unknown(_)) {
            return Err(SlowDrop::Malformed);
        }
        let for_us = link.has_address(IpAddr::V4(arp.target_ip()));
        let reply = (operation == ArpOperation::Request && for_us).then(|| {
            let message = message(2, (link.mac, arp.target_ip()), (mac, arp.sender_ip()));
            frame::ethernet(link, mac, ethertype::ARP, &message)
        });
        // A probe has no sender address yet (RFC 5227 1.1): it is answered, but nothing learnt.
        let mut known = false;
        if !arp.sender_ip().is_unspecified() {
            if !link.is_on_link(sender) {
                return Err(SlowDrop::NotOnLink);
            }
            // Who asks for us will be spoken to; an answer that nobody waits for is worth nothing.
            let create = for_us && operation == ArpOperation::Request;
            let heard = Heard { mac: Some(mac), create, replace: true, confirms: for_us };
            known = self.hear(turn, (link.uidb, sender), heard);
        }
        if let Some(reply) = reply {
            turn.transmit(punted.input, &reply)?;
            self.counters.arp_replies += 1;
            return Ok(Done::Answered);
        }
        if known { Ok(Done::Consumed) } else { Err(SlowDrop::NotForUs) }
    }

    /// Asks for `address`: everybody, or only who had it last.
    pub(super) fn request(
        &mut self,
        turn: &mut Turn<'_>,
        uidb: UidbIndex,
        address: Ipv4Addr,
        mac: Option<Mac>,
    ) -> Result<(), SlowDrop> {
        let link = self.interfaces.get(uidb).ok_or(SlowDrop::NoInterface)?;
        let Some(IpAddr::V4(source)) = link.asking_source(IpAddr::V4(address)) else {
            return Err(SlowDrop::NoAddress);
        };
        let message = message(1, (link.mac, source), ([0; 6], address));
        let request = frame::ethernet(link, mac.unwrap_or([0xff; 6]), ethertype::ARP, &message);
        turn.transmit(uidb, &request)?;
        self.counters.arp_requests += 1;
        Ok(())
    }
}

fn message(operation: u8, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, operation];
    for (mac, address) in [sender, target] {
        message.extend_from_slice(&mac);
        message.extend_from_slice(&address.octets());
    }
    message
}
