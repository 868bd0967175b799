//! A build that is killed, or interrupted, loses nothing that it had finished.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::sandbox::{Build, Sandbox, keys};
use crate::study::{RING_OF_4, sizes};

const POINTS: usize = 2000;
const STEPS: usize = 2 * POINTS + 3;

fn large_sweep() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", sizes("large", 1..POINTS as u32 + 1));
    sandbox
}

/// Builds again after an interruption: everything that had been told to be finished is known.
fn assert_continues(sandbox: &Sandbox, finished: &BTreeSet<String>) -> Build {
    let opening = Instant::now();
    sandbox.run("ls").succeeds();
    assert!(opening.elapsed().as_millis() < 1000, "opening took {:?}", opening.elapsed());

    let build = sandbox.build("");
    let hits: BTreeSet<&str> = build.keys("hit").into_iter().collect();
    let lost: Vec<&String> = finished.iter().filter(|key| !hits.contains(key.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} finished steps are gone", lost.len(), finished.len());
    assert_eq!(build.steps.executed + build.steps.hit, STEPS as u64);
    assert!(build.steps.executed < STEPS as u64);
    assert_eq!(sandbox.build("").steps.executed, 0);
    build
}

#[test]
fn a_killed_build_continues_where_it_was_and_gives_the_same_results() {
    let sandbox = large_sweep();
    let uninterrupted = sandbox.run("build recipe.json --json --store untroubled").succeeds().build();
    assert_eq!(uninterrupted.steps.executed, STEPS as u64);
    // Early, in the middle, late.
    for moment in [1, 700, 1900, 3500] {
        std::fs::remove_dir_all(sandbox.path("store")).ok();
        let mut build = sandbox.start("recipe.json");
        build.wait_for_executed(moment);
        build.kill();
        let finished: BTreeSet<String> = keys(&build.events, "run").into_iter().map(str::to_owned).collect();
        assert!(finished.len() >= moment);
        let continued = assert_continues(&sandbox, &finished);
        assert_eq!(continued.results(), uninterrupted.results());
    }
}

#[test]
fn a_build_killed_again_and_again_comes_to_its_end() {
    let sandbox = large_sweep();
    let mut finished = BTreeSet::new();
    for _ in 0..4 {
        let mut build = sandbox.start("recipe.json");
        build.wait_for_executed(300);
        build.kill();
        for key in keys(&build.events, "run") {
            assert!(finished.insert(key.to_owned()), "a step that was finished was executed again");
        }
    }
    let last = assert_continues(&sandbox, &finished);
    assert!(last.steps.executed <= (STEPS - finished.len()) as u64);
}

#[test]
fn an_interrupted_build_says_so_and_keeps_what_is_finished() {
    for signal in ["INT", "TERM"] {
        let sandbox = large_sweep();
        let mut build = sandbox.start("recipe.json");
        build.wait_for_executed(200);
        build.signal(signal);
        let ended = build.finish().exits(130).says(&["interrupted", "finished steps are kept"]);
        let partial = ended.build();
        assert!(!partial.points_that("skipped").is_empty());
        assert_eq!(partial.points.len(), POINTS);
        let finished: BTreeSet<String> = partial.keys("run").into_iter().map(str::to_owned).collect();
        assert!(finished.len() >= 200);
        assert_eq!(partial.steps.executed, finished.len() as u64);
        let continued = assert_continues(&sandbox, &finished);
        // Nothing was executed that was not told.
        assert_eq!(continued.steps.executed + partial.steps.executed, STEPS as u64);
        for point in partial.points.iter().filter(|p| p.status == "run") {
            assert_eq!(continued.point(&point.name).result, point.result);
        }
    }
}
