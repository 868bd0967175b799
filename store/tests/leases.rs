//! What a build relies on stays, also when a collection has already planned to remove it.

use crate::harness::{
    AT_ONCE, Place, SmallTree, collect, dead_blobs, noise, only_blobs, plain_step, plan, publish_a_build,
    rooted, step,
};
use artifact_store::{
    ActionKey, Blob, Closure, Content, Digest, Found, GcPolicy, Keeper, OutputKind, Publication, Root, Store,
};
use std::time::Duration;

/// A build that nothing needs any more.
fn with_a_dead_build(store: &Store) -> (Vec<Digest>, Vec<ActionKey>) {
    let dead = publish_a_build(store, "recipe", 1);
    assert!(store.remove_root("recipe").unwrap());
    dead
}

/// Everything of the build is there.
fn is_whole(store: &Store, (blobs, keys): &(Vec<Digest>, Vec<ActionKey>)) -> bool {
    store.missing(blobs).unwrap().is_empty() && keys.iter().all(|key| store.hit(key).unwrap().is_some())
}

#[test]
fn a_hit_leases_everything_behind_its_record_before_and_after_the_plan() {
    let place = Place::new();
    let (builder, collector) = (place.open(), place.open());
    let dead = with_a_dead_build(&builder);
    let session = builder.session().unwrap();
    let stale = plan(&collector);
    assert_eq!(dead_blobs(&stale).len(), 5);
    assert!(builder.hit(&dead.1[2]).unwrap().is_some());

    let report = collector.collect(stale).unwrap();
    assert_eq!(report.removed, Content::default());
    assert_eq!((report.spared.blobs.count, report.spared.actions.count), (5, 3));
    let fresh = plan(&collector);
    assert_eq!((fresh.dead, fresh.kept.leases), (Content::default(), fresh.live));
    let process = format!("process {}", std::process::id());
    let why = fresh.why(&Found::Blob(dead.0[1])).unwrap().unwrap();
    assert_eq!(why.keeper, Keeper::Lease(process));
    // The closure's own record, the closure, the record of the tree, the tree, and the leaf in it.
    let [tree_step, _, own] = [dead.1[0], dead.1[1], dead.1[2]].map(Found::Action);
    assert_eq!(
        why.path,
        [own, Found::Blob(dead.0[4]), tree_step, Found::Blob(dead.0[3]), Found::Blob(dead.0[1])]
    );
    collector.collect(fresh).unwrap();
    assert!(is_whole(&builder, &dead));

    drop(session);
    assert_eq!(collect(&collector).removed.blobs.count, 5);
}

#[test]
fn what_was_asked_for_before_it_came_is_kept_when_it_has_come() {
    let place = Place::new();
    let (first, second, collector) = (place.open(), place.open(), place.open());
    let output = Blob::new(noise(100, 1));
    first.publish(only_blobs(vec![output.clone()])).wait().unwrap();
    let waiting = second.session().unwrap();
    let new = step("step", vec![(output.clone(), OutputKind::Blob)]);
    let key = *new.action.as_ref().unwrap().key();
    assert_eq!(second.hit(&key).unwrap(), None);
    let stale = plan(&collector);
    assert_eq!(dead_blobs(&stale), [output.digest()]);

    // Relies on the blob, brings the record, and lets go of both.
    first.publish(new).wait().unwrap();
    drop(first);
    assert!(second.hit(&key).unwrap().is_some());
    collector.collect(stale).unwrap();
    assert!(second.hit(&key).unwrap().is_some());
    assert_eq!(second.missing(&[output.digest()]).unwrap(), []);
    drop(waiting);
}

#[test]
fn a_list_that_comes_back_during_a_collection_keeps_what_it_lists() {
    let place = Place::new();
    let (healer, builder, collector) = (place.open(), place.open(), place.open());
    let SmallTree { tree, leaf } = SmallTree::of(noise(5_000, 1));
    let whole = step("tree", vec![(tree.clone(), OutputKind::Tree)]);
    let key = *whole.action.as_ref().unwrap().key();
    healer.publish(Publication { blobs: vec![leaf.clone()], ..whole }).wait().unwrap();
    let session = builder.session().unwrap();
    assert_eq!(builder.hit(&key).unwrap(), None, "the tree is missing");
    let stale = plan(&collector);
    assert_eq!(dead_blobs(&stale), [leaf.digest()]);
    // The record stays as it was.
    healer.publish(only_blobs(vec![tree])).wait().unwrap();
    drop(healer);
    assert!(builder.hit(&key).unwrap().is_some());
    collector.collect(stale).unwrap();
    assert!(builder.hit(&key).unwrap().is_some());
    drop(session);
}

#[test]
fn a_root_that_is_set_after_the_plan_keeps_what_it_needs() {
    let place = Place::new();
    let (builder, collector) = (place.open(), place.open());
    let dead = with_a_dead_build(&builder);
    let stale = plan(&collector);
    let root = Root::now(dead.0[4], OutputKind::Closure);
    let publication = Publication { roots: vec![("again".to_owned(), root)], ..Publication::default() };
    builder.publish(publication).wait().unwrap();
    drop(builder);
    let report = collector.collect(stale).unwrap();
    assert_eq!(report.removed, Content::default());
    assert!(is_whole(&collector, &dead));
}

#[test]
fn what_a_root_that_was_read_leads_to_is_leased_although_the_root_moves_on() {
    let place = Place::new();
    let (reader, builder) = (place.open(), place.open());
    let first = publish_a_build(&builder, "recipe", 1);
    let session = reader.session().unwrap();
    let root = reader.root("recipe").unwrap().unwrap();
    publish_a_build(&builder, "recipe", 100);
    assert_eq!(collect(&builder).removed, Content::default());
    assert_eq!(root.target, first.0[4]);
    assert!(is_whole(&reader, &first));
    drop(session);
    assert_eq!(collect(&builder).removed.blobs.count, 5);
}

#[test]
fn a_root_that_is_read_after_the_plan_is_not_given_up() {
    let place = Place::new();
    let (reader, collector) = (place.open(), place.open());
    let blob = Blob::new(noise(100, 1));
    let old = Root { updated_unix_ms: 1, ..Root::now(blob.digest(), OutputKind::Blob) };
    let roots = vec![("a/x".to_owned(), old.clone()), ("b".to_owned(), old)];
    reader.publish(Publication { roots, ..only_blobs(vec![blob.clone()]) }).wait().unwrap();
    let policy = GcPolicy { older_than: Some(Duration::from_secs(3600)), ..AT_ONCE };
    let stale = collector.plan_collection(&policy).unwrap();
    assert_eq!((stale.given_up.len(), stale.dead.blobs.count), (2, 1));
    let session = reader.session().unwrap();
    assert!(reader.root("a/x").unwrap().is_some());
    let report = collector.collect(stale).unwrap();
    assert_eq!((report.given_up, report.removed), (1, Content::default()));
    assert!(collector.root("a/x").unwrap().is_some() && collector.root("b").unwrap().is_none());
    drop(session);
    drop(reader);
    // The use was written when the store was closed.
    assert_eq!(collector.plan_collection(&policy).unwrap().given_up, []);
}

#[test]
fn a_publication_leases_what_it_brings_until_it_is_committed() {
    let place = Place::new();
    let (builder, collector) = (place.open(), place.open());
    let stale = plan(&collector);
    let ticket = builder.publish(plain_step("step", b"output"));
    collector.collect(stale).unwrap();
    ticket.wait().unwrap();
    assert!(builder.hit(&ActionKey::of_preimage(b"step")).unwrap().is_some());
    // Without session and root it is nobody's from then on.
    let leases = || std::fs::read_dir(place.path().join("locks/leases")).unwrap().count();
    while leases() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(collect(&collector).removed.actions.count, 1);
}

#[test]
fn sessions_of_one_store_share_a_lease_that_ends_with_the_last() {
    let place = Place::new();
    let (store, collector) = (place.open(), place.open());
    let blob = Blob::new(noise(100, 1));
    store.publish(only_blobs(vec![blob.clone()])).wait().unwrap();
    let (first, second) = (store.session().unwrap(), store.clone().session().unwrap());
    assert_eq!(std::fs::read_dir(place.path().join("locks/leases")).unwrap().count(), 1);
    assert!(store.get(&blob.digest()).unwrap().is_some());
    drop(first);
    assert_eq!(collect(&collector).removed.blobs.count, 0);
    drop(second);
    assert_eq!(collect(&collector).removed.blobs.count, 1);
}

#[test]
fn many_builders_and_a_collector_at_once_lose_nothing() {
    let place = Place::new();
    let rounds = 40;
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..3u64)
            .map(|builder| {
                let store = place.open();
                scope.spawn(move || {
                    let mut removed = 0;
                    for round in 0..rounds {
                        let session = store.session().unwrap();
                        // Steps are shared among builders and rounds, so hits and publications mix; the first is soon
                        // nobody's, the last comes back.
                        let seeds = [100 + round / 2, (round + builder) % 6, round % 9];
                        let mut keys = Vec::new();
                        for seed in seeds {
                            let preimage = format!("step {seed}");
                            let key = ActionKey::of_preimage(preimage.as_bytes());
                            if store.hit(&key).unwrap().is_none() {
                                store.publish(plain_step(&preimage, &noise(70_000, seed)));
                            }
                            keys.push(key);
                        }
                        let closure = Blob::new(Closure::new(keys.clone(), vec![]).encode());
                        let publication = rooted(
                            &format!("builder {builder}"),
                            only_blobs(vec![closure.clone()]),
                            &closure,
                            OutputKind::Closure,
                        );
                        store.publish(publication).wait().unwrap();
                        drop(session);
                        for (key, seed) in keys.iter().zip(seeds) {
                            assert!(store.hit(key).unwrap().is_some(), "round {round}: rooted and gone");
                            assert!(store.get(&Digest::of(&noise(70_000, seed))).unwrap().is_some());
                        }
                        // The closures of the rounds before are nobody's now: whoever collects has something to remove.
                        if round % 10 == 9 {
                            removed += collect(&store).removed.blobs.count;
                        }
                    }
                    removed
                })
            })
            .collect();
        let collector = place.open();
        let (mut removed, mut spared) = (0, 0);
        while builders.iter().any(|builder| !builder.is_finished()) {
            let report = collect(&collector);
            removed += report.removed.blobs.count;
            spared += report.spared.blobs.count;
        }
        removed += builders.into_iter().map(|builder| builder.join().unwrap()).sum::<u64>();
        assert!(removed > 0, "nothing was ever removed, and {spared} spared: this proves nothing");
    });
    assert_eq!(place.notices(), []);
}
