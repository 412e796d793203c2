use std::ops::RangeInclusive;

use super::{Line, TextError, What, Word};

/// A place among the words of a line.
///
/// Methods named for a single word take it when it fits, and leave the cursor where it is when
/// they refuse, so that an error made afterwards still points at that word.
#[derive(Clone, Debug)]
pub struct Cursor<'l, 'a> {
    line: &'l Line<'a>,
    next: usize,
}

impl<'l, 'a> Cursor<'l, 'a> {
    pub(super) fn new(line: &'l Line<'a>) -> Self {
        Self { line, next: 0 }
    }

    /// The line.
    #[must_use]
    pub fn line(&self) -> &'l Line<'a> {
        self.line
    }

    /// The next word, which stays. None at the end of the line or before a comment.
    #[must_use]
    pub fn peek(&self) -> Option<Word<'a>> {
        self.line.words().get(self.next).copied().filter(|word| !word.text.starts_with('!'))
    }

    /// The word after the next, which stays.
    #[must_use]
    pub fn peek_second(&self) -> Option<Word<'a>> {
        let mut second = self.clone();
        second.skip();
        second.peek()
    }

    /// Whether the next word is the keyword. It stays.
    #[must_use]
    pub fn sees(&self, keyword: &str) -> bool {
        self.peek().is_some_and(|word| word.is(keyword))
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.peek().is_none()
    }

    /// Takes the next word if it is the keyword.
    pub fn take(&mut self, keyword: &str) -> bool {
        let found = self.sees(keyword);
        if found {
            self.skip();
        }
        found
    }

    /// Takes the next word if it is a name of the table, for its value.
    pub fn take_of<T: Copy>(&mut self, table: &[(&'static str, T)]) -> Option<T> {
        let word = self.peek()?;
        let (_, value) = table.iter().find(|(name, _)| word.is(name))?;
        self.skip();
        Some(*value)
    }

    /// Whether the next word is all digits, and so a [`number`](Self::number) of some size. It stays.
    #[must_use]
    pub fn sees_number(&self) -> bool {
        self.peek().is_some_and(|word| is_number(word.text))
    }

    /// Takes a word of any kind.
    ///
    /// # Errors
    ///
    /// At the end of the line.
    pub fn word(&mut self, wants: &'static str) -> Result<Word<'a>, TextError> {
        let word = self.peek().ok_or_else(|| self.expected(wants))?;
        self.skip();
        Ok(word)
    }

    /// Takes the keyword.
    ///
    /// # Errors
    ///
    /// Any other word.
    pub fn expect(&mut self, keyword: &'static str) -> Result<(), TextError> {
        if self.take(keyword) { Ok(()) } else { Err(self.expected(keyword)) }
    }

    /// Takes a name of the table, for its value.
    ///
    /// # Errors
    ///
    /// A word that the table does not have; `wants` says what they are together.
    pub fn one_of<T: Copy>(
        &mut self,
        wants: &'static str,
        table: &[(&'static str, T)],
    ) -> Result<T, TextError> {
        self.take_of(table).ok_or_else(|| self.expected(wants))
    }

    /// Takes a decimal number within bounds.
    ///
    /// # Errors
    ///
    /// A word that is no number, or one out of bounds, however long.
    pub fn number<T>(
        &mut self,
        wants: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Result<T, TextError>
    where
        T: Copy + Into<u64> + TryFrom<u64>,
    {
        let (min, max) = ((*bounds.start()).into(), (*bounds.end()).into());
        let word = self.peek().filter(|word| is_number(word.text));
        let number = word.and_then(|word| word.text.parse::<u64>().ok());
        let number = number.filter(|number| (min..=max).contains(number));
        let Some(number) = number.and_then(|number| T::try_from(number).ok()) else {
            let found = self.found();
            return Err(self.error(What::ExpectedNumber { wants, min, max, found }));
        };
        self.skip();
        Ok(number)
    }

    /// Takes a number within bounds or a name of the table: `dscp 46`, `dscp ef`.
    ///
    /// # Errors
    ///
    /// As [`number`](Self::number).
    pub fn number_or_name<T>(
        &mut self,
        wants: &'static str,
        bounds: RangeInclusive<T>,
        table: &[(&'static str, T)],
    ) -> Result<T, TextError>
    where
        T: Copy + Into<u64> + TryFrom<u64>,
    {
        match self.take_of(table) {
            Some(value) => Ok(value),
            None if self.sees_number() => self.number(wants, bounds),
            None => Err(self.expected(wants)),
        }
    }

    /// Takes a word that reads as a `T`: an address, a prefix.
    ///
    /// # Errors
    ///
    /// Any other word.
    pub fn parsed<T: std::str::FromStr>(&mut self, wants: &'static str) -> Result<T, TextError> {
        let value = self.peek().and_then(|word| word.text.parse().ok());
        let value = value.ok_or_else(|| self.expected(wants))?;
        self.skip();
        Ok(value)
    }

    /// Takes everything to the end of the line as one text, as it is written, `!` included. Empty
    /// when nothing is left.
    pub fn rest(&mut self) -> &'a str {
        let word = self.line.words().get(self.next).copied();
        self.next = self.line.words().len();
        word.map_or("", |word| self.line.from(word))
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    ///
    /// [`What::Extra`] at the next word.
    pub fn end(&self) -> Result<(), TextError> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(self.error(What::Extra(word.text.into()))),
        }
    }

    /// An error at the next word.
    #[must_use]
    pub fn error(&self, what: What) -> TextError {
        let word = self.line.words().get(self.next);
        let column = word.map_or_else(|| self.line.end(), |word| word.column);
        TextError { line: self.line.number, column, what }
    }

    /// An error at a word that was taken before.
    #[must_use]
    pub fn error_at(&self, word: Word<'a>, what: What) -> TextError {
        TextError { line: self.line.number, column: word.column, what }
    }

    /// An error at the next word, which is something else than `wants`.
    #[must_use]
    pub fn expected(&self, wants: &'static str) -> TextError {
        let found = self.found();
        self.error(What::Expected { wants, found })
    }

    /// An error at the next word, which names something that is not supported.
    #[must_use]
    pub fn not_supported(&self) -> TextError {
        self.error(What::NotSupported(self.found().unwrap_or_default()))
    }

    fn found(&self) -> Option<String> {
        self.peek().map(|word| word.text.to_owned())
    }

    fn skip(&mut self) {
        self.next += 1;
    }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}
