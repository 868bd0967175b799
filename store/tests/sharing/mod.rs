//! Stores that travel: remotes, bundles, signatures. What is claimed of a remote is tried on every kind.

mod any_bytes;
mod bundles;
mod hostile_bundles;
mod hostile_remotes;
mod merging;
mod moving;
pub(crate) mod pushers;
mod remotes;
mod signatures;
mod upstreams;

use crate::harness::{Place, publish_a_build};
use artifact_store::remote::{
    DirectoryRemote, MemoryRemote, PullOptions, PullReport, PushOptions, PushReport, Remote, Selection, pull,
    push,
};
use artifact_store::{ActionKey, Digest, Store};

/// Runs a test on a fresh remote of every kind.
fn on_every_remote(test: impl Fn(&dyn Remote)) {
    test(&MemoryRemote::new());
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("remote");
    test(&DirectoryRemote::create(&path).unwrap());
    // And once more as another process sees it that comes later.
    drop(DirectoryRemote::open(&path).unwrap());
}

fn push_all(store: &Store, remote: &dyn Remote) -> PushReport {
    let all = Selection::everything(store).unwrap();
    push(store, &all, remote, &PushOptions::default(), &mut |_| {}).unwrap()
}

fn pull_actions(store: &Store, remote: &dyn Remote, keys: &[ActionKey]) -> PullReport {
    pull(store, &Selection::actions(keys), remote, &PullOptions::default(), &mut |_| {}).unwrap()
}

/// Two builds; gives the key of the action with the list of each, all actions, all blobs.
fn two_builds(store: &Store) -> (Vec<ActionKey>, Vec<ActionKey>, Vec<Digest>) {
    let (mut tops, mut actions, mut blobs) = (Vec::new(), Vec::new(), Vec::new());
    for (name, seed) in [("first", 1), ("second", 11)] {
        let (digests, keys) = publish_a_build(store, name, seed);
        tops.push(keys[2]);
        actions.extend(keys);
        blobs.extend(digests);
    }
    (tops, actions, blobs)
}

fn assert_whole(store: &Store, actions: &[ActionKey], blobs: &[Digest]) {
    for key in actions {
        assert!(store.hit(key).unwrap().is_some(), "action {key} is not whole");
        assert!(store.preimage(key).unwrap().is_some(), "action {key} has no description");
    }
    for digest in blobs {
        assert!(store.get(digest).unwrap().is_some(), "blob {digest} is not there");
    }
}

fn fresh() -> (Place, Store) {
    let place = Place::new();
    let store = place.open();
    (place, store)
}
