use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// Name or number of a list or group: one word that starts no comment. Compares with its case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// Text that would not be read back as one name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no name: it must be one word, and not start with \"!\"")]
pub struct NameError(String);

impl Name {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mixed = text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\u{feff}');
        if text.is_empty() || text.starts_with('!') || mixed {
            return Err(NameError(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
