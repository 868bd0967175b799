//! Several processes on one store, some of which die.
//!
//! A second process is this test program again, told by its environment which part to play.

use crate::harness::{Place, collect, noise, plain_step};
use artifact_store::{ActionKey, Digest, HexPrefix, Options, OutputKind, Publication, Root, Store};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PART: &str = "STORE_TEST_PART";
const STORE: &str = "STORE_TEST_STORE";
const NOTES: &str = "STORE_TEST_NOTES";

pub(crate) fn second(part: &str, store: &Path, notes: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["processes::second_process", "--exact", "--nocapture"])
        .env(PART, part)
        .env(STORE, store)
        .env(NOTES, notes)
        .stdout(Stdio::null());
    command
}

pub(crate) fn start(part: &str, store: &Path, notes: &Path) -> Child {
    second(part, store, notes).spawn().unwrap()
}

/// Plays a part when started by another test; alone it does nothing.
#[test]
fn second_process() {
    let Ok(part) = std::env::var(PART) else { return };
    let directory = PathBuf::from(std::env::var(STORE).unwrap());
    if part == "be refused" {
        return crate::opening::must_be_refused(&directory);
    }
    let store = Store::open(directory, &Options::default()).unwrap();
    let notes = PathBuf::from(std::env::var(NOTES).unwrap());
    match part.as_str() {
        "run the steps" => run_the_steps(&store, &notes),
        "push what overlaps" => crate::sharing::pushers::push_what_overlaps(&store, &notes),
        "write until killed" => write_until_killed(&store),
        "collect until killed" => crate::kills::collect_until_killed(&store),
        "build 0" | "build 1" => crate::kills::build_until_killed(&store, &notes, &part["build ".len()..]),
        "claim and wait" => {
            let _session = store.session().unwrap();
            let _claim = store.claim(&ActionKey::of_preimage(b"claimed")).unwrap().unwrap();
            std::fs::write(notes.join("claimed"), "").unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        other => panic!("there is no part {other:?}"),
    }
}

const STEPS: u64 = 150;

fn run_the_steps(store: &Store, notes: &Path) {
    let _session = store.session().unwrap();
    for i in 0..STEPS {
        let preimage = format!("step {i}");
        let key = ActionKey::of_preimage(preimage.as_bytes());
        while store.hit(&key).unwrap().is_none() {
            let Some(claim) = store.claim(&key).unwrap() else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            if store.hit(&key).unwrap().is_some() {
                break;
            }
            std::fs::write(notes.join(format!("{i} by {}", std::process::id())), "").unwrap();
            let step = plain_step(&preimage, &noise(1000, i));
            store.publish(Publication { claim: Some(claim), ..step });
        }
    }
    store.flush().unwrap();
}

#[test]
fn processes_that_need_the_same_steps_run_each_once() {
    let place = Place::new();
    let notes = place.beside("notes");
    let children: Vec<Child> = (0..3).map(|_| start("run the steps", &place.path(), &notes)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let ran = std::fs::read_dir(&notes).unwrap().count();
    assert_eq!(ran as u64, STEPS, "some step ran twice or never");
    let store = place.open();
    for i in 0..STEPS {
        let key = ActionKey::of_preimage(format!("step {i}").as_bytes());
        assert!(store.hit(&key).unwrap().is_some());
        assert!(store.get(&Digest::of(&noise(1000, i))).unwrap().is_some());
    }
}

#[test]
fn a_commit_of_one_process_is_seen_by_another_that_is_open() {
    let place = Place::new();
    let store = place.open();
    let key = ActionKey::of_preimage(b"step 149");
    assert_eq!(store.hit(&key).unwrap(), None);
    assert!(start("run the steps", &place.path(), &place.beside("notes")).wait().unwrap().success());
    assert!(store.hit(&key).unwrap().is_some());
    store.publish(plain_step("one more", b"output")).wait().unwrap();
    assert_eq!(store.stats().unwrap().actions, STEPS + 1);
}

fn write_until_killed(store: &Store) {
    let _session = store.session().unwrap();
    let first = store.stats().unwrap().actions;
    for i in first.. {
        let output = noise(usize::try_from(100 + (i * 7919) % 60_000).unwrap(), i);
        let root = Root::now(Digest::of(&output), OutputKind::Blob);
        let step = plain_step(&format!("step {i}"), &output);
        store.publish(Publication { roots: vec![("last".to_owned(), root)], ..step });
        if i % 50 == 0 {
            store.flush().unwrap();
        }
    }
}

#[test]
fn a_store_whose_writer_was_killed_is_whole() {
    let place = Place::new();
    drop(place.open());
    let mut before = 0;
    for round in 0..8u64 {
        let mut child = start("write until killed", &place.path(), &place.beside("notes"));
        // Killed only once it has written something, so that every round kills a writer at work.
        let deadline = Instant::now() + Duration::from_secs(60);
        let watcher = place.open();
        while watcher.stats().unwrap().actions == before && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(watcher);
        std::thread::sleep(Duration::from_millis(17 * round % 60));
        child.kill().unwrap();
        child.wait().unwrap();

        let store = place.open();
        let keys = store.list_actions(&HexPrefix::ALL).unwrap();
        assert!(keys.len() as u64 > before, "round {round}: the writer wrote nothing");
        before = keys.len() as u64;
        // Nothing is missing between the first step and the last: commits are whole and in order.
        for i in 0..before {
            let key = ActionKey::of_preimage(format!("step {i}").as_bytes());
            let record = store.hit(&key).unwrap().unwrap_or_else(|| panic!("step {i} of {before} is gone"));
            assert!(store.get(&record.outputs["0"].digest).unwrap().is_some(), "round {round}: step {i}");
        }
        let last = store.root("last").unwrap().unwrap();
        assert!(store.get(&last.target).unwrap().is_some(), "round {round}: the root's blob is gone");
    }
    assert_eq!(place.notices(), [], "something was damaged");
    eprintln!("{before} steps survived 8 kills");
}

#[test]
fn what_a_killed_process_held_is_free() {
    let place = Place::new();
    let notes = place.beside("notes");
    let store = place.open();
    let mut child = start("claim and wait", &place.path(), &notes);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !notes.join("claimed").exists() {
        assert!(Instant::now() < deadline, "the second process did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    let key = ActionKey::of_preimage(b"claimed");
    assert!(store.claim(&key).unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(store.claim(&key).unwrap().is_some());
    assert_eq!(collect(&store).dead_leases, 1, "the lease of the dead process is void");
}

#[test]
fn processes_that_make_a_store_at_once_make_one() {
    for _ in 0..3 {
        let place = Place::new();
        let notes = place.beside("notes");
        let children: Vec<Child> = (0..4).map(|_| start("run the steps", &place.path(), &notes)).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert_eq!(place.open().stats().unwrap().actions, STEPS);
    }
}
