//! The module for DeepFlow's users, with the machine's own Python: its tests lie beside it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::sandbox::{PROGRAM, skipped};

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/deepflow");

/// Runs the tests of a class; `None` where there is no Python that is new enough.
fn run(class: &str) -> Option<(bool, String)> {
    let is_new_enough = "import sys; sys.exit(sys.version_info < (3, 9))";
    let python = Command::new("python3").args(["-c", is_new_enough]).stderr(Stdio::null()).status();
    if !python.is_ok_and(|status| status.success()) {
        skipped("no python3 of version 3.9 or newer: the Python module was not tried");
        return None;
    }
    let mut command = Command::new("python3");
    // Warnings are errors: a file or a process that is left open is one.
    command.args(["-B", "-W", "error", "-m", "unittest", &format!("test_astrasim_store.{class}")]);
    command.current_dir(MODULE).env("ASTRA_STORE_BINARY", PROGRAM);
    let reference: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "shared", "ref"].iter().collect();
    if reference.is_dir() {
        command.env("REFERENCE_DATA", reference);
    } else {
        skipped("no ../shared/ref: traces of the Python module were not compared with recorded ones");
    }
    let output = command.output().unwrap();
    Some((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn passes(class: &str) {
    if let Some((passed, said)) = run(class) {
        assert!(passed && !said.contains("Ran 0 tests"), "{said}");
    }
}

#[test]
fn its_calls_give_times_by_rank_and_raise_what_the_library_expects() {
    passes("Results");
}

#[test]
fn the_files_it_writes_are_those_that_the_library_writes() {
    passes("Files");
}

#[test]
fn it_keeps_the_cache_modes() {
    passes("Modes");
}

#[test]
fn artifacts_are_left_and_cleaned_without_touching_those_of_others() {
    passes("Artifacts");
}

#[test]
fn processes_that_insert_at_the_same_time_lose_nothing() {
    passes("Processes");
}
