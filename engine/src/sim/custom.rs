//! Custom collectives at run time: the trace of a member is carried out as a chunk.
//!
//! All free nodes start at once and a pass follows each completion. Messages have the tags of point-to-point
//! messages and no endpoint delay.

use super::Simulation;
use super::agenda::Task;
use super::algorithm::Machine;
use super::channel::ChannelKey;
use super::event::Callback;
use super::slab::Slab;
use crate::chain_set::ChainSet;
use crate::collective::{CollectiveType, InvolvedDims};
use crate::custom::CustomTrace;
use crate::dialect::Dialect;
use crate::error::{Error, NodeProblem};
use crate::trace::{Node, NodeKind};
use crate::units::Rank;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a node of a custom collective does, with real ranks as peers.
#[derive(Clone, Copy)]
enum Operation {
    Compute { duration: u64 },
    Send(ChannelKey),
    Receive(ChannelKey),
}

/// A custom collective under way on a rank.
struct Run<'a> {
    trace: &'a CustomTrace,
    rank: u32,
    /// Its stream, once it has started.
    stream: u32,
    operations: Rc<[Operation]>,
    unfinished_parents: Vec<u32>,
    /// Ids of the nodes that may start.
    free: ChainSet,
    /// Nodes that have started and are not complete.
    ongoing: u32,
}

/// A node of a run that is under way.
#[derive(Clone, Copy)]
struct Ongoing {
    run: u32,
    node: u32,
}

/// All custom collectives under way.
pub(super) struct CustomRuns<'a> {
    runs: Vec<Option<Run<'a>>>,
    /// Places in `runs` that can be used again.
    vacant: Vec<u32>,
    ongoing: Slab<Ongoing>,
    /// By rank, group and type what a group's first collective of the type was carried out by: the original keeps
    /// a group's plan, so that the choice for a node is made once.
    chosen: BTreeMap<(u32, usize, CollectiveType), Option<usize>>,
}

impl CustomRuns<'_> {
    pub(super) const fn new() -> Self {
        Self { runs: Vec::new(), vacant: Vec::new(), ongoing: Slab::new(), chosen: BTreeMap::new() }
    }

    /// The rank that a node under way belongs to.
    pub(super) fn rank_of(&self, operation: u32) -> Option<u32> {
        let run = self.runs.get(self.ongoing[operation].run as usize)?.as_ref()?;
        Some(run.rank)
    }
}

impl<'a> CustomRuns<'a> {
    fn add(&mut self, run: Run<'a>) -> u32 {
        if let Some(vacant) = self.vacant.pop() {
            self.runs[vacant as usize] = Some(run);
            return vacant;
        }
        self.runs.push(Some(run));
        (self.runs.len() - 1) as u32
    }

    fn remove(&mut self, run: u32) {
        self.runs[run as usize] = None;
        self.vacant.push(run);
    }
}

impl Simulation<'_> {
    /// The custom collective that carries out a node, if one does.
    pub(super) fn custom_collective(
        &mut self,
        rank: u32,
        node: u32,
        collective: CollectiveType,
        group: Option<usize>,
    ) -> Option<usize> {
        if self.system.custom.is_empty() || !collective.is_simulated() {
            return None;
        }
        let id = self.workload.trace(Rank(rank)).id(node);
        let choice = self.system.custom.choose(id, collective);
        match group {
            Some(group) if !self.system.custom.of_node.is_empty() => {
                *self.custom.chosen.entry((rank, group, collective)).or_insert(choice)
            }
            _ => choice,
        }
    }

    /// Starts a custom collective on a rank, or has it wait for its queue. In dialect `astra-sim` it is one chunk, and in a
    /// group the members count; in `deepflow` every chunk is carried out by the whole trace of the rank.
    pub(super) fn start_custom(
        &mut self,
        rank: u32,
        custom: usize,
        collective: CollectiveType,
        size: u64,
        group: Option<usize>,
        involved: InvolvedDims,
    ) -> Result<(), NodeProblem> {
        let (_, chunks) = self.cut(collective, size)?;
        let implementation = &self.system.custom.collectives[custom];
        let name = || implementation.name.clone();
        let counter = self.group_counter(rank, group)?;
        let members = group.map(|group| &self.groups[group].members);
        let (member, members) = match (self.system.dialect, members) {
            (Dialect::AstraSim, _) if chunks != 1 => {
                return Err(NodeProblem::CustomChunks { name: name(), chunks });
            }
            (Dialect::AstraSim, Some(members)) => {
                (members.iter().filter(|member| member.0 < rank).count() as u32, Some(members))
            }
            // The list of algorithms is this one entry, and the dimension it stands for the first.
            (Dialect::DeepFlow, None) if !involved.contains(0) => return Err(NodeProblem::NoDimension),
            (Dialect::DeepFlow, Some(members)) if members.len() < 2 => return Err(NodeProblem::NoDimension),
            _ => (rank, None),
        };
        let trace = implementation.traces.get(&member);
        let trace = trace.ok_or_else(|| NodeProblem::NoCustomTrace { name: name(), member })?;
        let mut operations = Vec::with_capacity(trace.trace.len());
        for index in 0..trace.trace.len() as u32 {
            let operation = self.operation(rank, members, trace.trace.node(index));
            operations.push(operation.map_err(|problem| NodeProblem::InCustom {
                name: name(),
                member,
                node: trace.trace.id(index),
                problem: Box::new(problem),
            })?);
        }
        let operations: Rc<[Operation]> = operations.into();
        self.ranks[rank as usize].chunks_left = chunks;
        for chunk in 0..chunks {
            let run = self.custom.add(Run {
                trace,
                rank,
                stream: super::slab::NONE,
                operations: Rc::clone(&operations),
                unfinished_parents: trace.trace.parent_counts().to_vec(),
                free: trace.free.clone(),
                ongoing: 0,
            });
            let stream = self.new_custom_stream(rank, collective, counter, run, chunk);
            let queue = self.enqueue(stream);
            self.start_waiting(queue);
        }
        Ok(())
    }

    /// What a node does on a rank. Where there are `members` its peers are indices of them.
    fn operation(
        &self,
        rank: u32,
        members: Option<&Vec<Rank>>,
        node: &Node,
    ) -> Result<Operation, NodeProblem> {
        let peer = |peer: Rank| match members {
            None => Ok(peer),
            Some(members) => members
                .get(peer.0 as usize)
                .copied()
                .ok_or(NodeProblem::NoSuchMember { member: peer.0, members: members.len() }),
        };
        match node.kind {
            NodeKind::Send { to, size, tag } => {
                self.message_key(tag, Rank(rank), peer(to)?, size.0).map(Operation::Send)
            }
            NodeKind::Recv { from, size, tag } => {
                self.message_key(tag, peer(from)?, Rank(rank), size.0).map(Operation::Receive)
            }
            // The builder of the trace takes no others.
            _ => {
                let duration = node.duration.0.checked_mul(1000).ok_or(NodeProblem::Duration)?.max(1);
                Ok(Operation::Compute { duration })
            }
        }
    }

    /// The queue has room: the nodes that wait for none start.
    pub(super) fn start_custom_run(&mut self, stream: u32) {
        let Machine::Custom { run } = self.streams[stream].machine else { return };
        if let Some(state) = &mut self.custom.runs[run as usize] {
            state.stream = stream;
        }
        self.custom_pass(run);
    }

    /// Starts every free node.
    fn custom_pass(&mut self, run: u32) {
        let Some(state) = &mut self.custom.runs[run as usize] else { return };
        let (rank, trace, free) = (state.rank, state.trace, state.free.drain());
        for id in free {
            let Some(node) = trace.trace.index_of(id) else { continue };
            let Some(state) = &mut self.custom.runs[run as usize] else { return };
            state.ongoing += 1;
            let next = state.operations[node as usize];
            let operation = self.custom.ongoing.insert(Ongoing { run, node });
            match next {
                Operation::Compute { duration } => {
                    self.schedule(rank, duration, Task::CustomDone { operation });
                }
                Operation::Send(key) => self.send(key, Callback::Custom { operation }),
                Operation::Receive(key) => self.receive(key, Callback::Custom { operation }),
            }
        }
    }

    /// A node is complete: those that waited for it become free and start, or the collective is complete on the
    /// rank.
    pub(super) fn finish_custom(&mut self, operation: u32) -> Result<(), Error> {
        let Ongoing { run, node } = self.custom.ongoing.remove(operation);
        let Some(state) = &mut self.custom.runs[run as usize] else { return Ok(()) };
        state.ongoing -= 1;
        for &child in state.trace.children(node) {
            let parents = &mut state.unfinished_parents[child as usize];
            *parents -= 1;
            if *parents == 0 {
                state.free.insert(state.trace.trace.id(child));
            }
        }
        if state.free.is_empty() && state.ongoing == 0 {
            let stream = state.stream;
            self.custom.remove(run);
            return self.advance(stream);
        }
        self.custom_pass(run);
        Ok(())
    }
}
