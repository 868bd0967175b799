//! `astra-store sim` on every input on which the original simulator aborts, hangs, exits or corrupts its memory: our
//! exit code and message, or the time where the rules imply one.
//!
//! Exit 2: the command line; 3: a file that is missing or wrong, or inputs that do not fit each other; 1: a node that
//! cannot be executed, or a stall.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use astra_engine::CollectiveType::{self, AllGather, AllReduce, AllToAll, Barrier};
use astra_store::et::schema::BoolList;
use astra_store::et::{Attribute, Node, NodeType, Value, Writer};
use serde_json::{Value as Json, json};

/// Input files in memory, and options.
#[derive(Clone)]
struct Inputs {
    network: String,
    system: Json,
    memory: String,
    groups: Option<String>,
    traces: Vec<Option<Vec<u8>>>,
    other_files: BTreeMap<&'static str, Vec<u8>>,
    arguments: Vec<&'static str>,
    left_out: Vec<&'static str>,
}

fn ring(npus: u32) -> String {
    network("Ring", npus)
}

fn network(topology: &str, npus: u32) -> String {
    format!("topology: [{topology}]\nnpus_count: [{npus}]\nbandwidth: [50.0]\nlatency: [500.0]\n")
}

const TWO_DIMENSIONS: &str =
    "topology: [Ring, Switch]\nnpus_count: [4, 2]\nbandwidth: [50, 25]\nlatency: [500, 1000]\n";

fn trace(nodes: &[Node]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    nodes.iter().for_each(|node| writer.node(node).unwrap());
    writer.finish().unwrap()
}

/// All ranks of a ring have these nodes.
fn everywhere(ranks: u32, nodes: &[Node]) -> Inputs {
    each(&vec![nodes.to_vec(); ranks as usize])
}

/// Rank `i` of a ring has the nodes `ranks[i]`.
fn each(ranks: &[Vec<Node>]) -> Inputs {
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

fn collective(kind: CollectiveType, size: i64) -> Node {
    Node::collective(1, "c", kind, size, None)
}

fn compute() -> Node {
    Node::compute(1, "k", 1)
}

impl Inputs {
    fn network(self, network: impl Into<String>) -> Self {
        Self { network: network.into(), ..self }
    }

    fn aware(mut self) -> Self {
        self.arguments = vec!["--network-model=congestion_aware"];
        self
    }

    fn with(mut self, argument: &'static str) -> Self {
        self.arguments.push(argument);
        self
    }

    fn set(mut self, key: &str, value: Json) -> Self {
        self.system[key] = value;
        self
    }

    fn unset(mut self, key: &str) -> Self {
        self.system.as_object_mut().unwrap().remove(key);
        self
    }

    fn memory(self, memory: Json) -> Self {
        Self { memory: memory.to_string(), ..self }
    }

    fn groups(self, groups: impl Into<String>) -> Self {
        Self { groups: Some(groups.into()), ..self }
    }

    fn without(mut self, file: &'static str) -> Self {
        self.left_out.push(file);
        self
    }

    fn file(mut self, name: &'static str, bytes: Vec<u8>) -> Self {
        self.other_files.insert(name, bytes);
        self
    }

    fn write(&self, directory: &Path) {
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

    fn run_in(&self, directory: &Path) -> Output {
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

    fn run(&self) -> Output {
        self.run_in(tempfile::tempdir().unwrap().path())
    }

    /// The run ends with this exit code, and says this.
    #[track_caller]
    fn fails(&self, code: i32, fragment: &str) {
        let output = self.run();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(fragment), "expected `{fragment}` in: {said}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("finished"), "a rank finished");
    }

    /// Every rank finishes, the last at this time.
    #[track_caller]
    fn takes(&self, cycles: u64) {
        let output = self.clone().with("--json").run();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let figures: Json = serde_json::from_slice(&output.stdout).unwrap();
        let times = figures["finish_ns"].as_array().unwrap();
        assert_eq!(times.iter().map(|time| time.as_u64().unwrap()).max(), Some(cycles));
    }
}

fn with_attribute(mut node: Node, name: &str, value: Value) -> Node {
    node.attributes.retain(|attribute| attribute.name != name);
    node.attributes.push(Attribute::new(name, value));
    node
}

fn lacking(mut node: Node, name: &str) -> Node {
    node.attributes.retain(|attribute| attribute.name != name);
    node
}

fn of_kind(kind: i32) -> Node {
    Node { kind, ..with_attribute(compute(), "tensor_size", Value::Uint64(1000)) }
}

fn all_reduce_with(algorithm: &str) -> Json {
    json!([algorithm])
}

#[test]
fn command_lines_that_miss_something_end_with_two() {
    let command = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_astra-store")).arg("sim").args(arguments).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(command(&["--workload-configuration=w"]).contains("--system-configuration <FILE>"));
    everywhere(2, &[compute()]).with("--num-queues-per-dim=many").fails(2, "--num-queues-per-dim");
    everywhere(2, &[compute()]).with("--rendezvous-protocol=2").fails(2, "--rendezvous-protocol");
}

#[test]
fn files_that_are_missing_are_named() {
    let good = everywhere(2, &[compute()]);
    good.takes(1000);
    for file in ["network.yml", "system.json", "memory.json", "w.1.et"] {
        good.clone().without(file).fails(3, &format!("error: {file}: there is no such file"));
    }
    good.clone().groups("{}").without("groups.json").fails(3, "groups.json: there is no such file");
}

#[test]
fn a_trace_need_not_be_writable() {
    let directory = tempfile::tempdir().unwrap();
    let inputs = everywhere(2, &[compute()]);
    inputs.write(directory.path());
    let path = directory.path().join("w.0.et");
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let again = Inputs { traces: Vec::new(), ..inputs };
    assert_eq!(again.run_in(directory.path()).status.code(), Some(0));
}

#[test]
fn networks_that_cannot_be_built_are_refused_with_their_key() {
    let good = everywhere(4, &[compute()]);
    let line = |from: &str, to: &str| good.clone().network(ring(4).replace(from, to));
    line("[4]", "[4, 2]").fails(3, "network.yml:2:13: npus_count: 2 entries, but topology has 1");
    line("[4]", "[1]").fails(3, "dimension 0: 1 NPUs; a dimension needs at least 2");
    line("[50.0]", "[0]").fails(3, "bandwidth");
    line("[500.0]", "[-1]").fails(3, "latency");
    line("[4]", "[4.5]").fails(3, "network.yml:2:");
    line("Ring", "Rng").fails(3, "did you mean `Ring`?");
    line("[Ring]", "Ring").fails(3, "network.yml:1:");
    line("[50.0]", "[50.0").fails(3, "network.yml:");
    line("Ring", "Torus2D").fails(3, "use Ring, FullyConnected or Switch");
}

#[test]
fn congestion_in_several_dimensions_is_refused_and_a_ring_of_two_is_not() {
    let eight = everywhere(8, &[compute()]).network(TWO_DIMENSIONS);
    eight.clone().aware().fails(3, "congestion_aware simulates one dimension, the network has 2");
    eight.takes(1000);
    everywhere(2, &[collective(AllReduce, 1_000_000)]).aware().takes(23_680);
}

#[test]
fn wrong_json_is_told_with_its_place() {
    let good = everywhere(2, &[compute()]);
    let bad = Inputs { memory: "{".to_owned(), ..good.clone() };
    bad.fails(3, "memory.json:1:1: ");
    good.clone().memory(json!({ "memory-type": "HUGE" })).fails(3, "memory.json: memory-type: ");
    good.clone()
        .set("endpoint-delay", json!("ten"))
        .fails(3, "system.json: endpoint-delay: expected an integer");
    good.clone().groups("[1]").fails(3, "groups.json: expected a JSON object");
    good.clone().groups(r#"{"1": ["x"]}"#).fails(3, "groups.json: 1: expected a list of ranks");
    for id in ["0", "-1", "2148"] {
        let groups = format!(r#"{{"{id}": [0, 1]}}"#);
        good.clone()
            .groups(groups)
            .fails(3, &format!("groups.json: {id}: expected a group number from 1 to 2147"));
    }
}

#[test]
fn words_the_simulator_does_not_know_come_with_those_it_does() {
    let good = everywhere(2, &[compute()]);
    good.clone().set("scheduling-policy", json!("lifo")).fails(3, "scheduling-policy: unknown value `lifo`");
    good.clone()
        .set("collective-optimization", json!("bandwidth"))
        .fails(3, "collective-optimization: unknown");
    good.clone().set("all-reduce-implementation", json!(["rng"])).fails(3, "did you mean `ring`?");
    good.clone().set("all-reduce-implementation", json!(["directX"])).fails(3, "window of `directX`");
    good.clone()
        .set("all-reduce-implementation", json!(["ring", "ring"]))
        .fails(3, "2 algorithms for all_reduce, but the network has 1 dimension(s)");
}

#[test]
fn traces_that_are_no_graph_are_refused_with_the_nodes() {
    let good = everywhere(2, &[compute()]);
    let first = |bytes: Vec<u8>| {
        let mut inputs = good.clone();
        inputs.traces[0] = Some(bytes);
        inputs
    };
    first(Vec::new()).fails(3, "w.0.et: ");
    first(trace(&[])).fails(3, "w.0.et: the trace has no node");
    first(trace(&[compute().after([4])])).fails(3, "node 1 depends on node 4, which the trace does not have");
    let cycle = [compute().after([2]), Node::compute(2, "k", 1).after([1])];
    first(trace(&cycle)).fails(3, "nodes wait for each other and can never start: 1 waits for 2 waits for 1");
    // The original leaves out what waits for a cycle and says that the rank has finished.
    let behind = [compute(), Node::compute(2, "k", 1).after([3]), Node::compute(3, "k", 1).after([2])];
    first(trace(&behind)).fails(3, "2 waits for 3 waits for 2");
    let mut torn = trace(&[compute()]);
    torn.pop();
    first(torn).fails(3, "w.0.et: ");
}

#[test]
fn what_takes_no_time_at_the_start_happens_at_time_zero() {
    let no_delay = everywhere(4, &[collective(AllReduce, 1_048_576)]).set("endpoint-delay", json!(0));
    no_delay.takes(4 * (6 * 1720 + 3 * 120));
    let send =
        each(&[vec![Node::send(1, "s", 1, 1, 5)], vec![Node::recv(1, "r", 0, 1, 5), compute_after(1)]]);
    send.network(ring(2).replace("500.0", "0")).takes(1000);
}

fn compute_after(id: u64) -> Node {
    Node::compute(id + 1, "k", 1).after([id])
}

#[test]
fn nodes_that_the_simulator_has_no_meaning_for_are_named() {
    everywhere(2, &[of_kind(NodeType::Metadata as i32)]).fails(3, "rank 0, node 1 `k`: metadata nodes");
    everywhere(2, &[of_kind(8)]).fails(3, "node 1 `k`: its type is 8");
    everywhere(2, &[collective(Barrier, 8)]).fails(3, "collective barrier is not simulated");
    let later = [compute(), Node { id: 2, ..collective(Barrier, 8) }.after([1])];
    everywhere(2, &later).fails(3, "rank 0, node 2 `c`: collective barrier");
}

#[test]
fn attributes_that_are_missing_or_of_the_wrong_kind_are_named() {
    let fails = |node: Node, fragment: &str| everywhere(2, &[node]).fails(3, fragment);
    fails(lacking(collective(AllReduce, 8), "comm_type"), "attribute `comm_type` is missing");
    fails(lacking(Node::send(1, "s", 1, 8, 5), "comm_dst"), "attribute `comm_dst` is missing");
    fails(lacking(Node::recv(1, "r", 1, 8, 5), "comm_tag"), "attribute `comm_tag` is missing");
    fails(with_attribute(collective(AllReduce, 8), "comm_size", Value::Double(8.0)), "is of kind double");
    fails(with_attribute(collective(AllReduce, 8), "pg_name", Value::Int32(1)), "expected text");
    fails(
        with_attribute(collective(AllReduce, 8), "pg_name", Value::String("tp".into())),
        "`pg_name` is `tp`",
    );
    fails(
        with_attribute(collective(AllReduce, 8), "involved_dim", Value::Bool(true)),
        "expected a list of bools",
    );
    fails(
        with_attribute(collective(AllReduce, 8), "is_cpu_op", Value::Bool(true)),
        "a communication node cannot be a CPU operation",
    );
    let roofline = everywhere(2, &[compute()]).set("roofline-enabled", json!(1)).set("peak-perf", json!(1));
    roofline.fails(3, "the roofline model needs num_ops and tensor_size");
}

#[test]
fn messages_in_another_ranks_name_are_refused() {
    let foreign = with_attribute(Node::send(1, "s", 1, 8, 5), "comm_src", Value::Int32(1));
    each(&[vec![foreign], vec![Node::recv(1, "r", 0, 8, 5)]])
        .fails(3, "attribute `comm_src` is 1, but the trace");
    let foreign = with_attribute(Node::recv(1, "r", 0, 8, 5), "comm_dst", Value::Int32(0));
    each(&[vec![Node::send(1, "s", 1, 8, 5)], vec![foreign]])
        .fails(3, "attribute `comm_dst` is 0, but the trace");
}

#[test]
fn groups_are_checked_against_the_ranks_that_use_them() {
    let node = |group| Node::collective(1, "c", AllReduce, 1000, Some(group));
    let four = |group| everywhere(4, &[node(group)]);
    four(7).fails(3, "communicator group 7 is not defined");
    four(7)
        .groups(r#"{"7": [0, 1]}"#)
        .fails(3, "rank 2, node 1 `c`: the rank is not a member of communicator group 7");
    let one = each(&[vec![node(7)], vec![compute()]]).groups(r#"{"7": [0]}"#);
    one.fails(3, "the collective has no dimension to run in: its group has one member");
    let tree =
        each(&[vec![node(7)], vec![node(7)], vec![compute()], vec![compute()]]).groups(r#"{"7": [0, 1]}"#);
    tree.set("all-reduce-implementation", json!(["doubleBinaryTree"]))
        .fails(3, "doubleBinaryTree cannot run on communicator group 7");
}

#[test]
fn messages_that_the_network_cannot_carry_are_refused() {
    let pair = |send: Node, recv: Node| each(&[vec![send], vec![recv]]);
    pair(Node::send(1, "s", 1, 0, 5), Node::recv(1, "r", 0, 0, 5))
        .fails(3, "a message of 0 bytes cannot be sent");
    pair(Node::send(1, "s", 2, 8, 5), compute()).fails(3, "the network has no rank 2");
    pair(Node::send(1, "s", 1, 8, -1), Node::recv(1, "r", 0, 8, -1))
        .fails(3, "tag 4294967295 is 2^31 or more");
    everywhere(4, &[collective(AllGather, 3)])
        .fails(3, "an all-gather of 3 bytes cannot be cut into 4 chunks");
    everywhere(4, &[collective(AllGather, 0)])
        .fails(3, "an all-gather of 0 bytes cannot be cut into 4 chunks");
    let to_itself = || {
        let both = vec![Node::send(1, "s", 0, 1000, 5), Node::recv(2, "r", 0, 1000, 5)];
        each(&[both, vec![compute()]])
    };
    to_itself().fails(3, "this network cannot route a message from a rank to itself");
    to_itself().aware().fails(3, "cannot route a message from a rank to itself");
    to_itself().network(network("FullyConnected", 2)).aware().fails(3, "from a rank to itself");
    let several =
        each(&[vec![Node::send(1, "s", 0, 8, 5)], vec![compute()], vec![compute()], vec![compute()]])
            .network(
                "topology: [Ring, Ring]\nnpus_count: [2, 2]\nbandwidth: [50, 50]\nlatency: [500, 500]\n",
            );
    several.fails(3, "from a rank to itself");
    // Up to the switch and back down.
    to_itself().network(network("Switch", 2)).aware().takes(2 * 518);
}

#[test]
fn collectives_that_could_never_end_are_errors() {
    let node = || everywhere(4, &[collective(AllReduce, 1000)]);
    node().unset("preferred-dataset-splits").fails(1, "preferred-dataset-splits is 0");
    node().set("preferred-dataset-splits", json!(0)).fails(1, "preferred-dataset-splits is 0");
    node().set("active-chunks-per-dimension", json!(0)).fails(1, "active-chunks-per-dimension is 0");
    node()
        .set("all-reduce-implementation", all_reduce_with("direct0"))
        .fails(3, "direct0 has room for no message");
    node().unset("all-reduce-implementation").fails(3, "the system names no algorithm for all_reduce");
    let nowhere = with_attribute(
        collective(AllReduce, 1000),
        "involved_dim",
        Value::BoolList(BoolList { values: vec![false] }),
    );
    everywhere(4, &[nowhere]).fails(3, "involved_dim excludes all");
}

#[test]
fn algorithms_are_held_to_what_they_can_do() {
    let of = |ranks: u32, kind, key: &str, algorithm: &str| {
        everywhere(ranks, &[collective(kind, 10_000)]).set(key, all_reduce_with(algorithm))
    };
    of(4, AllToAll, "all-to-all-implementation", "halvingDoubling")
        .fails(3, "halvingDoubling cannot carry out all_to_all");
    of(6, AllReduce, "all-reduce-implementation", "halvingDoubling")
        .fails(3, "halvingDoubling needs a power of two, there are 6");
    of(6, AllReduce, "all-reduce-implementation", "doubleBinaryTree")
        .fails(3, "doubleBinaryTree needs a power of two");
    let short = of(8, AllReduce, "all-reduce-implementation", "doubleBinaryTree").network(TWO_DIMENSIONS);
    short.fails(3, "the all_reduce list has 1 algorithm(s), the network 2 dimensions");
}

#[test]
fn chunks_that_share_a_queue_can_stall_a_run() {
    let rank = |rank: u64| vec![Node::compute(1, "k", rank * 37 % 50), collective(AllReduce, 10_000_000)];
    let late = |rank_number: u64| {
        let [first, second] = <[Node; 2]>::try_from(rank(rank_number)).unwrap();
        vec![first, Node { id: 2, ..second }.after([1])]
    };
    let cube = "topology: [Ring, Ring, Ring]\nnpus_count: [3, 3, 3]\nbandwidth: [50, 50, 50]\nlatency: [500, 500, 500]\n";
    let inputs = each(&(0..27).map(late).collect::<Vec<_>>())
        .network(cube)
        .set("all-reduce-implementation", json!(["ring", "direct", "ring"]));
    let inputs = ["all-gather", "reduce-scatter", "all-to-all"].iter().fold(inputs, |inputs, kind| {
        inputs.set(&format!("{kind}-implementation"), json!(["ring", "direct", "ring"]))
    });
    inputs.fails(1, "use --num-queues-per-dim 2");
    assert_eq!(inputs.with("--num-queues-per-dim=2").run().status.code(), Some(0));
}

#[test]
fn remote_memory_is_checked_when_it_is_used() {
    let load = || everywhere(4, &[of_kind(NodeType::MemoryLoad as i32)]);
    load().fails(3, "rank 0, node 1 `k`: a memory node needs a remote memory");
    let memory = |kind: &str, bandwidth: u32, nodes: u32, npus: u32| {
        load().memory(json!({
            "memory-type": kind, "remote-mem-latency": 100, "remote-mem-bw": bandwidth,
            "num-nodes": nodes, "num-npus-per-node": npus,
        }))
    };
    memory("PER_NODE_MEMORY_EXPANSION", 3, 1, 2)
        .fails(1, "remote memory 1, but there are 1; raise num-nodes");
    memory("PER_NODE_MEMORY_EXPANSION", 3, 1, 0).fails(3, "num-npus-per-node");
    memory("MEMORY_POOL", 0, 0, 0).fails(1, "remote-mem-bw is 0");
    // The last access of a rank is where the original reads memory that it has given back.
    memory("PER_NODE_MEMORY_EXPANSION", 3, 2, 2).takes(2 * 433);
}

#[test]
fn what_the_original_cannot_report_on_is_reported() {
    let cpu = with_attribute(compute(), "is_cpu_op", Value::Bool(true));
    let output = everywhere(2, &[cpu]).run();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("sys[1] finished, 1000 cycles, exposed communication 1000 cycles.\n"),
        "{printed}"
    );
    assert!(printed.contains("sys[1], CPU time: 1000\n"), "{printed}");
    let load = everywhere(2, &[of_kind(NodeType::MemoryStore as i32)]);
    let memory =
        json!({ "memory-type": "PER_NPU_MEMORY_EXPANSION", "remote-mem-latency": 7, "remote-mem-bw": 10 });
    let printed = String::from_utf8(load.memory(memory).run().stdout).unwrap();
    assert!(printed.contains("sys[0], Remote mem time: 107\n"), "{printed}");
}

#[test]
fn a_roofline_without_a_finite_time_is_an_error() {
    let work = |ops: u64| {
        let node = with_attribute(compute(), "num_ops", Value::Uint64(ops));
        everywhere(2, &[with_attribute(node, "tensor_size", Value::Uint64(1000))])
            .set("roofline-enabled", json!(1))
            .set("peak-perf", json!(1))
    };
    work(0).fails(1, "rank 0, node 1 `k`, at 0 ns: the roofline model gives no finite time");
    // So many operations a byte are bound by the peak of 10^12 a second.
    work(1_000_000_000).takes(1_000_000);
}

#[test]
fn tracking_local_memory_asks_nothing_of_nodes() {
    everywhere(2, &[compute()]).set("track-local-mem", json!(1)).takes(1000);
}

#[test]
fn ranks_that_disagree_are_refused_before_the_run_where_it_is_certain() {
    let size = each(&[vec![Node::send(1, "s", 1, 8, 5)], vec![Node::recv(1, "r", 0, 9, 5)]]);
    size.fails(3, "with this tag it sends 8 bytes, and sizes have to be equal");
    let missing = each(&[vec![collective(AllReduce, 8)], vec![compute()]]);
    missing.fails(3, "all members have to take part");
}

#[test]
fn a_stall_ends_with_one_and_is_told_as_text_and_as_json() {
    let rank = |peer| vec![Node::recv(1, "r", peer, 8, 5), Node::send(2, "s", peer, 8, 5).after([1])];
    let both = each(&[rank(1), rank(0)]);
    both.fails(1, "error: the simulation stalled at 0 ns: 2 of 2 rank(s) never finished\n  cycle: ");
    let output = both.with("--json").run();
    let told: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["stall"]["diagnosis"]["kind"], "cycle");
    assert_eq!(told["stall"]["diagnosis"]["ranks"], json!([0, 1, 0]));
    let first = &told["stall"]["blocked"][0];
    assert_eq!(first["waits_for"]["message"], json!({ "from": 1, "size_bytes": 8, "tag": 5 }));
    assert_eq!(
        first["nearest"],
        json!({ "rank": 1, "size_bytes": 8, "tag": 5, "arrived": false, "node": 2 })
    );
}

#[test]
fn a_long_stall_takes_twenty_lines_unless_more_is_asked_for() {
    let ring_of = |ranks: i32| {
        let rank = |rank: i32| {
            let from = (rank + ranks - 1) % ranks;
            vec![Node::recv(1, "r", from, 8, 5), Node::send(2, "s", (rank + 1) % ranks, 8, 5).after([1])]
        };
        each(&(0..ranks).map(rank).collect::<Vec<_>>())
    };
    let lines = |inputs: Inputs| String::from_utf8(inputs.run().stderr).unwrap().lines().count();
    assert!(lines(ring_of(32)) <= 20);
    assert!(lines(ring_of(32).with("--verbose")) > 64);
}

/// A custom collective in which each of two ranks sends to the other.
fn exchange() -> [Vec<u8>; 2] {
    [1, 0].map(|peer| trace(&[Node::send(1, "s", peer, 1000, 3), Node::recv(2, "r", peer, 1000, 3)]))
}

fn custom(key: &str, value: Json) -> Inputs {
    let [first, second] = exchange();
    everywhere(2, &[collective(AllReduce, 1000)])
        .set("preferred-dataset-splits", json!(1))
        .set(key, value)
        .file("x.0.et", first)
        .file("x.1.et", second)
}

#[test]
fn custom_collectives_are_read_from_the_working_directory() {
    custom("all-reduce-implementation-custom", json!(["x"])).takes(518);
    custom("per-node-custom-implementation", json!("nodes.yml"))
        .file("nodes.yml", b"1: x\n".to_vec())
        .takes(518);
    let only_native =
        custom("per-node-custom-implementation", json!("nodes.yml")).file("nodes.yml", b"9: x\n".to_vec());
    only_native.takes(10 + 2 * (509 + 10));
}

#[test]
fn custom_collectives_that_cannot_run_are_explained() {
    let key = "all-reduce-implementation-custom";
    custom(key, json!(["y"])).fails(3, "y.0.et: no such file");
    custom(key, json!(["x", "y"]))
        .fails(3, "all-reduce-implementation-custom: expected a list of one trace prefix");
    custom(key, json!(["x"])).without("x.1.et").fails(1, "custom collective x has no trace for member 1");
    custom(key, json!(["x"]))
        .set("preferred-dataset-splits", json!(2))
        .fails(1, "set preferred-dataset-splits to 1");
    let alone = trace(&[Node::recv(1, "r", 1, 1000, 3)]);
    custom(key, json!(["x"])).file("x.0.et", alone.clone()).file("x.1.et", trace(&[compute()])).fails(
        1,
        "waits for 1 chunk(s) of all_reduce of 1000 bytes, collective 1 of all ranks, as member 0, next for a message \
         from rank 1 (1000 bytes, tag 3)",
    );
    let memory = trace(&[of_kind(NodeType::MemoryLoad as i32)]);
    custom(key, json!(["x"])).file("x.0.et", memory).fails(3, "x.0.et: node 1 is neither a computation");
    let far = trace(&[Node::send(4, "s", 5, 1000, 3)]);
    custom(key, json!(["x"])).file("x.0.et", far).fails(1, "node 4 of x.0.et: the network has no rank 5");
}
