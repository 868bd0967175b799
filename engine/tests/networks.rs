//! Networks as a workload meets them: when messages arrive, who waits for whom, and what is said of messages that have
//! no route. The rules of routes are tested beside them.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod build;

use astra_engine::{
    CollectiveType, Error, FaultyLink, Nanos, Network, NetworkModel, Options, RouteProblem, Topology,
    Unroutable, simulate, simulate_with,
};
use build::{collective, dimension, everywhere, recv, ring, send, system, unaware, workload};
use std::sync::atomic::AtomicBool;

use Topology::{
    BinaryTree, DoubleBinaryTree, FullyConnected, HyperCube, KingMesh2D, Mesh, Mesh2D, Ring, Switch, Torus2D,
};

/// Bytes of a message that takes 1862 ns over a link of 50 GB/s, and 2362 ns with the latency.
const SIZE: u64 = 100_000;
const SENDING: u64 = 1862;
const HOP: u64 = 500 + SENDING;

/// A network of 50 GB/s and 500 ns.
fn aware(dimensions: &[(Topology, u32)]) -> Network {
    let dimension = |&(topology, npus): &(Topology, u32)| dimension(topology, npus, 50.0, 500.0);
    shared(unaware(&dimensions.iter().map(dimension).collect::<Vec<_>>()))
}

fn shared(network: Network) -> Network {
    Network { model: NetworkModel::CongestionAware, ..network }
}

fn with_faults(network: Network, faults: &[(u32, u32, f64)]) -> Network {
    let faulty_links = faults.iter().map(|&(src, dst, health)| FaultyLink { src, dst, health }).collect();
    Network { faulty_links, ..network }
}

/// When messages of [`SIZE`] arrive that are all sent at 0, each by a rank of its own.
fn arrivals(network: &Network, messages: &[(u32, u32)]) -> Result<Vec<u64>, Error> {
    let ranks = network.ranks().unwrap();
    let mut nodes = vec![vec![(build::compute(0), &[][..])]; ranks as usize];
    for (tag, &(from, to)) in (0..).zip(messages) {
        nodes[from as usize].push((send(to, SIZE, tag), &[]));
        nodes[to as usize].push((recv(from, SIZE, tag), &[]));
    }
    let ranks: Vec<_> = nodes.iter().map(|nodes| &nodes[..]).collect();
    let report = simulate(network, &system(&["ring"]), &workload(&ranks))?;
    Ok(messages.iter().map(|&(_, to)| report.ranks[to as usize].finish.0).collect())
}

fn arrival(network: &Network, from: u32, to: u32) -> u64 {
    arrivals(network, &[(from, to)]).unwrap()[0]
}

#[test]
fn every_hop_takes_latency_and_transmission() {
    for (dimensions, (from, to), hops) in [
        (&[(Ring, 4), (Ring, 3)][..], (0, 5), 2),
        (&[(Ring, 4), (Ring, 3)], (0, 11), 2),
        (&[(Mesh, 4), (FullyConnected, 3)], (3, 8), 4),
        (&[(Torus2D, 16)], (0, 10), 4),
        (&[(Mesh2D, 9)], (0, 8), 4),
        (&[(KingMesh2D, 9)], (0, 8), 2),
        (&[(KingMesh2D, 9)], (8, 0), 2),
        (&[(BinaryTree, 7)], (0, 6), 4),
        (&[(BinaryTree, 6)], (0, 5), 3),
        (&[(DoubleBinaryTree, 7)], (0, 6), 2),
        (&[(DoubleBinaryTree, 6)], (1, 4), 2),
        (&[(HyperCube, 8), (Ring, 2)], (1, 6), 3),
        (&[(Ring, 2), (Switch, 3)], (0, 5), 3),
    ] {
        assert_eq!(arrival(&aware(dimensions), from, to), hops * HOP, "{dimensions:?}: {from} to {to}");
    }
}

#[test]
fn each_dimension_has_its_own_bandwidth_and_latency() {
    let slow = dimension(Ring, 3, 25.0, 1000.0);
    let network = Network { dimensions: vec![dimension(Ring, 4, 50.0, 500.0), slow], ..aware(&[]) };
    assert_eq!(arrival(&network, 0, 1), HOP);
    assert_eq!(arrival(&network, 0, 4), 1000 + 3725);
    assert_eq!(arrival(&network, 0, 5), 1000 + 3725 + HOP);
}

#[test]
fn a_hypercube_is_twice_as_fast_as_only_dimension() {
    assert_eq!(arrival(&aware(&[(HyperCube, 8)]), 1, 6), 3 * (500 + 931));
    assert_eq!(arrival(&aware(&[(HyperCube, 8), (Ring, 2)]), 1, 6), 3 * HOP);
}

#[test]
fn messages_of_different_ranks_queue_where_their_routes_meet() {
    // Rank 4 forwards to 5 what comes from 0, and sends to 5 itself.
    let late = dimension(Ring, 4, 5.0, 500.0);
    let crowded = Network { dimensions: vec![late, dimension(Ring, 3, 50.0, 500.0)], ..aware(&[]) };
    let sending = 18_626;
    assert_eq!(arrivals(&crowded, &[(4, 5)]).unwrap(), [sending + 500]);
    // Both end at rank 5, whose last receive is that of the message that waited for the link from 4.
    assert_eq!(arrivals(&crowded, &[(0, 5), (4, 5)]).unwrap(), [2 * sending + 500; 2]);
    // Switch links are a rank's own, also where one switch serves several groups.
    let switch = aware(&[(Ring, 2), (Switch, 3)]);
    assert_eq!(arrivals(&switch, &[(0, 2), (1, 3)]).unwrap(), [2 * HOP; 2]);
    assert_eq!(arrivals(&switch, &[(0, 4), (2, 4)]).unwrap(), [2 * HOP + SENDING; 2]);
}

#[test]
fn a_degraded_link_is_slower_in_both_directions_and_a_dead_one_is_avoided() {
    let rings = || aware(&[(Ring, 4), (Ring, 3)]);
    let slower = with_faults(rings(), &[(1, 0, 0.5), (0, 1, 0.25)]);
    assert_eq!([arrival(&slower, 0, 1), arrival(&slower, 1, 0)], [500 + 3725; 2], "the first entry counts");
    assert_eq!(arrival(&slower, 1, 2), HOP);
    assert_eq!(arrival(&with_faults(rings(), &[(0, 4, 0.0)]), 0, 5), 2 * HOP);
    assert_eq!(arrival(&with_faults(rings(), &[(0, 1, 0.0)]), 0, 1), 3 * HOP);
    // Switches are devices: of the first dimension 6 and 7, of the second 8.
    let switches = with_faults(aware(&[(Switch, 3), (Switch, 2)]), &[(1, 6, 0.5), (4, 8, 0.5)]);
    assert_eq!(arrival(&switches, 0, 1), HOP + 500 + 3725);
    assert_eq!(arrival(&switches, 4, 1), 500 + 3725 + HOP);
    assert_eq!(arrival(&switches, 4, 5), 2 * HOP);
    // What no rule avoids keeps its bandwidth.
    assert_eq!(arrival(&with_faults(shared(ring(4)), &[(0, 1, 0.0)]), 0, 1), HOP);
    assert_eq!(arrival(&with_faults(aware(&[(KingMesh2D, 9)]), &[(0, 1, 0.5)]), 0, 1), HOP);
}

#[test]
fn a_message_over_agents_does_not_stop_where_it_passes_its_destination() {
    let network = Network { non_recursive_from: Some(1), ..aware(&[(Ring, 4), (Ring, 2)]) };
    assert_eq!(arrival(&network, 1, 2), 3 * HOP);
    assert_eq!(arrival(&network, 1, 6), 4 * HOP);
    // From 3 over 0, which is the way there, back to 3 and on.
    assert_eq!(arrival(&network, 3, 2), 3 * HOP);
}

#[test]
fn a_message_without_route_ends_the_run_with_both_ranks_and_the_reason() {
    let torus = with_faults(aware(&[(Torus2D, 9)]), &[(0, 3, 0.0)]);
    let error = arrivals(&torus, &[(1, 2), (0, 3)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a message from rank 0 to rank 3, sent at 0 ns, has no route: the dead link from device 0 to 3 is in the way, \
         and Torus2D has no way around it; give it a health above 0 in faulty_links, or use another topology"
    );
    let Error::Unroutable(unroutable) = error else { panic!("{error}") };
    let Unroutable { source, destination, at, problem } = *unroutable;
    assert_eq!((source.0, destination.0, at), (0, 3, Nanos(0)));
    assert!(matches!(problem, RouteProblem::NoWayAround { topology: Torus2D, .. }));
    let cube = arrivals(&aware(&[(HyperCube, 6)]), &[(4, 3)]).unwrap_err().to_string();
    assert!(
        cube.contains("leaves the HyperCube of 6 in dimension 0 behind member 5; use a power of two"),
        "{cube}"
    );
    assert_eq!(arrival(&aware(&[(HyperCube, 6)]), 0, 5), 2 * (500 + 931));
}

#[test]
fn a_collective_that_meets_a_dead_end_ends_with_the_message_that_did() {
    let mesh = with_faults(aware(&[(Mesh, 4)]), &[(1, 2, 0.0)]);
    let node = collective(CollectiveType::AllReduce, 1_000_000, None);
    let error = simulate(&mesh, &system(&["ring"]), &everywhere(node, 4)).unwrap_err().to_string();
    assert!(error.starts_with("a message from rank 1 to rank 2, sent at 10 ns, has no route"), "{error}");
}

#[test]
fn collectives_over_shared_links_take_the_time_they_took_with_and_without_shortcuts() {
    let finish = |dimensions: &[(Topology, u32)], algorithm: &str, shortcuts: bool| {
        let network = aware(dimensions);
        let ranks = network.ranks().unwrap();
        let algorithms = vec![algorithm; dimensions.len()];
        let node = collective(CollectiveType::AllReduce, 1_000_000, None);
        let options = Options { shortcuts };
        let workload = everywhere(node, ranks);
        let stop = AtomicBool::new(false);
        simulate_with(&options, &network, &system(&algorithms), &workload, &stop).unwrap().finish().0
    };
    for (dimensions, algorithm, time) in [
        (&[(Ring, 4), (Ring, 4)][..], "ring", 41_660),
        (&[(FullyConnected, 3), (Switch, 4)], "direct", 24_992),
        (&[(HyperCube, 4), (Torus2D, 4)], "halvingDoubling", 36_644),
        (&[(Mesh, 3), (Mesh2D, 4)], "ring", 46_632),
        (&[(KingMesh2D, 9), (Ring, 2)], "direct", 25_959),
        (&[(BinaryTree, 7)], "ring", 98_799),
        (&[(DoubleBinaryTree, 8)], "doubleBinaryTree", 131_824),
    ] {
        let both = [true, false].map(|shortcuts| finish(dimensions, algorithm, shortcuts));
        assert_eq!(both, [time; 2], "{dimensions:?} {algorithm}");
    }
}
