use std::ops::RangeInclusive;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Origin, Place, Problem};

/// A text and where its lines begin.
pub(super) struct Source<'t> {
    pub(super) text: &'t str,
    file: Arc<str>,
    starts: Vec<usize>,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str, file: &str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1))
            .collect();
        Self { text, file: file.into(), starts }
    }

    /// The line that holds byte `offset`.
    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        Place::new(&self.file, u32::try_from(line).unwrap_or(u32::MAX))
    }

    /// The text as a whole.
    pub(super) fn whole(&self) -> Place {
        Place::new(&self.file, 0)
    }
}

/// A table being read: typed access by key, and the line of every key that was read.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    title: &'static str,
    table: &'a DeTable<'a>,
    pub(super) origin: Origin,
}

/// A text of several lines and where it stands.
pub(super) struct Block<'a> {
    pub(super) text: &'a str,
    /// Where the value begins.
    pub(super) said: Place,
    /// The line of its first character: a line end behind the opening quotes is none of it.
    pub(super) first: Place,
    /// The line of the closing quotes.
    pub(super) last: u32,
}

/// A value and where it stands.
pub(super) struct Found<'a> {
    pub(super) place: Place,
    pub(super) text: &'a str,
}

/// A text or a number, and where it stands.
pub(super) enum Word<'a> {
    Text(Found<'a>),
    Number(i64, Place),
}

impl Found<'_> {
    /// Parses the text, or says with `problem` what it is not.
    pub(super) fn parse<T: std::str::FromStr>(
        &self,
        problem: impl FnOnce(String) -> Problem,
    ) -> Result<T, ConfigError> {
        self.text.parse().map_err(|_| problem(self.text.to_owned()).at(self.place.clone()))
    }
}

impl<'a> Table<'a> {
    /// Opens a table that may have the keys `known` and no other.
    pub(super) fn open(
        source: &'a Source<'a>,
        title: &'static str,
        table: &'a DeTable<'a>,
        place: Place,
        known: &'static [&'static str],
    ) -> Result<Self, ConfigError> {
        let mut unknown: Vec<_> = table
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()))
            .map(|key| (key.span().start, key.get_ref()))
            .collect();
        unknown.sort();
        if let Some((offset, key)) = unknown.first() {
            let problem = Problem::UnknownKey { table: title, key: key.to_string(), known };
            return Err(problem.at(source.place(*offset)));
        }
        Ok(Self { source, title, table, origin: Origin::new(place) })
    }

    /// What the table is called in messages.
    pub(super) fn title(&self) -> &'static str {
        self.title
    }

    fn value(&mut self, key: &'static str) -> Option<(&'a DeValue<'a>, Place)> {
        let value = self.table.get(key)?;
        let place = self.source.place(value.span().start);
        self.origin.note(key, place.line);
        Some((value.get_ref(), place))
    }

    /// Whether `key` is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The text of `key`, if it is there.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<Found<'a>>, ConfigError> {
        let Some((value, place)) = self.value(key) else { return Ok(None) };
        string(key, value, place).map(Some)
    }

    /// The text of `key` with its lines, if it is there.
    pub(super) fn block(&mut self, key: &'static str) -> Result<Option<Block<'a>>, ConfigError> {
        let Some(Found { place: said, text }) = self.text(key)? else { return Ok(None) };
        let mut first = said.clone();
        let mut last = said.line;
        if let Some(value) = self.table.get(key) {
            let span = value.span();
            last = self.source.place(span.end.saturating_sub(1)).line;
            let written = self.source.text.get(span).unwrap_or_default();
            let inner = written.strip_prefix("\"\"\"").or_else(|| written.strip_prefix("'''"));
            if inner.is_some_and(|inner| inner.starts_with('\n') || inner.starts_with("\r\n")) {
                first.line += 1;
            }
        }
        Ok(Some(Block { text, said, first, last }))
    }

    /// The text of `key`, which must be there.
    pub(super) fn need(&mut self, key: &'static str) -> Result<Found<'a>, ConfigError> {
        let missing = Problem::MissingKey { table: self.title, key };
        self.text(key)?.ok_or_else(|| missing.at(self.origin.place()))
    }

    /// The flag `key`, if it is there.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        let Some((value, place)) = self.value(key) else { return Ok(None) };
        match value {
            DeValue::Boolean(flag) => Ok(Some(*flag)),
            other => Err(wrong_type(key, "true or false", other).at(place)),
        }
    }

    /// The number `key`, if it is there.
    pub(super) fn number<T>(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<T>,
    ) -> Result<Option<T>, ConfigError>
    where
        T: Copy + PartialOrd + TryFrom<i64> + Into<u64>,
    {
        let Some((value, place)) = self.value(key) else { return Ok(None) };
        let DeValue::Integer(digits) = value else {
            return Err(wrong_type(key, "a whole number", value).at(place));
        };
        whole(value)
            .filter(|number| range.contains(number))
            .map(Some)
            .ok_or_else(|| out_of_range(key, digits, range).at(place))
    }

    /// The number `key`, which must be there.
    pub(super) fn need_number<T>(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<T>,
    ) -> Result<T, ConfigError>
    where
        T: Copy + PartialOrd + TryFrom<i64> + Into<u64>,
    {
        let missing = Problem::MissingKey { table: self.title, key };
        self.number(key, range)?.ok_or_else(|| missing.at(self.origin.place()))
    }

    /// The numbers of the list `key`, if it is there, and where it stands; none of them where one
    /// is no such number.
    pub(super) fn numbers<T: TryFrom<i64>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<(Vec<T>, Place)>, ConfigError> {
        let Some((value, place)) = self.value(key) else { return Ok(None) };
        let DeValue::Array(array) = value else {
            return Err(wrong_type(key, "a list of whole numbers", value).at(place));
        };
        let numbers: Option<Vec<T>> = array.iter().map(|entry| whole(entry.get_ref())).collect();
        Ok(Some((numbers.unwrap_or_default(), place)))
    }

    /// The text or number of `key`, if it is there.
    pub(super) fn word(&mut self, key: &'static str) -> Result<Option<Word<'a>>, ConfigError> {
        let Some((value, place)) = self.value(key) else { return Ok(None) };
        match (value.as_str(), whole(value)) {
            (Some(text), _) => Ok(Some(Word::Text(Found { place, text }))),
            (None, Some(number)) => Ok(Some(Word::Number(number, place))),
            _ => Err(wrong_type(key, "a text or a whole number", value).at(place)),
        }
    }

    /// The texts of the list `key`, none if it is not there.
    pub(super) fn texts(&mut self, key: &'static str) -> Result<Vec<Found<'a>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let place = self.source.place(value.span().start);
        let DeValue::Array(array) = value.get_ref() else {
            return Err(wrong_type(key, "a list of texts", value.get_ref()).at(place));
        };
        let mut texts = Vec::new();
        for entry in array.iter() {
            let place = self.source.place(entry.span().start);
            self.origin.note(key, place.line);
            texts.push(string(key, entry.get_ref(), place)?);
        }
        Ok(texts)
    }

    /// The texts of `key`, which is one text or a list of them; none if it is not there.
    pub(super) fn one_or_more(&mut self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let texts = match value.get_ref() {
            DeValue::Array(_) => self.texts(key)?,
            DeValue::String(_) => self.text(key)?.into_iter().collect(),
            other => {
                let place = self.source.place(value.span().start);
                return Err(wrong_type(key, "a text or a list of texts", other).at(place));
            }
        };
        Ok(texts.into_iter().map(|found| found.text.to_owned()).collect())
    }

    /// The table `[key]`, if it is there, which may have the keys `known`.
    pub(super) fn table(
        &mut self,
        key: &'static str,
        title: &'static str,
        known: &'static [&'static str],
    ) -> Result<Option<Table<'a>>, ConfigError> {
        let Some((value, place)) = self.value(key) else { return Ok(None) };
        match value.as_table() {
            Some(table) => Table::open(self.source, title, table, place, known).map(Some),
            None => Err(wrong_type(key, "a table", value).at(place)),
        }
    }

    /// The tables `[[key]]`, each of which may have the keys `known`.
    pub(super) fn tables(
        &self,
        key: &'static str,
        title: &'static str,
        known: &'static [&'static str],
    ) -> Result<Vec<Table<'a>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let wrong = |value: &Spanned<DeValue<'_>>| {
            wrong_type(key, "a list of tables", value.get_ref())
                .at(self.source.place(value.span().start))
        };
        let array = value.get_ref().as_array().ok_or_else(|| wrong(value))?;
        array
            .iter()
            .map(|entry| {
                let table = entry.get_ref().as_table().ok_or_else(|| wrong(entry))?;
                Table::open(self.source, title, table, self.source.place(entry.span().start), known)
            })
            .collect()
    }
}

/// A whole number that `T` can have.
fn whole<T: TryFrom<i64>>(value: &DeValue<'_>) -> Option<T> {
    let DeValue::Integer(digits) = value else { return None };
    let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
    T::try_from(number).ok()
}

fn string<'a>(
    key: &'static str,
    value: &'a DeValue<'a>,
    place: Place,
) -> Result<Found<'a>, ConfigError> {
    match value.as_str() {
        Some(text) => Ok(Found { place, text }),
        None => Err(wrong_type(key, "a text", value).at(place)),
    }
}

fn wrong_type(key: &'static str, wants: &'static str, found: &DeValue<'_>) -> Problem {
    let found = match found {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Problem::WrongType { key, wants, found }
}

/// The problem of a number `value` that is not in `range`.
pub(super) fn out_of_range<T: Copy + Into<u64>>(
    key: &'static str,
    value: &impl ToString,
    range: &RangeInclusive<T>,
) -> Problem {
    let (min, max) = ((*range.start()).into(), (*range.end()).into());
    Problem::OutOfRange { key, value: value.to_string(), min, max }
}
