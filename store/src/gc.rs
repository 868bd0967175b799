//! Collection: mark from the roots, sweep the rest.
//!
//! The plan is a value: `Plan` shows it, `Execute` shows it and deletes exactly what it names. Nobody relies on
//! anything meanwhile, because collection holds the activity lock that every build shares.

use crate::closure::Closure;
use crate::committer;
use crate::db::{Change, ReadRows, Table, View};
use crate::digest::{ActionKey, Digest, HexPrefix};
use crate::error::{Error, Result};
use crate::hit::read_verified;
use crate::payload::Head;
use crate::quarantine::{count_deletion, remove_actions, remove_blobs};
use crate::record::{ActionRecord, OutputKind};
use crate::root::Root;
use crate::store::Core;
use crate::tree::Tree;
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
    /// Roots that it started from.
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
    /// Blobs and records that a root needs and that are missing or damaged; they will be made again when needed.
    pub broken: u64,
    /// Whether the dead have been removed. Their space in the file is used again; the file does not shrink.
    pub executed: bool,
}

/// All roots, by name.
pub(crate) fn roots(view: &View<'_>) -> Result<Vec<(String, Root)>> {
    let mut roots = Vec::new();
    let table = view.table(Table::Roots)?;
    table.scan(&[][..]..=&[0xff][..], &mut |name, row| {
        let damaged = || Error::corrupt("a root is damaged").hint("restore the store from a copy");
        let name = String::from_utf8(name.to_vec()).map_err(|_| damaged())?;
        let root = Root::decode(row).map_err(|_| damaged())?;
        roots.push((name, root));
        Ok(true)
    })?;
    Ok(roots)
}

/// Plans, and executes what was planned. The caller holds the activity lock and has nothing queued.
pub(crate) fn run(core: &Core, mode: GcMode) -> Result<GcReport> {
    let mut report = plan(&core.db.view()?).map_err(|e| e.at(core.db.path()))?;
    if mode == GcMode::Execute {
        sweep(core, &report)?;
        report.executed = true;
    }
    Ok(report)
}

fn plan(view: &View<'_>) -> Result<GcReport> {
    let roots = roots(view)?;
    let (heads, chunks) = (view.table(Table::Blobs)?, view.table(Table::Chunks)?);
    let records = view.table(Table::Actions)?;
    let mut mark = Mark {
        heads: &heads,
        chunks: &chunks,
        records: &records,
        blobs: HashSet::new(),
        actions: HashSet::new(),
        to_read: Vec::new(),
        broken: 0,
    };
    for (_, root) in &roots {
        mark.output(root.kind, root.target)?;
    }
    mark.follow()?;
    let Mark { blobs, actions, broken, .. } = mark;
    let mut report = GcReport { roots: roots.len() as u64, broken, ..GcReport::default() };
    sort_blobs(&heads, &blobs, &mut report)?;
    sort_actions(view, &actions, &mut report)?;
    Ok(report)
}

/// What roots need, found by following references. A list instead of recursion, as references may be deep.
struct Mark<'a, R> {
    heads: &'a R,
    chunks: &'a R,
    records: &'a R,
    blobs: HashSet<Digest>,
    actions: HashSet<ActionKey>,
    to_read: Vec<(OutputKind, Digest)>,
    broken: u64,
}

impl<R: ReadRows> Mark<'_, R> {
    fn output(&mut self, kind: OutputKind, digest: Digest) -> Result<()> {
        if kind == OutputKind::Blob {
            return self.blob(digest);
        }
        // Also when the blob is known already: it may have been met as plain bytes first.
        self.to_read.push((kind, digest));
        Ok(())
    }

    fn blob(&mut self, digest: Digest) -> Result<()> {
        if self.blobs.insert(digest) && !self.heads.contains(digest.as_bytes())? {
            self.broken += 1;
        }
        Ok(())
    }

    fn follow(&mut self) -> Result<()> {
        let mut read = HashSet::new();
        while let Some((kind, digest)) = self.to_read.pop() {
            if read.insert((kind, digest)) {
                self.blob(digest)?;
                self.listed(kind, &digest)?;
            }
        }
        Ok(())
    }

    fn listed(&mut self, kind: OutputKind, digest: &Digest) -> Result<()> {
        let Some(bytes) = read_verified(self.heads, self.chunks, digest)? else {
            // Counted already when it is missing; counted here when it is damaged.
            self.broken += u64::from(self.heads.contains(digest.as_bytes())?);
            return Ok(());
        };
        match kind {
            OutputKind::Blob => Ok(()),
            OutputKind::Tree => match Tree::decode(&bytes) {
                Ok(tree) => tree.entries().iter().try_for_each(|entry| self.blob(entry.digest)),
                Err(_) => self.wrong_kind(),
            },
            OutputKind::Closure => match Closure::decode(&bytes) {
                Ok(closure) => {
                    closure.blobs().iter().try_for_each(|digest| self.blob(*digest))?;
                    closure.actions().iter().try_for_each(|key| self.action(key))
                }
                Err(_) => self.wrong_kind(),
            },
        }
    }

    fn wrong_kind(&mut self) -> Result<()> {
        self.broken += 1;
        Ok(())
    }

    fn action(&mut self, key: &ActionKey) -> Result<()> {
        if !self.actions.insert(*key) {
            return Ok(());
        }
        match self.records.get(key.as_bytes())?.and_then(|row| ActionRecord::decode(&row).ok()) {
            Some(record) => {
                record.outputs.values().try_for_each(|output| self.output(output.kind, output.digest))
            }
            None => self.wrong_kind(),
        }
    }
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
