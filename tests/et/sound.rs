//! Bundles in which nothing is wrong: the lint says nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use astra_engine::{Algorithm, Dimension, GibPerSec, Network, NetworkModel, System, Topology, simulate};
use astra_store::et::{Attribute, Node, NodeType, Value, stat};
use astra_store::lint::{Linted, Rule, Severity, lint, lint_files};
use serde_json::Value as Json;

use crate::bundle::{Chance, TestBundle, errors, file, told};
use crate::reference::{gunzip, reference};

fn ring(npus: u32) -> Network {
    let dimension =
        Dimension { topology: Topology::Ring, npus, bandwidth: GibPerSec(50.0), latency_ns: 500.0 };
    Network::new(NetworkModel::CongestionUnaware, vec![dimension])
}

fn system(splits: u32) -> System {
    let list = vec![Algorithm::Ring];
    System {
        preferred_dataset_splits: splits,
        all_reduce: list.clone(),
        all_gather: list.clone(),
        reduce_scatter: list.clone(),
        all_to_all: list,
        ..System::default()
    }
}

#[test]
fn nothing_is_said_of_five_hundred_sound_bundles_all_of_which_run_to_the_end() {
    for seed in 0..500 {
        let mut chance = Chance::new(seed);
        let sound = TestBundle::sound(&mut chance);
        // In half of them neither ids nor files have the order of the dependencies.
        let bundle = if seed % 2 == 0 { sound } else { sound.renumbered(&mut chance) };
        let files = bundle.files();
        let file_of_rank: Vec<u32> = (0..files.len() as u32).collect();
        let linted = lint_files("w", &files, &file_of_rank, &bundle.engine_groups());
        let Linted { workload: Some(workload), findings } = linted else { panic!("seed {seed}") };
        assert!(findings.is_empty(), "seed {seed}: {}", told(&findings));
        let findings = bundle.lint();
        assert!(findings.is_empty(), "seed {seed}: {}", told(&findings));
        let (network, system) = (ring(files.len() as u32), system(1 + (seed % 3) as u32));
        let findings = lint(&network, &system, &workload);
        assert!(findings.is_empty(), "seed {seed}: {}", told(&findings));
        simulate(&network, &system, &workload).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

#[test]
fn the_critical_path_is_no_longer_than_any_simulation_and_no_shorter_than_that_of_a_rank() {
    let mut longer_than_all_ranks = 0;
    for seed in 0..200 {
        let mut chance = Chance::new(seed);
        let bundle = TestBundle::sound(&mut chance).renumbered(&mut chance);
        let files = bundle.files();
        let file_of_rank: Vec<u32> = (0..files.len() as u32).collect();
        let linted = lint_files("w", &files, &file_of_rank, &bundle.engine_groups());
        let workload = linted.workload.unwrap();
        let report = simulate(&ring(files.len() as u32), &system(1), &workload).unwrap();
        let stat = stat(&workload);
        let through_all = stat.critical.unwrap().duration_us;
        let of_ranks = stat.ranks.iter().map(|rank| rank.critical.duration_us).max().unwrap();
        let simulated = report.ranks.iter().map(|rank| rank.finish.0).max().unwrap();
        assert!(of_ranks <= through_all, "seed {seed}: {of_ranks} us, {through_all} us");
        assert!(through_all * 1000 <= simulated, "seed {seed}: {through_all} us, simulated {simulated} ns");
        longer_than_all_ranks += u32::from(of_ranks < through_all);
    }
    assert!(longer_than_all_ranks > 50, "messages and collectives matter in {longer_than_all_ranks} only");
}

#[test]
fn what_runs_to_the_end_has_no_errors_however_loosely_it_is_ordered() {
    let (mut finished, mut stalled) = (0, 0);
    for seed in 0..500 {
        let mut chance = Chance::new(seed);
        let mut bundle = TestBundle::sound(&mut chance);
        // Some nodes no longer wait for the one before.
        for node in bundle.ranks.iter_mut().flatten() {
            if chance.below(20) == 0 {
                node.control_deps.clear();
            }
        }
        let files = bundle.files();
        let file_of_rank: Vec<u32> = (0..files.len() as u32).collect();
        let linted = lint_files("w", &files, &file_of_rank, &bundle.engine_groups());
        let workload = linted.workload.unwrap();
        let (network, system) = (ring(files.len() as u32), system(2));
        if simulate(&network, &system, &workload).is_ok() {
            let findings = errors(&lint(&network, &system, &workload));
            assert!(findings.is_empty(), "seed {seed}: {}", told(&findings));
            finished += 1;
        } else {
            stalled += 1;
        }
    }
    println!("{finished} finished, {stalled} stalled");
    assert!(finished > 100 && stalled > 100, "{finished} finished, {stalled} stalled");
}

#[test]
fn what_stalls_after_two_nodes_of_a_rank_changed_places_is_foreseen() {
    let (mut foreseen, mut finished) = (0, 0);
    for seed in 0..500 {
        let mut chance = Chance::new(seed);
        let mut bundle = TestBundle::sound(&mut chance);
        let rank = chance.below(bundle.ranks.len());
        let nodes = bundle.ranks[rank].len();
        let (one, other) = (chance.below(nodes), chance.below(nodes));
        bundle.ranks[rank].swap(one, other);
        bundle.chain();
        let files = bundle.files();
        let file_of_rank: Vec<u32> = (0..files.len() as u32).collect();
        let workload = lint_files("w", &files, &file_of_rank, &bundle.engine_groups()).workload.unwrap();
        let (network, system) = (ring(files.len() as u32), system(2));
        let findings = errors(&lint(&network, &system, &workload));
        let stalled = simulate(&network, &system, &workload).is_err();
        // Different collectives of as many messages may pair, and give the time of neither.
        let mixed_up = findings.iter().any(|finding| finding.rule == Rule::CollectivesOrder);
        assert!(mixed_up || stalled != findings.is_empty(), "seed {seed}: {}", told(&findings));
        foreseen += u32::from(stalled);
        finished += u32::from(!stalled);
    }
    println!("{foreseen} stalls foreseen, {finished} finished");
    assert!(foreseen > 50 && finished > 50, "{foreseen} stalls foreseen, {finished} finished");
}

#[test]
fn there_are_at_most_notes_about_what_deepflow_makes_of_training_graphs() {
    let Some(directory) = reference("deepflow/graphs") else { return };
    let (mut bundles, mut nodes) = (0, 0);
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let graph: Json = serde_json::from_slice(&gunzip(&path)).unwrap();
        for run in graph["runs"].as_array().into_iter().flatten() {
            let Some(ranks) = run["et"].as_object() else { continue };
            let mut by_rank: BTreeMap<u32, Arc<[u8]>> = BTreeMap::new();
            for (rank, trace) in ranks {
                let list: Vec<Node> = trace["nodes"].as_array().unwrap().iter().map(node).collect();
                nodes += list.len();
                by_rank.insert(rank.parse().unwrap(), file(&list).into());
            }
            let files: Vec<Arc<[u8]>> = by_rank.into_values().collect();
            let bundle = TestBundle { ranks: Vec::new(), groups: groups(&run["comm_groups"]) };
            let mut findings = bundle.lint_files(&files);
            findings.retain(|finding| finding.severity > Severity::Note);
            assert!(findings.is_empty(), "{}: {}", path.display(), told(&findings));
            bundles += 1;
        }
    }
    println!("{bundles} bundles of {nodes} nodes");
    assert!(bundles >= 20, "{bundles} bundles");
}

fn groups(json: &Json) -> BTreeMap<u32, Vec<u32>> {
    let members =
        |ranks: &Json| ranks.as_array().unwrap().iter().map(|r| r.as_u64().unwrap() as u32).collect();
    json.as_object().into_iter().flatten().map(|(id, ranks)| (id.parse().unwrap(), members(ranks))).collect()
}

/// `[id, name, type, microseconds, dependencies, {attribute: [kind, value]}]`.
fn node(json: &Json) -> Node {
    let kind = match json[2].as_str().unwrap() {
        "COMP_NODE" => NodeType::Compute,
        "COMM_SEND_NODE" => NodeType::Send,
        "COMM_RECV_NODE" => NodeType::Recv,
        "COMM_COLL_NODE" => NodeType::Collective,
        other => panic!("{other}"),
    };
    let value = |json: &Json| match json[0].as_str().unwrap() {
        "int64_val" => Value::Int64(json[1].as_i64().unwrap()),
        "int32_val" => Value::Int32(json[1].as_i64().unwrap() as i32),
        "bool_val" => Value::Bool(json[1].as_bool().unwrap()),
        "string_val" => Value::String(json[1].as_str().unwrap().to_owned()),
        other => panic!("{other}"),
    };
    Node {
        id: json[0].as_u64().unwrap(),
        name: json[1].as_str().unwrap().to_owned(),
        kind: kind as i32,
        duration_micros: json[3].as_u64().unwrap(),
        control_deps: json[4].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect(),
        attributes: json[5]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, v)| Attribute::new(name, value(v)))
            .collect(),
        ..Node::default()
    }
}
