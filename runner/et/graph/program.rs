//! What each stage executes: the nodes of its traces in file order, with their dependencies, before a replica is chosen.

use super::messages::Messages;
use super::model::{Graph, NodeIndex};
use super::roles::{Role, Roles};
use super::rows::Rows;
use super::sources::Sources;

/// A node of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Compute(NodeIndex),
    Collective(NodeIndex),
    /// Sends the message at a position.
    Send(u32),
    /// Receives the message at a position.
    Receive(u32),
}

/// The trace of a stage on any replica; the id of a step is its position.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    /// For each step the ids of what it waits for.
    pub(super) dependencies: Rows<u64>,
}

/// The ids of everything on its stage.
struct Ids {
    of_task: Vec<u32>,
    of_send: Vec<u32>,
    of_receive: Vec<u32>,
}

/// The programs of all stages: control messages, then tasks in their order, then other messages.
pub(super) fn programs(
    graph: &Graph,
    roles: &Roles,
    order: &[Vec<NodeIndex>],
    sources: &Sources,
    messages: &Messages,
) -> Vec<Program> {
    let mut steps: Vec<Vec<Step>> = vec![Vec::new(); order.len()];
    let mut ids = Ids {
        of_task: vec![0; graph.node_count()],
        of_send: vec![0; messages.all.len()],
        of_receive: vec![0; messages.all.len()],
    };
    add_messages(&mut steps, &mut ids, messages, true);
    for (steps, tasks) in steps.iter_mut().zip(order) {
        for &task in tasks.iter().filter(|task| roles.executed_on(**task).is_some()) {
            ids.of_task[task.at()] = steps.len() as u32;
            let computes = matches!(roles.of(task), Role::Compute { .. });
            steps.push(if computes { Step::Compute(task) } else { Step::Collective(task) });
        }
    }
    add_messages(&mut steps, &mut ids, messages, false);

    let mut awaited_at = vec![0; graph.node_count()];
    for (tasks, &first) in order.iter().zip(&messages.first_of_stage) {
        (first..).zip(tasks).for_each(|(row, task)| awaited_at[task.at()] = row);
    }
    let program = |steps: Vec<Step>| {
        let mut dependencies = Rows::new();
        for step in &steps {
            match *step {
                Step::Compute(task) | Step::Collective(task) => {
                    let local = sources.local.row(task.at()).iter().map(|source| ids.of_task[source.at()]);
                    let awaited = messages.awaited.row(awaited_at[task.at()]).iter();
                    let awaited = awaited.map(|message| ids.of_receive[*message as usize]);
                    local.chain(awaited).for_each(|id| dependencies.push(u64::from(id)));
                }
                Step::Send(message) => {
                    for source in &messages.all[message as usize].sources {
                        dependencies.push(u64::from(ids.of_task[source.at()]));
                    }
                }
                Step::Receive(_) => {}
            }
            dependencies.end_row();
        }
        Program { steps, dependencies }
    };
    steps.into_iter().map(program).collect()
}

/// Appends both ends of all control messages, or of all others.
fn add_messages(steps: &mut [Vec<Step>], ids: &mut Ids, messages: &Messages, control: bool) {
    for (at, message) in (0..).zip(&messages.all).filter(|(_, message)| message.is_control == control) {
        let sender = &mut steps[message.from as usize];
        ids.of_send[at as usize] = sender.len() as u32;
        sender.push(Step::Send(at));
        let receiver = &mut steps[message.to as usize];
        ids.of_receive[at as usize] = receiver.len() as u32;
        receiver.push(Step::Receive(at));
    }
}
