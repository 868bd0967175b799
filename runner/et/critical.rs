//! The longest chain of computations, within a trace and through all ranks: what they take at least, whatever the
//! network.
//!
//! A receive waits for its send, and a collective for all of its members. Messages that have everything in common pair
//! in the order in which each rank issues them, and the collectives of a group in the order in which each rank comes to
//! them, as in a simulation: ids say nothing about that where no dependency does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use astra_engine::{CollectiveType, GroupId, NodeKind, Rank, Trace, Workload};
use serde::Serialize;

use super::issue_order::{IssueOrder, parents};

/// The simulator takes the tags of messages modulo this number.
pub(crate) const TAG_MODULUS: u32 = 500_000_000;

/// A chain of nodes of one rank each of which waits for the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Critical {
    /// Recorded durations of its computations, in microseconds: what the rank takes at least.
    pub duration_us: u64,
    /// The ids of its nodes, the first to start first.
    pub nodes: Vec<u64>,
}

/// A node of a chain through several ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CriticalNode {
    /// Its rank.
    pub rank: u32,
    /// Its id.
    pub node: u64,
}

/// A chain of nodes of any ranks each of which waits for the one before. Where it goes on from a collective on another
/// rank, that rank's part of the collective is on it too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CriticalPath {
    /// Recorded durations of its computations, in microseconds: what the ranks together take at least.
    pub duration_us: u64,
    /// Its nodes, the first to start first.
    pub nodes: Vec<CriticalNode>,
}

impl CriticalPath {
    /// The ranks it leads through.
    pub fn ranks(&self) -> BTreeSet<u32> {
        self.nodes.iter().map(|node| node.rank).collect()
    }
}

/// The longest path of a trace; of equally long ones the one that is found first.
pub(super) fn of_trace(trace: &Trace) -> Critical {
    let mut paths = Paths::new(vec![trace]);
    paths.walk();
    let path = paths.longest();
    Critical { duration_us: path.duration_us, nodes: path.nodes.into_iter().map(|node| node.node).collect() }
}

/// The longest path through all ranks; `None` when nodes of different ranks wait for each other in a circle.
pub(super) fn of_workload(workload: &Workload) -> Option<CriticalPath> {
    let traces: Vec<&Trace> =
        (0..workload.trace_of_rank.len() as u32).map(|r| workload.trace(Rank(r))).collect();
    let mut paths = Paths::new(traces);
    let orders: Vec<IssueOrder> = workload.traces.iter().map(IssueOrder::of).collect();
    paths.deliver(workload, &orders);
    paths.meet();
    paths.walk().then(|| paths.longest())
}

/// Nothing: a node that no other comes before, one that sends nothing, or one that is no collective.
const NONE: usize = usize::MAX;

/// The longest paths to all nodes, which are numbered rank by rank.
struct Paths<'a> {
    traces: Vec<&'a Trace>,
    /// The number of the first node of each rank.
    first: Vec<usize>,
    /// How much each node waits for.
    waiting: Vec<u32>,
    /// When each node ends, as far as is known, and the node before it on the longest path.
    ends: Vec<u64>,
    before: Vec<usize>,
    /// The receive that a send completes.
    receiver: Vec<usize>,
    /// Which collectives are waited for; none when a trace is looked at alone.
    meetings: BTreeMap<Option<GroupId>, Meetings>,
}

/// The collectives of a group.
#[derive(Default)]
struct Meetings {
    /// How many of them each rank has come to.
    come_to: BTreeMap<usize, usize>,
    /// How many parts each of them has that have not come, and those that have.
    absent: Vec<usize>,
    parts: Vec<Vec<usize>>,
}

/// What can complete next. Collectives go in the order of time, when nothing else is left that could lead to one.
#[derive(Default)]
struct Ready {
    others: Vec<usize>,
    collectives: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Meetings {
    /// A rank comes to its next one; all parts of it if that was the last to come.
    fn come(&mut self, rank: usize, part: usize) -> Option<Vec<usize>> {
        let number = self.come_to.entry(rank).or_default();
        let (absent, parts) = (self.absent.get_mut(*number)?, self.parts.get_mut(*number)?);
        *number += 1;
        *absent -= 1;
        parts.push(part);
        (*absent == 0).then(|| std::mem::take(parts))
    }
}

impl<'a> Paths<'a> {
    fn new(traces: Vec<&'a Trace>) -> Self {
        let mut first = Vec::with_capacity(traces.len());
        let mut waiting = Vec::new();
        for trace in &traces {
            first.push(waiting.len());
            waiting.extend(parents(trace));
        }
        let nodes = waiting.len();
        let (ends, before) = (vec![0; nodes], vec![NONE; nodes]);
        Self { traces, first, waiting, ends, before, receiver: Vec::new(), meetings: BTreeMap::new() }
    }

    /// The node with a number: its rank, and its index there.
    fn place(&self, number: usize) -> (usize, u32) {
        let rank = self.first.partition_point(|&first| first <= number) - 1;
        (rank, (number - self.first[rank]) as u32)
    }

    /// Lets receives wait for their sends.
    fn deliver(&mut self, workload: &Workload, orders: &[IssueOrder]) {
        // Sorted stably, so that equal messages keep the order in which they are issued.
        let mut messages = Vec::new();
        for (rank, trace) in (0..).map(Rank).zip(&self.traces) {
            let first = self.first[rank.0 as usize];
            for node in orders[workload.trace_of_rank[rank.0 as usize] as usize].nodes() {
                let (from, to, tag, size, receives) = match trace.node(node).kind {
                    NodeKind::Send { to, size, tag } => (rank, to, tag, size, false),
                    NodeKind::Recv { from, size, tag } => (from, rank, tag, size, true),
                    _ => continue,
                };
                messages.push(((from, to, tag % TAG_MODULUS, size), receives, first + node as usize));
            }
        }
        if messages.is_empty() {
            return;
        }
        messages.sort_by_key(|&(key, receives, _)| (key, receives));
        self.receiver = vec![NONE; self.waiting.len()];
        for equal in messages.chunk_by(|a, b| a.0 == b.0) {
            let (sends, receives) = equal.split_at(equal.partition_point(|(_, receives, _)| !receives));
            for (send, receive) in sends.iter().zip(receives) {
                self.receiver[send.2] = receive.2;
                self.waiting[receive.2] += 1;
            }
        }
    }

    /// Lets the members of a group wait for each other.
    fn meet(&mut self) {
        for trace in &self.traces {
            let mut count: BTreeMap<Option<GroupId>, usize> = BTreeMap::new();
            for group in (0..trace.len() as u32).filter_map(|index| meets_in(trace, index)) {
                let number = count.entry(group).or_default();
                let absent = &mut self.meetings.entry(group).or_default().absent;
                match absent.get_mut(*number) {
                    Some(absent) => *absent += 1,
                    None => absent.push(1),
                }
                *number += 1;
            }
        }
        for meetings in self.meetings.values_mut() {
            meetings.parts = vec![Vec::new(); meetings.absent.len()];
        }
    }

    /// Goes through all nodes, each after those it waits for; whether none was left over.
    fn walk(&mut self) -> bool {
        let mut ready = Ready::default();
        (0..self.waiting.len())
            .rev()
            .filter(|&n| self.waiting[n] == 0)
            .for_each(|n| self.is_ready(n, &mut ready));
        let mut left = self.waiting.len();
        loop {
            if let Some(node) = ready.others.pop() {
                left -= 1;
                self.complete(node, &mut ready);
                continue;
            }
            let Some(Reverse((_, node))) = ready.collectives.pop() else { return left == 0 };
            let (rank, index) = self.place(node);
            let meetings = meets_in(self.traces[rank], index).and_then(|group| self.meetings.get_mut(&group));
            if let Some(parts) = meetings.and_then(|meetings| meetings.come(rank, node)) {
                left -= parts.len();
                self.complete_together(&parts, &mut ready);
            }
        }
    }

    /// Takes in a node that waits for nothing more.
    fn is_ready(&self, node: usize, ready: &mut Ready) {
        let meets = || {
            let (rank, index) = self.place(node);
            meets_in(self.traces[rank], index).is_some()
        };
        match !self.meetings.is_empty() && meets() {
            true => ready.collectives.push(Reverse((self.ends[node], node))),
            false => ready.others.push(node),
        }
    }

    /// The members of a collective go on when the last of them has come.
    fn complete_together(&mut self, parts: &[usize], ready: &mut Ready) {
        let last = parts.iter().copied().reduce(|a, b| if self.ends[b] > self.ends[a] { b } else { a });
        for &part in parts {
            if let Some(last) = last.filter(|&last| self.ends[last] > self.ends[part]) {
                (self.ends[part], self.before[part]) = (self.ends[last], last);
            }
        }
        parts.iter().for_each(|&part| self.complete(part, ready));
    }

    fn complete(&mut self, node: usize, ready: &mut Ready) {
        let (rank, index) = self.place(node);
        let trace = self.traces[rank];
        let own = trace.node(index);
        if matches!(own.kind, NodeKind::Compute { .. }) {
            self.ends[node] = self.ends[node].saturating_add(own.duration.0);
        }
        for &child in trace.children(index) {
            self.release(node, self.first[rank] + child as usize, ready);
        }
        if let Some(&receiver) = self.receiver.get(node).filter(|&&receiver| receiver != NONE) {
            self.release(node, receiver, ready);
        }
    }

    fn release(&mut self, node: usize, next: usize, ready: &mut Ready) {
        if self.before[next] == NONE || self.ends[node] > self.ends[next] {
            (self.ends[next], self.before[next]) = (self.ends[node], node);
        }
        self.waiting[next] -= 1;
        if self.waiting[next] == 0 {
            self.is_ready(next, ready);
        }
    }

    /// The path to the node that ends last.
    fn longest(&self) -> CriticalPath {
        let last = (0..self.ends.len()).reduce(|a, b| if self.ends[b] > self.ends[a] { b } else { a });
        let path =
            std::iter::successors(last, |&node| Some(self.before[node]).filter(|&before| before != NONE));
        let node = |number| {
            let (rank, index) = self.place(number);
            CriticalNode { rank: rank as u32, node: self.traces[rank].id(index) }
        };
        let mut nodes: Vec<CriticalNode> = path.map(node).collect();
        nodes.reverse();
        CriticalPath { duration_us: last.map_or(0, |last| self.ends[last]), nodes }
    }
}

/// The group of a collective that waits for its members.
fn meets_in(trace: &Trace, index: u32) -> Option<Option<GroupId>> {
    match trace.node(index).kind {
        // Each rank takes its recorded duration; nothing is sent.
        NodeKind::Collective { collective: CollectiveType::Broadcast, .. } => None,
        NodeKind::Collective { group, .. } => Some(group),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use astra_engine::{Bytes, InvolvedDims, Micros, Node, TraceBuilder};

    use super::*;

    fn node(kind: NodeKind, duration: u64) -> Node {
        Node { kind, cpu: false, duration: Micros(duration) }
    }

    fn compute(duration: u64) -> Node {
        node(NodeKind::Compute { work: None }, duration)
    }

    fn send(to: u32) -> Node {
        node(NodeKind::Send { to: Rank(to), size: Bytes(8), tag: 3 }, 50)
    }

    fn recv(from: u32) -> Node {
        node(NodeKind::Recv { from: Rank(from), size: Bytes(8), tag: 3 + TAG_MODULUS }, 99)
    }

    fn sum() -> Node {
        let (collective, involved) = (CollectiveType::AllReduce, InvolvedDims::default());
        node(NodeKind::Collective { collective, size: Bytes(8), group: None, involved }, 70)
    }

    fn trace(nodes: &[(Node, &[u64])]) -> Trace {
        let mut builder = TraceBuilder::new();
        (10..).zip(nodes).for_each(|(id, (node, dependencies))| builder.push(id, "", *node, dependencies));
        builder.build().unwrap()
    }

    fn path(traces: Vec<Trace>) -> Option<(u64, Vec<(u32, u64)>)> {
        let trace_of_rank = (0..traces.len() as u32).collect();
        let path = of_workload(&Workload { traces, trace_of_rank, groups: BTreeMap::new() })?;
        Some((path.duration_us, path.nodes.iter().map(|node| (node.rank, node.node)).collect()))
    }

    #[test]
    fn within_a_trace_it_is_the_longest_chain_of_computations() {
        // 10 → 11 → 14 takes 1 + 2 + 4, 12 → 13 → 14 takes 4 + 0 + 4; the receive takes no time of its own.
        let forked = trace(&[
            (compute(1), &[]),
            (compute(2), &[10]),
            (compute(4), &[]),
            (recv(0), &[12]),
            (compute(4), &[11, 13]),
        ]);
        assert_eq!(of_trace(&forked), Critical { duration_us: 8, nodes: vec![12, 13, 14] });
        assert_eq!(of_trace(&trace(&[(compute(0), &[])])), Critical { duration_us: 0, nodes: vec![10] });
    }

    #[test]
    fn a_receive_waits_for_what_its_send_waits_for() {
        let sender = trace(&[(compute(5), &[]), (send(1), &[10]), (compute(1), &[10])]);
        let receiver = trace(&[(compute(2), &[]), (recv(0), &[]), (compute(4), &[10, 11])]);
        assert_eq!(path(vec![sender, receiver]), Some((9, vec![(0, 10), (0, 11), (1, 11), (1, 12)])));
    }

    #[test]
    fn equal_messages_pair_in_the_order_in_which_they_are_issued() {
        // The second of the sends comes after 7 us; the node after the first receive does not wait for it.
        let sender = trace(&[(send(1), &[]), (compute(7), &[10]), (send(1), &[11])]);
        let receiver = trace(&[(recv(0), &[]), (compute(20), &[10]), (recv(0), &[10])]);
        assert_eq!(path(vec![sender, receiver]), Some((20, vec![(0, 10), (1, 10), (1, 11)])));
    }

    #[test]
    fn a_collective_waits_for_its_last_member() {
        let slow = trace(&[(compute(5), &[]), (sum(), &[10])]);
        let fast = trace(&[(compute(1), &[]), (sum(), &[10]), (compute(3), &[11])]);
        assert_eq!(path(vec![slow, fast]), Some((8, vec![(0, 10), (0, 11), (1, 11), (1, 12)])));
    }

    #[test]
    fn collectives_pair_in_the_order_in_which_ranks_come_to_them_whatever_their_ids() {
        // The first rank has the late one first, the second the early one, and its late one waits for the other's.
        let one = trace(&[(compute(9), &[]), (sum(), &[10]), (sum(), &[]), (send(1), &[12])]);
        let other = trace(&[(sum(), &[]), (recv(0), &[]), (sum(), &[11]), (compute(1), &[12])]);
        assert_eq!(path(vec![one, other]), Some((10, vec![(0, 10), (0, 11), (1, 12), (1, 13)])));
    }

    #[test]
    fn ranks_that_wait_for_each_other_have_none() {
        let of = |peer| trace(&[(recv(peer), &[]), (send(peer), &[10])]);
        assert_eq!(path(vec![of(1), of(0)]), None);
    }
}
