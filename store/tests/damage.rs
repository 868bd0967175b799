//! Damaged bytes are missed, noticed, removed and made again; never returned.

use crate::harness::{Place, SmallTree, damage, noise, only_blobs, plain_step, publish_a_build};
use artifact_store::{ActionKey, Blob, Depth, Error, ErrorKind, Finding, Notice, Options, Store};
use std::fs;

#[test]
fn a_flipped_bit_in_an_inline_row_or_a_chunk_is_a_miss_and_heals() {
    for len in [500, 100_000, 3 << 20] {
        let place = Place::new();
        let content = noise(len, 1);
        let blob = Blob::new(&content[..]);
        place.open().publish(only_blobs(vec![blob.clone(), Blob::new(noise(500, 2))])).wait().unwrap();
        damage(&place, &content[200..264]);

        let store = place.open();
        assert_eq!(store.missing(&[blob.digest()]).unwrap(), [], "the damage is not known yet");
        assert_eq!(store.get(&blob.digest()).unwrap(), None);
        assert_eq!(store.damaged(), 1);
        assert_eq!(place.notices(), [Notice::CorruptBlob(blob.digest())]);
        assert_eq!(store.missing(&[blob.digest()]).unwrap(), [blob.digest()]);
        assert_eq!(store.get(&blob.digest()).unwrap(), None);
        assert_eq!(store.damaged(), 1, "it was removed twice");

        store.publish(only_blobs(vec![blob.clone()])).wait().unwrap();
        assert_eq!(place.open().get(&blob.digest()).unwrap().as_deref(), Some(&content[..]));
    }
}

#[test]
fn a_damaged_tree_makes_its_step_a_miss_and_heals() {
    let place = Place::new();
    let small = SmallTree::of(noise(100, 1));
    let publication = || small.step("tree");
    let key = ActionKey::of_preimage(b"tree");
    place.open().publish(publication()).wait().unwrap();
    damage(&place, SmallTree::BEGINNING);

    let store = place.open();
    assert_eq!(store.hit(&key).unwrap(), None);
    assert_eq!(place.notices(), [Notice::CorruptBlob(small.tree.digest())]);
    store.publish(publication()).wait().unwrap();
    assert!(store.hit(&key).unwrap().is_some());
}

#[test]
fn a_damaged_record_is_a_miss_and_heals() {
    let place = Place::new();
    let key = ActionKey::of_preimage(b"step");
    place.open().publish(plain_step("step", b"output")).wait().unwrap();
    damage(&place, b"recd\x01\x01");

    let store = place.open();
    assert_eq!(store.hit(&key).unwrap(), None);
    assert_eq!(place.notices(), [Notice::CorruptAction(key)]);
    assert_eq!(store.provenance(&key).unwrap(), None, "what lies beside the record went with it");
    store.publish(plain_step("step", b"output")).wait().unwrap();
    assert!(place.open().hit(&key).unwrap().is_some());
}

#[test]
fn a_damaged_preimage_is_not_returned() {
    let place = Place::new();
    let preimage = "a preimage that is too short to be compressed";
    place.open().publish(plain_step(preimage, b"output")).wait().unwrap();
    damage(&place, preimage.as_bytes());
    let key = ActionKey::of_preimage(preimage.as_bytes());
    assert_eq!(place.open().preimage(&key).unwrap(), None);
}

#[test]
fn damage_anywhere_in_the_file_is_an_error_or_a_miss_but_never_other_bytes() {
    let place = Place::new();
    let contents: Vec<Vec<u8>> = (0..60).map(|i| noise(50 + 300 * i, i as u64)).collect();
    let blobs: Vec<Blob> = contents.iter().map(|content| Blob::new(&content[..])).collect();
    place.open().publish(only_blobs(blobs.clone())).wait().unwrap();
    let path = place.path().join("store.redb");
    let good = fs::read(&path).unwrap();
    for round in 0..40 {
        let at = usize::try_from(u64::from_le_bytes(noise(8, round).try_into().unwrap()) % good.len() as u64)
            .unwrap();
        let mut bad = good.clone();
        bad[at..good.len().min(at + 16)].fill(0xa5);
        fs::write(&path, bad).unwrap();
        let Ok(store) = artifact_store::Store::open(place.path(), &place.options()) else { continue };
        for (blob, content) in blobs.iter().zip(&contents) {
            if let Ok(Some(found)) = store.get(&blob.digest()) {
                assert!(found[..] == content[..], "round {round}: other bytes were returned");
            }
        }
    }
}

/// The pages of the file, by their numbers, as they are once each of them is damaged in turn by this.
fn with_each_page_damaged(place: &Place, damage: impl Fn(&mut [u8]), mut then: impl FnMut(usize)) {
    let path = place.path().join("store.redb");
    let good = fs::read(&path).unwrap();
    for page in 1..good.len() / 4096 {
        let mut bad = good.clone();
        damage(&mut bad[page * 4096..][..4096]);
        if bad != good {
            fs::write(&path, bad).unwrap();
            then(page);
        }
    }
}

#[test]
fn whatever_page_is_damaged_a_full_look_at_it_says_so_or_it_was_not_in_use() {
    let place = Place::new();
    let (blobs, keys) = publish_a_build(&place.open(), "recipe", 1);
    let (mut found, mut only_by_pages) = (0, 0);
    // How many rows it has: with more than there are, the last of them lie outside it.
    let more_rows = |page: &mut [u8]| page[2] ^= if page[0] == 1 { 0xff } else { 0 };
    with_each_page_damaged(&place, more_rows, |page| {
        // As nothing is written, nothing is met that only who writes has to read, and what is whole is read.
        let reading = Options { untouched: true, ..place.options() };
        let store = Store::open(place.path(), &reading).unwrap();
        let Ok(verification) = store.verify(Depth::Full) else { panic!("page {page}: not even a view") };
        if verification.findings.is_empty() {
            assert_eq!(store.missing(&blobs).unwrap(), [], "page {page}");
            return;
        }
        found += 1;
        let pages = |finding: &Finding| matches!(finding, Finding::Table("pages of the file", _));
        only_by_pages += u64::from(verification.findings.iter().all(pages));
        drop(store);
        if !verification.findings.iter().all(pages) {
            return;
        }
        let rebuilt = Store::rebuild(place.path(), &place.options()).unwrap();
        assert_eq!(rebuilt.unreadable, 0, "page {page}");
        let store = place.open();
        assert_eq!(store.verify(Depth::Full).unwrap().findings, [], "page {page}");
        assert!(keys.iter().all(|key| store.hit(key).unwrap().is_some()), "page {page}");
    });
    assert!(found > only_by_pages && only_by_pages > 0, "{only_by_pages} of {found}");
}

#[test]
fn letting_go_of_what_has_met_damage_is_an_error_and_no_panic() {
    let place = Place::new();
    publish_a_build(&place.open(), "recipe", 1);
    with_each_page_damaged(
        &place,
        |page| page.fill(0),
        |page| {
            let error = |e: Error| assert_eq!(e.kind(), ErrorKind::Corrupt, "page {page}: {e}");
            match Store::open(place.path(), &place.options()) {
                Ok(store) => {
                    let _ = store.usage().map_err(error);
                    let _ = store.remove_root("recipe").map_err(error);
                }
                Err(e) => {
                    assert!(e.hint_text().is_some(), "page {page}: {e}");
                    error(e);
                }
            }
        },
    );
}
