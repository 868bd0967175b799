//! Deleting what a plan calls dead, in short changes, while others go on reading, building and publishing.
//!
//! Each change is made like this:
//! 1. begin the change: nobody commits from here on;
//! 2. shut the gate: nobody extends a lease from here on;
//! 3. mark what is leased, rooted or written since it was last looked, as it is in this change;
//! 4. delete what is still unmarked, for a bounded time;
//! 5. commit, and only then open the gate: whoever passes it next sees what is gone.
//!
//! Of a process that dies within its commit that may be known only when the next change begins. So the gate is marked while
//! the commit is made, and whoever finds the mark there begins a change before looking: see [`crate::lease::Lease::announce`].
//!
//! The tests of [`crate::lease`] try every order of events, and lose content when any of it is done otherwise.

use super::amount::Content;
use super::mark::{Keeper, Source};
use super::plan::{GcPlan, State, groups, keeper_of, mark_leased};
use super::policy::GcPolicy;
use super::unreadable::Unreadable;
use crate::arrivals;
use crate::committer;
use crate::db::{Change, ReadRows, Table};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::hit::Damage;
use crate::last_use;
use crate::locks::{Held, Patience};
use crate::quarantine::{self, count_deletion, remove_actions, remove_blobs};
use crate::root::{group_of, unix_ms_now};
use crate::roots;
use crate::store::Core;
use crate::tally;
use std::path::Path;
use std::time::{Duration, Instant};

/// A deleting change goes on for so long before it is committed. Hits and commits of others wait for it.
const CHANGE_TIME: Duration = Duration::from_millis(50);

/// When nobody builds: only who begins to meanwhile waits.
const UNDISTURBED_CHANGE_TIME: Duration = Duration::from_millis(250);

/// After so many names, dead or not, it is looked how late it is.
const STRIDE: u32 = 1024;

/// While others build they get so long between two changes; waiting, they try again every 20 ms.
const PAUSE: Duration = Duration::from_millis(30);

/// What a collection has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// What was removed. Its space in the file is used again; the file does not shrink: see
    /// [`crate::Store::compact`].
    pub removed: Content,
    /// What the plan called dead and somebody needed meanwhile.
    pub spared: Content,
    /// Versions of roots that were removed.
    pub given_up: u64,
    /// Leases of processes that have died that were removed.
    pub dead_leases: u64,
    /// In how many changes.
    pub changes: u64,
    /// How long the longest of them took, commit included: so long others may have waited.
    pub longest_change: Duration,
}

impl GcReport {
    /// Whether so much of a file of this size (see [`crate::Stats::file_bytes`]) has become free that rewriting it pays:
    /// a quarter, and 64 MiB.
    pub fn is_worth_compacting(&self, file_bytes: u64) -> bool {
        let freed = self.removed.bytes();
        freed >= 64 << 20 && freed >= file_bytes / 4
    }
}

/// Executes a plan.
pub(super) fn execute(core: &Core, plan: GcPlan) -> Result<GcReport> {
    let _collecting = core.locks.collection(&core.options)?;
    // Nothing depends on it, and a disk that is full must not keep room from being made.
    drop(tally::fold(core));
    if plan.missing > 0 || !plan.unreadable.is_empty() {
        // Looks that are remembered from before would hide from the next build what it has to make again.
        let change = committer::begin(core)?;
        count_deletion(&change)?;
        change.commit()?;
    }
    refuse_unreadable(core, &plan.unreadable)?;
    let dead_leases = remove_dead_leases(core, &plan.state)?;
    let report = GcReport { dead_leases, ..GcReport::default() };
    let mut sweep = Sweep { core, plan, report, next_action: 0, next_blob: 0 };
    sweep.run()?;
    Ok(sweep.report)
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
    Err(unreadable_error(core, first, unreadable.len()))
}

fn unreadable_error(core: &Core, first: &Unreadable, count: usize) -> Error {
    let more = match count - 1 {
        0 => String::new(),
        more => format!(" (and {more} more like it)"),
    };
    let message = format!("{first}{more}: what else is needed is not known, so nothing was collected");
    let hint = format!("{}, then collect again", first.remedy());
    Error::corrupt(message).at(core.db.path()).hint(hint)
}

fn remove_dead_leases(core: &Core, state: &State) -> Result<u64> {
    let gate = core.locks.gate();
    let mut patience = Patience::new("builds to go on", &core.options);
    loop {
        if let Some(_shut) = Held::try_take(&gate)? {
            return state.leases.remove_dead();
        }
        patience.wait(&gate)?;
    }
}

struct Sweep<'a> {
    core: &'a Core,
    plan: GcPlan,
    report: GcReport,
    /// What comes before is removed or needed.
    next_action: u32,
    next_blob: u32,
}

impl Sweep<'_> {
    /// One change at least: what is no longer worth knowing goes too.
    fn run(&mut self) -> Result<()> {
        loop {
            // Most of what is new is looked at here, where nobody waits for it.
            self.mark_committed()?;
            self.change()?;
            self.skip_live();
            let State { graph, leases, .. } = &self.plan.state;
            if self.next_action as usize == graph.actions.len()
                && self.next_blob as usize == graph.blobs.len()
            {
                break;
            }
            if leases.has_living()? {
                std::thread::sleep(PAUSE);
            }
        }
        // Marks are only ever added.
        self.report.spared = self.plan.state.mark.marked.minus(self.plan.live);
        Ok(())
    }

    fn mark_committed(&mut self) -> Result<()> {
        let view = self.core.db.view()?;
        let source = Source {
            heads: view.table(Table::Blobs)?,
            chunks: view.table(Table::Chunks)?,
            records: view.table(Table::Actions)?,
        };
        self.mark_new(&source, &view.table(Table::Arrivals)?, &view.table(Table::Counters)?)
    }

    /// Goes on to what is dead next.
    fn skip_live(&mut self) {
        let State { graph, mark, .. } = &self.plan.state;
        while (self.next_action as usize) < graph.actions.len() && mark.action(self.next_action).is_some() {
            self.next_action += 1;
        }
        while (self.next_blob as usize) < graph.blobs.len() && mark.blob(self.next_blob).is_some() {
            self.next_blob += 1;
        }
    }

    /// One deleting change: see the steps above.
    fn change(&mut self) -> Result<()> {
        let core = self.core;
        let (change, gate) = begin_alone(core)?;
        #[cfg(test)]
        crate::halt::at("nobody else commits or leases");
        let began = Instant::now();
        self.mark_now(&change)?;
        if !self.plan.state.mark.unreadable.is_empty() {
            let unreadable = &self.plan.state.mark.unreadable;
            return Err(unreadable_error(core, &unreadable[0], unreadable.len()));
        }
        let before = self.report.removed;
        self.delete(&change, began)?;
        if self.report.removed != before {
            count_deletion(&change)?;
        }
        #[cfg(test)]
        {
            crate::halt::at("deleted, not committed");
            crate::halt::DELETING.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        let at_the_gate = core.locks.gate();
        gate.mark(&at_the_gate)?;
        change.commit()?;
        gate.unmark(&at_the_gate)?;
        #[cfg(test)]
        crate::halt::at("committed, the gate is shut");
        // Not before: who passes the gate must see what is gone.
        drop(gate);
        self.report.changes += 1;
        self.report.longest_change = self.report.longest_change.max(began.elapsed());
        Ok(())
    }

    /// Marks what is needed as of this change, while nobody can commit or extend a lease. In the first change the roots
    /// that are given up go, unless they are used or set again.
    fn mark_now(&mut self, change: &Change<'_>) -> Result<()> {
        let leased = self.plan.state.leases.read_new()?;
        self.plan.state.in_use.extend(groups(&leased));
        if self.report.changes == 0 {
            self.give_up_roots(change)?;
            let kept = self.plan.policy.grace.max(GcPolicy::DEFAULT_GRACE);
            arrivals::forget_before(change, self.plan.state.arrived, unix_ms_now(), kept)?;
        }
        let source = Source {
            heads: change.table(Table::Blobs)?,
            chunks: change.table(Table::Chunks)?,
            records: change.table(Table::Actions)?,
        };
        let State { graph, mark, .. } = &mut self.plan.state;
        mark_leased(mark, graph, &source, &leased)?;
        for table in [Table::Roots, Table::History] {
            roots::each(&change.table(table)?, &mut |name, root| match root {
                Some(root) if mark.has(graph, root.kind, &root.target) => Ok(()),
                Some(root) => {
                    let back = usize::from(table == Table::History);
                    mark.begin(graph, &source, keeper_of(name)).back(back).output(root.kind, &root.target)
                }
                // Of what a root was before, what cannot be read stands for nothing.
                None if table == Table::History => Ok(()),
                None => {
                    mark.unreadable.push(Unreadable::Root(name.to_owned()));
                    Ok(())
                }
            })?;
        }
        self.mark_new(&source, &change.table(Table::Arrivals)?, &change.table(Table::Counters)?)
    }

    /// Marks what came since it was last looked, and what that names.
    fn mark_new<R: ReadRows>(
        &mut self,
        source: &Source<R>,
        arrivals: &impl ReadRows,
        counters: &impl ReadRows,
    ) -> Result<()> {
        let State { graph, mark, arrived, .. } = &mut self.plan.state;
        for (kind, digest) in mark.take_awaited() {
            mark.begin(graph, source, Keeper::Young).output(kind, &digest)?;
        }
        let path = self.core.db.path();
        // What claims to have come later than the last commit is damaged, and nothing new.
        let next = arrivals::next(counters)?;
        if next < *arrived {
            return Err(unreadable_arrival(path));
        }
        arrivals::of(arrivals, *arrived..next, |_| true, &mut |arrival| {
            let arrival = arrival.ok_or_else(|| unreadable_arrival(path))?;
            let mut walk = mark.begin(graph, source, Keeper::Young);
            arrival.actions.iter().try_for_each(|key| walk.written(key))
        })?;
        *arrived = next;
        Ok(())
    }

    fn give_up_roots(&mut self, change: &Change<'_>) -> Result<()> {
        for given_up in &self.plan.given_up {
            let version = &given_up.version;
            let group = group_of(&version.name);
            let in_use = version.back == 0 && self.plan.state.in_use.contains(&Digest::of(group.as_bytes()));
            if !in_use && roots::remove_version(change, version)? {
                self.report.given_up += 1;
                if version.back == 0 {
                    last_use::forget(change, group)?;
                }
            }
        }
        Ok(())
    }

    /// Deletes until the time is up. Actions go first, so that no record ever names what has been deleted on purpose.
    fn delete(&mut self, change: &Change<'_>, began: Instant) -> Result<()> {
        let State { graph, mark, leases, .. } = &self.plan.state;
        let time = if leases.has_living()? { CHANGE_TIME } else { UNDISTURBED_CHANGE_TIME };
        while began.elapsed() < time && (self.next_action as usize) < graph.actions.len() {
            let keys = take(&mut self.next_action, graph.actions.len(), |n| mark.action(n).is_none());
            let were_there = remove_actions(change, &map(&keys, |number| graph.action(number)))?;
            for (number, _) in keys.into_iter().zip(were_there).filter(|(_, was_there)| *was_there) {
                self.report.removed.actions.add(graph.actions.bytes(number));
            }
        }
        while began.elapsed() < time && (self.next_blob as usize) < graph.blobs.len() {
            let numbers = take(&mut self.next_blob, graph.blobs.len(), |n| mark.blob(n).is_none());
            let were_there = remove_blobs(change, &map(&numbers, |number| graph.blob(number)))?;
            for (number, _) in numbers.into_iter().zip(were_there).filter(|(_, was_there)| *was_there) {
                self.report.removed.blobs.add(graph.blobs.bytes(number));
            }
        }
        Ok(())
    }
}

fn map<T>(numbers: &[u32], name: impl Fn(u32) -> T) -> Vec<T> {
    numbers.iter().copied().map(name).collect()
}

fn unreadable_arrival(path: &Path) -> Error {
    Error::corrupt("what was written meanwhile cannot be read, so collection stops here")
        .at(path)
        .hint("collect again")
}

/// The next numbers below `end` that are dead, among a stride of them.
fn take(next: &mut u32, end: usize, is_dead: impl Fn(u32) -> bool) -> Vec<u32> {
    let first = *next;
    *next = u32::try_from(end).unwrap_or(u32::MAX).min(first.saturating_add(STRIDE));
    (first..*next).filter(|&number| is_dead(number)).collect()
}

/// Begins a change and shuts the gate. Never holds one while waiting for the other.
fn begin_alone(core: &Core) -> Result<(Change<'_>, Held)> {
    let gate = core.locks.gate();
    let mut patience = Patience::new("builds to pause", &core.options);
    loop {
        if let Some(change) = core.db.try_begin()?
            && let Some(shut) = Held::try_take(&gate)?
        {
            return Ok((change, shut));
        }
        patience.wait(&gate)?;
    }
}
