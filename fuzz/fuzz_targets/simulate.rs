//! Any small workload of four ranks: it finishes or is explained, with and without shortcuts alike.

#![no_main]

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use arbitrary::Arbitrary;
use astra_engine::{
    Algorithm, Bytes, CollectiveType, Dialect, Dimension, Error, GibPerSec, GroupId, InvolvedDims, Micros, Network,
    NetworkModel, Node, NodeKind, Options, Rank, System, Topology, TraceBuilder, Workload, simulate_with,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    aware: bool,
    deepflow: bool,
    topology: u8,
    algorithm: u8,
    splits: u8,
    active: u8,
    queues: u8,
    rendezvous: bool,
    same_everywhere: bool,
    traces: [Vec<Step>; 4],
}

#[derive(Arbitrary, Debug)]
struct Step {
    kind: u8,
    peer: u8,
    size: u16,
    /// Which of the eight nodes before it this one waits for.
    after: u8,
}

const ALGORITHMS: [&str; 9] = [
    "ring",
    "direct",
    "direct1",
    "halvingDoubling",
    "doubleBinaryTree",
    "oneRing",
    "mesh",
    "hypercube",
    "torus2d",
];

fn node(step: &Step) -> Node {
    let (peer, size) = (Rank(u32::from(step.peer % 5)), Bytes(u64::from(step.size)));
    let collective = |collective, group| NodeKind::Collective {
        collective,
        size,
        group,
        involved: InvolvedDims::default(),
    };
    let kind = match step.kind % 9 {
        0 => NodeKind::Send { to: peer, size, tag: 0 },
        1 => NodeKind::Recv { from: peer, size, tag: 0 },
        2 => collective(CollectiveType::AllReduce, None),
        3 => collective(CollectiveType::AllGather, None),
        4 => collective(CollectiveType::AllToAll, None),
        5 => collective(CollectiveType::ReduceScatter, GroupId::new(1)),
        6 => NodeKind::Invalid,
        _ => NodeKind::Compute { work: None },
    };
    Node { kind, cpu: step.kind > 250, duration: Micros(u64::from(step.peer)) }
}

fn workload(input: &Input) -> Option<Workload> {
    let trace = |steps: &Vec<Step>| {
        let mut builder = TraceBuilder::new();
        for (id, step) in (0..12_u64).zip(steps) {
            let after: Vec<u64> =
                (1..=8).filter(|n| step.after >> (n - 1) & 1 == 1 && *n <= id).map(|n| id - n).collect();
            builder.push(id, "node", node(step), &after);
        }
        builder.build().ok()
    };
    let traces = input.traces.iter().map(trace).collect::<Option<Vec<_>>>()?;
    let groups = BTreeMap::from([(GroupId::new(1)?, vec![Rank(2), Rank(0), Rank(1)])]);
    let trace_of_rank = if input.same_everywhere { vec![0; 4] } else { (0..4).collect() };
    Some(Workload { traces, trace_of_rank, groups })
}

fuzz_target!(|input: Input| {
    let Some(workload) = workload(&input) else { return };
    let topology =
        [Topology::Ring, Topology::FullyConnected, Topology::Switch][usize::from(input.topology) % 3];
    let model = if input.aware { NetworkModel::CongestionAware } else { NetworkModel::CongestionUnaware };
    let dimension = Dimension { topology, npus: 4, bandwidth: GibPerSec(50.0), latency_ns: 500.0 };
    let network = Network::new(model, vec![dimension]);
    let algorithms: Vec<Algorithm> =
        ALGORITHMS[usize::from(input.algorithm) % ALGORITHMS.len()].parse().into_iter().collect();
    let system = System {
        dialect: if input.deepflow { Dialect::DeepFlow } else { Dialect::AstraSim },
        preferred_dataset_splits: u32::from(input.splits % 5),
        active_chunks_per_dimension: u32::from(input.active % 4),
        queues_per_dimension: u32::from(input.queues % 3 + 1),
        rendezvous: input.rendezvous,
        all_reduce: algorithms.clone(),
        all_gather: algorithms.clone(),
        reduce_scatter: algorithms.clone(),
        all_to_all: algorithms,
        ..System::default()
    };
    let run = |shortcuts| {
        let options = Options { shortcuts, ..Options::default() };
        simulate_with(&options, &network, &system, &workload, &AtomicBool::new(false))
    };
    let result = run(true);
    assert_eq!(result, run(false));
    if let Err(Error::Stalled(stall)) = result {
        assert!(!stall.blocked.is_empty());
        assert!(stall.to_string().lines().count() <= 20);
    }
});
