//! The plan of a collection: what would go, what stays and what keeps it. Looks and changes nothing.

use super::amount::Content;
use super::graph::Graph;
use super::mark::{Keeper, Mark, Source};
use super::policy::{Because, GcPolicy, GivenUp, Unit, choose};
use super::unreadable::Unreadable;
use crate::arrivals::{self, is_within};
use crate::db::{ReadRows, Table, View};
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use crate::lease::{LeaseFiles, Leased, LeasedBy};
use crate::root::{PIN_PREFIX, unix_ms_now};
use crate::roots::{self, RootVersion};
use crate::store::Core;
use std::collections::HashSet;

/// What a collection would remove, what it would keep and why. [`crate::Store::collect`] executes it: nothing that it
/// keeps is removed, and of what it removes only what nobody has begun to need meanwhile.
#[derive(Debug)]
pub struct GcPlan {
    /// By which policy.
    pub policy: GcPolicy,
    /// Roots and pins that there are, readable or not.
    pub roots: u64,
    /// Roots that are given up, and what roots once were.
    pub given_up: Vec<GivenUp>,
    /// What is needed, by what keeps it. What several keep counts for the first of them: builds under way, pins, roots,
    /// grace window; with [`GcPolicy::max_bytes`] the grace window comes before the roots.
    pub kept: Kept,
    /// What is needed in all.
    pub live: Content,
    /// What nothing needs.
    pub dead: Content,
    /// Blobs that a root needs, that nothing lies behind, and that are missing; they will be made again when needed.
    pub missing: u64,
    /// What hides from collection what else is needed. Unless this is empty nothing counts as dead and the plan is not
    /// executed; it is to be made again first.
    pub unreadable: Vec<Unreadable>,
    /// By how many bytes what cannot be given up exceeds [`GcPolicy::max_bytes`].
    pub over_max: Option<u64>,
    pub(super) state: State,
}

/// How much is kept by what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Builds that are under way.
    pub leases: Content,
    /// Pins.
    pub pins: Content,
    /// Roots.
    pub roots: Content,
    /// The grace window.
    pub grace: Content,
}

/// What execution goes on with.
#[derive(Debug)]
pub(super) struct State {
    pub(super) graph: Graph,
    pub(super) mark: Mark,
    pub(super) leases: LeaseFiles,
    /// Groups of roots that running builds use.
    pub(super) in_use: HashSet<Digest>,
    /// Number of the first commit that has not been looked at.
    pub(super) arrived: u64,
}

impl GcPlan {
    /// The blobs that nothing needs, ascending.
    pub fn dead_blobs(&self) -> impl Iterator<Item = Digest> {
        let State { graph, mark, .. } = &self.state;
        let dead = graph.blobs.numbers().filter(|&number| mark.blob(number).is_none());
        dead.map(|number| graph.blob(number)).filter(|_| self.unreadable.is_empty())
    }

    /// The actions that nothing needs, ascending.
    pub fn dead_actions(&self) -> impl Iterator<Item = ActionKey> {
        let State { graph, mark, .. } = &self.state;
        let dead = graph.actions.numbers().filter(|&number| mark.action(number).is_none());
        dead.map(|number| graph.action(number)).filter(|_| self.unreadable.is_empty())
    }
}

/// Makes the plan.
pub(super) fn plan(core: &Core, policy: &GcPolicy) -> Result<GcPlan> {
    // Leases first, and only then the view with the roots in it: what a build has rooted before it let go of its lease
    // is seen as a root.
    let mut leases = LeaseFiles::new(&core.locks);
    let leased = leases.read_new()?;
    #[cfg(test)]
    crate::halt::at("leases are read");
    let view = core.db.view()?;
    let graph = Graph::load(&view)?;
    let source = Source {
        heads: view.table(Table::Blobs)?,
        chunks: view.table(Table::Chunks)?,
        records: view.table(Table::Actions)?,
    };
    let in_use = groups(&leased).collect();
    let choice = choose(roots::versions(&view)?, policy, unix_ms_now(), &in_use);
    #[cfg(test)]
    crate::halt::at("roots are read");
    let mut planning = Planning { view: &view, source, policy, mark: Mark::new(&graph), graph: &graph };
    let mut kept = Kept {
        leases: planning.phase(|planning| planning.leases(&leased))?,
        pins: planning.phase(|planning| planning.versions(&choice.pins))?,
        ..Kept::default()
    };
    let mut given_up = choice.given_up;
    let over_max = match policy.max_bytes {
        None => {
            kept.roots = planning.phase(|planning| {
                choice.units.iter().try_for_each(|unit| planning.versions(&unit.versions))
            })?;
            kept.grace = planning.phase(Planning::young)?;
            None
        }
        Some(max) => {
            kept.grace = planning.phase(Planning::young)?;
            let mut over = 0;
            kept.roots = planning.phase(|planning| {
                over = planning.as_many_as_fit(choice.units, max, &mut given_up)?;
                Ok(())
            })?;
            (over > 0).then_some(over)
        }
    };
    let mut mark = planning.mark;
    let names = roots::all(&view.table(Table::Roots)?)?;
    let damaged = names.iter().filter(|(_, root)| root.is_none());
    mark.unreadable.extend(damaged.map(|(name, _)| Unreadable::Root(name.clone())));
    // The order in which roots were followed is of no interest.
    mark.unreadable.sort_by(|a, b| a.root().cmp(b.root()));
    #[cfg(test)]
    crate::halt::at("planned");
    let live = mark.marked;
    let dead = if mark.unreadable.is_empty() { graph.content().minus(live) } else { Content::default() };
    Ok(GcPlan {
        policy: *policy,
        roots: names.len() as u64,
        given_up,
        kept,
        live,
        dead,
        missing: mark.missing.len() as u64,
        unreadable: mark.unreadable.clone(),
        over_max,
        state: State { arrived: arrivals::next(&view.table(Table::Counters)?)?, graph, mark, leases, in_use },
    })
}

/// The groups of roots among what is leased.
pub(super) fn groups(leased: &[(LeasedBy, Leased)]) -> impl Iterator<Item = Digest> {
    leased.iter().filter_map(|(_, leased)| match leased {
        Leased::Group(digest) => Some(*digest),
        Leased::Output(..) | Leased::Action(_) => None,
    })
}

/// Marks what leases say.
pub(super) fn mark_leased<R: ReadRows>(
    mark: &mut Mark,
    graph: &Graph,
    source: &Source<R>,
    leased: &[(LeasedBy, Leased)],
) -> Result<()> {
    for (by, leased) in leased {
        let mut walk = mark.begin(graph, source, Keeper::Lease(by.to_string()));
        match leased {
            Leased::Output(kind, digest) => walk.output(*kind, digest)?,
            Leased::Action(key) => walk.action(key)?,
            Leased::Group(_) => {}
        }
    }
    Ok(())
}

/// Whether a root is a pin, or not.
pub(super) fn keeper_of(name: &str) -> Keeper {
    match name.strip_prefix(PIN_PREFIX) {
        Some(pin) => Keeper::Pin(pin.to_owned()),
        None => Keeper::Root(name.to_owned()),
    }
}

struct Planning<'a, R> {
    view: &'a View<'a>,
    source: Source<R>,
    policy: &'a GcPolicy,
    mark: Mark,
    graph: &'a Graph,
}

impl<R: ReadRows> Planning<'_, R> {
    /// How much is marked that was not before.
    fn phase(&mut self, run: impl FnOnce(&mut Self) -> Result<()>) -> Result<Content> {
        let before = self.mark.marked;
        run(self)?;
        Ok(self.mark.marked.minus(before))
    }

    fn leases(&mut self, leased: &[(LeasedBy, Leased)]) -> Result<()> {
        mark_leased(&mut self.mark, self.graph, &self.source, leased)
    }

    fn versions(&mut self, versions: &[RootVersion]) -> Result<()> {
        versions.iter().try_for_each(|version| {
            let keeper = keeper_of(&version.name);
            let mut walk = self.mark.begin(self.graph, &self.source, keeper).back(version.back);
            walk.output(version.root.kind, &version.root.target)
        })
    }

    /// Marks what was written within the grace window.
    fn young(&mut self) -> Result<()> {
        let (now, grace) = (unix_ms_now(), self.policy.grace);
        let mut walk = self.mark.begin(self.graph, &self.source, Keeper::Young);
        let is_young = |unix_ms| is_within(unix_ms, now, grace);
        arrivals::of(&self.view.table(Table::Arrivals)?, 0..u64::MAX, is_young, &mut |arrival| {
            // What cannot be read says nothing; it is forgotten with what is old.
            let Some(arrival) = arrival else { return Ok(()) };
            for start in arrival.blobs {
                self.graph.blobs.starting_with(start).for_each(|number| walk.blob(number));
            }
            arrival.actions.iter().try_for_each(|key| walk.action(key))
        })
    }

    /// Marks what the units need, from the first on as long as it fits; gives up the others. Says by how much what
    /// cannot be given up is too large.
    fn as_many_as_fit(&mut self, units: Vec<Unit>, max: u64, given_up: &mut Vec<GivenUp>) -> Result<u64> {
        let mut over = self.mark.marked.bytes().saturating_sub(max);
        let mut full = false;
        for (i, unit) in units.into_iter().enumerate() {
            let is_last_used = i == 0;
            if !full {
                self.mark.checkpoint();
                self.versions(&unit.versions)?;
                let too_much = self.mark.marked.bytes().saturating_sub(max);
                if too_much == 0 {
                    continue;
                }
                if unit.in_use || is_last_used {
                    over = too_much;
                    continue;
                }
                self.mark.take_back(self.graph);
                full = true;
            }
            let because = Because::TooLarge;
            given_up.extend(unit.versions.into_iter().map(|version| GivenUp { version, because }));
        }
        self.mark.keep();
        Ok(over)
    }
}
