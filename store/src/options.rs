//! How a store is opened, and what it says to whoever opened it.

use crate::digest::{ActionKey, Digest};
use std::fmt;
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
    /// Is told what the user may want to know. Called on whatever thread notices; must not call the store.
    pub on_notice: Arc<dyn Fn(&Notice) + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            page_cache_bytes: 128 << 20,
            lock_timeout: Duration::from_secs(60),
            in_flight_bytes: 256 << 20,
            on_notice: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("page_cache_bytes", &self.page_cache_bytes)
            .field("lock_timeout", &self.lock_timeout)
            .field("in_flight_bytes", &self.in_flight_bytes)
            .finish_non_exhaustive()
    }
}

/// Something the user may want to know; `Display` makes a sentence of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A lock has been waited for since one second.
    Waiting {
        /// What is waited for: `builds to finish`.
        what: &'static str,
        /// Who holds it, where the system tells: `process 4711 (cc)`.
        holder: Option<String>,
    },
    /// A blob was not what its name says, and was removed; whoever needs it makes it again.
    CorruptBlob(Digest),
    /// The entry of an action could not be read, and was removed; whoever needs it runs the action again.
    CorruptAction(ActionKey),
    /// An action was run again and gave other outputs than before; the new ones are kept.
    RecordChanged(ActionKey),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { what, holder: Some(holder) } => write!(f, "waiting for {what}: {holder}"),
            Self::Waiting { what, holder: None } => write!(f, "waiting for {what}"),
            Self::CorruptBlob(digest) => write!(f, "blob {digest} was damaged and has been removed"),
            Self::CorruptAction(key) => {
                write!(f, "the entry of action {key} was damaged and has been removed")
            }
            Self::RecordChanged(key) => {
                write!(f, "action {key} was run twice and gave different outputs; it is not deterministic")
            }
        }
    }
}
