//! A bundle that is damaged or lies is refused as a whole, with the reason.

use super::bundles::{export_all, import_all};
use super::fresh;
use crate::harness::{plain_step, publish_a_build};
use artifact_store::bundle::{ImportOptions, contents, import};
use artifact_store::remote::ActionEntry;
use artifact_store::{
    ActionKey, ActionRecord, Blob, Closure, Digest, Error, ErrorKind, Output, OutputKind, Store,
};
use std::io::Read;

fn small_bundle() -> Vec<u8> {
    let (_here, store) = fresh();
    store.publish(plain_step("step", b"a few words of output, a few words of output"));
    export_all(&store)
}

fn assert_refused(store: &Store, bundle: &[u8], why: &str) -> Error {
    let error = import_all(store, bundle).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!(store.stats().unwrap().actions, 0, "a record was used");
    error
}

#[test]
fn a_bundle_cut_anywhere_is_refused() {
    let bundle = small_bundle();
    let (_there, store) = fresh();
    for at in 0..bundle.len() {
        let error = assert_refused(&store, &bundle[..at], "");
        assert!(error.hint_text().is_some(), "{error}");
    }
    assert_refused(&store, &bundle[..bundle.len() - 1], "it ends too early");
    assert_refused(&store, &[&bundle[..], b"x"].concat(), "something follows its end");
}

#[test]
fn a_bundle_with_any_bit_flipped_is_refused() {
    let bundle = small_bundle();
    let (_there, store) = fresh();
    for at in 0..bundle.len() {
        for bit in [0, 3, 7] {
            let mut flipped = bundle.clone();
            flipped[at] ^= 1 << bit;
            assert_refused(&store, &flipped, "");
        }
    }
}

#[test]
fn what_is_no_bundle_or_a_newer_one_is_said_so() {
    let (_there, store) = fresh();
    assert_refused(&store, b"", "this is not a bundle");
    assert_refused(&store, b"PK\x03\x04 something else", "this is not a bundle");
    let mut newer = small_bundle();
    newer[4] = 9;
    let error = assert_refused(&store, &newer, "this bundle has format 9");
    assert_eq!(error.kind(), ErrorKind::NewerFormat);
}

/// Makes a bundle of a body that may be anything, with a right hash at the end.
fn forge(body: &[u8]) -> Vec<u8> {
    let mut bundle = [b"bndl\x01".to_vec(), zstd::stream::encode_all(body, 3).unwrap()].concat();
    bundle.extend_from_slice(blake3::hash(&bundle).as_bytes());
    bundle
}

/// A header without a selection.
fn header(blobs: u64, bytes: u64, actions: u64) -> Vec<u8> {
    [0, 0, blobs, bytes, actions].iter().flat_map(|n: &u64| n.to_le_bytes()).collect()
}

fn blob(digest: &Digest, len: u64, content: &[u8]) -> Vec<u8> {
    [&digest.as_bytes()[..], &len.to_le_bytes(), content].concat()
}

/// An action without signatures and provenance.
fn item(entry: &[u8]) -> Vec<u8> {
    let item = [b"item\x01", &(entry.len() as u64).to_le_bytes()[..], entry, &[0; 16]].concat();
    [&(item.len() as u64).to_le_bytes()[..], &item].concat()
}

fn entry(preimage: &[u8], output: Output) -> ActionEntry {
    ActionEntry::new(preimage.to_vec(), ActionRecord { outputs: [("out".to_owned(), output)].into() })
}

#[test]
fn counts_and_lengths_that_lie_are_refused_without_taking_memory() {
    let (_there, store) = fresh();
    let word = Digest::of(b"word");
    let good = blob(&word, 4, b"word");
    assert!(import_all(&store, &forge(&[header(1, 4, 0), good.clone()].concat())).is_ok());
    let lies = [
        (forge(&u64::MAX.to_le_bytes()), "made of 18446744073709551615 actions or outputs; at most"),
        (forge(&1000u64.to_le_bytes()), "it ends too early"),
        (forge(&header(u64::MAX, 0, 0)), "it ends too early"),
        (forge(&header(0, 0, u64::MAX)), "it ends too early"),
        (
            forge(&[header(1, u64::MAX, 0), blob(&word, u64::MAX, b"word")].concat()),
            "at most 2147483648 are taken",
        ),
        (forge(&[header(1, 1 << 30, 0), blob(&word, 1 << 30, b"word")].concat()), "it ends too early"),
        (forge(&[header(1, 3, 0), good.clone()].concat()), "is said to have 4 bytes; at most 3 are taken"),
        (forge(&[header(1, 5, 0), good.clone()].concat()), "its blobs have 4 bytes and not 5"),
        (forge(&[header(2, 8, 0), good.clone(), good.clone()].concat()), "not in ascending order"),
        (forge(&[header(1, 4, 0), blob(&word, 4, b"w0rd")].concat()), "hash to"),
        (forge(&[header(0, 0, 1), u64::MAX.to_le_bytes().to_vec()].concat()), "action 1 is said to have"),
        (forge(&[header(0, 0, 1), item(b"no entry")].concat()), "not the entry of an action"),
        (forge(&[header(1, 4, 0), good, b"more".to_vec()].concat()), "it has more than it says"),
    ];
    for (bundle, why) in &lies {
        assert_refused(&store, bundle, why);
    }
    let mut wrong_hash = forge(&header(0, 0, 0));
    let at = wrong_hash.len() - 32;
    wrong_hash[at..].fill(7);
    assert_refused(&store, &wrong_hash, "it ends with the hash 0707");
}

#[test]
fn a_record_that_names_blobs_that_are_nowhere_or_no_list_is_refused() {
    let (_there, store) = fresh();
    let nowhere = Output { digest: Digest::of(b"nowhere"), len: 7, kind: OutputKind::Blob };
    let bundle = forge(&[header(0, 0, 1), item(&entry(b"step", nowhere).encode())].concat());
    assert_refused(&store, &bundle, &format!("needs blob {}, which is not there", Digest::of(b"nowhere")));
    // A tree with a name that leaves its directory is no tree.
    let tree = [&b"tree\x01\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0../a"[..], &[7; 32], &[0; 8]].concat();
    let digest = Digest::of(&tree);
    let output = Output { digest, len: tree.len() as u64, kind: OutputKind::Tree };
    let len = tree.len() as u64;
    let body =
        [header(1, len, 1), blob(&digest, len, &tree), item(&entry(b"step", output).encode())].concat();
    assert_refused(&store, &forge(&body), &format!("needs blob {digest} to be a list, which it is not"));
}

#[test]
fn a_record_that_says_another_length_than_its_blob_has_is_refused() {
    let (_there, store) = fresh();
    let word = Digest::of(b"word");
    for len in [3, 5, u64::MAX] {
        let lies = Output { digest: word, len, kind: OutputKind::Blob };
        let item = item(&entry(b"step", lies).encode());
        let why = format!("it says that blob {word} has {len} bytes, which has 4");
        let along = forge(&[header(1, 4, 1), blob(&word, 4, b"word"), item.clone()].concat());
        assert_refused(&store, &along, &why);
        // The blob is here by now, as those that a bundle leaves out.
        assert_refused(&store, &forge(&[header(0, 0, 1), item].concat()), &why);
    }
}

#[test]
fn one_bad_record_refuses_the_good_ones_with_it() {
    let (_there, store) = fresh();
    let good = Output { digest: Digest::of(b"word"), len: 4, kind: OutputKind::Blob };
    let bad = Output { digest: Digest::of(b"nowhere"), len: 7, kind: OutputKind::Blob };
    let mut entries = [entry(b"good", good), entry(b"bad", bad)];
    entries.sort_by_key(|entry| *entry.key());
    let items = entries.map(|entry| item(&entry.encode())).concat();
    let body = [header(1, 4, 2), blob(&Digest::of(b"word"), 4, b"word"), items].concat();
    assert_refused(&store, &forge(&body), "which is not there");
    // What is left is a blob that nothing names.
    assert_eq!(store.missing(&[Digest::of(b"word")]).unwrap(), []);
}

/// A header with a selection.
fn header_of(actions: &[ActionKey], outputs: &[(u8, Digest)], blobs: u64, bytes: u64, items: u64) -> Vec<u8> {
    let mut header = (actions.len() as u64).to_le_bytes().to_vec();
    actions.iter().for_each(|key| header.extend(key.as_bytes()));
    header.extend((outputs.len() as u64).to_le_bytes());
    for (kind, digest) in outputs {
        header.push(*kind);
        header.extend(digest.as_bytes());
    }
    [blobs, bytes, items].iter().for_each(|n: &u64| header.extend(n.to_le_bytes()));
    header
}

#[test]
fn a_selection_is_ascending_and_is_not_held_until_that_is_seen() {
    let (_there, store) = fresh();
    let most: u64 = 1 << 22;
    // The first two are equal: what follows is not asked for.
    let zeros = [&most.to_le_bytes()[..], &[0; 64]].concat();
    assert_refused(&store, &forge(&zeros), "what it was asked for is not in ascending order");
    assert_refused(&store, &forge(&(most + 1).to_le_bytes()), "at most 4194304 are taken");
    assert!(contents(&forge(&zeros)[..]).unwrap_err().to_string().contains("ascending"));
    let word = Digest::of(b"word");
    let twice = header_of(&[], &[(0, word), (0, word)], 1, 4, 0);
    assert_refused(&store, &forge(&[twice, blob(&word, 4, b"word")].concat()), "not in ascending order");
}

#[test]
fn a_list_of_what_a_bundle_has_is_made_of_names_that_are_true() {
    let word = Digest::of(b"word");
    let wrong = forge(&[header(1, 4, 0), blob(&word, 4, b"w0rd")].concat());
    assert!(contents(&wrong[..]).unwrap_err().to_string().contains("hash to"));
    let twice = forge(&[header(2, 8, 0), blob(&word, 4, b"word"), blob(&word, 4, b"word")].concat());
    assert!(contents(&twice[..]).unwrap_err().to_string().contains("not in ascending order"));
}

#[test]
fn a_selection_that_is_nowhere_or_not_what_it_is_said_to_be_is_refused_before_anything_is_used() {
    let (_there, store) = fresh();
    let (word, nowhere) = (Digest::of(b"word"), Digest::of(b"nowhere"));
    let step = entry(b"step", Output { digest: word, len: 4, kind: OutputKind::Blob });
    let other = ActionKey::of_preimage(b"another step");
    let lists = Closure::new(vec![other], vec![]).encode();
    let forge_of = |actions: &[ActionKey], outputs: &[(u8, Digest)], content: &[u8]| {
        let mut blobs = [b"word", content];
        blobs.sort_by_key(|bytes| Digest::of(bytes));
        let len = |bytes: &[u8]| bytes.len() as u64;
        let header = header_of(actions, outputs, 2, blobs.iter().map(|bytes| len(bytes)).sum(), 1);
        let blobs = blobs.map(|bytes| blob(&Digest::of(bytes), len(bytes), bytes)).concat();
        forge(&[header, blobs, item(&step.encode())].concat())
    };
    let no_list = format!("needs blob {word} to be a list, which it is not");
    let not_there = |what: &str| format!("{what}, which is not there");
    let lies = [
        (forge_of(&[], &[(1, word)], b""), no_list.clone()),
        (forge_of(&[], &[(2, word)], b""), no_list),
        (forge_of(&[], &[(0, nowhere)], b""), not_there(&format!("needs blob {nowhere}"))),
        (forge_of(&[], &[(1, nowhere)], b""), format!("needs blob {nowhere}, which is missing")),
        (forge_of(&[other], &[], b""), not_there(&format!("lists action {other}"))),
        (forge_of(&[], &[(2, Digest::of(&lists))], &lists), not_there(&format!("lists action {other}"))),
    ];
    for (bundle, why) in &lies {
        assert_refused(&store, bundle, why);
        let options = ImportOptions { dry_run: true, ..ImportOptions::default() };
        let error = import(&store, &bundle[..], &options, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    // What is not in the bundle may be here.
    store.publish(plain_step("another step", b"words"));
    assert!(import_all(&store, &lies[5].0).is_ok() && import_all(&store, &lies[4].0).is_ok());
}

#[test]
fn names_and_hosts_that_would_control_a_terminal_are_refused() {
    let (_there, store) = fresh();
    let word = Output { digest: Digest::of(b"word"), len: 4, kind: OutputKind::Blob };
    let start = [header(1, 4, 1), blob(&word.digest, 4, b"word")].concat();
    let named = ActionRecord { outputs: [("a\x1b[2J".to_owned(), word.clone())].into() };
    let bundle = forge(&[start.clone(), item(&ActionEntry::new(b"step".to_vec(), named).encode())].concat());
    assert_refused(&store, &bundle, r#"the name "a\u{1b}[2J" has control characters"#);

    let host = b"host\nerror: forged";
    let provenance = [b"prov\x01", &[0; 16][..], &(host.len() as u64).to_le_bytes(), host].concat();
    let entry = entry(b"step", word).encode();
    let len = |bytes: &[u8]| (bytes.len() as u64).to_le_bytes();
    let item = [b"item\x01", &len(&entry)[..], &entry, &[0; 8], &len(&provenance), &provenance].concat();
    let bundle = forge(&[start, len(&item).to_vec(), item].concat());
    assert_refused(&store, &bundle, r#"the name "host\nerror: forged" has control characters"#);
}

#[test]
fn a_decompression_bomb_is_refused() {
    let (_there, store) = fresh();
    // Blobs of nothing but zeros, each with its right hash, as many as it takes.
    let mut body = std::io::Cursor::new(header(100, 100 << 24, 0)).chain(std::io::Cursor::new(vec![]));
    let mut start = Vec::new();
    body.read_to_end(&mut start).unwrap();
    let mut blobs: Vec<Blob> = (0..20).map(|i| Blob::new(vec![0; (16 << 20) + i])).collect();
    blobs.sort_by_key(Blob::digest);
    let mut encoder = zstd::stream::write::Encoder::new(b"bndl\x01".to_vec(), 3).unwrap();
    std::io::Write::write_all(&mut encoder, &start).unwrap();
    for one in &blobs {
        std::io::Write::write_all(&mut encoder, &blob(&one.digest(), one.len(), one.bytes())).unwrap();
    }
    let bundle = encoder.finish().unwrap();
    assert!(bundle.len() < 100_000);
    assert_refused(&store, &bundle, "a decompression bomb");
}

#[test]
fn a_blob_longer_than_allowed_is_refused_by_name() {
    let (_here, store) = fresh();
    publish_a_build(&store, "build", 1);
    let bundle = export_all(&store);
    let (_there, other) = fresh();
    let options = ImportOptions { most_blob_bytes: 100_000, ..ImportOptions::default() };
    let error = import(&other, &bundle[..], &options, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("300000 bytes; at most 100000 are taken"), "{error}");
    assert_eq!(other.stats().unwrap().actions, 0);
}

#[test]
fn an_input_that_fails_is_told_apart_from_one_that_is_damaged() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::TimedOut.into())
        }
    }
    let bundle = small_bundle();
    let (_there, store) = fresh();
    let cut = bundle[..bundle.len() / 2].chain(Fails);
    let error = import(&store, cut, &ImportOptions::default(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().starts_with("cannot read the bundle"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(contents(&bundle[..20]).is_err());
}
