//! One rank's execution trace as a graph in flat arrays, and the builder that checks it.
//!
//! Nodes are kept by ascending id, so that a node's index is also its place in the order of issue. Equal
//! ranks share one trace; nothing in it depends on the rank.

use crate::collective::{CollectiveType, InvolvedDims};
use crate::cycle::write_cycle;
use crate::units::{Bytes, Micros, Rank};
use crate::workload::GroupId;
use std::fmt;
use std::ops::Range;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NodeKind {
    /// A computation.
    Compute {
        /// Operations and bytes for the roofline model; needed only when that is enabled.
        work: Option<Work>,
    },
    /// A collective operation.
    Collective {
        /// Which one.
        collective: CollectiveType,
        /// Size as ASTRA-sim means it: for an all-gather what one rank contributes, else the whole input of a
        /// rank.
        size: Bytes,
        /// The communicator group; `None` is all ranks.
        group: Option<GroupId>,
        /// The network dimensions it runs in; ignored for groups.
        involved: InvolvedDims,
    },
    /// A message to another rank; completes when it has arrived.
    Send {
        /// Destination.
        to: Rank,
        /// Size; must equal the receiver's.
        size: Bytes,
        /// Tag; must equal the receiver's modulo 500,000,000.
        tag: u32,
    },
    /// A message from another rank.
    Recv {
        /// Source.
        from: Rank,
        /// Size; must equal the sender's.
        size: Bytes,
        /// Tag; must equal the sender's modulo 500,000,000.
        tag: u32,
    },
    /// A read from remote memory.
    MemoryLoad(Bytes),
    /// A write to remote memory.
    MemoryStore(Bytes),
    /// Process-group definitions; the simulator has no meaning for a node of this type.
    Metadata,
    /// Does nothing and finishes at once.
    Invalid,
}

/// What a computation costs in the roofline model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Operations (`num_ops`).
    pub ops: u64,
    /// Bytes moved (`tensor_size`).
    pub bytes: Bytes,
}

/// A node of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// What it does.
    pub kind: NodeKind,
    /// Whether it runs on the CPU.
    pub cpu: bool,
    /// Recorded duration (`duration_micros`): of computations without roofline, of broadcasts, and of every
    /// node in a replay. 0 takes one nanosecond.
    pub duration: Micros,
}

/// Why nodes do not make a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceError {
    /// There is no node.
    Empty,
    /// More nodes, dependencies or name bytes than 2^32 - 1.
    TooLarge,
    /// A dependency on an id that no node has.
    UnknownDependency {
        /// The node that has the dependency.
        node: u64,
        /// The id it depends on.
        dependency: u64,
    },
    /// Nodes that wait for each other: ids in the order of waiting, the first again at the end.
    Cycle(Vec<u64>),
    /// A node of a custom collective is neither a computation nor a message.
    NotCustom(u64),
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the trace has no node; a rank without work needs one compute node"),
            Self::TooLarge => {
                f.write_str("the trace has more than 2^32 - 1 nodes, dependencies or bytes of names")
            }
            Self::UnknownDependency { node, dependency } => {
                write!(f, "node {node} depends on node {dependency}, which the trace does not have")
            }
            Self::Cycle(ids) => {
                f.write_str("nodes wait for each other and can never start: ")?;
                write_cycle(f, ids, " waits for ")
            }
            Self::NotCustom(node) => write!(
                f,
                "node {node} is neither a computation, a send nor a receive; a custom collective has no other nodes"
            ),
        }
    }
}

impl std::error::Error for TraceError {}

/// One rank's graph. Made by [`TraceBuilder`].
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    ids: Vec<u64>,
    nodes: Vec<Node>,
    names: String,
    /// `names[name_ends[i - 1]..name_ends[i]]` is the name of node `i`.
    name_ends: Vec<u32>,
    /// `children[child_starts[i]..child_starts[i + 1]]` wait for node `i`.
    child_starts: Vec<u32>,
    children: Vec<u32>,
    parent_counts: Vec<u32>,
    roots: Vec<u32>,
    group_zero: Option<u64>,
}

impl Trace {
    /// The number of nodes; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a trace is never empty")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The id of the node at an index.
    pub fn id(&self, index: u32) -> u64 {
        self.ids[index as usize]
    }

    /// The name of the node at an index.
    pub fn name(&self, index: u32) -> &str {
        let end = self.name_ends[index as usize] as usize;
        let start = if index == 0 { 0 } else { self.name_ends[index as usize - 1] as usize };
        &self.names[start..end]
    }

    /// The node at an index; indices follow ascending ids.
    pub fn node(&self, index: u32) -> &Node {
        &self.nodes[index as usize]
    }

    /// The id of the first node that names communicator group 0.
    pub(crate) const fn group_zero(&self) -> Option<u64> {
        self.group_zero
    }

    /// The nodes that wait for the node at an index.
    pub fn children(&self, index: u32) -> &[u32] {
        let index = index as usize;
        &self.children[self.child_starts[index] as usize..self.child_starts[index + 1] as usize]
    }

    /// Whether another trace does the same: it differs at most in ids and names of nodes, not in their order, and
    /// in groups of which `same_group`, given a node's index, own group and that of the other trace, says so.
    pub(crate) fn does_the_same_as(
        &self,
        other: &Self,
        same_group: impl Fn(u32, GroupId, GroupId) -> bool,
    ) -> bool {
        let without_group = |node: &Node| match node.kind {
            NodeKind::Collective { collective, size, group: Some(group), involved } => {
                let kind = NodeKind::Collective { collective, size, group: None, involved };
                (Node { kind, ..*node }, Some(group))
            }
            _ => (*node, None),
        };
        let same_node = |(index, (own, other)): (u32, (&Node, &Node))| {
            let ((own, group), (other, other_group)) = (without_group(own), without_group(other));
            own == other
                && match (group, other_group) {
                    (Some(group), Some(other)) => same_group(index, group, other),
                    (None, None) => true,
                    _ => false,
                }
        };
        self.child_starts == other.child_starts
            && self.children == other.children
            && (0..).zip(self.nodes.iter().zip(&other.nodes)).all(same_node)
    }

    pub(crate) fn parent_counts(&self) -> &[u32] {
        &self.parent_counts
    }

    pub(crate) fn roots(&self) -> &[u32] {
        &self.roots
    }

    /// The index of the node with an id.
    pub(crate) fn index_of(&self, id: u64) -> Option<u32> {
        self.ids.binary_search(&id).ok().map(|index| index as u32)
    }
}

/// Collects nodes in any order and makes a [`Trace`] of them.
#[derive(Clone, Debug, Default)]
pub struct TraceBuilder {
    ids: Vec<u64>,
    nodes: Vec<Node>,
    names: String,
    name_ends: Vec<usize>,
    dependencies: Vec<u64>,
    dependency_ends: Vec<usize>,
    group_zero: Option<u64>,
}

impl TraceBuilder {
    /// A builder without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node. `dependencies` are the ids, data and control alike, that must finish first; they may be
    /// repeated and may be added later. Of two nodes with one id the later one counts, with the dependencies
    /// of both.
    pub fn push(&mut self, id: u64, name: &str, node: Node, dependencies: &[u64]) {
        self.ids.push(id);
        self.nodes.push(node);
        self.names.push_str(name);
        self.name_ends.push(self.names.len());
        self.dependencies.extend_from_slice(dependencies);
        self.dependency_ends.push(self.dependencies.len());
    }

    /// Notes that a node names communicator group 0, which means all ranks or nothing, as the dialect has it. Pushed is
    /// such a node without a group.
    pub fn note_group_zero(&mut self, id: u64) {
        self.group_zero.get_or_insert(id);
    }

    /// Checks the graph and lays it out.
    ///
    /// # Errors
    /// No node, a dependency that does not exist, a cycle, or more than 2^32 - 1 of anything.
    pub fn build(self) -> Result<Trace, TraceError> {
        if self.ids.is_empty() {
            return Err(TraceError::Empty);
        }
        let too_large = |count: usize| u32::try_from(count).is_err();
        if too_large(self.ids.len()) || too_large(self.names.len()) || too_large(self.dependencies.len()) {
            return Err(TraceError::TooLarge);
        }
        let order = self.order();
        let merged = self.merge(&order);
        let ids: Vec<u64> = merged.iter().map(|range| self.ids[order[range.start] as usize]).collect();
        let edges = self.edges(&ids, &order, &merged)?;

        let mut names = String::with_capacity(self.names.len());
        let mut name_ends = Vec::with_capacity(ids.len());
        let mut nodes = Vec::with_capacity(ids.len());
        for range in &merged {
            let last = order[range.end - 1] as usize;
            nodes.push(self.nodes[last]);
            names.push_str(&self.names[start_of(&self.name_ends, last)..self.name_ends[last]]);
            name_ends.push(names.len() as u32);
        }
        let (child_starts, children) = children(ids.len(), &edges);
        let mut parent_counts = vec![0; ids.len()];
        for &(_, child) in &edges {
            parent_counts[child as usize] += 1;
        }
        let roots = (0..ids.len() as u32).filter(|&index| parent_counts[index as usize] == 0).collect();
        let group_zero = self.group_zero;
        let trace =
            Trace { ids, nodes, names, name_ends, child_starts, children, parent_counts, roots, group_zero };
        trace.check_acyclic(&edges)?;
        Ok(trace)
    }

    /// Id and dependencies of every push, in the order they came.
    pub(crate) fn pushes(&self) -> impl Iterator<Item = (u64, &[u64])> {
        self.ids.iter().enumerate().map(|(pushed, &id)| {
            let range = start_of(&self.dependency_ends, pushed)..self.dependency_ends[pushed];
            (id, &self.dependencies[range])
        })
    }

    /// The pushes by ascending id, those of one id in the order they came.
    fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.ids.len() as u32).collect();
        order.sort_by_key(|&pushed| self.ids[pushed as usize]);
        order
    }

    /// For each distinct id the range in `order` of its pushes.
    fn merge(&self, order: &[u32]) -> Vec<Range<usize>> {
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(order.len());
        for (position, &pushed) in order.iter().enumerate() {
            match merged.last_mut() {
                Some(range) if self.ids[order[range.start] as usize] == self.ids[pushed as usize] => {
                    range.end = position + 1;
                }
                _ => merged.push(position..position + 1),
            }
        }
        merged
    }

    /// Every distinct (parent, child) pair of indices, by child.
    fn edges(
        &self,
        ids: &[u64],
        order: &[u32],
        merged: &[Range<usize>],
    ) -> Result<Vec<(u32, u32)>, TraceError> {
        let mut edges = Vec::with_capacity(self.dependencies.len());
        let mut parents: Vec<u32> = Vec::new();
        for (child, range) in merged.iter().enumerate() {
            parents.clear();
            for &pushed in &order[range.clone()] {
                let pushed = pushed as usize;
                let range = start_of(&self.dependency_ends, pushed)..self.dependency_ends[pushed];
                for &dependency in &self.dependencies[range] {
                    let parent = ids
                        .binary_search(&dependency)
                        .map_err(|_| TraceError::UnknownDependency { node: ids[child], dependency })?;
                    parents.push(parent as u32);
                }
            }
            parents.sort_unstable();
            parents.dedup();
            edges.extend(parents.iter().map(|&parent| (parent, child as u32)));
        }
        Ok(edges)
    }
}

/// Where the entry at an index starts, in a table of where entries end.
fn start_of(ends: &[usize], index: usize) -> usize {
    index.checked_sub(1).map_or(0, |before| ends[before])
}

/// The children of each node one behind the other, and where those of each begin.
fn children(nodes: usize, edges: &[(u32, u32)]) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0; nodes + 1];
    for &(parent, _) in edges {
        starts[parent as usize + 1] += 1;
    }
    for index in 0..nodes {
        starts[index + 1] += starts[index];
    }
    let mut next = starts.clone();
    let mut children = vec![0; edges.len()];
    for &(parent, child) in edges {
        let place = &mut next[parent as usize];
        children[*place as usize] = child;
        *place += 1;
    }
    (starts, children)
}

impl Trace {
    /// Peels nodes without waiting parents; what is left contains a cycle.
    fn check_acyclic(&self, edges: &[(u32, u32)]) -> Result<(), TraceError> {
        let mut waiting = self.parent_counts.clone();
        let mut free = self.roots.clone();
        let mut left = self.nodes.len();
        while let Some(node) = free.pop() {
            left -= 1;
            for &child in self.children(node) {
                waiting[child as usize] -= 1;
                if waiting[child as usize] == 0 {
                    free.push(child);
                }
            }
        }
        if left == 0 {
            return Ok(());
        }
        Err(TraceError::Cycle(self.cycle(&waiting, edges)))
    }

    /// Walks from a node that is left to a parent that is left until a node comes a second time.
    fn cycle(&self, waiting: &[u32], edges: &[(u32, u32)]) -> Vec<u64> {
        let mut waits_for = vec![u32::MAX; waiting.len()];
        for &(parent, child) in edges {
            if waiting[parent as usize] > 0 && waits_for[child as usize] == u32::MAX {
                waits_for[child as usize] = parent;
            }
        }
        let mut position = vec![usize::MAX; waiting.len()];
        let mut path = Vec::new();
        let mut node = waiting.iter().position(|&parents| parents > 0).unwrap_or(0);
        while position[node] == usize::MAX {
            position[node] = path.len();
            path.push(self.ids[node]);
            node = waits_for[node] as usize;
        }
        path.drain(..position[node]);
        path.push(self.ids[node]);
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOOP: Node = Node { kind: NodeKind::Compute { work: None }, cpu: false, duration: Micros(0) };

    fn build(nodes: &[(u64, &[u64])]) -> Result<Trace, TraceError> {
        let mut builder = TraceBuilder::new();
        for &(id, dependencies) in nodes {
            builder.push(id, &format!("n{id}"), NOOP, dependencies);
        }
        builder.build()
    }

    #[test]
    fn nodes_are_laid_out_by_id_whatever_the_order_they_came_in() {
        let trace = build(&[(9, &[2, 2, 5]), (2, &[]), (5, &[2])]).unwrap();
        assert_eq!((trace.id(0), trace.id(1), trace.id(2)), (2, 5, 9));
        assert_eq!(trace.children(0), [1, 2]);
        assert_eq!(trace.children(1), [2]);
        assert_eq!(trace.parent_counts(), [0, 1, 2]);
        assert_eq!(trace.roots(), [0]);
        assert_eq!(trace.name(2), "n9");
    }

    #[test]
    fn two_nodes_of_one_id_are_one_with_the_dependencies_of_both() {
        let mut builder = TraceBuilder::new();
        builder.push(1, "a", NOOP, &[]);
        builder.push(3, "first", NOOP, &[1]);
        builder.push(2, "b", NOOP, &[]);
        builder.push(3, "second", Node { duration: Micros(7), ..NOOP }, &[2]);
        let trace = builder.build().unwrap();
        assert_eq!((trace.len(), trace.name(2), trace.node(2).duration), (3, "second", Micros(7)));
        assert_eq!(trace.parent_counts(), [0, 0, 2]);
    }

    #[test]
    fn bad_graphs_are_refused_with_the_nodes_named() {
        assert_eq!(build(&[]), Err(TraceError::Empty));
        assert_eq!(build(&[(1, &[4])]), Err(TraceError::UnknownDependency { node: 1, dependency: 4 }));
        assert_eq!(
            build(&[(1, &[]), (2, &[1, 4]), (3, &[2]), (4, &[3])]),
            Err(TraceError::Cycle(vec![2, 4, 3, 2]))
        );
        assert_eq!(build(&[(7, &[7])]).unwrap_err().to_string().split(": ").nth(1), Some("7 waits for 7"));
    }
}
