//! Claims about whole hardware documents.

use serde_json::json;

use super::{Document, NetworkSpec};
use crate::{Error, Notice};

const CLUSTER: &str = "\
sw_param: {kernel_launch_overhead: 9e-6}
tech_param: {DRAM: {bandwidth: 1986 GB}}
memory_hierarchy: {l0: {type: SRAM-R, scope: mcu}}
parallelism: {tp: 8, dp: 2}
network:
  overlap: {tp_overlap: 0.5, tp_sp_overlap: 0.5, cp_overlap: 0.0}
  faulty_links: [[0, 1, 0.5]]
  dimensions:
    - id: nvlink
      label: eight GPUs
      size: auto
      topology: {type: Ring, bandwidth: 100 GB, latency: 5e-6, energy_per_bit: 8e-12, util: 0.5}
      collective_override: {all-reduce: direct}
      parallelisms: [tp]
    - size: 2
      topology: {type: Switch, bandwidth: 1e9, latency: 0}
      parallelisms: [dp]
execution_backend:
  model: astra
  astra:
    mode: hybrid
    collectives: {all_gather: ring, all_reduce: auto}
    sys_options: {endpoint_delay: 5}
";

fn spec(yaml: &str) -> Result<(NetworkSpec, Vec<Notice>), Error> {
    Document::parse(yaml.as_bytes(), "hw.yaml")?.network_spec(&[])
}

fn bytes(yaml: &str) -> Vec<u8> {
    spec(yaml).unwrap().0.to_bytes()
}

#[test]
fn the_canonical_form_is_exactly_this() {
    let expected = concat!(
        r#"{"version":1,"parallelism":{"tp":8,"cp":1,"lp":1,"dp":2},"dimensions":["#,
        r#"{"id":"nvlink","size":8,"size_2d":null,"topology":"Ring","bandwidth_bytes_per_s":53687091200.0,"#,
        r#""latency_s":5e-6,"axes":["tp"],"#,
        r#""collectives":{"all_reduce":"direct","all_gather":null,"reduce_scatter":null,"all_to_all":null}},"#,
        r#"{"id":"dim1","size":2,"size_2d":null,"topology":"Switch","bandwidth_bytes_per_s":1000000000.0,"#,
        r#""latency_s":0.0,"axes":["dp"],"#,
        r#""collectives":{"all_reduce":null,"all_gather":null,"reduce_scatter":null,"all_to_all":null}}],"#,
        r#""faulty_links":[{"src":0,"dst":1,"health":0.5}],"#,
        r#""collectives":{"all_reduce":null,"all_gather":"ring","reduce_scatter":null,"all_to_all":null},"#,
        r#""sys_options":{"endpoint_delay_ns":5,"active_chunks_per_dimension":null,"#,
        r#""preferred_dataset_splits":null}}"#
    );
    assert_eq!(String::from_utf8(bytes(CLUSTER)).unwrap(), expected);
    assert_eq!(NetworkSpec::from_bytes(expected.as_bytes()).unwrap(), spec(CLUSTER).unwrap().0);
    assert!(NetworkSpec::from_bytes(expected.replace("\"version\":1", "\"version\":2").as_bytes()).is_err());
}

#[test]
fn comments_spelling_and_sections_that_are_not_simulated_change_nothing() {
    for (from, to) in [
        ("parallelism:", "# a comment\nparallelism:"),
        ("1986 GB", "2039 GB"),
        ("SRAM-R", "SRAM-L1"),
        ("9e-6", "1e-5"),
        ("tp_overlap: 0.5,", "tp_overlap: 0.9,"),
        ("  overlap: {tp_overlap: 0.5, tp_sp_overlap: 0.5, cp_overlap: 0.0}\n", ""),
        (", energy_per_bit: 8e-12", ""),
        ("label: eight GPUs", "label: 8"),
        ("mode: hybrid", "mode: full_astrasim_flattened"),
        ("{tp: 8, dp: 2}", "{dp: '2', tp: 8.0, cp: 1, mb: 4, tp_sp: yes}"),
        ("bandwidth: 100 GB", "bandwidth: GB 100"),
        (
            "bandwidth: 100 GB, latency: 5e-6, energy_per_bit: 8e-12, util: 0.5",
            "bandwidth: 50 GB, latency: '0.000005'",
        ),
        ("size: auto", "size: 8"),
        ("type: Ring", "type: ring"),
        ("all-reduce: direct", "all_reduce: direct"),
        ("collective_override", "collectives"),
        ("[tp]", "[' TP ']"),
    ] {
        assert!(CLUSTER.contains(from), "{from}");
        let changed = CLUSTER.replacen(from, to, 1);
        assert_eq!(bytes(&changed), bytes(CLUSTER), "{from} → {to}");
    }
}

#[test]
fn what_is_simulated_changes_the_bytes() {
    for (from, to) in [
        ("bandwidth: 100 GB", "bandwidth: 101 GB"),
        ("latency: 5e-6", "latency: 6e-6"),
        ("util: 0.5", "util: 0.6"),
        ("type: Ring", "type: Switch"),
        ("dp: 2", "dp: 2, lp: 2"),
        ("all-reduce: direct", "all-reduce: ring"),
        ("all_gather: ring", "all_gather: direct"),
        ("endpoint_delay: 5", "endpoint_delay: 6"),
        ("0.5]]", "0.6]]"),
    ] {
        assert!(CLUSTER.contains(from), "{from}");
        assert_ne!(bytes(&CLUSTER.replacen(from, to, 1)), bytes(CLUSTER), "{from} → {to}");
    }
}

#[test]
fn an_unknown_key_in_a_section_that_is_simulated_is_an_error_with_its_place_and_a_suggestion() {
    for (from, to, place, hint) in [
        ("tp: 8", "tpp: 8", "4:15: parallelism.tpp: unknown key", "did you mean `tp`?"),
        (
            "faulty_links",
            "faulty_link",
            "7:3: network.faulty_link: unknown key",
            "did you mean `faulty_links`?",
        ),
        (
            "parallelisms: [dp]",
            "parallelism: [dp]",
            "17:7: network.dimensions[1].parallelism: unknown key",
            "did you mean `parallelisms`?",
        ),
        (
            "bandwidth: 1e9",
            "bandwith: 1e9",
            "16:32: network.dimensions[1].topology.bandwith: unknown key",
            "did you mean `bandwidth`?",
        ),
        (
            "all-reduce",
            "all-reduces",
            "13:29: network.dimensions[0].collective_override.all-reduces: unknown collective",
            "did you mean `all_reduce`?",
        ),
        (
            "sys_options",
            "sys_option",
            "23:5: execution_backend.astra.sys_option: unknown key",
            "did you mean `sys_options`?",
        ),
        (
            "endpoint_delay",
            "endpoint-delays",
            "23:19: execution_backend.astra.sys_options.endpoint-delays: unknown key",
            "did you mean `endpoint_delay`?",
        ),
    ] {
        let error = spec(&CLUSTER.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.to_string(), format!("hw.yaml:{place}"));
        assert_eq!(error.hint_text(), Some(hint));
    }
}

#[test]
fn options_under_the_analytical_model_are_used_and_said_to_be() {
    let changed = CLUSTER.replace("model: astra", "model: analytical");
    let (read, notices) = spec(&changed).unwrap();
    assert_eq!(read.to_bytes(), bytes(CLUSTER));
    assert_eq!(notices.len(), 1);
    assert!(
        notices[0].to_string().starts_with("execution_backend.astra: collectives and sys_options are used")
    );
    assert_eq!(spec(CLUSTER).unwrap().1, []);
}

#[test]
fn the_single_link_form_is_refused_with_how_to_write_it_today() {
    let old = "network_topology: {inter_node: ring, intra_node: ring}\nscheduling_param: {tp: 2}\n";
    let error = spec(old).unwrap_err();
    assert!(
        error.to_string().starts_with("hw.yaml:1:19: network_topology: this is the single-link form"),
        "{error}"
    );
    assert!(error.hint_text().unwrap().contains("rename `scheduling_param` to `parallelism`"));
}

#[test]
fn a_file_without_network_is_refused() {
    assert_eq!(spec("a: 1").unwrap_err().to_string(), "hw.yaml:1:1: network: missing required section");
    let near = spec("netwrok: {dimensions: []}").unwrap_err();
    assert_eq!(near.hint_text(), Some("the file has `netwrok`; did you mean `network`?"));
    for text in
        ["", "- 1", "network:", "network: []", "network: {dimensions: []}", "network: {dimensions: {}}"]
    {
        assert!(spec(text).is_err(), "{text}");
    }
}

#[test]
fn one_parsed_document_serves_many_patches_and_a_patch_is_like_an_edit() {
    let document = Document::parse(CLUSTER.as_bytes(), "hw.yaml").unwrap();
    for (path, value, from, to) in [
        ("network.dimensions.0.topology.bandwidth", json!("400 GB"), "100 GB", "400 GB"),
        ("network.dimensions.1.topology.bandwidth", json!(2e9), "1e9", "2e9"),
        ("parallelism.tp", json!(4), "tp: 8", "tp: 4"),
        ("network.faulty_links", json!([]), "[[0, 1, 0.5]]", "[]"),
        ("execution_backend.astra.sys_options", json!({"endpoint_delay": 7}), "delay: 5", "delay: 7"),
        ("tech_param.DRAM.bandwidth", json!("1 GB"), "1986 GB", "1 GB"),
    ] {
        let (patched, _) = document.network_spec(&[(path.to_owned(), value)]).unwrap();
        assert_eq!(patched.to_bytes(), bytes(&CLUSTER.replacen(from, to, 1)), "{path}");
    }
    assert_eq!(document.network_spec(&[]).unwrap().0.to_bytes(), bytes(CLUSTER));
}

#[test]
fn a_patch_of_what_is_not_there_names_how_far_the_path_exists() {
    let document = Document::parse(CLUSTER.as_bytes(), "hw.yaml").unwrap();
    for (path, expected) in [
        ("network.dimensions.0.topology.bandwith", "`network.dimensions.0.topology` has no key `bandwith`"),
        ("network.dimensions.2.id", "`network.dimensions` is a list of 2, which has no entry `2`"),
        ("network.dimensions.first.id", "`network.dimensions` is a list of 2, which has no entry `first`"),
        ("networks", "the file has no key `networks`"),
        ("parallelism.tp.x", "`parallelism.tp` is `8`, which has no key `x`"),
        ("", "the file has no key ``"),
    ] {
        let error = document.network_spec(&[(path.to_owned(), json!(1))]).unwrap_err();
        assert_eq!(error.message(), expected);
    }
    let error = document.network_spec(&[("parallelism.tp".to_owned(), json!("many"))]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "hw.yaml: parallelism.tp: expected an integer from 1 to 4294967295, found `many`"
    );
    let delay = "execution_backend.astra.sys_options.endpoint_delay";
    let error = document.network_spec(&[(delay.to_owned(), json!(2_147_483_648_u32))]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("hw.yaml: {delay}: expected an integer from 0 to 2147483647, found `2147483648`")
    );
}

#[test]
fn no_damage_to_a_file_makes_reading_panic() {
    let text = CLUSTER.as_bytes();
    for cut in 0..text.len() {
        let _ = Document::parse(&text[..cut], "hw.yaml").and_then(|document| document.network_spec(&[]));
    }
    let words =
        ["~", "-1", "1e999", "99999999999999999999", "[]", "{}", "'", ".nan", "*a", "true", "\t", "(,)", "0"];
    let mut readable = 0;
    for word in words {
        for (at, _) in CLUSTER.match_indices([' ', '[']) {
            let changed = format!("{}{word}{}", &CLUSTER[..=at], &CLUSTER[at + 1..]);
            readable += usize::from(spec(&changed).is_ok());
        }
    }
    assert!(readable > 0);
}
