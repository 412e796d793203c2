//! A router: IPv4 and IPv6 between ports of any kind.
//!
//! `l3fwd --help` says how to call it; README.md and docs/configuration.md say the rest.

mod args;
mod crypto;
mod lists;
mod live;
mod policies;
mod report;
mod stats_json;
mod trace;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use qfp::{Forwarder, Running, StartError};

use args::Args;
use live::Live;
use stats_json::StatsFile;

/// The arguments or the configuration are wrong.
const USAGE: u8 = 2;
/// The machine would not, or the run went wrong.
const FAILURE: u8 = 1;

/// How often the live table is looked at.
const TICK: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let args = match Args::from_command_line() {
        Ok(args) => args,
        Err(status) => return status,
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, message)) => {
            eprintln!("l3fwd: {}", message.replace('\n', " "));
            ExitCode::from(status)
        }
    }
}

/// What to exit with, and the one line to say.
type Failure = (u8, String);

fn run(args: &Args) -> Result<(), Failure> {
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
        return print(&explanation.to_string()).map_err(|error| failure(&error));
    }
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
    if let Some(cpus) = &args.crypto_lcores {
        forwarder = forwarder.crypto_lcores(cpus.clone());
    }
    let running = forwarder.start().map_err(|error: StartError| {
        (if error.is_usage() { USAGE } else { FAILURE }, error.to_string())
    })?;
    watch(&running, args, &interrupted, &reload);
    running.stop_flag().stop();
    let (report, traces) = running.join_traced().map_err(|error| failure(&error))?;
    report.ipsec.iter().flat_map(|ipsec| &ipsec.events).for_each(crypto::tell);

    if let Some(stats) = stats {
        stats.write(&report).map_err(|error| failure(&error))?;
    }
    let traces = traces.iter().map(trace::render);
    print(&(traces.collect::<String>() + &report::render(&report, args.tcam)))
        .map_err(|error| failure(&error))?;
    if report.conserved {
        Ok(())
    } else {
        Err((FAILURE, "packets are unaccounted for: this is a bug".to_owned()))
    }
}

/// Prints `text`. Whoever has stopped listening wants no more of it.
fn print(text: &str) -> std::io::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Shows the run until its inputs have ended, its time is up, or somebody interrupts it.
fn watch(running: &Running, args: &Args, interrupted: &AtomicBool, reload: &AtomicBool) {
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
        live.update(running.report());
        if reload.swap(false, Ordering::Relaxed) {
            rekey(running, args);
        }
        running.take_sa_events().iter().for_each(crypto::tell);
    }
    live.finish();
}

/// Makes the SAs those that the configuration has now. A mistake in it changes nothing.
fn rekey(running: &Running, args: &Args) {
    let done = match args.config() {
        Ok(config) => running.rekey(config).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(()) => eprintln!("l3fwd: the SAs are those that the configuration has now"),
        Err(error) => eprintln!("l3fwd: {}", error.replace('\n', " ")),
    }
}
