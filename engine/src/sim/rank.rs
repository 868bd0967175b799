//! The state of one rank: what is ready, what is under way, and the figures for the report.

use super::slab::NONE;
use crate::report::RankReport;
use crate::trace::{Node, NodeKind};
use crate::units::Nanos;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a node needs to be issued. All but receives hold one slot of their class until they complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Cpu,
    Compute,
    Communication,
    /// Receives need nothing.
    Free,
}

impl Slot {
    pub(super) const ALL: [Self; 4] = [Self::Cpu, Self::Compute, Self::Communication, Self::Free];

    pub(super) const fn of(node: &Node) -> Self {
        match node.kind {
            _ if node.cpu => Self::Cpu,
            NodeKind::Compute { .. } => Self::Compute,
            NodeKind::Recv { .. } => Self::Free,
            _ => Self::Communication,
        }
    }
}

/// Figures are kept for each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    Gpu,
    Cpu,
    Comm,
    Memory,
    Nothing,
}

impl Activity {
    const COUNT: usize = 5;

    const fn of(node: &Node) -> Self {
        match node.kind {
            NodeKind::Compute { .. } if node.cpu => Self::Cpu,
            NodeKind::Compute { .. } => Self::Gpu,
            NodeKind::Collective { .. } | NodeKind::Send { .. } | NodeKind::Recv { .. } => Self::Comm,
            NodeKind::MemoryLoad(_) | NodeKind::MemoryStore(_) => Self::Memory,
            NodeKind::Metadata | NodeKind::Invalid => Self::Nothing,
        }
    }
}

/// The length of the union of intervals that are given in order of time.
#[derive(Clone, Copy, Default)]
struct Union {
    seen: bool,
    open: u32,
    since: u64,
    length: u64,
}

impl Union {
    const fn begin(&mut self, now: u64) {
        if self.open == 0 {
            self.since = now;
        }
        self.open += 1;
        self.seen = true;
    }

    const fn end(&mut self, now: u64) {
        self.open -= 1;
        if self.open == 0 {
            self.length += now - self.since;
        }
    }

    fn total(&self) -> Option<Nanos> {
        self.seen.then_some(Nanos(self.length))
    }
}

/// One rank.
pub(super) struct RankState {
    /// Where its nodes begin in the table of unfinished parents.
    pub(super) first_node: usize,
    /// Nodes that may be issued, lowest first, by slot.
    ready: [BinaryHeap<Reverse<u32>>; Slot::ALL.len()],
    /// The node that holds each slot; unused for [`Slot::Free`].
    holder: [u32; Slot::ALL.len()],
    /// Nodes issued and not complete.
    ongoing: u32,
    pub(super) finished: bool,
    finish: u64,
    /// Chunks of all collectives so far, those of groups too.
    pub(super) chunks: u32,
    /// Chunks of the collective under way that are not complete.
    pub(super) chunks_left: u32,
    /// Sum of the durations of GPU nodes that took a known time.
    pub(super) gpu_busy: u64,
    activities: [Union; Activity::COUNT],
}

impl RankState {
    pub(super) fn new(first_node: usize) -> Self {
        Self {
            first_node,
            ready: Default::default(),
            holder: [NONE; Slot::ALL.len()],
            ongoing: 0,
            finished: false,
            finish: 0,
            chunks: 0,
            chunks_left: 0,
            gpu_busy: 0,
            activities: [Union::default(); Activity::COUNT],
        }
    }

    pub(super) fn make_ready(&mut self, slot: Slot, node: u32) {
        self.ready[slot as usize].push(Reverse(node));
    }

    /// Takes the lowest ready node whose slot is not held.
    pub(super) fn take_ready(&mut self) -> Option<u32> {
        let open = Slot::ALL.into_iter().filter(|&slot| self.holder[slot as usize] == NONE);
        let first = |slot: Slot| self.ready[slot as usize].peek().map(|&Reverse(node)| (node, slot));
        let (_, slot) = open.filter_map(first).min_by_key(|&(node, _)| node)?;
        self.ready[slot as usize].pop().map(|Reverse(node)| node)
    }

    /// A node begins.
    pub(super) fn begin(&mut self, index: u32, node: &Node, now: u64) {
        let slot = Slot::of(node);
        if slot != Slot::Free {
            self.holder[slot as usize] = index;
        }
        self.ongoing += 1;
        self.activities[Activity::of(node) as usize].begin(now);
    }

    /// A node is complete.
    pub(super) fn end(&mut self, node: &Node, now: u64) {
        self.holder[Slot::of(node) as usize] = NONE;
        self.ongoing -= 1;
        self.activities[Activity::of(node) as usize].end(now);
    }

    /// Whether nothing is ready and nothing under way.
    pub(super) fn is_idle(&self) -> bool {
        self.ongoing == 0 && self.ready.iter().all(BinaryHeap::is_empty)
    }

    pub(super) const fn finish(&mut self, now: u64) {
        self.finished = true;
        self.finish = now;
    }

    /// The node that holds the communication slot.
    pub(super) fn communicating(&self) -> Option<u32> {
        Some(self.holder[Slot::Communication as usize]).filter(|&node| node != NONE)
    }

    /// The node with the lowest index that holds a slot, if any does.
    pub(super) fn lowest_holder(&self) -> Option<u32> {
        self.holder.into_iter().filter(|&node| node != NONE).min()
    }

    /// The lowest node that could be issued.
    pub(super) fn lowest_ready(&self) -> Option<u32> {
        self.ready.iter().filter_map(|heap| heap.peek()).map(|&Reverse(node)| node).min()
    }

    pub(super) fn report(&self) -> RankReport {
        let of = |activity: Activity| self.activities[activity as usize].total();
        let (gpu, comm) = (of(Activity::Gpu), of(Activity::Comm));
        RankReport {
            finish: Nanos(self.finish),
            exposed: Nanos(self.finish.wrapping_sub(self.gpu_busy)),
            gpu,
            cpu: of(Activity::Cpu),
            comm,
            memory: of(Activity::Memory),
            overlap: gpu
                .zip(comm)
                .map(|(gpu, comm)| Nanos(gpu.0.wrapping_add(comm.0).wrapping_sub(self.finish))),
        }
    }
}
