//! Sets of nodes that are used again for every task.

use super::model::NodeIndex;

/// A set of nodes that is emptied in no time.
pub(super) struct Marks {
    round_of: Vec<u32>,
    round: u32,
}

impl Marks {
    pub(super) fn new(nodes: usize) -> Self {
        Self { round_of: vec![0; nodes], round: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.round = self.round.checked_add(1).unwrap_or_else(|| {
            self.round_of.fill(0);
            1
        });
    }

    /// Adds a node; whether it is new.
    pub(super) fn mark(&mut self, node: NodeIndex) -> bool {
        std::mem::replace(&mut self.round_of[node.at()], self.round) != self.round
    }

    pub(super) fn has(&self, node: NodeIndex) -> bool {
        self.round_of[node.at()] == self.round
    }
}
