//! One flipped byte anywhere in a row is found and named, and healed by repair and whoever makes the content again.

use crate::harness::{
    Place, SmallTree, damage, noise, only_blobs, overwrite, plain_step, publish_a_build, step,
};
use std::fs;

use artifact_store::{ActionKey, Blob, Depth, ErrorKind, Finding, Found, Needs, Options, OutputKind, Store};

fn findings(store: &Store, depth: Depth) -> Vec<Finding> {
    store.verify(depth).unwrap().findings
}

/// Flips a bit, and expects a full verification to find this, and repair to move it aside.
fn is_found_and_removed(place: &Place, bytes: &[u8], expected: &[Finding]) {
    damage(place, bytes);
    let store = place.open();
    let verification = store.verify(Depth::Full).unwrap();
    assert_eq!(verification.findings, expected);
    assert_eq!(verification.code(), expected.iter().fold(0, |sum, f| sum | f.trouble().code()));
    let repair = store.repair(&verification.findings).unwrap();
    assert_eq!((&repair.removed[..], &repair.left[..]), (expected, &[][..]));
    for path in &repair.moved_aside {
        assert!(path.starts_with(place.path().join("quarantine")) && path.is_file());
    }
    assert_eq!(repair.moved_aside.is_empty(), matches!(expected, [Finding::Provenance(_)]));
}

#[test]
fn a_store_with_nothing_wrong_says_how_much_it_looked_at() {
    let place = Place::new();
    let store = place.open();
    publish_a_build(&store, "recipe", 1);
    let full = store.verify(Depth::Full).unwrap();
    assert_eq!((full.blobs, full.hashed, full.records, full.roots, full.code()), (5, 5, 3, 1, 0));
    assert!(full.hashed_bytes > 306_000);
    assert_eq!(store.verify(Depth::Quick).unwrap().hashed, 0);
    assert_eq!(store.verify(Depth::Sample(0.0)).unwrap().hashed, 0);
    assert_eq!(store.verify(Depth::Sample(1.0)).unwrap().hashed, 5);
}

#[test]
fn a_flipped_byte_in_an_inline_row_or_a_chunk_is_found_and_healed() {
    for len in [500, 100_000, 3 << 20] {
        let place = Place::new();
        let content = noise(len, 1);
        let blob = Blob::new(&content[..]);
        let publication = || step("step", vec![(blob.clone(), OutputKind::Blob)]);
        place.open().publish(publication()).wait().unwrap();
        is_found_and_removed(&place, &content[200..264], &[Finding::Blob(blob.digest())]);

        let store = place.open();
        let needs = Needs::Content(Found::Action(ActionKey::of_preimage(b"step")));
        let missing = Finding::Missing(Found::Blob(blob.digest()), needs);
        assert_eq!(findings(&store, Depth::Full), std::slice::from_ref(&missing));
        assert_eq!(store.repair(std::slice::from_ref(&missing)).unwrap().left, [missing]);
        store.publish(publication()).wait().unwrap();
        assert_eq!(findings(&store, Depth::Full), []);
    }
}

#[test]
fn a_flipped_byte_in_a_tree_is_found_by_a_quick_look_and_healed() {
    let place = Place::new();
    let small = SmallTree::of(noise(100, 1));
    let publication = || small.step("tree");
    place.open().publish(publication()).wait().unwrap();
    let bytes = SmallTree::BEGINNING;
    is_found_and_removed(&place, bytes, &[Finding::Blob(small.tree.digest())]);
    place.open().publish(publication()).wait().unwrap();
    damage(&place, bytes);
    assert_eq!(findings(&place.open(), Depth::Quick), [Finding::Blob(small.tree.digest())]);
}

#[test]
fn every_flipped_byte_of_a_record_is_found_and_never_read() {
    let place = Place::new();
    let key = ActionKey::of_preimage(b"step");
    place.open().publish(plain_step("step", b"output")).wait().unwrap();
    // `damage` flips in the middle: of the beginning, of the name, kind and digest, and of all up to the length.
    let beginning = b"recd\x01\x01\0\0\0\0\0\0\0";
    let name_and_kind = b"\x01\0\0\0\0\0\0\x000\0";
    let digest = Blob::new(&b"output"[..]).digest();
    let all = [&beginning[..], name_and_kind, digest.as_bytes(), b"\x06\0\0\0\0\0\0\0"].concat();
    for bytes in [&all[..13], &all[..44], &all[9..], &all[all.len() - 9..], &all[14..23]] {
        is_found_and_removed(&place, bytes, &[Finding::Record(key)]);
        let store = place.open();
        assert_eq!(store.hit(&key).unwrap(), None);
        store.publish(plain_step("step", b"output")).wait().unwrap();
        assert_eq!(findings(&store, Depth::Full), []);
    }
}

#[test]
fn a_damaged_preimage_makes_its_record_untrusted_until_it_is_made_again() {
    let place = Place::new();
    let preimage = "a preimage that is too short to be compressed";
    let key = ActionKey::of_preimage(preimage.as_bytes());
    place.open().publish(plain_step(preimage, b"output")).wait().unwrap();
    is_found_and_removed(&place, preimage.as_bytes(), &[Finding::Preimage(key)]);
    let store = place.open();
    assert_eq!(store.hit(&key).unwrap(), None);
    store.publish(plain_step(preimage, b"output")).wait().unwrap();
    assert_eq!(findings(&store, Depth::Full), []);
}

#[test]
fn damaged_provenance_is_removed_and_its_record_stays() {
    let place = Place::new();
    let key = ActionKey::of_preimage(b"step");
    place.open().publish(plain_step("step", b"output")).wait().unwrap();
    is_found_and_removed(&place, b"prov\x01\x01", &[Finding::Provenance(key)]);
    let store = place.open();
    assert!(store.hit(&key).unwrap().is_some());
    assert_eq!(findings(&store, Depth::Full), []);
}

#[test]
fn what_was_made_whole_meanwhile_is_not_removed() {
    let place = Place::new();
    let store = place.open();
    let blob = Blob::new(noise(500, 1));
    store.publish(only_blobs(vec![blob.clone()])).wait().unwrap();
    store.publish(plain_step("step", b"output")).wait().unwrap();
    let key = ActionKey::of_preimage(b"step");
    let stale = [
        Finding::Blob(blob.digest()),
        Finding::Record(key),
        Finding::Preimage(key),
        Finding::Provenance(key),
        Finding::StrayChunks(blob.digest()),
    ];
    assert_eq!(store.repair(&stale).unwrap(), artifact_store::Repair::default());
    assert_eq!(findings(&store, Depth::Full), []);
}

#[test]
fn a_damaged_root_is_named_and_left_to_people() {
    let place = Place::new();
    publish_a_build(&place.open(), "recipe", 1);
    damage(&place, b"root\x02\x02");
    let store = place.open();
    let found = findings(&store, Depth::Full);
    assert_eq!(found, [Finding::Root("recipe".to_owned())]);
    assert_eq!(store.repair(&found).unwrap().left, found);
}

#[test]
fn a_row_that_claims_more_than_its_page_has_is_damage_and_no_panic() {
    let place = Place::new();
    let blobs: Vec<Blob> = (0..200).map(|i| Blob::new(noise(60, i))).collect();
    place.open().publish(only_blobs(blobs.clone())).wait().unwrap();
    let path = place.path().join("store.redb");
    let good = fs::read(&path).unwrap();
    let holds = |page: &[u8], blob: &Blob| page.windows(60).any(|window| window == &blob.bytes()[..]);
    let mut found = 0;
    for (number, page) in good.chunks(4096).enumerate() {
        if page[0] != 1 || !blobs.iter().any(|blob| holds(page, blob)) {
            continue;
        }
        // A leaf begins with its type and how many rows it has, then says where each key and each value ends.
        let rows = usize::from(u16::from_le_bytes([page[2], page[3]]));
        for end in [4 * rows, 8 * rows] {
            let mut bad = good.clone();
            bad[number * 4096 + end..][..4].copy_from_slice(&8192_u32.to_le_bytes());
            fs::write(&path, bad).unwrap();
            let store = place.open();
            let got: Vec<_> = blobs.iter().map(|blob| store.get(&blob.digest())).collect();
            found +=
                got.iter().filter(|got| got.as_ref().is_err_and(|e| e.kind() == ErrorKind::Corrupt)).count();
            let _ = store.verify(Depth::Full);
            drop(store);
            let rebuilt = Store::rebuild(place.path(), &place.options()).unwrap();
            found += usize::try_from(rebuilt.unreadable).unwrap();
        }
    }
    assert!(found > 0, "no damage was met");
}

#[test]
fn rows_of_another_table_are_not_copied_into_a_rebuilt_file() {
    let place = Place::new();
    let store = place.open();
    for i in 0..100 {
        store.publish(plain_step(&format!("step {i}"), &noise(5000, i)));
    }
    drop(store);
    let path = place.path().join("store.redb");
    let good = fs::read(&path).unwrap();
    // The length of the first key in a leaf: of chunks it is 36, of what is called by a digest 32.
    let key_bytes = |page: &[u8]| {
        let [rows, end] = [
            u16::from_le_bytes([page[2], page[3]]).into(),
            u32::from_le_bytes([page[4], page[5], page[6], page[7]]),
        ];
        (page[0] == 1).then(|| end.saturating_sub(4 + 8 * rows))
    };
    let leaves = |len| {
        let of_len = |page: &usize| key_bytes(&good[page * 4096..][..4096]) == Some(len);
        (0..good.len() / 4096).filter(of_len).collect::<Vec<_>>()
    };
    let chunks = leaves(36)[0] * 4096;
    let mut mixed = 0;
    for leaf in leaves(32) {
        let mut bad = good.clone();
        bad[leaf * 4096..][..4096].copy_from_slice(&good[chunks..][..4096]);
        fs::write(&path, bad).unwrap();
        let before = place.open().stats().unwrap();
        Store::rebuild(place.path(), &place.options()).unwrap();
        let store = place.open();
        let (after, found) = (store.stats().unwrap(), store.verify(Depth::Full).unwrap());
        assert_eq!((after.actions, after.blobs), (found.records, found.blobs), "page {leaf}");
        mixed += u64::from((before.actions, before.blobs) != (after.actions, after.blobs));
    }
    assert!(mixed > 0, "no page that was replaced was in use");
}

#[test]
fn a_file_that_cannot_be_opened_for_lack_of_its_free_pages_is_rebuilt() {
    let place = Place::new();
    let (blobs, actions) = publish_a_build(&place.open(), "recipe", 1);
    let path = place.path().join("store.redb");
    let good = fs::read(&path).unwrap();
    let mut rebuilt = 0;
    // What the database keeps about free pages was written when the file was made.
    for page in 1..16 {
        let mut bad = good.clone();
        bad[page * 4096..][..8].fill(0xa5);
        fs::write(&path, bad).unwrap();
        if Store::open(place.path(), &place.options()).is_ok() {
            continue;
        }
        Store::rebuild(place.path(), &place.options()).unwrap();
        let store = place.open();
        assert_eq!(findings(&store, Depth::Full), []);
        assert_eq!(store.missing(&blobs).unwrap(), []);
        assert!(actions.iter().all(|key| store.hit(key).unwrap().is_some()));
        rebuilt += 1;
    }
    assert!(rebuilt > 0, "no page that was damaged mattered");
}

#[test]
fn a_table_that_is_not_found_any_more_is_named_and_the_others_are_rebuilt() {
    for table in ["arrivals", "checks", "counters", "history", "last use", "signatures"] {
        let place = Place::new();
        let (blobs, actions) = publish_a_build(&place.open(), "recipe", 1);
        // Also as the key of a counter, which is then another one.
        let mut other = table.as_bytes().to_vec();
        // The others are still in order.
        *other.last_mut().unwrap() += 1;
        overwrite(&place, table.as_bytes(), &other);
        let reading = Options { untouched: true, ..place.options() };
        let found = Store::open(place.path(), &reading).unwrap().verify(Depth::Quick).unwrap();
        let is_named = |finding: &Finding| matches!(finding, Finding::Table(name, _) if *name == table);
        assert!(found.findings.iter().any(is_named) && found.code() == 1, "{table}: {:?}", found.findings);

        let rebuilt = Store::rebuild(place.path(), &place.options()).unwrap();
        assert!(rebuilt.unreadable > 0, "{table}");
        let store = place.open();
        store.repair(&findings(&store, Depth::Full)).unwrap();
        assert_eq!(findings(&store, Depth::Full), [], "{table}");
        assert_eq!(store.missing(&blobs).unwrap(), [], "{table}");
        assert!(actions.iter().all(|key| store.hit(key).unwrap().is_some()), "{table}");
    }
}

#[test]
fn a_file_with_damaged_pages_is_rebuilt_from_what_can_still_be_read() {
    let place = Place::new();
    let contents: Vec<Vec<u8>> = (0..200).map(|i| noise(500 + 20 * i, i as u64)).collect();
    let blobs: Vec<Blob> = contents.iter().map(|content| Blob::new(&content[..])).collect();
    let store = place.open();
    store.publish(only_blobs(blobs.clone())).wait().unwrap();
    publish_a_build(&store, "recipe", 1);
    drop(store);
    let path = place.path().join("store.redb");
    let good = fs::read(&path).unwrap();
    let (mut rebuilt, mut most_rows) = (0, 0);
    // The beginning of a page says what it is.
    for page in (4..good.len() / 4096).step_by(3) {
        let mut bad = good.clone();
        bad[page * 4096..page * 4096 + 4].fill(0xa5);
        fs::write(&path, bad).unwrap();
        let Ok(store) = Store::open(place.path(), &place.options()) else { continue };
        let Ok(found) = store.verify(Depth::Full) else { continue };
        drop(store);
        if !found.findings.iter().any(|finding| matches!(finding, Finding::Table(..))) {
            continue;
        }
        let report = Store::rebuild(place.path(), &place.options()).unwrap();
        assert!(
            report.moved_aside.is_file() && report.rows + report.unreadable > 0,
            "page {page}: {report:?}"
        );
        most_rows = most_rows.max(report.rows);
        let store = place.open();
        store.repair(&findings(&store, Depth::Full)).unwrap();
        let trouble = findings(&store, Depth::Full);
        let is_mended = |finding: &Finding| matches!(finding, Finding::Missing(..) | Finding::Root(_));
        assert!(trouble.iter().all(is_mended), "page {page}: {trouble:?}");
        for (blob, content) in blobs.iter().zip(&contents) {
            let got = store.get(&blob.digest()).unwrap();
            assert!(got.is_none_or(|got| got[..] == content[..]), "page {page}: other bytes were returned");
        }
        store.publish(only_blobs(blobs.clone())).wait().unwrap();
        assert_eq!(store.missing(&blobs.iter().map(Blob::digest).collect::<Vec<_>>()).unwrap(), []);
        rebuilt += 1;
    }
    assert!(rebuilt > 3, "only {rebuilt} damaged pages were met");
    assert!(most_rows > 200, "at most {most_rows} rows were copied");
}

#[test]
fn a_store_that_somebody_has_open_is_not_rebuilt() {
    let place = Place::new();
    let store = place.open();
    let error = Store::rebuild(place.path(), &place.options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(store);
    Store::rebuild(place.path(), &place.options()).unwrap();
}

#[test]
fn a_store_that_is_open_for_reading_only_is_verified_but_not_repaired() {
    let place = Place::new();
    let content = noise(400, 1);
    let blob = Blob::new(&content[..]);
    place.open().publish(only_blobs(vec![blob.clone()])).wait().unwrap();
    damage(&place, &content);
    let options = Options { read_only: true, ..place.options() };
    let store = Store::open(place.path(), &options).unwrap();
    let found = findings(&store, Depth::Full);
    assert_eq!(found, [Finding::Blob(blob.digest())]);
    assert_eq!(store.repair(&found).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(findings(&store, Depth::Full), found);
    assert!(!place.path().join("quarantine").exists());
}
