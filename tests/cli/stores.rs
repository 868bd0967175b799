//! Directories that cannot be used as a store, and what is said about each.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::sandbox::{PROGRAM, Sandbox, finish, skipped};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, sizes, with};

fn built() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox.run("build recipe.json").succeeds();
    sandbox
}

const COMMANDS: [&str; 4] = ["build recipe.json", "ls", "show one-all-reduce", "gc"];

#[test]
fn a_store_of_a_newer_format_is_left_alone() {
    let sandbox = built();
    let format = sandbox.read("store/FORMAT");
    sandbox.write("store/FORMAT", with(&format, "format 3\n", "format 7\n"));
    let before = sandbox.files("store");
    for command in COMMANDS {
        let newer = ["store: this store has format 7", "formats up to 3", "hint: use a newer version"];
        sandbox.run(command).exits(4).says(&newer);
    }
    assert!(sandbox.files("store") == before);
    sandbox.write("store/FORMAT", format);
    assert_eq!(sandbox.build("").steps.executed, 0);
}

#[test]
fn a_format_file_that_says_nothing_is_told() {
    let sandbox = built();
    for nonsense in ["", "formt 1\n", "format one\n"] {
        sandbox.write("store/FORMAT", nonsense);
        sandbox.run("build recipe.json").exits(4).says(&["store/FORMAT: found ", "`format 3` was expected"]);
    }
}

#[test]
fn a_file_in_the_place_of_a_store_is_told_and_kept() {
    let sandbox = built();
    sandbox.write("taken", "a letter to a friend");
    for command in COMMANDS {
        sandbox.run(&format!("{command} --store taken")).exits(4).says(&["taken: ", "hint: "]);
    }
    assert_eq!(sandbox.read("taken"), "a letter to a friend");
}

#[test]
fn somebody_elses_directory_is_not_made_a_store() {
    let sandbox = built();
    sandbox.write("photos/cat.jpg", "meow");
    let foreign = ["photos: this is not a store", "cat.jpg", "hint: "];
    sandbox.run("build recipe.json --store photos").exits(4).says(&foreign);
    assert_eq!(sandbox.files("photos").len(), 1);
}

#[test]
fn a_damaged_store_file_is_told_and_not_overwritten() {
    let sandbox = built();
    let whole = sandbox.bytes("store/store.redb");
    let noise: Vec<u8> = (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let headless = [&noise[..512], &whole[512..]].concat();
    for damaged in [&noise[..], &[], &whole[..10_000], &headless[..]] {
        sandbox.write("store/store.redb", damaged);
        for command in COMMANDS {
            sandbox.run(command).exits(4).says(&["store/store.redb: ", "damaged", "hint: "]);
        }
        assert!(sandbox.bytes("store/store.redb") == damaged);
    }
    sandbox.write("store/store.redb", whole);
    assert_eq!(sandbox.build("").steps.executed, 0);
}

#[test]
fn a_store_whose_file_is_missing_is_told() {
    let sandbox = built();
    std::fs::remove_file(sandbox.path("store/store.redb")).unwrap();
    sandbox
        .run("build recipe.json")
        .exits(4)
        .says(&["store/store.redb: the file of the store is missing", "hint: "]);
}

#[test]
fn damage_in_the_middle_of_the_file_never_gives_a_wrong_result() {
    let sandbox = built();
    let whole = sandbox.bytes("store/store.redb");
    let mut survived = 0;
    for place in (4096..whole.len()).step_by(4096 * 2 + 511) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x40;
        sandbox.write("store/store.redb", damaged);
        let finished = sandbox.run("build recipe.json --json");
        match finished.status.code() {
            Some(0) => {
                survived += 1;
                assert_eq!(finished.build().finish_of("one-all-reduce"), 43_000, "byte {place}");
            }
            _ => drop(finished.exits(4).says(&["error: ", "damaged"])),
        }
    }
    assert!(survived > 0);
}

/// Runs the command as a user who owns nothing, or with this user when it is an ordinary one.
fn as_somebody_else(sandbox: &Sandbox, arguments: &str) -> Option<Command> {
    let command = sandbox.command(arguments);
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout != b"0\n" {
        return Some(command);
    }
    let drop_privileges = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let may_run = Command::new("setpriv").args(drop_privileges).args([PROGRAM, "--version"]).output();
    if !may_run.is_ok_and(|output| output.status.success()) {
        skipped("no second user to run the program as (setpriv)");
        return None;
    }
    let mut other = Command::new("setpriv");
    other.args(drop_privileges).arg(PROGRAM).args(arguments.split_whitespace());
    other.current_dir(sandbox.path("")).env("ASTRA_STORE", sandbox.path("store"));
    Some(other)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_store_that_may_not_be_written_is_told() {
    let sandbox = built();
    set_mode(&sandbox.path(""), 0o755);
    for path in walk_with_directories(&sandbox.path("store")) {
        set_mode(&path, if path.is_dir() { 0o555 } else { 0o444 });
    }
    let permission =
        ["store", "ermission denied", "hint: this user may not write to it: --read-only uses what is in it"];
    for arguments in COMMANDS {
        let Some(mut command) = as_somebody_else(&sandbox, arguments) else { return };
        finish(&mut command).exits(4).says(&permission);
    }
    for path in walk_with_directories(&sandbox.path("store")) {
        set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    assert_eq!(sandbox.build("").steps.executed, 0);
}

/// Runs a command on the store, read-only, as a user who may not write it.
fn reads(sandbox: &Sandbox, arguments: &str) -> Option<crate::sandbox::Finished> {
    as_somebody_else(sandbox, &format!("{arguments} --read-only")).map(|mut command| finish(&mut command))
}

#[test]
fn a_store_of_somebody_else_works_for_what_is_known() {
    let sandbox = built();
    sandbox.write("other.json", with(ONE_ALL_REDUCE, "1 MiB", "2 MiB"));
    set_mode(&sandbox.path(""), 0o755);
    for path in walk_with_directories(&sandbox.path("store")) {
        set_mode(&path, if path.is_dir() { 0o555 } else { 0o444 });
    }
    let before = sandbox.files("store");
    let commands = [
        "ls",
        "show one-all-reduce",
        "verify",
        "stats",
        "roots",
        "gc --dry-run",
        "doctor",
        "build recipe.json --dry-run",
    ];
    for arguments in commands {
        let Some(finished) = reads(&sandbox, arguments) else { return };
        finished.succeeds();
    }
    let build = reads(&sandbox, "build recipe.json --json").unwrap().succeeds().build();
    assert_eq!((build.steps.executed, build.finish_of("one-all-reduce")), (0, 43_000));
    let unknown = ["steps are not in the store", "open for reading only", "hint: "];
    reads(&sandbox, "build other.json").unwrap().exits(4).says(&unknown);
    for refused in ["gc", "pin one-all-reduce", "roots --remove x"] {
        reads(&sandbox, refused).unwrap().exits(4).says(&["open for reading only"]);
    }
    assert!(sandbox.files("store") == before);
}

#[test]
fn who_may_write_changes_nothing_either_when_reading_only_is_asked_for() {
    let sandbox = built();
    let before = sandbox.holdings();
    for (refused, code) in [
        ("gc", 4),
        ("pin one-all-reduce", 4),
        ("unpin x", 4),
        ("roots --remove x", 4),
        ("repair", 16),
        ("repair --rebuild", 16),
    ] {
        sandbox.run(&format!("{refused} --read-only")).exits(code).says(&["open for reading only"]);
    }
    let doctor = sandbox.run("doctor --read-only").succeeds();
    assert_eq!(doctor.text().matches("not tried").count(), 2, "{}", doctor.text());
    assert!(!sandbox.path("store/quarantine").exists());
    assert_eq!(sandbox.holdings(), before);
}

#[test]
fn reading_only_leaves_no_trace_where_it_could() {
    let sandbox = built();
    std::fs::remove_dir_all(sandbox.path("store/locks")).unwrap();
    let before = sandbox.files("store");
    for arguments in
        ["ls", "show one-all-reduce", "verify", "stats", "doctor", "build recipe.json", "export out"]
    {
        sandbox.run(&format!("{arguments} --read-only")).succeeds();
        assert!(sandbox.files("store") == before, "{arguments}");
    }
}

#[test]
fn a_store_that_was_not_closed_cleanly_is_read_or_refused_with_the_remedy() {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", crate::study::sizes("killed", 1..500));
    let mut build = sandbox.start("recipe.json");
    build.wait_for_executed(50);
    build.kill();
    set_mode(&sandbox.path(""), 0o755);
    for path in walk_with_directories(&sandbox.path("store")) {
        set_mode(&path, if path.is_dir() { 0o555 } else { 0o444 });
    }
    let Some(finished) = reads(&sandbox, "verify") else { return };
    if finished.status.code() != Some(0) {
        finished.exits(16).says(&["not closed cleanly", "open the store once"]);
    }
    for path in walk_with_directories(&sandbox.path("store")) {
        set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    sandbox.run("verify").succeeds();
    for path in walk_with_directories(&sandbox.path("store")) {
        set_mode(&path, if path.is_dir() { 0o555 } else { 0o444 });
    }
    reads(&sandbox, "verify").unwrap().succeeds();
}

/// The same by somebody who keeps to himself what he makes.
fn careful(command: &Command) -> Command {
    let mut careful = Command::new("sh");
    careful.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    careful.current_dir(command.get_current_dir().unwrap()).stdin(std::process::Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => careful.env(name, value),
            None => careful.env_remove(name),
        };
    }
    careful
}

#[test]
fn users_of_one_group_share_a_store_in_a_directory_for_it() {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox.write("other.json", with(ONE_ALL_REDUCE, "1 MiB", "2 MiB"));
    set_mode(&sandbox.path(""), 0o755);
    std::fs::create_dir(sandbox.path("shared")).unwrap();
    // As the group of the second user, where this one may give directories away.
    let given = std::os::unix::fs::chown(sandbox.path("shared"), None, Some(65_534));
    if given.is_err() {
        return skipped("no directory can be given to another group");
    }
    set_mode(&sandbox.path("shared"), 0o2775);
    let first = |arguments: &str| careful(&sandbox.command(&format!("{arguments} --store shared/store")));
    let second = |arguments: &str| {
        as_somebody_else(&sandbox, &format!("{arguments} --store shared/store"))
            .map(|command| careful(&command))
    };
    finish(&mut first("build recipe.json")).succeeds();
    // What comes first is made by one user, then by the other.
    for arguments in
        ["build other.json", "build recipe.json", "gc --grace 0", "verify", "repair --rebuild", "doctor"]
    {
        let Some(mut command) = second(arguments) else { return };
        finish(&mut command).succeeds();
        finish(&mut first(arguments)).succeeds();
    }
    // Both at once.
    sandbox.write("many.json", sizes("many", 1..300));
    let both = [first("build many.json --json"), second("build many.json --json").unwrap()];
    let [ours, theirs] =
        both.map(|build| sandbox.start_command(build)).map(|build| build.finish().succeeds().build());
    assert_eq!(ours.results(), theirs.results());
    assert_eq!(ours.steps.executed + theirs.steps.executed, 2 * 299 + 2, "each step once");
    // Whom one of them trusts, the other does.
    sandbox.run("key generate anna.key").succeeds();
    let shown = sandbox.run("key show anna.key").succeeds();
    finish(&mut first(&format!("trust add {} --name anna", shown.text().trim()))).succeeds();
    assert!(finish(&mut second("trust ls").unwrap()).succeeds().text().contains("anna"));
    for path in walk_with_directories(&sandbox.path("shared/store")) {
        let about = std::fs::metadata(&path).unwrap();
        let wanted = if about.is_dir() { 0o2070 } else { 0o060 };
        assert_eq!(about.permissions().mode() & wanted, wanted, "{}", path.display());
    }
    let ordinary = built();
    let mode = std::fs::metadata(ordinary.path("store/store.redb")).unwrap().permissions().mode();
    assert_eq!(mode & 0o002, 0, "a store that is nobody else's is not opened to others");
}

#[test]
fn users_of_one_group_push_to_one_remote_and_a_file_that_one_of_them_may_not_read_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox.write("other.json", with(ONE_ALL_REDUCE, "1 MiB", "2 MiB"));
    set_mode(&sandbox.path(""), 0o755);
    for (directory, mode) in [("shared", 0o2775), ("of-the-second", 0o777)] {
        std::fs::create_dir(sandbox.path(directory)).unwrap();
        if std::os::unix::fs::chown(sandbox.path(directory), None, Some(65_534)).is_err() {
            return skipped("no directory can be given to another group");
        }
        set_mode(&sandbox.path(directory), mode);
    }
    let first = |arguments: &str| finish(&mut careful(&sandbox.command(arguments)));
    let second = |arguments: &str| {
        as_somebody_else(&sandbox, &format!("{arguments} --store of-the-second/store"))
            .map(|command| finish(&mut careful(&command)))
    };
    first("build recipe.json").succeeds();
    finish(careful(&sandbox.command("push remote")).current_dir(sandbox.path("shared"))).succeeds();
    let Some(finished) = second("build other.json --push shared/remote") else { return };
    finished.succeeds();
    first("build other.json --upstream shared/remote --push shared/remote").succeeds();
    second("pull shared/remote").unwrap().succeeds();
    for path in walk_with_directories(&sandbox.path("shared/remote")) {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        let wanted = if path.is_dir() { 0o2770 } else { 0o444 };
        assert_eq!(mode & wanted, wanted, "{}: {mode:o}", path.display());
    }
    // What is for nobody else stays so.
    first("push own").succeeds();
    let mode = std::fs::metadata(sandbox.path("own")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");

    let blobs = walk_with_directories(&sandbox.path("shared/remote/blobs"));
    let blob = blobs.iter().find(|path| path.is_file()).unwrap();
    set_mode(blob, 0o000);
    // To a user who may read everything it is a blob like the others.
    let name = blob.file_name().unwrap().to_str().unwrap();
    let pulled = as_somebody_else(&sandbox, "pull shared/remote --store of-the-second/new --json");
    let pulled = finish(&mut pulled.unwrap()).exits(1).says(&[name, "ermission denied"]).value();
    assert!(pulled["actions"].as_u64() > Some(0), "{pulled}");
}

#[test]
fn a_place_that_may_not_be_entered_is_not_called_missing() {
    let sandbox = built();
    set_mode(&sandbox.path(""), 0o777);
    std::fs::create_dir_all(sandbox.path("closed/remote")).unwrap();
    set_mode(&sandbox.path("closed"), 0o000);
    for arguments in ["pull closed/remote", "build recipe.json --store own --upstream closed/remote"] {
        let Some(mut command) = as_somebody_else(&sandbox, arguments) else { break };
        finish(&mut command).exits(6).says(&["closed/remote", "ermission denied"]);
    }
    set_mode(&sandbox.path("closed"), 0o755);
}

#[test]
fn a_file_where_a_store_is_expected_is_told() {
    let sandbox = built();
    for arguments in ["ls", "build recipe.json", "ls --read-only", "gc"] {
        sandbox
            .run(&format!("{arguments} --store recipe.json"))
            .exits(4)
            .says(&["recipe.json: this is a file, expected the directory of a store"]);
    }
}

#[test]
fn a_store_that_may_not_be_looked_into_is_told() {
    let sandbox = built();
    set_mode(&sandbox.path(""), 0o755);
    set_mode(&sandbox.path("store"), 0o000);
    for arguments in COMMANDS {
        let Some(mut command) = as_somebody_else(&sandbox, arguments) else { break };
        finish(&mut command).exits(4).says(&["store", "ermission denied"]);
    }
    set_mode(&sandbox.path("store"), 0o755);
    assert_eq!(sandbox.build("").steps.executed, 0);
}

#[test]
fn a_store_that_may_not_be_made_is_told() {
    let sandbox = built();
    set_mode(&sandbox.path(""), 0o555);
    if let Some(mut command) = as_somebody_else(&sandbox, "build recipe.json --store new") {
        finish(&mut command).exits(4).says(&["error: new: cannot create the directory", "ermission denied"]);
    }
    set_mode(&sandbox.path(""), 0o755);
    assert!(!sandbox.path("new").exists());
}

#[test]
fn a_directory_for_files_that_may_not_be_written_is_told_and_the_build_is_kept() {
    let sandbox = built();
    sandbox.write("taken", "");
    sandbox.run("build recipe.json --out taken").exits(6).says(&["taken"]);
    assert_eq!(sandbox.build("").steps.executed, 0);
}

fn walk_with_directories(root: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![root.to_owned()];
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk_with_directories(&path)) } else { found.push(path) }
    }
    found
}
