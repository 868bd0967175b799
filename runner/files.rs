//! Files that are not the store's: read with a message, written whole or not at all.

use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Reads a file of the user's.
///
/// # Errors
/// When it is not there or cannot be read, with its path.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| {
        let message = match e.kind() {
            ErrorKind::NotFound => "there is no such file".to_owned(),
            ErrorKind::IsADirectory => "is a directory, expected a file".to_owned(),
            _ => format!("cannot be read: {e}"),
        };
        Error::input(message).in_file(path.display())
    })
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
