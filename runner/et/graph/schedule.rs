//! The order in which a stage executes its tasks: the same on all replicas, and part of the simulated result.

use std::collections::VecDeque;

use super::model::{Graph, NodeIndex};
use super::roles::Roles;
use super::rows::Rows;
use super::sources::Sources;

/// For each stage its tasks, ordered topologically by a first-in-first-out queue.
///
/// A task waits for ancestors in the graph only, which has no cycle, and each is a task of the same stage; so all tasks
/// come out.
pub(super) fn order(graph: &Graph, roles: &Roles, sources: &Sources) -> Vec<Vec<NodeIndex>> {
    // The position of every task among those of its stage.
    let mut position = vec![0; graph.node_count()];
    let order_stage = |tasks: &Vec<NodeIndex>| {
        (0..).zip(tasks).for_each(|(at, task)| position[task.at()] = at);
        let position = &position;
        let waiting = Rows::collect(tasks.len(), 0, || {
            (0..).zip(tasks).flat_map(move |(at, task): (u32, _)| {
                sources.local.row(task.at()).iter().map(move |source| (position[source.at()], at))
            })
        });
        let mut open: Vec<usize> = tasks.iter().map(|task| sources.local.row(task.at()).len()).collect();
        let mut ready: VecDeque<usize> = (0..tasks.len()).filter(|at| open[*at] == 0).collect();
        let mut order = Vec::with_capacity(tasks.len());
        while let Some(at) = ready.pop_front() {
            order.push(tasks[at]);
            for &next in waiting.row(at) {
                let next = next as usize;
                open[next] -= 1;
                if open[next] == 0 {
                    ready.push_back(next);
                }
            }
        }
        debug_assert_eq!(order.len(), tasks.len());
        order
    };
    roles.tasks.iter().map(order_stage).collect()
}
