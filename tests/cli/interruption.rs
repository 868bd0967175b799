//! A build that is killed, or interrupted, loses nothing that it had finished. A transfer that is interrupted, also while it
//! waits for others, ends at once and leaves nothing half done.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use artifact_store::{
    ActionRecord, Blob, NewAction, Options, Output, OutputKind, Provenance, Publication, Store,
};

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

#[test]
fn a_build_that_is_interrupted_while_it_asks_upstream_ends_and_keeps_what_came() {
    let sandbox = large_sweep();
    sandbox.run("build recipe.json --push remote").succeeds();
    // Not the build that is there, so that its steps are asked for one by one.
    sandbox.write("recipe.json", sizes("large", 1..POINTS as u32 + 2));
    for signal in ["INT", "TERM"] {
        std::fs::remove_dir_all(sandbox.path("store")).unwrap();
        let mut build = sandbox.start("recipe.json --upstream remote");
        build.wait_for_event("started");
        build.signal(signal);
        let ended = build.finish().exits(130).says(&["interrupted", "finished steps are kept"]);
        assert!(!ended.stderr.contains("warning: "), "{}", ended.stderr);
        assert!(!ended.build().points_that("skipped").is_empty());
    }
    let continued = sandbox.build("--upstream remote");
    assert_eq!((continued.steps.executed, continued.points.len()), (2, POINTS + 1));
}

/// More than pipes hold, and not to be compressed.
const NOISE_BYTES: usize = 8 << 20;

/// A store with one action that gave noise.
fn with_noise() -> Sandbox {
    let sandbox = Sandbox::new();
    let store = Store::open(sandbox.path("store"), &Options::default()).unwrap();
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(NOISE_BYTES / 8)
    .flatten()
    .collect();
    let blob = Blob::new(noise);
    let output = Output { digest: blob.digest(), len: blob.len(), kind: OutputKind::Blob };
    let record = ActionRecord { outputs: [("noise".to_owned(), output)].into() };
    let action = NewAction::new(b"makes noise".to_vec(), record, Provenance::default());
    store
        .publish(Publication { blobs: vec![blob], action: Some(action), ..Publication::default() })
        .wait()
        .unwrap();
    drop(store);
    sandbox
}

fn start(sandbox: &Sandbox, arguments: &str, stdin: Stdio, stdout: Stdio) -> Child {
    sandbox.command(arguments).stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

/// Waits for a process that was interrupted, without reading what it writes to stdout.
fn assert_interrupted(mut child: Child, hint: &str) {
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("error: interrupted") && said.contains(hint), "{said}");
}

#[test]
fn an_import_whose_sender_hangs_ends_at_ctrl_c_and_has_used_nothing() {
    let sandbox = with_noise();
    sandbox.run("export whole.bundle").succeeds();
    let bundle = sandbox.bytes("whole.bundle");
    for arguments in ["import - --store other", "import - --store other -n"] {
        let mut import = start(&sandbox, arguments, Stdio::piped(), Stdio::piped());
        // Returns when most of it has been read.
        let mut sender = import.stdin.take().unwrap();
        sender.write_all(&bundle[..bundle.len() / 2]).unwrap();
        signal(&import, "INT");
        assert_interrupted(import, "no record of a bundle is used");
        drop(sender);
        assert_eq!(sandbox.run("ls --store other --json").succeeds().value()["store"]["actions"], 0);
    }
    sandbox.run("import whole.bundle --store other").succeeds();
    assert_eq!(sandbox.run("ls --store other --json").succeeds().value()["store"]["actions"], 1);
    sandbox.run("verify --store other").succeeds();
}

#[test]
fn an_export_whose_reader_hangs_ends_at_ctrl_c() {
    let sandbox = with_noise();
    let mut export = start(&sandbox, "export -", Stdio::null(), Stdio::piped());
    let mut reader = export.stdout.take().unwrap();
    let mut begun = vec![0; 1000];
    reader.read_exact(&mut begun).unwrap();
    signal(&export, "INT");
    assert_interrupted(export, "no whole bundle");
    reader.read_to_end(&mut begun).unwrap();
    sandbox.write("part.bundle", begun);
    sandbox.run("import part.bundle --store other").exits(3).says(&["part.bundle: "]);
}

#[test]
fn an_export_to_a_file_that_is_interrupted_leaves_no_file() {
    let sandbox = with_noise();
    std::fs::create_dir(sandbox.path("out")).unwrap();
    let mut export = start(&sandbox, "export out/whole.bundle", Stdio::null(), Stdio::piped());
    // Stopped as soon as it writes, so that it is interrupted in the middle.
    while sandbox.files("out").is_empty() && export.try_wait().unwrap().is_none() {}
    signal(&export, "STOP");
    signal(&export, "INT");
    signal(&export, "CONT");
    let ended = export.wait().unwrap();
    let left: Vec<_> = sandbox.files("out").into_keys().collect();
    // Whoever was faster than the signal has written all of it.
    let expected = if ended.success() { vec![PathBuf::from("whole.bundle")] } else { Vec::new() };
    assert_eq!(left, expected, "{ended}");
    sandbox.run("export out/whole.bundle").succeeds();
    sandbox.run("import out/whole.bundle --store other").succeeds();
}
