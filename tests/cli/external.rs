//! A simulator that is another program: what it gets, what counts as success, and that nothing of it is ever left.

use std::io::Write as _;
use std::process::Stdio;

use crate::fake::{Fake, NAME, recipe};
use crate::study::{ONE_ALL_REDUCE, with};

/// What [`ONE_ALL_REDUCE`] takes, on every rank.
const FINISH: u64 = 43_000;

#[test]
fn an_external_simulator_gives_the_result_that_the_built_in_one_gives_and_is_not_run_twice() {
    let fake = Fake::new("");
    let external = fake.run("build recipe.json --json").succeeds().build();
    assert_eq!(external.finish_of("one-all-reduce"), FINISH);
    assert_eq!(external.steps.executed, 5);
    let again = fake.run("build recipe.json --json").succeeds().build();
    assert_eq!((again.steps.executed, again.steps.hit), (0, 5));
    fake.sandbox.write("builtin.json", ONE_ALL_REDUCE);
    let builtin = fake.run("build builtin.json --json").succeeds().build();
    // Traces and configuration are known, and the result is the same blob.
    assert_eq!((builtin.steps.executed, builtin.steps.hit), (1, 4));
    assert_eq!(builtin.results(), external.results());
    fake.assert_nothing_is_left();
}

#[test]
fn figures_of_computation_and_overlap_are_those_of_the_built_in_engine_to_the_last_byte() {
    let fake = Fake::new("");
    let one = r#"{ "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" }"#;
    for workload in [
        r#"{ "kind": "pipeline", "ranks": 4, "microbatches": 3, "compute": "5 us", "size": "1 MiB" }"#,
        r#"{ "kind": "sequence", "ranks": 4, "items": [ { "collective": "all_gather", "size": "1 MiB" },
            { "collective": "all_reduce", "size": "2 MiB", "delay": "20 us" } ] }"#,
    ] {
        fake.sandbox.write("recipe.json", with(&recipe(""), one, workload));
        let external = fake.run("build recipe.json --json").succeeds().build();
        fake.sandbox.write("recipe.json", with(ONE_ALL_REDUCE, one, workload));
        let builtin = fake.run("build recipe.json --json").succeeds().build();
        assert_eq!(builtin.steps.executed, 1);
        assert_eq!(builtin.results(), external.results(), "{workload}");
    }
}

#[test]
fn the_simulator_sees_a_directory_of_its_own_and_nothing_else() {
    let fake = Fake::new("tell\nscribble");
    let mut build = fake.command("build recipe.json");
    build.env("SECRET", "42").env("HOME", "/root").env("LD_LIBRARY_PATH", "/opt/lib");
    // Whatever it writes into its traces, those in the store stay as they were.
    crate::sandbox::finish(build.stdin(Stdio::null())).succeeds();
    let seen = fake.sandbox.read("sim/seen");
    let lines =
        |word: &str| -> Vec<&str> { seen.lines().filter_map(|line| line.strip_prefix(word)).collect() };
    let [directory] = lines("cwd ")[..] else { panic!("{seen}") };
    assert!(directory.contains("/tmp/astra-store-run-"), "{directory}");
    let mut variables = lines("variable ");
    variables.retain(|variable| !variable.starts_with("PATH="));
    variables.sort_unstable();
    let own = |name: &str| format!("{name}={directory}");
    assert_eq!(variables, [&own("HOME"), "LC_ALL=C", "LD_LIBRARY_PATH=/opt/lib", &own("TMPDIR")]);
    assert_eq!(lines("stdin "), ["0"]);
    assert_eq!(
        lines("argument "),
        [
            "--workload-configuration=et/all_reduce",
            "--comm-group-configuration=empty",
            "--system-configuration=system.json",
            "--remote-memory-configuration=remote_memory.json",
            "--network-configuration=network.yml",
            "--logging-folder=log",
            "--num-queues-per-dim=1",
        ]
    );
    fake.assert_nothing_is_left();
}

#[test]
fn the_key_knows_the_bytes_of_the_executable_and_not_where_it_lies() {
    let fake = Fake::new("");
    let first = fake.run("build recipe.json --json").succeeds().build();
    // Elsewhere, and named by the environment.
    let elsewhere = fake.sandbox.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::rename(fake.sandbox.path("sim").join(NAME), elsewhere.join("sim")).unwrap();
    fake.sandbox.write("recipe.json", with(&recipe(""), &format!(r#", "binary": "sim/{NAME}""#), ""));
    let mut build = fake.command("build recipe.json --json");
    let moved =
        crate::sandbox::finish(build.env("ASTRA_SIM_BINARY", elsewhere.join("sim"))).succeeds().build();
    assert_eq!((moved.steps.executed, moved.results()), (0, first.results()));
    // Another program gives other keys.
    let other = elsewhere.join("other");
    std::fs::copy(elsewhere.join("sim"), &other).unwrap();
    std::fs::OpenOptions::new().append(true).open(&other).unwrap().write_all(b"0").unwrap();
    let mut build = fake.command("build recipe.json --json");
    let other = crate::sandbox::finish(build.env("ASTRA_SIM_BINARY", other)).succeeds().build();
    assert_eq!(other.executed().into_iter().collect::<Vec<_>>(), [("run", 1)]);
    // So do other options of it; limits do not.
    fake.install(NAME);
    fake.sandbox.write("recipe.json", recipe(r#", "queues_per_dimension": 2"#));
    let other = fake.run("build recipe.json --json").succeeds().build();
    assert_eq!(other.executed().get("run"), Some(&1));
    fake.sandbox.write("recipe.json", recipe(r#", "timeout": "1h", "memory": "64 GiB""#));
    assert_eq!(fake.run("build recipe.json --json").succeeds().build().steps.executed, 0);
}

#[test]
fn looking_writes_nothing_and_building_remembers_the_hash_of_an_executable_that_is_not_new() {
    let fake = Fake::new("");
    let hash = fake.sandbox.path("store/mat/executables");
    fake.run("build recipe.json --dry-run").succeeds();
    assert!(!fake.sandbox.path("store").exists());
    // Only what was written two seconds ago is remembered. A link is a change too.
    let executable = fake.sandbox.path("sim").join(NAME);
    std::fs::copy(&executable, executable.with_extension("old")).unwrap();
    let recipe = with(&recipe(""), NAME, &format!("{NAME}.old"));
    fake.sandbox.write("recipe.json", recipe);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    fake.run("build recipe.json").succeeds();
    assert_eq!(std::fs::read_dir(&hash).unwrap().count(), 1);
    std::fs::remove_dir_all(fake.sandbox.path("store/mat")).unwrap();
    fake.run("build recipe.json --read-only").succeeds();
    fake.run("build recipe.json --dry-run").succeeds();
    assert!(!fake.sandbox.path("store/mat").exists());
    assert_eq!(fake.run("build recipe.json --json").succeeds().build().steps.executed, 0);
    fake.assert_nothing_is_left();
}

#[test]
fn what_an_external_simulator_gave_is_left_to_the_next_build_where_it_is_lost() {
    let fake = Fake::new("");
    fake.run("build recipe.json").succeeds();
    crate::upkeep::damage(&fake.sandbox, b"result.json");
    let repaired = fake.run("repair --json").value();
    assert_eq!(repaired["made_again"].as_array().map(Vec::len), Some(0), "{repaired}");
    let again = fake.run("build recipe.json --json").succeeds().build();
    assert_eq!((again.executed().get("run"), again.finish_of("one-all-reduce")), (Some(&1), FINISH));
    fake.assert_nothing_is_left();
}

#[test]
fn an_executable_that_cannot_be_used_is_an_error_with_a_remedy() {
    let fake = Fake::new("");
    fake.sandbox.write("recipe.json", with(&recipe(""), &format!(r#", "binary": "sim/{NAME}""#), ""));
    fake.run("build recipe.json").exits(3).says(&[
        "needs an executable",
        "`engine.binary`",
        "ASTRA_SIM_BINARY",
    ]);
    fake.sandbox.write("recipe.json", with(&recipe(""), NAME, "nothing"));
    fake.run("build recipe.json").exits(3).says(&["sim/nothing: there is no such file", "ASTRA_SIM_BINARY"]);
    fake.sandbox.write("recipe.json", with(&recipe(""), NAME, "behaviour"));
    fake.run("build recipe.json").exits(3).says(&["sim/behaviour: is not executable"]);
    fake.sandbox.write("recipe.json", recipe(r#", "network": "congestion_unaware""#));
    fake.run("build recipe.json").exits(3).says(&[
        "engine.network: `congestion_unaware` is asked for, and by its name the simulator is `congestion_aware`",
    ]);
    fake.sandbox.write("sim/text", "no program");
    use std::os::unix::fs::PermissionsExt;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(fake.sandbox.path("sim/text"), executable).unwrap();
    fake.sandbox.write("recipe.json", with(&recipe(""), NAME, "text"));
    fake.run("build recipe.json").exits(1).says(&["it could not be started", "start it by hand"]);
    fake.assert_nothing_is_left();
}

#[test]
fn a_simulator_that_fails_is_a_failed_step_that_repeats_its_last_words() {
    for (behaviour, words) in [
        ("exit 3", ["it ended with exit code 3", "bad file: network.yml"]),
        (
            "abort",
            ["it crashed: signal 6 (abort, as after a failed assertion)", "Assertion `size > 0' failed."],
        ),
    ] {
        let fake = Fake::new(behaviour);
        let failed = fake.run("build recipe.json --json").exits(1).says(&words);
        let remedy =
            "the built-in engine finishes the same input after 43.000 us: the executable is at fault";
        let failed = failed.says(&[NAME, remedy]).build();
        assert_eq!((failed.steps.executed, failed.steps.failed), (4, 1));
        fake.assert_nothing_is_left();
        // Nothing was recorded: it is run again, and may do better.
        fake.behave("");
        assert_eq!(fake.run("build recipe.json --json").succeeds().build().steps.executed, 1);
    }
}

#[test]
fn success_is_a_finished_line_and_a_wall_time_above_zero_of_every_rank() {
    for (behaviour, words) in [
        (
            "drop 2",
            ["it ended with success, but 1 of 4 ranks never finished: 2", "the executable is at fault"],
        ),
        ("zeros", ["it printed a time of 0 for ranks 0, 1, 2, 3", "the executable is at fault"]),
        ("no-times", ["it printed no wall time of ranks 0, 1, 2, 3", "CPU, memory or invalid nodes"]),
    ] {
        let fake = Fake::new(behaviour);
        let failed = fake.run("build recipe.json --json").exits(1).says(&words).build();
        assert_eq!(failed.points_that("failed"), ["one-all-reduce"]);
        fake.assert_nothing_is_left();
    }
}

#[test]
fn ranks_that_wait_for_each_other_for_ever_are_explained_by_the_built_in_engine() {
    let fake = Fake::new("dialect deepflow");
    let (hardware, builtin) = crate::networks::stalling();
    let engine = format!(r#""kind": "astra-sim", "binary": "sim/{NAME}", "dialect""#);
    fake.sandbox.write("hardware.yaml", hardware);
    fake.sandbox.write("recipe.json", with(&builtin, r#""dialect""#, &engine));
    let said = [
        "it ended with success, but no rank of 32 finished\nof the same input the built-in engine says:\n",
        "the simulation stalled",
        "engine.queues_per_dimension",
    ];
    let failed = fake.run("build recipe.json --json").exits(1).says(&said);
    let summary = Fake::lines(&failed).pop().unwrap();
    assert_eq!(summary["points"][0]["stall"]["blocked"].as_array().map(Vec::len), Some(32), "{summary}");
    fake.assert_nothing_is_left();
}

#[test]
fn what_a_check_that_was_left_out_would_have_found_explains_a_failure() {
    let fake = Fake::new("");
    let existing = r#"{ "kind": "et", "traces": "traces/w", "ranks": 4 }"#;
    let one = r#"{ "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" }"#;
    fake.sandbox.write("recipe.json", with(&recipe(""), one, existing));
    crate::traces::write_lonely(&fake.sandbox, "traces/w");
    fake.run("build recipe.json --no-lint").exits(1).says(&[
        "it ended with success, but",
        "the check of the traces, which was left out, says:",
        "all members have to take part",
    ]);
    fake.assert_nothing_is_left();
}

#[test]
fn what_was_killed_is_tried_again_five_times_at_most() {
    let fake = Fake::new("kill 2");
    assert_eq!(fake.run("build recipe.json --json").succeeds().build().finish_of("one-all-reduce"), FINISH);
    assert_eq!(fake.sandbox.read("sim/attempts"), "3");
    fake.assert_nothing_is_left();

    let fake = Fake::new("kill 100");
    fake.run("build recipe.json")
        .exits(1)
        .says(&["killed by somebody else: signal 9", "the last of 5 attempts"]);
    assert_eq!(fake.sandbox.read("sim/attempts"), "5");
    fake.assert_nothing_is_left();
}

#[test]
fn a_simulator_beyond_its_limits_is_ended_and_the_limit_is_named() {
    let fake = Fake::new("hang\nstart survive");
    fake.sandbox.write("recipe.json", recipe(r#", "timeout": 1"#));
    let limit = ["it had not ended after 1 s, its limit; 0 ranks had finished", "engine.timeout"];
    fake.run("build recipe.json").exits(1).says(&limit);
    fake.assert_nothing_is_left();

    let fake = Fake::new("allocate 8192");
    fake.sandbox.write("recipe.json", recipe(r#", "memory": "4 GiB""#));
    fake.run("build recipe.json")
        .exits(1)
        .says(&["more memory than its limit of 4294967296 bytes", "engine.memory"]);
    fake.assert_nothing_is_left();
    fake.sandbox.write("recipe.json", recipe(r#", "memory": "64 GiB""#));
    fake.run("build recipe.json").succeeds();
}

#[test]
fn what_a_simulator_leaves_running_is_ended_with_it() {
    for survivor in ["start survive", "start survive-elsewhere"] {
        let fake = Fake::new(survivor);
        // It also holds the pipe to which the simulator printed.
        assert_eq!(
            fake.run("build recipe.json --json").succeeds().build().finish_of("one-all-reduce"),
            FINISH
        );
        fake.assert_nothing_is_left();
    }
}

#[test]
fn an_interrupted_build_ends_a_simulator_that_does_not_listen() {
    for behaviour in ["hang", "ignore\nhang\nstart survive-elsewhere"] {
        let fake = Fake::new(behaviour);
        let build = fake.sandbox.start_command(fake.command("build --json recipe.json"));
        fake.wait_for("hangs");
        build.signal("INT");
        build.finish().exits(130).says(&["interrupted"]);
        fake.assert_nothing_is_left();
    }
}

#[test]
fn a_killed_build_takes_its_simulator_with_it() {
    let fake = Fake::new("ignore\nhang\nstart survive-elsewhere");
    let mut build = fake.sandbox.start_command(fake.command("build --json recipe.json"));
    fake.wait_for("hangs");
    build.kill();
    fake.assert_nothing_is_left_soon();
}

#[test]
fn a_simulator_whose_watcher_is_killed_is_ended_and_run_again() {
    let fake = Fake::new("hang");
    let build = fake.sandbox.start_command(fake.command("build --json recipe.json"));
    fake.wait_for("hangs");
    fake.behave("");
    fake.kill_watcher();
    assert_eq!(build.finish().succeeds().build().finish_of("one-all-reduce"), FINISH);
    fake.assert_nothing_is_left_soon();
}

#[test]
fn a_simulator_whose_watcher_is_killed_at_once_is_ended_too() {
    let fake = Fake::new("unwatch\nhang");
    fake.run("build recipe.json")
        .exits(1)
        .says(&["its watcher ended before it did", "the last of 5 attempts"]);
    fake.assert_nothing_is_left_soon();
}

#[test]
fn a_gigabyte_of_output_is_read_and_cut() {
    let fake = Fake::new("flood 1000");
    let built = fake.run("build recipe.json --json").succeeds().build();
    assert_eq!(built.finish_of("one-all-reduce"), FINISH);
    let log = fake.run("show one-all-reduce --log").succeeds();
    let log = log.text();
    assert!(log.starts_with("== stdout, 10000"), "{}", &log[..100]);
    assert!(log.contains(" bytes are left out here\n") && log.contains("sys[3], Wall time: 43000\n"));
    assert!(log.len() < 1 << 20);
    fake.assert_nothing_is_left();
    let bytes = std::fs::metadata(fake.sandbox.path("store/store.redb")).unwrap().len();
    assert!(bytes < 16 << 20, "{bytes}");
}

#[test]
fn what_was_printed_is_kept_beside_the_record_and_is_no_output() {
    let fake = Fake::new("");
    fake.run("build recipe.json").succeeds();
    let log = fake.run("show one-all-reduce --log").succeeds();
    assert!(log.text().contains("[workload] [info] sys[0] finished, 43000 cycles"), "{}", log.text());
    assert!(log.text().ends_with("== stderr, 0 bytes\n"));
    let log = fake.run("show one-all-reduce --log --json").succeeds().value();
    assert!(log["log"].as_str().unwrap().contains("sys[0], Wall time: 43000"));
    fake.sandbox.write("builtin.json", ONE_ALL_REDUCE.replace("one-all-reduce", "builtin"));
    fake.run("build builtin.json").succeeds();
    fake.run("show builtin --log").exits(2).says(&["printed nothing that is kept"]);
}

#[test]
fn ranks_are_told_while_they_finish() {
    let fake = Fake::new("wait");
    let mut build = fake.sandbox.start_command(fake.command("build --json recipe.json"));
    for rank in 0..4 {
        std::fs::write(fake.sandbox.path("sim").join(format!("go{rank}")), "").unwrap();
        if rank < 3 {
            let told = build.wait_for_event("ranks");
            assert_eq!((told.finished, told.ranks), (Some(rank + 1), Some(4)));
        }
    }
    build.finish().exits(0);
    fake.assert_nothing_is_left();
}

#[test]
fn a_cross_check_says_that_both_engines_agree() {
    let fake = Fake::new("");
    let sweep = with(
        &recipe(""),
        r#""system""#,
        r#""sweep": { "grid": { "workload.size": ["1 MiB", "2 MiB"] } }, "system""#,
    );
    fake.sandbox.write("recipe.json", &sweep);
    let checked = fake.run("build recipe.json --cross-check").succeeds();
    let agreed = checked.says(&["cross-check: 2 points, 2 with the same times of every rank"]);
    assert!(!agreed.text().contains("differs"));
    // The other way round, with an executable that the command names.
    let builtin = with(&sweep, &format!(r#""kind": "astra-sim", "binary": "sim/{NAME}""#), "");
    fake.sandbox.write("recipe.json", builtin);
    let checked = fake.run(&format!("build recipe.json --json --cross-check=sim/{NAME}")).succeeds();
    let points = &Fake::lines(&checked).pop().unwrap()["cross_check"];
    assert_eq!(points.as_array().map(Vec::len), Some(2));
    assert_eq!(points[0]["differing"], serde_json::json!([]));
    // Of one result by two engines `show` finds the run that can show what is asked for.
    let result = checked.build().points[0].result.clone().unwrap();
    assert!(fake.run(&format!("show {result} --log")).succeeds().text().contains("Wall time"));
    assert!(fake.run(&format!("show {result} --links")).succeeds().text().contains("utilisation"));
    fake.assert_nothing_is_left();
}

#[test]
fn a_cross_check_reports_every_rank_that_differs_and_fails() {
    let fake = Fake::new("add 430");
    fake.sandbox.write("recipe.json", ONE_ALL_REDUCE);
    let check = format!("--cross-check=sim/{NAME}");
    let differ = fake
        .run(&format!("build recipe.json {check}"))
        .exits(1)
        .says(&["the engines differ at 1 of 1 point"]);
    let row = differ.text().lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(row, "one-all-reduce 4 of 4 0 43.000 us 43.430 us +1.000 %");
    let differ = fake.run(&format!("build recipe.json --json {check}")).exits(1);
    let points = &Fake::lines(&differ).pop().unwrap()["cross_check"];
    assert_eq!(points[0]["differing"].as_array().map(Vec::len), Some(4));
    assert_eq!(points[0]["differing"][3]["builtin_finish_ns"], FINISH);
    assert_eq!(points[0]["differing"][3]["external_finish_ns"], FINISH + 430);
    // The results of the build are its own.
    assert_eq!(fake.run("build recipe.json --json").succeeds().build().finish_of("one-all-reduce"), FINISH);
    fake.assert_nothing_is_left();
}

#[test]
fn a_cross_check_needs_somebody_to_compare_with() {
    let fake = Fake::new("exit 1");
    fake.run(&format!("build recipe.json --cross-check=sim/{NAME}"))
        .exits(2)
        .says(&["all points name an executable"]);
    fake.sandbox.write("recipe.json", ONE_ALL_REDUCE);
    fake.run("build recipe.json --cross-check").exits(2).says(&["--cross-check=PATH", "ASTRA_SIM_BINARY"]);
    let failed = fake.run(&format!("build recipe.json --cross-check=sim/{NAME}")).exits(1);
    failed.says(&["the other engine failed at 1 of 1 point", "it ended with exit code 1"]);
    fake.assert_nothing_is_left();
}
