use std::error::Error;

/// Why text was refused, and where. Prints as one line.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct TextError {
    /// Line of the text, from 1.
    pub line: usize,
    /// Character of the line, from 1. One behind the last where a word is missing.
    pub column: usize,
    /// What is wrong there.
    pub what: What,
}

/// What can be wrong with a word of the text.
#[derive(Debug, thiserror::Error)]
pub enum What {
    /// Another word than the ones that can stand here.
    #[error("expected {wants}, found {}", word(.found))]
    Expected {
        /// What can stand here.
        wants: &'static str,
        /// The word, or nothing at the end of the line.
        found: Option<String>,
    },
    /// No number, or one out of bounds.
    #[error("expected {wants} ({min} to {max}), found {}", word(.found))]
    ExpectedNumber {
        /// What the number means.
        wants: &'static str,
        /// Least allowed.
        min: u64,
        /// Most allowed.
        max: u64,
        /// The word, or nothing at the end of the line.
        found: Option<String>,
    },
    /// Words behind the end of the command.
    #[error("expected the end of the line, found {}", quoted(.0))]
    Extra(String),
    /// A line that begins no command.
    #[error("{} begins no command known here", quoted(.0))]
    UnknownCommand(String),
    /// Something that exists, but not here.
    #[error("{} is not supported", .0.escape_debug())]
    NotSupported(String),
    /// An option that is already there.
    #[error("{} is given twice", .0.escape_debug())]
    Twice(String),
    /// Bytes that are no text.
    #[error("this is not UTF-8 text")]
    NotUtf8,
    /// The words are in order, but what they say cannot be.
    #[error("{0}")]
    Refused(Box<dyn Error + Send + Sync>),
}

impl What {
    /// A parser's own error.
    #[must_use]
    pub fn refused(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Refused(Box::new(error))
    }
}

fn word(found: &Option<String>) -> String {
    found.as_deref().map_or_else(|| "the end of the line".into(), quoted)
}

/// The word in quotes, cut where it would fill the screen.
fn quoted(word: &str) -> String {
    const SHOWN: usize = 64;
    match word.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{:?}...", &word[..at]),
        None => format!("{word:?}"),
    }
}
