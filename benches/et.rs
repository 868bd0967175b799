//! How fast traces are written, read, lowered, linted, added up and dumped: nodes and bytes of trace per second, beside copying
//! the same bytes and beside prost used plainly (a new buffer for every node). `cargo bench --bench et`

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use astra_engine::{Dimension, GibPerSec, Network, NetworkModel, System, Topology};
use astra_store::et::build::Pipeline;
use astra_store::et::{DumpFormat, Node, Reader, Writer, dump, lower_bundle, stat};
use astra_store::lint::{lint, lint_files};
use prost::Message;

/// Three nodes each on a middle stage: a trace of the size that ranks usually have.
const MICROBATCHES: u32 = 1_000;

const ROUNDS: u32 = 50;

fn main() {
    let pipeline =
        Pipeline { compute_ns: vec![1_000; 3], microbatches: MICROBATCHES, message_bytes: 1 << 20 };
    let bundle = pipeline.build().expect("the pipeline can be built");
    let bytes = bundle.file_of(1).expect("there is a middle stage").clone();
    let nodes: Vec<Node> = read(&bytes);
    println!("one rank: {} nodes, {} bytes; best of {ROUNDS} rounds", nodes.len(), bytes.len());

    let total_nodes: u64 = bundle.file_of_rank.iter().map(|&f| bundle.summaries[f as usize].nodes).sum();
    let total_bytes: usize = bundle.files.iter().map(|file| file.len()).sum();
    report("build pipeline", best(|| pipeline.build()), total_nodes, total_bytes);

    let encode = best(|| encode(&nodes));
    let plain = best(|| encode_plainly(&nodes));
    let copy = best(|| bytes.to_vec());
    let decode = best(|| read(&bytes));
    let lower = best(|| lower_bundle("bench", &[&bytes], &[0], &BTreeMap::new()));
    let count = nodes.len() as u64;
    report("encode", encode, count, bytes.len());
    report("encode, plain prost", plain, count, bytes.len());
    report("copy the bytes", copy, count, bytes.len());
    report("decode", decode, count, bytes.len());
    report("lower to the engine", lower, count, bytes.len());

    let deep =
        Pipeline { compute_ns: vec![1_000; 64], ..pipeline }.build().expect("the pipeline can be built");
    let workload =
        lower_bundle("bench", &deep.files, &deep.file_of_rank, &BTreeMap::new()).expect("it can be lowered");
    let network = Network::new(NetworkModel::CongestionUnaware, vec![ring(64)]);
    let deep_nodes = deep.summaries.iter().map(|summary| summary.nodes).sum();
    let deep_bytes = deep.files.iter().map(|file| file.len()).sum();
    report("lint 64 ranks", best(|| lint(&network, &System::default(), &workload)), deep_nodes, deep_bytes);

    many_nodes();
    dumps(&bytes);

    println!(
        "encode takes {:.2} of plain prost, {:.1} of a copy",
        encode.as_secs_f64() / plain.as_secs_f64(),
        encode.as_secs_f64() / copy.as_secs_f64()
    );
}

/// Ten million nodes, a third of them computations, the others messages between 64 ranks; linted once, as before a run.
fn many_nodes() {
    let pipeline = Pipeline { compute_ns: vec![1_000; 64], microbatches: 53_000, message_bytes: 1 << 20 };
    let bundle = pipeline.build().expect("the pipeline can be built");
    let nodes: u64 = bundle.summaries.iter().map(|summary| summary.nodes).sum();
    let bytes = bundle.files.iter().map(|file| file.len()).sum();
    let network = Network::new(NetworkModel::CongestionUnaware, vec![ring(64)]);
    let start = Instant::now();
    black_box(lower_bundle("bench", &bundle.files, &bundle.file_of_rank, &BTreeMap::new()))
        .expect("it can be lowered");
    report("lower ten million", start.elapsed(), nodes, bytes);
    let groups = BTreeMap::new();
    let start = Instant::now();
    let linted = lint_files("bench", &bundle.files, &bundle.file_of_rank, &groups);
    report("read and lint files", start.elapsed(), nodes, bytes);
    let workload = linted.workload.expect("the traces are sound");
    drop(bundle);
    let start = Instant::now();
    let findings = lint(&network, &System::default(), &workload);
    report("lint ranks together", start.elapsed(), nodes, bytes);
    assert!(findings.is_empty(), "the traces are sound");
    let start = Instant::now();
    let stat = stat(&workload);
    report("stat", start.elapsed(), nodes, bytes);
    assert_eq!(stat.ranks.len(), 64);
}

/// A trace as text and as JSON, written to nowhere.
fn dumps(bytes: &[u8]) {
    let nodes = read(bytes).len() as u64;
    for (name, format) in [
        ("dump, text", DumpFormat::Text),
        ("dump, JSON", DumpFormat::Json),
        ("dump, JSON lines", DumpFormat::JsonLines),
    ] {
        let work = || {
            let trace = Reader::from_bytes("bench", bytes).expect("the trace was just written");
            dump(trace, format, &mut std::io::sink()).expect("nowhere takes everything")
        };
        report(name, best(work), nodes, bytes.len());
    }
}

fn ring(npus: u32) -> Dimension {
    Dimension { topology: Topology::Ring, npus, bandwidth: GibPerSec(50.0), latency_ns: 500.0 }
}

fn read(bytes: &[u8]) -> Vec<Node> {
    let reader = Reader::from_bytes("bench", bytes).expect("the trace was just written");
    reader.map(|node| node.expect("the trace was just written")).collect()
}

fn encode(nodes: &[Node]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).expect("memory takes everything");
    for node in nodes {
        writer.node(node).expect("memory takes everything");
    }
    writer.finish().expect("memory takes everything")
}

fn encode_plainly(nodes: &[Node]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for node in nodes {
        bytes.extend_from_slice(&node.encode_length_delimited_to_vec());
    }
    bytes
}

fn best<T>(mut work: impl FnMut() -> T) -> Duration {
    let round = |_| {
        let start = Instant::now();
        let made = black_box(work());
        let elapsed = start.elapsed();
        drop(made);
        elapsed
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}

fn report(what: &str, time: Duration, nodes: u64, bytes: usize) {
    let seconds = time.as_secs_f64();
    println!(
        "{what:<22} {:>8.2} ms {:>8.2} M nodes/s {:>9.1} MB/s",
        seconds * 1e3,
        nodes as f64 / seconds / 1e6,
        bytes as f64 / seconds / 1e6
    );
}
