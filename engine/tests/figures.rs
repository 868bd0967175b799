//! Figures that must hold for ever: finish times of the ASTRA-sim analytical binary for single collectives,
//! the worked examples behind the rules, and closed forms.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod build;

use astra_engine::{
    Bytes, CollectiveOptimization, CollectiveType, Dialect, GbPerSec, GroupId, MemoryTiming, Nanos, Network,
    NetworkModel, Node, NodeKind, Rank, RemoteMemory, Report, System, Topology, Workload, simulate,
};
use build::{collective, compute, dimension, everywhere, gpu, recv, ring, send, system, unaware, workload};
use std::collections::BTreeMap;

const COLLECTIVES: [CollectiveType; 4] = [
    CollectiveType::AllReduce,
    CollectiveType::ReduceScatter,
    CollectiveType::AllGather,
    CollectiveType::AllToAll,
];

fn finishes(report: &Report) -> Vec<u64> {
    report.ranks.iter().map(|rank| rank.finish.0).collect()
}

/// Finish of one collective on every rank of a network.
fn alone(network: &Network, system: &System, node: Node) -> Vec<u64> {
    let workload = everywhere(node, network.ranks().unwrap());
    finishes(&simulate(network, system, &workload).unwrap())
}

/// `12..34`, or `12` where all are equal.
fn span(times: &[u64]) -> String {
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    if first == last { first.to_string() } else { format!("{first}..{last}") }
}

/// One line of the table of single collectives: finish times by collective, found and recorded.
fn single_collectives(dialect: Dialect, line: &str) -> Vec<(String, String)> {
    let fields: Vec<&str> = line.split(" | ").collect();
    let [model, topology, ranks, group, algorithm, recorded @ ..] = &fields[..] else { panic!("{line}") };
    let ranks: u32 = ranks.parse().unwrap();
    let network =
        Network::new(model.parse().unwrap(), vec![dimension(topology.parse().unwrap(), ranks, 50.0, 500.0)]);
    let members: Vec<Rank> = group.split(',').filter_map(|rank| rank.parse().ok()).map(Rank).collect();
    let in_group = !members.is_empty();
    let system = System {
        dialect,
        endpoint_delay: Nanos(if in_group { 100 } else { 10 }),
        ..system(std::slice::from_ref(algorithm))
    };
    let run = |kind: CollectiveType| {
        if !in_group {
            return span(&alone(&network, &system, collective(kind, 1_000_000, None)));
        }
        let member: &[(Node, &[u64])] = &[(collective(kind, 1_000_000, Some(3)), &[])];
        let idle: &[(Node, &[u64])] = &[(compute(0), &[])];
        let is_member = |rank: u32| members.contains(&Rank(rank));
        let nodes: Vec<_> = (0..ranks).map(|rank| if is_member(rank) { member } else { idle }).collect();
        let groups = BTreeMap::from([(GroupId::new(3).unwrap(), members.clone())]);
        let report = simulate(&network, &system, &Workload { groups, ..workload(&nodes) }).unwrap();
        span(&members.iter().map(|rank| report.ranks[rank.0 as usize].finish.0).collect::<Vec<_>>())
    };
    COLLECTIVES
        .iter()
        .zip(recorded)
        .filter(|(_, recorded)| **recorded != "-")
        .map(|(&kind, &recorded)| (run(kind), recorded.to_owned()))
        .collect()
}

/// Compares all lines of a table and gives the number of figures.
fn compare_single_collectives(dialect: Dialect, table: &str) -> usize {
    let mut figures = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        for (found, recorded) in single_collectives(dialect, line) {
            assert_eq!(found, recorded, "{line}");
            figures += 1;
        }
    }
    figures
}

#[test]
fn single_collectives_take_the_recorded_time() {
    let table = include_str!("figures/single_collectives.txt");
    let figures = compare_single_collectives(Dialect::AstraSim, table);
    assert!(figures > 300, "only {figures} figures were compared");
}

#[test]
fn single_collectives_of_deepflow_take_the_recorded_time() {
    let table = include_str!("figures/single_collectives_deepflow.txt");
    let figures = compare_single_collectives(Dialect::DeepFlow, table);
    assert_eq!(figures, 366);
}

#[test]
fn four_rank_ring_all_reduce_of_one_mebibyte() {
    let all_reduce = collective(CollectiveType::AllReduce, 1 << 20, None);
    let report = simulate(&ring(4), &system(&["ring"]), &everywhere(all_reduce, 4)).unwrap();
    assert_eq!(finishes(&report), [43_000; 4]);
    assert!(
        report.ranks.iter().all(|rank| rank.exposed == Nanos(43_000) && rank.comm == Some(Nanos(43_000)))
    );
    assert_eq!(report.messages, 4 * 6 * 4, "four chunks of six rounds on four ranks");

    let aware = Network { model: NetworkModel::CongestionAware, ..ring(4) };
    assert_eq!(alone(&aware, &system(&["ring"]), all_reduce), [43_000; 4]);
    let no_reduction = System { local_mem_bw: GbPerSec(0.0), ..system(&["ring"]) };
    assert_eq!(alone(&ring(4), &no_reduction, all_reduce), [41_560; 4]);
    for size in [0, 10] {
        assert_eq!(
            alone(&ring(4), &system(&["ring"]), collective(CollectiveType::AllReduce, size, None)),
            [12_280; 4]
        );
    }
    assert_eq!(
        alone(&ring(4), &system(&["ring"]), collective(CollectiveType::AllGather, 4, None)),
        [6_160; 4]
    );
}

#[test]
fn without_endpoint_delay_events_of_no_delay_run_in_order() {
    let system = System { endpoint_delay: Nanos(0), ..system(&["ring"]) };
    let all_reduce = collective(CollectiveType::AllReduce, 1 << 20, None);
    let nodes: &[(Node, &[u64])] = &[(compute(1), &[]), (all_reduce, &[1])];
    let report = simulate(&ring(4), &system, &workload(&[nodes; 4])).unwrap();
    assert_eq!(finishes(&report), [43_720; 4]);
    // At time 0, where the original gives up, the same collective takes the same time.
    assert_eq!(alone(&ring(4), &system, all_reduce), [43_720 - 1000; 4]);
}

#[test]
fn two_dimensions_of_eight_ranks() {
    let network =
        unaware(&[dimension(Topology::Ring, 4, 100.0, 250.0), dimension(Topology::Switch, 2, 25.0, 1000.0)]);
    let system = System {
        endpoint_delay: Nanos(20),
        preferred_dataset_splits: 2,
        local_mem_bw: GbPerSec(1000.0),
        ..system(&["ring", "direct"])
    };
    let baseline = System { collective_optimization: CollectiveOptimization::Baseline, ..system.clone() };
    let time = |system: &System, kind| alone(&network, system, collective(kind, 1_000_000, None));
    assert_eq!(time(&system, CollectiveType::AllReduce), [27_573; 8]);
    assert_eq!(time(&baseline, CollectiveType::AllReduce), [56_621; 8]);
    assert_eq!(time(&system, CollectiveType::ReduceScatter), [15_448; 8]);
    assert_eq!(time(&system, CollectiveType::AllGather), [78_204; 8]);
    assert_eq!(time(&system, CollectiveType::AllToAll), [31_330; 8]);
}

#[test]
fn a_ring_follows_its_closed_form() {
    let system = System { preferred_dataset_splits: 1, ..system(&["ring"]) };
    for ranks in [2_u64, 3, 7, 16] {
        let size = 1_000_003 * ranks;
        let bytes_per_ns = 50.0 * 1_073_741_824.0 / 1e9;
        let time = |message: u64| (500.0 + message as f64 / bytes_per_ns) as u64;
        let reduction = 3 * (((size / ranks) as f64 / 1.6e12) * 1e9) as u64;
        let (endpoint, part, others) = (10, time(size / ranks), ranks - 1);
        let expected = [
            endpoint + 2 * others * (part + endpoint) + others * reduction,
            endpoint + others * (part + endpoint + reduction),
            endpoint + others * (time(size) + endpoint),
            endpoint + ranks * others / 2 * (part + endpoint),
        ];
        for (kind, expected) in COLLECTIVES.into_iter().zip(expected) {
            let found = alone(&ring(ranks as u32), &system, collective(kind, size, None));
            assert_eq!(found, vec![expected; ranks as usize], "{kind} on {ranks} ranks");
        }
    }
}

#[test]
fn single_phases_finish_as_traced_by_hand() {
    let system = |algorithm, splits| System {
        preferred_dataset_splits: splits,
        local_mem_bw: GbPerSec(100.0),
        ..system(&[algorithm])
    };
    let node = |kind| collective(kind, 400_000, None);
    let all_reduce = node(CollectiveType::AllReduce);
    assert_eq!(alone(&ring(4), &system("direct", 1), all_reduce), [8254; 4]);
    assert_eq!(alone(&ring(4), &system("direct2", 1), node(CollectiveType::ReduceScatter)), [7754; 4]);
    assert_eq!(alone(&ring(4), &system("halvingDoubling", 1), all_reduce), [17_224; 4]);
    let trees = alone(&ring(4), &system("doubleBinaryTree", 2), all_reduce);
    assert_eq!(trees, [52_695, 67_665, 63_430, 67_665]);
    let switch =
        Network::new(NetworkModel::CongestionAware, vec![dimension(Topology::Switch, 4, 50.0, 500.0)]);
    assert_eq!(alone(&switch, &system("direct", 1), node(CollectiveType::AllToAll)), [8468; 4]);
}

#[test]
fn a_send_and_its_receive_complete_together_the_sender_first() {
    let sender: &[(Node, &[u64])] = &[(compute(0), &[]), (send(1, 1000, 5), &[1])];
    let receiver: &[(Node, &[u64])] = &[(recv(0, 1000, 5), &[])];
    let idle: &[(Node, &[u64])] = &[(compute(0), &[])];
    let report = simulate(&ring(4), &System::default(), &workload(&[sender, receiver, idle, idle])).unwrap();
    assert_eq!(finishes(&report), [519, 519, 1, 1]);
    assert_eq!(report.finish_order, [2, 3, 0, 1].map(Rank));
}

#[test]
fn a_memory_pool_serves_one_access_at_a_time_in_order() {
    let load = |size| gpu(NodeKind::MemoryLoad(Bytes(size)), 0);
    let timing = MemoryTiming { latency: Nanos(100), bytes_per_ns: 3 };
    let nodes: &[(Node, &[u64])] = &[(load(1000), &[]), (load(500), &[])];
    let pool = System { remote_memory: RemoteMemory::Pool(timing), ..System::default() };
    let report = simulate(&ring(4), &pool, &workload(&[nodes; 4])).unwrap();
    assert_eq!(finishes(&report), [1998, 2264, 2530, 2796]);
    assert_eq!(report.ranks[0].memory, Some(Nanos(1998)));

    let own = System { remote_memory: RemoteMemory::PerNpu(timing), ..System::default() };
    assert_eq!(finishes(&simulate(&ring(4), &own, &workload(&[nodes; 4])).unwrap()), [433 + 266; 4]);
    let per_node = RemoteMemory::PerNode { timing, nodes: 2, npus_per_node: 2 };
    let shared = System { remote_memory: per_node, ..System::default() };
    let report = simulate(&ring(4), &shared, &workload(&[nodes; 4])).unwrap();
    assert_eq!(finishes(&report), [433 + 433 + 266, 433 + 433 + 266 + 266, 1132, 1398]);
}
