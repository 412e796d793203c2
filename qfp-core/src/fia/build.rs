//! Building a FIA: the rows of a router, features of the user's own between them, and for each
//! lcore the steps behind them.

use crate::adjacency::Interposed;
use crate::fia::order::{FAST, Kit, LAST_PASSED, Path, REWRITE, ROUTER, Row};
use crate::fia::walk::ActiveRow;
use crate::fia::{Fia, Gate};
use crate::isa::Isa;
use crate::packet::Span;
use crate::step::Step;
use crate::wire::Family;

/// Why a feature cannot be inserted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FiaError {
    /// No row has the name that the feature is to stand next to.
    #[error("no row is called {0}")]
    NoSuchRow(String),
    /// A row has the feature's name already.
    #[error("a row is called {0} already")]
    NameTaken(&'static str),
}

/// Makes a step for each lcore.
type Factory = Box<dyn Fn(&Kit) -> Box<dyn Step> + Send + Sync>;

struct Plan {
    name: &'static str,
    path: Path,
    gate: Gate,
    family: Option<Family>,
    make: Option<Factory>,
}

/// The rows of a FIA before steps are made for each lcore.
pub struct FiaBuilder {
    plan: Vec<Plan>,
}

impl FiaBuilder {
    /// The order of operations of a router.
    #[must_use]
    pub fn router() -> Self {
        let plan = ROUTER.iter().map(|row: &Row| Plan {
            name: row.name,
            path: row.path,
            gate: row.gate,
            family: row.family,
            make: row.make.map(|make| Box::new(make) as Factory),
        });
        Self { plan: plan.collect() }
    }

    /// Inserts a feature behind the row `after`, on that row's path.
    ///
    /// `make` is called once per lcore. With [`Gate::Always`] behind `egress-fast` and before `mtu`
    /// it switches `egress-fast` off, for every packet has to meet it; with a gate bit only those
    /// are left to the rows that it looks at. Behind `tx` it sees nothing: all that walked has been
    /// sent.
    ///
    /// # Errors
    /// There is no row `after`, or one called `name` already.
    pub fn insert_after(
        mut self,
        after: &str,
        name: &'static str,
        gate: Gate,
        make: impl Fn() -> Box<dyn Step> + Send + Sync + 'static,
    ) -> Result<Self, FiaError> {
        if self.position(name).is_some() {
            return Err(FiaError::NameTaken(name));
        }
        let Some(at) = self.position(after) else {
            return Err(FiaError::NoSuchRow(after.to_owned()));
        };
        if gate == Gate::Always && self.is_passed(at) {
            self = self.row_by_row();
        }
        let path = self.plan[at].path;
        let make: Factory = Box::new(move |_| make());
        let row = Plan { name, path, gate, family: None, make: Some(make) };
        self.plan.insert(at + 1, row);
        Ok(self)
    }

    /// Leaves `egress-fast` without a step: every packet goes through all rows.
    #[must_use]
    pub fn row_by_row(mut self) -> Self {
        self.plan.iter_mut().filter(|row| row.name == FAST).for_each(|row| row.make = None);
        self
    }

    /// Names of the rows, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.plan.iter().map(|row| row.name).collect()
    }

    /// Makes the steps for one lcore, which polices by itself what goes to the slow path, at the
    /// published rates.
    #[must_use]
    pub fn build(&self, isa: Isa) -> Fia {
        self.build_with(&Kit { isa, ..Kit::default() })
    }

    /// Makes the steps for one lcore. [`Kit::interposed`] is found out here.
    #[must_use]
    pub fn build_with(&self, kit: &Kit) -> Fia {
        let kit = Kit { interposed: self.interposed(), ..kit.clone() };
        let mut rows = Vec::new();
        for (number, row) in self.plan.iter().enumerate() {
            let Some(make) = &row.make else { continue };
            rows.push(ActiveRow {
                number,
                name: row.name,
                path: row.path,
                gate: row.gate,
                family: row.family,
                span: self.span(number),
                next: 0,
                takes_ahead: row.name == FAST,
                step: make(&kit),
            });
        }
        for n in (0..rows.len()).rev() {
            let same = rows.get(n + 1).filter(|next| next.span == rows[n].span);
            rows[n].next = same.map_or(n + 1, |row| row.next);
        }
        Fia::new(self.names(), rows, kit.isa)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.plan.iter().position(|row| row.name == name)
    }

    /// True for places behind row number `row` that packets can be ahead of.
    fn is_passed(&self, row: usize) -> bool {
        Some(row) >= self.position(FAST) && Some(row) < self.position(LAST_PASSED)
    }

    /// Which packets meet row number `row`.
    fn span(&self, row: usize) -> Span {
        let Plan { path, gate, .. } = self.plan[row];
        let (row, rewrite) = (Some(row), self.position(REWRITE));
        if path == Path::Punt {
            Span::Leaving
        } else if row > self.position(FAST) && row <= rewrite {
            Span::Rewrite
        } else if row > rewrite
            // What is complete has no egress features, wherever they stand.
            && (row <= self.position(LAST_PASSED) || matches!(gate, Gate::Bit(_)))
        {
            Span::Egress
        } else {
            Span::Open
        }
    }

    /// What of the user's own stands between `egress-fast` and `l2-rewrite`.
    fn interposed(&self) -> Interposed {
        let mut interposed = Interposed::default();
        for (number, row) in self.plan.iter().enumerate() {
            if self.span(number) == Span::Rewrite && row.make.is_some() && row.name != "ttl" {
                match (row.path, row.gate) {
                    (Path::Ingress, Gate::Bit(_)) => interposed.ingress |= row.gate.mask(),
                    (Path::Egress, Gate::Bit(_)) => interposed.egress = true,
                    _ => {}
                }
            }
        }
        interposed
    }
}
