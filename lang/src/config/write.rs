use std::fmt::{self, Display, Formatter};

use ipnet::IpNet;

use super::ipsec::write_ipsec;
use super::lpts::write_lpts;
use super::{Config, Layer3, Neighbour, Port, Punt, Qos, Route, Target, Urpf, Vlan};
use crate::mqc::Policies;

/// TOML that reads back as the same configuration: everything in one text, access lists and route
/// maps that came from files of their own as well, but for keys of SAs, of which it names the place.
impl Display for Config {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut separate = |f: &mut Formatter<'_>| {
            let text = std::mem::replace(&mut separator, "\n");
            f.write_str(text)
        };
        for port in &self.ports {
            separate(f)?;
            write_port(f, port)?;
        }
        if let Some(discover) = &self.discover {
            separate(f)?;
            write!(f, "{discover}")?;
        }
        if self.access_lists.objects.iter().next().is_some() {
            separate(f)?;
            writeln!(f, "[[acl]]")?;
            write_text(f, "text", &self.access_lists.objects.to_string())?;
        }
        for list in self.access_lists.lists() {
            separate(f)?;
            writeln!(f, "[[acl]]")?;
            write_text(f, "name", list.name().as_str())?;
            write_text(f, "text", &list.to_string())?;
        }
        for map in self.route_maps.iter().filter(|map| map.entries().next().is_some()) {
            separate(f)?;
            writeln!(f, "[[route_map]]")?;
            write_text(f, "text", &map.to_string())?;
        }
        if self.qos != Qos::default() || self.policies != Policies::default() {
            separate(f)?;
            writeln!(f, "[qos]")?;
            write_text(f, "accounting", &super::qos::accounting_word(self.qos.accounting))?;
            write_text(f, "granularity", super::qos::granularity_word(self.qos.granularity))?;
            if self.policies != Policies::default() {
                write_text(f, "text", &self.policies.to_string())?;
            }
        }
        if self.punt != Punt::default() {
            separate(f)?;
            writeln!(f, "[punt]\nrecord_route = {}", self.punt.record_route)?;
        }
        write_ipsec(f, &self.ipsec, &mut separate)?;
        write_lpts(f, self, &mut separate)?;
        for route in &self.routes {
            separate(f)?;
            write_route(f, route)?;
        }
        if self.neighbour_limits != super::NeighbourLimits::default() {
            separate(f)?;
            write!(f, "{}", self.neighbour_limits)?;
        }
        for neighbour in &self.neighbours {
            separate(f)?;
            write_neighbour(f, neighbour)?;
        }
        Ok(())
    }
}

fn write_port(f: &mut Formatter<'_>, port: &Port) -> fmt::Result {
    writeln!(f, "[[port]]")?;
    write_text(f, "name", &port.name)?;
    if let Some(device) = &port.device {
        write_text(f, "device", device)?;
    }
    if let Some(mac) = port.mac {
        write_text(f, "mac", &mac.to_string())?;
    }
    writeln!(f, "mtu = {}", port.mtu)?;
    if port.promiscuous {
        writeln!(f, "promiscuous = true")?;
    }
    if let Some(filter) = port.mac_filter {
        writeln!(f, "mac_filter = {filter}")?;
    }
    if port.shutdown {
        writeln!(f, "shutdown = true")?;
    }
    write_layer3(f, &port.layer3)?;
    if let Some(speed) = port.speed {
        write_text(f, "speed", &speed.get().to_string())?;
    }
    port.vlans.iter().try_for_each(|vlan| write_vlan(f, vlan))
}

fn write_vlan(f: &mut Formatter<'_>, vlan: &Vlan) -> fmt::Result {
    writeln!(f, "\n[[port.vlan]]")?;
    writeln!(f, "id = {}", vlan.id)?;
    if let Some(inner) = vlan.inner {
        writeln!(f, "inner = {inner}")?;
    }
    write_text(f, "tpid", vlan.tpid.name())?;
    write_text(f, "name", &vlan.name)?;
    if let Some(mtu) = vlan.mtu {
        writeln!(f, "mtu = {mtu}")?;
    }
    write_layer3(f, &vlan.layer3)
}

pub(super) fn write_layer3(f: &mut Formatter<'_>, layer3: &Layer3) -> fmt::Result {
    write_addresses(f, &layer3.addresses)?;
    layer3.vrf.iter().try_for_each(|vrf| write_text(f, "vrf", vrf))?;
    if let Some(Urpf { strict, allow_default }) = layer3.urpf {
        writeln!(f, "urpf = \"{}\"", if strict { "strict" } else { "loose" })?;
        if allow_default {
            writeln!(f, "urpf_allow_default = true")?;
        }
    }
    if layer3.pass_tiny_fragments {
        writeln!(f, "pass_tiny_fragments = true")?;
    }
    if layer3.allow_own_source {
        writeln!(f, "allow_own_source = true")?;
    }
    write_names(f, "acl_in", &layer3.acl_in)?;
    write_names(f, "acl_out", &layer3.acl_out)?;
    for (key, name) in [
        ("policy_route", &layer3.policy_route),
        ("service_policy_in", &layer3.service_policy_in),
        ("service_policy_out", &layer3.service_policy_out),
    ] {
        name.iter().try_for_each(|name| write_text(f, key, name))?;
    }
    Ok(())
}

pub(super) fn write_names(f: &mut Formatter<'_>, key: &str, names: &[String]) -> fmt::Result {
    match names {
        [] => Ok(()),
        [name] => write_text(f, key, name),
        _ => writeln!(f, "{key} = {}", toml::Value::from(names.to_vec())),
    }
}

fn write_route(f: &mut Formatter<'_>, route: &Route) -> fmt::Result {
    writeln!(f, "[[route]]\nprefix = \"{}\"", route.prefix)?;
    route.vrf.iter().try_for_each(|vrf| write_text(f, "vrf", vrf))?;
    match &route.target {
        Target::Via { address, dev } => {
            writeln!(f, "via = \"{address}\"")?;
            if let Some(dev) = dev {
                write_text(f, "dev", dev)?;
            }
        }
        Target::Dev(dev) => write_text(f, "dev", dev)?,
        Target::Drop => return writeln!(f, "drop = true"),
    }
    if route.weight != 1 {
        writeln!(f, "weight = {}", route.weight)?;
    }
    Ok(())
}

fn write_neighbour(f: &mut Formatter<'_>, neighbour: &Neighbour) -> fmt::Result {
    writeln!(f, "[[neighbor]]\naddress = \"{}\"", neighbour.address)?;
    write_text(f, "mac", &neighbour.mac.to_string())?;
    neighbour.dev.iter().try_for_each(|dev| write_text(f, "dev", dev))
}

pub(super) fn write_text(f: &mut Formatter<'_>, key: &str, text: &str) -> fmt::Result {
    writeln!(f, "{key} = {}", toml::Value::from(text))
}

fn write_addresses(f: &mut Formatter<'_>, addresses: &[IpNet]) -> fmt::Result {
    if addresses.is_empty() {
        return Ok(());
    }
    let quoted: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    writeln!(f, "address = [{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::collection::vec;
    use proptest::option::of;
    use proptest::prelude::*;
    use proptest::sample::subsequence;
    use qfp_core::qos::accounting::{Accounting, Overhead};
    use qfp_core::qos::police::{BitsPerSecond, Granularity};

    use super::super::{MTU, MacAddr, NeighbourLimits, Origin, Tpid, VLAN_ID, WEIGHT};
    use super::*;
    use crate::acl::Document;
    use crate::pbr::RouteMaps;

    fn mac() -> impl Strategy<Value = MacAddr> {
        any::<[u8; 6]>().prop_map(MacAddr)
    }

    fn network() -> impl Strategy<Value = IpNet> {
        any::<(IpAddr, u8)>().prop_map(|(address, length)| {
            let longest = if address.is_ipv4() { 32 } else { 128 };
            IpNet::new(address, length % (longest + 1)).unwrap()
        })
    }

    fn networks() -> impl Strategy<Value = Vec<IpNet>> {
        vec(network(), 0..4)
    }

    fn urpf() -> impl Strategy<Value = Option<Urpf>> {
        of(any::<(bool, bool)>().prop_map(|(strict, allow_default)| Urpf { strict, allow_default }))
    }

    fn bindings() -> impl Strategy<Value = (Vec<String>, Vec<String>, Option<String>)> {
        let names = || vec(any::<String>(), 0..4);
        (names(), names(), of(any::<String>()))
    }

    fn access_lists() -> impl Strategy<Value = Document> {
        let texts = [
            "object-group network HOSTS\n host 192.0.2.1\n",
            "ip access-list extended EDGE\n permit tcp object-group HOSTS any eq 80\n",
            "ip access-list standard \"\"\"\n",
            "ipv6 access-list EDGE\n remark \\ \u{7f} ''' \"\"\"\n permit ipv6 any any\n",
        ];
        subsequence(texts.to_vec(), 0..=4)
            .prop_map(|texts| Document::parse(&texts.concat()).unwrap())
    }

    fn route_maps() -> impl Strategy<Value = RouteMaps> {
        let texts = [
            "route-map A permit 10\n match ip address EDGE\n set ip next-hop 192.0.2.9\n",
            "route-map A deny 20\n",
            "route-map B permit 10\n description \"\"\" \\\n",
        ];
        subsequence(texts.to_vec(), 0..=3)
            .prop_map(|texts| RouteMaps::parse(&texts.concat()).unwrap())
    }

    fn services() -> impl Strategy<Value = (Option<String>, Option<String>)> {
        (of(any::<String>()), of(any::<String>()))
    }

    fn policies() -> impl Strategy<Value = Policies> {
        let texts = [
            "class-map match-any EF\n description \"\"\" \\ '''\n match not ip dscp ef cs7\n",
            "policy-map A\n class class-default\n  police cir 1000000 bc 31250 pir 2000000\n   \
             exceed-action set-dscp-transmit af11\n   violate-action drop\n  set cos 5\n",
            "policy-map B\n class class-default\n  shape average percent 20\n",
        ];
        subsequence(texts.to_vec(), 0..=3)
            .prop_map(|texts| Policies::parse(&texts.concat()).unwrap())
    }

    fn qos() -> impl Strategy<Value = Qos> {
        let user_defined =
            (-63..=63).prop_map(|n| Accounting::UserDefined(Overhead::new(n).unwrap()));
        let known = prop_oneof![Just(Accounting::Asr9000), Just(Accounting::Iosxe)];
        let granularity = prop_oneof![
            Just(Granularity::Native),
            Just(Granularity::Typhoon),
            Just(Granularity::Trident)
        ];
        (prop_oneof![known, user_defined], granularity).prop_map(|(accounting, granularity)| Qos {
            accounting,
            granularity,
            origin: Origin::default(),
        })
    }

    prop_compose! {
        pub(super) fn layer3()(
            addresses in networks(),
            vrf in of(any::<String>()),
            (urpf, pass_tiny_fragments, allow_own_source) in (urpf(), any::<bool>(), any::<bool>()),
            (acl_in, acl_out, policy_route) in bindings(),
            (service_policy_in, service_policy_out) in services(),
        ) -> Layer3 {
            Layer3 {
                addresses, vrf, urpf, pass_tiny_fragments, allow_own_source, acl_in, acl_out, policy_route,
                service_policy_in, service_policy_out,
            }
        }
    }

    prop_compose! {
        fn vlan()(
            id in VLAN_ID,
            inner in of(VLAN_ID),
            tpid in prop_oneof![Just(Tpid::Dot1q), Just(Tpid::Dot1ad)],
            name in any::<String>(),
            mtu in of(MTU),
            layer3 in layer3(),
        ) -> Vlan {
            Vlan { tpid, name, mtu, layer3, ..Vlan::new("", id, inner) }
        }
    }

    prop_compose! {
        fn port()(
            name in any::<String>(),
            device in of(any::<String>()),
            mac in of(mac()),
            mtu in MTU,
            (promiscuous, mac_filter, shutdown) in any::<(bool, Option<bool>, bool)>(),
            vlans in vec(vlan(), 0..3),
            layer3 in layer3(),
            speed in of(1..=BitsPerSecond::MAX),
        ) -> Port {
            let port = Port { name, device, mac, mtu, ..Port::new("") };
            let speed = speed.map(|rate| BitsPerSecond::new(rate).unwrap());
            Port { promiscuous, mac_filter, shutdown, vlans, layer3, speed, ..port }
        }
    }

    fn route() -> impl Strategy<Value = Route> {
        let path = prop_oneof![
            (any::<IpAddr>(), of(any::<String>()))
                .prop_map(|(address, dev)| Target::Via { address, dev }),
            any::<String>().prop_map(Target::Dev),
        ];
        let target = prop_oneof![(path, WEIGHT), Just((Target::Drop, 1))];
        (network(), target, of(any::<String>())).prop_map(|(prefix, (target, weight), vrf)| Route {
            prefix,
            target,
            weight,
            vrf,
            origin: Origin::default(),
        })
    }

    prop_compose! {
        fn neighbour()(
            address in any::<IpAddr>(), mac in mac(), dev in of(any::<String>()),
        ) -> Neighbour {
            Neighbour { address, mac, dev, origin: Origin::default() }
        }
    }

    fn neighbour_limits() -> impl Strategy<Value = NeighbourLimits> {
        (of(1..9_u32), of(1..9_u32), of(0..9_u32), of(1..9_u32)).prop_map(
            |(limit, limit_per_interface, unsolicited_per_interface, requests_per_second)| {
                NeighbourLimits {
                    limit,
                    limit_per_interface,
                    unsolicited_per_interface,
                    requests_per_second,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same(
            ports in vec(port(), 0..4), routes in vec(route(), 0..4),
            neighbours in vec(neighbour(), 0..4), neighbour_limits in neighbour_limits(),
            access_lists in access_lists(), route_maps in route_maps(),
            qos in qos(), policies in policies(), record_route in any::<bool>(),
        ) {
            let config = Config { ports, routes, neighbours, neighbour_limits, ..Config::default() };
            let punt = Punt { record_route };
            let config = Config { access_lists, route_maps, qos, policies, punt, ..config };
            prop_assert_eq!(Config::parse(&config.to_string(), "written").unwrap(), config);
        }
    }
}
