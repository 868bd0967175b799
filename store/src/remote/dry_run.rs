//! A remote that is asked as ever and never changed: what a push would do, by the code that does it.

use crate::blob::Blob;
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use crate::record::Provenance;
use crate::remote::{ActionEntry, Deliver, PutAction, Remote, Reply, Wanted};
use crate::trust::{PublicKey, Signature};
use std::collections::HashMap;

/// Stands in front of a remote and keeps everything from it that would change it.
#[derive(Debug)]
pub struct DryRun<R>(R);

impl<R: Remote> DryRun<R> {
    /// Asks this remote.
    pub fn new(remote: R) -> Self {
        Self(remote)
    }
}

impl<R: Remote> Remote for DryRun<R> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn has_many(&self, digests: &[Digest]) -> Result<Vec<bool>> {
        self.0.has_many(digests)
    }

    fn has_actions(&self, keys: &[ActionKey]) -> Result<Vec<bool>> {
        self.0.has_actions(keys)
    }

    fn get_many(&self, wanted: &[Wanted], deliver: &mut Deliver<'_, Wanted>) -> Result<()> {
        self.0.get_many(wanted, deliver)
    }

    fn get_actions(&self, keys: &[ActionKey], deliver: &mut Deliver<'_, ActionKey>) -> Result<()> {
        self.0.get_actions(keys, deliver)
    }

    fn put_many(&self, _blobs: &[Blob]) -> Result<()> {
        Ok(())
    }

    fn put_actions(&self, entries: &[ActionEntry]) -> Result<Vec<PutAction>> {
        let keys: Vec<ActionKey> = entries.iter().map(|entry| *entry.key()).collect();
        let mut there = HashMap::new();
        self.0.get_actions(&keys, &mut |key, reply| {
            // What is no entry claims nothing, and would be replaced.
            if let Reply::Found(bytes) = reply
                && ActionEntry::decode(key, &bytes).is_ok()
            {
                there.insert(*key, bytes);
            }
            Ok(())
        })?;
        Ok(keys.iter().map(|key| there.remove(key).map_or(PutAction::Stored, PutAction::There)).collect())
    }

    fn get_signatures(&self, key: &ActionKey, signers: &[PublicKey]) -> Result<Vec<Signature>> {
        self.0.get_signatures(key, signers)
    }

    fn put_signatures(&self, _key: &ActionKey, _signatures: &[Signature]) -> Result<()> {
        Ok(())
    }

    fn list_actions(&self) -> Result<Option<Vec<ActionKey>>> {
        self.0.list_actions()
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn provenance(&self, key: &ActionKey) -> Result<Option<Provenance>> {
        self.0.provenance(key)
    }
}
