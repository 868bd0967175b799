//! What is left after a crash, and after an input or output that failed: everything that was acknowledged, and nothing
//! half done. The disk is made up, so that it can be cut at every sync.

mod disk;
mod script;

use crate::{ErrorKind, HexPrefix, Options, Store};
use disk::{Disk, Fault, Torn};
use script::{AT_ONCE, Acknowledged, script};
use std::path::Path;

fn open(directory: &Path, disk: &Disk) -> crate::Result<Store> {
    Store::open_with(directory, &Options::default(), &|path| crate::db::Db::on_made_up(path, disk.clone()))
}

/// A crash leaves its lease file behind, unlocked.
fn leave_lease(directory: &Path, lease: &[u8]) {
    let leases = directory.join("locks/leases");
    std::fs::create_dir_all(&leases).unwrap();
    std::fs::write(leases.join("1-dead-0"), lease).unwrap();
}

/// Opens what is left and looks at all of it.
fn check(what: &str, disk: &Disk, must_be_there: &Acknowledged, lease: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    leave_lease(directory.path(), lease);
    let store = open(directory.path(), disk).unwrap_or_else(|e| panic!("{what}: {e}"));
    check_store(what, &store, must_be_there);

    let plan = store.plan_collection(&AT_ONCE).unwrap();
    assert_eq!((plan.missing, &plan.unreadable[..]), (0, &[][..]), "{what}: a root needs what is not there");
    assert_eq!(plan.kept.leases.blobs.count, 0, "{what}: the lease of a dead process was honoured");
    assert_eq!(store.collect(plan).unwrap().dead_leases, 1, "{what}");
    check_store(what, &store, &must_be_there.rooted());
    store
        .publish(script::step("after the crash", &[7; 5_000]))
        .wait()
        .unwrap_or_else(|e| panic!("{what}: {e}"));
}

fn check_store(what: &str, store: &Store, must_be_there: &Acknowledged) {
    for blob in store.list_blobs(&HexPrefix::ALL).unwrap() {
        assert!(store.get(&blob.digest).unwrap().is_some(), "{what}: blob {} is damaged", blob.digest);
    }
    for key in store.list_actions(&HexPrefix::ALL).unwrap() {
        assert!(store.hit(&key).unwrap().is_some(), "{what}: record {key} names what is not there");
    }
    for key in &must_be_there.actions {
        assert!(store.hit(key).unwrap().is_some(), "{what}: action {key} was acknowledged and is gone");
    }
    for (name, target) in &must_be_there.roots {
        let root = store.root(name).unwrap();
        assert_eq!(root.map(|root| root.target), Some(*target), "{what}: the root {name} was acknowledged");
    }
    assert_eq!(store.damaged(), 0, "{what}");
}

#[test]
fn whatever_was_acknowledged_survives_a_crash_at_any_sync_and_nothing_is_half_done() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = open(directory.path(), &disk).unwrap();
    disk.record();
    let lease = script(&store, &disk).unwrap();
    drop(store);
    let recording = disk.recording();
    let syncs = recording.syncs();
    for sync in 0..=syncs {
        for torn in [Torn::Nothing, Torn::Everything, Torn::Some(1), Torn::Some(2), Torn::Some(3)] {
            let (left, acknowledged) = recording.cut(sync, torn);
            check(
                &format!("cut at sync {sync} of {syncs}, {torn:?} of what followed"),
                &left,
                &acknowledged,
                &lease,
            );
        }
    }
    println!("{syncs} syncs, each cut in 5 ways");
    assert!(syncs > 20, "only {syncs} syncs: the script does not do what it should");
}

#[test]
fn opening_after_a_crash_does_not_walk_through_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = open(directory.path(), &disk).unwrap();
    disk.record();
    for number in 0..2_000 {
        // Rows that lie in the pages of the tables themselves, which are what would be walked through.
        store.publish(script::step(&format!("step {number}"), &script::noise(400, number)));
    }
    store.flush().unwrap();
    let recording = disk.recording();
    let (left, _) = recording.cut(recording.syncs(), Torn::Nothing);
    let elsewhere = tempfile::tempdir().unwrap();
    let opened = open(elsewhere.path(), &left).unwrap();
    let read = left.bytes_read();
    let held = opened.stats().unwrap();
    assert_eq!(held.actions, 2_000);
    assert!(read * 10 < held.stored_bytes, "{read} bytes were read of {} that are stored", held.stored_bytes);
}

/// Runs the script on a disk that fails, which must be told; then the disk works again.
fn fails(fault: Fault) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = open(directory.path(), &disk).unwrap();
    disk.record();
    disk.fail(fault);
    let outcome = script(&store, &disk);
    drop(store);
    if !disk.has_failed() {
        return false;
    }
    let what = format!("{fault:?}");
    if let Err(error) = &outcome {
        let expected = [fault.kind(), ErrorKind::Io];
        assert!(expected.contains(&error.kind()), "{what}: {:?} {error}", error.kind());
        assert!(error.path().is_some(), "{what}: {error}");
    }
    disk.mend();
    let acknowledged = disk.recording().acknowledged();
    let lease = outcome.unwrap_or_else(|_| vec![0; 33]);
    check(&what, &disk, &acknowledged, &lease);
    true
}

#[test]
fn after_an_input_or_output_that_failed_the_error_is_told_and_the_store_opens_clean() {
    let mut failed = 0;
    // Every one of the first, which are those of one publication, and then some of each kind.
    for number in (0..40).chain((40..).step_by(29)) {
        if !fails(Fault::Once(number)) {
            break;
        }
        failed += 1;
    }
    println!("{failed} faults of one input or output");
    assert!(failed > 45, "only {failed} faults were met");
}

#[test]
fn after_the_disk_was_full_the_error_says_so_and_the_store_opens_clean() {
    let mut failed = 0;
    for number in (0..20).chain((20..).step_by(41)) {
        if !fails(Fault::FullFrom(number)) {
            break;
        }
        failed += 1;
    }
    println!("{failed} times full");
    assert!(failed > 20, "only {failed} faults were met");
}
