//! Results that travel between stores: what moves, what is found to be wrong on the way, what a mistake leads to.

use std::path::{Path, PathBuf};

use artifact_store::{ActionKey, Blob, HexPrefix, NewAction, Options, Publication, Store};
use serde_json::Value;

use crate::sandbox::{Build, Finished, Sandbox, finish};
use crate::study::{ONE_ALL_REDUCE, ONE_BAD_POINT, RING_OF_4, STEPS_OF_SWEEP_OF_20, SWEEP_OF_20, with};

/// A machine: a directory with a recipe, and a store of its own. Shares with others what lies beside it.
struct Machine<'a> {
    sandbox: &'a Sandbox,
    name: &'static str,
}

impl<'a> Machine<'a> {
    fn new(sandbox: &'a Sandbox, name: &'static str, recipe: &str) -> Self {
        sandbox.write(&format!("{name}/hardware.yaml"), RING_OF_4);
        sandbox.write(&format!("{name}/recipe.json"), recipe);
        Self { sandbox, name }
    }

    fn run(&self, arguments: &str) -> Finished {
        self.run_in(arguments, &[])
    }

    fn run_in(&self, arguments: &str, environment: &[(&str, &str)]) -> Finished {
        let mut command = self.sandbox.command(arguments);
        command.current_dir(self.sandbox.path(self.name)).env_remove("ASTRA_STORE");
        finish(command.envs(environment.iter().copied()))
    }

    fn build(&self, arguments: &str) -> Build {
        self.run(&format!("build recipe.json --json {arguments}")).succeeds().build()
    }

    fn value(&self, arguments: &str) -> Value {
        self.run(&format!("{arguments} --json")).succeeds().value()
    }
}

/// A machine that has pushed its sweep to `remote`, and another one.
fn pushed(sandbox: &Sandbox) -> [Machine<'_>; 2] {
    let [a, b] = ["a", "b"].map(|name| Machine::new(sandbox, name, SWEEP_OF_20));
    a.run("build recipe.json --push ../remote").succeeds();
    [a, b]
}

/// All files of a remote below one of its directories, whose names are digests.
fn files_below(sandbox: &Sandbox, directory: &str) -> Vec<PathBuf> {
    let root = sandbox.path(directory);
    sandbox.files(directory).into_keys().map(|path| root.join(path)).collect()
}

fn flip(path: &Path, at: usize) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let at = at % bytes.len();
    // All bits of it: a single one of compressed content may decide nothing.
    bytes[at] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}

fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn what_one_machine_has_built_another_does_not_execute() {
    let sandbox = Sandbox::new();
    let [a, b] = ["a", "deep/down/b"].map(|name| Machine::new(&sandbox, name, SWEEP_OF_20));
    let remote = sandbox.path("remote").display().to_string();
    let here = [("TZ", "Asia/Kathmandu"), ("LC_ALL", "de_DE.UTF-8"), ("USER", "anna")];
    let built = a.run_in("build recipe.json --json -j 1", &here).succeeds().build();
    assert_eq!(built.steps.executed, STEPS_OF_SWEEP_OF_20);
    a.run(&format!("push {remote}")).succeeds();

    let there = [("TZ", "UTC"), ("LC_ALL", "C"), ("USER", "ben")];
    let arguments = format!("build ./recipe.json --store elsewhere/store --json -j 7 --upstream {remote}");
    let fetched = b.run_in(&arguments, &there).succeeds().build();
    assert_eq!((fetched.steps.executed, fetched.steps.hit), (0, STEPS_OF_SWEEP_OF_20));
    assert_eq!(fetched.results(), built.results());

    a.run("export ../a.bundle --no-provenance").succeeds();
    b.run(&format!("export {} --store elsewhere/store --no-provenance", sandbox.path("b.bundle").display()))
        .succeeds();
    assert!(sandbox.bytes("a.bundle") == sandbox.bytes("b.bundle"), "equal results, other bundles");
    a.run("export ../with.bundle").succeeds();
    assert!(sandbox.bytes("a.bundle") != sandbox.bytes("with.bundle"), "provenance is in neither");
}

#[test]
fn a_second_push_and_a_second_pull_move_nothing_and_say_so() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    let again = a.run("push ../remote").succeeds();
    assert!(
        again.text().starts_with("nothing pushed to ../remote: 38 records there already"),
        "{}",
        again.text()
    );
    let first = b.value("pull ../remote");
    assert_eq!((&first["actions"], &first["actions_there"]), (&38.into(), &0.into()));
    let second = b.value("pull ../remote");
    assert_eq!(
        (&second["actions"], &second["blobs"], &second["actions_there"]),
        (&0.into(), &0.into(), &38.into())
    );
    assert!(b.run("show sweep-of-20").succeeds().text().contains("16 MiB"));
    assert_eq!(b.build("").steps.executed, 0);
    assert_eq!(b.run("ls --json").succeeds().value()["recipes"].as_array().unwrap().len(), 1);
}

#[test]
fn what_came_is_kept_by_collection_as_what_was_built_is() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    a.run("export ../sweep.bundle sweep-of-20").succeeds();
    let c = Machine::new(&sandbox, "c", SWEEP_OF_20);
    let one = a.build("").point("bandwidth=25 GB,size=1 MiB").result.clone().unwrap();
    let d = Machine::new(&sandbox, "d", SWEEP_OF_20);
    b.run("pull ../remote").succeeds();
    c.run("import ../sweep.bundle").succeeds();
    d.run(&format!("pull {one} ../remote")).succeeds();
    for machine in [&b, &c, &d] {
        let gc = machine.value("gc --grace 0");
        assert_eq!(gc["dead"]["actions"]["count"], 0, "{}: {gc}", machine.name);
    }
    for machine in [&b, &c] {
        assert_eq!(machine.build("").steps.executed, 0, "{}", machine.name);
    }
    assert!(d.run(&format!("cat {one}")).succeeds().text().contains("finish"));
}

#[test]
fn only_the_steps_that_upstream_lacks_are_executed() {
    let sandbox = Sandbox::new();
    let [_a, b] = pushed(&sandbox);
    // Another bandwidth: a hw, a policy, a configs and five runs; its five traces are there.
    sandbox.write("b/recipe.json", with(SWEEP_OF_20, "\"200 GB\"", "\"300 GB\""));
    assert_eq!(b.build("--upstream ../remote").steps.executed, 8);
    // A comment gives a new hw step and, from there on, what upstream has.
    let c = Machine::new(&sandbox, "c", SWEEP_OF_20);
    sandbox.write("c/hardware.yaml", format!("# a comment\n{RING_OF_4}"));
    let built = c.build("--upstream ../remote");
    assert_eq!(built.executed().into_iter().collect::<Vec<_>>(), [("hw", 4)]);
}

#[test]
fn a_flipped_byte_in_a_remote_is_found_named_and_not_used() {
    for directory in ["remote/blobs", "remote/actions"] {
        let sandbox = Sandbox::new();
        let [a, b] = pushed(&sandbox);
        let expected = a.build("");
        for path in files_below(&sandbox, directory).iter().step_by(7) {
            let whole = std::fs::read(path).unwrap();
            flip(path, 20);
            let left =
                b.run("pull ../remote --store for-this-one --json").exits(1).says(&[name_of(path)]).value();
            assert!(left["left_out"].to_string().contains(name_of(path)), "{left}");
            std::fs::remove_dir_all(sandbox.path("b/for-this-one")).unwrap();
            std::fs::write(path, whole).unwrap();
        }
        files_below(&sandbox, directory).iter().for_each(|path| flip(path, 20));
        // One step at a time, because the four networks have one decision table: once it has been made here, three records of
        // it need no blob of the remote. Two steps that are executed at once are asked for before either has made it.
        let built = b.run("build recipe.json --json -j 1 --upstream ../remote").succeeds();
        let built = built.says(&["is left out"]);
        assert_eq!(built.build().results(), expected.results());
        let of_good_records = if directory == "remote/blobs" { 3 } else { 0 };
        assert_eq!(built.build().steps.executed, STEPS_OF_SWEEP_OF_20 - of_good_records);
    }
}

#[test]
fn a_push_that_verifies_mends_a_damaged_remote_from_a_whole_store() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    let whole = sandbox.files("remote");
    let damaged = [
        files_below(&sandbox, "remote/blobs")[5].clone(),
        files_below(&sandbox, "remote/actions")[5].clone(),
    ];
    damaged.iter().for_each(|path| flip(path, 20));
    b.run("pull ../remote --store first").exits(1);
    let blob = name_of(&damaged[0]);
    a.run("push ../remote -n --verify")
        .succeeds()
        .says(&[&format!("blob {blob} is damaged in ../remote; it would be replaced")]);
    let pushed = a.run("push ../remote --verify --json").succeeds();
    let pushed = pushed.says(&[&format!("blob {blob} is damaged in ../remote; it is replaced")]).value();
    assert_eq!(pushed["mended"], serde_json::json!([blob]));
    assert!(sandbox.files("remote") == whole, "the remote is not what it was before");
    b.run("pull ../remote").succeeds();
    assert_eq!(b.build("").steps.executed, 0);
}

#[test]
fn files_of_a_remote_that_would_be_waited_for_are_named_and_not_used() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    let pipe = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let (blobs, actions) = (files_below(&sandbox, "remote/blobs"), files_below(&sandbox, "remote/actions"));
    pipe(&blobs[7]);
    pipe(&actions[7]);
    let said = [name_of(&blobs[7]), name_of(&actions[7]), "not a plain file"];
    b.run("pull ../remote --store first").exits(1).says(&said);
    let built = b.run("build recipe.json --json --upstream ../remote").succeeds().build();
    assert_eq!(built.results(), a.build("").results());
    a.run("push ../remote --verify").succeeds().says(&[name_of(&blobs[7])]);
    b.run("pull ../remote --store second").succeeds();
    pipe(&sandbox.path("remote/FORMAT"));
    b.run("pull ../remote").exits(3).says(&["FORMAT: ", "`remote 1` was expected"]);
}

#[test]
fn an_upstream_that_cannot_be_used_is_said_once_and_the_build_goes_on() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    let expected = a.build("");
    // The parts of the remote are no directories.
    for part in std::fs::read_dir(sandbox.path("remote/actions")).unwrap() {
        let part = part.unwrap().path();
        std::fs::remove_dir_all(&part).unwrap();
        std::fs::write(&part, "").unwrap();
    }
    let built = b.run("build recipe.json --json --upstream ../remote").succeeds();
    let built = built.says(&["warning: upstream ../remote", "it was not asked again"]);
    assert_eq!(built.stderr.matches("warning: ").count(), 1, "{}", built.stderr);
    assert_eq!(built.build().results(), expected.results());
}

#[test]
fn an_upstream_that_is_away_is_said_once_and_the_build_goes_on() {
    let sandbox = Sandbox::new();
    let [a, b] = ["a", "b"].map(|name| Machine::new(&sandbox, name, SWEEP_OF_20));
    std::fs::create_dir(sandbox.path("mount")).unwrap();
    let built = b.run("build recipe.json --json --upstream ../mount --upstream ../no/such/remote").succeeds();
    let said = ["warning: upstream ../mount: this is an empty directory", "no/such/remote: there is no such"];
    let built = built.says(&said);
    assert_eq!(built.stderr.matches("warning: ").count(), 2, "{}", built.stderr);
    assert_eq!(built.build().steps.executed, STEPS_OF_SWEEP_OF_20);
    let summary: Value = serde_json::from_str(built.text().lines().last().unwrap()).unwrap();
    let failed = summary["upstream"]["failed"].as_array().unwrap();
    assert!(failed.len() == 2 && failed[0].as_str().unwrap().starts_with("../mount: "), "{failed:?}");
    b.run("build recipe.json -n --upstream ../mount").succeeds().says(&["../mount: this is an empty"]);
    assert!(sandbox.files("mount").is_empty() && !sandbox.path("no").exists());

    // The first of those who push to it finds nothing there, and makes it.
    let made = a.run("build recipe.json --upstream ../new --push ../new").succeeds();
    assert!(!made.stderr.contains("warning: "), "{}", made.stderr);
    let c = Machine::new(&sandbox, "c", SWEEP_OF_20);
    assert_eq!(c.build("--upstream ../new").steps.executed, 0);
}

#[test]
fn what_is_pushed_and_written_is_told_also_when_a_point_fails() {
    let sandbox = Sandbox::new();
    let a = Machine::new(&sandbox, "a", ONE_BAD_POINT);
    let said = ["pushed ", " to ../remote", " files in ../files", "halvingDoubling"];
    a.run("build recipe.json -k --push ../remote --out ../files").exits(3).says(&said);

    // Nor is a failure hidden by that of a point.
    let parts = ["actions", "blobs", "tmp"].map(|part| sandbox.path("remote").join(part));
    for part in parts {
        std::fs::remove_dir_all(&part).ok();
        std::fs::write(&part, "").unwrap();
    }
    sandbox.write("taken", "");
    let finished = a.run("build recipe.json -k --json --push ../remote --out ../taken");
    assert_eq!(finished.status.code(), Some(3), "{}", finished.stderr);
    let finished = finished.says(&["error: ../remote", "error: ../taken", "halvingDoubling"]);
    let summary: Value = serde_json::from_str(finished.text().lines().last().unwrap()).unwrap();
    assert!(summary["pushed"]["error"].as_str().unwrap().contains("../remote"), "{summary}");
}

#[test]
fn an_export_replaces_no_file_of_another_kind() {
    let sandbox = Sandbox::new();
    let [a, _] = pushed(&sandbox);
    let recipe = sandbox.read("a/recipe.json");
    for arguments in ["export recipe.json", "export recipe.json -n", "export --inventory recipe.json"] {
        a.run(arguments).exits(2).says(&["recipe.json: there is a file already", "hint: the file to write"]);
    }
    assert_eq!(sandbox.read("a/recipe.json"), recipe);
    sandbox.write("empty", "");
    for file in ["../empty", "../empty", "/dev/null"] {
        a.run(&format!("export {file}")).succeeds();
    }
}

#[test]
fn an_inventory_goes_where_a_bundle_would() {
    let sandbox = Sandbox::new();
    let [a, _] = pushed(&sandbox);
    let planned = a.value("export --inventory ../a.list -n");
    assert_eq!((&planned["actions"], &planned["dry_run"]), (&38.into(), &true.into()));
    assert!(!sandbox.path("a.list").exists());
    let written = a.value("export --inventory ../a.list");
    assert_eq!((&written["with"], &written["blobs"]), (&"../a.list".into(), &planned["blobs"]));
    let printed = a.run("export --inventory -").succeeds().says(&["38 records"]);
    assert!(printed.stdout == sandbox.bytes("a.list") && !sandbox.path("a/-").exists());

    // What is read to find out what it is, is not lost.
    a.run("export ../a.bundle").succeeds();
    for have in ["a.list", "a.bundle"] {
        let pipe = std::fs::File::open(sandbox.path(have)).unwrap();
        let mut cat = std::process::Command::new("cat");
        let mut cat = cat.stdin(pipe).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut export = sandbox.command("export ../b.bundle --have - --json");
        export.current_dir(sandbox.path("a")).env_remove("ASTRA_STORE").stdin(cat.stdout.take().unwrap());
        let report = finish(&mut export).succeeds().value();
        assert_eq!((&report["actions"], &report["actions_there"]), (&0.into(), &38.into()), "{have}");
        cat.wait().unwrap();
    }
}

#[test]
fn a_flipped_byte_in_a_bundle_is_found_and_nothing_of_it_used() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    a.run("export ../sweep.bundle").succeeds();
    let bundle = sandbox.bytes("sweep.bundle");
    for at in (0..bundle.len()).step_by(bundle.len() / 20) {
        let mut damaged = bundle.clone();
        damaged[at] ^= 1;
        sandbox.write("damaged.bundle", damaged);
        b.run("import ../damaged.bundle").exits(3).says(&["damaged.bundle: "]);
    }
    sandbox.write("damaged.bundle", &bundle[..bundle.len() / 2]);
    b.run("import ../damaged.bundle").exits(3).says(&["nothing of it is used"]);
    assert_eq!(b.value("ls")["store"]["actions"], 0);
    b.run("import ../sweep.bundle").succeeds();
    assert_eq!(b.build("").steps.executed, 0);
}

#[test]
fn a_bundle_leaves_out_what_the_other_side_has() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    a.run("export ../first.bundle").succeeds();
    b.run("import ../first.bundle").succeeds();
    b.run("export --inventory ../b.list").succeeds();
    sandbox.write("a/recipe.json", with(SWEEP_OF_20, "\"200 GB\"", "\"300 GB\""));
    a.build("");
    for have in ["first.bundle", "b.list"] {
        let report = a.value(&format!("export ../second.bundle --have ../{have}"));
        assert_eq!(report["actions"], 9, "{have}: {report}");
        assert_eq!(report["actions_there"], 38, "{have}: {report}");
        let of_one = a.value(&format!("export ../one.bundle sweep-of-20 --have ../{have}"));
        assert!(of_one["actions_there"].as_u64() > Some(20), "{have}: {of_one}");
    }
    b.run("import ../second.bundle").succeeds();
    sandbox.write("b/recipe.json", sandbox.read("a/recipe.json"));
    assert_eq!(b.build("").steps.executed, 0);
    let c = Machine::new(&sandbox, "c", SWEEP_OF_20);
    c.run("import ../second.bundle").exits(3).says(&["second.bundle: "]);
}

#[test]
fn two_stores_become_one() {
    let sandbox = Sandbox::new();
    let [_a, b] = pushed(&sandbox);
    sandbox.write("b/recipe.json", ONE_ALL_REDUCE);
    b.build("");
    b.run("import ../a/.astra-store").succeeds();
    let names: Vec<Value> =
        b.value("ls")["recipes"].as_array().unwrap().iter().map(|recipe| recipe["name"].clone()).collect();
    assert_eq!(names, ["one-all-reduce", "sweep-of-20"]);
    let again = b.run("import ../a/.astra-store").succeeds();
    assert!(again.text().starts_with("nothing imported from"), "{}", again.text());
    b.run("import .astra-store").exits(3).says(&["this is the store itself"]);
    b.run("import ../a/.astra-store --store ../a/.astra-store").exits(3).says(&["this is the store itself"]);
}

#[test]
fn only_what_a_trusted_key_has_signed_is_used_when_that_is_required() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    let key = a.run("key generate ../anna.key").succeeds().text().trim().to_owned();
    assert_eq!(a.run("key show ../anna.key").succeeds().text().trim(), key);
    a.run("key generate ../anna.key").exits(3).says(&["a key in use"]);

    let required = "build recipe.json --json --upstream ../remote --require-signed";
    b.run(required).exits(2).says(&["--require-signed: ", "trusts no key", "hint: `astra-store trust add"]);
    assert_eq!(b.value(&format!("trust add {key} --name anna"))["key"], key);
    let unsigned = b.run(required).succeeds().says(&["no trusted key has signed it"]);
    assert_eq!(unsigned.build().steps.executed, STEPS_OF_SWEEP_OF_20);

    let signed = a.run("build recipe.json --sign ../anna.key --push ../remote").succeeds();
    signed.says(&["signed 38 records"]);
    a.run("build recipe.json --sign ../anna.key").succeeds().says(&["signed 0 records"]);
    std::fs::remove_dir_all(sandbox.path("b/.astra-store")).unwrap();
    b.run(&format!("trust add {key} --name anna")).succeeds();
    assert_eq!(b.run(required).succeeds().build().steps.executed, 0);
    assert_eq!(b.value("trust ls")["keys"][0]["name"], "anna");

    // Others' results become nobody's word by being built upon.
    let stranger = Machine::new(&sandbox, "c", SWEEP_OF_20);
    stranger.run("key generate ../carl.key").succeeds();
    let arguments = "build recipe.json --upstream ../remote --sign ../carl.key";
    stranger
        .run(arguments)
        .succeeds()
        .says(&["signed 0 records", "38 records of this build came from elsewhere"]);

    b.run("trust rm ana").exits(3).says(&["no trusted key is called `ana`", "did you mean `anna`?"]);
    assert_eq!(b.value("trust rm anna")["key"], key);
    assert_eq!(b.value("trust ls")["keys"], serde_json::json!([]));
}

#[test]
fn another_result_of_the_same_action_is_reported_with_both_sides_and_replaces_nothing() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    b.build("");
    let liar = Store::open(sandbox.path("b/.astra-store"), &Options::default()).unwrap();
    let actions = liar.list_actions(&HexPrefix::ALL).unwrap();
    let is_run = |key: &&ActionKey| liar.record(key).unwrap().unwrap().outputs.contains_key("result.json");
    let run = *actions.iter().find(is_run).unwrap();
    let mut record = liar.record(&run).unwrap().unwrap();
    let other = Blob::new(b"{}".to_vec());
    let output = record.outputs.get_mut("result.json").unwrap();
    let ours = output.digest.to_string();
    (output.digest, output.len) = (other.digest(), other.len());
    let preimage = liar.preimage(&run).unwrap().unwrap();
    let provenance = liar.provenance(&run).unwrap().unwrap();
    let action = NewAction::new(preimage, record, provenance);
    liar.publish(Publication { blobs: vec![other.clone()], action: Some(action), ..Publication::default() });
    drop(liar);

    let theirs = other.digest().to_string();
    let said =
        [&format!("action {run} is not deterministic"), &ours, &theirs, "(run on "].map(|s| s.to_owned());
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    b.run(&format!("push {run} ../remote")).exits(1).says(&said);
    let merged = a.run("import ../b/.astra-store --json").exits(1).says(&said).value();
    let disagreement = &merged["disagreements"][0];
    for (side, result) in [("ours", &ours), ("theirs", &theirs)] {
        assert_eq!(disagreement[side]["result.json"], **result);
    }
    for side in ["our_provenance", "their_provenance"] {
        assert!(disagreement[side]["host"].is_string(), "{disagreement}");
    }
    assert_eq!(a.build("").results().len(), 20);
    let c = Machine::new(&sandbox, "c", SWEEP_OF_20);
    assert_eq!(c.build("--upstream ../remote").results(), a.build("").results());
}

#[test]
fn a_salt_disowns_what_was_recorded_without_it_here_and_upstream() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    let plain = a.build("");
    let salted =
        a.run("build recipe.json --json --explain --salt again --upstream ../remote").succeeds().build();
    assert_eq!((salted.steps.executed, salted.steps.hit), (STEPS_OF_SWEEP_OF_20, 0));
    let reasons = salted.reasons();
    let why = |kind: &str| reasons.iter().find(|(step, _)| *step == kind).map(|(_, why)| *why);
    for kind in ["hw", "et", "configs", "run"] {
        assert_eq!(why(kind), Some("salt: nothing → again"), "{kind}");
    }
    assert_eq!(salted.results(), plain.results(), "a salt is part of keys, not of results");
    assert_eq!(a.build("").steps.executed, 0, "what was recorded before is still there for who wants it");

    // The same word in the recipe means the same, and travels.
    a.run("push ../remote").succeeds();
    b.run("pull recipe.json ../remote --salt again").succeeds();
    assert_eq!(b.build("--salt again").steps.executed, 0);
    sandbox
        .write("b/recipe.json", with(SWEEP_OF_20, "\"recipe\": 1,", "\"recipe\": 1, \"salt\": \"again\","));
    assert_eq!(b.build("").steps.executed, 0);
    assert_eq!(b.build("--salt other").steps.executed, STEPS_OF_SWEEP_OF_20);
    let blobs = |machine: &Machine<'_>| machine.value("ls")["store"]["blobs"].as_u64().unwrap();
    let before = blobs(&b);
    b.build("--salt third");
    assert!(blobs(&b) - before <= 3, "only report, index and list are new: their keys are");
    b.run("build recipe.json --salt ").exits(2);
    let salt = "x".repeat(101);
    b.run(&format!("build recipe.json --salt {salt}"))
        .exits(2)
        .says(&["--salt: a salt is 1 to 100 characters"]);
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = Sandbox::new();
    let [a, _b] = ["a", "b"].map(|name| Machine::new(&sandbox, name, SWEEP_OF_20));
    a.build("");
    let push = a.value("push ../remote --dry-run");
    let export = a.value("export ../bundle --dry-run");
    assert_eq!((&push["actions"], &export["actions"]), (&38.into(), &38.into()));
    assert!(!sandbox.path("remote").exists() && !sandbox.path("bundle").exists());
    assert_eq!(a.value("push ../remote")["blobs"], push["blobs"]);
}

#[test]
fn a_dry_run_asks_upstream_says_what_is_there_and_keeps_nothing() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    let remote = sandbox.files("remote");
    let built = a.build("");
    let planned = b.build("-n --upstream ../remote");
    assert_eq!(planned.steps.hit_upstream, Some(STEPS_OF_SWEEP_OF_20));
    assert_eq!((planned.steps.would_run, planned.steps.hit), (Some(0), 0));
    assert_eq!(planned.points_that("hit-upstream").len(), 20);
    assert_eq!(planned.results(), built.results());
    let said = b.run("build recipe.json -n --upstream ../remote").succeeds();
    let all = format!("{STEPS_OF_SWEEP_OF_20} hit upstream");
    let said = said.says(&[&all, "would come from upstream"]);
    assert!(said.text().contains("hit-upstream"), "{}", said.text());

    // As when it is built: a hw, a policy, a configs and five runs, of which only the first has a key already.
    sandbox.write("b/recipe.json", with(SWEEP_OF_20, "\"200 GB\"", "\"300 GB\""));
    let planned = b.build("-n --upstream ../remote");
    assert_eq!((planned.steps.would_run, planned.points_that("hit-upstream").len()), (Some(1), 15));
    assert_eq!(planned.points_that("unknown-until-cutoff").len(), 5);
    assert!(!sandbox.path("b/.astra-store").exists());
    assert!(sandbox.files("remote") == remote);

    // Beside what is here already.
    b.build("");
    sandbox.write("b/recipe.json", SWEEP_OF_20);
    // The file itself may grow by a page when it is opened: what it holds counts.
    let holdings =
        || ["actions", "blobs", "logical_bytes"].map(|figure| b.value("ls")["store"][figure].clone());
    let held = holdings();
    let planned = b.build("-n --upstream ../remote");
    assert_eq!(planned.points_that("hit").len() + planned.points_that("hit-upstream").len(), 20);
    assert_eq!(holdings(), held);
}

#[test]
fn a_dry_run_of_pull_and_import_says_what_they_do_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    a.run("export ../sweep.bundle").succeeds();
    let figures = ["actions", "blobs", "bytes", "actions_there", "left_out", "disagreements"];
    for (number, what) in
        ["pull ../remote", "pull recipe.json ../remote", "import ../sweep.bundle", "import ../a/.astra-store"]
            .into_iter()
            .enumerate()
    {
        let what = format!("{what} --store of-{number}");
        let planned = b.value(&format!("{what} -n"));
        assert!(!sandbox.path(&format!("b/of-{number}")).exists(), "{what}");
        let real = b.value(&what);
        figures.iter().for_each(|figure| assert_eq!(planned[figure], real[figure], "{what}: {figure}"));
        assert_eq!(planned["dry_run"], true);
        let again = b.value(&format!("{what} -n"));
        assert_eq!((&again["actions"], &again["blobs"]), (&0.into(), &0.into()), "{what}: {again}");
    }
    let mut damaged = sandbox.bytes("sweep.bundle");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    sandbox.write("damaged.bundle", damaged);
    b.run("import ../damaged.bundle -n").exits(3).says(&["damaged.bundle: "]);
    let lost = files_below(&sandbox, "remote/blobs").remove(3);
    std::fs::remove_file(&lost).unwrap();
    b.run("pull ../remote -n").exits(1).says(&["is left out", name_of(&lost)]);
    assert!(!sandbox.path("b/.astra-store").exists());
}

#[test]
fn mistakes_are_told_before_anything_is_done() {
    let sandbox = Sandbox::new();
    let [a, b] = pushed(&sandbox);
    sandbox.write("letter", "to a friend");
    sandbox.write("files/letter", "to a friend");
    for (arguments, code, said) in [
        ("push no/such/place", 3, "no/such/place: there is no such directory"),
        ("push sweep-of-2 ../remote", 2, "hint: did you mean `sweep-of-20`?"),
        ("push ../files", 3, "this is not a remote"),
        ("push ../letter", 3, "letter: this is a file, expected the directory of a remote"),
        ("push nofile.json", 2, "hint: say where to push it: `astra-store push nofile.json DEST`"),
        ("push recipe.json -n", 3, "recipe.json: this is a file, expected the directory of a remote"),
        ("push sweep-of-20", 2, "`sweep-of-20` is a recipe of this store"),
        ("push sweep-of-20 -n", 2, "`sweep-of-20` is a recipe of this store"),
        ("push .astra-store", 3, "this is a store and not a remote"),
        ("push lab:/srv/results", 2, "hint: mount it, or copy"),
        ("push https://lab/results", 2, "is an address"),
        ("pull ../remotes", 3, "remotes: there is no such directory"),
        ("pull ../files", 3, "this is not a remote"),
        ("pull sweep-of-20 ../remote", 2, "a remote knows no names of recipes"),
        ("pull recipe.json", 3, "recipe.json: this is a file, expected the directory of a remote"),
        ("build recipe.json --upstream ../letter", 3, "letter: this is a file, expected the directory"),
        ("build recipe.json --upstream ../files", 3, "this is not a remote"),
        ("build recipe.json --upstream .astra-store", 3, "this is a store and not a remote"),
        ("build recipe.json --upstream lab:/srv/results", 2, "is an address"),
        ("build recipe.json --push no/such/place", 3, "no/such/place: "),
        ("build recipe.json --sign ../letter", 3, "this is not a secret key"),
        ("build recipe.json --sign ../no-key", 3, "no-key: there is no such file"),
        ("key show ../no-key", 3, "hint: name a file that was made when a key was generated"),
        ("key show ../files", 3, "files: this is a directory"),
        ("build recipe.json --require-signed", 2, "--upstream"),
        ("import ../letter", 3, "letter: this is not a bundle"),
        ("import ../no-file", 3, "no-file: there is no such file"),
        ("import ../files", 3, "files: "),
        ("import ../remote", 3, "remote: this is a remote and not a store"),
        ("export ../x.bundle no-recipe", 2, "the store has no recipe `no-recipe`"),
        ("export ../x.bundle --have ../letter", 3, "letter: --have: this is not a bundle"),
        ("trust add 12", 3, "KEY: `12` is not a public key"),
    ] {
        a.run(arguments).exits(code).says(&[said]);
    }
    assert!(!sandbox.path("a/no").exists() && !sandbox.path("x.bundle").exists());
    assert!(!sandbox.path("a/nofile.json").exists() && !sandbox.path("a/sweep-of-20").exists());
    assert!(!sandbox.path("a/lab:").exists() && !sandbox.path("a/https:").exists());
    sandbox.write("b/recipe.json", with(SWEEP_OF_20, "\"200 GB\"", "\"300 GB\""));
    b.run("pull recipe.json ../remote").exits(3).says(&["no build of `recipe.json`", "--upstream ../remote"]);
    b.run("import ../letter").exits(3);
    b.run("push ../remote").succeeds();
    sandbox.write("b/recipe.json", SWEEP_OF_20);
    b.run("pull recipe.json ../remote").succeeds();
    assert_eq!(b.build("").steps.executed, 0);
}
