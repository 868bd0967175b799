//! Merging the directory of another store.

use super::{assert_whole, fresh};
use crate::harness::{Place, plain_step, publish_a_build, rooted};
use artifact_store::bundle::import_dir;
use artifact_store::remote::PullOptions;
use artifact_store::{Blob, Digest, ErrorKind, OutputKind, Publication, Root};

#[test]
fn what_both_have_built_is_here_afterwards_roots_and_provenance_included() {
    let ((_here, store), (there, other)) = (fresh(), fresh());
    let (our_blobs, our_actions) = publish_a_build(&store, "ours", 1);
    let (their_blobs, their_actions) = publish_a_build(&other, "theirs", 11);
    drop(other);
    let report =
        import_dir(&store, &there.path(), &PullOptions::default(), &str::to_owned, &mut |_| {}).unwrap();
    assert_eq!((report.pulled.actions, report.pulled.blobs), (3, 5));
    assert_eq!((report.roots, report.roots_kept), (vec!["theirs".to_owned()], vec![]));
    assert_whole(&store, &our_actions, &our_blobs);
    assert_whole(&store, &their_actions, &their_blobs);
    assert_eq!(store.provenance(&their_actions[0]).unwrap().unwrap().host, "here");
    assert_eq!(store.roots().unwrap().len(), 2);
    let again =
        import_dir(&store, &there.path(), &PullOptions::default(), &str::to_owned, &mut |_| {}).unwrap();
    assert_eq!((again.pulled.actions, again.pulled.blobs, again.roots.len()), (0, 0, 0));
}

#[test]
fn where_two_stores_disagree_both_are_named_and_ours_stays() {
    let ((_here, store), (there, other)) = (fresh(), fresh());
    for (store, output) in [(&store, b"ours"), (&other, b"them")] {
        let blob = Blob::new(*output);
        let publication = rooted("name", plain_step("step", output), &blob, OutputKind::Blob);
        store.publish(publication).wait().unwrap();
    }
    drop(other);
    let report =
        import_dir(&store, &there.path(), &PullOptions::default(), &str::to_owned, &mut |_| {}).unwrap();
    let [disagreement] = &report.pulled.disagreements[..] else { panic!("{:?}", report.pulled) };
    assert!(disagreement.our_provenance.is_some() && disagreement.their_provenance.is_some());
    assert_eq!(store.record(&disagreement.key).unwrap().unwrap().outputs["0"].digest, Digest::of(b"ours"));
    assert_eq!(report.roots_kept, ["name"]);
    assert_eq!(store.root("name").unwrap().unwrap().target, Digest::of(b"ours"));
}

#[test]
fn a_directory_that_is_no_store_or_this_one_is_refused() {
    let (place, store) = fresh();
    let error =
        import_dir(&store, &place.beside("empty"), &PullOptions::default(), &str::to_owned, &mut |_| {})
            .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAStore);
    let error =
        import_dir(&store, &place.path(), &PullOptions::default(), &str::to_owned, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("this is the store itself"), "{error}");
}

#[test]
fn a_store_of_an_older_format_is_refused_with_what_to_do_and_then_merged() {
    let (_here, store) = fresh();
    let other = Place::new();
    let (blobs, actions) = publish_a_build(&other.open(), "there", 1);
    std::fs::write(other.path().join("FORMAT"), "format 1\n").unwrap();
    let merge = || import_dir(&store, &other.path(), &PullOptions::default(), &str::to_owned, &mut |_| {});
    let error = merge().unwrap_err();
    assert!(error.to_string().contains("old format 1"), "{error}");
    assert!(error.hint_text().unwrap().contains("open it for writing once"), "{error:?}");
    drop(other.open());
    assert_eq!(merge().unwrap().pulled.actions, 3);
    assert_whole(&store, &actions, &blobs);
}

#[test]
fn a_root_that_says_tree_of_what_is_none_does_not_come() {
    let ((_here, store), (there, other)) = (fresh(), fresh());
    let blob = Blob::new(*b"words");
    let root = Root::now(blob.digest(), OutputKind::Tree);
    let roots = vec![("name".to_owned(), root)];
    other.publish(Publication { blobs: vec![blob], roots, ..Publication::default() }).wait().unwrap();
    drop(other);
    let report =
        import_dir(&store, &there.path(), &PullOptions::default(), &str::to_owned, &mut |_| {}).unwrap();
    assert_eq!((report.roots.len(), report.pulled.left_out.len()), (0, 1));
    assert_eq!(store.roots().unwrap(), []);
}
