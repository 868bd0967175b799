//! Encodings and names that other machines rely on. A change here disowns every store in the world: it must
//! come with a new version byte, and never by accident.

use artifact_store::{ActionKey, ActionRecord, Closure, Digest, Output, OutputKind, Tree, TreeEntry};
use std::fmt::Write;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

const EMPTY: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

#[test]
fn action_keys_are_pinned() {
    assert_eq!(
        ActionKey::of_preimage(b"").to_string(),
        "a055239589897c72964b3f8ffb6e5ece8778a2f15cd91a87f94b6264fb8c29c7"
    );
    assert_eq!(
        ActionKey::of_preimage(b"step 1").to_string(),
        "a81a494d1f112ea539f39f1b30082545d1aabd76ced8f8f0d820f3710d9f15d0"
    );
}

#[test]
fn the_encoding_of_a_tree_is_pinned() {
    let entry = |name: &str| TreeEntry { name: name.to_owned(), digest: Digest::of(b""), len: 258 };
    let tree = Tree::new(vec![entry("b"), entry("a/c")]).unwrap();
    let expected = [
        "7472656501", // "tree", version 1
        "0200000000000000",
        "0300000000000000612f63", // "a/c"
        EMPTY,
        "0201000000000000",   // 258
        "010000000000000062", // "b"
        EMPTY,
        "0201000000000000",
    ];
    assert_eq!(hex(&tree.encode()), expected.concat());
}

#[test]
fn the_encoding_of_a_closure_is_pinned() {
    let closure = Closure::new(vec![ActionKey::from_bytes([7; 32])], vec![Digest::of(b""), Digest::of(b"")]);
    let action = "07".repeat(32);
    let expected = ["636c6f7301", "0100000000000000", &action, "0100000000000000", EMPTY];
    assert_eq!(hex(&closure.encode()), expected.concat());
}

#[test]
fn the_encoding_of_a_record_is_pinned() {
    let output = |kind, len| Output { digest: Digest::of(b""), len, kind };
    let record = ActionRecord {
        outputs: [
            ("log".to_owned(), output(OutputKind::Blob, 3)),
            ("all".to_owned(), output(OutputKind::Closure, 1)),
            ("files".to_owned(), output(OutputKind::Tree, 2)),
        ]
        .into(),
    };
    let expected = [
        "7265636401", // "recd", version 1
        "0300000000000000",
        "0300000000000000616c6c02", // "all", a closure
        EMPTY,
        "0100000000000000",
        "050000000000000066696c657301", // "files", a tree
        EMPTY,
        "0200000000000000",
        "03000000000000006c6f6700", // "log", a blob
        EMPTY,
        "0300000000000000",
    ];
    assert_eq!(hex(&record.encode()), expected.concat());
    assert_eq!(ActionRecord::decode(&record.encode()).unwrap(), record);
}

#[test]
fn a_record_that_is_not_canonical_is_refused() {
    let output = Output { digest: Digest::of(b""), len: 0, kind: OutputKind::Blob };
    let record =
        ActionRecord { outputs: [("a".to_owned(), output.clone()), ("b".to_owned(), output)].into() };
    let good = record.encode();
    for (at, value, why) in
        [(0, b'x', "begin"), (4, 2, "version 2"), (22, 3, "kind"), (21, b'c', "ascending")]
    {
        let mut wrong = good.clone();
        wrong[at] = value;
        let error = ActionRecord::decode(&wrong).unwrap_err().to_string();
        assert!(error.contains(why), "byte {at}: {error}");
    }
    assert!(ActionRecord::decode(&[&good[..], b"x"].concat()).unwrap_err().to_string().contains("left over"));
    for len in 0..good.len() {
        assert!(ActionRecord::decode(&good[..len]).is_err(), "{len} of {} bytes were accepted", good.len());
    }
}
