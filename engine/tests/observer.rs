//! What an observer is told, against a run that the rules give by hand and against the report.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod build;

use astra_engine::{
    Algorithm, Bytes, ChunkPhase, CollectiveOptimization, CollectiveType, Device, Error, FaultyLink,
    GbPerSec, Link, LinkRecord, Message, Nanos, Network, NetworkModel, Node, NodeOf, NodeRecord, Observer,
    Rank, Report, System, Topology, Transmission, Workload, simulate, simulate_observed,
};
use build::{collective, compute, dimension, everywhere, recv, ring, send, system, unaware, workload};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use CollectiveType::{AllGather, AllReduce, ReduceScatter};

/// Keeps everything it is told.
#[derive(Default)]
struct Told {
    /// Rank, id of the node, when it began and when it ended, in the order in which they ended.
    nodes: Vec<(u32, u64, u64, u64)>,
    open: Vec<(Rank, u32, Nanos)>,
    messages: Vec<Message>,
    phases: Vec<ChunkPhase>,
    transmissions: Vec<Transmission>,
}

impl Observer for Told {
    fn node_began(&mut self, node: &NodeOf<'_>, at: Nanos) {
        self.open.push((node.rank, node.index, at));
    }

    fn node_ended(&mut self, node: &NodeOf<'_>, at: Nanos) {
        let open = self.open.iter().position(|&(rank, index, _)| (rank, index) == (node.rank, node.index));
        let (_, _, began) = self.open.remove(open.unwrap());
        self.nodes.push((node.rank.0, node.id, began.0, at.0));
    }

    fn message(&mut self, message: &Message) {
        self.messages.push(*message);
    }

    fn phase(&mut self, phase: &ChunkPhase) {
        self.phases.push(*phase);
    }

    fn transmission(&mut self, transmission: &Transmission) {
        self.transmissions.push(*transmission);
    }
}

fn observe(network: &Network, system: &System, workload: &Workload) -> (Report, Told) {
    let mut told = Told::default();
    let report = simulate_observed(network, system, workload, &AtomicBool::new(false), &mut told).unwrap();
    assert_eq!(Ok(&report), simulate(network, system, workload).as_ref(), "to observe changes nothing");
    assert!(told.open.is_empty());
    (report, told)
}

/// Computations, collectives, a message there and one back on a ring of four; local memory at 100 GB/s.
fn slots() -> (Network, System, Workload) {
    let (all_reduce, all_gather) =
        (collective(AllReduce, 400_000, None), collective(AllGather, 100_000, None));
    let rank0: &[(Node, &[u64])] = &[
        (compute(2), &[]),
        (compute(1), &[]),
        (all_reduce, &[]),
        (send(1, 1000, 7), &[]),
        (recv(1, 2000, 8), &[]),
        (compute(1), &[5]),
        (all_gather, &[3, 2]),
    ];
    let rank1: &[(Node, &[u64])] =
        &[(recv(0, 1000, 7), &[]), (send(0, 2000, 8), &[1]), (all_reduce, &[]), (all_gather, &[3])];
    let others: &[(Node, &[u64])] = &[(all_reduce, &[]), (all_gather, &[1])];
    let system = System { preferred_dataset_splits: 1, local_mem_bw: GbPerSec(100.0), ..system(&["ring"]) };
    (ring(4), system, workload(&[rank0, rank1, others, others]))
}

#[test]
fn slots_and_ids_decide_what_is_issued() {
    let (network, system, workload) = slots();
    let (report, told) = observe(&network, &system, &workload);
    let finishes: Vec<u64> = report.ranks.iter().map(|rank| rank.finish.0).collect();
    assert_eq!(finishes, [31_905, 30_905, 30_368, 30_886]);
    assert_eq!(report.finish_order, [2, 3, 1, 0].map(Rank));
    let first = &report.ranks[0];
    assert_eq!((first.gpu, first.comm), (Some(Nanos(4000)), Some(Nanos(30_905))));
    assert_eq!((first.exposed, first.overlap), (Nanos(27_905), Some(Nanos(3000))));
    assert_eq!(
        told.nodes,
        [
            (0, 1, 0, 2000),
            (0, 2, 2000, 3000),
            (2, 1, 0, 23_242),
            (3, 1, 0, 23_242),
            (0, 3, 0, 23_242),
            (1, 3, 0, 23_242),
            (0, 4, 23_242, 23_760),
            (1, 1, 0, 23_760),
            (1, 4, 23_242, 30_368),
            (2, 2, 23_242, 30_368),
            (0, 7, 23_760, 30_368),
            (3, 2, 23_242, 30_886),
            (1, 2, 30_368, 30_905),
            (0, 5, 0, 30_905),
            (0, 6, 30_905, 31_905),
        ]
    );
}

#[test]
fn a_message_names_the_nodes_at_its_two_ends() {
    let (network, system, workload) = slots();
    let (report, told) = observe(&network, &system, &workload);
    assert_eq!(told.messages.len() as u64, report.messages);
    let message = |source, destination, size, tag, sent, arrived, sender, receiver| Message {
        source: Rank(source),
        destination: Rank(destination),
        size: Bytes(size),
        tag,
        sent: Nanos(sent),
        arrived: Nanos(arrived),
        received: Nanos(arrived),
        sender: Some(sender),
        receiver: Some(receiver),
    };
    let of_nodes: Vec<&Message> = told.messages.iter().filter(|message| message.tag < 500_000_000).collect();
    assert_eq!(
        of_nodes,
        [&message(0, 1, 1000, 7, 23_242, 23_760, 3, 0), &message(1, 0, 2000, 8, 30_368, 30_905, 1, 4)]
    );
    // The first message of the all-reduce that comes to rank 1 is rank 0's, after 10 ns of endpoint delay.
    let first = told.messages.iter().find(|message| message.destination == Rank(1)).unwrap();
    assert_eq!(*first, message(0, 1, 100_000, 500_000_000, 10, 2372, 2, 2));
}

#[test]
fn a_message_that_comes_early_is_told_when_it_is_received() {
    let sender: &[(Node, &[u64])] = &[(send(1, 1000, 5), &[]), (send(1, 1000, 5), &[1])];
    let receiver: &[(Node, &[u64])] =
        &[(compute(5), &[]), (recv(0, 1000, 5), &[1]), (recv(0, 1000, 5), &[2])];
    let idle: &[(Node, &[u64])] = &[(compute(0), &[])];
    let (_, told) = observe(&ring(4), &system(&["ring"]), &workload(&[sender, receiver, idle, idle]));
    let times = |m: &Message| (m.sent.0, m.arrived.0, m.received.0, m.sender, m.receiver);
    let told: Vec<_> = told.messages.iter().map(times).collect();
    assert_eq!(told, [(0, 518, 5000, Some(0), Some(1)), (518, 1036, 5000, Some(1), Some(2))]);
}

#[test]
fn a_handshake_belongs_to_no_node() {
    let sender: &[(Node, &[u64])] = &[(send(1, 1000, 5), &[])];
    let receiver: &[(Node, &[u64])] = &[(recv(0, 1000, 5), &[])];
    let idle: &[(Node, &[u64])] = &[(compute(0), &[])];
    let rendezvous = System { rendezvous: true, ..system(&["ring"]) };
    let (_, told) = observe(&ring(4), &rendezvous, &workload(&[sender, receiver, idle, idle]));
    let ends = |m: &Message| (m.source.0, m.destination.0, m.size.0, m.sender, m.receiver);
    let told: Vec<_> = told.messages.iter().map(ends).collect();
    assert_eq!(told, [(1, 0, 8192, None, None), (0, 1, 1000, Some(0), Some(0))]);
}

#[test]
fn the_phases_of_a_chunk_follow_each_other_through_the_dimensions() {
    let network =
        unaware(&[dimension(Topology::Ring, 2, 50.0, 500.0), dimension(Topology::Switch, 4, 25.0, 500.0)]);
    let system = System {
        collective_optimization: CollectiveOptimization::LocalBwAware,
        preferred_dataset_splits: 2,
        ..system(&["ring", "direct"])
    };
    let (report, told) = observe(&network, &system, &everywhere(collective(AllReduce, 1 << 20, None), 8));
    let of_rank_3 = |chunk| {
        let phases = told.phases.iter().filter(move |p| (p.rank, p.chunk) == (Rank(3), chunk));
        phases.collect::<Vec<&ChunkPhase>>()
    };
    for chunk in 0..2 {
        let what: Vec<_> =
            of_rank_3(chunk).iter().map(|p| (p.phase, p.dimension, p.collective, p.algorithm)).collect();
        let (ring, direct) = (Some(Algorithm::Ring), Some(Algorithm::Direct { window: None }));
        assert_eq!(what, [(0, 0, ReduceScatter, ring), (1, 1, AllReduce, direct), (2, 0, AllGather, ring)]);
    }
    assert_eq!(told.phases.len(), 8 * 2 * 3);
    let (first, second) = (of_rank_3(0), of_rank_3(1));
    assert_eq!(first[0].start, Nanos(0));
    // Each queue takes one chunk at a time.
    assert_eq!(first[0].end, second[0].start);
    assert_eq!(second[2].end, report.ranks[3].finish);
}

#[test]
fn of_a_run_that_stalls_the_observer_is_told_what_came_before() {
    let waits: &[(Node, &[u64])] = &[(compute(1), &[]), (recv(1, 1, 1), &[1])];
    let idle: &[(Node, &[u64])] = &[(compute(2), &[])];
    let stuck = workload(&[waits, idle]);
    let mut record = NodeRecord::new(&stuck);
    let stop = AtomicBool::new(false);
    let result = simulate_observed(&ring(2), &system(&["ring"]), &stuck, &stop, &mut record);
    assert_eq!(result, simulate(&ring(2), &system(&["ring"]), &stuck));
    assert!(matches!(result, Err(Error::Stalled(_))));
    assert_eq!(record.times(Rank(0), 0).map(|times| times.end), Some(Nanos(1000)));
    assert_eq!((record.began(Rank(0), 1), record.times(Rank(0), 1)), (Some(Nanos(1000)), None));
}

#[test]
fn several_observers_are_told_the_same() {
    let (network, system, workload) = slots();
    let (mut told, mut record) = (Told::default(), NodeRecord::new(&workload));
    let mut both: Vec<&mut dyn Observer> = vec![&mut told, &mut record];
    simulate_observed(&network, &system, &workload, &AtomicBool::new(false), &mut both).unwrap();
    assert_eq!((told.nodes.len(), told.phases.len()), (15, 8));
    assert_eq!(record.times(Rank(0), 5).map(|times| times.start), Some(Nanos(30_905)));
}

#[test]
fn ranks_that_are_alike_are_observed_one_by_one_in_either_network() {
    for &model in NetworkModel::ALL {
        let network = Network { model, ..ring(8) };
        let (report, told) =
            observe(&network, &system(&["direct"]), &everywhere(collective(AllReduce, 1 << 20, None), 8));
        assert_eq!(told.nodes.len(), 8);
        assert_eq!(told.messages.len() as u64, report.messages);
        assert!(told.messages.iter().all(|message| message.sent < message.arrived));
    }
}

/// Switches of four in rings of two, with a link at half its bandwidth.
fn two_dimensions() -> Network {
    let dimensions = [(Topology::Switch, 4), (Topology::Ring, 2)];
    let dimensions = dimensions.map(|(topology, npus)| dimension(topology, npus, 50.0, 500.0)).to_vec();
    let slower = FaultyLink { src: 0, dst: 4, health: 0.5 };
    Network { faulty_links: vec![slower], ..Network::new(NetworkModel::CongestionAware, dimensions) }
}

#[test]
fn a_link_sends_one_message_at_a_time_and_others_wait() {
    let system = system(&["direct", "direct"]);
    let workload = everywhere(collective(CollectiveType::AllToAll, 1 << 20, None), 8);
    let (report, told) = observe(&two_dimensions(), &system, &workload);
    let mut free: BTreeMap<Link, Nanos> = BTreeMap::new();
    for Transmission { link, came, start, end, queue, .. } in &told.transmissions {
        let free = free.entry(*link).or_default();
        assert!(*free <= *start && came <= start && start < end);
        assert_eq!(*queue > 0, came < start);
        // It starts when it comes or when the link is free.
        assert_eq!(*start, (*came).max(*free));
        *free = *end;
    }
    // Every rank has a link up and one down, and there is one each way between the switches' members.
    assert_eq!(free.len(), 8 * 3);
    assert!(told.transmissions.iter().any(|transmission| transmission.queue > 0));
    assert!(free.values().all(|&free| free < report.finish()));
}

#[test]
fn link_figures_add_up_and_the_slow_link_is_the_busiest() {
    let all_to_all = everywhere(collective(CollectiveType::AllToAll, 1 << 20, None), 8);
    let mut record = LinkRecord::new();
    let system = system(&["direct", "direct"]);
    let stop = AtomicBool::new(false);
    let report = simulate_observed(&two_dimensions(), &system, &all_to_all, &stop, &mut record).unwrap();
    let figures = record.figures();
    let link = |from, to| Link { dimension: 1, from: Device::Rank(Rank(from)), to: Device::Rank(Rank(to)) };
    assert_eq!([figures[0].link, figures[1].link], [link(0, 4), link(4, 0)]);
    assert!(figures[0].busy > figures[2].busy);
    assert_eq!(figures[0].size, figures.iter().find(|f| f.link == link(1, 5)).unwrap().size);
    let share = figures[0].busy.0 as f64 / report.finish().0 as f64;
    assert!((figures[0].utilisation(report.finish()) - share).abs() < 1e-12);
    let switch = Link { dimension: 0, from: Device::Rank(Rank(6)), to: Device::Switch(9) };
    assert!(figures.iter().any(|f| f.link == switch), "the second switch is the device behind the first");
    // 4 chunks; a rank sends 3 messages in its switch, each up and down, and 1 to the other switch.
    assert_eq!(figures.iter().map(|f| f.messages).sum::<u64>(), 4 * 8 * (2 * 3 + 1));
}
