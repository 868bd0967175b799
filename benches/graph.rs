//! How fast graphs are read and become traces, beside parsing the same text into a tree of values and beside copying the
//! same traces. `cargo bench --bench graph`; `… -- read` only reads, so that its memory can be seen.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use artifact_store::{Blob, Compaction, Options, Publication, Store};
use astra_store::et::graph::{ConvertOptions, Graph, convert, deepflow_manifest};
use astra_store::et::manifest;

#[path = "../tests/graph/neutral.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "a part of the tests, of which one half is used here")]
mod neutral;

const ROUNDS: u32 = 5;

/// A training step in the manner of DeepFlow's flattened graphs: on each of `tp × stages` hardware ids forward and
/// backward passes of layers, each of four computations and two collectives, for every microbatch.
struct Training {
    tp: u32,
    stages: u32,
    replicas: u32,
    layers: u32,
    microbatches: u32,
}

impl Training {
    /// The graph file. Parents only; children follow from them.
    fn text(&self) -> String {
        let mut text = format!(
            r#"{{"astra_graph":1,"replicas":{},"layout":{{"axes":[{{"axis":"tp","size":{}}},{{"axis":"lp","size":{}}},{{"axis":"dp","size":{}}}]}},"nodes":["#,
            self.replicas, self.tp, self.stages, self.replicas
        );
        let mut writer = Nodes { text: &mut text, count: 0 };
        // The last node of each microbatch, by rank inside a stage.
        let mut before = vec![Vec::new(); self.tp as usize];
        for microbatch in 0..self.microbatches {
            let mut last: Vec<Vec<u32>> = before.clone();
            for step in 0..2 * self.stages {
                let (stage, direction) = match step.checked_sub(self.stages) {
                    None => (step, "forward"),
                    Some(back) => (self.stages - 1 - back, "backward"),
                };
                for rank in 0..self.tp {
                    let hw = stage * self.tp + rank;
                    let parents = &mut last[rank as usize];
                    for layer in 0..self.layers {
                        let name = format!("{direction}_mb{microbatch}_l{layer}_rank{rank}");
                        *parents = vec![writer.layer(&name, direction, hw, parents)];
                    }
                    if direction == "backward" && microbatch + 1 == self.microbatches {
                        writer.communication("gradients", "all_reduce", 1 << 26, Some(("dp", hw)), parents);
                    }
                    *parents = vec![writer.communication("cross_layer", "pipeline", 1 << 20, None, parents)];
                }
            }
            before = last;
        }
        text.push_str("]}");
        text
    }
}

struct Nodes<'a> {
    text: &'a mut String,
    count: u32,
}

impl Nodes<'_> {
    /// A layer; its last collective.
    fn layer(&mut self, name: &str, direction: &str, hw: u32, parents: &[u32]) -> u32 {
        let qkv = self.compute(&format!("qkv_{name}"), hw, parents);
        let attention = self.compute(&format!("attention_{name}"), hw, &[qkv]);
        let first = format!("attention_{direction}_all_reduce");
        let first = self.communication(&first, "all_reduce", 1 << 22, Some(("tp", hw)), &[attention]);
        let norm = self.compute(&format!("layernorm_{name}"), hw, &[first]);
        let mlp = self.compute(&format!("mlp_{name}"), hw, &[norm]);
        let second = format!("mlp_{direction}_all_reduce");
        self.communication(&second, "all_reduce", 1 << 22, Some(("tp", hw)), &[mlp])
    }

    fn compute(&mut self, name: &str, hw: u32, parents: &[u32]) -> u32 {
        self.node(format_args!(
            r#""type":"compute","name":"{name}","hw":{hw},"seconds":4.9969e-05,"parents":{parents:?}"#
        ))
    }

    fn communication(
        &mut self,
        name: &str,
        kind: &str,
        bytes: u64,
        along: Option<(&str, u32)>,
        parents: &[u32],
    ) -> u32 {
        let along = along.map_or(String::new(), |(axis, hw)| format!(r#","axis":"{axis}","hw":{hw}"#));
        self.node(format_args!(
            r#""type":"communication","name":"{name}","kind":"{kind}","bytes":{bytes}{along},"parents":{parents:?}"#
        ))
    }

    fn node(&mut self, fields: std::fmt::Arguments<'_>) -> u32 {
        let comma = if self.count == 0 { "" } else { "," };
        write!(self.text, "{comma}{{{fields}}}").expect("memory takes everything");
        self.count += 1;
        self.count - 1
    }
}

fn main() {
    let million = Training { tp: 8, stages: 16, replicas: 1, layers: 8, microbatches: 80 }.text();
    if std::env::args().any(|argument| argument == "read") {
        read_only(&million);
        return;
    }
    println!("best of {ROUNDS} rounds");
    convert_ranks(
        "256 stages × 4 replicas",
        &Training { tp: 8, stages: 32, replicas: 4, layers: 5, microbatches: 8 },
    );
    convert_ranks(
        "1024 stages × 1 replica",
        &Training { tp: 8, stages: 128, replicas: 1, layers: 5, microbatches: 8 },
    );
    read(&million);
    reference();
}

/// What the largest graph that was recorded of DeepFlow becomes, and what its traces take in a store.
fn reference() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/ref/deepflow/graphs/flat_big_tp8_pp4_dp2.json.gz");
    let Ok(file) = std::fs::File::open(path) else {
        println!("\nno recorded graph to store the traces of");
        return;
    };
    let recorded: serde_json::Value =
        serde_json::from_reader(flate2::read::GzDecoder::new(file)).expect("the recorded graph is JSON");
    let text = neutral::to_graph(&recorded["runs"][0]["graph"]).to_string();
    let graph = Graph::parse(text.as_bytes(), "recorded").expect("the graph is valid");
    let converted =
        convert(&graph, &ConvertOptions::FAITHFUL, NonZeroUsize::MIN).expect("it can be converted");
    let files = &converted.bundle.files;
    let bytes = files.iter().map(|file| file.len()).sum();
    println!(
        "\na recorded graph of {} nodes becomes {} files, {:.1} MB",
        graph.node_count(),
        files.len(),
        bytes as f64 / 1e6
    );
    stored(files, bytes);
}

fn convert_ranks(what: &str, training: &Training) {
    let text = training.text();
    let graph = Graph::parse(text.as_bytes(), "bench").expect("the graph is valid");
    let options = ConvertOptions::default();
    let jobs = |jobs| NonZeroUsize::new(jobs).expect("not zero");
    let converted = convert(&graph, &options, jobs(1)).expect("the graph can be converted");
    let files = &converted.bundle.files;
    let bytes: usize = files.iter().map(|file| file.len()).sum();
    let nodes: u64 = converted.bundle.summaries.iter().map(|summary| summary.nodes).sum();
    println!(
        "\n{what}: a graph of {} nodes becomes {} files, {nodes} nodes, {:.1} MB",
        graph.node_count(),
        files.len(),
        bytes as f64 / 1e6
    );
    report("read the graph", best(|| Graph::parse(text.as_bytes(), "bench")), text.len());
    for threads in [1, 2, 4] {
        let time = best(|| convert(&graph, &options, jobs(threads)));
        report(&format!("convert, {threads} threads"), time, bytes);
    }
    report(
        "convert as DeepFlow does, 2 threads",
        best(|| convert(&graph, &ConvertOptions::FAITHFUL, jobs(2))),
        bytes,
    );
    stored(files, bytes);
    report("copy the traces", best(|| files.iter().map(|file| file.to_vec()).collect::<Vec<_>>()), bytes);
    let digest = |bytes: &[u8]| artifact_store::Digest::of(bytes).to_string();
    report(
        "manifest, 2 threads",
        best(|| manifest(&converted.bundle, &converted.groups, digest, jobs(2))),
        bytes,
    );
    report(
        "DeepFlow's manifest",
        best(|| deepflow_manifest(&converted.bundle, converted.graph_ranks)),
        bytes,
    );
}

/// What the traces take in a store of their own, beside all of them compressed as one.
fn stored(files: &[Arc<[u8]>], bytes: usize) {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let store = Store::open(directory.path(), &Options::default()).expect("a new store opens");
    let blobs = files.iter().map(|file| Blob::new(Arc::clone(file))).collect();
    store
        .publish(Publication { blobs, ..Publication::default() })
        .wait()
        .expect("there is room for the traces");
    drop(store);
    let compacted =
        Store::compact(directory.path(), &Options::default()).expect("nobody else uses the store");
    let Compaction::Done { after, .. } = compacted else { unreachable!("nobody else knows of the store") };
    let one = zstd::bulk::compress(&files.concat(), 3).expect("memory is writable").len();
    let share = |part: u64| {
        format!("{:.1} MB, {:.1} % of them", part as f64 / 1e6, part as f64 / bytes as f64 * 100.0)
    };
    println!("{:<36} {}; as one zstd frame {}", "store the traces", share(after), share(one as u64));
}

fn read(text: &str) {
    let graph = Graph::parse(text.as_bytes(), "bench").expect("the graph is valid");
    println!(
        "\na graph of {} nodes and {} edges, {:.1} MB",
        graph.node_count(),
        graph.edge_count(),
        text.len() as f64 / 1e6
    );
    report("read from memory", best(|| Graph::parse(text.as_bytes(), "bench")), text.len());
    report("read from a stream", best(|| Graph::read(text.as_bytes(), "bench")), text.len());
    let tree = || serde_json::from_str::<serde_json::Value>(text);
    report("parse into a tree of values", best(tree), text.len());
    let skip = || serde_json::from_str::<serde::de::IgnoredAny>(text);
    report("skip over the text", best(skip), text.len());
}

/// Reads from a file as a stream, and says how much memory the process has needed before and after.
fn read_only(text: &str) {
    let mut file = tempfile::tempfile().expect("a temporary file can be made");
    std::io::Write::write_all(&mut file, text.as_bytes()).expect("it can be written");
    std::io::Seek::rewind(&mut file).expect("it can be rewound");
    println!("{} bytes of text; peak so far {}", text.len(), peak());
    let start = Instant::now();
    let graph = Graph::read(file, "bench").expect("the graph is valid");
    println!("{} nodes read in {:.2} s; peak {}", graph.node_count(), start.elapsed().as_secs_f64(), peak());
}

/// The most memory this process has had, where the system says so.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |line| line.trim().to_owned())
}

fn best<T>(mut work: impl FnMut() -> T) -> Duration {
    let round = |_| {
        let start = Instant::now();
        let made = std::hint::black_box(work());
        let elapsed = start.elapsed();
        drop(made);
        elapsed
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}

fn report(what: &str, time: Duration, bytes: usize) {
    let seconds = time.as_secs_f64();
    println!("{what:<36} {:>8.1} ms {:>8.1} MB/s", seconds * 1e3, bytes as f64 / seconds / 1e6);
}
