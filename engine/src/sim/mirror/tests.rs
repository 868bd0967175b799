//! The shortcut against the full simulation, on random cases that are made to have many events at equal times.

use super::super::{Options, shortcut, simulate_with};
use crate::*;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// A linear congruential generator; its upper bits are good enough to mix cases.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn rarely(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// One byte per nanosecond, so that times of messages are round and meet each other.
const ONE_BYTE_PER_NS: f64 = 1e9 / 1_073_741_824.0;

fn network(random: &mut Random) -> Network {
    let model = random.one(NetworkModel::ALL);
    let count = if model == NetworkModel::CongestionAware { 1 } else { 1 + random.below(3) };
    let alike = random.rarely(2);
    let dimension = |random: &mut Random| Dimension {
        topology: random.one(&[Topology::Ring, Topology::Ring, Topology::FullyConnected, Topology::Switch]),
        npus: match count {
            1 => 2 + random.below(9) as u32,
            _ => random.one(&[2, 3, 4, 5]),
        },
        bandwidth: GibPerSec(random.one(&[ONE_BYTE_PER_NS, ONE_BYTE_PER_NS, 50.0, 0.5])),
        latency_ns: random.one(&[0.0, 1.0, 10.0, 16.0, 0.25, 500.0]),
    };
    let first = dimension(random);
    let rest = (1..count).map(|_| if alike { first } else { dimension(random) });
    Network { model, dimensions: std::iter::once(first).chain(rest).collect() }
}

fn system(random: &mut Random, dimensions: usize) -> System {
    let names: &[&str] = random.one(&[
        &["ring"][..],
        &["direct"],
        &["halvingDoubling"],
        &["ring", "direct", "direct1", "direct2"],
        &["ring", "direct", "halvingDoubling", "oneRing", "oneDirect", "doubleBinaryTree"],
    ]);
    let algorithms = |random: &mut Random| -> Vec<Algorithm> {
        let count = if random.rarely(8) { 1 } else { dimensions };
        (0..count).map(|_| random.one(names).parse().unwrap()).collect()
    };
    let timing = MemoryTiming { latency: Nanos(random.below(30)), bytes_per_ns: 1 };
    System {
        all_reduce: algorithms(random),
        all_gather: algorithms(random),
        reduce_scatter: algorithms(random),
        all_to_all: algorithms(random),
        collective_optimization: random.one(CollectiveOptimization::ALL),
        endpoint_delay: Nanos(random.one(&[0, 1, 10, 16, 20, 100])),
        preferred_dataset_splits: random.one(&[1, 1, 2, 3, 4, 7]),
        active_chunks_per_dimension: random.one(&[1, 1, 1, 2, 4]),
        queues_per_dimension: random.one(&[1, 1, 1, 2, 3]),
        local_mem_bw: GbPerSec(random.one(&[0.0, 1.0, 3.0, 1600.0])),
        replay_only: random.rarely(30),
        rendezvous: random.rarely(30),
        remote_memory: random.one(&[
            RemoteMemory::None,
            RemoteMemory::PerNpu(timing),
            RemoteMemory::PerNpu(timing),
            RemoteMemory::Pool(timing),
        ]),
        ..System::default()
    }
}

fn node(random: &mut Random) -> Node {
    let kind = match random.below(20) {
        0..3 => NodeKind::Compute { work: None },
        3 => NodeKind::MemoryLoad(Bytes(random.below(40))),
        4 if random.rarely(5) => NodeKind::Invalid,
        _ => NodeKind::Collective {
            collective: random.one(&[
                CollectiveType::AllReduce,
                CollectiveType::AllReduce,
                CollectiveType::AllGather,
                CollectiveType::ReduceScatter,
                CollectiveType::AllToAll,
                CollectiveType::Broadcast,
            ]),
            size: Bytes(random.one(&[1, 2, 3, 5, 8]) * random.one(&[16, 60, 64, 1 << 12, 1 << 20])),
            group: if random.rarely(6) { GroupId::new(1 + random.below(2) as u32) } else { None },
            involved: InvolvedDims::default(),
        },
    };
    Node { kind, cpu: random.rarely(60), duration: Micros(random.below(2)) }
}

/// Traces that do the same under ids of their own, or one trace.
fn traces(random: &mut Random, ranks: u32) -> Vec<Trace> {
    let count = if random.rarely(3) { ranks } else { 1 };
    let mut builders = vec![TraceBuilder::new(); count as usize];
    for node_index in 0..1 + random.below(5) {
        let parents: Vec<u64> = (0..node_index).filter(|_| random.rarely(3)).collect();
        let node = node(random);
        for (rank, builder) in (0..).zip(&mut builders) {
            let id = |index: u64| rank * 100 + index * (1 + rank);
            let parents: Vec<u64> = parents.iter().map(|&parent| id(parent)).collect();
            builder.push(id(node_index), "node", node, &parents);
        }
    }
    builders.into_iter().map(|builder| builder.build().unwrap()).collect()
}

fn workload(random: &mut Random, ranks: u32) -> Workload {
    let traces = traces(random, ranks);
    let last = traces.len() as u32 - 1;
    let smaller = if random.rarely(4) { ranks - 1 } else { ranks };
    let groups = BTreeMap::from([
        (GroupId::new(1).unwrap(), (0..ranks).rev().map(Rank).collect()),
        (GroupId::new(2).unwrap(), (0..smaller).map(Rank).collect()),
    ]);
    Workload { traces, trace_of_rank: (0..ranks).map(|rank| rank.min(last)).collect(), groups }
}

#[test]
fn one_rank_in_place_of_all_gives_the_report_of_the_full_simulation() {
    const CASES: u64 = 12_000;
    let (full, stop) = (Options { shortcuts: false, ..Options::default() }, AtomicBool::new(false));
    let (mut taken, mut orders) = (0, 0);
    for seed in 0..CASES {
        let mut random = Random(seed);
        let network = network(&mut random);
        let ranks = network.ranks().unwrap();
        let system = system(&mut random, network.dimensions.len());
        let workload = workload(&mut random, ranks);
        if let Some(report) = shortcut(&network, &system, &workload, &stop).unwrap() {
            let expected = simulate_with(&full, &network, &system, &workload, &stop);
            assert_eq!(Ok(&report), expected.as_ref(), "seed {seed}: {network:?} {system:?} {workload:?}");
            taken += 1;
            orders += usize::from(!report.finish_order.is_sorted());
        }
    }
    eprintln!("{taken} of {CASES} cases took the shortcut, {orders} with an order of ranks of its own");
    assert!(taken > CASES / 3, "only {taken} cases took the shortcut");
    assert!(orders > 1000, "only {orders} of them did not finish in ascending order");
}
