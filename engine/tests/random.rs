//! Random workloads, sensible and not: every run ends in a report or in an error, and a second run ends the same.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod chance;

use astra_engine::{
    Algorithm, Bytes, CollectiveOptimization, CollectiveType, Dialect, Dimension, Error, FaultyLink,
    GbPerSec, GibPerSec, GroupId, InvolvedDims, MemoryTiming, Micros, Nanos, Network, NetworkModel, Node,
    NodeKind, Rank, RemoteMemory, System, Tflops, Topology, Trace, TraceBuilder, Work, Workload, simulate,
};
use chance::Random;
use std::collections::BTreeMap;

/// Mostly ordinary sizes, sometimes none and sometimes far too many.
fn bytes(random: &mut Random) -> Bytes {
    if random.rarely(40) {
        return Bytes(random.one(&[0, 1, 1 << 31, u64::MAX]));
    }
    let digits = random.below(22);
    Bytes(random.below(1 << digits) + 1)
}

fn network(random: &mut Random) -> Network {
    let model = random.one(NetworkModel::ALL);
    let aware = model == NetworkModel::CongestionAware;
    let count = 1 + random.below(3);
    let dimension = |random: &mut Random| {
        let topology = match random.below(if aware { 20 } else { 10 }) {
            0..3 => Topology::Ring,
            3..5 => Topology::FullyConnected,
            5..7 => Topology::Switch,
            7..9 => Topology::Mesh,
            9 => Topology::HyperCube,
            10..13 => Topology::Torus2D,
            13..15 => Topology::Mesh2D,
            15 => Topology::KingMesh2D,
            16 if count == 1 => random.one(&[Topology::BinaryTree, Topology::DoubleBinaryTree]),
            _ => Topology::HyperCube,
        };
        let npus = match topology {
            Topology::Torus2D | Topology::Mesh2D | Topology::KingMesh2D if count == 3 => 4,
            Topology::Torus2D | Topology::Mesh2D | Topology::KingMesh2D => random.one(&[4, 9]),
            Topology::HyperCube if !aware || random.rarely(2) => random.one(&[2, 4]),
            _ if aware && count == 3 => random.one(&[2, 2, 3]),
            _ => random.one(&[2, 2, 3, 4, 5]),
        };
        let bandwidth = GibPerSec(random.one(&[0.5, 50.0, 393.638]));
        Dimension { topology, npus, bandwidth, latency_ns: random.one(&[0.0, 0.25, 500.0, 936.25]) }
    };
    let network = Network::new(model, (0..count).map(|_| dimension(random)).collect());
    let ranks = u64::from(network.ranks().unwrap());
    let mut faulty_links = Vec::new();
    if aware && random.rarely(2) {
        for _ in 0..1 + random.below(4) {
            let src = random.below(ranks - 1) as u32;
            let apart = random.one(&[1, 1, 2, network.dimensions[0].npus]).min(ranks as u32 - 1 - src);
            faulty_links.push(FaultyLink {
                src,
                dst: src + apart,
                health: random.one(&[0.0, 0.0, 0.5, 1.0]),
            });
        }
    }
    let non_recursive_from = random.rarely(6).then(|| random.below(count + 1) as u32);
    Network { faulty_links, non_recursive_from, ..network }
}

fn system(random: &mut Random, dimensions: usize) -> System {
    let timing = MemoryTiming { latency: Nanos(random.below(300)), bytes_per_ns: random.below(100) as u32 };
    let dialect = random.one(Dialect::ALL);
    let mut algorithms = || -> Vec<Algorithm> {
        let both = [
            "ring",
            "ring",
            "ring",
            "direct",
            "direct",
            "direct2",
            "halvingDoubling",
            "oneRing",
            "oneDirect1",
            "doubleBinaryTree",
        ];
        let deepflow = ["ring", "direct", "direct1", "mesh", "mesh", "hypercube", "torus2d", "mesh2d"];
        let names = if dialect == Dialect::DeepFlow { &deepflow[..] } else { &both };
        let count = if random.rarely(30) { random.below(dimensions as u64 + 1) as usize } else { dimensions };
        (0..count).map(|_| random.one(names).parse().unwrap()).collect()
    };
    System {
        dialect,
        all_reduce: algorithms(),
        all_gather: algorithms(),
        reduce_scatter: algorithms(),
        all_to_all: algorithms(),
        collective_optimization: random.one(CollectiveOptimization::ALL),
        endpoint_delay: Nanos(random.one(&[0, 1, 10, 1000])),
        preferred_dataset_splits: if random.rarely(40) { 0 } else { random.one(&[1, 2, 3, 4, 7, 64]) },
        active_chunks_per_dimension: if random.rarely(40) { 0 } else { random.one(&[1, 1, 2, 8]) },
        queues_per_dimension: random.one(&[1, 1, 2, 3, 4]),
        local_mem_bw: GbPerSec(random.one(&[0.0, 50.0, 1600.0])),
        peak_perf: Tflops(random.one(&[0.0, 100.0, 900.0])),
        roofline_enabled: random.rarely(4),
        replay_only: random.rarely(20),
        rendezvous: random.rarely(5),
        remote_memory: random.one(&[
            RemoteMemory::None,
            RemoteMemory::PerNpu(timing),
            RemoteMemory::Pool(timing),
            RemoteMemory::PerNode { timing, nodes: 3, npus_per_node: 2 },
        ]),
        ..System::default()
    }
}

fn node(random: &mut Random, ranks: u32) -> Node {
    let rank = |random: &mut Random| {
        let beyond = u64::from(random.rarely(50));
        Rank(random.below(u64::from(ranks) + beyond) as u32)
    };
    let kind = match random.below(24) {
        0..10 => {
            let work = Work { ops: random.below(1 << 30), bytes: bytes(random) };
            NodeKind::Compute { work: Some(work).filter(|_| !random.rarely(40)) }
        }
        10..20 => NodeKind::Collective {
            collective: random.one(&[
                CollectiveType::AllReduce,
                CollectiveType::AllGather,
                CollectiveType::ReduceScatter,
                CollectiveType::AllToAll,
                CollectiveType::Broadcast,
            ]),
            size: bytes(random),
            group: if random.rarely(3) { GroupId::new(1 + random.below(3) as u32) } else { None },
            involved: if random.rarely(8) {
                InvolvedDims::from_flags(&[true, false])
            } else {
                InvolvedDims::default()
            },
        },
        20 => NodeKind::Send { to: rank(random), size: bytes(random), tag: 1 },
        21 => NodeKind::Recv { from: rank(random), size: bytes(random), tag: 1 },
        22 => NodeKind::MemoryStore(bytes(random)),
        _ => {
            if random.rarely(9) {
                NodeKind::Metadata
            } else {
                NodeKind::Invalid
            }
        }
    };
    Node { kind, cpu: random.rarely(60), duration: Micros(random.below(4)) }
}

fn trace(random: &mut Random, ranks: u32) -> Trace {
    let mut builder = TraceBuilder::new();
    for id in 0..1 + random.below(9) {
        let parents: Vec<u64> = (0..id).filter(|_| random.rarely(3)).collect();
        builder.push(id, "node", node(random, ranks), &parents);
    }
    builder.build().unwrap()
}

fn workload(random: &mut Random, ranks: u32) -> Workload {
    let groups = (1..3).map(|id| {
        let mut members: Vec<Rank> = (0..ranks).map(Rank).filter(|_| random.rarely(2)).collect();
        members.push(Rank(random.below(u64::from(ranks)) as u32));
        let last = members.len() - 1;
        if members[..last].contains(&members[last]) {
            members.pop();
        }
        (GroupId::new(id).unwrap(), members)
    });
    let groups: BTreeMap<GroupId, Vec<Rank>> = groups.collect();
    if random.rarely(2) {
        return Workload { groups, ..Workload::uniform(trace(random, ranks), ranks) };
    }
    let traces = (0..ranks).map(|_| trace(random, ranks)).collect();
    Workload { traces, trace_of_rank: (0..ranks).collect(), groups }
}

#[test]
fn every_workload_finishes_or_is_explained() {
    let mut outcomes = BTreeMap::new();
    for seed in 0..7000 {
        let mut random = Random(seed);
        let network = network(&mut random);
        let ranks = network.ranks().unwrap();
        let system = system(&mut random, network.dimensions.len());
        let workload = workload(&mut random, ranks);
        let result = simulate(&network, &system, &workload);
        assert_eq!(simulate(&network, &system, &workload), result, "seed {seed}: a second run differs");
        let outcome = match result {
            Ok(report) => {
                let mut order = report.finish_order.clone();
                assert!(order.is_sorted_by_key(|rank| report.ranks[rank.0 as usize].finish), "seed {seed}");
                order.sort_unstable();
                assert_eq!(order, (0..ranks).map(Rank).collect::<Vec<_>>(), "seed {seed}: a rank is missing");
                "finished"
            }
            Err(Error::Node(_)) => "node",
            Err(Error::Stalled(stall)) => {
                assert!(!stall.blocked.is_empty(), "seed {seed}: nobody is blocked");
                "stalled"
            }
            Err(Error::Unroutable(_)) => "unroutable",
            Err(Error::ClockRange) => "clock",
            Err(error) => panic!("seed {seed}: {error}"),
        };
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    eprintln!("{outcomes:?}");
    for outcome in ["finished", "node", "stalled", "unroutable"] {
        assert!(outcomes.get(outcome).is_some_and(|&count| count > 50), "too few {outcome}: {outcomes:?}");
    }
}
