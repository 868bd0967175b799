//! What stages send each other: one message for each way into a stage, shared by everything there that waits for it.

use std::collections::HashMap;

use super::mends::Mends;
use super::model::{Graph, Kind, NodeIndex, Work};
use super::roles::Roles;
use super::rows::Rows;
use super::sources::{Crossing, Sources};
use crate::{Error, Result};

/// The length of a message that only says that something has happened.
const CONTROL_BYTES: u64 = 1;

/// A message from one stage to another, on every replica.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) from: u32,
    pub(super) to: u32,
    /// The node it stands for.
    pub(super) edge: Option<NodeIndex>,
    pub(super) bytes: u64,
    /// Says only that something has happened. Such messages have the lowest ids of their traces: simulations get stuck
    /// otherwise.
    pub(super) is_control: bool,
    tag: u32,
    /// How far the tags of two replicas are apart.
    tag_step: u32,
    /// What has to be finished before it is sent.
    pub(super) sources: Vec<NodeIndex>,
}

impl Message {
    pub(super) fn tag(&self, replica: u32) -> u32 {
        self.tag + replica * self.tag_step
    }
}

/// All messages, in the order in which traces list them, and who waits for which.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) all: Vec<Message>,
    /// For each task that waits for messages their positions; tasks in the order of `waiting`.
    pub(super) awaited: Rows<u32>,
    /// For each stage how many tasks come before its first one in `awaited`.
    pub(super) first_of_stage: Vec<usize>,
}

/// Plans the messages for tasks in the order of their stages.
///
/// # Errors
/// There are more messages than tags.
pub(super) fn plan(
    graph: &Graph,
    roles: &Roles,
    mends: &Mends,
    order: &[Vec<NodeIndex>],
    sources: &Sources,
) -> Result<Messages> {
    let highest = graph.ops.iter().max().map_or(0, |op| *op);
    let mut planner = Planner {
        graph,
        roles,
        mends,
        known: HashMap::new(),
        planned: Messages { all: Vec::new(), awaited: Rows::new(), first_of_stage: Vec::new() },
        last_receiver: Vec::new(),
        last_tag: if mends.control_tags { highest } else { 0 },
    };
    let mut tasks_before = 0;
    for (stage, tasks) in (0..).zip(order) {
        planner.planned.first_of_stage.push(tasks_before);
        tasks_before += tasks.len();
        for task in tasks {
            planner.receive(*task, stage, sources.crossing.row(task.at()))?;
        }
    }
    Ok(planner.planned)
}

/// What makes two ways the same message: the source, or the stage of the source where its sources share a message; the
/// stage that receives; the node that stands for the way.
type Way = (u32, u32, Option<NodeIndex>);

struct Planner<'a> {
    graph: &'a Graph,
    roles: &'a Roles,
    mends: &'a Mends,
    known: HashMap<Way, u32>,
    planned: Messages,
    /// For each message the last task that was found to wait for it.
    last_receiver: Vec<Option<NodeIndex>>,
    /// The last tag of those that are counted.
    last_tag: u32,
}

impl Planner<'_> {
    /// Plans the messages that a task waits for.
    fn receive(&mut self, task: NodeIndex, stage: u32, crossings: &[Crossing]) -> Result<()> {
        let first_new = self.planned.all.len();
        if self.roles.executed_on(task).is_some() {
            for crossing in crossings {
                let Some(from) = self.roles.executed_on(crossing.source) else { continue };
                let message = self.message(crossing, from, stage, first_new);
                if self.last_receiver[message as usize].replace(task) != Some(task) {
                    self.planned.awaited.push(message);
                }
            }
        }
        self.planned.awaited.end_row();
        self.tag_new(task, first_new)
    }

    fn message(&mut self, crossing: &Crossing, from: u32, to: u32, first_new: usize) -> u32 {
        let Crossing { source, edge } = *crossing;
        let transferred = edge.and_then(|edge| self.transferred(edge));
        let shared = self.mends.cross_stage_sources && transferred.is_some();
        let way = (if shared { from } else { source.0 }, to, edge);
        let next = self.planned.all.len() as u32;
        let message = *self.known.entry(way).or_insert(next);
        if message == next {
            let bytes = transferred.unwrap_or(0);
            self.last_receiver.push(None);
            self.planned.all.push(Message {
                from,
                to,
                edge,
                bytes: bytes.max(CONTROL_BYTES),
                is_control: bytes == 0,
                tag: 0,
                tag_step: 0,
                sources: vec![source],
            });
        } else if message as usize >= first_new {
            // Whatever else waits for it has found the same sources.
            self.planned.all[message as usize].sources.push(source);
        }
        message
    }

    /// The bytes of a transfer; `None` when the edge is none.
    fn transferred(&self, edge: NodeIndex) -> Option<u64> {
        match self.graph.work(edge) {
            Work::Communication { kind: Kind::Transfer, bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// Gives tags to the messages from a position on, which are those that a task was the first to wait for.
    fn tag_new(&mut self, task: NodeIndex, first_new: usize) -> Result<()> {
        let new = &mut self.planned.all[first_new..];
        let count = new.len() as u64;
        let replicas = u64::from(self.graph.replicas());
        let mut last_tag = u64::from(self.last_tag);
        for (message, number) in new.iter_mut().zip(1..) {
            match message.edge {
                Some(edge) => message.tag = self.graph.op(edge),
                None if self.mends.control_tags => {
                    last_tag += 1;
                    message.tag = last_tag as u32;
                }
                None => (message.tag, message.tag_step) = ((last_tag + number) as u32, count as u32),
            }
        }
        if !self.mends.control_tags {
            // Counted for every message, also where the tag is that of a node, and for every replica.
            last_tag += count * replicas;
        }
        if last_tag > i32::MAX as u64 {
            return Err(self.out_of_tags(task));
        }
        self.last_tag = last_tag as u32;
        Ok(())
    }

    fn out_of_tags(&self, task: NodeIndex) -> Error {
        let highest = self.graph.nodes().max_by_key(|node| self.graph.op(*node));
        match highest.filter(|_| self.mends.control_tags) {
            Some(highest) => {
                let message = format!(
                    "found {}, above which control messages take their tags, and tags end at {}",
                    self.graph.op(highest),
                    i32::MAX
                );
                Error::input(message)
                    .key(format!("{}.op", self.graph.key(highest)))
                    .hint("number operations from 0, or turn the switch `control_tags` off")
            }
            None => {
                let message = format!("there are more messages than tags ({})", i32::MAX);
                Error::input(message).key(self.graph.key(task))
            }
        }
    }
}
