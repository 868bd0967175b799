//! A compact table of hardware, requests and files that holds without the reference data.

use astra_engine::{Dialect, NetworkModel};
use astra_policy::Collective;
use astra_store::astrasim::{
    AlgorithmLists, Algorithms, ConfigFiles, ConfigRequest, DecidedBy, Layout, PolicyChoices,
    SystemOverrides, check_algorithms, check_network, layout, write,
};
use astra_store::hw::{Axis, Document, NetworkSpec};
use astra_store::{Error, Result};
use serde_json::{Value as Json, json};

/// A dimension: topology type, bandwidth, latency, size, axes.
type Dim = (&'static str, &'static str, &'static str, &'static str, &'static str);

fn spec(degrees: [u32; 4], dims: &[Dim], backend: &str) -> Result<NetworkSpec> {
    let [tp, cp, lp, dp] = degrees;
    let mut yaml = format!(
        "parallelism: {{tp: {tp}, cp: {cp}, lp: {lp}, dp: {dp}}}\n{backend}\nnetwork:\n  dimensions:\n"
    );
    for (kind, bandwidth, latency, size, axes) in dims {
        yaml += &format!(
            "  - size: {size}\n    topology: {{type: '{kind}', bandwidth: {bandwidth}, latency: {latency}}}\n    \
             parallelisms: [{axes}]\n"
        );
    }
    Document::parse(yaml.as_bytes(), "hw.yaml")?.network_spec(&[]).map(|(spec, _)| spec)
}

/// `8`, `8 tp,cp` (axes), `8 flat`, `2 pair=dp`.
fn request(text: &str) -> ConfigRequest {
    let mut words = text.split(' ');
    let mut request = ConfigRequest { ranks: words.next().unwrap().parse().unwrap(), ..Default::default() };
    let axes = |list: &str| list.split(',').map(|name| Axis::parse(name).unwrap()).collect();
    for word in words {
        match word.strip_prefix("pair=") {
            Some(preferred) => request.synthetic_pair = Some(axes(preferred)),
            None if word == "flat" => request.flatten_2d = true,
            None => request.axes = Some(axes(word)),
        }
    }
    request
}

fn configs(spec: &NetworkSpec, request: &ConfigRequest, overrides: &SystemOverrides) -> Result<ConfigFiles> {
    let layout = layout(spec, request)?;
    let table = decide(spec, &layout, Dialect::DeepFlow, &PolicyChoices::new(), overrides)?;
    Ok(write(&layout, &table, &spec.sys_options, overrides))
}

/// The contents of the lists of the network file, the all-reduce algorithms, and the counts in the file name.
fn compact(files: &ConfigFiles) -> String {
    let lists = files.network_yml.lines().map(|line| line.split(['[', ']']).nth(1).unwrap().trim());
    let system: Json = serde_json::from_str(&files.system_json).unwrap();
    let algorithms = system["all-reduce-implementation"].as_array().unwrap().iter();
    let algorithms: Vec<&str> = algorithms.map(|name| name.as_str().unwrap()).collect();
    let name = files.network_name.trim_start_matches("network_analytical_").trim_end_matches(".yml");
    format!("{} | {} | {name}", lists.collect::<Vec<_>>().join(" | "), algorithms.join(", "))
}

const RING: Dim = ("Ring", "100 GB", "5e-6", "auto", "tp");
const IB: Dim = ("Switch", "25 GB", "20e-6", "auto", "lp, dp");

#[test]
fn hardware_and_rank_count_give_these_files() {
    #[rustfmt::skip]
    let cases: &[([u32; 4], &[Dim], &str, &str)] = &[
        ([8, 1, 1, 1], &[RING], "8", "Ring | 8 | 100.0 | 5000.0 | ring | 8"),
        ([2, 1, 1, 1], &[RING], "2", "FullyConnected | 2 | 100.0 | 5000.0 | direct | 2"),
        ([8, 1, 1, 1], &[RING], "1", " |  |  |  |  | 1"),
        ([8, 1, 2, 2], &[RING, IB], "32", "Ring, Switch | 8, 4 | 100.0, 25.0 | 5000.0, 20000.0 | ring, halvingDoubling | 8_4"),
        ([8, 1, 2, 2], &[RING, IB], "8 tp", "Ring | 8 | 100.0 | 5000.0 | ring | 8"),
        ([8, 1, 2, 2], &[RING, IB], "4 lp,dp", "Switch | 4 | 25.0 | 20000.0 | halvingDoubling | 4"),
        // Greedy in the order tp, cp, lp, dp: two ranks are the pipeline axis, not the data-parallel one.
        ([8, 1, 2, 2], &[RING, IB], "2", "Switch | 2 | 25.0 | 20000.0 | halvingDoubling | 2"),
        ([8, 1, 2, 2], &[RING, IB], "2 pair=dp", "Switch | 2 | 25.0 | 20000.0 | halvingDoubling | 2"),
        ([8, 1, 2, 2], &[RING, IB], "2 pair=tp", "FullyConnected | 2 | 100.0 | 5000.0 | direct | 2"),
        ([8, 1, 2, 2], &[RING, IB], "2 pair=cp", "FullyConnected | 2 | 100.0 | 5000.0 | direct | 2"),
        ([4, 1, 1, 1], &[("fc", "1 TB", "0", "4", "tp")], "4", "FullyConnected | 4 | 1024.0 | 0.0 | direct | 4"),
        ([4, 1, 1, 1], &[("HyperCube", "3 Mb", "1.23456789e-6", "'4'", "tp")], "4", "HyperCube | 4 | 0.000366 | 1234.568 | hypercube | 4"),
        ([4, 1, 1, 1], &[("Mesh", "1e11", "'5e-6'", "auto", "TP")], "4", "Mesh | 4 | 93.132257 | 5000.0 | mesh | 4"),
        ([4, 1, 1, 1], &[("KingMesh2D", "1 KB", "1e-9", "auto", "tp")], "4", "KingMesh2D | 4 | 1e-06 | 1.0 | torus2d | 4"),
        ([16, 1, 1, 1], &[("Torus2D", "100 GB", "5e-6", "auto", "tp")], "16", "Ring, Ring | 4, 4 | 100.0, 100.0 | 5000.0, 5000.0 | ring, ring | 16"),
        ([2, 4, 1, 1], &[("Torus2D", "100 GB", "5e-6", "(tp, cp)", "tp, cp")], "8", "Mesh, Ring | 2, 4 | 100.0, 100.0 | 5000.0, 5000.0 | mesh, ring | 8"),
        ([2, 8, 1, 1], &[("mesh-2d", "100 GB", "5e-6", "[4, auto]", "tp, cp")], "16", "Mesh, Mesh | 4, 4 | 100.0, 100.0 | 5000.0, 5000.0 | mesh, mesh | 16"),
        ([2, 4, 1, 1], &[("Torus2D", "100 GB", "5e-6", "auto", "tp, cp")], "8 flat", "Ring | 8 | 100.0 | 5000.0 | ring | 8"),
        ([16, 1, 1, 4], &[("Torus2D", "100 GB", "5e-6", "auto", "tp"), ("Ring", "25 GB", "5e-6", "auto", "dp")], "64", "Ring, Ring, Ring | 4, 4, 4 | 100.0, 100.0, 25.0 | 5000.0, 5000.0, 5000.0 | ring, ring, ring | 16_4"),
    ];
    for (degrees, dims, asked, expected) in cases {
        let spec = spec(*degrees, dims, "").unwrap();
        let files = configs(&spec, &request(asked), &SystemOverrides::default()).unwrap();
        assert_eq!(compact(&files), *expected, "{degrees:?} {dims:?} {asked}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_key() {
    #[rustfmt::skip]
    let cases: &[([u32; 4], &[Dim], &str, &str)] = &[
        ([8, 1, 1, 1], &[RING], "9", "ranks: 9 ranks are no product of the parallelism degrees tp 8, cp 1, lp 1, dp 1"),
        ([8, 1, 1, 1], &[RING], "0", "ranks: a run needs at least 1 rank"),
        ([8, 2, 1, 1], &[RING], "16", "network.dimensions: 16 ranks need the axes cp, which no dimension carries"),
        ([8, 1, 1, 2], &[RING], "16", "network.dimensions: dp is 2, but no dimension carries the axis dp"),
        ([2, 1, 2, 2], &[("Ring", "1 GB", "0", "auto", "dp"), ("Ring", "1 GB", "0", "auto", "lp")], "4", "network.dimensions[0].parallelisms: dp lies on dimension `dim0`, but the last"),
        ([8, 1, 1, 1], &[("Torus2D", "1 GB", "0", "auto", "tp")], "8", "network.dimensions[0].size: 8 NPUs are no square"),
        ([8, 1, 1, 1], &[RING], "4 pair=tp", "ranks: a synthetic pair has 2 ranks, not 4"),
        ([8, 1, 1, 1], &[("Rnig", "1 GB", "0", "auto", "tp")], "8", "hw.yaml:6:22: network.dimensions[0].topology.type: unknown topology `Rnig`"),
        ([8, 1, 1, 1], &[("Ring", "100 GiB", "0", "auto", "tp")], "8", "network.dimensions[0].topology.bandwidth: unknown unit `GiB`"),
        ([8, 1, 1, 1], &[("Ring", "1 GB", "5 us", "auto", "tp")], "8", "network.dimensions[0].topology.latency: expected a number, found `5 us`"),
        ([8, 1, 1, 1], &[("Ring", "1 GB", "0", "16", "tp")], "8", "network.dimensions[0].size: size 16, but the degrees of the dimension's axes multiply to 8"),
        ([8, 1, 1, 1], &[RING, ("Ring", "1 GB", "0", "auto", "tp")], "8", "network.dimensions[1].parallelisms: axis tp lies on dimension `dim0` already"),
        ([0, 1, 1, 1], &[RING], "1", "parallelism.tp: expected an integer from 1 to 4294967295, found `0`"),
        ([8, 1, 1, 1], &[("Ring", "1e-300", "0", "auto", "tp")], "8", "network.dimensions[0].topology.bandwidth: a bandwidth of 1e-300 bytes/s is 0 in the network file"),
        ([8, 1, 1, 1], &[("Ring", "1 GB", "1e300", "auto", "tp")], "8", "network.dimensions[0].topology.latency: a latency of 1e300 s is beyond"),
        ([8, 1, 1, 1], &[], "8", "network.dimensions: missing required key"),
    ];
    for (degrees, dims, asked, expected) in cases {
        let made = spec(*degrees, dims, "")
            .and_then(|spec| configs(&spec, &request(asked), &SystemOverrides::default()));
        let error = made.map(|files| compact(&files)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
}

const BACKEND: &str = "execution_backend:\n  model: astra\n  astra:\n    collectives: {all_gather: direct4}\n    \
                       sys_options: {endpoint_delay: 0, preferred_dataset_splits: 4}\n";

#[test]
fn the_files_have_exactly_this_text() {
    let spec = spec([4, 1, 1, 4], &[RING, ("Switch", "25 GB", "20e-6", "auto", "dp")], BACKEND).unwrap();
    let mut request = request("16");
    request.faulty_links = Some(vec![
        astra_store::hw::FaultyLink { src: 0, dst: 1, health: 0.5 },
        astra_store::hw::FaultyLink { src: 3, dst: 4, health: 0.0 },
    ]);
    let files = configs(&spec, &request, &SystemOverrides::default()).unwrap();
    assert_eq!(files.network_name, "network_analytical_4_4.yml");
    assert_eq!(
        files.network_yml,
        "topology: [ Ring, Switch ]\nnpus_count: [ 4, 4 ]\nbandwidth: [ 100.0, 25.0 ]  # GB/s\n\
         latency: [ 5000.0, 20000.0 ]   # ns\nfaulty_links: [[0, 1, 0.5], [3, 4, 0]]\n"
    );
    assert_eq!(files.system_name, "system_native_collectives_4_4.json");
    assert_eq!(files.system_json, SYSTEM);
}

const SYSTEM: &str = r#"{
  "scheduling-policy": "LIFO",
  "endpoint-delay": 0,
  "active-chunks-per-dimension": 1,
  "preferred-dataset-splits": 4,
  "all-reduce-implementation": [
    "ring",
    "halvingDoubling"
  ],
  "all-gather-implementation": [
    "direct4",
    "direct4"
  ],
  "reduce-scatter-implementation": [
    "ring",
    "halvingDoubling"
  ],
  "all-to-all-implementation": [
    "ring",
    "halvingDoubling"
  ],
  "collective-optimization": "localBWAware",
  "local-mem-bw": 1600,
  "boost-mode": 0,
  "roofline-enabled": 0,
  "peak-perf": 900
}"#;

#[test]
fn a_recipe_overrides_what_the_hardware_file_and_the_defaults_say() {
    let spec = spec([4, 1, 1, 1], &[RING], BACKEND).unwrap();
    let overrides = json!({
        "endpoint-delay": 20, "replay-only": 1, "collective-optimization": "baseline",
        "all-reduce-implementation": ["direct"],
    });
    let overrides = SystemOverrides::new(overrides.as_object().unwrap().clone()).unwrap();
    let files = configs(&spec, &request("4"), &overrides).unwrap();
    let system: Json = serde_json::from_str(&files.system_json).unwrap();
    assert_eq!(system["endpoint-delay"], 20);
    assert_eq!(system["preferred-dataset-splits"], 4);
    assert_eq!(system["collective-optimization"], "baseline");
    assert_eq!(system["all-reduce-implementation"], json!(["direct"]));
    assert_eq!(system["all-gather-implementation"], json!(["direct4"]));
    assert!(files.system_json.ends_with("\"replay-only\": 1\n}"), "{}", files.system_json);
}

/// The algorithms of all collectives where no policy is asked.
fn decide(
    spec: &NetworkSpec,
    layout: &Layout,
    dialect: Dialect,
    policy: &PolicyChoices,
    system: &SystemOverrides,
) -> Result<AlgorithmLists, Error> {
    AlgorithmLists::of(|collective| {
        astra_store::astrasim::decide(spec, layout, dialect, policy, system, collective)
    })
}

/// The recipe's `policy.collectives`, as names for one dimension after the other.
fn policy(collective: Collective, names: &[&str]) -> PolicyChoices {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    PolicyChoices::from([(collective, Algorithms::PerDimension(names))])
}

#[test]
fn a_list_of_the_wrong_length_is_refused_under_the_key_that_has_it() {
    let spec = spec([4, 1, 1, 2], &[RING, IB], "").unwrap();
    let overrides = |list: Json| {
        let block = json!({ "all-reduce-implementation": list });
        SystemOverrides::new(block.as_object().unwrap().clone()).unwrap()
    };
    let error = configs(&spec, &request("8"), &overrides(json!(["ring"]))).unwrap_err().to_string();
    assert!(error.starts_with("system.all-reduce-implementation: 1 algorithms for 2 dimensions"), "{error}");
    // One algorithm over all ranks is a whole list.
    configs(&spec, &request("8"), &overrides(json!(["oneRing"]))).unwrap();

    let layout = layout(&spec, &request("8")).unwrap();
    let decide = |names: &[&str]| {
        let policy = policy(Collective::AllGather, names);
        decide(&spec, &layout, Dialect::AstraSim, &policy, &SystemOverrides::default())
    };
    let error = decide(&["ring", "ring", "ring"]).unwrap_err().to_string();
    assert!(error.starts_with("policy.collectives.all_gather: 3 algorithms for 2 dimensions"), "{error}");
    let table = decide(&["ring", "direct"]).unwrap();
    assert_eq!(table.get(Collective::AllGather)[1].decided_by, DecidedBy::RecipePolicy);
    assert_eq!(table.get(Collective::AllGather)[1].reason, "`policy.collectives.all_gather` of the recipe");
    assert_eq!(table.get(Collective::AllReduce)[1].decided_by, DecidedBy::Default);
}

/// What is wrong with one Switch of so many NPUs, for a workload that uses these collectives.
fn check(
    npus: u32,
    backend: &str,
    policy: &PolicyChoices,
    system: Json,
    used: &[Collective],
) -> Result<(), Error> {
    let spec = spec([npus, 1, 1, 1], &[("Switch", "100 GB", "5e-6", "auto", "tp")], backend)?;
    let layout = layout(&spec, &ConfigRequest { ranks: npus, ..Default::default() })?;
    let system = SystemOverrides::new(system.as_object().unwrap().clone())?;
    let dialect = Dialect::AstraSim;
    let table = decide(&spec, &layout, dialect, policy, &system)?;
    check_algorithms(&layout, &table, dialect, used.iter().copied(), "hw.yaml")
}

#[test]
fn an_impossible_algorithm_is_an_error_only_when_the_workload_uses_it() {
    let check = |npus: u32, used: &[Collective]| check(npus, "", &PolicyChoices::new(), json!({}), used);
    check(8, &[Collective::AllReduce, Collective::AllGather]).unwrap();
    check(8, &[Collective::AllToAll]).unwrap_err();
    check(6, &[]).unwrap();
    let error = check(6, &[Collective::AllReduce]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "network.dimensions[0].collective_override.all_reduce: all_reduce on dimension `dim0` (Switch of 6): \
         halvingDoubling needs a power of two of members, here 6 (default for Switch)"
    );
    assert_eq!(
        error.hint_text(),
        Some(
            "choose another algorithm, for example ring or direct, with this key or with \
             `policy.collectives.all_reduce` in the recipe"
        )
    );
}

#[test]
fn an_impossible_algorithm_is_blamed_on_the_key_that_chose_it() {
    let hd = "halvingDoubling";
    let global = "execution_backend: {model: astra, astra: {collectives: {all_reduce: halvingDoubling}}}";
    let (none, in_policy) = (PolicyChoices::new(), policy(Collective::AllReduce, &[hd]));
    for (backend, policy, system, expected) in [
        (
            global,
            &none,
            json!({}),
            "execution_backend.astra.collectives.all_reduce: all_reduce on dimension `dim0` (Switch of 6): halvingDoubling \
             needs a power of two of members, here 6 (chosen for every all_reduce)",
        ),
        (
            "",
            &in_policy,
            json!({}),
            "policy.collectives.all_reduce: all_reduce on dimension `dim0` of hw.yaml (Switch of 6): halvingDoubling needs \
             a power of two of members, here 6 (`policy.collectives.all_reduce` of the recipe)",
        ),
        (
            "",
            &none,
            json!({ "all-reduce-implementation": [hd] }),
            "system.all-reduce-implementation: all_reduce on dimension `dim0` of hw.yaml (Switch of 6): halvingDoubling \
             needs a power of two of members, here 6 (`system.all-reduce-implementation` of the recipe)",
        ),
    ] {
        let error = check(6, backend, policy, system, &[Collective::AllReduce]).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.hint_text(), Some("choose another algorithm, for example ring or direct"));
    }
}

#[test]
fn an_algorithm_that_the_dialect_lacks_is_refused_with_both_ways_out_even_when_it_is_not_used() {
    let spec = spec([4, 1, 1, 1], &[("Mesh", "100 GB", "5e-6", "auto", "tp")], "").unwrap();
    let layout = layout(&spec, &request("4")).unwrap();
    let check = |dialect, policy: &PolicyChoices| {
        let table = decide(&spec, &layout, dialect, policy, &SystemOverrides::default()).unwrap();
        check_algorithms(&layout, &table, dialect, [Collective::AllReduce], "hw.yaml")
    };
    let mesh = policy(Collective::AllGather, &["mesh"]);
    check(Dialect::DeepFlow, &mesh).unwrap();
    let error = check(Dialect::AstraSim, &mesh).unwrap_err();
    assert_eq!(
        error.to_string(),
        "policy.collectives.all_gather: all_gather on dimension `dim0` of hw.yaml (Mesh of 4): mesh exists in dialect \
         deepflow, not in astra-sim (`policy.collectives.all_gather` of the recipe)"
    );
    assert_eq!(
        error.hint_text(),
        Some(
            "write `\"dialect\": \"deepflow\"` under `engine` in the recipe, or choose another algorithm, for example \
             ring or direct"
        )
    );
    // Nothing is fixed: each dialect gets what it has.
    for (dialect, expected) in [(Dialect::AstraSim, "ring"), (Dialect::DeepFlow, "mesh")] {
        let none = PolicyChoices::new();
        check(dialect, &none).unwrap();
        let table = decide(&spec, &layout, dialect, &none, &SystemOverrides::default()).unwrap();
        assert_eq!(table.get(Collective::AllReduce)[0].algorithm, expected);
    }
}

#[test]
fn one_algorithm_over_all_ranks_is_judged_once_by_the_rank_count() {
    let spec = spec([4, 1, 1, 3], &[RING, ("Switch", "25 GB", "20e-6", "auto", "dp")], "").unwrap();
    let layout = layout(&spec, &request("12")).unwrap();
    let check = |names: &[&str]| {
        let policy = policy(Collective::AllReduce, names);
        let dialect = Dialect::AstraSim;
        let table = decide(&spec, &layout, dialect, &policy, &SystemOverrides::default()).unwrap();
        check_algorithms(&layout, &table, dialect, [Collective::AllReduce], "hw.yaml")
    };
    check(&["oneRing", "halvingDoubling"]).unwrap();
    let error = check(&["oneHalvingDoubling"]).unwrap_err().to_string();
    assert!(error.contains("needs a power of two of members, here 12"), "{error}");
    let error = check(&["ring", "halvingDoubling"]).unwrap_err().to_string();
    assert!(error.contains("dimension `dim1` of hw.yaml (Switch of 3)"), "{error}");
}

#[test]
fn a_network_that_cannot_be_simulated_is_refused_with_the_key_to_change() {
    use NetworkModel::{CongestionAware as Aware, CongestionUnaware as Unaware};
    let king = ("KingMesh2D", "100 GB", "5e-6", "[2, 4]", "tp");
    for (degrees, dims, ranks, model, expected, hint) in [
        (
            [4, 1, 1, 2],
            &[RING, IB] as &[Dim],
            "1",
            Aware,
            "workload.ranks: a simulation needs at least 2 ranks, found 1",
            "set 2 here",
        ),
        (
            [8, 1, 1, 2],
            &[king, IB],
            "16",
            Aware,
            "network.dimensions[0].size: KingMesh2D of 8 NPUs; it is a square, for example of 4 or 9",
            "",
        ),
        (
            [8, 1, 1, 2],
            &[king, IB],
            "16",
            Unaware,
            "network.dimensions[0].topology.type: topology KingMesh2D cannot be simulated with congestion_unaware; use Ring",
            "",
        ),
    ] {
        let spec = spec(degrees, dims, "").unwrap();
        let error = check_network(&layout(&spec, &request(ranks)).unwrap(), model).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(error.hint_text().unwrap_or_default().contains(hint), "{error}: {:?}", error.hint_text());
    }
    let spec = spec([4, 1, 1, 2], &[RING, IB], "").unwrap();
    check_network(&layout(&spec, &request("8")).unwrap(), Unaware).unwrap();
    let faulty_links = Some(vec![astra_store::hw::FaultyLink { src: 0, dst: 1, health: 0.5 }]);
    let faulty = ConfigRequest { faulty_links, ..request("8") };
    let error = check_network(&layout(&spec, &faulty).unwrap(), Unaware).unwrap_err();
    let expected = "network.faulty_links: faulty_links has no effect with congestion_unaware";
    assert!(error.to_string().starts_with(expected), "{error}");
}
