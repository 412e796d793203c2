//! The feature invocation array of one lcore: its rows, and what is asked of all of them.

use pal::clock::Nanos;
use pal::publication::Seen;

use crate::fia::FiaError;
use crate::fia::walk::ActiveRow;
use crate::isa::Isa;
use crate::packet::Vector;
use crate::step::{Lcore, Step};

/// The feature invocation array of one lcore.
pub struct Fia {
    pub(super) names: Vec<&'static str>,
    pub(super) rows: Vec<ActiveRow>,
    /// The row `tx`, where what is complete goes on.
    pub(super) tx: usize,
    /// Number of the row `punt`, which the loop serves.
    pub(super) punt: Option<usize>,
    /// Row that is asked first for held packets.
    turn: usize,
    isa: Isa,
}

impl Fia {
    pub(super) fn new(names: Vec<&'static str>, rows: Vec<ActiveRow>, isa: Isa) -> Self {
        let punt = names.iter().position(|name| *name == "punt");
        let tx = rows.iter().position(|row| row.name == "tx").unwrap_or(rows.len());
        Self { names, rows, tx, punt, turn: 0, isa }
    }

    /// Names of the rows, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.names.clone()
    }

    /// Where among those with steps the row `name` is.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.name == name)
    }

    /// Puts another step into the row `name`.
    ///
    /// # Errors
    /// No row with a step has that name.
    pub fn replace(&mut self, name: &str, step: Box<dyn Step>) -> Result<(), FiaError> {
        let Some(at) = self.position(name) else {
            return Err(FiaError::NoSuchRow(name.to_owned()));
        };
        self.rows[at].step = step;
        Ok(())
    }

    /// Since when rows of tables must stay for packets that steps hold ([`Step::pins`]).
    #[must_use]
    pub fn pins(&self) -> Option<Seen> {
        self.rows.iter().filter_map(|row| row.step.pins()).min()
    }

    /// Takes on packets that a row has held and gives back, in the empty vector; returns how many
    /// ([`Step::resume`]). The rows take turns.
    pub fn resume(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, now: Nanos) -> usize {
        for _ in 0..self.rows.len() {
            self.turn = (self.turn + 1) % self.rows.len();
            if self.rows[self.turn].step.resume(lcore, vector, now) {
                let given = vector.burst.count();
                vector.held = vector.held.saturating_sub(given);
                self.send(lcore, vector);
                return given;
            }
        }
        0
    }

    /// The instructions that the rows' kernels use.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Number of the row `punt`, which the loop serves.
    #[must_use]
    pub fn punt_row(&self) -> Option<usize> {
        self.punt
    }
}
