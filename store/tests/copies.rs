//! Copies of a store's directory: of one that nobody uses, of one that is written to meanwhile, of a part of one.

use crate::harness::{Place, noise, plain_step, publish_a_build};
use crate::processes::start;
use artifact_store::bundle::import_dir;
use artifact_store::remote::PullOptions;
use artifact_store::{Depth, Error, ErrorKind, Finding, Notice, Options, Store, Trouble};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// So many copies are made while somebody writes.
const COPIES: usize = 5;

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

fn refused(directory: &Path) -> Error {
    let error = Store::open(directory, &Options::default()).map(|_| ()).expect_err("it was opened");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    error
}

fn assert_refused_as_a_copy(directory: &Path) {
    let error = refused(directory);
    assert!(error.to_string().contains("copied here while somebody wrote to it"), "{error}");
    assert!(error.hint_text().unwrap().contains("copy it again while nobody uses it"), "{error:?}");
}

/// Writes to a store, and checks that all of it is whole afterwards but what these say.
fn assert_can_be_written(store: &Store, known: &[Finding]) {
    let records = store.stats().unwrap().actions;
    for i in 0..50 {
        store.publish(plain_step(&format!("more {i}"), &noise(5000, 1_000_000 + i)));
    }
    let found = store.verify(Depth::Full).unwrap();
    assert_eq!((found.records, &found.findings[..]), (records + 50, known));
}

/// Removes what is damaged, and gives what is known to be missing then.
fn repaired(store: &Store) -> Vec<Finding> {
    store.repair(&store.verify(Depth::Full).unwrap().findings).unwrap();
    let left = store.verify(Depth::Full).unwrap().findings;
    assert!(left.iter().all(|finding| finding.trouble() != Trouble::Corrupt), "{left:?}");
    left
}

/// A process that writes until this is dropped.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_copy_that_is_made_while_a_process_writes_is_whole_or_refused_and_told_so() {
    let place = Place::new();
    let copies = place.beside("copies");
    let original = place.open();
    let writer = Writer(start("write until killed", &place.path(), &place.beside("notes")));
    let mut made = Vec::new();
    for i in 0..COPIES {
        let deadline = Instant::now() + Duration::from_secs(20);
        let before = original.stats().unwrap().actions;
        while original.stats().unwrap().actions < before + 200 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        made.push(copies.join(i.to_string()));
        copy(&place.path(), &made[i]);
    }
    drop(writer);
    let mut whole = 0;
    for copy in &made {
        match Store::open(copy, &place.options()) {
            Ok(store) => {
                whole += 1;
                assert_can_be_written(&store, &[]);
            }
            Err(_) => {
                assert_refused_as_a_copy(copy);
                // What the hint offers; what was in pages of two states is gone, and known to be.
                match Store::rebuild(copy, &place.options()) {
                    Ok(_) => {
                        let store = Store::open(copy, &place.options()).unwrap();
                        assert_can_be_written(&store, &repaired(&store));
                    }
                    Err(e) => assert!(e.hint_text().unwrap().contains("copy it here again"), "{e:?}"),
                }
            }
        }
    }
    eprintln!("{whole} of {COPIES} copies were whole, the rest was refused");
    assert!(place.notices().contains(&Notice::Moved));
}

/// A copy of a store with the beginning of its file from before and the rest from after further steps.
fn torn(place: &Place) -> PathBuf {
    let store = place.open();
    publish_a_build(&store, "early", 1);
    drop(store);
    let early = fs::read(place.path().join("store.redb")).unwrap();
    let store = place.open();
    for i in 0..300 {
        store.publish(plain_step(&format!("late {i}"), &noise(2000, i))).wait().unwrap();
    }
    drop(store);
    let copied = place.beside("copies").join("torn");
    copy(&place.path(), &copied);
    let mut file = fs::read(copied.join("store.redb")).unwrap();
    file[..4096].copy_from_slice(&early[..4096]);
    fs::write(copied.join("store.redb"), file).unwrap();
    copied
}

#[test]
fn a_copy_of_two_states_is_refused_to_everybody_and_changes_nothing() {
    let place = Place::new();
    let torn = torn(&place);
    assert_refused_as_a_copy(&torn);
    assert_refused_as_a_copy(&torn);
    let reading = Options { read_only: true, ..Options::default() };
    assert_eq!(Store::open(&torn, &reading).unwrap_err().kind(), ErrorKind::Corrupt);
    let other = Store::open(place.beside("other"), &Options::default()).unwrap();
    let error = import_dir(&other, &torn, &PullOptions::default(), &str::to_owned, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("copied here while somebody wrote to it"), "{error}");
    assert_eq!(other.stats().unwrap().actions, 0);
}

#[test]
fn a_copy_that_was_cut_is_refused_wherever_that_was() {
    let place = Place::new();
    let store = place.open();
    for i in 0..300 {
        store.publish(plain_step(&format!("step {i}"), &noise(20_000, i)));
    }
    drop(store);
    let whole = fs::read(place.path().join("store.redb")).unwrap();
    let copied = place.beside("copies").join("cut");
    copy(&place.path(), &copied);
    for part in 0..10 {
        fs::write(copied.join("store.redb"), &whole[..whole.len() * part / 10]).unwrap();
        let error = refused(&copied);
        assert!(error.to_string().contains("store.redb") && error.hint_text().is_some(), "{part}: {error:?}");
    }
    fs::remove_file(copied.join("store.redb")).unwrap();
    refused(&copied);
}

#[test]
fn a_copy_without_its_identity_is_verified_too_and_a_fresh_store_is_not() {
    let place = Place::new();
    publish_a_build(&place.open(), "recipe", 1);
    drop(place.open());
    assert_eq!(place.notices(), [], "nothing was copied");
    fs::remove_file(place.path().join("IDENTITY")).unwrap();
    drop(place.open());
    drop(place.open());
    assert_eq!(place.notices(), [Notice::Moved, Notice::VerifiedAfterMove { findings: 0 }]);
}
