use super::super::Recipe;
use crate::hw::Document;

const HARDWARE: &str = "\
parallelism: {tp: 8}
network:
  dimensions:
    - size: auto
      topology: {type: Ring, bandwidth: 100 GB, latency: 5e-6}
      parallelisms: [tp]
";

/// What is wrong with the first bad point of a sweep, once the hardware file is read.
fn blamed(sweep: &str) -> String {
    let text = format!(
        "{{\"recipe\": 1, \"name\": \"t\", \"hw\": \"hw/a.yaml\",\n \"workload\": {{\"kind\": \"collective\", \"collective\": \
         \"all_reduce\", \"ranks\": 8, \"size\": 1024}},\n \"sweep\": {sweep}}}"
    );
    let points = Recipe::parse(text.as_bytes(), "r.json").unwrap().points().unwrap();
    let document = Document::parse(HARDWARE.as_bytes(), "hw/a.yaml").unwrap();
    let mut errors =
        points.iter().filter_map(|point| Some(point.blame(document.network_spec(&point.hw_patches).err()?)));
    let error = errors.next().unwrap();
    match error.hint_text() {
        Some(hint) => format!("{error} [{hint}]"),
        None => error.to_string(),
    }
}

#[test]
fn a_swept_path_that_no_hardware_has_is_found_in_the_sweep() {
    assert_eq!(
        blamed(r#"{"grid": {"hw.network.dimensions.0.topology.bandwith": ["200 GB"]}}"#),
        "r.json:3:67: sweep.grid.\"hw.network.dimensions.0.topology.bandwith\"[0]: in hw/a.yaml: \
         `network.dimensions.0.topology` has no key `bandwith` [did you mean `bandwidth`?]"
    );
    assert_eq!(
        blamed(r#"{"zip": {"hw.networks": [1], "hw.parallelism.tp": [8]}}"#),
        "r.json:3:36: sweep.zip.\"hw.networks\"[0]: in hw/a.yaml: the file has no key `networks` \
         [did you mean `network`?]"
    );
}

#[test]
fn a_swept_value_that_does_not_fit_is_found_in_the_sweep() {
    let message =
        blamed(r#"{"grid": {"hw.network.dimensions.0.topology.bandwidth": ["200 GB", "400 GiB"]}}"#);
    assert!(
        message.starts_with(
            "r.json:3:78: sweep.grid.\"hw.network.dimensions.0.topology.bandwidth\"[1]: in hw/a.yaml: unknown unit `GiB`"
        ),
        "{message}"
    );
    let message = blamed(r#"{"cases": [{"name": "x"}, {"name": "y", "hw.parallelism.tp": 4294967296}]}"#);
    assert_eq!(
        message,
        "r.json:3:51: sweep.cases[1].\"hw.parallelism.tp\": in hw/a.yaml: expected an integer from 1 to 4294967295, found \
         `4294967296`"
    );
}

#[test]
fn a_key_inside_a_swept_section_is_named_and_the_innermost_value_is_to_blame() {
    let section = r#"{"type": "Ring", "bandwidth": "1 GB", "latency": 0, "utl": 1}"#;
    let message = blamed(&format!(r#"{{"grid": {{"hw.network.dimensions.0.topology": [{section}]}}}}"#));
    assert!(
        message.starts_with(
            "r.json:3:110: sweep.grid.\"hw.network.dimensions.0.topology\"[0].utl: in hw/a.yaml: unknown key"
        ),
        "{message}"
    );
    let section = r#"{"type": "Ring", "bandwidth": "1 GB", "latency": 0}"#;
    let message = blamed(&format!(
        r#"{{"grid": {{"hw.network.dimensions.0.topology": [{section}], "hw.network.dimensions.0.topology.latency": [-1]}}}}"#
    ));
    assert!(
        message.contains(
            "sweep.grid.\"hw.network.dimensions.0.topology.latency\"[0]: in hw/a.yaml: expected a latency"
        ),
        "{message}"
    );
}

#[test]
fn what_stands_in_the_hardware_file_keeps_its_line_there() {
    // The file's own bandwidth is fine; its size is not the swept degree, and it says where it stands.
    let hardware = HARDWARE.replace("size: auto", "size: 8");
    let text = r#"{"recipe": 1, "name": "t", "hw": "hw/a.yaml",
      "workload": {"kind": "collective", "collective": "all_reduce", "ranks": 8, "size": 1024},
      "sweep": {"grid": {"hw.parallelism.tp": [4]}}}"#;
    let point = &Recipe::parse(text.as_bytes(), "r.json").unwrap().points().unwrap()[0];
    let document = Document::parse(hardware.as_bytes(), "hw/a.yaml").unwrap();
    let error = point.blame(document.network_spec(&point.hw_patches).unwrap_err()).to_string();
    assert!(error.starts_with("hw/a.yaml:4:13: network.dimensions[0].size: size 8, but"), "{error}");
}

#[test]
fn an_error_about_a_key_of_the_recipe_names_the_recipe() {
    let text = r#"{"recipe": 1, "name": "t", "hw": "hw/a.yaml",
      "workload": {"kind": "collective", "collective": "all_reduce", "ranks": 8, "size": 1024}}"#;
    let point = &Recipe::parse(text.as_bytes(), "r.json").unwrap().points().unwrap()[0];
    let blamed = |key: &str| point.blame(crate::Error::input("wrong").key(key)).to_string();
    assert_eq!(blamed("engine.network"), "r.json: engine.network: wrong");
    assert_eq!(blamed("network.dimensions[0].size"), "hw/a.yaml: network.dimensions[0].size: wrong");
}
