use driver::DriverError;
use pal::pool::Full;
use qfp_core::qos::police::PolicerError;
use qfp_core::uidb::Direction;

use crate::config::Place;
use crate::mqc;

/// Why service policies cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum QosError {
    /// There is no such policy.
    #[error("{interface}: there is no policy-map {policy}")]
    NoPolicy {
        /// Where it is bound.
        interface: String,
        /// The policy.
        policy: String,
    },
    /// Queueing, for which there is no traffic manager.
    #[error(
        "{interface}: policy-map {policy}, class {class}: {action} needs a traffic manager, \
         which there is not"
    )]
    Queueing {
        /// Where it is bound.
        interface: String,
        /// The policy that asks for it.
        policy: String,
        /// Its class.
        class: String,
        /// What it asks for.
        action: &'static str,
    },
    /// A mark that packets of this direction do not have.
    #[error("{interface}: class {class}: {field} cannot be set {}", .direction.ios())]
    Mark {
        /// Where it is bound.
        interface: String,
        /// The class.
        class: String,
        /// The field.
        field: &'static str,
        /// In which direction.
        direction: Direction,
    },
    /// A policer.
    #[error("{interface}: class {class}: {error}")]
    Policer {
        /// Where it is bound.
        interface: String,
        /// The class.
        class: String,
        /// What is wrong.
        error: PolicerError,
    },
    /// A policy with those below it.
    #[error("{interface}: {error}")]
    Tree {
        /// Where it is bound.
        interface: String,
        /// What is wrong.
        error: mqc::TreeError,
    },
    /// Any of these, with the place of the binding.
    #[error("{place}{error}")]
    Bound {
        /// Where the configuration binds the policy.
        place: Place,
        /// What is wrong.
        error: Box<QosError>,
    },
    /// No numbers left.
    #[error(transparent)]
    Full(#[from] Full),
    /// Memory.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

impl QosError {
    /// Whether the operator has asked for what cannot be, rather than for more than there is room
    /// for.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::Bound { error, .. } => error.is_usage(),
            Self::Full(_) | Self::Driver(_) => false,
            _ => true,
        }
    }
}
