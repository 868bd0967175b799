//! Which store a command uses, and which commands make one.

use std::path::Path;
use std::process::Command;

use crate::sandbox::{Sandbox, finish};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox
}

/// A command without a store in its environment.
fn bare(sandbox: &Sandbox, arguments: &str) -> Command {
    let mut command = sandbox.command(arguments);
    command.env_remove("ASTRA_STORE");
    command
}

fn is_store(path: &Path) -> bool {
    path.join("FORMAT").is_file()
}

#[test]
fn the_option_comes_before_the_environment_and_that_before_the_nearest_directory() {
    let sandbox = sandbox();
    sandbox.run("build recipe.json --store .astra-store").succeeds();
    for (used, option, variables) in [
        ("by-option", "--store by-option", &[("ASTRA_STORE", "a"), ("ASTRA_CACHE_DIR", "b")][..]),
        ("by-store", "", &[("ASTRA_STORE", "by-store"), ("ASTRA_CACHE_DIR", "b")]),
        ("by-cache", "", &[("ASTRA_CACHE_DIR", "by-cache")]),
        ("by-cache-2", "", &[("ASTRA_STORE", ""), ("ASTRA_CACHE_DIR", "by-cache-2")]),
    ] {
        let mut command = bare(&sandbox, &format!("build recipe.json {option}"));
        finish(command.envs(variables.iter().copied())).succeeds();
        assert!(is_store(&sandbox.path(used)), "{used}");
    }
    assert!(!sandbox.path("a").exists() && !sandbox.path("b").exists());
}

#[test]
fn the_nearest_store_upward_is_used() {
    let sandbox = sandbox();
    sandbox.write("deep/down/.keep", "");
    sandbox.run("build recipe.json --store .astra-store").succeeds();
    let in_deep = |directory: &str| {
        let recipe = sandbox.path("recipe.json").display().to_string();
        let mut command = bare(&sandbox, &format!("build {recipe} --json"));
        finish(command.current_dir(sandbox.path(directory))).succeeds().build().steps.executed
    };
    assert_eq!(in_deep("deep/down"), 0);
    sandbox.run("build recipe.json --store deep/.astra-store").succeeds();
    sandbox.run("gc --store .astra-store").succeeds();
    std::fs::remove_dir_all(sandbox.path(".astra-store")).unwrap();
    assert_eq!(in_deep("deep/down"), 0);
    assert_eq!(in_deep(""), 5);
    assert!(is_store(&sandbox.path(".astra-store")));
}

#[test]
fn commands_that_only_read_make_no_store() {
    let sandbox = sandbox();
    let before = sandbox.files("");
    for arguments in ["ls", "show one-all-reduce", "cat 00", "gc", "gc --dry-run"] {
        let there_is_none = ["there is no store here", "hint: build a recipe first"];
        finish(&mut bare(&sandbox, arguments)).exits(4).says(&there_is_none);
        sandbox.run(arguments).exits(4).says(&["/store: ", "there is no store here"]);
    }
    for arguments in
        ["validate recipe.json", "build recipe.json --dry-run", "schema recipe", "completions bash"]
    {
        finish(&mut bare(&sandbox, arguments)).succeeds();
    }
    assert!(sandbox.files("") == before);
    assert!(!sandbox.path(".astra-store").exists() && !sandbox.path("store").exists());
}

#[test]
fn simulating_files_needs_no_store_and_makes_none() {
    let sandbox = sandbox();
    sandbox.run("build recipe.json --out files").succeeds();
    std::fs::remove_dir_all(sandbox.path("store")).unwrap();
    let arguments = "sim --workload-configuration=files/all_reduce \
                     --network-configuration=files/network_analytical_4.yml \
                     --system-configuration=files/system_native_collectives_4.json";
    finish(&mut bare(&sandbox, arguments)).succeeds();
    assert!(!sandbox.path(".astra-store").exists() && !sandbox.path("store").exists());
}
