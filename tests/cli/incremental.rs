//! Only what changed is executed, and the program says what that was.

use crate::sandbox::{Build, Sandbox, finish};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, STEPS_OF_SWEEP_OF_20, SWEEP_OF_20, with};

/// A sandbox in which the sweep has been built.
fn built() -> (Sandbox, Build) {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", SWEEP_OF_20);
    let build = sandbox.build("");
    assert_eq!(build.steps.executed, STEPS_OF_SWEEP_OF_20);
    (sandbox, build)
}

/// Builds once more with other hardware: all results are to be known, and nothing but `hw` executed.
fn assert_only_hardware_is_read_again(hardware: &str) {
    let (sandbox, before) = built();
    sandbox.write("hardware.yaml", hardware);
    let after = sandbox.build("");
    assert_eq!(after.executed(), [("hw", 4)].into());
    assert_eq!(after.points_that("hit").len(), 20);
    assert_eq!(after.results(), before.results());
    assert_eq!(sandbox.build("").steps.executed, 0);
}

#[test]
fn a_comment_in_the_hardware_file_reaches_no_further_than_hw() {
    assert_only_hardware_is_read_again(&with(
        RING_OF_4,
        "# A ring to count on the fingers.",
        "# A small ring.",
    ));
}

#[test]
fn a_key_of_the_memory_hierarchy_reaches_no_further_than_hw() {
    assert_only_hardware_is_read_again(&with(RING_OF_4, "size: 80 GB", "size: 141 GB"));
}

#[test]
fn a_bandwidth_spelt_otherwise_reaches_no_further_than_hw() {
    assert_only_hardware_is_read_again(&with(RING_OF_4, "latency: 500e-9", "latency: 0.0000005"));
}

#[test]
fn one_bandwidth_of_a_sweep_runs_its_points_and_taking_it_back_runs_nothing() {
    let (sandbox, before) = built();
    sandbox.write("recipe.json", with(SWEEP_OF_20, "\"100 GB\"", "\"111 GB\""));
    let after = sandbox.build("");
    assert_eq!(after.executed(), [("hw", 1), ("policy", 1), ("configs", 1), ("run", 5)].into());
    let run = after.points_that("run");
    assert_eq!(run.len(), 5);
    assert!(run.iter().all(|name| name.contains("bandwidth=111 GB")), "{run:?}");
    for point in &before.points {
        if !point.name.contains("bandwidth=100 GB") {
            let now = after.point(&point.name);
            assert_eq!((now.status.as_str(), &now.result), ("hit", &point.result));
        }
    }
    sandbox.write("recipe.json", SWEEP_OF_20);
    let back = sandbox.build("");
    assert_eq!((back.steps.executed, back.results()), (0, before.results()));
}

#[test]
fn a_latency_of_the_hardware_file_runs_every_point_again() {
    let (sandbox, before) = built();
    sandbox.write("hardware.yaml", with(RING_OF_4, "500e-9", "600e-9"));
    let after = sandbox.build("");
    assert_eq!(after.executed(), [("hw", 4), ("policy", 4), ("configs", 4), ("run", 20)].into());
    for (now, then) in after.points.iter().zip(&before.points) {
        // Six rounds of one hop each, in one chunk; 100 ns more for each hop.
        assert_eq!(now.finish_ns.unwrap() - then.finish_ns.unwrap(), 600, "{}", now.name);
    }
    sandbox.write("hardware.yaml", RING_OF_4);
    assert_eq!(sandbox.build("").steps.executed, 0);
}

#[test]
fn place_time_zone_language_and_jobs_are_in_no_key() {
    let (sandbox, before) = built();
    let elsewhere = Sandbox::new();
    elsewhere.write("deep/down/hardware.yaml", RING_OF_4);
    elsewhere.write("deep/down/study.json", SWEEP_OF_20);
    let mut command = elsewhere.command("build down/study.json --json -j 3");
    command.current_dir(elsewhere.path("deep")).env("ASTRA_STORE", sandbox.path("store"));
    command.env("TZ", "Pacific/Auckland").env("LANG", "de_DE.UTF-8").env("LC_ALL", "tr_TR.UTF-8");
    command.env("HOME", elsewhere.path("home")).env("USER", "somebody");
    let build = finish(&mut command).succeeds().build();
    assert_eq!((build.steps.executed, build.steps.hit), (0, STEPS_OF_SWEEP_OF_20));
    assert_eq!(build.results(), before.results());
}

#[test]
fn the_layout_of_a_recipe_and_its_description_change_nothing() {
    let (sandbox, _) = built();
    let value: serde_json::Value = serde_json::from_str(SWEEP_OF_20).unwrap();
    let dense = serde_json::to_string(&value).unwrap();
    sandbox.write("recipe.json", with(&dense, "{\"hw\"", "{\"description\":\"the same\",\"hw\""));
    assert_eq!(sandbox.build("").steps.executed, 0);
}

#[test]
fn two_recipes_share_the_steps_they_have_in_common() {
    let (sandbox, _) = built();
    sandbox.write("recipe.json", with(SWEEP_OF_20, "sweep-of-20", "another-name"));
    let renamed = sandbox.build("");
    assert_eq!((renamed.steps.executed, renamed.points_that("hit").len()), (0, 20));
}

#[test]
fn explain_names_the_input_that_changed_and_both_its_values() {
    let (sandbox, _) = built();
    sandbox.write("hardware.yaml", with(RING_OF_4, "500e-9", "600e-9"));
    let text = sandbox.run("build recipe.json --explain --dry-run").succeeds();
    assert!(
        text.stderr.lines().any(|l| l.starts_with("would run hw") && l.contains("hardware.yaml: ")),
        "{}",
        text.stderr
    );

    let build = sandbox.build("--explain");
    let reasons = build.reasons();
    assert_eq!(reasons.len(), build.steps.executed as usize);
    let of = |step: &str| reasons.iter().find(|(s, _)| *s == step).unwrap().1;
    assert!(of("hw").starts_with("hardware.yaml: ") && of("hw").contains(" → "), "{}", of("hw"));
    // The step after it says what in the network is other than before.
    let configs = of("configs");
    assert_eq!(configs, "network-spec.json: dimensions[0].latency_s: 5e-7 → 6e-7");
    assert!(of("run").starts_with("network.yml: "), "{}", of("run"));
}

#[test]
fn explain_prints_one_line_for_every_executed_step() {
    let (sandbox, _) = built();
    sandbox.write("recipe.json", with(SWEEP_OF_20, "\"16 MiB\"", "\"32 MiB\""));
    let finished = sandbox.run("build recipe.json --explain").succeeds();
    let lines: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("new point")).collect();
    assert_eq!(lines.len(), 1 + 4, "{}", finished.stderr);
    assert_eq!(lines.iter().filter(|line| line.starts_with("run ")).count(), 4, "{}", finished.stderr);
}

#[test]
fn explain_names_a_parameter_with_both_its_values() {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    let first = sandbox.build("--explain");
    assert!(first.reasons().iter().all(|(_, why)| *why == "first build of this recipe"));
    sandbox.write("recipe.json", with(ONE_ALL_REDUCE, "\"endpoint-delay\": 10", "\"endpoint-delay\": 30"));
    let build = sandbox.build("--explain");
    assert_eq!(build.executed(), [("policy", 1), ("configs", 1), ("run", 1)].into());
    assert!(
        build.reasons().contains(&("configs", "system.endpoint-delay: 10 → 30")),
        "{:?}",
        build.reasons()
    );
    // Four chunks, each with seven steps that take the endpoint delay.
    assert_eq!(build.finish_of("one-all-reduce"), 43_000 + 4 * 7 * 20);
}

#[test]
fn a_source_that_is_edited_back_and_forth_is_never_confused_with_its_other_self() {
    let (sandbox, at_500) = built();
    let other = with(RING_OF_4, "500e-9", "600e-9");
    sandbox.write("hardware.yaml", &other);
    let at_600 = sandbox.build("");
    for round in 0..3 {
        sandbox.write("hardware.yaml", if round % 2 == 0 { RING_OF_4 } else { &other });
        let now = sandbox.build("");
        let expected = if round % 2 == 0 { &at_500 } else { &at_600 };
        assert_eq!((now.steps.executed, now.results()), (0, expected.results()));
    }
}

#[test]
fn the_same_algorithm_for_another_reason_is_noted_and_simulates_nothing() {
    let decisions = |decision: &str| {
        format!(
            r#"{{"version":2,"rows":[{{"collective":"all_reduce","decisions":[{{"algorithm":"ring",{decision}}}]}}]}}"#
        )
    };
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    let stored = |text: &str| {
        let digest = artifact_store::Blob::new(text.as_bytes()).digest();
        let finished = sandbox.run(&format!("cat {digest}"));
        finished.status.success().then(|| finished.text().to_owned())
    };
    let by_default = decisions(r#""decided_by":"policy","reason":"default for Ring""#);
    let by_recipe =
        decisions(r#""decided_by":"recipe_policy","reason":"`policy.collectives.all_reduce` of the recipe""#);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    assert_eq!(sandbox.build("").steps.executed, 5);
    assert_eq!(stored(&by_default), Some(by_default.clone()));
    assert_eq!(stored(&by_recipe), None);
    let policy = "\"policy\": { \"collectives\": { \"all_reduce\": \"ring\" } }, \"system\"";
    sandbox.write("recipe.json", with(ONE_ALL_REDUCE, "\"system\"", policy));
    assert_eq!(sandbox.build("").executed(), [("policy", 1)].into());
    assert_eq!(stored(&by_recipe), Some(by_recipe.clone()));
}
