//! What brought a stall about, from what each blocked rank waits for.
//!
//! The causes are looked for from the most certain to the least: what contradicts itself before what is merely
//! missing, and ranks that wait for each other last.

use super::Simulation;
use super::diagnosis::Taken;
use crate::collective::CollectiveType;
use crate::node_record::NodeRecord;
use crate::stall::{Awaited, Blocked, CollectivePlace, Diagnosis, Unmatched, UnmatchedState, Wait};
use crate::trace::NodeKind;
use crate::units::{Bytes, Rank};
use crate::workload::GroupId;
use std::collections::{BTreeMap, BTreeSet};

/// The cause of a stall.
pub(super) fn of(simulation: &Simulation<'_>, record: &NodeRecord, blocked: &[Blocked]) -> Diagnosis {
    let collectives = Collectives::new(simulation, record, blocked);
    let first = |cause: &dyn Fn(&Blocked) -> Option<Diagnosis>| blocked.iter().find_map(cause);
    // What is said of a collective does not depend on who waits in it.
    let mut seen = BTreeSet::new();
    let places: Vec<&Blocked> =
        blocked.iter().filter(|b| place_of(b).is_some_and(|place| seen.insert(place))).collect();
    let at_places = |cause: &dyn Fn(&Blocked) -> Option<Diagnosis>| places.iter().find_map(|b| cause(b));
    first(&mismatch)
        .or_else(|| at_places(&|b| collectives.differ(b)))
        .or_else(|| at_places(&|b| collectives.missing(b)))
        .or_else(|| at_places(&|b| collectives.chunk_numbers(b)))
        .or_else(|| first(&no_trigger))
        .or_else(|| first(&no_partner))
        .or_else(|| cycle(&collectives, blocked))
        .or_else(|| at_places(&|b| collectives.queue_order(b)))
        .unwrap_or(Diagnosis::Unknown)
}

/// A message came that differs from the one waited for in size or tag only.
fn mismatch(blocked: &Blocked) -> Option<Diagnosis> {
    let Wait::Message(awaited) = blocked.waits_for else { return None };
    let Unmatched { size, tag, state: UnmatchedState::Arrived, .. } = blocked.nearest? else { return None };
    let rank = blocked.rank;
    if tag == awaited.tag {
        return Some(Diagnosis::SizeMismatch { rank, awaited, found: size });
    }
    (size == awaited.size).then_some(Diagnosis::TagMismatch { rank, awaited, found: tag })
}

fn no_trigger(blocked: &Blocked) -> Option<Diagnosis> {
    let rank = blocked.rank;
    (blocked.waits_for == Wait::Trigger).then_some(Diagnosis::NoTrigger { rank, node: blocked.node })
}

/// Nothing that has not started could end the wait.
fn no_partner(blocked: &Blocked) -> Option<Diagnosis> {
    let (partner, size, tag, receives) = match blocked.waits_for {
        Wait::Message(Awaited { from, size, tag }) => (from, size, tag, false),
        Wait::Delivery { to, size, tag } => (to, size, tag, true),
        _ => return None,
    };
    let comes = |near: Unmatched| near.size == size && near.tag == tag;
    let none = !blocked.nearest.is_some_and(comes);
    none.then_some(Diagnosis::NoPartner { rank: blocked.rank, partner, receives })
}

/// The collective that a blocked rank is in.
const fn place_of(blocked: &Blocked) -> Option<CollectivePlace> {
    match blocked.waits_for {
        Wait::Collective { place, .. } => Some(place),
        _ => None,
    }
}

/// What is known of the collectives of all members of the groups that ranks are blocked in.
struct Collectives<'s, 'a> {
    simulation: &'s Simulation<'a>,
    /// Those begun, by rank.
    taken: BTreeMap<u32, Taken>,
    /// The places of blocked ranks.
    at: BTreeMap<u32, CollectivePlace>,
    /// Members of the groups that ranks are blocked in.
    members: BTreeMap<Option<GroupId>, Vec<u32>>,
}

impl<'s, 'a> Collectives<'s, 'a> {
    fn new(simulation: &'s Simulation<'a>, record: &NodeRecord, blocked: &[Blocked]) -> Self {
        let at: BTreeMap<u32, CollectivePlace> =
            blocked.iter().filter_map(|b| Some((b.rank.0, place_of(b)?))).collect();
        let mut members = BTreeMap::new();
        let mut taken = BTreeMap::new();
        for place in at.values() {
            let members = members
                .entry(place.group)
                .or_insert_with(|| simulation.members(place.group).into_iter().collect::<Vec<u32>>());
            for &member in members.iter() {
                taken.entry(member).or_insert_with(|| simulation.taken(member, record));
            }
        }
        Self { simulation, taken, at, members }
    }

    /// What a rank took part in at a place of a group's order, if it came that far.
    fn taken_at(&self, rank: u32, place: &CollectivePlace) -> Option<CollectivePlace> {
        let index = place.position.checked_sub(1)? as usize;
        let &(collective, size) = self.taken.get(&rank)?.get(&place.group)?.get(index)?;
        Some(CollectivePlace { collective, size, ..*place })
    }

    /// Another member took part in something else at the same place.
    fn differ(&self, blocked: &Blocked) -> Option<Diagnosis> {
        let place = place_of(blocked)?;
        let others = self.members.get(&place.group)?.iter();
        let (other, found) = others
            .filter_map(|&other| Some((other, self.taken_at(other, &place)?)))
            .find(|&(_, found)| found != place)?;
        let reordered = self.counts(blocked.rank.0, place.group) == self.counts(other, place.group);
        Some(Diagnosis::CollectivesDiffer { ranks: [(blocked.rank, place), (Rank(other), found)], reordered })
    }

    /// How often a rank's trace has each collective of a group.
    fn counts(&self, rank: u32, of: Option<GroupId>) -> BTreeMap<(CollectiveType, Bytes), u32> {
        let trace = self.simulation.workload.trace(Rank(rank));
        let mut counts = BTreeMap::new();
        for index in 0..trace.len() as u32 {
            match trace.node(index).kind {
                NodeKind::Collective { collective, size, group, .. }
                    if group == of && collective != CollectiveType::Broadcast =>
                {
                    *counts.entry((collective, size)).or_insert(0) += 1;
                }
                _ => {}
            }
        }
        counts
    }

    /// Another member has no such place in its trace.
    fn missing(&self, blocked: &Blocked) -> Option<Diagnosis> {
        let place = place_of(blocked)?;
        let comes = |rank: u32| self.counts(rank, place.group).values().sum::<u32>() >= place.position;
        let mut members = self.members.get(&place.group)?.iter();
        let &rank = members.find(|&&rank| self.taken_at(rank, &place).is_none() && !comes(rank))?;
        Some(Diagnosis::RankMissing { rank: Rank(rank), waiting: blocked.rank, place })
    }

    /// Another member is in the same collective of all ranks and has made another number of chunks.
    fn chunk_numbers(&self, blocked: &Blocked) -> Option<Diagnosis> {
        let place = place_of(blocked).filter(|place| place.group.is_none())?;
        let made = |rank: u32| (Rank(rank), self.simulation.ranks[rank as usize].chunks);
        let own = made(blocked.rank.0);
        let together = self.at.iter().filter(|&(_, other)| *other == place);
        let (&other, _) = together.into_iter().find(|&(&other, _)| made(other).1 != own.1)?;
        Some(Diagnosis::ChunkNumbers { ranks: [own, made(other)], place })
    }

    /// Every member has begun the collective, and still it does not go on.
    fn queue_order(&self, blocked: &Blocked) -> Option<Diagnosis> {
        let place = place_of(blocked)?;
        let mut members = self.members.get(&place.group)?.iter();
        members.all(|&rank| self.taken_at(rank, &place).is_some()).then_some(Diagnosis::QueueOrder {
            rank: blocked.rank,
            place,
            queues: self.simulation.system.queues_per_dimension,
        })
    }

    /// The first member that has not come to a collective.
    fn lagging(&self, place: &CollectivePlace) -> Option<u32> {
        let mut members = self.members.get(&place.group)?.iter();
        members.find(|&&rank| self.taken_at(rank, place).is_none()).copied()
    }

    /// Whom each blocked rank waits for.
    fn waits(&self, blocked: &[Blocked]) -> BTreeMap<u32, u32> {
        let mut lagging = BTreeMap::new();
        let mut waits_for = |b: &Blocked| match b.waits_for {
            Wait::Message(Awaited { from, .. }) => Some(from.0),
            Wait::Delivery { to, .. } => Some(to.0),
            Wait::Collective { place, .. } => *lagging.entry(place).or_insert_with(|| self.lagging(&place)),
            Wait::Trigger | Wait::Dependency => None,
        };
        blocked.iter().filter_map(|b| Some((b.rank.0, waits_for(b)?))).collect()
    }
}

/// Follows from each rank whom it waits for until a rank comes a second time.
fn cycle(collectives: &Collectives<'_, '_>, blocked: &[Blocked]) -> Option<Diagnosis> {
    let waits = collectives.waits(blocked);
    let mut seen_from: BTreeMap<u32, u32> = BTreeMap::new();
    for &start in waits.keys() {
        let mut path = Vec::new();
        let mut rank = start;
        while let std::collections::btree_map::Entry::Vacant(new) = seen_from.entry(rank) {
            new.insert(start);
            path.push(Rank(rank));
            match waits.get(&rank) {
                Some(&next) => rank = next,
                None => break,
            }
        }
        // Whoever was met before on this very walk is on a cycle.
        if let Some(first) =
            path.iter().position(|&seen| seen == Rank(rank)).filter(|_| waits.contains_key(&rank))
        {
            path.drain(..first);
            path.push(Rank(rank));
            return Some(Diagnosis::Cycle(path));
        }
    }
    None
}
