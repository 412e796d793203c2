use std::fmt::{self, Formatter};
use std::ops::RangeInclusive;

use qfp_core::ipsec::{DontFragment, Dscp, Mode};

use super::{ANY_PORT, ConfiguredSa, Ipsec, KeySource, SpdAction, SpdEntry, Tunnel};
use crate::config::write::{write_layer3, write_names, write_text};
use crate::ipsec::{Direction, Lifetime};

/// Writes all of it. Of keys, where they come from is written, and never what they are.
pub(in crate::config) fn write_ipsec(
    f: &mut Formatter<'_>,
    ipsec: &Ipsec,
    separate: &mut dyn FnMut(&mut Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    if let Some(folder) = &ipsec.state_dir {
        separate(f)?;
        writeln!(f, "[ipsec]")?;
        write_text(f, "state_dir", &folder.to_string_lossy())?;
    }
    for sa in &ipsec.sas {
        separate(f)?;
        write_sa(f, sa)?;
    }
    for tunnel in &ipsec.tunnels {
        separate(f)?;
        write_tunnel(f, tunnel)?;
    }
    for entry in &ipsec.spd {
        separate(f)?;
        write_entry(f, entry)?;
    }
    Ok(())
}

fn write_sa(f: &mut Formatter<'_>, configured: &ConfiguredSa) -> fmt::Result {
    let sa = &configured.sa;
    writeln!(f, "[[sa]]")?;
    write_text(f, "name", &sa.name)?;
    write_text(f, "direction", sa.direction.name())?;
    writeln!(f, "spi = {:#x}", sa.spi)?;
    if sa.mode == Mode::Transport {
        write_text(f, "mode", "transport")?;
    }
    writeln!(f, "local = \"{}\"\nremote = \"{}\"", sa.endpoints.local, sa.endpoints.remote)?;
    write_text(f, "algorithm", sa.algorithm.name())?;
    match &configured.key {
        KeySource::File(path) => write_text(f, "key_file", &path.to_string_lossy())?,
        KeySource::Env(name) => write_text(f, "key_env", name)?,
        KeySource::Given => {}
    }
    if let Some((local, remote)) = sa.udp {
        writeln!(f, "udp = [{local}, {remote}]")?;
    }
    writeln!(f, "esn = {}", sa.esn)?;
    if sa.direction == Direction::In {
        writeln!(f, "replay_window = {}", sa.replay_window)?;
    }
    writeln!(f, "ttl = {}", sa.ttl)?;
    match sa.dscp {
        Dscp::Copy => write_text(f, "dscp", "copy")?,
        Dscp::Set(dscp) => writeln!(f, "dscp = {dscp}")?,
    }
    let df = match sa.df {
        DontFragment::Copy => "copy",
        DontFragment::Set => "set",
        DontFragment::Clear => "clear",
    };
    write_text(f, "df", df)?;
    writeln!(f, "ecn = {}", sa.ecn)?;
    sa.vrf.iter().try_for_each(|vrf| write_text(f, "vrf", vrf))?;
    write_lifetime(f, "soft", sa.soft)?;
    write_lifetime(f, "hard", sa.hard)
}

fn write_lifetime(f: &mut Formatter<'_>, key: &str, lifetime: Lifetime) -> fmt::Result {
    let Lifetime { bytes, packets, seconds } = lifetime;
    let parts = [("bytes", bytes), ("packets", packets), ("seconds", seconds)];
    let parts = parts.into_iter().filter_map(|(name, n)| n.map(|n| format!("{name} = {n}")));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { Ok(()) } else { writeln!(f, "{key} = {{ {} }}", parts.join(", ")) }
}

fn write_tunnel(f: &mut Formatter<'_>, tunnel: &Tunnel) -> fmt::Result {
    writeln!(f, "[[tunnel]]")?;
    write_text(f, "name", &tunnel.name)?;
    if let Some(mtu) = tunnel.mtu {
        writeln!(f, "mtu = {mtu}")?;
    }
    if tunnel.shutdown {
        writeln!(f, "shutdown = true")?;
    }
    write_layer3(f, &tunnel.layer3)?;
    tunnel.sa_out.iter().try_for_each(|sa| write_text(f, "sa_out", sa))?;
    write_names(f, "sa_in", &tunnel.sa_in)
}

fn write_entry(f: &mut Formatter<'_>, entry: &SpdEntry) -> fmt::Result {
    writeln!(f, "[[spd]]")?;
    write_text(f, "interface", &entry.interface)?;
    write_text(f, "name", &entry.name)?;
    let action = match entry.action {
        SpdAction::Protect { .. } => "protect",
        SpdAction::Bypass => "bypass",
        SpdAction::Discard => "discard",
    };
    write_text(f, "action", action)?;
    entry.local.iter().try_for_each(|net| writeln!(f, "local = \"{net}\""))?;
    entry.remote.iter().try_for_each(|net| writeln!(f, "remote = \"{net}\""))?;
    match entry.protocol.map(|number| (number, super::check::protocol_name(number))) {
        None => {}
        Some((_, Some(name))) => write_text(f, "protocol", name)?,
        Some((number, None)) => writeln!(f, "protocol = {number}")?,
    }
    write_ports(f, "local_port", &entry.local_ports)?;
    write_ports(f, "remote_port", &entry.remote_ports)?;
    if let SpdAction::Protect { sa_out, sa_in } = &entry.action {
        sa_out.iter().try_for_each(|sa| write_text(f, "sa_out", sa))?;
        write_names(f, "sa_in", sa_in)?;
    }
    Ok(())
}

fn write_ports(f: &mut Formatter<'_>, key: &str, range: &RangeInclusive<u16>) -> fmt::Result {
    if *range == ANY_PORT {
        return Ok(());
    }
    writeln!(f, "{key} = \"{}-{}\"", range.start(), range.end())
}
