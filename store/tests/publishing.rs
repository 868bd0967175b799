//! What is published together appears together, in order, and once.

use crate::harness::{Place, noise, only_blobs, plain_step};
use artifact_store::{
    ActionKey, ActionRecord, Blob, Digest, HexPrefix, NewAction, Options, Output, OutputKind, Provenance,
    Publication, Root,
};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn what_is_published_can_be_read_at_once() {
    let place = Place::new();
    let store = place.open();
    for i in 0..50 {
        let output = noise(200, i);
        let publication = plain_step(&format!("step {i}"), &output);
        let key = *publication.action.as_ref().unwrap().key();
        let ticket = store.publish(publication);
        assert_eq!(store.get(&Digest::of(&output)).unwrap().as_deref(), Some(&output[..]));
        assert_eq!(store.missing(&[Digest::of(&output)]).unwrap(), []);
        assert!(store.hit(&key).unwrap().is_some());
        if i % 10 == 0 {
            ticket.wait().unwrap();
            assert!(ticket.is_done());
        }
    }
}

#[test]
fn dropping_the_store_commits_what_is_queued() {
    let place = Place::new();
    let store = place.open();
    for i in 0..1000 {
        store.publish(plain_step(&format!("step {i}"), &noise(50, i)));
    }
    drop(store);
    assert_eq!(place.open().stats().unwrap().actions, 1000);
}

#[test]
fn other_handles_see_a_publication_as_a_whole_or_not_at_all() {
    let place = Place::new();
    let (writer, reader) = (place.open(), place.open());
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for i in 0..300u64 {
                let blob = Blob::new(noise(300, i));
                let root = Root::now(blob.digest(), OutputKind::Blob);
                let step = plain_step(&format!("step {i}"), &noise(300, i));
                writer.publish(Publication { roots: vec![("last".to_owned(), root)], ..step });
                if i % 7 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
            writer.flush().unwrap();
        });
        let mut seen = 0;
        while !writing.is_finished() || seen == 0 {
            let Some(root) = reader.root("last").unwrap() else { continue };
            assert!(reader.get(&root.target).unwrap().is_some(), "a root without its blob");
            let keys = reader.list_actions(&HexPrefix::ALL).unwrap();
            assert!(keys.iter().all(|key| reader.hit(key).unwrap().is_some()), "a record without its output");
            // In order: whatever was published before what is there is there.
            let there = (0..300)
                .take_while(|i| keys.contains(&ActionKey::of_preimage(format!("step {i}").as_bytes())));
            assert_eq!(there.count(), keys.len(), "a later publication came before an earlier one");
            seen = keys.len();
        }
    });
    assert_eq!(reader.stats().unwrap().actions, 300);
}

#[test]
fn many_threads_publish_and_read_at_once() {
    let place = Place::new();
    let store = place.open();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let store = store.clone();
            scope.spawn(move || {
                for i in 0..100 {
                    // Half of the content is the same in all threads.
                    let seed = if i % 2 == 0 { i } else { thread << 32 | i };
                    let content = noise(100 + 97 * usize::try_from(i).unwrap(), seed);
                    store.publish(only_blobs(vec![Blob::new(&content[..])]));
                    let found = store.get(&Digest::of(&content)).unwrap();
                    assert_eq!(found.as_deref(), Some(&content[..]));
                }
            });
        }
    });
    store.flush().unwrap();
    assert_eq!(place.open().stats().unwrap().blobs, 50 + 8 * 50);
}

#[test]
fn publishing_waits_when_too_much_is_in_flight() {
    let place = Place::new();
    let options = Options { in_flight_bytes: 1 << 20, ..place.options() };
    let store = artifact_store::Store::open(place.path(), &options).unwrap();
    let tickets: Vec<_> =
        (0..40).map(|i| store.publish(only_blobs(vec![Blob::new(noise(600_000, i))]))).collect();
    // Two never fit, so all but the last had to be committed for the last to be queued.
    assert!(tickets[..39].iter().all(artifact_store::Ticket::is_done));
    tickets[39].wait().unwrap();
}

#[test]
fn an_action_is_claimed_by_one_thread_at_a_time() {
    let place = Place::new();
    let store = place.open();
    let ran = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for i in 0..40 {
                    let preimage = format!("step {i}");
                    let key = ActionKey::of_preimage(preimage.as_bytes());
                    while store.hit(&key).unwrap().is_none() {
                        let Some(claim) = store.claim(&key).unwrap() else {
                            std::thread::yield_now();
                            continue;
                        };
                        if store.hit(&key).unwrap().is_some() {
                            break;
                        }
                        ran.fetch_add(1, Ordering::Relaxed);
                        let step = plain_step(&preimage, preimage.as_bytes());
                        store.publish(Publication { claim: Some(claim), ..step });
                    }
                }
            });
        }
    });
    assert_eq!(ran.load(Ordering::Relaxed), 40);
}

#[test]
fn a_claim_is_freed_when_dropped_and_when_its_publication_is_committed() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    let step = plain_step("step", b"output");
    let key = *step.action.as_ref().unwrap().key();
    let claim = store.claim(&key).unwrap().unwrap();
    assert!(other.claim(&key).unwrap().is_none());
    drop(claim);
    let claim = other.claim(&key).unwrap();
    assert!(store.claim(&key).unwrap().is_none());
    other.publish(Publication { claim, ..step }).wait().unwrap();
    assert!(store.claim(&key).unwrap().is_some());
    assert!(store.hit(&key).unwrap().is_some(), "freed before the record could be seen");
}

#[test]
fn an_action_that_gives_other_outputs_than_before_is_noticed() {
    let place = Place::new();
    let store = place.open();
    store.publish(plain_step("step", b"one")).wait().unwrap();
    store.publish(plain_step("step", b"one")).wait().unwrap();
    assert_eq!(place.notices(), []);
    store.publish(plain_step("step", b"two")).wait().unwrap();
    let key = ActionKey::of_preimage(b"step");
    assert_eq!(place.notices(), [artifact_store::Notice::RecordChanged(key)]);
    assert_eq!(store.hit(&key).unwrap().unwrap().outputs["0"].digest, Digest::of(b"two"));
}

#[test]
fn the_latest_of_several_records_counts_even_before_it_is_committed() {
    let place = Place::new();
    let store = place.open();
    let key = ActionKey::of_preimage(b"step");
    let latest = || store.hit(&key).unwrap().unwrap().outputs["0"].digest;
    // Nobody waits in between, so most of them share a commit.
    for i in 0..20u64 {
        store.publish(plain_step("step", &i.to_le_bytes()));
        assert_eq!(latest(), Digest::of(&i.to_le_bytes()));
    }
    store.flush().unwrap();
    assert_eq!(latest(), Digest::of(&19u64.to_le_bytes()));
    assert_eq!(place.notices(), vec![artifact_store::Notice::RecordChanged(key); 19]);
}

#[test]
fn text_that_would_control_a_terminal_is_refused_before_it_is_stored() {
    let place = Place::new();
    let store = place.open();
    let output = |name: &str| {
        let output = Output { digest: Digest::of(b""), len: 0, kind: OutputKind::Blob };
        ActionRecord { outputs: [(name.to_owned(), output)].into() }
    };
    let host = |host: &str| Provenance { host: host.to_owned(), ..Provenance::default() };
    for (record, provenance) in [(output("a\x1b[2J"), host("here")), (output("a"), host("he\nre"))] {
        let action = Some(NewAction::new(b"step".to_vec(), record, provenance));
        let error = store.publish(Publication { action, ..Publication::default() }).wait().unwrap_err();
        assert!(error.to_string().contains("has control characters"), "{error}");
    }
    assert_eq!(store.list_actions(&HexPrefix::ALL).unwrap(), []);
}
