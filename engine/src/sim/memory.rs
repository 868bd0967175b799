//! Remote memories: how long an access takes, and who has to wait for whom.

use crate::error::NodeProblem;
use crate::system::{MemoryTiming, RemoteMemory};
use std::collections::VecDeque;

/// An access that is under way or waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) rank: u32,
    pub(super) node: u32,
    /// Time the access takes once it has started, in nanoseconds.
    pub(super) duration: u64,
}

/// What becomes of an access that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It starts and nobody waits for it.
    Free(Access),
    /// It starts and holds its memory.
    Exclusive(Access),
    /// It waits; the memory's release will start it.
    Waits,
}

/// All remote memories.
pub(super) struct Memories {
    kind: RemoteMemory,
    exclusive: Vec<Memory>,
}

#[derive(Clone, Default)]
struct Memory {
    busy: bool,
    waiting: VecDeque<Access>,
}

impl Memories {
    pub(super) const fn new(kind: RemoteMemory) -> Self {
        Self { kind, exclusive: Vec::new() }
    }

    /// Asks for an access of `size` bytes.
    pub(super) fn request(&mut self, rank: u32, node: u32, size: u64) -> Result<Admission, NodeProblem> {
        let access = |timing| Ok(Access { rank, node, duration: duration(timing, size)? });
        let (timing, memories) = match self.kind {
            RemoteMemory::None => return Err(NodeProblem::NoRemoteMemory),
            RemoteMemory::PerNpu(timing) => return Ok(Admission::Free(access(timing)?)),
            RemoteMemory::PerNode { timing, nodes, .. } => (timing, nodes),
            RemoteMemory::Pool(timing) => (timing, 1),
        };
        let access = access(timing)?;
        let memory = self.memory_of(rank);
        if memory >= memories {
            return Err(NodeProblem::MemoryNumber { memory, memories });
        }
        let index = memory as usize;
        if index >= self.exclusive.len() {
            self.exclusive.resize_with(index + 1, Memory::default);
        }
        let state = &mut self.exclusive[index];
        if state.busy {
            state.waiting.push_back(access);
            return Ok(Admission::Waits);
        }
        state.busy = true;
        Ok(Admission::Exclusive(access))
    }

    /// The access of a rank is over; gives the one that starts now.
    pub(super) fn release(&mut self, rank: u32) -> Option<Access> {
        let memory = self.memory_of(rank) as usize;
        let state = &mut self.exclusive[memory];
        let next = state.waiting.pop_front();
        state.busy = next.is_some();
        next
    }

    const fn memory_of(&self, rank: u32) -> u32 {
        match self.kind {
            RemoteMemory::PerNode { npus_per_node, .. } => rank / npus_per_node,
            _ => 0,
        }
    }
}

/// Latency, then size over bandwidth, truncated to whole nanoseconds.
fn duration(timing: MemoryTiming, size: u64) -> Result<u64, NodeProblem> {
    if timing.bytes_per_ns == 0 {
        return Err(NodeProblem::MemoryBandwidth);
    }
    let transfer = (size as f64 / f64::from(timing.bytes_per_ns)) as u64;
    Ok(timing.latency.0.saturating_add(transfer))
}
