use super::super::edits::EDIT_KEYS;
use super::super::options::{ENGINE_KEYS, ENGINES, LAYOUT_KEYS, POLICY_KEYS};
use super::super::sweep::{Part, SWEEP_KEYS};
use super::super::workload::{CONVERSIONS, ITEM_KEYS, KEYS, KINDS, MANIFESTS};
use super::super::{RECIPE_SCHEMA, Recipe, STARTER_FILES, load::RECIPE_KEYS};
use super::WORKLOAD;
use crate::et::graph::Mends;
use crate::hw::Axis;
use astra_engine::{Dialect, NetworkModel};
use astra_policy::Collective;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn schema() -> Value {
    serde_json::from_str(RECIPE_SCHEMA).unwrap()
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

fn examples() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut recipes: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    recipes.retain(|path| path.extension().is_some_and(|e| e == "json"));
    recipes.sort();
    recipes
}

#[test]
fn the_schema_is_a_valid_schema() {
    jsonschema::draft202012::meta::validate(&schema()).unwrap();
}

#[test]
fn the_schema_knows_exactly_the_keys_and_words_the_parser_knows() {
    let schema = schema();
    let keys = |pointer: &str| -> BTreeSet<String> {
        schema
            .pointer(&format!("{pointer}/properties"))
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let same_keys = |pointer: &str, known: &[&str]| {
        let known: BTreeSet<String> = known.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(keys(pointer), known, "{pointer}");
        assert_eq!(
            schema.pointer(&format!("{pointer}/additionalProperties")),
            Some(&json!(false)),
            "{pointer}"
        );
    };
    same_keys("", RECIPE_KEYS);
    for (kind, known) in KINDS {
        same_keys(&format!("/$defs/{kind}"), known);
    }
    same_keys("/$defs/item", ITEM_KEYS);
    same_keys("/$defs/switches", &Mends::SWITCHES);
    same_keys("/$defs/edit", EDIT_KEYS);
    same_keys("/$defs/policy", POLICY_KEYS);
    same_keys("/$defs/engine", ENGINE_KEYS);
    same_keys("/$defs/layout", LAYOUT_KEYS);
    same_keys("/$defs/sweep", SWEEP_KEYS);

    let words = |pointer: &str, known: &[&str]| {
        assert_eq!(schema.pointer(&format!("{pointer}/enum")), Some(&json!(known)), "{pointer}");
    };
    words("/$defs/workload/properties/kind", &KINDS.iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
    words("/$defs/et/properties/key", &KEYS.map(|(key, _)| key));
    words("/$defs/graph/properties/manifest", &MANIFESTS.map(|(word, _)| word));
    words("/$defs/graph/properties/convert/anyOf/0", &CONVERSIONS.map(|(word, _)| word));
    words("/$defs/collectiveName", &Collective::ALL.map(Collective::name));
    words("/$defs/engine/properties/kind", &ENGINES.map(|(word, _)| word));
    words("/$defs/engine/properties/network", NetworkModel::NAMES);
    words("/$defs/engine/properties/dialect", Dialect::NAMES);
    words("/$defs/layout/properties/axes/items", &Axis::ALL.map(Axis::name));
    let parts = Part::ALL.map(|(key, _)| key).join("|");
    assert_eq!(schema["$defs"]["path"]["pattern"], format!("^({parts})(\\.[^.]+)*$"));
}

#[test]
fn every_example_validates_and_expands() {
    let validator = validator();
    let examples = examples();
    assert!(examples.len() >= 4, "{examples:?}");
    for path in examples {
        let text = std::fs::read_to_string(&path).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        let complaints: Vec<String> = validator.iter_errors(&json).map(|e| e.to_string()).collect();
        assert!(complaints.is_empty(), "{}: {complaints:?}", path.display());
        let recipe = Recipe::load(&path).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(recipe.name()));
        assert_eq!(recipe.points().unwrap().len(), recipe.point_count());
    }
}

#[test]
fn the_schema_and_the_parser_judge_alike() {
    let validator = validator();
    let with = |rest: &str| format!(r#"{{"recipe":1,"name":"t","hw":"a.yaml",{rest}}}"#);
    let graph = |rest: &str| format!(r#""workload":{{"kind":"graph","graph":"g.json",{rest}}}"#);
    let cases = [
        (true, with(WORKLOAD)),
        (true, with(&WORKLOAD.replace("1024", "\"64 MiB\""))),
        (
            true,
            with(
                r#""workload":{"kind":"pipeline","ranks":2,"microbatches":1,"compute":"5 us","size":"1.5 KiB"}"#,
            ),
        ),
        (
            true,
            with(
                r#""workload":{"kind":"sequence","ranks":2,"items":[{"collective":"all_reduce","size":1,"delay":1000}]}"#,
            ),
        ),
        (true, with(&format!(r#"{WORKLOAD},"sweep":{{"cases":[{{"name":"x"}},{{"name":"y","hw.a":1}}]}}"#))),
        (true, with(&graph(r#""convert":"faithful","manifest":"df""#))),
        (true, with(&graph(r#""convert":{"control_tags":false}"#))),
        (false, with(&graph(r#""convert":"faithfully""#))),
        (false, with(&graph(r#""convert":{"control_tag":false}"#))),
        (false, with(&graph(r#""convert":{"control_tags":0}"#))),
        (false, with(&graph(r#""manifest":"json""#))),
        (false, with(&graph(r#""ranks":8"#))),
        (false, with(&graph("\"edits\":[]").replace("g.json", "/g.json"))),
        (false, with(&WORKLOAD.replace("1024", "0"))),
        (false, with(&WORKLOAD.replace("1024", "\"64 XB\""))),
        (false, with(&WORKLOAD.replace("\"ranks\":8", "\"ranks\":0"))),
        (false, with(&WORKLOAD.replace("all_reduce", "allreduce"))),
        (false, with(&WORKLOAD.replace("\"ranks\"", "\"rank\""))),
        (false, with(&format!(r#"{WORKLOAD},"engin":{{}}"#))),
        (false, with(&format!(r#"{WORKLOAD},"layout":{{"axes":["pp"]}}"#))),
        (false, with(&format!(r#"{WORKLOAD},"layout":{{"axes":["tp","tp"]}}"#))),
        (false, with(&format!(r#"{WORKLOAD},"sweep":{{"grid":{{"name":["x"]}}}}"#))),
        (false, with(&format!(r#"{WORKLOAD},"sweep":{{"grid":{{"workload.size":[]}}}}"#))),
        (false, with(WORKLOAD).replace("a.yaml", "/a.yaml")),
        (false, with(WORKLOAD).replace("\"name\":\"t\"", "\"name\":\"../t\"")),
        (false, with(WORKLOAD).replace("\"recipe\":1", "\"recipe\":2")),
    ];
    for (good, text) in cases {
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(validator.is_valid(&json), good, "schema: {text}");
        let parsed = Recipe::parse(text.as_bytes(), "r.json").and_then(|recipe| recipe.points());
        assert_eq!(parsed.is_ok(), good, "parser: {text}");
    }
}

/// Reads every point's hardware as a build would.
fn read_hardware(recipe: &Recipe, read: impl Fn(&str) -> Vec<u8>) {
    for source in recipe.sources() {
        crate::hw::Document::parse(&read(&source), &source).unwrap();
    }
    for point in recipe.points().unwrap() {
        let document = crate::hw::Document::parse(&read(&point.hw), &point.hw).unwrap();
        let (spec, notices) = document.network_spec(&point.hw_patches).unwrap();
        assert!(notices.is_empty(), "{}: {notices:?}", point.name);
        let degrees: u32 = Axis::ALL.into_iter().map(|axis| spec.parallelism.degree(axis)).product();
        assert!(point.workload.ranks().is_none_or(|ranks| ranks == degrees), "{}", point.name);
    }
}

#[test]
fn the_hardware_of_every_example_fits_its_ranks() {
    for path in examples() {
        let dir = path.parent().unwrap();
        read_hardware(&Recipe::load(&path).unwrap(), |source| std::fs::read(dir.join(source)).unwrap());
    }
}

#[test]
fn the_starter_files_fit_together() {
    let content = |wanted: &str| STARTER_FILES.iter().find(|(name, _)| *name == wanted).unwrap().1;
    let text = content("recipe.json");
    let json: Value = serde_json::from_str(text).unwrap();
    assert!(validator().is_valid(&json));
    assert_eq!(content(json["$schema"].as_str().unwrap()), RECIPE_SCHEMA);
    let recipe = Recipe::parse(text.as_bytes(), "recipe.json").unwrap();
    read_hardware(&recipe, |source| content(source).as_bytes().to_vec());
}
