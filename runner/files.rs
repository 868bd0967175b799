//! Files that are not the store's: read with a message, written whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, ErrorKind, Result};

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
        io::ErrorKind::NotFound => unreadable(path, &e).hint(if_missing),
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

fn unreadable(path: &Path, e: &io::Error) -> Error {
    let error = match e.kind() {
        io::ErrorKind::NotFound => Error::input("there is no such file"),
        io::ErrorKind::IsADirectory => Error::input("cannot be read: it is a directory, expected a file"),
        io::ErrorKind::PermissionDenied => Error::input("no permission to read this file"),
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
    let mut file = NewFile::create(path)?;
    file.write_all(bytes).map_err(|e| unwritable(path, &e))?;
    file.persist()
}

/// A file that is written bit by bit, under a temporary name beside its own: nobody sees it before it is whole, and it
/// goes away when it does not get that far.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
}

impl NewFile {
    /// Begins a file. Directories on the way are created.
    ///
    /// # Errors
    /// When the system refuses, with the path.
    pub fn create(path: &Path) -> Result<Self> {
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir).map_err(|e| unwritable(path, &e))?;
        let mut builder = tempfile::Builder::new();
        // Temporary files are made for their owner's eyes only; the file that stays is an ordinary one.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(dir).map_err(|e| unwritable(path, &e))?;
        Ok(Self { path: path.to_owned(), out: BufWriter::with_capacity(1 << 16, file) })
    }

    /// Gives the file its name; one that had it is replaced.
    ///
    /// # Errors
    /// When the system refuses, with the path.
    pub fn persist(self) -> Result<()> {
        let Self { path, out } = self;
        let file = out.into_inner().map_err(|e| unwritable(&path, e.error()))?;
        file.persist(&path).map_err(|e| unwritable(&path, &e.error))?;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The error of a file that the system refuses to write.
pub fn unwritable(path: &Path, e: &io::Error) -> Error {
    Error::new(ErrorKind::System, format!("cannot be written: {e}")).in_file(path.display())
}
