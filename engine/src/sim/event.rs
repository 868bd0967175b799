//! What can happen in the simulation at a time, and what is to be done when a message has arrived.

/// A global event. Eight bytes, for there are many.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// A rank's list of tasks for this time is due.
    Agenda { list: u32 },
    /// A message reaches its destination.
    Arrival(Parcel),
    /// A receive that found its message already there completes.
    Received { found: u32 },
    /// A message reaches the next device of its route.
    Hop { message: u32 },
    /// A link has finished sending.
    LinkFree { link: u32 },
}

/// A message as the network carries it.
#[derive(Clone, Copy)]
pub(super) enum Parcel {
    /// A message of this channel that nobody waits for at its source.
    Plain { channel: u32 },
    /// A message whose delivery its source waits for.
    Awaited { delivery: u32 },
}

/// What belongs to an awaited parcel.
#[derive(Clone, Copy)]
pub(super) struct Delivery {
    pub(super) channel: u32,
    pub(super) sent: Callback,
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
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_event_is_eight_bytes() {
        assert_eq!(size_of::<super::Event>(), 8);
    }
}
