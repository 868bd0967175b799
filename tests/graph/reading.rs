//! Graph files that are wrong: the error names the file, the place, what was found and what was expected.

use std::io::Write;

use astra_store::et::graph::{ConvertOptions, Graph, convert};
use serde_json::{Value as Json, json};

use crate::small::{ONE, compute, graph, parse, transfer, with};

#[track_caller]
fn assert_refused(graph: &Json, expected: &str) {
    let error = parse(graph).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}\nexpected: {expected}");
    assert!(error.starts_with("graph.json"), "{error}");
}

fn first(node: Json) -> Json {
    graph(1, [node, compute("b", 0, &[])])
}

#[test]
fn what_is_wrong_with_a_node_has_its_key_path() {
    let a = || compute("a", 0, &[]);
    assert_refused(
        &first(with(a(), "hw", json!("0"))),
        "nodes[0].hw: invalid type: string \"0\", expected a hardware id",
    );
    assert_refused(
        &first(with(a(), "hw", json!(-1))),
        "nodes[0].hw: invalid value: integer `-1`, expected a hardware id",
    );
    assert_refused(
        &first(with(a(), "op", json!(1_u64 << 31))),
        "nodes[0].op: invalid value: integer `2147483648`",
    );
    assert_refused(&first(with(a(), "seconds", json!([1, -2]))), "nodes[0].seconds[1]: invalid value");
    assert_refused(
        &first(with(a(), "seconds", json!([1, [2]]))),
        "nodes[0].seconds[1]: invalid type: sequence",
    );
    assert_refused(
        &first(with(a(), "parents", json!([1, "x"]))),
        "nodes[0].parents[1]: invalid type: string \"x\"",
    );
    assert_refused(
        &first(with(a(), "type", json!("computes"))),
        "nodes[0].type: found `computes`, expected one of compute",
    );
    assert_refused(
        &first(with(a(), "bytes", json!(1))),
        "nodes[0].bytes: a node of type compute has no such key",
    );
    assert_refused(&first(json!({ "type": "compute", "name": "a" })), "nodes[0].seconds: missing");
    assert_refused(&first(json!({ "type": "join" })), "nodes[0].name: missing");
    assert_refused(&first(json!({ "name": "a" })), "nodes[0].type: missing");
    assert_refused(&first(json!(3)), "nodes[0]: invalid type: integer `3`, expected a node");
    assert_refused(
        &first(with(transfer("x", 1, &[]), "bytes", json!(1e19))),
        "nodes[0].bytes: invalid value",
    );
}

#[test]
fn a_misspelt_key_gets_a_suggestion_and_its_line() {
    let text = "{\n \"astra_graph\": 1,\n \"nodes\": [\n  {\"type\": \"join\", \"name\": \"a\", \"parent\": []}\n ]\n}";
    let error = Graph::parse(text.as_bytes(), "g.json").unwrap_err();
    assert_eq!(error.position().unwrap().0, 4);
    assert!(
        error.to_string().contains("nodes[0]: unknown key `parent`, expected one of type, name"),
        "{error}"
    );
    assert_eq!(error.hint_text(), Some("did you mean `parents`?"));
    let error = parse(&json!({ "astra_graph": 1, "node": [] })).unwrap_err();
    assert_eq!(error.hint_text(), Some("did you mean `nodes`?"));
}

#[test]
fn a_file_that_ends_too_early_is_told_from_one_with_nothing_in_it_and_from_damaged_gzip() {
    let refused = |bytes: &[u8]| Graph::read(bytes, "g.json").unwrap_err();
    for empty in ["", " \n"] {
        let error = refused(empty.as_bytes()).to_string();
        assert_eq!(error, "g.json: there is nothing in it, expected a graph as JSON");
    }
    let text = graph(1, [compute("a", 0, &[])]).to_string();
    let error = refused(&text.as_bytes()[..text.len() - 1]).to_string();
    assert!(error.contains("the file ends too early"), "{error}");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let gzip = encoder.finish().unwrap();
    for end in [5, gzip.len() / 2, gzip.len() - 12] {
        let error = refused(&gzip[..end]);
        assert!(error.to_string().contains("the gzip data is cut off or damaged"), "{error}");
        assert!(error.hint_text().unwrap().contains("gzip -t"));
    }
}

#[test]
fn operations_that_leave_no_tags_for_control_messages_are_refused_by_their_number() {
    let mut crossing = graph(1, [compute("a", 0, &[]), compute("b", 1, &[0])]);
    crossing["nodes"][0]["op"] = json!(i32::MAX);
    let refused = convert(&parse(&crossing).unwrap(), &ConvertOptions::default(), ONE).unwrap_err();
    assert_eq!(refused.key_path(), Some("nodes[0].op"));
    assert!(refused.message().starts_with("found 2147483647, above which control messages take their tags"));
    crossing["nodes"][0]["op"] = json!(i32::MAX - 1);
    convert(&parse(&crossing).unwrap(), &ConvertOptions::default(), ONE).unwrap();
}

#[test]
fn what_is_wrong_with_the_whole_is_said() {
    let two = || graph(1, [compute("a", 0, &[]), compute("b", 0, &[0])]);
    assert_refused(&with(two(), "astra_graph", json!(2)), "astra_graph: format 2, expected 1");
    assert_refused(&with(two(), "replicas", json!(0)), "replicas: 0 replicas, expected between 1 and");
    assert_refused(
        &with(two(), "roots", json!([0, 2])),
        "roots[1]: found 2, expected the position of a node, from 0 to 1",
    );
    assert_refused(
        &graph(1, [compute("a", 0, &[7])]),
        "nodes[0].parents[0]: found 7, expected the position of a node",
    );
    assert_refused(&graph(1, Vec::new()), "nodes: the graph has no nodes");
    assert_refused(&json!({ "astra_graph": 1 }), "nodes: missing");
    assert_refused(&json!([]), "invalid type: sequence, expected a graph");
    let layout = |layout: Json| with(two(), "layout", layout);
    assert_refused(&layout(json!({ "axes": [{ "axis": "tp", "size": 0 }] })), "layout.axes[0].size: ");
    let axes = json!([{ "axis": "tp", "size": 2 }, { "axis": "lp", "size": 2, "stride": 4 }]);
    assert_refused(&layout(json!({ "axes": axes })), "layout.axes[1].stride: found 4, expected 2");
    assert_refused(&layout(json!({ "axes": [], "span": 2 })), "layout.span: found 2, expected 1");
    assert_refused(&layout(json!({ "axes": [{ "size": 2 }] })), "layout.axes[0].axis: missing");
    for text in ["{", "{\"astra_graph\":1,\"nodes\":[{]}", "{\"astra_graph\":1,\"astra_graph\":1}", "nul"] {
        let error = Graph::parse(text.as_bytes(), "g.json").unwrap_err().to_string();
        assert!(error.starts_with("g.json:1:"), "{error}");
    }
}

#[test]
fn edges_have_to_be_on_both_sides_or_on_that_of_the_children_only() {
    let node =
        |parents: &[u32], children: &[u32]| with(compute("a", 0, parents), "children", json!(children));
    assert!(parse(&graph(1, [node(&[], &[1, 1]), node(&[0, 0], &[])])).is_ok());
    let lists = [
        (
            [node(&[], &[1]), node(&[], &[])],
            "nodes[0].children: `a` has node 1 as a child, which does not have node 0",
        ),
        ([node(&[], &[]), node(&[0], &[])], "nodes[0].children: node 1 has `a`, node 0, as a parent, but"),
        ([node(&[], &[1, 1]), node(&[0], &[])], "nodes[0].children: `a` has node 1 as a child"),
        ([node(&[], &[1]), node(&[0, 0], &[])], "nodes[0].children: node 1 has `a`"),
    ];
    for (nodes, expected) in lists {
        assert_refused(&graph(1, nodes), expected);
    }
    let one_sided = graph(1, [compute("a", 0, &[]), compute("b", 0, &[0, 0])]);
    assert_eq!(parse(&one_sided).unwrap().edge_count(), 2);
}

#[test]
fn nodes_that_wait_for_each_other_are_named_in_order() {
    let nodes = [
        compute("a", 0, &[3]),
        compute("b", 0, &[2, 0]),
        transfer("x", 1, &[0]),
        compute("c", 0, &[1]),
        compute("d", 0, &[3]),
    ];
    let expected = "nodes[0]: nodes wait for each other: `a` (node 0) → `x` (node 2) → `b` (node 1) → `c` (node 3) → back";
    assert_refused(&graph(1, nodes), expected);
    let circle: Vec<Json> = (0..20_u32).map(|node| compute("n", 0, &[(node + 19) % 20])).collect();
    assert_refused(&graph(1, circle), "`n` (node 7) → 12 more → back to the first");
}

#[test]
fn a_stream_is_read_like_bytes_in_memory() {
    let graph = graph(2, [compute("a", 0, &[]), compute("b", 1, &[0])]).to_string();
    let streamed = Graph::read(graph.as_bytes(), "g.json").unwrap();
    assert_eq!((streamed.node_count(), streamed.edge_count(), streamed.replicas()), (2, 1, 2));
    let error = Graph::read(&graph.as_bytes()[..30], "g.json").unwrap_err().to_string();
    assert!(error.starts_with("g.json:1:"), "{error}");
}

#[test]
fn a_file_that_is_something_else_says_what_a_graph_is_and_where_one_comes_from() {
    let yaml = "network:\n  dimensions: []\n";
    for (text, says) in [
        (
            yaml,
            "g.json:1:2: this is not JSON (expected ident); expected a graph, which is a JSON object with",
        ),
        ("- a\n", "g.json:1:2: this is not JSON (invalid number); expected a graph"),
        ("# hardware\n", "g.json:1:1: this is not JSON (expected value); expected a graph"),
        ("{ \"recipe\": 1 }", "g.json:1:10: unknown key `recipe`, expected one of $schema, astra_graph"),
        ("[]", "g.json:1:"),
        ("", "g.json: there is nothing in it, expected a graph as JSON"),
    ] {
        let error = Graph::parse(text.as_bytes(), "g.json").unwrap_err();
        assert!(error.to_string().starts_with(says), "{error}\nexpected: {says}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("export_graph.py")), "{error:?}");
    }
    let cut = Graph::parse(br#"{"astra_graph": 1, "nodes": [{"type""#, "g.json").unwrap_err();
    assert!(cut.to_string().starts_with("g.json:1:36: nodes[0].type: the file ends too early: "), "{cut}");
    assert!(cut.hint_text().is_some_and(|hint| hint.starts_with("make the file again")), "{cut:?}");
}
