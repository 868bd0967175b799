//! OS-held locks: who may use, rewrite or collect the store.
//!
//! Every lock is a lock on an open file, never the existence, content or age of one, so a process that dies
//! frees what it held. Waiting is bounded, and is announced after one second.

use crate::error::{Error, ErrorKind, Result};
use crate::options::{Notice, Options};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// After this long the user is told what is being waited for.
const ANNOUNCE_AFTER: Duration = Duration::from_secs(1);

const STORE_LOCK: &str = "store.lock";

/// Bounded, announced waiting for something that somebody else holds.
pub(crate) struct Patience<'a> {
    what: &'static str,
    options: &'a Options,
    since: Instant,
    pause: Duration,
    announced: bool,
}

impl<'a> Patience<'a> {
    /// `what` completes "waiting for …".
    pub(crate) fn new(what: &'static str, options: &'a Options) -> Self {
        let pause = Duration::from_micros(200);
        Self { what, options, since: Instant::now(), pause, announced: false }
    }

    /// Sleeps a little; an error once the time is up.
    pub(crate) fn wait(&mut self, lock: &Path) -> Result<()> {
        let waited = self.since.elapsed();
        if waited >= self.options.lock_timeout {
            let by = holder(lock).map(|holder| format!(" ({holder})")).unwrap_or_default();
            let seconds = self.options.lock_timeout.as_secs_f32();
            let message = format!("waited {seconds} s for {}{by}", self.what);
            return Err(Error::new(ErrorKind::Busy, message)
                .at(lock)
                .hint("try again when it has finished, or wait longer with a larger lock timeout"));
        }
        if !self.announced && waited >= ANNOUNCE_AFTER {
            self.announced = true;
            (self.options.on_notice)(&Notice::Waiting { what: self.what, holder: holder(lock) });
        }
        std::thread::sleep(self.pause.min(self.options.lock_timeout - waited));
        self.pause = (self.pause * 2).min(Duration::from_millis(20));
        Ok(())
    }
}

/// A held lock on a file; freed when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _file: File,
}

impl Held {
    /// Takes a lock for oneself alone, unless somebody else has it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        let file = open(path)?;
        Ok(try_lock(&file, Mode::Exclusive, path)?.then_some(Self { _file: file }))
    }
}

/// Whether others may hold the lock too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

/// The lock files of a store.
#[derive(Clone, Debug)]
pub(crate) struct Locks {
    directory: PathBuf,
}

impl Locks {
    /// Makes the directories for them.
    pub(crate) fn create(store: &Path) -> Result<Self> {
        let directory = store.join("locks");
        let locks = Self { directory };
        let steps = locks.steps();
        std::fs::create_dir_all(&steps).map_err(|e| Error::io("create the directory", &steps, &e))?;
        Ok(locks)
    }

    /// The directory of the lock files for claims.
    pub(crate) fn steps(&self) -> PathBuf {
        self.directory.join("steps")
    }

    /// Held by everybody who has the store open.
    pub(crate) fn store_in_use(&self, options: &Options) -> Result<Held> {
        self.acquire(STORE_LOCK, Mode::Shared, "the store to be made or rewritten", options)
    }

    /// Held by who makes the store's file. `None` when somebody does, or has it open.
    pub(crate) fn store_alone(&self) -> Result<Option<Held>> {
        Held::try_take(&self.directory.join(STORE_LOCK))
    }

    /// Held shared by builds, exclusively by collection: what a build relies on must not be collected.
    pub(crate) fn activity(&self, mode: Mode, options: &Options) -> Result<Held> {
        let what = match mode {
            Mode::Shared => "a collection to finish",
            Mode::Exclusive => "builds to finish",
        };
        self.acquire("activity.lock", mode, what, options)
    }

    fn acquire(&self, name: &str, mode: Mode, what: &'static str, options: &Options) -> Result<Held> {
        let path = self.directory.join(name);
        let file = open(&path)?;
        let mut patience = Patience::new(what, options);
        while !try_lock(&file, mode, &path)? {
            patience.wait(&path)?;
        }
        Ok(Held { _file: file })
    }
}

/// Keeps collection away from what a build relies on. Hold it from before the first look into the store until
/// everything is published, flushed and rooted.
#[derive(Debug)]
#[must_use = "collection is kept away only as long as the session lives"]
pub struct Session {
    pub(crate) _held: Held,
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|e| Error::io("open the lock file", path, &e))
}

fn try_lock(file: &File, mode: Mode, path: &Path) -> Result<bool> {
    let outcome = match mode {
        Mode::Shared => file.try_lock_shared(),
        Mode::Exclusive => file.try_lock(),
    };
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(Error::io("lock the file", path, &e)
            .hint("the store must be on a file system that has file locks")),
    }
}

/// Who holds a lock on this file, where the system tells.
#[cfg(target_os = "linux")]
fn holder(lock: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{}", std::fs::metadata(lock).ok()?.ino());
    let table = std::fs::read_to_string("/proc/locks").ok()?;
    // A line reads `7: FLOCK  ADVISORY  READ 4711 fd:01:123456 0 EOF`; who waits is marked with `->`.
    let mut holders: Vec<u32> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(5).is_some_and(|id| id.ends_with(&inode)))
        .filter_map(|fields| fields.get(4)?.parse().ok())
        .collect();
    holders.sort_unstable();
    holders.dedup();
    let names = holders.iter().map(|pid| match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim()),
        Err(_) => format!("process {pid}"),
    });
    let names = names.collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then_some(names)
}

/// Who holds a lock on this file, where the system tells.
#[cfg(not(target_os = "linux"))]
fn holder(_lock: &Path) -> Option<String> {
    None
}
