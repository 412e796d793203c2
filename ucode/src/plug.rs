//! Ports that come and go while a data plane runs.

use std::sync::Arc;
use std::time::Duration;

use hal::{PortConfig, PortError, PortInfo, Queues};
use qfp_core::ppe::{MOST_PORTS, PortQueues};

use crate::links::Ports;
use crate::mailbox::{HandOverError, Mail, Mailboxes};
use crate::ports::Device;

/// How long an lcore may take to look.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a port is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PlugError {
    /// The device does not open, or does not take what it is to be set to.
    #[error(transparent)]
    Port(#[from] PortError),
    /// It sets the time, as captures do.
    #[error("{0}: captures set the time, and have to be there from the start")]
    VirtualTime(String),
    /// An lcore does not take its queues, or does not give them back.
    #[error(transparent)]
    Lcore(#[from] HandOverError),
    /// There is no such number.
    #[error("{MOST_PORTS} ports are the most that there can be")]
    TooMany,
    /// A port that was to have another setting has none: it does not take the one before either.
    #[error("{why}; and it does not go back: {back}")]
    Lost {
        /// Why it does not take the new one.
        why: Box<PortError>,
        /// Why it does not take the old one.
        back: Box<PortError>,
    },
}

/// Plugs ports into a data plane that runs, and pulls them out. Clones plug into the same one; one of
/// them at a time.
#[derive(Clone)]
pub struct Plug {
    pub(crate) mailboxes: Arc<Mailboxes>,
    pub(crate) ports: Arc<Ports>,
    /// Lcores that forward.
    pub(crate) lcores: usize,
}

impl Plug {
    /// Has port number `number` be `device`, started as `config` says with as many queues as there are
    /// lcores, or as it has: in place of a port of that number. One with the same SPEC is that port,
    /// which is started anew. Returns what it is. Only packets of this port are lost.
    ///
    /// Waits for the device, and for lcores to come to the end of a vector. Not for an lcore.
    ///
    /// # Errors
    /// See [`PlugError`]; but for [`PlugError::Lost`] all is as it was.
    pub fn plug(
        &self,
        number: u16,
        device: Device,
        config: &PortConfig,
    ) -> Result<PortInfo, PlugError> {
        if usize::from(number) >= MOST_PORTS {
            return Err(PlugError::TooMany);
        }
        let mut port = match device {
            Device::Named(spec) if self.ports.spec(number) == Some(spec.to_string()) => {
                return self.restart(number, config);
            }
            Device::Named(spec) => spec.open()?,
            Device::Own(port) => port,
        };
        let info = port.info().clone();
        if info.virtual_time {
            return Err(PlugError::VirtualTime(info.spec));
        }
        let config = fitting(config, &info, (number, self.lcores));
        let queues = port.start(&config)?;
        if let Err(stuck) = self.hand_over(number, Some(queues)) {
            // Whoever has them gives them back.
            let _ = self.hand_over(number, None);
            return Err(stuck.into());
        }
        if let Some(mut old) = self.ports.insert(number, port, config) {
            old.stop()?;
        }
        Ok(info)
    }

    /// Starts a port anew, with other settings or, if it refuses them, with those that it had.
    fn restart(&self, number: u16, config: &PortConfig) -> Result<PortInfo, PlugError> {
        self.hand_over(number, None)?;
        let Some((mut port, before)) = self.ports.remove(number) else {
            return Err(PlugError::TooMany);
        };
        let config = fitting(config, port.info(), (number, self.lcores));
        let (queues, config, refused) = match port.start(&config) {
            Ok(queues) => (queues, config, None),
            Err(why) => match port.start(&before) {
                Ok(queues) => (queues, before, Some(why)),
                Err(back) => {
                    return Err(PlugError::Lost { why: Box::new(why), back: Box::new(back) });
                }
            },
        };
        let info = port.info().clone();
        self.ports.insert(number, port, config);
        self.hand_over(number, Some(queues))?;
        refused.map_or(Ok(info), |why| Err(why.into()))
    }

    /// Pulls a port out: when this returns, no lcore uses its number. What is sent there from now on is
    /// dropped, `PortGone`.
    ///
    /// # Errors
    /// An lcore stands still, and keeps its queues; or the device does not stop.
    pub fn pull(&self, number: u16) -> Result<(), PlugError> {
        self.hand_over(number, None)?;
        if let Some((mut port, _)) = self.ports.remove(number) {
            port.stop()?;
        }
        Ok(())
    }

    /// Gives each lcore its queues of a port, and drops those that it has had.
    fn hand_over(&self, number: u16, queues: Option<Queues>) -> Result<(), HandOverError> {
        let mail = shares(number, queues, self.lcores).into_iter().map(Mail::Queues);
        for mail in self.mailboxes.hand_over(mail.collect(), PATIENCE)? {
            if let Mail::Queues(mut queues) = mail {
                // What a port of files could not write is its own affair: it goes.
                let _ = queues.tx().finish();
            }
        }
        Ok(())
    }
}

/// Queues of a port, lcore by lcore: spread so that each lcore gets its share of all ports'.
pub(crate) fn shares(number: u16, queues: Option<Queues>, lcores: usize) -> Vec<PortQueues> {
    let Queues { rx, tx } = queues.unwrap_or(Queues { rx: Vec::new(), tx: Vec::new() });
    let mut received: Vec<_> = (0..lcores).map(|_| None).collect();
    for (n, queue) in rx.into_iter().enumerate() {
        received[(usize::from(number) + n) % lcores] = Some(queue);
    }
    let mut sent = hal::share(tx, lcores).into_iter();
    received.into_iter().map(|rx| PortQueues::new(number, rx, sent.next())).collect()
}

/// What a port is started with: no more queues than it has, and a MAC address in any case.
fn fitting(config: &PortConfig, info: &PortInfo, (number, lcores): (u16, usize)) -> PortConfig {
    let lcores = u16::try_from(lcores).unwrap_or(u16::MAX);
    PortConfig {
        mac: config.mac.or(info.mac.is_none().then(|| own_mac(number))),
        rx_queues: lcores.clamp(1, info.max_rx_queues.max(1)),
        tx_queues: lcores.clamp(1, info.max_tx_queues.max(1)),
        ..config.clone()
    }
}

/// The MAC address of a port whose device has none: locally administered, and the same for the same
/// number every time.
#[must_use]
pub fn own_mac(number: u16) -> [u8; 6] {
    let [high, low] = number.to_be_bytes();
    [0x02, 0x71, 0x66, 0x70, high, low]
}
