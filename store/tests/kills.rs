//! Two builders and a collector as processes that are killed again and again. Nothing that was acknowledged is lost.
//!
//! Ten seconds; `STORE_TEST_SECONDS` says how many else.

use crate::harness::{AT_ONCE, Place, collect, noise, plain_step, plan, rooted, step};
use crate::processes::start;
use artifact_store::{ActionKey, Blob, Closure, HexPrefix, OutputKind, Publication, Root, Store};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// Builds one build after the other, each of steps that other builds have too, and notes which it has rooted.
pub(crate) fn build_until_killed(store: &Store, notes: &Path, builder: &str) {
    let name = format!("builder/{builder}");
    let note = notes.join(builder);
    // The next after what was rooted, also if it was killed before it had noted it.
    let first = store.root(&name).unwrap().map_or(0, |root| root.note.parse::<u64>().unwrap() + 1);
    for number in first.. {
        let _session = store.session().unwrap();
        let mut keys = Vec::new();
        for seed in [number % 3, number % 7, 100 + number % 11] {
            keys.push(built(store, seed));
        }
        let closure = Blob::new(Closure::new(keys, vec![]).encode());
        let all = step(&format!("all {number}"), vec![(closure.clone(), OutputKind::Closure)]);
        let root = Root::now(closure.digest(), OutputKind::Closure).with_note(number.to_string());
        let publication = Publication { roots: vec![(name.clone(), root)], ..all };
        store.publish(publication).wait().unwrap();
        std::fs::write(note.with_extension("new"), number.to_string()).unwrap();
        std::fs::rename(note.with_extension("new"), &note).unwrap();
    }
}

/// The key of a step that has been run, by whomever.
fn built(store: &Store, seed: u64) -> ActionKey {
    let preimage = format!("step {seed}");
    let key = ActionKey::of_preimage(preimage.as_bytes());
    while store.hit(&key).unwrap().is_none() {
        let Some(claim) = store.claim(&key).unwrap() else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        if store.hit(&key).unwrap().is_none() {
            let publication = plain_step(&preimage, &noise(40_000, seed));
            store.publish(Publication { claim: Some(claim), ..publication });
        }
    }
    key
}

pub(crate) fn collect_until_killed(store: &Store) {
    loop {
        collect(store);
    }
}

#[test]
fn killing_builders_and_the_collector_again_and_again_loses_nothing_that_was_acknowledged() {
    let seconds = std::env::var("STORE_TEST_SECONDS").map_or(10, |seconds| seconds.parse().unwrap());
    let place = Place::new();
    let notes = place.beside("notes");
    drop(place.open());
    let parts = ["build 0", "build 1", "collect until killed"];
    let mut children: Vec<Child> = parts.iter().map(|part| start(part, &place.path(), &notes)).collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut kills = 0u64;
    // On a busy machine it may take a while until each has come to the end of a build between two kills.
    let has_built = |builder: &str| notes.join(builder).exists();
    while Instant::now() < end || !(has_built("0") && has_built("1")) {
        let random = noise(2, kills);
        std::thread::sleep(Duration::from_millis(30 + u64::from(random[0])));
        let victim = usize::from(random[1]) % children.len();
        assert!(children[victim].try_wait().unwrap().is_none(), "`{}` has failed", parts[victim]);
        children[victim].kill().unwrap();
        children[victim].wait().unwrap();
        children[victim] = start(parts[victim], &place.path(), &notes);
        kills += 1;
    }
    for mut child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    let store = place.open();
    let found = plan(&store);
    assert_eq!((found.missing, &found.unreadable[..]), (0, &[][..]));
    assert_eq!(found.kept.leases.blobs.count, 0, "the lease of a dead process was honoured");
    for blob in store.list_blobs(&HexPrefix::ALL).unwrap() {
        assert!(store.get(&blob.digest).unwrap().is_some(), "blob {} is damaged", blob.digest);
    }
    let mut builds = 0;
    for builder in ["0", "1"] {
        let acknowledged: u64 = std::fs::read_to_string(notes.join(builder)).unwrap().parse().unwrap();
        let root = store.root(&format!("builder/{builder}")).unwrap().unwrap();
        assert!(root.note.parse::<u64>().unwrap() >= acknowledged, "an acknowledged root was lost");
        builds += acknowledged;
    }
    for key in store.list_actions(&HexPrefix::ALL).unwrap() {
        assert!(store.hit(&key).unwrap().is_some(), "record {key} names what is not there");
    }
    store.collect(store.plan_collection(&AT_ONCE).unwrap()).unwrap();
    assert_eq!(std::fs::read_dir(place.path().join("locks/leases")).unwrap().count(), 0);
    println!("{kills} kills, {builds} builds");
    let after = Blob::new(&b"after all this"[..]);
    let publication = Publication { blobs: vec![after.clone()], ..Publication::default() };
    store.publish(rooted("after", publication, &after, OutputKind::Blob)).wait().unwrap();
}
