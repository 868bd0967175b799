//! Pins: roots that people set, which no policy gives up.

use crate::blob::Blob;
use crate::closure::Closure;
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, Result};
use crate::hit;
use crate::lease::Leased;
use crate::publish::Publication;
use crate::record::OutputKind;
use crate::root::{PIN_PREFIX, Root};
use crate::store::Store;

/// What can be pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// A blob, and what it lists.
    Output(OutputKind, Digest),
    /// The record of an action, and its outputs.
    Action(ActionKey),
}

impl Store {
    /// Keeps something, with what it needs, until it is unpinned. The reason is for people.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] when the store does not have it whole, or the name or reason cannot be shown; the
    /// file cannot be written.
    pub fn pin(&self, name: &str, what: Pinned, reason: &str) -> Result<()> {
        // Looked for under a lease, so that it is there until the pin is.
        let session = self.session()?;
        let (there, kind, digest, blobs) = match what {
            Pinned::Output(kind, digest) => (self.has_whole(kind, &digest)?, kind, digest, Vec::new()),
            Pinned::Action(key) => {
                let closure = Blob::new(Closure::new(vec![key], vec![]).encode());
                (self.hit(&key)?.is_some(), OutputKind::Closure, closure.digest(), vec![closure])
            }
        };
        if !there {
            let what = match what {
                Pinned::Output(_, digest) => format!("blob {digest}"),
                Pinned::Action(key) => format!("action {key} with all of its outputs"),
            };
            return Err(Error::invalid(format!("the store does not have {what}, so it cannot be pinned")));
        }
        let root = Root::now(digest, kind).with_note(reason);
        let roots = vec![(format!("{PIN_PREFIX}{name}"), root)];
        self.publish(Publication { blobs, roots, ..Publication::default() }).wait()?;
        drop(session);
        Ok(())
    }

    /// Whether an output is there with all that it lists, which is leased from before the look.
    fn has_whole(&self, kind: OutputKind, digest: &Digest) -> Result<bool> {
        self.flush()?;
        self.core().announce(&[Leased::Output(kind, *digest)])?;
        hit::is_whole(&self.core().db.view()?, kind, digest)
    }

    /// Removes a pin; says whether there was one. What it kept stays until the next collection.
    ///
    /// # Errors
    /// The file cannot be written, or an earlier commit failed.
    pub fn unpin(&self, name: &str) -> Result<bool> {
        self.remove_root(&format!("{PIN_PREFIX}{name}"))
    }

    /// All pins, by name. The note of each is its reason.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn pins(&self) -> Result<Vec<(String, Root)>> {
        let roots = self.roots()?.into_iter();
        Ok(roots.filter_map(|(name, root)| Some((name.strip_prefix(PIN_PREFIX)?.to_owned(), root))).collect())
    }
}
