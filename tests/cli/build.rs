//! The main job: a recipe in, a table out, and what lies around it.

use std::path::Path;

use crate::sandbox::{PROGRAM, Sandbox, finish};
use crate::study::{
    ONE_ALL_REDUCE, ONE_BAD_POINT, RING_OF_4, STEPS_OF_SWEEP_OF_20, SWEEP_OF_20, sizes, with,
};

fn examples() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"))
}

fn one_all_reduce() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox
}

fn sweep_of_20() -> Sandbox {
    let sandbox = one_all_reduce();
    sandbox.write("recipe.json", SWEEP_OF_20);
    sandbox
}

#[test]
fn the_h100_example_prints_its_table_and_runs_nothing_the_second_time() {
    let sandbox = Sandbox::new();
    let build = || {
        let mut command = sandbox.command("build");
        finish(command.arg(examples().join("h100-allreduce.json"))).succeeds()
    };
    let first = build();
    let table: Vec<Vec<&str>> = first.text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(table.len(), 2, "{}", first.text());
    assert_eq!(table[0], ["recipe", "ranks", "finish", "bus", "bandwidth", "status"]);
    assert_eq!(table[1], ["h100-allreduce", "8", "373.356", "us", "314.55", "GB/s", "run"]);
    assert!(first.stderr.contains("5 executed, 0 hit"), "{}", first.stderr);

    let untouched = sandbox.holdings();
    let second = build();
    assert!(second.stderr.contains("0 executed, 5 hit"), "{}", second.stderr);
    assert_eq!(second.text(), first.text().replace("run\n", "hit\n"));
    assert_eq!(sandbox.holdings(), untouched);
}

#[test]
fn every_line_of_json_is_an_object_and_the_last_one_sums_up() {
    let sandbox = sweep_of_20();
    let build = sandbox.build("");
    assert_eq!(build.recipe, "sweep-of-20");
    assert!(build.elapsed_s > 0.0);
    let steps = build.steps;
    assert_eq!((steps.executed, steps.hit, steps.failed), (STEPS_OF_SWEEP_OF_20, 0, 0));
    assert_eq!(build.points.len(), 20);
    for point in &build.points {
        assert_eq!((point.status.as_str(), &point.error), ("run", &None));
        assert!(point.finish_ns.is_some_and(|t| t > 0));
        assert!(point.result.as_ref().is_some_and(|r| r.len() == 64));
    }
    let of = |kind: &str| build.events.iter().filter(|e| e.event == kind).count();
    assert_eq!((of("started"), of("point"), of("step")), (1, 20, STEPS_OF_SWEEP_OF_20 as usize));
    let known = sandbox.build("");
    assert_eq!((known.steps.executed, known.steps.hit), (0, STEPS_OF_SWEEP_OF_20));
    assert_eq!(known.results(), build.results());
    assert_eq!(known.points_that("hit").len(), 20);
}

#[test]
fn a_result_can_be_read_by_the_digest_in_the_summary() {
    let sandbox = one_all_reduce();
    let build = sandbox.build("");
    let point = build.point("one-all-reduce");
    assert_eq!(point.finish_ns, Some(43_000));
    let result = sandbox.run(&format!("cat {}", point.result.as_ref().unwrap())).succeeds().value();
    assert_eq!(result["finish_ns"], 43_000);
    assert_eq!(result["rank_finish_ns"], serde_json::json!([43_000, 43_000, 43_000, 43_000]));
}

#[test]
fn the_number_of_jobs_changes_nothing_that_is_kept() {
    let sandbox = sweep_of_20();
    let report = |store: &str, jobs: u32| {
        sandbox.run(&format!("build recipe.json --store {store} -j {jobs} --json")).succeeds();
        let listed = sandbox.run(&format!("ls --store {store} --json")).succeeds().value();
        let digest = listed["recipes"][0]["report"].as_str().unwrap().to_owned();
        let bytes = sandbox.run(&format!("cat {digest} --store {store}")).succeeds().stdout;
        (digest, bytes)
    };
    let alone = report("alone", 1);
    assert!(alone.1.len() > 1000);
    assert!(alone == report("together", 4));
    // No more threads are started than there are steps.
    assert!(alone == report("too-many", u32::MAX));
}

#[test]
fn a_dry_run_says_what_would_be_executed_and_writes_nothing() {
    let sandbox = sweep_of_20();
    sandbox.build("");
    let untouched = sandbox.holdings();
    let known = sandbox.build("--dry-run");
    assert_eq!((known.steps.hit, known.steps.would_run), (STEPS_OF_SWEEP_OF_20, Some(0)));
    assert_eq!(known.points_that("hit").len(), 20);

    sandbox.write("recipe.json", with(SWEEP_OF_20, "\"100 GB\"", "\"111 GB\""));
    let changed = sandbox.build("--dry-run");
    // The new `hw` would run. What it gives decides whether `policy`, `configs` and the five simulations would.
    assert_eq!(changed.steps.executed, 0);
    assert_eq!((changed.steps.would_run, changed.steps.unknown_until_cutoff), (Some(1), Some(15)));
    assert_eq!(changed.points_that("hit").len(), 15);
    let unknown = changed.points_that("unknown-until-cutoff");
    assert_eq!(unknown.len(), 5);
    assert!(unknown.iter().all(|name| name.contains("bandwidth=111 GB")), "{unknown:?}");
    assert_eq!(sandbox.holdings(), untouched);

    let text = sandbox.run("build recipe.json --dry-run").succeeds();
    assert!(text.text().contains("unknown-until-cutoff"), "{}", text.text());
    assert!(text.stderr.contains("would run"), "{}", text.stderr);
    assert_eq!(sandbox.build("").steps.executed, 8);
}

#[test]
fn a_dry_run_without_a_store_makes_none() {
    let sandbox = sweep_of_20();
    let planned = sandbox.build("--dry-run");
    assert_eq!((planned.steps.executed, planned.steps.would_run), (0, Some(4 + 5)));
    assert_eq!(planned.points_that("unknown-until-cutoff").len(), 20);
    assert!(!sandbox.path("store").exists());
}

#[test]
fn keep_going_builds_what_can_be_built_and_still_fails() {
    let sandbox = one_all_reduce();
    sandbox.write("recipe.json", ONE_BAD_POINT);
    let finished = sandbox.run("build recipe.json --keep-going --json -j 1").exits(3);
    let build = finished.build();
    assert_eq!(build.points_that("run").len(), 3);
    let [bad] = build.points_that("failed")[..] else { panic!("{:?}", build.points) };
    assert!(build.point(bad).error.as_ref().unwrap().contains("halvingDoubling"));
    assert_eq!(build.point(bad).finish_ns, None);
    finished.says(&[bad, "halvingDoubling", "3"]);
    // What could be built is known from now on; the failure is not.
    let again = sandbox.run("build recipe.json --keep-going --json").exits(3).build();
    assert_eq!((again.steps.executed, again.points_that("hit").len()), (0, 3));
    assert_eq!(again.points_that("failed"), [bad]);
}

#[test]
fn without_keep_going_the_first_failure_ends_the_build() {
    let sandbox = one_all_reduce();
    sandbox.write("recipe.json", ONE_BAD_POINT);
    let build = sandbox.run("build recipe.json --json -j 1").exits(3).build();
    assert_eq!(build.points_that("failed").len(), 1);
    assert!(!build.points_that("skipped").is_empty(), "{:?}", build.points);
    let statuses: Vec<&str> = build.points.iter().map(|p| p.status.as_str()).collect();
    assert_eq!(statuses, ["run", "failed", "skipped", "skipped"]);
}

#[test]
fn out_writes_the_usual_names_and_simulating_those_files_gives_the_same_times() {
    let sandbox = one_all_reduce();
    sandbox.run("build recipe.json --out files").succeeds();
    let names: Vec<_> = sandbox.files("files").into_keys().map(|p| p.display().to_string()).collect();
    let traces = (0..4).map(|rank| format!("all_reduce.{rank}.et"));
    let mut expected: Vec<String> = traces.collect();
    let configs = ["network_analytical_4.yml", "system_native_collectives_4.json", "remote_memory.json"];
    expected.extend(["manifest.json", "result.json"].iter().chain(&configs).map(|s| (*s).to_owned()));
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(sandbox.json("files/result.json")["finish_ns"], 43_000);
    let simulated = sandbox
        .run(
            "sim --workload-configuration=files/all_reduce --network-configuration files/network_analytical_4.yml \
             --system-configuration=files/system_native_collectives_4.json \
             --remote-memory-configuration=files/remote_memory.json --json",
        )
        .succeeds()
        .value();
    assert_eq!(simulated["finish_ns"], sandbox.json("files/result.json")["rank_finish_ns"]);
}

#[test]
fn out_gives_every_point_of_a_sweep_a_directory() {
    let sandbox = sweep_of_20();
    let build = sandbox.build("--out files");
    let results: Vec<_> = sandbox.files("files").into_keys().filter(|p| p.ends_with("result.json")).collect();
    assert_eq!(results.len(), 20);
    for point in &build.points {
        let result = sandbox.json(&format!("files/{}/result.json", point.name));
        assert_eq!(result["finish_ns"], point.finish_ns.unwrap());
    }
}

#[test]
fn quiet_says_nothing_and_a_closed_pipe_ends_the_build_quietly() {
    let sandbox = one_all_reduce();
    assert_eq!(sandbox.run("build recipe.json --quiet").succeeds().stderr, "");
    sandbox.write("recipe.json", sizes("many", 1..400));
    let mut shell = std::process::Command::new("sh");
    let arguments = format!("{PROGRAM} build recipe.json --json --store piped | head -n 1");
    shell.args(["-c", &arguments]).current_dir(sandbox.path(""));
    let finished = finish(&mut shell).succeeds();
    assert_eq!(finished.text().lines().count(), 1);
    assert_eq!(finished.stderr, "");
    // What had been built before the reader went away is kept and whole.
    assert_eq!(sandbox.run("build recipe.json --store piped --json").succeeds().build().points.len(), 399);
}
