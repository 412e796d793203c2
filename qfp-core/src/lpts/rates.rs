//! How many packets a second the slow path takes, by type of flow.
//!
//! The numbers of flows to the router itself are the defaults that Cisco publishes for the NCS 5500
//! with IOS XR 7.2.1, as `show lpts pifib hardware police` prints them: packets a second and burst
//! in packets, a policer of its own for each type and network processor. Those of what is punted
//! for other causes are this project's. Other platforms have others, so they are data.

use super::FlowType;
use crate::punt::Rate;

/// A row: type, packets a second, burst in packets.
pub(super) type Row = (FlowType, u32, u32);

/// All types, in their order.
pub(super) const DEFAULTS: [Row; FlowType::COUNT] = [
    (FlowType::Fragment, 1000, 98),
    (FlowType::OspfMcKnown, 2000, 2000),
    (FlowType::OspfMcDefault, 100, 8),
    (FlowType::OspfUcKnown, 2000, 2000),
    (FlowType::OspfUcDefault, 100, 8),
    (FlowType::IsisKnown, 2000, 2000),
    (FlowType::IsisDefault, 100, 8),
    (FlowType::BgpKnown, 2500, 2975),
    (FlowType::BgpCfgPeer, 2000, 2000),
    (FlowType::BgpDefault, 100, 8),
    (FlowType::PimMcastKnown, 2100, 2078),
    (FlowType::PimMcastDefault, 100, 8),
    (FlowType::PimUcast, 1000, 500),
    (FlowType::Igmp, 2000, 2000),
    (FlowType::IcmpLocal, 2500, 250),
    (FlowType::IcmpControl, 2500, 250),
    (FlowType::IcmpDefault, 1000, 98),
    (FlowType::IcmpAppDefault, 2500, 250),
    (FlowType::LdpTcpKnown, 2500, 3104),
    (FlowType::LdpTcpCfgPeer, 2000, 2000),
    (FlowType::LdpTcpDefault, 100, 8),
    (FlowType::LdpUdp, 2000, 2000),
    (FlowType::AllRouters, 1000, 500),
    (FlowType::RsvpKnown, 2500, 2975),
    (FlowType::RsvpDefault, 100, 8),
    (FlowType::Snmp, 2000, 197),
    (FlowType::SshKnown, 1000, 98),
    (FlowType::SshDefault, 100, 8),
    (FlowType::HttpKnown, 1000, 98),
    (FlowType::HttpDefault, 1000, 98),
    (FlowType::ShttpKnown, 1000, 98),
    (FlowType::ShttpDefault, 1000, 98),
    (FlowType::TelnetKnown, 1000, 98),
    (FlowType::TelnetDefault, 100, 8),
    (FlowType::UdpKnown, 25000, 2494),
    (FlowType::UdpListen, 4000, 398),
    (FlowType::UdpDefault, 100, 8),
    (FlowType::TcpKnown, 25000, 2494),
    (FlowType::TcpListen, 25000, 2494),
    (FlowType::TcpDefault, 100, 8),
    (FlowType::RawDefault, 250, 23),
    (FlowType::IpSla, 1000, 98),
    (FlowType::Eigrp, 1500, 1119),
    (FlowType::Pcep, 100, 18),
    (FlowType::Gre, 150, 8),
    (FlowType::Vrrp, 1000, 1000),
    (FlowType::Hsrp, 400, 158),
    (FlowType::MplsOam, 250, 31),
    (FlowType::Dns, 500, 49),
    (FlowType::Radius, 7000, 4158),
    (FlowType::Tacacs, 500, 49),
    (FlowType::NtpKnown, 500, 49),
    (FlowType::NtpDefault, 100, 8),
    (FlowType::Dhcpv4, 4000, 398),
    (FlowType::Dhcpv6, 4000, 398),
    (FlowType::Tpa, 2000, 2000),
    (FlowType::PmTwamp, 8000, 799),
    (FlowType::ArpKnown, 2000, 1000),
    (FlowType::ArpForUs, 2000, 500),
    (FlowType::ArpOther, 1000, 250),
    (FlowType::NdKnown, 2500, 1000),
    (FlowType::Glean, 10_000, 1000),
    (FlowType::TtlExceeded, 10_000, 1000),
    (FlowType::MtuExceeded, 10_000, 1000),
    (FlowType::Ipv4Options, 10_000, 1000),
    (FlowType::Ipv6Options, 10_000, 1000),
    (FlowType::Unreachable, 1000, 256),
    (FlowType::Feature, 10_000, 1000),
];

/// What each input interface may send of a type however many others send, at least.
pub(super) const FLOOR: Rate = Rate { per_second: 10, burst: 8 };

/// Packets a second and burst of each type, of all together, and the least share of an interface.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LptsRates {
    #[serde(with = "crate::named::array")]
    types: [Rate; FlowType::COUNT],
    total: Option<Rate>,
    floor: Rate,
}

/// Why a rate cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LptsRateError {
    /// More than a clock in nanoseconds can tell apart.
    #[error("a rate of {0} packets a second is above {max}", max = LptsRates::MAX_RATE)]
    Rate(u64),
    /// No packet ever conforms to a burst of none, and a burst of a million is none.
    #[error("a burst of {0} packets is not between 1 and {max}", max = LptsRates::MAX_BURST)]
    Burst(u64),
}

impl Default for LptsRates {
    /// The defaults above, and no limit for all together.
    fn default() -> Self {
        let rate = |(_, per_second, burst): Row| Rate { per_second, burst };
        Self { types: DEFAULTS.map(rate), total: None, floor: FLOOR }
    }
}

impl LptsRates {
    /// Highest rate, packets a second.
    pub const MAX_RATE: u64 = 1_000_000_000;
    /// Longest burst, packets.
    pub const MAX_BURST: u64 = 1_000_000;

    /// Lets `rate` packets a second of a type pass, and `burst` at once; rate 0 lets none pass.
    ///
    /// # Errors
    /// Rate or burst is out of range.
    pub fn set(&mut self, flow: FlowType, rate: u64, burst: u64) -> Result<(), LptsRateError> {
        self.types[flow as usize] = checked(rate, burst)?;
        Ok(())
    }

    /// Lets `rate` packets a second of all types together pass, and `burst` at once.
    ///
    /// # Errors
    /// Rate or burst is out of range.
    pub fn set_total(&mut self, rate: u64, burst: u64) -> Result<(), LptsRateError> {
        self.total = Some(checked(rate, burst)?);
        Ok(())
    }

    /// Guarantees each input interface `rate` packets a second of each type, and `burst` at once,
    /// but never more than the type has.
    ///
    /// # Errors
    /// Rate or burst is out of range.
    pub fn set_floor(&mut self, rate: u64, burst: u64) -> Result<(), LptsRateError> {
        self.floor = checked(rate, burst)?;
        Ok(())
    }

    /// What a type may have.
    #[must_use]
    pub const fn of(&self, flow: FlowType) -> Rate {
        self.types[flow as usize]
    }

    /// What all types together may have; none without a limit.
    #[must_use]
    pub const fn total(&self) -> Option<Rate> {
        self.total
    }

    /// The least share of an interface.
    #[must_use]
    pub const fn floor(&self) -> Rate {
        self.floor
    }
}

fn checked(rate: u64, burst: u64) -> Result<Rate, LptsRateError> {
    let in_range = rate <= LptsRates::MAX_RATE;
    let per_second = u32::try_from(rate).ok().filter(|_| in_range);
    let per_second = per_second.ok_or(LptsRateError::Rate(rate))?;
    if per_second == 0 {
        return Ok(Rate { per_second, burst: 0 });
    }
    let in_range = (1..=LptsRates::MAX_BURST).contains(&burst);
    let valid = u32::try_from(burst).ok().filter(|_| in_range);
    Ok(Rate { per_second, burst: valid.ok_or(LptsRateError::Burst(burst))? })
}
