//! Custom collectives: who carries out which trace, with whom, in which order.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod build;

use astra_engine::{
    CollectiveType, CustomCollective, CustomCollectives, CustomTrace, Error, GroupId, Nanos, Network,
    NetworkModel, Node, NodeProblem, Rank, Report, System, TraceBuilder, Workload, simulate,
};
use build::{collective, compute, everywhere, recv, ring, send, system, workload};
use std::collections::BTreeMap;
use std::sync::Arc;

use CollectiveType::{AllGather, AllReduce};

/// Nodes with their ids and dependencies, in file order.
type File<'a> = &'a [(u64, Node, &'a [u64])];

fn custom(name: &str, members: &[File<'_>]) -> CustomCollective {
    let trace = |file: &File<'_>| {
        let mut builder = TraceBuilder::new();
        file.iter().for_each(|&(id, node, depends)| builder.push(id, "node", node, depends));
        Arc::new(CustomTrace::new(builder).unwrap())
    };
    CustomCollective { name: name.to_owned(), traces: (0..).zip(members.iter().map(trace)).collect() }
}

/// One chunk, no algorithms; all-reduces are carried out by the first of these.
fn with(collectives: Vec<CustomCollective>, of_node: &[(u64, usize)]) -> System {
    System {
        preferred_dataset_splits: 1,
        custom: CustomCollectives {
            collectives,
            of_type: BTreeMap::from([(AllReduce, 0)]),
            of_node: of_node.iter().copied().collect(),
        },
        ..System::default()
    }
}

fn finishes(report: &Report) -> Vec<u64> {
    report.ranks.iter().map(|rank| rank.finish.0).collect()
}

fn in_group(members: &[u32], workload: Workload) -> Workload {
    let members = members.iter().copied().map(Rank).collect();
    Workload { groups: BTreeMap::from([(GroupId::new(1).unwrap(), members)]), ..workload }
}

#[test]
fn nodes_that_are_free_together_start_in_the_order_of_the_hash_table() {
    // One link carries the three messages, those of nodes 2, 15 and 3 in this order: 15 is in the bucket of 2. Each takes
    // 1862 ns and 500 ns of latency.
    let sender: File<'_> = &[
        (1, compute(0), &[]),
        (2, send(1, 100_000, 2), &[1]),
        (3, send(1, 100_000, 3), &[1]),
        (15, send(1, 100_000, 15), &[1]),
    ];
    let receiver: File<'_> = &[
        (2, recv(0, 100_000, 2), &[]),
        (3, recv(0, 100_000, 3), &[]),
        (15, recv(0, 100_000, 15), &[]),
        (4, compute(10), &[3]),
    ];
    let network = Network { model: NetworkModel::CongestionAware, ..ring(2) };
    let system = with(vec![custom("c", &[sender, receiver])], &[]);
    let report = simulate(&network, &system, &everywhere(collective(AllReduce, 1, None), 2)).unwrap();
    assert_eq!(finishes(&report), [1 + 2 * 1862 + 2362, 1 + 2 * 1862 + 2362 + 10_000]);
}

#[test]
fn in_a_group_traces_go_by_ascending_rank_and_peers_by_listed_order() {
    // Rank 0 is the lower of the two and so has trace 0, whose peer "member 0" is the first listed: rank 2.
    let first: File<'_> = &[(1, send(0, 1000, 1), &[]), (2, compute(7), &[1])];
    let second: File<'_> = &[(1, recv(1, 1000, 1), &[])];
    let system = with(vec![custom("c", &[first, second])], &[]);
    let member: &[(Node, &[u64])] = &[(collective(AllReduce, 1, Some(1)), &[])];
    let idle: &[(Node, &[u64])] = &[(compute(0), &[])];
    let report = simulate(&ring(3), &system, &in_group(&[2, 0], workload(&[member, idle, member]))).unwrap();
    assert_eq!(finishes(&report), [518 + 7000, 1, 518]);
}

#[test]
fn the_choice_for_a_node_holds_for_its_group_from_then_on() {
    let of = |micros| -> Vec<(u64, Node, &[u64])> { vec![(1, compute(micros), &[])] };
    let (slow, fast) = (of(9), of(2));
    let system = with(vec![custom("slow", &[&slow, &slow]), custom("fast", &[&fast, &fast])], &[(1, 1)]);
    let node = |group| collective(AllReduce, 8, group);
    // Node 1 chooses for itself among all ranks; in a group it chooses for node 2 as well.
    let run = |group| {
        let nodes: &[(Node, &[u64])] = &[(node(group), &[]), (node(group), &[1])];
        let workload = in_group(&[0, 1], workload(&[nodes, nodes]));
        simulate(&ring(2), &system, &workload).unwrap().finish()
    };
    assert_eq!(run(None), Nanos(2000 + 9000));
    assert_eq!(run(Some(1)), Nanos(2000 + 2000));
}

#[test]
fn a_custom_collective_needs_one_chunk_a_trace_and_peers_that_exist() {
    let rule =
        |system: &System, node: Node| match simulate(&ring(2), system, &everywhere(node, 2)).unwrap_err() {
            Error::Node(error) => error.problem,
            other => panic!("{other}"),
        };
    let node = collective(AllReduce, 1000, None);
    let lonely: File<'_> = &[(4, send(2, 8, 1), &[])];
    let good: File<'_> = &[(1, compute(1), &[])];
    let two = System { preferred_dataset_splits: 2, ..with(vec![custom("c", &[good, good])], &[]) };
    assert_eq!(rule(&two, node), NodeProblem::CustomChunks { name: "c".to_owned(), chunks: 2 });
    let short = with(vec![custom("c", &[good])], &[]);
    assert_eq!(rule(&short, node), NodeProblem::NoCustomTrace { name: "c".to_owned(), member: 1 });
    let far = with(vec![custom("c", &[lonely, good])], &[]);
    let problem = Box::new(NodeProblem::NoSuchRank(Rank(2)));
    assert_eq!(rule(&far, node), NodeProblem::InCustom { name: "c".to_owned(), member: 0, node: 4, problem });
    // Another type has no custom collective, and no algorithm either.
    assert_eq!(rule(&far, collective(AllGather, 1000, None)), NodeProblem::NoAlgorithm(AllGather));
}

#[test]
fn a_custom_collective_waits_for_the_first_queue_like_any_other() {
    // The native collective before it holds the only place of the queue until it is complete.
    let good: File<'_> = &[(1, compute(3), &[])];
    let native = System { preferred_dataset_splits: 1, ..system(&["ring"]) };
    let both = System { custom: with(vec![custom("c", &[good, good])], &[]).custom, ..native.clone() };
    let nodes: &[(Node, &[u64])] =
        &[(collective(AllGather, 1000, None), &[]), (collective(AllReduce, 1000, None), &[1])];
    let alone = simulate(&ring(2), &native, &everywhere(collective(AllGather, 1000, None), 2)).unwrap();
    let report = simulate(&ring(2), &both, &workload(&[nodes, nodes])).unwrap();
    assert_eq!(report.finish(), Nanos(alone.finish().0 + 3000));
}
