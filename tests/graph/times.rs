//! Graphs built as recipes, from hardware file to time, against the configuration files that DeepFlow wrote for the same
//! graphs and the times its simulators gave for them.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use artifact_store::{Options, Store};
use astra_store::exec::{BuildOptions, Outcome, build, materialise};
use astra_store::recipe::Recipe;
use astra_store::steps::PluginPath;
use serde_json::{Value as Json, json};

use crate::neutral::to_graph;
use crate::recorded::{Recorded, recorded, reference};

/// The dialects, and the simulator of the reference whose times each reproduces.
const DIALECTS: [(&str, &str); 2] =
    [("deepflow", "fork_32bec13_net2560208"), ("astra-sim", "upstream_518bd51")];

/// What was compared.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Runs whose network and system file are DeepFlow's.
    configs: usize,
    /// For each dialect: runs with the recorded time of every rank.
    times: [usize; 2],
    /// For each dialect: runs that the recorded simulator gave up at once, all of several dimensions, which it has only
    /// without congestion. They have to finish here.
    given_up: [usize; 2],
    /// For each dialect: runs with faulty links, which the recorded simulator does not read: it gave the times of the run
    /// without them, which is another one of the reference. Here they have to cost time.
    faults_unread: [usize; 2],
}

/// Writes hardware, graph and recipe of a recorded run, and builds the recipe.
fn built(store: &Store, directory: &Path, case: &Recorded, dialect: &str) -> Outcome {
    let mut recipe = json!({
        "recipe": 1,
        "name": format!("{}-{dialect}", case.name.replace(['[', ']'], "-")),
        "hw": "hardware.yaml",
        "workload": { "kind": "graph", "graph": "graph.json", "convert": "faithful", "manifest": "df" },
        "engine": { "dialect": dialect },
    });
    let faults = &case.run["config_call"]["faulty_links_override"];
    if case.hardware.contains("faulty_links") && !faults.is_null() {
        recipe["sweep"] = json!({ "cases": [{ "name": "projected", "hw.network.faulty_links": faults }] });
    }
    std::fs::create_dir_all(directory).unwrap();
    for (name, text) in [
        ("hardware.yaml", case.hardware.clone()),
        ("graph.json", to_graph(&case.graph).to_string()),
        ("recipe.json", recipe.to_string()),
    ] {
        std::fs::write(directory.join(name), text).unwrap();
    }
    let recipe = Recipe::load(&directory.join("recipe.json")).unwrap();
    let options = BuildOptions {
        watcher: None,
        jobs: 2,
        dry_run: false,
        keep_going: true,
        explain: false,
        lint: false,
        plugins: &PluginPath::default(),
        policy_in_process: false,
        upstream: None,
        cancel: &AtomicBool::new(false),
    };
    let outcome = build(store, &recipe, &options, &mut |_| ()).unwrap();
    assert_eq!(outcome.points.len(), 1);
    materialise(store, &recipe, &outcome, &directory.join("files")).unwrap();
    outcome
}

fn json_file(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn compare_configs(case: &Recorded, files: &Path) {
    let (name, run) = (&case.name, &case.run);
    let network = std::fs::read_to_string(files.join(run["network_file"].as_str().unwrap()));
    assert_eq!(network.unwrap(), run["network_yaml"].as_str().unwrap(), "{name}");
    let system_file = run["network_file"].as_str().unwrap();
    let system_file = system_file.replace("network_analytical", "system_native_collectives");
    let system_file = system_file.replace(".yml", ".json");
    assert_eq!(json_file(&files.join(system_file)), run["system_json"], "{name}");
}

#[test]
fn recipes_of_graphs_give_deepflow_s_files_and_times() {
    let Some(times) = reference("sim_times.json") else { return };
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("store"), &Options::default()).unwrap();
    let mut counts = Counts::default();
    for case in recorded().iter().filter(|case| case.error.is_none() && !case.hardware.is_empty()) {
        let recorded = &times["runs"][case.name.replace('[', "/").replace(']', "")];
        for (index, (dialect, simulator)) in DIALECTS.iter().enumerate() {
            let what = format!("{} in dialect {dialect}", case.name);
            let beside = directory.path().join(format!("{}-{dialect}", case.name));
            let outcome = built(&store, &beside, case, dialect);
            if *dialect == "deepflow" {
                compare_configs(case, &beside.join("files"));
                counts.configs += 1;
            }
            if let Some(error) = &outcome.points[0].error {
                panic!("{what}: {error}");
            }
            let result = json_file(&beside.join("files/result.json"));
            let recorded = &recorded[simulator];
            if recorded["complete"] != true {
                assert_ne!(recorded["rc"], 0, "{what}: a stall, which has to be one here too");
                counts.given_up[index] += 1;
            } else if *dialect == "astra-sim" && case.run["network_yaml"].as_str().unwrap().contains("faulty")
            {
                let last = recorded["wall_ns"].as_array().unwrap().iter().filter_map(Json::as_u64).max();
                assert!(result["finish_ns"].as_u64() > last, "{what}");
                counts.faults_unread[index] += 1;
            } else {
                assert_eq!(result["rank_finish_ns"], recorded["wall_ns"], "{what}");
                counts.times[index] += 1;
            }
        }
    }
    println!("{counts:#?}");
    assert_eq!(counts, Counts { configs: 30, times: [30, 20], given_up: [0, 8], faults_unread: [0, 2] });
}
