//! What a simulation found out.

use crate::units::{Nanos, Rank};

/// Figures of one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankReport {
    /// When the rank's last node completed.
    pub finish: Nanos,
    /// `finish` less the durations of its GPU computations, modulo 2^64. In a replay every node that is not
    /// on the CPU counts as such a computation, so that the difference can wrap; ASTRA-sim prints it like
    /// this.
    pub exposed: Nanos,
    /// Time with a GPU computation in progress; `None` if the rank has no such node.
    pub gpu: Option<Nanos>,
    /// Time with a CPU computation in progress; `None` if the rank has no such node.
    pub cpu: Option<Nanos>,
    /// Time with a collective, a send or a receive in progress; `None` if the rank has no such node.
    pub comm: Option<Nanos>,
    /// Time with a remote memory access in progress; `None` if the rank has no such node.
    pub memory: Option<Nanos>,
    /// `gpu + comm - finish` modulo 2^64: how much computation and communication overlap. ASTRA-sim prints it
    /// if it is above 0. `None` if the rank does not have both.
    pub overlap: Option<Nanos>,
}

/// Result of a simulation in which every rank finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Figures by rank.
    pub ranks: Vec<RankReport>,
    /// The ranks in the order in which they finished.
    pub finish_order: Vec<Rank>,
    /// Messages that crossed the network.
    pub messages: u64,
    /// Events that were processed.
    pub events: u64,
}

impl Report {
    /// When the last rank finished.
    pub fn finish(&self) -> Nanos {
        self.ranks.iter().map(|rank| rank.finish).max().unwrap_or_default()
    }
}
