//! Rewriting the file so that it has no free space, which nobody else may have open meanwhile.

use crate::db::{self, Db};
use crate::error::{Error, ErrorKind, Result};
use crate::filesystem;
use crate::format;
use crate::locks::{Locks, holder};
use crate::options::Options;
use crate::store::Store;
use std::path::Path;

/// What became of an attempt to make the file smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compaction {
    /// The file was rewritten; its size in bytes before and after.
    Done {
        /// Before.
        before: u64,
        /// After.
        after: u64,
    },
    /// Somebody has the store open, so nothing was done. Says who, where the system tells: `process 4711 (cc)`.
    InUse(Option<String>),
}

impl Store {
    /// Gives free space in the file of a store back to the system, unless somebody (or this process) has it open. Others
    /// who open it meanwhile wait.
    ///
    /// # Errors
    /// There is no store, or one of another format; it is not to be written; the file cannot be read or written.
    pub fn compact(directory: impl AsRef<Path>, options: &Options) -> Result<Compaction> {
        let directory = directory.as_ref();
        if format::check(directory)? != Some(format::VERSION) {
            return Err(Error::new(
                ErrorKind::NotAStore,
                "there is no store of the current format to make smaller",
            )
            .at(directory)
            .hint("name a directory that is a store; opening it for writing brings it up to date"));
        }
        options.check_writable(directory)?;
        filesystem::check_writable(directory, options)?;
        let locks = Locks::create(directory)?;
        let Some(_alone) = locks.store_alone()? else { return Ok(Compaction::InUse(holder(&locks.store()))) };
        let path = directory.join(db::FILE_NAME);
        let before = file_bytes(&path)?;
        Db::open(&path, options)?.compact()?;
        Ok(Compaction::Done { before, after: file_bytes(&path)? })
    }
}

fn file_bytes(path: &Path) -> Result<u64> {
    std::fs::metadata(path).map(|file| file.len()).map_err(|e| Error::io("look at the file", path, &e))
}
