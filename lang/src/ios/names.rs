//! Words that stand for numbers, as IOS names them.
//!
//! Each table may have several names for a number; [`name_of`] gives the first, which is the one
//! that is printed.

use qfp_core::wire::Family;

/// First name of a number in a table.
#[must_use]
pub fn name_of<T: PartialEq>(table: &[(&'static str, T)], number: T) -> Option<&'static str> {
    table.iter().find(|(_, value)| *value == number).map(|(name, _)| *name)
}

/// Values of the DSCP field. RFC 2474, RFC 2597, RFC 3246, RFC 5865.
pub const DSCP: &[(&str, u8)] = &[
    ("default", 0),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

/// Values of the precedence field. RFC 791 §3.1.
pub const PRECEDENCE: &[(&str, u8)] = &[
    ("routine", 0),
    ("priority", 1),
    ("immediate", 2),
    ("flash", 3),
    ("flash-override", 4),
    ("critical", 5),
    ("internet", 6),
    ("network", 7),
];

/// Values of the four type-of-service bits behind the precedence. RFC 1349 §4.
pub const TOS: &[(&str, u8)] = &[
    ("normal", 0),
    ("min-monetary-cost", 1),
    ("max-reliability", 2),
    ("max-throughput", 4),
    ("min-delay", 8),
];

/// IP protocol numbers of a list of either family, without those of ICMP.
pub const PROTOCOLS: &[(&str, u8)] = &[
    ("igmp", 2),
    ("ipinip", 4),
    ("tcp", 6),
    ("igrp", 9),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("ahp", 51),
    ("eigrp", 88),
    ("ospf", 89),
    ("nos", 94),
    ("pim", 103),
    ("pcp", 108),
    ("sctp", 132),
];

/// TCP ports.
pub const TCP_PORTS: &[(&str, u16)] = &[
    ("echo", 7),
    ("discard", 9),
    ("daytime", 13),
    ("chargen", 19),
    ("ftp-data", 20),
    ("ftp", 21),
    ("telnet", 23),
    ("smtp", 25),
    ("time", 37),
    ("whois", 43),
    ("tacacs", 49),
    ("domain", 53),
    ("gopher", 70),
    ("finger", 79),
    ("www", 80),
    ("hostname", 101),
    ("pop2", 109),
    ("pop3", 110),
    ("sunrpc", 111),
    ("ident", 113),
    ("nntp", 119),
    ("msrpc", 135),
    ("bgp", 179),
    ("irc", 194),
    ("pim-auto-rp", 496),
    ("exec", 512),
    ("login", 513),
    ("cmd", 514),
    ("syslog", 514),
    ("lpd", 515),
    ("talk", 517),
    ("uucp", 540),
    ("klogin", 543),
    ("kshell", 544),
    ("drip", 3949),
    ("onep-plain", 15001),
    ("connectedapps-plain", 15001),
    ("onep-tls", 15002),
    ("connectedapps-tls", 15002),
];

/// UDP ports.
pub const UDP_PORTS: &[(&str, u16)] = &[
    ("echo", 7),
    ("discard", 9),
    ("time", 37),
    ("nameserver", 42),
    ("tacacs", 49),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("sunrpc", 111),
    ("ntp", 123),
    ("netbios-ns", 137),
    ("netbios-dgm", 138),
    ("netbios-ss", 139),
    ("snmp", 161),
    ("snmptrap", 162),
    ("xdmcp", 177),
    ("dnsix", 195),
    ("mobile-ip", 434),
    ("pim-auto-rp", 496),
    ("isakmp", 500),
    ("biff", 512),
    ("who", 513),
    ("syslog", 514),
    ("talk", 517),
    ("rip", 520),
    ("ripv6", 521),
    ("non500-isakmp", 4500),
];

/// Ports that other systems have names for and IOS has not: to be read, not printed.
pub const OTHER_PORTS: &[(&str, u16)] = &[("ssh", 22), ("https", 443), ("ldp", 646)];

/// Messages of a family's ICMP: type, and code if the name has one.
#[must_use]
pub const fn icmp(family: Family) -> &'static [(&'static str, (u8, Option<u8>))] {
    match family {
        Family::V4 => ICMP,
        Family::V6 => ICMPV6,
    }
}

/// ICMP messages: type, and code where the name says one. RFC 792 and its successors.
const ICMP: &[(&str, (u8, Option<u8>))] = &[
    ("echo-reply", (0, None)),
    ("unreachable", (3, None)),
    ("net-unreachable", (3, Some(0))),
    ("host-unreachable", (3, Some(1))),
    ("protocol-unreachable", (3, Some(2))),
    ("port-unreachable", (3, Some(3))),
    ("packet-too-big", (3, Some(4))),
    ("source-route-failed", (3, Some(5))),
    ("network-unknown", (3, Some(6))),
    ("host-unknown", (3, Some(7))),
    ("host-isolated", (3, Some(8))),
    ("dod-net-prohibited", (3, Some(9))),
    ("dod-host-prohibited", (3, Some(10))),
    ("net-tos-unreachable", (3, Some(11))),
    ("host-tos-unreachable", (3, Some(12))),
    ("administratively-prohibited", (3, Some(13))),
    ("host-precedence-unreachable", (3, Some(14))),
    ("precedence-unreachable", (3, Some(15))),
    ("source-quench", (4, None)),
    ("redirect", (5, None)),
    ("net-redirect", (5, Some(0))),
    ("host-redirect", (5, Some(1))),
    ("net-tos-redirect", (5, Some(2))),
    ("host-tos-redirect", (5, Some(3))),
    ("alternate-address", (6, None)),
    ("echo", (8, None)),
    ("echo-request", (8, None)),
    ("router-advertisement", (9, None)),
    ("router-solicitation", (10, None)),
    ("time-exceeded", (11, None)),
    ("ttl-exceeded", (11, Some(0))),
    ("reassembly-timeout", (11, Some(1))),
    ("parameter-problem", (12, None)),
    ("general-parameter-problem", (12, Some(0))),
    ("option-missing", (12, Some(1))),
    ("no-room-for-option", (12, Some(2))),
    ("timestamp-request", (13, None)),
    ("timestamp-reply", (14, None)),
    ("information-request", (15, None)),
    ("information-reply", (16, None)),
    ("mask-request", (17, None)),
    ("mask-reply", (18, None)),
    ("traceroute", (30, None)),
    ("conversion-error", (31, None)),
    ("mobile-redirect", (32, None)),
];

/// ICMPv6 messages: type, and code where the name says one. RFC 4443, RFC 4861, RFC 2710 and
/// others.
const ICMPV6: &[(&str, (u8, Option<u8>))] = &[
    ("unreachable", (1, None)),
    ("no-route", (1, Some(0))),
    ("no-admin", (1, Some(1))),
    ("beyond-scope", (1, Some(2))),
    ("destination-unreachable", (1, Some(3))),
    ("port-unreachable", (1, Some(4))),
    ("packet-too-big", (2, None)),
    ("time-exceeded", (3, None)),
    ("hop-limit", (3, Some(0))),
    ("reassembly-timeout", (3, Some(1))),
    ("parameter-problem", (4, None)),
    ("header", (4, Some(0))),
    ("next-header", (4, Some(1))),
    ("parameter-option", (4, Some(2))),
    ("echo-request", (128, None)),
    ("echo", (128, None)),
    ("echo-reply", (129, None)),
    ("mld-query", (130, None)),
    ("mld-report", (131, None)),
    ("mld-reduction", (132, None)),
    ("router-solicitation", (133, None)),
    ("router-advertisement", (134, None)),
    ("nd-ns", (135, None)),
    ("nd-na", (136, None)),
    ("redirect", (137, None)),
    ("router-renumbering", (138, None)),
    ("renum-command", (138, Some(0))),
    ("renum-result", (138, Some(1))),
    ("renum-seq-number", (138, Some(255))),
    ("mldv2", (143, None)),
    ("dhaad-request", (144, None)),
    ("dhaad-reply", (145, None)),
    ("mpd-solicitation", (146, None)),
    ("mpd-advertisement", (147, None)),
];
