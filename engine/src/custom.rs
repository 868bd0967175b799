//! Custom collectives: algorithms given as traces, one for each member, instead of by name.
//!
//! A trace of a custom collective is a graph of computations, sends and receives. Unlike in the trace of a
//! rank all free nodes start at once, in an order that depends on the order of nodes and dependencies in
//! their file.

use crate::chain_set::ChainSet;
use crate::collective::CollectiveType;
use crate::trace::{NodeKind, Trace, TraceBuilder, TraceError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One member's part in a custom collective.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomTrace {
    pub(crate) trace: Trace,
    /// `children[child_ends[i - 1]..child_ends[i]]` wait for node `i`, in the order in which they are freed.
    children: Vec<u32>,
    child_ends: Vec<u32>,
    /// Ids of the nodes that are free from the start, in their order.
    pub(crate) free: ChainSet,
}

impl CustomTrace {
    /// Lays out the nodes that were pushed. Their order counts, and so does the order of a node's dependencies:
    /// data dependencies first, then control dependencies, as their file lists them. Peers of sends and receives
    /// are ranks, or indices of members where the collective runs in a communicator group.
    ///
    /// # Errors
    /// Those of [`TraceBuilder::build`], and a node that is neither a computation, a send nor a receive.
    pub fn new(builder: TraceBuilder) -> Result<Self, TraceError> {
        let trace = builder.clone().build()?;
        for index in 0..trace.len() as u32 {
            if !matches!(
                trace.node(index).kind,
                NodeKind::Compute { .. } | NodeKind::Send { .. } | NodeKind::Recv { .. }
            ) {
                return Err(TraceError::NotCustom(trace.id(index)));
            }
        }
        // As the original reads a file: the table of nodes and the sets of children come about together.
        let mut table = ChainSet::new();
        let mut children: BTreeMap<u32, ChainSet> = BTreeMap::new();
        for (id, dependencies) in builder.pushes() {
            table.insert(id);
            let mut parents = ChainSet::new();
            for &dependency in dependencies {
                parents.insert(dependency);
            }
            for parent in parents.iter() {
                table.insert(parent);
                let parent = trace.index_of(parent).expect("the trace was built with all dependencies");
                children.entry(parent).or_insert_with(ChainSet::new).insert(id);
            }
        }
        let index_of = |id| trace.index_of(id).expect("every id of the table is one of the trace");
        let mut free = ChainSet::new();
        for id in table.iter().filter(|&id| trace.parent_counts()[index_of(id) as usize] == 0) {
            free.insert(id);
        }
        let mut flat = Vec::new();
        let mut child_ends = Vec::with_capacity(trace.len());
        for index in 0..trace.len() as u32 {
            flat.extend(children.get(&index).into_iter().flat_map(ChainSet::iter).map(index_of));
            child_ends.push(flat.len() as u32);
        }
        Ok(Self { trace, children: flat, child_ends, free })
    }

    /// The nodes that wait for the node at an index, in the order in which they are freed.
    pub(crate) fn children(&self, index: u32) -> &[u32] {
        let index = index as usize;
        let start = if index == 0 { 0 } else { self.child_ends[index - 1] as usize };
        &self.children[start..self.child_ends[index] as usize]
    }
}

/// A custom collective: the traces of its members.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomCollective {
    /// What errors call it, for example the prefix of its files.
    pub name: String,
    /// The traces by rank; in a communicator group by the rank's place among the members in ascending order.
    pub traces: BTreeMap<u32, Arc<CustomTrace>>,
}

/// The custom collectives of a system and when each is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomCollectives {
    /// The collectives; the other fields are indices into this list, and one beyond its end is no collective.
    pub collectives: Vec<CustomCollective>,
    /// The one that carries out a node of a trace, by the node's id.
    pub of_node: BTreeMap<u64, usize>,
    /// The one that carries out all other collectives of a type.
    pub of_type: BTreeMap<CollectiveType, usize>,
}

impl CustomCollectives {
    /// Which custom collective carries out a node of a trace, if one does: that of the node, else that of its
    /// type.
    pub fn choose(&self, node: u64, collective: CollectiveType) -> Option<usize> {
        let chosen = self.of_node.get(&node).or_else(|| self.of_type.get(&collective)).copied();
        chosen.filter(|&chosen| chosen < self.collectives.len())
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.collectives.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Node;
    use crate::units::{Bytes, Micros, Rank};

    fn node(kind: NodeKind) -> Node {
        Node { kind, cpu: false, duration: Micros(1) }
    }

    #[test]
    fn children_are_freed_in_the_order_of_the_table_and_not_of_their_ids() {
        let mut builder = TraceBuilder::new();
        let send = NodeKind::Send { to: Rank(1), size: Bytes(1), tag: 0 };
        builder.push(1, "root", node(send), &[]);
        for id in [2, 3, 15] {
            builder.push(id, "child", node(send), &[1]);
        }
        let custom = CustomTrace::new(builder).unwrap();
        let freed: Vec<u64> = custom.children(0).iter().map(|&child| custom.trace.id(child)).collect();
        // 15 is in the bucket of 2, and 3 came to the front with a bucket of its own.
        assert_eq!(freed, [3, 15, 2]);
        assert_eq!(custom.free.iter().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn only_computations_and_messages_make_a_custom_collective() {
        let mut builder = TraceBuilder::new();
        builder.push(4, "m", node(NodeKind::MemoryLoad(Bytes(8))), &[]);
        assert_eq!(CustomTrace::new(builder), Err(TraceError::NotCustom(4)));
        assert_eq!(CustomTrace::new(TraceBuilder::new()), Err(TraceError::Empty));
    }

    #[test]
    fn the_choice_for_a_node_goes_before_that_for_its_type() {
        let collective = |name: &str| CustomCollective { name: name.to_owned(), traces: BTreeMap::new() };
        let custom = CustomCollectives {
            collectives: vec![collective("a"), collective("b")],
            of_node: BTreeMap::from([(7, 1), (8, 9)]),
            of_type: BTreeMap::from([(CollectiveType::AllReduce, 0)]),
        };
        assert_eq!(custom.choose(7, CollectiveType::AllToAll), Some(1));
        assert_eq!(custom.choose(3, CollectiveType::AllReduce), Some(0));
        assert_eq!(custom.choose(3, CollectiveType::AllToAll), None);
        assert_eq!(custom.choose(8, CollectiveType::AllReduce), None);
    }
}
