//! Plugins in stores: added by name, carried to other machines, and run only where they may.

use std::path::Path;
use std::process::Command;

use artifact_store::Digest;
use serde_json::{Value, json};

use crate::builds::Study;
use crate::plugins::c;

const EXAMPLE: &str = "examples/policies/small_direct.c";
const SIZES: [&str; 4] = ["16 KiB", "64 KiB", "256 KiB", "1 MiB"];

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The library as a compiler for another processor would begin it.
fn for_another_processor(library: &[u8]) -> Vec<u8> {
    let mut other = library.to_vec();
    let machine: u16 = if std::env::consts::ARCH == "aarch64" { 62 } else { 183 };
    other[18..20].copy_from_slice(&machine.to_le_bytes());
    other
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn a_plugin_that_was_added_can_be_named_wherever_the_store_is() {
    let Some(plugin) = c(EXAMPLE, &[]) else { return };
    let study = Study::new(&json!({ "plugin": "small-direct" }));
    study.write("libsmall_direct.so", &plugin);
    let dry = study.run("plugin add libsmall_direct.so --dry-run");
    assert!(dry.status.success() && said(&dry).starts_with("would add `small-direct`"), "{}", said(&dry));
    assert!(!study.path().join("store").exists());
    let added = study.run("plugin add libsmall_direct.so");
    assert!(added.status.success(), "{}", said(&added));
    std::fs::remove_file(study.path().join("libsmall_direct.so")).unwrap();
    study.built();

    let elsewhere = Study::new(&json!({ "plugin": "small-direct" }));
    copy(&study.path().join("store"), &elsewhere.path().join("store"));
    assert_eq!(elsewhere.built().executed(), [].into());
    elsewhere.recipe(&json!({ "plugin": "small-direct" }), &["128 KiB"]);
    elsewhere.built();
    assert!(elsewhere.run("validate recipe.json").status.success());

    let listed: Value = serde_json::from_slice(&study.run("--json plugin ls").stdout).unwrap();
    let listed = &listed["added"][0];
    assert_eq!(listed["digest"], Digest::of(&plugin).to_string());
    assert_eq!((&listed["name"], &listed["may_run"]), (&json!("small-direct"), &json!(true)));
    // Kept as a pin, whatever is collected.
    assert!(study.run("gc --older-than 0 --grace 0").status.success());
    study.recipe(&json!({ "plugin": "small-direct" }), &["2 MiB"]);
    study.built();
    assert!(study.run("unpin plugin/small-direct").status.success());
    study.recipe(&json!({ "plugin": "small-direct" }), &["3 MiB"]);
    assert!(said(&study.build("").output).contains("there is no policy `small-direct`"));
}

#[test]
fn a_name_is_given_once_unless_it_is_to_be_replaced() {
    let (Some(one), Some(other)) = (c(EXAMPLE, &[]), c(EXAMPLE, &["-O2", "-g"])) else { return };
    let study = Study::new(&json!({ "plugin": "tuner" }));
    study.write("one.so", &one);
    study.write("other.so", &other);
    study.write("text.so", b"this is text");
    study.write("none.so", &c("tests/policy/mischief.c", &["-DNO_SYMBOL"]).unwrap());
    assert!(study.run("plugin add one.so --name tuner").status.success());
    assert!(study.run("plugin add one.so --name tuner").status.success());
    study.built();
    let taken = study.run("plugin add other.so --name tuner");
    assert_eq!(taken.status.code(), Some(2));
    assert!(said(&taken).contains("another plugin `tuner`"), "{}", said(&taken));
    assert!(study.run("plugin add other.so --name tuner --replace").status.success());
    assert_eq!(study.built().executed(), [("policy", 1)].into());
    for (arguments, code, why) in [
        ("plugin add other.so --name best", 2, "is the name of a policy that is part of this program"),
        ("plugin add other.so --name Tuner", 2, "cannot be the name of a policy"),
        ("plugin add text.so", 3, "text.so: is no shared library"),
        ("plugin add none.so", 3, "none.so: is no policy: it has no symbol `astra_policy_v1`"),
        ("plugin add nowhere.so", 3, "nowhere.so"),
    ] {
        let refused = study.run(arguments);
        assert_eq!(refused.status.code(), Some(code), "{}", said(&refused));
        assert!(said(&refused).contains(why), "{}", said(&refused));
    }
    // A library beside the recipe comes first, and the other one of the name is told.
    study.write("tuner.so", &one);
    let build = study.built();
    assert!(build.said().contains("the store has another one"), "{}", build.said());
}

#[test]
fn a_library_for_another_platform_lends_its_recorded_decisions_and_does_not_run() {
    let Some(plugin) = c(EXAMPLE, &[]) else { return };
    let foreign = for_another_processor(&plugin);
    let study = Study::new(&json!({ "plugin": "tuner" }));
    study.write("foreign.so", &foreign);
    assert!(study.run("plugin add foreign.so --name tuner").status.success());
    let build = study.build("");
    assert_eq!(build.output.status.code(), Some(1));
    assert!(build.said().contains("tuner: the library is for ELF, "), "{}", build.said());
    assert!(build.said().contains("this decision is not recorded"), "{}", build.said());
    let check = study.run("plugin check foreign.so");
    assert!(said(&check).contains("foreign.so: the library is for ELF, "), "{}", said(&check));
}

#[test]
fn a_library_that_came_by_pull_runs_only_when_it_is_allowed() {
    let Some(plugin) = c(EXAMPLE, &[]) else { return };
    let digest = Digest::of(&plugin).to_string();
    let (here, there) =
        (Study::new(&json!({ "plugin": "tuner" })), Study::new(&json!({ "plugin": "tuner" })));
    here.write("tuner.so", &plugin);
    here.built();
    let remote = here.path().join("remote").display().to_string();
    assert!(here.run("push remote").status.success());
    let pulled = there.run(&format!("pull {remote}"));
    assert!(pulled.status.success(), "{}", said(&pulled));
    // The library came along as data. Naming it is no permission to run.
    let added = there.run(&format!("plugin add {} --name tuner", &digest[..16]));
    assert!(added.status.success(), "{}", said(&added));
    let known = there.built();
    assert_eq!(known.executed(), [].into());
    there.recipe(&json!({ "plugin": "tuner" }), &["32 KiB"]);
    let refused = there.build("");
    assert_eq!(refused.output.status.code(), Some(1));
    let hint = format!("--allow-plugin {digest}");
    assert!(refused.said().contains("came with content from elsewhere"), "{}", refused.said());
    assert!(refused.said().contains(&hint), "{}", refused.said());
    let allowed = there.build(&hint);
    assert!(allowed.output.status.success(), "{}", allowed.said());
    // The same holds for who tries it by its name.
    for command in ["plugin show tuner", "plugin check tuner"] {
        let refused = there.run(command);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(said(&refused).contains(&hint), "{}", said(&refused));
        assert!(there.run(&format!("{command} {hint}")).status.success());
    }
    // What is recorded now is used without permission.
    assert_eq!(there.built().executed(), [].into());
    // Who has the file may add it, and then it runs.
    there.write("own.so", &plugin);
    assert!(there.run("plugin add own.so --name tuner").status.success());
    there.recipe(&json!({ "plugin": "tuner" }), &SIZES[..2]);
    there.built();
}

#[test]
fn a_plugin_of_a_store_that_is_merged_runs_only_when_it_is_allowed() {
    let Some(plugin) = c(EXAMPLE, &[]) else { return };
    let policy = json!({ "plugin": "tuner" });
    let (here, there) = (Study::new(&policy), Study::new(&policy));
    here.write("own.so", &plugin);
    assert!(here.run("plugin add own.so --name tuner").status.success());
    here.recipe(&policy, &SIZES[..2]);
    here.built();
    let import = format!("import {}", here.path().join("store").display());
    for _ in 0..2 {
        let imported = there.run(&import);
        assert!(imported.status.success(), "{}", said(&imported));
    }
    // What was decided there is known here. What was not, is not decided here.
    there.recipe(&policy, &SIZES[..2]);
    assert_eq!(there.built().executed(), [].into());
    there.recipe(&policy, &SIZES);
    let refused = there.build("");
    assert!(refused.said().contains("came with content from elsewhere"), "{}", refused.said());
    let allowed = there.build(&format!("--allow-plugin {}", Digest::of(&plugin)));
    assert!(allowed.output.status.success(), "{}", allowed.said());
    // A store that has added the file itself goes on running it, and lists it once.
    assert!(here.run(&format!("import {}", there.path().join("store").display())).status.success());
    let listed: Value = serde_json::from_slice(&here.run("--json plugin ls").stdout).unwrap();
    let may_run: Vec<&Value> = listed["added"].as_array().unwrap().iter().map(|p| &p["may_run"]).collect();
    assert_eq!(may_run, [&json!(true)]);
}
