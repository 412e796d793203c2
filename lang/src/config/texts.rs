//! Access lists and route maps: IOS text, in the TOML or in a file of its own.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::ipsec::MAX_KEY_FILE;
use super::table::{Block, Table};
use super::{Config, ConfigError, Definition, Place, Problem, secret_file};
use crate::acl::{AccessList, Document};
use crate::ios::{TextError, utf8};
use crate::mqc::Policies;
use crate::pbr::RouteMaps;

/// Longest text in a file, bytes: a hundred thousand entries have a tenth of it.
pub(super) const MAX_TEXT: usize = 1 << 26;

/// What a configuration names and does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Named<'a> {
    /// A file with a text.
    Text(&'a Path),
    /// A file with a key.
    Key(&'a Path),
    /// A variable of the environment, with a key.
    Variable(&'a str),
}

impl Named<'_> {
    /// The bytes, from where they lie: no more than a text or a key can have, and of a key only if
    /// nobody else can write it and not everybody read it.
    ///
    /// # Errors
    /// It cannot be read, or ought not to be.
    pub fn read(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Text(path) => pal::file::read(path, MAX_TEXT),
            Self::Key(path) => secret_file::read(path, MAX_KEY_FILE),
            Self::Variable(name) => std::env::var_os(name)
                .map(OsString::into_encoded_bytes)
                .ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }
}

/// Reads what a configuration names.
pub(super) type Load<'l> = &'l mut dyn FnMut(Named<'_>) -> io::Result<Vec<u8>>;

impl Config {
    /// Adds what the text of an `[[acl]]` defines.
    pub(super) fn add_access_lists(
        &mut self,
        mut table: Table<'_>,
        base: &Path,
        load: Load<'_>,
    ) -> Result<(), ConfigError> {
        let name = table.text("name")?;
        let text = Text::read(&mut table, base, load)?;
        let document = text.parse(Document::parse)?;
        if let Some(name) = name
            && !document.lists().any(|list| list.name().as_str() == name.text)
        {
            return Err(Problem::NameNotDefined(name.text.to_owned()).at(name.place));
        }
        for list in document.lists() {
            self.define(definition(list), &text.said)?;
        }
        self.access_lists.insert_all(&document);
        for (name, group) in document.objects.iter() {
            self.define(Definition::ObjectGroup(name.clone()), &text.said)?;
            let added = self.access_lists.objects.insert(name.clone(), group.clone());
            added.map_err(|error| Problem::BadGroup(error).at(text.said.clone()))?;
        }
        Ok(())
    }

    /// Adds the route maps of a `[[route_map]]`.
    pub(super) fn add_route_maps(
        &mut self,
        mut table: Table<'_>,
        base: &Path,
        load: Load<'_>,
    ) -> Result<(), ConfigError> {
        let text = Text::read(&mut table, base, load)?;
        for map in text.parse(RouteMaps::parse)?.iter() {
            self.define(Definition::RouteMap(map.name().clone()), &text.said)?;
            self.route_maps.insert(map.clone());
        }
        Ok(())
    }

    /// Reads `[qos]`.
    pub(super) fn add_qos(
        &mut self,
        mut table: Table<'_>,
        base: &Path,
        load: Load<'_>,
    ) -> Result<(), ConfigError> {
        if let Some(word) = table.text("accounting")? {
            self.qos.accounting =
                super::qos::accounting(word.text).map_err(|problem| problem.at(word.place))?;
        }
        if let Some(word) = table.text("granularity")? {
            self.qos.granularity =
                super::qos::granularity(word.text).map_err(|problem| problem.at(word.place))?;
        }
        if table.has("file") || table.has("text") {
            let text = Text::read(&mut table, base, load)?;
            self.policies = text.parse(Policies::parse)?;
        }
        self.qos.origin = table.origin;
        Ok(())
    }

    fn define(&mut self, what: Definition, place: &Place) -> Result<(), ConfigError> {
        match self.definitions.note(what.clone(), place) {
            None => Ok(()),
            Some(first) => Err(Problem::DefinedTwice { what, first }.at(place.clone())),
        }
    }
}

/// The list as something that is defined.
pub(super) fn definition(list: &AccessList) -> Definition {
    Definition::AccessList(list.family(), list.name().clone())
}

/// A text and where it stands.
struct Text<'a> {
    text: Cow<'a, str>,
    /// The key that holds or names it.
    said: Place,
    /// Its first line.
    first: Place,
    /// The last line that it can be on.
    last: u32,
}

impl<'a> Text<'a> {
    /// The text that `table` has or names. Names are relative to the folder `base`.
    fn read(table: &mut Table<'a>, base: &Path, load: Load<'_>) -> Result<Self, ConfigError> {
        match (table.text("file")?, table.block("text")?) {
            (None, Some(Block { text, said, first, last })) => {
                Ok(Self { text: text.into(), said, first, last })
            }
            (Some(file), None) if file.text.contains(char::is_control) => {
                Err(Problem::BadFileName(file.text.to_owned()).at(file.place))
            }
            (Some(file), None) => Self::of_file(base.join(file.text), file.place, load),
            _ => {
                let problem = Problem::FileOrText { table: table.title() };
                Err(problem.at(table.origin.place()))
            }
        }
    }

    fn of_file(path: PathBuf, said: Place, load: Load<'_>) -> Result<Self, ConfigError> {
        let bytes = match load(Named::Text(&path)) {
            Ok(bytes) if bytes.len() <= MAX_TEXT => bytes,
            Ok(_) => return Err(Problem::TextTooLong { path, limit: MAX_TEXT }.at(said)),
            Err(error) => return Err(Problem::TextUnreadable { path, error }.at(said)),
        };
        let first = Place { line: 1, ..Place::whole(&path.display().to_string()) };
        let mut read = Self { text: Cow::Borrowed(""), said, first, last: u32::MAX };
        read.text = match utf8(&bytes) {
            Ok(text) => Cow::Owned(text.to_owned()),
            Err(error) => return Err(read.error(error)),
        };
        Ok(read)
    }

    fn parse<T>(
        &self,
        parser: impl FnOnce(&str) -> Result<T, TextError>,
    ) -> Result<T, ConfigError> {
        parser(&self.text).map_err(|error| self.error(error))
    }

    /// The error at its own place in the file. A TOML text with escaped line ends has fewer lines
    /// than it says; then the place is the last of them at most.
    fn error(&self, error: TextError) -> ConfigError {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let line = self.first.line.saturating_add(number(error.line).saturating_sub(1));
        let (line, column) = (line.min(self.last), number(error.column));
        Problem::Text(error.what).at(Place { line, column, ..self.first.clone() })
    }
}
