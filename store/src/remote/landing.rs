//! Where goes what comes: into a store, or nowhere, to find out what would come.
//!
//! Of what goes nowhere the names are remembered, and the bytes of lists, which say what else belongs to it.

use crate::blob::Blob;
use crate::closure::Closure;
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use crate::publish::{NewAction, Publication};
use crate::record::ActionRecord;
use crate::remote::Needs;
use crate::shared_bytes::SharedBytes;
use crate::store::Store;
use crate::tree::Tree;
use std::collections::HashMap;

/// Where goes what comes.
pub(crate) struct Landing<'s> {
    store: &'s Store,
    planned: Option<Planned>,
    /// Lengths of blobs that came.
    lens: HashMap<Digest, u64>,
}

/// What would be in the store.
#[derive(Default)]
struct Planned {
    /// With the bytes where it is a list.
    blobs: HashMap<Digest, Option<SharedBytes>>,
    actions: HashMap<ActionKey, ActionRecord>,
}

impl<'s> Landing<'s> {
    /// Into this store; of a dry run nowhere, beside what the store has.
    pub(crate) fn new(store: &'s Store, dry_run: bool) -> Self {
        Self { store, planned: dry_run.then(Planned::default), lens: HashMap::new() }
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
    pub(crate) fn list(&self, digest: &Digest) -> Result<Option<SharedBytes>> {
        match self.planned.as_ref().and_then(|planned| planned.blobs.get(digest)) {
            Some(bytes) => Ok(bytes.clone()),
            None => self.store.get(digest),
        }
    }

    /// Which length that is claimed for a blob is not the one it has, whether it came or was here before.
    pub(crate) fn lie(&self, needs: &Needs) -> Result<Option<String>> {
        let was_here: Vec<Digest> =
            needs.blobs.keys().filter(|digest| !self.lens.contains_key(digest)).copied().collect();
        let lens = self.store.lens(&was_here)?;
        let lens: HashMap<&Digest, u64> =
            was_here.iter().zip(lens).filter_map(|(digest, len)| Some((digest, len?))).collect();
        let lies = |(digest, claimed): (&Digest, &Option<u64>)| {
            let (claimed, len) = ((*claimed)?, *self.lens.get(digest).or_else(|| lens.get(digest))?);
            let lie = || format!("it says that blob {digest} has {claimed} bytes, which has {len}");
            (claimed != len).then(lie)
        };
        Ok(needs.blobs.iter().find_map(lies))
    }

    /// Takes blobs. A failure is told by the next flush of the store.
    pub(crate) fn blobs(&mut self, blobs: Vec<Blob>) {
        self.lens.extend(blobs.iter().map(|blob| (blob.digest(), blob.len())));
        match &mut self.planned {
            Some(planned) => planned.blobs.extend(blobs.iter().map(|blob| {
                let is_list = Tree::decode(blob.bytes()).is_ok() || Closure::decode(blob.bytes()).is_ok();
                (blob.digest(), is_list.then(|| blob.bytes().clone()))
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
