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
    let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    opened.map_err(|e| unreadable(path, &e))
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
/// goes away when it does not get that far. Devices and pipes are written as they are.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    out: BufWriter<Destination>,
}

#[derive(Debug)]
enum Destination {
    Temporary(NamedTempFile),
    /// What is there already and no file: it must never be replaced by one.
    InPlace(File),
}

impl NewFile {
    /// Begins a file. Directories on the way are created; where the path is a link, the file behind it is replaced.
    ///
    /// # Errors
    /// When the system refuses, with the path.
    pub fn create(path: &Path) -> Result<Self> {
        let (path, out) = destination(path).map_err(|e| unwritable(path, &e))?;
        Ok(Self { path, out: BufWriter::with_capacity(1 << 16, out) })
    }

    /// Where it lies until it is whole; nowhere when it is written as it is.
    pub fn unfinished(&self) -> Option<&Path> {
        match self.out.get_ref() {
            Destination::Temporary(file) => Some(file.path()),
            Destination::InPlace(_) => None,
        }
    }

    /// Gives the file its name; one that had it is replaced.
    ///
    /// # Errors
    /// When the system refuses, with the path.
    pub fn persist(self) -> Result<()> {
        let Self { path, out } = self;
        match out.into_inner().map_err(|e| unwritable(&path, e.error()))? {
            Destination::Temporary(file) => file.persist(&path).map_err(|e| unwritable(&path, &e.error))?,
            Destination::InPlace(device) => device,
        };
        Ok(())
    }
}

/// Where to write what a path is to hold, and the path without links at its end.
fn destination(path: &Path) -> io::Result<(PathBuf, Destination)> {
    let path = match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => {
            let device = File::options().write(true).open(path)?;
            return Ok((path.to_owned(), Destination::InPlace(device)));
        }
        Ok(_) => path.canonicalize()?,
        Err(_) => path.to_owned(),
    };
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut builder = tempfile::Builder::new();
    // Temporary files are made for their owner's eyes only; the file that stays is an ordinary one.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(dir)?;
    Ok((path, Destination::Temporary(file)))
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Temporary(file) => file.write(bytes),
            Self::InPlace(device) => device.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Temporary(file) => file.flush(),
            Self::InPlace(device) => device.flush(),
        }
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_is_no_file_is_never_replaced_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _socket = UnixListener::bind(&path).unwrap();
        assert!(write(&path, b"bytes").is_err());
        assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
        assert!(write(directory.path(), b"bytes").is_err());
        assert!(directory.path().is_dir());
    }

    #[test]
    fn a_pipe_carries_what_is_written_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || read(&pipe).unwrap()
        });
        write(&pipe, b"bytes").unwrap();
        assert_eq!(reader.join().unwrap(), b"bytes");
        assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }

    #[test]
    fn the_file_behind_a_link_is_replaced_and_the_link_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        write(&file, b"old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
    }
}
