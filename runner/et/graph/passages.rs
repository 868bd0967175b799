//! What lies behind nodes that walks only pass through, found once for all walks.
//!
//! Without this, every consumer of a ladder of joins would climb the whole ladder. Depends on the graph alone; what is
//! passed through, and in which order, its user says.

use super::marks::Marks;
use super::model::{Graph, NodeIndex};
use super::rows::Rows;

/// Longer lists are better not kept: all of them would take more room than the graph.
pub(super) const LONGEST: usize = 64;

/// A row that more hardware ids cannot use is not kept: those of a row are looked through for each edge.
const MOST_BARRED: usize = 8;

/// The row of a node that stands for itself.
const ITSELF: u32 = u32::MAX;

/// Which walks pass through a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    Nobody,
    Everybody,
    /// All but those of tasks on a hardware id, which find something at the node.
    AllBut(u32),
}

/// In which order walks look at the parents of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    FirstParentFirst,
    LastParentFirst,
}

/// For each node that is passed through what a depth-first walk finds in its place.
#[derive(Debug)]
pub(super) struct Passages {
    order: Order,
    /// Each with what is found first at its end, as it lies on a stack. Nodes share rows.
    found: Rows<NodeIndex>,
    /// For each row the hardware ids, ascending, whose tasks would find something on the way.
    barred: Rows<u32>,
    row_of: Vec<u32>,
}

impl Passages {
    /// Finds it for all nodes that are passed through, looking at up to `longest` nodes for each edge. Where a longer
    /// list would begin, walks go on through the node itself.
    pub(super) fn of(
        graph: &Graph,
        order: Order,
        longest: usize,
        passing: impl Fn(NodeIndex) -> Passing,
    ) -> Self {
        let row_of = vec![ITSELF; graph.node_count()];
        let mut passages = Self { order, found: Rows::new(), barred: Rows::new(), row_of };
        let mut rows = 0;
        let (mut list, mut barred) = (Vec::new(), Vec::new());
        let mut listed = Marks::new(graph.node_count());
        'nodes: for &node in &graph.topological {
            let own_bar = match passing(node) {
                Passing::Nobody => continue,
                Passing::Everybody => None,
                Passing::AllBut(hw) => Some(hw),
            };
            let parents = graph.parents(node);
            list.clear();
            listed.clear();
            barred.clear();
            barred.extend(own_bar);
            for parent in order.of(parents) {
                let found = passages.in_place_of(parent).iter().rev();
                list.extend(found.copied().filter(|found| listed.mark(*found)));
                for hw in passages.barred_from(*parent) {
                    if let Err(at) = barred.binary_search(hw) {
                        barred.insert(at, *hw);
                    }
                }
                if list.len() > longest || barred.len() > MOST_BARRED {
                    continue 'nodes;
                }
            }
            list.reverse();
            let same = parents.iter().find(|parent| {
                passages.row_of[parent.at()] != ITSELF
                    && passages.in_place_of(parent) == list
                    && passages.barred_from(**parent) == barred
            });
            passages.row_of[node.at()] = same.map_or(rows, |parent| passages.row_of[parent.at()]);
            if same.is_none() {
                list.iter().for_each(|found| passages.found.push(*found));
                passages.found.end_row();
                barred.iter().for_each(|hw| passages.barred.push(*hw));
                passages.barred.end_row();
                rows += 1;
            }
        }
        passages
    }

    /// Puts what a walk is to look at behind a node on its stack.
    pub(super) fn push_parents<T>(
        &self,
        graph: &Graph,
        node: NodeIndex,
        stack: &mut Vec<T>,
        item: impl Fn(NodeIndex) -> T,
    ) {
        for parent in self.order.opposite().of(graph.parents(node)) {
            stack.extend(self.in_place_of(parent).iter().map(|found| item(*found)));
        }
    }

    /// The same for a walk from a task on a hardware id, with what `self` is for everybody where it is barred.
    pub(super) fn push_parents_beyond<T>(
        &self,
        beyond: &Self,
        hw: u32,
        graph: &Graph,
        node: NodeIndex,
        stack: &mut Vec<T>,
        item: impl Fn(NodeIndex) -> T,
    ) {
        for parent in self.order.opposite().of(graph.parents(node)) {
            let is_barred = beyond.barred_from(*parent).binary_search(&hw).is_ok();
            let passages = if is_barred { self } else { beyond };
            stack.extend(passages.in_place_of(parent).iter().map(|found| item(*found)));
        }
    }

    fn in_place_of<'a>(&'a self, node: &'a NodeIndex) -> &'a [NodeIndex] {
        match self.row_of[node.at()] {
            ITSELF => std::slice::from_ref(node),
            row => self.found.row(row as usize),
        }
    }

    fn barred_from(&self, node: NodeIndex) -> &[u32] {
        match self.row_of[node.at()] {
            ITSELF => &[],
            row => self.barred.row(row as usize),
        }
    }
}

impl Order {
    fn opposite(self) -> Self {
        match self {
            Self::FirstParentFirst => Self::LastParentFirst,
            Self::LastParentFirst => Self::FirstParentFirst,
        }
    }

    fn of(self, parents: &[NodeIndex]) -> impl Iterator<Item = &NodeIndex> {
        let count = parents.len();
        (0..count).map(move |at| match self {
            Self::FirstParentFirst => &parents[at],
            Self::LastParentFirst => &parents[count - 1 - at],
        })
    }
}
