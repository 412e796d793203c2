//! Names and their numbers, for a client that takes over.

use std::os::fd::OwnedFd;

use pal::crash;

use super::{Client, CommitError};
use crate::ea::{IpsecError, LastingKeys};
use crate::rm::{Kind, Named};

/// Who keeps names where another client finds them, and all lasting keys when these are others.
pub type Tell = Box<dyn FnMut(Vec<Named>, Option<LastingKeys>) + Send>;

impl Client {
    /// Has `tell` called with names that have been given numbers, before lcores see anything of
    /// them. Names whose numbers have been given to others, or that are gone, are not told of again.
    pub fn tell_names_to(&mut self, tell: Tell) {
        self.names = Some(tell);
    }

    /// All names that have numbers.
    #[must_use]
    pub fn names(&self) -> Vec<Named> {
        let tables = self.interfaces.names().chain(self.vrfs.names());
        tables.chain(self.classification.names()).chain(self.ipsec.all_named()).collect()
    }

    /// Keeps the numbers of names, in the order in which they were told, for the next commit.
    pub fn keep_names(&mut self, names: Vec<Named>) {
        for named in names.into_iter().rev() {
            match named.kind {
                Kind::Interface => self.interfaces.numbers().keep(named),
                Kind::Vrf => self.vrfs.numbers().keep(named),
                Kind::Rule => self.classification.numbers().keep(named),
                Kind::Class => self.classification.services().numbers().keep(named),
                Kind::Sa { .. } => self.ipsec.keep_state(named),
            }
        }
    }

    /// Lcores read the tables of this client: names that have not come back by now may have other
    /// numbers, and nobody else lets SAs use more sequence numbers any more.
    pub fn taken_over(&mut self) {
        self.interfaces.numbers().let_go();
        self.vrfs.numbers().let_go();
        self.classification.numbers().let_go();
        self.classification.services().numbers().let_go();
        self.ipsec.let_go();
        self.ipsec.resume_kept(&self.driver);
    }

    /// What lets SAs of lasting keys use more numbers while there is no client: the file of marks, and
    /// all of them; none without such a file.
    ///
    /// # Errors
    /// The system has no descriptors.
    pub fn lasting_keys(&self) -> Result<Option<(OwnedFd, LastingKeys)>, CommitError> {
        let file = self.ipsec.marks_file().map_err(IpsecError::from)?;
        Ok(file.map(|file| (file, self.ipsec.lasting())))
    }

    /// Names that were given numbers since this was asked last.
    pub(super) fn take_given(&mut self) -> Vec<Named> {
        let mut all = self.interfaces.numbers().take_given();
        all.append(&mut self.vrfs.numbers().take_given());
        all.append(&mut self.classification.numbers().take_given());
        all.append(&mut self.classification.services().numbers().take_given());
        all.append(&mut self.ipsec.take_given());
        all
    }

    pub(super) fn tell_names(&mut self) {
        let keys = self.names.is_some().then(|| self.ipsec.lasting());
        let given = self.take_given();
        if let Some(tell) = self.names.as_mut().filter(|_| !given.is_empty()) {
            let is_sa = |named: &Named| matches!(named.kind, Kind::Sa { .. });
            let keys = keys.filter(|_| given.iter().any(is_sa));
            tell(given, keys);
            crash::point("named");
        }
    }
}
