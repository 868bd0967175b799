//! Several builds in one store at once.

use std::collections::BTreeSet;

use crate::sandbox::{Build, Sandbox};
use crate::study::{RING_OF_4, sizes};

/// Two sweeps over 300 sizes each, of which 150 are in both.
fn overlapping(sandbox: &Sandbox) {
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("low.json", sizes("low", 1..301));
    sandbox.write("high.json", sizes("high", 151..451));
}

/// For each of 450 sizes traces and a simulation; one network with its decisions and files.
const DISTINCT: u64 = 2 * 450 + 3;

fn fresh(sandbox: &Sandbox, recipe: &str, store: &str) -> Build {
    sandbox.run(&format!("build {recipe} --json --store {store}")).succeeds().build()
}

#[test]
fn overlapping_builds_at_once_are_both_right_and_run_each_step_once() {
    let sandbox = Sandbox::new();
    overlapping(&sandbox);
    let low = sandbox.start("low.json");
    let high = sandbox.start("high.json");
    let (low, high) = (low.finish().succeeds().build(), high.finish().succeeds().build());

    assert_eq!(low.steps.executed + high.steps.executed, DISTINCT);
    let keys: Vec<&str> = low.keys("run").into_iter().chain(high.keys("run")).collect();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len() as u64, DISTINCT, "a step was executed twice");
    assert_eq!((low.steps.executed + low.steps.hit, high.steps.executed + high.steps.hit), (603, 603));

    assert_eq!(fresh(&sandbox, "low.json", "fresh").steps.executed, 603);
    let alone = fresh(&sandbox, "high.json", "fresh");
    assert_eq!(alone.steps.executed, DISTINCT - 603);
    assert_eq!(high.results(), alone.results());
    assert_eq!(low.results(), fresh(&sandbox, "low.json", "fresh").results());
    for recipe in ["low.json", "high.json"] {
        assert_eq!(fresh(&sandbox, recipe, "store").steps.executed, 0);
    }
}

#[test]
fn the_same_build_started_four_times_at_once_runs_each_step_once() {
    let sandbox = Sandbox::new();
    overlapping(&sandbox);
    let running: Vec<_> = (0..4).map(|_| sandbox.start("low.json -j 2")).collect();
    let builds: Vec<Build> = running.into_iter().map(|r| r.finish().succeeds().build()).collect();
    assert_eq!(builds.iter().map(|b| b.steps.executed).sum::<u64>(), 603);
    assert!(builds.iter().all(|b| b.results() == builds[0].results()));
}

#[test]
fn what_one_process_builds_another_reads_while_it_goes_on() {
    let sandbox = Sandbox::new();
    overlapping(&sandbox);
    sandbox.write("recipe.json", sizes("first", 1..3));
    sandbox.build("");
    let mut other = sandbox.start("high.json -j 1");
    other.wait_for_executed(20);
    sandbox.run("show first").succeeds();
    assert_eq!(sandbox.build("").steps.executed, 0);
    assert_eq!(other.finish().succeeds().build().points.len(), 300);
}
