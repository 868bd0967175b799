//! The files of all leases, as collection reads them.

use super::{ENTRY_BYTES, Leased};
use crate::error::{Error, Result};
use crate::locks::{Locks, Patience, try_lock_alone, try_lock_shared};
use crate::options::Options;
use crate::sharing;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes a lease file that has never been before, and locks it. With the gate held, so that nobody sees it in between.
pub(super) fn create(directory: &Path, options: &Options) -> Result<(PathBuf, File)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Starts with who it is, for people; the rest makes it unlike any other.
    let path = directory.join(format!("{}-{since_1970:x}-{number}", process::id()));
    // Every file in the directory of leases is taken for one.
    let file = sharing::create(&path, directory.parent().unwrap_or(directory));
    let file = file.map_err(|e| Error::io("create the lease", &path, &e))?;
    // Whoever looks at this moment whether it is locked has it for as long as that takes.
    let mut patience = Patience::new("a collection to look at a lease", options);
    while !try_lock_alone(&file, &path)? {
        patience.wait(&path)?;
    }
    Ok((path, file))
}

/// Who holds a lease, as its file is named. `Display` names the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeasedBy(Arc<str>);

impl fmt::Display for LeasedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = self.0.split('-').next().unwrap_or_default();
        write!(f, "process {process}")
    }
}

/// Reads the leases of all processes, each name once.
#[derive(Debug)]
pub(crate) struct LeaseFiles {
    directory: PathBuf,
    /// How far each file has been read.
    read: HashMap<PathBuf, u64>,
}

impl LeaseFiles {
    pub(crate) fn new(locks: &Locks) -> Self {
        Self { directory: locks.leases(), read: HashMap::new() }
    }

    /// What living owners have leased since the last call.
    pub(crate) fn read_new(&mut self) -> Result<Vec<(LeasedBy, Leased)>> {
        let mut new = Vec::new();
        for path in self.list()? {
            let Some(mut file) = open_living(&path)? else { continue };
            let by = LeasedBy(path.file_name().unwrap_or_default().to_string_lossy().into());
            let at = self.read.entry(path.clone()).or_default();
            let mut bytes = Vec::new();
            let read = file.seek(SeekFrom::Start(*at)).and_then(|_| file.read_to_end(&mut bytes));
            read.map_err(|e| Error::io("read the lease", &path, &e))?;
            // The end of an append that is under way is read the next time.
            let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
            *at += (entries.len() * ENTRY_BYTES) as u64;
            new.extend(entries.iter().filter_map(Leased::decode).map(|leased| (by.clone(), leased)));
        }
        Ok(new)
    }

    /// Removes the files whose owners have died, and says how many. To be called with the gate held alone: a file
    /// that is made at this moment is not locked yet.
    pub(crate) fn remove_dead(&self) -> Result<u64> {
        let mut removed = 0;
        for path in self.list()? {
            let dead = match open(&path)? {
                Some(file) => try_lock_shared(&file, &path)?,
                None => false,
            };
            if dead && std::fs::remove_file(&path).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether anybody has a lease.
    pub(crate) fn has_living(&self) -> Result<bool> {
        for path in self.list()? {
            if open_living(&path)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn list(&self) -> Result<Vec<PathBuf>> {
        // A copy may come without locks, and be read before anybody has made some.
        if self.directory.parent().is_some_and(|locks| !locks.exists()) {
            return Ok(Vec::new());
        }
        let failed = |e: io::Error| Error::io("read the directory", &self.directory, &e);
        let entries = std::fs::read_dir(&self.directory).map_err(failed)?;
        let mut paths = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed)?;
        paths.sort_unstable();
        Ok(paths)
    }
}

/// The file of a lease whose owner lives.
fn open_living(path: &Path) -> Result<Option<File>> {
    let Some(file) = open(path)? else { return Ok(None) };
    // The owner holds it for itself alone as long as it lives. Shared, so that two who look do not see each other.
    Ok((!try_lock_shared(&file, path)?).then_some(file))
}

/// `None` when it has just been removed.
fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("open the lease", path, &e)),
    }
}
