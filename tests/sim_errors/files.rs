//! Files and nodes that are wrong in themselves, or do not fit each other.

use std::process::Command;

use astra_engine::CollectiveType::{AllGather, AllReduce, Barrier};
use astra_store::et::{Node, NodeType, Value};
use serde_json::json;

use crate::inputs::*;

#[test]
fn command_lines_that_miss_something_end_with_two() {
    let command = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_astra-store")).arg("sim").args(arguments).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(command(&["--workload-configuration=w"]).contains("--system-configuration <FILE>"));
    everywhere(2, &[compute()]).with("--num-queues-per-dim=many").fails(2, "--num-queues-per-dim");
    everywhere(2, &[compute()]).with("--rendezvous-protocol=2").fails(2, "--rendezvous-protocol");
}

#[test]
fn files_that_are_missing_are_named() {
    let good = everywhere(2, &[compute()]);
    good.takes(1000);
    for file in ["network.yml", "system.json", "memory.json", "w.1.et"] {
        good.clone().without(file).fails(3, &format!("error: {file}: there is no such file"));
    }
    good.clone().groups("{}").without("groups.json").fails(3, "groups.json: there is no such file");
}

#[test]
fn a_trace_need_not_be_writable() {
    let directory = tempfile::tempdir().unwrap();
    let inputs = everywhere(2, &[compute()]);
    inputs.write(directory.path());
    let path = directory.path().join("w.0.et");
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let again = Inputs { traces: Vec::new(), ..inputs };
    assert_eq!(again.run_in(directory.path()).status.code(), Some(0));
}

#[test]
fn networks_that_cannot_be_built_are_refused_with_their_key() {
    let good = everywhere(4, &[compute()]);
    let line = |from: &str, to: &str| good.clone().network(ring(4).replace(from, to));
    line("[4]", "[4, 2]").fails(3, "network.yml:2:13: npus_count: 2 entries, but topology has 1");
    line("[4]", "[1]").fails(3, "dimension 0: 1 NPUs; a dimension needs at least 2");
    line("[50.0]", "[0]").fails(3, "bandwidth");
    line("[500.0]", "[-1]").fails(3, "latency");
    line("[4]", "[4.5]").fails(3, "network.yml:2:");
    line("Ring", "Rng").fails(3, "did you mean `Ring`?");
    line("[Ring]", "Ring").fails(3, "network.yml:1:");
    line("[50.0]", "[50.0").fails(3, "network.yml:");
    line("Ring", "Torus2D").fails(3, "use Ring, FullyConnected, Switch, Mesh or HyperCube");
}

#[test]
fn congestion_in_several_dimensions_and_a_ring_of_two_are_simulated() {
    let eight = everywhere(8, &[compute()]).network(TWO_DIMENSIONS);
    eight.clone().aware().takes(1000);
    eight.takes(1000);
    everywhere(2, &[collective(AllReduce, 1_000_000)]).aware().takes(23_680);
}

#[test]
fn wrong_json_is_told_with_its_place() {
    let good = everywhere(2, &[compute()]);
    let bad = Inputs { memory: "{".to_owned(), ..good.clone() };
    bad.fails(3, "memory.json:1:1: ");
    good.clone().memory(json!({ "memory-type": "HUGE" })).fails(3, "memory.json: memory-type: ");
    good.clone()
        .set("endpoint-delay", json!("ten"))
        .fails(3, "system.json: endpoint-delay: expected an integer");
    good.clone().groups("[1]").fails(3, "invalid type: sequence, expected a JSON object");
    good.clone().groups(r#"{"1": ["x"]}"#).fails(3, "groups.json: 1: expected a list of ranks");
    for id in ["0", "-1", "2148"] {
        let groups = format!(r#"{{"{id}": [0, 1]}}"#);
        good.clone()
            .groups(groups)
            .fails(3, &format!("groups.json: {id}: expected a group number from 1 to 2147"));
    }
}

#[test]
fn words_the_simulator_does_not_know_come_with_those_it_does() {
    let good = everywhere(2, &[compute()]);
    good.clone().set("scheduling-policy", json!("lifo")).fails(3, "scheduling-policy: unknown value `lifo`");
    good.clone()
        .set("collective-optimization", json!("bandwidth"))
        .fails(3, "collective-optimization: unknown");
    good.clone().set("all-reduce-implementation", json!(["rng"])).fails(3, "did you mean `ring`?");
    good.clone().set("all-reduce-implementation", json!(["directX"])).fails(3, "window of `directX`");
    good.clone()
        .set("all-reduce-implementation", json!(["ring", "ring"]))
        .fails(3, "2 algorithms for all_reduce, but the network has 1 dimension(s)");
}

#[test]
fn traces_that_are_no_graph_are_refused_with_the_nodes() {
    let good = everywhere(2, &[compute()]);
    let first = |bytes: Vec<u8>| {
        let mut inputs = good.clone();
        inputs.traces[0] = Some(bytes);
        inputs
    };
    first(Vec::new()).fails(3, "w.0.et: ");
    first(trace(&[])).fails(3, "w.0.et: the trace has no node");
    first(trace(&[compute().after([4])])).fails(3, "node 1 depends on node 4, which the trace does not have");
    let cycle = [compute().after([2]), Node::compute(2, "k", 1).after([1])];
    first(trace(&cycle)).fails(3, "nodes wait for each other and can never start: 1 waits for 2 waits for 1");
    // The original leaves out what waits for a cycle and says that the rank has finished.
    let behind = [compute(), Node::compute(2, "k", 1).after([3]), Node::compute(3, "k", 1).after([2])];
    first(trace(&behind)).fails(3, "2 waits for 3 waits for 2");
    let mut torn = trace(&[compute()]);
    torn.pop();
    first(torn).fails(3, "w.0.et: ");
}

#[test]
fn what_takes_no_time_at_the_start_happens_at_time_zero() {
    let no_delay = everywhere(4, &[collective(AllReduce, 1_048_576)]).set("endpoint-delay", json!(0));
    no_delay.takes(4 * (6 * 1720 + 3 * 120));
    let send =
        each(&[vec![Node::send(1, "s", 1, 1, 5)], vec![Node::recv(1, "r", 0, 1, 5), compute_after(1)]]);
    send.network(ring(2).replace("500.0", "0")).takes(1000);
}

fn compute_after(id: u64) -> Node {
    Node::compute(id + 1, "k", 1).after([id])
}

#[test]
fn nodes_that_the_simulator_has_no_meaning_for_are_named() {
    everywhere(2, &[of_kind(NodeType::Metadata as i32)]).fails(3, "rank 0, node 1 `k`: metadata nodes");
    everywhere(2, &[of_kind(8)]).fails(3, "node 1 `k`: its type is 8");
    everywhere(2, &[collective(Barrier, 8)]).fails(3, "collective barrier is not simulated");
    let later = [compute(), Node { id: 2, ..collective(Barrier, 8) }.after([1])];
    everywhere(2, &later).fails(3, "rank 0, node 2 `c`: collective barrier");
}

#[test]
fn attributes_that_are_missing_or_of_the_wrong_kind_are_named() {
    let fails = |node: Node, fragment: &str| everywhere(2, &[node]).fails(3, fragment);
    fails(lacking(collective(AllReduce, 8), "comm_type"), "attribute `comm_type` is missing");
    fails(lacking(Node::send(1, "s", 1, 8, 5), "comm_dst"), "attribute `comm_dst` is missing");
    fails(lacking(Node::recv(1, "r", 1, 8, 5), "comm_tag"), "attribute `comm_tag` is missing");
    fails(with_attribute(collective(AllReduce, 8), "comm_size", Value::Double(8.0)), "is of kind double");
    fails(with_attribute(collective(AllReduce, 8), "pg_name", Value::Int32(1)), "expected text");
    fails(
        with_attribute(collective(AllReduce, 8), "pg_name", Value::String("tp".into())),
        "`pg_name` is `tp`",
    );
    fails(
        with_attribute(collective(AllReduce, 8), "involved_dim", Value::Bool(true)),
        "expected a list of bools",
    );
    fails(
        with_attribute(collective(AllReduce, 8), "is_cpu_op", Value::Bool(true)),
        "a communication node cannot be a CPU operation",
    );
    let roofline = everywhere(2, &[compute()]).set("roofline-enabled", json!(1)).set("peak-perf", json!(1));
    roofline.fails(3, "the roofline model needs num_ops and tensor_size");
}

#[test]
fn messages_in_another_ranks_name_are_refused() {
    let foreign = with_attribute(Node::send(1, "s", 1, 8, 5), "comm_src", Value::Int32(1));
    each(&[vec![foreign], vec![Node::recv(1, "r", 0, 8, 5)]])
        .fails(3, "attribute `comm_src` is 1, but the trace");
    let foreign = with_attribute(Node::recv(1, "r", 0, 8, 5), "comm_dst", Value::Int32(0));
    each(&[vec![Node::send(1, "s", 1, 8, 5)], vec![foreign]])
        .fails(3, "attribute `comm_dst` is 0, but the trace");
}

#[test]
fn groups_are_checked_against_the_ranks_that_use_them() {
    let node = |group| Node::collective(1, "c", AllReduce, 1000, Some(group));
    let four = |group| everywhere(4, &[node(group)]);
    four(7).fails(3, "communicator group 7 is not defined");
    four(7)
        .groups(r#"{"7": [0, 1]}"#)
        .fails(3, "rank 2, node 1 `c`: the rank is not a member of communicator group 7");
    let one = each(&[vec![node(7)], vec![compute()]]).groups(r#"{"7": [0]}"#);
    one.fails(3, "the collective has no dimension to run in: its group has one member");
    let tree =
        each(&[vec![node(7)], vec![node(7)], vec![compute()], vec![compute()]]).groups(r#"{"7": [0, 1]}"#);
    tree.set("all-reduce-implementation", json!(["doubleBinaryTree"]))
        .fails(3, "doubleBinaryTree cannot run on communicator group 7");
}

#[test]
fn messages_that_the_network_cannot_carry_are_refused() {
    let pair = |send: Node, recv: Node| each(&[vec![send], vec![recv]]);
    pair(Node::send(1, "s", 1, 0, 5), Node::recv(1, "r", 0, 0, 5))
        .fails(3, "a message of 0 bytes cannot be sent");
    pair(Node::send(1, "s", 2, 8, 5), compute()).fails(3, "the network has no rank 2");
    pair(Node::send(1, "s", 1, 8, -1), Node::recv(1, "r", 0, 8, -1))
        .fails(3, "tag 4294967295 is 2^31 or more");
    everywhere(4, &[collective(AllGather, 3)])
        .fails(3, "an all-gather of 3 bytes cannot be cut into 4 chunks");
    everywhere(4, &[collective(AllGather, 0)])
        .fails(3, "an all-gather of 0 bytes cannot be cut into 4 chunks");
    let to_itself = || {
        let both = vec![Node::send(1, "s", 0, 1000, 5), Node::recv(2, "r", 0, 1000, 5)];
        each(&[both, vec![compute()]])
    };
    to_itself().fails(3, "this network cannot route a message from a rank to itself");
    to_itself().aware().fails(3, "cannot route a message from a rank to itself");
    to_itself().network(network("FullyConnected", 2)).aware().fails(3, "from a rank to itself");
    let several =
        each(&[vec![Node::send(1, "s", 0, 8, 5)], vec![compute()], vec![compute()], vec![compute()]])
            .network(
                "topology: [Ring, Ring]\nnpus_count: [2, 2]\nbandwidth: [50, 50]\nlatency: [500, 500]\n",
            );
    several.fails(3, "from a rank to itself");
    // Up to the switch and back down.
    to_itself().network(network("Switch", 2)).aware().takes(2 * 518);
}
