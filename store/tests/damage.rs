//! Damaged bytes are missed, noticed, removed and made again; never returned.

use crate::harness::{Place, SmallTree, damage, noise, only_blobs, plain_step};
use artifact_store::{ActionKey, Blob, Notice};
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
