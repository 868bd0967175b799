//! What happens where the original simulator aborts, hangs or corrupts memory: an error that names rank, node
//! and rule, or the answer that the rules imply.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod build;

use astra_engine::{
    Bytes, CollectiveOptimization, CollectiveType, Error, FaultyLink, GbPerSec, GroupId, InvolvedDims, Nanos,
    Network, NetworkModel, NetworkProblem, Node, NodeKind, NodeProblem, Options, Rank, System, Tflops,
    Topology, Wait, Work, Workload, simulate, simulate_with,
};
use build::{collective, compute, dimension, everywhere, gpu, recv, ring, send, system, unaware, workload};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use CollectiveType::{AllGather, AllReduce, AllToAll, ReduceScatter};

/// The error of a run in which every rank of a ring of `ranks` has one node.
fn error(ranks: u32, system: &System, node: Node) -> Error {
    simulate(&ring(ranks), system, &everywhere(node, ranks)).unwrap_err()
}

/// The rule that rank 0's only node breaks.
fn problem(ranks: u32, system: &System, node: Node) -> NodeProblem {
    match error(ranks, system, node) {
        Error::Node(error) => {
            assert_eq!((error.rank, error.node, error.at), (Rank(0), 1, Nanos(0)));
            error.problem
        }
        other => panic!("not the error of a node: {other}"),
    }
}

/// A collective of 1000 bytes over a group with these members, on ranks 0 to 3 of a ring of four.
fn in_group(members: &[u32], kind: CollectiveType, system: &System) -> Error {
    let groups = BTreeMap::from([(GroupId::new(5).unwrap(), members.iter().copied().map(Rank).collect())]);
    let workload = Workload { groups, ..everywhere(collective(kind, 1000, Some(5)), 4) };
    simulate(&ring(4), system, &workload).unwrap_err()
}

#[test]
fn networks_that_cannot_be_simulated_are_refused_with_the_reason() {
    let message = |network: &Network| {
        let ranks = network.ranks().unwrap();
        simulate(network, &System::default(), &everywhere(compute(1), ranks)).unwrap_err().to_string()
    };
    let with = |topology, npus, gib, latency| message(&unaware(&[dimension(topology, npus, gib, latency)]));
    assert_eq!(
        with(Topology::Ring, 1, 50.0, 1.0),
        "network dimension 0: 1 NPUs; a dimension needs at least 2"
    );
    assert!(with(Topology::Ring, 4, 0.0, 1.0).contains("bandwidth 0 GiB/s"));
    assert!(with(Topology::Ring, 4, f64::NAN, 1.0).contains("bandwidth NaN"));
    assert!(with(Topology::Ring, 4, 50.0, -1.0).contains("latency -1 ns"));
    assert!(
        with(Topology::Bus, 4, 50.0, 1.0).ends_with("use Ring, FullyConnected, Switch, Mesh or HyperCube")
    );
    assert!(
        with(Topology::Torus2D, 4, 50.0, 1.0).contains("Torus2D cannot be simulated with congestion_unaware")
    );
    assert!(
        with(Topology::HyperCube, 6, 50.0, 1.0)
            .ends_with("HyperCube of 6 NPUs; without congestion it needs a power of two")
    );
    let aware = |dimensions: &[(Topology, u32)]| {
        let dimensions = dimensions.iter().map(|&(topology, npus)| dimension(topology, npus, 50.0, 1.0));
        Network::new(NetworkModel::CongestionAware, dimensions.collect())
    };
    let tree = [(Topology::BinaryTree, 4), (Topology::Ring, 2)];
    assert!(message(&aware(&tree)).contains("BinaryTree must be the only dimension"));
    assert!(message(&aware(&[(Topology::Bus, 4)])).ends_with("KingMesh2D, BinaryTree or DoubleBinaryTree"));
    for topology in [Topology::Torus2D, Topology::Mesh2D, Topology::KingMesh2D] {
        let message = message(&aware(&[(Topology::Ring, 2), (topology, 8)]));
        let expected =
            format!("network dimension 1: {topology} of 8 NPUs; it is a square, for example of 4 or 9");
        assert_eq!(message, expected);
    }
    let with = |faults: &[(u32, u32, f64)], non_recursive_from| {
        let faulty_links = faults.iter().map(|&(src, dst, health)| FaultyLink { src, dst, health }).collect();
        let dimensions = aware(&[(Topology::Ring, 3), (Topology::Switch, 2)]).dimensions;
        let model = NetworkModel::CongestionAware;
        message(&Network { model, dimensions, faulty_links, non_recursive_from })
    };
    assert_eq!(
        with(&[(6, 5, 0.5), (7, 0, 1.0)], None),
        "faulty_links[1] is [7, 0, 1]: the network has devices 0 to 6 (ranks, then switches)"
    );
    assert!(with(&[(1, 1, 0.5)], None).ends_with("a link has two different ends"));
    for health in [-0.1, 1.5, f64::NAN] {
        assert!(with(&[(0, 1, health)], None).contains("the health must be between 0 (dead) and 1"));
    }
    assert!(with(&[], Some(3)).ends_with("the network has 2 dimension(s); it may be 0 to 2"));
    let link = FaultyLink { src: 0, dst: 1, health: 0.5 };
    let unaware = Network { faulty_links: vec![link], ..ring(4) };
    assert!(message(&unaware).contains("faulty_links has no effect with congestion_unaware"));
    let huge = aware(&[(Topology::KingMesh2D, 1 << 30)]);
    assert_eq!(huge.check(), Err((None, NetworkProblem::TooManyLinks)));
}

#[test]
fn a_workload_must_fit_the_network_and_the_lists_of_algorithms_its_dimensions() {
    let run =
        |system: &System, workload: &Workload| simulate(&ring(4), system, workload).unwrap_err().to_string();
    let workload = everywhere(compute(1), 8);
    assert_eq!(run(&System::default(), &workload), "the workload is for 8 rank(s), the network has 4");
    let long = run(&system(&["ring", "ring"]), &everywhere(compute(1), 4));
    assert!(long.starts_with("2 algorithms for all_reduce, but the network has 1 dimension(s)"), "{long}");
    let group = |members: &[u32]| {
        BTreeMap::from([(GroupId::new(9).unwrap(), members.iter().map(|&r| Rank(r)).collect())])
    };
    for (members, expected) in [
        (&[0, 4][..], "lists rank 4, which the network does not have"),
        (&[1, 1], "lists rank 1 twice"),
        (&[], "no member"),
    ] {
        let message =
            run(&System::default(), &Workload { groups: group(members), ..everywhere(compute(1), 4) });
        assert!(message.starts_with("communicator group 9 ") && message.ends_with(expected), "{message}");
    }
}

#[test]
fn a_congestion_aware_ring_of_two_has_one_link_in_each_direction() {
    let aware = Network { model: NetworkModel::CongestionAware, ..ring(2) };
    let node = collective(AllReduce, 1_000_000, None);
    let report = simulate(&aware, &system(&["ring"]), &everywhere(node, 2)).unwrap();
    assert_eq!(report.finish(), Nanos(23_680));
}

#[test]
fn collectives_that_could_never_complete_are_errors() {
    let ring = system(&["ring"]);
    let node = |kind, size| collective(kind, size, None);
    assert_eq!(problem(4, &ring, node(AllGather, 3)), NodeProblem::SmallAllGather { size: 3, splits: 4 });
    let no_splits = System { preferred_dataset_splits: 0, ..ring.clone() };
    assert_eq!(
        problem(4, &no_splits, node(AllReduce, 1000)),
        NodeProblem::ZeroSetting("preferred-dataset-splits")
    );
    let no_active = System { active_chunks_per_dimension: 0, ..ring.clone() };
    assert_eq!(
        problem(4, &no_active, node(AllReduce, 1000)),
        NodeProblem::ZeroSetting("active-chunks-per-dimension")
    );
    let many = System { preferred_dataset_splits: 2_000_000, ..ring.clone() };
    assert_eq!(problem(4, &many, node(AllReduce, 1)), NodeProblem::TooManyChunks(2_000_000));
    assert_eq!(problem(4, &system(&["direct0"]), node(AllReduce, 1000)), NodeProblem::ZeroWindow);
    let nowhere = NodeKind::Collective {
        collective: AllReduce,
        size: Bytes(1000),
        group: None,
        involved: InvolvedDims::from_flags(&[false, true]),
    };
    assert_eq!(problem(4, &ring, gpu(nowhere, 0)), NodeProblem::NoDimension);
}

#[test]
fn algorithms_are_held_to_their_limits() {
    let node = |kind| collective(kind, 1000, None);
    assert!(matches!(
        problem(6, &system(&["halvingDoubling"]), node(AllReduce)),
        NodeProblem::NotPowerOfTwo(_, 6)
    ));
    assert!(matches!(
        problem(6, &system(&["doubleBinaryTree"]), node(AllReduce)),
        NodeProblem::NotPowerOfTwo(_, 6)
    ));
    assert!(matches!(
        problem(4, &system(&["halvingDoubling"]), node(AllToAll)),
        NodeProblem::Algorithm(_, AllToAll)
    ));
    assert_eq!(
        problem(4, &System { all_reduce: vec![], ..system(&["ring"]) }, node(AllReduce)),
        NodeProblem::NoAlgorithm(AllReduce)
    );
    assert_eq!(
        problem(4, &system(&["ring"]), node(CollectiveType::Barrier)),
        NodeProblem::Collective(CollectiveType::Barrier)
    );
    let two = unaware(&[dimension(Topology::Ring, 4, 50.0, 1.0), dimension(Topology::Ring, 2, 50.0, 1.0)]);
    let short = simulate(&two, &system(&["doubleBinaryTree"]), &everywhere(node(AllReduce), 8)).unwrap_err();
    assert!(
        short.to_string().contains("ends a list of 1 algorithm(s) for a network of 2 dimensions"),
        "{short}"
    );
    // A limit matters only to what is used.
    let mixed = System { all_reduce: vec!["ring".parse().unwrap()], ..system(&["halvingDoubling"]) };
    assert!(simulate(&ring(6), &mixed, &everywhere(node(AllReduce), 6)).is_ok());
}

#[test]
fn groups_are_checked_when_they_are_used() {
    let ring = system(&["ring"]);
    let rule = |error: Error| match error {
        Error::Node(error) => (error.rank, error.problem),
        other => panic!("not the error of a node: {other}"),
    };
    let id = GroupId::new(5).unwrap();
    assert_eq!(rule(in_group(&[0, 2], AllReduce, &ring)), (Rank(1), NodeProblem::NotMember(id)));
    assert_eq!(rule(in_group(&[0], AllReduce, &ring)), (Rank(0), NodeProblem::NoDimension));
    let tree = system(&["doubleBinaryTree"]);
    assert!(matches!(
        rule(in_group(&[0, 1], AllReduce, &tree)),
        (Rank(0), NodeProblem::AlgorithmOnGroup(_, _))
    ));
    let unknown = collective(ReduceScatter, 1000, Some(6));
    assert_eq!(problem(4, &ring, unknown), NodeProblem::UnknownGroup(GroupId::new(6).unwrap()));
    assert_eq!(GroupId::new(0), None);
    assert_eq!(GroupId::new(2148), None);
}

#[test]
fn messages_are_checked_when_they_are_posted() {
    let system = System::default();
    assert_eq!(problem(4, &system, send(1, 0, 1)), NodeProblem::ZeroBytes);
    assert_eq!(problem(4, &system, recv(1, 0, 1)), NodeProblem::ZeroBytes);
    assert_eq!(problem(4, &system, send(4, 10, 1)), NodeProblem::NoSuchRank(Rank(4)));
    assert_eq!(problem(4, &system, send(0, 10, 1)), NodeProblem::ToItself);
    assert_eq!(problem(4, &system, send(1, 10, 1 << 31)), NodeProblem::Tag(1 << 31));
    let rendezvous = System { rendezvous: true, ..system.clone() };
    assert_eq!(problem(4, &rendezvous, send(1, 1 << 31, 1)), NodeProblem::RendezvousSize(1 << 31));
    let on_cpu = Node { cpu: true, ..send(1, 10, 1) };
    assert_eq!(problem(4, &system, on_cpu), NodeProblem::CommunicationOnCpu);
}

#[test]
fn a_rank_behind_a_congestion_aware_switch_can_send_to_itself() {
    let dimensions = vec![dimension(Topology::Switch, 2, 50.0, 500.0)];
    let network = Network::new(NetworkModel::CongestionAware, dimensions);
    let both: &[(Node, &[u64])] = &[(recv(0, 100_000, 1), &[]), (send(0, 100_000, 1), &[])];
    let idle: &[(Node, &[u64])] = &[(compute(0), &[])];
    let report = simulate(&network, &System::default(), &workload(&[both, idle])).unwrap();
    assert_eq!(report.finish(), Nanos(2 * 2362));
}

#[test]
fn the_roofline_needs_work_that_takes_a_finite_time() {
    let roofline = System {
        roofline_enabled: true,
        local_mem_bw: GbPerSec(100.0),
        peak_perf: Tflops(1.0),
        ..System::default()
    };
    let work = |ops, bytes| gpu(NodeKind::Compute { work: Some(Work { ops, bytes: Bytes(bytes) }) }, 0);
    assert_eq!(problem(2, &roofline, compute(1)), NodeProblem::NoWork);
    assert_eq!(problem(2, &roofline, work(0, 8)), NodeProblem::EndlessWork);
    let no_peak = System { peak_perf: Tflops(0.0), ..roofline.clone() };
    assert_eq!(problem(2, &no_peak, work(8, 8)), NodeProblem::EndlessWork);
    // 10^6 operations on 10^6 bytes: bandwidth allows 10^11 of them a second.
    let report = simulate(&ring(2), &roofline, &everywhere(work(1_000_000, 1_000_000), 2)).unwrap();
    assert_eq!((report.finish(), report.ranks[1].gpu), (Nanos(10_000), Some(Nanos(10_000))));
}

#[test]
fn memory_and_metadata_nodes_are_refused_where_they_have_no_meaning() {
    let system = System::default();
    assert_eq!(problem(2, &system, gpu(NodeKind::MemoryLoad(Bytes(8)), 0)), NodeProblem::NoRemoteMemory);
    assert_eq!(problem(2, &system, gpu(NodeKind::Metadata, 0)), NodeProblem::Metadata);
    let long = gpu(NodeKind::Compute { work: None }, u64::MAX);
    assert_eq!(problem(2, &system, long), NodeProblem::Duration);
}

#[test]
fn nodes_that_take_no_time_do_not_make_the_rank_look_for_work() {
    let invalid = gpu(NodeKind::Invalid, 0);
    let alone = simulate(&ring(2), &System::default(), &everywhere(invalid, 2)).unwrap();
    assert_eq!(alone.finish(), Nanos(0));
    let chain: &[(Node, &[u64])] = &[(invalid, &[]), (compute(1), &[1])];
    let idle: &[(Node, &[u64])] = &[(compute(1), &[])];
    let Error::Stalled(stall) =
        simulate(&ring(2), &System::default(), &workload(&[chain, idle])).unwrap_err()
    else {
        panic!("the rank found its second node");
    };
    assert_eq!(stall.blocked.len(), 1);
    assert_eq!((stall.blocked[0].node, stall.blocked[0].waits_for), (2, Wait::Trigger));
}

#[test]
fn a_replay_takes_recorded_durations_for_everything() {
    let replay = System { replay_only: true, ..System::default() };
    let kind = NodeKind::Send { to: Rank(7), size: Bytes(0), tag: 0 };
    let nodes: &[(Node, &[u64])] = &[(gpu(kind, 5), &[]), (compute(2), &[])];
    let report = simulate(&ring(2), &replay, &workload(&[nodes, nodes])).unwrap();
    assert_eq!(report.finish(), Nanos(5000));
    assert_eq!(
        report.ranks[0].exposed,
        Nanos(5000_u64.wrapping_sub(7000)),
        "wraps as the original prints it"
    );
}

#[test]
fn cpu_work_overlaps_with_gpu_work_and_has_its_own_figure() {
    let cpu = Node { cpu: true, ..compute(3) };
    let nodes: &[(Node, &[u64])] = &[(cpu, &[]), (cpu, &[]), (compute(4), &[])];
    let report = simulate(&ring(2), &System::default(), &workload(&[nodes, nodes])).unwrap();
    let rank = &report.ranks[1];
    assert_eq!((rank.finish, rank.cpu, rank.gpu), (Nanos(6000), Some(Nanos(6000)), Some(Nanos(4000))));
    assert_eq!((rank.comm, rank.overlap, rank.exposed), (None, None, Nanos(2000)));
}

#[test]
fn a_simulation_can_be_interrupted_and_its_clock_has_an_end() {
    let node = collective(AllReduce, 1 << 20, None);
    let stop = AtomicBool::new(true);
    let options = Options { shortcuts: false };
    let all = everywhere(node, 128);
    let interrupted = simulate_with(&options, &ring(128), &system(&["ring"]), &all, &stop);
    assert_eq!(interrupted, Err(Error::Interrupted));
    let late = gpu(NodeKind::Compute { work: None }, 1 << 44);
    assert_eq!(error(2, &System::default(), late), Error::ClockRange);
    let slow = unaware(&[dimension(Topology::Ring, 2, 1e-300, 0.0)]);
    assert_eq!(simulate(&slow, &system(&["ring"]), &everywhere(node, 2)), Err(Error::ClockRange));
}

#[test]
fn sizes_that_grow_beyond_64_bits_are_errors() {
    let two = unaware(&[dimension(Topology::Ring, 4, 50.0, 1.0), dimension(Topology::Ring, 2, 50.0, 1.0)]);
    let huge = collective(AllGather, u64::MAX, None);
    let one_split = System { preferred_dataset_splits: 1, ..system(&["ring", "ring"]) };
    let error = simulate(&two, &one_split, &everywhere(huge, 8)).unwrap_err();
    assert!(error.to_string().ends_with("exceeds 2^64 bytes"), "{error}");
}

#[test]
fn the_last_dimension_of_a_list_that_is_too_short_is_the_last_that_counts() {
    let two =
        unaware(&[dimension(Topology::Ring, 4, 50.0, 500.0), dimension(Topology::Ring, 4, 50.0, 500.0)]);
    let node = collective(AllReduce, 1 << 20, None);
    let short = System { collective_optimization: CollectiveOptimization::Baseline, ..system(&["ring"]) };
    let inner = simulate(&two, &short, &everywhere(node, 16)).unwrap();
    assert_eq!(inner.finish(), Nanos(43_000), "the time of four ranks");
}
