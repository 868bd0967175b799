//! The file of a store, as the table layer sees it: waiting for its locks is bounded and announced, and long writes are on
//! their way to the disk before anybody waits for them.
//!
//! Others hold these locks for moments, in the middle of a commit or while they begin to read, unless they are stopped there.

use crate::db::{BackendError, DatabaseError, FileBackend, StorageBackend};
use crate::locks::{Locks, Patience};
use crate::options::Options;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A commit on a slow disk may take so long, even if waiting for others is not wanted.
const UNDISTURBED: Duration = Duration::from_secs(2);

/// How often it is tried again: what others hold is free within milliseconds.
const PAUSE: Duration = Duration::from_millis(2);

/// Writes of so many bytes go to the disk at once: they are parts of large blobs, and the disk would otherwise have nothing to
/// do until the commit waits for it.
const EARLY_BYTES: usize = 256 << 10;

/// Who tries so soon after somebody else has failed goes on with the same wait.
const SAME_WAIT: Duration = Duration::from_millis(500);

/// The open file.
#[derive(Debug)]
pub(crate) struct StoreFile {
    file: FileBackend,
    /// The same, to say what is to become of what was written.
    #[cfg(target_os = "linux")]
    advised: File,
    path: PathBuf,
    /// Who has the store open: the system does not tell who holds a part of a file.
    in_use: PathBuf,
    options: Options,
    /// Since when a lock cannot be had, and when that was last tried: those who wait behind who waits begin when that one
    /// gives up, and must not begin anew.
    waiting: Mutex<Option<(Instant, Instant)>>,
}

impl StoreFile {
    /// Opens the file for reading and writing, and makes it if it is to be made.
    pub(crate) fn open(path: &Path, create: bool, options: &Options) -> Result<Self, DatabaseError> {
        let file = OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path)?;
        if !create && file.metadata()?.len() == 0 {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        Self::of(file, path, options)
    }

    /// Opens the file for reading.
    pub(crate) fn open_unwritable(path: &Path, options: &Options) -> Result<Self, DatabaseError> {
        Self::of(File::open(path)?, path, options)
    }

    fn of(file: File, path: &Path, options: &Options) -> Result<Self, DatabaseError> {
        let in_use = Locks::of(path.parent().unwrap_or(path)).store();
        let (path, options) = (path.to_owned(), options.clone());
        Ok(Self {
            #[cfg(target_os = "linux")]
            advised: file.try_clone()?,
            file: FileBackend::new(file)?,
            path,
            in_use,
            options,
            waiting: Mutex::default(),
        })
    }

    /// Has the system begin to write this to the disk. It is not safe there before the next sync; when the system takes no
    /// advice, all of it is written then.
    #[cfg(target_os = "linux")]
    fn write_out(&self, offset: u64, len: usize) {
        let len = std::num::NonZeroU64::new(len as u64);
        let _ = rustix::fs::fadvise(&self.advised, offset, len, rustix::fs::Advice::DontNeed);
    }

    /// Nothing: the next sync writes it.
    #[cfg(not(target_os = "linux"))]
    fn write_out(&self, _offset: u64, _len: usize) {}

    /// Takes a lock, for as long as one may wait.
    fn wait(&self, try_lock: impl Fn() -> Result<bool, BackendError>) -> Result<(), BackendError> {
        let mut patience = None;
        while !try_lock()? {
            let since = self.waiting_since();
            let patience = patience.get_or_insert_with(|| {
                Patience::new("another process to finish writing", &self.options)
                    .of(&self.in_use)
                    .at_least(UNDISTURBED)
                    .since(since)
                    .trying_every(PAUSE)
            });
            patience.wait(&self.path).map_err(|e| BackendError::Io(io::Error::other(e)))?;
        }
        if patience.is_some() {
            *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(())
    }

    /// Since when a lock cannot be had, as of a try that has just failed.
    fn waiting_since(&self) -> Instant {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let since = waiting.filter(|(_, last)| now - *last < SAME_WAIT).map_or(now, |(since, _)| since);
        *waiting = Some((since, now));
        since
    }
}

#[cfg(test)]
impl StoreFile {
    /// Whether the header says that its last commit is not on disk yet, so that readers are shown the one before.
    fn has_unflushed_commit(&self) -> bool {
        const FLAGS: u64 = 9;
        const UNFLUSHED: u8 = 8;
        let mut flags = [0];
        self.file.read(FLAGS, &mut flags).is_ok() && flags[0] & UNFLUSHED != 0
    }
}

impl StorageBackend for StoreFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        if crate::halt::DELETING.load(std::sync::atomic::Ordering::Relaxed) && self.has_unflushed_commit() {
            crate::halt::at("the commit is made and not flushed");
        }
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)?;
        if data.len() >= EARLY_BYTES {
            self.write_out(offset, data.len());
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.wait(|| self.file.try_lock_range(start, end))?;
        #[cfg(test)]
        if start == Bound::Included(0) {
            crate::halt::at("nobody else can begin to read or write");
        }
        Ok(())
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.wait(|| self.file.try_lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use crate::{Blob, ErrorKind, Notice, Options, Publication, Store, halt};
    use rustix::process::{Pid, Signal, kill_process};
    use std::path::PathBuf;
    use std::process::{Command, Stdio};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    const STORE: &str = "STORE_TEST_STOPPED";

    /// Opens a store when started by another test; alone it does nothing.
    #[test]
    fn stopped_process() {
        let Some(directory) = std::env::var_os(STORE) else { return };
        drop(Store::open(PathBuf::from(directory), &Options::default()).unwrap());
    }

    #[test]
    fn nobody_waits_for_ever_for_a_process_that_was_stopped_with_a_lock_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let said = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&said);
        let options = Options {
            lock_timeout: Duration::from_millis(50),
            on_notice: Arc::new(move |notice| listener.lock().unwrap().push(notice.clone())),
            ..Options::default()
        };
        let store = Store::open(&path, &options).unwrap();
        let blob = Blob::new(&b"content"[..]);
        let publication = || Publication { blobs: vec![blob.clone()], ..Publication::default() };
        store.publish(publication()).wait().unwrap();
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args(["file::tests::stopped_process", "--exact", "--nocapture"])
            .env(STORE, &path)
            .env(halt::POINT, "nobody else can begin to read or write")
            .env(halt::NOTES, directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        halt::await_halt(directory.path());
        let pid = Pid::from_child(&other);
        kill_process(pid, Signal::STOP).unwrap();

        let errors = [
            store.get(&blob.digest()).unwrap_err(),
            // Those behind it wait no longer than the first.
            store.stats().unwrap_err(),
            Store::open(&path, &options).unwrap_err(),
            Store::open(&path, &Options { read_only: true, ..options.clone() }).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            let words = format!("waited 2 s for another process to finish writing (process {}", other.id());
            assert!(error.to_string().contains(&words), "{error}");
            assert!(error.path().is_some() && error.hint_text().is_some());
        }
        let is_waiting = |notice: &Notice| matches!(notice, Notice::Waiting { .. });
        assert!(said.lock().unwrap().iter().all(is_waiting) && !said.lock().unwrap().is_empty());

        kill_process(pid, Signal::CONT).unwrap();
        halt::go_on(directory.path());
        assert!(other.wait().unwrap().success());
        assert_eq!(store.get(&blob.digest()).unwrap().as_deref(), Some(&b"content"[..]));
        store.publish(publication()).wait().unwrap();
    }
}
