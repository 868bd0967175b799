//! The cache modes: what a command may do with what is stored, by listings of the directory before and after.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::sandbox::{Build, Sandbox, finish};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4};

const FILES: &str = "--workload-configuration=files/all_reduce --system-configuration=files/system_native_collectives_4.json \
                     --network-configuration=files/network_analytical_4.yml";

/// A store with one build in it, and its files. Temporary stores are made in `tmp`.
fn built() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox.write("other.json", ONE_ALL_REDUCE.replace("1 MiB", "2 MiB"));
    sandbox.write("tmp/.keep", "");
    sandbox.run("build recipe.json --out files").succeeds();
    sandbox
}

/// Every path below a directory with its length, time of last change and content.
fn listing(root: &Path) -> Vec<(PathBuf, u64, SystemTime, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let about = std::fs::metadata(&path).unwrap();
            let content = if about.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
            found.push((path.clone(), about.len(), about.modified().unwrap(), content));
            if about.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

fn command(sandbox: &Sandbox, arguments: &str) -> Command {
    let mut command = sandbox.command(arguments);
    command.env("TMPDIR", sandbox.path("tmp"));
    command
}

/// Runs a command and fails unless it leaves the store and the temporary directory as they were.
fn unchanged(sandbox: &Sandbox, command: &mut Command) -> crate::sandbox::Finished {
    let before = (listing(&sandbox.path("store")), listing(&sandbox.path("tmp")));
    let finished = finish(command).succeeds();
    let after = (listing(&sandbox.path("store")), listing(&sandbox.path("tmp")));
    assert!(before.0 == after.0, "the store has changed");
    assert!(before.1 == after.1, "something was left in the temporary directory");
    finished
}

fn build(sandbox: &Sandbox, recipe: &str, mode: &str) -> Build {
    unchanged(sandbox, &mut command(sandbox, &format!("build {recipe} --json --cache {mode}"))).build()
}

#[test]
fn no_cache_reads_nothing_and_writes_nothing() {
    let sandbox = built();
    let again = build(&sandbox, "recipe.json", "NO_CACHE");
    assert_eq!((again.steps.executed, again.steps.hit, again.finish_of("one-all-reduce")), (5, 0, 43_000));
    assert_eq!(build(&sandbox, "other.json", "NO_CACHE").steps.executed, 5);
    unchanged(&sandbox, &mut command(&sandbox, "build recipe.json --dry-run --cache NO_CACHE"));
    unchanged(&sandbox, &mut command(&sandbox, &format!("sim {FILES} --cache NO_CACHE")));
    std::fs::remove_dir_all(sandbox.path("store")).unwrap();
    finish(&mut command(&sandbox, "build recipe.json --cache NO_CACHE")).succeeds();
    finish(&mut command(&sandbox, &format!("sim {FILES} --cache NO_CACHE"))).succeeds();
    assert!(!sandbox.path("store").exists());
}

#[test]
fn readonly_takes_what_is_there_and_writes_nothing_at_all() {
    let sandbox = built();
    let known = build(&sandbox, "recipe.json", "CACHE_READONLY");
    assert_eq!((known.steps.executed, known.finish_of("one-all-reduce")), (0, 43_000));
    let other = build(&sandbox, "other.json", "CACHE_READONLY");
    assert_eq!(other.executed().into_keys().collect::<Vec<_>>(), ["et", "run"], "the rest is known");
    let dry = command(&sandbox, "build recipe.json --dry-run --json --cache CACHE_READONLY");
    assert_eq!(unchanged(&sandbox, &mut { dry }).build().steps.would_run, Some(0));
    for _ in 0..2 {
        unchanged(&sandbox, &mut command(&sandbox, &format!("sim {FILES} --cache CACHE_READONLY")));
    }
    let before = sandbox.holdings();
    let built_now = sandbox.build("--cache CACHE_READWRITE");
    assert_eq!((built_now.steps.executed, sandbox.holdings()), (0, before));
}

#[test]
fn readonly_writes_files_and_hands_out_what_it_made() {
    let sandbox = built();
    unchanged(
        &sandbox,
        &mut command(&sandbox, "build other.json --cache CACHE_READONLY --out made --push there"),
    );
    assert!(sandbox.path("made/all_reduce.3.et").is_file());
    sandbox.run("build other.json --store fresh --upstream there --json").succeeds().build();
    assert_eq!(sandbox.run("build other.json --store fresh --json").succeeds().build().steps.executed, 0);
}

#[test]
fn readonly_without_a_store_makes_none() {
    let sandbox = built();
    std::fs::remove_dir_all(sandbox.path("store")).unwrap();
    for arguments in
        ["build recipe.json".to_owned(), "build recipe.json -n".to_owned(), format!("sim {FILES}")]
    {
        finish(&mut command(&sandbox, &format!("{arguments} --cache CACHE_READONLY"))).succeeds();
        assert!(!sandbox.path("store").exists());
    }
}

#[test]
fn readonly_misses_what_is_damaged() {
    let sandbox = built();
    let mut file = sandbox.bytes("store/store.redb");
    let places: Vec<usize> = (0..file.len() - 5).filter(|at| &file[*at..at + 5] == b"recd\x01").collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| file[at + 40] ^= 1);
    sandbox.write("store/store.redb", file);
    let again = build(&sandbox, "recipe.json", "CACHE_READONLY");
    assert_eq!((again.steps.executed, again.finish_of("one-all-reduce")), (5, 43_000));
}

#[test]
fn the_environment_says_the_mode_and_the_option_comes_before_it() {
    let sandbox = built();
    for variable in ["DEEPFLOW_ASTRA_CACHE_MODE", "RAPID_ASTRA_CACHE_MODE"] {
        let mut with = command(&sandbox, "build recipe.json --json");
        assert_eq!(unchanged(&sandbox, with.env(variable, " no_cache")).build().steps.executed, 5);
        let mut with = command(&sandbox, "build recipe.json --json --cache CACHE_READONLY");
        assert_eq!(unchanged(&sandbox, with.env(variable, "NO_CACHE")).build().steps.executed, 0);
        let mut with = command(&sandbox, &format!("sim {FILES}"));
        unchanged(&sandbox, with.env(variable, "CACHE_READONLY"));
        let mut empty = command(&sandbox, "build recipe.json --json");
        assert_eq!(finish(empty.env(variable, "")).succeeds().build().steps.executed, 0);
    }
    let mut both = command(&sandbox, "build recipe.json");
    both.envs([("DEEPFLOW_ASTRA_CACHE_MODE", "NO_CACHE"), ("RAPID_ASTRA_CACHE_MODE", "CACHE_READONLY")]);
    finish(&mut both)
        .exits(2)
        .says(&["DEEPFLOW_ASTRA_CACHE_MODE: says another cache mode than RAPID_ASTRA_CACHE_MODE"]);
}

#[test]
fn an_unknown_mode_is_an_error_that_lists_the_three() {
    let sandbox = built();
    let list = "expected NO_CACHE, CACHE_READONLY or CACHE_READWRITE";
    for arguments in ["build recipe.json".to_owned(), format!("sim {FILES}")] {
        sandbox.run(&format!("{arguments} --cache READONLY")).exits(2).says(&["--cache: unknown", list]);
        let mut with = command(&sandbox, &arguments);
        let said = finish(with.env("DEEPFLOW_ASTRA_CACHE_MODE", "off")).exits(2);
        said.says(&["DEEPFLOW_ASTRA_CACHE_MODE: unknown cache mode `off`", list]);
    }
    sandbox
        .run("build recipe.json --cache CACHE_READONLI")
        .exits(2)
        .says(&["did you mean `CACHE_READONLY`?"]);
}
