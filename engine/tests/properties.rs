//! What holds for all workloads, tried on random ones.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod build;

use astra_engine::{
    CollectiveType, CustomCollective, CustomCollectives, CustomTrace, Error, GbPerSec, GroupId, Nanos,
    Network, NetworkModel, Node, NodeKind, NodeRecord, Options, Rank, Report, SharedBus, System, Topology,
    Trace, TraceBuilder, Workload, simulate, simulate_observed, simulate_with,
};
use build::{collective, compute, dimension, everywhere, recv, ring, send, system, unaware};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const COLLECTIVES: [CollectiveType; 4] = [
    CollectiveType::AllReduce,
    CollectiveType::AllGather,
    CollectiveType::ReduceScatter,
    CollectiveType::AllToAll,
];

fn run(options: Options, network: &Network, system: &System, workload: &Workload) -> Result<Report, Error> {
    simulate_with(&options, network, system, workload, &AtomicBool::new(false))
}

/// A node and the nodes before it that it may depend on.
type Draft = (Node, Vec<bool>);

/// Any node of a workload of four ranks with a group 1 of three of them.
fn any_node() -> impl Strategy<Value = Node> {
    let size = prop_oneof![9 => 1..2_000_000_u64, 1 => Just(0)];
    prop_oneof![
        3 => (0..5_u64).prop_map(compute),
        4 => (select(&COLLECTIVES[..]), size, prop::bool::ANY)
            .prop_map(|(kind, size, group)| collective(kind, size, group.then_some(1))),
        2 => (0..4_u32, 1..3_u64, 0..2_u32).prop_map(|(to, size, tag)| send(to, size, tag)),
        2 => (0..4_u32, 1..3_u64, 0..2_u32).prop_map(|(from, size, tag)| recv(from, size, tag)),
        1 => Just(build::gpu(NodeKind::Invalid, 0)),
    ]
}

fn drafts(node: impl Strategy<Value = Node>, most: usize) -> impl Strategy<Value = Vec<Draft>> {
    prop::collection::vec((node, prop::collection::vec(prop::bool::weighted(0.3), most)), 1..most)
}

/// Nodes with ids 1, 2, …, each depending on some before it.
fn builder(drafts: &[Draft]) -> TraceBuilder {
    let mut builder = TraceBuilder::new();
    for (id, (node, depends)) in (1..).zip(drafts) {
        let parents: Vec<u64> = (1..id).filter(|&parent| depends[parent as usize - 1]).collect();
        builder.push(id, "node", *node, &parents);
    }
    builder
}

fn traces(drafts: &[Vec<Draft>]) -> Workload {
    let traces: Vec<Trace> = drafts.iter().map(|drafts| builder(drafts).build().unwrap()).collect();
    let groups = BTreeMap::from([(GroupId::new(1).unwrap(), [2, 0, 1].map(Rank).to_vec())]);
    Workload { trace_of_rank: (0..traces.len() as u32).collect(), traces, groups }
}

fn any_network() -> impl Strategy<Value = Network> {
    let topology = select(vec![Topology::Ring, Topology::FullyConnected, Topology::Switch]);
    let latency = select(vec![0.0, 500.0]);
    (topology, latency, select(NetworkModel::ALL)).prop_map(|(topology, latency, model)| {
        Network::new(model, vec![dimension(topology, 4, 50.0, latency)])
    })
}

fn any_bus() -> impl Strategy<Value = Option<SharedBus>> {
    let bus = (0..20_u64, 0..20_u64, 0..20_u64, select(vec![0.0, 0.004, 0.1]), 0..3_u64);
    prop::option::weighted(
        0.3,
        bus.prop_map(|(latency, overhead, gap, gap_per_byte_ns, delay)| SharedBus {
            latency: Nanos(latency),
            overhead: Nanos(overhead),
            gap: Nanos(gap),
            gap_per_byte_ns,
            local_reduction_delay: Nanos(delay),
        }),
    )
}

fn any_system() -> impl Strategy<Value = System> {
    let algorithm =
        select(vec!["ring", "direct", "direct1", "direct2", "halvingDoubling", "doubleBinaryTree"]);
    (algorithm, 1..4_u32, 1..3_u32, 1..4_u32, any_bus(), prop::bool::weighted(0.1)).prop_map(
        |(algorithm, splits, active, queues, shared_bus, rendezvous)| System {
            preferred_dataset_splits: splits,
            active_chunks_per_dimension: active,
            queues_per_dimension: queues,
            shared_bus,
            rendezvous,
            ..system(&[algorithm])
        },
    )
}

/// A custom all-reduce of computations and messages among four ranks.
fn any_custom() -> impl Strategy<Value = CustomCollectives> {
    let node = prop_oneof![
        (0..3_u64).prop_map(compute),
        (0..4_u32, 1..3_u64).prop_map(|(to, size)| send(to, size, 9)),
        (0..4_u32, 1..3_u64).prop_map(|(from, size)| recv(from, size, 9)),
    ];
    prop::collection::vec(drafts(node, 6), 4).prop_map(|members| CustomCollectives {
        collectives: vec![CustomCollective {
            name: "custom".to_owned(),
            traces: (0..)
                .zip(&members)
                .map(|(k, m)| (k, Arc::new(CustomTrace::new(builder(m)).unwrap())))
                .collect(),
        }],
        of_type: BTreeMap::from([(CollectiveType::AllReduce, 0)]),
        of_node: BTreeMap::new(),
    })
}

/// Whether a result is a report or an explanation that is worth its lines.
fn check_outcome(result: &Result<Report, Error>) -> Result<(), TestCaseError> {
    match result {
        Ok(report) => {
            prop_assert!(report.finish_order.is_sorted_by_key(|rank| report.ranks[rank.0 as usize].finish));
        }
        Err(Error::Stalled(stall)) => {
            prop_assert!(!stall.blocked.is_empty());
            prop_assert!(stall.to_string().lines().count() <= 20, "{stall}");
        }
        Err(Error::Node(error)) => prop_assert!(!error.problem.to_string().is_empty()),
        Err(error) => prop_assert!(false, "{error}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn workloads_finish_or_are_explained_and_options_change_nothing(
        network in any_network(),
        system in any_system(),
        drafts in prop::collection::vec(drafts(any_node(), 8), 4),
    ) {
        let workload = traces(&drafts);
        let plain = run(Options { shortcuts: false }, &network, &system, &workload);
        check_outcome(&plain)?;
        prop_assert_eq!(&simulate(&network, &system, &workload), &plain);
        let (mut record, stop) = (NodeRecord::new(&workload), AtomicBool::new(false));
        let observed = simulate_observed(&network, &system, &workload, &stop, &mut record);
        prop_assert_eq!(&observed, &plain);
        if observed.is_err() {
            return Ok(());
        }
        for (rank, drafts) in (0..).map(Rank).zip(&drafts) {
            for (index, (_, depends)) in (0..).zip(drafts) {
                let times = record.times(rank, index).unwrap();
                prop_assert!(times.start <= times.end);
                for parent in (0..index).filter(|&parent| depends[parent as usize]) {
                    prop_assert!(record.times(rank, parent).unwrap().end <= times.start);
                }
            }
        }
    }

    #[test]
    fn custom_collectives_finish_or_are_explained(
        network in any_network(),
        custom in any_custom(),
        drafts in prop::collection::vec(drafts(any_node(), 5), 4),
    ) {
        let system = System { preferred_dataset_splits: 1, custom, ..system(&["ring"]) };
        check_outcome(&simulate(&network, &system, &traces(&drafts)))?;
    }

    #[test]
    fn more_latency_or_less_bandwidth_never_makes_a_lone_collective_faster(
        topology in select(vec![Topology::Ring, Topology::FullyConnected, Topology::Switch]),
        kind in select(&COLLECTIVES[..]),
        npus in 2..9_u32,
        size in 1000..5_000_000_u64,
        system in any_system(),
        latency in 0.0..2000.0_f64,
        bandwidth in 1.0..400.0_f64,
        slower in 1.0..3.0_f64,
    ) {
        // On a bus transfers take turns, so that one that comes later can let another go first.
        let system = System { shared_bus: None, ..system };
        let time = |latency, bandwidth| {
            let network = unaware(&[dimension(topology, npus, bandwidth, latency)]);
            simulate(&network, &system, &everywhere(collective(kind, size, None), npus)).map(|report| report.finish())
        };
        let base = time(latency, bandwidth);
        for worse in [time(latency * slower, bandwidth), time(latency, bandwidth / slower)] {
            match (&base, worse) {
                (Ok(base), Ok(worse)) => prop_assert!(worse >= *base, "{worse} after {base}"),
                (Err(_), Err(_)) => {}
                (_, worse) => prop_assert!(false, "only one of them can be simulated: {base:?}, {worse:?}"),
            }
        }
    }

    #[test]
    fn relabelled_ranks_take_the_same_times(
        steps in prop::collection::vec((0..3_u8, 0..6_u32, 1..6_u32, 1..100_000_u64), 1..20),
        labels in Just((0..6_u32).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let network = unaware(&[dimension(Topology::FullyConnected, 6, 50.0, 500.0)]);
        let system = system(&["ring"]);
        let plain = simulate(&network, &system, &chains(&steps, &[0, 1, 2, 3, 4, 5])).unwrap();
        let labelled = simulate(&network, &system, &chains(&steps, &labels)).unwrap();
        for (rank, &label) in labels.iter().enumerate() {
            prop_assert_eq!(plain.ranks[rank], labelled.ranks[label as usize]);
        }
    }
}

/// Six ranks that do one thing after the other: compute, send a message on, or take part in a collective of a group
/// of three in ring order. Rank `r` is called `labels[r]`. One order for all, so that nobody waits for ever.
fn chains(steps: &[(u8, u32, u32, u64)], labels: &[u32]) -> Workload {
    let mut nodes: Vec<Vec<Node>> = vec![Vec::new(); labels.len()];
    let mut groups = BTreeMap::new();
    for (number, &(what, rank, distance, size)) in (1..).zip(steps) {
        let other = |distance: u32| labels[((rank + distance) % 6) as usize];
        let own = labels[rank as usize];
        match what {
            0 => nodes[own as usize].push(compute(size % 50)),
            1 => {
                let to = other(distance);
                nodes[own as usize].push(send(to, size, number));
                nodes[to as usize].push(recv(own, size, number));
            }
            _ => {
                let members: Vec<u32> = [0, 1 + distance % 2, 3 + distance % 3].map(other).to_vec();
                for &member in &members {
                    nodes[member as usize].push(collective(CollectiveType::AllReduce, size, Some(number)));
                }
                groups.insert(GroupId::new(number).unwrap(), members.into_iter().map(Rank).collect());
            }
        }
    }
    let trace = |nodes: &Vec<Node>| {
        let mut builder = TraceBuilder::new();
        builder.push(0, "start", compute(1), &[]);
        for (id, node) in (1..).zip(nodes) {
            builder.push(id, "node", *node, &[id - 1]);
        }
        builder.build().unwrap()
    };
    let trace_of_rank = (0..nodes.len() as u32).collect();
    Workload { traces: nodes.iter().map(trace).collect(), trace_of_rank, groups }
}

#[test]
fn a_shared_bus_takes_the_times_that_its_rules_add_up_to() {
    // One hop of 25,000 bytes takes 500 + 465 ns, and 94 ns to cross the inner bus at 0.0038 ns per byte. The outer bus
    // is free, and processing takes 50 ns and one nanosecond per hundred bytes.
    let (hop, inner, processing) = (965, 94, 300);
    let free = SharedBus {
        latency: Nanos(0),
        overhead: Nanos(0),
        gap: Nanos(0),
        gap_per_byte_ns: 0.0,
        local_reduction_delay: Nanos(1),
    };
    let system = System {
        shared_bus: Some(free),
        preferred_dataset_splits: 1,
        local_mem_bw: GbPerSec(0.0),
        ..system(&["ring"])
    };
    let time = |kind, size| {
        let report = simulate(&ring(4), &system, &everywhere(collective(kind, size, None), 4)).unwrap();
        report.finish()
    };
    // The first step goes out over the inner bus; of the three steps that come in all but the last go back: there and
    // back over the inner bus.
    let gather = inner + 3 * hop + 2 * (2 * inner) + inner;
    assert_eq!(time(CollectiveType::AllGather, 25_000), Nanos(gather));
    // A step that reduces crosses the inner bus there and back before it is processed, too.
    let scatter = gather + 3 * (2 * inner + processing);
    assert_eq!(time(CollectiveType::ReduceScatter, 100_000), Nanos(scatter));
}
