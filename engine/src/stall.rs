//! Why a simulation came to rest before every rank had finished.

use crate::collective::CollectiveType;
use crate::cycle::write_cycle;
use crate::units::{Bytes, Nanos, Rank};
use crate::workload::GroupId;
use std::fmt;

/// Ranks shown by the message, with two lines each at most; the rest are counted. Twenty lines in all.
const SHOWN: usize = 8;

/// No event was left although ranks had not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The clock when the last event had run.
    pub at: Nanos,
    /// Number of ranks in the simulation.
    pub ranks: u32,
    /// Every rank that did not finish, ascending.
    pub blocked: Vec<Blocked>,
    /// What brought it about.
    pub diagnosis: Diagnosis,
}

/// The first node, by id, that keeps a rank from finishing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The rank.
    pub rank: Rank,
    /// Id of the node.
    pub node: u64,
    /// Name of the node.
    pub name: String,
    /// What it waits for.
    pub waits_for: Wait,
    /// Of the messages between the same two ranks that found no partner the one most like the one waited for.
    pub nearest: Option<Unmatched>,
}

/// What a blocked node waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A message that never arrived.
    Message(Awaited),
    /// A message of its own to be received: the rendezvous protocol asks the receiver first.
    Delivery {
        /// Rank that does not receive.
        to: Rank,
        /// Size of the message.
        size: Bytes,
        /// Its tag.
        tag: u32,
    },
    /// Other ranks' part of a collective.
    Collective {
        /// Which collective.
        place: CollectivePlace,
        /// The rank's index among the members.
        member: u32,
        /// Chunks of the collective that are not complete.
        chunks_left: u32,
        /// A message that a chunk waits for, if one does.
        message: Option<Awaited>,
    },
    /// Nothing: it may start, but only the completion of another node makes a rank look for work, and the
    /// node before it finished without taking time.
    Trigger,
    /// A node that is itself blocked.
    Dependency,
}

/// A message that a rank waits for. Tags from 500,000,000 are those of chunks of collectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Rank it must come from.
    pub from: Rank,
    /// Its size.
    pub size: Bytes,
    /// Its tag.
    pub tag: u32,
}

/// A collective of a group and its place in the order in which a rank takes part in the group's collectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CollectivePlace {
    /// Which collective.
    pub collective: CollectiveType,
    /// Its size.
    pub size: Bytes,
    /// The group; `None` is all ranks.
    pub group: Option<GroupId>,
    /// The how-manieth of the group on the rank, from 1.
    pub position: u32,
}

/// A message without a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// The rank at the other end.
    pub rank: Rank,
    /// Its size.
    pub size: Bytes,
    /// Its tag.
    pub tag: u32,
    /// How far it came.
    pub state: UnmatchedState,
}

/// How far a message without a partner came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnmatchedState {
    /// It has arrived and nobody receives it.
    Arrived,
    /// The node that would send or receive it has not started.
    NotStarted {
        /// Id of the node.
        node: u64,
    },
}

/// What brought a stall about: one cause, the most certain that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Diagnosis {
    /// A message came, of another size than is waited for.
    SizeMismatch {
        /// The rank that waits.
        rank: Rank,
        /// What it waits for.
        awaited: Awaited,
        /// The size that came.
        found: Bytes,
    },
    /// A message came, with another tag than is waited for.
    TagMismatch {
        /// The rank that waits.
        rank: Rank,
        /// What it waits for.
        awaited: Awaited,
        /// The tag that came.
        found: u32,
    },
    /// Two ranks take part in different collectives at one place of their group's order.
    CollectivesDiffer {
        /// The ranks, and what each takes part in.
        ranks: [(Rank, CollectivePlace); 2],
        /// Whether they take part in the same collectives, in another order.
        reordered: bool,
    },
    /// A member never takes part in a collective.
    RankMissing {
        /// The member.
        rank: Rank,
        /// A rank that waits in the collective.
        waiting: Rank,
        /// The collective.
        place: CollectivePlace,
    },
    /// Two ranks number the chunks of a collective over all ranks differently: chunks of groups count too, and one
    /// has taken part in more of them.
    ChunkNumbers {
        /// The ranks, and how many chunks each has made.
        ranks: [(Rank, u32); 2],
        /// The collective.
        place: CollectivePlace,
    },
    /// A node may start, but nothing makes its rank look for work.
    NoTrigger {
        /// The rank.
        rank: Rank,
        /// Id of the node.
        node: u64,
    },
    /// The partner of a message has no matching node that it could still reach.
    NoPartner {
        /// The rank that waits.
        rank: Rank,
        /// The rank that does not send, or does not receive.
        partner: Rank,
        /// Whether the partner would have to receive.
        receives: bool,
    },
    /// Ranks that wait for each other, the first again at the end.
    Cycle(Vec<Rank>),
    /// All members are in the collective, but their queues hold its chunks in different orders.
    QueueOrder {
        /// The rank that was looked at.
        rank: Rank,
        /// The collective.
        place: CollectivePlace,
        /// Queues per dimension.
        queues: u32,
    },
    /// None of these.
    Unknown,
}

impl Stall {
    /// The explanation with every blocked rank, however many there are.
    pub const fn in_full(&self) -> impl fmt::Display {
        InFull(self)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, shown: usize) -> fmt::Result {
        write!(
            f,
            "the simulation stalled at {}: {} of {} rank(s) never finished\n  {}",
            self.at,
            self.blocked.len(),
            self.ranks,
            self.diagnosis
        )?;
        for blocked in self.blocked.iter().take(shown) {
            write!(f, "\n  {blocked}")?;
        }
        if self.blocked.len() > shown {
            write!(f, "\n  and {} more", self.blocked.len() - shown)?;
        }
        Ok(())
    }
}

struct InFull<'a>(&'a Stall);

impl fmt::Display for InFull<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, usize::MAX)
    }
}

impl fmt::Display for Stall {
    /// At most twenty lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, SHOWN)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_debug();
        write!(f, "rank {}: node {} `{name}` waits for {}", self.rank, self.node, self.waits_for)?;
        self.nearest.map_or(Ok(()), |nearest| write!(f, "\n    nearest without a partner: {nearest}"))
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => message.fmt(f),
            Self::Delivery { to, size, tag } => {
                write!(f, "rank {to} to receive its message ({size}, tag {tag})")
            }
            Self::Collective { place, member, chunks_left, message } => {
                write!(f, "{chunks_left} chunk(s) of {place}, as member {member}")?;
                message.map_or(Ok(()), |message| write!(f, ", next for {message}"))
            }
            Self::Trigger => f.write_str(
                "another node of the rank to complete, and there is none: the nodes before it took no time",
            ),
            Self::Dependency => f.write_str("a node that is blocked itself"),
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message from rank {} ({}, tag {})", self.from, self.size, self.tag)
    }
}

impl fmt::Display for CollectivePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { collective, size, group, position } = self;
        write!(f, "{collective} of {size}, collective {position} ")?;
        match group {
            Some(group) => write!(f, "of communicator group {group}"),
            None => f.write_str("of all ranks"),
        }
    }
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, size, tag, state } = self;
        match state {
            UnmatchedState::Arrived => {
                write!(f, "a message from rank {rank} ({size}, tag {tag}), which has arrived")
            }
            UnmatchedState::NotStarted { node } => {
                write!(f, "node {node} of rank {rank} ({size}, tag {tag}), which has not started")
            }
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SizeMismatch { rank, awaited: Awaited { from, size, tag }, found } => write!(
                f,
                "size mismatch: rank {rank} waits for {size} from rank {from} with tag {tag}, rank {from} sent {found}"
            ),
            Self::TagMismatch { rank, awaited: Awaited { from, size, tag }, found } => write!(
                f,
                "tag mismatch: rank {rank} waits for {size} from rank {from} with tag {tag}, rank {from} sent them \
                 with tag {found}"
            ),
            Self::CollectivesDiffer { ranks: [(one, first), (other, second)], reordered: true } => write!(
                f,
                "order differs between ranks {one} and {other}: rank {one} is at {first}, rank {other} at {second}"
            ),
            Self::CollectivesDiffer { ranks: [(one, first), (other, second)], reordered: false } => write!(
                f,
                "collectives differ between ranks {one} and {other}: rank {one} is at {first}, rank {other} at {second}"
            ),
            Self::RankMissing { rank, waiting, place } => {
                write!(
                    f,
                    "rank {rank} is missing: rank {waiting} waits in {place}, in which it never takes part"
                )
            }
            Self::ChunkNumbers { ranks: [(one, first), (other, second)], place } => write!(
                f,
                "chunk numbers differ between ranks {one} and {other} in {place}: every rank numbers its chunks, \
                 those of groups included, and has made {first} and {second}; give all ranks as many before it, or \
                 run it in a group of all ranks"
            ),
            Self::NoTrigger { rank, node } => write!(
                f,
                "rank {rank} never looks for work again: nodes that take no time end without making node {node} start"
            ),
            Self::NoPartner { rank, partner, receives: false } => {
                write!(f, "rank {partner} is missing: it has nothing left to send that rank {rank} waits for")
            }
            Self::NoPartner { rank, partner, receives: true } => {
                write!(f, "rank {partner} is missing: it has nothing left to receive that rank {rank} sends")
            }
            Self::Cycle(ranks) => {
                f.write_str("cycle: ranks wait for each other: ")?;
                write_cycle(f, ranks, " → ")
            }
            Self::QueueOrder { rank, place, queues: 1 } => write!(
                f,
                "chunks wait for each other in {place}: rank {rank} and its peers hold different ones in a queue that \
                 two phases share; use --num-queues-per-dim 2 (in a recipe engine.queues_per_dimension)"
            ),
            Self::QueueOrder { rank, place, queues } => write!(
                f,
                "chunks wait for each other in {place}: rank {rank} and its peers have dealt them to different ones of \
                 {queues} queues; use --num-queues-per-dim 1 (in a recipe engine.queues_per_dimension)"
            ),
            Self::Unknown => f.write_str("no single cause was found; the first blocked nodes are these"),
        }
    }
}
