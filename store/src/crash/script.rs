//! What is done on the disk: publications, hits under a lease, roots that move, a pin, collections.

use super::disk::Disk;
use crate::{
    ActionKey, ActionRecord, Blob, Closure, Digest, GcPolicy, NewAction, Output, OutputKind, Pinned,
    Provenance, Publication, Result, Root, Store, Tree, TreeEntry,
};
use std::num::NonZeroUsize;
use std::time::Duration;

pub(super) const AT_ONCE: GcPolicy =
    GcPolicy { grace: Duration::ZERO, keep_last: NonZeroUsize::MIN, older_than: None, max_bytes: None };

/// What must be there, whatever happens before the next promise.
#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged {
    pub(super) actions: Vec<ActionKey>,
    /// Those of them that a root needs are the first so many.
    pub(super) rooted_actions: usize,
    pub(super) roots: Vec<(String, Digest)>,
}

impl Acknowledged {
    /// What a collection must leave of it.
    pub(super) fn rooted(&self) -> Self {
        Self { actions: self.actions[..self.rooted_actions].to_vec(), ..self.clone() }
    }
}

pub(super) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn step_of(preimage: &str, outputs: Vec<(Blob, OutputKind)>) -> Publication {
    let record = outputs.iter().enumerate().map(|(i, (blob, kind))| {
        (i.to_string(), Output { digest: blob.digest(), len: blob.len(), kind: *kind })
    });
    let record = ActionRecord { outputs: record.collect() };
    let action = NewAction::new(preimage.as_bytes().to_vec(), record, Provenance::default());
    Publication {
        blobs: outputs.into_iter().map(|(blob, _)| blob).collect(),
        action: Some(action),
        ..Publication::default()
    }
}

/// A step with one plain output.
pub(super) fn step(preimage: &str, output: &[u8]) -> Publication {
    step_of(preimage, vec![(Blob::new(output), OutputKind::Blob)])
}

/// A build of two steps, one with a tree, one with an output of many chunks, and of what else it needs.
fn build(store: &Store, name: &str, seed: u64, also: &[ActionKey]) -> Result<(Vec<ActionKey>, Digest)> {
    let leaf = Blob::new(noise(6_000, seed));
    let entry = TreeEntry { name: "leaf".to_owned(), digest: leaf.digest(), len: leaf.len() };
    let tree = Blob::new(Tree::new(vec![entry])?.encode());
    let mut first = step_of(&format!("tree {seed}"), vec![(tree, OutputKind::Tree)]);
    first.blobs.push(leaf);
    let second = step(&format!("large {seed}"), &noise(300_000, seed + 1));
    let own = format!("all {seed}");
    let mut keys: Vec<ActionKey> =
        [&first, &second].map(|p| *p.action.as_ref().expect("a step").key()).to_vec();
    keys.push(ActionKey::of_preimage(own.as_bytes()));
    keys.extend(also);
    let closure = Blob::new(Closure::new(keys.clone(), vec![]).encode());
    let target = closure.digest();
    let root = Root::now(target, OutputKind::Closure);
    let last = step_of(&own, vec![(closure, OutputKind::Closure)]);
    store.publish(first);
    store.publish(second).wait()?;
    store.publish(Publication { roots: vec![(name.to_owned(), root)], ..last }).wait()?;
    Ok((keys, target))
}

/// Does it; gives the bytes of its lease while it relied on something.
pub(super) fn script(store: &Store, disk: &Disk) -> Result<Vec<u8>> {
    let promise = |rooted: &[&[ActionKey]], others: &[ActionKey], roots: &[(&str, Digest)]| {
        let rooted = rooted.concat();
        disk.acknowledge(Acknowledged {
            rooted_actions: rooted.len(),
            actions: [&rooted, others].concat(),
            roots: roots.iter().map(|(name, target)| ((*name).to_owned(), *target)).collect(),
        });
    };
    let (a, a_target) = build(store, "a", 10, &[])?;
    promise(&[&a], &[], &[("a", a_target)]);
    store.publish(step("lone", &noise(70_000, 1))).wait()?;
    let lone = ActionKey::of_preimage(b"lone");
    promise(&[&a], &[lone], &[("a", a_target)]);
    let (b, b_target) = build(store, "b", 20, &a[..1])?;
    let session = store.session()?;
    assert!(store.hit(&lone)?.is_some());
    promise(&[&a, &b], &[lone], &[("a", a_target), ("b", b_target)]);
    // Under a lease, so it goes nowhere.
    store.collect(store.plan_collection(&AT_ONCE)?)?;
    let lease = lease(store);
    drop(session);
    promise(&[&a, &b], &[], &[("a", a_target), ("b", b_target)]);
    store.collect(store.plan_collection(&AT_ONCE)?)?;

    // The root moves: until it has, the old target is needed, and afterwards what the two share.
    promise(&[&a[..1], &b], &[], &[("b", b_target)]);
    store.pin("pin", Pinned::Action(a[1]), "")?;
    let (c, c_target) = build(store, "a", 30, &[])?;
    let kept = [&a[..2], &b[..], &c[..]];
    promise(&kept, &[], &[("a", c_target), ("b", b_target)]);
    store.collect(store.plan_collection(&AT_ONCE)?)?;
    promise(&[&a[..1], &b, &c], &[], &[("a", c_target), ("b", b_target)]);
    store.unpin("pin")?;
    store.collect(store.plan_collection(&AT_ONCE)?)?;
    promise(&[&c], &[], &[("a", c_target)]);
    store.remove_root("b")?;
    store.collect(store.plan_collection(&AT_ONCE)?)?;
    Ok(lease)
}

fn lease(store: &Store) -> Vec<u8> {
    let mut files = std::fs::read_dir(store.directory().join("locks/leases")).expect("it is there");
    std::fs::read(files.next().expect("there is a lease").expect("it can be read").path())
        .expect("it can be read")
}
