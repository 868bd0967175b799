//! Stores in odd places: copied ones, disks that are full or cannot be written.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{Sandbox, finish, skipped};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, sizes};

fn built() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox.run("build recipe.json").succeeds();
    sandbox
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

#[test]
fn a_copied_store_notices_and_verifies_itself_once() {
    let sandbox = built();
    copy(&sandbox.path("store"), &sandbox.path("copy"));
    for _ in 0..2 {
        sandbox.run("ls --store copy --read-only").succeeds().says(&["copied here"]);
    }
    let first = sandbox.run("build recipe.json --store copy").succeeds();
    first.says(&["copied here", "verifying it once", "the copied store is whole"]);
    let second = sandbox.run("build recipe.json --store copy").succeeds();
    assert!(!second.stderr.contains("copied"), "{}", second.stderr);
    assert!(!sandbox.run("ls").succeeds().stderr.contains("copied"));
}

#[test]
fn a_copy_with_damage_is_refused_and_can_be_mended() {
    let sandbox = built();
    copy(&sandbox.path("store"), &sandbox.path("copy"));
    let mut file = sandbox.bytes("copy/store.redb");
    let record = b"recd\x01";
    let places: Vec<usize> =
        file.windows(5).enumerate().filter(|(_, window)| window == record).map(|(at, _)| at).collect();
    places.iter().for_each(|at| file[at + 40] ^= 1);
    sandbox.write("copy/store.redb", file);
    for command in ["build recipe.json --store copy", "ls --store copy", "verify --store copy --read-only"] {
        let code = if command.starts_with("verify") { 1 } else { 4 };
        let said = ["copied here while somebody wrote to it", "hint: copy it again while nobody uses it"];
        sandbox.run(command).exits(code).says(&said);
    }
    sandbox.run("import copy --store other").exits(4).says(&["copied here while somebody wrote to it"]);
    let repaired = sandbox.run("repair --rebuild --store copy");
    // It is another file now, and no copy.
    assert!(!repaired.stderr.contains("copied here"), "{}", repaired.stderr);
    let build = sandbox.run("build recipe.json --store copy --json").succeeds();
    assert_eq!(build.build().finish_of("one-all-reduce"), 43_000);
    sandbox.run("verify --store copy").succeeds();
}

#[test]
fn a_moved_store_is_the_same_store() {
    let sandbox = built();
    std::fs::rename(sandbox.path("store"), sandbox.path("moved")).unwrap();
    assert!(!sandbox.run("ls --store moved").succeeds().stderr.contains("copied"));
}

/// A small file system in memory, unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mut command = Command::new("mount");
        let mounted =
            command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        skipped("no file system can be mounted here");
        None
    }

    fn remount(&self, option: &str) {
        let option = format!("remount,{option}");
        assert!(Command::new("mount").args(["-o", &option]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_build_is_told_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let Some(disk) = Disk::mount(sandbox.path("disk"), "3m") else { return };
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", sizes("large", 1..1500));
    let failed = sandbox.run("build recipe.json --store disk/store").exits(4);
    let told = failed.stderr.lines().any(|line| line.starts_with("error: ") && line.contains("disk/store"));
    assert!(told && failed.stderr.contains("hint: free some space"), "{}", failed.stderr);
    // With room again, what was finished is there, and the numbers are those of a store that has always had room.
    disk.remount("size=200m");
    sandbox.run("verify --store disk/store").succeeds();
    let again = sandbox.run("build recipe.json --store disk/store --json").succeeds().build();
    assert!(again.steps.hit > 0, "nothing of what was finished was kept");
    let elsewhere = sandbox.build("");
    assert_eq!(again.results(), elsewhere.results());
    sandbox.run("verify --store disk/store").succeeds();
}

#[test]
fn a_store_on_read_only_media_works_for_what_is_known() {
    let sandbox = Sandbox::new();
    let Some(disk) = Disk::mount(sandbox.path("disk"), "50m") else { return };
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox.run("build recipe.json --store disk/store").succeeds();
    disk.remount("ro");
    sandbox
        .run("build recipe.json --store disk/store")
        .exits(4)
        .says(&["ead-only file system", "--read-only uses"]);
    let command = "build recipe.json --store disk/store --read-only --json";
    let build = finish(&mut sandbox.command(command)).succeeds().build();
    assert_eq!((build.steps.executed, build.finish_of("one-all-reduce")), (0, 43_000));
    for arguments in [
        "ls",
        "verify",
        "show one-all-reduce",
        "stats",
        "roots",
        "gc --dry-run",
        "doctor",
        "push remote",
        "export out",
    ] {
        sandbox.run(&format!("{arguments} --store disk/store --read-only")).succeeds();
    }
    let doctor = sandbox.run("doctor --store disk/store").exits(4);
    assert!(doctor.text().contains("--read-only uses what is in it"), "{}", doctor.text());
    // What was not closed cleanly cannot be put in order there.
    disk.remount("rw");
    sandbox.write("many.json", sizes("many", 1..1500));
    let mut build = sandbox.start("many.json --store disk/store");
    build.wait_for_executed(50);
    build.kill();
    disk.remount("ro");
    for (arguments, code) in [("build recipe.json", 4), ("verify", 16)] {
        let refused = sandbox.run(&format!("{arguments} --store disk/store --read-only")).exits(code);
        refused.says(&["not closed cleanly", "hint: let somebody who may write there open the store once"]);
    }
    disk.remount("rw");
    sandbox.run("ls --store disk/store").succeeds();
    disk.remount("ro");
    sandbox.run("verify --store disk/store --read-only").succeeds();
}

#[test]
fn doctor_looks_at_the_surroundings_and_stats_at_the_use() {
    let sandbox = built();
    let checks = sandbox.run("doctor --json").succeeds().value();
    let names: Vec<&str> =
        checks["checks"].as_array().unwrap().iter().map(|check| check["check"].as_str().unwrap()).collect();
    for name in ["file system", "locks", "clock", "format", "opening"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(sandbox.run("doctor").succeeds().text().contains("they hold"));
    sandbox.write("store/store.redb", "damaged");
    assert!(sandbox.run("doctor").exits(4).text().contains("damaged"));

    let sandbox = built();
    let stats = || sandbox.run("stats --json").succeeds().value();
    let fresh = stats();
    assert_eq!((&fresh["hits"], &fresh["runs"]), (&0.into(), &6.into()));
    sandbox.build("");
    let used = stats();
    assert_eq!((&used["hits"], &used["runs"]), (&1.into(), &6.into()));
    assert!(used["dedup_ratio"].as_f64().unwrap() > 1.0, "four equal ranks are one blob: {used}");
    assert!(used["live_bytes"].as_u64() > Some(0) && used["free_bytes"].is_u64());
    // Collection adds up what the processes have left.
    sandbox.run("gc").succeeds();
    assert_eq!(stats()["hits"], used["hits"]);
    let left: Vec<_> = std::fs::read_dir(sandbox.path("store/tallies")).unwrap().collect();
    assert_eq!(left.len(), 1);
    assert!(sandbox.run("stats").succeeds().text().contains("1 known, 6 run"));
}
