//! Converted graphs run to the end: what a trace cannot show is whether its ranks wait for each other for ever.

use astra_engine::{
    Algorithm, Dimension, GibPerSec, Network, NetworkModel, System, Topology, Workload, simulate,
};
use astra_store::et::graph::{ConvertOptions, Converted, Graph, Mends, convert};
use astra_store::et::lower_bundle;
use astra_store::lint::{Severity, lint};
use proptest::prelude::*;
use serde_json::Value as Json;

use crate::neutral::to_graph;
use crate::recorded::recorded;
use crate::small::{ONE, all_reduce, compute, graph, join, parse, transfer};

fn lowered(converted: &Converted) -> Workload {
    let bundle = &converted.bundle;
    lower_bundle("graph", &bundle.files, &bundle.file_of_rank, &converted.groups).unwrap()
}

/// Simulates on a ring; the time of the last rank. `None` when ranks that a collective needs do not take part, or are not
/// in the graph, which is the graph's own fault.
fn run(name: &str, converted: &Converted) -> Option<u64> {
    let npus = converted.bundle.ranks();
    let ring = Dimension { topology: Topology::Ring, npus, bandwidth: GibPerSec(50.0), latency_ns: 500.0 };
    let network = Network::new(NetworkModel::CongestionUnaware, vec![ring]);
    let workload = lowered(converted);
    let ring = || vec![Algorithm::Ring];
    let system = System {
        all_reduce: ring(),
        all_gather: ring(),
        reduce_scatter: ring(),
        all_to_all: ring(),
        preferred_dataset_splits: 1,
        ..System::default()
    };
    let findings = lint(&network, &system, &workload);
    if let Some(error) = findings.iter().find(|finding| finding.severity == Severity::Error) {
        let text = error.to_string();
        let own_fault = ["all members have to take part", "its group has one member"];
        assert!(own_fault.iter().any(|fault| text.contains(fault)), "{name}: {text}");
        return None;
    }
    let report = simulate(&network, &system, &workload).unwrap_or_else(|e| panic!("{name}: {e}"));
    report.ranks.iter().map(|rank| rank.finish.0).max()
}

#[test]
fn the_example_of_the_documentation_runs() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/graph-format.md")).unwrap();
    let example = page.split("```json").nth(1).unwrap().split("```").next().unwrap();
    let converted =
        convert(&Graph::parse(example.as_bytes(), "example").unwrap(), &ConvertOptions::default(), ONE)
            .unwrap();
    assert_eq!((converted.bundle.ranks(), &converted.notices[..]), (8, &[][..]));
    // 107 us, an all-reduce of 4 MiB among two, a transfer of 2 MiB, and 601 us.
    let time = run("example", &converted).unwrap();
    assert!((750_000..1_000_000).contains(&time), "{time}");
}

#[test]
fn mended_conversions_of_deepflow_s_graphs_finish() {
    let all = recorded();
    if all.is_empty() {
        return;
    }
    let (mut finished, mut later, mut refused, mut incomplete) = (0, 0, Vec::new(), Vec::new());
    for case in &all {
        let parsed = parse(&to_graph(&case.graph));
        let convert =
            |options: &ConvertOptions| parsed.clone().and_then(|graph| convert(&graph, options, ONE));
        let Ok(mended) = convert(&ConvertOptions::default()) else {
            refused.push(case.name.as_str());
            continue;
        };
        let Some(time) = run(&case.name, &mended) else {
            incomplete.push(case.name.as_str());
            continue;
        };
        finished += 1;
        if case.error.is_none() {
            let faithful = run(&case.name, &convert(&ConvertOptions::FAITHFUL).unwrap()).unwrap();
            later += u32::from(time > faithful);
        }
    }
    println!("{finished} finish, {later} of them later than as DeepFlow converts them");
    println!("refused: {refused:?}; in which ranks miss a collective: {incomplete:?}");
    let wrong = [
        "u16b_profile_wrong_len",
        "u19_unknown_kind",
        "u20_cycle",
        "u22_axis_absent",
        "u22b_no_layout",
        "u32_no_compute",
        "u33_coll_without_neighbours",
    ];
    assert_eq!(refused, wrong);
    assert_eq!(incomplete, ["u13_coll_then_pipe", "u23_coll_cross_stage", "u35_zero_size_coll"]);
    assert_eq!((finished, later), (67, 11));
}

fn node(position: u32, (what, before, hw): (u8, u8, u32)) -> Json {
    let parents: Vec<u32> = (0..4)
        .filter(|bit| before & (1 << bit) != 0)
        .filter_map(|bit| position.checked_sub(bit + 1))
        .collect();
    match what {
        0..3 => compute("c", hw, &parents),
        3 => all_reduce("g", "dp", hw, &parents),
        4..6 => transfer("x", u64::from(hw) * 64, &parents),
        _ => join("j", &parents),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_of_one_stage_collectives_finishes(
        choices in prop::collection::vec((0..8_u8, 0..16_u8, 0..4_u32), 1..60),
        replicas in 1..3_u32,
    ) {
        let mut nodes = vec![compute("c", 0, &[])];
        nodes.extend((1..).zip(choices).map(|(position, choice)| node(position, choice)));
        let parsed = parse(&graph(replicas, nodes)).unwrap();
        let converted = convert(&parsed, &ConvertOptions::default(), ONE).unwrap();
        prop_assert!(run("random", &converted).is_some());
        let unmended = ConvertOptions { mends: Mends::NONE, ..ConvertOptions::default() };
        if let Ok(converted) = convert(&parsed, &unmended, ONE) {
            lowered(&converted);
        }
    }
}
