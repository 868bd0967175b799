//! `sim` in the place of the original's binaries: called by their names, with their options, with and without a store.

use std::os::unix::fs::symlink;
use std::process::Command;

use artifact_store::{Options, Store};

use crate::sandbox::{Finished, PROGRAM, Sandbox, finish};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4};

const AWARE: &str = "AstraSim_Analytical_Congestion_Aware";
const UNAWARE: &str = "AstraSim_Analytical_Congestion_Unaware";

const FILES: &str = "--workload-configuration=files/all_reduce --system-configuration=files/system_native_collectives_4.json \
                     --network-configuration=files/network_analytical_4.yml \
                     --remote-memory-configuration=files/remote_memory.json";

/// Files of a run, made in a store of their own.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox.run("build recipe.json --out files --store elsewhere").succeeds();
    for name in [AWARE, UNAWARE] {
        symlink(PROGRAM, sandbox.path(name)).unwrap();
    }
    sandbox
}

fn called(sandbox: &Sandbox, name: &str, arguments: &str) -> Command {
    let ours = sandbox.command(arguments);
    let mut command = Command::new(sandbox.path(name));
    command.args(ours.get_args()).current_dir(sandbox.path(""));
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Rank and time of the lines that wrappers look for, in the order in which they are printed.
fn wall_times(text: &str) -> Vec<(u32, u64)> {
    let times = text.lines().filter_map(|line| {
        let (rank, time) = line.split_once("sys[")?.1.split_once("], Wall time: ")?;
        Some((rank.parse().unwrap(), time.parse().unwrap()))
    });
    times.collect()
}

/// How many simulations the store has executed and how many it has answered.
fn uses(sandbox: &Sandbox) -> (u64, u64) {
    let stats = sandbox.run("stats --json").succeeds().value();
    (stats["runs"].as_u64().unwrap(), stats["hits"].as_u64().unwrap())
}

fn without_time_of_day(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split_once("] ").unwrap().1).collect()
}

#[test]
fn under_the_names_of_the_binaries_it_prints_what_they_print() {
    let sandbox = sandbox();
    let printed = finish(called(&sandbox, AWARE, FILES).env_remove("ASTRA_STORE")).succeeds();
    let first: Vec<&str> = printed.text().lines().take(5).collect();
    let begins = |line: &str| {
        line.split(|c: char| !c.is_ascii_digit()).take(7).map(str::len).eq([0, 4, 2, 2, 2, 2, 2])
    };
    assert!(first.iter().all(|line| begins(line)), "{first:?}");
    assert_eq!(
        without_time_of_day(printed.text())[..5],
        [
            "[workload] [info] sys[0] finished, 43000 cycles, exposed communication 43000 cycles.",
            "[statistics] [info] sys[0]. Post statistics processing start.",
            "[statistics] [info] sys[0]. Post statistics processing end.",
            "[statistics] [info] sys[0], Wall time: 43000",
            "[statistics] [info] sys[0], Comm time: 43000",
        ]
    );
    assert!(printed.text().ends_with("[system] [warning] Exiting\n"));
    assert_eq!(wall_times(printed.text()).len(), 4);
    let unaware = finish(called(&sandbox, UNAWARE, FILES).env_remove("ASTRA_STORE")).succeeds();
    assert_eq!(wall_times(unaware.text()).len(), 4);
    let bare = sandbox.run(&format!("sim {FILES} --store s")).succeeds();
    assert_eq!(
        bare.text().lines().next(),
        Some("sys[0] finished, 43000 cycles, exposed communication 43000 cycles.")
    );
    assert_eq!(wall_times(bare.text()), wall_times(printed.text()));
}

#[test]
fn every_option_of_the_original_is_accepted_in_both_forms() {
    let sandbox = sandbox();
    let all = format!(
        "{FILES} --comm-group-configuration=empty --logging-configuration=empty --logging-folder=log --num-queues-per-dim=1 \
         --compute-scale=1 --comm-scale=1 --injection-scale=1 --rendezvous-protocol=false"
    );
    let expected = wall_times(sandbox.run(&format!("sim {FILES}")).succeeds().text());
    for arguments in [all.clone(), all.replace('=', " ")] {
        let printed = finish(&mut called(&sandbox, AWARE, &arguments)).succeeds();
        assert_eq!((wall_times(printed.text()), printed.stderr.as_str()), (expected.clone(), ""));
    }
    let slower = |option: &str| {
        let printed = finish(&mut called(&sandbox, AWARE, &format!("{FILES} {option}"))).succeeds();
        wall_times(printed.text())[0].1
    };
    assert!(slower("--rendezvous-protocol") > 43_000);
    assert_eq!(slower("--rendezvous-protocol"), slower("--rendezvous-protocol true"));
    assert!(slower("--injection-scale 100") > 43_000);
    assert_eq!(
        slower("--injection-scale 100 --injection-scale 1"),
        43_000,
        "the last one counts, as in the original"
    );
}

#[test]
fn an_unknown_option_is_a_warning() {
    let sandbox = sandbox();
    let printed = sandbox.run(&format!("sim --frobnicate=3 {FILES} --num-queue-per-dim 2 stray")).succeeds();
    assert_eq!(wall_times(printed.text()).len(), 4);
    printed.says(&[
        "warning: `--frobnicate=3` is not known and has no effect",
        "warning: `--num-queue-per-dim 2` is not known and has no effect; did you mean `--num-queues-per-dim`?",
        "warning: `stray` is not known",
    ]);
    let misspelt = FILES.replace("--network-configuration", "--netwrok-configuration");
    sandbox.run(&format!("sim {misspelt}")).exits(2).says(&[
        "is not known and has no effect; did you mean `--network-configuration`?",
        "--network-configuration <FILE>",
    ]);
    sandbox.run("build recipe.json --frobnicate=3").status.code().filter(|code| *code == 2).unwrap();
}

#[test]
fn a_repeated_call_is_answered_from_the_store_with_the_same_text() {
    let sandbox = sandbox();
    for (variable, place) in [("ASTRA_STORE", "store"), ("ASTRA_CACHE_DIR", "cache")] {
        let run = |arguments: &str| -> Finished {
            let mut command = sandbox.command(&format!("sim {arguments}"));
            finish(command.env_remove("ASTRA_STORE").env(variable, sandbox.path(place))).succeeds()
        };
        let (first, second) = (run(FILES), run(FILES));
        assert_eq!(first.text(), second.text());
        assert!(sandbox.path(place).join("FORMAT").is_file());
    }
    assert_eq!(uses(&sandbox), (1, 1));
    sandbox.run(&format!("sim {FILES} --rendezvous-protocol")).succeeds();
    sandbox.run(&format!("sim {FILES} --network-model congestion_unaware")).succeeds();
    assert_eq!(uses(&sandbox), (3, 1), "an option that counts is in the key");
    sandbox.run(&format!("sim {FILES} --compute-scale 7 --logging-folder elsewhere --no-lint")).succeeds();
    assert_eq!(uses(&sandbox), (3, 2), "one that does not count is not");
    sandbox.write(
        "files/network_analytical_4.yml",
        sandbox.read("files/network_analytical_4.yml").replace("50.0", "25.0"),
    );
    let changed = sandbox.run(&format!("sim {FILES}")).succeeds();
    assert_ne!(wall_times(changed.text())[0].1, 43_000, "what changed on disk is simulated");
}

#[test]
fn a_run_that_another_process_does_not_finish_is_waited_for_aloud_and_not_for_ever() {
    let sandbox = sandbox();
    let sim = format!("sim {FILES} --lock-timeout 3");
    let known = sandbox.run(&format!("{sim} --store known")).succeeds();
    let roots = sandbox.run("roots --json --store known").succeeds().value();
    let key = roots["roots"][0]["name"].as_str().unwrap().split('/').nth(1).unwrap();
    // This process simulates the same, and takes its time.
    let store = Store::open(sandbox.path("store"), &Options::default()).unwrap();
    let claim = store.claim(&key.parse().unwrap()).unwrap().unwrap();
    let simulated = sandbox.run(&sim).succeeds();
    assert_eq!(simulated.text(), known.text());
    simulated.says(&[
        &format!("waiting for another process to finish the same work: process {}", std::process::id()),
        "waited 3 s for another process to finish the same work",
        "simulating here, too",
    ]);
    drop(claim);
    sandbox.run(&sim).succeeds();
    assert_eq!(uses(&sandbox), (1, 1), "it was kept all the same");
}

#[test]
fn the_run_of_given_files_is_the_run_of_the_recipe_that_has_them() {
    let sandbox = sandbox();
    let recipe = ONE_ALL_REDUCE.replace(
        &ONE_ALL_REDUCE[ONE_ALL_REDUCE.find("\"workload\"").unwrap()..ONE_ALL_REDUCE.find('}').unwrap()],
        r#""workload": { "kind": "et", "traces": "files/all_reduce", "ranks": 4 "#,
    );
    sandbox.write("recipe.json", recipe);
    let built = sandbox.build("");
    assert_eq!(built.executed()["run"], 1);
    let (runs, _) = uses(&sandbox);
    sandbox.run(&format!("sim {FILES}")).succeeds();
    assert_eq!(uses(&sandbox).0, runs);
}

#[test]
fn what_was_simulated_is_kept_and_can_be_simulated_again() {
    let sandbox = sandbox();
    sandbox.run(&format!("sim {FILES} --rendezvous-protocol --injection-scale 2")).succeeds();
    sandbox.run("gc --grace 0").succeeds();
    let before = uses(&sandbox);
    sandbox.run(&format!("sim {FILES} --rendezvous-protocol --injection-scale 2")).succeeds();
    assert_eq!(uses(&sandbox).0, before.0, "collection keeps it");
    let roots = sandbox.run("roots --json").succeeds().value();
    let name = roots["roots"][0]["name"].as_str().unwrap();
    let key = name.strip_prefix("run/").unwrap().strip_suffix("/closure").unwrap();
    sandbox.run(&format!("show {key} --trace timeline.json")).succeeds();
    assert!(sandbox.read("timeline.json").contains("traceEvents"));
    sandbox.run("verify").succeeds();
}

#[test]
fn a_cache_directory_of_the_original_is_shared_with_it() {
    let sandbox = sandbox();
    sandbox.write("cache/cache.json", "{}");
    for _ in 0..2 {
        let mut command = called(&sandbox, AWARE, FILES);
        finish(command.env_remove("ASTRA_STORE").env("ASTRA_CACHE_DIR", sandbox.path("cache"))).succeeds();
    }
    assert_eq!(sandbox.read("cache/cache.json"), "{}");
    let stats = sandbox.run("stats --json --store cache/.astra-store").succeeds().value();
    assert_eq!(stats["hits"], 1);
}
