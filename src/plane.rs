//! The data plane of a forwarder, in its process or in one of its own.

use hal::spec::Spec;
use hal::{PortConfig, PortError, PortInfo};
use pal::lcore::StopFlag;
use ucode::{
    Device, EndError, Ended, InjectError, Injection, Opened, Plug, PlugError, PortState, SlowCounts,
};

use crate::apart::{Apart, ApartError, AtWork, Child, UcodeState};
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

/// Why a port of a data plane that runs is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Its SPEC.
    #[error(transparent)]
    Spec(#[from] PortError),
    /// It cannot be plugged in, or pulled out.
    #[error(transparent)]
    Plug(#[from] PlugError),
}

/// Where ports are plugged into a data plane that runs.
pub(crate) enum Sockets {
    Here(Plug),
}

impl Sockets {
    /// See [`Plug::plug`].
    pub(crate) fn plug(
        &self,
        number: u16,
        spec: &Spec,
        config: &PortConfig,
    ) -> Result<PortInfo, SocketError> {
        match self {
            Self::Here(plug) => Ok(plug.plug(number, Device::Named(spec.clone()), config)?),
        }
    }

    /// See [`Plug::pull`].
    pub(crate) fn pull(&self, number: u16) -> Result<(), SocketError> {
        match self {
            Self::Here(plug) => Ok(plug.pull(number)?),
        }
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

    /// Where ports are plugged in; none in the time of captures.
    pub(crate) fn sockets(&self) -> Option<Sockets> {
        match self {
            Self::Here(ucode) => ucode.plug().map(Sockets::Here),
            Self::Apart(_) => None,
        }
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> Result<Ended<ClientSide>, EndError> {
        match self {
            Self::Here(ucode) => ucode.end(),
            Self::Apart(apart) => apart.end(),
        }
    }

    /// Replaces the process that it has of its own; none if it has none.
    pub(crate) fn upgrade(&self) -> Option<Result<(), ApartError>> {
        match self {
            Self::Here(_) => None,
            Self::Apart(apart) => Some(apart.upgrade()),
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
