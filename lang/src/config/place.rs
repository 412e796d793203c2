use std::fmt;
use std::sync::Arc;

/// A line of a file, or one of its characters, for messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user named it; empty for what came from no file.
    pub file: Arc<str>,
    /// Counted from 1; 0 stands for the file as a whole.
    pub line: u32,
    /// Character of the line, counted from 1; 0 stands for the line as a whole.
    pub column: u32,
}

impl Place {
    /// A line of `file`.
    #[must_use]
    pub fn new(file: &Arc<str>, line: u32) -> Self {
        Self { file: Arc::clone(file), line, column: 0 }
    }

    /// A file as a whole.
    #[must_use]
    pub fn whole(file: &str) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    /// `FILE:LINE:COLUMN: `, with the parts that are known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.file, self.line, self.column) {
            ("", ..) => Ok(()),
            (file, 0, _) => write!(f, "{file}: "),
            (file, line, 0) => write!(f, "{file}:{line}: "),
            (file, line, column) => write!(f, "{file}:{line}:{column}: "),
        }
    }
}

/// Where one element of the configuration was written, key by key.
///
/// Any two origins compare equal: where something was said is no part of what was said.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    place: Place,
    keys: Vec<(&'static str, u32)>,
}

impl Origin {
    /// An element that begins at `place`.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self { place, keys: Vec::new() }
    }

    /// Remembers the line of a key. A list is remembered once an entry.
    pub fn note(&mut self, key: &'static str, line: u32) {
        self.keys.push((key, line));
    }

    /// Where the element begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place.clone()
    }

    /// Where the value of `key` stands, or the element if it does not say.
    #[must_use]
    pub fn at(&self, key: &str) -> Place {
        self.nth(key, 0)
    }

    /// Where entry `index` of the list `key` stands, or the element if it does not say.
    #[must_use]
    pub fn nth(&self, key: &str, index: usize) -> Place {
        let line = self.keys.iter().filter(|(name, _)| *name == key).nth(index);
        Place::new(&self.place.file, line.map_or(self.place.line, |(_, line)| *line))
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}
