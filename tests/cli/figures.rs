//! Times that can be worked out by hand, through `build` and through `sim` on the files that `build --out` writes.

use crate::sandbox::Sandbox;
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, with};

/// Builds a workload on the ring of four (or another number of) ranks. Returns its time, which `sim` has to give too.
fn finish_of(workload: &str, ranks: u32) -> u64 {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", with(RING_OF_4, "tp: 4", &format!("tp: {ranks}")));
    let one = r#"{ "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" }"#;
    sandbox.write("recipe.json", with(ONE_ALL_REDUCE, one, workload));
    let built = sandbox.build("--out files").finish_of("one-all-reduce");

    let files = sandbox.files("files");
    let prefix =
        files.keys().find_map(|p| p.to_str().unwrap().strip_suffix(".0.et").map(str::to_owned)).unwrap();
    for network_model in ["congestion_aware", "congestion_unaware"] {
        let simulated = sandbox.run(&format!(
            "sim --workload-configuration files/{prefix} --network-model {network_model} --json \
             --network-configuration files/network_analytical_{ranks}.yml \
             --system-configuration files/system_native_collectives_{ranks}.json"
        ));
        let times = simulated.succeeds().value()["finish_ns"].clone();
        let last = times.as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).max().unwrap();
        assert_eq!(last, built, "{network_model}: {workload}");
    }
    built
}

fn collective(name: &str, ranks: u32) -> u64 {
    let workload =
        format!(r#"{{ "kind": "collective", "collective": "{name}", "ranks": {ranks}, "size": "1 MiB" }}"#);
    finish_of(&workload, ranks)
}

/// The first and the second term of a ring: 10 ns, then rounds of one hop and 10 ns. In four chunks one after the other.
fn four_chunks(rounds: u64, hop: u64, reductions: u64, reduction: u64) -> u64 {
    4 * (10 + rounds * (hop + 10) + reductions * reduction)
}

// Chunks of 262,144 bytes; 53.687 bytes per nanosecond; 500 ns for a hop. A reduction of m bytes takes
// 3 · floor(m / 1600) ns with 1,600 GB/s of memory.

#[test]
fn ring_collectives_of_one_mebibyte_on_four_ranks() {
    // A quarter of a chunk, 65,536 bytes: floor(500 + 1220.7) ns.
    assert_eq!(collective("all_reduce", 4), four_chunks(6, 1720, 3, 120));
    assert_eq!(collective("reduce_scatter", 4), four_chunks(3, 1720, 3, 120));
    assert_eq!(collective("all_to_all", 4), four_chunks(6, 1720, 0, 0));
    // A whole chunk: floor(500 + 4882.8) ns.
    assert_eq!(collective("all_gather", 4), four_chunks(3, 5382, 0, 0));
}

#[test]
fn ring_collectives_of_one_mebibyte_on_eight_ranks() {
    // An eighth of a chunk, 32,768 bytes: floor(500 + 610.4) ns.
    assert_eq!(collective("all_reduce", 8), four_chunks(14, 1110, 7, 60));
    assert_eq!(collective("reduce_scatter", 8), four_chunks(7, 1110, 7, 60));
    assert_eq!(collective("all_to_all", 8), four_chunks(28, 1110, 0, 0));
    assert_eq!(collective("all_gather", 8), four_chunks(7, 5382, 0, 0));
}

#[test]
fn two_ranks_are_one_link() {
    // Half a chunk, 131,072 bytes: floor(500 + 2441.4) ns.
    assert_eq!(collective("all_reduce", 2), four_chunks(2, 2941, 1, 3 * 81));
}

/// A sequence on four ranks of these items.
fn sequence(items: &str) -> u64 {
    finish_of(&format!(r#"{{ "kind": "sequence", "ranks": 4, "items": [ {items} ] }}"#), 4)
}

#[test]
fn collectives_of_a_sequence_take_their_turns() {
    let all_reduce = r#"{ "collective": "all_reduce", "size": "1 MiB" }"#;
    assert_eq!(sequence(all_reduce), 43_000);
    assert_eq!(sequence(&format!("{all_reduce}, {all_reduce}")), 2 * 43_000);
}

#[test]
fn a_delay_at_the_start_of_a_sequence_is_hidden_behind_the_first_collective() {
    let first = r#"{ "collective": "all_reduce", "size": "1 MiB" }"#;
    let delayed = r#"{ "collective": "reduce_scatter", "size": "1 MiB", "delay": "5 us" }"#;
    assert_eq!(sequence(delayed), 5_000 + 22_240);
    assert_eq!(sequence(&format!("{first}, {delayed}")), 43_000 + 22_240);
}

#[test]
fn a_delay_after_another_item_begins_when_that_has_finished() {
    let first = r#"{ "name": "first", "collective": "all_reduce", "size": "1 MiB" }"#;
    let second = r#"{ "collective": "reduce_scatter", "size": "1 MiB", "delay": "5 us", "after": "first" }"#;
    assert_eq!(sequence(&format!("{first}, {second}")), 43_000 + 5_000 + 22_240);
}

/// A pipeline on `ranks` ranks whose stages compute 1 us and pass on 65,536 bytes, which takes 1,720 ns.
fn pipeline(ranks: u32, microbatches: u32) -> u64 {
    let workload = format!(
        r#"{{ "kind": "pipeline", "ranks": {ranks}, "microbatches": {microbatches}, "compute": "1 us", "size": "64 KiB" }}"#
    );
    finish_of(&workload, ranks)
}

#[test]
fn one_microbatch_passes_through_the_stages_of_a_pipeline_one_after_the_other() {
    assert_eq!(pipeline(2, 1), 1_000 + 1_720 + 1_000);
    assert_eq!(pipeline(4, 1), 4 * 1_000 + 3 * 1_720);
}

#[test]
fn the_second_microbatch_of_a_pipeline_is_sent_when_the_first_has_arrived() {
    // Computed at 2,000 ns, but the first is under way until 2,720 ns.
    assert_eq!(pipeline(2, 2), 1_000 + 2 * 1_720 + 1_000);
}

#[test]
fn a_sequence_and_a_pipeline_name_their_traces_after_themselves() {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    for (kind, more) in [
        ("sequence", r#""items": [ { "collective": "all_to_all", "size": 4096 } ]"#),
        ("pipeline", r#""microbatches": 3, "compute": "2 us", "size": "1 kB""#),
    ] {
        let recipe = format!(
            r#"{{ "recipe": 1, "name": "named", "hw": "hardware.yaml", "workload": {{ "kind": "{kind}", "ranks": 4, {more} }} }}"#
        );
        sandbox.write("recipe.json", recipe);
        sandbox.build(&format!("--out {kind}"));
        for rank in 0..4 {
            assert!(sandbox.path(&format!("{kind}/{kind}.{rank}.et")).is_file());
        }
    }
}
