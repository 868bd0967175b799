//! Reads a recorded simulator case: the inputs of the engine and the figures to compare with.

use astra_engine::{
    Bytes, CollectiveOptimization, CollectiveType, Dialect, Dimension, FaultyLink, GbPerSec, GibPerSec,
    GroupId, InvolvedDims, Micros, Nanos, Network, Node, NodeKind, Rank, System, Tflops, Trace, TraceBuilder,
    Work, Workload,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// One recorded run.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) network: Network,
    pub(crate) system: System,
    pub(crate) workload: Workload,
    /// `expect` of the record.
    pub(crate) expected: Value,
}

/// A value of a record by key, where the record must have it.
fn get<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or_else(|| panic!("no `{key}` in {value}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    get(value, key).as_str().unwrap_or_else(|| panic!("`{key}` is no text in {value}"))
}

fn number(value: &Value, key: &str) -> u64 {
    get(value, key).as_u64().unwrap_or_else(|| panic!("`{key}` is no count in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    get(value, key).as_array().unwrap_or_else(|| panic!("`{key}` is no list in {value}"))
}

impl Case {
    pub(crate) fn parse(line: &str) -> Self {
        let record: Value = serde_json::from_str(line).unwrap();
        let network = network(&record);
        let ranks = network.ranks().unwrap();
        Self {
            id: text(&record, "id").to_owned(),
            system: system(&record),
            workload: workload(&record, ranks),
            expected: get(&record, "expect").clone(),
            network,
        }
    }

    /// The family of a case is what its id begins with.
    pub(crate) fn family(&self) -> &str {
        self.id.split('-').next().unwrap()
    }
}

fn network(record: &Value) -> Network {
    let network = get(record, "network");
    let dimensions = list(network, "topology").iter().enumerate().map(|(index, topology)| Dimension {
        topology: topology.as_str().unwrap().parse().unwrap(),
        npus: list(network, "npus_count")[index].as_u64().unwrap() as u32,
        bandwidth: GibPerSec(list(network, "bandwidth")[index].as_f64().unwrap()),
        latency_ns: list(network, "latency")[index].as_f64().unwrap(),
    });
    let faulty_links = network.get("faulty_links").and_then(Value::as_array).into_iter().flatten();
    let faulty_links = faulty_links.map(|link| FaultyLink {
        src: link[0].as_u64().unwrap() as u32,
        dst: link[1].as_u64().unwrap() as u32,
        health: link[2].as_f64().unwrap(),
    });
    Network {
        faulty_links: faulty_links.collect(),
        non_recursive_from: network.get("non_recursive_from").map(|from| from.as_u64().unwrap() as u32),
        ..Network::new(text(record, "network_model").parse().unwrap(), dimensions.collect())
    }
}

fn system(record: &Value) -> System {
    let system = get(record, "system");
    let argument = |name: &str| record.get("args").and_then(|arguments| arguments.get(name));
    let algorithms =
        |key: &str| list(system, key).iter().map(|name| name.as_str().unwrap().parse().unwrap()).collect();
    let scale = argument("injection-scale").map_or(1.0, as_f64);
    System {
        dialect: record
            .get("dialect")
            .map_or(Dialect::AstraSim, |name| name.as_str().unwrap().parse().unwrap()),
        collective_optimization: text(system, "collective-optimization")
            .parse::<CollectiveOptimization>()
            .unwrap(),
        endpoint_delay: Nanos((number(system, "endpoint-delay") as f64 * scale) as u64),
        preferred_dataset_splits: number(system, "preferred-dataset-splits") as u32,
        active_chunks_per_dimension: number(system, "active-chunks-per-dimension") as u32,
        queues_per_dimension: argument("num-queues-per-dim").map_or(1, |queues| as_f64(queues) as u32),
        local_mem_bw: GbPerSec(as_f64(get(system, "local-mem-bw"))),
        peak_perf: Tflops(as_f64(get(system, "peak-perf"))),
        roofline_enabled: number(system, "roofline-enabled") != 0,
        rendezvous: argument("rendezvous-protocol").is_some_and(|on| on == true || on == "true"),
        all_reduce: algorithms("all-reduce-implementation"),
        all_gather: algorithms("all-gather-implementation"),
        reduce_scatter: algorithms("reduce-scatter-implementation"),
        all_to_all: algorithms("all-to-all-implementation"),
        ..System::default()
    }
}

fn as_f64(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

fn workload(record: &Value, ranks: u32) -> Workload {
    let mut groups = BTreeMap::new();
    if let Some(found) = record.get("comm_groups") {
        for (id, members) in found.as_object().unwrap() {
            let members = members.as_array().unwrap().iter().map(|rank| Rank(rank.as_u64().unwrap() as u32));
            groups.insert(GroupId::new(id.parse().unwrap()).unwrap(), members.collect());
        }
    }
    let workload = match record.get("all_ranks") {
        Some(nodes) => Workload::uniform(trace(nodes), ranks),
        None => {
            let traces = list(record, "ranks").iter().map(trace).collect();
            Workload { traces, trace_of_rank: (0..ranks).collect(), groups: BTreeMap::new() }
        }
    };
    Workload { groups, ..workload }
}

fn trace(nodes: &Value) -> Trace {
    let mut builder = TraceBuilder::new();
    for record in nodes.as_array().unwrap() {
        let dependencies: Vec<u64> = ["data_deps", "ctrl_deps"]
            .iter()
            .filter_map(|key| record.get(key))
            .flat_map(|ids| ids.as_array().unwrap())
            .map(|id| id.as_u64().unwrap())
            .collect();
        builder.push(number(record, "id"), text(record, "name"), node(record), &dependencies);
    }
    builder.build().unwrap()
}

fn node(record: &Value) -> Node {
    // An attribute is a plain value or an object of one value under the name of its field.
    let attribute = |name: &str| {
        let value = record.get("attr")?.get(name)?;
        Some(value.as_object().map_or(value, |kinds| kinds.values().next().unwrap()))
    };
    let count = |name: &str| attribute(name).and_then(Value::as_u64);
    let size = || Bytes(count("comm_size").unwrap());
    let tag = || count("comm_tag").unwrap() as u32;
    let rank = |name: &str| Rank(count(name).unwrap() as u32);
    let kind = match text(record, "type") {
        "comp" => NodeKind::Compute {
            work: count("num_ops")
                .zip(count("tensor_size"))
                .map(|(ops, bytes)| Work { ops, bytes: Bytes(bytes) }),
        },
        "coll" => NodeKind::Collective {
            collective: CollectiveType::from_chakra(count("comm_type").unwrap()).unwrap(),
            size: size(),
            group: attribute("pg_name").and_then(|name| GroupId::new(name.as_str()?.parse().ok()?)),
            involved: attribute("involved_dim").map_or_else(InvolvedDims::default, |flags| {
                let flags: Vec<bool> =
                    flags.as_array().unwrap().iter().map(|flag| flag.as_bool().unwrap()).collect();
                InvolvedDims::from_flags(&flags)
            }),
        },
        "send" => NodeKind::Send { to: rank("comm_dst"), size: size(), tag: tag() },
        "recv" => NodeKind::Recv { from: rank("comm_src"), size: size(), tag: tag() },
        other => panic!("node type {other}"),
    };
    Node {
        kind,
        cpu: attribute("is_cpu_op").is_some_and(|on| on == true),
        duration: Micros(record.get("dur_us").and_then(Value::as_u64).unwrap_or(0)),
    }
}
