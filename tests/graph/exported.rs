//! Graphs that `contrib/deepflow/export_graph.py` describes, from objects with the attributes of DeepFlow's.

use std::io::Write;
use std::process::{Command, Stdio};

use astra_store::et::graph::{ConvertOptions, convert};
use serde_json::{Value as Json, json};

use crate::neutral::to_graph;
use crate::recorded::recorded;
use crate::small::{ONE, parse};

/// What the exporter makes of graphs in neutral form; `None`, with a line on stderr, where there is no Python.
fn exported(graphs: &[&Json]) -> Option<Vec<Json>> {
    let root = env!("CARGO_MANIFEST_DIR");
    let spawned = Command::new("python3")
        .arg(format!("{root}/tests/graph/stand_in.py"))
        .arg(format!("{root}/contrib/deepflow/export_graph.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut python) = spawned else {
        // Written past the capture of test output, so that nobody takes a skipped test for a passed one.
        std::io::stderr().write_all(b"SKIPPED: no python3, which runs the exporter\n").unwrap();
        return None;
    };
    let text = serde_json::to_vec(graphs).unwrap();
    let mut input = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&text).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// A graph file without what says nothing: information that is null.
fn told(mut graph: Json) -> Json {
    graph.as_object_mut().unwrap().remove("info");
    for node in graph["nodes"].as_array_mut().unwrap() {
        let node = node.as_object_mut().unwrap();
        if let Some(info) = node.get_mut("info").and_then(Json::as_object_mut) {
            info.retain(|_, value| !value.is_null());
        }
        if node.get("info") == Some(&json!({})) {
            node.remove("info");
        }
        if node.get("placeholder") == Some(&json!(false)) {
            node.remove("placeholder");
        }
    }
    graph
}

#[test]
fn objects_with_deepflow_s_attributes_become_a_graph() {
    let neutral = json!({
        "dp_size": 2, "optimize_2dmap": null, "roots": [0],
        "rank_layout": {
            "axis_order": ["tp", "pp", "dp"], "axis_sizes": { "tp": 2, "pp": 1, "dp": 2 },
            "axis_strides": { "tp": 1, "pp": 2, "dp": 2 }, "stage_span": 4
        },
        "objects": [
            { "i": 0, "cls": "Data_batch", "name": "batch", "batch_id": 7, "parents": [], "children": [1] },
            { "i": 1, "cls": "Node", "name": "mul", "op_id": 3, "hw_id": 0, "duration": [1e-6, 2e-6], "fwd": true,
              "parents": [0], "children": [2] },
            { "i": 2, "cls": "Edge", "name": "sum", "op_id": 4, "comm_type": "all_reduce", "comm_size_bytes": 10.5,
              "participants": 2, "interconnect": "tp", "local_hw_id": 0, "parents": [1, 3], "children": [] },
            { "i": 3, "cls": "Node", "name": "aside", "op_id": 5, "hw_id": -1, "duration": 0.0,
              "flatten_placeholder": true, "parents": [], "children": [2] },
        ],
    });
    let Some(found) = exported(&[&neutral]) else { return };
    let axis = |axis: &str, size: u32, stride: u32| json!({ "axis": axis, "size": size, "stride": stride });
    let expected = json!({
        "astra_graph": 1, "replicas": 2, "roots": [0],
        "layout": { "axes": [axis("tp", 2, 1), axis("lp", 1, 2), axis("dp", 2, 2)], "span": 4 },
        "nodes": [
            { "type": "join", "name": "batch", "op": 7, "parents": [], "children": [1] },
            { "type": "compute", "name": "mul", "op": 3, "hw": 0, "seconds": [1e-6, 2e-6], "info": { "fwd": true },
              "parents": [0], "children": [2] },
            { "type": "communication", "name": "sum", "op": 4, "kind": "all_reduce", "bytes": 10.5, "participants": 2,
              "axis": "tp", "hw": 0, "parents": [1, 3], "children": [] },
            { "type": "compute", "name": "aside", "op": 5, "seconds": 0.0, "placeholder": true, "parents": [],
              "children": [2] },
        ],
    });
    assert_eq!(found, [expected]);
}

#[test]
fn the_exporter_loses_nothing_of_deepflow_s_graphs() {
    let all: Vec<_> = recorded().into_iter().filter(|case| !case.graph.is_null()).collect();
    let graphs: Vec<&Json> = all.iter().map(|case| &case.graph).collect();
    if graphs.is_empty() {
        return;
    }
    let Some(found) = exported(&graphs) else { return };
    let mut converted = 0;
    for (case, found) in all.iter().zip(&found) {
        let mut expected = to_graph(&case.graph);
        if expected["roots"].as_array().unwrap().len() > 1 {
            // A list of roots has nowhere to keep a layout.
            expected.as_object_mut().unwrap().remove("layout");
        }
        assert_eq!(told(found.clone()), told(expected.clone()), "{}", case.name);
        let files = |graph: &Json| {
            let converted = parse(graph).and_then(|graph| convert(&graph, &ConvertOptions::FAITHFUL, ONE));
            converted.map(|converted| converted.bundle.files).map_err(|error| error.to_string())
        };
        assert_eq!(files(found), files(&expected), "{}", case.name);
        converted += 1;
    }
    println!("{converted} graphs exported");
}
