use super::super::Recipe;
use super::{WORKLOAD, names, recipe, refused, swept};
use serde_json::json;
use std::sync::Arc;

#[test]
fn points_are_the_product_in_the_order_written_the_last_axis_fastest() {
    let points = swept(
        r#"{"grid": {"workload.size": ["1 MiB", "2 MiB"], "hw.network.dimensions.0.topology.bandwidth": ["200 GB", "400 GB"]}}"#,
    )
    .unwrap();
    assert_eq!(
        names(&points),
        [
            "size=1 MiB,bandwidth=200 GB",
            "size=1 MiB,bandwidth=400 GB",
            "size=2 MiB,bandwidth=200 GB",
            "size=2 MiB,bandwidth=400 GB"
        ]
    );
    assert_eq!(points[1].axes[1], (Arc::from("bandwidth"), Arc::from("400 GB")));
    let patch = ("network.dimensions.0.topology.bandwidth".to_owned(), json!("400 GB"));
    assert_eq!(*points[1].hw_patches, [patch]);
    assert_eq!(serde_json::to_value(&*points[2].workload).unwrap()["size_bytes"], 2 << 20);
}

#[test]
fn key_order_is_not_sorted() {
    let points = swept(
        r#"{"grid": {"workload.size": [1, 2], "engine.network": ["congestion_unaware"], "hw.a": [true]}}"#,
    );
    assert_eq!(
        names(&points.unwrap()),
        ["size=1,network=congestion_unaware,a=true", "size=2,network=congestion_unaware,a=true"]
    );
}

#[test]
fn lists_of_a_zip_advance_together() {
    let points = swept(
        r#"{"zip": {"workload.ranks": [4, 8], "hw.parallelism.tp": [4, 8]}, "grid": {"workload.size": [1, 2]}}"#,
    );
    assert_eq!(
        names(&points.unwrap()),
        ["ranks=4,tp=4,size=1", "ranks=4,tp=4,size=2", "ranks=8,tp=8,size=1", "ranks=8,tp=8,size=2"]
    );
}

#[test]
fn each_case_is_a_set_of_overrides_named_by_it_or_by_itself() {
    let unnamed =
        swept(r#"{"cases": [{"workload.ranks": 4, "hw": "b.yaml"}, {"workload.size": 2}]}"#).unwrap();
    assert_eq!(names(&unnamed), ["ranks=4,hw=b.yaml", "size=2"]);
    assert_eq!((&*unnamed[0].hw, unnamed[0].workload.ranks()), ("b.yaml", Some(4)));
    assert_eq!((&*unnamed[1].hw, unnamed[1].workload.ranks()), ("a.yaml", Some(8)));
    let named = swept(r#"{"cases": [{"name": "base"}, {"name": "small", "workload.ranks": 4}]}"#).unwrap();
    assert_eq!(names(&named), ["case=base", "case=small"]);
    assert_eq!(named[1].workload.ranks(), Some(4));
}

#[test]
fn blocks_multiply_in_the_order_written() {
    let points = swept(
        r#"{"cases": [{"name": "x"}, {"name": "y", "layout.flatten_2d": true}], "grid": {"hw.b": [1]}, "zip": {"workload.size": [1, 2]}}"#,
    );
    assert_eq!(
        names(&points.unwrap()),
        ["case=x,b=1,size=1", "case=x,b=1,size=2", "case=y,b=1,size=1", "case=y,b=1,size=2"]
    );
}

#[test]
fn a_label_is_the_shortest_tail_that_tells_its_path_from_the_others() {
    let points = swept(
        r#"{"grid": {"hw.network.dimensions.0.topology.bandwidth": [1], "hw.network.dimensions.1.topology.bandwidth": [2],
            "workload.size": [3], "hw.dimensions.size": [4], "hw.network.dimensions.0.topology.latency": [5]}}"#,
    );
    assert_eq!(
        names(&points.unwrap()),
        [
            "dimensions.0.topology.bandwidth=1,dimensions.1.topology.bandwidth=2,workload.size=3,dimensions.size=4,latency=5"
        ]
    );
}

#[test]
fn a_path_that_is_the_tail_of_another_keeps_its_full_name() {
    let points =
        swept(r#"{"grid": {"hw": ["b.yaml"], "hw.hw": [1], "hw.case": [2]}, "cases": [{"name": "n"}]}"#);
    assert_eq!(names(&points.unwrap()), ["hw=b.yaml,hw.hw=1,hw.case=2,case=n"]);
}

#[test]
fn whole_sections_can_be_replaced_and_then_refined() {
    let points = swept(
        r#"{"grid": {"workload.size": ["4 KiB"]},
            "cases": [{"name": "p", "workload": {"kind": "pipeline", "ranks": 2, "microbatches": 1, "compute": "1 us", "size": 1}}]}"#,
    )
    .unwrap();
    assert_eq!(
        serde_json::to_value(&*points[0].workload).unwrap(),
        json!({"kind": "pipeline", "ranks": 2, "microbatches": 1, "compute_ns": 1000, "size_bytes": 4096})
    );
}

#[test]
fn hardware_patches_go_from_the_outside_in() {
    let points = swept(r#"{"grid": {"hw.a.b": [1], "hw.a": [{"c": 2}], "hw.d": ["x"]}}"#).unwrap();
    let paths: Vec<&str> = points[0].hw_patches.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["a", "d", "a.b"]);
}

#[test]
fn options_that_the_recipe_does_not_have_can_be_swept() {
    let points = swept(
        r#"{"grid": {"policy.collectives.all_reduce": ["ring", ["ring", "direct"]], "system.endpoint-delay": [10, 20]}}"#,
    )
    .unwrap();
    assert_eq!(
        names(&points)[2..],
        [
            r#"all_reduce=["ring","direct"],endpoint-delay=10"#,
            r#"all_reduce=["ring","direct"],endpoint-delay=20"#
        ]
    );
    assert_ne!(points[2].system, points[3].system);
    assert_eq!(points[1].system, points[3].system);
}

#[test]
fn items_of_a_sequence_are_swept_by_index() {
    let recipe = recipe(
        r#""workload":{"kind":"sequence","ranks":4,"items":[{"collective":"all_reduce","size":1},{"collective":"all_gather","size":1}]},
           "sweep":{"grid":{"workload.items.1.size":["1 KiB","2 KiB"]}}"#,
    )
    .unwrap();
    let sizes: Vec<_> = recipe
        .points()
        .unwrap()
        .iter()
        .map(|p| serde_json::to_value(&*p.workload).unwrap()["items"][1]["size_bytes"].clone())
        .collect();
    assert_eq!(sizes, [json!(1024), json!(2048)]);
}

#[test]
fn sources_are_the_files_some_point_reads() {
    let sources = |sweep: &str| recipe(&format!(r#"{WORKLOAD},"sweep":{sweep}"#)).unwrap().sources();
    assert_eq!(sources("{}"), ["a.yaml"]);
    assert_eq!(sources(r#"{"grid":{"workload.size":[1,2],"hw.x":[1]}}"#), ["a.yaml"]);
    assert_eq!(sources(r#"{"grid":{"hw":["c.yaml","b.yaml"]}}"#), ["c.yaml", "b.yaml"]);
    assert_eq!(sources(r#"{"zip":{"hw":["b.yaml","b.yaml"],"workload.ranks":[2,4]}}"#), ["b.yaml"]);
    assert_eq!(sources(r#"{"cases":[{"hw":"b.yaml"},{"workload.ranks":4}]}"#), ["b.yaml", "a.yaml"]);
}

#[test]
fn a_hundred_by_a_hundred_points_share_what_they_have_in_common() {
    let list = |n: usize| (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let points = swept(&format!(r#"{{"grid":{{"workload.size":[{0}],"hw.a":[{0}]}}}}"#, list(100))).unwrap();
    assert_eq!(points.len(), 10_000);
    assert_eq!(points[7340].name, "size=74,a=41");
    assert!(Arc::ptr_eq(&points[0].workload, &points[99].workload));
    assert!(!Arc::ptr_eq(&points[0].workload, &points[100].workload));
    assert!(Arc::ptr_eq(&points[0].hw_patches, &points[100].hw_patches));
    assert!(Arc::ptr_eq(&points[0].policy, &points[9_999].policy));
}

#[test]
fn more_than_a_million_points_are_refused_before_any_is_made() {
    let list = (0..1001).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let message = refused(swept(&format!(r#"{{"grid":{{"hw.a":[{list}],"hw.b":[{list}]}}}}"#)));
    assert!(message.contains("sweep: 1001 \u{d7} 1001 points are more than 1000000"), "{message}");
}

/// The message for a sweep, without the place in the text.
fn bad(sweep: &str) -> String {
    refused(swept(sweep)).split_once(": ").unwrap().1.to_owned()
}

#[test]
fn a_value_that_does_not_fit_is_reported_where_it_is_written() {
    let text = r#"{"recipe": 1, "name": "t", "hw": "a.yaml",
  "workload": {"kind": "collective", "collective": "all_reduce", "ranks": 8, "size": 1},
  "sweep": {"grid": {"hw.x": [1, 2],
                     "workload.size": ["1 MiB",
                                       "2 XB"]}}}"#;
    let message = refused(Recipe::parse(text.as_bytes(), "r.json").unwrap().points());
    assert!(
        message.starts_with("r.json:5:40: sweep.grid.\"workload.size\"[1]: unknown unit `XB` in `2 XB`"),
        "{message}"
    );
}

#[test]
fn an_unknown_path_is_refused_with_a_suggestion() {
    assert_eq!(
        bad(r#"{"grid": {"workload.sise": [1]}}"#),
        "sweep.grid.\"workload.sise\"[0]: unknown key `sise`, expected one of `kind`, `collective`, `ranks`, `size`, \
         `edits` [did you mean `size`?]"
    );
    assert!(bad(r#"{"grid": {"worklaod.size": [1]}}"#).ends_with("[did you mean `workload`?]"));
    assert!(bad(r#"{"grid": {"name": ["a"]}}"#).contains("`name` cannot be swept"));
    assert!(bad(r#"{"grid": {"sweep.grid": [1]}}"#).contains("`sweep` cannot be swept"));
    assert!(
        bad(r#"{"grid": {"workload.size.unit": [1]}}"#)
            .contains("`workload.size` is a number; it has no `unit`")
    );
    for path in ["", ".", "workload.", ".size", "workload..size"] {
        assert!(bad(&format!(r#"{{"grid": {{"{path}": [1]}}}}"#)).contains("is not a dotted path"), "{path}");
    }
}

#[test]
fn an_index_outside_a_list_is_refused() {
    let message = refused(
        recipe(
            r#""workload":{"kind":"sequence","ranks":4,"items":[{"collective":"all_reduce","size":1}]},
               "sweep":{"grid":{"workload.items.1.size":[2]}}"#,
        )
        .unwrap()
        .points(),
    );
    assert!(message.contains("`workload.items` is a list of 1; `1` is no index into it"), "{message}");
}

#[test]
fn a_fault_inside_a_replaced_section_is_found_in_the_case() {
    let message = bad(
        r#"{"cases": [{"name": "p", "workload": {"kind": "collective", "collective": "all_reduce", "ranks": 8, "size": 0}}]}"#,
    );
    assert!(message.starts_with("sweep.cases[0].workload.size: a size of 0"), "{message}");
}

#[test]
fn a_combination_that_does_not_fit_names_its_point() {
    let message = bad(r#"{"grid": {"workload.kind": ["pipeline"], "hw.x": [1]}}"#);
    assert!(message.starts_with("workload.collective: unknown key"), "{message}");
    let message = refused(
        recipe(
            r#""workload":{"kind":"sequence","ranks":4,"items":[{"name":"a","collective":"all_reduce","size":1},
               {"collective":"all_reduce","size":1,"after":"a"}]},"sweep":{"grid":{"workload.items.0.name":["a","b"]}}"#,
        )
        .unwrap()
        .points(),
    );
    assert!(message.contains("workload.items[1].after: no earlier item is named `a`"), "{message}");
    assert!(message.contains("this is so in the point `name=b`"), "{message}");
}

#[test]
fn zip_lists_of_unequal_length_are_refused_with_both_lengths() {
    assert_eq!(
        bad(r#"{"zip": {"workload.ranks": [2, 4, 8], "hw.parallelism.tp": [2, 4]}}"#),
        "sweep.zip.\"hw.parallelism.tp\": 2 values, but `workload.ranks` has 3; lists that advance together need equal lengths"
    );
}

#[test]
fn points_of_one_name_are_refused() {
    for (sweep, expected) in [
        (
            r#"{"grid": {"workload.size": [1, 2, 1]}}"#,
            "sweep.grid.\"workload.size\"[2]: the value `1` is there twice",
        ),
        (
            r#"{"grid": {"workload.size": ["4", 4]}}"#,
            "sweep.grid.\"workload.size\"[1]: the value `4` is there twice",
        ),
        (
            r#"{"zip": {"workload.size": [1, 1], "hw.x": [2, 2]}}"#,
            "sweep.zip: the values at index 1 are there twice",
        ),
        (
            r#"{"cases": [{"hw.x": 1, "hw.y": 2}, {"hw.y": 2, "hw.x": 1}]}"#,
            "sweep.cases[1]: the same case is there twice",
        ),
        (
            r#"{"cases": [{"name": "a"}, {"name": "a", "hw.x": 1}]}"#,
            "sweep.cases[1].name: the case `a` is there twice",
        ),
        (
            r#"{"grid": {"hw.x": [1], "hw": ["a"]}, "zip": {"hw.x": [2]}}"#,
            "sweep.zip: `hw.x` is swept by another axis already",
        ),
        (
            r#"{"grid": {"hw.a": ["1,b=2", "1"], "hw.b": ["3", "2,b=3"]}}"#,
            "sweep: two points would be named `a=1,b=2,b=3`",
        ),
    ] {
        let message = bad(sweep);
        assert!(message.starts_with(expected), "{sweep}: {message}");
    }
}

#[test]
fn the_form_of_a_sweep_is_checked() {
    for (sweep, expected) in [
        (r#"{"gird": {}}"#, "sweep.gird: unknown key `gird`"),
        (r#"{"grid": []}"#, "sweep.grid: expected an object, found a list"),
        (r#"{"grid": {"workload.size": 7}}"#, "sweep.grid.\"workload.size\": expected a list, found `7`"),
        (
            r#"{"grid": {"workload.size": []}}"#,
            "sweep.grid.\"workload.size\": an empty list leaves no point to build",
        ),
        (r#"{"cases": []}"#, "sweep.cases: an empty list leaves no point to build"),
        (r#"{"cases": [{}]}"#, "sweep.cases[0]: a case that changes nothing needs a `name`"),
        (
            r#"{"cases": [{"name": "a"}, {"hw.x": 1}]}"#,
            "sweep.cases[1]: either every case has a `name` or none has",
        ),
        (r#"{"grid": {"hw": [7]}}"#, "sweep.grid.hw[0]: expected text, found `7`"),
        (r#"{"grid": {"hw": ["/a.yaml"]}}"#, "sweep.grid.hw[0]: `/a.yaml` is an absolute path"),
    ] {
        let message = bad(sweep);
        assert!(message.starts_with(expected), "{sweep}: {message}");
    }
}

#[test]
fn a_sweep_without_axes_is_one_point() {
    for sweep in ["{}", r#"{"grid": {}}"#, r#"{"zip": {}}"#] {
        assert_eq!(names(&swept(sweep).unwrap()), ["t"], "{sweep}");
    }
}

#[test]
fn a_system_key_is_judged_where_it_is_written() {
    let message = bad(r#"{"grid": {"system.endpoint-delay": [10, -1]}}"#);
    assert!(message.starts_with("sweep.grid.\"system.endpoint-delay\"[1]: expected an integer"), "{message}");
    let message = bad(r#"{"grid": {"hw.x": [1]}, "cases": [{"system.endpoint_delay": 10}]}"#);
    assert_eq!(
        message,
        "sweep.cases[0].\"system.endpoint_delay\": unknown key of the system file [did you mean `endpoint-delay`?]"
    );
}

#[test]
fn a_sweep_that_fixes_algorithms_twice_is_refused_where_it_does() {
    let swept = |options: &str, sweep: &str| {
        refused(recipe(&format!(r#"{WORKLOAD},{options},"sweep":{sweep}"#)).unwrap().points())
    };
    let system = swept(
        r#""policy":{"collectives":{"all_reduce":"ring"}}"#,
        r#"{"grid":{"system.all-reduce-implementation":[["direct"]]}}"#,
    );
    assert!(
        system.contains(
            ": sweep.grid.\"system.all-reduce-implementation\"[0]: `policy.collectives.all_reduce` and \
             `system.all-reduce-implementation` both fix"
        ),
        "{system}"
    );
    let policy = swept(
        r#""system":{"all-reduce-implementation":["direct"]}"#,
        r#"{"cases":[{"name":"a"},{"name":"b","policy.collectives.all_reduce":"ring"}]}"#,
    );
    assert!(
        policy.contains(": system.all-reduce-implementation: `policy.collectives.all_reduce`"),
        "{policy}"
    );
    assert!(policy.ends_with("this is so in the point `case=b`"), "{policy}");
}
