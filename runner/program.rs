//! The file of the running program, for starting helpers that are this program too.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The running program.
///
/// # Errors
/// When the system does not say which that is.
pub fn this_program() -> Result<PathBuf> {
    // The link stays right when the program's file is replaced meanwhile.
    let link = Path::new("/proc/self/exe");
    if link.exists() {
        return Ok(link.to_owned());
    }
    let why = |e| Error::new(ErrorKind::System, format!("cannot find the program that is running: {e}"));
    std::env::current_exe().map_err(why)
}
