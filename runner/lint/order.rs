//! In which order a rank issues its nodes, as far as ids and dependencies say.
//!
//! The order in a run depends on times too: this one is what a rank would do if each node took no time. Where
//! dependencies chain nodes, it is certain.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use astra_engine::Trace;

/// Nodes of a trace such that each comes after those it waits for; of those that could be next, the one with the least id.
pub(super) enum IssueOrder {
    /// Ids ascend along all dependencies, as most writers have it.
    ById(u32),
    /// As listed.
    Listed(Vec<u32>),
}

impl IssueOrder {
    fn of(trace: &Trace) -> Self {
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
    pub(super) fn nodes(&self) -> impl Iterator<Item = u32> + '_ {
        let (by_id, listed) = match self {
            Self::ById(nodes) => (0..*nodes, &[][..]),
            Self::Listed(nodes) => (0..0, &nodes[..]),
        };
        by_id.chain(listed.iter().copied())
    }
}

/// How many nodes each node waits for.
pub(super) fn parents(trace: &Trace) -> Vec<u32> {
    let mut parents = vec![0; trace.len()];
    for node in 0..trace.len() as u32 {
        for &child in trace.children(node) {
            parents[child as usize] += 1;
        }
    }
    parents
}

/// The orders of the distinct traces of a workload, each made when it is first asked for.
pub(super) struct Orders<'a> {
    traces: &'a [Trace],
    made: Vec<OnceCell<IssueOrder>>,
}

impl<'a> Orders<'a> {
    pub(super) fn new(traces: &'a [Trace]) -> Self {
        Self { traces, made: traces.iter().map(|_| OnceCell::new()).collect() }
    }

    pub(super) fn of(&self, trace: usize) -> &IssueOrder {
        self.made[trace].get_or_init(|| IssueOrder::of(&self.traces[trace]))
    }

    /// Puts nodes of a trace into its issue order.
    pub(super) fn sort(&self, trace: usize, nodes: &mut [u32]) {
        nodes.sort_unstable();
        if let IssueOrder::Listed(order) = self.of(trace) {
            let mut place = vec![0_u32; order.len()];
            (0..).zip(order).for_each(|(at, &node)| place[node as usize] = at);
            nodes.sort_unstable_by_key(|&node| place[node as usize]);
        }
    }

    /// Whether dependencies put some nodes of a trace, given in issue order, into that order whatever the times are.
    pub(super) fn is_chain(&self, trace: usize, nodes: &[u32]) -> bool {
        // The longest path that ends at a node, counted in the given nodes: in a chain it grows by one at each.
        let mut place = vec![0_u32; self.traces[trace].len()];
        for (number, &node) in (1..).zip(nodes) {
            place[node as usize] = number;
        }
        let mut longest = vec![0_u32; self.traces[trace].len()];
        for node in self.of(trace).nodes() {
            let here = longest[node as usize] + u32::from(place[node as usize] > 0);
            if place[node as usize] > 0 && here != place[node as usize] {
                return false;
            }
            for &child in self.traces[trace].children(node) {
                longest[child as usize] = longest[child as usize].max(here);
            }
        }
        true
    }
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
        let orders = Orders::new(&traces);
        assert_eq!(orders.of(0).nodes().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(orders.of(1).nodes().collect::<Vec<_>>(), [1, 3, 0, 2]);
    }

    #[test]
    fn a_chain_may_lead_through_other_nodes_and_a_fork_is_none() {
        let traces = [trace(&[(0, &[]), (1, &[0]), (2, &[1]), (3, &[0])])];
        let orders = Orders::new(&traces);
        assert!(orders.is_chain(0, &[0, 2]));
        assert!(orders.is_chain(0, &[0, 3]));
        assert!(orders.is_chain(0, &[]));
        assert!(!orders.is_chain(0, &[1, 3]));
        assert!(!orders.is_chain(0, &[0, 1, 2, 3]));
    }
}
