//! Inputs of `sim`: good ones in memory, with what a test changes, and what came of running them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use astra_engine::CollectiveType;
use astra_store::et::{Attribute, Node, Value, Writer};
use serde_json::{Value as Json, json};

/// Input files in memory, and options.
#[derive(Clone)]
pub(crate) struct Inputs {
    pub(crate) network: String,
    pub(crate) system: Json,
    pub(crate) memory: String,
    pub(crate) groups: Option<String>,
    pub(crate) traces: Vec<Option<Vec<u8>>>,
    pub(crate) other_files: BTreeMap<&'static str, Vec<u8>>,
    pub(crate) arguments: Vec<&'static str>,
    pub(crate) left_out: Vec<&'static str>,
}

pub(crate) fn ring(npus: u32) -> String {
    network("Ring", npus)
}

pub(crate) fn network(topology: &str, npus: u32) -> String {
    format!("topology: [{topology}]\nnpus_count: [{npus}]\nbandwidth: [50.0]\nlatency: [500.0]\n")
}

pub(crate) const TWO_DIMENSIONS: &str =
    "topology: [Ring, Switch]\nnpus_count: [4, 2]\nbandwidth: [50, 25]\nlatency: [500, 1000]\n";

pub(crate) fn trace(nodes: &[Node]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    nodes.iter().for_each(|node| writer.node(node).unwrap());
    writer.finish().unwrap()
}

/// All ranks of a ring have these nodes.
pub(crate) fn everywhere(ranks: u32, nodes: &[Node]) -> Inputs {
    each(&vec![nodes.to_vec(); ranks as usize])
}

/// Rank `i` of a ring has the nodes `ranks[i]`.
pub(crate) fn each(ranks: &[Vec<Node>]) -> Inputs {
    let system = json!({
        "scheduling-policy": "LIFO", "endpoint-delay": 10, "preferred-dataset-splits": 4,
        "active-chunks-per-dimension": 1, "collective-optimization": "localBWAware", "local-mem-bw": 1600,
        "all-reduce-implementation": ["ring"], "all-gather-implementation": ["ring"],
        "reduce-scatter-implementation": ["ring"], "all-to-all-implementation": ["ring"],
    });
    Inputs {
        network: ring(ranks.len() as u32),
        system,
        memory: json!({ "memory-type": "NO_MEMORY_EXPANSION" }).to_string(),
        groups: None,
        traces: ranks.iter().map(|nodes| Some(trace(nodes))).collect(),
        other_files: BTreeMap::new(),
        arguments: vec!["--network-model=congestion_unaware"],
        left_out: Vec::new(),
    }
}

pub(crate) fn collective(kind: CollectiveType, size: i64) -> Node {
    Node::collective(1, "c", kind, size, None)
}

pub(crate) fn compute() -> Node {
    Node::compute(1, "k", 1)
}

impl Inputs {
    pub(crate) fn network(self, network: impl Into<String>) -> Self {
        Self { network: network.into(), ..self }
    }

    pub(crate) fn aware(mut self) -> Self {
        self.arguments = vec!["--network-model=congestion_aware"];
        self
    }

    pub(crate) fn with(mut self, argument: &'static str) -> Self {
        self.arguments.push(argument);
        self
    }

    pub(crate) fn set(mut self, key: &str, value: Json) -> Self {
        self.system[key] = value;
        self
    }

    pub(crate) fn unset(mut self, key: &str) -> Self {
        self.system.as_object_mut().unwrap().remove(key);
        self
    }

    pub(crate) fn memory(self, memory: Json) -> Self {
        Self { memory: memory.to_string(), ..self }
    }

    pub(crate) fn groups(self, groups: impl Into<String>) -> Self {
        Self { groups: Some(groups.into()), ..self }
    }

    pub(crate) fn without(mut self, file: &'static str) -> Self {
        self.left_out.push(file);
        self
    }

    pub(crate) fn file(mut self, name: &'static str, bytes: Vec<u8>) -> Self {
        self.other_files.insert(name, bytes);
        self
    }

    pub(crate) fn write(&self, directory: &Path) {
        let put = |name: &str, bytes: &[u8]| {
            if !self.left_out.contains(&name) {
                std::fs::write(directory.join(name), bytes).unwrap();
            }
        };
        put("network.yml", self.network.as_bytes());
        put("system.json", self.system.to_string().as_bytes());
        put("memory.json", self.memory.as_bytes());
        if let Some(groups) = &self.groups {
            put("groups.json", groups.as_bytes());
        }
        for (rank, bytes) in self.traces.iter().enumerate() {
            if let Some(bytes) = bytes {
                put(&format!("w.{rank}.et"), bytes);
            }
        }
        self.other_files.iter().for_each(|(name, bytes)| put(name, bytes));
    }

    pub(crate) fn run_in(&self, directory: &Path) -> Output {
        self.write(directory);
        let mut command = Command::new(env!("CARGO_BIN_EXE_astra-store"));
        command.current_dir(directory).env("ASTRA_STORE", directory.join("store"));
        command.args(["sim", "--workload-configuration=w", "--system-configuration=system.json"]);
        command.args(["--network-configuration=network.yml", "--remote-memory-configuration=memory.json"]);
        if self.groups.is_some() {
            command.arg("--comm-group-configuration=groups.json");
        }
        command.args(&self.arguments).output().unwrap()
    }

    pub(crate) fn run(&self) -> Output {
        self.run_in(tempfile::tempdir().unwrap().path())
    }

    /// The run ends with this exit code, and says this.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, fragment: &str) {
        let output = self.run();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(fragment), "expected `{fragment}` in: {said}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("finished"), "a rank finished");
    }

    /// Every rank finishes, the last at this time.
    #[track_caller]
    pub(crate) fn takes(&self, cycles: u64) {
        let output = self.clone().with("--json").run();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let figures: Json = serde_json::from_slice(&output.stdout).unwrap();
        let times = figures["finish_ns"].as_array().unwrap();
        assert_eq!(times.iter().map(|time| time.as_u64().unwrap()).max(), Some(cycles));
    }
}

pub(crate) fn with_attribute(mut node: Node, name: &str, value: Value) -> Node {
    node.attributes.retain(|attribute| attribute.name != name);
    node.attributes.push(Attribute::new(name, value));
    node
}

pub(crate) fn lacking(mut node: Node, name: &str) -> Node {
    node.attributes.retain(|attribute| attribute.name != name);
    node
}

pub(crate) fn of_kind(kind: i32) -> Node {
    Node { kind, ..with_attribute(compute(), "tensor_size", Value::Uint64(1000)) }
}

pub(crate) fn all_reduce_with(algorithm: &str) -> Json {
    json!([algorithm])
}
