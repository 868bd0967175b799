//! In which order a rank issues its nodes, as far as ids and dependencies say.
//!
//! The order in a run depends on times too: this one is what a rank would do if each node took no time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use astra_engine::Trace;

/// Nodes of a trace such that each comes after those it waits for; of those that could be next, the one with the least id.
pub(crate) enum IssueOrder {
    /// Ids ascend along all dependencies, as most writers have it.
    ById(u32),
    /// As listed.
    Listed(Vec<u32>),
}

impl IssueOrder {
    pub(crate) fn of(trace: &Trace) -> Self {
        let nodes = trace.len() as u32;
        let ascends = |node: u32| trace.children(node).iter().all(|&child| child > node);
        if (0..nodes).all(ascends) {
            return Self::ById(nodes);
        }
        let mut waiting = parents(trace);
        let mut ready: BinaryHeap<Reverse<u32>> =
            (0..nodes).filter(|&node| waiting[node as usize] == 0).map(Reverse).collect();
        let mut order = Vec::with_capacity(trace.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for &child in trace.children(node) {
                waiting[child as usize] -= 1;
                if waiting[child as usize] == 0 {
                    ready.push(Reverse(child));
                }
            }
        }
        Self::Listed(order)
    }

    /// The indices of the nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = u32> + '_ {
        let (by_id, listed) = match self {
            Self::ById(nodes) => (0..*nodes, &[][..]),
            Self::Listed(nodes) => (0..0, &nodes[..]),
        };
        by_id.chain(listed.iter().copied())
    }
}

/// How many nodes each node waits for.
pub(crate) fn parents(trace: &Trace) -> Vec<u32> {
    let mut parents = vec![0; trace.len()];
    for node in 0..trace.len() as u32 {
        for &child in trace.children(node) {
            parents[child as usize] += 1;
        }
    }
    parents
}

#[cfg(test)]
mod tests {
    use astra_engine::{Micros, Node, NodeKind, TraceBuilder};

    use super::*;

    fn trace(nodes: &[(u64, &[u64])]) -> Trace {
        let node = Node { kind: NodeKind::Invalid, cpu: false, duration: Micros(0) };
        let mut builder = TraceBuilder::new();
        nodes.iter().for_each(|(id, dependencies)| builder.push(*id, "", node, dependencies));
        builder.build().unwrap()
    }

    #[test]
    fn the_least_id_that_can_go_goes_first() {
        let traces = [trace(&[(0, &[]), (1, &[0])]), trace(&[(0, &[3]), (1, &[]), (2, &[0]), (3, &[])])];
        let orders = traces.map(|trace| IssueOrder::of(&trace).nodes().collect::<Vec<_>>());
        assert_eq!(orders, [vec![0, 1], vec![1, 3, 0, 2]]);
    }
}
