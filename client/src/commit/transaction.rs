//! Changes of the tables, each of them whole or absent.
//!
//! A change goes through the agents whose tables it concerns, twice. First each prepares its part
//! where no lcore sees it: whatever may be refused, for want of memory or of numbers, is refused
//! here, and then all give up what they have prepared. Then each publishes, which cannot fail, and
//! gives back what it has replaced.

use std::marker::PhantomData;
use std::time::Duration;

use driver::DriverError;
use pal::publication::RootDraft;
use qfp_core::fib::FibError;

use super::{Client, CommitError};
use crate::ea::{ClassificationError, IpsecError};

/// How long a change waits for lcores when it needs memory that they may still read.
const PATIENCE: Duration = Duration::from_millis(20);

/// What has a part in changes of the tables.
pub(super) trait Agent {
    /// Its part of a change. What is not in it has not been prepared.
    type Plan: Default;

    /// Has the next generation name the tables of the plan.
    fn name(_client: &mut Client, _plan: &mut Self::Plan, _root: &mut RootDraft) {}

    /// Writes what lcores see at once. They have the generation that names the plan's tables.
    fn publish(_client: &mut Client, _plan: &mut Self::Plan) {}

    /// The change is made: what it replaced goes, a grace period later.
    fn keep(client: &mut Client, plan: Self::Plan);

    /// The change is refused: what was prepared goes, whether or not it is all of it.
    fn abort(client: &mut Client, plan: Self::Plan);
}

/// An agent that has a part in changes of the kind `W`.
pub(super) trait Prepare<W: Copy>: Agent {
    /// Why it refuses.
    type Error: Refusal;

    /// Prepares what `wanted` says. No lcore sees anything of it.
    ///
    /// # Errors
    /// There is no room, or `wanted` cannot be.
    fn prepare(client: &mut Client, wanted: W, plan: &mut Self::Plan) -> Result<(), Self::Error>;
}

/// Why a change is refused.
pub(super) trait Refusal {
    /// Whether lcores that move on make room.
    fn may_pass(&self) -> bool;
}

impl Refusal for CommitError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Full(full) | Self::Fib(FibError::Full(full)) => full.waiting > 0,
            Self::Classification(error) => error.may_pass(),
            Self::Driver(DriverError::Publish(_)) => true,
            _ => false,
        }
    }
}

impl Refusal for ClassificationError {
    fn may_pass(&self) -> bool {
        self.may_pass()
    }
}

impl Refusal for IpsecError {
    fn may_pass(&self) -> bool {
        false
    }
}

/// Two agents, in this order: the second may build on what the first has prepared.
impl<A: Agent, B: Agent> Agent for (A, B) {
    type Plan = (A::Plan, B::Plan);

    fn name(client: &mut Client, plan: &mut Self::Plan, root: &mut RootDraft) {
        A::name(client, &mut plan.0, root);
        B::name(client, &mut plan.1, root);
    }

    fn publish(client: &mut Client, plan: &mut Self::Plan) {
        A::publish(client, &mut plan.0);
        B::publish(client, &mut plan.1);
    }

    fn keep(client: &mut Client, plan: Self::Plan) {
        A::keep(client, plan.0);
        B::keep(client, plan.1);
    }

    fn abort(client: &mut Client, plan: Self::Plan) {
        B::abort(client, plan.1);
        A::abort(client, plan.0);
    }
}

impl<W: Copy, A: Prepare<W>, B: Prepare<W, Error = A::Error>> Prepare<W> for (A, B) {
    type Error = A::Error;

    fn prepare(client: &mut Client, wanted: W, plan: &mut Self::Plan) -> Result<(), A::Error> {
        A::prepare(client, wanted, &mut plan.0)?;
        B::prepare(client, wanted, &mut plan.1)
    }
}

/// Agents whose tables come with a generation.
pub(super) struct NextGeneration<A>(PhantomData<A>);

impl<A: Agent> Agent for NextGeneration<A> {
    type Plan = (Option<RootDraft>, A::Plan);

    fn publish(client: &mut Client, plan: &mut Self::Plan) {
        if let Some(mut root) = plan.0.take() {
            A::name(client, &mut plan.1, &mut root);
            client.driver.publish(&root);
        }
        A::publish(client, &mut plan.1);
    }

    fn keep(client: &mut Client, plan: Self::Plan) {
        A::keep(client, plan.1);
    }

    fn abort(client: &mut Client, plan: Self::Plan) {
        A::abort(client, plan.1);
    }
}

impl<W: Copy, A: Prepare<W, Error = CommitError>> Prepare<W> for NextGeneration<A> {
    type Error = CommitError;

    fn prepare(client: &mut Client, wanted: W, plan: &mut Self::Plan) -> Result<(), CommitError> {
        plan.0 = Some(client.driver.draft()?);
        A::prepare(client, wanted, &mut plan.1)
    }
}

impl Client {
    /// Carries a change out, whole or not at all. When lcores hold up memory that would do, it
    /// waits some milliseconds for them.
    pub(super) fn transact<A: Prepare<W>, W: Copy>(&mut self, wanted: W) -> Result<(), A::Error> {
        let mut plan = A::Plan::default();
        let mut prepared = A::prepare(self, wanted, &mut plan);
        if prepared.as_ref().is_err_and(Refusal::may_pass) {
            A::abort(self, std::mem::take(&mut plan));
            self.housekeeping();
            self.driver.wait_for_readers(PATIENCE);
            self.housekeeping();
            prepared = A::prepare(self, wanted, &mut plan);
        }
        if prepared.is_err() {
            A::abort(self, plan);
            self.take_given();
            return prepared;
        }
        // Should this client end right here, the next one knows more than it needs.
        self.tell_names();
        A::publish(self, &mut plan);
        A::keep(self, plan);
        self.driver.reclaim();
        Ok(())
    }
}
