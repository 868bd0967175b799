//! Any bytes where an entry or a bundle is expected. `PROPTEST_CASES=100000` tries more of them; `fuzz/` goes on for ever.

use super::{fresh, two_builds};
use artifact_store::bundle::{ExportOptions, ImportOptions, contents, export, import};
use artifact_store::remote::{ActionEntry, Selection};
use artifact_store::{ActionKey, ActionRecord, Digest, Output, OutputKind};
use proptest::prelude::*;

/// These bytes with a hash at the end that is theirs, so that the rest is looked at.
fn sealed(content: &[u8]) -> Vec<u8> {
    [content, Digest::of(content).as_bytes()].concat()
}

/// The key that an entry of these bytes would have.
fn key_in(bytes: &[u8]) -> ActionKey {
    let len = bytes.get(5..13).and_then(|len| Some(u64::from_le_bytes(len.try_into().ok()?)));
    let end = len.and_then(|len| usize::try_from(len).ok()?.checked_add(13));
    ActionKey::of_preimage(end.and_then(|end| bytes.get(13..end)).unwrap_or_default())
}

fn true_entry() -> Vec<u8> {
    let output = |byte| Output { digest: Digest::from_bytes([byte; 32]), len: 9, kind: OutputKind::Blob };
    let outputs = [("a".to_owned(), output(7)), ("b".to_owned(), output(8))].into();
    let mut bytes = ActionEntry::new(b"made of".to_vec(), ActionRecord { outputs }).encode();
    bytes.truncate(bytes.len() - 32);
    bytes
}

/// Changes of bytes: a place, what is there afterwards, and how many bytes go or come.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, Vec<u8>, usize)>> {
    let small = prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()], 0..9);
    prop::collection::vec((any::<prop::sample::Index>(), small, 0..9usize), 0..4)
}

fn edited(mut bytes: Vec<u8>, edits: &[(prop::sample::Index, Vec<u8>, usize)]) -> Vec<u8> {
    for (at, new, gone) in edits {
        let at = at.index(bytes.len() + 1);
        let end = (at + gone).min(bytes.len());
        bytes.splice(at..end, new.iter().copied());
    }
    bytes
}

/// An entry is refused, or is the one encoding of what is read.
fn assert_refused_or_exact(bytes: &[u8]) {
    if let Ok(entry) = ActionEntry::decode(&key_in(bytes), bytes) {
        assert_eq!(entry.encode(), bytes);
    }
}

proptest! {
    #[test]
    fn any_bytes_as_an_entry_are_refused_or_are_its_one_encoding(
        content in prop::collection::vec(any::<u8>(), 0..300), edits in edits()
    ) {
        assert_refused_or_exact(&content);
        assert_refused_or_exact(&sealed(&content));
        assert_refused_or_exact(&sealed(&[b"actn\x01", &content[..]].concat()));
        assert_refused_or_exact(&sealed(&edited(true_entry(), &edits)));
    }
}

/// Makes a bundle of a body that may be anything, with a right hash at the end.
fn forge(body: &[u8]) -> Vec<u8> {
    sealed(&[b"bndl\x01".to_vec(), zstd::stream::encode_all(body, 1).unwrap()].concat())
}

#[test]
fn any_change_of_a_bundle_is_refused_or_harmless_and_nothing_is_written_half() {
    let (_there, source) = fresh();
    two_builds(&source);
    let mut bundle = Vec::new();
    let all = Selection::everything(&source).unwrap();
    export(&source, &all, &mut bundle, &ExportOptions::default(), &mut |_| {}).unwrap();
    let body = zstd::stream::decode_all(&bundle[5..bundle.len() - 32]).unwrap();
    assert_eq!(contents(&forge(&body)[..]).unwrap().actions().len(), 6, "it is what it was before");

    let (_here, store) = fresh();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        // Each takes a tenth of a second.
        cases: ProptestConfig::default().cases.div_ceil(8),
        ..ProptestConfig::default()
    });
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    let tried = runner.run(&(edits(), noise), |(edits, noise)| {
        for bundle in [
            forge(&edited(body.clone(), &edits)),
            forge(&noise),
            edited(bundle.clone(), &edits),
            noise.clone(),
        ] {
            let options = ImportOptions { dry_run: true, ..ImportOptions::default() };
            let planned = import(&store, &bundle[..], &options, &mut |_| {});
            let _ = contents(&bundle[..]);
            prop_assert_eq!(store.stats().unwrap().actions, 0, "a dry run has written");
            if planned.is_err() {
                let refused = import(&store, &bundle[..], &ImportOptions::default(), &mut |_| {});
                prop_assert!(refused.is_err(), "a dry run refused what is fine");
                prop_assert_eq!(store.stats().unwrap().actions, 0, "some of a refused bundle was used");
            }
        }
        Ok(())
    });
    tried.unwrap();
}
