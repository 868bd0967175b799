//! Routes as lists of devices, and what keeps them from their destination.

use super::*;
use crate::{DeadLink, Dimension, FaultyLink, GibPerSec, NetworkModel};
use Topology::{
    BinaryTree, DoubleBinaryTree, FullyConnected, HyperCube, KingMesh2D, Mesh, Mesh2D, Ring, Switch, Torus2D,
};

fn network(dimensions: &[(Topology, u32)]) -> Network {
    let dimension = |&(topology, npus): &(Topology, u32)| Dimension {
        topology,
        npus,
        bandwidth: GibPerSec(50.0),
        latency_ns: 500.0,
    };
    Network::new(NetworkModel::CongestionAware, dimensions.iter().map(dimension).collect())
}

fn dead(dimensions: &[(Topology, u32)], pairs: &[(u32, u32)]) -> Network {
    let faulty_links = pairs.iter().map(|&(src, dst)| FaultyLink { src, dst, health: 0.0 }).collect();
    Network { faulty_links, ..network(dimensions) }
}

/// The network whose dimensions from one on are crossed from agents.
fn agents(dimensions: &[(Topology, u32)], from: u32) -> Network {
    Network { non_recursive_from: Some(from), ..network(dimensions) }
}

/// The devices that a message passes.
fn route(network: &Network, source: u32, destination: u32) -> Result<Vec<u32>, RouteProblem> {
    let ranks = network.check().unwrap();
    let mut links = Links::<()>::new();
    let mut routes = Routes::new(network, ranks, &mut links);
    let mut way = routes.begin(&mut links, source, destination)?;
    assert_eq!(routes.begin(&mut links, source, destination), Ok(way), "a route is worked out once");
    let mut devices = vec![source];
    while !routes.is_over(way) {
        let (link, next) = routes.step(&mut links, way);
        let (_, Ends { from, to }) = routes.link_ends(&links, link);
        assert_eq!(devices.last(), Some(&from), "{network:?}: a link begins where the one before ends");
        devices.push(to);
        way = next;
    }
    assert_eq!(devices.last(), Some(&destination));
    Ok(devices)
}

#[track_caller]
fn goes(network: &Network, devices: &[u32]) {
    assert_eq!(route(network, devices[0], devices[devices.len() - 1]).as_deref(), Ok(devices));
}

#[test]
fn one_dimension_is_crossed_by_the_rule_of_its_topology() {
    goes(&network(&[(Ring, 6)]), &[1, 0, 5]);
    goes(&network(&[(FullyConnected, 6)]), &[5, 2]);
    goes(&network(&[(Switch, 6)]), &[5, 6, 2]);
    goes(&network(&[(Mesh, 6)]), &[5, 4, 3]);
    goes(&network(&[(HyperCube, 8)]), &[1, 0, 2, 6]);
    goes(&network(&[(Torus2D, 16)]), &[0, 1, 2, 6, 10]);
    goes(&network(&[(Torus2D, 4)]), &[3, 2, 0]);
    goes(&network(&[(Mesh2D, 9)]), &[8, 7, 6, 3, 0]);
    goes(&network(&[(KingMesh2D, 9)]), &[0, 4, 8]);
    goes(&network(&[(BinaryTree, 7)]), &[0, 1, 3, 5, 6]);
    goes(&network(&[(BinaryTree, 6)]), &[0, 1, 3, 5]);
    goes(&network(&[(DoubleBinaryTree, 7)]), &[0, 1, 6]);
    goes(&network(&[(DoubleBinaryTree, 6)]), &[1, 2, 4]);
}

#[test]
fn several_dimensions_are_crossed_from_the_highest_down() {
    let rings = network(&[(Ring, 4), (Ring, 3)]);
    goes(&rings, &[0, 4, 5]);
    goes(&rings, &[0, 8, 11]);
    goes(&network(&[(Mesh, 4), (FullyConnected, 3)]), &[3, 11, 10, 9, 8]);
    goes(&network(&[(Torus2D, 9), (HyperCube, 4)]), &[0, 9, 27, 29, 32]);
    goes(&network(&[(KingMesh2D, 9), (Mesh2D, 4)]), &[0, 9, 27, 31, 35]);
}

#[test]
fn a_switch_is_a_device_behind_the_ranks_for_all_lower_coordinates() {
    goes(&network(&[(Ring, 2), (Switch, 3)]), &[0, 6, 4, 5]);
    let both = network(&[(Switch, 3), (Switch, 2)]);
    goes(&both, &[0, 8, 3, 7, 5]);
    goes(&both, &[4, 7, 5]);
    goes(&both, &[1, 6, 2]);
}

#[test]
fn agents_are_passed_also_within_a_cluster() {
    let two = agents(&[(Ring, 4), (Ring, 2)], 1);
    goes(&two, &[1, 0, 1, 2]);
    goes(&two, &[1, 0, 4, 5, 6]);
    goes(&agents(&[(Ring, 2), (Ring, 3), (Ring, 2)], 1), &[5, 4, 0, 6, 8, 9]);
    goes(&agents(&[(Ring, 2), (Ring, 3), (Ring, 2)], 2), &[5, 1, 0, 6, 8, 9]);
    goes(&agents(&[(Ring, 4), (Ring, 2)], 2), &[1, 2]);
    goes(&agents(&[(Ring, 4)], 0), &[1, 2]);
}

#[test]
fn a_dead_link_is_left_by_the_next_dimension() {
    let rings = |a, b| dead(&[(Ring, 4), (Ring, 3)], &[(a, b)]);
    goes(&rings(0, 4), &[0, 1, 5]);
    goes(&rings(0, 1), &[0, 4, 5, 1]);
    goes(&rings(1, 2), &[0, 1, 5, 6, 2]);
    goes(&dead(&[(Ring, 3), (Ring, 3), (Ring, 3)], &[(0, 9)]), &[0, 1, 10, 13]);
    goes(&rings(0, 4), &[1, 5, 4]);
    // The detour is met by the same dead link once more before the order of dimensions leads past it.
    goes(&dead(&[(Ring, 2), (FullyConnected, 3)], &[(0, 4)]), &[0, 1, 0, 1, 5, 4]);
}

#[test]
fn a_dead_link_in_the_row_of_a_grid_is_left_by_the_next_row() {
    goes(&dead(&[(Torus2D, 9)], &[(0, 1)]), &[0, 3, 4, 1]);
    goes(&dead(&[(Torus2D, 9)], &[(7, 6)]), &[6, 0, 1, 7]);
    goes(&dead(&[(Mesh2D, 9)], &[(0, 1)]), &[0, 3, 4, 5, 2]);
    goes(&dead(&[(Mesh2D, 9)], &[(6, 7)]), &[6, 3, 4, 7]);
    goes(&dead(&[(Mesh2D, 9)], &[(3, 4), (3, 6)]), &[3, 0, 1, 4]);
}

#[test]
fn dead_links_that_are_not_in_the_way_or_that_no_rule_avoids_change_no_route() {
    goes(&dead(&[(Ring, 6)], &[(1, 0)]), &[1, 0, 5]);
    goes(&dead(&[(FullyConnected, 6)], &[(5, 2)]), &[5, 2]);
    goes(&dead(&[(HyperCube, 8)], &[(0, 2)]), &[1, 0, 2, 6]);
    goes(&dead(&[(Switch, 6)], &[(5, 6)]), &[5, 6, 2]);
    goes(&dead(&[(KingMesh2D, 9)], &[(0, 4)]), &[0, 4, 8]);
    goes(&dead(&[(BinaryTree, 7)], &[(0, 1)]), &[0, 1, 3]);
    goes(&dead(&[(Ring, 4), (Ring, 3)], &[(0, 5), (2, 3)]), &[0, 4, 5]);
}

#[test]
fn of_several_entries_for_a_pair_the_first_counts() {
    let mut network = dead(&[(Ring, 4), (Ring, 3)], &[(0, 1), (1, 0)]);
    network.faulty_links[0].health = 0.5;
    goes(&network, &[0, 1]);
    network.faulty_links.swap(0, 1);
    goes(&network, &[0, 4, 5, 1]);
}

#[test]
fn what_has_no_route_is_said_with_its_link() {
    let link = |from, to| DeadLink { from, to };
    let problem = |network: &Network, source, destination| route(network, source, destination).unwrap_err();
    let no_way = |from, to, topology| RouteProblem::NoWayAround { dead: link(from, to), topology };
    assert_eq!(problem(&dead(&[(Mesh, 6)], &[(3, 2)]), 1, 5), no_way(2, 3, Mesh));
    assert_eq!(problem(&dead(&[(Torus2D, 9)], &[(0, 3)]), 0, 3), no_way(0, 3, Torus2D));
    assert_eq!(problem(&dead(&[(Mesh2D, 9)], &[(4, 7)]), 3, 7), no_way(4, 7, Mesh2D));
    assert_eq!(problem(&dead(&[(Mesh2D, 4)], &[(0, 1), (0, 2)]), 0, 1), no_way(0, 1, Mesh2D));
    let column = dead(&[(Torus2D, 9)], &[(0, 1), (3, 4), (6, 7)]);
    assert!(matches!(problem(&column, 0, 1), RouteProblem::Circle { .. }));
    // Into a switch there is a way around; out of it there is none.
    let switched = dead(&[(Ring, 2), (Switch, 3)], &[(2, 6)]);
    assert_eq!(problem(&switched, 0, 2), no_way(6, 2, Switch));
    goes(&switched, &[2, 3, 2, 3, 6, 1, 0]);
    let edge = dead(&[(Ring, 4), (Mesh, 3)], &[(8, 9)]);
    assert_eq!(problem(&edge, 8, 9), RouteProblem::NoSuchHop { dead: link(8, 9), from: 8, to: 0 });
    let square = dead(&[(Ring, 2), (Ring, 2)], &[(0, 1), (2, 3)]);
    assert_eq!(problem(&square, 0, 3), RouteProblem::Circle { dead: link(2, 3) });
    let cube = RouteProblem::IncompleteHyperCube { dimension: 1, member: 5, npus: 6 };
    assert_eq!(problem(&network(&[(Ring, 3), (HyperCube, 6)]), 12, 9), cube);
}

#[test]
fn a_link_belongs_to_the_dimension_in_which_its_ends_differ() {
    let all = [(Ring, 3), (Switch, 2), (FullyConnected, 3), (Mesh, 2), (HyperCube, 4)];
    let network = network(&all);
    let mut links = Links::<()>::new();
    let routes = Routes::new(&network, network.ranks().unwrap(), &mut links);
    let dimension = |links: &mut Links<()>, source, destination| {
        let way = Way::new(source, destination);
        let (link, _) = routes.step(links, way);
        routes.link_ends(links, link).0
    };
    for (index, destination) in [1, 3, 6, 18, 36].into_iter().enumerate() {
        assert_eq!(dimension(&mut links, 0, destination), index);
        assert_eq!(dimension(&mut links, destination, 0), index);
    }
}

#[test]
fn the_link_of_a_port_leads_where_the_step_does() {
    for (topology, npus) in [
        (Ring, 5),
        (Ring, 2),
        (Mesh, 5),
        (HyperCube, 8),
        (Torus2D, 9),
        (Torus2D, 4),
        (Mesh2D, 16),
        (KingMesh2D, 9),
        (KingMesh2D, 16),
    ] {
        let block = Block::new(topology, npus);
        for (from, to) in (0..npus).flat_map(|from| (0..npus).map(move |to| (from, to))) {
            if from != to {
                let Step { port, next } = block.step(from, to);
                assert_eq!(block.neighbour(from, port), next, "{topology} of {npus}: {from} to {to}");
            }
        }
    }
}

#[test]
fn more_links_of_kept_routes_than_can_be_numbered_are_an_error() {
    let most = u32::MAX as usize - 1;
    assert_eq!(check_kept(most), Ok(()));
    assert_eq!(check_kept(most + 1), Err(RouteProblem::TooManyLinks));
}
