//! OS-held locks: who may use, rewrite or collect the store, and who relies on what.
//!
//! Every lock is a lock on an open file, never the existence, content or age of one, so a process that dies
//! frees what it held. Waiting is bounded, and is announced after one second.

use crate::error::{Error, ErrorKind, Result};
use crate::options::{Notice, Options};
use crate::sharing;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// After this long the user is told what is being waited for.
const ANNOUNCE_AFTER: Duration = Duration::from_secs(1);

const STORE_LOCK: &str = "store.lock";

/// Bounded, announced waiting for something that somebody else holds.
#[derive(Debug)]
pub(crate) struct Patience<'a> {
    what: &'static str,
    options: &'a Options,
    timeout: Duration,
    since: Instant,
    pause: Duration,
    longest_pause: Duration,
    announced: bool,
    holders: Option<&'a Path>,
}

impl<'a> Patience<'a> {
    /// `what` completes "waiting for …".
    pub(crate) fn new(what: &'static str, options: &'a Options) -> Self {
        let pause = Duration::from_micros(200);
        Self {
            what,
            options,
            timeout: options.lock_timeout,
            since: Instant::now(),
            pause,
            longest_pause: Duration::from_millis(20),
            announced: false,
            holders: None,
        }
    }

    /// Waits so long even if the options say less.
    pub(crate) fn at_least(mut self, timeout: Duration) -> Self {
        self.timeout = self.timeout.max(timeout);
        self
    }

    /// Has waited since then.
    pub(crate) fn since(mut self, since: Instant) -> Self {
        self.since = since;
        self
    }

    /// Tries again so often at least.
    pub(crate) fn trying_every(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// Names who else holds another lock than the one waited for, where the system does not tell about that one.
    pub(crate) fn of(mut self, holders: &'a Path) -> Self {
        self.holders = Some(holders);
        self
    }

    /// Sleeps a little; an error once the time is up.
    pub(crate) fn wait(&mut self, lock: &Path) -> Result<()> {
        self.check(lock)?;
        std::thread::sleep(self.pause());
        Ok(())
    }

    /// How long to wait now.
    pub(crate) fn pause(&mut self) -> Duration {
        let left = self.timeout.saturating_sub(self.since.elapsed());
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(self.longest_pause);
        pause
    }

    /// Says what is waited for when it has taken a while; an error once the time is up.
    pub(crate) fn check(&mut self, lock: &Path) -> Result<()> {
        let waited = self.since.elapsed();
        let holder = || match self.holders {
            Some(holders) => holder_but(holders, Some(std::process::id())),
            None => holder(lock),
        };
        if waited >= self.timeout {
            let by = holder().map(|holder| format!(" ({holder})")).unwrap_or_default();
            let seconds = self.timeout.as_secs_f32();
            let message = format!("waited {seconds} s for {}{by}", self.what);
            return Err(Error::new(ErrorKind::Busy, message)
                .at(lock)
                .hint("try again when it has finished, or wait longer with a larger lock timeout"));
        }
        if !self.announced && waited >= ANNOUNCE_AFTER {
            let holder = holder();
            self.announced = true;
            (self.options.on_notice)(&Notice::Waiting { what: self.what, holder });
        }
        Ok(())
    }
}

/// A held lock on a file; freed when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
}

impl Held {
    /// Takes a lock for oneself alone, unless somebody else has it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        let file = open(path)?;
        Ok(try_lock_alone(&file, path)?.then_some(Self { file }))
    }

    /// Leaves a mark in the file, which stays there when this process dies.
    pub(crate) fn mark(&self, path: &Path) -> Result<()> {
        set_mark(&self.file, path, true)
    }

    /// Takes the mark away.
    pub(crate) fn unmark(&self, path: &Path) -> Result<()> {
        set_mark(&self.file, path, false)
    }

    /// Takes a lock for oneself alone when everybody else has let go of it, waiting for so long.
    fn take(path: &Path, what: &'static str, options: &Options) -> Result<Self> {
        let mut patience = Patience::new(what, options);
        loop {
            match Self::try_take(path)? {
                Some(held) => return Ok(held),
                None => patience.wait(path)?,
            }
        }
    }
}

/// The lock files of a store.
#[derive(Clone, Debug)]
pub(crate) struct Locks {
    directory: PathBuf,
}

impl Locks {
    /// Those of the store in this directory, whether or not they are there.
    pub(crate) fn of(store: &Path) -> Self {
        Self { directory: store.join("locks") }
    }

    /// Makes the directories for them.
    pub(crate) fn create(store: &Path) -> Result<Self> {
        let locks = Self::of(store);
        for directory in [locks.steps(), locks.leases()] {
            std::fs::create_dir_all(&directory)
                .map_err(|e| Error::io("create the directory", &directory, &e))?;
        }
        for directory in [&locks.directory, &locks.steps(), &locks.leases()] {
            sharing::as_its_directory(directory);
        }
        Ok(locks)
    }

    /// The directory of the lock files for claims.
    pub(crate) fn steps(&self) -> PathBuf {
        self.directory.join("steps")
    }

    /// The directory of leases.
    pub(crate) fn leases(&self) -> PathBuf {
        self.directory.join("leases")
    }

    /// Held shared while a lease is extended, alone while a collection deletes.
    pub(crate) fn gate(&self) -> PathBuf {
        self.directory.join("leases.lock")
    }

    /// Held by everybody who has the store open.
    pub(crate) fn store_in_use(&self, options: &Options) -> Result<Held> {
        let path = self.store();
        Self::shared(open(&path)?, &path, options)
    }

    /// The same without writing: `None` where nobody can lock anything.
    pub(crate) fn store_in_use_if_there(&self, options: &Options) -> Result<Option<Held>> {
        let path = self.store();
        match File::open(&path) {
            Ok(file) => Self::shared(file, &path, options).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn shared(file: File, path: &Path, options: &Options) -> Result<Held> {
        let mut patience = Patience::new("the store to be made or rewritten", options);
        while !try_lock_shared(&file, path)? {
            patience.wait(path)?;
        }
        Ok(Held { file })
    }

    /// Held by who makes or rewrites the store's file. `None` when somebody does, or has it open.
    pub(crate) fn store_alone(&self) -> Result<Option<Held>> {
        Held::try_take(&self.store())
    }

    /// The lock of who has the store open.
    pub(crate) fn store(&self) -> PathBuf {
        self.directory.join(STORE_LOCK)
    }

    /// The lock of who collects.
    pub(crate) fn collecting(&self) -> PathBuf {
        self.directory.join("gc.lock")
    }

    /// Held by who collects: two at once would do the same work.
    pub(crate) fn collection(&self, options: &Options) -> Result<Held> {
        Held::take(&self.collecting(), "another collection to finish", options)
    }
}

pub(crate) fn open(path: &Path) -> Result<File> {
    let there = || OpenOptions::new().read(true).write(true).open(path);
    match there() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            match sharing::create(path, path.parent().unwrap_or(path)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => there(),
                made => made,
            }
        }
        opened => opened,
    }
    .map_err(|e| Error::io("open the lock file", path, &e))
}

/// Takes the lock of a file together with others, unless somebody has it alone.
pub(crate) fn try_lock_shared(file: &File, path: &Path) -> Result<bool> {
    taken(file.try_lock_shared(), path)
}

/// Whether somebody has died who had left a mark in this file.
pub(crate) fn has_mark(file: &File, path: &Path) -> Result<bool> {
    let found = file.metadata().map_err(|e| Error::io("look at the lock file", path, &e))?;
    Ok(found.len() > 0)
}

/// Leaves a mark in a file, or takes it away.
pub(crate) fn set_mark(file: &File, path: &Path, mark: bool) -> Result<()> {
    file.set_len(u64::from(mark)).map_err(|e| Error::io("write the lock file", path, &e))
}

/// Takes a lock on an open file for oneself alone, unless somebody else has it.
pub(crate) fn try_lock_alone(file: &File, path: &Path) -> Result<bool> {
    taken(file.try_lock(), path)
}

fn taken(outcome: std::result::Result<(), TryLockError>, path: &Path) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(Error::io("lock the file", path, &e)
            .hint("the store must be on a file system that has file locks")),
    }
}

/// Who holds a lock on this file, where the system tells.
pub(crate) fn holder(lock: &Path) -> Option<String> {
    holder_but(lock, None)
}

/// The same without one process.
#[cfg(target_os = "linux")]
fn holder_but(lock: &Path, but: Option<u32>) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{}", std::fs::metadata(lock).ok()?.ino());
    // The table changes while it is read, so that a look can miss a line.
    (0..LOOKS_FOR_HOLDER).find_map(|_| {
        let table = std::fs::read_to_string("/proc/locks").ok()?;
        holders_in(&table, &inode, but)
    })
}

/// How often the system's table of locks is read before a lock is taken to have no holder.
#[cfg(target_os = "linux")]
const LOOKS_FOR_HOLDER: u32 = 4;

/// Who holds the lock of a file, by a table of all locks.
#[cfg(target_os = "linux")]
fn holders_in(table: &str, inode: &str, but: Option<u32>) -> Option<String> {
    // A line reads `7: FLOCK  ADVISORY  READ 4711 fd:01:123456 0 EOF`; who waits is marked with `->`.
    let mut holders: Vec<u32> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(5).is_some_and(|id| id.ends_with(inode)))
        .filter_map(|fields| fields.get(4)?.parse().ok())
        .filter(|pid| Some(*pid) != but)
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

/// The same without one process.
#[cfg(not(target_os = "linux"))]
fn holder_but(_lock: &Path, _but: Option<u32>) -> Option<String> {
    None
}
