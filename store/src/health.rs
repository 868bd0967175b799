//! Whether a store lies where a store can live: file system, locks, room, clock.

use crate::error::{Error, Result};
use crate::filesystem::FileSystem;
use crate::format;
use crate::locks::{Held, Locks};
use crate::options::Options;
use crate::root::unix_ms_now;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The surroundings of a store.
#[derive(Clone, Debug)]
pub struct Health {
    /// What the file system is, and how much room it has.
    pub file_system: FileSystem,
    /// The format, how the file is shared, and which version has made it.
    pub format: String,
    /// Whether a lock that is held keeps others out; or why that cannot be tried. `None` where nothing is to be written.
    pub locks: Option<Result<bool>>,
    /// By how many milliseconds the clock of the file system is ahead of this machine's; or why that cannot be tried. `None`
    /// where nothing is to be written.
    pub clock_ahead_ms: Option<Result<i64>>,
}

impl Health {
    /// Looks at the directory of a store, and tries its locks unless it is for reading only. Does not open the store: it may
    /// be damaged.
    ///
    /// # Errors
    /// There is no store of a format that is known, or it may not be looked at.
    pub fn of(directory: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let directory = directory.as_ref();
        format::check(directory)?;
        let mut health = Self {
            file_system: FileSystem::of(directory)?,
            format: format::describe(directory),
            locks: None,
            clock_ahead_ms: None,
        };
        if options.check_writable(directory).is_ok() {
            let probe = directory.join("locks").join(format!("probe-{}", std::process::id()));
            let tried = try_locks(directory, &probe);
            health.clock_ahead_ms = Some(tried.clone().and_then(|_| clock_ahead(&probe)));
            health.locks = Some(tried);
            // It is not there where it could not be made.
            let _ = fs::remove_file(&probe);
        }
        Ok(health)
    }
}

fn try_locks(directory: &Path, probe: &Path) -> Result<bool> {
    Locks::create(directory)?;
    let held = Held::try_take(probe)?;
    let second = Held::try_take(probe)?;
    Ok(held.is_some() && second.is_none())
}

/// By the time that a file gets that is written now.
fn clock_ahead(probe: &Path) -> Result<i64> {
    let failed = |e| Error::io("write the file", probe, &e);
    fs::write(probe, "now").map_err(failed)?;
    let written = fs::metadata(probe).and_then(|found| found.modified()).map_err(failed)?;
    let written = written.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let written = i64::try_from(written).unwrap_or(i64::MAX);
    Ok(written.saturating_sub(i64::try_from(unix_ms_now()).unwrap_or(i64::MAX)))
}
