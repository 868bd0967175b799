//! Small graphs, and traces in a form that can be read.

use std::fmt::Write;
use std::num::NonZeroUsize;

use astra_store::et::graph::{ConvertOptions, Converted, Graph, Mends, convert};
use astra_store::et::{Node, NodeType, Reader, Value};
use serde_json::{Value as Json, json};

pub(crate) const ONE: NonZeroUsize = NonZeroUsize::MIN;

/// A compute node of 5 microseconds.
pub(crate) fn compute(name: &str, hw: u32, parents: &[u32]) -> Json {
    json!({ "type": "compute", "name": name, "hw": hw, "seconds": 5e-6, "parents": parents })
}

/// A collective of 777 bytes with a hardware id.
pub(crate) fn all_reduce(name: &str, axis: &str, hw: u32, parents: &[u32]) -> Json {
    let mut node = edge(name, "all_reduce", 777, parents);
    (node["axis"], node["hw"]) = (json!(axis), json!(hw));
    node
}

/// A transfer.
pub(crate) fn transfer(name: &str, bytes: u64, parents: &[u32]) -> Json {
    edge(name, "pipeline", bytes, parents)
}

fn edge(name: &str, kind: &str, bytes: u64, parents: &[u32]) -> Json {
    json!({ "type": "communication", "name": name, "kind": kind, "bytes": bytes, "parents": parents })
}

pub(crate) fn join(name: &str, parents: &[u32]) -> Json {
    json!({ "type": "join", "name": name, "parents": parents })
}

/// A node with a key set to something else.
pub(crate) fn with(mut node: Json, key: &str, value: Json) -> Json {
    node[key] = value;
    node
}

/// A graph without layout.
pub(crate) fn graph(replicas: u32, nodes: impl Into<Vec<Json>>) -> Json {
    json!({ "astra_graph": 1, "replicas": replicas, "nodes": nodes.into() })
}

/// A graph whose hardware ids lie on axes.
pub(crate) fn laid_out(replicas: u32, axes: &[(&str, u32)], nodes: impl Into<Vec<Json>>) -> Json {
    let axes: Vec<Json> = axes.iter().map(|(axis, size)| json!({ "axis": axis, "size": size })).collect();
    with(graph(replicas, nodes), "layout", json!({ "axes": axes }))
}

pub(crate) fn parse(graph: &Json) -> astra_store::Result<Graph> {
    Graph::parse(graph.to_string().as_bytes(), "graph.json")
}

pub(crate) fn converted(graph: &Json, options: &ConvertOptions) -> Converted {
    convert(&parse(graph).unwrap(), options, ONE).unwrap()
}

/// The traces of a graph converted as DeepFlow does it.
pub(crate) fn faithful(graph: &Json) -> String {
    listing(&converted(graph, &ConvertOptions::FAITHFUL))
}

/// How a graph is refused that is converted as DeepFlow does it.
pub(crate) fn refused(graph: &Json) -> String {
    convert(&parse(graph).unwrap(), &ConvertOptions::FAITHFUL, ONE).unwrap_err().to_string()
}

/// The traces of a graph, converted as DeepFlow does it but for one difference.
pub(crate) fn with_mend(graph: &Json, mend: fn(&mut Mends)) -> String {
    let mut options = ConvertOptions::FAITHFUL;
    mend(&mut options.mends);
    listing(&converted(graph, &options))
}

/// All traces: for each rank, and each of its nodes, id, name, what it does, and what it waits for.
pub(crate) fn listing(converted: &Converted) -> String {
    let mut text = String::new();
    for rank in 0..converted.bundle.ranks() {
        writeln!(text, "rank {rank}").unwrap();
        let file = converted.bundle.file_of(rank).unwrap();
        for node in Reader::from_bytes("trace", file).unwrap() {
            let node = node.unwrap();
            write!(text, "  {} {} {}", node.id, node.name, what(&node)).unwrap();
            if !node.control_deps.is_empty() {
                write!(text, " after {:?}", node.control_deps).unwrap();
            }
            text.push('\n');
        }
    }
    text
}

fn what(node: &Node) -> String {
    let attribute = |name: &str| {
        let found = node.attributes.iter().find(|attribute| attribute.name == name);
        match found.and_then(|attribute| attribute.value.as_ref()) {
            Some(Value::Int32(number)) => number.to_string(),
            Some(Value::Int64(number)) => number.to_string(),
            Some(Value::String(text)) => text.clone(),
            other => panic!("{name}: {other:?}"),
        }
    };
    match NodeType::try_from(node.kind).unwrap() {
        NodeType::Compute => format!("{} us", node.duration_micros),
        NodeType::Collective => {
            format!(
                "type {} {} B group {}",
                attribute("comm_type"),
                attribute("comm_size"),
                attribute("pg_name")
            )
        }
        NodeType::Send => {
            format!("{} B to {} tag {}", attribute("comm_size"), attribute("comm_dst"), attribute("comm_tag"))
        }
        NodeType::Recv => {
            format!(
                "{} B from {} tag {}",
                attribute("comm_size"),
                attribute("comm_src"),
                attribute("comm_tag")
            )
        }
        other => panic!("{other:?}"),
    }
}

/// Compares with a listing whose lines may be indented further.
#[track_caller]
pub(crate) fn assert_listing(found: &str, expected: &str) {
    let plain = |text: &str| {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(plain(found), plain(expected), "\nfound:\n{found}");
}
