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

/// Removes the rows of blobs, which are in ascending order; says of each whether it was there.
pub(crate) fn remove_blobs(change: &Change<'_>, digests: &[Digest]) -> Result<Vec<bool>> {
    remove_payloads(change, Table::Blobs, &digests.iter().map(Digest::as_bytes).collect::<Vec<_>>())
}

/// Removes the rows of actions, which are in ascending order: records, preimages, provenance, signatures, remembered checks.
/// Says of each whether it had a record.
pub(crate) fn remove_actions(change: &Change<'_>, keys: &[ActionKey]) -> Result<Vec<bool>> {
    let keys: Vec<&Id> = keys.iter().map(ActionKey::as_bytes).collect();
    let mut were_there = vec![false; keys.len()];
    remove_rows(change, Table::Actions, &keys, |place, _| were_there[place] = true)?;
    for table in [Table::Provenance, Table::Checks, Table::Signatures] {
        remove_rows(change, table, &keys, |_, _| ())?;
    }
    remove_payloads(change, Table::Preimages, &keys)?;
    Ok(were_there)
}

fn remove_payloads(change: &Change<'_>, heads: Table, owners: &[&Id]) -> Result<Vec<bool>> {
    let mut were_there = vec![false; owners.len()];
    let mut chunked = Vec::new();
    remove_rows(change, heads, owners, |place, row| {
        were_there[place] = true;
        // What cannot be read may have any.
        if payload::Head::read(row).is_none_or(|head| head.is_chunked()) {
            chunked.push(owners[place]);
        }
    })?;
    let mut chunks = change.table(Table::Chunks)?;
    for owner in chunked {
        let (first, last) = (payload::chunk_key(owner, 0), payload::chunk_key(owner, u32::MAX));
        chunks.remove_range(&first[..]..=&last[..])?;
    }
    Ok(were_there)
}

/// Removes the rows whose keys begin with one of these names, which are in ascending order, with a last look at each: which
/// name, and the row. Goes through all rows between the first and the last name once, because a page that loses many rows is
/// written once then.
fn remove_rows(
    change: &Change<'_>,
    table: Table,
    names: &[&Id],
    mut look: impl FnMut(usize, &[u8]),
) -> Result<()> {
    debug_assert!(names.is_sorted());
    let ([first, ..], [.., last]) = (names, names) else { return Ok(()) };
    let last = [&last[..], &[u8::MAX; 32]].concat();
    let mut place = 0;
    change.table(table)?.remove_where(&first[..]..=&last[..], |key, row| {
        while names.get(place).is_some_and(|name| name[..] < *key && !key.starts_with(&name[..])) {
            place += 1;
        }
        let is_one = names.get(place).is_some_and(|name| key.starts_with(&name[..]));
        if is_one {
            look(place, row);
        }
        is_one
    })
}

/// Must be part of every change that deletes: what was complete before may not be any more.
pub(crate) fn count_deletion(change: &Change<'_>) -> Result<()> {
    let mut counters = change.table(Table::Counters)?;
    let next = deletions(&counters)?.wrapping_add(1);
    counters.insert(DELETIONS, &next.to_le_bytes())
}
