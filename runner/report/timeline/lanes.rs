//! Where intervals are shown, so that no two on one thread overlap: viewers stack those that do.

use std::collections::BTreeMap;

use astra_engine::{Nanos, Node, NodeKind, Rank};

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

    /// Its place among the threads of a rank, below [`THREADS_OF_RANK`]; `None` for one of more than anybody looks at.
    const fn place(self) -> Option<u32> {
        match self {
            Self::Compute => Some(0),
            Self::Cpu => Some(1),
            Self::Communication => Some(2),
            Self::Memory => Some(3),
            Self::Chunks(dimension, lane) if dimension < 8 && lane < 16 => Some(4 + 16 * dimension + lane),
            Self::Receives(lane) if lane < 124 => Some(132 + lane),
            Self::Chunks(..) | Self::Receives(_) => None,
        }
    }
}

/// Thread ids that each rank has for itself: viewers sort by them.
const THREADS_OF_RANK: u32 = 256;

/// Where thread ids begin that ranks take when they need more than [`THREADS_OF_RANK`].
const FURTHER_THREADS: u32 = 1 << 30;

/// Hands out process and thread ids. They do not depend on what is shown, but for threads that nobody looks at.
#[derive(Debug)]
pub(super) struct Ids {
    ranks: u32,
    further_threads: u32,
}

impl Ids {
    pub(super) const fn new(ranks: u32) -> Self {
        Self { ranks, further_threads: FURTHER_THREADS }
    }

    /// The track of a link with a number, in a process for its dimension.
    pub(super) const fn link(&self, dimension: u32, id: u32) -> Track {
        let first = self.ranks.saturating_add(1).saturating_mul(THREADS_OF_RANK);
        Track { process: self.ranks.saturating_add(dimension), thread: Some(first.saturating_add(id)) }
    }

    fn further_thread(&mut self) -> u32 {
        self.further_threads = self.further_threads.saturating_add(1);
        self.further_threads
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

    /// The track of a lane of a rank, and whether it is used for the first time.
    pub(super) fn track(&mut self, rank: Rank, lane: Lane, ids: &mut Ids) -> (Track, bool) {
        let mut new = false;
        let thread = *self.threads.entry(lane).or_insert_with(|| {
            new = true;
            let of_rank = |place| (rank.0 + 1).saturating_mul(THREADS_OF_RANK).saturating_add(place);
            lane.place().map_or_else(|| ids.further_thread(), of_rank)
        });
        (Track { process: rank.0, thread: Some(thread) }, new)
    }
}
