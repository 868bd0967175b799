//! When roots were last used: remembered while the store is open, written when it is closed, and only when what is
//! written is an hour old. Nobody waits for it, and nothing but the choice of what to give up first depends on it.

use crate::db::{Change, ReadRows, Table, View};
use crate::error::Result;
use crate::root::unix_ms_now;
use crate::roots::EVERY_NAME;
use crate::store::Core;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// Uses within this time are written once.
const COARSE_MS: u64 = 3_600_000;

/// Groups of roots that this process has used.
#[derive(Debug, Default)]
pub(crate) struct LastUse(Mutex<BTreeSet<String>>);

impl LastUse {
    /// A group is used now.
    pub(crate) fn now(&self, group: &str) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.contains(group) {
            used.insert(group.to_owned());
        }
    }

    /// Writes down what was used, if that is news and nobody else is writing. A failure costs nothing but the news.
    pub(crate) fn write(&self, core: &Core) {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.is_empty() && !core.options.read_only {
            let _ = write(core, &used, unix_ms_now());
        }
    }
}

fn write(core: &Core, used: &BTreeSet<String>, now: u64) -> Result<()> {
    let known = core.db.view()?.table(Table::LastUse)?;
    let mut news = Vec::new();
    for group in used {
        if time(&known, group)?.saturating_add(COARSE_MS) <= now {
            news.push(group);
        }
    }
    drop(known);
    if news.is_empty() {
        return Ok(());
    }
    let Some(change) = core.db.try_begin()? else { return Ok(()) };
    news.iter().try_for_each(|group| note(&change, group, now))?;
    change.commit()
}

/// Notes that a group was used, unless it has been used later.
pub(crate) fn note(change: &Change<'_>, group: &str, unix_ms: u64) -> Result<()> {
    let mut rows = change.table(Table::LastUse)?;
    if time(&rows, group)? >= unix_ms {
        return Ok(());
    }
    rows.insert(group.as_bytes(), &unix_ms.to_le_bytes())
}

fn time(rows: &impl ReadRows, group: &str) -> Result<u64> {
    Ok(rows.get(group.as_bytes())?.map_or(0, |row| number(&row)))
}

fn number(row: &[u8]) -> u64 {
    row.try_into().map_or(0, u64::from_le_bytes)
}

/// When each group was last used.
pub(crate) fn all(view: &View<'_>) -> Result<HashMap<String, u64>> {
    let mut all = HashMap::new();
    view.table(Table::LastUse)?.scan(EVERY_NAME, &mut |key, row| {
        if let Ok(group) = str::from_utf8(key) {
            all.insert(group.to_owned(), number(row));
        }
        Ok(true)
    })?;
    Ok(all)
}

/// Forgets a group that has no roots any more.
pub(crate) fn forget(change: &Change<'_>, group: &str) -> Result<()> {
    change.table(Table::LastUse)?.remove(group.as_bytes()).map(drop)
}
