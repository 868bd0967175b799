//! Keeps the house in order: which room may know which, and what may be named where.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a directory of the repository, with their text.
fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no Rust file below {dir}");
    found
}

/// The files below `dir` in whose code (comments and documentation aside) one of the words occurs.
fn files_naming(dir: &str, words: &[&str]) -> Vec<PathBuf> {
    let named = |text: &str| {
        let code = text.lines().map(|line| line.trim_start()).filter(|line| !line.starts_with("//"));
        code.into_iter().any(|line| words.iter().any(|word| line.contains(word)))
    };
    let mut files: Vec<PathBuf> =
        sources(dir).into_iter().filter(|(_, text)| named(text)).map(|(path, _)| path).collect();
    files.sort();
    files
}

/// The normal dependencies of a member's manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let section = text.split("\n[").find(|s| s.starts_with("dependencies]")).unwrap_or_default();
    let names = section.lines().skip(1).filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn dependencies_point_one_way() {
    let members = [
        "artifact-store",
        "astra-engine",
        "astra-policy",
        "astra-policy-alpha-beta",
        "astra-policy-csv",
        "astra-policy-fixed",
        "astra-policy-topology",
        "astra-store",
    ];
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("store/Cargo.toml", [].as_slice()),
        ("engine/Cargo.toml", &[]),
        ("plugins/abi/Cargo.toml", &[]),
        ("plugins/alpha-beta/Cargo.toml", &["astra-policy"]),
        ("plugins/csv/Cargo.toml", &["astra-policy"]),
        ("plugins/fixed/Cargo.toml", &["astra-policy"]),
        ("plugins/topology/Cargo.toml", &["astra-policy"]),
    ]);
    for (manifest, allowed) in allowed {
        let internal: Vec<String> =
            dependencies(manifest).into_iter().filter(|d| members.contains(&d.as_str())).collect();
        assert_eq!(internal, allowed, "{manifest} depends on another room than it may");
    }
}

#[test]
fn the_engine_depends_on_nothing_and_does_no_input_or_output() {
    assert_eq!(dependencies("engine/Cargo.toml"), Vec::<String>::new());
    let words = [
        "std::fs",
        "std::io",
        "std::net",
        "std::time",
        "std::process",
        "std::env",
        "std::thread",
        "println!",
        "eprintln!",
    ];
    assert_eq!(files_naming("engine/src", &words), Vec::<PathBuf>::new());
}

#[test]
fn the_store_has_no_word_of_simulators() {
    let stems = ["astra", "simulat", "collective", "npu", "chakra", "rank", "workload"];
    for (path, text) in sources("store/src") {
        let text = text.to_lowercase();
        for word in text.split(|c: char| !c.is_ascii_alphabetic()) {
            assert!(!stems.iter().any(|s| word.starts_with(s)), "{} says `{word}`", path.display());
        }
    }
}

#[test]
fn redb_the_yaml_crate_and_the_loader_are_each_named_in_one_file() {
    assert_eq!(files_naming("store/src", &["redb"]).len(), 1);
    assert_eq!(files_naming("runner", &["redb"]).len(), 0);
    assert_eq!(files_naming("runner", &["serde_yaml", "saphyr"]).len(), 1);
    assert_eq!(files_naming("runner", &["libloading"]).len(), 1);
}

#[test]
fn only_the_command_line_knows_of_terminals() {
    let words = ["clap", "indicatif", "println!", "eprintln!", "print!(", "std::process::exit"];
    let outside: Vec<PathBuf> = files_naming("runner", &words)
        .into_iter()
        .filter(|p| !p.starts_with(root().join("runner/cli")))
        .collect();
    assert_eq!(outside, Vec::<PathBuf>::new());
}

#[test]
fn unsafe_code_is_where_plugins_are_met_and_nowhere_else() {
    let found: Vec<PathBuf> = ["runner", "store", "engine", "plugins"]
        .iter()
        .flat_map(|dir| files_naming(dir, &["unsafe ", "(unsafe_code", "unsafe("]))
        .filter(|path| !path.ends_with("src/lib.rs"))
        .collect();
    let raw_types = root().join("plugins/abi/src/raw.rs");
    let expected = ["runner/policy/abi_v1.rs", "plugins/abi/src/raw.rs", "plugins/abi/src/shim.rs"];
    assert_eq!(found, expected.map(|file| root().join(file)));
    let raw = fs::read_to_string(raw_types).unwrap();
    assert!(!raw.contains("unsafe {") && !raw.contains("unsafe impl"), "raw.rs holds types only");
    for root_file in [
        "store/src/lib.rs",
        "engine/src/lib.rs",
        "plugins/alpha-beta/src/lib.rs",
        "plugins/csv/src/lib.rs",
        "plugins/fixed/src/lib.rs",
        "plugins/topology/src/lib.rs",
    ] {
        let text = fs::read_to_string(root().join(root_file)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root_file} does not forbid unsafe code");
    }
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    for file in ["runner/policy/abi_v1.rs", "plugins/abi/src/shim.rs"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for (number, line) in lines.iter().enumerate() {
            let begins = line.contains("unsafe {") || line.starts_with("unsafe impl");
            let reasoned =
                lines[number.saturating_sub(4)..number].iter().any(|l| l.starts_with("// SAFETY:"));
            assert!(!begins || reasoned, "{file}:{}: no SAFETY line above `{line}`", number + 1);
        }
    }
}

#[test]
fn no_file_needs_a_table_of_contents() {
    for dir in ["runner", "store/src", "engine/src", "plugins"] {
        for (path, text) in sources(dir) {
            let lines = text.lines().count();
            assert!(lines <= 600, "{} has {lines} lines: it is two files", path.display());
        }
    }
}
