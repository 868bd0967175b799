//! Marking: what is needed, found by following references from what keeps it.
//!
//! Marks are only ever added, so what was marked stays out of reach of deletion. Behind a root every list and record
//! must be readable, or nothing may be deleted: nobody knows what else it needs. Behind a lease or a young record what
//! cannot be read counts as missing: whoever looks for it takes it for missing too.

use super::amount::Content;
use super::graph::{Graph, Target};
use super::unreadable::Unreadable;
use crate::closure::Closure;
use crate::db::ReadRows;
use crate::digest::{ActionKey, Digest};
use crate::error::Result;
use crate::hit::read_verified;
use crate::record::{ActionRecord, OutputKind};
use crate::tree::Tree;
use std::collections::{HashMap, HashSet};

/// What keeps something, in the order in which it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// A build that is under way relies on it. Says which process.
    Lease(String),
    /// A pin of this name.
    Pin(String),
    /// A root of this name.
    Root(String),
    /// It was written within the grace window, or while collection was at work.
    Young,
}

impl Keeper {
    /// The root whose lists must be readable.
    fn root(&self) -> Option<String> {
        match self {
            Self::Pin(name) => Some(format!("{}{name}", crate::root::PIN_PREFIX)),
            Self::Root(name) => Some(name.clone()),
            Self::Lease(_) | Self::Young => None,
        }
    }
}

/// The rows that marking reads, of a view or within a change.
pub(super) struct Source<R> {
    pub(super) heads: R,
    pub(super) chunks: R,
    pub(super) records: R,
}

/// Where something was reached from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Keeper(u32),
    Action(u32),
    /// A list, by the number of its blob.
    List(u32),
    /// A list or record that came after the graph was loaded.
    New,
}

/// The same in four bytes: what in the upper two bits, which in the others. Nothing has this number.
const UNMARKED: u32 = u32::MAX;
const NEW: u32 = UNMARKED - 1;

impl From {
    fn pack(self) -> u32 {
        match self {
            Self::Keeper(number) => number,
            Self::Action(number) => (1 << 30) | number,
            Self::List(number) => (2 << 30) | number,
            Self::New => NEW,
        }
    }

    fn unpack(packed: u32) -> Option<Self> {
        let number = packed & ((1 << 30) - 1);
        match (packed, packed >> 30) {
            (UNMARKED, _) => None,
            (NEW, _) => Some(Self::New),
            (_, 0) => Some(Self::Keeper(number)),
            (_, 1) => Some(Self::Action(number)),
            _ => Some(Self::List(number)),
        }
    }
}

/// A list that is still to be read.
struct Unread {
    kind: OutputKind,
    digest: Digest,
    number: Option<u32>,
}

/// What is marked, and why.
#[derive(Debug)]
pub(super) struct Mark {
    blobs: Vec<u32>,
    actions: Vec<u32>,
    pub(super) keepers: Vec<Keeper>,
    /// Actions that a root was followed to: what they need was seen to be readable.
    rooted_actions: Vec<bool>,
    /// Lists that have been looked at, and whether for a root.
    seen: HashMap<(OutputKind, Digest), bool>,
    /// Lists that could not be read where that is no fault.
    awaited: Vec<(OutputKind, Digest)>,
    /// Blobs that a root needs, that nothing lies behind, and that are not there.
    pub(super) missing: HashSet<Digest>,
    pub(super) unreadable: Vec<Unreadable>,
    /// How much is marked.
    pub(super) marked: Content,
    /// Marks since the checkpoint, and how much was unreadable then.
    trail: Option<(Vec<Step>, usize)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Blob(u32),
    Action(u32),
    RootedAction(u32),
    /// With what was known of it before.
    List(OutputKind, Digest, Option<bool>),
    Missing(Digest),
}

impl Mark {
    pub(super) fn new(graph: &Graph) -> Self {
        Self {
            blobs: vec![UNMARKED; graph.blobs.len()],
            actions: vec![UNMARKED; graph.actions.len()],
            keepers: Vec::new(),
            rooted_actions: vec![false; graph.actions.len()],
            seen: HashMap::new(),
            awaited: Vec::new(),
            missing: HashSet::new(),
            unreadable: Vec::new(),
            marked: Content::default(),
            trail: None,
        }
    }

    /// From where a blob was reached, if it is marked.
    pub(super) fn blob(&self, number: u32) -> Option<From> {
        From::unpack(self.blobs[number as usize])
    }

    /// From where an action was reached, if it is marked.
    pub(super) fn action(&self, number: u32) -> Option<From> {
        From::unpack(self.actions[number as usize])
    }

    /// Whether an output and all that it lists is marked, for a root.
    pub(super) fn has(&self, graph: &Graph, kind: OutputKind, digest: &Digest) -> bool {
        match kind {
            OutputKind::Blob => graph.blobs.find(digest.as_bytes()).is_some_and(|n| self.blob(n).is_some()),
            OutputKind::Tree | OutputKind::Closure => self.seen.get(&(kind, *digest)) == Some(&true),
        }
    }

    /// Follows references from a keeper on. One mark at a time.
    pub(super) fn begin<'a, R: ReadRows>(
        &'a mut self,
        graph: &'a Graph,
        source: &'a Source<R>,
        keeper: Keeper,
    ) -> Walk<'a, R> {
        let root = keeper.root();
        if self.keepers.last() != Some(&keeper) {
            self.keepers.push(keeper);
        }
        let from = From::Keeper(u32::try_from(self.keepers.len() - 1).unwrap_or(0));
        Walk { mark: self, graph, source, root, back: 0, from, unread: Vec::new() }
    }

    /// From here on marks can be taken back.
    pub(super) fn checkpoint(&mut self) {
        self.trail = Some((Vec::new(), self.unreadable.len()));
    }

    /// Takes back what was marked since the checkpoint.
    pub(super) fn take_back(&mut self, graph: &Graph) {
        let Some((steps, unreadable)) = self.trail.take() else { return };
        self.unreadable.truncate(unreadable);
        for step in steps.into_iter().rev() {
            match step {
                Step::Blob(number) => {
                    self.blobs[number as usize] = UNMARKED;
                    self.marked.blobs.subtract(graph.blobs.bytes(number));
                }
                Step::Action(number) => {
                    self.actions[number as usize] = UNMARKED;
                    self.marked.actions.subtract(graph.actions.bytes(number));
                }
                Step::RootedAction(number) => self.rooted_actions[number as usize] = false,
                Step::List(kind, digest, None) => drop(self.seen.remove(&(kind, digest))),
                Step::List(kind, digest, Some(before)) => drop(self.seen.insert((kind, digest), before)),
                Step::Missing(digest) => drop(self.missing.remove(&digest)),
            }
        }
    }

    /// What was marked since the checkpoint stays.
    pub(super) fn keep(&mut self) {
        self.trail = None;
    }

    fn track(&mut self, step: Step) {
        if let Some((steps, _)) = &mut self.trail {
            steps.push(step);
        }
    }

    /// Lists that could not be read when they were looked for. They may have come.
    pub(super) fn take_awaited(&mut self) -> Vec<(OutputKind, Digest)> {
        std::mem::take(&mut self.awaited)
    }
}

/// Following references from one keeper.
pub(super) struct Walk<'a, R> {
    mark: &'a mut Mark,
    graph: &'a Graph,
    source: &'a Source<R>,
    /// The root that leads here, if it is one.
    root: Option<String>,
    /// How many times that root has been set to something else since.
    back: usize,
    from: From,
    /// A list instead of recursion: references may be deep.
    unread: Vec<Unread>,
}

impl<R: ReadRows> Walk<'_, R> {
    /// The same for what the root was so many times before.
    pub(super) fn back(self, back: usize) -> Self {
        Self { back, ..self }
    }

    /// Marks a blob and what it lists.
    pub(super) fn output(&mut self, kind: OutputKind, digest: &Digest) -> Result<()> {
        self.reach(kind, *digest, self.from);
        self.finish()
    }

    /// Marks a record, as it was when the graph was loaded, and its outputs.
    pub(super) fn action(&mut self, key: &ActionKey) -> Result<()> {
        self.reach_action(key, self.from)?;
        self.finish()
    }

    /// Marks a blob alone, by its number.
    pub(super) fn blob(&mut self, number: u32) {
        self.reach_blob(number, self.from);
    }

    /// Marks a record and its outputs as it is now, whether or not it is marked as it was.
    pub(super) fn written(&mut self, key: &ActionKey) -> Result<()> {
        let row = self.source.records.get(key.as_bytes())?;
        let record = row.and_then(|row| ActionRecord::decode_row(key, &row).ok());
        let Some(record) = record else { return Ok(()) };
        if let Some(number) = self.graph.actions.find(key.as_bytes()) {
            self.mark_action(number, self.from);
        }
        record.outputs.values().for_each(|output| self.reach(output.kind, output.digest, From::New));
        self.finish()
    }

    fn finish(&mut self) -> Result<()> {
        while let Some(list) = self.unread.pop() {
            self.read(&list)?;
        }
        Ok(())
    }

    fn reach(&mut self, kind: OutputKind, digest: Digest, from: From) {
        match self.graph.blobs.find(digest.as_bytes()) {
            Some(number) => self.reach_numbered(kind, number, digest, from),
            None => self.reach_unnumbered(kind, digest),
        }
    }

    fn reach_numbered(&mut self, kind: OutputKind, number: u32, digest: Digest, from: From) {
        self.reach_blob(number, from);
        self.reach_list(kind, digest, Some(number));
    }

    /// Not there, or only since the graph was loaded. Only what leads to something older matters.
    fn reach_unnumbered(&mut self, kind: OutputKind, digest: Digest) {
        if kind == OutputKind::Blob && self.root.is_some() && self.mark.missing.insert(digest) {
            self.mark.track(Step::Missing(digest));
        }
        self.reach_list(kind, digest, None);
    }

    fn reach_blob(&mut self, number: u32, from: From) {
        let mark = &mut self.mark.blobs[number as usize];
        if *mark == UNMARKED {
            *mark = from.pack();
            self.mark.marked.blobs.add(self.graph.blobs.bytes(number));
            self.mark.track(Step::Blob(number));
        }
    }

    /// Also when the blob is marked already: it may have been met as plain bytes first. And once more for a root: what
    /// else led here did not mind what cannot be read.
    fn reach_list(&mut self, kind: OutputKind, digest: Digest, number: Option<u32>) {
        if kind == OutputKind::Blob {
            return;
        }
        let (list, for_root) = ((kind, digest), self.root.is_some());
        let before = self.mark.seen.get(&list).copied();
        if before.is_none_or(|before| for_root && !before) {
            self.mark.seen.insert(list, for_root);
            self.mark.track(Step::List(kind, digest, before));
            self.unread.push(Unread { kind, digest, number });
        }
    }

    fn mark_action(&mut self, number: u32, from: From) -> bool {
        let mark = &mut self.mark.actions[number as usize];
        let new = *mark == UNMARKED;
        if new {
            *mark = from.pack();
            self.mark.marked.actions.add(self.graph.actions.bytes(number));
            self.mark.track(Step::Action(number));
        }
        new
    }

    fn reach_action(&mut self, key: &ActionKey, from: From) -> Result<()> {
        let graph = self.graph;
        let Some(number) = graph.actions.find(key.as_bytes()) else { return self.unknown_record(key) };
        let Some(targets) = graph.targets(number) else { return self.unknown_record(key) };
        if self.is_to_be_followed(number, from) {
            for target in targets {
                match target {
                    Target::Here(OutputKind::Blob, blob) => self.reach_blob(blob, From::Action(number)),
                    Target::Here(kind, blob) => {
                        self.reach_numbered(kind, blob, graph.blob(blob), From::Action(number));
                    }
                    Target::Gone(kind, digest) => self.reach_unnumbered(kind, digest),
                }
            }
        }
        Ok(())
    }

    /// Marks an action; says whether what it names is to be marked too. For a root once more, as with lists.
    fn is_to_be_followed(&mut self, number: u32, from: From) -> bool {
        let is_new = self.mark_action(number, from);
        if self.root.is_none() {
            return is_new;
        }
        let is_new_for_a_root = !std::mem::replace(&mut self.mark.rooted_actions[number as usize], true);
        if is_new_for_a_root {
            self.mark.track(Step::RootedAction(number));
        }
        is_new_for_a_root
    }

    /// A record that the graph has not: it came later, and is looked at for that; or it cannot be read.
    fn unknown_record(&mut self, key: &ActionKey) -> Result<()> {
        let Some(root) = self.root.clone() else { return Ok(()) };
        let row = self.source.records.get(key.as_bytes())?;
        if row.is_none_or(|row| ActionRecord::decode_row(key, &row).is_err()) {
            self.mark.unreadable.push(Unreadable::Record { root, back: self.back, key: *key });
        }
        Ok(())
    }

    /// Marks what a list lists.
    fn read(&mut self, list: &Unread) -> Result<()> {
        let from = list.number.map_or(From::New, From::List);
        let bytes = read_verified(&self.source.heads, &self.source.chunks, &list.digest)?;
        let Some(listed) = bytes.and_then(|bytes| Listed::decode(list.kind, &bytes)) else {
            match self.root.clone() {
                Some(root) => {
                    let (back, digest) = (self.back, list.digest);
                    self.mark.unreadable.push(Unreadable::List { root, back, digest });
                }
                None => {
                    // Unseen: a root may lead here yet.
                    self.mark.seen.remove(&(list.kind, list.digest));
                    self.mark.awaited.push((list.kind, list.digest));
                }
            }
            return Ok(());
        };
        listed.blobs.iter().for_each(|digest| self.reach(OutputKind::Blob, *digest, from));
        listed.actions.iter().try_for_each(|key| self.reach_action(key, from))
    }
}

/// What a tree or a closure lists.
struct Listed {
    blobs: Vec<Digest>,
    actions: Vec<ActionKey>,
}

impl Listed {
    fn decode(kind: OutputKind, bytes: &[u8]) -> Option<Self> {
        match kind {
            OutputKind::Blob => None,
            OutputKind::Tree => {
                let tree = Tree::decode(bytes).ok()?;
                let blobs = tree.entries().iter().map(|entry| entry.digest).collect();
                Some(Self { blobs, actions: Vec::new() })
            }
            OutputKind::Closure => {
                let closure = Closure::decode(bytes).ok()?;
                Some(Self { blobs: closure.blobs().to_vec(), actions: closure.actions().to_vec() })
            }
        }
    }
}
