//! Which configuration is in force, which were, and which may be again.
//!
//! One change at a time. A commit is kept before the router is asked to follow it, and is the one of
//! the next start once the router has. One that waits for its confirmation is never that of the next
//! start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use api::{Candidate, ConfigText, Failure, RouteFile, Status, Version};
use qfp::client::config::{Config, RouteTable};
use qfp::pal::crash;
use similar::TextDiff;

use crate::router::{Router, Wanted};
use crate::store::{Saved, Store, StoreError};

/// Versions before the running one that are kept.
const HISTORY: usize = 20;
/// When the router does not take the configuration before, it is asked again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author {
    /// The user.
    pub uid: u32,
    /// The session of the process.
    pub session: i32,
}

/// The versions of a router's configuration.
pub struct Transactions {
    router: Arc<dyn Router>,
    store: Store,
    state: Mutex<State>,
}

struct State {
    running: Saved,
    routes: RouteTable,
    pending: Option<Pending>,
}

/// A version that goes unless it is confirmed.
struct Pending {
    saved: Saved,
    routes: RouteTable,
    author: Author,
    deadline: Instant,
}

/// The version that a router starts with.
pub struct Committed {
    /// What it says.
    pub wanted: Wanted,
    saved: Saved,
    file: Option<RouteFile>,
    is_new: bool,
}

impl Committed {
    /// The version that was confirmed last; none before the first start.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn last(store: &Store) -> Result<Option<Self>, Failure> {
        let Some(number) = store.running().map_err(failed)? else { return Ok(None) };
        let saved = store.load(number).map_err(failed)?;
        let (config, routes) = (parse(&saved.candidate)?, load_routes(store, saved.routes)?);
        Ok(Some(Self { wanted: Wanted { config, routes }, saved, file: None, is_new: false }))
    }

    /// A first version. It is kept once the router has started with it.
    ///
    /// # Errors
    /// The route file is wrong.
    pub fn first(
        uid: u32,
        (candidate, config): (Candidate, Config),
        file: Option<RouteFile>,
    ) -> Result<Self, Failure> {
        let routes = file.as_ref().map(parse_routes).transpose()?.unwrap_or_default();
        let from = candidate.file.clone();
        let version = Version { number: 1, time: now(), uid, from, until: None };
        let saved = Saved { version, candidate, routes: file.is_some().then_some(1) };
        Ok(Self { wanted: Wanted { config, routes }, saved, file, is_new: true })
    }

    /// Keeps a first version, as confirmed.
    ///
    /// # Errors
    /// The system does not do it.
    pub fn keep(&self, store: &Store) -> Result<(), StoreError> {
        if self.is_new {
            self.file.iter().try_for_each(|file| store.save_routes(1, file))?;
            store.save(&self.saved)?;
            store.set_running(1)?;
        }
        Ok(())
    }

    /// Which it is, for the log.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.saved.version
    }
}

impl Transactions {
    /// Those of a router that was started with `committed`.
    #[must_use]
    pub fn new(router: Arc<dyn Router>, store: Store, committed: Committed) -> Self {
        let Committed { wanted, saved, .. } = committed;
        let state = State { running: saved, routes: wanted.routes, pending: None };
        Self { router, store, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps all changes back, as long as what is returned is there.
    ///
    /// # Errors
    /// A commit waits for its confirmation.
    pub(crate) fn hold(&self) -> Result<impl Drop, Failure> {
        let state = self.lock();
        state.free()?;
        Ok(state)
    }

    /// Whether a configuration could be committed, as far as can be told without doing it.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, candidate: &Candidate) -> Result<(), Failure> {
        let config = parse(candidate)?;
        let routes = self.lock().in_force().1.clone();
        self.router.check(&Wanted { config, routes })
    }

    /// Puts a configuration in force, with the routes of the one before; if `confirmed` is some time,
    /// until then.
    ///
    /// # Errors
    /// It is refused or cannot be kept, or another waits for its confirmation.
    pub fn commit(
        &self,
        author: Author,
        candidate: Candidate,
        confirmed: Option<Duration>,
    ) -> Result<Version, Failure> {
        let mut state = self.lock();
        state.free()?;
        let routes = (state.running.routes, state.routes.clone());
        let from = candidate.file.clone();
        let config = parse(&candidate)?;
        self.change(&mut state, author, (candidate, config, from), routes, confirmed)
    }

    /// As [`Transactions::commit`] for the running configuration with another text, `what` has
    /// happened to it.
    ///
    /// # Errors
    /// As [`Transactions::commit`], or what `edit` says.
    pub fn edit(
        &self,
        author: Author,
        what: String,
        edit: impl FnOnce(&str) -> Result<String, Failure>,
    ) -> Result<Version, Failure> {
        let mut state = self.lock();
        state.free()?;
        let mut candidate = state.running.candidate.clone();
        candidate.text = edit(&candidate.text)?;
        let routes = (state.running.routes, state.routes.clone());
        let config = parse(&candidate)?;
        self.change(&mut state, author, (candidate, config, what), routes, None)
    }

    /// As [`Transactions::commit`], with other routes.
    ///
    /// # Errors
    /// As [`Transactions::commit`].
    pub fn reload(
        &self,
        author: Author,
        candidate: Candidate,
        file: Option<&RouteFile>,
    ) -> Result<Version, Failure> {
        let config = parse(&candidate)?;
        let routes = file.map(parse_routes).transpose()?.unwrap_or_default();
        let mut state = self.lock();
        state.free()?;
        let number = state.running.version.number + 1;
        if let Some(file) = file {
            self.store.save_routes(number, file).map_err(failed)?;
        }
        let from = candidate.file.clone();
        let routes = (file.is_some().then_some(number), routes);
        let done = self.change(&mut state, author, (candidate, config, from), routes, None);
        self.store.tidy_routes(None).map_err(failed)?;
        done
    }

    /// Makes the version that waits for it the one of the next start. Without its `number` this is
    /// for the session that has committed it.
    ///
    /// # Errors
    /// None waits, or it is not for this user or session.
    pub fn confirm(&self, author: Author, number: Option<u64>) -> Result<Version, Failure> {
        let mut state = self.lock();
        let Some(pending) = &state.pending else {
            return Err(Failure::new(Status::NotFound, "no commit waits for its confirmation"));
        };
        let own = pending.saved.version.number;
        let is_meant = number.map_or(pending.author == author, |number| number == own);
        if author.uid != pending.author.uid || !is_meant {
            return Err(pending.held());
        }
        self.store.set_running(own).map_err(failed)?;
        crash::point("confirmed");
        let Some(mut pending) = state.pending.take() else { return Err(gone()) };
        pending.saved.version.until = None;
        state.running = pending.saved;
        state.routes = pending.routes;
        self.forget_oldest(state.running.routes)?;
        Ok(state.running.version.clone())
    }

    /// Puts an earlier version in force again, as a new one. When a commit of this session waits for
    /// its confirmation, one version back is the end of it.
    ///
    /// # Errors
    /// There is none, or as [`Transactions::commit`].
    pub fn rollback(&self, author: Author, back: u32) -> Result<Version, Failure> {
        let mut state = self.lock();
        if state.pending.as_ref().is_some_and(|pending| pending.author == author) && back == 1 {
            self.come_back(&mut state)?;
            return Ok(state.running.version.clone());
        }
        state.free()?;
        let Saved { version, candidate, routes } = self.earlier(&state, back)?;
        let config = parse(&candidate)?;
        let table = if routes == state.running.routes {
            state.routes.clone()
        } else {
            load_routes(&self.store, routes)?
        };
        let from = format!("version {} ({})", version.number, candidate.file);
        self.change(&mut state, author, (candidate, config, from), (routes, table), None)
    }

    /// Ends what has waited for its confirmation long enough. Returns what is in force then, or why
    /// it is not; nothing if nothing is due.
    pub fn tick(&self) -> Option<Result<Version, Failure>> {
        let mut state = self.lock();
        let due = state.pending.as_ref().is_some_and(|pending| Instant::now() >= pending.deadline);
        due.then(|| self.come_back(&mut state).map(|()| state.running.version.clone()))
    }

    /// Has the router follow the configuration in force once more: from what there is beside it other
    /// ports follow.
    ///
    /// # Errors
    /// The router refuses, and goes on as it was.
    pub fn follow(&self) -> Result<(), Failure> {
        let state = self.lock();
        let (saved, routes) = state.in_force();
        let config = parse(&saved.candidate)?;
        self.router.commit(&Wanted { config, routes: routes.clone() })
    }

    /// All versions, the one in force first.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn history(&self) -> Result<Vec<Version>, Failure> {
        let state = self.lock();
        let mut all = Vec::from_iter(state.pending.as_ref().map(|it| it.saved.version.clone()));
        all.push(state.running.version.clone());
        for number in self.before(&state)? {
            all.push(self.store.load(number).map_err(failed)?.version);
        }
        Ok(all)
    }

    /// A version as text; 0 is the one in force.
    ///
    /// # Errors
    /// There is none.
    pub fn config(&self, back: u32) -> Result<ConfigText, Failure> {
        let saved = self.earlier(&self.lock(), back)?;
        let text = parse(&saved.candidate)?.to_string();
        Ok(ConfigText { version: saved.version, text })
    }

    /// How the version in force differs from an earlier one, as a unified diff.
    ///
    /// # Errors
    /// There is none.
    pub fn diff(&self, back: u32) -> Result<String, Failure> {
        let (old, new) = (self.config(back)?, self.config(0)?);
        let name = |version: &Version| format!("version {}", version.number);
        let diff = TextDiff::from_lines(&old.text, &new.text);
        let names = (name(&old.version), name(&new.version));
        Ok(diff.unified_diff().header(&names.0, &names.1).to_string())
    }

    /// Numbers of confirmed versions before the running one, the newest first.
    fn before(&self, state: &State) -> Result<Vec<u64>, Failure> {
        let own = state.running.version.number;
        let numbers = self.store.versions().map_err(failed)?;
        Ok(numbers.into_iter().filter(|number| *number < own).collect())
    }

    /// The version that was in force `back` commits ago.
    fn earlier(&self, state: &State, back: u32) -> Result<Saved, Failure> {
        let pending = state.pending.as_ref().map(|pending| &pending.saved);
        let mut newest = pending.into_iter().chain([&state.running]);
        let back = back as usize;
        if let Some(saved) = newest.nth(back) {
            return Ok(saved.clone());
        }
        let back = back - 1 - usize::from(pending.is_some());
        match self.before(state)?.get(back) {
            Some(number) => self.store.load(*number).map_err(failed),
            None => Err(Failure::new(Status::NotFound, "there is no version so far back")),
        }
    }

    /// Makes a new version, and the router follow it.
    fn change(
        &self,
        state: &mut State,
        author: Author,
        (candidate, config, from): (Candidate, Config, String),
        (routes, table): (Option<u64>, RouteTable),
        confirmed: Option<Duration>,
    ) -> Result<Version, Failure> {
        let number = state.running.version.number + 1;
        let time = now();
        let until = confirmed.map(|after| time.saturating_add(after.as_secs()));
        // What is kept is kept confirmed: until then it does not count.
        let version = Version { number, time, uid: author.uid, from, until: None };
        let mut saved = Saved { version, candidate, routes };
        self.store.save(&saved).map_err(failed)?;
        crash::point("saved");
        let wanted = Wanted { config, routes: table };
        if let Err(refused) = self.router.commit(&wanted) {
            self.store.remove(number).map_err(failed)?;
            return Err(refused);
        }
        crash::point("applied");
        let routes = wanted.routes;
        if let Some(after) = confirmed {
            let deadline = Instant::now() + after;
            saved.version.until = until;
            let version = saved.version.clone();
            state.pending = Some(Pending { saved, routes, author, deadline });
            return Ok(version);
        }
        if let Err(error) = self.store.set_running(number) {
            // The next start would have the one before, so this one does not stay either.
            self.router.commit(&state.wanted()?)?;
            self.store.remove(number).map_err(failed)?;
            return Err(failed(error));
        }
        crash::point("confirmed");
        (state.running, state.routes) = (saved, routes);
        self.forget_oldest(state.running.routes)?;
        Ok(state.running.version.clone())
    }

    /// Puts the running version in force again in place of the one that waits.
    fn come_back(&self, state: &mut State) -> Result<(), Failure> {
        let before = state.wanted()?;
        if let Err(error) = self.router.commit(&before) {
            if let Some(pending) = &mut state.pending {
                pending.deadline = Instant::now() + AGAIN;
            }
            return Err(error);
        }
        crash::point("back");
        match state.pending.take() {
            Some(pending) => self.store.remove(pending.saved.version.number).map_err(failed),
            None => Ok(()),
        }
    }

    /// The version in force has the routes `in_force`.
    fn forget_oldest(&self, in_force: Option<u64>) -> Result<(), Failure> {
        let versions = self.store.versions().map_err(failed)?;
        for number in versions.into_iter().skip(1 + HISTORY) {
            self.store.remove(number).map_err(failed)?;
            self.store.tidy_routes(in_force).map_err(failed)?;
        }
        Ok(())
    }
}

impl State {
    /// Refuses while a commit waits for its confirmation.
    fn free(&self) -> Result<(), Failure> {
        self.pending.as_ref().map_or(Ok(()), |pending| Err(pending.held()))
    }

    /// Version and routes that the router has.
    fn in_force(&self) -> (&Saved, &RouteTable) {
        match &self.pending {
            Some(pending) => (&pending.saved, &pending.routes),
            None => (&self.running, &self.routes),
        }
    }

    /// What was confirmed last.
    fn wanted(&self) -> Result<Wanted, Failure> {
        let config = parse(&self.running.candidate)?;
        Ok(Wanted { config, routes: self.routes.clone() })
    }
}

impl Pending {
    /// Who holds it.
    fn held(&self) -> Failure {
        let Author { uid, session } = self.author;
        let left = self.deadline.saturating_duration_since(Instant::now()).as_secs();
        let number = self.saved.version.number;
        let line = format!(
            "version {number} of user {uid} (session {session}) waits for its confirmation, \
             {left} s more"
        );
        Failure::new(Status::Failed, line)
    }
}

fn parse(candidate: &Candidate) -> Result<Config, Failure> {
    candidate.parse().map_err(|error| Failure::new(Status::Refused, error))
}

fn parse_routes(file: &RouteFile) -> Result<RouteTable, Failure> {
    file.parse().map_err(|error| Failure::new(Status::Refused, error))
}

fn load_routes(store: &Store, number: Option<u64>) -> Result<RouteTable, Failure> {
    let Some(number) = number else { return Ok(RouteTable::default()) };
    parse_routes(&store.load_routes(number).map_err(failed)?)
}

fn failed(error: StoreError) -> Failure {
    Failure::new(Status::Failed, error)
}

fn gone() -> Failure {
    Failure::new(Status::NotFound, "no commit waits for its confirmation")
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
