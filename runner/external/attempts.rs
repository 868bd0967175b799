//! Running a simulator until it gives a result, or until it is clear that it will not.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::report::RunResult;

use super::failure::Failure;
use super::log::Log;
use super::process::{self, Ended, How, Order};

/// How often a run is attempted at most, where its end can differ.
pub const ATTEMPTS: u32 = 5;

/// How long the machine is given after the first attempt; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What came of a run, and what the simulator printed in its last attempt.
#[derive(Debug)]
pub struct Completed {
    /// The result, or how the last of the attempts failed.
    pub outcome: Result<RunResult, Failure>,
    /// How many attempts there were.
    pub attempts: u32,
    /// What was printed.
    pub log: Log,
}

/// Runs a simulator, each attempt in a fresh directory that `prepare` fills and that is removed afterwards. `progress` is
/// told how many ranks have finished.
///
/// # Errors
/// [`ErrorKind::Interrupted`] when `cancel` was set; when there can be no directory, or the executable is not the one any
/// more that was hashed.
pub fn run(
    order: &Order<'_>,
    prepare: &dyn Fn(&Path) -> Result<()>,
    cancel: &AtomicBool,
    progress: &dyn Fn(u32),
) -> Result<Completed> {
    let mut pause = FIRST_PAUSE;
    for attempts in 1.. {
        let Ended { how, figures, log } = attempt(order, prepare, cancel, progress)?;
        if matches!(how, How::Cancelled) {
            break;
        }
        let outcome = match Failure::of(how, &log, &order.limits, figures.finished()) {
            None => figures.result().map_err(Failure::Incomplete),
            Some(failure) => Err(failure),
        };
        if !order.executable.is_unchanged() {
            return Err(Error::input("was changed while it was used, so nobody knows what ran")
                .in_file(order.executable.path.display())
                .hint("build again when it is complete"));
        }
        match &outcome {
            Err(failure) if failure.can_pass() && attempts < ATTEMPTS => rest(pause, cancel),
            _ => return Ok(Completed { outcome, attempts, log }),
        }
        pause *= 2;
    }
    Err(Error::new(ErrorKind::Interrupted, "interrupted while the simulator ran"))
}

fn attempt(
    order: &Order<'_>,
    prepare: &dyn Fn(&Path) -> Result<()>,
    cancel: &AtomicBool,
    progress: &dyn Fn(u32),
) -> Result<Ended> {
    let unusable = |e: std::io::Error| {
        Error::new(ErrorKind::System, format!("a directory for the simulator cannot be made: {e}"))
            .in_file(std::env::temp_dir().display())
            .hint("set TMPDIR to a directory with room")
    };
    let directory = tempfile::Builder::new().prefix("astra-store-run-").tempdir().map_err(unusable)?;
    prepare(directory.path())?;
    Ok(process::run(order, directory.path(), cancel, progress))
}

fn rest(pause: Duration, cancel: &AtomicBool) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !cancel.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
    }
}
