//! From a collective to its phases: which dimensions, in which order, with which algorithm and sizes.
//!
//! Phases are the same for every rank and every chunk of a collective, so they are worked out once and
//! shared. Nothing here knows the clock or the state of a rank.

use super::algorithm::{Job, Steps};
use crate::collective::{Algorithm, CollectiveType, InvolvedDims};
use crate::dialect::Dialect;
use crate::error::NodeProblem;
use crate::network::Network;
use crate::system::{CollectiveOptimization, System};
use crate::units::{GbPerSec, Nanos, Rank};
use crate::workload::GroupId;
use std::collections::BTreeMap;

/// Endpoint delay of every message step inside a communicator group, whatever the system's setting is.
const GROUP_ENDPOINT_DELAY: Nanos = Nanos(10);

/// Which of a dimension's queues a phase may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    /// All in turn.
    Any,
    /// Those of the first half in turn.
    First,
    /// Those of the second half in turn; the phase runs anticlockwise.
    Last,
}

impl Selector {
    /// Number of selectors.
    pub(super) const COUNT: usize = 3;
}

/// The ranks that take part in a phase, in ring order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Members {
    /// Ranks whose index differs in one dimension: every `stride`-th.
    Strided { stride: u32 },
    /// The members of a group, in listed order.
    Listed { group: u32 },
}

/// One phase of a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) collective: CollectiveType,
    /// The dimension whose queues are used, and its tree counters.
    pub(super) dimension: u32,
    pub(super) members: Members,
    /// Number of members.
    pub(super) count: u32,
    pub(super) selector: Selector,
    pub(super) endpoint_delay: Nanos,
    /// Whether memory steps take the way over the shared bus instead of the endpoint delay.
    pub(super) over_bus: bool,
    /// What `steps` carry out, unless a trace says.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) steps: Steps,
}

/// What a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlanKey {
    pub(super) collective: CollectiveType,
    /// Size of a chunk in bytes.
    pub(super) chunk: u64,
    pub(super) involved: InvolvedDims,
    /// Index of the group, if it is not all ranks.
    pub(super) group: Option<u32>,
}

/// The phases of a plan: a range of [`Plans::phases`].
pub(super) type Plan = std::ops::Range<u32>;

/// A communicator group as the simulation uses it.
pub(super) struct Group {
    pub(super) id: GroupId,
    pub(super) members: Vec<Rank>,
    /// (rank, index in `members`) by rank.
    positions: Vec<(Rank, u32)>,
    /// Index of the group's first chunk counter; member `i` has the `i`-th from there.
    pub(super) first_counter: usize,
}

impl Group {
    pub(super) fn new(id: GroupId, members: &[Rank], first_counter: usize) -> Self {
        let mut positions: Vec<_> = members.iter().copied().zip(0..).collect();
        positions.sort_unstable();
        Self { id, members: members.to_vec(), positions, first_counter }
    }

    pub(super) fn position(&self, rank: u32) -> Option<u32> {
        let found = self.positions.binary_search_by_key(&Rank(rank), |&(rank, _)| rank).ok()?;
        Some(self.positions[found].1)
    }
}

/// A dimension of the logical topology of a collective type.
#[derive(Clone, Copy)]
struct LogicalDimension {
    algorithm: Algorithm,
    count: u32,
    stride: u32,
}

/// Plans made so far, and what is needed to make more.
pub(super) struct Plans<'a> {
    network: &'a Network,
    system: &'a System,
    ranks: u32,
    pub(super) phases: Vec<Phase>,
    made: BTreeMap<PlanKey, Plan>,
    /// The phase of custom collectives by selector.
    custom: [Option<u32>; Selector::COUNT],
}

impl<'a> Plans<'a> {
    pub(super) const fn new(network: &'a Network, system: &'a System, ranks: u32) -> Self {
        Self {
            network,
            system,
            ranks,
            phases: Vec::new(),
            made: BTreeMap::new(),
            custom: [None; Selector::COUNT],
        }
    }

    /// The number of network dimensions.
    pub(super) const fn dimensions(&self) -> usize {
        self.network.dimensions.len()
    }

    /// The most phases a chunk can have: one there and one back in each dimension.
    pub(super) const fn longest(&self) -> usize {
        2 * self.dimensions()
    }

    /// The phases of every chunk of a collective.
    pub(super) fn plan(&mut self, key: PlanKey, groups: &[Group]) -> Result<Plan, NodeProblem> {
        if let Some(plan) = self.made.get(&key) {
            return Ok(plan.clone());
        }
        let phases = match key.group {
            None => self.world_phases(key)?,
            Some(group) => self.group_phases(key, group, &groups[group as usize])?,
        };
        let start = self.phases.len() as u32;
        self.phases.extend(phases);
        let plan = start..self.phases.len() as u32;
        self.made.insert(key, plan.clone());
        Ok(plan)
    }

    /// The plan of every custom collective: one phase in the first dimension, which a trace carries out.
    pub(super) fn custom_plan(&mut self, collective: CollectiveType) -> Plan {
        let selector = match self.system.dialect {
            Dialect::AstraSim => Selector::Any,
            Dialect::DeepFlow => self.only_selector(collective),
        };
        let start = self.phases.len() as u32;
        let custom = *self.custom[selector as usize].get_or_insert(start);
        if custom == start {
            self.phases.push(Phase {
                collective,
                dimension: 0,
                members: Members::Strided { stride: 1 },
                count: self.ranks,
                selector,
                endpoint_delay: Nanos(0),
                over_bus: false,
                algorithm: None,
                steps: Steps::Custom,
            });
        }
        custom..custom + 1
    }

    /// A collective over all ranks, dimension by dimension.
    fn world_phases(&self, key: PlanKey) -> Result<Vec<Phase>, NodeProblem> {
        let logical = self.logical_dimensions(key.collective)?;
        let active: Vec<usize> = (0..logical.len()).filter(|&index| key.involved.contains(index)).collect();
        let Some((&last, inner)) = active.split_last() else {
            return Err(NodeProblem::NoDimension);
        };
        use CollectiveType::{AllGather, AllReduce, ReduceScatter};
        let order: Vec<(usize, CollectiveType, Selector)> = match key.collective {
            AllReduce if self.system.collective_optimization == CollectiveOptimization::LocalBwAware => {
                let scatter = inner.iter().map(|&index| (index, ReduceScatter, Selector::First));
                let gather = inner.iter().rev().map(|&index| (index, AllGather, Selector::Last));
                scatter.chain([(last, AllReduce, Selector::First)]).chain(gather).collect()
            }
            AllGather => active.iter().rev().map(|&index| (index, AllGather, Selector::Any)).collect(),
            other => active.iter().map(|&index| (index, other, Selector::Any)).collect(),
        };
        let mut size = key.chunk;
        let mut phases = Vec::with_capacity(order.len());
        for (index, collective, selector) in order {
            let LogicalDimension { algorithm, count, stride } = logical[index];
            let steps = self.steps(&Job { algorithm, collective, count, size, in_group: false })?;
            if self.system.shared_bus.is_some() && steps.largest_step() > i32::MAX as u64 {
                return Err(NodeProblem::BusSize(steps.largest_step()));
            }
            size = steps.final_size(collective, count, size).ok_or(NodeProblem::SizeRange)?;
            phases.push(Phase {
                collective,
                dimension: index as u32,
                members: Members::Strided { stride },
                count,
                selector,
                endpoint_delay: self.system.endpoint_delay,
                over_bus: self.system.shared_bus.is_some(),
                algorithm: Some(algorithm),
                steps,
            });
        }
        Ok(phases)
    }

    /// A collective inside a group: one ring over its members in listed order.
    fn group_phases(&self, key: PlanKey, index: u32, group: &Group) -> Result<Vec<Phase>, NodeProblem> {
        let algorithm =
            self.system.group_algorithm(key.collective).ok_or(NodeProblem::NoAlgorithm(key.collective))?;
        if !algorithm.runs_in_groups() {
            return Err(NodeProblem::AlgorithmOnGroup(algorithm, group.id));
        }
        let count = group.members.len() as u32;
        if count < 2 {
            return Err(NodeProblem::NoDimension);
        }
        let job = Job { algorithm, collective: key.collective, count, size: key.chunk, in_group: true };
        Ok(vec![Phase {
            collective: key.collective,
            dimension: 0,
            members: Members::Listed { group: index },
            count,
            selector: self.only_selector(key.collective),
            endpoint_delay: GROUP_ENDPOINT_DELAY,
            over_bus: false,
            algorithm: Some(algorithm),
            steps: self.steps(&job)?,
        }])
    }

    /// Which queues the phase of a collective uses that has one phase only.
    fn only_selector(&self, collective: CollectiveType) -> Selector {
        let halved = self.system.collective_optimization == CollectiveOptimization::LocalBwAware;
        if halved && collective == CollectiveType::AllReduce { Selector::First } else { Selector::Any }
    }

    /// One dimension per algorithm of the type; one that spans all ranks is the last.
    fn logical_dimensions(&self, collective: CollectiveType) -> Result<Vec<LogicalDimension>, NodeProblem> {
        let algorithms = self.system.algorithms(collective);
        if algorithms.is_empty() {
            return Err(NodeProblem::NoAlgorithm(collective));
        }
        let mut stride = 1;
        let mut logical = Vec::with_capacity(algorithms.len());
        for (&algorithm, dimension) in algorithms.iter().zip(&self.network.dimensions) {
            if algorithm.spans_all_ranks() {
                logical.push(LogicalDimension { algorithm, count: self.ranks, stride: 1 });
                return Ok(logical);
            }
            logical.push(LogicalDimension { algorithm, count: dimension.npus, stride });
            stride *= dimension.npus;
        }
        if algorithms.last() == Some(&Algorithm::DoubleBinaryTree) && stride != self.ranks {
            return Err(NodeProblem::TreeShortList(algorithms.len(), self.network.dimensions.len()));
        }
        Ok(logical)
    }

    fn steps(&self, job: &Job) -> Result<Steps, NodeProblem> {
        let Job { algorithm, collective, count, .. } = *job;
        if !algorithm.supports(collective) {
            return Err(NodeProblem::Algorithm(algorithm, collective));
        }
        if algorithm.needs_power_of_two() && !count.is_power_of_two() {
            return Err(NodeProblem::NotPowerOfTwo(algorithm, count));
        }
        Steps::new(job, self.system.dialect, self.system.local_mem_bw)
    }
}

/// Time to reduce `size` bytes in local memory: three passes, each truncated to whole nanoseconds; 0 without
/// bandwidth.
pub(super) fn reduction(size: u64, bandwidth: GbPerSec) -> Nanos {
    if bandwidth.0 == 0.0 {
        return Nanos(0);
    }
    let pass = (size as f64 / bandwidth.bytes_per_sec()) * 1e9;
    Nanos((pass as u64).saturating_mul(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reduction_is_three_truncated_passes() {
        assert_eq!(reduction(65_536, GbPerSec(1600.0)), Nanos(120));
        assert_eq!(reduction(62_500, GbPerSec(1000.0)), Nanos(186));
        assert_eq!(reduction(1 << 40, GbPerSec(0.0)), Nanos(0));
    }
}
