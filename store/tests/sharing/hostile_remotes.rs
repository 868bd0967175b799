//! A remote that is damaged or lies: what it says is named, not used, and takes no memory.

use super::{fresh, on_every_remote, pull_actions, push_all, two_builds};
use crate::harness::{plain_step, publish_a_build, step};
use artifact_store::remote::{
    ActionEntry, DirectoryRemote, MemoryRemote, PullOptions, Remote, Selection, pull,
};
use artifact_store::{
    ActionKey, ActionRecord, Blob, Closure, Digest, Found, HexPrefix, Output, OutputKind, Publication, Store,
};
use std::path::{Path, PathBuf};

fn path_of(remote: &DirectoryRemote, kind: &str, hex: &str) -> PathBuf {
    remote.directory().join(kind).join(&hex[..2]).join(hex)
}

/// Replaces a file that is read-only.
fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn is_empty(store: &Store) -> bool {
    store.list_actions(&HexPrefix::ALL).unwrap().is_empty()
}

#[test]
fn a_blob_with_any_byte_flipped_or_cut_anywhere_is_found_named_and_not_used() {
    let (_here, store) = fresh();
    let output = b"some text that is compressed, compressed, compressed, compressed, compressed".repeat(3);
    store.publish(plain_step("step", &output)).wait().unwrap();
    let key = ActionKey::of_preimage(b"step");
    let place = tempfile::tempdir().unwrap();
    let remote = DirectoryRemote::create(place.path()).unwrap();
    push_all(&store, &remote);
    let digest = Digest::of(&output);
    let path = path_of(&remote, "blobs/blake3", &digest.to_string());
    let good = std::fs::read(&path).unwrap();
    let flipped = (0..good.len()).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    });
    let cut = (0..good.len()).map(|at| good[..at].to_vec());
    let mut used = 0;
    for wrong in flipped.chain(cut) {
        overwrite(&path, &wrong);
        let (_there, other) = fresh();
        let report = pull_actions(&other, &remote, &[key]);
        // A flip may hit a bit that means nothing; then the bytes are right.
        if report.actions == 1 {
            used += 1;
            assert_eq!(other.get(&digest).unwrap().as_deref(), Some(&output[..]));
            continue;
        }
        assert!(is_empty(&other));
        assert_eq!(report.left_out.len(), 1);
        assert_eq!(report.left_out[0].what, Found::Action(key));
        assert!(report.left_out[0].why.contains(&digest.to_string()), "{}", report.left_out[0]);
    }
    assert!(used < 3, "{used} damaged blobs were used");
}

#[test]
fn an_entry_with_any_byte_flipped_is_found_named_not_used_and_replaced_by_the_next_push() {
    let (_here, store) = fresh();
    store.publish(plain_step("step", b"output")).wait().unwrap();
    let key = ActionKey::of_preimage(b"step");
    let place = tempfile::tempdir().unwrap();
    let remote = DirectoryRemote::create(place.path()).unwrap();
    push_all(&store, &remote);
    let path = path_of(&remote, "actions", &key.to_string());
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut wrong = good.clone();
        wrong[at] ^= 1;
        overwrite(&path, &wrong);
        let (_there, other) = fresh();
        let report = pull_actions(&other, &remote, &[key]);
        assert!(is_empty(&other), "byte {at}");
        assert_eq!(report.left_out[0].what, Found::Action(key));
        assert!(report.left_out[0].why.contains("damaged"), "{}", report.left_out[0]);
        assert_eq!(push_all(&store, &remote).actions, 1);
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }
}

/// Makes a file of a remote one that cannot be read.
#[cfg(unix)]
type Spoil<'s> = &'s dyn Fn(&Path);

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_comes() {
    let (_here, store) = fresh();
    for name in ["wanted", "other"] {
        store.publish(plain_step(name, name.as_bytes()));
    }
    let [wanted, other] = ["wanted", "other"].map(|name| ActionKey::of_preimage(name.as_bytes()));
    let blob = Digest::of(b"wanted").to_string();
    let in_a_circle = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(path, path).unwrap();
    };
    let no_directory = |path: &Path| {
        let part = path.parent().unwrap();
        std::fs::remove_dir_all(part).unwrap();
        std::fs::write(part, "").unwrap();
    };
    // A dry run asks only whether blobs are there.
    let cases: [(&str, &str, Spoil<'_>, u64); 3] = [
        ("blobs/blake3", &blob, &in_a_circle, 2),
        ("blobs/blake3", &blob, &no_directory, 1),
        ("actions", &wanted.to_string(), &in_a_circle, 1),
    ];
    for (kind, name, spoil, planned) in cases {
        let place = tempfile::tempdir().unwrap();
        let remote = DirectoryRemote::create(place.path()).unwrap();
        push_all(&store, &remote);
        spoil(&path_of(&remote, kind, name));
        for (dry_run, come) in [(true, planned), (false, 1)] {
            let (_there, receiving) = fresh();
            let options = PullOptions { dry_run, ..PullOptions::default() };
            let both = Selection::actions([wanted, other]);
            let report = pull(&receiving, &both, &remote, &options, &mut |_| {}).unwrap();
            assert_eq!((report.actions, report.left_out.len() as u64), (come, 2 - come), "{kind}");
            assert!(report.left_out.iter().all(|refusal| refusal.what == Found::Action(wanted)));
        }
    }
}

#[test]
fn other_bytes_than_asked_are_refused_whatever_the_remote() {
    let (_here, store) = fresh();
    store.publish(plain_step("step", b"output")).wait().unwrap();
    let remote = MemoryRemote::new();
    push_all(&store, &remote);
    let digest = Digest::of(b"output");
    remote.tamper(digest.as_bytes(), |bytes| *bytes = b"0utput".to_vec());
    let (_there, other) = fresh();
    let report = pull_actions(&other, &remote, &[ActionKey::of_preimage(b"step")]);
    assert!(is_empty(&other) && report.left_out[0].why.contains("other bytes under this name"));
}

#[test]
fn an_entry_under_another_name_is_refused() {
    let (_here, store) = fresh();
    for name in ["wanted", "other"] {
        store.publish(plain_step(name, name.as_bytes()));
    }
    let remote = MemoryRemote::new();
    push_all(&store, &remote);
    let key = ActionKey::of_preimage(b"wanted");
    let record = ActionRecord::default();
    remote.tamper(key.as_bytes(), |bytes| *bytes = ActionEntry::new(b"other".to_vec(), record).encode());
    let (_there, other) = fresh();
    let report = pull_actions(&other, &remote, &[key]);
    assert!(is_empty(&other) && report.left_out[0].why.contains("what it describes is action"));
}

#[test]
fn a_record_that_names_blobs_that_are_not_there_is_not_used_and_the_rest_is() {
    on_every_remote(|remote| {
        let (_here, store) = fresh();
        let (_, keys) = publish_a_build(&store, "build", 1);
        push_all(&store, remote);
        let missing = Output { digest: Digest::of(b"nowhere"), len: 7, kind: OutputKind::Blob };
        let record = ActionRecord { outputs: [("out".to_owned(), missing)].into() };
        let entry = ActionEntry::new(b"empty promise".to_vec(), record);
        remote.put_actions(std::slice::from_ref(&entry)).unwrap();
        let (_there, other) = fresh();
        let report = pull_actions(&other, remote, &[*entry.key(), keys[2]]);
        assert_eq!((report.actions, report.left_out.len()), (3, 1));
        assert_eq!(report.left_out[0].what, Found::Action(*entry.key()));
        assert!(other.record(entry.key()).unwrap().is_none());
    });
}

#[test]
fn a_list_is_not_used_when_something_it_lists_is_not_there() {
    let (_here, store) = fresh();
    let (tops, actions, _) = two_builds(&store);
    let remote = MemoryRemote::new();
    push_all(&store, &remote);
    remote.lose(actions[1].as_bytes());
    let (_there, other) = fresh();
    let report = pull_actions(&other, &remote, &tops);
    assert_eq!(report.actions, 4);
    let left_out: Vec<Found> = report.left_out.iter().map(|refusal| refusal.what).collect();
    assert_eq!(left_out, [Found::Action(actions[1]), Found::Action(tops[0])]);
    assert!(other.hit(&tops[0]).unwrap().is_none() && other.hit(&tops[1]).unwrap().is_some());
}

#[test]
fn a_length_that_lies_is_refused_in_either_direction() {
    for (len, why) in
        [(3, "at most 3 were expected"), (7, "has 7 bytes, which has 6"), (u64::MAX, "which has 6")]
    {
        on_every_remote(|remote| {
            remote.put_many(&[Blob::new(*b"output")]).unwrap();
            let output = Output { digest: Digest::of(b"output"), len, kind: OutputKind::Blob };
            let record = ActionRecord { outputs: [("out".to_owned(), output)].into() };
            let entry = ActionEntry::new(b"step".to_vec(), record);
            remote.put_actions(std::slice::from_ref(&entry)).unwrap();
            let (_there, other) = fresh();
            let report = pull_actions(&other, remote, &[*entry.key()]);
            assert!(is_empty(&other));
            assert!(report.left_out[0].why.contains(why), "{}", report.left_out[0]);
            // A blob that is here already has its own length, too.
            other
                .publish(Publication { blobs: vec![Blob::new(*b"output")], ..Publication::default() })
                .wait()
                .unwrap();
            let report = pull_actions(&other, remote, &[*entry.key()]);
            let why = format!("has {len} bytes, which has 6");
            assert!(report.left_out[0].why.contains(&why), "{}", report.left_out[0]);
            assert_eq!(report.actions, 0);
        });
    }
}

#[test]
fn a_decompression_bomb_is_refused_before_it_grows() {
    let (_here, store) = fresh();
    store.publish(plain_step("step", b"output")).wait().unwrap();
    let place = tempfile::tempdir().unwrap();
    let remote = DirectoryRemote::create(place.path()).unwrap();
    push_all(&store, &remote);
    let path = path_of(&remote, "blobs/blake3", &Digest::of(b"output").to_string());
    overwrite(&path, &zstd::bulk::compress(&vec![0; 1 << 20], 1).unwrap());
    let (_there, other) = fresh();
    let report = pull_actions(&other, &remote, &[ActionKey::of_preimage(b"step")]);
    assert!(report.left_out[0].why.contains("at most 6 were expected"), "{}", report.left_out[0]);
    // Nor is a file read further than the blob could need.
    overwrite(&path, &vec![0; 64 << 20]);
    let report = pull_actions(&other, &remote, &[ActionKey::of_preimage(b"step")]);
    assert!(report.left_out[0].why.contains("the file is longer than"), "{}", report.left_out[0]);
}

#[test]
fn what_should_be_a_list_and_is_not_is_refused() {
    for kind in [OutputKind::Tree, OutputKind::Closure] {
        let remote = MemoryRemote::new();
        let blob = Blob::new(*b"no list at all");
        remote.put_many(std::slice::from_ref(&blob)).unwrap();
        let output = Output { digest: blob.digest(), len: blob.len(), kind };
        let record = ActionRecord { outputs: [("out".to_owned(), output)].into() };
        let entry = ActionEntry::new(b"step".to_vec(), record);
        remote.put_actions(std::slice::from_ref(&entry)).unwrap();
        let (_there, other) = fresh();
        let report = pull_actions(&other, &remote, &[*entry.key()]);
        assert!(is_empty(&other) && report.left_out[0].why.contains("to be a list, which it is not"));
    }
}

#[test]
fn lists_that_list_each_other_end() {
    let remote = MemoryRemote::new();
    for (own, other) in [("a", "b"), ("b", "a")] {
        let closure =
            Blob::new(Closure::new(vec![ActionKey::of_preimage(other.as_bytes())], vec![]).encode());
        remote.put_many(std::slice::from_ref(&closure)).unwrap();
        let publication = step(own, vec![(closure.clone(), OutputKind::Closure)]);
        drop(publication);
        let output = Output { digest: closure.digest(), len: closure.len(), kind: OutputKind::Closure };
        let record = ActionRecord { outputs: [("all".to_owned(), output)].into() };
        remote.put_actions(&[ActionEntry::new(own.into(), record)]).unwrap();
    }
    let (_there, other) = fresh();
    let report = pull_actions(&other, &remote, &[ActionKey::of_preimage(b"a")]);
    assert!(is_empty(&other));
    assert_eq!(report.left_out.len(), 2);
}
