//! IOS, IOS XE and IOS XR text to the model, line by line.
//!
//! A line belongs to the list or group opened last if it opens nothing itself; indentation does
//! not count. `exit` and `end` close what is open.

mod ace;
mod fields;
mod group;

use super::{AccessList, Document, EditError, Family, Kind, MAX_SEQUENCE, Name};
use crate::ios::{Cursor, TextError, What, Word, lines};

type Words<'l, 'a> = Cursor<'l, 'a>;

const COMMANDS: &[&str] = &["access-list", "ip", "ipv4", "ipv6"];

/// What the lines of a mode belong to.
enum Mode {
    /// Nothing: only commands can follow.
    Top,
    /// The list of this family and name. The second is whether it is XR's, whose entries may be
    /// a source address alone.
    List(Family, Name, bool),
    /// The group of this name.
    Group(Name),
}

/// Applies the text. After an error the document is half changed.
pub(super) fn apply(document: &mut Document, text: &str) -> Result<(), TextError> {
    let mut mode = Mode::Top;
    for line in lines(text) {
        let mut words = line.cursor();
        if is_command(&words, &mode) {
            mode = command(document, &mut words)?;
        } else if opens_group(&words, &mode) {
            mode = Mode::Group(group::open(&mut document.objects, &mut words)?);
        } else if opens_no_command(&words, &mode) {
            remove(document, &mut words)?;
            mode = Mode::Top;
        } else if words.take("exit") || words.take("end") {
            mode = Mode::Top;
        } else {
            match &mode {
                Mode::Top => return Err(words.error(What::UnknownCommand(line.text().into()))),
                Mode::List(family, name, xr) => {
                    entry(open_list(document, &words, *family, name)?, &mut words, *xr)?;
                }
                Mode::Group(name) => group::member(&mut document.objects, name, &mut words)?,
            }
        }
        words.end()?;
    }
    Ok(())
}

/// One of the commands. In a group, `ip` alone is a member instead.
fn is_command(words: &Words, mode: &Mode) -> bool {
    let member = matches!(mode, Mode::Group(_)) && words.peek_second().is_none();
    !member && COMMANDS.iter().any(|command| words.sees(command))
}

/// `object-group SORT ... NAME`. In a group, `object-group NAME` is a member instead.
fn opens_group(words: &Words, mode: &Mode) -> bool {
    let mut after = words.clone();
    let third = after.word("object-group").is_ok() && after.peek_second().is_some();
    let member = matches!(mode, Mode::Group(_)) && !third;
    words.sees("object-group") && !member
}

/// `no` before a command, not before an entry or member.
fn opens_no_command(words: &Words, mode: &Mode) -> bool {
    let second = words.peek_second();
    let command = COMMANDS.iter().chain(&["object-group"]);
    let names = |word: Word| command.clone().any(|command| word.is(command));
    words.sees("no") && (matches!(mode, Mode::Top) || second.is_some_and(names))
}

fn command(document: &mut Document, words: &mut Words) -> Result<Mode, TextError> {
    if words.take("access-list") {
        let place = words.clone();
        let (kind, name) = numbered(words)?;
        let list = list(document, &place, Family::V4, &name, kind)?;
        ace::body(words, list, false).and_then(|body| add(list, None, body, words))?;
        return Ok(Mode::Top);
    }
    let whole = words.line().text();
    let start = words.clone();
    let first = words.word("a command")?;
    if !words.take("access-list") {
        return Err(start.error(What::UnknownCommand(whole.into())));
    }
    let (family, xr) = family(first);
    if !xr && family == Family::V4 && words.take("resequence") {
        resequence(document, words)?;
        return Ok(Mode::Top);
    }
    let kind = if first.is("ip") {
        let kinds = [("standard", Kind::Standard), ("extended", Kind::Extended)];
        words.one_of("standard or extended", &kinds)?
    } else {
        Kind::Extended
    };
    let place = words.clone();
    let name = name(words)?;
    list(document, &place, family, &name, kind)?;
    Ok(Mode::List(family, name, xr))
}

/// Family of `ip`, `ipv4` or `ipv6`, and whether only XR says so or may.
fn family(word: Word) -> (Family, bool) {
    let family = if word.is("ipv6") { Family::V6 } else { Family::V4 };
    (family, !word.is("ip"))
}

/// Number of a list, and the kind that it says.
fn numbered(words: &mut Words) -> Result<(Kind, Name), TextError> {
    let start = words.clone();
    let number: u16 = words.number("the number of a list", 1..=2699)?;
    let kind = match number {
        1..=99 | 1300..=1999 => Kind::Standard,
        100..=199 | 2000..=2699 => Kind::Extended,
        _ => return Err(start.error(What::NotSupported(format!("access-list {number}")))),
    };
    let name = number.to_string().parse().map_err(|error| start.error(What::refused(error)))?;
    Ok((kind, name))
}

fn name(words: &mut Words) -> Result<Name, TextError> {
    let start = words.clone();
    let word = words.word("a name")?;
    word.text.parse().map_err(|error| start.error(What::refused(error)))
}

/// Why a line cannot be about a list.
#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error("access-list {0} is a standard list")]
    IsStandard(Name),
    #[error("access-list {0} is an extended list")]
    IsExtended(Name),
    #[error("there is no access-list {0}")]
    Missing(Name),
}

/// The list, which is made if it is not there. `words` are before its name.
fn list<'d>(
    document: &'d mut Document,
    words: &Words,
    family: Family,
    name: &Name,
    kind: Kind,
) -> Result<&'d mut AccessList, TextError> {
    if document.list(family, name.as_str()).is_none() {
        let list = AccessList::new(name.clone(), family, kind);
        document.insert(list.map_err(|error| words.error(What::refused(error)))?);
    }
    let list = open_list(document, words, family, name)?;
    match list.kind() {
        of if of == kind => Ok(list),
        Kind::Standard => Err(words.error(What::refused(ListError::IsStandard(name.clone())))),
        Kind::Extended => Err(words.error(What::refused(ListError::IsExtended(name.clone())))),
    }
}

fn open_list<'d>(
    document: &'d mut Document,
    words: &Words,
    family: Family,
    name: &Name,
) -> Result<&'d mut AccessList, TextError> {
    let missing = || words.error(What::refused(ListError::Missing(name.clone())));
    document.list_mut(family, name.as_str()).ok_or_else(missing)
}

/// A line of a list: `[no] [sequence] [NUMBER] permit ...`.
fn entry(list: &mut AccessList, words: &mut Words, xr: bool) -> Result<(), TextError> {
    let delete = words.take("no");
    let start = words.clone();
    let given = if words.take("sequence") || words.sees_number() || delete {
        Some(words.number("a sequence number", 1..=MAX_SEQUENCE)?)
    } else {
        None
    };
    if let (true, Some(sequence)) = (delete, given) {
        list.delete(sequence).map_err(|error| start.error(What::refused(error)))?;
        return Ok(());
    }
    let body = ace::body(words, list, xr)?;
    let mut place = start;
    let mut sequence = given;
    if given.is_none() && words.sees("sequence") {
        // IPv6 lists of IOS have the number at the end.
        place = words.clone();
        words.take("sequence");
        sequence = Some(words.number("a sequence number", 1..=MAX_SEQUENCE)?);
    }
    add(list, sequence, body, &place)
}

fn add(
    list: &mut AccessList,
    sequence: Option<u32>,
    body: super::Body,
    place: &Words,
) -> Result<(), TextError> {
    let refused = |error: EditError| place.error(What::refused(error));
    list.put(sequence, body).map(|_| ()).map_err(refused)
}

/// `resequence NAME [START [STEP]]`.
fn resequence(document: &mut Document, words: &mut Words) -> Result<(), TextError> {
    let start = words.clone();
    let name = name(words)?;
    let number = |words: &mut Words, wants| match words.is_at_end() {
        true => Ok(super::STEP),
        false => words.number(wants, 1..=MAX_SEQUENCE),
    };
    let (first, step) = (number(words, "the first sequence number")?, number(words, "a step")?);
    let list = open_list(document, &start, Family::V4, &name)?;
    list.resequence(first, step).map_err(|error| start.error(What::refused(error)))?;
    Ok(())
}

/// `no` and a whole list or group. One that is not there is deleted already.
fn remove(document: &mut Document, words: &mut Words) -> Result<(), TextError> {
    words.expect("no")?;
    if words.take("object-group") {
        let name = group::header(words)?.1;
        document.objects.remove(name.as_str());
    } else if words.take("access-list") {
        let name = numbered(words)?.1;
        document.remove(Family::V4, name.as_str());
    } else {
        let first = words.word("access-list or object-group")?;
        if !COMMANDS.iter().any(|command| first.is(command)) {
            let whole = words.line().text();
            return Err(words.error_at(first, What::UnknownCommand(whole.into())));
        }
        words.expect("access-list")?;
        if first.is("ip") {
            words.one_of("standard or extended", &[("standard", ()), ("extended", ())])?;
        }
        let name = name(words)?;
        document.remove(family(first).0, name.as_str());
    }
    Ok(())
}
