//! What is to be moved, before it is known what belongs to it.

use crate::digest::{ActionKey, Digest, HexPrefix};
use crate::error::{Error, Result};
use crate::record::OutputKind;
use crate::store::Store;

/// Actions and outputs. Whatever belongs to them belongs to the selection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Actions.
    pub actions: Vec<ActionKey>,
    /// Blobs, with what they are; for what no action of the selection gives.
    pub outputs: Vec<(OutputKind, Digest)>,
}

impl Selection {
    /// All actions of a store, and what its roots name, once all that was published is committed.
    ///
    /// # Errors
    /// The store cannot be read, or a commit failed.
    pub fn everything(store: &Store) -> Result<Self> {
        store.flush()?;
        let outputs = store.roots()?.iter().map(|(_, root)| (root.kind, root.target)).collect();
        Ok(Self { actions: store.list_actions(&HexPrefix::ALL)?, outputs })
    }

    /// What these roots of a store name.
    ///
    /// # Errors
    /// There is no root of such a name, or it is damaged; the store cannot be read.
    pub fn roots(store: &Store, names: &[&str]) -> Result<Self> {
        let mut outputs = Vec::new();
        for name in names {
            let root = store.root(name)?.ok_or_else(|| {
                Error::invalid(format!("there is no root `{name}`, or it is damaged")).at(store.directory())
            })?;
            outputs.push((root.kind, root.target));
        }
        Ok(Self { outputs, ..Self::default() })
    }

    /// These actions.
    pub fn actions(keys: impl Into<Vec<ActionKey>>) -> Self {
        Self { actions: keys.into(), ..Self::default() }
    }

    /// These blobs, without anything that they may list.
    pub fn blobs(digests: &[Digest]) -> Self {
        let outputs = digests.iter().map(|digest| (OutputKind::Blob, *digest)).collect();
        Self { outputs, ..Self::default() }
    }

    /// The same selection with each part once and in ascending order.
    #[must_use]
    pub(crate) fn sorted(mut self) -> Self {
        self.actions.sort_unstable();
        self.actions.dedup();
        self.outputs.sort_unstable();
        self.outputs.dedup();
        self
    }
}
