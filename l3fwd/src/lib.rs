//! A router: IPv4 and IPv6 between ports of any kind.
//!
//! `l3fwd --help` says how to call it; README.md and docs/configuration.md say the rest. A library,
//! so that `cargo run --example l3fwd` and the binary are one program.
#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod live;
mod stats_json;
mod trace;

use std::io::Stderr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use qfp::client::ipsec::SaEvent;
use qfp::{Forwarder, RunError, Running, StartError};
use terminal::arguments::from_command_line;
use terminal::log::{Kind, Log};
use terminal::{log, report};

use args::Args;
use live::Live;
use stats_json::StatsFile;

/// The arguments or the configuration are wrong.
const USAGE: u8 = 2;
/// The machine would not, or the run went wrong.
const FAILURE: u8 = 1;

/// How often the live table is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Runs the command line of this process to its end.
#[must_use]
pub fn main() -> ExitCode {
    let mut log = Log::to_stderr("l3fwd");
    let done = match from_command_line::<Args>() {
        Ok(Some(args)) => run(&args, &mut log),
        Ok(None) => Ok(()),
        Err(mistake) => Err((USAGE, mistake)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, message)) => {
            log.say(Kind::End, &message);
            ExitCode::from(status)
        }
    }
}

/// What to exit with, and the one line to say.
type Failure = (u8, String);

fn run(args: &Args, log: &mut Log<Stderr>) -> Result<(), Failure> {
    let usage = |error: &dyn std::fmt::Display| (USAGE, error.to_string());
    let failure = |error: &dyn std::fmt::Display| (FAILURE, error.to_string());
    let stats = args.stats_json.as_deref().map(StatsFile::create).transpose();
    let stats = stats.map_err(|error| usage(&error))?;
    let (config, routes) =
        args.configuration(live::routes_progress()).map_err(|error| usage(&error))?;
    if let Some(probe) = &args.explain {
        let explanation = Forwarder::new(config).routes(routes).explain(probe);
        let explanation = explanation
            .map_err(|error| (if error.is_usage() { USAGE } else { FAILURE }, error.to_string()))?;
        return log::print(&explanation.to_string()).map_err(|error| failure(&error));
    }
    // A file that grows over the limit of this process is an error where it is written, not the end.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())
        .map_err(|error| failure(&error))?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .map_err(|error| failure(&error))?;
    }

    let reload = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&reload))
        .map_err(|error| failure(&error))?;

    let mut forwarder =
        Forwarder::new(config).routes(routes).eal_args(args.eal.clone()).trace(args.trace as usize);
    if let Some(cpus) = &args.lcores {
        forwarder = forwarder.lcores(cpus.clone());
    }
    if let Some(program) = &args.ucode {
        forwarder = forwarder.apart(program.clone());
    }
    if let Some(cpus) = &args.crypto_lcores {
        forwarder = forwarder.crypto_lcores(cpus.clone());
    }
    let running = forwarder.start().map_err(|error: StartError| {
        (if error.is_usage() { USAGE } else { FAILURE }, error.to_string())
    })?;
    watch(&running, args, log, &interrupted, &reload);
    running.stop_flag().stop();
    let ((report, traces), closed) = match running.join_traced() {
        Ok(ended) => (ended, Ok(())),
        // What was forwarded is reported all the same.
        Err(RunError::Port { source, ended }) => (*ended, Err(failure(&source))),
        Err(error) => return Err(failure(&error)),
    };
    report.ipsec.iter().flat_map(|ipsec| &ipsec.events).for_each(|event| tell(log, event));

    if let Some(stats) = stats {
        stats.write(&report, log.unseen()).map_err(|error| failure(&error))?;
    }
    let traces = traces.iter().map(trace::render);
    let report_text = report::render(&report, args.tcam, log.unseen());
    log::print(&(traces.collect::<String>() + &report_text)).map_err(|error| failure(&error))?;
    if report.conserved == Some(false) {
        return Err((FAILURE, "packets are unaccounted for: this is a bug".to_owned()));
    }
    closed
}

/// Shows the run until its inputs have ended, its time is up, or somebody interrupts it.
fn watch(
    running: &Running,
    args: &Args,
    log: &mut Log<Stderr>,
    interrupted: &AtomicBool,
    reload: &AtomicBool,
) {
    let mut live = Live::new(running.total_packets());
    let end = args.seconds.map(|seconds| Instant::now() + seconds);
    while !interrupted.load(Ordering::Relaxed) {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        if running.wait(left.map_or(TICK, |left| left.min(TICK))) {
            break;
        }
        live.update(running.report()).iter().for_each(|line| log.say(Kind::Link, line));
        if reload.swap(false, Ordering::Relaxed) {
            reconfigure(running, args, log);
        }
        running.take_sa_events().iter().for_each(|event| tell(log, event));
    }
    live.finish();
}

/// Says what has become of an SA.
fn tell(log: &mut Log<Stderr>, event: &SaEvent) {
    log.say(Kind::of(event), &event.to_string());
}

/// Puts the configuration in force as it is now. A mistake in it changes nothing.
fn reconfigure(running: &Running, args: &Args, log: &mut Log<Stderr>) {
    let done = match args.configuration(|_, _| ()) {
        Ok((config, routes)) => running.commit(config, routes).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(_) => log.say(Kind::Reload, "the configuration is in force as it is now"),
        Err(error) => log.say(Kind::Reload, &error),
    }
}
