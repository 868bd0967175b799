//! Which nodes of which ranks are drawn, what their boxes say, and the edges between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::et::attributes::integer;
use crate::et::dump::{collective_name, kind_name};
use crate::et::schema::{Node, NodeType, names};
use crate::{Error, Result};

/// The trace of a rank.
#[derive(Clone, Debug)]
pub struct RankTrace {
    /// Which rank.
    pub rank: u32,
    /// Its nodes.
    pub nodes: Vec<Node>,
}

/// The node in the middle of a picture.
#[derive(Clone, Copy, Debug)]
pub struct Focus {
    /// Its id; in the first of the ranks that are drawn.
    pub node: u64,
    /// How many edges away from it others may be.
    pub radius: u32,
}

/// What is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    /// The boxes, by rank and id.
    pub boxes: Vec<NodeBox>,
    /// Edges between boxes.
    pub edges: Vec<Edge>,
    /// How many nodes of these ranks are left out.
    pub left_out: usize,
}

/// A node that is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeBox {
    /// Its rank.
    pub rank: u32,
    /// Its id.
    pub node: u64,
    /// What its box says, line by line.
    pub lines: Vec<String>,
    /// The colour of its box.
    pub colour: &'static str,
}

/// An edge between two boxes, given by their places among the boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// What comes first.
    pub from: usize,
    /// What waits for it.
    pub to: usize,
    /// Whether it is a message between ranks.
    pub message: bool,
}

/// Chooses what to draw: of these ranks at most `limit` nodes, those around the focus, or those with the least ids.
///
/// # Errors
/// The first of the ranks has no node with the id of the focus.
pub fn select(traces: &[RankTrace], focus: Option<Focus>, limit: usize) -> Result<Drawing> {
    let nodes: Vec<(u32, &Node)> =
        traces.iter().flat_map(|trace| trace.nodes.iter().map(|node| (trace.rank, node))).collect();
    let edges = edges(&nodes);
    let chosen: BTreeSet<usize> = match focus {
        Some(focus) => around(&nodes, &edges, focus, limit)?,
        None => {
            let mut by_id: Vec<usize> = (0..nodes.len()).collect();
            by_id.sort_by_key(|&place| (nodes[place].1.id, nodes[place].0));
            by_id.into_iter().take(limit).collect()
        }
    };
    let mut order: Vec<usize> = chosen.into_iter().collect();
    order.sort_by_key(|&place| (nodes[place].0, nodes[place].1.id));
    let box_of: BTreeMap<usize, usize> = order.iter().enumerate().map(|(at, &place)| (place, at)).collect();
    let mut drawn: Vec<Edge> = edges
        .iter()
        .filter_map(|edge| Some(Edge { from: *box_of.get(&edge.from)?, to: *box_of.get(&edge.to)?, ..*edge }))
        .collect();
    drawn.sort_unstable();
    let boxes = order.iter().map(|&place| NodeBox::of(nodes[place].0, nodes[place].1)).collect();
    Ok(Drawing { boxes, edges: drawn, left_out: nodes.len() - order.len() })
}

/// Dependencies within ranks, and messages between them; equal messages pair in the order of the files.
fn edges(nodes: &[(u32, &Node)]) -> Vec<Edge> {
    let place: BTreeMap<(u32, u64), usize> =
        nodes.iter().enumerate().map(|(place, (rank, node))| ((*rank, node.id), place)).collect();
    let mut edges = BTreeSet::new();
    let mut sends: BTreeMap<[u64; 4], VecDeque<usize>> = BTreeMap::new();
    for (to, (rank, node)) in nodes.iter().enumerate() {
        for id in node.control_deps.iter().chain(&node.data_deps) {
            edges.extend(place.get(&(*rank, *id)).map(|&from| Edge { from, to, message: false }));
        }
        if let Some(key) = message(*rank, node, NodeType::Send) {
            sends.entry(key).or_default().push_back(to);
        }
    }
    for (to, (rank, node)) in nodes.iter().enumerate() {
        let key = message(*rank, node, NodeType::Recv);
        let from = key.and_then(|key| sends.get_mut(&key)?.pop_front());
        edges.extend(from.map(|from| Edge { from, to, message: true }));
    }
    edges.into_iter().collect()
}

/// Source, destination, size and tag of a send or a receive.
fn message(rank: u32, node: &Node, kind: NodeType) -> Option<[u64; 4]> {
    if node.kind != kind as i32 {
        return None;
    }
    let value = |name| integer(node, name).ok().flatten();
    let peer = value(if kind == NodeType::Send { names::COMM_DST } else { names::COMM_SRC })?;
    let (source, destination) =
        if kind == NodeType::Send { (rank.into(), peer) } else { (peer, rank.into()) };
    Some([source, destination, value(names::COMM_SIZE)?, value(names::COMM_TAG)?])
}

/// The nodes within a number of edges, in either direction, the nearest first.
fn around(nodes: &[(u32, &Node)], edges: &[Edge], focus: Focus, limit: usize) -> Result<BTreeSet<usize>> {
    let first = nodes.first().map_or(0, |(rank, _)| *rank);
    let found = nodes.iter().position(|(rank, node)| *rank == first && node.id == focus.node);
    let middle = found.ok_or_else(|| Error::input(format!("rank {first} has no node {}", focus.node)))?;
    let mut neighbours: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for edge in edges {
        neighbours.entry(edge.from).or_default().push(edge.to);
        neighbours.entry(edge.to).or_default().push(edge.from);
    }
    let mut chosen = BTreeSet::new();
    let mut next = VecDeque::from([(middle, 0)]);
    while let Some((place, distance)) = next.pop_front() {
        if chosen.len() >= limit || !chosen.insert(place) || distance == focus.radius {
            continue;
        }
        next.extend(neighbours.get(&place).into_iter().flatten().map(|&other| (other, distance + 1)));
    }
    Ok(chosen)
}

impl NodeBox {
    fn of(rank: u32, node: &Node) -> Self {
        let mut lines = vec![
            node.name.escape_debug().to_string(),
            format!("rank {rank}, id {}", node.id),
            kind_name(node).into_owned(),
        ];
        if node.duration_micros > 0 {
            lines.push(format!("dur {} us", node.duration_micros));
        }
        if node.kind == NodeType::Collective as i32 {
            let kind = node.attributes.iter().find_map(collective_name);
            lines.extend(kind.map(|kind| format!("comm {kind}")));
        }
        let figures = [
            ("dst", names::COMM_DST),
            ("src", names::COMM_SRC),
            ("tag", names::COMM_TAG),
            ("bytes", names::COMM_SIZE),
        ];
        for (label, name) in figures {
            lines.extend(integer(node, name).ok().flatten().map(|value| format!("{label} {value}")));
        }
        let colour = match NodeType::try_from(node.kind) {
            Ok(NodeType::Compute) => "lightblue",
            Ok(NodeType::Collective) => "palegreen",
            Ok(NodeType::Send) => "khaki",
            Ok(NodeType::Recv) => "lightsalmon",
            _ => "lightgrey",
        };
        Self { rank, node: node.id, lines, colour }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_ranks() -> Vec<RankTrace> {
        let sender = vec![Node::compute(0, "a", 5), Node::send(1, "s", 1, 64, 3).after([0])];
        let receiver = vec![
            Node::recv(0, "r", 0, 64, 3),
            Node::compute(1, "b", 0).after([0]),
            Node::compute(2, "c", 1).after([1]),
        ];
        vec![RankTrace { rank: 0, nodes: sender }, RankTrace { rank: 1, nodes: receiver }]
    }

    fn drawn(drawing: &Drawing) -> Vec<(u32, u64)> {
        drawing.boxes.iter().map(|b| (b.rank, b.node)).collect()
    }

    #[test]
    fn messages_between_the_ranks_are_edges_too() {
        let drawing = select(&two_ranks(), None, 10).unwrap();
        let edges: Vec<_> = drawing.edges.iter().map(|e| (e.from, e.to, e.message)).collect();
        assert_eq!(edges, [(0, 1, false), (1, 2, true), (2, 3, false), (3, 4, false)]);
        assert_eq!(drawing.boxes[1].lines, ["s", "rank 0, id 1", "send", "dst 1", "tag 3", "bytes 64"]);
        assert_eq!((drawing.boxes[0].colour, drawing.boxes[1].colour), ("lightblue", "khaki"));
    }

    #[test]
    fn a_limit_keeps_the_least_ids_and_a_focus_what_is_near() {
        let traces = two_ranks();
        let limited = select(&traces, None, 3).unwrap();
        assert_eq!((drawn(&limited), limited.left_out), (vec![(0, 0), (0, 1), (1, 0)], 2));
        let focus = |node, radius| select(&traces, Some(Focus { node, radius }), 10);
        assert_eq!(drawn(&focus(1, 1).unwrap()), [(0, 0), (0, 1), (1, 0)]);
        assert_eq!(drawn(&focus(0, 0).unwrap()), [(0, 0)]);
        assert_eq!(focus(7, 1).unwrap_err().to_string(), "rank 0 has no node 7");
    }
}
