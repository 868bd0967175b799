//! The cache directory of DeepFlow's library: written by `build --layout astra-cache`, and read as history.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, finish};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4};

const SIZES: &str = r#"{
  "recipe": 1, "name": "sizes", "hw": "hardware.yaml",
  "workload": { "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" },
  "engine": { "dialect": "deepflow" },
  "sweep": { "grid": { "workload.size": ["1 MiB", "1048577 B", "2 MiB"] } }
}"#;

fn sandbox(recipe: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", recipe);
    sandbox
}

fn entries(cache: &Value) -> Vec<Value> {
    cache.as_object().unwrap().values().cloned().collect()
}

#[test]
fn the_tree_has_the_names_of_the_library_and_an_entry_for_each_point() {
    let sandbox = sandbox(SIZES);
    sandbox.run("build recipe.json --out out --layout astra-cache").succeeds();
    let names: BTreeSet<String> = sandbox.files("out").into_keys().map(|p| p.display().to_string()).collect();
    for name in [
        "cache.json",
        "network_analytical_4.yml",
        "system_native_collectives_4.json",
        "workload/all_reduce/4npus_1.00MB/all_reduce_1.00MB.0.et",
        "workload/all_reduce/4npus_1.00MB/all_reduce_1.00MB.3.et",
        "workload/all_reduce/4npus_2.00MB/all_reduce_2.00MB.3.et",
    ] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    let cache = sandbox.json("out/cache.json");
    assert_eq!(entries(&cache).len(), 3);
    for entry in entries(&cache) {
        let fields: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "canonical",
            "max_sec",
            "network_yaml",
            "per_node_sec",
            "signature",
            "system_json",
            "workload_prefix",
        ];
        assert_eq!(fields, expected);
        assert_eq!(entry["canonical"], entry["signature"].to_string(), "one line of sorted keys");
        let file = |key: &str| entry[key].as_str().unwrap();
        let sim = sandbox.run(&format!(
            "sim --json --dialect deepflow --workload-configuration {} --network-configuration {} --system-configuration {}",
            file("workload_prefix"), file("network_yaml"), file("system_json"),
        ));
        let cycles: Vec<f64> = serde_json::from_value(sim.succeeds().value()["finish_ns"].clone()).unwrap();
        let seconds: Vec<f64> = cycles.iter().map(|cycles| cycles * 1e-9).collect();
        assert_eq!(entry["per_node_sec"], json!(seconds));
        assert_eq!(entry["max_sec"], json!(seconds[0]));
    }
    assert!(
        names.iter().any(|name| name.starts_with("workload/all_reduce/4npus_1.00MB_")),
        "one label, two sizes"
    );
}

#[test]
fn a_time_that_the_library_would_not_have_gets_a_key_that_it_never_asks_for() {
    let is_theirs = |recipe: &str| {
        let sandbox = sandbox(recipe);
        sandbox.run("build recipe.json --out out --layout astra-cache").succeeds();
        let all = entries(&sandbox.json("out/cache.json"));
        all.iter().all(|entry| entry["signature"].get("astra_store_run").is_none())
    };
    assert!(is_theirs(SIZES));
    assert!(!is_theirs(ONE_ALL_REDUCE), "another simulator, and other settings");
    assert!(!is_theirs(
        &SIZES.replace("\"engine\"", r#""policy": { "collectives": { "all_reduce": "direct" } }, "engine""#)
    ));
    let latencies = r#""sweep": { "grid": { "hw.network.dimensions.1.topology.latency": [1e-6, 2e-6] } }"#;
    let two = SIZES.replace(&SIZES[SIZES.find("\"sweep\"").unwrap()..SIZES.rfind('}').unwrap()], latencies);
    let two = two.replace("\"ranks\": 4", "\"ranks\": 8");
    let sandbox = sandbox(&two);
    let second = "    - { id: far, parallelisms: [dp], size: auto, topology: { type: Ring, bandwidth: 50 GB, latency: 1e-6 } }\n";
    let hardware = RING_OF_4.replace("execution_backend", &format!("{second}execution_backend"));
    sandbox.write("hardware.yaml", hardware.replace("  tp: 4", "  tp: 4\n  dp: 2"));
    sandbox.run("build recipe.json --out out --layout astra-cache").succeeds();
    let all = entries(&sandbox.json("out/cache.json"));
    assert_eq!(all.len(), 2, "the library has one key for both, which neither may have");
    assert!(all.iter().all(|entry| entry["signature"]["astra_store_run"].is_string()));
    assert_ne!(all[0]["network_yaml"], all[1]["network_yaml"]);
    assert_ne!(
        sandbox.read(all[0]["network_yaml"].as_str().unwrap()),
        sandbox.read(all[1]["network_yaml"].as_str().unwrap())
    );
}

#[test]
fn a_bundle_of_its_own_has_its_manifest_beside_it() {
    let pipeline = ONE_ALL_REDUCE.replace(
        r#"{ "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" }"#,
        r#"{ "kind": "pipeline", "ranks": 4, "microbatches": 2, "compute": "5 us", "size": "1 MiB" }"#,
    );
    let sandbox = sandbox(&pipeline);
    sandbox.run("build recipe.json --out out --layout astra-cache").succeeds();
    let entry = &entries(&sandbox.json("out/cache.json"))[0];
    assert_eq!(
        (&entry["workload_prefix"], &entry["manifest_path"]),
        (&json!("out/pipeline"), &json!("out/manifest.json"))
    );
    assert_eq!(entry["signature"]["comm"], "graph");
    let seconds: Vec<f64> = serde_json::from_value(entry["per_node_sec"].clone()).unwrap();
    assert!(seconds.is_sorted(), "by rank: the last stage finishes last: {seconds:?}");
    assert!(sandbox.path("out/manifest.json").is_file() && sandbox.path("out/pipeline.3.et").is_file());
}

#[test]
fn it_is_written_again_as_a_whole_and_never_over_files_of_others() {
    let sandbox = sandbox(SIZES);
    sandbox.run("build recipe.json --out out --layout astra-cache").succeeds();
    let first = sandbox.files("out");
    sandbox.run("build recipe.json --out out --layout astra-cache").succeeds();
    assert!(sandbox.files("out") == first, "the same bytes each time");
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox.run("build recipe.json --out out --layout astra-cache").succeeds();
    assert!(!sandbox.path("out/workload/all_reduce/4npus_2.00MB").exists(), "what is stale is gone");
    sandbox.write("out/cache.json", "{}");
    let before = sandbox.files("out");
    sandbox.run("build recipe.json --out out --layout astra-cache").exits(6).says(&[
        "out: not written, because `cache.json` in it has been changed since it was written",
        "hint: name another directory",
    ]);
    assert!(sandbox.files("out") == before);
    sandbox.write("theirs/cache.json", "{}");
    sandbox
        .run("build recipe.json --out theirs --layout astra-cache")
        .exits(6)
        .says(&["`cache.json`, which was not written"]);
    sandbox.run("build recipe.json --layout astra-cache").status.code().filter(|code| *code == 2).unwrap();
    let litter = std::fs::read_dir(sandbox.path("")).unwrap();
    assert!(
        !litter
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .any(|name| name.starts_with(".astra-store-"))
    );
}

#[test]
fn an_imported_cache_is_compared_with_what_its_files_give_now() {
    let sandbox = sandbox(SIZES);
    sandbox.run("build recipe.json --out astra_cache --layout astra-cache").succeeds();
    let mut cache = sandbox.json("astra_cache/cache.json");
    let keys: Vec<String> = cache.as_object().unwrap().keys().cloned().collect();
    cache[&keys[0]]["per_node_sec"] = json!([1e-5, 2e-5, 3e-5, 4e-5]);
    cache[&keys[0]]["max_sec"] = json!(4e-5);
    cache[&keys[1]]["network_yaml"] = json!("./astra_cache/network_analytical_4_0123.yml");
    cache["poisoned"] = cache[&keys[2]].clone();
    cache["poisoned"]["max_sec"] = json!(99);
    sandbox.write("astra_cache/cache.json", cache.to_string());
    let imported = sandbox.run("import --cache-json astra_cache/cache.json --json").succeeds();
    assert_eq!(
        (&imported.value()["entries"], &imported.value()["left_out"][0]["key"]),
        (&json!(3), &json!("poisoned"))
    );
    imported.says(&["entry poisoned cannot be compared: `max_sec` is not the longest of its times"]);
    let verdicts = || -> Vec<String> {
        let shown = sandbox.run("show --legacy --json").succeeds().value();
        let entries = shown["caches"][0]["entries"].as_array().unwrap().clone();
        entries.iter().map(|entry| entry["verdict"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(verdicts(), ["differs", "unknown", "same"]);
    let text = sandbox.run("show --legacy").succeeds();
    for word in ["was +", "% off", "network_analytical_4_0123.yml` is gone", "same", "all_reduce 1.0 MiB"] {
        assert!(text.text().contains(word), "{word}: {}", text.text());
    }
    std::fs::rename(sandbox.path("astra_cache"), sandbox.path("moved")).unwrap();
    sandbox.run("gc --grace 0").succeeds();
    assert_eq!(verdicts(), ["unknown"; 3], "history is kept, files are not");
    sandbox.run("import --cache-json moved/cache.json").succeeds();
    assert_eq!(verdicts(), ["differs", "unknown", "same"], "found where the file lies now");
}

#[test]
fn times_in_the_order_in_which_ranks_finish_are_recognised() {
    let pipeline = ONE_ALL_REDUCE.replace(
        r#"{ "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" }"#,
        r#"{ "kind": "pipeline", "ranks": 4, "microbatches": 2, "compute": "5 us", "size": "1 MiB" }"#,
    );
    let sandbox = sandbox(&pipeline);
    sandbox.run("build recipe.json --out astra_cache --layout astra-cache").succeeds();
    let mut cache = sandbox.json("astra_cache/cache.json");
    let entry = cache.as_object_mut().unwrap().values_mut().next().unwrap();
    entry["per_node_sec"].as_array_mut().unwrap().reverse();
    sandbox.write("astra_cache/cache.json", cache.to_string());
    sandbox.run("import --cache-json astra_cache/cache.json").succeeds();
    let shown = sandbox.run("show --legacy --json --dialect astra-sim").succeeds().value();
    assert_eq!(shown["caches"][0]["entries"][0]["verdict"], "same_in_another_order");
    let mut by_variable = sandbox.command("show --legacy --json");
    let by_variable = finish(by_variable.env("ASTRA_STORE_DIALECT", "astra-sim")).succeeds().value();
    assert_eq!(by_variable, shown);
}

#[test]
fn what_is_no_cache_is_refused() {
    let sandbox = sandbox(SIZES);
    sandbox.run("show --legacy").exits(4).says(&["there is no store here"]);
    for (text, says) in [
        ("[]", "no JSON object"),
        ("{\"a\": ", "EOF"),
        ("\u{0}", "expected value"),
        (SIZES, "nothing in it is an entry, which is an object with the list `per_node_sec`"),
    ] {
        sandbox.write("cache.json", text);
        sandbox.run("import --cache-json cache.json").exits(3).says(&[
            "cache.json: ",
            says,
            "hint: expected the cache.json",
        ]);
    }
    sandbox.run("import --cache-json nowhere.json").exits(3).says(&["there is no such file"]);
    sandbox.run("show --legacy").exits(4).says(&["there is no store here"]);
    sandbox.run("build recipe.json").succeeds();
    sandbox.run("show --legacy").exits(2).says(&["no cache.json was imported"]);
    sandbox.write("cache.json", "{}");
    sandbox.run("import --cache-json cache.json").succeeds().says(&["kept 0 entries"]);
}

#[test]
fn a_dry_run_of_an_import_says_what_would_be_kept_and_keeps_nothing() {
    let sandbox = sandbox(SIZES);
    sandbox.run("build recipe.json --out astra_cache --layout astra-cache").succeeds();
    sandbox.run("import --cache-json astra_cache/cache.json -n").succeeds().says(&["would keep 3 entries"]);
    sandbox.run("show --legacy").exits(2).says(&["no cache.json was imported"]);
    sandbox.run("import --cache-json astra_cache/cache.json -n --store other").succeeds();
    assert!(!sandbox.path("other").exists());
}
