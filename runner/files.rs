//! Files that are not the store's: read with a message, written whole or not at all.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Reads a file of the user's.
///
/// # Errors
/// When it is not there or cannot be read, with its path.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| unreadable(path, &e))
}

/// Like [`read`], with a hint where there is no such file.
///
/// # Errors
/// As for [`read`].
pub fn read_or_hint(path: &Path, if_missing: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => unreadable(path, &e).hint(if_missing),
        _ => unreadable(path, &e),
    })
}

/// Opens a file of the user's for reading.
///
/// # Errors
/// As for [`read`].
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, e: &std::io::Error) -> Error {
    let error = match e.kind() {
        ErrorKind::NotFound => Error::input("there is no such file"),
        ErrorKind::IsADirectory => Error::input("cannot be read: it is a directory, expected a file"),
        ErrorKind::PermissionDenied => Error::input("no permission to read this file"),
        _ => Error::input(format!("cannot be read: {e}")),
    };
    error.in_file(path.display())
}

/// Writes a file through a temporary one beside it, so that a reader sees the old bytes or the new ones.
/// Directories on the way are created.
///
/// # Errors
/// When the system refuses, with the path.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::new(crate::ErrorKind::System, format!("cannot be written: {e}")).in_file(path.display())
    };
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(failed)?;
    let mut builder = tempfile::Builder::new();
    // Temporary files are made for their owner's eyes only; the file that stays is an ordinary one.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(dir).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}
