//! Names and their numbers, for a client that takes over.

use pal::crash;

use super::Client;
use crate::rm::{Kind, Named};

/// Who keeps names where another client finds them.
pub type Tell = Box<dyn FnMut(Vec<Named>) + Send>;

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

    /// Names that have not come back by now may have other numbers.
    pub fn let_names_go(&mut self) {
        self.interfaces.numbers().let_go();
        self.vrfs.numbers().let_go();
        self.classification.numbers().let_go();
        self.classification.services().numbers().let_go();
        self.ipsec.let_go();
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
        let given = self.take_given();
        if let Some(tell) = self.names.as_mut().filter(|_| !given.is_empty()) {
            tell(given);
            crash::point("named");
        }
    }
}
