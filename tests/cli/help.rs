//! The `--help` of every command against the text that is checked in.
//!
//! After a change on purpose: `UPDATE_HELP=1 cargo test --release --test cli help`, and read the difference.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::sandbox::{Sandbox, finish};

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/help"))
}

fn help(sandbox: &Sandbox, words: &[&str]) -> String {
    let mut command = sandbox.command("");
    command.args(words).arg("--help").env("COLUMNS", "100");
    finish(&mut command).succeeds().text().to_owned()
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<&str> {
    let after = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    // What a description goes on with on the next line is further to the right.
    let entries = after.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    entries.filter_map(|line| line.split_whitespace().next()).collect()
}

/// The help of a command and of all below it, by the file that keeps it.
fn collect(sandbox: &Sandbox, words: &[&str], found: &mut Vec<(String, String)>) {
    let text = help(sandbox, words);
    for command in listed(&text).into_iter().filter(|name| *name != "help") {
        collect(sandbox, &[words, &[command]].concat(), found);
    }
    let name = [&["astra-store"], words].concat().join("-");
    found.push((format!("{name}.txt"), text));
}

#[test]
fn the_help_of_every_command_is_as_checked_in() {
    let mut found = Vec::new();
    collect(&Sandbox::new(), &[], &mut found);
    assert!(found.len() >= 14, "{} help texts", found.len());
    if std::env::var_os("UPDATE_HELP").is_some() {
        std::fs::create_dir_all(directory()).unwrap();
        for (name, text) in &found {
            std::fs::write(directory().join(name), text).unwrap();
        }
    }
    for (name, text) in &found {
        let kept = std::fs::read_to_string(directory().join(name)).unwrap_or_default();
        assert_eq!(*text, kept, "{name}: see the head of tests/cli/help.rs");
    }
    let names: BTreeSet<String> = found.into_iter().map(|(name, _)| name).collect();
    for entry in std::fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{name} is the help of no command");
    }
}

#[test]
fn every_command_shows_an_example_in_its_help() {
    let mut found = Vec::new();
    collect(&Sandbox::new(), &[], &mut found);
    for (name, text) in found {
        assert!(text.contains("\nExample"), "{name}");
    }
}
