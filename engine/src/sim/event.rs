//! What can happen in the simulation at a time, and what is to be done when a message has arrived.

/// A global event.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// A rank's list of tasks for this time is due.
    Agenda { list: u32 },
    /// A message reaches its destination.
    Arrival { channel: u32, sent: Callback },
    /// A receive that found its message already there completes.
    Received(Callback),
    /// A message reaches the next device of its route.
    Hop { message: u32 },
    /// A link has finished sending.
    LinkFree { link: u32 },
}

/// Who is told that a message has arrived, as its sender or as its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callback {
    /// Nobody.
    None,
    /// A chunk of a collective.
    Stream { stream: u32 },
    /// A send or receive node of a trace.
    Node { rank: u32, node: u32 },
    /// The handshake of a rendezvous.
    Handshake { handshake: u32 },
    /// A message of a custom collective.
    Custom { operation: u32 },
}
