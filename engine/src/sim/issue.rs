//! The workload layer: which node of a rank is issued when, what it starts, and when a rank has finished.
//!
//! A pass looks at the free nodes by ascending id and issues those whose slot is not held. There is one pass
//! at time 0 and one after each completion, and no other.

use super::agenda::Task;
use super::channel::ChannelKey;
use super::event::Callback;
use super::memory::{Access, Admission};
use super::rank::Slot;
use super::{Simulation, Transport};
use crate::collective::CollectiveType;
use crate::error::{Error, NodeError, NodeProblem};
use crate::trace::{Node, NodeKind, Work};
use crate::units::{Nanos, Rank};

/// Tags are counted modulo this; those of collectives follow.
pub(super) const TAG_SPACE: u32 = 500_000_000;

/// Whether an issued node is under way or was over at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Issued {
    Ongoing,
    Immediate,
}

impl Simulation<'_> {
    /// The first pass of every rank, in order of rank.
    pub(super) fn fire(&mut self) -> Result<(), Error> {
        let workload = self.workload;
        for rank in 0..self.ranks.len() as u32 {
            let trace = workload.trace(Rank(rank));
            for &root in trace.roots() {
                self.ranks[rank as usize].make_ready(Slot::of(trace.node(root)), root);
            }
            self.pass(rank)?;
        }
        Ok(())
    }

    /// Completes a node: frees its slot and those that wait for it, and looks for work.
    pub(super) fn complete(&mut self, rank: u32, index: u32) -> Result<(), Error> {
        let node = self.workload.trace(Rank(rank)).node(index);
        self.end_node(rank, index, node);
        self.free_children(rank, index);
        self.make_freed_ready(rank);
        self.pass(rank)
    }

    /// Issues what can be issued, and sees whether the rank has finished.
    fn pass(&mut self, rank: u32) -> Result<(), Error> {
        while let Some(index) = self.ranks[rank as usize].take_ready() {
            let node = self.workload.trace(Rank(rank)).node(index);
            self.begin_node(rank, index, node);
            let issued =
                self.issue(rank, index, node).map_err(|problem| self.node_error(rank, index, problem))?;
            if issued == Issued::Immediate {
                self.end_node(rank, index, node);
                self.free_children(rank, index);
            }
        }
        // What became free during the pass waits for the next one.
        self.make_freed_ready(rank);
        let state = &mut self.ranks[rank as usize];
        if state.is_idle() && !state.finished {
            state.finish(self.now);
            self.finish_order.push(Rank(rank));
        }
        Ok(())
    }

    fn begin_node(&mut self, rank: u32, index: u32, node: &Node) {
        let state = &mut self.ranks[rank as usize];
        state.begin(index, node, self.now);
        if self.watch.is_some() {
            self.tell_node_began(rank, index);
        }
    }

    fn end_node(&mut self, rank: u32, index: u32, node: &Node) {
        let state = &mut self.ranks[rank as usize];
        state.end(node, self.now);
        if self.watch.is_some() {
            self.tell_node_ended(rank, index);
        }
    }

    fn free_children(&mut self, rank: u32, index: u32) {
        let first = self.ranks[rank as usize].first_node;
        for &child in self.workload.trace(Rank(rank)).children(index) {
            let parents = &mut self.unfinished_parents[first + child as usize];
            *parents -= 1;
            if *parents == 0 {
                self.freed_in_pass.push(child);
            }
        }
    }

    fn make_freed_ready(&mut self, rank: u32) {
        let trace = self.workload.trace(Rank(rank));
        for node in self.freed_in_pass.drain(..) {
            self.ranks[rank as usize].make_ready(Slot::of(trace.node(node)), node);
        }
    }

    fn issue(&mut self, rank: u32, index: u32, node: &Node) -> Result<Issued, NodeProblem> {
        if matches!(node.kind, NodeKind::Metadata) {
            return Err(NodeProblem::Metadata);
        }
        if self.system.replay_only {
            return self.replay(rank, index, node);
        }
        match node.kind {
            NodeKind::Compute { work } if self.system.roofline_enabled && !node.cpu => {
                self.roofline(rank, index, work)
            }
            NodeKind::Compute { .. } => self.replay(rank, index, node),
            NodeKind::MemoryLoad(size) | NodeKind::MemoryStore(size) => {
                match self.memories.request(rank, index, size.0)? {
                    Admission::Free(access) => {
                        self.schedule(rank, access.duration, Task::NodeDone { node: access.node });
                    }
                    Admission::Exclusive(access) => self.start_access(access),
                    Admission::Waits => {}
                }
                Ok(Issued::Ongoing)
            }
            NodeKind::Metadata | NodeKind::Invalid => Ok(Issued::Immediate),
            _ if node.cpu => Err(NodeProblem::CommunicationOnCpu),
            NodeKind::Send { to, size, tag } => {
                let key = self.message_key(tag, Rank(rank), to, size.0)?;
                self.send(key, Callback::Node { rank, node: index });
                Ok(Issued::Ongoing)
            }
            NodeKind::Recv { from, size, tag } => {
                let key = self.message_key(tag, from, Rank(rank), size.0)?;
                self.receive(key, Callback::Node { rank, node: index });
                Ok(Issued::Ongoing)
            }
            NodeKind::Collective { collective, size, group, involved } => {
                let group = group
                    .map(|id| self.groups.binary_search_by_key(&id, |known| known.id).map_err(|_| id))
                    .transpose()
                    .map_err(NodeProblem::UnknownGroup)?;
                match collective {
                    CollectiveType::Broadcast => self.schedule_replay(rank, index, node).map(|_| ())?,
                    _ => match self.custom_collective(rank, index, collective, group) {
                        Some(custom) => {
                            self.start_custom(rank, custom, collective, size.0, group, involved)?;
                        }
                        None => self.start_collective(rank, collective, size.0, group, involved)?,
                    },
                }
                Ok(Issued::Ongoing)
            }
        }
    }

    /// Lets the node take its recorded duration, counted as work of the GPU unless the node is on the CPU.
    fn replay(&mut self, rank: u32, index: u32, node: &Node) -> Result<Issued, NodeProblem> {
        let duration = self.schedule_replay(rank, index, node)?;
        if !node.cpu {
            self.count_gpu(rank, duration);
        }
        Ok(Issued::Ongoing)
    }

    fn schedule_replay(&mut self, rank: u32, index: u32, node: &Node) -> Result<u64, NodeProblem> {
        let duration = node.duration.0.checked_mul(1000).ok_or(NodeProblem::Duration)?.max(1);
        self.schedule(rank, duration, Task::NodeDone { node: index });
        Ok(duration)
    }

    /// Lets the node take the time of the roofline model: operations over the lesser of peak performance and
    /// what memory bandwidth allows at the node's intensity.
    fn roofline(&mut self, rank: u32, index: u32, work: Option<Work>) -> Result<Issued, NodeProblem> {
        let work = work.ok_or(NodeProblem::NoWork)?;
        if work.bytes.0 == 0 {
            return Ok(Issued::Immediate);
        }
        let ops = work.ops as f64;
        let intensity = ops / work.bytes.0 as f64;
        let bandwidth_bound = self.system.local_mem_bw.bytes_per_sec() * intensity;
        let performance = bandwidth_bound.min(self.system.peak_perf.flop_per_sec());
        if performance <= 0.0 {
            return Err(NodeProblem::EndlessWork);
        }
        let duration = ((ops / performance) * 1e9) as u64;
        self.schedule(rank, duration, Task::NodeDone { node: index });
        self.count_gpu(rank, duration);
        Ok(Issued::Ongoing)
    }

    fn count_gpu(&mut self, rank: u32, duration: u64) {
        let busy = &mut self.ranks[rank as usize].gpu_busy;
        *busy = busy.wrapping_add(duration);
    }

    /// The completion is scheduled before the release, so that the rank's next access queues behind those
    /// that wait.
    fn start_access(&mut self, access: Access) {
        self.schedule(access.rank, access.duration, Task::NodeDone { node: access.node });
        self.schedule(access.rank, access.duration, Task::MemoryFree);
    }

    pub(super) fn release_memory(&mut self, rank: u32) {
        if let Some(next) = self.memories.release(rank) {
            self.start_access(next);
        }
    }

    pub(super) fn message_key(
        &self,
        tag: u32,
        source: Rank,
        destination: Rank,
        size: u64,
    ) -> Result<ChannelKey, NodeProblem> {
        if size == 0 {
            return Err(NodeProblem::ZeroBytes);
        }
        if tag > i32::MAX as u32 {
            return Err(NodeProblem::Tag(tag));
        }
        if self.system.rendezvous && size > i32::MAX as u64 {
            return Err(NodeProblem::RendezvousSize(size));
        }
        if let Some(rank) = [source, destination].into_iter().find(|rank| rank.0 >= self.npus) {
            return Err(NodeProblem::NoSuchRank(rank));
        }
        let routed = matches!(&self.transport, Transport::Aware(fabric) if fabric.routes_to_itself());
        if source == destination && !routed {
            return Err(NodeProblem::ToItself);
        }
        Ok(ChannelKey { tag: tag % TAG_SPACE, source: source.0, destination: destination.0, size })
    }

    /// An error of a node, with its place.
    fn node_error(&self, rank: u32, index: u32, problem: NodeProblem) -> Error {
        let trace = self.workload.trace(Rank(rank));
        Error::Node(Box::new(NodeError {
            rank: Rank(rank),
            node: trace.id(index),
            name: trace.name(index).to_owned(),
            at: Nanos(self.now),
            problem,
        }))
    }
}
