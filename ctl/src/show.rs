//! Answers as tables for people.

use api::{
    Agent, ApplicationState, Boot, Interface, MappedInterface, Neighbour, Process, Resource,
    Version,
};
use jiff::Timestamp;
use nix::unistd::{Uid, User};
use terminal::report::{grouped, text_table};

/// Seconds since 1970 as a time of UTC.
pub(crate) fn time(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

fn user(uid: u32) -> String {
    let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    known.map_or_else(|| uid.to_string(), |user| user.name)
}

pub(crate) fn history(all: &[Version]) -> String {
    let rows = (0..).zip(all).map(|(back, one)| {
        let from = match one.until {
            None => one.from.clone(),
            Some(until) => format!("{} (until {} if not confirmed)", one.from, time(until)),
        };
        [format!("{back}"), one.number.to_string(), time(one.time), user(one.uid), from]
    });
    text_table(["back", "version", "time", "user", "from"], rows)
}

pub(crate) fn processes(all: &[Process]) -> String {
    let rows = all.iter().map(|one| {
        [
            one.name.clone(),
            one.domain.clone(),
            one.pid.to_string(),
            one.state.clone(),
            one.restarts.to_string(),
            format!("{} s", one.uptime_s),
            one.last_exit.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    text_table(["name", "domain", "pid", "state", "restarts", "uptime", "last exit"], rows)
}

pub(crate) fn boot(all: &[Boot]) -> String {
    let rows = all.iter().map(|one| {
        [one.stage.clone(), format!("{} ms", one.began_ms), format!("{} ms", one.took_ms)]
    });
    text_table(["stage", "began after", "took"], rows)
}

pub(crate) fn resources(all: &[Resource]) -> String {
    let rows = all.iter().map(|one| {
        [
            one.name.clone(),
            one.users.join(", "),
            grouped(one.in_use),
            grouped(one.limit),
            grouped(one.peak),
        ]
    });
    text_table(["resource", "users", "in use", "limit", "peak"], rows)
}

pub(crate) fn agents(all: &[Agent]) -> String {
    let rows = all.iter().map(|one| {
        let counts = [one.entries, one.bindings].map(grouped);
        let [entries, bindings] = counts;
        [one.agent.clone(), one.object.clone(), entries, bindings]
    });
    text_table(["agent", "object", "entries", "bindings"], rows)
}

pub(crate) fn interfaces(all: &[Interface]) -> String {
    let rows = all.iter().map(|one| {
        let addresses: Vec<String> = one.addresses.iter().map(ToString::to_string).collect();
        [
            one.name.clone(),
            one.uidb.to_string(),
            if one.up { "up" } else { "down" }.to_owned(),
            one.vrf.clone().unwrap_or_else(|| "-".to_owned()),
            addresses.join(", "),
        ]
    });
    text_table(["interface", "uidb", "state", "vrf", "addresses"], rows)
}

pub(crate) fn neighbours(all: &[Neighbour]) -> String {
    let rows =
        all.iter().map(|one| [one.interface.clone(), one.address.to_string(), one.mac.clone()]);
    text_table(["interface", "address", "mac"], rows)
}

pub(crate) fn applications(all: &[ApplicationState]) -> String {
    let rows = all.iter().map(|one| {
        let number = |number: Option<u16>| number.map(|number| number.to_string());
        let or_any = |text: Option<String>| text.unwrap_or_else(|| "any".to_owned());
        [
            one.name.clone(),
            or_any(one.wanted.cause.clone()),
            or_any(number(one.wanted.protocol.map(u16::from))),
            or_any(number(one.wanted.port)),
            grouped(one.delivered),
            grouped(one.lost),
        ]
    });
    text_table(["application", "cause", "protocol", "port", "delivered", "lost"], rows)
}

pub(crate) fn mapping(all: &[MappedInterface]) -> String {
    let rows = all.iter().map(|one| {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [
            one.port.clone(),
            one.kernel.clone(),
            or_none(&one.pci),
            or_none(&one.mac),
            or_none(&one.mtu.map(|mtu| mtu.to_string())),
            one.state.clone(),
        ]
    });
    text_table(["port", "interface", "pci", "mac", "mtu", "state"], rows)
}
