//! Security associations between commits: added, updated, deleted and asked for while packets flow.

use std::collections::HashSet;
use std::net::IpAddr;

use qfp_core::uidb::UidbIndex;

use super::transaction::{Agent, Prepare};
use super::{Client, CommitError, Configured};
use crate::config::{Config, Interface};
use crate::ea::{IpsecAgent, IpsecError, IpsecPlan, SaChange, SaNames, SaStatus};
use crate::ipsec::{Marks, Sa, SaEvent};

/// A tunnel, or what stands for a policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protected {
    pub(crate) uidb: UidbIndex,
    /// Largest packet, bytes.
    pub(crate) mtu: u16,
}

/// An SA, whether it is in use, and where its state is.
#[derive(Clone, Debug)]
pub struct SaPlace {
    /// The SA.
    pub sa: Sa,
    /// Whether it is the one that protects its interface; true for inbound SAs.
    pub in_use: bool,
    /// Row of its state in the table of states.
    pub state: u32,
}

impl Agent for IpsecAgent {
    type Plan = IpsecPlan;

    fn publish(client: &mut Client, plan: &mut IpsecPlan) {
        client.ipsec.publish(&client.driver, plan);
    }

    fn keep(client: &mut Client, plan: IpsecPlan) {
        client.ipsec.keep(&client.driver, plan);
    }

    fn abort(client: &mut Client, plan: IpsecPlan) {
        client.ipsec.abort(&client.driver, plan);
    }
}

/// SAs come and go one by one.
impl Prepare<&[SaChange]> for IpsecAgent {
    type Error = IpsecError;

    fn prepare(
        client: &mut Client,
        changes: &[SaChange],
        plan: &mut IpsecPlan,
    ) -> Result<(), IpsecError> {
        let Client { ipsec, driver, vrfs, protected, .. } = client;
        let interface = |name: &str| protected.get(name).map(|found| found.uidb);
        let names = SaNames { interface: &interface, table: &|vrf: &str| vrfs.named(vrf) };
        ipsec.prepare(driver, changes, &names, plan)
    }
}

/// The SAs of another configuration, for the tunnels and policies that there are.
#[derive(Clone, Copy)]
struct Rekeyed<'a>(&'a Config);

impl Prepare<Rekeyed<'_>> for IpsecAgent {
    type Error = IpsecError;

    fn prepare(
        client: &mut Client,
        Rekeyed(config): Rekeyed<'_>,
        plan: &mut IpsecPlan,
    ) -> Result<(), IpsecError> {
        let Client { ipsec, driver, vrfs, protected, .. } = client;
        let interface = |name: &str| protected.get(name).map(|found| found.uidb);
        let names = SaNames { interface: &interface, table: &|vrf: &str| vrfs.named(vrf) };
        ipsec.prepare_configured(driver, config, &names, plan)
    }
}

/// What a configuration says about SAs, and what they protect.
impl Prepare<Configured<'_>> for IpsecAgent {
    type Error = CommitError;

    fn prepare(
        client: &mut Client,
        wanted: Configured<'_>,
        plan: &mut IpsecPlan,
    ) -> Result<(), CommitError> {
        let Client { ipsec, driver, interfaces: numbers, vrfs, .. } = client;
        let Configured { config, interfaces, .. } = wanted;
        let interface = |name: &str| {
            let interface = interfaces.get(interfaces.named(name)?);
            interface.is_protected().then(|| numbers.uidb(interface))
        };
        let used: HashSet<&str> = interfaces.all().iter().filter_map(Interface::vrf).collect();
        let table = |vrf: &str| vrfs.named(vrf).filter(|_| used.contains(vrf));
        let names = SaNames { interface: &interface, table: &table };
        Ok(ipsec.prepare_configured(driver, config, &names, plan)?)
    }
}

impl Client {
    /// Has marks of lasting keys noted in the file of `marks`. Before the first SA.
    pub fn keep_marks(&mut self, marks: Marks) {
        self.ipsec.keep_marks(marks);
    }

    /// Lets inbound SAs of lasting keys accept more numbers, which are written first; `now` is that
    /// of the vectors' clock, nanoseconds. With `wait` this is done when it returns; without, a
    /// thread writes, and a later call has it count. To be called thousands of times a second, or
    /// with `wait` between two vectors.
    pub fn keep_ahead(&mut self, now: u64, wait: bool, events: &mut Vec<SaEvent>) {
        self.ipsec.keep_ahead(&mut self.driver, now, wait, events);
    }

    /// Whether [`Client::keep_ahead`] has anything to look at.
    #[must_use]
    pub fn keeps_ahead(&self) -> bool {
        self.ipsec.keeps_ahead()
    }

    /// Notes how far all lasting keys have come, exactly: the lcores have stopped. Without this, a
    /// restart has to leave out what was reserved.
    pub fn close_marks(&mut self, events: &mut Vec<SaEvent>) {
        self.ipsec.close(&self.driver, events);
    }

    /// Adds an SA. One for what leaves protects its interface from now on, in place of the one
    /// before, which stays until it is deleted: no packet goes out in between without either. One
    /// for what comes in is taken beside those that are there.
    ///
    /// Its sequence numbers are reserved first, so a lasting key costs a write to the file of marks.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be; then nothing has changed.
    pub fn add_sa(&mut self, sa: Sa) -> Result<(), IpsecError> {
        if self.ipsec.has(&sa.name) {
            return Err(IpsecError::Exists(sa.name));
        }
        self.change_sas(&[SaChange::Put(Box::new(sa))])
    }

    /// Gives the SA of this name other settings: the peer's address and port behind a NAT,
    /// lifetimes, its interface. With the same SPI and key its numbers, counters and window go on;
    /// with others it is a new SA in place of the old one.
    ///
    /// # Errors
    /// There is none of that name, it is of the other direction, or it cannot be so; then nothing
    /// has changed.
    pub fn update_sa(&mut self, sa: Sa) -> Result<(), IpsecError> {
        match self.ipsec.get(&sa.name) {
            None => Err(IpsecError::Unknown(sa.name)),
            Some(known) if known.direction != sa.direction => {
                Err(IpsecError::DirectionChange(sa.name))
            }
            Some(_) => self.change_sas(&[SaChange::Put(Box::new(sa))]),
        }
    }

    /// Deletes an SA. Of the SAs that are left, the newest protects its interface.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn delete_sa(&mut self, name: &str) -> Result<(), IpsecError> {
        self.change_sas(&[SaChange::Delete(name.to_owned())])
    }

    /// Deletes all SAs. Returns how many there were.
    pub fn flush_sas(&mut self) -> usize {
        let names = self.ipsec.names();
        let count = names.len();
        // To delete what is there takes nothing that could be missing.
        let changes: Vec<SaChange> = names.into_iter().map(SaChange::Delete).collect();
        let flushed = self.change_sas(&changes);
        if flushed.is_ok() { count } else { 0 }
    }

    fn change_sas(&mut self, changes: &[SaChange]) -> Result<(), IpsecError> {
        self.driver.reclaim();
        self.ipsec.reclaim(&self.driver);
        self.transact::<IpsecAgent, _>(changes)
    }

    /// An SA with what lcores have counted.
    #[must_use]
    pub fn sa(&self, name: &str) -> Option<SaStatus> {
        self.ipsec.status(&self.driver, name)
    }

    /// All SAs, by name, with what lcores have counted.
    #[must_use]
    pub fn sas(&self) -> Vec<SaStatus> {
        let names = self.ipsec.names();
        names.iter().filter_map(|name| self.sa(name)).collect()
    }

    /// All SAs, by name, and where lcores count them.
    pub fn sa_places(&self) -> impl Iterator<Item = SaPlace> {
        let place =
            |(sa, in_use, state): (&Sa, bool, u32)| SaPlace { sa: sa.clone(), in_use, state };
        self.ipsec.all().map(place)
    }

    /// An SPI at random that no inbound SA has, for a peer to send with. It is handed out once.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn allocate_spi(&mut self) -> Result<u32, IpsecError> {
        self.ipsec.allocate_spi()
    }

    /// Looks at all SAs at `now`, nanoseconds of the vectors' clock, and tells what has become of
    /// them, and which interfaces want one. SAs whose hard lifetime is over are deleted; sequence
    /// numbers that run low are reserved. To be called a few times a second.
    pub fn watch_sas(&mut self, now: u64, events: &mut Vec<SaEvent>) {
        let over = self.ipsec.watch(&self.driver, now, events);
        self.tell_names();
        if !over.is_empty() {
            // To delete what is there takes nothing that could be missing.
            let _ = self.change_sas(&over);
        }
        self.ipsec.watch_interfaces(&self.driver, now, &self.protected, events);
    }

    /// Makes the SAs those of another configuration, all or none: new keys for the tunnels and
    /// policies that there are. SAs that it says nothing new about go on as they are.
    ///
    /// # Errors
    /// The configuration is wrong, has tunnels or policies that the one in force has not, or asks
    /// for more than there is room for; then nothing has changed.
    pub fn rekey(&mut self, config: &Config) -> Result<(), CommitError> {
        config.validate()?;
        self.driver.reclaim();
        self.ipsec.reclaim(&self.driver);
        Ok(self.transact::<IpsecAgent, _>(Rekeyed(config))?)
    }

    /// The tunnels and policies whose packets leave with this SPI for this peer, where its path
    /// takes `mtu` bytes, each with the largest packet that fits.
    #[must_use]
    pub fn inner_mtus(&self, spi: u32, peer: IpAddr, mtu: u16) -> Vec<(UidbIndex, u16)> {
        self.ipsec.inner_mtus(spi, peer, mtu)
    }

    /// Says how large packets may be that leave through a tunnel, whatever its MTU; none when
    /// nothing is known any more. Returns the largest that may leave then, if there is such a tunnel.
    pub fn set_path_mtu(&self, uidb: UidbIndex, mtu: Option<u16>) -> Option<u16> {
        let own = self.protected.values().find(|found| found.uidb == uidb)?.mtu;
        self.ipsec.set_path_mtu(&self.driver, uidb, mtu);
        Some(mtu.map_or(own, |mtu| own.min(mtu)))
    }

    /// SAs there is room for, and how many are in use.
    #[must_use]
    pub fn sa_usage(&self) -> (u32, u32) {
        self.ipsec.usage()
    }
}
