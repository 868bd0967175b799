//! Runs that could never end, that cannot be reported on in the original, that stall; custom collectives.

use astra_engine::CollectiveType::{AllReduce, AllToAll};
use astra_store::et::schema::BoolList;
use astra_store::et::{Node, NodeType, Value};
use serde_json::{Value as Json, json};

use crate::inputs::*;

#[test]
fn collectives_that_could_never_end_are_errors() {
    let node = || everywhere(4, &[collective(AllReduce, 1000)]);
    node().unset("preferred-dataset-splits").fails(1, "preferred-dataset-splits is 0");
    node().set("preferred-dataset-splits", json!(0)).fails(1, "preferred-dataset-splits is 0");
    node().set("active-chunks-per-dimension", json!(0)).fails(1, "active-chunks-per-dimension is 0");
    node()
        .set("all-reduce-implementation", all_reduce_with("direct0"))
        .fails(3, "direct0 has room for no message");
    node().unset("all-reduce-implementation").fails(3, "the system names no algorithm for all_reduce");
    let nowhere = with_attribute(
        collective(AllReduce, 1000),
        "involved_dim",
        Value::BoolList(BoolList { values: vec![false] }),
    );
    everywhere(4, &[nowhere]).fails(3, "involved_dim excludes all");
}

#[test]
fn algorithms_are_held_to_what_they_can_do() {
    let of = |ranks: u32, kind, key: &str, algorithm: &str| {
        everywhere(ranks, &[collective(kind, 10_000)]).set(key, all_reduce_with(algorithm))
    };
    of(4, AllToAll, "all-to-all-implementation", "halvingDoubling")
        .fails(3, "halvingDoubling cannot carry out all_to_all");
    of(6, AllReduce, "all-reduce-implementation", "halvingDoubling")
        .fails(3, "halvingDoubling needs a power of two, there are 6");
    of(6, AllReduce, "all-reduce-implementation", "doubleBinaryTree")
        .fails(3, "doubleBinaryTree needs a power of two");
    let short = of(8, AllReduce, "all-reduce-implementation", "doubleBinaryTree").network(TWO_DIMENSIONS);
    short.fails(3, "the all_reduce list has 1 algorithm(s), the network 2 dimensions");
}

#[test]
fn chunks_that_share_a_queue_can_stall_a_run() {
    let rank = |rank: u64| vec![Node::compute(1, "k", rank * 37 % 50), collective(AllReduce, 10_000_000)];
    let late = |rank_number: u64| {
        let [first, second] = <[Node; 2]>::try_from(rank(rank_number)).unwrap();
        vec![first, Node { id: 2, ..second }.after([1])]
    };
    let cube = "topology: [Ring, Ring, Ring]\nnpus_count: [3, 3, 3]\nbandwidth: [50, 50, 50]\nlatency: [500, 500, 500]\n";
    let inputs = each(&(0..27).map(late).collect::<Vec<_>>())
        .network(cube)
        .set("all-reduce-implementation", json!(["ring", "direct", "ring"]));
    let inputs = ["all-gather", "reduce-scatter", "all-to-all"].iter().fold(inputs, |inputs, kind| {
        inputs.set(&format!("{kind}-implementation"), json!(["ring", "direct", "ring"]))
    });
    inputs.fails(1, "use --num-queues-per-dim 2");
    assert_eq!(inputs.with("--num-queues-per-dim=2").run().status.code(), Some(0));
}

#[test]
fn remote_memory_is_checked_when_it_is_used() {
    let load = || everywhere(4, &[of_kind(NodeType::MemoryLoad as i32)]);
    load().fails(3, "rank 0, node 1 `k`: a memory node needs a remote memory");
    let memory = |kind: &str, bandwidth: u32, nodes: u32, npus: u32| {
        load().memory(json!({
            "memory-type": kind, "remote-mem-latency": 100, "remote-mem-bw": bandwidth,
            "num-nodes": nodes, "num-npus-per-node": npus,
        }))
    };
    memory("PER_NODE_MEMORY_EXPANSION", 3, 1, 2)
        .fails(1, "remote memory 1, but there are 1; raise num-nodes");
    memory("PER_NODE_MEMORY_EXPANSION", 3, 1, 0).fails(3, "num-npus-per-node");
    memory("MEMORY_POOL", 0, 0, 0).fails(1, "remote-mem-bw is 0");
    // The last access of a rank is where the original reads memory that it has given back.
    memory("PER_NODE_MEMORY_EXPANSION", 3, 2, 2).takes(2 * 433);
}

#[test]
fn what_the_original_cannot_report_on_is_reported() {
    let cpu = with_attribute(compute(), "is_cpu_op", Value::Bool(true));
    let output = everywhere(2, &[cpu]).run();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("sys[1] finished, 1000 cycles, exposed communication 1000 cycles.\n"),
        "{printed}"
    );
    assert!(printed.contains("sys[1], CPU time: 1000\n"), "{printed}");
    let load = everywhere(2, &[of_kind(NodeType::MemoryStore as i32)]);
    let memory =
        json!({ "memory-type": "PER_NPU_MEMORY_EXPANSION", "remote-mem-latency": 7, "remote-mem-bw": 10 });
    let printed = String::from_utf8(load.memory(memory).run().stdout).unwrap();
    assert!(printed.contains("sys[0], Remote mem time: 107\n"), "{printed}");
}

#[test]
fn a_roofline_without_a_finite_time_is_an_error() {
    let work = |ops: u64| {
        let node = with_attribute(compute(), "num_ops", Value::Uint64(ops));
        everywhere(2, &[with_attribute(node, "tensor_size", Value::Uint64(1000))])
            .set("roofline-enabled", json!(1))
            .set("peak-perf", json!(1))
    };
    work(0).fails(3, "rank 0, node 1 `k`: the roofline model gives no finite time");
    work(0)
        .with("--no-lint")
        .fails(1, "rank 0, node 1 `k`, at 0 ns: the roofline model gives no finite time");
    // So many operations a byte are bound by the peak of 10^12 a second.
    work(1_000_000_000).takes(1_000_000);
}

#[test]
fn tracking_local_memory_asks_nothing_of_nodes() {
    everywhere(2, &[compute()]).set("track-local-mem", json!(1)).takes(1000);
}

#[test]
fn ranks_that_disagree_are_refused_before_the_run_where_it_is_certain() {
    let size = each(&[vec![Node::send(1, "s", 1, 8, 5)], vec![Node::recv(1, "r", 0, 9, 5)]]);
    size.fails(3, "with this tag it sends 8 bytes, and sizes have to be equal");
    let missing = each(&[vec![collective(AllReduce, 8)], vec![compute()]]);
    missing.fails(3, "all members have to take part");
}

#[test]
fn a_stall_ends_with_one_and_is_told_as_text_and_as_json() {
    let rank = |peer| vec![Node::recv(1, "r", peer, 8, 5), Node::send(2, "s", peer, 8, 5).after([1])];
    let both = each(&[rank(1), rank(0)]);
    both.fails(
        3,
        "rank 0, node 1 `r`: can never complete: node 1 `r` of rank 0 waits for node 2 `s` of rank 1",
    );
    let both = both.with("--no-lint");
    both.fails(1, "error: the simulation stalled at 0 ns: 2 of 2 rank(s) never finished\n  cycle: ");
    let output = both.with("--json").run();
    let told: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["stall"]["diagnosis"]["kind"], "cycle");
    assert_eq!(told["stall"]["diagnosis"]["ranks"], json!([0, 1, 0]));
    let first = &told["stall"]["blocked"][0];
    assert_eq!(first["waits_for"]["message"], json!({ "from": 1, "size_bytes": 8, "tag": 5 }));
    assert_eq!(
        first["nearest"],
        json!({ "rank": 1, "size_bytes": 8, "tag": 5, "arrived": false, "node": 2 })
    );
}

#[test]
fn a_long_stall_takes_twenty_lines_unless_more_is_asked_for() {
    let ring_of = |ranks: i32| {
        let rank = |rank: i32| {
            let from = (rank + ranks - 1) % ranks;
            vec![Node::recv(1, "r", from, 8, 5), Node::send(2, "s", (rank + 1) % ranks, 8, 5).after([1])]
        };
        each(&(0..ranks).map(rank).collect::<Vec<_>>()).with("--no-lint")
    };
    let lines = |inputs: Inputs| String::from_utf8(inputs.run().stderr).unwrap().lines().count();
    assert!(lines(ring_of(32)) <= 20);
    assert!(lines(ring_of(32).with("--verbose")) > 64);
}

/// A custom collective in which each of two ranks sends to the other.
fn exchange() -> [Vec<u8>; 2] {
    [1, 0].map(|peer| trace(&[Node::send(1, "s", peer, 1000, 3), Node::recv(2, "r", peer, 1000, 3)]))
}

fn custom(key: &str, value: Json) -> Inputs {
    let [first, second] = exchange();
    everywhere(2, &[collective(AllReduce, 1000)])
        .set("preferred-dataset-splits", json!(1))
        .set(key, value)
        .file("x.0.et", first)
        .file("x.1.et", second)
}

#[test]
fn custom_collectives_are_read_from_the_working_directory() {
    custom("all-reduce-implementation-custom", json!(["x"])).takes(518);
    custom("per-node-custom-implementation", json!("nodes.yml"))
        .file("nodes.yml", b"1: x\n".to_vec())
        .takes(518);
    let only_native =
        custom("per-node-custom-implementation", json!("nodes.yml")).file("nodes.yml", b"9: x\n".to_vec());
    only_native.takes(10 + 2 * (509 + 10));
}

#[test]
fn custom_collectives_that_cannot_run_are_explained() {
    let key = "all-reduce-implementation-custom";
    custom(key, json!(["y"])).fails(3, "y.0.et: no such file");
    custom(key, json!(["x", "y"]))
        .fails(3, "all-reduce-implementation-custom: expected a list of one trace prefix");
    custom(key, json!(["x"])).without("x.1.et").fails(1, "custom collective x has no trace for member 1");
    custom(key, json!(["x"]))
        .set("preferred-dataset-splits", json!(2))
        .fails(1, "set preferred-dataset-splits to 1");
    let alone = trace(&[Node::recv(1, "r", 1, 1000, 3)]);
    custom(key, json!(["x"])).file("x.0.et", alone.clone()).file("x.1.et", trace(&[compute()])).fails(
        1,
        "waits for 1 chunk(s) of all_reduce of 1000 bytes, collective 1 of all ranks, as member 0, next for a message \
         from rank 1 (1000 bytes, tag 3)",
    );
    let memory = trace(&[of_kind(NodeType::MemoryLoad as i32)]);
    custom(key, json!(["x"])).file("x.0.et", memory).fails(3, "x.0.et: node 1 is neither a computation");
    let far = trace(&[Node::send(4, "s", 5, 1000, 3)]);
    custom(key, json!(["x"])).file("x.0.et", far).fails(1, "node 4 of x.0.et: the network has no rank 5");
}
