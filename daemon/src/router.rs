//! All that is asked of the router itself, whatever processes it runs in.

use api::{
    Agent, ApplicationState, Failure, Interface, MappedInterface, Neighbour, Process, Resource,
    Route, RouteChange, RouteQuery, Target,
};
use qfp::Punts;
use qfp::client::config::{Config, RouteTable};
use terminal::log::Unseen;

/// A configuration and the routes of the route file.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The configuration.
    pub config: Config,
    /// The routes.
    pub routes: RouteTable,
}

/// A router that runs.
pub trait Router: Send + Sync {
    /// Whether `wanted` could be committed, as far as can be told without doing it.
    ///
    /// # Errors
    /// Why not, as one line.
    fn check(&self, wanted: &Wanted) -> Result<(), Failure>;

    /// Puts `wanted` in force, whole or not at all.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    fn commit(&self, wanted: &Wanted) -> Result<(), Failure>;

    /// Changes routes of the API, all or none. Returns the paths that these routes have now.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    fn change_routes(&self, changes: Vec<RouteChange>) -> Result<Vec<RouteChange>, Failure>;

    /// Routes: `limit` at most, without the first `skip`.
    ///
    /// # Errors
    /// The run is over.
    fn routes(&self, query: &RouteQuery, skip: u64, limit: u32) -> Result<Vec<Route>, Failure>;

    /// Counts, as tables or as JSON.
    ///
    /// # Errors
    /// There are none.
    fn statistics(&self, json: bool, unseen: Unseen) -> Result<String, Failure>;

    /// Interfaces in the order of the configuration.
    fn interfaces(&self) -> Vec<Interface>;

    /// Interfaces that are ports by `[discover]`.
    fn mapping(&self) -> Vec<MappedInterface>;

    /// Registers a program: its packets from now on.
    ///
    /// # Errors
    /// What it wants makes no sense.
    fn register(&self, name: &str, wanted: &api::Wanted) -> Result<Punts, Failure>;

    /// Puts a packet of a program in.
    ///
    /// # Errors
    /// There is no such target, or no room.
    fn inject(&self, to: &Target, packet: &[u8]) -> Result<(), Failure>;

    /// Programs that have registered.
    fn applications(&self) -> Vec<ApplicationState>;

    /// Neighbours by interface and address.
    fn neighbours(&self) -> Vec<Neighbour>;

    /// What resource managers have given out.
    fn resources(&self) -> Vec<Resource>;

    /// What execution agents keep in the tables.
    fn agents(&self) -> Vec<Agent>;

    /// Replaces the data plane's process, and waits for that.
    ///
    /// # Errors
    /// It has none of its own, or the other one does not start: then nothing has changed.
    fn upgrade(&self) -> Result<(), Failure>;

    /// Processes beside the one that asks.
    fn processes(&self) -> Vec<Process>;
}
