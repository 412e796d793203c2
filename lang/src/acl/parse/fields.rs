//! Fields that several commands have: protocols, ports, comparisons, ICMP messages.

use super::Words;
use crate::acl::{Compare, Family, Icmp, Protocol};
use crate::ios::{TextError, What, names};

/// A field that is compared: what it is called, its bounds, the words for its values.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) wants: &'static str,
    pub(super) max: u16,
    pub(super) names: &'static [&'static [(&'static str, u16)]],
}

impl Field {
    /// Ports of a protocol, or of any where none is said.
    pub(super) fn ports(protocol: Option<u8>) -> Self {
        let names: &[&[_]] = match protocol.map(Protocol::Number) {
            Some(Protocol::TCP) => &[names::TCP_PORTS, names::OTHER_PORTS],
            Some(Protocol::UDP) => &[names::UDP_PORTS, names::OTHER_PORTS],
            Some(_) => &[],
            None => &[names::TCP_PORTS, names::UDP_PORTS, names::OTHER_PORTS],
        };
        Self { wants: "a port", max: u16::MAX, names }
    }

    pub(super) fn value(&self, words: &mut Words) -> Result<u16, TextError> {
        for names in self.names {
            if let Some(value) = words.take_of(names) {
                return Ok(value);
            }
        }
        if words.sees_number() {
            words.number(self.wants, 0..=self.max)
        } else {
            Err(words.expected(self.wants))
        }
    }

    fn values(&self, words: &mut Words) -> Result<Vec<u16>, TextError> {
        let mut values = vec![self.value(words)?];
        while self.is_next(words) {
            values.push(self.value(words)?);
        }
        Ok(values)
    }

    fn is_next(&self, words: &Words) -> bool {
        let named = |names: &[(&'static str, u16)]| names.iter().any(|(name, _)| words.sees(name));
        words.sees_number() || self.names.iter().any(|names| named(names))
    }

    /// A comparison, if the next word begins one.
    pub(super) fn compare(&self, words: &mut Words) -> Result<Option<Compare>, TextError> {
        Ok(Some(if words.take("eq") {
            Compare::Eq(self.values(words)?)
        } else if words.take("neq") {
            Compare::Neq(self.values(words)?)
        } else if words.take("lt") {
            Compare::Lt(self.value(words)?)
        } else if words.take("gt") {
            Compare::Gt(self.value(words)?)
        } else if words.take("range") {
            Compare::Range(self.value(words)?, self.value(words)?)
        } else {
            return Ok(None);
        }))
    }

    /// A comparison, or a value that must be equal.
    pub(super) fn compare_or_value(&self, words: &mut Words) -> Result<Compare, TextError> {
        match self.compare(words)? {
            Some(compare) => Ok(compare),
            None => Ok(Compare::eq(self.value(words)?)),
        }
    }
}

/// Number of a protocol, if the next word is one.
pub(super) fn protocol(words: &mut Words, family: Family) -> Result<Option<u8>, TextError> {
    let icmp = words.take("icmp") || (family == Family::V6 && words.take("icmpv6"));
    if icmp {
        return Ok(Some(family.icmp()));
    }
    if words.sees_number() {
        return words.number("a protocol", 0..=u8::MAX).map(Some);
    }
    Ok(words.take_of(names::PROTOCOLS))
}

/// Name of an ICMP message, or its type and perhaps code, if the next word is one.
pub(super) fn icmp(words: &mut Words, family: Family) -> Result<Option<Icmp>, TextError> {
    if let Some((kind, code)) = words.take_of(names::icmp(family)) {
        return Ok(Some(Icmp { kind, code }));
    }
    if !words.sees_number() {
        return Ok(None);
    }
    let kind = words.number("an ICMP type", 0..=u8::MAX)?;
    let code =
        if words.sees_number() { Some(words.number("an ICMP code", 0..=u8::MAX)?) } else { None };
    Ok(Some(Icmp { kind, code }))
}

/// Refuses words that exist in IOS for what is not done here.
pub(super) fn refuse(words: &Words, names: &[&str]) -> Result<(), TextError> {
    match words.peek().filter(|word| names.iter().any(|name| word.is(name))) {
        Some(word) => Err(words.error(What::NotSupported(word.text.into()))),
        None => Ok(()),
    }
}
