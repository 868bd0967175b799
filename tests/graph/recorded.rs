//! Node for node and byte for byte against what DeepFlow wrote for the same graphs.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use astra_store::astrasim::write_groups;
use astra_store::et::graph::{ConvertOptions, Converted, convert, deepflow_manifest};
use astra_store::et::{Node, NodeType, Reader, Value};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::neutral::{to_graph, to_neutral};
use crate::small::parse;

const JOBS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// A graph of the reference data, and what DeepFlow made of it.
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) graph: Json,
    pub(crate) run: Json,
    pub(crate) error: Option<String>,
    /// The hardware file of that run; empty for graphs that were only converted.
    pub(crate) hardware: String,
}

/// A file of the reference data; `None`, with a line on stderr, where that is absent.
pub(crate) fn reference(name: &str) -> Option<Json> {
    let path = folder()?.join(name);
    Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/ref/deepflow");
    if folder.exists() {
        return Some(folder);
    }
    // Written past the capture of test output, so that nobody takes a skipped test for a passed one.
    let line = format!("SKIPPED: no reference data at {}\n", folder.display());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

/// All graphs of the reference data; none, with a line on stderr, where that is absent.
pub(crate) fn recorded() -> Vec<Recorded> {
    let Some(folder) = folder() else { return Vec::new() };
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let mut all = Vec::new();
    for (name, run) in read(&folder.join("unit/unit.json.gz")).as_object().unwrap() {
        let (graph, error) = (run["graph"].clone(), text(&run["error"]));
        all.push(Recorded { name: name.clone(), graph, run: run.clone(), error, hardware: String::new() });
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder.join("graphs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let case = read(&file);
        for (index, run) in case["runs"].as_array().unwrap().iter().enumerate() {
            let name = format!("{}[{index}]", case["name"].as_str().unwrap());
            let (graph, error) = (run["graph"].clone(), text(&case["error"]));
            let hardware = text(&case["hardware_yaml"]).unwrap();
            all.push(Recorded { name, graph, run: run.clone(), error, hardware });
        }
    }
    all
}

fn read(path: &Path) -> Json {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// A rank's nodes the way the reference data has them.
fn nodes(converted: &Converted, rank: u32) -> Json {
    let read = Reader::from_bytes("trace", converted.bundle.file_of(rank).unwrap()).unwrap();
    read.map(|node| described(&node.unwrap())).collect()
}

fn described(node: &Node) -> Json {
    let kind = match NodeType::try_from(node.kind).unwrap() {
        NodeType::Compute => "COMP_NODE",
        NodeType::Collective => "COMM_COLL_NODE",
        NodeType::Send => "COMM_SEND_NODE",
        NodeType::Recv => "COMM_RECV_NODE",
        other => panic!("{other:?}"),
    };
    let value = |value: &Value| match value {
        Value::Bool(v) => json!(["bool_val", v]),
        Value::Int32(v) => json!(["int32_val", v]),
        Value::Int64(v) => json!(["int64_val", v]),
        Value::String(v) => json!(["string_val", v]),
        other => panic!("{other:?}"),
    };
    let attributes: Map<String, Json> =
        node.attributes.iter().map(|a| (a.name.clone(), value(a.value.as_ref().unwrap()))).collect();
    json!([node.id, node.name, kind, node.duration_micros, node.control_deps, attributes])
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What was compared.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    bundles: usize,
    ranks: usize,
    nodes: usize,
    digests: usize,
    bytes: usize,
    manifests: usize,
    groups: usize,
    refused: usize,
}

/// What DeepFlow refuses or fails on, and how it is refused here.
const REFUSED: [(&str, &str); 10] = [
    ("u10c_dp_dp1_then_compute", "`g` (node 1), a data-parallel collective of a single replica"),
    ("u16b_profile_wrong_len", "nodes[0].seconds: the profile of `a` has 3 entries, expected 2"),
    ("u18_coll_only_stage", "nothing computes on hardware id 5"),
    ("u20_cycle", "`a` (node 0) → `b` (node 1) → back to the first"),
    ("u27_placeholder", "`p` (node 1), a placeholder"),
    ("u32_no_compute", "no node computes on a hardware id"),
    ("u33_coll_without_neighbours", "the collective `g` has no hardware id and no neighbours"),
    ("flat_zero3_dp2[0]", "waits for the transfer `cross_layer`, which has a hardware id"),
    ("flat_zero3_tp2_dp2[0]", "waits for the transfer `cross_layer_rank1`, which has a hardware id"),
    ("flat_zero3_tp2_pp2_dp2_mb2[0]", "(node 364), which no root reaches"),
];

#[test]
fn faithful_conversions_are_those_of_deepflow() {
    let all = recorded();
    if all.is_empty() {
        return;
    }
    let mut counts = Counts::default();
    for case in &all {
        let converted =
            parse(&to_graph(&case.graph)).and_then(|graph| convert(&graph, &ConvertOptions::FAITHFUL, JOBS));
        match (converted, &case.error) {
            (Ok(converted), None) => compare(case, &converted, &mut counts),
            (Err(error), Some(_)) => {
                let error = error.to_string();
                let known = REFUSED.iter().find(|(name, _)| *name == case.name);
                assert!(known.is_some_and(|(_, why)| error.contains(why)), "{}: {error}", case.name);
                counts.refused += 1;
            }
            (Ok(_), Some(error)) => panic!("{}: DeepFlow refuses it: {error}", case.name),
            (Err(error), None) => panic!("{}: {error}", case.name),
        }
    }
    println!("{counts:#?}");
    let expected = Counts {
        bundles: 67,
        ranks: 253,
        nodes: 20_435,
        digests: 173,
        bytes: 80,
        manifests: 67,
        groups: 67,
        refused: REFUSED.len(),
    };
    assert_eq!(counts, expected);
}

fn compare(case: &Recorded, converted: &Converted, counts: &mut Counts) {
    let (name, run) = (&case.name, &case.run);
    let ranks = run["et"].as_object().unwrap();
    assert_eq!(converted.graph_ranks as usize, ranks.len(), "{name}");
    for (rank, expected) in ranks {
        let rank = rank.parse().unwrap();
        let (found, expected_nodes) = (nodes(converted, rank), &expected["nodes"]);
        for (found, expected) in found.as_array().unwrap().iter().zip(expected_nodes.as_array().unwrap()) {
            assert_eq!(found, expected, "{name}, rank {rank}");
            counts.nodes += 1;
        }
        assert_eq!(found, *expected_nodes, "{name}, rank {rank}");
        let bytes = converted.bundle.file_of(rank).unwrap();
        if let Some(digest) = expected["sha256"].as_str() {
            assert_eq!(hex(Sha256::digest(bytes)), digest, "{name}, rank {rank}");
            counts.digests += 1;
        }
        if let Some(expected) = expected["hex"].as_str() {
            assert_eq!(hex(bytes), expected, "{name}, rank {rank}");
            counts.bytes += 1;
        }
        counts.ranks += 1;
    }
    let manifest = deepflow_manifest(&converted.bundle, converted.graph_ranks).unwrap();
    match run["manifest_text"].as_str() {
        Some(text) => assert_eq!(String::from_utf8(manifest).unwrap(), text, "{name}"),
        None => assert_eq!(hex(Sha256::digest(manifest)), run["manifest_sha256"].as_str().unwrap(), "{name}"),
    }
    counts.manifests += 1;
    compare_groups(case, converted);
    counts.groups += 1;
    counts.bundles += 1;
}

fn compare_groups(case: &Recorded, converted: &Converted) {
    if case.run.get("comm_groups_text").is_some() {
        let found = write_groups(&converted.groups).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(found.as_deref(), case.run["comm_groups_text"].as_str(), "{}", case.name);
        return;
    }
    let expected: BTreeMap<u32, Vec<u32>> = serde_json::from_value(match &case.run["comm_groups"] {
        Json::Null => json!({}),
        groups => groups.clone(),
    })
    .unwrap();
    assert_eq!(converted.groups, expected, "{}", case.name);
}

#[test]
fn the_format_loses_nothing_of_deepflow_s_graphs() {
    let all = recorded();
    for case in &all {
        let graph = to_graph(&case.graph);
        let back = to_neutral(&graph);
        for (found, expected) in
            back["objects"].as_array().unwrap().iter().zip(case.graph["objects"].as_array().unwrap())
        {
            assert_eq!(found, expected, "{}", case.name);
        }
        assert_eq!(back, case.graph, "{}", case.name);
    }
    println!("{} graphs there and back", all.len());
}
