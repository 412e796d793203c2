//! The `main` of a bench: words of the command line, a CPU of its own, and how it ends.

use std::error::Error;
use std::process::ExitCode;

use pal::lcore::{CpuId, LcoreId, LcoreSpec, allowed_cpus, launch};

/// Any error of a bench.
pub type BenchError = Box<dyn Error + Send + Sync>;

/// What stands behind `--` on the command line, other than options.
#[derive(Clone, Debug, Default)]
pub struct Words(Vec<String>);

impl Words {
    /// Whether `word` is there.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|one| one == word)
    }

    /// Refuses words other than those of `known`.
    ///
    /// # Errors
    /// The first such word, and what there is.
    pub fn only(&self, known: &[&str]) -> Result<(), BenchError> {
        match self.others(known).first() {
            Some(word) => Err(format!("{word}: not known; there is {}", known.join(", ")).into()),
            None => Ok(()),
        }
    }

    /// Words other than those of `known`, in order.
    #[must_use]
    pub fn others(&self, known: &[&str]) -> Vec<String> {
        self.0.iter().filter(|word| !known.contains(&word.as_str())).cloned().collect()
    }
}

/// Runs a bench on the last of the CPUs that it may use.
///
/// `run` is told the words and all of these CPUs, and returns how many results were wrong. The
/// status is 1 when there were any, or an error.
pub fn bench(
    run: impl Fn(&Words, &[CpuId]) -> Result<usize, BenchError> + Send + Sync + 'static,
) -> ExitCode {
    let words = Words(std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect());
    match pinned(move |cpus| run(&words, cpus)) {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(wrong) => eprintln!("{wrong} wrong results"),
        Err(error) => eprintln!("{error}"),
    }
    ExitCode::FAILURE
}

fn pinned<T: Send + 'static>(
    run: impl Fn(&[CpuId]) -> Result<T, BenchError> + Send + Sync + 'static,
) -> Result<T, BenchError> {
    let cpus = allowed_cpus()?.cpus().to_vec();
    let cpu = *cpus.last().ok_or("no CPU to run on")?;
    let spec = LcoreSpec { id: LcoreId(0), cpu, name: "bench".to_owned() };
    let outcomes = launch(vec![spec], move |_| run(&cpus))?.join()?;
    outcomes.into_iter().next().ok_or("nothing was run")?
}
