//! Dialect `deepflow`: what the fork's own simulator aborts, hangs or corrupts its memory on.

use astra_engine::CollectiveType::{self, AllGather, AllReduce, AllToAll, ReduceScatter};
use astra_store::et::{Node, Value};
use serde_json::{Value as Json, json};

use crate::inputs::*;

const KEYS: [(CollectiveType, &str); 4] = [
    (AllReduce, "all-reduce-implementation"),
    (AllGather, "all-gather-implementation"),
    (ReduceScatter, "reduce-scatter-implementation"),
    (AllToAll, "all-to-all-implementation"),
];

fn deepflow(ranks: u32, nodes: &[Node]) -> Inputs {
    everywhere(ranks, nodes).with("--dialect=deepflow")
}

/// All collectives use this list of algorithms.
fn all_by(inputs: Inputs, algorithms: &Json) -> Inputs {
    KEYS.iter().fold(inputs, |inputs, (_, key)| inputs.set(key, algorithms.clone()))
}

#[test]
fn an_algorithm_belongs_to_a_dialect_and_the_error_says_to_which() {
    for name in ["mesh", "hypercube", "torus2d", "mesh2d"] {
        let inputs = everywhere(4, &[collective(AllReduce, 1000)]);
        let inputs = inputs.set("all-to-all-implementation", all_reduce_with(name));
        let said = format!(
            "all-to-all-implementation: algorithm `{name}` exists in dialect deepflow, not in astra-sim"
        );
        inputs.fails(3, &said);
        inputs.fails(3, "set --dialect deepflow");
        assert_eq!(inputs.with("--dialect=deepflow").run().status.code(), Some(0));
    }
    let unknown = deepflow(4, &[compute()]).set("all-reduce-implementation", all_reduce_with("mesh3d"));
    unknown.fails(3, "unknown collective algorithm `mesh3d`");
    unknown.fails(3, "did you mean `mesh2d`?");
}

#[test]
fn mesh2d_never_completes() {
    for (kind, key) in KEYS {
        let inputs = deepflow(4, &[collective(kind, 1000)]).set(key, all_reduce_with("mesh2d"));
        inputs.fails(
            3,
            &format!("mesh2d never completes {kind}: its first and last member wait for neighbours"),
        );
    }
}

#[test]
fn what_corrupts_memory_in_a_group_is_refused_there() {
    let node = with_attribute(collective(AllReduce, 1000), "pg_name", Value::String("7".into()));
    for name in ["hypercube", "torus2d", "mesh2d", "doubleBinaryTree"] {
        let inputs = deepflow(4, std::slice::from_ref(&node)).groups(r#"{"7": [0, 1]}"#);
        let inputs = inputs.set("all-reduce-implementation", all_reduce_with(name));
        inputs.fails(
            3,
            &format!("{name} cannot run on communicator group 7; use ring, direct or halvingDoubling"),
        );
    }
}

#[test]
fn group_0_means_all_ranks_in_one_dialect_and_nothing_in_the_other() {
    let node = with_attribute(collective(AllReduce, 1 << 20), "pg_name", Value::String("0".into()));
    everywhere(4, std::slice::from_ref(&node)).takes(43_000);
    deepflow(4, &[node])
        .fails(3, "rank 0, node 1: communicator group 0 means all ranks in dialect astra-sim");
}

#[test]
fn a_type_without_algorithms_is_refused() {
    for optimization in ["localBWAware", "baseline"] {
        for (kind, key) in KEYS {
            let inputs = deepflow(4, &[collective(kind, 1000)]).unset(key);
            let inputs = inputs.set("collective-optimization", json!(optimization));
            inputs.fails(3, &format!("the system names no algorithm for {kind}"));
        }
    }
}

#[test]
fn halved_messages_of_no_bytes_are_refused_with_the_rule() {
    let one = |kind, size| deepflow(4, &[collective(kind, size)]).set("preferred-dataset-splits", json!(1));
    // Four ranks share a chunk of 7 bytes: 1 each, and half of it is nothing.
    one(AllReduce, 7)
        .fails(1, "in dialect deepflow ring halves the messages of all_reduce, and half of 1 byte(s) is 0");
    one(AllGather, 1)
        .fails(1, "in dialect deepflow ring halves the messages of all_gather, and half of 1 byte(s) is 0");
    // 1 byte takes 500 ns; with 10 ns at the endpoint before each message and at the end.
    one(AllReduce, 8).takes(10 + 6 * (500 + 10));
    one(AllGather, 2).takes(10 + 3 * (500 + 10));
    // An all-to-all sends the whole chunk in each of its n (n - 1) / 2 = 6 rounds: 5000 bytes take 93 ns more.
    one(AllToAll, 5000).takes(10 + 6 * (593 + 10));
}

#[test]
fn limits_of_algorithms_hold_in_both_dialects() {
    let of = |ranks, kind, key: &str, name| {
        deepflow(ranks, &[collective(kind, 10_000)]).set(key, all_reduce_with(name))
    };
    of(4, AllToAll, KEYS[3].1, "halvingDoubling").fails(3, "halvingDoubling cannot carry out all_to_all");
    of(6, AllReduce, KEYS[0].1, "halvingDoubling")
        .fails(3, "halvingDoubling needs a power of two, there are 6");
    of(6, AllReduce, KEYS[0].1, "doubleBinaryTree").fails(3, "doubleBinaryTree needs a power of two");
    of(4, AllReduce, KEYS[0].1, "direct0").fails(3, "direct0 has room for no message");
    let short =
        all_by(of(8, AllReduce, KEYS[0].1, "ring"), &json!(["doubleBinaryTree"])).network(TWO_DIMENSIONS);
    short.fails(3, "the all_reduce list has 1 algorithm(s), the network 2 dimensions");
}

#[test]
fn every_chunk_carries_out_the_whole_custom_collective() {
    let traces =
        [1, 0].map(|peer| trace(&[Node::send(1, "s", peer, 1000, 3), Node::recv(2, "r", peer, 1000, 3)]));
    let custom = |key: &str, value: Json| {
        let [first, second] = traces.clone();
        let inputs = deepflow(2, &[collective(AllReduce, 1000)]).set(key, value);
        inputs.file("x.0.et", first).file("x.1.et", second)
    };
    let key = "all-reduce-implementation-custom";
    custom(key, json!(["x"])).takes(4 * 518);
    custom(key, json!(["x"])).set("active-chunks-per-dimension", json!(4)).takes(518);
    custom(key, json!(["x"])).without("x.1.et").fails(1, "custom collective x has no trace for member 1");
    custom(key, json!(["y"])).fails(3, "y.0.et: no such file");
    let scatter = custom("reduce-scatter-implementation-custom", json!(["x"]));
    scatter.fails(3, "reduce-scatter-implementation-custom: exists in dialect astra-sim, not in deepflow");
    let by_node =
        custom("per-node-custom-implementation", json!("nodes.yml")).file("nodes.yml", b"1: x\n".to_vec());
    by_node.fails(3, "per-node-custom-implementation: exists in dialect astra-sim, not in deepflow");
}
