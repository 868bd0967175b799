//! Whether a record can be relied on: it is there, and so is everything that belongs to its outputs.
//!
//! A closure is looked through once. The look is remembered beside the record together with the number of
//! deletions made so far; as long as nothing was deleted since, it still holds.

use crate::closure::Closure;
use crate::db::{ReadRows, Table, View};
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use crate::payload;
use crate::record::{ActionRecord, OutputKind};
use crate::tree::Tree;
use std::collections::HashSet;

/// The counter of transactions that deleted something.
pub(crate) const DELETIONS: &[u8] = b"deletions";

/// A record with everything that belongs to it.
pub(crate) struct Complete {
    pub(crate) record: ActionRecord,
    /// How many deletions had been made when it was complete.
    pub(crate) deletions: u64,
    /// Whether that could be taken from memory.
    pub(crate) remembered: bool,
}

/// Looks whether a record and everything that belongs to it is there.
pub(crate) fn look(view: &View<'_>, key: &ActionKey) -> Result<Option<Complete>> {
    let records = view.table(Table::Actions)?;
    let Some(record) = records.get(key.as_bytes())?.and_then(|row| ActionRecord::decode(&row).ok()) else {
        return Ok(None);
    };
    let deletions = deletions(&view.table(Table::Counters)?)?;
    let lists = record.outputs.values().any(|output| output.kind == OutputKind::Closure);
    if lists && remembered(view, key)? == Some(deletions) {
        return Ok(Some(Complete { record, deletions, remembered: true }));
    }
    let mut search = Search {
        records: &records,
        heads: &view.table(Table::Blobs)?,
        chunks: &view.table(Table::Chunks)?,
        seen: HashSet::from([*key]),
        to_do: Vec::new(),
    };
    let complete = search.has_outputs(&record)? && search.has_the_rest()?;
    Ok(complete.then_some(Complete { record, deletions, remembered: !lists }))
}

/// How many transactions have deleted something.
pub(crate) fn deletions(counters: &impl ReadRows) -> Result<u64> {
    Ok(counters.get(DELETIONS)?.map_or(0, |row| number(&row)))
}

fn remembered(view: &View<'_>, key: &ActionKey) -> Result<Option<u64>> {
    Ok(view.table(Table::Checks)?.get(key.as_bytes())?.map(|row| number(&row)))
}

/// A damaged number reads as one that is never reached.
fn number(row: &[u8]) -> u64 {
    row.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

/// A walk over everything that belongs to a record. A list instead of recursion: how deep closures refer to
/// closures is up to whoever wrote them.
struct Search<'a, R> {
    records: &'a R,
    heads: &'a R,
    chunks: &'a R,
    seen: HashSet<ActionKey>,
    to_do: Vec<ActionKey>,
}

impl<R: ReadRows> Search<'_, R> {
    fn has_the_rest(&mut self) -> Result<bool> {
        while let Some(key) = self.to_do.pop() {
            let record = self.records.get(key.as_bytes())?.and_then(|row| ActionRecord::decode(&row).ok());
            match record {
                Some(record) if self.has_outputs(&record)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn has_outputs(&mut self, record: &ActionRecord) -> Result<bool> {
        for output in record.outputs.values() {
            let there = match output.kind {
                OutputKind::Blob => self.heads.contains(output.digest.as_bytes())?,
                OutputKind::Tree => {
                    match self.read(&output.digest)?.and_then(|bytes| Tree::decode(&bytes).ok()) {
                        Some(tree) => self.has_all(tree.entries().iter().map(|entry| &entry.digest))?,
                        None => false,
                    }
                }
                OutputKind::Closure => {
                    match self.read(&output.digest)?.and_then(|bytes| Closure::decode(&bytes).ok()) {
                        Some(closure) => {
                            let new = closure.actions().iter().filter(|key| self.seen.insert(**key));
                            self.to_do.extend(new);
                            self.has_all(closure.blobs().iter())?
                        }
                        None => false,
                    }
                }
            };
            if !there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_all<'d>(&self, mut digests: impl Iterator<Item = &'d Digest>) -> Result<bool> {
        digests.try_fold(true, |all, digest| Ok(all && self.heads.contains(digest.as_bytes())?))
    }

    fn read(&self, digest: &Digest) -> Result<Option<std::sync::Arc<[u8]>>> {
        read_verified(self.heads, self.chunks, digest)
    }
}

/// The bytes of a blob, if they are there and are what the digest says.
pub(crate) fn read_verified<R: ReadRows>(
    heads: &R,
    chunks: &R,
    digest: &Digest,
) -> Result<Option<std::sync::Arc<[u8]>>> {
    let Some(row) = heads.get(digest.as_bytes())? else { return Ok(None) };
    let bytes = payload::read(&row, digest.as_bytes(), chunks)?;
    Ok(bytes.filter(|bytes| Digest::of(bytes) == *digest))
}
