//! Where a store lives: which file its file is. A copy is another file, and may have been made while somebody wrote.
//!
//! The identity is the number of the file and when it was made. The number of the device is left out: those of containers
//! and of some file systems change whenever they are mounted.

use crate::db;
use crate::error::Result;
use crate::options::Notice;
use crate::sharing;
use crate::store::Store;
use crate::verify::Depth;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The file that says it.
pub(crate) const FILE: &str = "IDENTITY";

/// Verifies a store that lies somewhere else than when it was last opened for writing, once: what is damaged is moved
/// aside, and will be made again.
pub(crate) fn verify_after_a_move(store: &Store) -> Result<()> {
    let path = store.directory().join(FILE);
    let Some(now) = identity(&store.directory().join(db::FILE_NAME)) else { return Ok(()) };
    match fs::read_to_string(&path) {
        Ok(known) if known == now => return Ok(()),
        Ok(_) => {
            let say = &store.core().options.on_notice;
            say(&Notice::Moved);
            let verification = store.verify(Depth::Full)?;
            store.repair(&verification.findings)?;
            say(&Notice::VerifiedAfterMove { findings: verification.findings.len() });
        }
        Err(_) => {}
    }
    // One that cannot be written costs another verification and nothing else.
    if fs::write(&path, now).is_ok() {
        sharing::as_its_directory(&path);
    }
    Ok(())
}

/// Says so when a store that is opened for reading only lies somewhere else than when it was last opened for writing.
pub(crate) fn tell_of_a_move(store: &Store) {
    let known = fs::read_to_string(store.directory().join(FILE)).ok();
    let now = identity(&store.directory().join(db::FILE_NAME));
    if known.is_some() && now.is_some() && known != now {
        (store.core().options.on_notice)(&Notice::NotVerifiedAfterMove);
    }
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
