//! Networks of the fork: what its simulator aborts on, fills the memory with or drops, in both dialects.
//!
//! Messages are of 100,000 bytes on links of 50 GiB/s: 1862 ns and 500 ns of latency for each hop.

use astra_engine::CollectiveType::{AllReduce, AllToAll};
use astra_store::et::Node;
use serde_json::json;

use crate::inputs::*;

const HOP: u64 = 2362;
const DIALECTS: [&str; 2] = ["--dialect=astra-sim", "--dialect=deepflow"];

/// Dimensions of these topologies and sizes, and more lines of the file.
fn dimensions(topologies: &str, sizes: &[u32], more: &str) -> String {
    let each = |value: &str| vec![value; sizes.len()].join(", ");
    let (bandwidth, latency) = (each("50"), each("500"));
    format!(
        "topology: [{topologies}]\nnpus_count: {sizes:?}\nbandwidth: [{bandwidth}]\nlatency: [{latency}]\n{more}\n"
    )
}

/// Rank `from` sends to rank `to`, on this network.
fn message(from: u32, to: u32, ranks: u32, network: &str) -> Inputs {
    let nodes = |rank| match rank {
        _ if rank == from => Node::send(1, "s", to as i32, 100_000, 5),
        _ if rank == to => Node::recv(1, "r", from as i32, 100_000, 5),
        _ => Node::compute(1, "k", 0),
    };
    each(&(0..ranks).map(|rank| vec![nodes(rank)]).collect::<Vec<_>>()).network(network).aware()
}

#[track_caller]
fn fails_in_both(inputs: &Inputs, code: i32, says: &str) {
    DIALECTS.into_iter().for_each(|dialect| inputs.clone().with(dialect).fails(code, says));
}

#[track_caller]
fn takes_in_both(inputs: &Inputs, cycles: u64) {
    DIALECTS.into_iter().for_each(|dialect| inputs.clone().with(dialect).takes(cycles));
}

#[test]
fn a_switch_works_alone_and_among_other_dimensions() {
    takes_in_both(&message(0, 1, 2, &dimensions("Switch", &[2], "")), 2 * HOP);
    takes_in_both(&message(0, 5, 6, &dimensions("Ring, Switch", &[2, 3], "")), 3 * HOP);
}

#[test]
fn a_network_with_more_ranks_than_anybody_has_traces_is_told_by_the_first_that_is_missing() {
    let most = dimensions("FullyConnected", &[u32::MAX], "");
    let inputs = everywhere(2, &[collective(AllReduce, 1000)]).network(most).aware();
    fails_in_both(&inputs, 3, "w.2.et: there is no such file");
    let custom = inputs.set("all-reduce-implementation-custom", json!(["x"]));
    fails_in_both(&custom.file("x.0.et", trace(&[compute()])), 3, "w.2.et: there is no such file");
}

#[test]
fn grids_are_squares() {
    for topology in ["Torus2D", "Mesh2D", "KingMesh2D"] {
        let said = format!("dimension 0: {topology} of 8 NPUs; it is a square, for example of 4 or 9");
        fails_in_both(&message(0, 1, 8, &dimensions(topology, &[8], "")), 3, &said);
        takes_in_both(&message(0, 1, 9, &dimensions(topology, &[9], "")), HOP);
    }
}

#[test]
fn a_hypercube_of_no_power_of_two_is_refused_or_ends_where_a_route_leaves_it() {
    let six = dimensions("HyperCube", &[6], "");
    let unaware = |ranks: u32| everywhere(ranks, &[compute()]).network(six.clone());
    fails_in_both(
        &unaware(6),
        3,
        "dimension 0: HyperCube of 6 NPUs; without congestion it needs a power of two",
    );
    // From 5 = 101 to 2 = 010: 100, and then 110 = 6 is missing.
    let said =
        "a message from rank 5 to rank 2, sent at 0 ns, has no route: the route leaves the HyperCube of 6";
    fails_in_both(&message(5, 2, 6, &six), 1, said);
}

#[test]
fn trees_are_the_only_dimension_and_a_bus_is_none() {
    for tree in ["BinaryTree", "DoubleBinaryTree"] {
        let two = dimensions(&format!("Ring, {tree}"), &[3, 4], "");
        fails_in_both(
            &message(0, 1, 12, &two),
            3,
            &format!("dimension 1: topology {tree} must be the only dimension"),
        );
    }
    takes_in_both(&message(0, 6, 7, &dimensions("BinaryTree", &[7], "")), 4 * HOP);
    takes_in_both(&message(0, 6, 7, &dimensions("DoubleBinaryTree", &[7], "")), 2 * HOP);
    let bus = dimensions("Bus", &[4], "");
    fails_in_both(
        &message(0, 1, 4, &bus),
        3,
        "dimension 0: topology Bus cannot be simulated with congestion_aware",
    );
    let unaware = everywhere(4, &[compute()]).network(dimensions("Torus2D", &[4], ""));
    fails_in_both(&unaware, 3, "topology Torus2D cannot be simulated with congestion_unaware; use Ring");
}

#[test]
fn a_route_that_dead_links_leave_none_is_an_error_of_the_run() {
    let dead = |link: &str| format!("faulty_links: [[{link}, 0]]");
    let mesh = dimensions("Mesh", &[4], &dead("1, 2"));
    fails_in_both(
        &message(0, 3, 4, &mesh),
        1,
        "from rank 0 to rank 3, sent at 0 ns, has no route: the dead link from device 1 to 2",
    );
    takes_in_both(&message(2, 3, 4, &mesh), HOP);
    for topology in ["Torus2D", "Mesh2D"] {
        // Across x there is a way over the next row; across y the fork goes to and fro until its memory is full.
        takes_in_both(&message(0, 1, 9, &dimensions(topology, &[9], &dead("0, 1"))), 3 * HOP);
        let down = dimensions(topology, &[9], &dead("0, 3"));
        let said =
            format!("the dead link from device 0 to 3 is in the way, and {topology} has no way around it");
        fails_in_both(&message(0, 3, 9, &down), 1, &said);
    }
    // Rank 0 has no healthy link left.
    let all = "faulty_links: [[0, 1, 0], [0, 3, 0], [0, 4, 0], [0, 8, 0]]";
    fails_in_both(&message(1, 0, 12, &dimensions("Ring, Ring", &[4, 3], all)), 1, "runs in a circle");
}

#[test]
fn faulty_links_that_cannot_be_are_refused() {
    let ring = |more: &str| message(0, 1, 4, &dimensions("Ring", &[4], more));
    fails_in_both(
        &ring("faulty_links: [[0, 4, 0.5]]"),
        3,
        "faulty_links[0] is [0, 4, 0.5]: the network has devices 0 to 3",
    );
    fails_in_both(
        &ring("faulty_links: [[2, 2, 0.5]]"),
        3,
        "faulty_links[0] is [2, 2, 0.5]: a link has two different ends",
    );
    fails_in_both(
        &ring("faulty_links: [[0, 1, 1.5]]"),
        3,
        "faulty_links[0][2]: expected a health from 0 (dead) to 1, found `1.5`",
    );
    fails_in_both(
        &ring("faulty_links: [[0, 1]]"),
        3,
        "faulty_links[0]: expected `[source rank, destination rank, health",
    );
    let unaware =
        everywhere(4, &[compute()]).network(dimensions("Ring", &[4], "faulty_links: [[0, 1, 0.5]]"));
    fails_in_both(&unaware, 3, "congestion_unaware, which has no links");
}

#[test]
fn agents_are_on_the_way_from_the_dimension_that_the_file_names() {
    let clusters = |more: &str| message(1, 6, 8, &dimensions("Ring, Ring", &[4, 2], more));
    // 1 5 6; over the agents 1 0 4 5 6.
    takes_in_both(&clusters(""), 2 * HOP);
    takes_in_both(&clusters("non_recursive_from: 1"), 4 * HOP);
    takes_in_both(&clusters("non_recursive_topology: [0, 1]"), 4 * HOP);
    takes_in_both(&clusters("non_recursive_topology: [0, 1]\nnon_recursive_from: 2"), 2 * HOP);
    fails_in_both(
        &clusters("non_recursive_from: 3"),
        3,
        "non_recursive_from: expected a number of dimensions up to 2",
    );
    let flags = "non_recursive_topology: expected 2 numbers, one per dimension: zeros, then ones";
    fails_in_both(&clusters("non_recursive_topology: [1, 0]"), 3, flags);
}

#[test]
fn phases_that_share_a_queue_stall_where_agents_make_ranks_drift_apart() {
    let network = dimensions("Ring, Ring, Ring", &[4, 4, 4], "non_recursive_from: 2");
    let inputs = everywhere(64, &[collective(AllReduce, 10_000_000)]).network(network).aware();
    let inputs =
        ["all-reduce", "all-gather", "reduce-scatter", "all-to-all"].iter().fold(inputs, |inputs, kind| {
            inputs.set(&format!("{kind}-implementation"), json!(["ring", "direct", "ring"]))
        });
    let inputs = inputs.set("preferred-dataset-splits", json!(2)).with("--dialect=deepflow");
    inputs.fails(1, "use --num-queues-per-dim 2");
    inputs.with("--num-queues-per-dim=2").takes(2_472_096);
}

#[test]
fn an_all_to_all_crosses_every_dimension_with_the_whole_chunk() {
    // Pairs in two dimensions. The fork sends the whole chunk, which is not halved on the way, to one partner after another.
    let node = || {
        everywhere(4, &[collective(AllToAll, 400_000)]).network(dimensions("Ring, Ring", &[2, 2], "")).aware()
    };
    let all = node()
        .set("all-to-all-implementation", json!(["ring", "ring"]))
        .set("all-gather-implementation", json!(["ring", "ring"]));
    let all = all
        .set("all-reduce-implementation", json!(["ring", "ring"]))
        .set("reduce-scatter-implementation", json!(["ring", "ring"]));
    let all = all.set("preferred-dataset-splits", json!(1));
    let hop = |bytes: f64| (500.0 + bytes / 53.687_091_2) as u64;
    all.clone().with("--dialect=deepflow").takes(2 * (10 + hop(400_000.0) + 10));
    all.with("--dialect=astra-sim").takes(2 * (10 + hop(200_000.0) + 10));
}
