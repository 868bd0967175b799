//! The longest chain of computations, within a trace and through all ranks: what they take at least, whatever the
//! network.
//!
//! A receive waits for its send, and a collective for all of its members. Messages that have everything in common, and
//! the collectives of a group, pair in the order in which each rank issues them.

use std::collections::{BTreeMap, BTreeSet};

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
    paths.meet(workload, &orders);
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
    /// The collective that a node is a part of.
    meeting_of: Vec<usize>,
    meetings: Vec<Meeting>,
}

/// A collective of several members.
#[derive(Default)]
struct Meeting {
    parts: Vec<usize>,
    /// How many of them have not started.
    absent: usize,
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
        Self {
            traces,
            first,
            waiting,
            ends,
            before,
            receiver: Vec::new(),
            meeting_of: Vec::new(),
            meetings: Vec::new(),
        }
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
    fn meet(&mut self, workload: &Workload, orders: &[IssueOrder]) {
        let mut met: BTreeMap<(Option<GroupId>, usize), Meeting> = BTreeMap::new();
        for (rank, trace) in self.traces.iter().enumerate() {
            let mut count: BTreeMap<Option<GroupId>, usize> = BTreeMap::new();
            for node in orders[workload.trace_of_rank[rank] as usize].nodes() {
                if let NodeKind::Collective { collective, group, .. } = trace.node(node).kind {
                    if collective == CollectiveType::Broadcast {
                        // Each rank takes its recorded duration; nothing is sent.
                        continue;
                    }
                    let number = count.entry(group).or_default();
                    met.entry((group, *number)).or_default().parts.push(self.first[rank] + node as usize);
                    *number += 1;
                }
            }
        }
        if met.is_empty() {
            return;
        }
        self.meeting_of = vec![NONE; self.waiting.len()];
        self.meetings = met.into_values().collect();
        for (number, meeting) in self.meetings.iter_mut().enumerate() {
            meeting.absent = meeting.parts.len();
            meeting.parts.iter().for_each(|&part| self.meeting_of[part] = number);
        }
    }

    /// Goes through all nodes, each after those it waits for; whether none was left over.
    fn walk(&mut self) -> bool {
        let mut ready: Vec<usize> = (0..self.waiting.len()).rev().filter(|&n| self.waiting[n] == 0).collect();
        let mut left = self.waiting.len();
        while let Some(node) = ready.pop() {
            let Some(meeting) = self.meeting_of.get(node).and_then(|&number| self.meetings.get_mut(number))
            else {
                left -= 1;
                self.complete(node, &mut ready);
                continue;
            };
            meeting.absent -= 1;
            if meeting.absent == 0 {
                let parts = std::mem::take(&mut meeting.parts);
                left -= parts.len();
                self.complete_together(&parts, &mut ready);
            }
        }
        left == 0
    }

    /// The members of a collective go on when the last of them has come.
    fn complete_together(&mut self, parts: &[usize], ready: &mut Vec<usize>) {
        let last = parts.iter().copied().reduce(|a, b| if self.ends[b] > self.ends[a] { b } else { a });
        for &part in parts {
            if let Some(last) = last.filter(|&last| self.ends[last] > self.ends[part]) {
                (self.ends[part], self.before[part]) = (self.ends[last], last);
            }
        }
        parts.iter().for_each(|&part| self.complete(part, ready));
    }

    fn complete(&mut self, node: usize, ready: &mut Vec<usize>) {
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

    fn release(&mut self, node: usize, next: usize, ready: &mut Vec<usize>) {
        if self.before[next] == NONE || self.ends[node] > self.ends[next] {
            (self.ends[next], self.before[next]) = (self.ends[node], node);
        }
        self.waiting[next] -= 1;
        if self.waiting[next] == 0 {
            ready.push(next);
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
    fn ranks_that_wait_for_each_other_have_none() {
        let of = |peer| trace(&[(recv(peer), &[]), (send(peer), &[10])]);
        assert_eq!(path(vec![of(1), of(0)]), None);
    }
}
