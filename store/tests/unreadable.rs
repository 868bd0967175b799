//! When what a root needs cannot be told, nothing is collected until it can.

use crate::harness::{
    AT_ONCE, Place, collect, damage, dead_blobs, noise, only_blobs, overwrite, plan, publish_a_build, rooted,
    step,
};
use artifact_store::{
    ActionKey, Blob, Closure, Content, Digest, Error, ErrorKind, GcPolicy, HexPrefix, Notice, OutputKind,
    Publication, Root, Store, Tree, Unreadable,
};
use std::num::NonZeroUsize;

/// Collects, which must be refused and leave all this behind.
fn refused(store: &Store, keep: &[Digest]) -> Error {
    let error = store.collect(plan(store)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(store.missing(keep).unwrap(), [], "{error}");
    error
}

#[test]
fn gc_deletes_nothing_when_a_list_cannot_be_read() {
    // The tree and the closure of the build.
    for list in [3, 4] {
        let place = Place::new();
        let store = place.open();
        let (blobs, _) = publish_a_build(&store, "recipe", 1);
        let dead = Blob::new(noise(100, 50));
        store.publish(only_blobs(vec![dead.clone()])).wait().unwrap();
        let bytes = store.get(&blobs[list]).unwrap().unwrap();
        drop(store);
        damage(&place, &bytes);

        let store = place.open();
        let unreadable = Unreadable::List { root: "recipe".to_owned(), back: 0, digest: blobs[list] };
        let found = plan(&store);
        assert_eq!(found.unreadable, std::slice::from_ref(&unreadable));
        assert_eq!((found.dead_blobs().count(), found.dead_actions().count()), (0, 0));
        assert_eq!(found.dead, Content::default());

        let mut others = blobs.clone();
        others.remove(list);
        others.push(dead.digest());
        let error = refused(&store, &others);
        assert!(error.message().starts_with(&unreadable.to_string()), "{error}");
        assert_eq!(
            error.hint_text(),
            Some(
                "build again what the root `recipe` stands for, or give it up with `roots --remove`, then collect again"
            )
        );
        refused(&place.open(), &others);

        // What the hint says helps.
        assert_eq!(publish_a_build(&store, "recipe", 1).0, blobs);
        let found = plan(&store);
        assert_eq!((&found.unreadable[..], dead_blobs(&found)), (&[][..], vec![dead.digest()]));
        assert_eq!(store.collect(found).unwrap().removed.blobs.count, 1);
        assert_eq!(store.missing(&blobs).unwrap(), []);
    }
}

#[test]
fn a_damaged_list_of_what_a_root_was_before_can_be_given_up() {
    let place = Place::new();
    let (before, _) = publish_a_build(&place.open(), "recipe", 1);
    let (now, _) = publish_a_build(&place.open(), "recipe", 100);
    let bytes = place.open().get(&before[4]).unwrap().unwrap();
    damage(&place, &bytes);

    let store = place.open();
    let keep = |versions| GcPolicy { keep_last: NonZeroUsize::new(versions).unwrap(), ..AT_ONCE };
    let found = store.plan_collection(&keep(3)).unwrap();
    let unreadable = Unreadable::List { root: "recipe".to_owned(), back: 1, digest: before[4] };
    assert_eq!(found.unreadable, std::slice::from_ref(&unreadable));
    let error = store.collect(found).unwrap_err();
    assert!(error.message().starts_with("what the root `recipe` was before needs the list"), "{error}");
    let hint = "build again what the root `recipe` stood for, or give that up with `gc --keep-last 1`, then collect again";
    assert_eq!(error.hint_text(), Some(hint));

    // What the hint says helps.
    store.collect(store.plan_collection(&keep(1)).unwrap()).unwrap();
    assert_eq!(store.missing(&now).unwrap(), []);
    assert_eq!(store.plan_collection(&keep(3)).unwrap().unreadable, []);
}

#[test]
fn gc_deletes_nothing_when_a_record_cannot_be_read() {
    let place = Place::new();
    let (blobs, keys) = publish_a_build(&place.open(), "recipe", 1);
    damage(&place, b"recd\x01\x01");

    let store = place.open();
    let mut unreadable = plan(&store).unreadable;
    unreadable.sort_by_key(ToString::to_string);
    let mut expected: Vec<_> =
        keys.iter().map(|key| Unreadable::Record { root: "recipe".to_owned(), back: 0, key: *key }).collect();
    expected.sort_by_key(ToString::to_string);
    assert_eq!(unreadable, expected);
    let error = refused(&store, &blobs);
    assert!(error.message().contains("(and 2 more like it)"), "{error}");

    publish_a_build(&store, "recipe", 1);
    collect(&store);
    assert!(keys.iter().all(|key| store.hit(key).unwrap().is_some()));
}

#[test]
fn a_lease_that_leads_to_the_same_does_not_hide_what_a_root_cannot_read() {
    let place = Place::new();
    let (blobs, keys) = publish_a_build(&place.open(), "recipe", 1);
    let bytes = place.open().get(&blobs[3]).unwrap().unwrap();
    damage(&place, &bytes);

    let (builder, store) = (place.open(), place.open());
    let session = builder.session().unwrap();
    assert!(builder.root("recipe").unwrap().is_some() && builder.record(&keys[0]).unwrap().is_some());
    for policy in [AT_ONCE, GcPolicy { max_bytes: Some(0), ..AT_ONCE }] {
        let found = store.plan_collection(&policy).unwrap();
        assert!(found.kept.leases.blobs.count > 0);
        let expected = Unreadable::List { root: "recipe".to_owned(), back: 0, digest: blobs[3] };
        assert_eq!((found.unreadable, found.dead), (vec![expected], Content::default()));
    }
    drop(session);
}

#[test]
fn a_missing_list_or_record_is_no_less_unreadable() {
    let place = Place::new();
    let store = place.open();
    let unknown = ActionKey::of_preimage(b"never run");
    let closure = Blob::new(Closure::new(vec![unknown], vec![]).encode());
    let publication = rooted("lists", only_blobs(vec![closure.clone()]), &closure, OutputKind::Closure);
    store.publish(publication);
    let never = Blob::new(&b"never published"[..]);
    store.publish(rooted("names", Publication::default(), &never, OutputKind::Tree)).wait().unwrap();
    let report = plan(&store);
    let expected = [
        Unreadable::Record { root: "lists".to_owned(), back: 0, key: unknown },
        Unreadable::List { root: "names".to_owned(), back: 0, digest: never.digest() },
    ];
    assert_eq!((&report.unreadable[..], report.missing), (&expected[..], 0));
    refused(&store, &[closure.digest()]);
}

#[test]
fn a_refused_collection_makes_the_next_hit_look_again() {
    let place = Place::new();
    let store = place.open();
    let (blobs, keys) = publish_a_build(&store, "recipe", 1);
    assert!(store.hit(&keys[2]).unwrap().is_some());
    store.flush().unwrap();
    let stored = store.list_blobs(&HexPrefix::ALL).unwrap();
    drop(store);
    // The name of the closure in the list of all blobs, where names follow one another, so that nobody has
    // noticed that it is gone.
    let at = stored.iter().position(|blob| blob.digest == blobs[4]).unwrap();
    let pair = if at == 0 { [0, 1] } else { [at - 1, at] };
    let names = pair.map(|i| *stored[i].digest.as_bytes()).concat();
    let mut changed = names.clone();
    changed[if at == 0 { 31 } else { 63 }] ^= 1;
    overwrite(&place, &names, &changed);

    let store = place.open();
    assert!(store.hit(&keys[2]).unwrap().is_some(), "it had been looked through before the damage");
    refused(&store, &blobs[..4]);
    assert_eq!(store.hit(&keys[2]).unwrap(), None, "the build would never make it again");
}

/// Two builds, the root of the second of which is damaged.
fn with_a_damaged_root(place: &Place) -> Vec<Digest> {
    let store = place.open();
    let (mut blobs, _) = publish_a_build(&store, "good", 1);
    // The only tree among the roots.
    let target = Blob::new(Tree::new(vec![]).unwrap().encode());
    let publication = step("bad", vec![(target.clone(), OutputKind::Tree)]);
    store.publish(rooted("bad", publication, &target, OutputKind::Tree)).wait().unwrap();
    blobs.push(target.digest());
    drop(store);
    // It now says that it names plain bytes.
    overwrite(place, b"root\x02\x01", b"root\x02\x00");
    blobs
}

#[test]
fn a_damaged_root_is_named_and_the_others_are_listed() {
    let place = Place::new();
    with_a_damaged_root(&place);
    let store = place.open();
    let names: Vec<String> = store.roots().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["good"]);
    assert_eq!(place.notices(), [Notice::CorruptRoot("bad".to_owned())]);
    assert_eq!(store.root("bad").unwrap(), None);
    assert!(store.root("good").unwrap().is_some());
}

#[test]
fn gc_deletes_nothing_while_a_root_is_damaged() {
    let place = Place::new();
    let blobs = with_a_damaged_root(&place);
    let store = place.open();
    let found = plan(&store);
    assert_eq!((&found.unreadable[..], found.roots), (&[Unreadable::Root("bad".to_owned())][..], 2));
    assert_eq!((found.dead_blobs().count(), found.dead_actions().count()), (0, 0));
    let error = refused(&store, &blobs);
    assert!(error.message().starts_with("the root `bad` is damaged"), "{error}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("`bad`")), "{error:?}");

    let root = Root::now(blobs[5], OutputKind::Tree);
    let again = Publication { roots: vec![("bad".to_owned(), root.clone())], ..Publication::default() };
    store.publish(again).wait().unwrap();
    assert_eq!(store.root("bad").unwrap(), Some(root));
    assert_eq!(collect(&store).removed.blobs.count, 0);
}

#[test]
fn a_removed_root_keeps_nothing_any_more() {
    let place = Place::new();
    let blobs = with_a_damaged_root(&place);
    let store = place.open();
    assert!(store.remove_root("bad").unwrap());
    assert!(!store.remove_root("bad").unwrap(), "it was removed twice");
    assert!(!store.remove_root("goo").unwrap(), "there is no root of this name");
    let found = plan(&store);
    assert_eq!(dead_blobs(&found), [blobs[5]]);
    store.collect(found).unwrap();

    // Also one that is still on its way.
    let root = Root::now(blobs[0], OutputKind::Blob);
    store.publish(Publication { roots: vec![("new".to_owned(), root)], ..Publication::default() });
    assert!(store.remove_root("new").unwrap());
    let names: Vec<String> = place.open().roots().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["good"]);
    assert_eq!(place.notices(), []);
}

#[test]
fn a_root_whose_name_is_damaged_can_be_removed_as_it_is_shown() {
    let place = Place::new();
    let store = place.open();
    let blob = Blob::new(&b"content"[..]);
    for name in ["one", "recipe of many words"] {
        let publication = only_blobs(vec![blob.clone()]);
        store.publish(rooted(name, publication, &blob, OutputKind::Blob)).wait().unwrap();
    }
    drop(store);
    // No longer UTF-8, and after every name that is.
    overwrite(&place, b"recipe of many words", &[0xff; 20]);

    let store = place.open();
    assert_eq!(store.roots().unwrap().len(), 1);
    let shown = "\u{fffd}".repeat(20);
    assert_eq!(place.notices(), [Notice::CorruptRoot(shown.clone())]);
    refused(&store, &[blob.digest()]);
    assert!(store.remove_root(&shown).unwrap());
    assert_eq!(plan(&store).roots, 1);
    collect(&store);
}
