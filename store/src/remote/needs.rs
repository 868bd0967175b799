//! What belongs to a record: the blobs its outputs name, what trees and closures among them list.

use crate::closure::Closure;
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use crate::record::{ActionRecord, OutputKind};
use crate::shared_bytes::SharedBytes;
use crate::tree::Tree;
use std::collections::BTreeMap;
use std::fmt;

/// What belongs to outputs. The actions listed have needs of their own.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Blobs, with the length that is claimed for them where one is.
    pub(crate) blobs: BTreeMap<Digest, Option<u64>>,
    /// Actions that closures list.
    pub(crate) actions: Vec<ActionKey>,
    /// Whether any output is a closure.
    pub(crate) lists: bool,
}

/// Why it is not known what belongs to something, or what of it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// A blob is missing or damaged.
    Blob(Digest),
    /// A blob should be a list and is not.
    List(Digest),
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "it needs blob {digest}, which is missing or damaged"),
            Self::List(digest) => write!(f, "it needs blob {digest} to be a list, which it is not"),
        }
    }
}

/// Reads a blob that is a list.
pub(crate) type ReadList<'r> = dyn Fn(&Digest) -> Result<Option<SharedBytes>> + 'r;

/// What belongs to a record.
pub(crate) fn needs(record: &ActionRecord, read: &ReadList<'_>) -> Result<Result<Needs, Lacking>> {
    let mut needs = Needs::default();
    for output in record.outputs.values() {
        if let Err(lacking) = needs.add(output.kind, output.digest, Some(output.len), read)? {
            return Ok(Err(lacking));
        }
    }
    Ok(Ok(needs))
}

/// What belongs to outputs that no action gives, and those of which it is not known: these are not among the blobs.
pub(crate) fn needs_of_outputs(
    outputs: &[(OutputKind, Digest)],
    read: &ReadList<'_>,
) -> Result<(Needs, Vec<(Digest, Lacking)>)> {
    let mut needs = Needs::default();
    let mut unknown = Vec::new();
    for &(kind, digest) in outputs {
        if let Err(lacking) = needs.add(kind, digest, None, read)? {
            needs.blobs.remove(&digest);
            unknown.push((digest, lacking));
        }
    }
    Ok((needs, unknown))
}

impl Needs {
    /// Adds an output.
    fn add(
        &mut self,
        kind: OutputKind,
        digest: Digest,
        len: Option<u64>,
        read: &ReadList<'_>,
    ) -> Result<Result<(), Lacking>> {
        self.blob(digest, len);
        if kind == OutputKind::Blob {
            return Ok(Ok(()));
        }
        let Some(bytes) = read(&digest)? else { return Ok(Err(Lacking::Blob(digest))) };
        match kind {
            OutputKind::Blob => {}
            OutputKind::Tree => {
                let Ok(tree) = Tree::decode(&bytes) else { return Ok(Err(Lacking::List(digest))) };
                tree.entries().iter().for_each(|entry| self.blob(entry.digest, Some(entry.len)));
            }
            OutputKind::Closure => {
                let Ok(closure) = Closure::decode(&bytes) else { return Ok(Err(Lacking::List(digest))) };
                closure.blobs().iter().for_each(|digest| self.blob(*digest, None));
                self.actions.extend(closure.actions());
                self.lists = true;
            }
        }
        Ok(Ok(()))
    }

    fn blob(&mut self, digest: Digest, len: Option<u64>) {
        let claimed = self.blobs.entry(digest).or_default();
        // Two claims that differ cannot both hold; the shorter is enough to notice.
        *claimed = match (*claimed, len) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}
