//! Wrong input: what is said about it, with which exit code, and that the store is none the worse.

use crate::sandbox::{Finished, Sandbox};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, with};

/// A sandbox whose store already holds something.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox.run("build recipe.json").succeeds();
    sandbox
}

/// Builds with something replaced in the recipe. `validate` has to refuse it in the same words.
fn build_with_recipe(before: &str, after: &str, fragments: &[&str]) {
    let sandbox = sandbox();
    sandbox.write("wrong.json", with(ONE_ALL_REDUCE, before, after));
    refused(&sandbox, fragments);
}

/// Builds with something replaced in the hardware file. `validate` has to refuse it in the same words.
fn build_with_hardware(before: &str, after: &str, fragments: &[&str]) {
    let sandbox = sandbox();
    sandbox.write("wrong.yaml", with(RING_OF_4, before, after));
    sandbox.write("wrong.json", with(ONE_ALL_REDUCE, "hardware.yaml", "wrong.yaml"));
    refused(&sandbox, fragments);
}

fn refused(sandbox: &Sandbox, fragments: &[&str]) {
    let error = |finished: Finished| {
        let line = finished.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
        line.to_owned()
    };
    let built = error(sandbox.run("build wrong.json").exits(3).says(fragments));
    let validated = error(sandbox.run("validate wrong.json").exits(3).says(fragments));
    assert_eq!(built, validated);
    let known = sandbox.build("");
    assert_eq!((known.steps.executed, known.finish_of("one-all-reduce")), (0, 43_000));
    sandbox.assert_store_is_good();
}

#[test]
fn a_recipe_that_is_not_there_is_named() {
    let sandbox = sandbox();
    sandbox
        .run("build nowhere.json")
        .exits(3)
        .says(&["error: nowhere.json: there is no such file", "hint: "]);
    sandbox.run("validate nowhere.json").exits(3).says(&["nowhere.json"]);
    sandbox.assert_store_is_good();
}

#[test]
fn a_hardware_file_that_is_not_there_is_named() {
    build_with_recipe(
        "hardware.yaml",
        "hw/nowhere.yaml",
        &["hw/nowhere.yaml: there is no such file", "hint: paths in a recipe are relative to the recipe"],
    );
}

#[test]
fn bad_json_is_told_with_line_and_column() {
    build_with_recipe("\"name\": ", "\"name\" ", &["error: wrong.json:3:10: not valid JSON: expected `:`"]);
}

#[test]
fn an_unknown_key_of_a_recipe_comes_with_the_one_that_was_meant() {
    build_with_recipe(
        "\"workload\"",
        "\"worklod\"",
        &["error: wrong.json:5:3: worklod: unknown key `worklod`", "hint: did you mean `workload`?"],
    );
    build_with_recipe(
        "\"ranks\"",
        "\"rank\"",
        &["wrong.json:5:", "workload.rank: ", "hint: did you mean `ranks`?"],
    );
}

#[test]
fn a_misspelt_system_key_is_refused() {
    build_with_recipe(
        "\"endpoint-delay\"",
        "\"endpoint-dely\"",
        &["wrong.json:6:", "endpoint-dely", "hint: did you mean `endpoint-delay`?"],
    );
}

#[test]
fn a_number_that_no_system_file_takes_is_refused_where_it_stands_in_the_recipe() {
    let range = |least| format!("expected an integer from {least} to 2147483647, found 2147483648");
    for (key, number, least) in [("preferred-dataset-splits", 4, 1), ("endpoint-delay", 10, 0)] {
        build_with_recipe(
            &format!("\"{key}\": {number}"),
            &format!("\"{key}\": 2147483648"),
            &["wrong.json:6:", &format!("system.{key}: {}", range(least))],
        );
    }
}

#[test]
fn an_edit_that_makes_a_size_too_large_is_named_with_the_recipe_and_the_rank() {
    let twice = r#""size": "1 GiB", "edits": [{ "scale_sizes": 1e6 }, { "scale_sizes": 1e6 }]"#;
    let says = "wrong.json: workload.edits[1]: rank 0: node 0 `all_reduce`: its size would be larger";
    build_with_recipe("\"size\": \"1 MiB\"", twice, &[says]);
}

#[test]
fn a_run_beyond_the_clock_names_the_workload_and_says_what_to_look_for() {
    let sandbox = sandbox();
    sandbox.write("wrong.json", with(ONE_ALL_REDUCE, "\"1 MiB\"", "4611686018427387904"));
    sandbox.run("build wrong.json").exits(1).says(&[
        "error: wrong.json: workload: the simulated time exceeds 2^53 ns (104 days)",
        "hint: a size, duration or delay of the workload is larger than meant",
    ]);
}

#[test]
fn an_unknown_unit_in_a_recipe_is_refused_with_those_that_are_known() {
    build_with_recipe("1 MiB", "1 MeB", &["wrong.json:5:", "workload.size: unknown unit `MeB`", "MiB, GiB"]);
}

#[test]
fn an_unknown_collective_and_an_unknown_algorithm_are_refused() {
    build_with_recipe(
        "all_reduce",
        "all_redice",
        &["workload.collective", "hint: did you mean `all_reduce`?"],
    );
    build_with_recipe(
        "\"system\"",
        "\"policy\": { \"collectives\": { \"all_reduce\": \"rong\" } }, \"system\"",
        &["wrong.json:6:", "policy.collectives.all_reduce: ", "`rong`", "hint: did you mean `ring`?"],
    );
}

#[test]
fn an_unknown_topology_is_refused_with_the_one_that_was_meant() {
    build_with_hardware(
        "Ring\n",
        "Rign\n",
        &[
            "wrong.yaml:14:",
            "network.dimensions[0].topology.type: unknown topology `Rign`",
            "did you mean `Ring`?",
        ],
    );
}

#[test]
fn an_unknown_unit_of_bandwidth_is_refused() {
    build_with_hardware(
        "50 GB",
        "50 XB",
        &["wrong.yaml:15:", "network.dimensions[0].topology.bandwidth: ", "XB"],
    );
}

#[test]
fn a_misspelt_key_of_the_network_is_refused_with_the_one_that_was_meant() {
    build_with_hardware(
        "bandwidth:",
        "bandwith:",
        &["wrong.yaml:15:", "network.dimensions[0].topology.bandwith: ", "hint: did you mean `bandwidth`?"],
    );
}

#[test]
fn a_latency_that_is_no_number_is_refused() {
    build_with_hardware(
        "500e-9",
        "half a second",
        &["wrong.yaml:16:", "network.dimensions[0].topology.latency: ", "half a second"],
    );
}

#[test]
fn yaml_that_is_none_is_told_with_its_line() {
    build_with_hardware("parallelisms: [tp]", "parallelisms: [tp", &["wrong.yaml:"]);
}

#[test]
fn ranks_that_do_not_fit_the_axes_are_refused_with_both_numbers() {
    build_with_recipe("\"ranks\": 4", "\"ranks\": 6", &["6 ranks", "4", "hint: "]);
    build_with_hardware("tp: 4", "tp: 8", &["4 ranks", "8"]);
}

/// Six ranks, and halving and doubling for all-reduces.
fn six_ranks(collective: &str) -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("six.yaml", with(RING_OF_4, "tp: 4", "tp: 6"));
    let recipe = with(ONE_ALL_REDUCE, "hardware.yaml", "six.yaml");
    let recipe = with(&recipe, "\"ranks\": 4", "\"ranks\": 6");
    let recipe = with(&recipe, "\"all_reduce\"", &format!("\"{collective}\""));
    let policy = "\"policy\": { \"collectives\": { \"all_reduce\": \"halvingDoubling\" } }, \"system\"";
    sandbox.write("wrong.json", with(&recipe, "\"system\"", policy));
    sandbox
}

#[test]
fn halving_doubling_on_six_ranks_is_refused() {
    let sandbox = six_ranks("all_reduce");
    refused(
        &sandbox,
        &[
            "error: wrong.json: policy.collectives.all_reduce: all_reduce on dimension `ring` of six.yaml (Ring of 6): \
             halvingDoubling needs a power of two of members, here 6 (`policy.collectives.all_reduce` of the recipe)",
            "hint: choose another algorithm",
        ],
    );
    sandbox.assert_store_is_good();
}

#[test]
fn halving_doubling_on_six_ranks_is_no_error_when_no_all_reduce_is_simulated() {
    let sandbox = six_ranks("all_gather");
    sandbox.run("validate wrong.json").succeeds();
    let build = sandbox.run("build wrong.json --json").succeeds().build();
    // Ring, four chunks: 10 + 5 rounds of floor(500 + 262144 / 53.687) + 10 each.
    assert_eq!(build.finish_of("one-all-reduce"), 4 * (10 + 5 * (5382 + 10)));
}

#[test]
fn a_bad_value_in_a_sweep_is_told_by_its_place_in_the_sweep() {
    let sandbox = sandbox();
    let sweep = "\"sweep\": { \"grid\": { \"workload.size\": [\"1 MiB\", \"2 XB\"] } }, \"system\"";
    sandbox.write("wrong.json", with(ONE_ALL_REDUCE, "\"system\"", sweep));
    refused(&sandbox, &["wrong.json:6:", "sweep.grid.\"workload.size\"[1]: unknown unit `XB`"]);
}

#[test]
fn a_failure_in_one_point_of_a_sweep_names_the_point() {
    let sandbox = sandbox();
    let path = "hw.network.dimensions.0.topology.bandwidth";
    let sweep = format!("\"sweep\": {{ \"grid\": {{ \"{path}\": [\"50 GB\", \"50 XB\"] }} }}, \"system\"");
    sandbox.write("wrong.json", with(ONE_ALL_REDUCE, "\"system\"", &sweep));
    refused(&sandbox, &["point `bandwidth=50 XB`: ", "XB"]);
}

#[test]
fn a_path_or_value_that_does_not_fit_the_hardware_is_told_by_its_place_in_the_sweep() {
    for (path, value, message) in [
        ("bandwith", "50 GB", "`network.dimensions.0.topology` has no key `bandwith`"),
        ("bandwidth", "50 XB", "unknown unit `XB` in the bandwidth `50 XB`"),
        ("bandwidth", "1e-300", "a bandwidth of 1e-300 bytes/s is 0 in the network file"),
    ] {
        let sandbox = sandbox();
        let path = format!("hw.network.dimensions.0.topology.{path}");
        let sweep = format!("\"sweep\": {{ \"grid\": {{ \"{path}\": [\"{value}\"] }} }}, \"system\"");
        sandbox.write("wrong.json", with(ONE_ALL_REDUCE, "\"system\"", &sweep));
        let key = format!(": sweep.grid.\"{path}\"[0]: in hardware.yaml: {message}");
        refused(&sandbox, &["error: wrong.json:6:", &key]);
    }
}

#[test]
fn what_the_simulator_cannot_do_is_told_by_the_key_to_change() {
    let hardware = with(RING_OF_4, "tp: 4", "tp: 4\n  dp: 2");
    let second = "  dimensions:\n    - {parallelisms: [dp], size: auto, topology: {type: Switch, bandwidth: 25 GB, latency: 1e-6}}";
    let two_dimensions = {
        let (head, tail) = hardware.split_once("execution_backend").unwrap();
        format!("{head}{}\nexecution_backend{tail}", second.split_once('\n').unwrap().1)
    };
    let sandbox = sandbox();
    sandbox.write("wrong.yaml", two_dimensions.replace("type: Switch", "type: KingMesh2D"));
    let recipe = with(ONE_ALL_REDUCE, "hardware.yaml", "wrong.yaml");
    sandbox.write("wrong.json", with(&recipe, "\"ranks\": 4", "\"ranks\": 8"));
    refused(
        &sandbox,
        &[
            "error: wrong.yaml: network.dimensions[1].size: KingMesh2D of 2 NPUs; it is a square, for example of",
        ],
    );
    sandbox.write("wrong.json", with(&recipe, "\"ranks\": 4", "\"ranks\": 1"));
    let message = "error: wrong.json: workload.ranks: a simulation needs at least 2 ranks, found 1";
    refused(&sandbox, &[message]);
}

#[test]
fn a_truncated_trace_is_told_with_its_file_and_place() {
    let sandbox = sandbox();
    sandbox.run("build recipe.json --out files").succeeds();
    let whole = sandbox.bytes("files/all_reduce.2.et");
    sandbox.write("files/all_reduce.2.et", &whole[..whole.len() - 20]);
    let truncated = ["files/all_reduce.2.et: byte 9: the file is truncated", "62 bytes", "42 are left"];
    sandbox.run("et dump files/all_reduce.2.et").exits(3).says(&truncated);
    sandbox.run("et dump files/all_reduce.2.et --json").exits(3).says(&truncated);
    let sim = "sim --workload-configuration files/all_reduce --network-configuration files/network_analytical_4.yml \
               --system-configuration files/system_native_collectives_4.json";
    let finished = sandbox.run(sim).exits(3).says(&truncated);
    assert_eq!(finished.text(), "");
    sandbox.write("files/all_reduce.2.et", "");
    sandbox.run(sim).exits(3).says(&["files/all_reduce.2.et: "]);
    std::fs::remove_file(sandbox.path("files/all_reduce.2.et")).unwrap();
    sandbox.run(sim).exits(3).says(&["files/all_reduce.2.et: there is no such file"]);
}

#[test]
fn sim_refuses_what_it_cannot_read_or_understand() {
    let sandbox = sandbox();
    sandbox.run("build recipe.json --out files").succeeds();
    let sim = |network: &str, system: &str, more: &str| {
        sandbox.run(&format!(
            "sim --workload-configuration files/all_reduce --network-configuration {network} \
             --system-configuration {system} {more}"
        ))
    };
    let (network, system) = ("files/network_analytical_4.yml", "files/system_native_collectives_4.json");
    sim(network, system, "").succeeds();
    sim("nowhere.yml", system, "").exits(3).says(&["nowhere.yml: there is no such file"]);
    sim(network, "nowhere.json", "").exits(3).says(&["nowhere.json: there is no such file"]);
    sandbox.write("broken.json", with(&sandbox.read(system), "{", "{,"));
    sim(network, "broken.json", "").exits(3).says(&["broken.json:"]);
    sandbox.write("short.yml", "topology: [ Ring ]\n");
    sim("short.yml", system, "").exits(3).says(&["short.yml", "npus_count"]);
    sim(network, system, "--network-model congested").exits(2).says(&["--network-model", "congestion_aware"]);
    sim(network, system, "--dialect klingon").exits(2).says(&["--dialect", "astra-sim"]);
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let sandbox = sandbox();
    sandbox.run("biuld recipe.json").exits(2).says(&["biuld", "build"]);
    sandbox.run("build recipe.json --job 3").exits(2).says(&["--job"]);
    sandbox.run("build recipe.json -j 0").exits(2).says(&["-j", "0"]);
    sandbox.run("build").exits(2).says(&["<RECIPE>"]);
    sandbox.run("build recipe.json --dry-run --out there").exits(2).says(&["--dry-run", "--out"]);
}

#[test]
fn hostile_recipes_are_refused_without_a_panic() {
    let sandbox = sandbox();
    let nested = "[".repeat(100_000);
    let huge = with(ONE_ALL_REDUCE, "1 MiB", "99999999999999999999 TiB");
    let many = with(ONE_ALL_REDUCE, "\"ranks\": 4", "\"ranks\": 4294967297");
    let negative = with(ONE_ALL_REDUCE, "\"ranks\": 4", "\"ranks\": -4");
    let twice = with(ONE_ALL_REDUCE, "\"recipe\": 1,", "\"recipe\": 1, \"recipe\": 1,");
    let newer = with(ONE_ALL_REDUCE, "\"recipe\": 1,", "\"recipe\": 2,");
    let path = with(ONE_ALL_REDUCE, "\"name\": \"one-all-reduce\"", "\"name\": \"../../escape\"");
    for text in [&nested, "", "null", "[]", "{}", &huge, &many, &negative, &twice, &newer, &path] {
        sandbox.write("wrong.json", text);
        sandbox.run("build wrong.json").exits(3).says(&["wrong.json"]);
    }
    sandbox.write("wrong.json", b"{ \"recipe\": 1, \"name\": \"\xff\" }");
    sandbox.run("build wrong.json").exits(3).says(&["wrong.json: not UTF-8"]);
    sandbox.assert_store_is_good();
}

#[test]
fn a_misspelt_system_key_is_named_even_when_the_files_do_not_fit_together() {
    let sandbox = sandbox();
    sandbox.run("build recipe.json --out files").succeeds();
    let system = sandbox.read("files/system_native_collectives_4.json");
    sandbox.write("files/wrong.json", with(&system, "preferred-dataset-splits", "preferred-dataset-split"));
    let sim = "sim --workload-configuration files/all_reduce --network-configuration files/network_analytical_4.yml \
               --system-configuration files/wrong.json";
    sandbox.run(sim).exits(1).says(&[
        "warning: ",
        "preferred-dataset-split",
        "preferred-dataset-splits",
        "error: ",
    ]);
}
