//! Where a store lives: which file its file is. A copy is another file, and may have been made while somebody wrote: then
//! its pages are of several states, which opening it as usual does not notice and which writing to it would make worse.
//!
//! The identity is the number of the file and when it was made. The number of the device is left out: those of containers
//! and of some file systems change whenever they are mounted.

use crate::db;
use crate::error::{Error, Result};
use crate::options::Notice;
use crate::sharing;
use crate::store::Store;
use crate::verify::Depth;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The file that says it.
pub(crate) const FILE: &str = "IDENTITY";

/// Whether the file of a store is another one than when it was last opened for writing. Where that is not known, it is.
pub(crate) fn is_copy(directory: &Path) -> bool {
    let known = fs::read_to_string(directory.join(FILE)).ok();
    identity(&directory.join(db::FILE_NAME)).is_some_and(|now| known != Some(now))
}

/// Verifies a copy whose pages are in order, once: what is damaged is moved aside, and will be made again.
pub(crate) fn verify_copy(store: &Store) -> Result<()> {
    let verification = store.verify(Depth::Full)?;
    store.repair(&verification.findings)?;
    (store.core().options.on_notice)(&Notice::VerifiedAfterMove { findings: verification.findings.len() });
    remember(store.directory());
    Ok(())
}

/// Remembers which file the file of a store is.
pub(crate) fn remember(directory: &Path) {
    let path = directory.join(FILE);
    let Some(now) = identity(&directory.join(db::FILE_NAME)) else { return };
    // One that cannot be written costs another verification and nothing else.
    if fs::write(&path, now).is_ok() {
        sharing::as_its_directory(&path);
    }
}

/// Why a copy whose pages are not in order is refused.
pub(crate) fn refuse_copy(error: &Error) -> Error {
    let why = format!(
        "this store was copied here while somebody wrote to it, or was damaged on the way: {}",
        error.message()
    );
    let path = error.path().unwrap_or(Path::new(""));
    Error::corrupt(why).at(path).hint(
        "copy it again while nobody uses it, or take a bundle of it along; a repair that rebuilds the file keeps what can \
         still be read of this copy, where anything can",
    )
}

/// `None` where the system does not tell.
fn identity(file: &Path) -> Option<String> {
    let found = fs::metadata(file).ok()?;
    let made = found.created().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&found);
    #[cfg(not(unix))]
    let number = 0;
    Some(format!("file {number} made {made}\n"))
}
