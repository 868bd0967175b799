//! Whose records are used.

use super::bundles::export_with;
use super::{fresh, on_every_remote, push_all};
use crate::harness::{plain_step, publish_a_build};
use artifact_store::bundle::{ExportOptions, ImportOptions, import};
use artifact_store::remote::{PullOptions, PullReport, Remote, Selection, pull};
use artifact_store::trust::{PublicKey, SecretKey, Signature, TrustPolicy};
use artifact_store::{ActionKey, HexPrefix, Store};

fn require(trusted: &[PublicKey]) -> PullOptions {
    let trust = TrustPolicy { trusted: trusted.to_vec(), required: true };
    PullOptions { trust, ..PullOptions::default() }
}

fn pull_with(store: &Store, remote: &dyn Remote, key: ActionKey, options: &PullOptions) -> PullReport {
    pull(store, &Selection::actions([key]), remote, options, &mut |_| {}).unwrap()
}

#[test]
fn when_required_only_what_a_trusted_key_has_signed_is_used() {
    on_every_remote(|remote| {
        let (_here, store) = fresh();
        let (_, keys) = publish_a_build(&store, "build", 1);
        let (anna, ben) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        push_all(&store, remote);
        let (_there, other) = fresh();
        let report = pull_with(&other, remote, keys[2], &require(&[anna.public()]));
        assert_eq!((report.actions, report.left_out.len()), (0, 1));
        assert!(report.left_out[0].why.contains("no trusted key has signed it"), "{}", report.left_out[0]);
        let report = pull_with(&other, remote, keys[2], &require(&[]));
        assert!(report.left_out[0].why.contains("no key is trusted"), "{}", report.left_out[0]);

        // Signing what has been pushed already brings the signatures alone.
        assert_eq!(store.sign(&keys, &anna).unwrap(), 3);
        let pushed = push_all(&store, remote);
        assert_eq!((pushed.blobs, pushed.actions), (0, 0));
        assert_eq!(pull_with(&other, remote, keys[2], &require(&[ben.public()])).actions, 0);
        let report = pull_with(&other, remote, keys[2], &require(&[ben.public(), anna.public()]));
        assert_eq!((report.actions, report.left_out.len()), (3, 0));
        assert_eq!(*other.signatures(&keys[0]).unwrap()[0].signer(), anna.public());
    });
}

#[test]
fn a_list_is_not_used_when_something_it_lists_is_not_signed() {
    on_every_remote(|remote| {
        let (_here, store) = fresh();
        let (_, keys) = publish_a_build(&store, "build", 1);
        let anna = SecretKey::generate().unwrap();
        store.sign(&[keys[0], keys[2]], &anna).unwrap();
        push_all(&store, remote);
        let (_there, other) = fresh();
        let report = pull_with(&other, remote, keys[2], &require(&[anna.public()]));
        assert_eq!((report.actions, report.left_out.len()), (1, 2));
        assert!(report.left_out[1].why.contains(&keys[1].to_string()), "{}", report.left_out[1]);
    });
}

#[test]
fn a_forged_signature_counts_for_nothing() {
    on_every_remote(|remote| {
        let (_here, store) = fresh();
        store.publish(plain_step("step", b"output"));
        let key = ActionKey::of_preimage(b"step");
        push_all(&store, remote);
        let (anna, mallory) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let record = store.record(&key).unwrap().unwrap();
        let of_another = anna.sign(&ActionKey::of_preimage(b"another step"), &record);
        let by_mallory = mallory.sign(&key, &record);
        for bytes in [*of_another.bytes(), *by_mallory.bytes(), [0; 64]] {
            remote.put_signatures(&key, &[Signature::new(anna.public(), bytes)]).unwrap();
            let (_there, other) = fresh();
            let report = pull_with(&other, remote, key, &require(&[anna.public()]));
            assert_eq!((report.actions, report.left_out.len()), (0, 1));
        }
    });
}

#[test]
fn signatures_travel_in_a_bundle_and_are_required_of_it() {
    let (_here, store) = fresh();
    let (_, keys) = publish_a_build(&store, "build", 1);
    store.publish(plain_step("unsigned", b"output"));
    let anna = SecretKey::generate().unwrap();
    store.sign(&keys, &anna).unwrap();
    let with = ExportOptions { signatures: true, ..ExportOptions::default() };
    let ((signed, _), (unsigned, _)) =
        (export_with(&store, &with), export_with(&store, &ExportOptions::default()));
    let options = ImportOptions { trust: require(&[anna.public()]).trust, ..ImportOptions::default() };
    let (_there, other) = fresh();
    let report = import(&other, &unsigned[..], &options, &mut |_| {}).unwrap();
    assert_eq!((report.actions, report.left_out.len()), (0, 4));
    let report = import(&other, &signed[..], &options, &mut |_| {}).unwrap();
    assert_eq!((report.actions, report.left_out.len()), (3, 1));
    assert_eq!(other.signatures(&keys[2]).unwrap().len(), 1);
}

#[test]
fn a_signature_ends_with_the_record_it_was_made_for() {
    let (_here, store) = fresh();
    store.publish(plain_step("step", b"one"));
    let key = ActionKey::of_preimage(b"step");
    store.sign(&[key], &SecretKey::generate().unwrap()).unwrap();
    assert_eq!(store.signatures(&key).unwrap().len(), 1);
    assert_eq!(store.provenance(&key).unwrap().unwrap().host, "here", "signing forgot who ran it");
    store.publish(plain_step("step", b"other")).wait().unwrap();
    assert_eq!(store.signatures(&key).unwrap(), []);
    assert_eq!(store.list_actions(&HexPrefix::ALL).unwrap().len(), 1);
}
