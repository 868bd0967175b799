//! `astra-store plugin` as its users meet it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::plugins::{PROGRAM, c, rust, shipped};

fn command(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).arg("plugin").args(arguments).current_dir(directory).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory with a plugin in it.
fn with(file: &str, bytes: &[u8]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(file), bytes).unwrap();
    directory
}

/// What `plugin check --json` says, and whether it succeeds.
fn checked(bytes: &[u8], config: &str) -> (Value, Output) {
    let directory = with("policy.so", bytes);
    let output = command(directory.path(), &["check", "./policy.so", "--json", "--config", config]);
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output)
}

fn faults(conduct: &Value) -> Vec<&str> {
    conduct["faults"].as_array().unwrap().iter().map(|fault| fault.as_str().unwrap()).collect()
}

#[test]
fn shipped_policies_and_examples_pass_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let mut plugins = vec![("by-size", "", rust("examples/policies/by-size"))];
    plugins.extend(c("examples/policies/small_direct.c", &[]).map(|bytes| ("small-direct", "", bytes)));
    for (name, config) in
        [("topology", ""), ("fixed", "* = ring"), ("csv", "allreduce,0,65536,ring"), ("alpha-beta", "")]
    {
        // Linked in, and as a library.
        let output = command(directory.path(), &["check", name, "--config", config]);
        assert!(output.status.success(), "{}", stderr(&output));
        plugins.push((name, config, shipped(&format!("astra-policy-{name}"), name)));
    }
    for (name, config, plugin) in plugins {
        let (conduct, output) = checked(&plugin, config);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        assert_eq!((&conduct["name"], &conduct["questions"]), (&json!(name), &json!(720)));
        let count = |key: &str| conduct[key].as_u64().unwrap();
        assert_eq!(count("decided") + count("no_opinion") + count("refused"), 720, "{name}");
        // The table of `csv` has one row.
        assert!(count("decided") > if name == "csv" { 50 } else { 400 }, "{name}: {conduct}");
        assert!(conduct["per_answer_s"].as_f64().unwrap() > 0.0);
    }
    let output = command(directory.path(), &["check", "topology"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains("refused\n             the first: topology: ") && text.ends_with("fit\n"),
        "{text}"
    );
}

#[test]
fn a_policy_that_is_no_pure_function_is_found_out() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    let (conduct, output) = checked(&plugin, "moody");
    assert_eq!(output.status.code(), Some(1));
    let [fault] = faults(&conduct)[..] else { panic!("{conduct}") };
    assert!(fault.contains("answered once `") && fault.ends_with("it is no pure function"), "{fault}");
    assert!(stderr(&output).contains(fault), "{}", stderr(&output));
}

#[test]
fn a_fault_is_told_once_with_a_question_where_it_shows() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    let (conduct, output) = checked(&plugin, "nan");
    assert_eq!(output.status.code(), Some(1));
    assert!(!faults(&conduct).is_empty() && faults(&conduct).len() < 20, "{conduct}");
    assert!(faults(&conduct).iter().all(|fault| fault.starts_with("./policy.so: ")), "{conduct}");
    assert!(faults(&conduct).iter().all(|fault| fault.contains("gave a cost for ring on")), "{conduct}");
    let (conduct, output) = checked(&plugin, "crash");
    assert_eq!(output.status.code(), Some(1));
    let [fault] = faults(&conduct)[..] else { panic!("{conduct}") };
    assert!(fault.ends_with("the policy crashed on a memory access (signal 11, SIGSEGV)"), "{fault}");
}

#[test]
fn a_file_that_is_no_policy_fails_with_its_name() {
    let directory = with("notes.txt", b"remember the milk");
    let output = command(directory.path(), &["check", "notes.txt"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.starts_with("error: notes.txt: the policy cannot be loaded: "), "{text}");
    let output = command(directory.path(), &["check", "topologi"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("hint: did you mean `topology`?"), "{}", stderr(&output));
    assert_eq!(command(directory.path(), &["check", "gone.so"]).status.code(), Some(3));
}

#[test]
fn ls_and_show_say_what_identifies_a_policy() {
    let directory = tempfile::tempdir().unwrap();
    let listed: Value = serde_json::from_slice(&command(directory.path(), &["ls", "--json"]).stdout).unwrap();
    assert_eq!(listed["policies"][0]["name"], "topology");
    let shown: Value =
        serde_json::from_slice(&command(directory.path(), &["show", "topology", "--json"]).stdout).unwrap();
    assert_eq!(shown["identity"], format!("topology {}", listed["policies"][0]["version"].as_str().unwrap()));
    let Some(plugin) = c("examples/policies/small_direct.c", &[]) else { return };
    let directory = with("policy.so", &plugin);
    let shown = stdout(&command(directory.path(), &["show", "policy.so"]));
    assert!(shown.contains("policy       small-direct\n"), "{shown}");
    assert!(shown.contains(&artifact_store::Digest::of(&plugin).to_string()), "{shown}");
}

/// Makes a policy, builds it, and gives its directory and library.
fn begun(language: &str, build: &[&str], library: &str) -> Option<(TempDir, PathBuf)> {
    let directory = tempfile::tempdir().unwrap();
    let output = command(directory.path(), &["new", "my-policy", "--language", language]);
    assert!(output.status.success(), "{}", stderr(&output));
    let other = command(directory.path(), &["new", "other-policy", "--language", language, "--json"]);
    let told: Value = serde_json::from_slice(&other.stdout).unwrap();
    let files: Vec<&str> = told["files"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(files.iter().all(|file| directory.path().join("other-policy").join(file).is_file()), "{told}");
    assert!(stderr(&output).contains(&format!("plugin check {library}")), "{}", stderr(&output));
    let made = directory.path().join("my-policy");
    let Ok(built) = Command::new(build[0]).args(&build[1..]).current_dir(&made).output() else {
        eprintln!("SKIPPED: no `{}`, so a new policy in {language} was not built", build[0]);
        return None;
    };
    assert!(built.status.success(), "{}", stderr(&built));
    Some((directory, made.join(library)))
}

#[test]
fn a_new_policy_builds_as_it_is_and_passes_the_check() {
    let cargo = [env!("CARGO"), "build", "--release", "--offline", "--quiet"];
    let rust = begun("rust", &cargo, "target/release/libmy_policy.so");
    // Without `cc` there is no use for `make`.
    let in_c = c("examples/policies/small_direct.c", &[]).and_then(|_| begun("c", &["make"], "my-policy.so"));
    for (directory, library) in [rust, in_c].into_iter().flatten() {
        let output = command(directory.path(), &["check", library.to_str().unwrap()]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).starts_with("policy       my-policy 1: "), "{}", stdout(&output));
    }
}

#[test]
fn a_new_policy_replaces_nothing_and_has_a_fit_name() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("mine")).unwrap();
    let taken = command(directory.path(), &["new", "mine"]);
    assert_eq!(taken.status.code(), Some(6));
    assert!(stderr(&taken).contains("mine: is there already"), "{}", stderr(&taken));
    assert_eq!(command(directory.path(), &["new", "../mine"]).status.code(), Some(2));
    let never_found = command(directory.path(), &["new", "best"]);
    assert_eq!(never_found.status.code(), Some(2));
    assert!(stderr(&never_found).contains("part of this program"), "{}", stderr(&never_found));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_table_of_what_a_policy_decides_is_a_configuration_of_csv() {
    let directory = tempfile::tempdir().unwrap();
    let hw = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hw/h100_8gpu.yaml");
    let output = command(directory.path(), &["table", "alpha-beta", "--hw", hw, "--ranks", "8"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("# collective_type,min_bytes,max_bytes,algorithm,"), "{table}");
    assert!(lines[1].starts_with("allreduce,0,"), "{table}");
    for collective in ["allreduce", "allgather", "reducescatter", "alltoall"] {
        let last = lines.iter().rfind(|line| line.starts_with(collective));
        assert!(last.unwrap().contains(",1099511627776,"), "{table}");
    }
    std::fs::write(directory.path().join("tuner.csv"), &table).unwrap();
    let again = ["table", "csv", "--config-file", "tuner.csv", "--hw", hw, "--ranks", "8"];
    assert_eq!(stdout(&command(directory.path(), &again)), table);
    let alone = command(directory.path(), &["table", "alpha-beta", "--hw", hw, "--ranks", "1"]);
    assert_eq!(alone.status.code(), Some(3), "{}", stderr(&alone));
}
