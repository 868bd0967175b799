//! Simulations that are known to finish, through the whole path: nodes written, read, lowered, linted.

use std::collections::BTreeMap;

use astra_engine::{
    Algorithm, CollectiveOptimization, Dimension, GbPerSec, GibPerSec, Nanos, Network, System, Tflops,
    simulate,
};
use astra_store::et::{Attribute, Node, NodeType, Value, Writer, lower_bundle};
use astra_store::lint::{Severity, lint};
use serde_json::Value as Json;

use crate::reference::{gunzip, reference};

#[test]
fn what_astra_sim_simulates_to_the_end_has_no_lint_errors_and_takes_the_same_time() {
    let Some(path) = reference("engine/cases.jsonl.gz") else { return };
    let text = String::from_utf8(gunzip(&path)).unwrap();
    let (mut warned, mut simulated) = (0, 0);
    for (index, line) in text.lines().enumerate() {
        let case: Json = serde_json::from_str(line).unwrap();
        let network = network(&case);
        let (files, file_of_rank) = files(&case, network.ranks().unwrap());
        let workload =
            lower_bundle(case["id"].as_str().unwrap(), &files, &file_of_rank, &groups(&case)).unwrap();
        let system = system(&case["system"]);
        let findings = lint(&network, &system, &workload);
        let error = findings.iter().find(|f| f.severity == Severity::Error);
        assert!(error.is_none(), "{}: {}", case["id"], error.unwrap());
        warned += u32::from(!findings.is_empty());
        // The engine's own tests run them all; command line options are not what is tested here.
        if index % 10 == 0 && case.get("args").is_none() {
            let report = simulate(&network, &system, &workload).unwrap();
            let found: Vec<_> = report.ranks.iter().map(|rank| rank.finish.0).collect();
            assert_eq!(found, finish_times(&case["expect"]["finish"], found.len()), "{}", case["id"]);
            simulated += 1;
        }
    }
    println!("{} cases, {warned} with warnings, {simulated} simulated", text.lines().count());
    assert_eq!(text.lines().count(), 1185);
}

/// One number stands for all ranks.
fn finish_times(expected: &Json, ranks: usize) -> Vec<u64> {
    match expected.as_array() {
        Some(times) => times.iter().map(|time| time.as_u64().unwrap()).collect(),
        None => vec![expected.as_u64().unwrap(); ranks],
    }
}

fn network(case: &Json) -> Network {
    let spec = &case["network"];
    let dimension = |index: usize| Dimension {
        topology: spec["topology"][index].as_str().unwrap().parse().unwrap(),
        npus: spec["npus_count"][index].as_u64().unwrap() as u32,
        bandwidth: GibPerSec(spec["bandwidth"][index].as_f64().unwrap()),
        latency_ns: spec["latency"][index].as_f64().unwrap(),
    };
    Network::new(
        case["network_model"].as_str().unwrap().parse().unwrap(),
        (0..spec["topology"].as_array().unwrap().len()).map(dimension).collect(),
    )
}

fn system(spec: &Json) -> System {
    let list = |key: &str| -> Vec<Algorithm> {
        let names = spec[key].as_array().into_iter().flatten();
        names.map(|name| name.as_str().unwrap().parse().unwrap()).collect()
    };
    let number = |key: &str, default: u64| spec[key].as_u64().unwrap_or(default);
    let optimization = match spec["collective-optimization"].as_str() {
        Some("localBWAware") => CollectiveOptimization::LocalBwAware,
        _ => CollectiveOptimization::Baseline,
    };
    System {
        collective_optimization: optimization,
        endpoint_delay: Nanos(number("endpoint-delay", 10)),
        preferred_dataset_splits: number("preferred-dataset-splits", 0) as u32,
        active_chunks_per_dimension: number("active-chunks-per-dimension", 1) as u32,
        local_mem_bw: GbPerSec(spec["local-mem-bw"].as_f64().unwrap_or(0.0)),
        peak_perf: Tflops(spec["peak-perf"].as_f64().unwrap_or(0.0)),
        roofline_enabled: number("roofline-enabled", 0) != 0,
        replay_only: number("replay-only", 0) != 0,
        all_reduce: list("all-reduce-implementation"),
        all_gather: list("all-gather-implementation"),
        reduce_scatter: list("reduce-scatter-implementation"),
        all_to_all: list("all-to-all-implementation"),
        ..System::default()
    }
}

fn groups(case: &Json) -> BTreeMap<u32, Vec<u32>> {
    let members =
        |ranks: &Json| ranks.as_array().unwrap().iter().map(|r| r.as_u64().unwrap() as u32).collect();
    let groups = case["comm_groups"].as_object().into_iter().flatten();
    groups.map(|(id, ranks)| (id.parse().unwrap(), members(ranks))).collect()
}

fn files(case: &Json, ranks: u32) -> (Vec<Vec<u8>>, Vec<u32>) {
    match case.get("all_ranks") {
        Some(nodes) => (vec![file(nodes)], vec![0; ranks as usize]),
        None => (case["ranks"].as_array().unwrap().iter().map(file).collect(), (0..ranks).collect()),
    }
}

fn file(nodes: &Json) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    nodes.as_array().unwrap().iter().for_each(|spec| writer.node(&node(spec)).unwrap());
    writer.finish().unwrap()
}

fn node(spec: &Json) -> Node {
    let kind = match spec["type"].as_str().unwrap() {
        "comp" => NodeType::Compute,
        "send" => NodeType::Send,
        "recv" => NodeType::Recv,
        "coll" => NodeType::Collective,
        other => panic!("node type {other}"),
    };
    let deps =
        |key: &str| spec[key].as_array().into_iter().flatten().map(|id| id.as_u64().unwrap()).collect();
    let attributes = spec["attr"].as_object().into_iter().flatten();
    Node {
        id: spec["id"].as_u64().unwrap(),
        name: spec["name"].as_str().unwrap_or_default().to_owned(),
        kind: kind as i32,
        control_deps: deps("ctrl_deps"),
        data_deps: deps("data_deps"),
        duration_micros: spec["dur_us"].as_u64().unwrap_or(0),
        attributes: attributes.map(|(name, spec)| Attribute::new(name, value(spec))).collect(),
        ..Node::default()
    }
}

fn value(spec: &Json) -> Value {
    match spec {
        Json::Bool(flag) => Value::Bool(*flag),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => Value::Int64(number.as_i64().unwrap()),
        Json::Object(fields) => {
            let (field, value) = fields.iter().next().unwrap();
            match field.as_str() {
                "int64_val" => Value::Int64(value.as_i64().unwrap()),
                "int32_val" => Value::Int32(value.as_i64().unwrap() as i32),
                "uint64_val" => Value::Uint64(value.as_u64().unwrap()),
                "uint32_val" => Value::Uint32(value.as_u64().unwrap() as u32),
                "bool_list" => {
                    let flags = value["values"].as_array().or(value.as_array()).unwrap();
                    let values = flags.iter().map(|flag| flag.as_bool().unwrap()).collect();
                    Value::BoolList(astra_store::et::schema::BoolList { values })
                }
                other => panic!("attribute field {other}: {value}"),
            }
        }
        other => panic!("attribute {other}"),
    }
}
