//! Configurations that the operator chooses from.

use std::collections::BTreeMap;
use std::fmt::Write;

use qfp::client::config::{Config, ConfigError};
use rand::Rng;
use rand::rngs::SmallRng;

use crate::model::{Hop, Prefix, Routes};

/// What may differ between configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The route of 20.0.0.0/13. There is none of 0.0.0.0/0, which would be written 2^24 times.
    pub(crate) most: Hop,
    /// Routes of 20.1.0.0/16.
    pub(crate) special: Vec<Hop>,
    /// Whether the list denies each of two ports.
    pub(crate) denied: [bool; 2],
    /// Last byte of the right neighbour's MAC address.
    pub(crate) right: u8,
    /// Last byte of the left port's address.
    pub(crate) left: u8,
    pub(crate) strict: bool,
    pub(crate) marks: bool,
}

/// The ports that lists deny.
pub(crate) const DENIABLE: [u16; 2] = [9, 10];

impl Choice {
    pub(crate) const BASE: Self = Self {
        most: Hop::Left,
        special: Vec::new(),
        denied: [false; 2],
        right: 1,
        left: 1,
        strict: false,
        marks: false,
    };

    pub(crate) fn random(random: &mut SmallRng) -> Self {
        let special = (0..random.random_range(0..3)).map(|_| Hop::gateway(random)).collect();
        let mut choice = Self {
            most: Hop::random(random),
            special,
            denied: [random.random_bool(0.5), random.random_bool(0.5)],
            right: random.random_range(1..4),
            left: random.random_range(1..3),
            strict: random.random_bool(0.2),
            marks: random.random_bool(0.3),
        };
        choice.special.dedup();
        choice
    }

    /// The routes that it says.
    pub(crate) fn routes(&self) -> Routes {
        let mut routes: Routes = BTreeMap::from([
            (Prefix::new([50, 0, 0, 0], 16), vec![Hop::Left]),
            (Prefix::new([51, 0, 0, 0], 16), vec![Hop::Right]),
            (Prefix::new([20, 0, 0, 0], 13), vec![self.most]),
        ]);
        if !self.special.is_empty() {
            routes.insert(Prefix::new([20, 1, 0, 0], 16), self.special.clone());
        }
        routes
    }

    fn text(&self) -> String {
        let Self { right, left, .. } = self;
        let mut filter = String::from("ip access-list extended FILTER\n");
        for (n, port) in DENIABLE.iter().enumerate() {
            let verb = if self.denied[n] { "deny" } else { "permit" };
            // A string takes everything.
            let _ = writeln!(filter, " {} {verb} udp any any eq {port}", 10 * (n + 1));
        }
        let urpf = if self.strict { "urpf = \"strict\"\n" } else { "" };
        let service = if self.marks { "service_policy_in = \"MARK\"\n" } else { "" };
        let mut text = format!(
            "[[port]]\nname = \"in\"\nmac = \"02:00:00:00:01:01\"\naddress = [\"10.1.0.1/24\"]\n\
             acl_in = \"FILTER\"\n{urpf}{service}\
             [[port]]\nname = \"left\"\nmac = \"02:00:00:00:02:01\"\naddress = [\"10.2.0.{left}/24\"]\n\
             acl_out = \"KEEP\"\n\
             [[port]]\nname = \"right\"\nmac = \"02:00:00:00:03:01\"\naddress = [\"10.3.0.1/24\"]\n\
             [[acl]]\ntext = '''\n{filter} 100 permit ip any any\nip access-list extended KEEP\n \
             permit udp any any\n permit ip any any\n'''\n\
             [qos]\ntext = '''\npolicy-map MARK\n class class-default\n  set ip dscp ef\n'''\n\
             [[neighbor]]\naddress = \"10.1.0.2\"\nmac = \"02:00:00:00:01:02\"\n\
             [[neighbor]]\naddress = \"10.2.0.200\"\nmac = \"02:00:00:00:02:02\"\n\
             [[neighbor]]\naddress = \"10.3.0.200\"\nmac = \"02:00:00:00:03:0{right}\"\n"
        );
        for (prefix, hops) in self.routes() {
            for hop in hops {
                let way = hop.address().map_or_else(
                    || "drop = true".to_owned(),
                    |address| format!("via = \"{address}\""),
                );
                let _ = writeln!(text, "[[route]]\nprefix = \"{prefix}\"\n{way}");
            }
        }
        text
    }

    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        Config::parse(&self.text(), "chosen.toml")
    }

    /// One that is refused, by who checks it or by who puts it in force.
    pub(crate) fn refused(&self, random: &mut SmallRng) -> Result<Config, ConfigError> {
        let wrong = [
            ("10.2.0.200\"\nmac", "10.9.0.200\"\nmac"),
            ("acl_in = \"FILTER\"", "acl_in = \"OTHER\""),
            ("name = \"right\"\n", "name = \"right\"\nacl_out = \"NONE\"\n"),
        ];
        let (old, new) = wrong[random.random_range(0..wrong.len())];
        Config::parse(&self.text().replacen(old, new, 1), "refused.toml")
    }
}
