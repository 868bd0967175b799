//! The table of roots, and beside it what each was before.
//!
//! A damaged root is missed like anything else that is damaged, but never removed by itself: as long as it is
//! there, collection knows that it does not know all that is needed.

use crate::committer;
use crate::db::{Change, ReadRows, Table, View};
use crate::error::Result;
use crate::last_use;
use crate::lease::Leased;
use crate::options::Notice;
use crate::record::OutputKind;
use crate::root::{MAX_NAME_BYTES, Root, group_of};
use crate::store::Store;
use std::ops::RangeInclusive;

/// Ends after every name, even one that damage has made of the highest bytes.
pub(crate) const EVERY_NAME: RangeInclusive<&[u8]> = &[]..=&[0xff; MAX_NAME_BYTES + 1];

impl Store {
    /// The committed root of that name, with its group counted as used. With a session, what it leads to is leased. One
    /// that is damaged is noticed, and missing until it is set again.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn root(&self, name: &str) -> Result<Option<Root>> {
        let core = self.core();
        let Some(lease) = core.announce(&[Leased::group(group_of(name))])? else {
            return self.read_root(name);
        };
        loop {
            // Leased first, and then still what the root names: so nothing of it can be gone.
            let Some(root) = self.read_root(name)? else { return Ok(None) };
            let leased = Leased::Output(root.kind, root.target);
            if lease.holds(&leased) {
                return Ok(Some(root));
            }
            core.announce_in(&lease, &[leased, Leased::Output(OutputKind::Blob, root.target)])?;
        }
    }

    fn read_root(&self, name: &str) -> Result<Option<Root>> {
        let rows = self.core().db.view()?.table(Table::Roots)?;
        let Some(row) = rows.get(name.as_bytes())? else { return Ok(None) };
        let root = Root::decode(name, &row).ok();
        match root {
            Some(_) => self.core().last_use.now(group_of(name)),
            None => self.notice_damaged_root(name.to_owned()),
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
        let keys = keys(&change.table(Table::Roots)?, name)?;
        keys.iter().try_for_each(|key| remove(&change, key))?;
        if keys.is_empty() {
            return Ok(false);
        }
        change.commit()?;
        Ok(true)
    }

    /// What each root is and was, as far as it is kept: by name, the latest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn root_versions(&self) -> Result<Vec<RootVersion>> {
        let view = self.core().db.view()?;
        let mut versions = versions(&view)?;
        versions.sort_by(|a, b| (&a.name, a.back).cmp(&(&b.name, b.back)));
        Ok(versions)
    }
}

/// A root as it is or once was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootVersion {
    /// The name of the root.
    pub name: String,
    /// How many times it has been set to something else since.
    pub back: usize,
    /// What it names, since when.
    pub root: Root,
    /// When a root of its group was last used, in milliseconds since 1970-01-01 UTC, to the hour. For what a root once
    /// was: when it was set.
    pub last_use_unix_ms: u64,
}

/// Sets a root; what it was before goes to the history, unless that is the same.
pub(crate) fn set(change: &Change<'_>, name: &str, root: &Root) -> Result<()> {
    let mut rows = change.table(Table::Roots)?;
    let before = rows.get(name.as_bytes())?.and_then(|row| Root::decode(name, &row).ok());
    if let Some(before) = before.filter(|before| before.target != root.target) {
        change.table(Table::History)?.insert(&history_key(name, &before), &before.encode(name))?;
    }
    rows.insert(name.as_bytes(), &root.encode(name))?;
    last_use::note(change, group_of(name), root.updated_unix_ms)
}

/// Removes a root by its key, damaged or not, with its history.
pub(crate) fn remove(change: &Change<'_>, key: &[u8]) -> Result<()> {
    change.table(Table::Roots)?.remove(key)?;
    let start = [key, &[0]].concat();
    let end = [key, &[0], &[0xff; 40]].concat();
    change.table(Table::History)?.remove_range(&start[..]..=&end[..])
}

/// Removes a version of a root unless it has changed meanwhile; says whether it was there.
pub(crate) fn remove_version(change: &Change<'_>, version: &RootVersion) -> Result<bool> {
    let row = version.root.encode(&version.name);
    let (table, key) = match version.back {
        0 => (Table::Roots, version.name.clone().into_bytes()),
        _ => (Table::History, history_key(&version.name, &version.root)),
    };
    let mut rows = change.table(table)?;
    let same = rows.get(&key)?.is_some_and(|found| *found == *row);
    if same {
        rows.remove(&key)?;
    }
    Ok(same)
}

/// Names have no control characters, so all versions of a root follow one another, the oldest first.
fn history_key(name: &str, root: &Root) -> Vec<u8> {
    [name.as_bytes(), &[0], &root.updated_unix_ms.to_be_bytes(), root.target.as_bytes()].concat()
}

/// Every version of every root that can be read.
pub(crate) fn versions(view: &View<'_>) -> Result<Vec<RootVersion>> {
    let last_use = last_use::all(view)?;
    let mut versions = Vec::new();
    for (name, root) in all(&view.table(Table::Roots)?)? {
        let Some(root) = root else { continue };
        let last_use_unix_ms = last_use.get(group_of(&name)).copied().unwrap_or(root.updated_unix_ms);
        versions.push(RootVersion { name, back: 0, root, last_use_unix_ms });
    }
    let first_old = versions.len();
    each(&view.table(Table::History)?, &mut |name, root| {
        // What is damaged stands for nothing that is still needed.
        if let Some(root) = root {
            let last_use_unix_ms = root.updated_unix_ms;
            versions.push(RootVersion { name: name.to_owned(), back: 1, root, last_use_unix_ms });
        }
        Ok(())
    })?;
    // Within a name from the latest to the oldest.
    let old = &mut versions[first_old..];
    old.reverse();
    for i in 1..old.len() {
        if old[i].name == old[i - 1].name {
            old[i].back = old[i - 1].back + 1;
        }
    }
    Ok(versions)
}

/// All roots, by name; `None` for one that cannot be read.
pub(crate) fn all(rows: &impl ReadRows) -> Result<Vec<(String, Option<Root>)>> {
    let mut roots = Vec::new();
    each(rows, &mut |name, root| {
        roots.push((name.to_owned(), root));
        Ok(())
    })?;
    Ok(roots)
}

/// Shows every root of a table, of the roots or of their history; `None` for one that cannot be read.
pub(crate) fn each(
    rows: &impl ReadRows,
    visit: &mut dyn FnMut(&str, Option<Root>) -> Result<()>,
) -> Result<()> {
    rows.scan(EVERY_NAME, &mut |key, row| {
        // In the history a zero and more follow the name.
        let name = key.split(|byte| *byte == 0).next().unwrap_or_default();
        let root = str::from_utf8(name).ok().and_then(|name| Root::decode(name, row).ok());
        visit(&shown(name), root)?;
        Ok(true)
    })
}

/// The keys of the rows that [`all`] lists under this name: one, or those that damage has made look alike.
fn keys(rows: &impl ReadRows, name: &str) -> Result<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    rows.scan(EVERY_NAME, &mut |key, _| {
        if shown(key) == name {
            keys.push(key.to_vec());
        }
        Ok(true)
    })?;
    Ok(keys)
}

/// A name as far as it can be shown.
fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
