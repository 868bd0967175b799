//! Every other command: what it prints, as text and as JSON.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, finish, skipped};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, SWEEP_OF_20, with};

fn built(recipe: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", recipe);
    sandbox.run("build recipe.json").succeeds();
    sandbox
}

/// The JSON that `show` prints.
fn show(sandbox: &Sandbox, what: &str) -> Value {
    sandbox.run(&format!("show {what} --json")).succeeds().value()
}

#[test]
fn show_prints_the_table_of_a_recipe_again() {
    let sandbox = built(SWEEP_OF_20);
    let shown = sandbox.run("show sweep-of-20").succeeds();
    let built = sandbox.run("build recipe.json").succeeds();
    let without_status = |text: &str| -> Vec<String> {
        let cut = |line: &str| {
            line.trim_end().trim_end_matches("hit").trim_end_matches("status").trim_end().to_owned()
        };
        text.lines().map(cut).collect()
    };
    assert_eq!(without_status(built.text()), without_status(shown.text()));
    assert_eq!(shown.text().lines().count(), 21);
    let report = show(&sandbox, "sweep-of-20");
    assert_eq!((&report["recipe"], report["points"].as_array().unwrap().len()), (&json!("sweep-of-20"), 20));
    assert_eq!(report["axes"], json!(["bandwidth", "size"]));
}

#[test]
fn show_follows_a_result_to_what_it_was_made_of() {
    let sandbox = built(ONE_ALL_REDUCE);
    std::fs::remove_dir_all(sandbox.path("store")).unwrap();
    let build = sandbox.build("");
    let result = build.point("one-all-reduce").result.as_ref().unwrap();
    // A unique beginning is enough.
    let text = sandbox.run(&format!("show {}", &result[..16])).succeeds();
    assert!(text.text().contains("43.000 us"), "{}", text.text());
    assert_eq!(show(&sandbox, result)["finish_ns"], 43_000);

    let actions: Vec<Value> = build.keys("run").iter().map(|key| show(&sandbox, key)).collect();
    let of = |kind: &str| actions.iter().find(|a| a["preimage"]["kind"] == kind).unwrap();
    assert_eq!(of("run")["outputs"]["result.json"]["digest"], result.as_str());
    assert_eq!(of("et")["preimage"]["params"]["workload"]["size_bytes"], 1 << 20);
    let inputs = &of("run")["preimage"]["inputs"];
    assert_eq!(inputs["et"], of("et")["outputs"]["et"]["digest"]);
    assert_eq!(inputs["network.yml"], of("configs")["outputs"]["network.yml"]["digest"]);

    let tree = show(&sandbox, inputs["et"].as_str().unwrap());
    let entries = tree["tree"].as_array().unwrap();
    let names: Vec<&str> = entries.iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["all_reduce.0.et", "all_reduce.1.et", "all_reduce.2.et", "all_reduce.3.et"]);
    // Equal ranks are one blob.
    assert!(entries.iter().all(|e| e["digest"] == entries[0]["digest"]));

    let network = sandbox.run(&format!("cat {}", inputs["network.yml"].as_str().unwrap())).succeeds();
    assert!(network.text().contains("topology: [ Ring ]"), "{}", network.text());
    let action = build.keys("run")[0];
    let text = sandbox.run(&format!("show {action}")).succeeds();
    assert!(text.text().contains("made of"), "{}", text.text());
    sandbox.run(&format!("cat {action}")).exits(2).says(&["is an action, not a blob", "astra-store show"]);
}

#[test]
fn what_the_store_does_not_hold_is_told() {
    let sandbox = built(ONE_ALL_REDUCE);
    sandbox
        .run("show one-all-redcue")
        .exits(2)
        .says(&["one-all-redcue", "hint: did you mean `one-all-reduce`?"]);
    sandbox.run("show something-else").exits(2).says(&["something-else", "hint: `astra-store ls`"]);
    let unknown = "0".repeat(64);
    sandbox.run(&format!("show {unknown}")).exits(2).says(&[&unknown]);
    sandbox.run(&format!("cat {unknown}")).exits(2).says(&[&unknown]);
    sandbox.run("cat zz").exits(2).says(&["zz", "hex digits"]);
}

#[test]
fn ls_lists_recipes_by_name() {
    let sandbox = built(ONE_ALL_REDUCE);
    sandbox.write("recipe.json", SWEEP_OF_20);
    sandbox.build("");
    let text = sandbox.run("ls").succeeds();
    let names: Vec<&str> = text.text().lines().skip(1).filter_map(|l| l.split_whitespace().next()).collect();
    assert_eq!(names, ["one-all-reduce", "sweep-of-20"]);
    let value = sandbox.holdings();
    let points: Vec<(&str, u64)> = value["recipes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["name"].as_str().unwrap(), r["points"].as_u64().unwrap()))
        .collect();
    assert_eq!(points, [("one-all-reduce", 1), ("sweep-of-20", 20)]);
    // 5 steps and 37, which have the traces of 1 MiB in common, and two builds.
    let records = sandbox.run("gc --dry-run --json").succeeds().value()["live"]["actions"]["count"].clone();
    assert_eq!((&value["store"]["actions"], records), (&json!(5 + 37 - 1 + 2), json!(5 + 37 - 1 + 2)));
}

#[test]
fn et_dump_prints_the_nodes_of_a_trace() {
    let sandbox = built(ONE_ALL_REDUCE);
    sandbox.run("build recipe.json --out files").succeeds();
    let text = sandbox.run("et dump files/all_reduce.0.et").succeeds();
    assert!(text.text().contains("comm_size=1048576"), "{}", text.text());
    let json: Value =
        serde_json::from_slice(&sandbox.run("et dump files/all_reduce.0.et --json").succeeds().stdout)
            .unwrap();
    assert_eq!(json["nodes"][0]["type"], "collective");
    assert_eq!(json["nodes"].as_array().unwrap().len(), 1);
}

#[test]
fn configs_writes_what_a_build_writes() {
    let sandbox = built(&with(
        ONE_ALL_REDUCE,
        r#""preferred-dataset-splits": 4, "endpoint-delay": 10, "local-mem-bw": 1600"#,
        "",
    ));
    sandbox.run("build recipe.json --out built").succeeds();
    let written = sandbox.run("configs hardware.yaml --ranks 4 --out configs").succeeds();
    assert_eq!(written.text().lines().count(), 3);
    let (built, configs) = (sandbox.files("built"), sandbox.files("configs"));
    assert_eq!(configs.len(), 3);
    for (name, contents) in &configs {
        assert!(built.get(name) == Some(contents), "{}", name.display());
    }
    let paths = sandbox.run("configs hardware.yaml --ranks 4 --out configs --json").succeeds().value();
    assert_eq!(paths["network"], "configs/network_analytical_4.yml");
    sandbox.run("configs hardware.yaml --ranks 5 --out configs").exits(3).says(&["hardware.yaml", "5"]);
    sandbox.run("configs hardware.yaml --ranks 4 --axes tq --out configs").exits(3).says(&["--axes", "tq"]);
    sandbox
        .run("configs nowhere.yaml --ranks 4 --out configs")
        .exits(3)
        .says(&["nowhere.yaml: there is no such file"]);
}

#[test]
fn validate_finds_nothing_wrong_with_what_builds() {
    let sandbox = built(SWEEP_OF_20);
    let text = sandbox.run("validate recipe.json").succeeds();
    assert_eq!(text.text(), "sweep-of-20: 20 points, nothing wrong\n");
    let value = sandbox.run("validate recipe.json --json").succeeds().value();
    assert_eq!((&value["recipe"], &value["points"]), (&json!("sweep-of-20"), &json!(20)));
    for example in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let path = example.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            sandbox.run(&format!("validate {}", path.display())).succeeds();
        }
    }
}

#[test]
fn init_writes_a_recipe_that_builds_and_overwrites_nothing() {
    let sandbox = Sandbox::new();
    sandbox.run("init study").succeeds().says(&["astra-store build study/recipe.json"]);
    let built = sandbox.run("build study/recipe.json --json").succeeds().build();
    assert_eq!(built.points_that("run").len(), built.points.len());
    assert!(built.points.len() > 1);
    let before = sandbox.files("study");
    sandbox.run("init study").exits(6).says(&["study/recipe.json: is there already", "hint: "]);
    assert!(sandbox.files("study") == before);
}

#[test]
fn the_schema_is_json_and_accepts_the_starter() {
    let sandbox = Sandbox::new();
    let printed = sandbox.run("schema recipe").succeeds();
    let schema: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    sandbox.run("init study").succeeds();
    assert!(validator.is_valid(&sandbox.json("study/recipe.json")));
    assert!(validator.is_valid(&serde_json::from_str(SWEEP_OF_20).unwrap()));
    let wrong = with(ONE_ALL_REDUCE, "\"workload\"", "\"worklod\"");
    assert!(!validator.is_valid(&serde_json::from_str(&wrong).unwrap()));
}

#[test]
fn completions_name_every_command() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.run(&format!("completions {shell}")).succeeds();
        for command in ["build", "gc", "show", "validate", "keep-going", "network-configuration"] {
            assert!(script.text().contains(command), "{shell}: no {command}");
        }
    }
    sandbox.run("completions tcsh").exits(2).says(&["tcsh", "bash", "zsh", "fish"]);
}

#[test]
fn bash_completes_commands_their_options_and_their_values() {
    if !Command::new("bash").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skipped("no bash: its completion was not tried");
    }
    let sandbox = Sandbox::new();
    let script = sandbox.run("completions bash").succeeds();
    sandbox.write("completions.bash", script.text());
    let completed = |words: &str| {
        // As bash calls it for the last of the words.
        let call = r#"source ./completions.bash
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) of=$(complete -p astra-store)
            [[ $of =~ " -F "([^ ]+) ]] && "${BASH_REMATCH[1]}" "$1" "${@: -1}" "${@: -2:1}"
            echo "${COMPREPLY[*]}""#;
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", call, "bash", "astra-store"]).args(words.split(' '));
        let printed = finish(bash.current_dir(sandbox.path(""))).succeeds();
        printed.text().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(completed("comp"), ["completions"]);
    assert_eq!(completed("build --la"), ["--layout"]);
    assert_eq!(completed("build --layout a"), ["astra-cache"]);
    assert_eq!(completed("et conv"), ["convert"]);
    assert_eq!(completed("et convert --fa"), ["--faithful"]);
    assert_eq!(completed("__"), Vec::<String>::new());
}

#[test]
fn what_the_program_starts_itself_for_is_neither_completed_nor_suggested() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = sandbox.run(&format!("completions {shell}")).succeeds();
        for helper in ["policy-host", "watch-simulator", "policy__host", "watch__simulator"] {
            assert!(!script.text().contains(helper), "{shell}: {helper}");
        }
    }
    for mistaken in ["was", "__policy-hos", "__policy-host", "__policy-host x"] {
        let refused = sandbox.run(mistaken).exits(2);
        assert!(!refused.stderr.contains("exists: '__"), "{}", refused.stderr);
    }
}

#[test]
fn the_version_names_the_engine() {
    let printed = Sandbox::new().run("--version").succeeds();
    let expected = format!("astra-store {} (engine ", env!("CARGO_PKG_VERSION"));
    assert!(printed.text().starts_with(&expected), "{}", printed.text());
}

#[test]
fn sim_prints_the_lines_that_wrappers_parse() {
    let sandbox = built(ONE_ALL_REDUCE);
    sandbox.run("build recipe.json --out files").succeeds();
    let arguments = "sim --workload-configuration=files/all_reduce \
                     --network-configuration=files/network_analytical_4.yml \
                     --system-configuration=files/system_native_collectives_4.json \
                     --remote-memory-configuration=files/remote_memory.json";
    let printed = sandbox.run(arguments).succeeds();
    let finished: BTreeMap<u32, &str> = printed
        .text()
        .lines()
        .filter_map(|line| {
            let (rank, rest) = line.strip_prefix("sys[")?.split_once("] finished, ")?;
            Some((rank.parse().unwrap(), rest))
        })
        .collect();
    let line = "43000 cycles, exposed communication 43000 cycles.";
    assert_eq!(finished, (0..4).map(|rank| (rank, line)).collect());
    for rank in 0..4 {
        let wall_time = format!("sys[{rank}], Wall time: 43000");
        assert_eq!(printed.text().lines().filter(|l| *l == wall_time).count(), 1);
    }
    let value = sandbox.run(&format!("{arguments} --json")).succeeds().value();
    assert_eq!(value["finish_ns"], json!([43_000, 43_000, 43_000, 43_000]));
    assert_eq!(value["compute_ns"], json!([0, 0, 0, 0]));
    assert_eq!(sandbox.run(&format!("{arguments} --json --no-shortcuts")).succeeds().value(), value);
    // Options that the original accepts.
    let unaware = "--network-model congestion_unaware --comm-scale 2 --compute-scale=3 --logging-folder log";
    let value = sandbox.run(&format!("{arguments} --json {unaware}")).succeeds().value();
    assert_eq!(value["finish_ns"][0], 43_000);
    // Seven steps of each chunk take the endpoint delay of 10 ns.
    let value = sandbox.run(&format!("{arguments} --json --injection-scale 3")).succeeds().value();
    assert_eq!(value["finish_ns"][0], 43_000 + 4 * 7 * 20);
}
