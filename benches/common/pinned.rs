//! A bench on a CPU of its own, and how it ends.

use std::error::Error;
use std::process::ExitCode;

use qfp::pal::lcore::{CpuId, LcoreId, LcoreSpec, allowed_cpus, launch};

/// Any error of a bench.
pub(crate) type BenchError = Box<dyn Error + Send + Sync>;

/// Runs a bench on the last of the CPUs that it may use, which it is told.
pub(crate) fn pinned<T: Send + 'static>(
    run: impl Fn(&[CpuId]) -> Result<T, BenchError> + Send + Sync + 'static,
) -> Result<T, BenchError> {
    let cpus = allowed_cpus()?.cpus().to_vec();
    let cpu = *cpus.last().ok_or("no CPU to run on")?;
    let spec = LcoreSpec { id: LcoreId(0), cpu, name: "bench".to_owned() };
    let outcomes = launch(vec![spec], move |_| run(&cpus))?.join()?;
    outcomes.into_iter().next().ok_or("nothing was run")?
}

/// How the program ends, given how many results were wrong.
pub(crate) fn conclude(outcome: Result<usize, BenchError>) -> ExitCode {
    match outcome {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(wrong) => eprintln!("{wrong} wrong results"),
        Err(error) => eprintln!("{error}"),
    }
    ExitCode::FAILURE
}
