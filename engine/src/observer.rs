//! Following a simulation while it runs: what an observer is told, as plain values.
//!
//! Nothing is kept for an observer but what it has not been told yet, so that a run of any length can be followed in
//! constant memory. To observe changes no result. Depends on the inputs' types; knows nothing of how they are
//! simulated.

use crate::collective::{Algorithm, CollectiveType};
use crate::trace::Node;
use crate::units::{Bytes, Nanos, Rank};
use std::fmt;

/// A node of a rank's trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeOf<'a> {
    /// The rank.
    pub rank: Rank,
    /// Index in the rank's trace.
    pub index: u32,
    /// Id in the rank's trace.
    pub id: u64,
    /// Name in the rank's trace.
    pub name: &'a str,
    /// What it does.
    pub node: &'a Node,
}

/// A message from its sending to its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub source: Rank,
    /// Who received it.
    pub destination: Rank,
    /// Size.
    pub size: Bytes,
    /// Tag: those of send and receive nodes are below 500,000,000, those of collectives below 1,000,000,000, those of
    /// handshakes above.
    pub tag: u32,
    /// When it was handed to the network.
    pub sent: Nanos,
    /// When it was at its destination.
    pub arrived: Nanos,
    /// When its receiver had it: when it arrived, or later when it was asked for.
    pub received: Nanos,
    /// Index of the node of `source` that sent it, a send or a collective; `None` for a handshake.
    pub sender: Option<u32>,
    /// Index of the node of `destination` that received it; `None` for a handshake.
    pub receiver: Option<u32>,
}

/// A phase of a chunk of a collective on one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkPhase {
    /// The rank.
    pub rank: Rank,
    /// Index of the collective in the rank's trace.
    pub node: u32,
    /// Which chunk of the collective, counted from 0.
    pub chunk: u32,
    /// Which phase of the chunk, counted from 0.
    pub phase: u32,
    /// The dimension whose queue it went through; 0 for all phases of groups and of custom collectives.
    pub dimension: u32,
    /// What the phase does: an all-reduce may be made of reduce-scatters and all-gathers.
    pub collective: CollectiveType,
    /// By which algorithm; `None` when a custom collective's trace says.
    pub algorithm: Option<Algorithm>,
    /// When it left its queue.
    pub start: Nanos,
    /// When the rank was through with it.
    pub end: Nanos,
}

/// What a link joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Device {
    /// An NPU.
    Rank(Rank),
    /// A switch, by its number as a device: they are numbered behind the ranks, by dimension, as in
    /// [`FaultyLink`](crate::FaultyLink).
    Switch(u32),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rank(rank) => write!(f, "rank {rank}"),
            Self::Switch(device) => write!(f, "switch {device}"),
        }
    }
}

/// One direction between two devices, of the congestion-aware network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// The dimension it belongs to.
    pub dimension: u32,
    /// Where it begins.
    pub from: Device,
    /// Where it leads.
    pub to: Device,
}

/// A message on a link. It keeps the link busy from start to end, and is at the link's other device later, by the
/// link's latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// A number for the link; links are numbered differently in different networks.
    pub id: u32,
    /// The link.
    pub link: Link,
    /// When the message came to the link.
    pub came: Nanos,
    /// When the link began to send the message.
    pub start: Nanos,
    /// When the link was free for the next.
    pub end: Nanos,
    /// Size of the message.
    pub size: Bytes,
    /// The rank that sent the message.
    pub source: Rank,
    /// The rank that the message goes to.
    pub destination: Rank,
    /// How many messages had been waiting for the link until `start`, this one included; 0 when it did not wait.
    pub queue: u32,
}

/// Somebody who is told what happens, in the order in which it happens. Each method does nothing unless it is
/// implemented.
pub trait Observer {
    /// A node was issued.
    fn node_began(&mut self, node: &NodeOf<'_>, at: Nanos) {
        let _ = (node, at);
    }

    /// A node was complete. Every node that began ends, unless the simulation ends in an error.
    fn node_ended(&mut self, node: &NodeOf<'_>, at: Nanos) {
        let _ = (node, at);
    }

    /// A message was received; told before the nodes at its two ends are complete.
    fn message(&mut self, message: &Message) {
        let _ = message;
    }

    /// A chunk of a collective was through with a phase on a rank; told before the collective is complete.
    fn phase(&mut self, phase: &ChunkPhase) {
        let _ = phase;
    }

    /// A link began to send a message. Without congestion there are no links, and nothing is told.
    fn transmission(&mut self, transmission: &Transmission) {
        let _ = transmission;
    }
}

/// All of them are told, one after the other.
impl Observer for Vec<&mut dyn Observer> {
    fn node_began(&mut self, node: &NodeOf<'_>, at: Nanos) {
        self.iter_mut().for_each(|observer| observer.node_began(node, at));
    }

    fn node_ended(&mut self, node: &NodeOf<'_>, at: Nanos) {
        self.iter_mut().for_each(|observer| observer.node_ended(node, at));
    }

    fn message(&mut self, message: &Message) {
        self.iter_mut().for_each(|observer| observer.message(message));
    }

    fn phase(&mut self, phase: &ChunkPhase) {
        self.iter_mut().for_each(|observer| observer.phase(phase));
    }

    fn transmission(&mut self, transmission: &Transmission) {
        self.iter_mut().for_each(|observer| observer.transmission(transmission));
    }
}
