//! The data plane of a forwarder, in its process or in one of its own.

use hal::PortInfo;
use pal::lcore::StopFlag;
use ucode::{EndError, Ended, InjectError, Injection, Opened, PortState, SlowCounts};

use crate::apart::{Apart, AtWork, Child, UcodeState};
use crate::control::ClientSide;

/// A data plane whose devices are open.
pub(crate) enum OpenedPlane {
    Here(Opened),
    /// With what there is to know of one that forwards already.
    Apart(Child, Option<Box<AtWork>>),
}

impl OpenedPlane {
    /// What each port is.
    pub(crate) fn infos(&self) -> Vec<&PortInfo> {
        match self {
            Self::Here(opened) => opened.infos(),
            Self::Apart(child, _) => child.infos.iter().collect(),
        }
    }

    /// The one that was found at work.
    pub(crate) fn at_work(&mut self) -> Option<&mut AtWork> {
        match self {
            Self::Apart(_, at_work) => at_work.as_deref_mut(),
            Self::Here(_) => None,
        }
    }

    /// Whether time is that of captures.
    pub(crate) fn virtual_time(&self) -> bool {
        matches!(self, Self::Here(opened) if opened.virtual_time())
    }
}

/// A data plane that runs.
pub(crate) enum Plane {
    Here(Box<ucode::Running<ClientSide>>),
    Apart(Apart),
}

impl Plane {
    /// What stops it.
    pub(crate) fn stop_flag(&self) -> StopFlag {
        match self {
            Self::Here(ucode) => ucode.stop_flag(),
            Self::Apart(apart) => apart.stop_flag(),
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Here(ucode) => ucode.is_finished(),
            Self::Apart(apart) => apart.is_finished(),
        }
    }

    pub(crate) fn total_packets(&self) -> Option<u64> {
        match self {
            Self::Here(ucode) => ucode.total_packets(),
            Self::Apart(apart) => apart.total_packets(),
        }
    }

    pub(crate) fn ports(&self) -> Vec<PortState> {
        match self {
            Self::Here(ucode) => ucode.ports(),
            Self::Apart(apart) => apart.ports(),
        }
    }

    pub(crate) fn slow_path(&self) -> SlowCounts {
        match self {
            Self::Here(ucode) => ucode.slow_path(),
            Self::Apart(apart) => apart.slow_path(),
        }
    }

    pub(crate) fn inject(&self, injection: Injection) -> Result<(), InjectError> {
        match self {
            Self::Here(ucode) => ucode.inject(injection),
            Self::Apart(apart) => apart.inject(injection),
        }
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> Result<Ended<ClientSide>, EndError> {
        match self {
            Self::Here(ucode) => ucode.end(),
            Self::Apart(apart) => apart.end(),
        }
    }

    /// The process that it has of its own.
    pub(crate) fn state(&self) -> Option<UcodeState> {
        match self {
            Self::Here(_) => None,
            Self::Apart(apart) => Some(apart.state()),
        }
    }
}
