//! Where things lie in a directory that is a remote. Paths are made of digests and keys only, never of text that
//! somebody else has written.

use super::failed;
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, ErrorKind, Result};
use crate::sharing;
use crate::trust::PublicKey;
use std::fmt::Display;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the layout that this program reads and writes.
const VERSION: u32 = 1;

const FORMAT: &str = "FORMAT";
const BLOBS: &str = "blobs";
const ACTIONS: &str = "actions";
const SIGNATURES: &str = "signatures";
const TEMPORARY: &str = "tmp";

/// The paths of a remote. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Layout(Arc<Path>);

impl Layout {
    pub(super) fn new(directory: &Path) -> Self {
        Self(directory.into())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.0
    }

    /// The directory of the blobs whose digest begins with this byte.
    pub(super) fn blobs_of(&self, part: u8) -> PathBuf {
        self.0.join(format!("{BLOBS}/blake3/{part:02x}"))
    }

    /// The directory of the entries of actions whose key begins with this byte.
    pub(super) fn actions_of(&self, part: u8) -> PathBuf {
        self.0.join(format!("{ACTIONS}/{part:02x}"))
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        named(self.blobs_of(digest.as_bytes()[0]), digest)
    }

    pub(super) fn action(&self, key: &ActionKey) -> PathBuf {
        named(self.actions_of(key.as_bytes()[0]), key)
    }

    pub(super) fn signature(&self, key: &ActionKey, signer: &PublicKey) -> PathBuf {
        self.0.join(format!("{SIGNATURES}/{:02x}/{key}-{signer}", key.as_bytes()[0]))
    }

    /// Where writers have their directories.
    pub(super) fn temporary(&self) -> PathBuf {
        self.0.join(TEMPORARY)
    }

    /// Checks that the directory is a remote of this version.
    pub(super) fn check_format(&self) -> Result<()> {
        self.expect_directory()?;
        let path = self.0.join(FORMAT);
        let first = match open(&path).and_then(first_line) {
            Ok(first) => first,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if fs::read_dir(&self.0).is_ok_and(|mut entries| entries.next().is_none()) {
                    return Err(Error::new(ErrorKind::Remote, "this is an empty directory and not a remote")
                        .at(&self.0)
                        .hint("check that what it is on is mounted; a push makes it a remote"));
                }
                return Err(Error::new(
                    ErrorKind::Remote,
                    format!("this is not a remote: it has no file {FORMAT}"),
                )
                .at(&self.0)
                .hint("name a directory that something has been pushed to"));
            }
            Err(e) => return Err(failed("read the file", &path, &e)),
        };
        if first.starts_with("format ") {
            return Err(Error::new(ErrorKind::Remote, "this is a store and not a remote")
                .at(&self.0)
                .hint("import the store instead, or name another directory"));
        }
        match first.strip_prefix("remote ").and_then(|version| version.parse::<u32>().ok()) {
            Some(VERSION) => Ok(()),
            Some(newer) if newer > VERSION => Err(Error::new(
                ErrorKind::NewerFormat,
                format!("this remote has format {newer}; this program knows formats up to {VERSION}"),
            )
            .at(&self.0)
            .hint("use a newer version of this program, or name another remote")),
            _ => Err(Error::new(
                ErrorKind::Remote,
                format!("found {first:?} where `remote {VERSION}` was expected"),
            )
            .at(&path)
            .hint("if this is a remote, restore the file; else name another directory")),
        }
    }

    /// Refuses what is there and no directory.
    fn expect_directory(&self) -> Result<()> {
        if fs::metadata(&self.0).is_ok_and(|found| !found.is_dir()) {
            return Err(Error::new(ErrorKind::Remote, "this is a file, expected the directory of a remote")
                .at(&self.0)
                .hint("name a remote, an empty directory, or one that does not exist yet"));
        }
        Ok(())
    }

    /// Makes the directory a remote unless it is one. Refuses to do so among somebody else's files.
    pub(super) fn make(&self) -> Result<()> {
        self.expect_directory()?;
        sharing::create_dir_all(&self.0, 0).map_err(|e| failed("create the directory", &self.0, &e))?;
        let path = self.0.join(FORMAT);
        if fs::exists(&path).map_err(|e| failed("look for the file", &path, &e))? {
            return self.check_format();
        }
        for entry in fs::read_dir(&self.0).map_err(|e| failed("read the directory", &self.0, &e))? {
            let name = entry.map_err(|e| failed("read the directory", &self.0, &e))?.file_name();
            // Somebody else may be making it at this moment.
            let ours = [FORMAT, BLOBS, ACTIONS, SIGNATURES, TEMPORARY].iter().any(|our| name == *our)
                || name.to_string_lossy().starts_with(".tmp");
            if !ours {
                return Err(Error::new(
                    ErrorKind::Remote,
                    format!("this is not a remote: it has no file {FORMAT}, but contains {name:?}"),
                )
                .at(&self.0)
                .hint("name a remote, an empty directory, or one that does not exist yet"));
            }
        }
        let written = tempfile::NamedTempFile::new_in(&self.0).and_then(|mut file| {
            writeln!(file, "remote {VERSION}\nmade by artifact-store {}", env!("CARGO_PKG_VERSION"))?;
            file.as_file().sync_all()?;
            readable(file.as_file())?;
            file.persist(&path).map_err(|e| e.error)
        });
        written.map(drop).map_err(|e| failed("write the file", &path, &e))
    }
}

/// What may be done with a file of a remote, whatever the umask: what a remote has is for everybody who may enter its
/// directory, and for nobody to change.
#[cfg(unix)]
const FILE: u32 = 0o444;

/// What whoever may read a remote may do with the directories in it.
const READING: u32 = 0o555;

/// Makes a directory inside a remote, and those above it.
pub(super) fn create_dir_all(directory: &Path) -> io::Result<()> {
    sharing::create_dir_all(directory, READING)
}

/// Begins a file of a remote.
pub(super) fn create(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    // From the beginning nobody can change what it will be.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE);
    let file = options.open(path)?;
    readable(&file)?;
    Ok(file)
}

#[cfg(unix)]
fn readable(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match file.metadata()?.permissions().mode() & 0o777 {
        FILE => Ok(()),
        _ => file.set_permissions(fs::Permissions::from_mode(FILE)),
    }
}

/// Elsewhere permissions are inherited.
#[cfg(not(unix))]
fn readable(_file: &fs::File) -> io::Result<()> {
    Ok(())
}

/// Opens a file to read it, without waiting for anybody; `None` when it is something else, as a pipe.
pub(super) fn open(path: &Path) -> io::Result<Option<fs::File>> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    // A pipe that nobody writes to would be waited for already here.
    #[cfg(target_os = "linux")]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NONBLOCK.bits().cast_signed(),
    );
    let file = options.open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

/// The first line of a file, as far as it is sensible to read one.
fn first_line(file: Option<fs::File>) -> io::Result<String> {
    const MOST_BYTES: u64 = 1 << 10;
    let mut bytes = Vec::new();
    if let Some(file) = file {
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned())
}

fn named(directory: PathBuf, name: &impl Display) -> PathBuf {
    directory.join(name.to_string())
}

/// The names in one part of a remote; none if nothing was ever put there.
pub(super) fn list(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed("read the directory", directory, &e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| failed("read the directory", directory, &e))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}
