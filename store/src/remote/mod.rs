//! Remotes: places that several stores share, and moving blobs and records between a store and one of them.
//!
//! [`Remote`] is blocking and asks in batches. The store is blocking, and what gains from many requests at a time
//! (object storage, a remote-execution cache) gains it inside a batch, with a runtime of its own that nobody here has to
//! know; a caller that wants to overlap two batches uses two threads.
//!
//! A remote is believed in nothing: it hands out bytes, and one place, `checked`, compares them with their names. What is in a
//! remote is never changed. *The entry of an action is put only when everything that belongs to its outputs is there*,
//! so that an entry stands for all of it.

mod checked;
mod compare;
mod directory;
mod dry_run;
mod entry;
mod landing;
mod memory;
mod needs;
mod of_store;
mod order;
mod progress;
mod pull;
mod push;
mod selection;
mod stoppable;
mod upstream;

pub use compare::Disagreement;
pub use directory::DirectoryRemote;
pub use dry_run::DryRun;
pub use entry::{ActionEntry, MOST_ENTRY_BYTES};
pub(crate) use landing::Landing;
pub use memory::MemoryRemote;
pub(crate) use needs::{Lacking, Needs, needs, needs_of_outputs};
pub use of_store::StoreRemote;
pub(crate) use order::{Listing, in_order};
pub(crate) use progress::Meter;
pub use progress::{Progress, Stage};
pub use pull::{PullOptions, PullReport, pull};
pub use push::{PushOptions, PushReport, push};
pub use selection::Selection;
pub use upstream::{Fetched, Upstream};

use crate::blob::Blob;
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, Result};
use crate::inspect::Found;
use crate::record::Provenance;
use crate::trust::{PublicKey, Signature};
use std::fmt;

/// A blob that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The blob.
    pub digest: Digest,
    /// No more than so many bytes are taken; what is longer is [`Reply::Unusable`].
    pub most_bytes: u64,
}

/// What a remote has under a name, not yet compared with the name.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These bytes.
    Found(Vec<u8>),
    /// Nothing.
    Missing,
    /// Something that cannot be read or is too long. Other names may still be fine, so this is no failure of the
    /// remote.
    Unusable(Error),
}

/// What became of an entry that was to be put.
#[derive(Clone, Debug)]
pub enum PutAction {
    /// It is there now, and was not before (or only as bytes that were no entry).
    Stored,
    /// There is an entry already; these are its bytes. It stays.
    There(Vec<u8>),
}

/// Is given what a remote has under each of the names asked for.
pub type Deliver<'d, N> = dyn FnMut(&N, Reply) -> Result<()> + 'd;

/// A place that stores share.
///
/// Blobs and entries are immutable once put. Every method may be called by many threads and processes at once. An `Err`
/// says that the remote as a whole cannot be used ([`crate::ErrorKind::Remote`]); an implementation over a network must
/// give up with one after a bounded time without an answer.
pub trait Remote: Send + Sync {
    /// What to call it in messages: its path or address.
    fn name(&self) -> String;

    /// Whether these blobs are there, in the order given. Their bytes are not looked at.
    ///
    /// # Errors
    /// The remote cannot be used.
    fn has_many(&self, digests: &[Digest]) -> Result<Vec<bool>>;

    /// Whether there are entries of these actions, in the order given.
    ///
    /// # Errors
    /// The remote cannot be used.
    fn has_actions(&self, keys: &[ActionKey]) -> Result<Vec<bool>>;

    /// Delivers the bytes of each of these blobs once, in any order.
    ///
    /// # Errors
    /// The remote cannot be used, or `deliver` failed.
    fn get_many(&self, wanted: &[Wanted], deliver: &mut Deliver<'_, Wanted>) -> Result<()>;

    /// Delivers the bytes of the entry of each of these actions once, in any order.
    ///
    /// # Errors
    /// The remote cannot be used, or `deliver` failed.
    fn get_actions(&self, keys: &[ActionKey], deliver: &mut Deliver<'_, ActionKey>) -> Result<()>;

    /// Puts blobs. Each becomes visible whole, in the place of what has its name. That is the same, or damaged.
    ///
    /// # Errors
    /// The remote cannot be written; some may have been put.
    fn put_many(&self, blobs: &[Blob]) -> Result<()>;

    /// Puts entries where there are none, and says for each what became of it. To be called only once everything
    /// that belongs to their outputs is there and [`Self::flush`] has returned.
    ///
    /// # Errors
    /// The remote cannot be written; some may have been put.
    fn put_actions(&self, entries: &[ActionEntry]) -> Result<Vec<PutAction>>;

    /// The signatures of an action's record by these signers, as far as there are any.
    ///
    /// # Errors
    /// The remote cannot be used.
    fn get_signatures(&self, key: &ActionKey, signers: &[PublicKey]) -> Result<Vec<Signature>>;

    /// Puts signatures of an action's record beside its entry.
    ///
    /// # Errors
    /// The remote cannot be written.
    fn put_signatures(&self, key: &ActionKey, signatures: &[Signature]) -> Result<()>;

    /// All actions that there are entries of, ascending; `None` where that cannot be asked.
    ///
    /// # Errors
    /// The remote cannot be used.
    fn list_actions(&self) -> Result<Option<Vec<ActionKey>>>;

    /// Returns when everything that was put by this object survives a crash of the machine that keeps it.
    ///
    /// # Errors
    /// That cannot be achieved.
    fn flush(&self) -> Result<()>;

    /// Who ran an action and when, if the remote knows. Most do not: entries of equal actions are equal.
    ///
    /// # Errors
    /// The remote cannot be used.
    fn provenance(&self, _key: &ActionKey) -> Result<Option<Provenance>> {
        Ok(None)
    }
}

/// Something of a remote or a bundle that was not used, or of a store that was not sent, and why. `Display` makes a
/// sentence of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The blob or action.
    pub what: Found,
    /// Completes "… is left out: ".
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out: {}", self.what, self.why)
    }
}
