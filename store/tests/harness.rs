//! A fresh store per test, and content for it.

use artifact_store::{
    ActionKey, ActionRecord, Blob, Closure, Digest, GcPlan, GcPolicy, GcReport, NewAction, Notice, Options,
    Output, OutputKind, Provenance, Publication, Root, Store, Tree, TreeEntry,
};
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A directory for a store, removed at the end of the test, and what the store said.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    notices: Arc<Mutex<Vec<Notice>>>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("store-test").tempdir().unwrap();
        Self { directory, notices: Arc::default() }
    }

    /// The directory of the store; made by whoever opens it.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// A directory for other files of the test.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn options(&self) -> Options {
        let notices = Arc::clone(&self.notices);
        Options {
            page_cache_bytes: 16 << 20,
            lock_timeout: Duration::from_secs(60),
            on_notice: Arc::new(move |notice| {
                // On a busy machine one may have to wait for another.
                if !matches!(notice, Notice::Waiting { .. }) {
                    notices.lock().unwrap().push(notice.clone());
                }
            }),
            ..Options::default()
        }
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(self.path(), &self.options()).unwrap()
    }

    /// What the stores opened here have said so far, but for what they waited for.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap().clone()
    }
}

/// Collects whatever nothing needs now, however young.
pub(crate) const AT_ONCE: GcPolicy =
    GcPolicy { grace: Duration::ZERO, keep_last: NonZeroUsize::MIN, older_than: None, max_bytes: None };

/// What would be collected at once.
pub(crate) fn plan(store: &Store) -> GcPlan {
    store.plan_collection(&AT_ONCE).unwrap()
}

/// Collects it.
pub(crate) fn collect(store: &Store) -> GcReport {
    store.collect(plan(store)).unwrap()
}

/// The blobs that a plan calls dead.
pub(crate) fn dead_blobs(plan: &GcPlan) -> Vec<Digest> {
    plan.dead_blobs().collect()
}

/// Bytes that cannot be compressed, different for every seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A finished step with these outputs, named `0`, `1`, ….
pub(crate) fn step(preimage: &str, outputs: Vec<(Blob, OutputKind)>) -> Publication {
    let record = outputs.iter().enumerate().map(|(i, (blob, kind))| {
        (i.to_string(), Output { digest: blob.digest(), len: blob.len(), kind: *kind })
    });
    let record = ActionRecord { outputs: record.collect() };
    let provenance =
        Provenance { finished_unix_ms: 1, duration_us: 2, host: "here".to_owned(), ..Default::default() };
    let action = NewAction::new(preimage.as_bytes().to_vec(), record, provenance);
    let blobs = outputs.into_iter().map(|(blob, _)| blob).collect();
    Publication { blobs, action: Some(action), ..Publication::default() }
}

/// A finished step with one plain output.
pub(crate) fn plain_step(preimage: &str, output: &[u8]) -> Publication {
    step(preimage, vec![(Blob::new(output), OutputKind::Blob)])
}

/// A tree with one leaf, `leaf`, and the leaf.
pub(crate) struct SmallTree {
    pub(crate) tree: Blob,
    pub(crate) leaf: Blob,
}

impl SmallTree {
    /// How the bytes of the tree begin.
    pub(crate) const BEGINNING: &[u8] = b"tree\x01\x01\0\0\0\0\0\0\0\x04";

    pub(crate) fn of(leaf: Vec<u8>) -> Self {
        let leaf = Blob::new(leaf);
        let entry = TreeEntry { name: "leaf".to_owned(), digest: leaf.digest(), len: leaf.len() };
        Self { tree: Blob::new(Tree::new(vec![entry]).unwrap().encode()), leaf }
    }

    /// A step that gave both.
    pub(crate) fn step(&self, preimage: &str) -> Publication {
        step(preimage, vec![(self.tree.clone(), OutputKind::Tree), (self.leaf.clone(), OutputKind::Blob)])
    }
}

/// Publishes blobs alone.
pub(crate) fn only_blobs(blobs: Vec<Blob>) -> Publication {
    Publication { blobs, ..Publication::default() }
}

/// The same, and a root that names one of its blobs.
pub(crate) fn rooted(name: &str, publication: Publication, target: &Blob, kind: OutputKind) -> Publication {
    let root = Root::now(target.digest(), kind);
    Publication { roots: vec![(name.to_owned(), root)], ..publication }
}

/// A recipe's result: a closure over a step with a tree, a step with a chunked blob, and a source. Gives the blobs
/// (source, leaf of the tree, chunked blob, tree, closure) and the actions.
pub(crate) fn publish_a_build(store: &Store, name: &str, seed: u64) -> (Vec<Digest>, Vec<ActionKey>) {
    let source = Blob::new(noise(10, seed));
    let SmallTree { tree, leaf } = SmallTree::of(noise(6_000, seed + 1));
    let large = Blob::new(noise(300_000, seed + 2));
    let first = step(&format!("{name} tree {seed}"), vec![(tree.clone(), OutputKind::Tree)]);
    let second = step(&format!("{name} large {seed}"), vec![(large.clone(), OutputKind::Blob)]);
    let own = format!("{name} all {seed}");
    let keys = vec![
        *first.action.as_ref().unwrap().key(),
        *second.action.as_ref().unwrap().key(),
        ActionKey::of_preimage(own.as_bytes()),
    ];
    let closure = Blob::new(Closure::new(keys.clone(), vec![source.digest()]).encode());
    let all = step(&own, vec![(closure.clone(), OutputKind::Closure)]);
    let digests = [&source, &leaf, &large, &tree, &closure].map(Blob::digest).to_vec();
    store.publish(only_blobs(vec![source, leaf]));
    store.publish(first);
    store.publish(second);
    store.publish(rooted(name, all, &closure, OutputKind::Closure)).wait().unwrap();
    (digests, keys)
}

/// Flips one bit in the middle of every place where the store's file has these bytes.
pub(crate) fn damage(place: &Place, bytes: &[u8]) {
    let mut flipped = bytes.to_vec();
    flipped[bytes.len() / 2] ^= 1;
    overwrite(place, bytes, &flipped);
}

/// Replaces these bytes by others of the same length wherever the store's file has them.
pub(crate) fn overwrite(place: &Place, bytes: &[u8], by: &[u8]) {
    let path = place.path().join("store.redb");
    let mut file = fs::read(&path).unwrap();
    let places = file.windows(bytes.len()).enumerate().filter(|(_, window)| *window == bytes);
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the bytes are not in the file");
    places.iter().for_each(|at| file[*at..at + by.len()].copy_from_slice(by));
    fs::write(&path, file).unwrap();
}
