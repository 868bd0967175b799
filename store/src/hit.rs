//! Whether a record can be relied on: it is there, and so is everything that belongs to its outputs.
//!
//! A closure is looked through once. The look is remembered beside the record together with the number of
//! deletions made so far; as long as nothing was deleted since, it still holds.

use crate::closure::Closure;
use crate::db::{ReadRows, Table, View};
use crate::digest::{ActionKey, Digest};
use crate::error::{Error, Result};
use crate::payload;
use crate::record::{ActionRecord, Output, OutputKind};
use crate::shared_bytes::SharedBytes;
use crate::tree::Tree;
use std::collections::HashSet;

/// The counter of transactions that deleted something.
pub(crate) const DELETIONS: &[u8] = b"deletions";

/// What a look for a record found.
pub(crate) enum Look {
    /// The record and everything that belongs to it.
    Complete {
        record: ActionRecord,
        /// How many deletions had been made when it was complete.
        deletions: u64,
        /// Whether it is worth remembering that it was.
        news: bool,
    },
    /// It, or something that belongs to it, is not there.
    Missing,
    /// It, or something that belongs to it, is there but is not what its name says.
    Damaged(Damage),
}

/// Something whose rows make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Blob(Digest),
    Record(ActionKey),
}

/// Looks whether a record and everything that belongs to it is there.
pub(crate) fn look(view: &View<'_>, key: &ActionKey) -> Result<Look> {
    match search(view, key) {
        Ok(complete) => Ok(complete),
        Err(Stop::Missing) => Ok(Look::Missing),
        Err(Stop::Damaged(damage)) => Ok(Look::Damaged(damage)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Looks whether an output and everything that belongs to it is there.
pub(crate) fn is_whole(view: &View<'_>, kind: OutputKind, digest: &Digest) -> Result<bool> {
    let output = Output { digest: *digest, len: 0, kind };
    let alone = ActionRecord { outputs: [(String::new(), output)].into() };
    match search_outputs(view, &alone, HashSet::new()) {
        Ok(()) => Ok(true),
        Err(Stop::Missing | Stop::Damaged(_)) => Ok(false),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn search(view: &View<'_>, key: &ActionKey) -> Result<Look, Stop> {
    let records = view.table(Table::Actions)?;
    let record = read_record(&records, key)?;
    let deletions = deletions(&view.table(Table::Counters)?)?;
    let lists = record.outputs.values().any(|output| output.kind == OutputKind::Closure);
    if lists && remembered(view, key)? == Some(deletions) {
        return Ok(Look::Complete { record, deletions, news: false });
    }
    search_outputs(view, &record, HashSet::from([*key]))?;
    Ok(Look::Complete { record, deletions, news: lists })
}

fn search_outputs(view: &View<'_>, record: &ActionRecord, seen: HashSet<ActionKey>) -> Result<(), Stop> {
    let mut search = Search {
        records: &view.table(Table::Actions)?,
        heads: &view.table(Table::Blobs)?,
        chunks: &view.table(Table::Chunks)?,
        seen,
        to_do: Vec::new(),
    };
    search.run(record)
}

/// Why a search ends before everything was found.
enum Stop {
    Missing,
    Damaged(Damage),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
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
    fn run(&mut self, first: &ActionRecord) -> Result<(), Stop> {
        self.outputs(first)?;
        while let Some(key) = self.to_do.pop() {
            self.outputs(&read_record(self.records, &key)?)?;
        }
        Ok(())
    }

    fn outputs(&mut self, record: &ActionRecord) -> Result<(), Stop> {
        for output in record.outputs.values() {
            match output.kind {
                OutputKind::Blob => self.blob(&output.digest)?,
                OutputKind::Tree => {
                    let tree = self.read(&output.digest, Tree::decode)?;
                    tree.entries().iter().try_for_each(|entry| self.blob(&entry.digest))?;
                }
                OutputKind::Closure => {
                    let closure = self.read(&output.digest, Closure::decode)?;
                    closure.blobs().iter().try_for_each(|digest| self.blob(digest))?;
                    let new = closure.actions().iter().filter(|key| self.seen.insert(**key));
                    self.to_do.extend(new);
                }
            }
        }
        Ok(())
    }

    fn blob(&self, digest: &Digest) -> Result<(), Stop> {
        if self.heads.contains(digest.as_bytes())? { Ok(()) } else { Err(Stop::Missing) }
    }

    fn read<T>(&self, digest: &Digest, decode: impl Fn(&[u8]) -> Result<T>) -> Result<T, Stop> {
        self.blob(digest)?;
        let bytes = read_verified(self.heads, self.chunks, digest)?;
        let bytes = bytes.ok_or(Stop::Damaged(Damage::Blob(*digest)))?;
        // Bytes that are what the digest says, but not what the record says, are no damage of the store.
        decode(&bytes).map_err(|_| Stop::Missing)
    }
}

fn read_record(records: &impl ReadRows, key: &ActionKey) -> Result<ActionRecord, Stop> {
    let row = records.get(key.as_bytes())?.ok_or(Stop::Missing)?;
    ActionRecord::decode_row(key, &row).map_err(|_| Stop::Damaged(Damage::Record(*key)))
}

/// The bytes of a blob, if they are there and are what the digest says.
pub(crate) fn read_verified<R: ReadRows>(
    heads: &R,
    chunks: &R,
    digest: &Digest,
) -> Result<Option<SharedBytes>> {
    let Some(row) = heads.get(digest.as_bytes())? else { return Ok(None) };
    let bytes = payload::read(&row, digest.as_bytes(), chunks)?;
    Ok(bytes.filter(|bytes| Digest::of(bytes) == *digest))
}
