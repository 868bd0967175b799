//! Writing files that are whole whenever they are seen: bytes to a private file, bytes to disk, then the name.
//!
//! Bytes of few files are synced one by one, those of many by syncing the file system once, which is some hundred times
//! cheaper. Names are synced by [`Writer::flush`]. A writer that is killed leaves its directory in `tmp`, which a later
//! one removes.

use super::failed;
use super::layout::{self, Layout};
use crate::error::{Error, ErrorKind, Result};
use crate::remote::PutAction;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Up to so many files are synced each for itself.
const SYNC_EACH: usize = 16;

/// What a writer left that has not stirred for so long is removed.
const STALE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Writes files into a remote.
#[derive(Debug)]
pub(super) struct Writer {
    layout: Layout,
    /// Made when first needed: a remote may be for reading only.
    temporary: OnceLock<PathBuf>,
    next: AtomicU64,
    /// Directories with names that are not on disk yet.
    unsynced: Mutex<BTreeSet<PathBuf>>,
}

impl Writer {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, temporary: OnceLock::new(), next: AtomicU64::new(0), unsynced: Mutex::default() }
    }

    /// Begins to write about so many files.
    pub(super) fn batch(&self, files: usize) -> Result<Batch<'_>> {
        let sync_each = files <= SYNC_EACH || !CAN_SYNC_ALL;
        Ok(Batch { writer: self, directory: self.temporary()?, sync_each, files: Vec::with_capacity(files) })
    }

    /// This writer's directory below `tmp`.
    fn temporary(&self) -> Result<&Path> {
        if let Some(made) = self.temporary.get() {
            return Ok(made);
        }
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|e| {
            Error::new(ErrorKind::Io, format!("the system gives no random bytes for a name: {e}"))
        })?;
        let all = self.layout.temporary();
        let own = all.join(format!("{:032x}", u128::from_be_bytes(name)));
        layout::create_dir_all(&own).map_err(|e| failed("create the directory", &own, &e))?;
        remove_stale(&all, &own);
        // Two threads may come here at once; the directory of the second stays empty and is removed as stale.
        Ok(self.temporary.get_or_init(|| own))
    }

    /// Returns when all names that were given are on disk.
    pub(super) fn flush(&self) -> Result<()> {
        let directories = std::mem::take(&mut *self.unsynced());
        let few = directories.len() <= SYNC_EACH;
        let synced = match !few && CAN_SYNC_ALL {
            true => self.sync_file_system(),
            false => directories.iter().try_for_each(|directory| {
                sync_directory(directory).map_err(|e| failed("sync the directory", directory, &e))
            }),
        };
        if synced.is_err() {
            self.unsynced().extend(directories);
        }
        synced
    }

    fn unsynced(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync_file_system(&self) -> Result<()> {
        let directory = self.layout.directory();
        File::open(directory)
            .and_then(|file| sync_file_system_of(&file))
            .map_err(|e| failed("sync the file system", directory, &e))
    }
}

/// Whether a whole file system can be synced.
const CAN_SYNC_ALL: bool = cfg!(target_os = "linux");

#[cfg(target_os = "linux")]
fn sync_file_system_of(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

/// Elsewhere files are synced one by one.
#[cfg(not(target_os = "linux"))]
fn sync_file_system_of(_file: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(own) = self.temporary.get() {
            // What stays is removed as stale.
            let _ = fs::remove_dir_all(own);
        }
    }
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be synced; its names are as safe as the system keeps them.
#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Removes what writers left that have died. By the clock of whoever keeps the files: ours may differ.
fn remove_stale(all: &Path, own: &Path) {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let (Some(now), Ok(entries)) = (changed(own), fs::read_dir(all)) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let age = changed(&path).and_then(|then| now.duration_since(then).ok());
        if age.is_some_and(|age| age >= STALE_AFTER) {
            // Another writer may be removing it too, and it is in nobody's way.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Gives what lies under the name of the file of that number.
type ReadThere<'r> = dyn Fn(usize, &Path) -> Result<Option<Vec<u8>>> + 'r;

/// Files that are written together and then get their names.
pub(super) struct Batch<'w> {
    writer: &'w Writer,
    directory: &'w Path,
    sync_each: bool,
    /// What is written, and what it will be called.
    files: Vec<(PathBuf, PathBuf)>,
}

impl Batch<'_> {
    /// Writes the bytes of a file.
    pub(super) fn write(&mut self, bytes: &[u8], path: PathBuf) -> Result<()> {
        let temporary = self.directory.join(self.writer.next.fetch_add(1, Ordering::Relaxed).to_string());
        let written = layout::create(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            if self.sync_each { file.sync_data() } else { Ok(()) }
        });
        written.map_err(|e| failed("write the file", &temporary, &e))?;
        self.files.push((temporary, path));
        Ok(())
    }

    /// The files of both.
    pub(super) fn and(mut self, mut other: Self) -> Self {
        self.files.append(&mut other.files);
        self
    }

    /// Gives the files their names, whatever had them before.
    pub(super) fn finish(mut self) -> Result<()> {
        self.sync()?;
        for (temporary, path) in std::mem::take(&mut self.files) {
            in_directory(&path, || fs::rename(&temporary, &path))?;
            self.named(&path);
        }
        Ok(())
    }

    /// Gives the files their names where nothing has them, and says for each, in the order written, what became of
    /// it. Where something is there, `read` gives its bytes, or `None` when they are to be replaced.
    pub(super) fn finish_new(self, read: &ReadThere<'_>) -> Result<Vec<PutAction>> {
        self.sync()?;
        let mut outcomes = Vec::with_capacity(self.files.len());
        // What is left in the list is removed at the end.
        for (i, (temporary, path)) in self.files.iter().enumerate() {
            if !in_directory(path, || name_new(temporary, path))? {
                if let Some(bytes) = read(i, path)? {
                    outcomes.push(PutAction::There(bytes));
                    continue;
                }
                in_directory(path, || fs::rename(temporary, path))?;
            }
            self.named(path);
            outcomes.push(PutAction::Stored);
        }
        Ok(outcomes)
    }

    fn sync(&self) -> Result<()> {
        if self.sync_each || self.files.is_empty() { Ok(()) } else { self.writer.sync_file_system() }
    }

    fn named(&self, path: &Path) {
        let mut unsynced = self.writer.unsynced();
        if let Some(directory) = path.parent()
            && !unsynced.contains(directory)
        {
            unsynced.insert(directory.to_owned());
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for (temporary, _) in &self.files {
            // The whole directory is removed at the end.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Gives a file a name unless something has it; says whether it has it now.
fn name_new(temporary: &Path, path: &Path) -> io::Result<bool> {
    // A link fails when the name is taken, where a rename would take it away.
    match fs::hard_link(temporary, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(e),
        // Not every file system has links. Then of two that give one name at the same moment the last wins.
        Err(_) if fs::exists(path)? => Ok(false),
        Err(_) => fs::rename(temporary, path).map(|()| true),
    }
}

/// Does something to a path; again, after making its directory, when that is not there.
fn in_directory<T>(path: &Path, run: impl Fn() -> io::Result<T>) -> Result<T> {
    let again = |e: io::Error| match (e.kind(), path.parent()) {
        (io::ErrorKind::NotFound, Some(directory)) => {
            layout::create_dir_all(directory)?;
            run()
        }
        _ => Err(e),
    };
    run().or_else(again).map_err(|e| failed("name the file", path, &e))
}
