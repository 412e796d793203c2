//! A packet as class maps see it, what they say of it one by one, and its key.

use proptest::prelude::*;
use qfp_core::acl::key::{
    NO_TAG, WORDS4, condition, destination_mac_word, length_word, link, link_word, source_mac_word,
    transport_word,
};
use qfp_core::qos::police::Colour;

use super::*;
use crate::acl::{Action, Document, Family, PlainAce};
use crate::mac::MacAddr;

/// A tag: its VLAN, class of service and drop eligible indicator.
pub(super) type Tag = (u16, u8, bool);

/// What a packet is classified by.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) v6: bool,
    pub(super) source: u128,
    pub(super) destination: u128,
    pub(super) protocol: u8,
    pub(super) traffic_class: u8,
    pub(super) length: u16,
    pub(super) outer: Option<Tag>,
    pub(super) inner: Option<Tag>,
    pub(super) exp: Option<u8>,
    pub(super) qos_group: u16,
    pub(super) discard_class: u8,
    pub(super) source_mac: MacAddr,
    pub(super) destination_mac: MacAddr,
}

pub(super) fn header() -> impl Strategy<Value = Header> {
    let tag = || proptest::option::of((1..=4094_u16, 0..8_u8, any::<bool>()));
    let mac = || (0..4_u8).prop_map(|last| MacAddr([2, 0, 0, 0, 0, last]));
    let address = || 0..6_u128;
    let network = (any::<bool>(), address(), address(), any::<u8>(), any::<u8>(), 0..4000_u16);
    let link = (tag(), tag(), proptest::option::of(0..8_u8), mac(), mac());
    (network, link, 0..512_u16, 0..8_u8).prop_map(|(network, link, qos_group, discard_class)| {
        let (v6, source, destination, protocol, traffic_class, length) = network;
        let (outer, inner, exp, source_mac, destination_mac) = link;
        let inner = inner.filter(|_| outer.is_some());
        Header {
            v6,
            source,
            destination,
            protocol,
            traffic_class,
            length,
            outer,
            inner,
            exp,
            qos_group,
            discard_class,
            source_mac,
            destination_mac,
        }
    })
}

impl Header {
    pub(super) fn family(&self) -> Family {
        if self.v6 { Family::V6 } else { Family::V4 }
    }

    /// The key of a classifier, as its layout is documented.
    pub(super) fn key<const W: usize>(&self) -> [u64; W] {
        let low = |value: u128| u64::try_from(value).unwrap();
        let mut key = [0; W];
        if W == WORDS4 {
            key[0] = low(self.source) << 32 | low(self.destination);
        } else {
            (key[1], key[3]) = (low(self.source), low(self.destination));
        }
        let flags = condition::DONT_FRAGMENT;
        key[transport_word(W)] =
            u64::from(self.protocol) << 24 | u64::from(self.traffic_class) << 8 | u64::from(flags);
        key[length_word(W)] = u64::from(self.length) << 48 | 64 << 32;
        let (outer, cos, dei) = self.outer.unwrap_or((NO_TAG, 0, false));
        let (inner, inner_cos, _) = self.inner.unwrap_or((NO_TAG, 0, false));
        let bit = |set: bool, at: u32| u64::from(set) << at;
        key[link_word(W)] = u64::from(outer) << 48
            | u64::from(inner) << 32
            | u64::from(cos) << link::COS
            | u64::from(inner_cos) << link::INNER_COS
            | u64::from(self.exp.unwrap_or(0)) << link::EXP
            | bit(self.exp.is_some(), link::LABELLED)
            | bit(dei, link::DEI)
            | u64::from(self.discard_class) << link::DISCARD_CLASS
            | bit(self.outer.is_some(), link::TAGGED)
            | bit(self.inner.is_some(), link::INNER_TAGGED)
            | u64::from(self.qos_group) << link::QOS_GROUP;
        let mac = |mac: MacAddr| mac.0.iter().fold(0, |all, octet| all << 8 | u64::from(*octet));
        key[destination_mac_word(W)] = mac(self.destination_mac) << 16 | 0x0800;
        key[source_mac_word(W)] = mac(self.source_mac) << 16;
        key
    }

    /// Whether an access list permits it: by its addresses and protocol, which is all that the
    /// lists of these tests look at.
    fn permitted(&self, lists: &Document, ip: Ip, list: &Name) -> bool {
        let family = self.family();
        let list = lists.list(family, list.as_str()).filter(|_| ip.has(family));
        let Some(list) = list else { return false };
        let aces = list.resolved(&lists.objects, 1000).unwrap();
        let first = aces.iter().chain(&list.implicit()).find(|ace| self.met(ace)).cloned();
        first.is_some_and(|ace| ace.action == Action::Permit)
    }

    fn met(&self, ace: &PlainAce) -> bool {
        if ace.options.icmp.is_some() || ace.protocol.is_some_and(|own| own != self.protocol) {
            return false;
        }
        [(ace.source, self.source), (ace.destination, self.destination)].iter().all(|(is, own)| {
            match self.family() {
                Family::V4 => is
                    .v4()
                    .is_some_and(|bits| *own & u128::from(bits.mask()) == u128::from(bits.value())),
                Family::V6 => is.v6().is_some_and(|bits| own & bits.mask() == bits.value()),
            }
        })
    }

    /// Whether a match holds.
    fn has(&self, is: &Match, policies: &Policies, lists: &Document) -> bool {
        let of = |field: Option<u16>, numbers: &Numbers| {
            field.is_some_and(|field| numbers.contains(field))
        };
        match is {
            Match::Any => true,
            Match::AccessGroup(ip, list) => self.permitted(lists, *ip, list),
            Match::Dscp(ip, numbers) => {
                ip.has(self.family()) && numbers.contains((self.traffic_class >> 2).into())
            }
            Match::Precedence(ip, numbers) => {
                ip.has(self.family()) && numbers.contains((self.traffic_class >> 5).into())
            }
            Match::Cos(numbers) => of(self.outer.map(|tag| tag.1.into()), numbers),
            Match::InnerCos(numbers) => of(self.inner.map(|tag| tag.1.into()), numbers),
            Match::Dei(set) => self.outer.is_some_and(|tag| tag.2 == *set),
            Match::Vlan(numbers) => of(self.outer.map(|tag| tag.0), numbers),
            Match::InnerVlan(numbers) => of(self.inner.map(|tag| tag.0), numbers),
            Match::TopmostExp(numbers) => of(self.exp.map(u16::from), numbers),
            Match::QosGroup(numbers) => numbers.contains(self.qos_group),
            Match::DiscardClass(numbers) => numbers.contains(self.discard_class.into()),
            Match::Protocol(numbers) => numbers.contains(self.protocol.into()),
            Match::Version(family) => *family == self.family(),
            Match::SourceMac(mac) => *mac == self.source_mac,
            Match::DestinationMac(mac) => *mac == self.destination_mac,
            Match::PacketLength(length) => length.contains(&self.length),
            Match::Class(name) => self.is_in(name.as_str(), policies, lists),
        }
    }

    /// Whether it is in a class.
    pub(super) fn is_in(&self, class: &str, policies: &Policies, lists: &Document) -> bool {
        let class = policies.class(class).unwrap();
        let mut each =
            class.matches.iter().map(|one| self.has(&one.is, policies, lists) != one.not);
        match class.logic {
            _ if class.matches.is_empty() => false,
            Logic::Any => each.any(|met| met),
            Logic::All => each.all(|met| met),
        }
    }

    /// The classes that it is in, from the topmost policy down, and its colours there.
    pub(super) fn path<'a>(
        &self,
        policy: &str,
        policies: &'a Policies,
        lists: &Document,
    ) -> Vec<(&'a str, Colour)> {
        let mut classes = policies.policy(policy).unwrap().all();
        let own = |class: &str| class == CLASS_DEFAULT || self.is_in(class, policies, lists);
        let (class, actions) = classes.find(|(class, _)| own(class)).unwrap();
        let colours = actions.police.as_ref().and_then(|police| police.colours.as_ref());
        let colour = match colours {
            None => Colour::Green,
            Some(colours) if own(colours.conform.as_str()) => Colour::Green,
            Some(ColourClasses { exceed: None, .. }) => Colour::Yellow,
            Some(ColourClasses { exceed: Some(class), .. }) if own(class.as_str()) => {
                Colour::Yellow
            }
            Some(_) => Colour::Red,
        };
        let mut path = vec![(class, colour)];
        if let Some(child) = &actions.child {
            path.extend(self.path(child.as_str(), policies, lists));
        }
        path
    }
}
