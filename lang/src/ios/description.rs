use std::str::FromStr;

/// Free text of one line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Description(Box<str>);

/// Text that would not be read back as one description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no description: it must be one line with no blanks around it, and not empty")]
pub struct NotDescription(String);

impl Description {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Description {
    type Err = NotDescription;

    fn from_str(text: &str) -> Result<Self, NotDescription> {
        if text.is_empty() || text.trim() != text || text.contains(char::is_control) {
            return Err(NotDescription(text.into()));
        }
        Ok(Self(text.into()))
    }
}
