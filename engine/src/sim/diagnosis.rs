//! Finds out, when no event is left, what each unfinished rank waits for, and which messages found no partner.
//!
//! Works on a simulation and a record of when its nodes began. What brought the stall about is for `cause` to say.

use super::Simulation;
use super::cause;
use super::channel::ChannelKey;
use super::event::Callback;
use super::issue::TAG_SPACE;
use crate::collective::CollectiveType;
use crate::node_record::NodeRecord;
use crate::stall::{Awaited, Blocked, CollectivePlace, Stall, Unmatched, UnmatchedState, Wait};
use crate::trace::NodeKind;
use crate::units::{Bytes, Nanos, Rank};
use crate::workload::GroupId;
use std::collections::{BTreeMap, BTreeSet};

/// Receives that wait, by what waits for them.
struct Waiting {
    /// By rank and node of a receive node.
    nodes: BTreeMap<(u32, u32), ChannelKey>,
    /// One message that a chunk of the rank's collective waits for.
    chunks: BTreeMap<u32, ChannelKey>,
    /// Messages that arrived and are not received, by source and destination.
    unreceived: BTreeMap<(u32, u32), Vec<ChannelKey>>,
    /// The same of sends and receives that have not started, of ranks that somebody waits for.
    not_started: BTreeMap<(u32, u32), Vec<NotStarted>>,
}

/// A send or receive node that has not started.
#[derive(Clone, Copy)]
struct NotStarted {
    node: u64,
    size: u64,
    tag: u32,
    sends: bool,
}

/// The collectives of a group in which a rank has taken part, in order; the last may be under way.
pub(super) type Taken = BTreeMap<Option<GroupId>, Vec<(CollectiveType, Bytes)>>;

impl Simulation<'_> {
    pub(super) fn diagnose(&self, record: &NodeRecord) -> Stall {
        let waiting = self.waiting(record);
        let unfinished = (0..self.ranks.len() as u32).filter(|&rank| !self.ranks[rank as usize].finished);
        let blocked: Vec<Blocked> = unfinished.map(|rank| self.blocked(rank, record, &waiting)).collect();
        let diagnosis = cause::of(self, record, &blocked);
        Stall { at: Nanos(self.now), ranks: self.ranks.len() as u32, blocked, diagnosis }
    }

    fn waiting(&self, record: &NodeRecord) -> Waiting {
        let mut waiting = Waiting {
            nodes: BTreeMap::new(),
            chunks: BTreeMap::new(),
            unreceived: BTreeMap::new(),
            not_started: BTreeMap::new(),
        };
        for (key, callback) in self.channels.waiting() {
            let rank = match callback {
                Callback::Node { rank, node } => {
                    waiting.nodes.insert((rank, node), key);
                    continue;
                }
                Callback::Stream { stream } => Some(self.streams[stream].rank),
                Callback::Custom { operation } => self.custom.rank_of(operation),
                Callback::None | Callback::Handshake { .. } => None,
            };
            if let Some(rank) = rank {
                let first = waiting.chunks.entry(rank).or_insert(key);
                // The chunk made first, then the lowest peer: not the order of the table.
                if (key.tag, key.source, key.size) < (first.tag, first.source, first.size) {
                    *first = key;
                }
            }
        }
        for key in self.channels.unreceived() {
            waiting.unreceived.entry((key.source, key.destination)).or_default().push(key);
        }
        self.find_not_started(record, &mut waiting);
        waiting
    }

    /// Looks for sends to and receives from ranks that wait, at the ranks they wait for.
    fn find_not_started(&self, record: &NodeRecord, waiting: &mut Waiting) {
        let unfinished = |rank: &u32| !self.ranks[*rank as usize].finished;
        for rank in (0..self.ranks.len() as u32).filter(unfinished) {
            let trace = self.workload.trace(Rank(rank));
            for index in 0..trace.len() as u32 {
                let (ends, size, tag, sends) = match trace.node(index).kind {
                    NodeKind::Send { to, size, tag } => ((rank, to.0), size, tag, true),
                    NodeKind::Recv { from, size, tag } => ((from.0, rank), size, tag, false),
                    _ => continue,
                };
                if record.began(Rank(rank), index).is_none() {
                    let found =
                        NotStarted { node: trace.id(index), size: size.0, tag: tag % TAG_SPACE, sends };
                    waiting.not_started.entry(ends).or_default().push(found);
                }
            }
        }
    }

    fn blocked(&self, rank: u32, record: &NodeRecord, waiting: &Waiting) -> Blocked {
        let state = &self.ranks[rank as usize];
        let trace = self.workload.trace(Rank(rank));
        let receive = waiting.nodes.range((rank, 0)..=(rank, u32::MAX)).next();
        let holder = state.lowest_holder();
        let (index, waits_for) = match (receive, holder) {
            (Some((&(_, node), key)), holder) if holder.is_none_or(|holder| node < holder) => {
                (node, Wait::Message(awaited(key)))
            }
            (_, Some(holder)) => (holder, self.wait_of(rank, holder, record, waiting)),
            _ => match state.lowest_ready() {
                Some(node) => (node, Wait::Trigger),
                None => (self.lowest_unstarted(rank), Wait::Dependency),
            },
        };
        let nearest = waiting.nearest(rank, &waits_for);
        Blocked {
            rank: Rank(rank),
            node: trace.id(index),
            name: trace.name(index).to_owned(),
            waits_for,
            nearest,
        }
    }

    /// What a node waits for that holds a slot.
    fn wait_of(&self, rank: u32, node: u32, record: &NodeRecord, waiting: &Waiting) -> Wait {
        match self.workload.trace(Rank(rank)).node(node).kind {
            NodeKind::Send { to, size, tag } => Wait::Delivery { to, size, tag: tag % TAG_SPACE },
            NodeKind::Collective { collective, size, group, .. } => Wait::Collective {
                place: CollectivePlace {
                    collective,
                    size,
                    group,
                    position: self.taken(rank, record).get(&group).map_or(0, Vec::len) as u32,
                },
                member: self.member(rank, group),
                chunks_left: self.ranks[rank as usize].chunks_left,
                message: waiting.chunks.get(&rank).map(awaited),
            },
            _ => Wait::Dependency,
        }
    }

    fn member(&self, rank: u32, group: Option<GroupId>) -> u32 {
        let group = group.and_then(|id| self.groups.iter().find(|group| group.id == id));
        group.map_or(Some(rank), |group| group.position(rank)).unwrap_or(rank)
    }

    /// The collectives that a rank has begun, by group and in order.
    pub(super) fn taken(&self, rank: u32, record: &NodeRecord) -> Taken {
        let trace = self.workload.trace(Rank(rank));
        let mut begun: Vec<(Nanos, u32)> = (0..trace.len() as u32)
            .filter(|&index| matches!(trace.node(index).kind, NodeKind::Collective { .. }))
            .filter_map(|index| Some((record.began(Rank(rank), index)?, index)))
            .collect();
        begun.sort_unstable();
        let mut taken = Taken::new();
        for (_, index) in begun {
            if let NodeKind::Collective { collective, size, group, .. } = trace.node(index).kind
                && collective != CollectiveType::Broadcast
            {
                taken.entry(group).or_default().push((collective, size));
            }
        }
        taken
    }

    fn lowest_unstarted(&self, rank: u32) -> u32 {
        let first = self.ranks[rank as usize].first_node;
        let nodes = self.workload.trace(Rank(rank)).len();
        let parents = &self.unfinished_parents[first..first + nodes];
        parents.iter().position(|&parents| parents > 0).unwrap_or(0) as u32
    }

    /// The ranks of a group.
    pub(super) fn members(&self, group: Option<GroupId>) -> BTreeSet<u32> {
        match group.and_then(|id| self.groups.iter().find(|group| group.id == id)) {
            Some(group) => group.members.iter().map(|member| member.0).collect(),
            None => (0..self.ranks.len() as u32).collect(),
        }
    }
}

impl Waiting {
    /// The message that is most like the one a rank waits for: of the same tag, else of the same size, else any;
    /// one that has arrived before one that has not started.
    fn nearest(&self, rank: u32, wait: &Wait) -> Option<Unmatched> {
        let (ends, peer, size, tag, receives) = match *wait {
            Wait::Message(Awaited { from, size, tag })
            | Wait::Collective { message: Some(Awaited { from, size, tag }), .. } => {
                ((from.0, rank), from, size, tag, false)
            }
            Wait::Delivery { to, size, tag } => ((rank, to.0), to, size, tag, true),
            _ => return None,
        };
        let arrived = self.unreceived.get(&ends).into_iter().flatten().filter(|_| !receives);
        let arrived = arrived.map(|key| Unmatched {
            rank: peer,
            size: Bytes(key.size),
            tag: key.tag,
            state: UnmatchedState::Arrived,
        });
        let not_started = self.not_started.get(&ends).into_iter().flatten();
        let not_started = not_started.filter(|node| node.sends != receives).map(|node| Unmatched {
            rank: peer,
            size: Bytes(node.size),
            tag: node.tag,
            state: UnmatchedState::NotStarted { node: node.node },
        });
        // A chunk's tag is not that of a node, however much the sizes agree.
        let same_kind = |found: &Unmatched| (found.tag < TAG_SPACE) == (tag < TAG_SPACE);
        arrived.chain(not_started).filter(same_kind).min_by_key(|found| {
            let distance = (found.tag != tag, found.size != size);
            (distance, found.state != UnmatchedState::Arrived, found.tag, found.size)
        })
    }
}

const fn awaited(key: &ChannelKey) -> Awaited {
    Awaited { from: Rank(key.source), size: Bytes(key.size), tag: key.tag }
}
