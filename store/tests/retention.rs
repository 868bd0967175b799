//! Which roots are kept, for how long, and what is said about it.

use crate::harness::{AT_ONCE, Place, collect, noise, only_blobs, plain_step, plan, publish_a_build, rooted};
use artifact_store::{
    ActionKey, Because, Blob, Compaction, ErrorKind, Found, GcPolicy, HexPrefix, Keeper, OutputKind, Pinned,
    Publication, Root, Store,
};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

const KEEP_TWO: GcPolicy = GcPolicy { keep_last: NonZeroUsize::new(2).unwrap(), ..AT_ONCE };

/// A root of 100,000 bytes, last set and used at that time.
fn root_of(store: &Store, name: &str, seed: u64, unix_ms: u64) -> Blob {
    let blob = Blob::new(noise(100_000, seed));
    let root = Root { updated_unix_ms: unix_ms, ..Root::now(blob.digest(), OutputKind::Blob) };
    let roots = vec![(name.to_owned(), root)];
    store.publish(Publication { roots, ..only_blobs(vec![blob.clone()]) }).wait().unwrap();
    blob
}

#[test]
fn what_was_written_within_the_grace_window_stays_with_what_it_needs() {
    let place = Place::new();
    let store = place.open();
    let old = Blob::new(noise(100, 1));
    store.publish(only_blobs(vec![old.clone()])).wait().unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    let between = Instant::now();
    // Young, and names what is old.
    let young = crate::harness::step("step", vec![(old.clone(), OutputKind::Blob)]);
    store.publish(young).wait().unwrap();
    let lone = Blob::new(noise(100, 2));
    store.publish(only_blobs(vec![lone.clone()])).wait().unwrap();
    // However long the publications took, it begins between the old and the young.
    let grace = GcPolicy { grace: between.elapsed() + Duration::from_secs(1), ..AT_ONCE };
    let plan = store.plan_collection(&grace).unwrap();
    assert_eq!((plan.dead.blobs.count, plan.kept.grace), (0, plan.live));
    assert_eq!(plan.why(&Found::Blob(lone.digest())).unwrap().unwrap().keeper, Keeper::Young);
    store.collect(plan).unwrap();
    assert_eq!(store.missing(&[old.digest(), lone.digest()]).unwrap(), []);
    std::thread::sleep(grace.grace);
    let later = store.plan_collection(&grace).unwrap();
    assert_eq!((later.dead.blobs.count, later.dead.actions.count), (2, 1));
    assert_eq!(store.plan_collection(&GcPolicy::default()).unwrap().dead.blobs.count, 0, "a day by default");
}

#[test]
fn a_root_keeps_as_many_of_its_targets_as_the_policy_says() {
    let place = Place::new();
    let store = place.open();
    let targets = [1, 2, 3].map(|n| root_of(&store, "recipe", n, n).digest());
    root_of(&store, "recipe", 3, 4);
    let versions: Vec<_> =
        store.root_versions().unwrap().into_iter().map(|v| (v.back, v.root.target)).collect();
    assert_eq!(
        versions,
        [(0, targets[2]), (1, targets[1]), (2, targets[0])],
        "setting it to the same is no change"
    );

    let plan = store.plan_collection(&KEEP_TWO).unwrap();
    let given_up: Vec<_> = plan.given_up.iter().map(|g| (g.version.root.target, g.because)).collect();
    assert_eq!(given_up, [(targets[0], Because::Superseded)]);
    store.collect(plan).unwrap();
    assert_eq!(store.missing(&targets).unwrap(), [targets[0]]);
    assert_eq!(store.root_versions().unwrap().len(), 2);
    collect(&store);
    assert_eq!(store.missing(&targets).unwrap(), targets[..2]);
    assert_eq!(store.root("recipe").unwrap().unwrap().target, targets[2]);
}

#[test]
fn the_history_of_a_root_goes_with_it() {
    let place = Place::new();
    let store = place.open();
    for (n, name) in ["a", "a", "ab", "ab", "a"].into_iter().enumerate() {
        root_of(&store, name, n as u64, n as u64);
    }
    assert!(store.remove_root("a").unwrap());
    let names: Vec<_> = store.root_versions().unwrap().into_iter().map(|v| (v.name, v.back)).collect();
    assert_eq!(names, [("ab".to_owned(), 0), ("ab".to_owned(), 1)]);
}

#[test]
fn roots_that_were_not_used_for_long_are_given_up() {
    let place = Place::new();
    let store = place.open();
    root_of(&store, "old/x", 1, 1);
    let (now, kept) = (Root::now(Blob::new([]).digest(), OutputKind::Blob).updated_unix_ms, "new/x");
    root_of(&store, kept, 2, now);
    let policy = GcPolicy { older_than: Some(Duration::from_secs(3600)), ..AT_ONCE };
    let plan = store.plan_collection(&policy).unwrap();
    assert_eq!(plan.given_up.iter().map(|g| g.because).collect::<Vec<_>>(), [Because::Unused]);
    assert_eq!(store.collect(plan).unwrap().given_up, 1);
    let names: Vec<String> = store.roots().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [kept]);
    assert_eq!(store.stats().unwrap().blobs, 1);
}

#[test]
fn the_least_recently_used_roots_go_until_the_rest_fits() {
    let place = Place::new();
    let store = place.open();
    let blobs = [1, 2, 3, 4].map(|n| root_of(&store, &format!("{n}/x"), n, 10 * n).digest());
    // Used last, though set first.
    drop(place.open().root("1/x").unwrap());
    let policy = GcPolicy { max_bytes: Some(250_000), ..AT_ONCE };
    let plan = store.plan_collection(&policy).unwrap();
    assert_eq!((plan.over_max, plan.given_up.len(), plan.dead.blobs.count), (None, 2, 2));
    assert!(plan.given_up.iter().all(|g| g.because == Because::TooLarge));
    store.collect(plan).unwrap();
    assert_eq!(store.missing(&blobs).unwrap(), blobs[1..3]);
    assert_eq!(store.list_blobs(&HexPrefix::ALL).unwrap().len(), 2);
}

#[test]
fn a_limit_below_what_cannot_be_given_up_is_said() {
    let place = Place::new();
    let (store, builder) = (place.open(), place.open());
    let [pinned, leased, last] = [1, 2, 3].map(|n| root_of(&store, &format!("{n}/x"), n, n).digest());
    store.pin("keep", Pinned::Output(OutputKind::Blob, pinned), "for the paper").unwrap();
    let session = builder.session().unwrap();
    assert!(builder.get(&leased).unwrap().is_some());
    let plan = store.plan_collection(&GcPolicy { max_bytes: Some(150_000), ..AT_ONCE }).unwrap();
    assert_eq!((plan.kept.pins.blobs.bytes, plan.kept.leases.blobs.bytes), (100_000, 100_000));
    assert_eq!(plan.kept.roots.blobs.bytes, 100_000, "the root that was used last stays");
    assert_eq!(plan.over_max, Some(plan.live.bytes() - 150_000));
    store.collect(plan).unwrap();
    assert_eq!(store.missing(&[pinned, leased, last]).unwrap(), []);
    drop(session);
}

#[test]
fn a_pin_keeps_until_it_is_removed_and_says_why() {
    let place = Place::new();
    let store = place.open();
    let (blobs, keys) = publish_a_build(&store, "recipe", 1);
    store.pin("paper", Pinned::Action(keys[0]), "figure 3").unwrap();
    assert!(store.remove_root("recipe").unwrap());
    let policy = GcPolicy { older_than: Some(Duration::ZERO), max_bytes: Some(0), ..AT_ONCE };
    store.collect(store.plan_collection(&policy).unwrap()).unwrap();
    // The tree and its leaf.
    assert_eq!(store.missing(&blobs).unwrap(), [blobs[0], blobs[2], blobs[4]]);
    assert!(store.hit(&keys[0]).unwrap().is_some());
    let pins = store.pins().unwrap();
    assert_eq!((pins.len(), &pins[0].0[..], &pins[0].1.note[..]), (1, "paper", "figure 3"));
    let why = plan(&store).why(&Found::Blob(blobs[1])).unwrap().unwrap();
    assert_eq!((why.keeper.to_string(), why.path.len()), ("the pin `paper`".to_owned(), 4));

    assert!(store.unpin("paper").unwrap() && !store.unpin("paper").unwrap());
    collect(&store);
    assert_eq!(store.stats().unwrap().blobs, 0);
}

#[test]
fn what_is_not_there_cannot_be_pinned_or_explained() {
    let place = Place::new();
    let store = place.open();
    let (gone, key) = (Blob::new(&b"gone"[..]).digest(), ActionKey::of_preimage(b"never run"));
    for what in [Pinned::Output(OutputKind::Blob, gone), Pinned::Action(key)] {
        let error = store.pin("pin", what, "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("so it cannot be pinned"), "{error}");
    }
    store.publish(plain_step("step", b"output")).wait().unwrap();
    let there = Pinned::Action(ActionKey::of_preimage(b"step"));
    assert_eq!(store.pin("pin", there, "two\nlines").unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.pins().unwrap(), []);
    let plan = plan(&store);
    assert!(plan.why(&Found::Blob(gone)).unwrap_err().to_string().contains("does not have blob"));
    assert_eq!(plan.why(&Found::Action(ActionKey::of_preimage(b"step"))).unwrap(), None);
}

#[test]
fn compaction_shrinks_the_file_or_names_who_has_it_open() {
    let place = Place::new();
    let store = place.open();
    for seed in 0..40 {
        store.publish(only_blobs(vec![Blob::new(noise(1 << 20, seed))]));
    }
    let kept = Blob::new(noise(1 << 20, 99));
    store.publish(rooted("kept", only_blobs(vec![kept.clone()]), &kept, OutputKind::Blob)).wait().unwrap();
    collect(&store);
    let Compaction::InUse(by) = Store::compact(place.path(), &place.options()).unwrap() else {
        panic!("it was rewritten while it was open");
    };
    if cfg!(target_os = "linux") {
        assert!(by.unwrap().contains(&format!("process {}", std::process::id())));
    }
    drop(store);
    let Compaction::Done { before, after } = Store::compact(place.path(), &place.options()).unwrap() else {
        panic!("nobody has it open");
    };
    assert!(before > 30 << 20 && after < 4 << 20, "{before} to {after}");
    assert!(place.open().get(&kept.digest()).unwrap().is_some());
    let nowhere = Store::compact(place.beside("empty"), &place.options()).unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NotAStore);
}
