//! The hardware files and recipes that tests build and vary.

/// Four ranks in a ring: 50 GiB/s is 53.687 bytes per nanosecond, so a hop of 65,536 bytes takes 1,720 ns.
pub(crate) const RING_OF_4: &str = "\
# A ring to count on the fingers.
parallelism:
  tp: 4
memory_hierarchy:
  l0:
    type: DRAM
    size: 80 GB
network:
  dimensions:
    - id: ring
      parallelisms: [tp]
      size: auto
      topology:
        type: Ring
        bandwidth: 50 GB
        latency: 500e-9
        util: 1.0
execution_backend:
  model: astra
";

/// One all-reduce over that ring. Four chunks one after the other; each is 6 rounds of 1,720 ns + 10 ns, three of
/// them followed by 120 ns of reduction, after 10 ns: 4 × 10,750 ns.
pub(crate) const ONE_ALL_REDUCE: &str = r#"{
  "recipe": 1,
  "name": "one-all-reduce",
  "hw": "hardware.yaml",
  "workload": { "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" },
  "system": { "preferred-dataset-splits": 4, "endpoint-delay": 10, "local-mem-bw": 1600 }
}"#;

/// Four bandwidths and five sizes on that ring: 4 `hw`, 4 `policy`, 4 `configs`, 5 `et` and 20 `run`.
pub(crate) const SWEEP_OF_20: &str = r#"{
  "recipe": 1,
  "name": "sweep-of-20",
  "hw": "hardware.yaml",
  "workload": { "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" },
  "sweep": {
    "grid": {
      "hw.network.dimensions.0.topology.bandwidth": ["25 GB", "50 GB", "100 GB", "200 GB"],
      "workload.size": ["64 KiB", "256 KiB", "1 MiB", "4 MiB", "16 MiB"]
    }
  }
}"#;

/// How many distinct steps [`SWEEP_OF_20`] has.
pub(crate) const STEPS_OF_SWEEP_OF_20: u64 = 37;

/// Three ranks cannot be halved: the second point cannot be simulated, the others can.
pub(crate) const ONE_BAD_POINT: &str = r#"{
  "recipe": 1,
  "name": "one-bad-point",
  "hw": "hardware.yaml",
  "workload": { "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" },
  "policy": { "collectives": { "all_reduce": "halvingDoubling" } },
  "sweep": { "zip": { "workload.ranks": [2, 3, 4, 8], "hw.parallelism.tp": [2, 3, 4, 8] } }
}"#;

/// A recipe over many sizes, in KiB, on that ring: for each an `et` and a `run`, and one `hw`, one `policy` and one `configs`.
pub(crate) fn sizes(name: &str, kib: std::ops::Range<u32>) -> String {
    let sizes: Vec<String> = kib.map(|size| format!("\"{size} KiB\"")).collect();
    format!(
        r#"{{
  "recipe": 1,
  "name": "{name}",
  "hw": "hardware.yaml",
  "workload": {{ "kind": "collective", "collective": "all_reduce", "ranks": 4, "size": "1 MiB" }},
  "sweep": {{ "grid": {{ "workload.size": [{}] }} }}
}}"#,
        sizes.join(", ")
    )
}

/// The text with one thing replaced, which has to be there once.
pub(crate) fn with(text: &str, before: &str, after: &str) -> String {
    assert_eq!(text.matches(before).count(), 1, "{before:?} in\n{text}");
    text.replace(before, after)
}
