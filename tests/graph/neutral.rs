//! The reference's neutral form of a graph (objects with the attributes of DeepFlow's classes) to `astra-graph`, and
//! back: nothing is lost.

use serde_json::{Map, Value as Json, json};

/// Attributes of DeepFlow's objects that conversion does not read; they are kept as information.
const INFO: [&str; 10] = [
    "fwd",
    "stage_id",
    "micro_batch_index",
    "layer_index",
    "direction",
    "tp_rank",
    "cp_rank",
    "is_dp",
    "is_cross_layer",
    "tp_shard",
];

/// Attributes of every object, and those of nodes and edges: name in the neutral form, name in ours.
const SHARED: [(&str, &str); 3] = [("name", "name"), ("parents", "parents"), ("children", "children")];
const NODE: [(&str, &str); 4] =
    [("op_id", "op"), ("hw_id", "hw"), ("duration", "seconds"), ("flatten_placeholder", "placeholder")];
const EDGE: [(&str, &str); 6] = [
    ("op_id", "op"),
    ("local_hw_id", "hw"),
    ("comm_type", "kind"),
    ("comm_size_bytes", "bytes"),
    ("participants", "participants"),
    ("interconnect", "axis"),
];
const BATCH: [(&str, &str); 1] = [("batch_id", "op")];

fn class(name: &str) -> (&'static str, &'static [(&'static str, &'static str)]) {
    match name {
        "Node" => ("compute", &NODE),
        "Edge" => ("communication", &EDGE),
        "Data_batch" => ("join", &BATCH),
        other => panic!("class {other}"),
    }
}

/// The graph file for a neutral graph.
pub(crate) fn to_graph(neutral: &Json) -> Json {
    let mut graph = json!({
        "astra_graph": 1,
        "replicas": neutral["dp_size"],
        "roots": neutral["roots"],
        "nodes": neutral["objects"].as_array().unwrap().iter().map(node).collect::<Vec<_>>(),
    });
    if !neutral["optimize_2dmap"].is_null() {
        graph["info"] = json!({ "optimize_2dmap": neutral["optimize_2dmap"] });
    }
    let layout = &neutral["rank_layout"];
    if !layout.is_null() {
        let axis = |name: &Json| {
            let name = name.as_str().unwrap();
            json!({ "axis": name, "size": layout["axis_sizes"][name], "stride": layout["axis_strides"][name] })
        };
        let axes: Vec<Json> = layout["axis_order"].as_array().unwrap().iter().map(axis).collect();
        graph["layout"] = json!({ "axes": axes, "span": layout["stage_span"] });
    }
    graph
}

fn node(object: &Json) -> Json {
    let (kind, fields) = class(object["cls"].as_str().unwrap());
    let mut node = Map::from_iter([("type".to_owned(), json!(kind))]);
    let mut info = Map::new();
    for (name, value) in object.as_object().unwrap() {
        if let Some((_, ours)) = SHARED.iter().chain(fields).find(|(theirs, _)| theirs == name) {
            // No hardware id is -1 there, no axis is null; here both are absent.
            if *value != json!(-1) && !value.is_null() {
                node.insert((*ours).to_owned(), value.clone());
            }
        } else if INFO.contains(&name.as_str()) {
            info.insert(name.clone(), value.clone());
        } else {
            // The position, which is that of the node, and a mark that follows from the edges.
            assert!(["cls", "i", "unreachable"].contains(&name.as_str()), "{name}");
        }
    }
    if !info.is_empty() {
        node.insert("info".to_owned(), Json::Object(info));
    }
    Json::Object(node)
}

/// The neutral graph of a graph file that was made of one.
pub(crate) fn to_neutral(graph: &Json) -> Json {
    let layout = match graph.get("layout") {
        None => Json::Null,
        Some(layout) => {
            let axes = layout["axes"].as_array().unwrap();
            let by_name = |key: &str| -> Map<String, Json> {
                axes.iter().map(|a| (a["axis"].as_str().unwrap().to_owned(), a[key].clone())).collect()
            };
            json!({
                "axis_order": axes.iter().map(|axis| &axis["axis"]).collect::<Vec<_>>(),
                "axis_sizes": by_name("size"),
                "axis_strides": by_name("stride"),
                "stage_span": layout["span"],
            })
        }
    };
    let nodes = graph["nodes"].as_array().unwrap();
    let reached = reached(graph);
    json!({
        "dp_size": graph["replicas"],
        "roots": graph["roots"],
        "optimize_2dmap": graph["info"]["optimize_2dmap"],
        "rank_layout": layout,
        "objects": nodes.iter().enumerate().map(|(i, node)| object(i, node, reached[i])).collect::<Vec<_>>(),
    })
}

fn object(position: usize, node: &Json, reached: bool) -> Json {
    let name = match node["type"].as_str().unwrap() {
        "compute" => "Node",
        "communication" => "Edge",
        _ => "Data_batch",
    };
    let mut object = json!({ "i": position, "cls": name });
    let fields = SHARED.iter().chain(class(name).1);
    for (theirs, ours) in fields {
        match node.get(ours) {
            Some(value) => object[theirs] = value.clone(),
            None if *theirs == "hw_id" => object[theirs] = json!(-1),
            None if *theirs == "interconnect" => object[theirs] = Json::Null,
            None => {}
        }
    }
    for (name, value) in node["info"].as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    if !reached {
        object["unreachable"] = json!(true);
    }
    object
}

/// Which nodes the roots reach through children.
fn reached(graph: &Json) -> Vec<bool> {
    let list = |value: &Json| -> Vec<usize> {
        value.as_array().unwrap().iter().map(|item| item.as_u64().unwrap() as usize).collect()
    };
    let mut reached = vec![false; graph["nodes"].as_array().unwrap().len()];
    let mut open = list(&graph["roots"]);
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut reached[node], true) {
            open.extend(list(&graph["nodes"][node]["children"]));
        }
    }
    reached
}
