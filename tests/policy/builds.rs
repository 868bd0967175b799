//! Policies in builds: what changes them reaches as far as their decisions do, and a bad one fails its points alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::plugins::{PROGRAM, c};

/// Eight ranks behind one switch, as in the examples.
const HARDWARE: &str = "\
parallelism: { tp: 8 }
network:
  dimensions:
    - id: switch
      parallelisms: [tp]
      size: auto
      topology: { type: Switch, bandwidth: 50e9, latency: 1e-6, util: 1.0 }
";

/// A directory with a recipe, and a store.
pub(crate) struct Study(tempfile::TempDir);

/// What a build told.
pub(crate) struct Build {
    pub(crate) output: Output,
    events: Vec<Value>,
}

impl Study {
    /// A sweep over sizes under a policy, the library `tuner.so` in the recipe's directory.
    pub(crate) fn new(policy: &Value) -> Self {
        let study = Self(tempfile::tempdir().unwrap());
        study.write("hardware.yaml", HARDWARE.as_bytes());
        study.recipe(policy, &["16 KiB", "64 KiB", "256 KiB", "1 MiB"]);
        study
    }

    pub(crate) fn recipe(&self, policy: &Value, sizes: &[&str]) {
        let recipe = json!({
            "recipe": 1,
            "name": "study",
            "hw": "hardware.yaml",
            "workload": { "kind": "collective", "collective": "all_reduce", "ranks": 8, "size": "1 MiB" },
            "policy": policy,
            "sweep": { "grid": { "workload.size": sizes } },
        });
        self.write("recipe.json", recipe.to_string().as_bytes());
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path().join(name), bytes).unwrap();
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.path()).args(["--store", "store"]).args(arguments.split_whitespace());
        command.env_remove("ASTRA_STORE").env_remove("ASTRA_STORE_PLUGIN_PATH");
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn build(&self, arguments: &str) -> Build {
        let output = self.run(&format!("--json build recipe.json {arguments}"));
        let events = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
        Build { events: events.map(Result::unwrap).collect(), output }
    }

    pub(crate) fn built(&self) -> Build {
        let build = self.build("");
        assert!(build.output.status.success(), "{}", build.said());
        build
    }
}

impl Build {
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// How many steps of each kind were executed.
    pub(crate) fn executed(&self) -> BTreeMap<&str, u32> {
        let mut executed = BTreeMap::new();
        for event in self.events.iter().filter(|e| e["event"] == "step" && e["status"] == "run") {
            *executed.entry(event["step"].as_str().unwrap()).or_default() += 1;
        }
        executed
    }

    /// The points that were simulated, by the size that names them.
    fn simulated(&self) -> Vec<&str> {
        let is_run = |e: &&Value| e["event"] == "point" && e["status"] == "run";
        let mut names: Vec<&str> =
            self.events.iter().filter(is_run).map(|e| e["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn finish_ns(&self, size: &str) -> u64 {
        let points = self.events.last().unwrap()["points"].as_array().unwrap();
        let point = points.iter().find(|point| point["name"] == format!("size={size}")).unwrap();
        point["finish_ns"].as_u64().unwrap()
    }
}

const EXAMPLE: &str = "examples/policies/small_direct.c";

#[test]
fn other_bytes_that_decide_the_same_execute_the_policy_and_nothing_else() {
    let (Some(one), Some(other)) = (c(EXAMPLE, &[]), c(EXAMPLE, &["-O2", "-g"])) else { return };
    assert_ne!(one, other);
    let study = Study::new(&json!({ "plugin": "./tuner.so", "config": "65536" }));
    study.write("tuner.so", &one);
    // `direct` and `ring` are two configurations of one network.
    let first = study.built();
    assert_eq!(first.executed(), [("hw", 1), ("et", 4), ("policy", 1), ("configs", 2), ("run", 4)].into());
    study.write("tuner.so", &other);
    assert_eq!(study.built().executed(), [("policy", 1)].into());
    study.write("tuner.so", &one);
    assert_eq!(study.built().executed(), [].into());
}

#[test]
fn a_decision_that_changes_for_one_size_simulates_that_size_again() {
    let Some(plugin) = c(EXAMPLE, &[]) else { return };
    let study = Study::new(&json!({ "plugin": "./tuner.so", "config": "65536" }));
    study.write("tuner.so", &plugin);
    let before = study.built();
    study.recipe(
        &json!({ "plugin": "./tuner.so", "config": "65535" }),
        &["16 KiB", "64 KiB", "256 KiB", "1 MiB"],
    );
    let after = study.built();
    assert_eq!(after.executed(), [("policy", 1), ("run", 1)].into());
    assert_eq!(after.simulated(), ["size=64 KiB"]);
    assert_ne!(before.finish_ns("64 KiB"), after.finish_ns("64 KiB"));
    assert_eq!(before.finish_ns("1 MiB"), after.finish_ns("1 MiB"));
}

#[test]
fn a_further_size_asks_the_policy_again_and_simulates_that_size() {
    let Some(plugin) = c(EXAMPLE, &[]) else { return };
    let policy = json!({ "plugin": "./tuner.so" });
    let study = Study::new(&policy);
    study.write("tuner.so", &plugin);
    study.built();
    study.recipe(&policy, &["16 KiB", "64 KiB", "256 KiB", "1 MiB", "32 KiB"]);
    assert_eq!(study.built().executed(), [("et", 1), ("policy", 1), ("run", 1)].into());
}

#[test]
fn a_policy_in_the_build_itself_decides_as_one_in_a_helper() {
    let Some(plugin) = c(EXAMPLE, &[]) else { return };
    let study = Study::new(&json!({ "plugin": "./tuner.so" }));
    study.write("tuner.so", &plugin);
    let in_process = study.build("--policy-in-process");
    assert!(in_process.output.status.success(), "{}", in_process.said());
    assert_eq!(study.built().executed(), [].into());
}

#[test]
fn a_name_is_looked_for_in_the_directories_that_are_given_and_beside_the_recipe() {
    let Some(plugin) = c(EXAMPLE, &[]) else { return };
    let study = Study::new(&json!({ "plugin": "small-direct" }));
    let missing = study.build("");
    assert_eq!(missing.output.status.code(), Some(3));
    assert!(
        missing.said().contains("policy.plugin: there is no policy `small-direct`"),
        "{}",
        missing.said()
    );
    let misspelt = study.build("--plugin-dir plugin");
    assert_eq!(misspelt.output.status.code(), Some(2));
    assert!(
        misspelt.said().contains("plugin: --plugin-dir: there is no such directory"),
        "{}",
        misspelt.said()
    );
    std::fs::create_dir(study.path().join("plugins")).unwrap();
    study.write("plugins/libsmall_direct.so", &plugin);
    let built = study.build("--plugin-dir plugins");
    assert!(built.output.status.success(), "{}", built.said());
    let mut command = study.command("--json build recipe.json");
    assert!(command.env("ASTRA_STORE_PLUGIN_PATH", "nowhere:plugins").output().unwrap().status.success());
    // The commands that try a policy look in the same places.
    for command in ["show", "check"] {
        let tried = study.run(&format!("plugin {command} small-direct --plugin-dir plugins"));
        assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
    }
    study.write("small-direct.so", &plugin);
    study.built();
    study.write("libsmall_direct.so", &plugin);
    let twice = study.build("");
    assert!(twice.said().contains("`small-direct` may be "), "{}", twice.said());
}

#[test]
fn a_shipped_policy_reads_its_configuration_from_text_or_from_a_file() {
    let study = Study::new(&json!({ "plugin": "fixed", "config": "all_reduce = ring" }));
    let ring = study.built().finish_ns("1 MiB");
    study.write("algorithms", b"all_reduce = ring # as before");
    let sizes = ["16 KiB", "64 KiB", "256 KiB", "1 MiB"];
    study.recipe(&json!({ "plugin": "fixed", "config_file": "algorithms" }), &sizes);
    let from_file = study.built();
    assert_eq!((from_file.executed(), from_file.finish_ns("1 MiB")), ([("policy", 1)].into(), ring));
    study.write("algorithms", b"all_reduce = halvingDoubling");
    assert_ne!(study.built().finish_ns("1 MiB"), ring);
    // No opinion: the default, which is halvingDoubling on a switch, so that nothing is simulated again.
    study.write("algorithms", b"all_gather = ring");
    assert_eq!(study.built().executed(), [("policy", 1)].into());
    study.recipe(&json!({ "plugin": "fixed", "config_file": "algoritms" }), &sizes);
    let missing = study.build("");
    assert_eq!(missing.output.status.code(), Some(3));
    assert!(
        missing.said().contains("algoritms: policy.config_file: there is no such file"),
        "{}",
        missing.said()
    );
}

#[test]
fn policies_can_be_swept() {
    let study = Study::new(&json!({}));
    let recipe = json!({
        "recipe": 1,
        "name": "study",
        "hw": "hardware.yaml",
        "workload": { "kind": "collective", "collective": "all_reduce", "ranks": 8, "size": "1 MiB" },
        "sweep": { "cases": [
            { "name": "default" },
            { "name": "ring", "policy.plugin": "fixed", "policy.config": "* = ring" },
        ] },
    });
    study.write("recipe.json", recipe.to_string().as_bytes());
    assert_eq!(study.built().executed()["run"], 2);
}

#[test]
fn a_policy_that_fails_fails_its_points_and_leaves_the_store_whole() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    for (mischief, expected) in [
        ("crash", "the policy crashed on a memory access (signal 11, SIGSEGV)"),
        ("exit", "the policy ended its process with exit code 3"),
        ("fork", "the policy started another process"),
        ("nan", "that is NaN"),
        ("no choice", "neither an algorithm nor a cost"),
        ("impossible", "the policy chose "),
        ("own table", "the policy "),
        ("refuse", "tuner.so: "),
    ] {
        let study = Study::new(&json!({ "plugin": "./tuner.so", "config": mischief }));
        study.write("tuner.so", &plugin);
        let build = study.build("--keep-going");
        let said = build.said();
        assert_eq!(build.output.status.code(), Some(1), "{mischief}: {said}");
        assert!(
            said.contains(expected) && said.contains("tuner.so: all_reduce of 16384 bytes"),
            "{mischief}: {said}"
        );
        // What does not depend on it is done and kept.
        assert_eq!(build.executed(), [("hw", 1), ("et", 4)].into(), "{mischief}");
        let verified = study.run("verify --full");
        assert!(verified.status.success(), "{mischief}: {}", String::from_utf8_lossy(&verified.stderr));
        study.recipe(&json!({}), &["16 KiB"]);
        assert_eq!(study.built().executed(), [("policy", 1), ("configs", 1), ("run", 1)].into());
    }
}

#[test]
fn a_policy_that_fails_for_one_size_fails_that_size_and_no_other() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    for mischief in ["crash", "come back twice", "nan", "refuse"] {
        let study = Study::new(&json!({ "plugin": "./tuner.so", "config": format!("at 65536 {mischief}") }));
        study.write("tuner.so", &plugin);
        let build = study.build("--keep-going");
        let said = build.said();
        assert_eq!(build.output.status.code(), Some(1), "{mischief}: {said}");
        assert!(said.contains("tuner.so: all_reduce of 65536 bytes on 8 ranks"), "{mischief}: {said}");
        assert_eq!(build.simulated(), ["size=1 MiB", "size=16 KiB", "size=256 KiB"], "{mischief}");
        let executed = [("hw", 1), ("et", 4), ("policy", 1), ("configs", 1), ("run", 3)];
        assert_eq!(build.executed(), executed.into(), "{mischief}");
        let points = build.events.last().unwrap()["points"].as_array().unwrap();
        let failed: Vec<&str> =
            points.iter().filter_map(|p| p["error"].as_str().and(p["name"].as_str())).collect();
        assert_eq!(failed, ["size=64 KiB"], "{mischief}: {points:?}");
        // What succeeded is known; what failed is tried again, and no decision of it was kept.
        let again = study.build("--keep-going");
        assert_eq!((again.output.status.code(), again.executed()), (Some(1), [].into()), "{mischief}");
    }
}

#[test]
fn what_is_no_library_is_refused_with_its_name() {
    let study = Study::new(&json!({ "plugin": "./tuner.so" }));
    study.write("tuner.so", b"this is text");
    let build = study.build("");
    assert_eq!(build.output.status.code(), Some(1), "{}", build.said());
    assert!(build.said().contains("tuner.so: "), "{}", build.said());
    assert!(study.run("verify --full").status.success());
}

/// Two all-reduces of different sizes, one after the other, which want different algorithms.
fn sequence(study: &Study, sizes: [&str; 2]) {
    let recipe = json!({
        "recipe": 1,
        "name": "study",
        "hw": "hardware.yaml",
        "workload": { "kind": "sequence", "ranks": 8, "items": [
            { "collective": "all_reduce", "size": sizes[0] },
            { "collective": "all_reduce", "size": sizes[1], "after": "all_reduce_0" },
        ] },
        "policy": { "plugin": "./tuner.so", "config": "65536" },
    });
    study.write("recipe.json", recipe.to_string().as_bytes());
}

#[test]
fn of_sizes_that_want_different_algorithms_the_most_bytes_decide_and_the_loss_is_told() {
    let Some(plugin) = c(EXAMPLE, &[]) else { return };
    let study = Study::new(&json!({}));
    study.write("tuner.so", &plugin);
    sequence(&study, ["16 KiB", "1 MiB"]);
    let built = study.built();
    let lost = "all_reduce of 16384 bytes runs with ring, decided was direct";
    assert!(built.said().contains(lost), "{}", built.said());
    // No less so when everything is known.
    assert!(study.built().said().contains(lost));

    let shown: Value = serde_json::from_slice(&study.run("--json show study --decisions").stdout).unwrap();
    let rows = shown["points"][0]["decisions"].as_array().unwrap();
    let told = |row: &Value| {
        let algorithm = row["decisions"][0]["algorithm"].as_str().unwrap().to_owned();
        (row["question"]["bytes"].as_u64().unwrap(), algorithm, row["lost"].as_bool().unwrap())
    };
    let expected = [(16_384, "direct".to_owned(), true), (1 << 20, "ring".to_owned(), false)];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(rows[0]["decisions"][0]["decided_by"], "policy");
    assert_eq!((&rows[0]["nodes"], &rows[0]["simulated"]), (&json!(8), &json!(["ring"])));
    let text = String::from_utf8(study.run("show study --decisions").stdout).unwrap();
    let first: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(first[..8], ["study", "all_reduce", "16384", "-", "direct", "policy", "-", "ring"], "{text}");
    assert!(text.contains("small: few messages in a row"), "{text}");

    sequence(&study, ["64 KiB", "32 KiB"]);
    let agreed = study.built();
    assert!(!agreed.said().contains("runs with"), "{}", agreed.said());
}

#[test]
fn what_is_fixed_decides_before_the_policy_which_is_not_asked_then() {
    let study = Study::new(&json!({ "plugin": "fixed", "config": "all_reduce = ring" }));
    study.built();
    let by = || {
        let shown: Value =
            serde_json::from_slice(&study.run("--json show study --decisions").stdout).unwrap();
        let first = &shown["points"][0]["decisions"][0]["decisions"][0];
        (first["algorithm"].as_str().unwrap().to_owned(), first["decided_by"].as_str().unwrap().to_owned())
    };
    assert_eq!(by(), ("ring".to_owned(), "policy".to_owned()));
    // A policy that cannot even be opened is not: everything is fixed.
    let fixed = json!({ "plugin": "fixed", "config": "no line", "collectives": { "all_reduce": "direct" } });
    study.recipe(&fixed, &["1 MiB"]);
    study.built();
    assert_eq!(by(), ("direct".to_owned(), "recipe_policy".to_owned()));
    let overridden =
        HARDWARE.replace("size: auto", "size: auto\n      collective_override: { all_reduce: direct }");
    study.write("hardware.yaml", overridden.as_bytes());
    study.recipe(&json!({ "plugin": "fixed", "config": "no line" }), &["1 MiB"]);
    study.built();
    assert_eq!(by(), ("direct".to_owned(), "dimension_override".to_owned()));
    study.write("hardware.yaml", HARDWARE.as_bytes());
    study.recipe(&json!({ "plugin": "fixed", "config": "all_gather = ring" }), &["1 MiB"]);
    study.built();
    assert_eq!(by(), ("halvingDoubling".to_owned(), "default".to_owned()));
}

#[test]
fn a_policy_that_is_not_asked_because_the_hardware_file_decides_is_told() {
    let study = Study::new(&json!({ "plugin": "alpha-beta" }));
    let fixed = format!("{HARDWARE}execution_backend:\n  astra:\n    collectives:\n      all_reduce: ring\n");
    study.write("hardware.yaml", fixed.as_bytes());
    let told = "policy: `alpha-beta` is not asked: hardware.yaml fixes the algorithms of all_reduce";
    // Also when everything is known.
    for _ in 0..2 {
        assert!(study.built().said().contains(told), "{}", study.built().said());
    }
    let validated = study.run("validate recipe.json");
    assert!(String::from_utf8_lossy(&validated.stderr).contains(told));
    let policy = json!({ "plugin": "alpha-beta", "collectives": { "all_reduce": "ring" } });
    study.recipe(&policy, &["1 MiB"]);
    assert!(study.built().said().contains("is not asked: the recipe fixes the algorithms of all_reduce"));
    // Of the default nobody needs to have spoken, and a policy that decides something is asked.
    study.recipe(&json!({}), &["1 MiB"]);
    assert!(!study.built().said().contains("is not asked"));
    study.write("hardware.yaml", HARDWARE.as_bytes());
    study.recipe(&json!({ "plugin": "alpha-beta" }), &["1 MiB"]);
    assert!(!study.built().said().contains("is not asked"));
}
