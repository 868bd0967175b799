use astra_engine::{Bytes, Nanos};

use super::super::{EngineKind, External, PolicyPlugin, Recipe, Workload};
use super::{WORKLOAD, recipe};
use crate::astrasim::{Algorithms, SystemOverrides};
use crate::decision::Question;
use crate::hw::Axis;
use astra_engine::{Dialect, NetworkModel};
use astra_policy::Collective;
use serde_json::json;
use std::time::Duration;

fn system(overrides: serde_json::Value) -> SystemOverrides {
    SystemOverrides::new(overrides.as_object().unwrap().clone()).unwrap()
}

fn workload(json: &str) -> Workload {
    let points = recipe(&format!("\"workload\":{json}")).unwrap().points().unwrap();
    assert_eq!(points.len(), 1);
    (*points[0].workload).clone()
}

#[test]
fn a_recipe_without_options_gets_the_documented_defaults() {
    let recipe = recipe(WORKLOAD).unwrap();
    let points = recipe.points().unwrap();
    let [point] = &points[..] else { panic!("one point") };
    assert_eq!(point.name, "t");
    assert!(point.axes.is_empty());
    assert_eq!(&*point.hw, "a.yaml");
    assert!(point.hw_patches.is_empty());
    assert_eq!(point.engine.kind, EngineKind::Builtin);
    assert_eq!(point.engine.network, NetworkModel::CongestionAware);
    assert_eq!(point.engine.dialect, Dialect::AstraSim);
    assert_eq!(point.engine.queues_per_dimension, 1);
    assert_eq!(point.policy.plugin, PolicyPlugin::default());
    assert!(point.policy.collectives.is_empty());
    assert_eq!(*point.system, SystemOverrides::default());
    assert_eq!(point.layout.axes, None);
    assert!(!point.layout.flatten_2d);
}

#[test]
fn every_option_is_read() {
    let recipe = recipe(&format!(
        r#"{WORKLOAD}, "$schema": "recipe.schema.json", "description": "for people",
        "policy": {{"plugin": "topology", "collectives": {{"all_reduce": "ring", "all_gather": ["ring", "direct"]}}}},
        "engine": {{"kind": "builtin", "network": "congestion_unaware", "dialect": "deepflow", "queues_per_dimension": 4}},
        "system": {{"endpoint-delay": 20, "all-to-all-implementation": ["ring", "direct4"]}},
        "layout": {{"axes": ["dp", "tp"], "flatten_2d": true}}"#
    ))
    .unwrap();
    let point = &recipe.points().unwrap()[0];
    assert_eq!(point.policy.collectives[&Collective::AllReduce], Algorithms::Everywhere("ring".into()));
    assert_eq!(
        point.policy.collectives[&Collective::AllGather],
        Algorithms::PerDimension(vec!["ring".into(), "direct".into()])
    );
    assert_eq!(point.engine.network, NetworkModel::CongestionUnaware);
    assert_eq!((point.engine.dialect, point.engine.queues_per_dimension), (Dialect::DeepFlow, 4));
    assert_eq!(
        *point.system,
        system(json!({"endpoint-delay": 20, "all-to-all-implementation": ["ring", "direct4"]}))
    );
    assert_eq!(point.layout.axes.as_deref(), Some(&[Axis::Tp, Axis::Dp][..]));
    assert!(point.layout.flatten_2d);
}

#[test]
fn an_external_engine_has_an_executable_and_limits_none_of_which_is_in_the_canonical_form() {
    let with =
        |engine: &str| recipe(&format!(r#"{WORKLOAD}, "engine": {{"kind": "astra-sim"{engine}}}"#)).unwrap();
    let limited = with(r#", "binary": "../sim", "timeout": "2h", "memory": "4 GiB""#);
    let External { binary, timeout, memory } = limited.points().unwrap()[0].engine.external.clone();
    assert_eq!(binary.as_deref(), Some("../sim"));
    assert_eq!((timeout, memory), (Some(Duration::from_secs(7200)), Some(Bytes(4 << 30))));
    let plain = with("");
    assert_eq!(plain.points().unwrap()[0].engine.external, External::default());
    assert_eq!(plain.canonical(), limited.canonical());
    assert_eq!((plain.binaries(), limited.binaries()), (vec![None], vec![binary]));
    let builtin = format!(r#"{WORKLOAD}, "engine": {{"kind": "builtin", "binary": "sim"}}"#);
    assert_eq!(recipe(&builtin).unwrap().binaries(), []);
    let swept =
        r#", "sweep": {"grid": {"engine.kind": ["builtin", "astra-sim"], "engine.binary": ["a", "b"]}}"#;
    let swept = recipe(&format!("{builtin}{swept}")).unwrap().binaries();
    assert_eq!(swept, [Some("a".into()), Some("b".into())]);
}

#[test]
fn a_collective_takes_sizes_in_every_form() {
    for (written, bytes) in
        [("4096", 4096), ("\"64 MiB\"", 64 << 20), ("\"64 MB\"", 64_000_000), ("1e6", 1_000_000)]
    {
        let read = workload(&format!(
            r#"{{"kind":"collective","collective":"all_to_all","ranks":6,"size":{written}}}"#
        ));
        let collective = Collective::AllToAll;
        assert_eq!(read, Workload::Collective { collective, ranks: 6, size: Bytes(bytes) }, "{written}");
    }
}

#[test]
fn a_sequence_resolves_names_and_what_an_item_waits_for() {
    let Workload::Sequence { ranks, items } = workload(
        r#"{"kind":"sequence","ranks":4,"items":[
            {"collective":"all_gather","size":"1 KiB"},
            {"collective":"all_reduce","size":"2 KiB","delay":"5 us","name":"grad"},
            {"collective":"all_reduce","size":"3 KiB","after":["grad","all_gather_0","grad"]},
            {"collective":"reduce_scatter","size":1,"after":"grad"}]}"#,
    ) else {
        panic!("a sequence")
    };
    assert_eq!(ranks, 4);
    let of = |i: usize| (items[i].name.as_str(), items[i].size.0, items[i].delay, items[i].after.as_slice());
    assert_eq!(of(0), ("all_gather_0", 1024, Nanos(0), &[][..]));
    assert_eq!(of(1), ("grad", 2048, Nanos(5_000), &[][..]));
    assert_eq!(of(2), ("all_reduce_2", 3072, Nanos(0), &[0, 1][..]));
    assert_eq!(of(3), ("reduce_scatter_3", 1, Nanos(0), &[1][..]));
}

#[test]
fn a_pipeline_has_stages_microbatches_compute_and_size() {
    let read =
        workload(r#"{"kind":"pipeline","ranks":4,"microbatches":16,"compute":"0.25 ms","size":"8 MiB"}"#);
    assert_eq!(
        read,
        Workload::Pipeline { ranks: 4, microbatches: 16, compute: Nanos(250_000), size: Bytes(8 << 20) }
    );
    assert_eq!(read.ranks(), Some(4));
}

#[test]
fn a_workload_serialises_with_units_and_defaults_resolved() {
    let text = |json: &str| serde_json::to_string(&workload(json)).unwrap();
    assert_eq!(
        text(r#"{"size":"1 KiB","ranks":4,"collective":"all_reduce","kind":"collective"}"#),
        r#"{"kind":"collective","collective":"all_reduce","ranks":4,"size_bytes":1024}"#
    );
    assert_eq!(
        text(
            r#"{"kind":"sequence","ranks":2,"items":[{"collective":"all_gather","size":"1 KiB","delay":"1 us"}]}"#
        ),
        concat!(
            r#"{"kind":"sequence","ranks":2,"items":[{"name":"all_gather_0","collective":"all_gather","#,
            r#""size_bytes":1024,"delay_ns":1000,"after":[]}]}"#
        )
    );
    assert_eq!(
        text(r#"{"kind":"pipeline","ranks":2,"microbatches":3,"compute":"1 ms","size":1}"#),
        r#"{"kind":"pipeline","ranks":2,"microbatches":3,"compute_ns":1000000,"size_bytes":1}"#
    );
}

#[test]
fn the_canonical_form_knows_no_whitespace_key_order_or_writing_of_units() {
    let one = br#"{"recipe":1,"name":"t","hw":"a.yaml",
        "workload":{"kind":"collective","collective":"all_reduce","ranks":8,"size":"1 KiB"},
        "engine":{"network":"congestion_aware"},"system":{"peak-perf":1,"G":2},"layout":{"axes":["cp","tp"]}}"#;
    let same = br#"  {"system":{"G":2,"peak-perf":1},"hw":"a.yaml","name":"t","layout":{"axes":["tp","cp"]},"description":"x",
        "workload":{"size":1024,"ranks":8,"collective":"all_reduce","kind":"collective"},"recipe":1,"policy":{}}"#;
    let canonical = |bytes: &[u8], file: &str| Recipe::parse(bytes, file).unwrap().canonical();
    assert_eq!(canonical(one, "one.json"), canonical(same, "elsewhere/two.json"));
    assert_eq!(
        String::from_utf8(canonical(one, "one.json")).unwrap(),
        concat!(
            r#"{"recipe":1,"name":"t","hw":"a.yaml","#,
            r#""workload":{"kind":"collective","collective":"all_reduce","ranks":8,"size_bytes":1024},"#,
            r#""policy":{"plugin":"topology","collectives":{}},"#,
            r#""engine":{"kind":"builtin","network":"congestion_aware","dialect":"astra-sim"},"#,
            r#""layout":{"axes":["tp","cp"],"flatten_2d":false},"#,
            r#""system":{"G":2,"peak-perf":1},"sweep":[]}"#
        )
    );
}

#[test]
fn the_canonical_form_changes_with_everything_that_decides_the_result() {
    let base = format!(r#"{WORKLOAD},"sweep":{{"grid":{{"workload.size":[1,2],"hw.a":[1,2]}}}}"#);
    let changes = [
        ("\"ranks\":8", "\"ranks\":9"),
        ("\"size\":1024", "\"size\":1025"),
        ("all_reduce", "all_gather"),
        ("[1,2],\"hw", "[2,1],\"hw"),
        ("hw.a", "hw.b"),
        (
            "\"grid\":{\"workload.size\":[1,2],\"hw.a\":[1,2]}",
            "\"grid\":{\"hw.a\":[1,2],\"workload.size\":[1,2]}",
        ),
        ("\"sweep\"", "\"system\":{\"G\":1},\"sweep\""),
        ("\"sweep\"", "\"layout\":{\"flatten_2d\":true},\"sweep\""),
        ("\"sweep\"", "\"policy\":{\"collectives\":{\"all_reduce\":\"ring\"}},\"sweep\""),
        ("\"sweep\"", "\"engine\":{\"network\":\"congestion_unaware\"},\"sweep\""),
        ("\"sweep\"", "\"engine\":{\"dialect\":\"deepflow\"},\"sweep\""),
        ("\"sweep\"", "\"engine\":{\"queues_per_dimension\":2},\"sweep\""),
    ];
    let mut seen = vec![recipe(&base).unwrap().canonical()];
    for (from, to) in changes {
        let changed = base.replacen(from, to, 1);
        assert_ne!(changed, base, "{from}");
        let canonical = recipe(&changed).unwrap().canonical();
        assert!(!seen.contains(&canonical), "{to}");
        seen.push(canonical);
    }
}

#[test]
fn a_file_is_read_with_its_path_in_errors_and_a_byte_order_mark_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    std::fs::write(&path, format!("\u{feff}{{\"recipe\":1,\"name\":\"t\",\"hw\":\"a.yaml\",{WORKLOAD}}}"))
        .unwrap();
    let recipe = Recipe::load(&path).unwrap();
    assert_eq!((recipe.name(), recipe.file()), ("t", &*path.display().to_string()));
}

#[test]
fn every_snippet_of_the_documentation_is_a_recipe_or_a_part_of_one() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipe.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let snippets: Vec<&str> =
        docs.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(snippets.len() >= 8, "{}", snippets.len());
    for snippet in snippets {
        let points = match snippet.trim_start() {
            whole if whole.starts_with('{') => Recipe::parse(whole.as_bytes(), "docs"),
            part if part.starts_with("\"workload\"") => recipe(part),
            part => recipe(&format!("{WORKLOAD},{part}")),
        }
        .and_then(|recipe| recipe.points());
        assert!(points.is_ok(), "{snippet}\n{points:?}");
    }
}

#[test]
fn a_workload_counts_each_collective_that_its_ranks_carry_out() {
    let demand = |workload: &str| {
        let point = recipe(&format!("\"workload\":{workload}")).unwrap().points().unwrap().remove(0);
        let demand = point.workload.demand()?;
        let told = |(q, nodes): (&Question, u64)| (q.collective.name(), q.bytes, nodes);
        Some(demand.iter().map(told).collect::<Vec<_>>())
    };
    let item = |name: &str, size: u32| format!(r#"{{"collective":"{name}","size":{size}}}"#);
    let items = [item("all_to_all", 1), item("all_gather", 1), item("all_to_all", 1), item("all_to_all", 2)]
        .join(",");
    assert_eq!(
        demand(&format!(r#"{{"kind":"sequence","ranks":4,"items":[{items}]}}"#)).unwrap(),
        [("all_gather", Some(1), 4), ("all_to_all", Some(1), 8), ("all_to_all", Some(2), 4)]
    );
    assert_eq!(
        demand(r#"{"kind":"collective","collective":"all_reduce","ranks":4,"size":1}"#).unwrap(),
        [("all_reduce", Some(1), 4)]
    );
    let pipeline = r#"{"kind":"pipeline","ranks":2,"microbatches":1,"compute":1000,"size":1}"#;
    assert_eq!(demand(pipeline).unwrap(), []);
    assert_eq!(demand(r#"{"kind":"et","traces":"t","ranks":2}"#), None);
}
