//! Route maps from IOS text.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use super::check::{lengths, list_name, neighbour, room};
use super::{Action, Entry, EntryError, Mark, RouteMaps};
use crate::acl::Name;
use crate::ios::names::{DSCP, PRECEDENCE};
use crate::ios::{Cursor, TextError, What, lines};

/// The greatest length of a packet that can be asked for.
const MAX_LENGTH: u32 = 0x7fff_ffff;

/// What can be matched, but not by a route map that routes packets.
const OTHER_MATCHES: &[&str] = &[
    "additional-paths",
    "as-path",
    "clns",
    "community",
    "extcommunity",
    "interface",
    "local-preference",
    "mdt-group",
    "metric",
    "mpls-label",
    "policy-list",
    "route-type",
    "rpki",
    "source-protocol",
    "tag",
    "track",
];

/// What can be matched behind `ip` or `ipv6` by other route maps.
const OTHER_IP_MATCHES: &[&str] =
    &["flowspec", "next-hop", "redistribution-source", "route-source"];

/// What can be set by other route maps, or of packets in ways that are not supported.
const OTHER_SETS: &[&str] = &[
    "aigp-metric",
    "as-path",
    "automatic-tag",
    "clns",
    "comm-list",
    "community",
    "dampening",
    "extcomm-list",
    "extcommunity",
    "global",
    "level",
    "local-preference",
    "metric",
    "metric-type",
    "mpls-label",
    "nlri",
    "origin",
    "tag",
    "traffic-index",
    "weight",
];

/// What can be set behind `ip` or `ipv6`, likewise.
const OTHER_IP_SETS: &[&str] = &["address", "df", "global", "qos-group", "tos", "vrf"];

/// Next hops that are no addresses.
const OTHER_NEXT_HOPS: &[&str] = &[
    "dynamic",
    "encapsulate",
    "peer-address",
    "recursive",
    "self",
    "unchanged",
    "verify-availability",
];

impl RouteMaps {
    /// The route maps of an IOS text: `route-map NAME permit|deny NUMBER`, each with the lines of
    /// its mode.
    ///
    /// # Errors
    /// The first word that cannot be there, or that asks for what is not supported.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut seen = BTreeSet::new();
        let mut entries: Vec<Open> = Vec::new();
        for line in lines(text) {
            let mut words = line.cursor();
            if words.take("route-map") {
                entries.push(Open::read(&mut words, &mut seen)?);
            } else if let Some(open) = entries.last_mut() {
                open.line(&mut words)?;
            } else {
                return Err(unknown(&words));
            }
            words.end()?;
        }
        let mut maps = Self::default();
        for Open { line, name, sequence, entry } in entries {
            let map = maps.get_or_new(name);
            let refused = |error| TextError { line, column: 1, what: What::refused(error) };
            map.insert(sequence, entry).map_err(refused)?;
        }
        Ok(maps)
    }
}

/// An entry while its lines are read. All words are checked as they come.
struct Open {
    /// Where it begins.
    line: usize,
    name: Name,
    sequence: u16,
    entry: Entry,
}

impl Open {
    /// Reads the line that begins an entry which is none of `seen`.
    fn read(
        words: &mut Cursor<'_, '_>,
        seen: &mut BTreeSet<(Name, u16)>,
    ) -> Result<Self, TextError> {
        let line = words.line().number;
        let name: Name = words.parsed("the name of a route map")?;
        let actions = [("permit", Action::Permit), ("deny", Action::Deny)];
        let action = words.one_of("permit or deny", &actions)?;
        let before = words.clone();
        let sequence = words.number("a sequence number", 0..=u16::MAX)?;
        if !seen.insert((name.clone(), sequence)) {
            return Err(before.error(What::Twice(format!("entry {sequence} of {name}"))));
        }
        Ok(Self { line, name, sequence, entry: Entry::new(action) })
    }

    /// Reads another line of the entry.
    fn line(&mut self, words: &mut Cursor<'_, '_>) -> Result<(), TextError> {
        if words.take("match") {
            return self.match_line(words);
        }
        if words.take("set") {
            let before = words.clone();
            self.set_line(words)?;
            return self
                .entry
                .sets
                .one_target()
                .map_err(|error| before.error(What::refused(error)));
        }
        if words.sees("description") {
            once(words, self.entry.description.is_some())?;
            words.take("description");
            let before = words.clone();
            let text = words.rest();
            if text.is_empty() {
                return Err(before.expected("a description"));
            }
            let text = text.parse().map_err(|error| before.error(What::refused(error)))?;
            self.entry.description = Some(text);
            return Ok(());
        }
        if words.sees("continue") { Err(words.not_supported()) } else { Err(unknown(words)) }
    }

    fn match_line(&mut self, words: &mut Cursor<'_, '_>) -> Result<(), TextError> {
        let matches = &mut self.entry.matches;
        if words.take("ip") {
            address_lists(words, &mut matches.ipv4)
        } else if words.take("ipv6") {
            address_lists(words, &mut matches.ipv6)
        } else if words.sees("length") {
            once(words, matches.length.is_some())?;
            words.take("length");
            let before = words.clone();
            let min = words.number("the least length", 0..=MAX_LENGTH)?;
            let max = words.number("the greatest length", 0..=MAX_LENGTH)?;
            lengths(min, max).map_err(|error| before.error(What::refused(error)))?;
            matches.length = Some(min..=max);
            Ok(())
        } else {
            Err(refusal(words, OTHER_MATCHES, "ip, ipv6 or length"))
        }
    }

    fn set_line(&mut self, words: &mut Cursor<'_, '_>) -> Result<(), TextError> {
        let sets = &mut self.entry.sets;
        if words.take("ip") {
            let before = words.clone();
            let mark = if words.take("dscp") {
                Mark::Dscp(words.number_or_name("a DSCP", 0..=63, DSCP)?)
            } else if words.take("precedence") {
                Mark::Precedence(words.number_or_name("a precedence", 0..=7, PRECEDENCE)?)
            } else {
                return next_hops(words, &mut sets.next_hops4, &mut sets.default_next_hops4);
            };
            match sets.mark.replace(mark) {
                None => Ok(()),
                Some(_) => Err(before.error(What::refused(EntryError::SecondMark))),
            }
        } else if words.take("ipv6") {
            next_hops(words, &mut sets.next_hops6, &mut sets.default_next_hops6)
        } else if words.sees("vrf") {
            once(words, sets.vrf.is_some())?;
            words.take("vrf");
            sets.vrf = Some(words.parsed("the name of a VRF")?);
            Ok(())
        } else if words.sees("interface") {
            once(words, sets.null0)?;
            words.take("interface");
            if words.take("null0") {
                sets.null0 = true;
                return Ok(());
            }
            if words.is_at_end() {
                Err(words.expected("Null0"))
            } else {
                Err(words.not_supported())
            }
        } else if words.sees("default") {
            Err(words.not_supported())
        } else {
            Err(refusal(words, OTHER_SETS, "ip, ipv6, vrf or interface"))
        }
    }
}

/// Reads `address LIST...` to the end of the line.
fn address_lists(words: &mut Cursor<'_, '_>, lists: &mut Vec<Name>) -> Result<(), TextError> {
    if !words.take("address") {
        return Err(refusal(words, OTHER_IP_MATCHES, "address"));
    }
    if words.sees("prefix-list") {
        return Err(words.not_supported());
    }
    add_all(words, lists, "an access list", "access lists", list_name)
}

/// Reads `[default] next-hop ADDRESS...` to the end of the line.
fn next_hops<T>(
    words: &mut Cursor<'_, '_>,
    hops: &mut Vec<T>,
    defaults: &mut Vec<T>,
) -> Result<(), TextError>
where
    T: Copy + FromStr + PartialEq + ToString + Into<IpAddr>,
{
    let default = words.take("default");
    if !words.take("next-hop") {
        return Err(refusal(words, OTHER_IP_SETS, "next-hop"));
    }
    if words.peek().is_some_and(|word| OTHER_NEXT_HOPS.iter().any(|name| word.is(name))) {
        return Err(words.not_supported());
    }
    let list = if default { defaults } else { hops };
    let wants = "the address of a next hop";
    add_all(words, list, wants, "next hops", |hop: &T| neighbour((*hop).into()))
}

/// Adds what the words up to the end of the line name, at least one, to `list`.
fn add_all<T: FromStr + PartialEq + ToString>(
    words: &mut Cursor<'_, '_>,
    list: &mut Vec<T>,
    wants: &'static str,
    what: &'static str,
    check: impl Fn(&T) -> Result<(), EntryError>,
) -> Result<(), TextError> {
    loop {
        let before = words.clone();
        let item: T = words.parsed(wants)?;
        let fits = check(&item).and_then(|()| room(list, &item, what));
        fits.map_err(|error| before.error(What::refused(error)))?;
        list.push(item);
        if words.is_at_end() {
            return Ok(());
        }
    }
}

/// Refuses the next word if what it begins is there already.
fn once(words: &Cursor<'_, '_>, there: bool) -> Result<(), TextError> {
    let word = words.peek().map(|word| word.text.to_ascii_lowercase()).unwrap_or_default();
    if there { Err(words.error(What::Twice(word))) } else { Ok(()) }
}

/// The next word is one of `known`, and not supported, or none that can stand here.
fn refusal(words: &Cursor<'_, '_>, known: &[&str], wants: &'static str) -> TextError {
    let named = words.peek().is_some_and(|word| known.iter().any(|name| word.is(name)));
    if named { words.not_supported() } else { words.expected(wants) }
}

/// The line begins no command.
fn unknown(words: &Cursor<'_, '_>) -> TextError {
    let word = words.peek().map(|word| word.text.to_owned()).unwrap_or_default();
    words.error(What::UnknownCommand(word))
}
