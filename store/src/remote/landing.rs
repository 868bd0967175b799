//! Where goes what comes: into a store, or nowhere, to find out what would come.
//!
//! Of what goes nowhere the names are remembered, and the bytes of lists, which say what else belongs to it.

use crate::blob::Blob;
use crate::closure::Closure;
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use crate::publish::{NewAction, Publication};
use crate::record::ActionRecord;
use crate::store::Store;
use crate::tree::Tree;
use std::collections::HashMap;
use std::sync::Arc;

/// Where goes what comes.
pub(crate) struct Landing<'s> {
    store: &'s Store,
    planned: Option<Planned>,
}

/// What would be in the store.
#[derive(Default)]
struct Planned {
    /// With the bytes where it is a list.
    blobs: HashMap<Digest, Option<Arc<[u8]>>>,
    actions: HashMap<ActionKey, ActionRecord>,
}

impl<'s> Landing<'s> {
    /// Into this store; of a dry run nowhere, beside what the store has.
    pub(crate) fn new(store: &'s Store, dry_run: bool) -> Self {
        Self { store, planned: dry_run.then(Planned::default) }
    }

    /// Whether nothing is to be changed.
    pub(crate) fn is_dry(&self) -> bool {
        self.planned.is_some()
    }

    /// Which of these blobs neither are here nor have come, in the order given.
    pub(crate) fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>> {
        let mut missing = self.store.missing(digests)?;
        if let Some(planned) = &self.planned {
            missing.retain(|digest| !planned.blobs.contains_key(digest));
        }
        Ok(missing)
    }

    /// The bytes of a list.
    pub(crate) fn list(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>> {
        match self.planned.as_ref().and_then(|planned| planned.blobs.get(digest)) {
            Some(bytes) => Ok(bytes.clone()),
            None => self.store.get(digest),
        }
    }

    /// Takes blobs. A failure is told by the next flush of the store.
    pub(crate) fn blobs(&mut self, blobs: Vec<Blob>) {
        match &mut self.planned {
            Some(planned) => planned.blobs.extend(blobs.iter().map(|blob| {
                let is_list = Tree::decode(blob.bytes()).is_ok() || Closure::decode(blob.bytes()).is_ok();
                (blob.digest(), is_list.then(|| Arc::clone(blob.bytes())))
            })),
            None if blobs.is_empty() => {}
            None => drop(self.store.publish(Publication { blobs, ..Publication::default() })),
        }
    }

    /// Of a dry run: this blob, which is no list, would come.
    pub(crate) fn would_take(&mut self, digest: Digest) {
        if let Some(planned) = &mut self.planned {
            planned.blobs.insert(digest, None);
        }
    }

    /// Takes an action. A failure is told by the next flush of the store.
    pub(crate) fn action(&mut self, action: NewAction) {
        match &mut self.planned {
            Some(planned) => drop(planned.actions.insert(*action.key(), action.record().clone())),
            None => drop(self.store.publish(Publication { action: Some(action), ..Publication::default() })),
        }
    }

    /// The actions that would have come.
    pub(crate) fn into_planned(self) -> HashMap<ActionKey, ActionRecord> {
        self.planned.map(|planned| planned.actions).unwrap_or_default()
    }
}
