//! What is put in comes out, and is found.

use crate::harness::{Place, SmallTree, noise, only_blobs, plain_step, step};
use artifact_store::{Blob, Closure, Digest, ErrorKind, Found, HexPrefix, OutputKind, Root};

#[test]
fn blobs_of_every_size_around_the_limits_of_rows_and_chunks_come_back() {
    let place = Place::new();
    let limits = [0, 128, 4035, 4048, 4096, 8144, 65_488, 131_024, (1 << 20) - 48, 1 << 20, 3 << 20];
    let sizes = limits.iter().flat_map(|&limit: &usize| [limit.saturating_sub(1), limit, limit + 1]);
    let contents: Vec<Vec<u8>> = sizes
        .flat_map(|len| {
            let text = b"all work and no play ".iter().copied().cycle().take(len).collect();
            [noise(len, len as u64), text]
        })
        .collect();
    let blobs: Vec<Blob> = contents.iter().map(|content| Blob::new(&content[..])).collect();
    place.open().publish(only_blobs(blobs.clone())).wait().unwrap();

    let store = place.open();
    for (blob, content) in blobs.iter().zip(&contents) {
        let found = store.get(&blob.digest()).unwrap();
        assert!(
            found.as_deref() == Some(&content[..]),
            "a blob of {} bytes came back changed",
            content.len()
        );
    }
    let listed = store.list_blobs(&HexPrefix::ALL).unwrap();
    assert!(listed.iter().all(|info| blobs.iter().any(|b| b.digest() == info.digest && b.len() == info.len)));
    let stats = store.stats().unwrap();
    assert_eq!(stats.blobs, listed.len() as u64);
    assert!(stats.stored_bytes < stats.logical_bytes * 6 / 10, "text was not compressed: {stats:?}");
}

#[test]
fn a_step_comes_back_with_everything_beside_it() {
    let place = Place::new();
    let publication = plain_step("describe the step", b"result");
    let action = publication.action.clone().unwrap();
    place.open().publish(publication).wait().unwrap();

    let store = place.open();
    let record = store.hit(action.key()).unwrap().unwrap();
    assert_eq!(record.outputs["0"].digest, Digest::of(b"result"));
    assert_eq!(store.record(action.key()).unwrap(), Some(record));
    assert_eq!(store.preimage(action.key()).unwrap().as_deref(), Some(&b"describe the step"[..]));
    assert_eq!(store.provenance(action.key()).unwrap().unwrap().host, "here");
    assert_eq!(store.list_actions(&HexPrefix::ALL).unwrap(), [*action.key()]);
}

#[test]
fn a_long_preimage_comes_back() {
    let place = Place::new();
    let preimage = "0123456789abcdef".repeat(1 << 16) + &format!("{:?}", noise(200_000, 1));
    let publication = plain_step(&preimage, b"result");
    let key = *publication.action.as_ref().unwrap().key();
    place.open().publish(publication).wait().unwrap();
    assert_eq!(place.open().preimage(&key).unwrap().unwrap(), preimage.as_bytes());
}

#[test]
fn only_what_is_missing_is_reported_missing() {
    let place = Place::new();
    let store = place.open();
    let there: Vec<Blob> = (0..100).map(|i| Blob::new(noise(50, i))).collect();
    let gone: Vec<Digest> = (100..200).map(|i| Digest::of(&noise(50, i))).collect();
    store.publish(only_blobs(there.clone())).wait().unwrap();
    let asked: Vec<Digest> = there.iter().map(Blob::digest).chain(gone.clone()).collect();
    assert_eq!(store.missing(&asked).unwrap(), gone);
}

#[test]
fn an_abbreviated_name_finds_the_one_it_can_mean() {
    let place = Place::new();
    let store = place.open();
    let publication = plain_step("step", b"output");
    let key = *publication.action.as_ref().unwrap().key();
    store.publish(publication).wait().unwrap();
    let digest = Digest::of(b"output");
    assert_eq!(store.find(&digest.to_string()[..8]).unwrap(), Found::Blob(digest));
    assert_eq!(store.find(&key.to_string()).unwrap(), Found::Action(key));
    assert_eq!(store.find("zz").unwrap_err().kind(), ErrorKind::Invalid);

    store.publish(only_blobs((0..20).map(|i| Blob::new(noise(9, i))).collect())).wait().unwrap();
    let first_digits = store.list_blobs(&HexPrefix::ALL).unwrap().into_iter().map(|b| b.digest.to_string());
    let mut first_digits: Vec<String> = first_digits.map(|hex| hex[..1].to_owned()).collect();
    first_digits.sort();
    let twice = first_digits.windows(2).find(|pair| pair[0] == pair[1]).unwrap();
    let error = store.find(&twice[0]).unwrap_err();
    assert!(error.to_string().contains("is ambiguous"), "{error}");
}

#[test]
fn a_hit_needs_every_entry_of_a_tree_and_every_part_of_a_closure() {
    let place = Place::new();
    let store = place.open();
    let SmallTree { tree, leaf } = SmallTree::of(noise(100, 1));
    let with_tree = step("tree", vec![(tree, OutputKind::Tree)]);
    let tree_key = *with_tree.action.as_ref().unwrap().key();
    let closure = Blob::new(Closure::new(vec![tree_key], vec![]).encode());
    let with_closure = step("closure", vec![(closure, OutputKind::Closure)]);
    let closure_key = *with_closure.action.as_ref().unwrap().key();

    store.publish(with_tree);
    store.publish(with_closure);
    store.flush().unwrap();
    assert_eq!(store.hit(&tree_key).unwrap(), None, "its leaf is missing");
    assert_eq!(store.hit(&closure_key).unwrap(), None, "a leaf of a listed action is missing");

    store.publish(only_blobs(vec![leaf])).wait().unwrap();
    assert!(store.hit(&tree_key).unwrap().is_some());
    assert!(store.hit(&closure_key).unwrap().is_some());
    // The second time from memory, and the same.
    store.flush().unwrap();
    assert!(store.hit(&closure_key).unwrap().is_some());
}

#[test]
fn a_closure_may_list_the_action_that_outputs_it() {
    let place = Place::new();
    let store = place.open();
    let own_key = artifact_store::ActionKey::of_preimage(b"all");
    let closure = Blob::new(Closure::new(vec![own_key], vec![]).encode());
    store.publish(step("all", vec![(closure, OutputKind::Closure)])).wait().unwrap();
    assert!(store.hit(&own_key).unwrap().is_some());
}

#[test]
fn a_root_is_what_it_was_last_set_to() {
    let place = Place::new();
    let store = place.open();
    for content in [b"one", b"two"] {
        let blob = Blob::new(&content[..]);
        let root = Root::now(blob.digest(), OutputKind::Blob);
        let publication = artifact_store::Publication {
            roots: vec![("recipe".to_owned(), root)],
            ..only_blobs(vec![blob])
        };
        store.publish(publication).wait().unwrap();
    }
    assert_eq!(store.root("recipe").unwrap().unwrap().target, Digest::of(b"two"));
    assert_eq!(store.root("other").unwrap(), None);
    assert_eq!(store.roots().unwrap().len(), 1);
}

#[test]
fn a_root_needs_a_name_that_can_be_shown() {
    let place = Place::new();
    let store = place.open();
    for name in ["", "a\nb", &"x".repeat(2000)] {
        let root = Root::now(Digest::of(b""), OutputKind::Blob);
        let publication =
            artifact_store::Publication { roots: vec![(name.to_owned(), root)], ..Default::default() };
        assert_eq!(store.publish(publication).wait().unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
    }
    store.publish(only_blobs(vec![Blob::new(&b"x"[..])])).wait().unwrap();
}
