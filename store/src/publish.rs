//! Handing results over: what is published together becomes visible together, and when it is safe on disk.
//!
//! Publishing hashes and compresses on the caller's thread and queues the rows; one committing thread writes
//! them in batches. What is queued can already be read by this process.

use crate::blob::Blob;
use crate::claim::Claim;
use crate::committer::{Item, Queue};
use crate::digest::ActionKey;
use crate::encoding::check_text;
use crate::error::Result;
use crate::lease::Session;
use crate::payload::Payload;
use crate::record::{ActionRecord, Output, Provenance};
use crate::root::Root;
use crate::trust::Signature;
use std::fmt;
use std::sync::Arc;

/// What belongs together: it is committed in one transaction, after everything that was published before it.
#[derive(Debug, Default)]
pub struct Publication {
    /// Blobs that may be new. Those the store has already cost nothing but the look.
    pub blobs: Vec<Blob>,
    /// The action that gave them.
    pub action: Option<NewAction>,
    /// Roots to set, by name.
    pub roots: Vec<(String, Root)>,
    /// The right to run the action; freed after the commit.
    pub claim: Option<Claim>,
}

/// A finished action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAction {
    key: ActionKey,
    preimage: Vec<u8>,
    record: ActionRecord,
    provenance: Option<Provenance>,
    signatures: Vec<Signature>,
}

impl NewAction {
    /// An action that gave a record. Its key is derived from the preimage here, so that the two cannot disagree.
    pub fn new(preimage: Vec<u8>, record: ActionRecord, provenance: Provenance) -> Self {
        Self { provenance: Some(provenance), ..Self::received(preimage, record) }
    }

    /// An action that somebody else says gave a record; who ran it is not known.
    pub fn received(preimage: Vec<u8>, record: ActionRecord) -> Self {
        let key = ActionKey::of_preimage(&preimage);
        Self { key, preimage, record, provenance: None, signatures: Vec::new() }
    }

    /// Says who ran it, if that is known.
    #[must_use]
    pub fn with_provenance(self, provenance: Option<Provenance>) -> Self {
        Self { provenance, ..self }
    }

    /// Adds signatures of the record, to be kept beside it.
    #[must_use]
    pub fn with_signatures(self, signatures: Vec<Signature>) -> Self {
        Self { signatures, ..self }
    }

    /// The name of the computation.
    pub fn key(&self) -> &ActionKey {
        &self.key
    }

    /// Refuses text that could not be read again.
    fn check_text(&self) -> Result<()> {
        let host = self.provenance.iter().map(|provenance| &provenance.host);
        self.record.outputs.keys().chain(host).try_for_each(|text| check_text(text))
    }
}

/// A publication in the form of rows.
pub(crate) struct Prepared {
    pub(crate) blobs: Vec<PreparedBlob>,
    pub(crate) action: Option<PreparedAction>,
    pub(crate) roots: Vec<(String, Root)>,
    /// Freed when the publication is dropped, after the commit.
    pub(crate) _claim: Option<Claim>,
    /// What it relies on and brings stays leased until then.
    pub(crate) _session: Session,
}

pub(crate) struct PreparedBlob {
    pub(crate) blob: Blob,
    pub(crate) payload: Payload,
}

pub(crate) struct PreparedAction {
    pub(crate) key: ActionKey,
    pub(crate) record: ActionRecord,
    pub(crate) preimage: Payload,
    pub(crate) provenance: Option<Vec<u8>>,
    pub(crate) signatures: Vec<Signature>,
}

impl Prepared {
    /// `is_known` says which blobs need no work because the store has them.
    pub(crate) fn new(
        publication: Publication,
        session: Session,
        is_known: impl Fn(&Blob) -> Result<bool>,
    ) -> Result<Self> {
        let Publication { blobs, action, roots, claim } = publication;
        roots.iter().try_for_each(|(name, root)| root.check_text(name))?;
        action.iter().try_for_each(NewAction::check_text)?;
        let mut prepared = Vec::with_capacity(blobs.len());
        for blob in blobs {
            if !is_known(&blob)? {
                let payload = Payload::new(blob.bytes().clone());
                prepared.push(PreparedBlob { blob, payload });
            }
        }
        let action = action.map(|action| PreparedAction {
            key: action.key,
            record: action.record,
            preimage: Payload::new(action.preimage.into()),
            provenance: action.provenance.map(|provenance| provenance.encode()),
            signatures: action.signatures,
        });
        Ok(Self { blobs: prepared, action, roots, _claim: claim, _session: session })
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let blobs: usize = self.blobs.iter().map(|b| b.blob.bytes().len() + b.payload.own_bytes()).sum();
        let of_action = |action: &PreparedAction| {
            let outputs = action.record.outputs.keys().map(|name| name.len() + size_of::<Output>());
            action.preimage.memory_bytes() + outputs.sum::<usize>()
        };
        blobs + self.action.as_ref().map_or(0, of_action)
    }
}

impl From<Prepared> for Item {
    fn from(prepared: Prepared) -> Self {
        Self::Publication(Box::new(prepared))
    }
}

/// Tells when a publication is safe on disk.
#[derive(Clone)]
pub struct Ticket {
    pub(crate) queue: Arc<Queue>,
    /// Everything up to this number must be done; or why it never was queued.
    pub(crate) number: Result<u64>,
}

impl Ticket {
    /// Waits for the commit, without the usual delay for company.
    ///
    /// # Errors
    /// Why this or an earlier commit failed; nothing is committed after a failure.
    pub fn wait(&self) -> Result<()> {
        let number = self.number.clone()?;
        self.queue.hurry(number);
        self.queue.wait(number)
    }

    /// Waits for the commit and lets it gather company as usual: for who tells of each of many commits and holds
    /// up nothing meanwhile. Waiting for each with [`Self::wait`] would make each a commit of its own.
    ///
    /// # Errors
    /// As for [`Self::wait`].
    pub fn wait_for_batch(&self) -> Result<()> {
        self.queue.wait(self.number.clone()?)
    }

    /// Whether it is committed. Stays `false` after a failure, which [`Self::wait`] tells.
    pub fn is_done(&self) -> bool {
        self.number.as_ref().is_ok_and(|&number| self.queue.is_done(number))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("number", &self.number).field("done", &self.is_done()).finish()
    }
}
