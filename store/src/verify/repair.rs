//! Repair: what is damaged is moved aside, so that it is missed and made again.
//!
//! Everything is looked at again inside the change that removes it: somebody may have made it whole meanwhile. Nothing
//! that is still right goes, and what cannot be told is left alone.

use super::finding::Finding;
use crate::arrivals;
use crate::committer;
use crate::db::{Change, ReadRows, Table};
use crate::digest::{ActionKey, Digest, Id};
use crate::error::{Error, Result};
use crate::hit::read_verified;
use crate::payload;
use crate::quarantine::{count_deletion, remove_actions, remove_blobs};
use crate::record::{ActionRecord, Provenance};
use crate::sharing;
use crate::store::{Core, Store};
use std::fs;
use std::path::{Path, PathBuf};

/// Where bytes go that are not what they should be.
pub(crate) const ASIDE: &str = "quarantine";

/// What a repair has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// Damaged rows as they were found, one file each: nothing in the store refers to them, and they may be deleted.
    pub moved_aside: Vec<PathBuf>,
    /// What was removed from the store, and is missing now, to be made again.
    pub removed: Vec<Finding>,
    /// What this cannot mend: what is missing, roots, and a file that cannot be read.
    pub left: Vec<Finding>,
}

impl Store {
    /// Moves what was found damaged to the directory `quarantine` of the store, and removes what belongs to nothing. What
    /// somebody has made whole meanwhile stays.
    ///
    /// # Errors
    /// The store is open for reading only; it cannot be written.
    pub fn repair(&self, findings: &[Finding]) -> Result<Repair> {
        self.check_writable()?;
        let mut repair = Repair::default();
        for finding in findings {
            mend(self.core(), finding, &mut repair)?;
        }
        Ok(repair)
    }
}

fn mend(core: &Core, finding: &Finding, repair: &mut Repair) -> Result<()> {
    let change = committer::begin(core)?;
    let removed = match finding {
        Finding::Blob(digest) => blob(core, &change, digest, repair)?,
        Finding::Record(key) | Finding::Preimage(key) => action(core, &change, key, repair)?,
        Finding::StrayChunks(owner) => stray(&change, owner.as_bytes())?,
        Finding::Provenance(key) => provenance(&change, key)?,
        Finding::Arrival(number) => arrivals::mend(&change, *number)?,
        Finding::Root(_) | Finding::Table(..) | Finding::Missing(..) | Finding::NoList(..) => {
            repair.left.push(finding.clone());
            return Ok(());
        }
    };
    if removed {
        count_deletion(&change)?;
        change.commit()?;
        repair.removed.push(finding.clone());
    }
    Ok(())
}

fn blob(core: &Core, change: &Change<'_>, digest: &Digest, repair: &mut Repair) -> Result<bool> {
    {
        let (heads, chunks) = (change.table(Table::Blobs)?, change.table(Table::Chunks)?);
        let Some(head) = heads.get(digest.as_bytes())? else { return Ok(false) };
        if read_verified(&heads, &chunks, digest)?.is_some() {
            return Ok(false);
        }
        let mut bytes = head.to_vec();
        payload::for_each_chunk(digest.as_bytes(), &chunks, &mut |chunk| bytes.extend_from_slice(chunk))?;
        move_aside(core, &format!("{digest}.blob"), &bytes, repair)?;
    }
    Ok(remove_blobs(change, &[*digest])?[0])
}

/// A record that is damaged, or of which nothing tells what it is the result of.
fn action(core: &Core, change: &Change<'_>, key: &ActionKey, repair: &mut Repair) -> Result<bool> {
    {
        let (records, preimages) = (change.table(Table::Actions)?, change.table(Table::Preimages)?);
        let Some(row) = records.get(key.as_bytes())? else { return Ok(false) };
        let preimage = match preimages.get(key.as_bytes())? {
            Some(head) => payload::read(&head, key.as_bytes(), &change.table(Table::Chunks)?)?,
            None => None,
        };
        let is_described = preimage.is_some_and(|bytes| ActionKey::of_preimage(&bytes) == *key);
        if is_described && ActionRecord::decode_row(key, &row).is_ok() {
            return Ok(false);
        }
        move_aside(core, &format!("{key}.record"), &row, repair)?;
    }
    Ok(remove_actions(change, &[*key])?[0])
}

fn stray(change: &Change<'_>, owner: &Id) -> Result<bool> {
    let is_owned = |table| change.table(table)?.contains(owner);
    if is_owned(Table::Blobs)? || is_owned(Table::Preimages)? {
        return Ok(false);
    }
    let (first, last) = (payload::chunk_key(owner, 0), payload::chunk_key(owner, u32::MAX));
    change.table(Table::Chunks)?.remove_range(&first[..]..=&last[..])?;
    Ok(true)
}

fn provenance(change: &Change<'_>, key: &ActionKey) -> Result<bool> {
    let mut rows = change.table(Table::Provenance)?;
    let is_damaged = rows.get(key.as_bytes())?.is_some_and(|row| Provenance::decode(&row).is_err());
    Ok(is_damaged && rows.remove(key.as_bytes())?)
}

fn move_aside(core: &Core, name: &str, bytes: &[u8], repair: &mut Repair) -> Result<()> {
    let path = aside(core.directory())?.join(name);
    fs::write(&path, bytes).map_err(|e| Error::io("write the file", &path, &e))?;
    sharing::as_its_directory(&path);
    repair.moved_aside.push(path);
    Ok(())
}

/// The directory for what is moved aside, which is made if there is none.
pub(crate) fn aside(store: &Path) -> Result<PathBuf> {
    let directory = store.join(ASIDE);
    fs::create_dir_all(&directory).map_err(|e| Error::io("create the directory", &directory, &e))?;
    sharing::as_its_directory(&directory);
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use crate::db::{ReadRows, Table};
    use crate::verify::{Depth, Finding};
    use crate::{Blob, GcPolicy, Options, Publication, Store};

    #[test]
    fn arrivals_that_are_damaged_or_still_to_come_are_named_and_mended() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), &Options::default()).unwrap();
        let publish = |n: u8| {
            store
                .publish(Publication { blobs: vec![Blob::new([n])], ..Publication::default() })
                .wait()
                .unwrap()
        };
        publish(0);
        let change = store.core().db.try_begin().unwrap().unwrap();
        {
            let mut rows = change.table(Table::Arrivals).unwrap();
            let row = rows.get(&0u64.to_be_bytes()).unwrap().unwrap().to_vec();
            rows.insert(&7u64.to_be_bytes(), &row).unwrap();
            rows.insert(&9u64.to_be_bytes(), b"damaged").unwrap();
            rows.insert(&u64::MAX.to_be_bytes(), &row).unwrap();
        }
        change.commit().unwrap();
        let found = store.verify(Depth::Quick).unwrap();
        assert_eq!(found.findings, [7, 9, u64::MAX].map(Finding::Arrival));
        assert_eq!((found.code(), store.repair(&found.findings).unwrap().removed), (1, found.findings));
        assert_eq!(store.verify(Depth::Full).unwrap().findings, []);
        publish(1);
        assert_eq!(store.verify(Depth::Full).unwrap().findings, []);
        let plan = store.plan_collection(&GcPolicy::default()).unwrap();
        assert_eq!(store.collect(plan).unwrap().removed.blobs.count, 0, "both are young");
    }
}
