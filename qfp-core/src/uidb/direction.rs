/// Which packets of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Those that come in through it.
    In,
    /// Those that leave through it.
    Out,
}

impl Direction {
    /// As in configurations, reports and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// As in IOS' words about policies.
    #[must_use]
    pub const fn ios(self) -> &'static str {
        match self {
            Self::In => "input",
            Self::Out => "output",
        }
    }
}
