//! Upstreams: remotes that a build asks, read-only, before it does something itself.
//!
//! What is found is checked and cached in the store, so that the build goes on as if it had always been there. A remote
//! that fails is not asked again: a build must not wait for it at every step.

use crate::blob::Blob;
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, Result};
use crate::record::ActionRecord;
use crate::remote::pull::pull_planned;
use crate::remote::stoppable::Stoppable;
use crate::remote::{Disagreement, PullOptions, Refusal, Remote, Selection, Wanted, checked};
use crate::store::Store;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Remotes in the order in which they are asked. May be used by many threads at once; cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    remotes: Arc<[(Arc<dyn Remote>, AtomicBool)]>,
    options: PullOptions,
}

/// What came from upstream.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Actions that were not here and are now, with everything that belongs to them: [`Store::hit`] finds them.
    pub found: Vec<ActionKey>,
    /// Of a dry run ([`PullOptions::dry_run`]): what the actions gave that would be here, those behind what was asked for
    /// included.
    pub planned: HashMap<ActionKey, ActionRecord>,
    /// Records that came, those behind what was asked for included.
    pub actions: u64,
    /// Blobs that came.
    pub blobs: u64,
    /// Their bytes, not compressed.
    pub bytes: u64,
    /// What some remote had and was not used.
    pub left_out: Vec<Refusal>,
    /// Actions of which a remote says something else than this store.
    pub disagreements: Vec<Disagreement>,
    /// Remotes that failed and are not asked again, by name.
    pub failed: Vec<(String, Error)>,
}

impl Upstream {
    /// Asks these remotes, the first first.
    pub fn new(remotes: Vec<Arc<dyn Remote>>, options: PullOptions) -> Self {
        let remotes = remotes.into_iter().map(|remote| (remote, AtomicBool::new(false))).collect();
        Self { remotes, options }
    }

    /// Asks for actions that the store does not have, all at once where possible: a question costs a round trip, however
    /// many actions are in it. What a remote does not have is not an error but a miss. Once `stop` is set nothing more is
    /// asked; what has come stays. Hold a session of the store.
    ///
    /// # Errors
    /// The store cannot be read or written. What fails in a remote is part of what comes back.
    pub fn fetch(&self, store: &Store, keys: &[ActionKey], stop: &AtomicBool) -> Result<Fetched> {
        let mut fetched = Fetched::default();
        let mut wanted = keys.to_vec();
        for (remote, has_failed) in self.remotes.iter() {
            if wanted.is_empty() || has_failed.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed) {
                continue;
            }
            let remote = Stoppable { remote: remote.as_ref(), stop };
            match self.ask(store, &remote, &wanted, &mut fetched) {
                Ok(()) => {}
                // Of which this is the reason, most likely; and nobody wants to know more.
                Err(Failure::Remote(_)) if stop.load(Ordering::Relaxed) => {}
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Remote(error)) => {
                    if !has_failed.swap(true, Ordering::Relaxed) {
                        fetched.failed.push((remote.name(), error));
                    }
                }
            }
            let mut still_wanted = Vec::new();
            for key in wanted {
                match fetched.planned.contains_key(&key) || store.hit(&key)?.is_some() {
                    true => fetched.found.push(key),
                    false => still_wanted.push(key),
                }
            }
            wanted = still_wanted;
        }
        Ok(fetched)
    }

    /// The bytes of a blob as some remote has them, without keeping them: for a dry run.
    ///
    /// # Errors
    /// None: a remote that cannot be used does not have it.
    pub fn peek(&self, digest: &Digest) -> Option<Blob> {
        let wanted = [Wanted { digest: *digest, most_bytes: self.options.most_blob_bytes }];
        let mut found = None;
        for (remote, has_failed) in self.remotes.iter() {
            if found.is_none() && !has_failed.load(Ordering::Relaxed) {
                let asked = checked::get_blobs(remote.as_ref(), &wanted, &mut |_, reply| {
                    found = reply.ok();
                    Ok(())
                });
                has_failed.fetch_or(asked.is_err(), Ordering::Relaxed);
            }
        }
        found
    }

    fn ask(
        &self,
        store: &Store,
        remote: &dyn Remote,
        keys: &[ActionKey],
        fetched: &mut Fetched,
    ) -> Result<(), Failure> {
        let there = remote.has_actions(keys).map_err(Failure::Remote)?;
        let there: Vec<ActionKey> =
            keys.iter().zip(there).filter_map(|(key, there)| there.then_some(*key)).collect();
        if there.is_empty() {
            return Ok(());
        }
        let selection = Selection::actions(there);
        let pulled = pull_planned(store, &selection, remote, &self.options);
        // Whoever cannot publish cannot build either.
        store.flush().map_err(Failure::Store)?;
        let (report, planned) = pulled.map_err(Failure::Remote)?;
        fetched.planned.extend(planned);
        fetched.actions += report.actions;
        fetched.blobs += report.blobs;
        fetched.bytes += report.bytes;
        fetched.left_out.extend(report.left_out);
        fetched.disagreements.extend(report.disagreements);
        Ok(())
    }
}

/// Whose fault it was.
enum Failure {
    Store(Error),
    Remote(Error),
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.remotes.iter().map(|(remote, _)| remote.name())).finish()
    }
}
