//! Where intervals are shown, so that no two on one thread overlap: viewers stack those that do.

use std::collections::BTreeMap;

use astra_engine::{Nanos, Node, NodeKind};

use super::event::Track;

/// What a thread of a rank's process shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Compute,
    Cpu,
    Communication,
    Memory,
    /// Any number of receives wait at a time: lanes from 0 on.
    Receives(u32),
    /// Chunks of collectives in a dimension, of which several can be under way: lanes from 0 on.
    Chunks(u32, u32),
}

/// What is shown together, apart from what cannot overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LaneGroup {
    Of(Lane),
    Receives,
    Chunks(u32),
}

impl LaneGroup {
    /// Where a node is shown. What holds a slot has a lane to itself.
    pub(super) const fn of(node: &Node) -> Self {
        match node.kind {
            _ if node.cpu => Self::Of(Lane::Cpu),
            NodeKind::Compute { .. } => Self::Of(Lane::Compute),
            NodeKind::Recv { .. } => Self::Receives,
            NodeKind::MemoryLoad(_) | NodeKind::MemoryStore(_) => Self::Of(Lane::Memory),
            NodeKind::Collective { .. } | NodeKind::Send { .. } | NodeKind::Metadata | NodeKind::Invalid => {
                Self::Of(Lane::Communication)
            }
        }
    }
}

impl Lane {
    /// The name of the thread.
    pub(super) fn name(self) -> String {
        match self {
            Self::Compute => "compute".to_owned(),
            Self::Cpu => "CPU".to_owned(),
            Self::Communication => "communication".to_owned(),
            Self::Memory => "remote memory".to_owned(),
            Self::Receives(0) => "receives".to_owned(),
            Self::Receives(lane) => format!("receives {}", lane + 1),
            Self::Chunks(dimension, 0) => format!("chunks in dimension {dimension}"),
            Self::Chunks(dimension, lane) => format!("chunks in dimension {dimension}, {}", lane + 1),
        }
    }

    /// Its place among the threads of a rank.
    pub(super) const fn place(self) -> u32 {
        match self {
            Self::Compute => 0,
            Self::Cpu => 1,
            Self::Communication => 2,
            Self::Memory => 3,
            Self::Chunks(dimension, lane) => 1_000 * (1 + dimension) + lane,
            Self::Receives(lane) => 1_000_000 + lane,
        }
    }
}

/// The lanes of one rank.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// By dimension, `None` for receives: when what was shown last on each lane ended.
    ended: BTreeMap<LaneGroup, Vec<Nanos>>,
    threads: BTreeMap<Lane, u32>,
}

impl Lanes {
    /// The lane for an interval. Intervals come in the order in which they end, so that one fits behind everything on a
    /// lane whose last ended before it starts.
    pub(super) fn lane(&mut self, group: LaneGroup, start: Nanos, end: Nanos) -> Lane {
        if let LaneGroup::Of(lane) = group {
            return lane;
        }
        let ended = self.ended.entry(group).or_default();
        let free = ended.iter().position(|&ended| ended <= start).unwrap_or(ended.len());
        match ended.get_mut(free) {
            Some(ended) => *ended = end,
            None => ended.push(end),
        }
        match group {
            LaneGroup::Chunks(dimension) => Lane::Chunks(dimension, free as u32),
            LaneGroup::Of(_) | LaneGroup::Receives => Lane::Receives(free as u32),
        }
    }

    /// The track of a lane, and whether it is new: then it takes the next thread id.
    pub(super) fn track(&mut self, process: u32, lane: Lane, next_thread: &mut u32) -> (Track, bool) {
        let mut new = false;
        let thread = *self.threads.entry(lane).or_insert_with(|| {
            new = true;
            *next_thread += 1;
            *next_thread
        });
        (Track { process, thread: Some(thread) }, new)
    }
}
