//! Finds out, when no event is left, what each unfinished rank waits for.

use super::Simulation;
use super::channel::ChannelKey;
use super::event::Callback;
use crate::stall::{Blocked, Stall, Wait};
use crate::trace::NodeKind;
use crate::units::{Bytes, Nanos, Rank};
use std::collections::BTreeMap;

/// Receives that wait, by what waits for them.
struct Waiting {
    /// By rank and node of a receive node.
    nodes: BTreeMap<(u32, u32), ChannelKey>,
    /// One message that a chunk of the rank's collective waits for.
    chunks: BTreeMap<u32, ChannelKey>,
}

impl Simulation<'_> {
    pub(super) fn diagnose(&self) -> Stall {
        let waiting = self.waiting();
        let unfinished = (0..self.ranks.len() as u32).filter(|&rank| !self.ranks[rank as usize].finished);
        Stall {
            at: Nanos(self.now),
            ranks: self.ranks.len() as u32,
            blocked: unfinished.map(|rank| self.blocked(rank, &waiting)).collect(),
        }
    }

    fn waiting(&self) -> Waiting {
        let mut waiting = Waiting { nodes: BTreeMap::new(), chunks: BTreeMap::new() };
        for (key, callback) in self.channels.waiting() {
            match callback {
                Callback::Node { rank, node } => {
                    waiting.nodes.insert((rank, node), key);
                }
                Callback::Stream { stream } => {
                    let first = waiting.chunks.entry(self.streams[stream].rank).or_insert(key);
                    // The chunk made first, then the lowest peer: not the order of the table.
                    if (key.tag, key.source) < (first.tag, first.source) {
                        *first = key;
                    }
                }
                Callback::None | Callback::Handshake { .. } | Callback::Custom { .. } => {}
            }
        }
        waiting
    }

    fn blocked(&self, rank: u32, waiting: &Waiting) -> Blocked {
        let state = &self.ranks[rank as usize];
        let trace = self.workload.trace(Rank(rank));
        let receive = waiting.nodes.range((rank, 0)..=(rank, u32::MAX)).next();
        let holder = state.lowest_holder();
        let (index, waits_for) = match (receive, holder) {
            (Some((&(_, node), key)), holder) if holder.is_none_or(|holder| node < holder) => {
                (node, message(key))
            }
            (_, Some(holder)) => (holder, self.wait_of(rank, holder, waiting)),
            _ => match state.lowest_ready() {
                Some(node) => (node, Wait::Trigger),
                None => (self.lowest_unstarted(rank), Wait::Dependency),
            },
        };
        Blocked { rank: Rank(rank), node: trace.id(index), name: trace.name(index).to_owned(), waits_for }
    }

    /// What a node waits for that holds a slot.
    fn wait_of(&self, rank: u32, node: u32, waiting: &Waiting) -> Wait {
        match self.workload.trace(Rank(rank)).node(node).kind {
            NodeKind::Send { to, size, .. } => Wait::Delivery { to, size },
            NodeKind::Collective { .. } => Wait::Collective {
                chunks_left: self.ranks[rank as usize].chunks_left,
                from: waiting.chunks.get(&rank).map(|key| Rank(key.source)),
            },
            _ => Wait::Dependency,
        }
    }

    fn lowest_unstarted(&self, rank: u32) -> u32 {
        let first = self.ranks[rank as usize].first_node;
        let nodes = self.workload.trace(Rank(rank)).len();
        let parents = &self.unfinished_parents[first..first + nodes];
        parents.iter().position(|&parents| parents > 0).unwrap_or(0) as u32
    }
}

const fn message(key: &ChannelKey) -> Wait {
    Wait::Message { from: Rank(key.source), size: Bytes(key.size), tag: key.tag }
}
