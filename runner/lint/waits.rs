//! Nodes of different ranks that wait for each other in a circle: a receive for its send, the send for a receive before
//! it, and so on.
//!
//! Everything that dependencies, messages and collectives allow is carried out without a clock; what is left can never
//! complete. What times decide (slots, how equal messages pair, the order of collectives without dependencies) is taken to
//! be favourable, so that a run may stall where this finds nothing, but not the other way round.

use std::collections::{BTreeMap, HashMap};

use astra_engine::{GroupId, NodeKind, Rank};

use super::agreement::{Use, Uses};
use super::finding::{Findings, Severity};
use super::messages::Delivery;
use super::order::Orders;
use super::rule::Rule;
use super::{At, Check};
use crate::et::parents;

/// How many nodes of a circle are named.
const MOST_NAMED: usize = 8;

/// Of how many groups of a trace it is looked into whether dependencies order their collectives; each takes a pass.
const MOST_GROUPS: usize = 32;

const NONE: u32 = u32::MAX;

/// Looks for a circle. The deliveries are complete, and the members of each group agree on its collectives.
pub(super) fn check(
    check: &Check<'_>,
    orders: &Orders<'_>,
    uses: &[Uses],
    deliveries: &[Delivery],
    findings: &mut Findings,
) {
    if deliveries.is_empty() && uses.iter().all(Uses::is_empty) {
        return;
    }
    // A workload too large to be numbered takes longer to simulate than anybody would wait for.
    let Some(mut waits) = Waits::new(check, orders, uses, deliveries) else { return };
    waits.carry_out();
    if let Some(circle) = waits.circle() {
        findings.at(Severity::Error, Rule::WaitCycle, waits.at(circle[0]), &waits.describe(&circle));
    }
}

/// The nodes of all ranks, numbered rank by rank.
struct Waits<'a> {
    check: &'a Check<'a>,
    uses: &'a [Uses],
    /// Number of the first node of each rank, and last that of all.
    first: Vec<u32>,
    /// How much each node waits for: nodes of its rank, and a receive for its send.
    waiting: Vec<u32>,
    /// The receive that a send completes.
    receiver: Vec<u32>,
    /// The group and position of each collective of a trace, by node.
    places: Vec<BTreeMap<u32, (Option<GroupId>, usize)>>,
    /// How many members have not reached each collective of a group that has one order on all members.
    absent: BTreeMap<Option<GroupId>, Vec<u32>>,
    everyone: Vec<Rank>,
}

impl<'a> Waits<'a> {
    fn new(
        check: &'a Check<'a>,
        orders: &'a Orders<'a>,
        uses: &'a [Uses],
        deliveries: &'a [Delivery],
    ) -> Option<Self> {
        let mut first = vec![0_u32];
        for rank in 0..check.ranks {
            let nodes = u32::try_from(check.workload.trace(Rank(rank)).len()).ok()?;
            first.push(first.last()?.checked_add(nodes)?);
        }
        let of_trace: Vec<Vec<u32>> = check.workload.traces.iter().map(parents).collect();
        let mut waiting = Vec::with_capacity(*first.last()? as usize);
        check.workload.trace_of_rank.iter().for_each(|&trace| waiting.extend(&of_trace[trace as usize]));
        let mut receiver = if deliveries.is_empty() { Vec::new() } else { vec![NONE; waiting.len()] };
        for delivery in deliveries {
            let [send, recv] =
                [delivery.send, delivery.recv].map(|(rank, index)| first[rank.0 as usize] + index);
            receiver[send as usize] = recv;
            waiting[recv as usize] += 1;
        }
        let place = |(&group, uses): (&Option<GroupId>, &Vec<Use>)| {
            let place = move |(position, used): (usize, &Use)| (used.node, (group, position));
            uses.iter().enumerate().map(place).collect::<Vec<_>>()
        };
        let places = uses.iter().map(|uses| uses.iter().flat_map(place).collect()).collect();
        let chained: Vec<Vec<Option<GroupId>>> =
            (0..uses.len()).map(|trace| chained(orders, uses, trace)).collect();
        let everyone: Vec<Rank> = (0..check.ranks).map(Rank).collect();
        let groups = check.workload.groups.iter().map(|(&group, members)| (Some(group), members));
        let absent = std::iter::once((None, &everyone)).chain(groups).filter_map(|(group, members)| {
            let uses = uses[check.trace_of(*members.first()?)].get(&group)?;
            let ordered = members.iter().all(|member| chained[check.trace_of(*member)].contains(&group));
            ordered.then(|| (group, vec![members.len() as u32; uses.len()]))
        });
        let absent = absent.collect();
        Some(Self { check, uses, first, waiting, receiver, places, absent, everyone })
    }

    fn rank_of(&self, node: u32) -> Rank {
        Rank(self.first.partition_point(|&first| first <= node) as u32 - 1)
    }

    fn at(&self, node: u32) -> At<'a> {
        let rank = self.rank_of(node);
        self.check.at(rank, node - self.first[rank.0 as usize])
    }

    /// Group and position of a node that is a collective for which it is certain who takes part.
    fn place(&self, at: At<'_>) -> Option<(Option<GroupId>, usize)> {
        if !matches!(at.node().kind, NodeKind::Collective { .. }) {
            return None;
        }
        let place = self.places[self.check.trace_of(at.rank)].get(&at.index).copied();
        place.filter(|(group, _)| self.absent.contains_key(group))
    }

    fn members(&self, group: Option<GroupId>) -> &[Rank] {
        match group {
            None => &self.everyone,
            Some(group) => self.check.workload.groups.get(&group).map_or(&[], Vec::as_slice),
        }
    }

    /// The node with which a member takes part in a collective.
    fn part(&self, member: Rank, (group, position): (Option<GroupId>, usize)) -> Option<u32> {
        let used = self.uses[self.check.trace_of(member)].get(&group)?.get(position)?;
        Some(self.first[member.0 as usize] + used.node)
    }

    /// Completes what can complete. Afterwards a node waits for something, or is a collective that waits for members,
    /// exactly when it never completes.
    fn carry_out(&mut self) {
        let mut ready: Vec<u32> =
            (0..self.waiting.len() as u32).filter(|&n| self.waiting[n as usize] == 0).collect();
        while let Some(node) = ready.pop() {
            let Some(place) = self.place(self.at(node)) else {
                self.complete(node, &mut ready);
                continue;
            };
            let absent = self.absent.get_mut(&place.0).and_then(|of_group| of_group.get_mut(place.1));
            let Some(absent) = absent else { continue };
            *absent -= 1;
            if *absent == 0 {
                let members = self.members(place.0).iter();
                let parts: Vec<u32> = members.filter_map(|&member| self.part(member, place)).collect();
                parts.into_iter().for_each(|part| self.complete(part, &mut ready));
            }
        }
    }

    fn complete(&mut self, node: u32, ready: &mut Vec<u32>) {
        let at = self.at(node);
        let first = node - at.index;
        for &child in at.trace.children(at.index) {
            self.release(first + child, ready);
        }
        if let Some(&receiver) = self.receiver.get(node as usize).filter(|&&receiver| receiver != NONE) {
            self.release(receiver, ready);
        }
    }

    fn release(&mut self, node: u32, ready: &mut Vec<u32>) {
        let waiting = &mut self.waiting[node as usize];
        *waiting -= 1;
        if *waiting == 0 {
            ready.push(node);
        }
    }

    fn is_blocked(&self, node: u32) -> bool {
        self.waiting[node as usize] > 0
            || self.place(self.at(node)).is_some_and(|(group, position)| {
                self.absent.get(&group).is_some_and(|of_group| of_group[position] > 0)
            })
    }

    /// Follows blocked nodes to what they wait for, until one comes again.
    fn circle(&self) -> Option<Vec<u32>> {
        let mut node = (0..self.waiting.len() as u32).find(|&node| self.waiting[node as usize] > 0)?;
        let sender: HashMap<u32, u32> = (0..).zip(&self.receiver).map(|(send, &recv)| (recv, send)).collect();
        let mut parent_of_rank: HashMap<Rank, Vec<u32>> = HashMap::new();
        let mut absentee_of = HashMap::new();
        let (mut path, mut position) = (Vec::new(), HashMap::new());
        while let Some(next) = {
            position.insert(node, path.len());
            path.push(node);
            let at = self.at(node);
            let parents = parent_of_rank.entry(at.rank).or_insert_with(|| self.blocked_parents(at));
            match parents[at.index as usize] {
                NONE => match self.place(at) {
                    // All members wait for the same one: each collective is looked through once.
                    Some(place) => *absentee_of.entry(place).or_insert_with(|| self.absentee(place)),
                    None => sender.get(&node).copied(),
                },
                parent => Some(node - at.index + parent),
            }
        } {
            if let Some(&start) = position.get(&next) {
                path.drain(..start);
                return Some(path);
            }
            node = next;
        }
        None
    }

    /// For each node of a rank one that it waits for and that is blocked.
    fn blocked_parents(&self, of: At<'_>) -> Vec<u32> {
        let first = self.first[of.rank.0 as usize];
        let mut parents = vec![NONE; of.trace.len()];
        for parent in (0..of.trace.len() as u32).filter(|&parent| self.is_blocked(first + parent)) {
            of.trace.children(parent).iter().for_each(|&child| parents[child as usize] = parent);
        }
        parents
    }

    /// The part of a member that does not get to a collective.
    fn absentee(&self, place: (Option<GroupId>, usize)) -> Option<u32> {
        let mut parts = self.members(place.0).iter().filter_map(|&member| self.part(member, place));
        parts.find(|&part| self.waiting[part as usize] > 0)
    }

    /// Nodes each of which waits for the next, the last for the first.
    fn describe(&self, circle: &[u32]) -> String {
        let name = |node: u32| {
            let at = self.at(node);
            format!("node {} `{}` of rank {}", at.id(), at.name().escape_debug(), at.rank)
        };
        let mut text = "can never complete: ".to_owned();
        for &node in circle.iter().take(MOST_NAMED) {
            text += &format!("{} waits for ", name(node));
        }
        if let Some(more @ 1..) = circle.len().checked_sub(MOST_NAMED) {
            text += &format!("{more} more, the last of which waits for ");
        }
        text + &name(circle[0])
    }
}

/// The groups of a trace whose collectives dependencies put in order.
fn chained(orders: &Orders<'_>, uses: &[Uses], trace: usize) -> Vec<Option<GroupId>> {
    let in_order = |(_, uses): &(&Option<GroupId>, &Vec<Use>)| {
        orders.is_chain(trace, &uses.iter().map(|used| used.node).collect::<Vec<_>>())
    };
    uses[trace].iter().take(MOST_GROUPS).filter(in_order).map(|(group, _)| *group).collect()
}
