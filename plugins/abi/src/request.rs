//! The question: one collective, the network it runs on, and how the simulation is set up.
//!
//! Plain values, the same on both sides of the interface.

use crate::{AlgorithmSet, Collective, CollectiveOptimization, Dialect, NetworkModel, Topology};

/// One network dimension as the simulator will see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// The user's name of the dimension.
    pub id: String,
    /// Building block.
    pub topology: Topology,
    /// Number of NPUs along this dimension, at least 2.
    pub npus: u32,
    /// Bandwidth of one link, greater than 0.
    pub bandwidth_bytes_per_s: f64,
    /// Latency of one hop, at least 0.
    pub latency_ns: f64,
    /// The algorithms that can run the collective here; the host refuses any other.
    pub allowed: AlgorithmSet,
}

/// The question: which algorithm should `collective` use on each dimension?
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The collective asked about.
    pub collective: Collective,
    /// Size of one number of the payload, at least 1.
    pub element_bytes: u32,
    /// Size of the collective as in the trace: per rank.
    pub payload_bytes: u64,
    /// Ranks of the whole system.
    pub ranks: u32,
    /// The ranks that take part, ascending; `None`: all of the system.
    pub group: Option<Vec<u32>>,
    /// The dimensions, fastest-varying first; at least one.
    pub dimensions: Vec<Dimension>,
    /// Delay before every message.
    pub endpoint_delay_ns: u64,
    /// Chunks a collective is cut into.
    pub dataset_splits: u32,
    /// Chunks active at once per dimension.
    pub active_chunks: u32,
    /// Whether messages compete for links.
    pub network_model: NetworkModel,
    /// Whose rules the simulation follows.
    pub dialect: Dialect,
    /// Bandwidth of local memory, of which three passes reduce a message; 0: reducing takes no time.
    pub local_memory_bytes_per_s: f64,
    /// How an all-reduce over several dimensions is decomposed.
    pub collective_optimization: CollectiveOptimization,
    /// Queues that share the active chunks of a dimension, at least 1.
    pub queues_per_dimension: u32,
}
