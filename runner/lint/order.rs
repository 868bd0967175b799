//! In which order ranks issue the nodes of their traces, and where that is certain: where dependencies chain them.

use std::cell::OnceCell;

use astra_engine::Trace;

use crate::et::IssueOrder;

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
