//! SPEC: how a port is named on the command line and in the configuration.
//!
//! ```text
//! pcap:rx=IN[,tx=OUT][,loop]     pcap:tx=OUT
//! synth[:size=64,flows=4096,dst=FILE,imix,zipf=1.0,seed=1,count=N,src=PREFIX,dmac=MAC,ipv6]
//! sink
//! tap:NAME[@NETNS][,persist][,peer=MAC]
//! packet:NAME[@NETNS]
//! dpdk:NAME                       everything behind the colon goes to DPDK as it is
//! ```
//!
//! Items are separated by commas, so a file name in a SPEC cannot contain one.

use std::fmt;
use std::str::FromStr;

use crate::packet_socket::{PacketPort, PacketSpec};
use crate::pcap::{PcapPort, PcapSpec};
use crate::port::{Port, PortError};
use crate::sink::SinkPort;
use crate::synth::{SynthPort, SynthSpec};
use crate::tap::{TapPort, TapSpec};

/// A parsed SPEC. `Display` gives a SPEC that parses to the same value.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// Capture files.
    Pcap(PcapSpec),
    /// Generated traffic.
    Synth(SynthSpec),
    /// Counts and discards.
    Sink,
    /// A Linux TAP device.
    Tap(TapSpec),
    /// An interface of the kernel's.
    Packet(PacketSpec),
    /// A DPDK device: PCI address or vdev name.
    Dpdk(String),
}

impl Spec {
    /// Reads `text`; the error repeats it and says what is wrong. Opens nothing.
    pub fn parse(text: &str) -> Result<Self, PortError> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "pcap" => PcapSpec::parse(rest).map(Self::Pcap),
            "synth" => SynthSpec::parse(rest).map(Self::Synth),
            "sink" if text == "sink" => Ok(Self::Sink),
            "sink" => Err("a sink has no options"),
            "tap" => TapSpec::parse(rest).map(Self::Tap),
            "packet" => PacketSpec::parse(rest).map(Self::Packet),
            "dpdk" if rest.is_empty() => Err("the device name is missing"),
            "dpdk" => Ok(Self::Dpdk(rest.to_owned())),
            _ => Err("unknown kind of port (known: pcap, synth, sink, tap, packet, dpdk)"),
        }
        .map_err(|reason| PortError::BadSpec { spec: text.to_owned(), reason })
    }

    /// Opens the port: files and devices are opened and checked, nothing moves yet.
    pub fn open(&self) -> Result<Box<dyn Port>, PortError> {
        match self {
            Self::Pcap(spec) => Ok(Box::new(PcapPort::open(spec)?)),
            Self::Synth(spec) => Ok(Box::new(SynthPort::open(spec)?)),
            Self::Sink => Ok(Box::new(SinkPort::new())),
            Self::Tap(spec) => Ok(Box::new(TapPort::open(spec)?)),
            Self::Packet(spec) => Ok(Box::new(PacketPort::open(spec)?)),
            #[cfg(feature = "dpdk")]
            Self::Dpdk(name) => Ok(Box::new(crate::dpdk::DpdkPort::open(name)?)),
            #[cfg(not(feature = "dpdk"))]
            Self::Dpdk(_) => Err(PortError::NotBuilt { spec: self.to_string(), feature: "dpdk" }),
        }
    }
}

impl FromStr for Spec {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        Self::parse(text)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pcap(spec) => spec.fmt(f),
            Self::Synth(spec) => spec.fmt(f),
            Self::Sink => f.write_str("sink"),
            Self::Tap(spec) => spec.fmt(f),
            Self::Packet(spec) => spec.fmt(f),
            Self::Dpdk(name) => write!(f, "dpdk:{name}"),
        }
    }
}

/// The items of a SPEC behind its kind: `key=value`, or `flag` without a value.
pub(crate) fn items(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split(',').filter(move |_| !text.is_empty()).map(|item| match item.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (item, None),
    })
}

/// Sets an option that may be given once.
pub(crate) fn once<T>(option: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err("an option is given twice"),
    }
}

/// The value as a `T`, or `reason`.
pub(crate) fn value<T: FromStr>(text: &str, reason: &'static str) -> Result<T, &'static str> {
    text.parse().map_err(|_| reason)
}

/// A unicast MAC address written as six hexadecimal bytes with colons.
pub(crate) fn unicast_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut bytes = text.split(':');
    for byte in &mut mac {
        let digits = bytes.next().filter(|b| matches!(b.len(), 1 | 2) && !b.starts_with('+'))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    (bytes.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

/// A MAC address, printed as six hexadecimal bytes with colons.
pub(crate) struct DisplayMac(pub(crate) [u8; 6]);

impl fmt::Display for DisplayMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &[&str] = &[
        "pcap:rx=in.pcap",
        "pcap:rx=in.pcap,tx=out.pcap",
        "pcap:rx=dir/in=1.pcap,loop",
        "pcap:tx=out.pcap",
        "synth:size=64,flows=4096,seed=1",
        "synth:imix,flows=10,dst=routes.txt.zst,zipf=1.25,seed=7,count=1000,src=10.1.0.0/16",
        "synth:size=66,flows=1,seed=1,dmac=02:00:00:00:00:09,ipv6",
        "sink",
        "tap:tap0",
        "tap:tap0,persist,peer=02:00:00:00:00:07",
        "tap:tap0@blue,persist",
        "packet:eth0",
        "packet:enp3s0.100@blue",
        "dpdk:net_pcap0,rx_pcap=x,infinite_rx=1",
        "dpdk:0000:3b:00.0",
    ];

    const BAD: &[&str] = &[
        "",
        "pcap",
        "pcap:",
        "pcap:in.pcap",
        "pcap:rx=",
        "pcap:rx",
        "pcap:loop",
        "pcap:tx=x,loop",
        "pcap:rx=a,rx=b",
        "pcap:rx=a,,tx=b",
        "pcap:rx=a,loop=1",
        "pcap:rx=same,tx=same",
        "synth:size=63",
        "synth:size=9019",
        "synth:size=x",
        "synth:size",
        "synth:flows=0",
        "synth:flows=-1",
        "synth:imix,size=64",
        "synth:imix=1",
        "synth:zipf=nan",
        "synth:zipf=-1",
        "synth:count=1.5",
        "synth:src=10.0.0.0",
        "synth:src=fd00::/8",
        "synth:src=10.0.0.0/8,ipv6",
        "synth:dmac=01:00:5e:00:00:01",
        "synth:dmac=1:2:3:4:5",
        "synth:speed=9",
        "sink:",
        "sink:x",
        "tap",
        "tap:",
        "tap:a/b",
        "tap:t0@",
        "tap:t0@a/b",
        "tap:t%d",
        "tap:t0,",
        "tap:0123456789abcdef",
        "tap:t0,keep",
        "packet",
        "packet:",
        "packet:a/b",
        "packet:e%d",
        "packet:..",
        "packet:eth0@",
        "packet:eth0,",
        "packet:eth0,persist",
        "packet:0123456789abcdef",
        "dpdk:",
        "eth0",
    ];

    #[test]
    fn a_good_spec_prints_as_it_was_written() {
        for text in GOOD {
            assert_eq!(Spec::parse(text).unwrap().to_string(), *text);
        }
    }

    #[test]
    fn the_shortest_generator_has_the_documented_defaults() {
        let spec = Spec::parse("synth").unwrap();
        assert_eq!(spec.to_string(), "synth:size=64,flows=4096,seed=1");
    }

    #[test]
    fn a_bad_spec_is_repeated_with_a_reason() {
        for text in BAD {
            match Spec::parse(text) {
                Err(PortError::BadSpec { spec, reason }) => {
                    assert_eq!(spec, *text);
                    assert!(!reason.is_empty());
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[cfg(not(feature = "dpdk"))]
    #[test]
    fn a_dpdk_port_names_the_missing_feature() {
        let Err(error) = Spec::parse("dpdk:net_null0").unwrap().open() else { panic!("opened") };
        assert!(error.to_string().contains("--features dpdk"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused_and_what_parses_prints_back(
            text in "(pcap|synth|sink|tap|packet|dpdk)?:?([a-z]{0,5}=?[0-9a-f:./]{0,6},?){0,4}"
        ) {
            if let Ok(spec) = Spec::parse(&text) {
                prop_assert_eq!(Spec::parse(&spec.to_string()).unwrap(), spec);
            }
        }
    }
}
