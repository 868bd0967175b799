//! A remote in memory: for tests, and as the shortest description of what a remote is.

use crate::blob::Blob;
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, ErrorKind, Result};
use crate::remote::{ActionEntry, Deliver, PutAction, Remote, Reply, Wanted, checked};
use crate::trust::{PublicKey, Signature};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A remote that is gone with the process.
#[derive(Debug, Default)]
pub struct MemoryRemote(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    blobs: BTreeMap<Digest, Vec<u8>>,
    actions: BTreeMap<ActionKey, Vec<u8>>,
    signatures: BTreeMap<(ActionKey, PublicKey), Signature>,
}

impl MemoryRemote {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the bytes of a blob or an entry behind the back of whoever relies on them; for tests of damage.
    #[doc(hidden)]
    pub fn tamper(&self, name: &[u8; 32], change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = self.content();
        let Content { blobs, actions, .. } = &mut *content;
        let blob = blobs.get_mut(&Digest::from_bytes(*name));
        if let Some(bytes) = blob.or_else(|| actions.get_mut(&ActionKey::from_bytes(*name))) {
            change(bytes);
        }
    }

    /// Forgets a blob or an entry; for tests of loss.
    #[doc(hidden)]
    pub fn lose(&self, name: &[u8; 32]) {
        let mut content = self.content();
        content.blobs.remove(&Digest::from_bytes(*name));
        content.actions.remove(&ActionKey::from_bytes(*name));
    }
}

fn reply(bytes: Option<&Vec<u8>>, most_bytes: u64) -> Reply {
    match bytes {
        None => Reply::Missing,
        Some(bytes) if bytes.len() as u64 > most_bytes => {
            Reply::Unusable(Error::new(ErrorKind::Remote, checked::too_long(bytes.len() as u64, most_bytes)))
        }
        Some(bytes) => Reply::Found(bytes.clone()),
    }
}

impl Remote for MemoryRemote {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn has_many(&self, digests: &[Digest]) -> Result<Vec<bool>> {
        let content = self.content();
        Ok(digests.iter().map(|digest| content.blobs.contains_key(digest)).collect())
    }

    fn has_actions(&self, keys: &[ActionKey]) -> Result<Vec<bool>> {
        let content = self.content();
        Ok(keys.iter().map(|key| content.actions.contains_key(key)).collect())
    }

    fn get_many(&self, wanted: &[Wanted], deliver: &mut Deliver<'_, Wanted>) -> Result<()> {
        wanted.iter().try_for_each(|wanted| {
            let reply = reply(self.content().blobs.get(&wanted.digest), wanted.most_bytes);
            deliver(wanted, reply)
        })
    }

    fn get_actions(&self, keys: &[ActionKey], deliver: &mut Deliver<'_, ActionKey>) -> Result<()> {
        keys.iter().try_for_each(|key| {
            let reply = reply(self.content().actions.get(key), super::MOST_ENTRY_BYTES);
            deliver(key, reply)
        })
    }

    fn put_many(&self, blobs: &[Blob]) -> Result<()> {
        let mut content = self.content();
        for blob in blobs {
            content.blobs.insert(blob.digest(), blob.bytes().to_vec());
        }
        Ok(())
    }

    fn put_actions(&self, entries: &[ActionEntry]) -> Result<Vec<PutAction>> {
        let mut content = self.content();
        let put = |entry: &ActionEntry| match content.actions.entry(*entry.key()) {
            Entry::Occupied(there) if ActionEntry::decode(entry.key(), there.get()).is_ok() => {
                PutAction::There(there.get().clone())
            }
            Entry::Occupied(mut damaged) => {
                damaged.insert(entry.encode());
                PutAction::Stored
            }
            Entry::Vacant(vacant) => {
                vacant.insert(entry.encode());
                PutAction::Stored
            }
        };
        Ok(entries.iter().map(put).collect())
    }

    fn get_signatures(&self, key: &ActionKey, signers: &[PublicKey]) -> Result<Vec<Signature>> {
        let content = self.content();
        Ok(signers.iter().filter_map(|signer| content.signatures.get(&(*key, *signer)).cloned()).collect())
    }

    fn put_signatures(&self, key: &ActionKey, signatures: &[Signature]) -> Result<()> {
        let mut content = self.content();
        for signature in signatures {
            content.signatures.insert((*key, *signature.signer()), signature.clone());
        }
        Ok(())
    }

    fn list_actions(&self) -> Result<Option<Vec<ActionKey>>> {
        Ok(Some(self.content().actions.keys().copied().collect()))
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}
