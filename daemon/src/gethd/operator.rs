//! The interfaces that an operator may be logged in over.

use std::collections::HashSet;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

/// Names of interfaces that default routes lead out of, and of the one with the address that this
/// session came to (`SSH_CONNECTION`). What cannot be read names none.
pub(super) fn ways() -> HashSet<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut ways = default_routes(&read("/proc/net/route"), &read("/proc/net/ipv6_route"));
    let connection = std::env::var("SSH_CONNECTION").unwrap_or_default();
    let came_to: Option<IpAddr> =
        connection.split_whitespace().nth(2).and_then(|address| address.parse().ok());
    if let Some(came_to) = came_to {
        let all = getifaddrs().into_iter().flatten();
        let with_it = all.filter(|one| {
            let address = one.address.as_ref();
            let v4 = || address?.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
            let v6 = || address?.as_sockaddr_in6().map(|a| IpAddr::from(a.ip()));
            v4().or_else(v6) == Some(came_to)
        });
        ways.extend(with_it.map(|one| one.interface_name));
    }
    ways
}

/// From the kernel's tables: IPv4 has name, destination and more, with the mask as eighth word; IPv6
/// destination and prefix length first, and the name last.
fn default_routes(v4: &str, v6: &str) -> HashSet<String> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let v4 = v4.lines().skip(1).map(words).filter_map(|words| {
        let is_default = words.get(1)? == "00000000" && words.get(7)? == "00000000";
        is_default.then(|| words[0].clone())
    });
    let v6 = v6.lines().map(words).filter_map(|words| {
        let is_default = words.first()?.bytes().all(|digit| digit == b'0') && words.get(1)? == "00";
        words.last().filter(|name| is_default && *name != "lo").cloned()
    });
    v4.chain(v6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_routes_of_both_families_name_their_interfaces() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                  eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                  eth1\t0002A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        let zero = "00000000000000000000000000000000";
        let v6 = format!(
            "{zero} 00 {zero} 00 fe80 00000400 1 0 00000003 wan0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200       lo\n\
             fe800000000000000000000000000000 40 {zero} 00 {zero} 100 1 0 1 eth2\n"
        );
        let ways = default_routes(v4, &v6);
        assert_eq!(ways, ["eth0", "wan0"].map(str::to_owned).into());
        assert!(default_routes("", "nonsense\n").is_empty());
        assert!(default_routes("one\ntwo", "").is_empty());
    }
}
