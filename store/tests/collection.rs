//! Collection keeps what a root needs and removes the rest.

use crate::harness::{Place, noise, only_blobs, plain_step, publish_a_build, rooted, step};
use artifact_store::{Blob, Closure, ErrorKind, GcMode, Options, OutputKind, Publication, Store};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn gc_keeps_what_a_root_needs_and_removes_the_rest() {
    let place = Place::new();
    let store = place.open();
    let (live, live_keys) = publish_a_build(&store, "kept", 1);
    let (dead, dead_keys) = publish_a_build(&store, "replaced", 100);
    let (newer, newer_keys) = publish_a_build(&store, "replaced", 200);

    let report = store.gc(GcMode::Execute).unwrap();
    assert_eq!(report.roots, 2);
    assert_eq!((report.live_blobs.count, report.live_actions.count), (10, 6));
    assert_eq!((report.dead_blobs_amount.count, report.dead_actions_amount.count), (5, 3));
    assert_eq!(report.broken, 0);
    assert!(report.dead_blobs_amount.bytes > 300_000);

    let store = place.open();
    assert_eq!(store.missing(&[live, newer].concat()).unwrap(), []);
    assert_eq!(store.missing(&dead).unwrap(), dead);
    assert!(live_keys.iter().chain(&newer_keys).all(|key| store.hit(key).unwrap().is_some()));
    for key in &dead_keys {
        assert_eq!(store.record(key).unwrap(), None);
        assert_eq!(store.preimage(key).unwrap(), None);
        assert_eq!(store.provenance(key).unwrap(), None);
    }
    let again = store.gc(GcMode::Execute).unwrap();
    assert_eq!((again.dead_blobs.len(), again.dead_actions.len()), (0, 0));
}

#[test]
fn the_plan_is_what_is_executed() {
    let place = Place::new();
    let store = place.open();
    publish_a_build(&store, "recipe", 1);
    publish_a_build(&store, "recipe", 100);
    let before = store.stats().unwrap();
    let plan = store.gc(GcMode::Plan).unwrap();
    assert!(!plan.executed && plan.dead_blobs.len() == 5);
    assert_eq!(store.stats().unwrap(), before, "a plan changed something");
    let executed = store.gc(GcMode::Execute).unwrap();
    assert_eq!(artifact_store::GcReport { executed: true, ..plan }, executed);
}

#[test]
fn the_space_of_what_was_removed_is_used_again() {
    let place = Place::new();
    let store = place.open();
    let mut sizes = Vec::new();
    for round in 0..8 {
        store.publish(only_blobs(vec![Blob::new(noise(8 << 20, round))])).wait().unwrap();
        assert_eq!(store.gc(GcMode::Execute).unwrap().dead_blobs.len(), 1);
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
    store.gc(GcMode::Execute).unwrap();
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
    assert_eq!(store.gc(GcMode::Execute).unwrap().broken, 1);
}

#[test]
fn gc_waits_for_a_build_and_a_build_for_gc() {
    let place = Place::new();
    let (builder, collector) = (place.open(), place.open());
    let session = builder.session().unwrap();
    let second_session = place.open().session().unwrap();
    let finished = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            collector.gc(GcMode::Execute).unwrap();
            assert!(finished.load(Ordering::SeqCst), "collected while a build was running");
        });
        std::thread::sleep(Duration::from_millis(1_300));
        assert!(!collecting.is_finished());
        drop(second_session);
        builder.publish(plain_step("step", b"output")).wait().unwrap();
        finished.store(true, Ordering::SeqCst);
        drop(session);
    });
    let said: Vec<String> = place.notices().iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|line| line.starts_with("waiting for builds to finish")), "{said:?}");
    if cfg!(target_os = "linux") {
        let own = format!("process {}", std::process::id());
        assert!(said.iter().any(|line| line.contains(&own)), "{said:?}");
    }
}

#[test]
fn waiting_for_a_lock_ends_with_an_error_that_says_what_for() {
    let place = Place::new();
    let _session = place.open().session().unwrap();
    let hasty = Options { lock_timeout: Duration::from_millis(50), ..place.options() };
    let error = Store::open(place.path(), &hasty).unwrap().gc(GcMode::Plan).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("for builds to finish"), "{error}");
    assert!(error.hint_text().is_some());
}
