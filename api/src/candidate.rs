//! A configuration with everything that it names, so that it says the same anywhere and at any time.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ipnet::{Ipv4Net, Ipv6Net};
use lang::config::{Config, ConfigError, Named, RouteEntry, RouteTable, Target};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Hop, RouteAction, RouteChange};

/// Something that a configuration names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// A file with a text.
    Text(PathBuf),
    /// A file with a key.
    Key(PathBuf),
    /// A variable of the environment, with a key.
    Variable(String),
}

impl From<Named<'_>> for Part {
    fn from(named: Named<'_>) -> Self {
        match named {
            Named::Text(path) => Self::Text(path.to_owned()),
            Named::Key(path) => Self::Key(path.to_owned()),
            Named::Variable(name) => Self::Variable(name.to_owned()),
        }
    }
}

/// A configuration, with the bytes of everything that its TOML names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Name of the TOML file, for messages.
    pub file: String,
    /// The TOML.
    pub text: String,
    parts: BTreeMap<Part, Zeroizing<Vec<u8>>>,
}

impl Candidate {
    /// Reads a TOML file and all that it names, and makes it a configuration, which is not checked.
    ///
    /// # Errors
    /// As [`Config::from_toml`].
    pub fn read(path: &Path) -> Result<(Self, Config), ConfigError> {
        let mut parts = BTreeMap::new();
        let (file, text) = (path.display().to_string(), Config::read_text(path)?);
        let config = Config::parse_all(&text, &file, |named| {
            let bytes = named.read()?;
            parts.insert(named.into(), Zeroizing::new(bytes.clone()));
            Ok(bytes)
        })?;
        Ok((Self { file, text, parts }, config))
    }

    /// The configuration, which is not checked. Nothing is read from elsewhere.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse(&self) -> Result<Config, ConfigError> {
        Config::parse_all(&self.text, &self.file, |named| match self.parts.get(&named.into()) {
            Some(bytes) => Ok(bytes.to_vec()),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }
}

impl fmt::Debug for Candidate {
    /// Without what is in it: there are keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A file of routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteFile {
    /// Its name, for messages.
    pub file: String,
    /// What it holds, plain or zstd.
    pub bytes: Vec<u8>,
}

impl RouteFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = pal::file::read(path, usize::MAX)?;
        Ok(Self { file: path.display().to_string(), bytes })
    }

    /// The routes.
    ///
    /// # Errors
    /// As [`RouteTable::from_file`].
    pub fn parse(&self) -> Result<RouteTable, ConfigError> {
        RouteTable::decode(self.bytes.as_slice(), &self.file)
    }

    /// What makes the routes of its prefixes those that it has, in the order of the prefixes.
    ///
    /// # Errors
    /// As [`RouteTable::from_file`].
    pub fn changes(&self) -> Result<Vec<RouteChange>, ConfigError> {
        let table = self.parse()?;
        let path = |number| {
            let hop = match table.path(number).clone() {
                Target::Via { address, dev } => Hop::Via { address, interface: dev },
                Target::Dev(name) => Hop::OnLink(name),
                Target::Drop => Hop::Drop,
            };
            crate::Path { hop, weight: 1 }
        };
        let change = |prefix, paths: Vec<crate::Path>| {
            let action = RouteAction::Replace(paths);
            RouteChange { vrf: None, prefix, action }
        };
        let paths = |it: &[RouteEntry<Ipv4Net>]| it.iter().map(|one| path(one.path)).collect();
        let v4 = table.ipv4().map(|it| change(it[0].prefix.into(), paths(it)));
        let paths = |it: &[RouteEntry<Ipv6Net>]| it.iter().map(|one| path(one.path)).collect();
        let v6 = table.ipv6().map(|it| change(it[0].prefix.into(), paths(it)));
        Ok(v4.chain(v6).collect())
    }
}
