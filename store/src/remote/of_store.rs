//! Another store, read as if it were a remote: how two store directories are merged.

use crate::blob::Blob;
use crate::digest::{ActionKey, Digest, HexPrefix};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Provenance;
use crate::remote::{ActionEntry, Deliver, PutAction, Remote, Reply, Wanted, checked};
use crate::store::Store;
use crate::trust::{PublicKey, Signature};
use std::collections::HashSet;

/// A store that is read from. Has only the actions whose outputs are all there.
#[derive(Debug)]
pub struct StoreRemote(Store);

impl StoreRemote {
    /// Reads from this store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    fn entry(&self, key: &ActionKey) -> Result<Reply> {
        let (Some(record), Some(preimage)) = (self.0.hit(key)?, self.0.preimage(key)?) else {
            return Ok(Reply::Missing);
        };
        Ok(Reply::Found(ActionEntry::new(preimage, record).encode()))
    }

    fn read_only(&self) -> Error {
        Error::new(ErrorKind::ReadOnly, "this store is only read from")
            .at(self.0.directory())
            .hint("open it as a store and pull into it")
    }
}

impl Remote for StoreRemote {
    fn name(&self) -> String {
        self.0.directory().display().to_string()
    }

    fn has_many(&self, digests: &[Digest]) -> Result<Vec<bool>> {
        let missing: HashSet<Digest> = self.0.missing(digests)?.into_iter().collect();
        Ok(digests.iter().map(|digest| !missing.contains(digest)).collect())
    }

    fn has_actions(&self, keys: &[ActionKey]) -> Result<Vec<bool>> {
        keys.iter().map(|key| Ok(self.0.record(key)?.is_some())).collect()
    }

    fn get_many(&self, wanted: &[Wanted], deliver: &mut Deliver<'_, Wanted>) -> Result<()> {
        for wanted in wanted {
            let len = self.0.lens(&[wanted.digest])?[0].unwrap_or(0);
            let reply = match len > wanted.most_bytes {
                true => {
                    let why = checked::too_long(len, wanted.most_bytes);
                    Reply::Unusable(Error::new(ErrorKind::Remote, why))
                }
                false => self.0.get(&wanted.digest)?.map_or(Reply::Missing, |b| Reply::Found(b.to_vec())),
            };
            deliver(wanted, reply)?;
        }
        Ok(())
    }

    fn get_actions(&self, keys: &[ActionKey], deliver: &mut Deliver<'_, ActionKey>) -> Result<()> {
        keys.iter().try_for_each(|key| deliver(key, self.entry(key)?))
    }

    fn put_many(&self, _blobs: &[Blob]) -> Result<()> {
        Err(self.read_only())
    }

    fn put_actions(&self, _entries: &[ActionEntry]) -> Result<Vec<PutAction>> {
        Err(self.read_only())
    }

    fn get_signatures(&self, key: &ActionKey, signers: &[PublicKey]) -> Result<Vec<Signature>> {
        let mut signatures = self.0.signatures(key)?;
        signatures.retain(|signature| signers.contains(signature.signer()));
        Ok(signatures)
    }

    fn put_signatures(&self, _key: &ActionKey, _signatures: &[Signature]) -> Result<()> {
        Err(self.read_only())
    }

    fn list_actions(&self) -> Result<Option<Vec<ActionKey>>> {
        self.0.list_actions(&HexPrefix::ALL).map(Some)
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn provenance(&self, key: &ActionKey) -> Result<Option<Provenance>> {
        self.0.provenance(key)
    }
}
