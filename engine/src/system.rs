//! The settings of the system layer: chunking, concurrency, delays and the algorithm of each collective.
//!
//! Values and their checks. The scheduling policy of ASTRA-sim's system file has no field here: a collective
//! holds its rank's only communication slot, so no two collectives of a rank ever compete and the policy
//! cannot matter.

use crate::collective::{Algorithm, CollectiveType};
use crate::custom::CustomCollectives;
use crate::dialect::Dialect;
use crate::names::named_enum;
use crate::units::{GbPerSec, Nanos, Tflops};
use std::fmt;

named_enum! {
    /// How an all-reduce over several dimensions is decomposed.
    pub enum CollectiveOptimization ("collective optimization") {
        /// A full all-reduce in every dimension, one after the other.
        Baseline = "baseline",
        /// Reduce-scatter inwards, all-reduce in the last dimension, all-gather back.
        LocalBwAware = "localBWAware",
    }
}

/// The memory behind the `MEM_LOAD` and `MEM_STORE` nodes of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteMemory {
    /// There is none; a memory node is an error.
    None,
    /// One per NPU, without contention.
    PerNpu(MemoryTiming),
    /// One per node of `npus_per_node` NPUs, one access at a time.
    PerNode {
        /// Time of one access.
        timing: MemoryTiming,
        /// Number of nodes.
        nodes: u32,
        /// NPUs that share one memory; at least 1.
        npus_per_node: u32,
    },
    /// One for all NPUs, one access at a time.
    Pool(MemoryTiming),
}

/// Time of one remote memory access: latency, then size over bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryTiming {
    /// Latency of an access.
    pub latency: Nanos,
    /// Bandwidth in whole bytes per nanosecond (decimal GB/s).
    pub bytes_per_ns: u32,
}

/// The bus that the memory steps of all ranks' collectives take, in the terms of the LogGP model. Every rank has its
/// own; collectives in communicator groups that are not all ranks do not use it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharedBus {
    /// Latency (`L`).
    pub latency: Nanos,
    /// Overhead of a transfer at either end (`o`).
    pub overhead: Nanos,
    /// Gap between transfers (`g`).
    pub gap: Nanos,
    /// Gap per byte in nanoseconds (`G`).
    pub gap_per_byte_ns: f64,
    /// Time to process 100 bytes at an end (`local-reduction-delay`); every processing takes 50 ns besides.
    pub local_reduction_delay: Nanos,
}

/// The system layer's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct System {
    /// Whose rules are followed.
    pub dialect: Dialect,
    /// How all-reduces over several dimensions are decomposed.
    pub collective_optimization: CollectiveOptimization,
    /// Delay charged before every message step of a collective.
    pub endpoint_delay: Nanos,
    /// Number of chunks a collective is cut into; 0 is an error as soon as a collective is simulated.
    pub preferred_dataset_splits: u32,
    /// Chunks that may be active in one dimension at once; 0 is an error as soon as a collective is
    /// simulated.
    pub active_chunks_per_dimension: u32,
    /// Queues per dimension that share the active chunks; at least 1.
    pub queues_per_dimension: u32,
    /// Bandwidth of local memory, for reductions and the roofline; 0 charges nothing for reductions.
    pub local_mem_bw: GbPerSec,
    /// Peak compute throughput, for the roofline.
    pub peak_perf: Tflops,
    /// GPU compute nodes take the time of the roofline model instead of their recorded duration.
    pub roofline_enabled: bool,
    /// Every node, communication too, takes its recorded duration.
    pub replay_only: bool,
    /// Every message is preceded by a handshake of 8192 bytes in both directions.
    pub rendezvous: bool,
    /// The bus that collectives share with memory; without one every memory step takes the endpoint delay.
    pub shared_bus: Option<SharedBus>,
    /// What memory nodes access.
    pub remote_memory: RemoteMemory,
    /// Algorithm of all-reduce per logical dimension; empty: not available.
    pub all_reduce: Vec<Algorithm>,
    /// Algorithm of all-gather per logical dimension; empty: not available.
    pub all_gather: Vec<Algorithm>,
    /// Algorithm of reduce-scatter per logical dimension; empty: not available.
    pub reduce_scatter: Vec<Algorithm>,
    /// Algorithm of all-to-all per logical dimension; empty: not available.
    pub all_to_all: Vec<Algorithm>,
    /// Collectives that traces carry out instead of the algorithms.
    pub custom: CustomCollectives,
}

impl Default for System {
    /// What a system file without any key means.
    fn default() -> Self {
        Self {
            dialect: Dialect::AstraSim,
            collective_optimization: CollectiveOptimization::Baseline,
            endpoint_delay: Nanos(10),
            preferred_dataset_splits: 0,
            active_chunks_per_dimension: 1,
            queues_per_dimension: 1,
            local_mem_bw: GbPerSec(0.0),
            peak_perf: Tflops(0.0),
            roofline_enabled: false,
            replay_only: false,
            rendezvous: false,
            shared_bus: None,
            remote_memory: RemoteMemory::None,
            all_reduce: Vec::new(),
            all_gather: Vec::new(),
            reduce_scatter: Vec::new(),
            all_to_all: Vec::new(),
            custom: CustomCollectives::default(),
        }
    }
}

/// What is wrong with a system.
#[derive(Clone, Debug, PartialEq)]
pub enum SystemProblem {
    /// A count that must be at least 1 is 0.
    Zero(&'static str),
    /// More queues per dimension than are simulated.
    TooManyQueues(u32),
    /// A number is negative or not finite.
    Number(&'static str, f64),
    /// More algorithms than the network has dimensions.
    TooManyAlgorithms {
        /// The collective whose list is too long.
        collective: CollectiveType,
        /// Entries in the list.
        found: usize,
        /// Dimensions of the network.
        dimensions: usize,
    },
    /// An algorithm that the simulator of the dialect does not have.
    OtherDialect {
        /// The collective that is to use it.
        collective: CollectiveType,
        /// The algorithm.
        algorithm: Algorithm,
        /// The dialect.
        dialect: Dialect,
    },
    /// A custom collective of a kind that dialect `deepflow` does not have: for nodes, or for reduce-scatters.
    CustomInDeepFlow(&'static str),
}

impl fmt::Display for SystemProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero(key) => write!(f, "{key} is 0; it must be at least 1"),
            Self::TooManyQueues(found) => {
                write!(
                    f,
                    "num-queues-per-dim is {found}; at most {} are simulated",
                    System::MAX_QUEUES_PER_DIMENSION
                )
            }
            Self::Number(key, found) => write!(f, "{key} is {found}; it must be a finite number, 0 or more"),
            Self::TooManyAlgorithms { collective, found, dimensions } => write!(
                f,
                "{found} algorithms for {collective}, but the network has {dimensions} dimension(s); give one per \
                 dimension"
            ),
            Self::OtherDialect { collective, algorithm, dialect } => write!(
                f,
                "algorithm {algorithm} for {collective} exists in dialect {}, not in {dialect}; choose that dialect or \
                 another algorithm",
                dialect.other()
            ),
            Self::CustomInDeepFlow(what) => write!(
                f,
                "custom collectives {what} exist in dialect astra-sim, not in deepflow; choose that dialect or remove \
                 them"
            ),
        }
    }
}

impl System {
    /// Most queues per dimension; every rank holds them all.
    pub const MAX_QUEUES_PER_DIMENSION: u32 = 1024;

    /// The algorithms of a collective type, one per logical dimension; empty for types that have none.
    pub fn algorithms(&self, collective: CollectiveType) -> &[Algorithm] {
        match collective {
            CollectiveType::AllReduce => &self.all_reduce,
            CollectiveType::AllGather => &self.all_gather,
            CollectiveType::ReduceScatter => &self.reduce_scatter,
            CollectiveType::AllToAll => &self.all_to_all,
            _ => &[],
        }
    }

    /// The algorithm of a collective type inside a group that is not of all ranks, `None` if there is none: in
    /// dialect `astra-sim` the only one of the type, or `ring` where there are several; in dialect `deepflow` the
    /// first of the type.
    pub fn group_algorithm(&self, collective: CollectiveType) -> Option<Algorithm> {
        match (self.dialect, self.algorithms(collective)) {
            (_, []) => None,
            (_, &[only]) => Some(only),
            (Dialect::DeepFlow, &[first, ..]) => Some(first),
            (Dialect::AstraSim, _) => Some(Algorithm::Ring),
        }
    }

    /// Checks every value against a network of `dimensions` dimensions.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self, dimensions: usize) -> Result<(), SystemProblem> {
        match self.queues_per_dimension {
            0 => return Err(SystemProblem::Zero("num-queues-per-dim")),
            1..=Self::MAX_QUEUES_PER_DIMENSION => {}
            found => return Err(SystemProblem::TooManyQueues(found)),
        }
        if let RemoteMemory::PerNode { npus_per_node: 0, .. } = self.remote_memory {
            return Err(SystemProblem::Zero("num-npus-per-node"));
        }
        let gap_per_byte = self.shared_bus.map_or(0.0, |bus| bus.gap_per_byte_ns);
        for (key, number) in
            [("local-mem-bw", self.local_mem_bw.0), ("peak-perf", self.peak_perf.0), ("G", gap_per_byte)]
        {
            if !(number.is_finite() && number >= 0.0) {
                return Err(SystemProblem::Number(key, number));
            }
        }
        for &collective in CollectiveType::ALL {
            let algorithms = self.algorithms(collective);
            if algorithms.len() > dimensions {
                let found = algorithms.len();
                return Err(SystemProblem::TooManyAlgorithms { collective, found, dimensions });
            }
            let dialect = self.dialect;
            if let Some(&algorithm) = algorithms.iter().find(|algorithm| !algorithm.exists_in(dialect)) {
                return Err(SystemProblem::OtherDialect { collective, algorithm, dialect });
            }
        }
        if self.dialect == Dialect::DeepFlow {
            if !self.custom.of_node.is_empty() {
                return Err(SystemProblem::CustomInDeepFlow("for nodes"));
            }
            if self.custom.of_type.contains_key(&CollectiveType::ReduceScatter) {
                return Err(SystemProblem::CustomInDeepFlow("for reduce_scatter"));
            }
        }
        Ok(())
    }
}
