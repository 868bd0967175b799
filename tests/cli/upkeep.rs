//! Looking after a store: roots, pins, damage that is found and healed.

use serde_json::Value;

use crate::sandbox::{Finished, Sandbox, finish};
use crate::study::{ONE_ALL_REDUCE, RING_OF_4, with};

fn built() -> Sandbox {
    let sandbox = Sandbox::new();
    in_place(&sandbox, "");
    sandbox
}

/// The same recipe, built in a directory of the sandbox.
fn in_place(sandbox: &Sandbox, directory: &str) {
    sandbox.write(&format!("{directory}hardware.yaml"), RING_OF_4);
    sandbox.write(&format!("{directory}recipe.json"), ONE_ALL_REDUCE);
    sandbox.run(&format!("build {directory}recipe.json")).succeeds();
}

fn list(finished: &Finished, key: &str) -> Vec<Value> {
    finished.value()[key].as_array().unwrap().clone()
}

fn places(sandbox: &Sandbox) -> Vec<String> {
    let recipes = list(&sandbox.run("ls --json").succeeds(), "recipes");
    recipes.iter().map(|recipe| recipe["place"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn recipes_of_one_name_in_two_places_do_not_evict_each_other() {
    let sandbox = built();
    sandbox.write("b/hardware.yaml", RING_OF_4);
    sandbox.write("b/recipe.json", with(ONE_ALL_REDUCE, "1 MiB", "2 MiB"));
    sandbox.run("build b/recipe.json").succeeds();
    assert_eq!(sandbox.run("gc --grace 0 --json").succeeds().value()["dead"]["actions"]["count"], 0);
    assert_eq!(sandbox.build("").steps.executed, 0);
    assert_eq!(sandbox.run("build b/recipe.json --json").succeeds().build().steps.executed, 0);

    let places = places(&sandbox);
    assert_eq!(places.len(), 2);
    let ambiguous = sandbox.run("show one-all-reduce").exits(2);
    let ambiguous =
        ambiguous.says(&["2 recipes in different places", "b/recipe.json", &places[0], &places[1]]);
    assert_eq!(ambiguous.text(), "");
    let shown: Vec<Value> = places
        .iter()
        .map(|place| sandbox.run(&format!("show one-all-reduce@{} --json", &place[..4])).succeeds().value())
        .collect();
    assert_ne!(shown[0]["points"][0]["finish_ns"], shown[1]["points"][0]["finish_ns"]);
}

#[test]
fn a_recipe_has_one_place_however_its_path_is_written() {
    let sandbox = built();
    in_place(&sandbox, "b/");
    std::os::unix::fs::symlink(sandbox.path("b"), sandbox.path("c")).unwrap();
    for path in ["./recipe.json", "b/../recipe.json", "c/recipe.json"] {
        sandbox.run(&format!("build {path}")).succeeds();
    }
    assert_eq!(places(&sandbox).len(), 2);
    let roots = list(&sandbox.run("roots --json").succeeds(), "roots");
    let notes = roots.iter().filter(|root| root["note"].as_str().unwrap().ends_with("/b/recipe.json"));
    assert_eq!(notes.count(), 4);
}

#[test]
fn roots_lists_versions_with_what_each_needs_and_removes_by_name() {
    let sandbox = built();
    sandbox.write("recipe.json", with(ONE_ALL_REDUCE, "1 MiB", "2 MiB"));
    sandbox.build("");
    let roots = list(&sandbox.run("roots --json").succeeds(), "roots");
    let complete: Vec<&Value> =
        roots.iter().filter(|root| root["name"].as_str().unwrap().ends_with("/complete")).collect();
    assert_eq!(complete.iter().map(|root| root["back"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1]);
    assert!(complete.iter().all(|root| root["bytes"].as_u64().unwrap() > 1000));
    assert!(sandbox.run("roots").succeeds().text().contains("just now"));

    let name = complete[0]["name"].as_str().unwrap();
    sandbox.run(&format!("roots --remove {name}x")).exits(2).says(&["no root", "did you mean"]);
    sandbox.run(&format!("roots --remove {name}")).succeeds();
    assert!(!sandbox.run("roots").succeeds().text().contains("/complete"));
}

#[test]
fn what_is_pinned_stays_until_it_is_unpinned() {
    let sandbox = built();
    sandbox.run("pin one-all-reduce --name paper --reason submitted").succeeds();
    sandbox.run("pin one-all-reduce --name paper").exits(2).says(&["there is a pin `paper` already"]);
    let mut nameless = sandbox.command("pin one-all-reduce --name");
    finish(nameless.arg("")).exits(2).says(&["--name: a pin needs a name"]);
    for of_plugins in ["plugin/", "plugin/paper", "received-plugin/paper"] {
        sandbox.run(&format!("pin one-all-reduce --name {of_plugins}")).exits(2).says(&[
            &format!("--name: `{of_plugins}` would be the pin of a plugin"),
            "astra-store plugin add",
        ]);
    }
    sandbox.run("pin nonsense").exits(2).says(&["no recipe `nonsense`"]);
    sandbox.write("recipe.json", with(ONE_ALL_REDUCE, "1 MiB", "2 MiB"));
    sandbox.build("");
    sandbox.run("gc --grace 0").succeeds();
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    assert_eq!(sandbox.build("").steps.executed, 0);
    assert!(sandbox.run("roots").succeeds().text().contains("submitted"));

    sandbox.run("unpin papre").exits(2).says(&["no pin `papre`", "did you mean `paper`?"]);
    sandbox.run("unpin paper").succeeds();
    sandbox.write("recipe.json", with(ONE_ALL_REDUCE, "1 MiB", "2 MiB"));
    sandbox.build("");
    sandbox.run("gc --grace 0").succeeds();
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    assert!(sandbox.build("").steps.executed > 0);
}

#[test]
fn gc_gives_up_what_the_policy_says_and_tells_what_keeps_the_rest() {
    let sandbox = built();
    let result = sandbox.build("").points[0].result.clone().unwrap();
    let why = sandbox.run(&format!("gc --why {}", &result[..12])).succeeds();
    assert!(why.text().contains("is kept by the root `recipe/one-all-reduce/"), "{}", why.text());
    assert!(why.text().trim_end().ends_with(&format!("needs blob {result}")), "{}", why.text());

    let planned = sandbox.run("gc --dry-run --older-than 0 --grace 0 --json").succeeds().value();
    assert_eq!(planned["given_up"].as_array().unwrap().len(), 4);
    assert_eq!(planned["given_up"][0]["because"], "unused");
    let planned = sandbox.run("gc --dry-run --older-than 0 --grace 0").succeeds();
    assert!(planned.text().contains("kept 0 blobs and 0 records (0 B) for 0 roots"), "{}", planned.text());
    // Written a moment ago: the grace window keeps all of it.
    assert_eq!(sandbox.run("gc --older-than 0 --json").succeeds().value()["dead"]["blobs"]["count"], 0);
    sandbox.run("gc --max-size 10B --dry-run").succeeds().says(&["warning: ", "more than --max-size"]);
    for wrong in ["--grace 3months", "--max-size lots", "--keep-last 0", "--older-than -1", "--older-than 90"]
    {
        sandbox.run(&format!("gc {wrong}")).status.code().filter(|code| *code == 2).expect(wrong);
    }
}

/// Flips a bit in the middle of every place where the store's file has these bytes.
pub(crate) fn damage(sandbox: &Sandbox, bytes: &[u8]) {
    let mut file = sandbox.bytes("store/store.redb");
    let found: Vec<usize> =
        file.windows(bytes.len()).enumerate().filter(|(_, w)| *w == bytes).map(|(at, _)| at).collect();
    assert!(!found.is_empty(), "the bytes are not in the file");
    found.iter().for_each(|at| file[at + bytes.len() / 2] ^= 1);
    sandbox.write("store/store.redb", file);
}

#[test]
fn damage_is_found_named_and_healed_by_repair_and_the_build_that_it_names() {
    let sandbox = built();
    sandbox.run("verify").succeeds();
    assert!(sandbox.run("verify --quick").succeeds().text().contains("nothing wrong"));
    damage(&sandbox, b"recd\x01");
    let found = sandbox.run("verify --json");
    assert_eq!(found.status.code(), Some(1));
    let findings = list(&found, "findings");
    assert!(findings.iter().all(|f| f["trouble"] == "corrupt" && f["what"] == "action"), "{findings:?}");

    let repaired = sandbox.run("repair --json");
    assert_eq!(repaired.status.code(), Some(2), "{}", repaired.stderr);
    let value = repaired.value();
    // The description of a step is enough; that of decisions and of a whole build is not.
    let [removed, again] = ["removed", "made_again"].map(|what| value[what].as_array().unwrap().len());
    assert_eq!((removed, again), (2, 4));
    assert_eq!(findings.len(), removed + again);
    let remedy = value["remedies"][0].as_str().unwrap();
    assert!(remedy.starts_with("astra-store build /") && remedy.ends_with("/recipe.json"), "{remedy}");
    let aside = std::fs::read_dir(sandbox.path("store/quarantine")).unwrap().count();
    assert_eq!(aside, removed);

    let again = sandbox.build("");
    assert_eq!(again.finish_of("one-all-reduce"), 43_000);
    assert_eq!(again.steps.executed, 1, "the policy decides again");
    sandbox.run("verify --full").succeeds();
    sandbox.run("repair").succeeds();
}

#[test]
fn repair_simulates_again_what_was_lost() {
    let sandbox = built();
    // The name of the output, which only the record of the run has.
    damage(&sandbox, b"result.json");
    assert_eq!(sandbox.run("verify").status.code(), Some(1));
    let repaired = sandbox.run("repair --json").succeeds().value();
    assert_eq!(repaired["made_again"].as_array().unwrap().len(), 1, "{repaired}");
    assert_eq!(repaired["left"].as_array().unwrap().len(), 0, "{repaired}");
    sandbox.run("verify").succeeds();
    let build = sandbox.build("");
    assert_eq!((build.steps.executed, build.finish_of("one-all-reduce")), (0, 43_000));
}

#[test]
fn damage_is_healed_by_the_next_build_alone_with_the_same_numbers() {
    for bytes in [&b"recd\x01"[..], b"clos\x01", b"tree\x01"] {
        let sandbox = built();
        damage(&sandbox, bytes);
        // What the build needs is made again; the rest of the damage is found by who looks.
        let outcome = sandbox.build("");
        assert_eq!(outcome.finish_of("one-all-reduce"), 43_000);
        let found = sandbox.run("verify --quick --json");
        assert!(matches!(found.status.code(), Some(0..=3)), "{}", found.stderr);
        sandbox.run("repair");
        assert_eq!(sandbox.build("").finish_of("one-all-reduce"), 43_000);
    }
}

/// The store's file as it was made, and the file with each of its pages damaged in turn.
fn with_each_page_damaged(sandbox: &Sandbox, damage: impl Fn(&mut [u8]), mut then: impl FnMut(usize)) {
    let good = sandbox.bytes("store/store.redb");
    for page in 1..good.len() / 4096 {
        let mut bad = good.clone();
        damage(&mut bad[page * 4096..][..4096]);
        if bad != good {
            sandbox.write("store/store.redb", bad);
            then(page);
        }
    }
}

fn is_said_to_be_damaged(finished: Finished, what: &str) {
    let code = finished.status.code();
    assert!(
        matches!(code, Some(0 | 4)) && !finished.stderr.contains("panicked"),
        "{what}: {}",
        finished.stderr
    );
    if code == Some(4) {
        finished.says(&["damaged", "hint: "]);
    }
}

#[test]
fn whatever_page_is_damaged_commands_say_so_and_nothing_crashes() {
    let sandbox = built();
    let recipe = with(ONE_ALL_REDUCE, "1 MiB", "2 MiB");
    let mut refused = 0;
    // A leaf that claims to have more rows than it has: who commits would be aborted in the middle of cleaning up.
    let more_rows = |page: &mut [u8]| page[2] ^= if page[0] == 1 { 0xff } else { 0 };
    with_each_page_damaged(&sandbox, more_rows, |page| {
        let file = sandbox.bytes("store/store.redb");
        for command in ["ls", "stats", "build other.json", "gc --grace 0"] {
            sandbox.write("other.json", &recipe);
            sandbox.write("store/store.redb", &file);
            let finished = sandbox.run(command);
            refused += u32::from(finished.status.code() == Some(4));
            is_said_to_be_damaged(finished, &format!("{command}, page {page}"));
        }
        sandbox.write("store/store.redb", &file);
        let verified = sandbox.run("verify");
        assert!(matches!(verified.status.code(), Some(0..=3)), "page {page}: {}", verified.stderr);
    });
    assert!(refused > 0, "no page that was damaged mattered");
}

#[test]
fn what_a_zeroed_page_leaves_is_rebuilt_as_the_error_says() {
    let sandbox = built();
    let mut rebuilt = 0;
    with_each_page_damaged(
        &sandbox,
        |page| page.fill(0),
        |page| {
            let verified = sandbox.run("verify");
            let code = verified.status.code().unwrap();
            assert!(code <= 3, "page {page}: {}", verified.stderr);
            let doctor = sandbox.run("doctor --json");
            assert!(doctor.value()["checks"].as_array().unwrap().len() > 5, "page {page}");
            if code & 1 == 0 || !verified.stderr.contains("repair --rebuild") {
                return;
            }
            let repaired = sandbox.run("repair --rebuild");
            assert!(matches!(repaired.status.code(), Some(0 | 2)), "page {page}: {}", repaired.stderr);
            assert_eq!(sandbox.build("").finish_of("one-all-reduce"), 43_000);
            rebuilt += 1;
        },
    );
    assert!(rebuilt > 0, "no page that was damaged mattered");
}

#[test]
fn what_cannot_be_verified_has_a_code_of_its_own() {
    let sandbox = Sandbox::new();
    sandbox.run("verify").exits(16).says(&["there is no store here"]);
    sandbox.run("repair").exits(16).says(&["there is no store here"]);
    assert_eq!(sandbox.run("verify --sample 2").status.code(), Some(2));
    let sandbox = built();
    sandbox.write("store/FORMAT", "format 2\n");
    let old = sandbox.run("repair --rebuild").exits(16);
    old.says(&["there is no store of the current format to rebuild", "hint: ", "brings it up to date"]);
}
