//! Steps of every kind that `repair` makes again from the descriptions in their keys.

use crate::sandbox::Sandbox;
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, with};
use crate::upkeep::damage;
use crate::{graphs, traces};

/// Loses the records of a build, or content that its steps gave, and has them made again: all is as it was.
fn everything_comes_back(what: &str, name: &str, sandbox: &Sandbox) {
    sandbox.run("build recipe.json").succeeds();
    let table = || sandbox.run(&format!("show {name} --json")).succeeds().value()["points"].clone();
    let before = table();
    // All records, those of the policy and of the build among them, which only its recipe makes again.
    damage(sandbox, b"recd\x01");
    let repaired = sandbox.run("repair --json").value();
    let count = |list: &str| repaired[list].as_array().unwrap().len();
    assert_eq!((count("made_again"), count("removed")), (4, 2), "{what}: {repaired}");
    assert_eq!(sandbox.build("").steps.executed, 1, "{what}: the policy decides again, and nothing else");
    assert_eq!(table(), before, "{what}");
    sandbox.run("verify").succeeds();

    // A list of traces, and the network that the run reads.
    damage(sandbox, b"tree\x01");
    damage(sandbox, b"npus_count: [");
    let repaired = sandbox.run("repair --json").succeeds().value();
    assert_eq!(repaired["made_again"].as_array().unwrap().len(), 2, "{what}: {repaired}");
    sandbox.run("verify").succeeds();
    assert_eq!(sandbox.build("").steps.executed, 0, "{what}");
}

fn of_workload(workload: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    let one = r#"{ "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" }"#;
    sandbox.write("recipe.json", with(ONE_ALL_REDUCE, one, workload));
    sandbox
}

#[test]
fn traces_that_the_program_makes_come_back() {
    for (what, workload) in [
        (
            "a collective",
            r#"{ "kind": "collective", "collective": "all_gather", "ranks": 4, "size": "2 MiB" }"#,
        ),
        (
            "an edited collective",
            r#"{ "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB",
                 "edits": [{ "delay": "7 us", "ranks": [1] }, { "scale_sizes": 0.5 }, { "scale_durations": 1.5 }] }"#,
        ),
        (
            "a sequence",
            r#"{ "kind": "sequence", "ranks": 4, "items": [
                 { "collective": "all_reduce", "size": "1 MiB", "name": "first" },
                 { "collective": "all_to_all", "size": "64 KiB", "delay": "3 us", "after": "first" } ] }"#,
        ),
        (
            "a pipeline",
            r#"{ "kind": "pipeline", "ranks": 4, "microbatches": 3, "compute": "2 us", "size": "64 KiB" }"#,
        ),
    ] {
        everything_comes_back(what, "one-all-reduce", &of_workload(workload));
    }
}

#[test]
fn existing_traces_come_back_without_their_files() {
    let workload = r#"{ "kind": "et", "traces": "et/w", "ranks": 4, "edits": [{ "delay": "1 us" }] }"#;
    let sandbox = traces::existing(&traces::work(None), workload);
    sandbox.run("build recipe.json").succeeds();
    damage(&sandbox, b"recd\x01");
    std::fs::remove_dir_all(sandbox.path("et")).unwrap();
    let repaired = sandbox.run("repair --json").value();
    assert_eq!(repaired["made_again"].as_array().unwrap().len(), 4, "{repaired}");
}

#[test]
fn graphs_come_back() {
    everything_comes_back("a graph", "step", &graphs::sandbox(&graphs::step()));
    let sandbox = graphs::sandbox(&graphs::step());
    graphs::workload(&sandbox, r#""convert": { "placeholders": false }, "manifest": "df""#);
    everything_comes_back("a graph, converted in another way", "step", &sandbox);
}
