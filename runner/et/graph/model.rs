//! A graph in memory: flat arrays, checked once, so that conversion can rely on it.
//!
//! Nodes are known by their position. Lists of parents and children mirror each other, every position exists, there is
//! no cycle, and a profile has an entry for every replica. Depends on the engine's names of collectives; knows nothing
//! of JSON.

use astra_engine::CollectiveType;

use super::layout::Layout;
use super::read_node::{NOTHING, TRANSFER};
use super::rows::Rows;
use super::texts::Texts;
use crate::Error;
use crate::et::build::COLLECTIVES;

/// The position of a node in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeIndex(pub(super) u32);

impl NodeIndex {
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Work {
    /// Computes on a piece of hardware.
    Compute {
        /// Where; without a hardware id the node only joins.
        hw: Option<u32>,
        /// How long.
        seconds: Seconds,
        /// Stands for what has been replaced by other nodes; never executed.
        placeholder: bool,
    },
    /// Moves data.
    Communication {
        /// How.
        kind: Kind,
        /// How much: for a collective ASTRA-sim's `comm_size`, for a transfer its length.
        bytes: u64,
        /// Among how many; not used to form groups, but compared with them.
        participants: Option<u32>,
        /// The axis along which the participants lie.
        axis: Option<AxisId>,
        /// The hardware id that executes it; by default that of a neighbour.
        hw: Option<u32>,
    },
    /// Takes no time: what waits for it waits for its parents.
    Join,
}

/// How long a node computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seconds {
    /// The same on every replica.
    Same(f64),
    /// One entry per replica, from this position of the graph's profiles.
    Profile(u32),
}

/// How data is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By a collective that is simulated.
    Collective(CollectiveType),
    /// From where its parents run to where its children run: `pipeline`.
    Transfer,
    /// Not at all: `none`.
    Nothing,
    /// By something that has a name but is not simulated.
    Unknown(KindId),
}

/// One of the axis names that the nodes of a graph use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AxisId(pub(super) u8);

/// One of the unknown kinds of communication in a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KindId(pub(super) u8);

/// A graph of computation and communication, and how it is laid out on hardware.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(super) replicas: u32,
    pub(super) layout: Option<Layout>,
    pub(super) work: Vec<Work>,
    /// The number of each node, which appears in names and tags.
    pub(super) ops: Vec<u32>,
    pub(super) names: Texts,
    pub(super) profiles: Vec<f64>,
    pub(super) axis_names: Vec<String>,
    pub(super) unknown_kinds: Vec<String>,
    pub(super) parents: Rows<NodeIndex>,
    pub(super) children: Rows<NodeIndex>,
    pub(super) roots: Vec<NodeIndex>,
    /// All nodes, parents before children.
    pub(super) topological: Vec<NodeIndex>,
}

impl Graph {
    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.work.len()
    }

    /// How many edges there are, repeated ones counted as often as they are there.
    pub fn edge_count(&self) -> usize {
        self.parents.item_count()
    }

    /// How often the graph is executed side by side, each time on hardware of its own: the degree of data parallelism.
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// How hardware ids lie on axes, if the graph says so.
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.work.len() as u32).map(NodeIndex)
    }

    pub(super) fn work(&self, node: NodeIndex) -> Work {
        self.work[node.at()]
    }

    pub(super) fn name(&self, node: NodeIndex) -> &str {
        self.names.get(node.at())
    }

    pub(super) fn op(&self, node: NodeIndex) -> u32 {
        self.ops[node.at()]
    }

    pub(super) fn parents(&self, node: NodeIndex) -> &[NodeIndex] {
        self.parents.row(node.at())
    }

    pub(super) fn children(&self, node: NodeIndex) -> &[NodeIndex] {
        self.children.row(node.at())
    }

    pub(super) fn axis_name(&self, axis: AxisId) -> &str {
        &self.axis_names[usize::from(axis.0)]
    }

    pub(super) fn seconds(&self, seconds: Seconds, replica: u32) -> f64 {
        match seconds {
            Seconds::Same(seconds) => seconds,
            Seconds::Profile(first) => self.profiles[first as usize + replica as usize],
        }
    }

    /// The hardware id of a compute node that has one, placeholder or not.
    pub(super) fn compute_hw(&self, node: NodeIndex) -> Option<u32> {
        match self.work(node) {
            Work::Compute { hw, .. } => hw,
            _ => None,
        }
    }

    /// The hardware id that a node of communication has of its own.
    pub(super) fn own_hw(&self, node: NodeIndex) -> Option<u32> {
        match self.work(node) {
            Work::Communication { hw, .. } => hw,
            _ => None,
        }
    }

    /// The key path of a node, for errors.
    pub(super) fn key(&self, node: NodeIndex) -> String {
        format!("nodes[{}]", node.0)
    }

    /// The name of a node in quotes, for errors.
    pub(super) fn quoted(&self, node: NodeIndex) -> String {
        format!("`{}`", self.name(node).escape_debug())
    }

    /// The error for a collective that is not simulated.
    pub(super) fn unknown_kind(&self, node: NodeIndex, kind: KindId) -> Error {
        let found = &self.unknown_kinds[usize::from(kind.0)];
        let known: Vec<&str> =
            COLLECTIVES.map(CollectiveType::as_str).into_iter().chain([TRANSFER, NOTHING]).collect();
        let message = format!("found `{}`, expected one of {}", found.escape_debug(), known.join(", "));
        Error::input(message).key(format!("{}.kind", self.key(node))).suggest(found, known)
    }
}
