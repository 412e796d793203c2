use super::cpu::pin_to;
use super::{CpuId, LcoreId, StopFlag};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

/// What one lcore is called and where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LcoreSpec {
    /// Its number.
    pub id: LcoreId,
    /// The CPU it owns.
    pub cpu: CpuId,
    /// The thread's name; Linux shows the first 15 bytes.
    pub name: String,
}

/// What an lcore's body is given.
#[derive(Clone, Debug)]
pub struct LcoreContext {
    /// Who it is.
    pub spec: LcoreSpec,
    /// Raised when it should return.
    pub stop: StopFlag,
}

/// Why no lcore was started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The kernel gave no thread.
    #[error("cannot start thread {name}: {source}")]
    Spawn {
        /// The lcore's name.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The CPU does not exist or is not ours.
    #[error("cannot bind {name} to {cpu}: {source}")]
    Pin {
        /// The lcore's name.
        name: String,
        /// The CPU it should own.
        cpu: CpuId,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Why running lcores ended badly.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LcoreError {
    /// A body panicked; all others were asked to stop.
    #[error("{name} panicked: {message}")]
    Panicked {
        /// The lcore's name.
        name: String,
        /// The text of the panic.
        message: String,
    },
}

/// Lcores that are running.
#[derive(Debug)]
pub struct Lcores<T> {
    stop: StopFlag,
    threads: Vec<(String, JoinHandle<Option<thread::Result<T>>>)>,
}

/// Starts one pinned, named thread per spec and runs `body` on each of them.
///
/// Bodies start only after every thread has its CPU.
///
/// # Errors
/// The first thread that cannot be started or pinned; then no body has run and no thread is left.
pub fn launch<T, F>(specs: Vec<LcoreSpec>, body: F) -> Result<Lcores<T>, LaunchError>
where
    T: Send + 'static,
    F: Fn(LcoreContext) -> T + Send + Sync + 'static,
{
    launch_with(StopFlag::new(), specs, body)
}

/// As [`launch`], with the flag that stops them.
///
/// # Errors
/// See [`launch`].
pub fn launch_with<T, F>(
    stop: StopFlag,
    specs: Vec<LcoreSpec>,
    body: F,
) -> Result<Lcores<T>, LaunchError>
where
    T: Send + 'static,
    F: Fn(LcoreContext) -> T + Send + Sync + 'static,
{
    let body = Arc::new(body);
    let mut lcores = Lcores { stop, threads: Vec::with_capacity(specs.len()) };
    // Dropping `go` unused releases the waiting threads without running their bodies.
    let mut go = Vec::with_capacity(specs.len());
    for spec in specs {
        let (name, cpu) = (spec.name.clone(), spec.cpu);
        let context = LcoreContext { spec, stop: lcores.stop.clone() };
        let (pinned, is_pinned) = mpsc::channel();
        let (start, may_start) = mpsc::channel::<()>();
        let body = Arc::clone(&body);
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            // The launcher hears of it, or has given up already: nothing to do then.
            let _ = pinned.send(pin_to(context.spec.cpu));
            may_start.recv().ok().map(|()| run(&*body, context))
        });
        let thread = match thread {
            Ok(thread) => thread,
            Err(source) => return Err(LaunchError::Spawn { name, source }),
        };
        lcores.threads.push((name.clone(), thread));
        if let Ok(Err(source)) = is_pinned.recv() {
            return Err(LaunchError::Pin { name, cpu, source });
        }
        go.push(start);
    }
    for start in go {
        // Fails only if the thread is gone, which `join` reports.
        let _ = start.send(());
    }
    Ok(lcores)
}

/// Runs one body; a panic stops all lcores.
fn run<T>(body: &impl Fn(LcoreContext) -> T, context: LcoreContext) -> thread::Result<T> {
    let stop = context.stop.clone();
    // The body's state dies with the panic; what it shared is atomics, which have no torn state.
    let result = catch_unwind(AssertUnwindSafe(|| body(context)));
    if result.is_err() {
        stop.stop();
    }
    result
}

impl<T> Lcores<T> {
    /// The flag that stops these lcores.
    #[must_use]
    pub fn stop_flag(&self) -> StopFlag {
        self.stop.clone()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.threads.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Whether every body has returned.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(|(_, thread)| thread.is_finished())
    }

    /// Waits for all bodies and returns their results in the order of the specs.
    ///
    /// Does not ask them to stop.
    ///
    /// # Errors
    /// The first lcore, in the order of the specs, that panicked; all have ended by then.
    pub fn join(self) -> Result<Vec<T>, LcoreError> {
        let ended: Vec<_> =
            self.threads.into_iter().map(|(name, thread)| (name, thread.join())).collect();
        let mut results = Vec::with_capacity(ended.len());
        for (name, end) in ended {
            match end {
                Ok(Some(Ok(result))) => results.push(result),
                Ok(None) => {} // never started: `launch` has given up before
                Ok(Some(Err(panic))) | Err(panic) => {
                    return Err(LcoreError::Panicked { name, message: text_of(panic.as_ref()) });
                }
            }
        }
        Ok(results)
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "(no text)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{LaunchError, LcoreError, LcoreSpec, launch};
    use crate::lcore::{CpuId, LcoreId, allowed_cpus};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn specs(n: u16) -> Vec<LcoreSpec> {
        let allowed = allowed_cpus().unwrap();
        let cpus = allowed.cpus().iter().cycle();
        (0..n)
            .zip(cpus)
            .map(|(id, &cpu)| LcoreSpec { id: LcoreId(id), cpu, name: format!("lcore-{id}") })
            .collect()
    }

    // rows: ARC-29
    #[test]
    #[cfg_attr(miri, ignore = "no CPU affinity under miri")]
    fn every_body_runs_on_its_own_cpu_under_its_own_name() {
        let specs = specs(4);
        let lcores = launch(specs.clone(), |ctx| {
            let name = std::thread::current().name().map(str::to_owned);
            (ctx.spec, name, allowed_cpus().unwrap().cpus().to_vec())
        })
        .unwrap();
        for (want, (spec, name, cpus)) in specs.into_iter().zip(lcores.join().unwrap()) {
            assert_eq!(name.as_ref(), Some(&want.name));
            assert_eq!(cpus, [want.cpu]);
            assert_eq!(spec, want);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "no CPU affinity under miri")]
    fn no_body_runs_when_one_cpu_cannot_be_had() {
        let mut specs = specs(3);
        specs[2].cpu = CpuId(1023);
        let ran = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&ran);
        let launched = launch(specs, move |_| seen.fetch_add(1, Ordering::SeqCst));
        let error = launched.unwrap_err();
        assert!(matches!(error, LaunchError::Pin { cpu: CpuId(1023), .. }), "{error}");
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "no CPU affinity under miri")]
    fn a_panic_stops_the_others_and_is_named() {
        let lcores = launch(specs(2), |ctx| {
            assert_ne!(ctx.spec.id, LcoreId(1), "table of {} is broken", ctx.spec.id);
            while !ctx.stop.is_stopped() {
                std::thread::yield_now();
            }
        })
        .unwrap();
        let LcoreError::Panicked { name, message } = lcores.join().unwrap_err();
        assert_eq!(name, "lcore-1");
        assert!(message.contains("table of lcore 1 is broken"), "{message}");
    }

    #[test]
    #[cfg_attr(miri, ignore = "no CPU affinity under miri")]
    fn stop_ends_all() {
        let lcores = launch(specs(2), |ctx| {
            while !ctx.stop.is_stopped() {
                std::thread::yield_now();
            }
            ctx.spec.id
        })
        .unwrap();
        lcores.stop_flag().stop();
        assert_eq!(lcores.join().unwrap(), [LcoreId(0), LcoreId(1)]);
    }
}
