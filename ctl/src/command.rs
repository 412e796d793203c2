//! What a command asks of the router, and what it prints.

use std::time::{Duration, Instant};

use api::{
    Call, CallError, Candidate, Connection, Hop, Program, Reply, RouteAction, RouteChange,
    RouteFile, RouteQuery, Status, Version,
};
use serde::Serialize;

use crate::Failure;
use crate::args::{
    Args, Command, Path, Port, Route, Routes, Show, ShowClient, ShowConfig, Upgrade,
};
use crate::{routes, show};

/// How long another client may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether it has.
const AGAIN: Duration = Duration::from_millis(10);

/// Does it. Returns what is to be printed.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let to = || Connection::open(&args.run_dir);
    match &args.command {
        Command::Commit { file, confirmed, check } => {
            let (candidate, config) = Candidate::read(file).map_err(refused)?;
            config.validate().map_err(refused)?;
            if *check {
                return done(to()?.call(Call::Check(candidate))?, args.json);
            }
            let call = Call::Commit { candidate, confirmed: *confirmed };
            done(to()?.call(call)?, args.json)
        }
        Command::Confirm { number } => {
            done(to()?.call(Call::Confirm { number: *number })?, args.json)
        }
        Command::Rollback { back } => done(to()?.call(Call::Rollback { back: *back })?, args.json),
        Command::Port(port) => {
            let (name, device) = match port {
                Port::Add { name, device } => (name.clone(), Some(device.clone())),
                Port::Del { name } => (name.clone(), None),
            };
            done(to()?.call(Call::Port { name, device })?, args.json)
        }
        Command::Route(route) => {
            let change = match route {
                Route::Add(path) => change(path, RouteAction::Add)?,
                Route::Del(path) => change(path, RouteAction::Delete)?,
            };
            done(to()?.call(Call::ChangeRoutes(vec![change]))?, args.json)
        }
        Command::Routes(Routes::Load { file }) => {
            let read = RouteFile::read(file);
            let read = read.map_err(|error| refused(format!("{}: {error}", file.display())))?;
            let changes = read.changes().map_err(refused)?;
            let count = routes::load(&mut to()?, &changes)?;
            Ok(if args.json { json(&count)? } else { format!("{count} prefixes\n") })
        }
        Command::Upgrade(Upgrade::Ucode) => {
            done(to()?.call(Call::Upgrade(Program::Ucode))?, args.json)
        }
        Command::Upgrade(Upgrade::Client) => upgrade_client(&args.run_dir),
        Command::Show(Show::Routes { which }) => {
            let query = which.clone().unwrap_or(RouteQuery::All);
            routes::show(&mut to()?, &query, args.json)
        }
        Command::Show(what) => shown(to()?.call(call(what, args.json))?, args.json),
    }
}

/// Waits until another client listens.
fn upgrade_client(dir: &std::path::Path) -> Result<String, Failure> {
    let mut old = Connection::open(dir)?;
    old.call(Call::Upgrade(Program::Client))?;
    if !old.has_ended(PATIENCE) {
        return Err(Failure::new(Status::Failed, "qfp-client has not been replaced: see its log"));
    }
    let start = Instant::now();
    loop {
        match Connection::open(dir) {
            Ok(_) => return Ok(String::new()),
            Err(CallError::NoRouter { .. } | CallError::Broken(_))
                if start.elapsed() < PATIENCE =>
            {
                std::thread::sleep(AGAIN);
            }
            Err(error) => return Err(Failure::new(Status::Failed, error)),
        }
    }
}

fn refused(error: impl ToString) -> Failure {
    Failure::new(Status::Refused, error)
}

fn change(path: &Path, action: fn(api::Path) -> RouteAction) -> Result<RouteChange, Failure> {
    let via = path.via().ok_or_else(|| refused("expected via ADDRESS [dev NAME] [vrf NAME]"))?;
    let hop = Hop::Via { address: via.address, interface: via.dev };
    let action = action(api::Path { hop, weight: 1 });
    Ok(RouteChange { vrf: via.vrf, prefix: path.prefix, action })
}

fn call(what: &Show, json: bool) -> Call {
    match what {
        Show::Config { what: None } => Call::Config { back: 0 },
        Show::Config { what: Some(ShowConfig::Diff { back }) } => Call::Diff { back: *back },
        Show::History => Call::History,
        Show::Processes => Call::Processes,
        Show::Boot => Call::Boot,
        Show::Client(ShowClient::Rm) => Call::Resources,
        Show::Client(ShowClient::Ea) => Call::Agents,
        Show::Routes { which } => {
            let query = which.clone().unwrap_or(RouteQuery::All);
            Call::Routes { query, skip: 0, limit: u32::MAX }
        }
        Show::Statistics => Call::Statistics { json },
        Show::Interfaces => Call::Interfaces,
        Show::Neighbours => Call::Neighbours,
        Show::Applications => Call::Applications,
        Show::InterfaceMapping => Call::InterfaceMapping,
    }
}

/// What has been done.
fn done(reply: Reply, as_json: bool) -> Result<String, Failure> {
    match reply {
        Reply::InForce(version) if as_json => json(&version),
        Reply::InForce(version) => Ok(in_force(&version)),
        _ => Ok(String::new()),
    }
}

fn in_force(Version { number, until, .. }: &Version) -> String {
    match until {
        None => format!("version {number} is in force\n"),
        Some(until) => format!(
            "version {number} is in force until {}: qfpctl confirm keeps it\n",
            show::time(*until)
        ),
    }
}

/// What was asked for.
fn shown(reply: Reply, as_json: bool) -> Result<String, Failure> {
    Ok(match reply {
        Reply::Config(config) if as_json => json(&config)?,
        Reply::Config(config) => config.text,
        Reply::Diff(diff) if as_json => json(&diff)?,
        Reply::Diff(diff) => diff,
        Reply::History(all) if as_json => json(&all)?,
        Reply::History(all) => show::history(&all),
        Reply::Processes(all) if as_json => json(&all)?,
        Reply::Processes(all) => show::processes(&all),
        Reply::Boot(all) if as_json => json(&all)?,
        Reply::Boot(all) => show::boot(&all),
        Reply::Resources(all) if as_json => json(&all)?,
        Reply::Resources(all) => show::resources(&all),
        Reply::Agents(all) if as_json => json(&all)?,
        Reply::Agents(all) => show::agents(&all),
        Reply::Statistics(text) => text,
        Reply::Interfaces(all) if as_json => json(&all)?,
        Reply::Interfaces(all) => show::interfaces(&all),
        Reply::Neighbours(all) if as_json => json(&all)?,
        Reply::Neighbours(all) => show::neighbours(&all),
        Reply::Applications(all) if as_json => json(&all)?,
        Reply::Applications(all) => show::applications(&all),
        Reply::InterfaceMapping(all) if as_json => json(&all)?,
        Reply::InterfaceMapping(all) => show::mapping(&all),
        Reply::Fits | Reply::InForce(_) | Reply::Changed | Reply::Routes(_) | Reply::Upgrading => {
            String::new()
        }
    })
}

/// As JSON.
pub(crate) fn json(what: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(what);
    text.map(|text| text + "\n").map_err(|error| Failure::new(Status::Failed, error))
}
