//! A part of a store in a file, and back.

use super::{assert_whole, fresh, two_builds};
use crate::harness::{Place, noise, plain_step, publish_a_build};
use artifact_store::bundle::{
    ExportOptions, ExportReport, ImportOptions, ImportReport, contents, export, import,
};
use artifact_store::remote::Selection;
use artifact_store::{ActionKey, Blob, Closure, Digest, Found, OutputKind, Publication, Result, Store};

pub(super) fn export_with(store: &Store, options: &ExportOptions<'_>) -> (Vec<u8>, ExportReport) {
    let mut bytes = Vec::new();
    let all = Selection::everything(store).unwrap();
    let report = export(store, &all, &mut bytes, options, &mut |_| {}).unwrap();
    (bytes, report)
}

pub(super) fn export_all(store: &Store) -> Vec<u8> {
    export_with(store, &ExportOptions::default()).0
}

pub(super) fn import_all(store: &Store, bytes: &[u8]) -> Result<ImportReport> {
    import(store, bytes, &ImportOptions::default(), &mut |_| {})
}

#[test]
fn a_bundle_brings_everything_and_a_second_time_nothing() {
    let (_here, store) = fresh();
    let (_, actions, blobs) = two_builds(&store);
    let (bytes, report) = export_with(&store, &ExportOptions::default());
    assert_eq!((report.blobs, report.actions, report.left_out.len()), (10, 6, 0));
    let (_there, other) = fresh();
    let report = import_all(&other, &bytes).unwrap();
    assert_eq!((report.blobs, report.actions, report.actions_here), (10, 6, 0));
    assert_eq!(report.selection.actions.len(), 6);
    assert_whole(&other, &actions, &blobs);
    assert_eq!(other.provenance(&actions[0]).unwrap(), None);
    let again = import_all(&other, &bytes).unwrap();
    assert_eq!((again.actions, again.actions_here), (0, 6));
}

#[test]
fn two_stores_that_built_the_same_export_the_same_bytes() {
    let stores = [["first", "second"], ["second", "first"]].map(|order| {
        let (place, store) = fresh();
        for name in order {
            publish_a_build(&store, name, name.len() as u64 * 10);
            store.flush().unwrap();
        }
        (place, store)
    });
    let [one, other] = stores.each_ref().map(|(_, store)| export_all(store));
    assert_eq!(one, other);
    // What only one of them knows makes the difference when it is asked for.
    let with = ExportOptions { provenance: true, ..ExportOptions::default() };
    assert_ne!(export_with(&stores[0].1, &with).0, one);
}

#[test]
fn provenance_travels_when_asked_for() {
    let (_here, store) = fresh();
    store.publish(plain_step("step", b"output"));
    let options = ExportOptions { provenance: true, ..ExportOptions::default() };
    let (bytes, _) = export_with(&store, &options);
    let (_there, other) = fresh();
    import_all(&other, &bytes).unwrap();
    let key = ActionKey::of_preimage(b"step");
    assert_eq!(other.provenance(&key).unwrap().unwrap().host, "here");
}

#[test]
fn what_the_other_side_has_is_left_out() {
    let (_here, store) = fresh();
    publish_a_build(&store, "first", 1);
    let first = export_all(&store);
    let (_there, other) = fresh();
    import_all(&other, &first).unwrap();
    let (blobs, actions) = publish_a_build(&store, "second", 11);

    let inventory = Closure::decode(&other.inventory().unwrap().encode()).unwrap();
    assert_eq!(contents(&first[..]).unwrap(), inventory);
    let options = ExportOptions { have: Some(&inventory), ..ExportOptions::default() };
    let (second, report) = export_with(&store, &options);
    assert_eq!((report.blobs, report.actions), (5, 3));
    import_all(&other, &second).unwrap();
    assert_whole(&other, &actions, &blobs);
}

#[test]
fn a_bundle_that_relies_on_what_is_not_here_is_refused_with_what_that_is() {
    let (_here, store) = fresh();
    publish_a_build(&store, "build", 1);
    let missing = Digest::of(&noise(6_000, 2));
    let have = Closure::new(vec![], vec![missing]);
    let (bytes, report) =
        export_with(&store, &ExportOptions { have: Some(&have), ..ExportOptions::default() });
    assert_eq!(report.blobs, 4);
    let (_there, other) = fresh();
    let error = import_all(&other, &bytes).unwrap_err();
    assert!(error.to_string().contains(&format!("it needs blob {missing}, which is not there")), "{error}");
    assert!(error.hint_text().unwrap().contains("leave out"));
    assert_eq!(other.stats().unwrap().actions, 0);

    let have = Closure::new(vec![ActionKey::of_preimage(b"build tree 1")], vec![]);
    let (bytes, _) = export_with(&store, &ExportOptions { have: Some(&have), ..ExportOptions::default() });
    let error = import_all(&other, &bytes).unwrap_err().to_string();
    assert!(error.contains(&format!("it lists action {}", have.actions()[0])), "{error}");
}

#[test]
fn what_is_not_whole_is_left_out_of_a_bundle_and_named() {
    let place = Place::new();
    let store = place.open();
    let (_, keys) = publish_a_build(&store, "build", 1);
    drop(store);
    // Reading finds the damage, and removes the blob.
    crate::harness::damage(&place, &noise(6_000, 2)[..100]);
    let store = place.open();
    assert_eq!(store.get(&Digest::of(&noise(6_000, 2))).unwrap(), None);
    let (bytes, report) = export_with(&store, &ExportOptions::default());
    let left_out: Vec<Found> = report.left_out.iter().map(|refusal| refusal.what).collect();
    assert_eq!(left_out, [Found::Action(keys[0]), Found::Action(keys[2])]);
    let (_there, other) = fresh();
    let imported = import_all(&other, &bytes).unwrap();
    assert_eq!((imported.actions, &imported.selection.actions[..]), (1, &keys[1..2]));
}

#[test]
fn of_a_closure_that_is_not_whole_a_bundle_is_made_of_what_is() {
    let (_here, store) = fresh();
    store.publish(plain_step("step", b"words"));
    let (step, nowhere) = (ActionKey::of_preimage(b"step"), ActionKey::of_preimage(b"nowhere"));
    let list = |keys: &[ActionKey], blob: &[u8]| {
        let list = Blob::new(Closure::new(keys.to_vec(), vec![Digest::of(blob)]).encode());
        store.publish(Publication { blobs: vec![list.clone()], ..Publication::default() });
        (OutputKind::Closure, list.digest())
    };
    let outputs = vec![list(&[step, nowhere], b"words"), list(&[step], b"words"), list(&[], b"lost")];
    let selection = Selection { outputs: outputs.clone(), ..Selection::default() };
    let mut bytes = Vec::new();
    let report = export(&store, &selection, &mut bytes, &ExportOptions::default(), &mut |_| {}).unwrap();
    let left_out: Vec<Found> = report.left_out.iter().map(|refusal| refusal.what).collect();
    assert_eq!(left_out, [Found::Blob(Digest::of(b"lost")), Found::Action(nowhere)]);
    let (_there, other) = fresh();
    let imported = import_all(&other, &bytes).unwrap().selection;
    assert_eq!(imported.actions, [step]);
    assert!(imported.outputs.contains(&outputs[1]) && !imported.outputs.contains(&outputs[2]));
    assert!(imported.outputs.contains(&(OutputKind::Blob, Digest::of(b"words"))));
    assert!(!imported.outputs.contains(&outputs[0]));
}

#[test]
fn a_record_that_differs_is_reported_with_both_provenances_and_ours_stays() {
    let ((_here, store), (_there, other)) = (fresh(), fresh());
    store.publish(plain_step("step", b"ours"));
    other.publish(plain_step("step", b"theirs"));
    let (bytes, _) = export_with(&other, &ExportOptions { provenance: true, ..ExportOptions::default() });
    let report = import_all(&store, &bytes).unwrap();
    assert_eq!(report.disagreements.len(), 1);
    let disagreement = &report.disagreements[0];
    assert!(disagreement.our_provenance.is_some() && disagreement.their_provenance.is_some());
    let record = store.hit(&disagreement.key).unwrap().unwrap();
    assert_eq!(record.outputs["0"].digest, Digest::of(b"ours"));
}
