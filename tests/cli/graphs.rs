//! Graphs as workloads, through the command: where their ranks lie, what is made again, and what is refused.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::sandbox::{Build, Sandbox, finish as finish_command};
use crate::study::with;

/// Two pairs of ranks; 50 GiB/s is 53.687 bytes per nanosecond, so a hop of 65,536 bytes takes 1,720 ns.
const PAIRS: &str = "\
parallelism: { tp: 2, dp: 2 }
network:
  dimensions:
    - id: pair
      parallelisms: [tp]
      size: auto
      topology: { type: FullyConnected, bandwidth: 50 GB, latency: 500e-9 }
    - id: fabric
      parallelisms: [lp, dp]
      size: auto
      topology: { type: Ring, bandwidth: 50 GB, latency: 500e-9 }
";

const RECIPE: &str = r#"{
  "recipe": 1,
  "name": "step",
  "hw": "hardware.yaml",
  "workload": { "kind": "graph", "graph": "graph.json" }
}"#;

/// Two hardware ids compute for 5 us, sum 128 KiB between them, and then with their replicas.
pub(crate) fn step() -> Value {
    let compute = |hw: u32| json!({ "type": "compute", "name": "mul", "hw": hw, "seconds": 5e-6 });
    let sum = |name: &str, axis: &str, hw: u32, parent: u32| {
        json!({ "type": "communication", "name": name, "kind": "all_reduce", "bytes": 131_072, "axis": axis, "hw": hw,
                "parents": [parent] })
    };
    json!({
        "astra_graph": 1,
        "replicas": 2,
        "layout": { "axes": [{ "axis": "tp", "size": 2 }, { "axis": "lp", "size": 1 }, { "axis": "dp", "size": 2 }] },
        "nodes": [
            compute(0), compute(1), sum("inner", "tp", 0, 0), sum("inner", "tp", 1, 1), sum("outer", "dp", 0, 2),
            sum("outer", "dp", 1, 3),
        ],
    })
}

/// After 5,000 ns two all-reduces, each of two rounds of 1,720 ns + 10 ns, one followed by 120 ns of reduction, after 10 ns.
const STEP_NS: u64 = 5_000 + 2 * 3_590;

pub(crate) fn sandbox(graph: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", PAIRS);
    sandbox.write("recipe.json", RECIPE);
    sandbox.write("graph.json", graph.to_string());
    sandbox
}

fn finish(build: &Build) -> u64 {
    build.finish_of("step")
}

/// Changes the workload of the recipe.
pub(crate) fn workload(sandbox: &Sandbox, rest: &str) {
    let before = r#""graph": "graph.json""#;
    sandbox.write("recipe.json", with(RECIPE, before, &format!("{before}, {rest}")));
}

#[test]
fn a_graph_is_simulated_on_the_dimensions_that_its_axes_lie_on() {
    let sandbox = sandbox(&step());
    let build = sandbox.build("--out out");
    assert_eq!(finish(&build), STEP_NS);
    assert_eq!(build.executed(), [("hw", 1), ("et", 1), ("policy", 1), ("configs", 1), ("run", 1)].into());
    let names: Vec<String> =
        sandbox.files("out").into_keys().map(|name| name.display().to_string()).collect();
    let expected = [
        "comm_groups.json",
        "llm_graph.0.et",
        "llm_graph.1.et",
        "llm_graph.2.et",
        "llm_graph.3.et",
        "manifest.json",
        "network_analytical_2_2.yml",
        "remote_memory.json",
        "result.json",
        "system_native_collectives_2_2.json",
    ];
    assert_eq!(names, expected);
    let groups = json!({ "1": [0, 2], "2": [1, 3], "1000": [0, 1], "1001": [2, 3] });
    assert_eq!(sandbox.json("out/comm_groups.json"), groups);
    assert_eq!(sandbox.json("out/manifest.json")["groups"], groups);
    let network = sandbox.read("out/network_analytical_2_2.yml");
    assert!(network.starts_with("topology: [ FullyConnected, FullyConnected ]\nnpus_count: [ 2, 2 ]\n"));
    // The table says how many ranks there turned out to be.
    let shown = sandbox.run("show step --json").succeeds().value();
    assert_eq!(shown["points"][0]["ranks"], 4);
}

#[test]
fn what_changes_in_a_graph_reaches_as_far_as_it_makes_a_difference() {
    let sandbox = sandbox(&step());
    let first = sandbox.build("");
    assert_eq!(sandbox.build("").steps.executed, 0);
    let executed = |what: &str| {
        let build = sandbox.build("");
        assert_eq!(build.results(), first.results(), "{what}");
        build.executed().into_keys().map(str::to_owned).collect::<Vec<String>>()
    };
    let mut graph = step();
    graph["description"] = json!("the same");
    sandbox.write("graph.json", graph.to_string());
    assert_eq!(executed("a description"), ["et"]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(step().to_string().as_bytes()).unwrap();
    sandbox.write("graph.json", encoder.finish().unwrap());
    assert_eq!(executed("compression"), ["et"]);
    workload(&sandbox, r#""manifest": "df""#);
    assert_eq!(executed("another manifest"), ["et"]);
    workload(&sandbox, r#""convert": { "unknown_kinds": false }"#);
    assert_eq!(executed("another way to the same traces"), ["et"]);

    // Another time on the same ranks: the network is not written again.
    graph["nodes"][0]["seconds"] = json!(6e-6);
    sandbox.write("graph.json", graph.to_string());
    let slower = sandbox.build("");
    assert_eq!((finish(&slower), slower.executed()), (STEP_NS + 1_000, [("et", 1), ("run", 1)].into()));
}

#[test]
fn a_dry_run_knows_the_network_of_a_graph_only_when_it_has_been_converted() {
    let sandbox = sandbox(&step());
    let plan = sandbox.build("--dry-run");
    assert_eq!((plan.steps.would_run, plan.steps.unknown_until_cutoff), (Some(2), Some(3)));
    sandbox.build("");
    let plan = sandbox.build("--dry-run");
    assert_eq!((plan.steps.would_run, plan.steps.hit), (Some(0), 5));
}

#[test]
fn a_graph_is_converted_again_when_what_was_found_out_is_damaged() {
    let sandbox = sandbox(&step());
    sandbox.build("");
    let mut store = sandbox.bytes("store/store.redb");
    let placement = br#""replicas":2,"axes""#;
    let places: Vec<usize> = (0..store.len()).filter(|at| store[*at..].starts_with(placement)).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| store[at] ^= 0x01);
    sandbox.write("store/store.redb", store);
    // Another latency asks for another network file, and for that how the ranks lie.
    sandbox.write("hardware.yaml", PAIRS.replace("500e-9", "600e-9"));
    let build = sandbox.build("");
    assert_eq!(finish(&build), STEP_NS + 4 * 100);
    assert_eq!(build.executed(), [("hw", 1), ("et", 1), ("policy", 1), ("configs", 1), ("run", 1)].into());
}

#[test]
fn graphs_and_ways_of_conversion_can_be_swept() {
    let sandbox = sandbox(&step());
    let mut other = step();
    other["nodes"][0]["seconds"] = json!(7e-6);
    sandbox.write("other.json", other.to_string());
    let sweep = r#""workload": { "kind": "graph", "graph": "graph.json" },
      "sweep": { "grid": { "workload.graph": ["graph.json", "other.json"], "workload.convert": ["mended", "faithful"] } }"#;
    let workload = r#""workload": { "kind": "graph", "graph": "graph.json" }"#;
    sandbox.write("recipe.json", with(RECIPE, workload, sweep));
    let build = sandbox.build("");
    for (graph, time) in [("graph.json", STEP_NS), ("other.json", STEP_NS + 2_000)] {
        for convert in ["mended", "faithful"] {
            assert_eq!(build.finish_of(&format!("graph={graph},convert={convert}")), time);
        }
    }
    // Both ways give the same traces of such graphs, on the same network.
    assert_eq!(build.executed(), [("hw", 1), ("et", 4), ("policy", 1), ("configs", 1), ("run", 2)].into());
}

#[test]
fn a_single_rank_is_simulated_as_a_pair_on_the_dimension_of_its_axes() {
    let graph = json!({
        "astra_graph": 1,
        "layout": { "axes": [{ "axis": "dp", "size": 1 }] },
        "nodes": [{ "type": "compute", "name": "mul", "hw": 3, "seconds": 5e-6 }],
    });
    let sandbox = sandbox(&graph);
    sandbox.write(
        "hardware.yaml",
        with(
            PAIRS,
            "parallelisms: [tp]\n      size: auto\n      topology: { type: FullyConnected, bandwidth: 50 GB",
            "parallelisms: [tp]\n      size: auto\n      topology: { type: FullyConnected, bandwidth: 70 GB",
        ),
    );
    assert_eq!(finish(&sandbox.build("--out out")), 5_000);
    assert_eq!(sandbox.json("out/manifest.json")["ranks"], 2);
    // That of dp has 50 GiB/s.
    let network = sandbox.read("out/network_analytical_2.yml");
    assert!(network.contains("npus_count: [ 2 ]\nbandwidth: [ 50.0 ]"), "{network}");
}

#[test]
fn a_graph_that_does_not_say_how_its_ranks_lie_needs_a_recipe_that_does() {
    let mut graph = step();
    graph.as_object_mut().unwrap().remove("layout");
    graph["nodes"].as_array_mut().unwrap().retain(|node| node["axis"] != "tp");
    graph["nodes"][2]["parents"] = json!([0]);
    graph["nodes"][3]["parents"] = json!([1]);
    let sandbox = sandbox(&graph);
    for command in ["validate", "build"] {
        sandbox.run(&format!("{command} recipe.json")).exits(3).says(&[
            "recipe.json: layout.axes: graph.json has no `layout` that says on which axes its ranks lie",
            "hint: name the axes here",
        ]);
    }
    let named = with(RECIPE, r#""hw": "#, r#""layout": { "axes": ["tp", "dp"] }, "hw": "#);
    sandbox.write("recipe.json", named);
    assert_eq!(finish(&sandbox.build("")), 5_000 + 3_590);
}

#[test]
fn graphs_that_do_not_fit_are_refused_with_their_file() {
    let refused = |change: &dyn Fn(&mut Value), says: &[&str]| {
        let mut graph = step();
        change(&mut graph);
        let sandbox = sandbox(&graph);
        sandbox.run("validate recipe.json").exits(3).says(says);
        sandbox.run("build recipe.json").exits(3).says(says);
    };
    refused(
        &|graph| graph["replicas"] = json!(3),
        &["graph.json has 3 replicas, but its `layout` has 2 along `dp`"],
    );
    refused(
        &|graph| graph["nodes"][0]["parents"] = json!([2]),
        &["graph.json: nodes[0]: nodes wait for each other"],
    );
    refused(
        &|graph| graph["nodes"][2]["kind"] = json!("all_redcue"),
        &["graph.json: nodes[2].kind: ", "did you mean `all_reduce`?"],
    );
    refused(
        &|graph| graph["layout"]["axes"][1] = json!({ "axis": "ep", "size": 2 }),
        &["layout.axes: an axis of graph.json: "],
    );
    let sandbox = sandbox(&step());
    for (degrees, says) in [
        ("tp: 2, dp: 4", "graph.json has 2 ranks along `dp`, the hardware has 4"),
        // As many ranks, but elsewhere.
        ("tp: 4, dp: 1", "graph.json has 2 ranks along `tp`, the hardware has 4"),
    ] {
        sandbox.write("hardware.yaml", with(PAIRS, "tp: 2, dp: 2", degrees));
        sandbox.run("build recipe.json").exits(3).says(&[says]);
    }
    sandbox.write("recipe.json", with(RECIPE, "graph.json", "grahp.json"));
    sandbox.run("build recipe.json").exits(3).says(&["grahp.json: there is no such file"]);
}

#[test]
fn the_run_of_a_graph_with_groups_can_be_followed_afterwards() {
    let sandbox = sandbox(&step());
    sandbox.build("");
    sandbox.run("show step --trace timeline.json").succeeds();
    assert!(sandbox.read("timeline.json").contains("outer"));
}

#[test]
fn converting_by_hand_writes_what_a_build_writes() {
    let sandbox = sandbox(&step());
    workload(&sandbox, r#""convert": "faithful", "manifest": "df""#);
    sandbox.build("--out built");
    let printed = sandbox.run("et convert graph.json --faithful --manifest df --out by-hand").succeeds();
    assert_eq!(printed.text(), "by-hand/llm_graph\nby-hand/manifest.json\nby-hand/comm_groups.json\n");
    for (name, bytes) in sandbox.files("by-hand") {
        assert_eq!(sandbox.bytes(&format!("built/{}", name.display())), bytes, "{}", name.display());
    }
    sandbox.run("et lint by-hand --groups by-hand/comm_groups.json").succeeds();
    let value = sandbox.run("et convert graph.json --out mended --json").succeeds().value();
    assert_eq!((&value["ranks"], &value["axes"]), (&json!(4), &json!(["tp", "dp"])));

    sandbox
        .run("et convert graph.json --off control_tag --out x")
        .exits(2)
        .says(&["--off: unknown switch `control_tag`", "did you mean `control_tags`?"]);
    let alone =
        json!({ "astra_graph": 1, "nodes": [{ "type": "compute", "name": "a", "hw": 0, "seconds": 1e-6 }] });
    sandbox.write("alone.json", alone.to_string());
    sandbox
        .run("et convert alone.json --out by-hand")
        .exits(6)
        .says(&["by-hand/comm_groups.json: is of another conversion"]);
    sandbox.run("et convert alone.json --keep-single-rank --out alone").succeeds();
    assert_eq!(sandbox.files("alone").len(), 2);
}

#[test]
fn a_conversion_says_how_much_it_would_write_and_asks_before_it_fills_a_disk() {
    let mut graph = step();
    let sandbox = sandbox(&graph);
    let planned = sandbox.run("et convert graph.json --out x --dry-run").succeeds();
    assert!(planned.text().starts_with("would write 4 traces with "), "{}", planned.text());
    assert!(!sandbox.path("x").exists());
    let planned = sandbox.run("et convert graph.json --out x --dry-run --json").succeeds().value();
    sandbox.run("et convert graph.json --out x").succeeds();
    let bytes: usize = (0..4).map(|rank| sandbox.bytes(&format!("x/llm_graph.{rank}.et")).len()).sum();
    assert_eq!((&planned["ranks"], &planned["bytes"]), (&json!(4), &json!(bytes)));

    graph["replicas"] = json!(1_000_000);
    sandbox.write("graph.json", graph.to_string());
    sandbox.run("et convert graph.json --out y").exits(2).says(&[
        "graph.json: replicas: communicator groups are numbered up to ",
        "graph.json: this would write 2000000 traces with ",
        "--force writes them",
    ]);
    assert!(!sandbox.path("y").exists());
}

#[test]
fn traces_of_another_conversion_are_not_mixed_with_those_of_this_one() {
    let sandbox = sandbox(&step());
    for left_over in ["llm_graph.7.et", "llm_graph.7.et.gz", "llm_graph.0.et.gz"] {
        sandbox.write(&format!("x/{left_over}"), "");
        let expected = format!("x/{left_over}: is of another conversion");
        sandbox.run("et convert graph.json --out x").exits(6).says(&[&expected]);
        std::fs::remove_file(sandbox.path(&format!("x/{left_over}"))).unwrap();
    }
    sandbox.run("et convert graph.json --out x").succeeds();
    sandbox.run("et convert graph.json --out x").succeeds();
}

#[test]
fn a_conversion_that_was_cut_short_leaves_no_manifest_behind() {
    let sandbox = sandbox(&step());
    sandbox.run("et convert graph.json --out x").succeeds();
    assert!(sandbox.path("x/manifest.json").exists());
    // What stands in the way of the second trace is found when the first one has been replaced.
    std::fs::remove_file(sandbox.path("x/llm_graph.1.et")).unwrap();
    sandbox.write("x/llm_graph.1.et/in-the-way", "");
    sandbox.run("et convert graph.json --faithful --out x").exits(6).says(&["x/llm_graph.1.et: "]);
    assert!(!sandbox.path("x/manifest.json").exists());
    for no_directory in ["graph.json", "graph.json/below", "/dev/null"] {
        let expected = format!("{no_directory}: cannot be written: ");
        sandbox.run(&format!("et convert graph.json --out {no_directory}")).exits(6).says(&[&expected]);
    }
}

#[test]
fn the_schema_of_graphs_is_printed() {
    let schema = sandbox(&step()).run("schema graph").succeeds();
    let schema: Value = serde_json::from_str(schema.text()).unwrap();
    assert!(jsonschema::draft202012::new(&schema).unwrap().is_valid(&step()));
}

#[test]
fn the_example_of_a_training_step_takes_what_its_page_says() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("build --json");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/training-step.json"));
    let build = finish_command(&mut command).succeeds().build();
    for (fabric, even_us) in [("100 Gb", 13_198), ("200 Gb", 8_042), ("400 Gb", 5_464)] {
        let finish = |case: &str| build.finish_of(&format!("bandwidth={fabric},case={case}"));
        assert_eq!((finish("even") + 500) / 1_000, even_us, "{fabric}");
        // One forward and one backward computation of the slow rank are on the critical path: 0.2 × (300 + 600) us.
        assert_eq!(finish("slow") - finish("even"), 180_000, "{fabric}");
    }
    assert_eq!(build.executed(), [("hw", 3), ("et", 2), ("policy", 3), ("configs", 3), ("run", 6)].into());
}
