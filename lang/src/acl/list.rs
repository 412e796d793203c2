use std::collections::BTreeMap;

use super::group::is_note;
use super::{Ace, AceError, Family, Name};

/// Largest sequence number.
pub const MAX_SEQUENCE: u32 = i32::MAX as u32;
/// Sequence number of the first entry, and from one to the next, where none is given.
pub const STEP: u32 = 10;

/// How much of a packet a list looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The source address alone, IPv4.
    Standard,
    /// All that an [`Ace`] can.
    Extended,
}

/// Entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A note for readers: one line without blanks around it.
    Remark(String),
    /// A rule.
    Ace(Box<Ace>),
}

/// Why a list cannot be edited so.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EditError {
    /// No entry there.
    #[error("there is no entry {0}")]
    NoEntry(u32),
    /// Another entry there.
    #[error("there is already an entry {0}")]
    Taken(u32),
    /// No sequence number.
    #[error("a sequence number is from 1 to {MAX_SEQUENCE}, not {0}")]
    BadSequence(u32),
    /// No sequence number left behind the last, or for every entry.
    #[error("sequence numbers end at {MAX_SEQUENCE}")]
    Exhausted,
    /// A remark that would not be read back.
    #[error("a remark is one line, without blanks around it")]
    BadRemark,
    /// An ace that the list cannot have.
    #[error(transparent)]
    BadAce(#[from] AceError),
    /// A standard list of IPv6.
    #[error("there are no standard lists of IPv6")]
    StandardIpv6,
}

/// Access list: entries in the order of their sequence numbers.
///
/// An entry is known by its sequence number, which stays until the entry is moved or the list
/// resequenced. Remarks have numbers like aces, as in IOS XR and recent IOS XE; in older IOS they
/// have none, so its numbers are others behind a remark. An edit that is refused changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList {
    name: Name,
    family: Family,
    kind: Kind,
    entries: BTreeMap<u32, Body>,
}

impl AccessList {
    /// A list without entries. The name may be a number.
    ///
    /// # Errors
    ///
    /// [`EditError::StandardIpv6`].
    pub fn new(name: Name, family: Family, kind: Kind) -> Result<Self, EditError> {
        if (family, kind) == (Family::V6, Kind::Standard) {
            return Err(EditError::StandardIpv6);
        }
        Ok(Self { name, family, kind, entries: BTreeMap::new() })
    }

    /// Its name or number.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Family of the packets it is for.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// How much it looks at.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Sequence numbers and entries, in order.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (u32, &Body)> {
        self.entries.iter().map(|(sequence, body)| (*sequence, body))
    }

    /// Sequence numbers and aces, in order.
    pub fn aces(&self) -> impl DoubleEndedIterator<Item = (u32, &Ace)> {
        self.entries().filter_map(|(sequence, body)| match body {
            Body::Ace(ace) => Some((sequence, &**ace)),
            Body::Remark(_) => None,
        })
    }

    /// The entry of this sequence number.
    #[must_use]
    pub fn entry(&self, sequence: u32) -> Option<&Body> {
        self.entries.get(&sequence)
    }

    /// Adds an ace behind the last entry. Gives its sequence number.
    ///
    /// # Errors
    ///
    /// [`EditError::BadAce`] and [`EditError::Exhausted`].
    pub fn add(&mut self, ace: Ace) -> Result<u32, EditError> {
        self.put(None, Body::Ace(Box::new(ace)))
    }

    /// Adds a remark behind the last entry. Gives its sequence number.
    ///
    /// # Errors
    ///
    /// [`EditError::BadRemark`] and [`EditError::Exhausted`].
    pub fn add_remark(&mut self, remark: impl Into<String>) -> Result<u32, EditError> {
        self.put(None, Body::Remark(remark.into()))
    }

    /// Adds an entry at a sequence number, or behind the last without one. Gives its number.
    ///
    /// # Errors
    ///
    /// When the number is taken or none, or the entry cannot be in this list.
    pub fn put(&mut self, sequence: Option<u32>, body: Body) -> Result<u32, EditError> {
        self.check(&body)?;
        let sequence = match sequence {
            Some(sequence) => self.free(sequence)?,
            None => self.next()?,
        };
        self.entries.insert(sequence, body);
        Ok(sequence)
    }

    /// Takes an entry out. Gives it.
    ///
    /// # Errors
    ///
    /// [`EditError::NoEntry`].
    pub fn delete(&mut self, sequence: u32) -> Result<Body, EditError> {
        self.entries.remove(&sequence).ok_or(EditError::NoEntry(sequence))
    }

    /// Puts an entry in the place of another. Gives the other.
    ///
    /// # Errors
    ///
    /// [`EditError::NoEntry`], or when the new entry cannot be in this list.
    pub fn replace(&mut self, sequence: u32, body: Body) -> Result<Body, EditError> {
        self.check(&body)?;
        let entry = self.entries.get_mut(&sequence).ok_or(EditError::NoEntry(sequence))?;
        Ok(std::mem::replace(entry, body))
    }

    /// Gives an entry another sequence number, and so another place.
    ///
    /// # Errors
    ///
    /// [`EditError::NoEntry`] of the first number; the second taken or none.
    pub fn move_entry(&mut self, from: u32, to: u32) -> Result<(), EditError> {
        if !self.entries.contains_key(&from) {
            return Err(EditError::NoEntry(from));
        }
        if from != to {
            let to = self.free(to)?;
            let body = self.delete(from)?;
            self.entries.insert(to, body);
        }
        Ok(())
    }

    /// Numbers all entries anew: `ip access-list resequence`. Gives (old, new) of each, in order.
    ///
    /// # Errors
    ///
    /// [`EditError::BadSequence`] when `start` or `step` is none, [`EditError::Exhausted`] when
    /// the last would be beyond [`MAX_SEQUENCE`].
    pub fn resequence(&mut self, start: u32, step: u32) -> Result<Vec<(u32, u32)>, EditError> {
        let (start, step) = (valid(start)?, valid(step)?);
        let last = self.entries.len().saturating_sub(1);
        let end =
            u32::try_from(last).ok().and_then(|last| last.checked_mul(step)?.checked_add(start));
        if end.is_none_or(|end| end > MAX_SEQUENCE) {
            return Err(EditError::Exhausted);
        }
        let mut renamed = Vec::with_capacity(self.entries.len());
        let old = std::mem::take(&mut self.entries);
        for ((old, body), new) in old.into_iter().zip((start..).step_by(step as usize)) {
            renamed.push((old, new));
            self.entries.insert(new, body);
        }
        Ok(renamed)
    }

    fn check(&self, body: &Body) -> Result<(), EditError> {
        match body {
            Body::Ace(ace) => Ok(ace.check(self.family, self.kind)?),
            Body::Remark(text) if is_note(text) => Ok(()),
            Body::Remark(_) => Err(EditError::BadRemark),
        }
    }

    fn free(&self, sequence: u32) -> Result<u32, EditError> {
        let sequence = valid(sequence)?;
        if self.entries.contains_key(&sequence) {
            return Err(EditError::Taken(sequence));
        }
        Ok(sequence)
    }

    fn next(&self) -> Result<u32, EditError> {
        let last = self.entries.last_key_value().map_or(0, |(last, _)| *last);
        valid(last.saturating_add(STEP)).map_err(|_| EditError::Exhausted)
    }
}

fn valid(sequence: u32) -> Result<u32, EditError> {
    let valid = (1..=MAX_SEQUENCE).contains(&sequence);
    if valid { Ok(sequence) } else { Err(EditError::BadSequence(sequence)) }
}
