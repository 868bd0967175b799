//! A collection that is stopped at each point of the protocol while another process acts: what that process relies on then
//! is there when the collection has ended. The model tries every order of the steps; this tries the real ones.

use super::GcPolicy;
use crate::{
    ActionKey, ActionRecord, Blob, Closure, Depth, Digest, NewAction, Options, Output, OutputKind, Pinned,
    Provenance, Publication, Root, Session, Store, Tree, TreeEntry, halt,
};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STORE: &str = "STORE_TEST_COLLECT";

/// Where the collection stops, and whether others can write and lease there.
const POINTS: [(&str, bool); 6] = [
    ("leases are read", true),
    ("roots are read", true),
    ("planned", true),
    ("nobody else commits or leases", false),
    ("deleted, not committed", false),
    ("committed, the gate is shut", false),
];

const AT_ONCE: GcPolicy =
    GcPolicy { grace: Duration::ZERO, keep_last: NonZeroUsize::MIN, older_than: None, max_bytes: None };

/// Collects when started by another test; alone it does nothing.
#[test]
fn collecting_process() {
    let Some(directory) = std::env::var_os(STORE) else { return };
    let store = Store::open(PathBuf::from(directory), &Options::default()).unwrap();
    store.collect(store.plan_collection(&AT_ONCE).unwrap()).unwrap();
}

fn start(directory: &Path, notes: &Path, point: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["gc::interleavings::collecting_process", "--exact", "--nocapture"])
        .env(STORE, directory)
        .env(halt::POINT, point)
        .env(halt::NOTES, notes)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn noise(len: usize, seed: u64) -> Blob {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    Blob::new(bytes)
}

fn step(preimage: &str, outputs: &[(&Blob, OutputKind)]) -> Publication {
    let record = outputs.iter().enumerate().map(|(i, (blob, kind))| {
        (i.to_string(), Output { digest: blob.digest(), len: blob.len(), kind: *kind })
    });
    let record = ActionRecord { outputs: record.collect() };
    let action = NewAction::new(preimage.as_bytes().to_vec(), record, Provenance::default());
    let blobs = outputs.iter().map(|(blob, _)| (*blob).clone()).collect();
    Publication { blobs, action: Some(action), ..Publication::default() }
}

fn key(preimage: &str) -> ActionKey {
    ActionKey::of_preimage(preimage.as_bytes())
}

/// A blob in chunks that the old step has as an output.
fn large() -> Blob {
    noise(100_000, 1)
}

/// A tree that the old step has as an output, and its leaf.
fn small_tree() -> (Blob, Blob) {
    let leaf = noise(5_000, 2);
    let entry = TreeEntry { name: "leaf".to_owned(), digest: leaf.digest(), len: leaf.len() };
    (Blob::new(Tree::new(vec![entry]).unwrap().encode()), leaf)
}

/// A store with a step that nothing needs: a large blob, and a tree. And one that a root needs.
fn fill(store: &Store) {
    let (tree, leaf) = small_tree();
    store.publish(Publication { blobs: vec![leaf], ..Publication::default() });
    store.publish(step("old", &[(&large(), OutputKind::Blob), (&tree, OutputKind::Tree)]));
    let rooted = noise(300, 3);
    let root = Root::now(rooted.digest(), OutputKind::Blob);
    let roots = vec![("recipe".to_owned(), root)];
    store.publish(Publication { blobs: vec![rooted], roots, ..Publication::default() }).wait().unwrap();
}

/// What a process relies on from now on.
#[derive(Default)]
struct Relied {
    actions: Vec<ActionKey>,
    blobs: Vec<Digest>,
    /// As long as this lives, if nothing else keeps it.
    _session: Option<Session>,
}

type Act = (&'static str, fn(&Store) -> Relied);

/// What another process does while the collection stands still.
const ACTS: [Act; 6] = [
    ("a hit", |store| {
        let session = store.session().unwrap();
        let actions = store.hit(&key("old")).unwrap().map(|_| key("old"));
        Relied { actions: actions.into_iter().collect(), _session: Some(session), ..Relied::default() }
    }),
    ("a blob that is there", |store| {
        let session = store.session().unwrap();
        let blobs = store.get(&large().digest()).unwrap().map(|_| large().digest());
        Relied { blobs: blobs.into_iter().collect(), _session: Some(session), ..Relied::default() }
    }),
    ("a publication of what is there in part", |store| {
        let session = store.session().unwrap();
        store.publish(step("new", &[(&large(), OutputKind::Blob)])).wait().unwrap();
        Relied { actions: vec![key("new")], blobs: vec![large().digest()], _session: Some(session) }
    }),
    ("a root that moves to what is there", |store| {
        let session = store.session().unwrap();
        let actions: Vec<_> = store.hit(&key("old")).unwrap().map(|_| key("old")).into_iter().collect();
        let closure = Blob::new(Closure::new(actions.clone(), vec![]).encode());
        let roots = vec![("recipe".to_owned(), Root::now(closure.digest(), OutputKind::Closure))];
        let blobs = vec![closure.digest()];
        store.publish(Publication { blobs: vec![closure], roots, ..Publication::default() }).wait().unwrap();
        drop(session);
        Relied { actions, blobs, _session: None }
    }),
    ("a pin of a list", |store| {
        let pinned = store.pin("pin", Pinned::Output(OutputKind::Tree, small_tree().0.digest()), "a test");
        let blobs = pinned.is_ok().then(|| [small_tree().0.digest(), small_tree().1.digest()]);
        Relied { blobs: blobs.into_iter().flatten().collect(), ..Relied::default() }
    }),
    ("a pin", |store| {
        let pinned = store.pin("pin", Pinned::Action(key("old")), "a test");
        let actions = pinned.is_ok().then(|| key("old"));
        Relied { actions: actions.into_iter().collect(), ..Relied::default() }
    }),
];

fn check(what: &str, store: &Store, relied: &Relied) {
    for action in &relied.actions {
        let record = store.hit(action).unwrap().unwrap_or_else(|| panic!("{what}: an action is gone"));
        for output in record.outputs.values() {
            assert!(store.get(&output.digest).unwrap().is_some(), "{what}: an output is gone");
        }
    }
    for blob in &relied.blobs {
        assert!(store.get(blob).unwrap().is_some(), "{what}: a blob is gone");
    }
    let root = store.root("recipe").unwrap().unwrap();
    assert!(store.get(&root.target).unwrap().is_some(), "{what}: what the root names is gone");
    assert_eq!(store.verify(Depth::Full).unwrap().findings, [], "{what}");
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    assert_eq!((plan.missing, &plan.unreadable[..]), (0, &[][..]), "{what}");
}

/// A store after a collection.
struct Ended {
    relied: Relied,
    store: Store,
    _directory: tempfile::TempDir,
}

/// Stops a collection at a point and acts there; what could be relied on is there afterwards.
fn act_at(point: &str, others_can_write: bool, name: &str, act: fn(&Store) -> Relied) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = Store::open(&path, &Options::default()).unwrap();
    fill(&store);
    let mut collection = start(&path, directory.path(), point);
    halt::await_halt(directory.path());
    let relied = std::thread::scope(|scope| {
        let acting = scope.spawn(|| act(&store));
        // Where nobody can write it waits, and goes on together with the collection.
        let since = Instant::now();
        while !acting.is_finished() && (others_can_write || since.elapsed() < Duration::from_millis(100)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        halt::go_on(directory.path());
        acting.join().unwrap()
    });
    let what = format!("{name} when {point}");
    assert!(collection.wait().unwrap().success(), "{what}: the collection failed");
    check(&what, &store, &relied);
    Ended { relied, store, _directory: directory }
}

#[test]
fn what_another_process_relies_on_while_a_collection_stands_still_anywhere_is_kept() {
    for (name, act) in ACTS {
        for (point, others_can_write) in POINTS {
            let Relied { actions, blobs, .. } = act_at(point, others_can_write, name, act).relied;
            let is_something = !actions.is_empty() || !blobs.is_empty();
            assert!(is_something || !others_can_write, "{name} when {point}: it was gone too early");
        }
    }
    println!("{} acts at {} points", ACTS.len(), POINTS.len());
}

#[test]
fn what_another_process_finds_after_a_collection_was_killed_while_it_committed_is_kept() {
    for (name, act) in ACTS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = Store::open(&path, &Options::default()).unwrap();
        fill(&store);
        let mut collection = start(&path, directory.path(), "the commit is made and not flushed");
        halt::await_halt(directory.path());
        collection.kill().unwrap();
        collection.wait().unwrap();
        let relied = act(&store);
        // Whoever writes next makes the commit of the dead process known.
        store.publish(Publication { blobs: vec![noise(10, 9)], ..Publication::default() }).wait().unwrap();
        check(&format!("{name} after a commit that was not flushed"), &store, &relied);
    }
}

#[test]
fn what_nobody_relies_on_is_collected_wherever_the_collection_stood_still() {
    for (point, others_can_write) in POINTS {
        let ended = act_at(point, others_can_write, "nothing", |_| Relied::default());
        assert_eq!(ended.store.hit(&key("old")).unwrap(), None, "{point}");
        assert_eq!(ended.store.missing(&[large().digest()]).unwrap(), [large().digest()], "{point}");
    }
}
