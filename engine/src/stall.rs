//! Why a simulation came to rest before every rank had finished.

use crate::units::{Bytes, Nanos, Rank};
use std::fmt;

/// Ranks shown in full by the message; the rest are counted.
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
}

/// What a blocked node waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A message that never arrived.
    Message {
        /// Rank it must come from.
        from: Rank,
        /// Its size.
        size: Bytes,
        /// Its tag.
        tag: u32,
    },
    /// A message of its own to be received: the rendezvous protocol asks the receiver first.
    Delivery {
        /// Rank that does not receive.
        to: Rank,
        /// Size of the message.
        size: Bytes,
    },
    /// Other ranks' part of a collective.
    Collective {
        /// Chunks of the collective that are not complete.
        chunks_left: u32,
        /// A rank from which a chunk waits for a message, if one does.
        from: Option<Rank>,
    },
    /// Nothing: it may start, but only the completion of another node makes a rank look for work, and the
    /// node before it finished without taking time.
    Trigger,
    /// A node that is itself blocked.
    Dependency,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the simulation stalled at {}: {} of {} rank(s) never finished",
            self.at,
            self.blocked.len(),
            self.ranks
        )?;
        for blocked in self.blocked.iter().take(SHOWN) {
            write!(f, "\n  {blocked}")?;
        }
        if self.blocked.len() > SHOWN {
            write!(f, "\n  and {} more", self.blocked.len() - SHOWN)?;
        }
        Ok(())
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {}: node {} `{}` waits for ", self.rank, self.node, self.name)?;
        match self.waits_for {
            Wait::Message { from, size, tag } => write!(f, "a message from rank {from} ({size}, tag {tag})"),
            Wait::Delivery { to, size } => write!(f, "rank {to} to receive its message of {size}"),
            Wait::Collective { chunks_left, from } => {
                write!(f, "{chunks_left} chunk(s) of its collective")?;
                from.map_or(Ok(()), |from| write!(f, ", next for a message from rank {from}"))
            }
            Wait::Trigger => f.write_str(
                "another node of the rank to complete, and there is none: the nodes before it took no time",
            ),
            Wait::Dependency => f.write_str("a node that is blocked itself"),
        }
    }
}
