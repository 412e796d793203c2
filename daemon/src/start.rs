//! From the command line to a router that is served, and to its end.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::{Candidate, Failure, RouteFile, Status};
use qfp::client::Client;
use qfp::client::config::Config;
use qfp::hal::LinkState;
use qfp::pal::rights::{self, User};
use qfp::{Forwarder, RunError, Running};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use terminal::arguments::from_command_line;
use terminal::log::Kind;

use crate::args::Args;
use crate::boot::Stages;
use crate::embedded::{Embedded, restore};
use crate::gethd::Gethd;
use crate::journal::Journal;
use crate::kept_routes::KeptRoutes;
use crate::router::Wanted;
use crate::run_dir::RunDir;
use crate::server::serve;
use crate::service::Service;
use crate::session::Rights;
use crate::store::Store;
use crate::successor::Successor;
use crate::transactions::{Author, Committed, Transactions};

/// The user that a data plane started by root becomes, if there is one of that name.
const UCODE_USER: &str = "qfp-ucode";
/// How long ports may be without their devices at the start.
const PORTS: Duration = Duration::from_secs(10);
/// Between two looks at signals and at what has waited long enough.
const TICK: Duration = Duration::from_millis(50);

/// Runs the command line of this process to its end.
#[must_use]
pub fn main() -> ExitCode {
    let journal = Journal::to_stderr();
    let done = match from_command_line::<Args>() {
        Ok(Some(args)) => run(&args, &journal),
        Ok(None) => Ok(()),
        Err(mistake) => Err(Failure::new(Status::Refused, mistake)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            journal.say(Kind::End, &failure.line);
            ExitCode::from(failure.status as u8)
        }
    }
}

fn failed(error: impl ToString) -> Failure {
    Failure::new(Status::Failed, error)
}

fn run(args: &Args, journal: &Journal) -> Result<(), Failure> {
    // There are keys in its memory.
    rights::keep_to_itself().map_err(failed)?;
    let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let flags = [(SIGINT, &stop), (SIGTERM, &stop), (SIGHUP, &reload)];
    for (signal, flag) in flags {
        signal_hook::flag::register(signal, Arc::clone(flag)).map_err(failed)?;
    }
    // A file that grows over the limit of this process is an error where it is written, not the end.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map_err(failed)?;

    let successor = Successor::new(args.ucode.is_some()).map_err(failed)?;
    let stages = Stages::new(journal.clone());
    let run_dir = stages.stage("run-dir", || RunDir::take(&args.run_dir)).map_err(failed)?;
    let store = stages.stage("store", || Store::open(&run_dir.private())).map_err(failed)?;
    let gethd = stages.stage("gethd", || Gethd::enumerate(&run_dir.private(), journal));
    let (gethd, watch) = gethd?;
    let gethd = Arc::new(gethd);
    let committed = stages.stage("configuration", || configuration(args, &store, journal))?;
    let (kept, routes) =
        stages.stage("routes", || KeptRoutes::open(run_dir.path())).map_err(failed)?;
    let said = journal.clone();
    let restore = move |client: &mut Client, config: &Config| {
        let (all, left_out) = (routes.len(), restore(client, config, routes));
        if left_out > 0 {
            let line = format!(
                "{left_out} of {all} routes of the API are left out: no such interface, \
                                no such VRF, or no room"
            );
            said.say(Kind::Boot, &line);
        }
    };
    let user = args.ucode.as_ref().map(|_| ucode_user(args.ucode_user.as_deref())).transpose()?;
    if let Some((user, name)) = &user {
        journal.say(Kind::Boot, &format!("the data plane runs as {user} ({name})"));
    }
    let user = user.map(|(user, _)| user);
    let wanted = committed.wanted.clone();
    let config = stages.stage("inventory", || Ok(gethd.complete(wanted.config, true)))?;
    let wanted = Wanted { config, ..wanted };
    stages.stage("interfaces", || valid(&wanted))?;
    let router = start(args, (&run_dir, user), wanted, (&stages, restore))?;
    stages.stage("ports", || ports_are_up(&router))?;
    stages.stage("first-version", || committed.keep(&store)).map_err(failed)?;
    let router = Arc::new(Embedded::new(router, Arc::clone(&gethd)));
    let shared = Arc::clone(&router);
    let service = Arc::new(Service {
        router: shared.clone(),
        transactions: Transactions::new(shared, store, committed),
        stages,
        journal: journal.clone(),
        routes: Mutex::new(kept),
        successor,
    });
    service.stages.stage("api", || listen(args, &run_dir, &service))?;

    if let Some(watch) = watch {
        // Without a service nobody is told.
        let service = Arc::downgrade(&service);
        let follow = move || service.upgrade().map(|service| service.transactions.follow());
        gethd.watch(watch, follow).map_err(failed)?;
    }

    let own = Author { uid: nix::unistd::geteuid().as_raw(), session: 0 };
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(TICK);
        if reload.swap(false, Ordering::Relaxed) {
            // It is in the log.
            drop(service.told("SIGHUP", own, read_again(args, &service, own)));
        }
        if let Some(back) = service.transactions.tick() {
            drop(service.told("no confirmation", own, back));
        }
        if service.successor.is_called() {
            upgrade(&service);
        }
        let events = router.with(Running::take_sa_events).unwrap_or_default();
        events.iter().for_each(|event| journal.tell(event));
    }
    match router.stop() {
        Some(Ok(report)) if report.conserved == Some(false) => {
            Err(failed("packets are unaccounted for: this is a bug"))
        }
        Some(Err(RunError::Port { source, .. })) => Err(failed(source)),
        Some(Err(error)) => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Becomes the next client, between two changes. Returns only if that cannot be.
fn upgrade(service: &Service) {
    let _no_changes = match service.transactions.hold() {
        Ok(held) => held,
        Err(failure) => return service.journal.say(Kind::Reload, &format!("upgrade: {failure}")),
    };
    let _no_routes = service.routes.lock().unwrap_or_else(PoisonError::into_inner);
    // Whoever has asked is answered by now, or a moment later.
    std::thread::sleep(TICK);
    service.journal.say(Kind::Reload, "upgrade: another client takes over");
    let error = service.successor.take_over();
    service.journal.say(Kind::Reload, &format!("upgrade: {error}"));
}

/// What the router starts with: the version that was confirmed last, else what the arguments name.
fn configuration(args: &Args, store: &Store, journal: &Journal) -> Result<Committed, Failure> {
    if let Some(last) = Committed::last(store)? {
        let version = last.version();
        journal.say(
            Kind::Boot,
            &format!(
                "version {} of the configuration, from {}, was confirmed last and is used; {} is \
                 not read",
                version.number,
                version.from,
                args.config.display()
            ),
        );
        return Ok(last);
    }
    let (read, routes) = read(args)?;
    journal.say(Kind::Boot, &format!("first start: {} is used", args.config.display()));
    Committed::first(nix::unistd::geteuid().as_raw(), read, routes)
}

type Read = ((Candidate, qfp::client::config::Config), Option<RouteFile>);

/// What the arguments name, as it is now.
fn read(args: &Args) -> Result<Read, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::new(Status::Refused, error);
    let read = Candidate::read(&args.config).map_err(|error| usage(&error))?;
    let routes = args.routes.as_deref().map(|path| {
        let at = |error| usage(&format!("{}: {error}", path.display()));
        RouteFile::read(path).map_err(at)
    });
    Ok((read, routes.transpose()?))
}

fn read_again(args: &Args, service: &Service, own: Author) -> Result<api::Version, Failure> {
    let ((candidate, _), routes) = read(args)?;
    service.transactions.reload(own, candidate, routes.as_ref())
}

fn start(
    args: &Args,
    (run_dir, user): (&RunDir, Option<User>),
    Wanted { config, routes }: Wanted,
    (stages, restore): (&Stages, impl FnOnce(&mut Client, &Config) + Send + 'static),
) -> Result<Running, Failure> {
    let mut forwarder = Forwarder::new(config).routes(routes);
    forwarder = forwarder.eal_args(args.eal.clone()).prepared(restore);
    if let Some(program) = &args.ucode {
        let alone = args.alone.map(Duration::from_secs);
        forwarder = forwarder.apart(program.clone()).outliving(run_dir.path().to_owned(), alone);
        end_on_panic();
    }
    if let Some(user) = user {
        forwarder = forwarder.ucode_user(user);
    }
    if let Some(cpus) = &args.lcores {
        forwarder = forwarder.lcores(cpus.clone());
    }
    let told = stages.clone();
    let forwarder = forwarder.stages(move |stage| told.begin(stage));
    stages.run(|| forwarder.start()).map_err(|error| {
        Failure::new(if error.is_usage() { Status::Refused } else { Status::Failed }, error)
    })
}

/// Whether what is to be in force makes sense by itself.
fn valid(Wanted { config, routes }: &Wanted) -> Result<(), Failure> {
    let check = || {
        config.validate()?;
        routes.validate(config)
    };
    check().map_err(|error| Failure::new(Status::Refused, error))
}

/// Waits until all ports have their devices. Their links may be down.
fn ports_are_up(router: &Running) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let ports = router.report().ports;
        let Some(gone) = ports.iter().find(|port| port.link == LinkState::Gone) else {
            return Ok(());
        };
        if start.elapsed() > PORTS {
            return Err(failed(format!("{}: {} has vanished", gone.name, gone.spec)));
        }
        std::thread::sleep(TICK);
    }
}

/// A client without one of its threads is none. Forwarding goes on without it, and whatever has
/// started it starts another one.
fn end_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        std::process::abort();
    }));
}

/// Whose process a data plane of its own is, and that user's name.
fn ucode_user(wanted: Option<&str>) -> Result<(User, String), Failure> {
    use nix::unistd::{Uid, User as Account};
    let refused = |line: String| Failure::new(Status::Refused, line);
    let known = |account: Account| {
        (User { uid: account.uid.as_raw(), gid: account.gid.as_raw() }, account.name)
    };
    let own = User::own();
    let by_name = |name: &str| Account::from_name(name).ok().flatten().map(known);
    let by_number = |uid: u32| {
        let account = Account::from_uid(Uid::from_raw(uid)).ok().flatten();
        account.map_or((User { uid, gid: uid }, "no name".to_owned()), known)
    };
    let user = match wanted {
        Some(wanted) => {
            let numbered = || wanted.parse().ok().map(by_number);
            let user = by_name(wanted).or_else(numbered);
            user.ok_or_else(|| refused(format!("there is no user {wanted}")))?
        }
        None if own.uid == 0 => by_name(UCODE_USER).unwrap_or_else(|| by_number(User::NOBODY.uid)),
        None => by_number(own.uid),
    };
    if own.uid != 0 && user.0.uid != own.uid {
        return Err(refused(format!("only root runs the data plane as another user: {}", user.1)));
    }
    // Without root's rights a process keeps the group that it has.
    Ok(if own.uid == 0 { user } else { (own, user.1) })
}

fn listen(args: &Args, run_dir: &RunDir, service: &Arc<Service>) -> Result<(), Failure> {
    let open = Arc::new(AtomicUsize::new(0));
    serve(run_dir.listen().map_err(failed)?, Rights::Change, service, &open).map_err(failed)?;
    let listener = run_dir.listen_to_applications().map_err(failed)?;
    serve(listener, Rights::Apply, service, &open).map_err(failed)?;
    if let Some(group) = &args.read_group {
        let listener = run_dir.listen_to_group(group).map_err(failed)?;
        serve(listener, Rights::Look, service, &open).map_err(failed)?;
    }
    Ok(())
}
