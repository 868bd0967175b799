//! Small networks, systems and workloads to test with.

use astra_engine::{
    Algorithm, Bytes, CollectiveOptimization, CollectiveType, Dimension, GbPerSec, GibPerSec, GroupId,
    InvolvedDims, Micros, Network, NetworkModel, Node, NodeKind, Rank, System, Topology, TraceBuilder,
    Workload,
};
use std::collections::BTreeMap;

pub(crate) fn dimension(topology: Topology, npus: u32, gib: f64, latency_ns: f64) -> Dimension {
    Dimension { topology, npus, bandwidth: GibPerSec(gib), latency_ns }
}

pub(crate) fn unaware(dimensions: &[Dimension]) -> Network {
    Network::new(NetworkModel::CongestionUnaware, dimensions.to_vec())
}

/// A ring of 50 GB/s and 500 ns.
pub(crate) fn ring(npus: u32) -> Network {
    unaware(&[dimension(Topology::Ring, npus, 50.0, 500.0)])
}

/// Every collective by the same algorithms; 4 splits, localBWAware, endpoint delay 10, local memory at 1600
/// GB/s.
pub(crate) fn system(algorithms: &[&str]) -> System {
    let algorithms: Vec<Algorithm> = algorithms.iter().map(|name| name.parse().unwrap()).collect();
    System {
        collective_optimization: CollectiveOptimization::LocalBwAware,
        preferred_dataset_splits: 4,
        local_mem_bw: GbPerSec(1600.0),
        all_reduce: algorithms.clone(),
        all_gather: algorithms.clone(),
        reduce_scatter: algorithms.clone(),
        all_to_all: algorithms,
        ..System::default()
    }
}

pub(crate) fn gpu(kind: NodeKind, micros: u64) -> Node {
    Node { kind, cpu: false, duration: Micros(micros) }
}

pub(crate) fn compute(micros: u64) -> Node {
    gpu(NodeKind::Compute { work: None }, micros)
}

pub(crate) fn collective(collective: CollectiveType, size: u64, group: Option<u32>) -> Node {
    let group = group.and_then(GroupId::new);
    gpu(NodeKind::Collective { collective, size: Bytes(size), group, involved: InvolvedDims::default() }, 0)
}

pub(crate) fn send(to: u32, size: u64, tag: u32) -> Node {
    gpu(NodeKind::Send { to: Rank(to), size: Bytes(size), tag }, 0)
}

pub(crate) fn recv(from: u32, size: u64, tag: u32) -> Node {
    gpu(NodeKind::Recv { from: Rank(from), size: Bytes(size), tag }, 0)
}

/// A trace of nodes with ids 1, 2, … and the ids each depends on.
pub(crate) fn workload(ranks: &[&[(Node, &[u64])]]) -> Workload {
    let trace = |nodes: &&[(Node, &[u64])]| {
        let mut builder = TraceBuilder::new();
        for (id, (node, dependencies)) in (1..).zip(nodes.iter()) {
            builder.push(id, "node", *node, dependencies);
        }
        builder.build().unwrap()
    };
    Workload {
        traces: ranks.iter().map(trace).collect(),
        trace_of_rank: (0..ranks.len() as u32).collect(),
        groups: BTreeMap::new(),
    }
}

pub(crate) fn everywhere(node: Node, ranks: u32) -> Workload {
    let one = workload(&[&[(node, &[])]]);
    Workload { trace_of_rank: vec![0; ranks as usize], ..one }
}
