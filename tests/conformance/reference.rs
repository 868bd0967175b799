//! Every call of the reference data: equal, or different on purpose for a reason that is named and counted here.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use astra_engine::{Dialect, NetworkModel, RemoteMemory};
use astra_policy::Collective;
use astra_store::astrasim::{
    AlgorithmLists, ConfigFiles, ConfigRequest, Layout, NetworkFile, PolicyChoices, SystemFile,
    SystemOptions, SystemOverrides, decide, layout, read_remote_memory, write,
};
use astra_store::hw::{Axis, Document, NetworkSpec};
use astra_store::{Error, Notice};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

/// What is expected of the whole reference; `docs/deepflow.md` lists the same figures with the reasons.
const EXPECTED: [(&str, usize); 14] = [
    ("accepted: model analytical, astra block used", 109),
    ("accepted: missing or out-of-range overlap is not read", 2),
    ("accepted: missing energy_per_bit is not read", 1),
    ("accepted: size pair as text with digits", 9),
    ("equal: both refuse", 759),
    ("equal: same files", 1297),
    ("refused: bandwidth not above 0", 14),
    ("refused: integer size is not the product of the axes", 14),
    ("refused: mb as an axis", 6),
    ("refused: negative latency", 7),
    ("refused: unknown collective in an override", 13),
    ("refused: unknown key in sys_options", 14),
    ("refused: unknown topology", 286),
    ("different", 0),
];

#[test]
fn every_reference_call_is_equal_or_different_on_purpose() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/ref/deepflow/configs");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no reference data at {}", folder.display());
        return;
    };
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut counts: BTreeMap<String, usize> =
        EXPECTED.iter().map(|(name, _)| ((*name).to_owned(), 0)).collect();
    for file in &files {
        for (name, variant) in variants(file) {
            for outcome in outcomes(&variant) {
                if outcome.starts_with("different") {
                    eprintln!("{}: {name}: {outcome}", file.display());
                }
                let name = if outcome.starts_with("different") { "different" } else { outcome.as_str() };
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
    for (name, count) in &counts {
        eprintln!("{count:6}  {name}");
    }
    let expected: BTreeMap<String, usize> =
        EXPECTED.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    assert_eq!(counts, expected);
}

#[test]
fn the_public_example_files_read_without_a_notice() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/ref/astra-sim-examples");
    let Ok(networks) = std::fs::read_dir(examples.join("network")) else {
        eprintln!("SKIPPED: no reference data at {}", examples.display());
        return;
    };
    let read = |path: &Path| (std::fs::read(path).unwrap(), path.display().to_string());
    for path in networks.map(|entry| entry.unwrap().path()) {
        let (bytes, name) = read(&path);
        let (network, notices) = NetworkFile::parse(&bytes, &name).unwrap();
        assert_eq!(notices, []);
        network.network(NetworkModel::CongestionAware).check().unwrap();
    }
    let (bytes, name) = read(&examples.join("remote_memory/no_memory_expansion.json"));
    let memory = read_remote_memory(&bytes, &name).unwrap();
    for path in std::fs::read_dir(examples.join("system/native_collectives")).unwrap() {
        let (bytes, name) = read(&path.unwrap().path());
        let (system, notices) = SystemFile::parse(&bytes, &name).unwrap();
        assert_eq!(notices, []);
        let system = system.system(Dialect::AstraSim, &SystemOptions::default(), memory).unwrap();
        system.check(1).unwrap();
        assert_eq!(system.preferred_dataset_splits, 4);
    }
    let custom = examples.join("system/custom_collectives/custom_collective.json");
    let (bytes, name) = read(&custom);
    let (system, _) = SystemFile::parse(&bytes, &name).unwrap();
    assert!(system.custom.of_type.contains_key(&astra_engine::CollectiveType::AllReduce));
}

/// The hardware documents of a reference file, each with its calls.
fn variants(file: &Path) -> Vec<(String, Json)> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    let json: Json = serde_json::from_str(&text).unwrap();
    match json.get("variants") {
        Some(variants) => {
            let with_yaml = |variant: &Json| {
                let mut variant = variant.clone();
                variant["yaml"] = json["yaml"].clone();
                (variant["override"].to_string(), variant)
            };
            variants.as_array().unwrap().iter().map(with_yaml).collect()
        }
        None => json.as_object().unwrap().iter().map(|(name, case)| (name.clone(), case.clone())).collect(),
    }
}

/// One outcome per call of a document; a document the original cannot read is one call.
fn outcomes(variant: &Json) -> Vec<String> {
    let ours = read(variant);
    let Some(cases) = variant.get("cases").and_then(Json::as_array) else {
        let theirs = variant["message"].as_str().unwrap();
        return vec![match ours {
            Ok(_) => accepted(theirs),
            Err(_) => "equal: both refuse".to_owned(),
        }];
    };
    cases.iter().map(|case| outcome(case, &ours)).collect()
}

type Spec = Result<(NetworkSpec, Vec<Notice>), Error>;

fn read(variant: &Json) -> Spec {
    let document = Document::parse(variant["yaml"].as_str().unwrap().as_bytes(), "hw.yaml")?;
    let overridden = variant.get("override").is_some_and(|change| !change.is_null());
    let axes = variant.get("axes").and_then(Json::as_object).filter(|_| overridden);
    let paths = [
        ("parallelism.tp", "tp"),
        ("parallelism.cp", "cp"),
        ("parallelism.lp", "lp"),
        ("parallelism.dp", "dp"),
    ];
    let patches: Vec<(String, Json)> = axes
        .map(|axes| paths.iter().map(|(path, axis)| ((*path).to_owned(), axes[*axis].clone())).collect())
        .unwrap_or_default();
    document.network_spec(&patches)
}

fn outcome(case: &Json, ours: &Spec) -> String {
    let theirs = &case["result"];
    let made = match ours {
        Ok((spec, notices)) => configs(spec, &case["call"]).map(|made| (made, spec, notices)),
        Err(error) => return if failed(theirs) { "equal: both refuse".into() } else { refused(error) },
    };
    match made {
        Err(_) if failed(theirs) => "equal: both refuse".into(),
        Err(error) => refused(&error),
        Ok(_) if failed(theirs) => accepted(theirs["message"].as_str().unwrap()),
        Ok(((layout, files), spec, notices)) => {
            reads_back(&layout, &files);
            if same(&files, theirs) {
                "equal: same files".into()
            } else if notices.iter().any(|notice| notice.key == "execution_backend.astra") {
                analytical(spec, case)
            } else {
                format!("different: {} gives {files:?}", case["call"])
            }
        }
    }
}

fn failed(result: &Json) -> bool {
    result.get("error").is_some()
}

fn configs(spec: &NetworkSpec, call: &Json) -> Result<(Layout, ConfigFiles), Error> {
    let strings = |key: &str| -> Option<Vec<&str>> {
        Some(call.get(key)?.as_array()?.iter().map(|item| item.as_str().unwrap()).collect())
    };
    let axes = |names: Vec<&str>| -> Vec<Axis> {
        names.into_iter().map(|name| Axis::parse(name).unwrap()).collect()
    };
    let filter = strings("axes_filter");
    let pair = filter.as_deref() == Some(&["synthetic2"]);
    let request = ConfigRequest {
        ranks: call["npus_count"].as_u64().unwrap().try_into().unwrap(),
        axes: filter.filter(|_| !pair).map(axes),
        flatten_2d: call.get("transform_2d_to_1d").and_then(Json::as_bool).unwrap_or(false),
        synthetic_pair: pair.then(|| axes(strings("preferred_axes_for_synthetic").unwrap_or_default())),
        faulty_links: None,
    };
    let layout = layout(spec, &request)?;
    let overrides = SystemOverrides::default();
    let chosen = PolicyChoices::new();
    let lists = AlgorithmLists::of(|c| decide(spec, &layout, Dialect::DeepFlow, &chosen, &overrides, c))?;
    let files = write(&layout, &lists, &spec.sys_options, &overrides);
    Ok((layout, files))
}

fn same(files: &ConfigFiles, theirs: &Json) -> bool {
    let digest: String =
        Sha256::digest(&files.system_json).iter().map(|byte| format!("{byte:02x}")).collect();
    let system: Json = serde_json::from_str(&files.system_json).unwrap();
    theirs["network_file"] == files.network_name.as_str()
        && theirs["network_yaml"] == files.network_yml.as_str()
        && theirs["system_file"] == files.system_name.as_str()
        && theirs["system_json"] == system
        && theirs["system_json_sha256"] == digest.as_str()
}

/// What we write, we read back to equal values.
fn reads_back(layout: &Layout, files: &ConfigFiles) {
    let (network, notices) = NetworkFile::parse(files.network_yml.as_bytes(), "n.yml").unwrap();
    assert_eq!(notices, []);
    let written: Vec<_> = layout.dimensions.iter().map(|dimension| dimension.link).collect();
    assert_eq!(network.dimensions, written);
    let model = NetworkModel::CongestionAware;
    let (mut read, written) = (network.network(model), layout.network(model));
    for (read, written) in read.faulty_links.iter_mut().zip(&written.faulty_links) {
        // The file has six digits of it.
        assert!((read.health - written.health).abs() <= 5e-6 * written.health);
        read.health = written.health;
    }
    assert_eq!(read, written);
    let (system, notices) = SystemFile::parse(files.system_json.as_bytes(), "s.json").unwrap();
    assert_eq!(notices, []);
    let values: Json = serde_json::from_str(&files.system_json).unwrap();
    for collective in Collective::ALL {
        let key = format!("{}-implementation", collective.name().replace('_', "-"));
        assert_eq!(json!(system.algorithms(collective)), values[key]);
    }
    let memory = read_remote_memory(files.remote_memory_json.as_bytes(), "m.json").unwrap();
    assert_eq!(memory, RemoteMemory::None);
    let system = system.system(Dialect::DeepFlow, &SystemOptions::default(), memory).unwrap();
    assert_eq!(values["endpoint-delay"], system.endpoint_delay.0);
}

/// Under `model: analytical` the original ignores the astra block; without the block our files must be its files.
fn analytical(spec: &NetworkSpec, case: &Json) -> String {
    let mut spec = spec.clone();
    spec.collectives = Default::default();
    spec.sys_options = Default::default();
    let (_, files) = configs(&spec, &case["call"]).unwrap();
    match same(&files, &case["result"]) {
        true => "accepted: model analytical, astra block used".into(),
        false => format!("different: {} without the astra block gives {files:?}", case["call"]),
    }
}

/// Why we refuse what the original accepts, by our error.
fn refused(error: &Error) -> String {
    let text = error.to_string();
    let reasons = [
        ("topology.type: unknown topology", "unknown topology"),
        (".size: size ", "integer size is not the product of the axes"),
        ("expected a bandwidth above 0", "bandwidth not above 0"),
        ("expected a latency ≥ 0", "negative latency"),
        ("sys_options.collective_arbitration: unknown key", "unknown key in sys_options"),
        ("collective_override.bogus: unknown collective", "unknown collective in an override"),
        ("unknown parallelism axis `mb`", "mb as an axis"),
    ];
    match reasons.iter().find(|(part, _)| text.contains(part)) {
        Some((_, reason)) => format!("refused: {reason}"),
        None => format!("different: refused without a known reason: {text}"),
    }
}

/// Why we accept what the original refuses, by its error.
fn accepted(message: &str) -> String {
    let reasons = [
        ("missing required 'energy_per_bit'", "missing energy_per_bit is not read"),
        ("network.overlap", "missing or out-of-range overlap is not read"),
        ("2D size references parallelism '", "size pair as text with digits"),
    ];
    match reasons.iter().find(|(part, _)| message.contains(part)) {
        Some((_, reason)) => format!("accepted: {reason}"),
        None => format!("different: accepted without a known reason: {message}"),
    }
}
