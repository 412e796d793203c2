//! Numbers of ports, which stay those of their interfaces over restarts: by PCI address, else by name.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use qfp::pal::inventory::{Interface, PciAddress};

use crate::replace::replace;

/// Its file in the private folder of a run directory.
const FILE: &str = "interfaces";
/// Stands for the PCI address of an interface that has none.
const NONE: &str = "-";

/// Where an interface is, or was last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// On the PCI bus.
    pub(super) pci: Option<String>,
    /// The kernel's name.
    pub(super) kernel: String,
}

/// Why a mapping cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum MappingError {
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}:{line}: expected NUMBER PCI NAME, each number and place once", path.display())]
    Line { path: PathBuf, line: usize },
}

/// Each number and whose it is, from 1 on, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    path: PathBuf,
    places: Vec<(u32, Place)>,
}

impl Mapping {
    /// What was saved in `dir`; empty the first time.
    pub(super) fn load(dir: &Path) -> Result<Self, MappingError> {
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| MappingError::Io { path: path.clone(), error })?,
        };
        let mut places: Vec<(u32, Place)> = Vec::new();
        for (line, words) in (1..).zip(text.lines()) {
            let wrong = || MappingError::Line { path: path.clone(), line };
            let words: Vec<&str> = words.split_whitespace().collect();
            let [number, pci, kernel] = words[..] else { return Err(wrong()) };
            let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
            let known = pci == NONE || PciAddress::parse(pci).is_some();
            let pci = (pci != NONE).then(|| pci.to_owned());
            let place = Place { pci, kernel: kernel.to_owned() };
            if !known || places.iter().any(|one| one.0 >= number || one.1 == place) {
                return Err(wrong());
            }
            places.push((number, place));
        }
        Ok(Self { path, places })
    }

    /// Saves it whole.
    pub(super) fn save(&self) -> Result<(), MappingError> {
        let mut text = String::new();
        for (number, Place { pci, kernel }) in &self.places {
            // A text takes whatever is written.
            let _ = writeln!(text, "{number} {} {kernel}", pci.as_deref().unwrap_or(NONE));
        }
        let failed = |error| MappingError::Io { path: self.path.clone(), error };
        replace(&self.path, text.as_bytes(), ["mapping-written", "mapping-renamed"]).map_err(failed)
    }

    /// Gives each interface that has none the next number, in the order given, and notes what those are
    /// called now that have one.
    pub(super) fn number(&mut self, interfaces: &[&Interface]) {
        for one in interfaces {
            let now = place(one);
            match self.find(one, interfaces) {
                Some(at) => self.places[at].1 = now,
                None => {
                    let next = self.places.last().map_or(0, |(number, _)| *number) + 1;
                    self.places.push((next, now));
                }
            }
        }
    }

    /// All of them, with the interfaces that are there.
    pub(super) fn all<'a>(
        &'a self,
        interfaces: &'a [Interface],
    ) -> impl Iterator<Item = (u32, &'a Place, Option<&'a Interface>)> {
        let there = |place_: &Place| interfaces.iter().find(|one| place(one) == *place_);
        self.places.iter().map(move |(number, place)| (*number, place, there(place)))
    }

    /// Whose number an interface has: that of its place; else that of its PCI address, if no other one
    /// which is there has it.
    fn find(&self, one: &Interface, interfaces: &[&Interface]) -> Option<usize> {
        let own = place(one);
        if let Some(at) = self.places.iter().position(|(_, place)| *place == own) {
            return Some(at);
        }
        let is_free = |known: &Place| !interfaces.iter().any(|other| place(other) == *known);
        let by_pci =
            |(_, known): &(u32, Place)| own.pci.is_some() && known.pci == own.pci && is_free(known);
        self.places.iter().position(by_pci)
    }
}

fn place(one: &Interface) -> Place {
    let pci = one.pci.map(|pci| {
        let PciAddress { domain, bus, device, function } = pci;
        format!("{domain:04x}:{bus:02x}:{device:02x}.{function}")
    });
    Place { pci, kernel: one.name.clone() }
}
