//! What every remote is, whatever it is made of.

use super::on_every_remote;
use crate::harness::noise;
use artifact_store::remote::{ActionEntry, DirectoryRemote, PutAction, Remote, Reply, Wanted};
use artifact_store::trust::SecretKey;
use artifact_store::{ActionKey, ActionRecord, Blob, Digest, ErrorKind, Output, OutputKind};
use std::collections::BTreeMap;

fn get(remote: &dyn Remote, digest: Digest, most_bytes: u64) -> Reply {
    let mut replies = Vec::new();
    let mut deliver = |_: &Wanted, reply: Reply| {
        replies.push(reply);
        Ok(())
    };
    remote.get_many(&[Wanted { digest, most_bytes }], &mut deliver).unwrap();
    assert_eq!(replies.len(), 1);
    replies.remove(0)
}

fn entry(preimage: &str, output: &[u8]) -> ActionEntry {
    let output = Output { digest: Digest::of(output), len: output.len() as u64, kind: OutputKind::Blob };
    ActionEntry::new(preimage.into(), ActionRecord { outputs: [("out".to_owned(), output)].into() })
}

#[test]
fn blobs_come_back_as_they_were_put() {
    on_every_remote(|remote| {
        let contents = [vec![], vec![7], noise(1000, 1), vec![9; 300_000], noise(300_000, 2)];
        let blobs: Vec<Blob> = contents.iter().map(|content| Blob::new(&content[..])).collect();
        let digests: Vec<Digest> = blobs.iter().map(Blob::digest).collect();
        assert_eq!(remote.has_many(&digests).unwrap(), [false; 5]);
        remote.put_many(&blobs[1..]).unwrap();
        remote.flush().unwrap();
        assert_eq!(remote.has_many(&digests).unwrap(), [false, true, true, true, true]);
        remote.put_many(&blobs).unwrap();
        for blob in &blobs {
            let Reply::Found(bytes) = get(remote, blob.digest(), blob.len()) else { panic!("not found") };
            assert_eq!(bytes, **blob.bytes());
        }
        assert!(matches!(get(remote, Digest::of(b"never put"), 10), Reply::Missing));
    });
}

#[test]
fn what_is_longer_than_wanted_is_not_taken() {
    on_every_remote(|remote| {
        let blob = Blob::new(vec![9; 300_000]);
        remote.put_many(std::slice::from_ref(&blob)).unwrap();
        let Reply::Unusable(error) = get(remote, blob.digest(), 299_999) else { panic!("it was taken") };
        assert!(error.to_string().contains("at most 299999 were expected"), "{error}");
    });
}

#[test]
fn the_first_entry_of_an_action_stays() {
    on_every_remote(|remote| {
        let (first, second) = (entry("a", b"1"), entry("a", b"2"));
        let other = entry("b", b"3");
        assert_eq!(remote.has_actions(&[*first.key()]).unwrap(), [false]);
        assert!(matches!(remote.put_actions(std::slice::from_ref(&first)).unwrap()[..], [PutAction::Stored]));
        let outcomes = remote.put_actions(&[second, other.clone(), first.clone()]).unwrap();
        let [PutAction::There(there), PutAction::Stored, PutAction::There(same)] = &outcomes[..] else {
            panic!("{outcomes:?}")
        };
        assert_eq!((there, same), (&first.encode(), &first.encode()));
        remote.flush().unwrap();
        let mut found = BTreeMap::new();
        let keys = [*first.key(), *other.key(), ActionKey::of_preimage(b"c")];
        let mut deliver = |key: &ActionKey, reply: Reply| {
            found.insert(*key, reply);
            Ok(())
        };
        remote.get_actions(&keys, &mut deliver).unwrap();
        assert!(matches!(&found[&keys[0]], Reply::Found(bytes) if *bytes == first.encode()));
        assert!(matches!(&found[&keys[1]], Reply::Found(bytes) if *bytes == other.encode()));
        assert!(matches!(&found[&keys[2]], Reply::Missing));
        let mut expected = keys[..2].to_vec();
        expected.sort_unstable();
        assert_eq!(remote.list_actions().unwrap().unwrap(), expected);
    });
}

#[test]
fn signatures_lie_beside_entries_one_per_signer() {
    on_every_remote(|remote| {
        let entry = entry("a", b"1");
        let keys: Vec<SecretKey> = (0..3).map(|_| SecretKey::generate().unwrap()).collect();
        let signatures: Vec<_> = keys.iter().map(|key| key.sign(entry.key(), entry.record())).collect();
        let signers: Vec<_> = keys.iter().map(SecretKey::public).collect();
        assert_eq!(remote.get_signatures(entry.key(), &signers).unwrap(), []);
        remote.put_signatures(entry.key(), &signatures[..2]).unwrap();
        assert_eq!(remote.get_signatures(entry.key(), &signers).unwrap(), signatures[..2]);
        assert_eq!(remote.get_signatures(entry.key(), &signers[1..]).unwrap(), signatures[1..2]);
    });
}

#[test]
fn asking_for_many_and_asking_for_each_agree() {
    on_every_remote(|remote| {
        let blobs: Vec<Blob> = (0..6_000u32).map(|i| Blob::new(i.to_le_bytes())).collect();
        let digests: Vec<Digest> = blobs.iter().map(Blob::digest).collect();
        let put: Vec<Blob> = blobs.iter().step_by(3).cloned().collect();
        put.chunks(1500).for_each(|some| remote.put_many(some).unwrap());
        let expected: Vec<bool> = (0..digests.len()).map(|i| i % 3 == 0).collect();
        assert_eq!(remote.has_many(&digests).unwrap(), expected);
        for (digest, there) in digests.iter().zip(expected).step_by(397) {
            assert_eq!(remote.has_many(&[*digest]).unwrap(), [there]);
        }
    });
}

#[test]
fn many_threads_can_put_the_same_at_once() {
    on_every_remote(|remote| {
        let blobs: Vec<Blob> = (0..200).map(|i| Blob::new(noise(500, i))).collect();
        let entries: Vec<ActionEntry> =
            (0..50).map(|i| entry(&format!("step {i}"), &i.to_string().into_bytes())).collect();
        let stored: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        remote.put_many(&blobs).unwrap();
                        let outcomes = remote.put_actions(&entries).unwrap();
                        outcomes.iter().filter(|outcome| matches!(outcome, PutAction::Stored)).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(stored, entries.len(), "an entry was stored twice or never");
        for blob in &blobs {
            assert!(
                matches!(get(remote, blob.digest(), blob.len()), Reply::Found(bytes) if bytes == **blob.bytes())
            );
        }
    });
}

#[test]
fn a_directory_that_is_something_else_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let missing = DirectoryRemote::open(place.path().join("nowhere")).unwrap_err();
    assert!(missing.to_string().contains("this is not a remote: it has no file FORMAT"), "{missing}");

    let store = place.path().join("store");
    drop(artifact_store::Store::open(&store, &artifact_store::Options::default()).unwrap());
    for error in [DirectoryRemote::open(&store).unwrap_err(), DirectoryRemote::create(&store).unwrap_err()] {
        assert!(error.to_string().contains("this is a store and not a remote"), "{error}");
    }
    let letter = place.path().join("letter");
    std::fs::write(&letter, "to a friend").unwrap();
    for error in [DirectoryRemote::open(&letter).unwrap_err(), DirectoryRemote::create(&letter).unwrap_err()]
    {
        assert!(error.to_string().ends_with("this is a file, expected the directory of a remote"), "{error}");
    }
    let home = place.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("letter.txt"), "").unwrap();
    let error = DirectoryRemote::create(&home).unwrap_err();
    assert!(error.to_string().contains("letter.txt"), "{error}");

    let remote = place.path().join("remote");
    drop(DirectoryRemote::create(&remote).unwrap());
    let format = remote.join("FORMAT");
    let _ = std::fs::remove_file(&format);
    std::fs::write(&format, "remote 99\n").unwrap();
    assert_eq!(DirectoryRemote::open(&remote).unwrap_err().kind(), ErrorKind::NewerFormat);
    std::fs::write(&format, "something\n").unwrap();
    let error = DirectoryRemote::open(&remote).unwrap_err().to_string();
    assert!(error.contains("found \"something\" where `remote 1` was expected"), "{error}");
}

#[test]
fn a_blob_in_a_directory_can_be_checked_with_common_tools() {
    let place = tempfile::tempdir().unwrap();
    let remote = DirectoryRemote::create(place.path()).unwrap();
    let blob = Blob::new(vec![7; 5000]);
    remote.put_many(std::slice::from_ref(&blob)).unwrap();
    let hex = blob.digest().to_string();
    let file = std::fs::File::open(place.path().join(format!("blobs/blake3/{}/{hex}", &hex[..2]))).unwrap();
    assert!(file.metadata().unwrap().permissions().readonly());
    let bytes = zstd::stream::decode_all(file).unwrap();
    assert_eq!(blake3::hash(&bytes).to_hex().to_string(), hex);
}

#[test]
fn what_dead_writers_left_is_removed_after_a_day() {
    let place = tempfile::tempdir().unwrap();
    let remote = DirectoryRemote::create(place.path()).unwrap();
    let [old, new] = ["old", "new"].map(|name| place.path().join("tmp").join(name));
    for left in [&old, &new] {
        std::fs::create_dir_all(left).unwrap();
        std::fs::write(left.join("0"), "half a blob").unwrap();
    }
    let two_days_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(48 * 3600);
    std::fs::File::open(&old).unwrap().set_modified(two_days_ago).unwrap();
    remote.put_many(&[Blob::new(*b"a")]).unwrap();
    assert!(!old.exists() && new.exists());
    drop(remote);
    assert_eq!(
        std::fs::read_dir(place.path().join("tmp")).unwrap().count(),
        1,
        "a writer left its directory"
    );
}
