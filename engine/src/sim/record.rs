//! When each node began and ended: kept when the caller asks for it, and to explain a stall.

use crate::report::NodeTimes;
use crate::units::Nanos;

/// Not yet.
const NEVER: u64 = u64::MAX;

/// Times of the nodes of all ranks one behind the other.
pub(super) struct Recorder {
    begun: Vec<u64>,
    ended: Vec<u64>,
}

impl Recorder {
    pub(super) fn new(nodes: usize) -> Self {
        Self { begun: vec![NEVER; nodes], ended: vec![NEVER; nodes] }
    }

    pub(super) fn begin(&mut self, node: usize, now: u64) {
        self.begun[node] = now;
    }

    pub(super) fn end(&mut self, node: usize, now: u64) {
        self.ended[node] = now;
    }

    pub(super) fn begun(&self, node: usize) -> Option<u64> {
        Some(self.begun[node]).filter(|&time| time != NEVER)
    }

    /// The times of a range of nodes, which have all ended.
    pub(super) fn times(&self, nodes: std::ops::Range<usize>) -> Vec<NodeTimes> {
        let times = self.begun[nodes.clone()].iter().zip(&self.ended[nodes]);
        times.map(|(&start, &end)| NodeTimes { start: Nanos(start), end: Nanos(end) }).collect()
    }
}
