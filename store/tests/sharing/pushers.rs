//! Processes that push to one directory at once, some of which die.

use super::{assert_whole, pull_actions, push_all};
use crate::harness::{Place, publish_a_build};
use crate::processes::second;
use artifact_store::remote::{DirectoryRemote, Remote};
use artifact_store::{ActionKey, Digest, HexPrefix, Options, Store};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

const PUSHERS: u64 = 8;

/// How many builds each has; most of them others have too.
const BUILDS: u64 = 12;

/// What a second process does: builds what overlaps with the others' and pushes it.
pub(crate) fn push_what_overlaps(store: &Store, notes: &Path) {
    let number = store.directory().file_name().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    for build in number..number + BUILDS {
        publish_a_build(store, "build", build * 10);
    }
    store.flush().unwrap();
    std::fs::write(notes.join(format!("{number} pushes")), "").unwrap();
    let remote = DirectoryRemote::create(notes.join("remote")).unwrap();
    let report = push_all(store, &remote);
    assert_eq!((report.left_out.len(), report.disagreements.len()), (0, 0));
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files
}

#[test]
fn eight_processes_push_to_one_directory_and_the_killed_go_on() {
    let place = Place::new();
    let notes = place.beside("notes");
    let start = |number: u64| -> Child {
        second("push what overlaps", &notes.join("stores").join(number.to_string()), &notes).spawn().unwrap()
    };
    std::fs::create_dir_all(notes.join("stores")).unwrap();
    let mut kills = 0;
    let mut children: Vec<Child> = (0..PUSHERS).map(start).collect();
    // Kills each once, most while they push, after different times, and starts it again.
    for number in 0..PUSHERS {
        let child = &mut children[usize::try_from(number).unwrap()];
        while !notes.join(format!("{number} pushes")).exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(number * 5));
        kills += u64::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        *child = start(number);
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    eprintln!("{kills} of {PUSHERS} processes were killed before they were done");
    assert!(kills > 0, "none was killed at work");

    // What they all have built, by itself.
    let here = Place::new();
    let store = here.open();
    let (mut blobs, mut actions) = (BTreeSet::<Digest>::new(), BTreeSet::<ActionKey>::new());
    for build in 0..PUSHERS + BUILDS - 1 {
        let (digests, keys) = publish_a_build(&store, "build", build * 10);
        blobs.extend(digests);
        actions.extend(keys);
    }
    let remote = DirectoryRemote::open(notes.join("remote")).unwrap();
    let expected: Vec<ActionKey> = actions.iter().copied().collect();
    assert_eq!(remote.list_actions().unwrap().unwrap(), expected, "an action is lost");
    assert_eq!(files_below(&notes.join("remote/actions")).len(), actions.len(), "an action is there twice");
    assert_eq!(files_below(&notes.join("remote/blobs")).len(), blobs.len(), "a blob is lost or there twice");

    let there = Place::new();
    let fresh = Store::open(there.path(), &Options::default()).unwrap();
    let report = pull_actions(&fresh, &remote, &expected);
    assert_eq!(report.left_out, []);
    assert_whole(&fresh, &expected, &blobs.into_iter().collect::<Vec<_>>());
    assert_eq!(fresh.list_actions(&HexPrefix::ALL).unwrap(), expected);
}
