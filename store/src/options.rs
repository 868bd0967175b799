//! How a store is opened, and what it says to whoever opened it.

use crate::digest::{ActionKey, Digest};
use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// Memory for pages of the store's file, in bytes.
    pub page_cache_bytes: usize,
    /// How long to wait for a lock that another process holds before giving up with
    /// [`crate::ErrorKind::Busy`].
    pub lock_timeout: Duration,
    /// How many bytes may be published and not yet committed before [`crate::Store::publish`] waits.
    pub in_flight_bytes: usize,
    /// Change nothing that the store holds, and make no store where there is none: what is damaged is missed but
    /// stays, looks are not remembered, and what would write is refused with [`crate::ErrorKind::ReadOnly`].
    /// Where the directory can be written, locks are taken as ever and after a crash the file is put in order. Where it
    /// cannot, nobody is told that somebody reads: a collection by its owner may remove what was just seen, which then is
    /// missing; and a file that was not closed cleanly is refused.
    pub read_only: bool,
    /// Open for reading only and leave no trace at all in the directory: as where it cannot be written, no lease, no lock
    /// file and no order after a crash, even where all that could be had.
    pub untouched: bool,
    /// Write to a store on a network file system, too, where locks may not hold between machines.
    pub force_network_fs: bool,
    /// Is told what the user may want to know. Called on whatever thread notices; must not call the store.
    pub on_notice: Arc<dyn Fn(&Notice) + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            page_cache_bytes: 64 << 20,
            lock_timeout: Duration::from_secs(60),
            in_flight_bytes: 256 << 20,
            read_only: false,
            untouched: false,
            force_network_fs: false,
            on_notice: Arc::new(|_| {}),
        }
    }
}

impl Options {
    /// Refuses to write to the store in a directory when it is for reading only.
    pub(crate) fn check_writable(&self, directory: &Path) -> Result<()> {
        if self.read_only || self.untouched {
            return Err(Error::new(ErrorKind::ReadOnly, "the store is open for reading only")
                .at(directory)
                .hint("open it for writing"));
        }
        Ok(())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("page_cache_bytes", &self.page_cache_bytes)
            .field("lock_timeout", &self.lock_timeout)
            .field("in_flight_bytes", &self.in_flight_bytes)
            .field("read_only", &self.read_only)
            .field("untouched", &self.untouched)
            .field("force_network_fs", &self.force_network_fs)
            .finish_non_exhaustive()
    }
}

/// Something the user may want to know; `Display` makes a sentence of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A lock has been waited for since one second.
    Waiting {
        /// What is waited for: `another collection to finish`.
        what: &'static str,
        /// Who holds it, where the system tells: `process 4711 (cc)`.
        holder: Option<String>,
    },
    /// A blob is not what its name says. It counts as missing and is removed; whoever needs it makes it again.
    CorruptBlob(Digest),
    /// The entry of an action cannot be read. It counts as missing and is removed; whoever needs it runs the action
    /// again.
    CorruptAction(ActionKey),
    /// The root of this name cannot be read. It counts as missing but stays, and nothing is collected until it is
    /// set again or removed.
    CorruptRoot(String),
    /// The store is a copy, or was copied over: it is verified, once.
    Moved,
    /// That verification has ended.
    VerifiedAfterMove {
        /// How much was wrong. What is damaged was moved aside and counts as missing.
        findings: usize,
    },
    /// The store is a copy and open for reading only, so it is not verified now.
    NotVerifiedAfterMove,
    /// An action was run again and gave other outputs than before; the new ones are kept.
    RecordChanged(ActionKey),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { what, holder: Some(holder) } => write!(f, "waiting for {what}: {holder}"),
            Self::Waiting { what, holder: None } => write!(f, "waiting for {what}"),
            Self::CorruptBlob(digest) => write!(f, "blob {digest} is damaged and counts as missing"),
            Self::CorruptAction(key) => {
                write!(f, "the entry of action {key} is damaged and counts as missing")
            }
            Self::CorruptRoot(name) => {
                write!(f, "the root `{name}` is damaged; build again what it stands for")
            }
            Self::Moved => {
                f.write_str("this store was copied here since it was last used; verifying it once")
            }
            Self::NotVerifiedAfterMove => f.write_str(
                "this store was copied here since it was last used; it is verified when it is opened for writing",
            ),
            Self::VerifiedAfterMove { findings: 0 } => f.write_str("the copied store is whole"),
            Self::VerifiedAfterMove { findings } => {
                write!(
                    f,
                    "{findings} things are wrong with the copied store; what is damaged counts as missing"
                )
            }
            Self::RecordChanged(key) => {
                write!(f, "action {key} was run twice and gave different outputs; it is not deterministic")
            }
        }
    }
}
