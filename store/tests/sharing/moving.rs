//! Pushing and pulling: only what is missing moves, in an order that leaves nothing half there.

use super::{assert_whole, fresh, on_every_remote, pull_actions, push_all, two_builds};
use crate::harness::{Place, noise, only_blobs, plain_step, publish_a_build, step};
use artifact_store::remote::{
    ActionEntry, Deliver, DirectoryRemote, DryRun, MemoryRemote, PullOptions, PushOptions, PutAction, Remote,
    Selection, Wanted, pull, push,
};
use artifact_store::trust::{PublicKey, Signature};
use artifact_store::{ActionKey, Blob, Digest, Error, Found, OutputKind, Result};
use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};

#[test]
fn what_was_pushed_can_be_pulled_and_is_whole() {
    on_every_remote(|remote| {
        let (_here, store) = fresh();
        let (tops, actions, blobs) = two_builds(&store);
        let report = push_all(&store, remote);
        assert_eq!((report.blobs, report.actions), (10, 6));
        assert_eq!((report.left_out.len(), report.disagreements.len()), (0, 0));

        let (_there, other) = fresh();
        let report = pull_actions(&other, remote, &tops);
        assert_eq!((report.blobs, report.actions, report.left_out.len()), (10, 6, 0));
        assert_whole(&other, &actions, &blobs);
    });
}

#[test]
fn a_second_push_and_a_second_pull_move_nothing() {
    on_every_remote(|remote| {
        let (_here, store) = fresh();
        let (tops, actions, _) = two_builds(&store);
        push_all(&store, remote);
        let again = push_all(&store, remote);
        assert_eq!((again.blobs, again.bytes, again.actions), (0, 0, 0));
        assert_eq!(again.actions_there, actions.len() as u64);
        let (_there, other) = fresh();
        pull_actions(&other, remote, &tops);
        let again = pull_actions(&other, remote, &tops);
        assert_eq!((again.blobs, again.actions, again.actions_here), (0, 0, 2));
    });
}

#[test]
fn only_what_is_missing_moves() {
    on_every_remote(|remote| {
        let (_here, store) = fresh();
        publish_a_build(&store, "first", 1);
        push_all(&store, remote);
        // Shares a blob with the first.
        store.publish(plain_step("another step", &noise(6_000, 2)));
        let (_, new) = publish_a_build(&store, "second", 11);
        let report = push_all(&store, remote);
        assert_eq!((report.blobs, report.actions, report.actions_there), (5, 4, 3));
        let (_there, other) = fresh();
        pull_actions(&other, remote, &new[..1]);
        let report = pull_actions(&other, remote, &new);
        assert_eq!((report.actions, report.actions_here), (2, 1));
    });
}

#[test]
fn a_selection_brings_what_belongs_to_it_and_nothing_else() {
    on_every_remote(|remote| {
        let (_here, store) = fresh();
        two_builds(&store);
        let first = Selection::roots(&store, &["first"]).unwrap();
        let pushed = push(&store, &first, remote, &PushOptions::default(), &mut |_| {}).unwrap();
        assert_eq!((pushed.blobs, pushed.actions), (5, 3));
        let (_there, other) = fresh();
        let pulled = pull(&other, &first, remote, &PullOptions::default(), &mut |_| {}).unwrap();
        assert_eq!((pulled.blobs, pulled.actions, pulled.left_out.len()), (5, 3, 0));
        let error = Selection::roots(&store, &["third"]).unwrap_err().to_string();
        assert!(error.contains("no root `third`"), "{error}");

        let alone = Blob::new(*b"alone");
        store.publish(only_blobs(vec![alone.clone()]));
        let selection = Selection::blobs(&[alone.digest()]);
        assert_eq!(push(&store, &selection, remote, &PushOptions::default(), &mut |_| {}).unwrap().blobs, 1);
        assert_eq!(pull(&other, &selection, remote, &PullOptions::default(), &mut |_| {}).unwrap().blobs, 1);
    });
}

#[test]
fn progress_ends_with_what_the_report_says() {
    let (_here, store) = fresh();
    two_builds(&store);
    let remote = MemoryRemote::new();
    let mut last = None;
    let all = Selection::everything(&store).unwrap();
    let report = push(&store, &all, &remote, &PushOptions::default(), &mut |p| last = Some(*p)).unwrap();
    let pushed = last.take().unwrap();
    assert_eq!((pushed.blobs, pushed.bytes, pushed.actions), (report.blobs, report.bytes, report.actions));
    assert_eq!(pushed.actions_known, pushed.actions);
    assert!(pushed.bytes_per_second() > 0.0);
    let (_there, other) = fresh();
    let report = pull(&other, &all, &remote, &PullOptions::default(), &mut |p| last = Some(*p)).unwrap();
    let pulled = last.unwrap();
    assert_eq!((pulled.blobs, pulled.bytes, pulled.actions), (report.blobs, report.bytes, report.actions));
}

/// A remote that fails after so many calls that write, some of them half done.
struct Failing<'r> {
    remote: &'r dyn Remote,
    writes_left: AtomicI64,
}

impl Failing<'_> {
    fn write<T>(&self, half: impl FnOnce(), whole: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.writes_left.fetch_sub(1, Ordering::Relaxed) {
            1.. => whole(),
            0 => {
                half();
                Err("".parse::<Digest>().unwrap_err())
            }
            _ => panic!("used after it had failed"),
        }
    }
}

impl Remote for Failing<'_> {
    fn name(&self) -> String {
        "a failing remote".to_owned()
    }

    fn has_many(&self, digests: &[Digest]) -> Result<Vec<bool>> {
        self.remote.has_many(digests)
    }

    fn has_actions(&self, keys: &[ActionKey]) -> Result<Vec<bool>> {
        self.remote.has_actions(keys)
    }

    fn get_many(&self, wanted: &[Wanted], deliver: &mut Deliver<'_, Wanted>) -> Result<()> {
        self.write(|| {}, || self.remote.get_many(wanted, deliver))
    }

    fn get_actions(&self, keys: &[ActionKey], deliver: &mut Deliver<'_, ActionKey>) -> Result<()> {
        self.write(|| {}, || self.remote.get_actions(keys, deliver))
    }

    fn put_many(&self, blobs: &[Blob]) -> Result<()> {
        let half = || self.remote.put_many(&blobs[..blobs.len() / 2]).unwrap();
        self.write(half, || self.remote.put_many(blobs))
    }

    fn put_actions(&self, entries: &[ActionEntry]) -> Result<Vec<PutAction>> {
        let half = || drop(self.remote.put_actions(&entries[..entries.len() / 2]).unwrap());
        self.write(half, || self.remote.put_actions(entries))
    }

    fn get_signatures(&self, key: &ActionKey, signers: &[PublicKey]) -> Result<Vec<Signature>> {
        self.remote.get_signatures(key, signers)
    }

    fn put_signatures(&self, key: &ActionKey, signatures: &[Signature]) -> Result<()> {
        self.remote.put_signatures(key, signatures)
    }

    fn list_actions(&self) -> Result<Option<Vec<ActionKey>>> {
        self.remote.list_actions()
    }

    fn flush(&self) -> Result<()> {
        self.write(|| {}, || self.remote.flush())
    }
}

/// Tries `run` on remotes that fail at every call in turn, until one does not; says how many did.
fn fail_at_every_call(
    remote: impl Fn() -> MemoryRemote,
    run: impl Fn(&Failing<'_>, &MemoryRemote) -> Result<(), Error>,
) -> i64 {
    for calls in 0.. {
        let remote = remote();
        let failing = Failing { remote: &remote, writes_left: AtomicI64::new(calls) };
        if run(&failing, &remote).is_ok() {
            return calls;
        }
    }
    unreachable!("a push or pull has a finite number of calls")
}

#[test]
fn a_push_that_is_interrupted_anywhere_leaves_only_what_is_whole_and_goes_on() {
    let (_here, store) = fresh();
    let (_, actions, blobs) = two_builds(&store);
    let all = Selection::everything(&store).unwrap();
    let failures = fail_at_every_call(MemoryRemote::new, |failing, remote| {
        let outcome = push(&store, &all, failing, &PushOptions::default(), &mut |_| {});
        // Whatever has an entry has everything that belongs to it.
        let (_there, other) = fresh();
        let entries = remote.list_actions().unwrap().unwrap();
        let pulled = pull_actions(&other, remote, &entries);
        assert_eq!(pulled.left_out, []);
        assert_eq!(pulled.actions, entries.len() as u64);
        push_all(&store, remote);
        pull_actions(&other, remote, &actions);
        assert_whole(&other, &actions, &blobs);
        outcome.map(drop)
    });
    assert!(failures >= 8, "only {failures} places were tried");
}

#[test]
fn a_pull_that_is_interrupted_anywhere_leaves_only_what_is_whole_and_goes_on() {
    let (_here, store) = fresh();
    let (tops, actions, blobs) = two_builds(&store);
    let pushed = || {
        let remote = MemoryRemote::new();
        push_all(&store, &remote);
        remote
    };
    let failures = fail_at_every_call(pushed, |failing, remote| {
        let (place, other) = fresh();
        let outcome =
            pull(&other, &Selection::actions(&tops[..]), failing, &PullOptions::default(), &mut |_| {});
        for key in other.list_actions(&artifact_store::HexPrefix::ALL).unwrap() {
            assert!(other.hit(&key).unwrap().is_some(), "action {key} came without what belongs to it");
        }
        drop(other);
        let other = place.open();
        pull_actions(&other, remote, &tops);
        assert_whole(&other, &actions, &blobs);
        outcome.map(drop)
    });
    assert!(failures >= 4, "only {failures} places were tried");
}

#[test]
fn an_entry_that_differs_is_reported_with_both_and_stays() {
    on_every_remote(|remote| {
        let ((_here, store), (_there, other)) = (fresh(), fresh());
        store.publish(plain_step("step", b"ours"));
        other.publish(plain_step("step", b"theirs"));
        push_all(&other, remote);
        let report = push_all(&store, remote);
        assert_eq!((report.actions, report.disagreements.len()), (0, 1));
        let disagreement = &report.disagreements[0];
        assert_eq!(disagreement.ours.outputs["0"].digest, Digest::of(b"ours"));
        assert_eq!(disagreement.theirs.outputs["0"].digest, Digest::of(b"theirs"));
        let text = disagreement.to_string();
        for part in ["is not deterministic: output `0` is", "(run on here)", &remote.name()] {
            assert!(text.contains(part), "{text}");
        }
        // A pull reports it too, and what is whole here stays.
        let options = PullOptions { compare_all: true, ..PullOptions::default() };
        let key = disagreement.key;
        let report = pull(&store, &Selection::actions([key]), remote, &options, &mut |_| {}).unwrap();
        assert_eq!((report.disagreements.len(), report.actions), (1, 0));
        assert_eq!(store.hit(&key).unwrap().unwrap().outputs["0"].digest, Digest::of(b"ours"));
    });
}

#[test]
fn a_push_that_rechecks_brings_back_what_the_remote_has_lost() {
    let (_here, store) = fresh();
    let (_, actions, blobs) = two_builds(&store);
    let remote = MemoryRemote::new();
    push_all(&store, &remote);
    remote.lose(blobs[1].as_bytes());
    assert_eq!(push_all(&store, &remote).blobs, 0, "an entry stands for what is below it");
    let all = Selection::everything(&store).unwrap();
    let options = PushOptions { recheck: true, ..PushOptions::default() };
    let report = push(&store, &all, &remote, &options, &mut |_| {}).unwrap();
    assert_eq!((report.blobs, report.actions, report.left_out.len()), (1, 0, 0));
    let (_there, other) = fresh();
    pull_actions(&other, &remote, &actions);
    assert_whole(&other, &actions, &blobs);
}

#[test]
fn a_push_that_verifies_replaces_what_is_damaged_in_the_remote() {
    let (_place, store) = fresh();
    let (tops, _, blobs) = two_builds(&store);
    let remote = MemoryRemote::new();
    push_all(&store, &remote);
    remote.tamper(blobs[1].as_bytes(), |bytes| bytes[3] ^= 1);
    remote.tamper(blobs[4].as_bytes(), |bytes| bytes.truncate(5));
    remote.lose(blobs[2].as_bytes());
    let all = Selection::everything(&store).unwrap();
    let push_with = |options: &PushOptions, remote: &dyn Remote| {
        push(&store, &all, remote, options, &mut |_| {}).unwrap()
    };
    let verify = PushOptions { verify: true, ..PushOptions::default() };
    let report = push_with(&verify, &remote);
    let mended: HashSet<Digest> = report.mended.into_iter().collect();
    assert_eq!((mended, report.blobs, report.left_out), ([blobs[1], blobs[4]].into(), 3, vec![]));
    assert_eq!(push_with(&verify, &remote).blobs, 0);
    let (_other_place, other) = fresh();
    assert_eq!(pull_actions(&other, &remote, &tops).left_out, []);
    assert_whole(&other, &tops, &blobs);
}

#[test]
fn what_is_not_whole_here_is_not_pushed_and_named() {
    let place = Place::new();
    let store = place.open();
    let (digests, keys) = publish_a_build(&store, "build", 1);
    store.publish(plain_step("whole", b"whole")).wait().unwrap();
    drop(store);
    crate::harness::damage(&place, &noise(6_000, 2)[..100]);
    let store = place.open();
    let remote = MemoryRemote::new();
    let report = push_all(&store, &remote);
    let left_out: Vec<Found> = report.left_out.iter().map(|refusal| refusal.what).collect();
    assert_eq!(left_out, [Found::Action(keys[0]), Found::Action(keys[2])]);
    assert!(report.left_out[0].to_string().contains(&digests[1].to_string()), "{}", report.left_out[0]);
    assert!(report.left_out[1].to_string().contains(&format!("it lists action {}", keys[0])));
    assert_eq!(report.actions, 2);
}

#[test]
fn lists_that_list_each_other_are_left_out() {
    let (_here, store) = fresh();
    let closure = |of: &str| {
        Blob::new(artifact_store::Closure::new(vec![ActionKey::of_preimage(of.as_bytes())], vec![]).encode())
    };
    for (own, other) in [("a", "b"), ("b", "a"), ("self", "self")] {
        store.publish(step(own, vec![(closure(other), OutputKind::Closure)]));
    }
    let report = push_all(&store, &MemoryRemote::new());
    assert_eq!((report.actions, report.left_out.len()), (1, 2));
    assert!(report.left_out[0].why.contains("lists an action that lists it"), "{}", report.left_out[0]);
}

#[test]
fn a_dry_run_says_what_a_push_would_move_and_moves_nothing() {
    let (_here, store) = fresh();
    two_builds(&store);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("remote");
    push(
        &store,
        &Selection::roots(&store, &["first"]).unwrap(),
        &DirectoryRemote::create(&path).unwrap(),
        &PushOptions::default(),
        &mut |_| {},
    )
    .unwrap();
    let would = push_all(&store, &DryRun::new(DirectoryRemote::open(&path).unwrap()));
    let did = push_all(&store, &DirectoryRemote::open(&path).unwrap());
    assert_eq!((did.blobs, did.actions, did.actions_there), (5, 3, 3));
    assert_eq!(would, did);
}
