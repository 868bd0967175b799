//! The traces of all ranks and the communicator groups they use.

use crate::dialect::Dialect;
use crate::system::System;
use crate::trace::Trace;
use crate::units::Rank;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

/// The number of a communicator group. There is no group 0: the name means all ranks, or nothing in dialect `deepflow`
/// ([`crate::TraceBuilder::note_group_zero`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(NonZeroU32);

impl GroupId {
    /// A group number; `None` for 0 and for numbers above 2147, whose chunk numbers would not fit ASTRA-sim's
    /// counters.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) if number.get() <= 2147 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What all ranks do.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// The distinct traces.
    pub traces: Vec<Trace>,
    /// For each rank the index of its trace; its length is the number of ranks.
    pub trace_of_rank: Vec<u32>,
    /// Members of each communicator group; their order is the order of the ring.
    pub groups: BTreeMap<GroupId, Vec<Rank>>,
}

/// What is wrong with a workload as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadProblem {
    /// The workload is for another number of ranks than the network has.
    Ranks {
        /// Ranks of the workload.
        found: usize,
        /// Ranks of the network.
        expected: u32,
    },
    /// A rank names a trace that is not there.
    NoTrace(Rank),
    /// A group lists a rank that the network does not have.
    GroupRank(GroupId, Rank),
    /// A group lists a rank twice.
    GroupTwice(GroupId, Rank),
    /// A group has no member.
    GroupEmpty(GroupId),
    /// A node names group 0, which dialect `deepflow` does not have.
    GroupZero {
        /// The first rank with such a node.
        rank: Rank,
        /// The node's id.
        node: u64,
    },
}

impl fmt::Display for WorkloadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ranks { found, expected } => {
                write!(f, "the workload is for {found} rank(s), the network has {expected}")
            }
            Self::NoTrace(rank) => write!(f, "rank {rank} has no trace"),
            Self::GroupRank(group, rank) => {
                write!(f, "communicator group {group} lists rank {rank}, which the network does not have")
            }
            Self::GroupTwice(group, rank) => write!(f, "communicator group {group} lists rank {rank} twice"),
            Self::GroupEmpty(group) => write!(f, "communicator group {group} has no member"),
            Self::GroupZero { rank, node } => write!(
                f,
                "rank {rank}, node {node}: communicator group 0 means all ranks in dialect astra-sim and does not exist \
                 in deepflow; leave its pg_name out"
            ),
        }
    }
}

impl Workload {
    /// Every rank runs the same trace, without groups.
    pub fn uniform(trace: Trace, ranks: u32) -> Self {
        Self { traces: vec![trace], trace_of_rank: vec![0; ranks as usize], groups: BTreeMap::new() }
    }

    /// Checks the workload against the number of ranks of the network.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self, ranks: u32) -> Result<(), WorkloadProblem> {
        if self.trace_of_rank.len() != ranks as usize {
            return Err(WorkloadProblem::Ranks { found: self.trace_of_rank.len(), expected: ranks });
        }
        if let Some(rank) = self.trace_of_rank.iter().position(|&trace| trace as usize >= self.traces.len()) {
            return Err(WorkloadProblem::NoTrace(Rank(rank as u32)));
        }
        for (&group, members) in &self.groups {
            if members.is_empty() {
                return Err(WorkloadProblem::GroupEmpty(group));
            }
            if let Some(&rank) = members.iter().find(|rank| rank.0 >= ranks) {
                return Err(WorkloadProblem::GroupRank(group, rank));
            }
            let mut sorted = members.clone();
            sorted.sort_unstable();
            if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(WorkloadProblem::GroupTwice(group, pair[0]));
            }
        }
        Ok(())
    }

    /// Checks the workload against the dialect of a system.
    ///
    /// # Errors
    /// A node of some rank's trace that names group 0 where there is none.
    pub fn check_dialect(&self, system: &System) -> Result<(), WorkloadProblem> {
        if system.dialect == Dialect::AstraSim || system.replay_only {
            return Ok(());
        }
        let ranks = (0..self.trace_of_rank.len() as u32).map(Rank);
        let mut named = ranks.filter_map(|rank| Some((rank, self.trace(rank).group_zero()?)));
        named.next().map_or(Ok(()), |(rank, node)| Err(WorkloadProblem::GroupZero { rank, node }))
    }

    /// The trace of a rank.
    pub fn trace(&self, rank: Rank) -> &Trace {
        &self.traces[self.trace_of_rank[rank.0 as usize] as usize]
    }
}
