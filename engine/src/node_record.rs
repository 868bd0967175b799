//! When each node of each rank ran, kept by an observer.

use crate::observer::{NodeOf, Observer};
use crate::units::{Nanos, Rank};
use crate::workload::Workload;
use std::cell::RefCell;

/// When a node ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeTimes {
    /// When it was issued.
    pub start: Nanos,
    /// When it was complete.
    pub end: Nanos,
}

/// Not yet.
const NEVER: Nanos = Nanos(u64::MAX);

/// An [`Observer`] that keeps when each node ran: 16 bytes a node.
#[derive(Clone, Debug)]
pub struct NodeRecord {
    /// Where the nodes of each rank begin.
    first_of_rank: Vec<usize>,
    /// Of all ranks one behind the other.
    times: Vec<NodeTimes>,
}

impl NodeRecord {
    /// A record in which no node of the workload has run.
    pub fn new(workload: &Workload) -> Self {
        let mut nodes = 0;
        let mut first_of_rank = Vec::with_capacity(workload.trace_of_rank.len());
        for &trace in &workload.trace_of_rank {
            first_of_rank.push(nodes);
            nodes += workload.traces[trace as usize].len();
        }
        Self { first_of_rank, times: vec![NodeTimes { start: NEVER, end: NEVER }; nodes] }
    }

    /// When the node with an index in a rank's trace began, if it has.
    pub fn began(&self, rank: Rank, index: u32) -> Option<Nanos> {
        Some(self.times[self.place(rank, index)].start).filter(|&start| start != NEVER)
    }

    /// When the node with an index in a rank's trace ran, if it is complete.
    pub fn times(&self, rank: Rank, index: u32) -> Option<NodeTimes> {
        Some(self.times[self.place(rank, index)]).filter(|times| times.end != NEVER)
    }

    fn place(&self, rank: Rank, index: u32) -> usize {
        self.first_of_rank[rank.0 as usize] + index as usize
    }
}

impl Observer for NodeRecord {
    fn node_began(&mut self, node: &NodeOf<'_>, at: Nanos) {
        let place = self.place(node.rank, node.index);
        self.times[place].start = at;
    }

    fn node_ended(&mut self, node: &NodeOf<'_>, at: Nanos) {
        let place = self.place(node.rank, node.index);
        self.times[place].end = at;
    }
}

/// For who reads the record while the observed simulation is still at hand.
impl Observer for &RefCell<NodeRecord> {
    fn node_began(&mut self, node: &NodeOf<'_>, at: Nanos) {
        self.borrow_mut().node_began(node, at);
    }

    fn node_ended(&mut self, node: &NodeOf<'_>, at: Nanos) {
        self.borrow_mut().node_ended(node, at);
    }
}
