//! Groups whose messages have the same tags, so that ranks in both may take a chunk of one for a chunk of the other.
//!
//! The simulator numbers the chunks of a group from a million times the group's id, those of all ranks from 0, and takes
//! the number modulo 500,000,000 as tag.

use std::collections::{BTreeMap, BTreeSet};

use astra_engine::{GroupId, Rank};

use super::agreement::{Uses, chunks};
use super::finding::{Findings, Severity};
use super::rule::Rule;
use super::{At, Check};

/// How many numbers there are from one id to the next.
const CHUNKS_PER_GROUP: u64 = 1_000_000;

/// Ids that differ by this number their chunks alike.
const IDS: u32 = 500;

pub(super) fn check(check: &Check<'_>, uses: &[Uses], findings: &mut Findings) {
    let chunks = most_chunks(check, uses);
    if chunks.len() < 2 {
        return;
    }
    // Groups by the ids, modulo 500, whose numbers they use: most use their own only.
    let mut users: BTreeMap<u32, Vec<Option<GroupId>>> = BTreeMap::new();
    for (&group, &chunks) in &chunks {
        let ids = chunks.div_ceil(CHUNKS_PER_GROUP).min(u64::from(IDS)) as u32;
        (0..ids).for_each(|id| users.entry((number(group) + id) % IDS).or_default().push(group));
    }
    let mut pairs = BTreeSet::new();
    for users in users.values() {
        for (before, &other) in users.iter().enumerate() {
            pairs.extend(users[..before].iter().map(|&one| (one, other)));
        }
    }
    for (one, other) in pairs {
        if let [rank, _, ..] = shared(check, one, other)[..] {
            let Some(first) = uses[check.trace_of(rank)].get(&other).and_then(|uses| uses.first()) else {
                continue;
            };
            let at = At { rank, trace: check.workload.trace(rank), index: first.node };
            findings.at(Severity::Warning, Rule::GroupTags, at, &describe(one, other, &chunks));
        }
    }
}

/// How many chunks the rank that starts most of them has in each group that is used. Those of groups count among those
/// of all ranks too.
fn most_chunks(check: &Check<'_>, uses: &[Uses]) -> BTreeMap<Option<GroupId>, u64> {
    let mut most: BTreeMap<Option<GroupId>, u64> = BTreeMap::new();
    for uses in uses {
        let of = |group: &Option<GroupId>| {
            let chunks = uses[group].iter().map(|used| chunks(check, used.kind.0, used.kind.1));
            chunks.fold(0, u64::saturating_add)
        };
        let all = uses.keys().map(of).fold(0, u64::saturating_add);
        for group in uses.keys() {
            let chunks = if group.is_none() { all } else { of(group) };
            let most = most.entry(*group).or_default();
            *most = chunks.max(*most);
        }
    }
    most
}

fn number(group: Option<GroupId>) -> u32 {
    group.map_or(0, GroupId::get)
}

/// The ranks that are in both of two groups, ascending.
fn shared(check: &Check<'_>, one: Option<GroupId>, other: Option<GroupId>) -> Vec<Rank> {
    let members = |group: Option<GroupId>| -> BTreeSet<Rank> {
        let listed = group.and_then(|group| check.workload.groups.get(&group));
        listed.map_or_else(|| (0..check.ranks).map(Rank).collect(), |listed| listed.iter().copied().collect())
    };
    members(one).intersection(&members(other)).copied().collect()
}

fn describe(one: Option<GroupId>, other: Option<GroupId>, chunks: &BTreeMap<Option<GroupId>, u64>) -> String {
    let name = |group: Option<GroupId>| {
        group.map_or_else(|| "all ranks".to_owned(), |group| format!("communicator group {group}"))
    };
    let (of, and) = (name(one), name(other));
    if number(one) % IDS == number(other) % IDS {
        return format!(
            "messages of {and} have the tags of {of}: the ids {} and {} differ by a multiple of {IDS}",
            number(one),
            number(other)
        );
    }
    let [of_one, of_other] = [one, other].map(|group| chunks.get(&group).copied().unwrap_or_default());
    format!(
        "messages of {and} have tags of {of}: with {of_one} and {of_other} chunks on a rank, their numbers overlap"
    )
}
