//! Marking: what roots need, found by following references.
//!
//! A blob that is missing is only missed. But behind a list or a record that cannot be read lies nobody knows
//! what, so each is reported with the root that leads to it, and nothing may be removed on the strength of it.

use crate::closure::Closure;
use crate::db::{ReadRows, Table, View};
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use crate::hit::read_verified;
use crate::record::{ActionRecord, OutputKind};
use crate::root::Root;
use crate::tree::Tree;
use std::collections::HashSet;
use std::fmt;

/// Something between a root's name and what the root needs that is missing, damaged, or not what it should be: what
/// lies behind it is not known. `Display` makes a sentence of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The root of this name itself.
    Root(String),
    /// A tree or a closure.
    List {
        /// The root that leads to it.
        root: String,
        /// The blob that should be a list.
        digest: Digest,
    },
    /// The record of an action that a closure lists.
    Record {
        /// The root that leads to it.
        root: String,
        /// The action.
        key: ActionKey,
    },
}

impl Unreadable {
    /// The name of the root that cannot be followed to the end.
    pub fn root(&self) -> &str {
        match self {
            Self::Root(root) | Self::List { root, .. } | Self::Record { root, .. } => root,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(root) => write!(f, "the root `{root}` is damaged"),
            Self::List { root, digest } => {
                write!(f, "the root `{root}` needs the list {digest}, which is missing, damaged or no list")
            }
            Self::Record { root, key } => {
                write!(f, "the root `{root}` needs the record of action {key}, which is missing or damaged")
            }
        }
    }
}

/// What roots need, as far as it could be found.
#[derive(Default)]
pub(crate) struct Needed {
    pub(crate) blobs: HashSet<Digest>,
    pub(crate) actions: HashSet<ActionKey>,
    /// How many of the blobs that nothing lies behind are not there.
    pub(crate) missing: u64,
    pub(crate) unreadable: Vec<Unreadable>,
}

/// Follows these roots; those that are `None` cannot be read.
pub(crate) fn mark(view: &View<'_>, roots: &[(String, Option<Root>)]) -> Result<Needed> {
    let mut mark = Mark {
        heads: &view.table(Table::Blobs)?,
        chunks: &view.table(Table::Chunks)?,
        records: &view.table(Table::Actions)?,
        needed: Needed::default(),
        to_read: Vec::new(),
        read: HashSet::new(),
    };
    for (name, root) in roots {
        match root {
            Some(root) => mark.follow(name, root)?,
            None => mark.needed.unreadable.push(Unreadable::Root(name.clone())),
        }
    }
    Ok(mark.needed)
}

/// A list of what is left to read instead of recursion, as references may be deep.
struct Mark<'a, R> {
    heads: &'a R,
    chunks: &'a R,
    records: &'a R,
    needed: Needed,
    to_read: Vec<(OutputKind, Digest)>,
    /// Whatever several roots share is read, and reported, for the first of them.
    read: HashSet<(OutputKind, Digest)>,
}

impl<R: ReadRows> Mark<'_, R> {
    fn follow(&mut self, name: &str, root: &Root) -> Result<()> {
        self.output(root.kind, root.target)?;
        while let Some((kind, digest)) = self.to_read.pop() {
            if self.read.insert((kind, digest)) {
                self.needed.blobs.insert(digest);
                if !self.listed(name, kind, &digest)? {
                    let root = name.to_owned();
                    self.needed.unreadable.push(Unreadable::List { root, digest });
                }
            }
        }
        Ok(())
    }

    fn output(&mut self, kind: OutputKind, digest: Digest) -> Result<()> {
        if kind == OutputKind::Blob {
            return self.blob(digest);
        }
        // Also when the blob is known already: it may have been met as plain bytes first.
        self.to_read.push((kind, digest));
        Ok(())
    }

    fn blob(&mut self, digest: Digest) -> Result<()> {
        if self.needed.blobs.insert(digest) && !self.heads.contains(digest.as_bytes())? {
            self.needed.missing += 1;
        }
        Ok(())
    }

    /// Marks what a list lists; `false` when it cannot be read.
    fn listed(&mut self, root: &str, kind: OutputKind, digest: &Digest) -> Result<bool> {
        let Some(bytes) = read_verified(self.heads, self.chunks, digest)? else { return Ok(false) };
        match kind {
            OutputKind::Blob => {}
            OutputKind::Tree => {
                let Ok(tree) = Tree::decode(&bytes) else { return Ok(false) };
                tree.entries().iter().try_for_each(|entry| self.blob(entry.digest))?;
            }
            OutputKind::Closure => {
                let Ok(closure) = Closure::decode(&bytes) else { return Ok(false) };
                closure.blobs().iter().try_for_each(|digest| self.blob(*digest))?;
                closure.actions().iter().try_for_each(|key| self.action(root, key))?;
            }
        }
        Ok(true)
    }

    fn action(&mut self, root: &str, key: &ActionKey) -> Result<()> {
        if !self.needed.actions.insert(*key) {
            return Ok(());
        }
        match self.records.get(key.as_bytes())?.and_then(|row| ActionRecord::decode(&row).ok()) {
            Some(record) => {
                record.outputs.values().try_for_each(|output| self.output(output.kind, output.digest))
            }
            None => {
                self.needed.unreadable.push(Unreadable::Record { root: root.to_owned(), key: *key });
                Ok(())
            }
        }
    }
}
