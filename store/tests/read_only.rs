//! A store that is open for reading only is not changed by looking at it.

use crate::harness::{
    Place, collect, damage, dead_blobs, noise, only_blobs, plain_step, plan, publish_a_build,
};
use artifact_store::{Blob, ErrorKind, Notice, Options, Store};
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

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
    let options = Options { read_only: true, ..place.options() };
    for error in [
        Store::rebuild(place.path(), &options).unwrap_err(),
        Store::compact(place.path(), &options).unwrap_err(),
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

/// Every path in the store's directory with its length, time of last change and content.
fn traces_in(place: &Place) -> Vec<(PathBuf, u64, SystemTime, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![place.path()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::metadata(&path).unwrap();
            let content = if about.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
            found.push((path.clone(), about.len(), about.modified().unwrap(), content));
            if about.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

fn untouched(place: &Place) -> Options {
    Options { untouched: true, ..place.options() }
}

#[test]
fn an_untouched_store_is_read_without_a_trace() {
    let place = Place::new();
    let store = place.open();
    let (_, keys) = publish_a_build(&store, "recipe", 1);
    let bytes = noise(400, 50);
    store.publish(only_blobs(vec![Blob::new(&bytes[..])])).wait().unwrap();
    drop(store);
    damage(&place, &bytes);
    let before = traces_in(&place);
    {
        let store = Store::open(place.path(), &untouched(&place)).unwrap();
        let _session = store.session().unwrap();
        assert!(store.is_read_only());
        assert!(store.hit(&keys[2]).unwrap().is_some());
        assert!(store.root("recipe").unwrap().is_some());
        assert_eq!(store.get(&Blob::new(&bytes[..]).digest()).unwrap(), None);
        let error = store.publish(plain_step("other", b"other")).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnly);
        store.flush().unwrap();
    }
    assert!(traces_in(&place) == before);
}

#[test]
fn an_untouched_store_shows_what_others_write_meanwhile() {
    let place = Place::new();
    let writer = place.open();
    let (_, keys) = publish_a_build(&writer, "recipe", 1);
    let reader = Store::open(place.path(), &untouched(&place)).unwrap();
    assert!(reader.hit(&keys[2]).unwrap().is_some());
    let (_, later) = publish_a_build(&writer, "later", 2);
    assert!(reader.hit(&later[2]).unwrap().is_some());
    writer.remove_root("recipe").unwrap();
    collect(&writer);
    assert!(reader.hit(&keys[2]).unwrap().is_none(), "what is collected meanwhile is a miss");
}
