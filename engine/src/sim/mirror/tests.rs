//! The shortcut against the full simulation, on random cases that are made to have many events at equal times.

#[path = "../../../tests/chance/mod.rs"]
mod chance;

use super::super::{Options, shortcut, simulate_with};
use crate::*;
use chance::Random;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// One byte per nanosecond, so that times of messages are round and meet each other.
const ONE_BYTE_PER_NS: f64 = 1e9 / 1_073_741_824.0;

fn network(random: &mut Random) -> Network {
    let model = random.one(NetworkModel::ALL);
    let aware = model == NetworkModel::CongestionAware;
    let count = 1 + random.below(3);
    let alike = random.rarely(2);
    let dimension = |random: &mut Random| {
        let topology = random.one(&[
            Topology::Ring,
            Topology::Ring,
            Topology::FullyConnected,
            Topology::Switch,
            Topology::HyperCube,
            if aware { Topology::Torus2D } else { Topology::Mesh },
        ]);
        let npus = match (topology, count) {
            (Topology::HyperCube, 3) => random.one(&[2, 4]),
            (Topology::HyperCube, _) => random.one(&[2, 4, 8]),
            (Topology::Torus2D, 3) => 4,
            (Topology::Torus2D, _) => random.one(&[4, 4, 9]),
            (_, 1) => 2 + random.below(9) as u32,
            _ => random.one(&[2, 3, 4, 5]),
        };
        Dimension {
            topology,
            npus,
            bandwidth: GibPerSec(random.one(&[ONE_BYTE_PER_NS, ONE_BYTE_PER_NS, 50.0, 0.5])),
            latency_ns: random.one(&[0.0, 1.0, 10.0, 16.0, 0.25, 500.0]),
        }
    };
    let first = dimension(random);
    let rest = (1..count).map(|_| if alike { first } else { dimension(random) });
    let network = Network::new(model, std::iter::once(first).chain(rest).collect());
    match random.below(16) {
        0 if aware => Network { faulty_links: vec![FaultyLink { src: 0, dst: 1, health: 0.5 }], ..network },
        1 => Network { non_recursive_from: Some(random.below(count + 1) as u32), ..network },
        _ => network,
    }
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
        dialect: random.one(Dialect::ALL),
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

/// A communicator group of all ranks or of some, and after those the lines of each dimension.
fn groups(random: &mut Random, network: &Network) -> BTreeMap<GroupId, Vec<Rank>> {
    let ranks = network.ranks().unwrap();
    let smaller = if random.rarely(4) { ranks - 1 } else { ranks };
    let mut groups = BTreeMap::from([
        (GroupId::new(1).unwrap(), (0..ranks).rev().map(Rank).collect()),
        (GroupId::new(2).unwrap(), (0..smaller).map(Rank).collect()),
    ]);
    let mut stride = 1;
    for (dimension, &Dimension { npus, .. }) in network.dimensions.iter().enumerate() {
        for rank in (0..ranks).filter(|rank| rank / stride % npus == 0) {
            let members: Vec<Rank> = (0..npus).map(|index| Rank(rank + index * stride)).collect();
            groups.insert(line(dimension, rank), members.clone());
            groups.insert(other_line(dimension, rank), members);
        }
        stride *= npus;
    }
    groups
}

/// The group of the line in a dimension that begins at a rank, and another of the same members.
fn line(dimension: usize, first: u32) -> GroupId {
    GroupId::new(100 + 200 * dimension as u32 + first).unwrap()
}

fn other_line(dimension: usize, first: u32) -> GroupId {
    GroupId::new(1100 + 200 * dimension as u32 + first).unwrap()
}

/// A node of every rank's trace: the same, or a collective of the line that the rank is in. Rarely the ranks of a
/// line do not agree which of its groups to use.
fn nodes(random: &mut Random, network: &Network) -> Vec<Node> {
    let ranks = network.ranks().unwrap();
    let node = node(random);
    let chosen = random.below(network.dimensions.len() as u64) as usize;
    let (in_line, disagree) = (random.rarely(2), random.rarely(20));
    let of_rank = |rank: u32| match node.kind {
        NodeKind::Collective { collective, size, involved, .. } if in_line => {
            let stride: u32 = network.dimensions[..chosen].iter().map(|dimension| dimension.npus).product();
            let first = rank - rank / stride % network.dimensions[chosen].npus * stride;
            let group = Some(if disagree && rank.is_multiple_of(2) {
                other_line(chosen, first)
            } else {
                line(chosen, first)
            });
            Node { kind: NodeKind::Collective { collective, size, group, involved }, ..node }
        }
        _ => node,
    };
    (0..ranks).map(of_rank).collect()
}

/// Traces that do the same under ids and groups of their own, or one trace.
fn workload(random: &mut Random, network: &Network) -> Workload {
    let ranks = network.ranks().unwrap();
    let count = if random.rarely(2) { ranks } else { 1 };
    let mut builders = vec![TraceBuilder::new(); count as usize];
    for node_index in 0..1 + random.below(5) {
        let parents: Vec<u64> = (0..node_index).filter(|_| random.rarely(3)).collect();
        let nodes = if count == 1 { vec![node(random)] } else { nodes(random, network) };
        for ((rank, builder), node) in (0..).zip(&mut builders).zip(nodes) {
            let id = |index: u64| rank * 100 + index * (1 + rank);
            let parents: Vec<u64> = parents.iter().map(|&parent| id(parent)).collect();
            builder.push(id(node_index), "node", node, &parents);
        }
    }
    Workload {
        traces: builders.into_iter().map(|builder| builder.build().unwrap()).collect(),
        trace_of_rank: (0..ranks).map(|rank| rank.min(count - 1)).collect(),
        groups: groups(random, network),
    }
}

fn uses_lines(workload: &Workload) -> bool {
    let ranks = workload.trace_of_rank.len();
    let trace = workload.trace(Rank(0));
    (0..trace.len() as u32).any(|node| match trace.node(node).kind {
        NodeKind::Collective { group: Some(group), .. } => workload.groups[&group].len() < ranks,
        _ => false,
    })
}

#[test]
fn one_rank_in_place_of_all_gives_the_report_of_the_full_simulation() {
    const CASES: u64 = 16_000;
    let (full, stop) = (Options { shortcuts: false }, AtomicBool::new(false));
    let (mut taken, mut orders, mut lines, mut shared) = (0, 0, 0, 0);
    for seed in 0..CASES {
        let mut random = Random(seed);
        let network = network(&mut random);
        let system = system(&mut random, network.dimensions.len());
        let workload = workload(&mut random, &network);
        if let Some(report) = shortcut(&network, &system, &workload, &stop).unwrap() {
            let expected = simulate_with(&full, &network, &system, &workload, &stop);
            assert_eq!(Ok(&report), expected.as_ref(), "seed {seed}: {network:?} {system:?} {workload:?}");
            taken += 1;
            orders += usize::from(!report.finish_order.is_sorted());
            lines += usize::from(uses_lines(&workload));
            let several = network.dimensions.len() > 1;
            shared += usize::from(several && network.model == NetworkModel::CongestionAware);
        }
    }
    assert!(taken > CASES / 4, "only {taken} cases took the shortcut");
    assert!(shared > 500, "only {shared} of them shared links of several dimensions");
    assert!(lines > 300, "only {lines} of them had collectives in lines");
    assert!(orders > 1000, "only {orders} of them did not finish in ascending order");
}
