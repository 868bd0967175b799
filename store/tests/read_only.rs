//! A store that is open for reading only is not changed by looking at it.

use crate::harness::{
    Place, collect, damage, dead_blobs, noise, only_blobs, plain_step, plan, publish_a_build,
};
use artifact_store::{Blob, ErrorKind, Notice, Options, Store};
use std::fs;

fn reader(place: &Place) -> Store {
    Store::open(place.path(), &Options { read_only: true, ..place.options() }).unwrap()
}

fn content(place: &Place) -> Vec<u8> {
    fs::read(place.path().join("store.redb")).unwrap()
}

#[test]
fn hits_and_damage_that_a_reader_meets_write_nothing() {
    let place = Place::new();
    let store = place.open();
    let (_, keys) = publish_a_build(&store, "recipe", 1);
    // A deletion, so that the closure has to be looked through again.
    store.publish(only_blobs(vec![Blob::new(noise(400, 60))])).wait().unwrap();
    assert_eq!(collect(&store).removed.blobs.count, 1);
    let bytes = noise(400, 50);
    let blob = Blob::new(&bytes[..]);
    store.publish(only_blobs(vec![blob.clone()])).wait().unwrap();
    drop(store);
    damage(&place, &bytes);

    let store = reader(&place);
    let before = content(&place);
    assert!(store.hit(&keys[2]).unwrap().is_some());
    assert_eq!(store.get(&blob.digest()).unwrap(), None);
    assert_eq!(store.get(&blob.digest()).unwrap(), None, "damaged bytes are never returned");
    assert_eq!(dead_blobs(&plan(&store)), [blob.digest()]);
    store.flush().unwrap();
    assert!(content(&place) == before, "the file has changed");
    assert_eq!(place.notices(), vec![Notice::CorruptBlob(blob.digest()); 2]);
    assert_eq!(store.damaged(), 0, "nothing was removed");
    drop(store);

    let store = place.open();
    assert_eq!(store.missing(&[blob.digest()]).unwrap(), []);
    assert_eq!(store.get(&blob.digest()).unwrap(), None);
    assert_eq!(store.missing(&[blob.digest()]).unwrap(), [blob.digest()], "a writer removes it");
}

#[test]
fn what_would_write_is_refused() {
    let place = Place::new();
    place.open().publish(plain_step("step", b"output")).wait().unwrap();
    let store = reader(&place);
    let before = store.stats().unwrap();
    for error in [
        store.publish(plain_step("other", b"other")).wait().unwrap_err(),
        store.collect(plan(&store)).unwrap_err(),
        store.remove_root("recipe").unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
        assert!(error.hint_text().is_some());
    }
    assert_eq!(store.stats().unwrap(), before);
    assert_eq!(store.missing(&[Blob::new(&b"other"[..]).digest()]).unwrap().len(), 1);
}

#[test]
fn a_reader_makes_no_store() {
    let place = Place::new();
    let options = Options { read_only: true, ..place.options() };
    let error = Store::open(place.path(), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAStore);
    assert!(error.to_string().contains("there is no store to read"), "{error}");
    assert!(!place.path().exists());
}
