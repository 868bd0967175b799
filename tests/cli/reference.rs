//! The public example inputs of ASTRA-sim against the times that its own binary printed for them.

use std::path::{Path, PathBuf};

use crate::sandbox::{Sandbox, finish, skipped};

fn examples() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/ref/astra-sim-examples");
    if path.join("expected.tsv").exists() {
        return Some(path);
    }
    skipped(&format!("no reference data at {}", path.display()));
    None
}

#[test]
fn every_example_of_astra_sim_takes_the_time_that_astra_sim_says() {
    let Some(examples) = examples() else { return };
    let sandbox = Sandbox::new();
    let table = std::fs::read_to_string(examples.join("expected.tsv")).unwrap();
    let mut compared = 0;
    for line in table.lines() {
        let [model, workload, system, network, ranks, cycles] = line.split('\t').collect::<Vec<_>>()[..]
        else {
            panic!("{line}");
        };
        // Custom collectives are not simulated yet.
        if system.contains("custom_collective") {
            continue;
        }
        let mut command = sandbox.command("sim --json");
        command.current_dir(&examples).args(["--network-model", model, "--workload-configuration", workload]);
        command.args(["--system-configuration", system, "--network-configuration", network]);
        command.args(["--remote-memory-configuration", "remote_memory/no_memory_expansion.json"]);
        let finished = finish(&mut command).succeeds().value();
        let times = finished["finish_ns"].as_array().unwrap();
        assert_eq!(times.len(), ranks.parse::<usize>().unwrap(), "{line}");
        let cycles: u64 = cycles.parse().unwrap();
        assert!(times.iter().all(|t| *t == cycles), "{line}: {times:?}");
        compared += 1;
    }
    assert_eq!(compared, 27);
}
