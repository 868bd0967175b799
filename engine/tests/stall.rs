//! What is said of a simulation that comes to rest before every rank has finished.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod build;

use astra_engine::{
    Awaited, Bytes, CollectiveOptimization, CollectivePlace, CollectiveType, Diagnosis, Error, GroupId,
    Network, Node, NodeKind, Rank, Stall, System, Topology, UnmatchedState, Wait, Workload, simulate,
};
use build::{collective, compute, dimension, everywhere, gpu, recv, ring, send, system, unaware, workload};

use CollectiveType::{AllGather, AllReduce};

type Nodes<'a> = &'a [(Node, &'a [u64])];

fn stall_of(network: &Network, system: &System, workload: &Workload) -> Stall {
    match simulate(network, system, workload).unwrap_err() {
        Error::Stalled(stall) => *stall,
        other => panic!("no stall: {other}"),
    }
}

/// The stall of traces over a ring of as many ranks, with ring collectives and these groups.
fn stall(groups: &[(u32, &[u32])], ranks: &[Nodes<'_>]) -> Stall {
    stall_of(&ring(ranks.len() as u32), &system(&["ring"]), &with_groups(groups, ranks))
}

fn with_groups(groups: &[(u32, &[u32])], ranks: &[Nodes<'_>]) -> Workload {
    let group = |&(id, members): &(u32, &[u32])| {
        (GroupId::new(id).unwrap(), members.iter().copied().map(Rank).collect())
    };
    Workload { groups: groups.iter().map(group).collect(), ..workload(ranks) }
}

const IDLE: (Node, &[u64]) =
    (Node { kind: NodeKind::Compute { work: None }, cpu: false, duration: astra_engine::Micros(1) }, &[]);

#[test]
fn a_message_of_another_size_is_named_with_both_sizes() {
    let sender: Nodes<'_> = &[(send(1, 1000, 5), &[])];
    let receiver: Nodes<'_> = &[(compute(3), &[]), (recv(0, 1001, 5), &[1]), (compute(1), &[2])];
    let stall = stall(&[], &[sender, receiver]);
    assert_eq!(
        stall.to_string(),
        "the simulation stalled at 3000 ns: 1 of 2 rank(s) never finished\n  size mismatch: rank 1 waits for 1001 bytes \
         from rank 0 with tag 5, rank 0 sent 1000 bytes\n  rank 1: node 2 `node` waits for a message from rank 0 (1001 \
         bytes, tag 5)\n    nearest without a partner: a message from rank 0 (1000 bytes, tag 5), which has arrived"
    );
}

#[test]
fn a_message_with_another_tag_is_named_with_both_tags() {
    let sender: Nodes<'_> = &[(send(1, 1000, 5), &[]), (send(1, 2000, 7), &[])];
    let receiver: Nodes<'_> = &[(recv(0, 1000, 6), &[])];
    let stall = stall(&[], &[sender, receiver]);
    let awaited = Awaited { from: Rank(0), size: Bytes(1000), tag: 6 };
    assert_eq!(stall.diagnosis, Diagnosis::TagMismatch { rank: Rank(1), awaited, found: 5 });
    // The message of the right size is nearer than that of the wrong one.
    assert_eq!(stall.blocked[0].nearest.unwrap().tag, 5);
}

#[test]
fn a_partner_that_has_not_started_is_the_nearest() {
    // Each rank receives before it sends what the other waits for.
    let rank = |peer: u32| [(recv(peer, 10, 1), &[][..]), (send(peer, 10, 1), &[1][..])];
    let stall = stall(&[], &[&rank(1), &rank(0)]);
    assert_eq!(stall.diagnosis, Diagnosis::Cycle(vec![Rank(0), Rank(1), Rank(0)]));
    assert!(stall.diagnosis.to_string().ends_with("0 → 1 → 0"), "{}", stall.diagnosis);
    assert_eq!(stall.blocked[0].nearest.unwrap().state, UnmatchedState::NotStarted { node: 2 });
}

#[test]
fn a_cycle_is_found_behind_ranks_that_only_wait_for_it() {
    let after = |from: u32, to: u32| [(recv(from, 10, 1), &[][..]), (send(to, 10, 1), &[1][..])];
    let waits: Nodes<'_> = &[(recv(1, 10, 2), &[])];
    let first = [after(3, 2)[0], after(3, 2)[1], (send(0, 10, 2), &[2])];
    let stall = stall(&[], &[waits, &first, &after(1, 3), &after(2, 1)]);
    assert_eq!(stall.diagnosis, Diagnosis::Cycle(vec![Rank(1), Rank(3), Rank(2), Rank(1)]));
}

#[test]
fn a_rank_without_anything_left_to_send_is_missing() {
    let receiver: Nodes<'_> = &[(recv(0, 1000, 5), &[])];
    let stall = stall(&[], &[&[IDLE], receiver]);
    assert_eq!(stall.diagnosis, Diagnosis::NoPartner { rank: Rank(1), partner: Rank(0), receives: false });
    assert_eq!(stall.blocked[0].nearest, None);
}

#[test]
fn a_rendezvous_without_receiver_keeps_the_sender_waiting() {
    let rendezvous = System { rendezvous: true, ..System::default() };
    let sender: Nodes<'_> = &[(send(1, 1000, 5), &[])];
    let both = workload(&[sender, &[IDLE]]);
    let stall = stall_of(&ring(2), &rendezvous, &both);
    assert_eq!(stall.blocked[0].waits_for, Wait::Delivery { to: Rank(1), size: Bytes(1000), tag: 5 });
    assert_eq!(stall.diagnosis, Diagnosis::NoPartner { rank: Rank(0), partner: Rank(1), receives: true });
    // Without the handshake a send needs no receive.
    assert!(simulate(&ring(2), &System::default(), &both).is_ok());
}

#[test]
fn collectives_in_different_orders_are_named_with_rank_group_and_position() {
    let (small, large) = (collective(AllReduce, 1_000, Some(7)), collective(AllReduce, 2_000, Some(7)));
    let one: Nodes<'_> = &[(small, &[]), (large, &[1])];
    let other: Nodes<'_> = &[(large, &[]), (small, &[1])];
    let stall = stall(&[(7, &[2, 5])], &[&[IDLE], &[IDLE], one, &[IDLE], &[IDLE], other]);
    let place = |size| CollectivePlace {
        collective: AllReduce,
        size: Bytes(size),
        group: GroupId::new(7),
        position: 1,
    };
    assert_eq!(
        stall.diagnosis,
        Diagnosis::CollectivesDiffer {
            ranks: [(Rank(2), place(1_000)), (Rank(5), place(2_000))],
            reordered: true
        }
    );
    assert_eq!(
        stall.diagnosis.to_string(),
        "order differs between ranks 2 and 5: rank 2 is at all_reduce of 1000 bytes, collective 1 of communicator group \
         7, rank 5 at all_reduce of 2000 bytes, collective 1 of communicator group 7"
    );
    assert_eq!((stall.ranks, stall.blocked.len()), (6, 2));
    let Wait::Collective { member, chunks_left, message, .. } = stall.blocked[1].waits_for else {
        panic!("{:?}", stall.blocked[1]);
    };
    assert_eq!((member, chunks_left, message.unwrap().from), (1, 4, Rank(2)));
}

#[test]
fn collectives_of_different_sizes_differ_and_are_not_reordered() {
    let rank = |size| [(collective(AllReduce, size, None), &[][..])];
    let stall = stall(&[], &[&rank(1_000), &rank(2_000)]);
    assert!(
        matches!(stall.diagnosis, Diagnosis::CollectivesDiffer { reordered: false, .. }),
        "{}",
        stall.diagnosis
    );
}

#[test]
fn a_member_that_never_takes_part_is_missing() {
    let (one, two) = (collective(AllReduce, 1_000, None), collective(AllGather, 1_000, None));
    let full: Nodes<'_> = &[(one, &[]), (two, &[1])];
    let stall = stall(&[], &[full, full, &[(one, &[])], full]);
    let Diagnosis::RankMissing { rank, waiting, place } = stall.diagnosis else {
        panic!("{}", stall.diagnosis);
    };
    assert_eq!((rank, waiting, place.collective, place.position), (Rank(2), Rank(0), AllGather, 2));
}

#[test]
fn unequal_numbers_of_group_chunks_before_a_collective_of_all_are_counted() {
    let world = collective(AllReduce, 4000, None);
    let member: Nodes<'_> = &[(collective(AllReduce, 1000, Some(5)), &[]), (world, &[1])];
    let other: Nodes<'_> = &[(compute(1), &[]), (world, &[1])];
    let stall = stall(&[(5, &[0, 1])], &[member, member, other, other]);
    let Diagnosis::ChunkNumbers { ranks, place } = stall.diagnosis else { panic!("{}", stall.diagnosis) };
    assert_eq!((ranks, place.position), ([(Rank(0), 8), (Rank(2), 4)], 1));
}

#[test]
fn a_collective_and_a_message_that_wait_for_each_other_are_a_cycle() {
    // Rank 1 joins the collective when it has received what rank 0 sends after it.
    let world = collective(AllReduce, 1000, None);
    let one: Nodes<'_> = &[(world, &[]), (send(1, 8, 0), &[1])];
    let other: Nodes<'_> = &[(recv(0, 8, 0), &[]), (world, &[1])];
    let stall = stall(&[], &[one, other]);
    assert_eq!(stall.diagnosis, Diagnosis::Cycle(vec![Rank(0), Rank(1), Rank(0)]));
}

#[test]
fn a_node_that_nothing_makes_start_is_named() {
    let chain: Nodes<'_> = &[(gpu(NodeKind::Invalid, 0), &[]), (compute(1), &[1])];
    let stall = stall(&[], &[chain, &[IDLE]]);
    assert_eq!(stall.diagnosis, Diagnosis::NoTrigger { rank: Rank(0), node: 2 });
    assert_eq!(stall.blocked[0].waits_for, Wait::Trigger);
}

#[test]
fn the_message_has_at_most_twenty_lines_and_the_full_one_every_rank() {
    let receiver: Nodes<'_> = &[(recv(0, 10, 1), &[])];
    let mut ranks = vec![receiver; 64];
    let sends: Vec<(Node, &[u64])> = (1..64).map(|rank| (send(rank, 11, 1), &[][..])).collect();
    ranks[0] = &sends;
    let stall = stall(&[], &ranks);
    let lines = |text: String| text.lines().count();
    assert_eq!(stall.blocked.len(), 63);
    assert_eq!(lines(stall.to_string()), 2 + 8 * 2 + 1);
    assert!(stall.to_string().ends_with("and 55 more"));
    assert_eq!(lines(stall.in_full().to_string()), 2 + 63 * 2);
}

#[test]
fn phases_that_share_a_queue_can_wait_for_each_others_chunks() {
    let three = [3, 3, 3].map(|npus| dimension(Topology::Ring, npus, 50.0, 500.0));
    let node = collective(AllReduce, 10_000_000, None);
    let traces: Vec<[(Node, &[u64]); 2]> =
        (0..27).map(|rank| [(compute(rank * 37 % 50), &[][..]), (node, &[1][..])]).collect();
    let skewed = workload(&traces.iter().map(|nodes| &nodes[..]).collect::<Vec<_>>());
    let one = system(&["ring", "direct", "ring"]);
    let stall = stall_of(&unaware(&three), &one, &skewed);
    assert!(matches!(stall.diagnosis, Diagnosis::QueueOrder { queues: 1, .. }), "{}", stall.diagnosis);
    assert!(
        stall
            .diagnosis
            .to_string()
            .contains("use --num-queues-per-dim 2 (in a recipe engine.queues_per_dimension)")
    );
    assert!(simulate(&unaware(&three), &one, &everywhere(node, 27)).is_ok(), "ranks that begin together");
    let two = System { queues_per_dimension: 2, ..one };
    assert!(simulate(&unaware(&three), &two, &skewed).is_ok());
}

#[test]
fn ranks_that_deal_a_chunk_to_different_queues_wait_for_ever() {
    // Ranks 0 and 1 have dealt one chunk more, so that they go around the ring of three the other way.
    let system = System { queues_per_dimension: 2, preferred_dataset_splits: 1, ..system(&["ring"]) };
    let system = System { collective_optimization: CollectiveOptimization::Baseline, ..system };
    let (pair, three) = (collective(AllReduce, 1000, Some(1)), collective(AllReduce, 1000, Some(2)));
    let both: Nodes<'_> = &[(pair, &[]), (three, &[1])];
    let groups = with_groups(&[(1, &[0, 1]), (2, &[0, 1, 2])], &[both, both, &[(three, &[])], &[IDLE]]);
    let stall = stall_of(&ring(4), &system, &groups);
    assert!(matches!(stall.diagnosis, Diagnosis::QueueOrder { queues: 2, .. }), "{}", stall.diagnosis);
    let one = System { queues_per_dimension: 1, ..system };
    assert!(simulate(&ring(4), &one, &groups).is_ok());
}
