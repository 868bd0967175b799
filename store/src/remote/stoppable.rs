//! A remote that is asked as ever until a flag is set: what asks it ends as soon as the remote has answered what it was
//! asked last.

use crate::blob::Blob;
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Provenance;
use crate::remote::{ActionEntry, Deliver, PutAction, Remote, Wanted};
use crate::trust::{PublicKey, Signature};
use std::sync::atomic::{AtomicBool, Ordering};

/// Stands in front of a remote and fails once the flag is set.
pub(super) struct Stoppable<'r> {
    pub(super) remote: &'r dyn Remote,
    pub(super) stop: &'r AtomicBool,
}

impl<'r> Stoppable<'r> {
    /// The remote, as long as it is to be asked.
    fn remote(&self) -> Result<&'r dyn Remote> {
        match self.stop.load(Ordering::Relaxed) {
            false => Ok(self.remote),
            true => Err(Error::new(ErrorKind::Remote, "interrupted")),
        }
    }
}

impl Remote for Stoppable<'_> {
    fn name(&self) -> String {
        self.remote.name()
    }

    fn has_many(&self, digests: &[Digest]) -> Result<Vec<bool>> {
        self.remote()?.has_many(digests)
    }

    fn has_actions(&self, keys: &[ActionKey]) -> Result<Vec<bool>> {
        self.remote()?.has_actions(keys)
    }

    fn get_many(&self, wanted: &[Wanted], deliver: &mut Deliver<'_, Wanted>) -> Result<()> {
        self.remote()?.get_many(wanted, &mut |wanted, reply| {
            self.remote()?;
            deliver(wanted, reply)
        })
    }

    fn get_actions(&self, keys: &[ActionKey], deliver: &mut Deliver<'_, ActionKey>) -> Result<()> {
        self.remote()?.get_actions(keys, &mut |key, reply| {
            self.remote()?;
            deliver(key, reply)
        })
    }

    fn put_many(&self, blobs: &[Blob]) -> Result<()> {
        self.remote()?.put_many(blobs)
    }

    fn put_actions(&self, entries: &[ActionEntry]) -> Result<Vec<PutAction>> {
        self.remote()?.put_actions(entries)
    }

    fn get_signatures(&self, key: &ActionKey, signers: &[PublicKey]) -> Result<Vec<Signature>> {
        self.remote()?.get_signatures(key, signers)
    }

    fn put_signatures(&self, key: &ActionKey, signatures: &[Signature]) -> Result<()> {
        self.remote()?.put_signatures(key, signatures)
    }

    fn list_actions(&self) -> Result<Option<Vec<ActionKey>>> {
        self.remote()?.list_actions()
    }

    fn flush(&self) -> Result<()> {
        self.remote()?.flush()
    }

    fn provenance(&self, key: &ActionKey) -> Result<Option<Provenance>> {
        self.remote()?.provenance(key)
    }
}
