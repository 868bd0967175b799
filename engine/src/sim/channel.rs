//! Pairing of sends with receives.
//!
//! A channel is all messages of one tag, source, destination and size. Its i-th send belongs to its i-th
//! receive. Messages of one channel arrive in the order they were sent, because they take the same route and
//! the same time on it, so counters and one queue of waiting receives are enough.

use super::event::Callback;
use super::slab::{Key, KeyedSlab, NONE, Slab, spread};

/// What identifies a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelKey {
    pub(super) tag: u32,
    pub(super) source: u32,
    pub(super) destination: u32,
    pub(super) size: u64,
}

impl Key for ChannelKey {
    fn mix(self) -> u64 {
        let peers = u64::from(self.source) << 32 | u64::from(self.destination);
        spread(spread(spread(peers) ^ self.size) ^ u64::from(self.tag))
    }
}

#[derive(Clone, Copy)]
struct Channel {
    /// Messages that are on their way.
    in_flight: u32,
    /// Messages that arrived before their receive was posted.
    arrived: u32,
    /// First and last receive that wait for a message.
    first: u32,
    last: u32,
    /// Holders of the channel's id.
    pins: u32,
}

#[derive(Clone, Copy)]
struct Receive {
    done: Callback,
    next: u32,
}

/// All channels that have something outstanding or a holder.
pub(super) struct Channels {
    channels: KeyedSlab<ChannelKey, Channel>,
    receives: Slab<Receive>,
}

impl Channels {
    pub(super) fn new() -> Self {
        Self { channels: KeyedSlab::new(), receives: Slab::new() }
    }

    pub(super) fn key(&self, channel: u32) -> ChannelKey {
        self.channels.key(channel)
    }

    /// The channel of a key. The id is good until the next call that settles the channel, unless it is
    /// pinned.
    pub(super) fn open(&mut self, key: ChannelKey) -> u32 {
        let even = || Channel { in_flight: 0, arrived: 0, first: NONE, last: NONE, pins: 0 };
        self.channels.find_or_insert(key, even).0
    }

    /// Keeps a channel's id good until [`Self::unpin`].
    pub(super) fn pin(&mut self, channel: u32) {
        self.channels[channel].pins += 1;
    }

    pub(super) fn unpin(&mut self, channel: u32) {
        self.channels[channel].pins -= 1;
        self.settle(channel);
    }

    /// A message is handed to the network.
    pub(super) fn send(&mut self, channel: u32) {
        self.channels[channel].in_flight += 1;
    }

    /// A message arrives; gives the receive that waited for it, if one did.
    pub(super) fn arrive(&mut self, channel: u32) -> Option<Callback> {
        let state = &mut self.channels[channel];
        state.in_flight -= 1;
        if state.first == NONE {
            state.arrived += 1;
            return None;
        }
        let Receive { done, next } = self.receives.remove(state.first);
        state.first = next;
        self.settle(channel);
        Some(done)
    }

    /// Posts a receive; says whether its message had arrived before, otherwise the receive waits.
    #[must_use]
    pub(super) fn receive(&mut self, channel: u32, done: Callback) -> bool {
        let state = &mut self.channels[channel];
        if state.arrived > 0 {
            state.arrived -= 1;
            self.settle(channel);
            return true;
        }
        let receive = self.receives.insert(Receive { done, next: NONE });
        if state.first == NONE {
            state.first = receive;
        } else {
            self.receives[state.last].next = receive;
        }
        state.last = receive;
        false
    }

    /// Who is told when the next message of a channel arrives; `None` if no receive waits.
    pub(super) fn next(&self, channel: u32) -> Option<Callback> {
        let first = self.channels[channel].first;
        (first != NONE).then(|| self.receives[first].done)
    }

    /// Every receive that waits, with its channel.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (ChannelKey, Callback)> {
        self.channels.iter().flat_map(move |(_, key, channel)| {
            let receive = move |id: u32| (id != NONE).then(|| self.receives[id]);
            std::iter::successors(receive(channel.first), move |previous| receive(previous.next))
                .map(move |found| (key, found.done))
        })
    }

    /// Forgets a channel whose sends and receives are even: to start again from zero is the same.
    fn settle(&mut self, channel: u32) {
        let state = &self.channels[channel];
        if state.pins == 0 && state.in_flight == 0 && state.arrived == 0 && state.first == NONE {
            self.channels.remove(channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ChannelKey = ChannelKey { tag: 1, source: 0, destination: 3, size: 64 };

    const fn node(node: u32) -> Callback {
        Callback::Node { rank: 3, node }
    }

    #[test]
    fn the_ith_send_meets_the_ith_receive() {
        let mut channels = Channels::new();
        let channel = channels.open(KEY);
        assert!(!channels.receive(channel, node(1)));
        assert!(!channels.receive(channel, node(2)));
        for expected in [Some(node(1)), Some(node(2)), None] {
            let channel = channels.open(KEY);
            channels.send(channel);
            assert_eq!(channels.arrive(channel), expected);
        }
        let channel = channels.open(KEY);
        assert!(channels.receive(channel, node(3)), "the third message was there before");
    }

    #[test]
    fn an_even_channel_is_forgotten_and_an_uneven_one_is_not() {
        let mut channels = Channels::new();
        let channel = channels.open(KEY);
        channels.send(channel);
        assert_eq!(channels.arrive(channel), None);
        assert!(channels.channels.find(KEY).is_some());
        assert!(channels.receive(channel, node(1)));
        assert!(channels.channels.find(KEY).is_none());
    }

    #[test]
    fn another_size_is_another_channel() {
        let mut channels = Channels::new();
        let posted = channels.open(KEY);
        assert!(!channels.receive(posted, node(1)));
        let sent = channels.open(ChannelKey { size: 65, ..KEY });
        channels.send(sent);
        assert_eq!(channels.arrive(sent), None);
        assert_eq!(channels.waiting().collect::<Vec<_>>(), [(KEY, node(1))]);
    }
}
