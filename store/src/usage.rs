//! How well a store uses its space: what sharing and compression save, and what is free.

use crate::db::{PAGE_BYTES, ReadRows, Table};
use crate::digest::{ActionKey, Digest, Id};
use crate::error::{Error, ErrorKind, Result};
use crate::gc::every_key;
use crate::hit::read_verified;
use crate::record::{ActionRecord, OutputKind};
use crate::shared_bytes::SharedBytes;
use crate::store::Store;
use crate::tree::Tree;
use std::collections::{HashMap, HashSet};

/// How well a store uses its space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that there would be if every output of every record, and every entry of a tree, were a file of its own.
    pub referenced_bytes: u64,
    /// Bytes of the same, each content once.
    pub distinct_bytes: u64,
    /// Bytes of the store's file that the next content takes, where neither somebody writing nor damage hides them.
    pub free_bytes: Option<u64>,
}

/// What has been counted so far.
#[derive(Default)]
struct Count {
    usage: Usage,
    seen: HashSet<Digest>,
    /// What the entries of each tree take.
    trees: HashMap<Digest, u64>,
}

impl Count {
    fn reference(&mut self, digest: Digest, len: u64) {
        self.usage.referenced_bytes = self.usage.referenced_bytes.saturating_add(len);
        if self.seen.insert(digest) {
            self.usage.distinct_bytes = self.usage.distinct_bytes.saturating_add(len);
        }
    }

    /// Counts the entries of a tree, which is read once. One that cannot be read has none.
    fn tree(&mut self, digest: Digest, read: impl FnOnce() -> Result<Option<SharedBytes>>) -> Result<()> {
        if let Some(bytes) = self.trees.get(&digest) {
            self.usage.referenced_bytes = self.usage.referenced_bytes.saturating_add(*bytes);
            return Ok(());
        }
        let before = self.usage.referenced_bytes;
        let tree = read()?.and_then(|bytes| Tree::decode(&bytes).ok()).unwrap_or_default();
        tree.entries().iter().for_each(|entry| self.reference(entry.digest, entry.len));
        self.trees.insert(digest, self.usage.referenced_bytes - before);
        Ok(())
    }
}

impl Store {
    /// Looks at every record and every tree.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn usage(&self) -> Result<Usage> {
        let view = self.core().db.view()?;
        let (blobs, chunks) = (view.table(Table::Blobs)?, view.table(Table::Chunks)?);
        let mut count = Count::default();
        view.table(Table::Actions)?.scan(every_key(), &mut |key, row| {
            let record = Id::try_from(key).map(ActionKey::from_bytes);
            let record = record.ok().and_then(|key| ActionRecord::decode_row(&key, row).ok());
            for output in record.iter().flat_map(|record| record.outputs.values()) {
                count.reference(output.digest, output.len);
                if output.kind == OutputKind::Tree {
                    count.tree(output.digest, || read_verified(&blobs, &chunks, &output.digest))?;
                }
            }
            Ok(true)
        })?;
        let mut usage = count.usage;
        usage.free_bytes = self.free_bytes()?;
        Ok(usage)
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        let db = &self.core().db;
        if self.is_read_only() {
            return Ok(None);
        }
        let used =
            match db.try_begin().and_then(|change| change.map(|change| change.used_pages()).transpose()) {
                Ok(Some(pages)) => pages.saturating_mul(PAGE_BYTES as u64),
                Ok(None) => return Ok(None),
                // Of a damaged file nobody knows.
                Err(e) if e.kind() == ErrorKind::Corrupt => return Ok(None),
                Err(e) => return Err(e),
            };
        let file = std::fs::metadata(db.path()).map_err(|e| Error::io("look at the file", db.path(), &e))?;
        Ok(Some(file.len().saturating_sub(used)))
    }
}
