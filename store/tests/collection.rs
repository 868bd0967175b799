//! Collection keeps what a root needs and removes the rest.

use crate::harness::{Place, collect, dead_blobs, noise, only_blobs, plan, publish_a_build, rooted, step};
use artifact_store::{Blob, Closure, Content, OutputKind, Publication};

#[test]
fn gc_keeps_what_a_root_needs_and_removes_the_rest() {
    let place = Place::new();
    let store = place.open();
    let (live, live_keys) = publish_a_build(&store, "kept", 1);
    let (dead, dead_keys) = publish_a_build(&store, "replaced", 100);
    let (newer, newer_keys) = publish_a_build(&store, "replaced", 200);

    let plan = plan(&store);
    assert_eq!((plan.roots, plan.missing), (2, 0));
    assert_eq!((plan.live.blobs.count, plan.live.actions.count), (10, 6));
    assert_eq!((plan.dead.blobs.count, plan.dead.actions.count), (5, 3));
    assert_eq!(plan.kept.roots, plan.live);
    assert!(plan.dead.blobs.bytes > 300_000);
    let (dead_content, given_up) = (plan.dead, plan.given_up.len() as u64);
    let report = store.collect(plan).unwrap();
    assert_eq!((report.removed, report.given_up), (dead_content, given_up));
    assert_eq!(report.spared, Content::default());

    let store = place.open();
    assert_eq!(store.missing(&[live, newer].concat()).unwrap(), []);
    assert_eq!(store.missing(&dead).unwrap(), dead);
    assert!(live_keys.iter().chain(&newer_keys).all(|key| store.hit(key).unwrap().is_some()));
    for key in &dead_keys {
        assert_eq!(store.record(key).unwrap(), None);
        assert_eq!(store.preimage(key).unwrap(), None);
        assert_eq!(store.provenance(key).unwrap(), None);
    }
    assert_eq!(collect(&store).removed, Content::default());
}

#[test]
fn the_plan_is_what_is_executed() {
    let place = Place::new();
    let store = place.open();
    publish_a_build(&store, "recipe", 1);
    publish_a_build(&store, "recipe", 100);
    let before = store.stats().unwrap();
    let (first, second) = (plan(&store), plan(&store));
    assert_eq!(dead_blobs(&first).len(), 5);
    assert_eq!(store.stats().unwrap(), before, "a plan changed something");
    assert_eq!(dead_blobs(&first), dead_blobs(&second));
    let dead = dead_blobs(&first);
    store.collect(first).unwrap();
    assert_eq!(store.missing(&dead).unwrap(), dead);
    assert_eq!(store.stats().unwrap().blobs, before.blobs - 5);
    // Made before the first was executed; there is nothing left to do.
    assert_eq!(store.collect(second).unwrap().removed, Content::default());
    assert_eq!(store.stats().unwrap().blobs, before.blobs - 5);
}

#[test]
fn gc_makes_room_also_where_uses_cannot_be_added_up() {
    let place = Place::new();
    let store = place.open();
    store.publish(only_blobs(vec![Blob::new(noise(100, 1))])).wait().unwrap();
    std::fs::create_dir_all(place.path().join("tallies/total.new")).unwrap();
    std::fs::write(place.path().join("tallies/one"), "").unwrap();
    assert_eq!(collect(&store).removed.blobs.count, 1);
}

#[test]
fn the_space_of_what_was_removed_is_used_again() {
    let place = Place::new();
    let store = place.open();
    let mut sizes = Vec::new();
    for round in 0..8 {
        store.publish(only_blobs(vec![Blob::new(noise(8 << 20, round))])).wait().unwrap();
        assert_eq!(collect(&store).removed.blobs.count, 1);
        sizes.push(store.stats().unwrap().file_bytes);
    }
    // A commit may need the old and the new pages at once, and the file grows in large steps.
    assert!(sizes.iter().all(|&size| size < 5 * (8 << 20)), "the file grows with every round: {sizes:?}");
}

#[test]
fn a_remembered_closure_is_looked_through_again_after_a_deletion() {
    let place = Place::new();
    let store = place.open();
    let (_, keys) = publish_a_build(&store, "recipe", 1);
    assert!(store.hit(&keys[2]).unwrap().is_some());
    store.flush().unwrap();
    // The root moves on, so everything of the first build goes.
    publish_a_build(&store, "recipe", 100);
    collect(&store);
    assert!(keys.iter().all(|key| store.hit(key).unwrap().is_none()));
    // The closure and its record come back, what they list does not.
    let closure = Blob::new(Closure::new(keys.clone(), vec![]).encode());
    store.publish(step("recipe all 1", vec![(closure, OutputKind::Closure)])).wait().unwrap();
    assert_eq!(store.hit(&keys[2]).unwrap(), None);
}

#[test]
fn gc_reports_what_a_root_needs_and_the_store_has_not() {
    let place = Place::new();
    let store = place.open();
    let gone = Blob::new(&b"never published"[..]);
    let publication = rooted("recipe", Publication::default(), &gone, OutputKind::Blob);
    store.publish(publication).wait().unwrap();
    assert_eq!(plan(&store).missing, 1);
    collect(&store);
}
