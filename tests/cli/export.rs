//! The exporter in `contrib/deepflow`, run beside a stand-in for a checkout of DeepFlow.

use std::process::Command;

use serde_json::json;

use crate::sandbox::{Finished, Sandbox, finish, skipped};

const OBJECTS: &str = r#"
class Thing:
    def __init__(self, *parents, **fields):
        self.__dict__.update(fields)
        self.parents, self.children = list(parents), []
        for parent in parents:
            parent.children.append(self)


def graph(seconds):
    batch = Thing(name="batch", batch_id=0, duration=0)
    for hw in (0, 1):
        mul = Thing(batch, name="mul", op_id=10 + hw, hw_id=hw, duration=seconds, fwd=True)
        inner = Thing(mul, name="inner", op_id=20 + hw, duration=0, is_dp=False, comm_type="all_reduce",
                      comm_size_bytes=131072, participants=2, comm_interconnect_type="tp", local_hw_id=hw)
        Thing(inner, name="outer", op_id=30 + hw, duration=0, is_dp=True, comm_type="all_reduce",
              comm_size_bytes=131072, participants=2, comm_interconnect_type="dp", local_hw_id=hw)
    batch._astrasim_rank_layout = {
        "axis_order": ["tp", "dp"], "axis_sizes": {"tp": 2, "dp": 2}, "axis_strides": {"tp": 1, "dp": 2},
        "stage_span": 4}
    return batch
"#;

const EXECUTOR: &str = r#"
def convert_deepflow_graph_to_chakra_et(graph_root, dp_size, output_dir):
    return "prefix", [0], "manifest.json"


def generate_astrasim_configs_from_hw(hw_obj, out_dir="", npus_count=None, faulty_links_override=None):
    return {}


def run_astra_simulation_only_onepath(root, dp, faults):
    convert_deepflow_graph_to_chakra_et(root, dp_size=dp, output_dir="x")
    generate_astrasim_configs_from_hw(None, npus_count=4, faulty_links_override=faults)
"#;

/// Converts a graph, the same once more, another, and this one with a faulty link; then fails.
const RUN: &str = r#"
import sys
from astrasim_lib.executor import run_astra_simulation_only_onepath
from objects import graph

assert sys.argv[1:] == ["--hardware_config", "hardware.yaml"], sys.argv
for seconds, faults in ((5e-6, None), (5e-6, None), (7e-6, []), (7e-6, [[0, 1, 0.5]])):
    run_astra_simulation_only_onepath(graph(seconds), 2, faults)
sys.exit("no simulator")
"#;

/// Runs a graph as it is and another one, then both with faulty links, and the first once more as it is.
const RUN_AGAIN: &str = r#"
from astrasim_lib.executor import run_astra_simulation_only_onepath
from objects import graph

for seconds, faults in ((5e-6, None), (7e-6, None), (5e-6, [[0, 1, 0.5]]), (7e-6, [[0, 1, 0.5]]), (5e-6, None)):
    run_astra_simulation_only_onepath(graph(seconds), 2, faults)
"#;

/// Two pairs of ranks, as in the tests of graphs; a ring of two is one link.
const HARDWARE: &str = "\
parallelism: { tp: 2, dp: 2 }
network:
  dimensions:
    - { id: pair, parallelisms: [tp], size: auto, topology: { type: Ring, bandwidth: 50 GB, latency: 500e-9 } }
    - { id: fabric, parallelisms: [dp], size: auto, topology: { type: Ring, bandwidth: 50 GB, latency: 500e-9 } }
  faulty_links: [[0, 1, 1]]
";

fn export(sandbox: &Sandbox, arguments: &[&str]) -> Option<Finished> {
    if Command::new("python3").arg("--version").output().is_err() {
        skipped("no python3, which runs the exporter");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/deepflow/export_graph.py");
    let mut command = Command::new("python3");
    command.arg(script).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(sandbox.path(""));
    Some(finish(&mut command))
}

fn checkout() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("checkout/objects.py", OBJECTS);
    sandbox.write("checkout/astrasim_lib/__init__.py", "");
    sandbox.write("checkout/astrasim_lib/executor.py", EXECUTOR);
    sandbox.write("checkout/run_perf.py", RUN);
    sandbox.write("hardware.yaml", HARDWARE);
    sandbox
}

#[test]
fn the_graphs_of_a_run_are_exported_and_can_be_built() {
    let sandbox = checkout();
    let before = sandbox.files("checkout");
    let run = ["--checkout", "checkout", "--out", "study", "--name", "exported", "--"];
    let command = ["run_perf.py", "--hardware_config", "hardware.yaml"];
    let Some(finished) = export(&sandbox, &[&run[..], &command].concat()) else { return };
    // The failure is the run's own.
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("2 graphs in "), "{}", finished.stderr);
    assert!(finished.stderr.contains("no simulator"), "{}", finished.stderr);
    assert_eq!(sandbox.files("checkout"), before);
    let names: Vec<_> = sandbox.files("study").into_keys().collect();
    let expected = ["graph_0.json", "graph_1.json", "hardware.yaml", "recipe.json"];
    assert_eq!(names, expected.map(std::path::PathBuf::from));
    let graph = sandbox.json("study/graph_0.json");
    let sum = json!({
        "type": "communication", "name": "outer", "op": 30, "kind": "all_reduce", "bytes": 131_072, "axis": "dp",
        "participants": 2, "hw": 0, "info": { "is_dp": true }, "parents": [2], "children": []
    });
    assert_eq!((&graph["replicas"], &graph["nodes"][3]), (&json!(2), &sum));

    let build = sandbox.run("build study/recipe.json --json").succeeds().build();
    assert_eq!(build.recipe, "exported");
    // 5 or 7 us and two all-reduces of 128 KiB. DeepFlow's simulator sends a quarter of it in each of the two rounds:
    // 1,110 ns + 10 ns, a reduction of 60 ns after the first, and 10 ns before.
    assert_eq!(build.points.len(), 3, "{:?}", build.points);
    assert_eq!(build.finish_of("case=run_0"), 5_000 + 2 * 2_310);
    assert_eq!(build.finish_of("case=run_1"), 7_000 + 2 * 2_310);
    assert!(build.finish_of("case=run_2") > build.finish_of("case=run_1"));
}

#[test]
fn a_graph_that_is_run_again_with_other_faulty_links_is_a_further_case() {
    let sandbox = checkout();
    sandbox.write("checkout/run_perf.py", RUN_AGAIN);
    let arguments =
        ["--checkout", "checkout", "--out", "study", "--hardware", "hardware.yaml", "--", "run_perf.py"];
    let Some(finished) = export(&sandbox, &arguments) else { return };
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let case = |number: usize, graph: &str, faults: bool| {
        let mut case = json!({ "name": format!("run_{number}"), "workload.graph": graph });
        if faults {
            case["hw.network.faulty_links"] = json!([[0, 1, 0.5]]);
        }
        case
    };
    let expected =
        [("graph_0.json", false), ("graph_1.json", false), ("graph_0.json", true), ("graph_1.json", true)];
    let expected: Vec<_> = (0..).zip(expected).map(|(at, (graph, faults))| case(at, graph, faults)).collect();
    assert_eq!(sandbox.json("study/recipe.json")["sweep"]["cases"], json!(expected));
    sandbox.run("validate study/recipe.json").succeeds();
}

#[test]
fn what_the_exporter_cannot_do_it_says() {
    let sandbox = checkout();
    let refused = |arguments: &[&str], says: &str| {
        let Some(finished) = export(&sandbox, arguments) else { return };
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains(says), "{}", finished.stderr);
        assert!(!finished.stderr.contains("Traceback"), "{}", finished.stderr);
    };
    refused(&["--checkout", "checkout", "--out", "o"], "error: no command");
    refused(&["--checkout", "checkout", "--out", "o", "--", "rnu.py"], "rnu.py is not a file");
    refused(&["--checkout", "checkout", "--out", "o", "--", "run_perf.py"], "name the file with --hardware");
    let hardware =
        ["--checkout", "checkout", "--out", "o", "--hardware", "hardware.yaml", "--", "nothing.py"];
    sandbox.write("checkout/nothing.py", "");
    refused(&hardware, "error: the run converted no graph");
    // Most scripts end this way.
    sandbox.write("checkout/nothing.py", "import sys\nsys.exit(0)\n");
    refused(&hardware, "error: the run converted no graph");
    sandbox.write(
        "checkout/nothing.py",
        RUN.replace("5e-6", "float('nan')").replace(r#""--hardware_config", "hardware.yaml""#, ""),
    );
    refused(&hardware, "error: the seconds of `mul` is nan, expected a finite number");
    let inside_a_file = [
        "--checkout",
        "checkout",
        "--out",
        "hardware.yaml/o",
        "--hardware",
        "hardware.yaml",
        "--",
        "nothing.py",
    ];
    refused(&inside_a_file, "error: cannot write to ");
    sandbox.write("checkout/astrasim_lib/executor.py", "");
    refused(&hardware, "this checkout is of another version");
    sandbox.write("checkout/astrasim_lib/executor.py", "import nowhere_to_be_found\n");
    refused(&hardware, "error: cannot import astrasim_lib.executor");
}

#[test]
fn an_export_of_hardware_that_is_not_there_says_so_and_writes_nothing() {
    let sandbox = checkout();
    let arguments = ["--checkout", "checkout", "--out", "study", "--", "run_perf.py", "--hardware_config"];
    let Some(finished) = export(&sandbox, &[&arguments[..], &["nowhere.yaml"]].concat()) else { return };
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.starts_with("error: cannot read the hardware file nowhere.yaml: "),
        "{}",
        finished.stderr
    );
    assert!(!sandbox.path("study").exists());
}
