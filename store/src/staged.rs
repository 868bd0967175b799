//! What this process has published and not yet committed, so that it can read it already.

use crate::committer::{Item, publications};
use crate::digest::{ActionKey, Digest};
use crate::publish::{Prepared, PreparedBlob};
use crate::record::ActionRecord;
use crate::shared_bytes::SharedBytes;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

/// Blobs and records on their way to the file. Each counts how many publications bring it: the first commit must
/// not hide what a second publication still waits to bring.
#[derive(Default)]
pub(crate) struct Staged {
    blobs: RwLock<Counted<Digest, SharedBytes>>,
    records: RwLock<Counted<ActionKey, ActionRecord>>,
}

/// Values with the number of publications that bring them.
type Counted<K, V> = HashMap<K, (u32, V)>;

impl Staged {
    pub(crate) fn blob(&self, digest: &Digest) -> Option<SharedBytes> {
        let blobs = self.blobs.read().unwrap_or_else(PoisonError::into_inner);
        blobs.get(digest).map(|(_, bytes)| bytes.clone())
    }

    pub(crate) fn has_blob(&self, digest: &Digest) -> bool {
        self.blobs.read().unwrap_or_else(PoisonError::into_inner).contains_key(digest)
    }

    pub(crate) fn record(&self, key: &ActionKey) -> Option<ActionRecord> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.get(key).map(|(_, record)| record.clone())
    }

    /// Adds what a publication brings; to be called at the moment it is queued, with the queue locked.
    pub(crate) fn add(&self, publication: &Prepared) {
        if !publication.blobs.is_empty() {
            let mut staged = self.blobs.write().unwrap_or_else(PoisonError::into_inner);
            for PreparedBlob { blob, .. } in &publication.blobs {
                increase(&mut staged, blob.digest(), blob.bytes().clone());
            }
        }
        if let Some(action) = &publication.action {
            let mut staged = self.records.write().unwrap_or_else(PoisonError::into_inner);
            increase(&mut staged, action.key, action.record.clone());
        }
    }

    /// Drops what a batch brought; to be called once the file has it, or never will.
    pub(crate) fn forget(&self, batch: &[Item]) {
        let mut blobs = self.blobs.write().unwrap_or_else(PoisonError::into_inner);
        for PreparedBlob { blob, .. } in publications(batch).flat_map(|p| &p.blobs) {
            decrease(&mut blobs, blob.digest());
        }
        drop(blobs);
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        for action in publications(batch).filter_map(|p| p.action.as_ref()) {
            decrease(&mut records, action.key);
        }
    }
}

fn increase<K: Hash + Eq, V>(map: &mut Counted<K, V>, key: K, value: V) {
    match map.entry(key) {
        Entry::Occupied(mut entry) => {
            let (count, latest) = entry.get_mut();
            *count += 1;
            // As in the file, what comes later replaces what came before.
            *latest = value;
        }
        Entry::Vacant(entry) => drop(entry.insert((1, value))),
    }
}

fn decrease<K: Hash + Eq, V>(map: &mut Counted<K, V>, key: K) {
    if let Entry::Occupied(mut entry) = map.entry(key) {
        entry.get_mut().0 -= 1;
        if entry.get().0 == 0 {
            entry.remove();
        }
    }
}
