//! The error type of this crate: what is wrong, where, and what to do next.
//!
//! Messages are lower-case fragments that read well after `error: `. Errors are cheap to clone, because one
//! failed commit is reported to everybody whose work was in it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Somebody else holds what is needed and did not let go in time.
    Busy,
    /// The directory was written by a newer version of this crate.
    NewerFormat,
    /// The system does not let this user read or write here.
    Permission,
    /// The store was opened with [`crate::Options::read_only`].
    ReadOnly,
    /// The directory is something else than a store.
    NotAStore,
    /// The store's file is damaged as a whole. (A damaged blob is not an error but a miss.)
    Corrupt,
    /// The disk is full.
    Full,
    /// The other side of a transfer cannot be reached, or is not what it should be.
    Remote,
    /// An argument is malformed: a digest, a tree, a record, a name.
    Invalid,
    /// The system failed in another way.
    Io,
}

/// An error with its place and a hint what to do.
#[derive(Clone, Debug)]
pub struct Error(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    hint: Option<String>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), path: None, hint: None }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// The file of a store is damaged. Says in which way, as the database found it: with bytes of the file, maybe.
    pub fn damaged(why: &str) -> Self {
        let why: String = why.chars().filter(|c| !c.is_control()).collect();
        Self::corrupt(format!("the file is damaged: {why}"))
            .hint("`repair --rebuild` copies what can still be read to a new file")
    }

    /// An I/O failure while doing something (`create the directory`) to a path.
    pub(crate) fn io(doing: &str, path: &Path, source: &io::Error) -> Self {
        let (kind, hint) = match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
                ErrorKind::Permission,
                "a store needs a directory that this user may write; name another one",
            ),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (ErrorKind::Full, "free some space, or name a store on another disk")
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                (ErrorKind::NotAStore, "a store is a directory; name one that exists or can be created")
            }
            _ => return Self::new(ErrorKind::Io, format!("cannot {doing}: {source}")).at(path),
        };
        Self::new(kind, format!("cannot {doing}: {source}")).at(path).hint(hint)
    }

    /// Names the path, unless an inner layer already did.
    #[must_use]
    pub(crate) fn at(self, path: &Path) -> Self {
        self.with(|inner| {
            inner.path.get_or_insert_with(|| path.to_owned());
        })
    }

    /// Says what to do next, unless an inner layer already did.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        self.with(|inner| {
            inner.hint.get_or_insert_with(|| hint.into());
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message without path and hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The file or directory concerned, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// What to do next, if something can be done.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    /// `path: message` on one line; the hint is not part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.0.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}
