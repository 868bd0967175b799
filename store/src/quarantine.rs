//! Removing what turned out to be damaged, so that it is missed, made again and whole.
//!
//! The damage is looked for again inside the deleting change: another process may have repaired it meanwhile. A
//! store that is open for reading only leaves it to others.

use crate::committer;
use crate::db::{Change, ReadRows, Table};
use crate::digest::{ActionKey, Digest, Id};
use crate::error::Result;
use crate::hit::{DELETIONS, Damage, deletions, read_verified};
use crate::options::Notice;
use crate::payload;
use crate::record::ActionRecord;
use crate::store::Core;
use crate::trust;
use std::sync::atomic::Ordering;

/// Notices what is damaged and removes it, unless it is whole by now.
pub(crate) fn remove(core: &Core, damage: Damage) -> Result<()> {
    let notice = match damage {
        Damage::Blob(digest) => Notice::CorruptBlob(digest),
        Damage::Record(key) => Notice::CorruptAction(key),
    };
    if core.options.read_only {
        (core.options.on_notice)(&notice);
        return Ok(());
    }
    let change = committer::begin(core)?;
    if !is_still_damaged(&change, damage)? {
        return Ok(());
    }
    match damage {
        Damage::Blob(digest) => remove_blobs(&change, &[digest]).map(drop)?,
        Damage::Record(key) => remove_actions(&change, &[key]).map(drop)?,
    }
    count_deletion(&change)?;
    change.commit()?;
    core.damaged.fetch_add(1, Ordering::Relaxed);
    (core.options.on_notice)(&notice);
    Ok(())
}

fn is_still_damaged(change: &Change<'_>, damage: Damage) -> Result<bool> {
    match damage {
        Damage::Blob(digest) => {
            let heads = change.table(Table::Blobs)?;
            let chunks = change.table(Table::Chunks)?;
            Ok(heads.contains(digest.as_bytes())? && read_verified(&heads, &chunks, &digest)?.is_none())
        }
        Damage::Record(key) => {
            let records = change.table(Table::Actions)?;
            let row = records.get(key.as_bytes())?;
            Ok(row.is_some_and(|row| ActionRecord::decode_row(&key, &row).is_err()))
        }
    }
}

/// Removes the rows of blobs; says of each whether it was there.
pub(crate) fn remove_blobs(change: &Change<'_>, digests: &[Digest]) -> Result<Vec<bool>> {
    remove_payloads(change, Table::Blobs, digests.iter().map(Digest::as_bytes))
}

/// Removes the rows of actions: records, preimages, provenance, signatures, remembered checks.
/// Says of each whether it had a record.
pub(crate) fn remove_actions(change: &Change<'_>, keys: &[ActionKey]) -> Result<Vec<bool>> {
    let mut records = change.table(Table::Actions)?;
    let were_there = keys.iter().map(|key| records.remove(key.as_bytes())).collect::<Result<_>>()?;
    for table in [Table::Provenance, Table::Checks] {
        let mut rows = change.table(table)?;
        keys.iter().try_for_each(|key| rows.remove(key.as_bytes()).map(drop))?;
    }
    let mut signatures = change.table(Table::Signatures)?;
    for key in keys {
        let (first, last) = trust::rows_of(key);
        signatures.remove_range(&first[..]..=&last[..])?;
    }
    remove_payloads(change, Table::Preimages, keys.iter().map(ActionKey::as_bytes))?;
    Ok(were_there)
}

fn remove_payloads<'a>(
    change: &Change<'_>,
    heads: Table,
    owners: impl Iterator<Item = &'a Id>,
) -> Result<Vec<bool>> {
    let mut heads = change.table(heads)?;
    let mut chunks = change.table(Table::Chunks)?;
    let mut were_there = Vec::new();
    for owner in owners {
        let in_head = |row: &[u8]| payload::Head::read(row).is_some_and(|head| !head.is_chunked());
        let was_in_head = heads.take(owner, in_head)?;
        were_there.push(was_in_head.is_some());
        if was_in_head == Some(false) {
            let (first, last) = (payload::chunk_key(owner, 0), payload::chunk_key(owner, u32::MAX));
            chunks.remove_range(&first[..]..=&last[..])?;
        }
    }
    Ok(were_there)
}

/// Must be part of every change that deletes: what was complete before may not be any more.
pub(crate) fn count_deletion(change: &Change<'_>) -> Result<()> {
    let mut counters = change.table(Table::Counters)?;
    let next = deletions(&counters)?.wrapping_add(1);
    counters.insert(DELETIONS, &next.to_le_bytes())
}
