use super::{Cursor, TextError, What};

/// A word and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// The word, without blanks.
    pub text: &'a str,
    /// Character of the line, from 1, that the word begins with.
    pub column: usize,
    /// Byte of the line that the word begins with.
    at: usize,
}

impl Word<'_> {
    /// Whether this is the keyword, in any case.
    #[must_use]
    pub fn is(&self, keyword: &str) -> bool {
        self.text.eq_ignore_ascii_case(keyword)
    }
}

/// A line with at least one word, that is no comment.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// Number of the line, from 1.
    pub number: usize,
    text: &'a str,
    words: Vec<Word<'a>>,
}

impl<'a> Line<'a> {
    /// Words of the line: one at least.
    #[must_use]
    pub fn words(&self) -> &[Word<'a>] {
        &self.words
    }

    /// Blanks before the first word: more than none where the line belongs to a mode.
    #[must_use]
    pub fn indent(&self) -> usize {
        self.words.first().map_or(0, |word| word.column - 1)
    }

    /// The line from its first word to its last.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text.trim()
    }

    /// A cursor before the first word.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_, 'a> {
        Cursor::new(self)
    }

    /// The text from a word to the end of the line, without trailing blanks.
    pub(super) fn from(&self, word: Word<'a>) -> &'a str {
        self.text[word.at..].trim_end()
    }

    /// Column behind the last word.
    pub(super) fn end(&self) -> usize {
        self.words.last().map_or(1, |word| word.column + word.text.chars().count())
    }
}

/// The lines that say something: neither blank nor a comment. Any text will do; a byte order mark
/// at its start is passed over.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().enumerate().filter_map(|(index, text)| {
        let words = words(text);
        let says = words.first().is_some_and(|word| !word.text.starts_with('!'));
        says.then_some(Line { number: index + 1, text, words })
    })
}

/// The bytes as text.
///
/// # Errors
///
/// [`What::NotUtf8`] at the first byte that is none.
pub fn utf8(bytes: &[u8]) -> Result<&str, TextError> {
    str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let last = good.rsplit('\n').next().unwrap_or_default();
        TextError {
            line: good.matches('\n').count() + 1,
            column: last.chars().count() + 1,
            what: What::NotUtf8,
        }
    })
}

fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    for (column, (at, c)) in line.char_indices().enumerate() {
        match (c.is_whitespace(), start) {
            (false, None) => start = Some((column + 1, at)),
            (true, Some((column, from))) => {
                words.push(Word { text: &line[from..at], column, at: from });
                start = None;
            }
            _ => {}
        }
    }
    if let Some((column, at)) = start {
        words.push(Word { text: &line[at..], column, at });
    }
    words
}
