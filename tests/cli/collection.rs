//! `gc` drops what no recipe needs and nothing else, also while somebody builds.

use std::fs::File;

use serde_json::Value;

use crate::sandbox::{Sandbox, finish};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, STEPS_OF_SWEEP_OF_20, SWEEP_OF_20, sizes, with};

fn built() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", SWEEP_OF_20);
    sandbox.build("");
    sandbox
}

fn gc(sandbox: &Sandbox, arguments: &str) -> Value {
    sandbox.run(&format!("gc --grace 0 --json {arguments}")).succeeds().value()
}

/// How many records and blobs a collection found dead.
fn dead(report: &Value) -> (u64, u64) {
    let count = |what: &str| report["dead"][what]["count"].as_u64().unwrap();
    (count("actions"), count("blobs"))
}

#[test]
fn gc_keeps_everything_that_the_recipes_need() {
    let sandbox = built();
    sandbox.write("other.json", ONE_ALL_REDUCE);
    sandbox.run("build other.json").succeeds();
    let report = gc(&sandbox, "");
    assert_eq!(dead(&report), (0, 0), "{report}");
    assert_eq!(report["dry_run"], false);
    assert_eq!(report["broken"], 0);
    let again = sandbox.build("");
    assert_eq!((again.steps.executed, again.steps.hit), (0, STEPS_OF_SWEEP_OF_20));
    assert_eq!(sandbox.run("build other.json --json").succeeds().build().steps.executed, 0);
    // The files behind the results are there too, not only the records.
    assert_eq!(sandbox.build("--out files").steps.executed, 0);
    assert_eq!(sandbox.json("files/bandwidth=25 GB,size=64 KiB/manifest.json")["ranks"], 4);
}

#[test]
fn gc_drops_what_a_changed_recipe_no_longer_needs() {
    let sandbox = built();
    let before = sandbox.run("ls --json").succeeds().value();
    sandbox.write("recipe.json", with(SWEEP_OF_20, "\"100 GB\", ", ""));
    assert_eq!(sandbox.build("").steps.executed, 0);

    let planned = gc(&sandbox, "--dry-run");
    assert_eq!(planned["dry_run"], true);
    // Of the bandwidth that is gone: `hw`, `policy`, `configs` and five simulations; and the build as a whole.
    assert_eq!(dead(&planned).0, 1 + 1 + 1 + 5 + 1, "{planned}");
    let unchanged = sandbox.run("ls --json").succeeds().value();
    assert_eq!(unchanged["store"]["actions"].as_u64(), before["store"]["actions"].as_u64().map(|n| n + 1));

    let done = gc(&sandbox, "");
    assert_eq!((dead(&done), &done["live"]), (dead(&planned), &planned["live"]));
    assert_eq!(dead(&gc(&sandbox, "")), (0, 0));
    assert_eq!(sandbox.build("").steps.executed, 0);

    sandbox.write("recipe.json", SWEEP_OF_20);
    assert_eq!(sandbox.build("").executed(), [("hw", 1), ("policy", 1), ("configs", 1), ("run", 5)].into());
}

#[test]
fn a_dry_run_of_gc_deletes_nothing() {
    let sandbox = built();
    sandbox.write("recipe.json", with(SWEEP_OF_20, "\"100 GB\"", "\"111 GB\""));
    sandbox.build("");
    let first = gc(&sandbox, "--dry-run");
    assert!(dead(&first).0 > 0);
    assert_eq!(gc(&sandbox, "--dry-run"), first);
    sandbox.write("recipe.json", SWEEP_OF_20);
    assert_eq!(sandbox.build("").steps.executed, 0, "the dry run dropped what it should have kept");
}

#[test]
fn gc_says_in_words_what_it_did() {
    let sandbox = built();
    let planned = sandbox.run("gc --dry-run").succeeds();
    assert!(planned.text().starts_with("would drop 0 blobs and 0 records"), "{}", planned.text());
    let done = sandbox.run("gc").succeeds();
    assert!(done.text().starts_with("dropped 0 blobs and 0 records"), "{}", done.text());
    assert!(done.text().contains("kept "), "{}", done.text());
}

#[test]
fn what_an_interrupted_build_left_is_kept_until_gc_and_rebuilt_after_it() {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", sizes("killed", 1..500));
    let mut build = sandbox.start("recipe.json");
    build.wait_for_executed(50);
    build.kill();
    let report = gc(&sandbox, "");
    assert!(dead(&report).0 >= 50, "{report}");
    assert_eq!(sandbox.build("").steps.executed, 2 * 499 + 3);
    assert_eq!(dead(&gc(&sandbox, "")), (0, 0));
}

// A build whose output nobody reads waits when the pipe is full: as long as the test wants, and at no point at which it
// holds anything but what a running build holds.

#[test]
fn gc_runs_beside_a_build_and_keeps_what_it_made() {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", sizes("large", 1..1000));
    let mut build = sandbox.start("recipe.json");
    build.wait_for_executed(20);
    // Nothing of it has a root yet.
    assert_eq!(dead(&gc(&sandbox, "--dry-run")), (0, 0));
    assert_eq!(dead(&gc(&sandbox, "")), (0, 0));
    let finished = build.finish().succeeds().build();
    assert_eq!(finished.points_that("run").len(), 999);
    assert_eq!(dead(&gc(&sandbox, "")), (0, 0));
    assert_eq!(sandbox.build("").steps.executed, 0);
}

#[test]
fn a_build_waits_for_a_collection_no_longer_than_it_is_told_to() {
    let sandbox = built();
    // What a collection holds while it deletes.
    let lock = File::open(sandbox.path("store/locks/leases.lock")).unwrap();
    lock.lock().unwrap();
    let mut command = sandbox.command("build recipe.json --lock-timeout 0");
    let by = format!("process {} ", std::process::id());
    finish(&mut command).exits(5).says(&["waited 0 s for a collection to delete", &by]);
    lock.unlock().unwrap();
    assert_eq!(sandbox.build("").steps.executed, 0);
}
