//! SAs, as `show crypto engine` and `show crypto ipsec sa`, as JSON, and what becomes of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use qfp::client::config::OUTER_MTU;
use qfp::client::ea::{SaStatus, SecurityRule};
use qfp::client::ipsec::{Direction, Sa};
use qfp::core::crypto::Algorithm;
use qfp::core::ipsec::Mode;
use qfp::report::{IpsecReport, RunReport};
use serde_json::{Map, Value, json};

use crate::report::table;

/// SAs that the text lists; of more it says how many there are.
const LISTED: usize = 256;

/// Both reports; none for a router without SAs.
pub(crate) fn text(report: &RunReport) -> Option<String> {
    let ipsec = report.ipsec.as_ref()?;
    let parts = [Some(engine(ipsec)), Some(sas(ipsec)), policies(report)];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join("\n"))
}

/// What the entries of security policies have matched; none without entries.
fn policies(report: &RunReport) -> Option<String> {
    if report.security.is_empty() {
        return None;
    }
    let mut table = table(["security policy", "packets", "bytes"]);
    for one in &report.security {
        let name = format!("{} {}", one.rule.entry, side(&one.rule));
        table.add_row([name, one.count.packets.to_string(), one.count.bytes.to_string()]);
    }
    Some(format!("\n{}", table.trim_fmt()))
}

/// Direction of a rule, and whether it is the one for later fragments.
fn side(rule: &SecurityRule) -> String {
    let fragments = if rule.fragments { " fragments" } else { "" };
    format!("{}{fragments}", rule.direction.name())
}

/// As `show crypto engine`.
fn engine(ipsec: &IpsecReport) -> String {
    let names = Algorithm::ALL.map(Algorithm::name).join(", ");
    let state = if ipsec.tier.is_some() { "installed" } else { "absent: nothing passes" };
    format!(
        "        crypto engine name:  qfp software crypto engine\n\
         \x20       crypto engine type:  software\n\
         \x20      crypto engine state:  {state}\n\
         \x20       AES-GCM in hardware:  {}\n\
         \x20   crypto ipsec sessions:  {} active, {} max\n\
         \x20               algorithms:  {names}\n",
        ipsec.tier.unwrap_or("no"),
        ipsec.in_use,
        ipsec.limit,
    )
}

/// As `show crypto ipsec sa`: by interface, the SAs of each direction.
fn sas(ipsec: &IpsecReport) -> String {
    let mut interfaces: BTreeMap<&str, Vec<&SaStatus>> = BTreeMap::new();
    for sa in ipsec.sas.iter().take(LISTED) {
        interfaces.entry(sa.sa.interface.as_deref().unwrap_or("(none)")).or_default().push(sa);
    }
    let mut text = String::new();
    for (interface, sas) in interfaces {
        one_interface(&mut text, interface, &sas);
    }
    let more = ipsec.sas.len().saturating_sub(LISTED);
    if more > 0 {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{more} SAs more");
    }
    text.trim().to_owned()
}

fn one_interface(text: &mut String, interface: &str, sas: &[&SaStatus]) {
    let of = |direction| sas.iter().filter(move |one| one.sa.direction == direction);
    let packets = |direction| of(direction).map(|one| one.counts.packets).sum::<u64>();
    let errors = |direction| of(direction).map(|one| failures(one)).sum::<u64>();
    let (out, within) = (packets(Direction::Out), packets(Direction::In));
    let _ = writeln!(text, "\ninterface: {interface}");
    let used = of(Direction::Out).find(|one| one.in_use);
    if let Some(sa) = used.or(sas.first()).map(|one| &one.sa) {
        let (local, remote) = (sa.endpoints.local, sa.endpoints.remote);
        let port = sa.udp.map_or(500, |(_, remote)| remote);
        let _ = writeln!(text, "   outside vrf: {}", sa.vrf.as_deref().unwrap_or("(none)"));
        let selector = of(Direction::In).find_map(|one| one.sa.selector).unwrap_or_default();
        let [theirs, ours] = selector.ends();
        for (whose, (network, ports)) in [("local ", ours), ("remote", theirs)] {
            let ident = ident(network, selector.upper(), &ports);
            let _ = writeln!(text, "   {whose} ident (addr/mask/prot/port): ({ident})");
        }
        let _ = writeln!(text, "   current_peer {remote} port {port}");
        counts(text, (out, within), (errors(Direction::Out), errors(Direction::In)));
        let _ = writeln!(
            text,
            "\n     local crypto endpt.: {local}, remote crypto endpt.: {remote}\n     \
             plaintext mtu {}, path mtu {OUTER_MTU}, ip mtu {OUTER_MTU}",
            sa.inner_mtu(OUTER_MTU),
        );
    }
    let spi = used.map_or(0, |one| one.sa.spi);
    let _ = writeln!(text, "     current outbound spi: {spi:#x}({spi})");
    for (direction, title) in [(Direction::In, "inbound"), (Direction::Out, "outbound")] {
        let _ = writeln!(text, "\n     {title} esp sas:");
        of(direction).for_each(|one| one_sa(text, one));
    }
}

/// Who may be inside, as `10.1.0.0/255.255.0.0/6/443`; 0 is any protocol, and any port.
fn ident(network: IpNet, protocol: u8, ports: &RangeInclusive<u16>) -> String {
    let (address, mask) = (network.network(), network.netmask());
    let ports = match (*ports.start(), *ports.end()) {
        (0, u16::MAX) => "0".to_owned(),
        (low, high) if low == high => low.to_string(),
        (low, high) => format!("{low}-{high}"),
    };
    format!("{address}/{mask}/{protocol}/{ports}")
}

fn counts(text: &mut String, (out, within): (u64, u64), (sent, received): (u64, u64)) {
    let _ = writeln!(
        text,
        "    #pkts encaps: {out}, #pkts encrypt: {out}, #pkts digest: {out}\n    \
         #pkts decaps: {within}, #pkts decrypt: {within}, #pkts verify: {within}\n    \
         #send errors {sent}, #recv errors {received}"
    );
}

fn one_sa(text: &mut String, one: &SaStatus) {
    let (sa, counts) = (&one.sa, &one.counts);
    let mode = match sa.mode {
        Mode::Tunnel => "Tunnel",
        Mode::Transport => "Transport",
    };
    let encaps = if sa.udp.is_some() { " UDP-Encaps" } else { "" };
    let replay = if sa.replay_window > 0 { "Y" } else { "N" };
    let status = if one.in_use { "ACTIVE" } else { "STANDBY" };
    let _ = writeln!(
        text,
        "      spi: {:#x}({})\n        transform: esp-{} ,\n        \
         in use settings ={{{mode}{encaps}, }}\n        \
         conn id: {}, flow_id: {}\n        \
         sa timing: remaining key lifetime (k/sec): ({}/{})\n        \
         esn: {}, sequence number: {}",
        sa.spi,
        sa.spi,
        sa.algorithm.name(),
        sa.name,
        sa.direction.name(),
        left(sa.hard.bytes.map(|bytes| bytes.saturating_sub(counts.bytes) / 1000)),
        left(one.seconds_left),
        if sa.esn { "Y" } else { "N" },
        counts.sequence,
    );
    if sa.direction == Direction::In {
        let _ = writeln!(
            text,
            "        replay detection support: {replay}\n        replay window size: {}",
            sa.replay_window
        );
    }
    for (reason, count) in &counts.failures {
        let _ = writeln!(text, "        {}: {count}", reason.name());
    }
    let _ = writeln!(text, "        Status: {status}");
}

/// What is left of a lifetime, if it ends.
fn left(left: Option<u64>) -> String {
    left.map_or_else(|| "unlimited".to_owned(), |left| left.to_string())
}

fn failures(one: &SaStatus) -> u64 {
    one.counts.failures.iter().map(|(_, count)| count).sum()
}

/// `{"engine": .., "sas": {name: {..}}, "policies": {entry: {direction: {..}}}}`; null for a router without SAs.
pub(crate) fn json(report: &RunReport) -> Value {
    let Some(ipsec) = &report.ipsec else { return Value::Null };
    let sas = ipsec.sas.iter().map(|one| (one.sa.name.clone(), json_of(one)));
    let mut policies = Map::new();
    for one in &report.security {
        let entry = policies.entry(one.rule.entry.clone()).or_insert_with(|| json!({}));
        entry[side(&one.rule)] = json!({ "packets": one.count.packets, "bytes": one.count.bytes });
    }
    json!({
        "engine": ipsec.tier,
        "limit": ipsec.limit,
        "in_use": ipsec.in_use,
        "sas": sas.collect::<Map<_, _>>(),
        "policies": policies,
    })
}

fn json_of(one: &SaStatus) -> Value {
    let Sa { direction, spi, algorithm, interface, endpoints, .. } = &one.sa;
    let failures = one.counts.failures.iter();
    let failures = failures.map(|(reason, count)| (reason.name().to_owned(), json!(count)));
    json!({
        "direction": direction.name(),
        "spi": spi,
        "local": endpoints.local.to_string(),
        "remote": endpoints.remote.to_string(),
        "algorithm": algorithm.name(),
        "interface": interface,
        "in_use": one.in_use,
        "packets": one.counts.packets,
        "bytes": one.counts.bytes,
        "sequence": one.counts.sequence,
        "failures": failures.collect::<Map<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use qfp::client::ea::SaCounts;
    use qfp::client::ipsec::{Lifetime, Secret};
    use qfp::core::ipsec::{Endpoints, Selector};
    use qfp::core::packet::DropReason;
    use qfp::report::{Count, SecurityReport};

    use super::*;
    use crate::report::tests::example;

    fn status(direction: Direction, spi: u32, failures: Vec<(DropReason, u64)>) -> SaStatus {
        let [local, remote] = ["203.0.113.1", "203.0.113.2"].map(|ip| ip.parse().unwrap());
        let key = (Algorithm::Aes128Gcm, Secret::new(&[7; 20]));
        let sa = Sa::new(
            format!("east-{}", direction.name()),
            direction,
            spi,
            Endpoints { local, remote },
            key,
        );
        let hard = Lifetime { bytes: Some(5_000_000), ..Lifetime::default() };
        let sa = Sa { interface: Some("tunnel0".to_owned()), hard, ..sa };
        let counts =
            SaCounts { packets: 10, bytes: 1_000_000, sequence: 12, last_used_ns: 5, failures };
        SaStatus { sa, in_use: true, installed_ns: Some(1), seconds_left: Some(3520), counts }
    }

    fn report() -> RunReport {
        let sas = vec![
            status(
                Direction::In,
                0x2001,
                vec![(DropReason::EspReplay, 2), (DropReason::EspBadIcv, 1)],
            ),
            status(Direction::Out, 0x1001, vec![]),
        ];
        let ipsec =
            IpsecReport { tier: Some("vaes512"), limit: 64, in_use: 2, sas, events: vec![] };
        let rule = |direction, fragments| {
            let entry = "wan/dns".to_owned();
            let count = Count { packets: 3, bytes: 180 };
            SecurityReport { rule: SecurityRule { entry, direction, fragments }, count }
        };
        let security = vec![rule(Direction::In, false), rule(Direction::Out, true)];
        RunReport { ipsec: Some(ipsec), security, ..example() }
    }

    const SAS: &str = "
interface: tunnel0
   outside vrf: (none)
   local  ident (addr/mask/prot/port): (0.0.0.0/0.0.0.0/0/0)
   remote ident (addr/mask/prot/port): (0.0.0.0/0.0.0.0/0/0)
   current_peer 203.0.113.2 port 500
    #pkts encaps: 10, #pkts encrypt: 10, #pkts digest: 10
    #pkts decaps: 10, #pkts decrypt: 10, #pkts verify: 10
    #send errors 0, #recv errors 3

     local crypto endpt.: 203.0.113.1, remote crypto endpt.: 203.0.113.2
     plaintext mtu 1446, path mtu 1500, ip mtu 1500
     current outbound spi: 0x1001(4097)

     inbound esp sas:
      spi: 0x2001(8193)
        transform: esp-aes-128-gcm ,
        in use settings ={Tunnel, }
        conn id: east-in, flow_id: in
        sa timing: remaining key lifetime (k/sec): (4000/3520)
        esn: N, sequence number: 12
        replay detection support: Y
        replay window size: 64
        EspReplay: 2
        EspBadIcv: 1
        Status: ACTIVE

     outbound esp sas:
      spi: 0x1001(4097)
        transform: esp-aes-128-gcm ,
        in use settings ={Tunnel, }
        conn id: east-out, flow_id: out
        sa timing: remaining key lifetime (k/sec): (4000/3520)
        esn: N, sequence number: 12
        Status: ACTIVE";

    #[test]
    fn the_report_has_the_layout_of_show_crypto_ipsec_sa() {
        let shown = text(&report()).unwrap();
        let (engine, rest) = shown.split_once("\n\n").unwrap();
        let (sas, policies) = rest.split_once("\n\n security policy").unwrap();
        let rows: Vec<Vec<&str>> =
            policies.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
        let row = ["wan/dns", "out", "fragments", "3", "180"];
        assert_eq!(rows, [&["wan/dns", "in", "3", "180"][..], &row]);
        assert_eq!(format!("\n{sas}"), SAS, "\n{sas}");
        for line in
            ["crypto engine type:  software", "AES-GCM in hardware:  vaes512", "2 active, 64 max"]
        {
            assert!(engine.contains(line), "{engine}");
        }
        assert_eq!(text(&example()), None);
    }

    #[test]
    fn the_report_says_who_a_policy_is_for() {
        let nets = ["10.2.0.0/16", "10.1.3.0/24"].map(|net| net.parse().unwrap());
        let selector = Selector::between(nets[0], nets[1]).unwrap();
        let selector = selector.protocol(17, &(53..=53), &(1024..=65535));
        let mut report = report();
        if let Some(ipsec) = &mut report.ipsec {
            ipsec.sas[0].sa.selector = Some(selector);
        }
        let shown = text(&report).unwrap();
        for line in [
            "local  ident (addr/mask/prot/port): (10.1.3.0/255.255.255.0/17/1024-65535)",
            "remote ident (addr/mask/prot/port): (10.2.0.0/255.255.0.0/17/53)",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
    }

    #[test]
    fn the_json_has_each_sa_with_its_failures() {
        let json = json(&report());
        assert_eq!((&json["engine"], &json["limit"]), (&json!("vaes512"), &json!(64)));
        let sa = &json["sas"]["east-in"];
        assert_eq!(sa["failures"], json!({ "EspReplay": 2, "EspBadIcv": 1 }));
        assert_eq!(
            (&sa["packets"], &sa["spi"], &sa["direction"]),
            (&json!(10), &json!(8193), &json!("in"))
        );
        assert!(!json.to_string().contains("0707"));
        let count = json!({ "packets": 3, "bytes": 180 });
        let policies = json!({ "wan/dns": { "in": count, "out fragments": count } });
        assert_eq!(json["policies"], policies);
        assert_eq!(super::json(&example()), Value::Null);
    }

    #[test]
    fn of_very_many_sas_the_first_are_listed_and_the_others_counted() {
        let mut report = report();
        let ipsec = report.ipsec.as_mut().unwrap();
        ipsec.sas = vec![ipsec.sas[0].clone(); LISTED + 5];
        assert!(text(&report).unwrap().contains("\n5 SAs more\n"));
    }
}
