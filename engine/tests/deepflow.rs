//! Dialect `deepflow`: where its rules differ from ASTRA-sim's, and what the original answers with an abort, a hang or
//! undefined behaviour.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod build;

use astra_engine::{
    Algorithm, CollectiveOptimization, CollectiveType, CustomCollective, CustomCollectives, CustomTrace,
    Dialect, Error, GroupId, InvolvedDims, Nanos, Network, Node, NodeKind, NodeProblem, Options, Rank,
    System, SystemProblem, Topology, TraceBuilder, Workload, WorkloadProblem, simulate, simulate_with,
};
use build::{collective, compute, dimension, everywhere, gpu, recv, ring, send, system, unaware, workload};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use CollectiveType::{AllGather, AllReduce, AllToAll, ReduceScatter};

const COLLECTIVES: [CollectiveType; 4] = [AllReduce, AllGather, ReduceScatter, AllToAll];

fn deepflow(algorithms: &[&str]) -> System {
    System { dialect: Dialect::DeepFlow, ..system(algorithms) }
}

/// The error of a ring of `ranks` on which every rank has one node.
fn error(ranks: u32, system: &System, node: Node) -> Error {
    simulate(&ring(ranks), system, &everywhere(node, ranks)).unwrap_err()
}

fn problem(error: Error) -> NodeProblem {
    match error {
        Error::Node(error) => error.problem,
        other => panic!("not the error of a node: {other}"),
    }
}

fn in_group(members: &[u32], workload: Workload) -> Workload {
    let members = members.iter().copied().map(Rank).collect();
    Workload { groups: BTreeMap::from([(GroupId::new(1).unwrap(), members)]), ..workload }
}

#[test]
fn messages_that_halving_leaves_empty_are_errors_that_name_the_rule() {
    for algorithm in ["ring", "direct", "oneRing", "oneDirect2"] {
        let system = System { preferred_dataset_splits: 1, ..deepflow(&[algorithm]) };
        // A chunk of 4 bytes gives each of four members 1, and half of it is nothing; likewise a gather of 1 byte.
        for (kind, size) in [(AllReduce, 7), (AllGather, 1)] {
            let error = error(4, &system, collective(kind, size, None));
            let expected = format!("{algorithm} halves the messages of {kind}, and half of 1 byte(s) is 0");
            assert!(error.to_string().contains(&expected), "{error}");
        }
        for (kind, size) in [(AllReduce, 8), (AllGather, 2), (ReduceScatter, 1), (AllToAll, 1)] {
            assert!(simulate(&ring(4), &system, &everywhere(collective(kind, size, None), 4)).is_ok());
        }
    }
    // The others do not halve.
    let mesh = System { preferred_dataset_splits: 1, ..deepflow(&["mesh"]) };
    assert!(simulate(&ring(4), &mesh, &everywhere(collective(AllReduce, 1, None), 4)).is_ok());
}

#[test]
fn an_algorithm_of_deepflow_is_refused_in_the_other_dialect_with_its_name() {
    for name in ["mesh", "hypercube", "torus2d", "mesh2d"] {
        let algorithm: Algorithm = name.parse().unwrap();
        let error = error(4, &system(&[name]), compute(1));
        assert_eq!(
            error.to_string(),
            format!(
                "algorithm {name} for all_reduce exists in dialect deepflow, not in astra-sim; choose that dialect or \
                 another algorithm"
            )
        );
        let dialect = Dialect::AstraSim;
        let problem = SystemProblem::OtherDialect { collective: AllReduce, algorithm, dialect };
        assert_eq!(error, Error::System(problem));
        assert!(simulate(&ring(4), &deepflow(&[name]), &everywhere(compute(1), 4)).is_ok());
    }
}

#[test]
fn mesh2d_is_refused_where_it_is_used() {
    for kind in COLLECTIVES {
        let error = error(4, &deepflow(&["mesh2d"]), collective(kind, 1000, None));
        assert!(error.to_string().contains(&format!("mesh2d never completes {kind}")), "{error}");
    }
}

#[test]
fn a_torus_without_rounds_takes_the_endpoint_delays() {
    let node = collective(AllReduce, 1000, None);
    // Four chunks after each other, 10 ns each.
    let report = simulate(&ring(3), &deepflow(&["torus2d"]), &everywhere(node, 3)).unwrap();
    assert_eq!((report.finish(), report.messages), (Nanos(40), 0));
}

#[test]
fn a_group_runs_the_first_algorithm_of_the_list() {
    let two =
        unaware(&[dimension(Topology::Ring, 4, 50.0, 500.0), dimension(Topology::Ring, 2, 50.0, 500.0)]);
    let finish = |system: &System| {
        let member: &[(Node, &[u64])] = &[(collective(AllReduce, 1 << 20, Some(1)), &[])];
        let idle: &[(Node, &[u64])] = &[(compute(0), &[])];
        let ranks = [member, member, idle, idle, member, idle, idle, idle];
        simulate(&two, system, &in_group(&[4, 0, 1], workload(&ranks))).unwrap().finish()
    };
    let (mixed, first, second) = (["direct", "ring"], ["direct", "direct"], ["ring", "ring"]);
    assert_eq!(finish(&deepflow(&mixed)), finish(&deepflow(&first)));
    assert_ne!(finish(&deepflow(&mixed)), finish(&deepflow(&second)));
    // The other dialect falls back on a ring.
    assert_eq!(finish(&system(&mixed)), finish(&system(&second)));
}

#[test]
fn a_group_cannot_run_what_corrupts_memory_in_the_original() {
    for name in ["hypercube", "torus2d", "mesh2d", "doubleBinaryTree"] {
        let node = collective(AllReduce, 1000, Some(1));
        let workload = in_group(&[0, 1], everywhere(node, 4));
        let error = simulate(&ring(4), &deepflow(&[name]), &workload).unwrap_err();
        let expected = format!("{name} cannot run on communicator group 1; use ring");
        assert!(error.to_string().contains(&expected), "{error}");
        // A group of all ranks is no such group.
        let world = in_group(&[3, 2, 1, 0], everywhere(node, 4));
        assert_eq!(simulate(&ring(4), &deepflow(&[name]), &world).is_ok(), name != "mesh2d");
    }
}

#[test]
fn group_0_does_not_exist() {
    let mut builder = TraceBuilder::new();
    builder.push(5, "sum", collective(AllReduce, 1000, None), &[]);
    builder.note_group_zero(5);
    let workload = Workload::uniform(builder.build().unwrap(), 4);
    assert!(simulate(&ring(4), &system(&["ring"]), &workload).is_ok());
    let error = simulate(&ring(4), &deepflow(&["ring"]), &workload).unwrap_err();
    assert_eq!(error, Error::Workload(WorkloadProblem::GroupZero { rank: Rank(0), node: 5 }));
    assert!(
        error.to_string().contains("means all ranks in dialect astra-sim and does not exist in deepflow")
    );
    let replay = System { replay_only: true, ..deepflow(&["ring"]) };
    assert!(simulate(&ring(4), &replay, &workload).is_ok(), "a replay looks no group up");
}

#[test]
fn a_type_without_algorithms_is_an_error_with_either_optimization() {
    for &collective_optimization in CollectiveOptimization::ALL {
        for kind in COLLECTIVES {
            let system = System { collective_optimization, ..deepflow(&[]) };
            let node = collective(kind, 1000, None);
            assert_eq!(problem(error(4, &system, node)), NodeProblem::NoAlgorithm(kind));
        }
    }
}

#[test]
fn limits_of_the_other_dialect_hold_here_too() {
    let node = |kind| collective(kind, 1000, None);
    let halving = deepflow(&["halvingDoubling"]);
    assert!(matches!(problem(error(6, &halving, node(AllReduce))), NodeProblem::NotPowerOfTwo(_, 6)));
    assert!(matches!(problem(error(4, &halving, node(AllToAll))), NodeProblem::Algorithm(_, AllToAll)));
    let tree = deepflow(&["doubleBinaryTree"]);
    assert!(matches!(problem(error(6, &tree, node(AllReduce))), NodeProblem::NotPowerOfTwo(_, 6)));
    let direct = deepflow(&["direct0"]);
    assert_eq!(problem(error(4, &direct, node(AllReduce))), NodeProblem::ZeroWindow);
}

/// Nodes with their ids, one after the other.
fn custom_trace(nodes: &[Node]) -> Arc<CustomTrace> {
    let mut builder = TraceBuilder::new();
    for (id, &node) in (1..).zip(nodes) {
        let before: &[u64] = if id == 1 { &[] } else { &[id - 1] };
        builder.push(id, "node", node, before);
    }
    Arc::new(CustomTrace::new(builder).unwrap())
}

/// All-reduces are carried out by these traces.
fn with_custom(traces: &[Arc<CustomTrace>], system: System) -> System {
    let traces = (0..).zip(traces.iter().cloned()).collect();
    let custom = CustomCollectives {
        collectives: vec![CustomCollective { name: "c".to_owned(), traces }],
        of_type: BTreeMap::from([(AllReduce, 0)]),
        of_node: BTreeMap::new(),
    };
    System { custom, ..system }
}

#[test]
fn every_chunk_carries_out_the_whole_trace_of_a_custom_collective() {
    let node = collective(AllReduce, 1000, None);
    let compute = custom_trace(&[compute(3)]);
    let finish = |splits, active, queues| {
        let system = System {
            preferred_dataset_splits: splits,
            active_chunks_per_dimension: active,
            queues_per_dimension: queues,
            ..with_custom(&[compute.clone(), compute.clone()], deepflow(&[]))
        };
        simulate(&ring(2), &system, &everywhere(node, 2)).unwrap().finish()
    };
    assert_eq!(finish(1, 1, 1), Nanos(3000));
    assert_eq!(finish(4, 1, 1), Nanos(4 * 3000));
    assert_eq!(finish(4, 2, 1), Nanos(2 * 3000));
    // Chunks of an all-reduce take turns in the first half of the queues: here two of four.
    assert_eq!(finish(4, 4, 4), Nanos(2 * 3000));
}

#[test]
fn in_a_group_a_custom_collective_goes_by_ranks_not_by_members() {
    // Ranks 1 and 2 of three; 518 ns for the message.
    let traces = [
        custom_trace(&[compute(50)]),
        custom_trace(&[send(2, 1000, 1), compute(7)]),
        custom_trace(&[recv(1, 1000, 1)]),
    ];
    let system = System { preferred_dataset_splits: 1, ..with_custom(&traces, deepflow(&[])) };
    let member: &[(Node, &[u64])] = &[(collective(AllReduce, 1000, Some(1)), &[])];
    let idle: &[(Node, &[u64])] = &[(compute(0), &[])];
    let workload = in_group(&[2, 1], workload(&[idle, member, member]));
    let report = simulate(&ring(3), &system, &workload).unwrap();
    let finishes: Vec<u64> = report.ranks.iter().map(|rank| rank.finish.0).collect();
    assert_eq!(finishes, [1, 518 + 7000, 518]);
}

#[test]
fn custom_collectives_need_a_dimension_and_are_of_three_types_only() {
    let traces = [custom_trace(&[compute(1)]), custom_trace(&[compute(1)])];
    let system = with_custom(&traces, deepflow(&[]));
    let kind = NodeKind::Collective {
        collective: AllReduce,
        size: astra_engine::Bytes(1000),
        group: None,
        involved: InvolvedDims::from_flags(&[false, true]),
    };
    assert_eq!(problem(error(2, &system, gpu(kind, 0))), NodeProblem::NoDimension);
    let mut scatter = system.clone();
    scatter.custom.of_type.insert(ReduceScatter, 0);
    let mut by_node = system;
    by_node.custom.of_node.insert(1, 0);
    for (system, expected) in [(scatter, "for reduce_scatter"), (by_node, "for nodes")] {
        let error = error(2, &system, compute(1));
        assert_eq!(error, Error::System(SystemProblem::CustomInDeepFlow(expected)));
    }
}

#[test]
fn one_rank_in_place_of_all_gives_the_times_of_all() {
    let networks: [Network; 3] = [
        ring(8),
        unaware(&[dimension(Topology::Ring, 4, 50.0, 500.0), dimension(Topology::Switch, 4, 25.0, 700.0)]),
        unaware(&[dimension(Topology::FullyConnected, 9, 50.0, 500.0)]),
    ];
    let names = ["ring", "direct", "direct2", "mesh", "hypercube", "torus2d"];
    for network in &networks {
        let ranks = network.ranks().unwrap();
        for first in names {
            for second in names {
                let algorithms = &[first, second][..network.dimensions.len()];
                for queues_per_dimension in [1, 3] {
                    let system = System { queues_per_dimension, ..deepflow(algorithms) };
                    let nodes: Vec<(Node, &[u64])> =
                        COLLECTIVES.map(|kind| (collective(kind, 123_456, None), &[][..])).to_vec();
                    let one = workload(&[&nodes]);
                    let workload = Workload { trace_of_rank: vec![0; ranks as usize], ..one };
                    let run = |shortcuts| {
                        let options = Options { shortcuts };
                        let stop = AtomicBool::new(false);
                        let report = simulate_with(&options, network, &system, &workload, &stop).unwrap();
                        (report.ranks, report.finish_order, report.messages)
                    };
                    assert_eq!(run(true), run(false), "{algorithms:?} on {network:?}");
                }
            }
        }
    }
}
