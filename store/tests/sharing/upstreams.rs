//! Asking remotes during a build.

use super::{fresh, push_all, two_builds};
use crate::harness::plain_step;
use artifact_store::remote::{DirectoryRemote, MemoryRemote, PullOptions, Upstream};
use artifact_store::{ActionKey, ErrorKind};
use std::sync::Arc;

#[test]
fn what_an_upstream_has_becomes_a_hit_and_the_rest_stays_a_miss() {
    let (_there, other) = fresh();
    let (tops, actions, _) = two_builds(&other);
    let (first, second) = (MemoryRemote::new(), MemoryRemote::new());
    push_all(&other, &first);
    other.publish(plain_step("only in the second", b"2"));
    push_all(&other, &second);
    let in_second = ActionKey::of_preimage(b"only in the second");
    let nowhere = ActionKey::of_preimage(b"nowhere");

    let (_here, store) = fresh();
    let upstream = Upstream::new(vec![Arc::new(first), Arc::new(second)], PullOptions::default());
    let fetched = upstream.fetch(&store, &[tops[0], in_second, nowhere]).unwrap();
    assert_eq!(fetched.found, [tops[0], in_second]);
    assert!(fetched.failed.is_empty() && fetched.left_out.is_empty());
    for key in actions[..3].iter().chain([&in_second]) {
        assert!(store.hit(key).unwrap().is_some());
    }
    assert!(store.hit(&nowhere).unwrap().is_none());
}

#[test]
fn an_upstream_that_fails_is_named_once_and_not_asked_again() {
    let (_there, other) = fresh();
    let (tops, ..) = two_builds(&other);
    let place = tempfile::tempdir().unwrap();
    let broken = DirectoryRemote::create(place.path().join("broken")).unwrap();
    push_all(&other, &broken);
    let whole = MemoryRemote::new();
    push_all(&other, &whole);
    // The part that the entry would be in is no directory.
    let part = broken.directory().join("actions").join(&tops[0].to_string()[..2]);
    std::fs::remove_dir_all(&part).unwrap();
    std::fs::write(&part, "").unwrap();

    let (_here, store) = fresh();
    let upstream = Upstream::new(vec![Arc::new(broken), Arc::new(whole)], PullOptions::default());
    let fetched = upstream.fetch(&store, &tops[..1]).unwrap();
    assert_eq!(fetched.found, tops[..1], "the second was not asked");
    assert_eq!(fetched.failed.len(), 1);
    let (name, error) = &fetched.failed[0];
    assert!(name.ends_with("broken") && error.kind() == ErrorKind::Remote, "{error}");
    let fetched = upstream.fetch(&store, &[tops[0], tops[1]]).unwrap();
    assert!(fetched.failed.is_empty());
    assert_eq!(fetched.found.len(), 2);
}
