//! Collection: mark from the roots, sweep the rest.
//!
//! The plan is a value: `Plan` shows it, `Execute` shows it and deletes exactly what it names. Nobody relies on
//! anything meanwhile, because collection holds the activity lock that every build shares. When it cannot be told
//! what is needed, nothing is dead.

use crate::committer;
use crate::db::{Change, ReadRows, Table, View};
use crate::digest::{ActionKey, Digest, HexPrefix};
use crate::error::{Error, Result};
use crate::hit::Damage;
use crate::mark::{Unreadable, mark};
use crate::payload::Head;
use crate::quarantine::{self, count_deletion, remove_actions, remove_blobs};
use crate::roots;
use crate::store::Core;
use std::collections::HashSet;

/// A deleting change ends after so many blobs or actions, so that others can write in between.
const DELETIONS_PER_CHANGE: usize = 10_000;

/// Whether a collection only says what it would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GcMode {
    /// Delete nothing.
    Plan,
    /// Delete what the plan says.
    Execute,
}

/// How many, and how many bytes they take in the store (compressed, without the file's own overhead).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Their stored bytes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// What a collection keeps and removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Roots that it started from, readable or not.
    pub roots: u64,
    /// Blobs that a root needs.
    pub live_blobs: Amount,
    /// Actions that a root needs; their bytes are those of record, preimage and provenance.
    pub live_actions: Amount,
    /// Blobs that no root needs.
    pub dead_blobs: Vec<Digest>,
    /// Their amount.
    pub dead_blobs_amount: Amount,
    /// Actions that no root needs.
    pub dead_actions: Vec<ActionKey>,
    /// Their amount.
    pub dead_actions_amount: Amount,
    /// Blobs that a root needs, that nothing lies behind, and that are missing; they will be made again when
    /// needed.
    pub broken: u64,
    /// What hides from collection what else is needed. Unless this is empty nothing counts as dead, and
    /// [`GcMode::Execute`] refuses; it is to be made again first.
    pub unreadable: Vec<Unreadable>,
    /// Whether the dead have been removed. Their space in the file is used again; the file does not shrink.
    pub executed: bool,
}

/// Plans, and executes what was planned. The caller holds the activity lock and has nothing queued.
pub(crate) fn run(core: &Core, mode: GcMode) -> Result<GcReport> {
    let mut report = plan(&core.db.view()?).map_err(|e| e.at(core.db.path()))?;
    if mode == GcMode::Execute {
        if report.broken > 0 || !report.unreadable.is_empty() {
            // Looks that are remembered from before would hide from the next build what it has to make again.
            delete(core, |_| Ok(()))?;
        }
        refuse_unreadable(core, &report.unreadable)?;
        sweep(core, &report)?;
        report.executed = true;
    }
    Ok(report)
}

fn plan(view: &View<'_>) -> Result<GcReport> {
    let roots = roots::all(&view.table(Table::Roots)?)?;
    let needed = mark(view, &roots)?;
    let mut report = GcReport { roots: roots.len() as u64, broken: needed.missing, ..GcReport::default() };
    sort_blobs(&view.table(Table::Blobs)?, &needed.blobs, &mut report)?;
    sort_actions(view, &needed.actions, &mut report)?;
    if !needed.unreadable.is_empty() {
        // Whatever was not found may be needed all the same.
        (report.dead_blobs, report.dead_blobs_amount) = Default::default();
        (report.dead_actions, report.dead_actions_amount) = Default::default();
        report.unreadable = needed.unreadable;
    }
    Ok(report)
}

/// An error when something is unreadable. What is damaged is removed, so that it is missed and made again: bytes
/// that are there are not written a second time.
fn refuse_unreadable(core: &Core, unreadable: &[Unreadable]) -> Result<()> {
    let Some(first) = unreadable.first() else { return Ok(()) };
    for part in unreadable {
        match part {
            Unreadable::Root(_) => {}
            Unreadable::List { digest, .. } => quarantine::remove(core, Damage::Blob(*digest))?,
            Unreadable::Record { key, .. } => quarantine::remove(core, Damage::Record(*key))?,
        }
    }
    let more = match unreadable.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more like it)"),
    };
    let message = format!("{first}{more}: what else is needed is not known, so nothing was collected");
    let hint = format!("build again what the root `{}` stands for, then collect again", first.root());
    Err(Error::corrupt(message).at(core.db.path()).hint(hint))
}

fn sort_blobs(heads: &impl ReadRows, live: &HashSet<Digest>, report: &mut GcReport) -> Result<()> {
    heads.scan(every_key(), &mut |key, row| {
        let Ok(id) = <[u8; 32]>::try_from(key) else { return Ok(true) };
        let digest = Digest::from_bytes(id);
        let bytes = Head::read(row).map_or(row.len() as u64, |head| head.stored_len);
        if live.contains(&digest) {
            report.live_blobs.add(bytes);
        } else {
            report.dead_blobs_amount.add(bytes);
            report.dead_blobs.push(digest);
        }
        Ok(true)
    })
}

fn sort_actions(view: &View<'_>, live: &HashSet<ActionKey>, report: &mut GcReport) -> Result<()> {
    let (preimages, provenance) = (view.table(Table::Preimages)?, view.table(Table::Provenance)?);
    view.table(Table::Actions)?.scan(every_key(), &mut |key, row| {
        let Ok(id) = <[u8; 32]>::try_from(key) else { return Ok(true) };
        let action = ActionKey::from_bytes(id);
        let preimage = preimages.get(key)?;
        let preimage = preimage.as_deref().and_then(Head::read).map_or(0, |head| head.stored_len);
        let beside = provenance.get(key)?.map_or(0, |row| row.len());
        let bytes = (row.len() + beside) as u64 + preimage;
        if live.contains(&action) {
            report.live_actions.add(bytes);
        } else {
            report.dead_actions_amount.add(bytes);
            report.dead_actions.push(action);
        }
        Ok(true)
    })
}

/// The keys of a table whose keys are names of 32 bytes.
pub(crate) fn every_key() -> std::ops::RangeInclusive<&'static [u8]> {
    const ALL: HexPrefix = HexPrefix::ALL;
    &ALL.first[..]..=&ALL.last[..]
}

/// Deletes what a plan names. Actions go first, so that no record ever names what has been deleted on purpose.
fn sweep(core: &Core, plan: &GcReport) -> Result<()> {
    for keys in plan.dead_actions.chunks(DELETIONS_PER_CHANGE) {
        delete(core, |change| remove_actions(change, keys))?;
    }
    for digests in plan.dead_blobs.chunks(DELETIONS_PER_CHANGE) {
        delete(core, |change| remove_blobs(change, digests))?;
    }
    Ok(())
}

fn delete(core: &Core, remove: impl FnOnce(&Change<'_>) -> Result<()>) -> Result<()> {
    let change = committer::begin(core)?;
    remove(&change)?;
    count_deletion(&change)?;
    change.commit()
}
