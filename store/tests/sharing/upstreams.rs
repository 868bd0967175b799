//! Asking remotes during a build.

use super::{fresh, push_all, two_builds};
use crate::harness::plain_step;
use artifact_store::remote::{
    ActionEntry, Deliver, DirectoryRemote, MemoryRemote, PullOptions, PutAction, Remote, Upstream, Wanted,
};
use artifact_store::trust::{PublicKey, Signature};
use artifact_store::{ActionKey, Blob, Digest, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Nobody has had enough.
static GO_ON: AtomicBool = AtomicBool::new(false);

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
    let fetched = upstream.fetch(&store, &[tops[0], in_second, nowhere], &GO_ON).unwrap();
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
    let fetched = upstream.fetch(&store, &tops[..1], &GO_ON).unwrap();
    assert_eq!(fetched.found, tops[..1], "the second was not asked");
    assert_eq!(fetched.failed.len(), 1);
    let (name, error) = &fetched.failed[0];
    assert!(name.ends_with("broken") && error.kind() == ErrorKind::Remote, "{error}");
    let fetched = upstream.fetch(&store, &[tops[0], tops[1]], &GO_ON).unwrap();
    assert!(fetched.failed.is_empty());
    assert_eq!(fetched.found.len(), 2);
}

#[test]
fn who_has_had_enough_asks_nothing_more_and_keeps_what_came() {
    let (_there, other) = fresh();
    let (tops, ..) = two_builds(&other);
    let remote = MemoryRemote::new();
    push_all(&other, &remote);
    let (_here, store) = fresh();
    let upstream = Upstream::new(vec![Arc::new(remote)], PullOptions::default());
    upstream.fetch(&store, &tops[..1], &GO_ON).unwrap();
    let fetched = upstream.fetch(&store, &tops, &AtomicBool::new(true)).unwrap();
    assert!(fetched.found.is_empty() && fetched.failed.is_empty());
    assert!(store.hit(&tops[0]).unwrap().is_some());
    // It has not failed, and may be asked again.
    assert_eq!(upstream.fetch(&store, &tops[1..], &GO_ON).unwrap().found, tops[1..]);
}

/// A remote during whose first answer with blobs somebody has had enough.
struct Tiring {
    remote: MemoryRemote,
    stop: Arc<AtomicBool>,
}

impl Remote for Tiring {
    fn name(&self) -> String {
        "a tiring remote".to_owned()
    }

    fn has_many(&self, digests: &[Digest]) -> Result<Vec<bool>> {
        self.remote.has_many(digests)
    }

    fn has_actions(&self, keys: &[ActionKey]) -> Result<Vec<bool>> {
        self.remote.has_actions(keys)
    }

    fn get_many(&self, wanted: &[Wanted], deliver: &mut Deliver<'_, Wanted>) -> Result<()> {
        self.remote.get_many(wanted, &mut |wanted, reply| {
            let delivered = deliver(wanted, reply);
            self.stop.store(true, Ordering::Relaxed);
            delivered
        })
    }

    fn get_actions(&self, keys: &[ActionKey], deliver: &mut Deliver<'_, ActionKey>) -> Result<()> {
        self.remote.get_actions(keys, deliver)
    }

    fn put_many(&self, _blobs: &[Blob]) -> Result<()> {
        unreachable!("an upstream is not written")
    }

    fn put_actions(&self, _entries: &[ActionEntry]) -> Result<Vec<PutAction>> {
        unreachable!("an upstream is not written")
    }

    fn get_signatures(&self, key: &ActionKey, signers: &[PublicKey]) -> Result<Vec<Signature>> {
        self.remote.get_signatures(key, signers)
    }

    fn put_signatures(&self, _key: &ActionKey, _signatures: &[Signature]) -> Result<()> {
        unreachable!("an upstream is not written")
    }

    fn list_actions(&self) -> Result<Option<Vec<ActionKey>>> {
        self.remote.list_actions()
    }

    fn flush(&self) -> Result<()> {
        unreachable!("an upstream is not written")
    }
}

#[test]
fn who_has_had_enough_in_the_middle_is_not_made_to_wait_for_the_rest() {
    let (_there, other) = fresh();
    let (tops, actions, _) = two_builds(&other);
    let remote = MemoryRemote::new();
    push_all(&other, &remote);
    let (_here, store) = fresh();
    let stop = Arc::new(AtomicBool::new(false));
    let tiring = Tiring { remote, stop: Arc::clone(&stop) };
    let upstream = Upstream::new(vec![Arc::new(tiring)], PullOptions::default());
    let fetched = upstream.fetch(&store, &tops, &stop).unwrap();
    assert!(fetched.found.is_empty() && fetched.failed.is_empty());
    assert!(actions.iter().all(|key| store.hit(key).unwrap().is_none()), "it went on");
    // It has not failed, and may be asked again.
    assert_eq!(upstream.fetch(&store, &tops, &GO_ON).unwrap().found, tops);
}
