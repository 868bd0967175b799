//! Timelines and link figures, from `sim` and from what a store keeps of a run.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::sandbox::{Finished, Sandbox};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, SWEEP_OF_20, with};

/// Four stages that pass two microbatches on: 1 us of work each, 1,720 ns from stage to stage.
const PIPELINE: &str = r#"{
  "recipe": 1,
  "name": "pipeline",
  "hw": "hardware.yaml",
  "workload": { "kind": "pipeline", "ranks": 4, "microbatches": 2, "compute": "1 us", "size": "64 KiB" }
}"#;

fn built(recipe: &str, hardware: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", hardware);
    sandbox.write("recipe.json", recipe);
    sandbox.build("--out files");
    sandbox
}

/// `sim` on the files of the build.
fn sim(sandbox: &Sandbox, prefix: &str, arguments: &str) -> Finished {
    sandbox.run(&format!(
        "sim --workload-configuration files/{prefix} --network-configuration files/network_analytical_4.yml \
         --system-configuration files/system_native_collectives_4.json {arguments}"
    ))
}

/// Process, start and length in ns of the intervals with a name.
fn intervals(timeline: &Value, name: &str) -> Vec<(u64, u64, u64)> {
    let nanos = |value: &Value| (value.as_f64().unwrap() * 1000.0).round() as u64;
    let events = timeline["traceEvents"].as_array().unwrap();
    let named = events.iter().filter(|event| event["ph"] == "X" && event["name"] == name);
    named.map(|event| (event["pid"].as_u64().unwrap(), nanos(&event["ts"]), nanos(&event["dur"]))).collect()
}

#[test]
fn sim_and_show_write_the_same_timeline() {
    let sandbox = built(PIPELINE, RING_OF_4);
    sim(&sandbox, "pipeline", "--trace sim.json").succeeds();
    let timeline = sandbox.json("sim.json");
    assert_eq!(
        intervals(&timeline, "pipeline_compute_1"),
        [(0, 1000, 1000), (1, 4440, 1000), (2, 7160, 1000), (3, 9880, 1000)]
    );
    assert_eq!(timeline["traceEvents"].as_array().unwrap().iter().filter(|e| e["ph"] == "s").count(), 6);

    let point = sandbox.build("").point("pipeline").result.clone().unwrap();
    let run = sandbox.run("show pipeline --json").succeeds().value()["points"][0]["result"].clone();
    assert_eq!(run, point.as_str());
    for what in ["pipeline", &point[..12]] {
        sandbox.run(&format!("show {what} --trace new/show.json")).succeeds();
        assert!(sandbox.bytes("sim.json") == sandbox.bytes("new/show.json"), "{what}");
    }
    sandbox.run("show pipeline --trace show.json.gz").succeeds();
    let mut text = String::new();
    GzDecoder::new(&sandbox.bytes("show.json.gz")[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, sandbox.read("sim.json"));
}

#[test]
fn a_timeline_can_be_followed_from_the_action_of_a_run_and_from_no_other() {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    let build = sandbox.build("");
    let kind =
        |key: &str| sandbox.run(&format!("show {key} --json")).succeeds().value()["preimage"]["kind"].clone();
    for key in build.keys("run") {
        let shown = sandbox.run(&format!("show {key} --trace t.json"));
        if kind(key) == "run" {
            shown.succeeds();
            assert_eq!(intervals(&sandbox.json("t.json"), "all_reduce").len(), 4);
        } else {
            shown.exits(2).says(&["only a run can be simulated again"]);
        }
    }
}

#[test]
fn a_recipe_names_its_own_run_also_where_another_gave_the_same_result() {
    let sandbox = built(PIPELINE, RING_OF_4);
    let unaware = with(
        &with(PIPELINE, "\"name\": \"pipeline\"", "\"name\": \"unaware\""),
        "\"workload\"",
        "\"engine\": { \"network\": \"congestion_unaware\" }, \"workload\"",
    );
    sandbox.write("unaware.json", &unaware);
    sandbox.run("build unaware.json").succeeds();
    let result = |recipe: &str| {
        sandbox.run(&format!("show {recipe} --json")).succeeds().value()["points"][0]["result"].clone()
    };
    assert_eq!(result("pipeline"), result("unaware"), "nothing queues");
    sandbox.run("show pipeline --links").succeeds();
    sandbox.run("show unaware --links").exits(2).says(&["links exist only in congestion_aware"]);
    sandbox.run("show unaware --trace t.json").succeeds();
    let result = result("unaware");
    let ambiguous = format!("show {} --trace t.json", result.as_str().unwrap());
    sandbox.run(&ambiguous).exits(2).says(&["2 runs gave the result", "name one of them"]);
}

#[test]
fn a_selection_limits_what_is_written() {
    let sandbox = built(PIPELINE, RING_OF_4);
    sandbox.run("show pipeline --trace t.json --ranks 1-2 --from 7.2us --to 7300").succeeds();
    let timeline = sandbox.json("t.json");
    assert_eq!(intervals(&timeline, "pipeline_compute_1"), [(2, 7160, 1000)]);
    assert_eq!(intervals(&timeline, "pipeline_compute_0"), []);
}

#[test]
fn what_makes_no_sense_is_refused_and_writes_nothing() {
    let sandbox = built(PIPELINE, RING_OF_4);
    let refused = |arguments: &str, says: &[&str]| {
        sandbox.run(&format!("show pipeline {arguments}")).exits(2).says(says);
        assert!(!sandbox.path("t.json").exists(), "{arguments}");
    };
    refused("--trace t.json --ranks 1,4", &["--ranks: there is no rank 4: the ranks are 0 to 3"]);
    refused("--trace t.json --ranks 2-1", &["--ranks: the range `2-1` ends before it begins", "write 1-2"]);
    refused("--trace t.json --ranks all", &["`all` is neither a rank nor a range of ranks", "0-3,8"]);
    refused("--trace t.json --from 2us --to 1us", &["from 2.000 us to 1.000 us ends before it begins"]);
    refused("--trace t.json --to soon", &["--to: `soon` is not a whole number of nanoseconds"]);
    refused("--ranks 1", &["--trace <FILE>"]);
    sandbox.run("show pipelin --trace t.json").exits(2).says(&["did you mean `pipeline`?"]);
    sandbox.run("show 00 --trace t.json").exits(2);
    sim(&sandbox, "pipeline", "--trace t.json --ranks 9").exits(2).says(&["--ranks: there is no rank 9"]);
    sim(&sandbox, "pipeline", "--trace hardware.yaml/t.json")
        .exits(6)
        .says(&["hardware.yaml/t.json: cannot be written"]);

    let sweep = built(SWEEP_OF_20, RING_OF_4);
    sweep
        .run("show sweep-of-20 --trace t.json")
        .exits(2)
        .says(&["has 20 results", "show sweep-of-20 --json"]);
    let manifest = sweep.run("show sweep-of-20 --json").succeeds().value()["points"][3]["result"].clone();
    sweep.run(&format!("show {} --trace t.json", manifest.as_str().unwrap())).succeeds();
}

#[test]
fn links_exist_only_where_messages_compete_for_them() {
    let unaware =
        with(PIPELINE, "\"workload\"", "\"engine\": { \"network\": \"congestion_unaware\" }, \"workload\"");
    let sandbox = built(&unaware, RING_OF_4);
    let says = ["links exist only in congestion_aware", "engine.network"];
    sandbox.run("show pipeline --links").exits(2).says(&says);
    sandbox.run("show pipeline --trace t.json --trace-links").exits(2).says(&says);
    sim(&sandbox, "pipeline", "--network-model congestion_unaware --links l.csv").exits(2).says(&says);
    assert!(!sandbox.path("l.csv").exists() && !sandbox.path("t.json").exists());
}

/// All-to-all on a switch of 4, one chunk, each rank to every other at once: 100,000 bytes are 1,862 ns on a link and at its
/// other end 500 ns later.
#[test]
fn the_links_of_a_switch_carry_what_can_be_worked_out_by_hand() {
    let recipe = r#"{
      "recipe": 1, "name": "switch", "hw": "hardware.yaml",
      "workload": { "kind": "collective", "collective": "all_to_all", "ranks": 4, "size": "400 kB" },
      "system": { "preferred-dataset-splits": 1, "endpoint-delay": 10, "local-mem-bw": 100, "all-to-all-implementation": ["direct"] }
    }"#;
    let sandbox = built(recipe, &with(RING_OF_4, "type: Ring", "type: Switch"));
    let links = sandbox.run("show switch --links --json").succeeds().value();
    let link = |from: &str, to: &str, queue: u32| {
        json!({ "from": from, "to": to, "dimension": 0, "topology": "Switch", "bytes": 300_000, "messages": 3,
                "busy_ns": 3 * 1862, "utilisation": 5586.0 / 8468.0, "longest_queue": queue })
    };
    let ranks: Vec<String> = (0..4).map(|rank| format!("rank {rank}")).collect();
    let up = ranks.iter().map(|rank| link(rank, "switch 4", 2));
    let down = ranks.iter().map(|rank| link("switch 4", rank, 0));
    assert_eq!(links["links"], up.chain(down).collect::<Value>());
    let sentence = "the busiest link, rank 0 → switch 4 in dimension 0 (Switch), was busy 66.0 % of 8.468 us, \
                    as 7 others were; at most 2 messages waited for it";
    assert_eq!(links["bottleneck"], sentence);
    let text = sandbox.run("show switch --links").succeeds();
    assert_eq!(text.text().lines().next(), Some(sentence));
    assert_eq!(text.text().lines().count(), 2 + 8);

    let prefix = sandbox
        .files("files")
        .keys()
        .find_map(|p| p.to_str().unwrap().strip_suffix(".0.et").map(str::to_owned));
    let prefix = prefix.unwrap();
    let report = sim(&sandbox, &prefix, "--links l.csv --json").succeeds().says(&[sentence]).value();
    assert_eq!(report["links"], links["links"]);
    let csv = sandbox.read("l.csv");
    assert_eq!(csv.lines().nth(1), Some("rank 0,switch 4,0,Switch,300000,3,5586,0.659660,2"));
    assert_eq!(csv.lines().count(), 1 + 8);

    sandbox.run("show switch --trace t.json --trace-links --ranks 0").succeeds();
    let timeline = sandbox.json("t.json");
    // Up at 10, 1872 and 3734 ns; rank 3's message to rank 0 is its first and comes down first.
    assert_eq!(intervals(&timeline, "0 → 2"), [(4, 1872, 1862), (4, 4234, 1862)]);
    assert_eq!(intervals(&timeline, "3 → 0"), [(4, 10, 1862), (4, 2372, 1862)]);
    assert_eq!(intervals(&timeline, "1 → 2"), []);
}
