//! Builds a graph node by node, and checks what it has to be.

use std::collections::VecDeque;

use super::layout::Layout;
use super::model::{AxisId, Graph, KindId, NodeIndex, Seconds, Work};
use super::rows::Rows;
use super::texts::Texts;
use crate::et::bundle::MAX_RANKS;
use crate::{Error, Result};

/// How many nodes of a cycle an error names.
const NAMED_OF_A_CYCLE: usize = 8;

/// How many different axes, or unknown kinds, a graph may name.
const MAX_WORDS: usize = 256;

/// A graph that is being read.
#[derive(Debug)]
pub(super) struct Builder {
    work: Vec<Work>,
    ops: Vec<u32>,
    names: Texts,
    profiles: Vec<f64>,
    /// The nodes with a profile, and the length of each.
    profile_lengths: Vec<(NodeIndex, usize)>,
    axis_names: Vec<String>,
    unknown_kinds: Vec<String>,
    parents: Rows<NodeIndex>,
    children: Rows<NodeIndex>,
    some_have_children: bool,
}

impl Builder {
    pub(super) const fn new() -> Self {
        Self {
            work: Vec::new(),
            ops: Vec::new(),
            names: Texts::new(),
            profiles: Vec::new(),
            profile_lengths: Vec::new(),
            axis_names: Vec::new(),
            unknown_kinds: Vec::new(),
            parents: Rows::new(),
            children: Rows::new(),
            some_have_children: false,
        }
    }

    /// The node that is being filled, or will be next.
    pub(super) fn current(&self) -> usize {
        self.work.len()
    }

    /// Adds a parent to the node that is being filled.
    pub(super) fn parent(&mut self, parent: u32) {
        self.parents.push(NodeIndex(parent));
    }

    /// Says that the list of children counts, even if it is empty.
    pub(super) fn has_children(&mut self) {
        self.some_have_children = true;
    }

    /// Adds a child to the node that is being filled.
    pub(super) fn child(&mut self, child: u32) {
        self.children.push(NodeIndex(child));
    }

    /// Where the next entry of a profile will stand.
    pub(super) fn profile_position(&self) -> usize {
        self.profiles.len()
    }

    /// Adds an entry to the profile of the node that is being filled.
    pub(super) fn profile_entry(&mut self, seconds: f64) {
        self.profiles.push(seconds);
    }

    /// An axis by name.
    pub(super) fn axis(&mut self, name: &str) -> Result<AxisId, String> {
        word(&mut self.axis_names, name, "axes").map(AxisId)
    }

    /// A kind of communication that is not simulated.
    pub(super) fn unknown_kind(&mut self, name: &str) -> Result<KindId, String> {
        word(&mut self.unknown_kinds, name, "unknown kinds of communication").map(KindId)
    }

    /// Finishes the node that is being filled.
    pub(super) fn end_node(&mut self, name: &str, op: u32, work: Work) {
        if let Work::Compute { seconds: Seconds::Profile(first), .. } = work {
            let length = self.profiles.len() - first as usize;
            self.profile_lengths.push((NodeIndex(self.current() as u32), length));
        }
        self.names.push(name);
        self.ops.push(op);
        self.work.push(work);
        self.parents.end_row();
        self.children.end_row();
    }

    /// Checks the whole and makes a graph of it. Without roots the nodes that wait for nothing are the roots.
    ///
    /// # Errors
    /// There is no node, a list names a node that is not there, the two kinds of lists do not mirror each other, a
    /// profile does not have one entry per replica, or nodes wait for each other in a circle; with the key.
    pub(super) fn finish(
        mut self,
        replicas: u32,
        layout: Option<Layout>,
        roots: Option<Vec<u32>>,
    ) -> Result<Graph> {
        if self.work.is_empty() {
            return Err(Error::input("the graph has no nodes").key("nodes"));
        }
        if !(1..=MAX_RANKS).contains(&replicas) {
            let message = format!("{replicas} replicas, expected between 1 and {MAX_RANKS}");
            return Err(Error::input(message).key("replicas"));
        }
        self.check_profiles(replicas)?;
        self.check_positions(&self.parents, "parents")?;
        self.check_positions(&self.children, "children")?;
        self.mirror()?;
        let roots = self.roots(roots)?;
        let mut graph = Graph {
            replicas,
            layout,
            work: self.work,
            ops: self.ops,
            names: self.names,
            profiles: self.profiles,
            axis_names: self.axis_names,
            unknown_kinds: self.unknown_kinds,
            parents: self.parents,
            children: self.children,
            roots,
            topological: Vec::new(),
        };
        graph.topological = topological(&graph)?;
        Ok(graph)
    }

    fn check_profiles(&self, replicas: u32) -> Result<()> {
        let wrong = self.profile_lengths.iter().find(|(_, length)| *length != replicas as usize);
        wrong.map_or(Ok(()), |(node, length)| {
            let name = self.names.get(node.at()).escape_debug();
            let message = format!(
                "the profile of `{name}` has {length} entries, expected {replicas}, one for each replica"
            );
            Err(Error::input(message).key(format!("nodes[{}].seconds", node.0)))
        })
    }

    fn check_positions(&self, lists: &Rows<NodeIndex>, key: &str) -> Result<()> {
        let count = self.work.len();
        let positions =
            (0..count).flat_map(|node| (0..).zip(lists.row(node)).map(move |(i, to)| (node, i, to)));
        for (node, position, named) in positions {
            if named.at() >= count {
                let message =
                    format!("found {}, expected the position of a node, from 0 to {}", named.0, count - 1);
                return Err(Error::input(message).key(format!("nodes[{node}].{key}[{position}]")));
            }
        }
        Ok(())
    }

    /// Makes the lists of children when no node has one; otherwise compares them with the lists of parents.
    fn mirror(&mut self) -> Result<()> {
        let count = self.work.len();
        let mirrored = Rows::collect(count, NodeIndex(0), || {
            (0..count).flat_map(|child| {
                self.parents.row(child).iter().map(move |parent| (parent.at(), NodeIndex(child as u32)))
            })
        });
        if !self.some_have_children {
            self.children = mirrored;
            return Ok(());
        }
        let mut sorted = Vec::new();
        for node in 0..count {
            sorted.clear();
            sorted.extend_from_slice(self.children.row(node));
            sorted.sort_unstable();
            let expected = mirrored.row(node);
            if sorted != expected {
                return Err(self.not_mirrored(node, &sorted, expected));
            }
        }
        Ok(())
    }

    fn not_mirrored(&self, node: usize, children: &[NodeIndex], waiting: &[NodeIndex]) -> Error {
        let differ = (0..).find(|&at| children.get(at) != waiting.get(at)).unwrap_or_default();
        let (found, expected) = (children.get(differ), waiting.get(differ));
        let name = self.names.get(node).escape_debug();
        let error = match (found, expected) {
            (Some(child), waits) if waits.is_none_or(|waits| child < waits) => Error::input(format!(
                "`{name}` has node {} as a child, which does not have node {node} as a parent as often",
                child.0
            )),
            (_, waits) => Error::input(format!(
                "node {} has `{name}`, node {node}, as a parent, but is not among its children as often",
                waits.map_or(0, |waits| waits.0)
            )),
        };
        error
            .key(format!("nodes[{node}].children"))
            .hint("list every edge on both sides, or leave out the children of all nodes")
    }

    fn roots(&self, roots: Option<Vec<u32>>) -> Result<Vec<NodeIndex>> {
        let count = self.work.len() as u32;
        let Some(roots) = roots else {
            return Ok((0..count).map(NodeIndex).filter(|n| self.parents.row(n.at()).is_empty()).collect());
        };
        if let Some(position) = roots.iter().position(|root| *root >= count) {
            let message = format!(
                "found {}, expected the position of a node, from 0 to {}",
                roots[position],
                count - 1
            );
            return Err(Error::input(message).key(format!("roots[{position}]")));
        }
        Ok(roots.into_iter().map(NodeIndex).collect())
    }
}

/// The position of a word in a short list, which it joins if it is new.
fn word(words: &mut Vec<String>, word: &str, what: &str) -> Result<u8, String> {
    let position = words.iter().position(|known| known == word).unwrap_or_else(|| {
        words.push(word.to_owned());
        words.len() - 1
    });
    u8::try_from(position).map_err(|_| format!("more than {MAX_WORDS} different {what}"))
}

/// All nodes, parents before children.
fn topological(graph: &Graph) -> Result<Vec<NodeIndex>> {
    let mut open: Vec<u32> = graph.nodes().map(|node| graph.parents(node).len() as u32).collect();
    let mut ready: VecDeque<NodeIndex> = graph.nodes().filter(|node| open[node.at()] == 0).collect();
    let mut order = Vec::with_capacity(open.len());
    while let Some(node) = ready.pop_front() {
        order.push(node);
        for child in graph.children(node) {
            open[child.at()] -= 1;
            if open[child.at()] == 0 {
                ready.push_back(*child);
            }
        }
    }
    match graph.nodes().find(|node| open[node.at()] > 0) {
        None => Ok(order),
        Some(stuck) => Err(cycle(graph, &open, stuck)),
    }
}

/// The error for a graph in which `stuck` waits, directly or not, for a circle of nodes; `open` is how many parents of
/// each node are stuck too.
fn cycle(graph: &Graph, open: &[u32], stuck: NodeIndex) -> Error {
    let mut step_of = vec![None; open.len()];
    let mut path = Vec::new();
    let mut node = stuck;
    while step_of[node.at()].is_none() {
        step_of[node.at()] = Some(path.len());
        path.push(node);
        // A node that is stuck has a parent that is.
        node = *graph.parents(node).iter().find(|parent| open[parent.at()] > 0).unwrap_or(&node);
    }
    let mut circle = path.split_off(step_of[node.at()].unwrap_or_default());
    // From what is waited for to what waits, beginning with the first node of the file.
    circle.reverse();
    let first = circle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(at, _)| at);
    circle.rotate_left(first);
    let named: Vec<String> = circle
        .iter()
        .take(NAMED_OF_A_CYCLE)
        .map(|n| format!("{} (node {})", graph.quoted(*n), n.0))
        .collect();
    let rest = match circle.len().saturating_sub(NAMED_OF_A_CYCLE) {
        0 => String::new(),
        rest => format!(" → {rest} more"),
    };
    let message = format!("nodes wait for each other: {}{rest} → back to the first", named.join(" → "));
    Error::input(message).key(graph.key(circle[0]))
}
