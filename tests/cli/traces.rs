//! Bundles that are there already, edits of traces, and the lint, through the command.

use std::io::Write as _;

use astra_engine::CollectiveType;
use astra_store::et::{Metadata, Node, Writer};

use crate::sandbox::{Build, Sandbox};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, with};

fn trace(nodes: &[Node]) -> Vec<u8> {
    Writer::file(&Metadata { version: "0.0.4".into(), ..Metadata::default() }, nodes)
}

fn all_reduce(id: u64, group: Option<u32>) -> Node {
    Node::collective(id, "sum", CollectiveType::AllReduce, 1 << 20, group)
}

/// A rank that computes for 5 us and then takes part in an all-reduce of 1 MiB.
pub(crate) fn work(group: Option<u32>) -> Vec<Node> {
    vec![Node::compute(0, "mul", 5), all_reduce(1, group).after([0])]
}

/// [`ONE_ALL_REDUCE`] with another workload.
fn recipe(workload: &str) -> String {
    let one = r#"{ "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" }"#;
    with(ONE_ALL_REDUCE, one, workload)
}

const EXISTING: &str = r#"{ "kind": "et", "traces": "et/w", "ranks": 4 }"#;

/// A sandbox with the ring, a recipe of existing traces, and the same trace for each of four ranks.
pub(crate) fn existing(nodes: &[Node], workload: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", recipe(workload));
    (0..4).for_each(|rank| sandbox.write(&format!("et/w.{rank}.et"), trace(nodes)));
    sandbox
}

fn finish(build: &Build) -> u64 {
    build.finish_of("one-all-reduce")
}

/// Four traces that end for none of the ranks, and not without a finding: only rank 0 takes part in what is for all.
pub(crate) fn write_lonely(sandbox: &Sandbox, prefix: &str) {
    for rank in 0..4 {
        let nodes = if rank == 0 { work(None) } else { vec![Node::compute(0, "alone", 1)] };
        sandbox.write(&format!("{prefix}.{rank}.et"), trace(&nodes));
    }
}

#[test]
fn existing_traces_are_simulated_like_those_that_are_made() {
    let sandbox = existing(&[all_reduce(0, None)], EXISTING);
    assert_eq!(finish(&sandbox.build("")), 43_000);
    let again = sandbox.build("");
    assert_eq!((again.steps.executed, finish(&again)), (0, 43_000));
    // By directory, and with the file that the names lead to compressed, the traces are the same.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&sandbox.bytes("et/w.2.et")).unwrap();
    sandbox.write("et/w.2.et", encoder.finish().unwrap());
    sandbox.write("recipe.json", recipe(&EXISTING.replace("et/w", "et")));
    let build = sandbox.build("");
    assert_eq!((build.executed().get("et"), build.executed().get("run")), (Some(&1), None));
    let out = sandbox.build("--out out");
    assert_eq!(finish(&out), 43_000);
    let dumped = sandbox.files("out").into_iter().find(|(name, _)| name.ends_with("trace.2.et")).unwrap();
    assert_eq!(dumped.1, trace(&[all_reduce(0, None)]));
}

#[test]
fn groups_of_existing_traces_are_read_and_written() {
    let workload = r#"{ "kind": "et", "traces": "et", "groups": "groups.json", "ranks": 4 }"#;
    let sandbox = existing(&work(Some(1)), workload);
    sandbox.write("groups.json", r#"{"1": [3, 2, 1, 0]}"#);
    let build = sandbox.build("--out out");
    assert_eq!(finish(&build), 48_000);
    let groups =
        sandbox.files("out").into_iter().find(|(name, _)| name.ends_with("comm_groups.json")).unwrap();
    assert_eq!(groups.1, b"{\n  \"1\": [\n    3,\n    2,\n    1,\n    0\n  ]\n}");
    // What a file looks like is not what it says.
    sandbox.write("groups.json", "{ \"1\": [3,2,1,0] }\n");
    assert_eq!(sandbox.build("").executed().get("run"), None);
    sandbox.write("groups.json", r#"{"1": [0, 1]}"#);
    sandbox.run("build recipe.json").exits(3).says(&["rank 2, node 1 `sum`: the rank is not a member of"]);
    sandbox.write("recipe.json", recipe(&EXISTING.replace("et/w", "et")));
    sandbox
        .run("build recipe.json")
        .exits(3)
        .says(&["communicator group 1 is not defined", "in `workload.groups`"]);
}

#[test]
fn traces_that_are_not_there_are_named() {
    let sandbox = existing(&work(None), EXISTING);
    std::fs::remove_file(sandbox.path("et/w.1.et")).unwrap();
    sandbox
        .run("build recipe.json")
        .exits(3)
        .says(&["et/w: no trace of rank 1; the last there is is of rank 3"]);
    std::fs::remove_file(sandbox.path("et/w.2.et")).unwrap();
    std::fs::remove_file(sandbox.path("et/w.3.et")).unwrap();
    let says = ["recipe.json: workload.ranks: 4 ranks, but there are traces of 1", "hint: write 1"];
    sandbox.run("build recipe.json").exits(3).says(&says);
    sandbox.run("validate recipe.json").exits(3).says(&says);
    sandbox.write("recipe.json", recipe(&EXISTING.replace("et/w", "et/v")));
    sandbox.run("build recipe.json").exits(3).says(&["there is no trace called v.0.et", "did you mean `w`?"]);
}

#[test]
fn a_change_of_one_rank_is_a_change_of_the_traces() {
    let sandbox = existing(&work(None), EXISTING);
    assert_eq!(finish(&sandbox.build("")), 48_000);
    let mut slow = work(None);
    slow[0].duration_micros = 50;
    sandbox.write("et/w.3.et", trace(&slow));
    let build = sandbox.build("--explain");
    assert_eq!(finish(&build), 93_000);
    let why = |kind| build.reasons().into_iter().find(|(step, _)| *step == kind).unwrap().1;
    assert!(why("et").starts_with("traces: "), "{}", why("et"));
}

#[test]
fn canonical_traces_are_the_same_up_to_gaps_in_ids_and_the_order_of_the_file() {
    let canonical = EXISTING.replace('}', r#", "key": "canonical" }"#);
    let sandbox = existing(&work(None), &canonical);
    assert_eq!(finish(&sandbox.build("")), 48_000);
    let renumbered = [all_reduce(70, None).after([7]), Node::compute(7, "mul", 5)];
    (0..4).for_each(|rank| sandbox.write(&format!("et/w.{rank}.et"), trace(&renumbered)));
    let build = sandbox.build("");
    assert_eq!(
        (build.executed().get("et"), build.executed().get("run"), finish(&build)),
        (Some(&1), None, 48_000)
    );
    // As content they are other traces, of the same time.
    sandbox.write("recipe.json", recipe(EXISTING));
    let build = sandbox.build("");
    assert_eq!((build.executed().get("run"), finish(&build)), (Some(&1), 48_000));
}

#[test]
fn edits_make_stragglers_and_can_be_swept() {
    let workload =
        r#"{ "kind": "et", "traces": "et", "ranks": 4, "edits": [{ "scale_durations": 1, "ranks": [2] }] }"#;
    let sweep = r#"}, "sweep": { "grid": { "workload.edits.0.scale_durations": [1, 2, 10] } }"#;
    let sandbox = existing(&work(None), workload);
    let text = sandbox.read("recipe.json");
    sandbox.write("recipe.json", with(&text, "1600 }", &format!("1600 {sweep}")));
    let build = sandbox.build("");
    let finish = |factor| build.finish_of(&format!("scale_durations={factor}"));
    assert_eq!([finish(1), finish(2), finish(10)], [48_000, 53_000, 93_000]);
    // Unscaled it is what it is without edits.
    sandbox.write("recipe.json", recipe(EXISTING));
    assert_eq!(sandbox.build("").executed().get("run"), None);
}

#[test]
fn edits_work_on_traces_of_every_kind() {
    let sandbox = existing(&work(None), EXISTING);
    let one = r#"{ "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "2 MiB", "edits": EDITS }"#;
    let edited = |edits: &str| {
        sandbox.write("recipe.json", recipe(&one.replace("EDITS", edits)));
        let build = sandbox.build("");
        // The size the recipe states is not what was moved, or not all of the time was moving it.
        assert_eq!(build.points[0].bus_bandwidth_bytes_per_s.is_some(), edits == "[]");
        finish(&build)
    };
    assert!(edited("[]") > 43_000);
    assert_eq!(edited(r#"[{ "scale_sizes": 0.5 }]"#), 43_000);
    assert_eq!(edited(r#"[{ "scale_sizes": 0.5 }, { "delay": "7 us", "ranks": [0] }]"#), 50_000);
    assert_eq!(edited(r#"[{ "scale_sizes": 0.5 }, { "delay": "7 us", "before": "all_reduce" }]"#), 50_000);
    sandbox.write("recipe.json", recipe(&one.replace("EDITS", r#"[{ "delay": "7 us", "ranks": [4] }]"#)));
    let says = ["recipe.json: workload.edits[0].ranks: there is no rank 4: the bundle has 4 ranks"];
    sandbox.run("build recipe.json").exits(3).says(&says);
}

#[test]
fn builds_refuse_traces_with_errors_and_tell_warnings() {
    let mut odd = work(None);
    odd[1]
        .attributes
        .push(astra_store::et::Attribute::new("comm_priority", astra_store::et::Value::Double(1.0)));
    let sandbox = existing(&odd, EXISTING);
    let build = sandbox.run("build recipe.json").succeeds();
    assert!(build.stderr.contains("attribute `comm_priority` is double"), "{}", build.stderr);
    sandbox.write("et/w.2.et", trace(&[Node::compute(0, "alone", 1)]));
    sandbox.run("build recipe.json").exits(3).says(&["all members have to take part"]);
    // Without the lint the simulation is tried, and explained.
    sandbox.run("build recipe.json --no-lint").exits(1).says(&["the simulation stalled"]);
}

#[test]
fn validate_says_of_traces_what_a_build_says() {
    let mut odd = work(None);
    odd[1]
        .attributes
        .push(astra_store::et::Attribute::new("comm_priority", astra_store::et::Value::Double(1.0)));
    let sandbox = existing(&odd, EXISTING);
    let said = sandbox.run("validate recipe.json").succeeds().stderr;
    assert_eq!(said.matches("attribute `comm_priority` is double").count(), 1, "{said}");
    let sandbox = existing(&work(Some(7)), EXISTING);
    for command in ["validate", "build"] {
        let says =
            ["communicator group 7 is not defined", "hint: name the file with the communicator groups"];
        sandbox.run(&format!("{command} recipe.json")).exits(3).says(&says);
    }
}

#[test]
fn a_cut_file_of_groups_is_named_with_what_was_expected_and_what_to_do() {
    let workload = r#"{ "kind": "et", "traces": "et/w", "groups": "groups.json", "ranks": 4 }"#;
    let sandbox = existing(&work(Some(7)), workload);
    sandbox.write("groups.json", r#"{"7": [0, 1, "#);
    let says = [
        "groups.json:1:13: expected a JSON object, from group number to ranks such as {\"1\": [0, 1]}, and it ends in the middle",
        "hint: make the file again, or copy it again",
    ];
    for command in ["validate recipe.json", "build recipe.json", "et lint et --groups groups.json"] {
        sandbox.run(command).exits(3).says(&says);
    }
}

#[test]
fn lint_prints_findings_with_reasons_and_ends_with_three_when_there_are_errors() {
    let sandbox = existing(&work(None), EXISTING);
    let sound = sandbox.run("et lint et").succeeds();
    assert!(sound.text().ends_with("et/w: 4 ranks: 0 errors, 0 warnings, 0 notes\n"), "{}", sound.text());
    let files = "--network n.yml --system s.json";
    sandbox.write("n.yml", "topology: [Ring]\nnpus_count: [4]\nbandwidth: [50]\nlatency: [500]\n");
    sandbox.write("s.json", r#"{"preferred-dataset-splits": 4, "all-reduce-implementation": ["ring"]}"#);
    sandbox.run(&format!("et lint et/w {files}")).succeeds();
    sandbox.write("s.json", r#"{"preferred-dataset-splits": 4}"#);
    let no_algorithm = sandbox.run(&format!("et lint et/w {files}")).exits(3);
    assert!(no_algorithm.text().contains("names no algorithm for all_reduce"), "{}", no_algorithm.text());

    sandbox.write("et/w.2.et", trace(&[Node::compute(0, "alone", 0)]));
    let broken = sandbox.run("et lint et").exits(3).says(&["et/w: 1 error in the traces"]);
    let expected = "error[collectives-agree]: rank 0, node 1 `sum`: takes part in 1 all_reduce";
    assert!(broken.text().starts_with(expected), "{}", broken.text());
    assert!(broken.text().contains("    why: ") && broken.text().contains("    fix: "));
    let lines = sandbox.run("et lint et --json --limit 1").exits(3);
    let lines: Vec<serde_json::Value> =
        lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines[0]["rule"].as_str(), lines[0]["rank"].as_u64()), (Some("collectives-agree"), Some(0)));
    assert_eq!(lines[1], serde_json::json!({ "more": 1 }));
}

/// A sandbox with a pipeline of three ranks under `before/p` and the same bundle with other ids under `after/p`.
fn two_bundles() -> Sandbox {
    let sandbox = Sandbox::new();
    let send = |id, to| Node::send(id, "on", to, 64, 1);
    let ranks = [
        vec![Node::compute(0, "mul", 5), send(1, 1).after([0])],
        vec![Node::recv(0, "in", 0, 64, 1), Node::compute(1, "mul", 7).after([0]), send(2, 2).after([1])],
        vec![Node::recv(0, "in", 1, 64, 1), Node::compute(1, "mul", 9).after([0])],
    ];
    for (rank, nodes) in ranks.iter().enumerate() {
        sandbox.write(&format!("before/p.{rank}.et"), trace(nodes));
        let mut renumbered = nodes.clone();
        for node in &mut renumbered {
            node.id += 10;
            node.control_deps.iter_mut().for_each(|id| *id += 10);
        }
        sandbox.write(&format!("after/p.{rank}.et"), trace(&renumbered));
    }
    sandbox
}

#[test]
fn stat_adds_up_types_ranks_and_pairs() {
    let sandbox = two_bundles();
    let stat = sandbox.run("et stat before/p --json").succeeds().value();
    assert_eq!(stat["types"]["compute"], serde_json::json!({ "nodes": 3, "bytes": 0, "duration_us": 21 }));
    assert_eq!(stat["ranks"][1]["critical"], serde_json::json!({ "duration_us": 7, "nodes": [0, 1] }));
    assert_eq!(stat["flows"][1], serde_json::json!({ "from": 1, "to": 2, "messages": 1, "bytes": 64 }));
    let text = sandbox.run("et stat before/p --limit 1").succeeds();
    assert!(text.text().starts_with("3 ranks, 3 different traces\n"), "{}", text.text());
    assert!(text.text().contains("and 2 more ranks; --limit 3 prints them all"), "{}", text.text());
}

#[test]
fn digests_and_differences_know_ids_from_structure() {
    let sandbox = two_bundles();
    let digest = |arguments: &str| sandbox.run(&format!("et digest {arguments} --json")).succeeds().value();
    assert_ne!(digest("before")["bundle"], digest("after")["bundle"]);
    assert_eq!(digest("before --canonical"), digest("after --canonical"));
    assert_ne!(digest("before --canonical"), digest("before --canonical --no-names"));
    assert_eq!(sandbox.run("et diff before before").succeeds().text(), "");
    assert_eq!(sandbox.run("et diff before after --canonical").succeeds().text(), "");
    sandbox.run("et diff before after").exits(1).says(&["the bundles differ: 14 differences"]);

    let slower = [Node::recv(10, "in", 1, 64, 1), Node::compute(11, "mul", 90).after([10])];
    sandbox.write("after/p.2.et", trace(&slower));
    let differs = sandbox.run("et diff before after --canonical").exits(1);
    assert_eq!(differs.text(), "rank 2: - compute 1 `mul`\nrank 2: + compute 11 `mul`\n");
    sandbox.write("before/p.2.et", trace(&[slower[0].clone(), Node::compute(11, "mul", 9)]));
    sandbox.write("after/p.0.et", sandbox.bytes("before/p.0.et"));
    sandbox.write("after/p.1.et", sandbox.bytes("before/p.1.et"));
    let differs = sandbox.run("et diff before after --json").exits(1);
    let lines: Vec<serde_json::Value> =
        differs.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = serde_json::json!([
        { "ranks": [2], "change": "changed", "node": 11, "name": "mul", "type": "compute", "field": "dependencies",
          "before": "", "after": "10" },
        { "ranks": [2], "change": "changed", "node": 11, "name": "mul", "type": "compute", "field": "duration_us",
          "before": "9", "after": "90" },
    ]);
    assert_eq!(serde_json::Value::from(lines), expected);
    std::fs::remove_file(sandbox.path("after/p.2.et")).unwrap();
    sandbox.run("et diff before after").exits(1).says(&["the first bundle has 3 ranks, the second 2"]);
}

#[test]
fn a_compressed_trace_that_is_cut_is_named_as_it_is_called() {
    let sandbox = existing(&work(None), EXISTING);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&sandbox.bytes("et/w.2.et")).unwrap();
    let compressed = encoder.finish().unwrap();
    sandbox.write("et/w.2.et.gz", &compressed[..compressed.len() / 2]);
    std::fs::remove_file(sandbox.path("et/w.2.et")).unwrap();
    for command in ["stat et", "digest et", "digest et --canonical", "svg et --rank 2"] {
        sandbox.run(&format!("et {command}")).exits(3).says(&["et/w.2.et.gz: "]);
    }
    sandbox.run("build recipe.json").exits(3).says(&["et/w.2.et.gz: "]);
    let linted = sandbox.run("et lint et").exits(3);
    assert!(linted.text().contains("et/w.2.et.gz: "), "{}", linted.text());
}

#[test]
fn ranks_are_drawn_as_dot_and_as_svg() {
    let sandbox = two_bundles();
    let dot = sandbox.run("et dot before --rank 0 --rank 1").succeeds();
    assert!(dot.text().contains("n0_1 -> n1_0 [style=dashed"), "{}", dot.text());
    let svg = sandbox.run("et svg before --rank 1 --focus 0 --radius 1").succeeds();
    assert_eq!((svg.text().matches("<rect").count(), svg.text().matches("lightsalmon").count()), (2, 1));
    let cut = sandbox.run("et svg before --limit 1").succeeds().says(&["1 node left out"]);
    assert_eq!(cut.text().matches("<rect").count(), 1);
    sandbox
        .run("et dot before --rank 3")
        .exits(3)
        .says(&["before/p: --rank: there is no rank 3, the last is 2"]);
}
