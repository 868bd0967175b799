//! Byte for byte against traces that other programs wrote.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use astra_engine::CollectiveType;
use astra_store::et::build::{NodeIds, Pipeline, Sequence, SequenceItem, SingleCollective, size_label};
use astra_store::et::{Bundle, Node, Reader, Writer};
use serde_json::Value as Json;

/// The reference data, or `None` with a line on stderr.
pub(crate) fn reference(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/ref").join(path);
    if path.exists() {
        return Some(path);
    }
    // Written past the capture of test output, so that nobody takes a skipped test for a passed one.
    let line = format!("SKIPPED: no reference data at {}\n", path.display());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

pub(crate) fn gunzip(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The reference's name of a collective, in either spelling.
fn kind(name: &str) -> Option<CollectiveType> {
    match name {
        "allreduce" => Some(CollectiveType::AllReduce),
        "alltoall" => Some(CollectiveType::AllToAll),
        _ => name.parse().ok(),
    }
}

fn encode(reader: Reader<'_>) -> Vec<u8> {
    let mut writer = Writer::with_metadata(Vec::new(), reader.metadata()).unwrap();
    reader.for_each(|node| writer.node(&node.unwrap()).unwrap());
    writer.finish().unwrap()
}

/// Compares a bundle with the files of a reference case, which it has under `<prefix>.<rank>.et`.
fn assert_files(bundle: &Bundle, prefix: &str, case: &Json) {
    let files = case["files"].as_object().unwrap();
    for (name, file) in files {
        let rank = name.strip_prefix(prefix).and_then(|r| r.strip_prefix('.')?.strip_suffix(".et")).unwrap();
        let found = bundle.file_of(rank.parse().unwrap()).unwrap();
        assert_eq!(found[..], unhex(file["hex"].as_str().unwrap())[..], "{name} of {case}");
    }
    assert_eq!(bundle.ranks() as usize, files.len(), "{case}");
}

#[test]
fn single_collectives_and_pipelines_are_those_of_deepflow() {
    let Some(path) = reference("deepflow/micro/micro.json.gz") else { return };
    let micro: Json = serde_json::from_slice(&gunzip(&path)).unwrap();
    let (mut equal, mut refused) = (0, 0);
    for case in micro["single"].as_array().unwrap() {
        let comm = case["comm"].as_str().unwrap().to_lowercase();
        let size_bytes = case["size"].as_u64().unwrap();
        let name = format!("{comm}_{}", size_label(size_bytes));
        let bundle = if comm == "pipeline" {
            Pipeline { compute_ns: vec![0, 0], microbatches: 1, message_bytes: size_bytes }.build()
        } else {
            let ranks = case["npus"].as_u64().unwrap() as u32;
            let kind = kind(&comm).unwrap();
            SingleCollective { name: name.clone(), kind, size_bytes, ranks, ids: NodeIds::Rank }.build()
        };
        match bundle {
            Ok(bundle) => {
                assert_files(&bundle, &name, case);
                equal += 1;
            }
            Err(error) => {
                assert!(case.get("error").is_some(), "{error}: {case}");
                refused += 1;
            }
        }
    }
    println!("single: {equal} equal, {refused} refused like the original");
    assert_eq!((equal, refused), (96, 12));
    for (size, label) in micro["size_label"].as_object().unwrap() {
        assert_eq!(size_label(size.parse().unwrap()), label.as_str().unwrap());
    }
}

#[test]
fn sequences_are_those_of_deepflow_unless_it_rounds_or_writes_nothing() {
    let Some(path) = reference("deepflow/micro/micro.json.gz") else { return };
    let micro: Json = serde_json::from_slice(&gunzip(&path)).unwrap();
    let (mut equal, mut refused_like, mut on_purpose) = (0, 0, 0);
    for case in micro["concurrent"].as_array().unwrap() {
        let ranks = case["npus"].as_u64().unwrap() as u32;
        let Some(items) = items(&case["sequence"]) else {
            assert!(case.get("error").is_some(), "{case}");
            refused_like += 1;
            continue;
        };
        match (Sequence { ranks, items }).build() {
            Ok(bundle) => {
                assert_files(&bundle, "seq", case);
                equal += 1;
            }
            Err(error) => {
                let text = error.to_string();
                let reason =
                    text.contains("not a whole number of microseconds") || text.contains("has no items");
                assert!(reason, "{text}: {case}");
                on_purpose += 1;
            }
        }
    }
    println!("sequences: {equal} equal, {refused_like} refused like the original, {on_purpose} on purpose");
    assert_eq!((equal, refused_like, on_purpose), (6, 9, 9));
}

/// The items of a reference sequence as far as they can be said at all: a negative delay means none.
fn items(sequence: &Json) -> Option<Vec<SequenceItem>> {
    let item = |item: &Json| {
        let name = item[0].as_str()?;
        let delay_ns = item[2].as_i64()?.max(0) as u64;
        let size_bytes = item[1].as_u64()?;
        Some(SequenceItem { name: name.to_owned(), kind: kind(name)?, size_bytes, delay_ns, after: vec![] })
    };
    sequence.as_array()?.iter().map(item).collect()
}

#[test]
fn deepflow_traces_of_graphs_and_of_rounded_delays_survive_the_round_trip_byte_for_byte() {
    let (Some(unit), Some(micro)) =
        (reference("deepflow/unit/unit.json.gz"), reference("deepflow/micro/micro.json.gz"))
    else {
        return;
    };
    let mut traces = 0;
    let mut check = |file: &Json| {
        let bytes = unhex(file["hex"].as_str().unwrap());
        let reader = Reader::from_bytes("reference", &bytes).unwrap();
        assert_eq!(encode(reader), bytes);
        traces += 1;
    };
    let unit: Json = serde_json::from_slice(&gunzip(&unit)).unwrap();
    for graph in unit.as_object().unwrap().values() {
        graph["et"].as_object().into_iter().flat_map(|files| files.values()).for_each(&mut check);
    }
    let micro: Json = serde_json::from_slice(&gunzip(&micro)).unwrap();
    for case in micro["concurrent"].as_array().unwrap() {
        case["files"].as_object().into_iter().flat_map(|files| files.values()).for_each(&mut check);
    }
    println!("{traces} traces");
    assert!(traces > 100, "{traces}");
}

#[test]
fn the_example_traces_of_astra_sim_survive_the_round_trip() {
    let Some(root) = reference("astra-sim-examples") else { return };
    let mut files = Vec::new();
    collect(&root, &mut files);
    let (mut same_bytes, mut same_nodes) = (0, 0);
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        let name = path.display().to_string();
        let nodes: Vec<Node> = Reader::from_bytes(&name, &bytes).unwrap().map(Result::unwrap).collect();
        assert!(!nodes.is_empty(), "{name}");
        let again = encode(Reader::from_bytes(&name, &bytes).unwrap());
        if again == bytes {
            same_bytes += 1;
        } else {
            let read: Vec<Node> = Reader::from_bytes(&name, &again).unwrap().map(Result::unwrap).collect();
            assert_eq!(read, nodes, "{name}");
            same_nodes += 1;
        }
    }
    println!("{} traces: {same_bytes} with the same bytes, {same_nodes} with the same nodes", files.len());
    assert_eq!((same_bytes, same_nodes), (120, 0));
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "et") {
            files.push(path);
        }
    }
}
