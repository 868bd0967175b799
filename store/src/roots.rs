//! The table of roots: reading it, and taking roots out of it.
//!
//! A damaged root is missed like anything else that is damaged, but never removed by itself: as long as it is
//! there, collection knows that it does not know all that is needed.

use crate::committer;
use crate::db::{ReadRows, Table};
use crate::error::Result;
use crate::options::Notice;
use crate::root::{MAX_NAME_BYTES, Root};
use crate::store::Store;

/// Comes after every name, even one that damage has made of the highest bytes.
const AFTER_NAMES: &[u8] = &[0xff; MAX_NAME_BYTES + 1];

impl Store {
    /// The committed root of that name. One that is damaged is noticed, and missing until it is set again.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn root(&self, name: &str) -> Result<Option<Root>> {
        let rows = self.core().db.view()?.table(Table::Roots)?;
        let Some(row) = rows.get(name.as_bytes())? else { return Ok(None) };
        let root = Root::decode(name, &row).ok();
        if root.is_none() {
            self.notice_damaged_root(name.to_owned());
        }
        Ok(root)
    }

    /// All committed roots, by name. Those that are damaged are noticed and left out; as long as there is one,
    /// nothing is collected.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn roots(&self) -> Result<Vec<(String, Root)>> {
        let rows = self.core().db.view()?.table(Table::Roots)?;
        let mut roots = Vec::new();
        for (name, root) in all(&rows)? {
            match root {
                Some(root) => roots.push((name, root)),
                None => self.notice_damaged_root(name),
            }
        }
        Ok(roots)
    }

    fn notice_damaged_root(&self, name: String) {
        (self.core().options.on_notice)(&Notice::CorruptRoot(name));
    }

    /// Removes a root, damaged or not, once everything published before is committed; says whether there was one.
    /// What it needed stays until the next collection.
    ///
    /// # Errors
    /// The file cannot be written, or an earlier commit failed.
    pub fn remove_root(&self, name: &str) -> Result<bool> {
        self.check_writable()?;
        self.flush()?;
        let change = committer::begin(self.core())?;
        let mut rows = change.table(Table::Roots)?;
        let keys = keys(&rows, name)?;
        for key in &keys {
            rows.remove(key)?;
        }
        drop(rows);
        if keys.is_empty() {
            return Ok(false);
        }
        change.commit()?;
        Ok(true)
    }
}

/// All roots, by name; `None` for one that cannot be read.
pub(crate) fn all(rows: &impl ReadRows) -> Result<Vec<(String, Option<Root>)>> {
    let mut roots = Vec::new();
    for_each_row(rows, &mut |key, row| match str::from_utf8(key) {
        Ok(name) => roots.push((name.to_owned(), Root::decode(name, row).ok())),
        Err(_) => roots.push((shown(key), None)),
    })?;
    Ok(roots)
}

/// The keys of the rows that [`all`] lists under this name: one, or those that damage has made look alike.
fn keys(rows: &impl ReadRows, name: &str) -> Result<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    for_each_row(rows, &mut |key, _| {
        if shown(key) == name {
            keys.push(key.to_vec());
        }
    })?;
    Ok(keys)
}

fn for_each_row(rows: &impl ReadRows, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
    rows.scan(&[][..]..=AFTER_NAMES, &mut |key, row| {
        visit(key, row);
        Ok(true)
    })
}

/// A name as far as it can be shown.
fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
