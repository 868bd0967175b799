//! Tells an observer what happens. What an event does not say by itself is kept here, beside the simulation, so that
//! a run without observer carries none of it.

use super::channel::ChannelKey;
use super::chunk::Stream;
use super::event::{Callback, Parcel};
use super::fabric::{Passage, Started};
use super::{Simulation, Transport};
use crate::observer::{ChunkPhase, Link, Message, NodeOf, Observer, Transmission};
use crate::units::{Bytes, Nanos, Rank};
use std::collections::{BTreeMap, VecDeque};

/// What is known of a message before it is received.
#[derive(Clone, Copy, Default)]
struct Origin {
    sent: u64,
    /// Meaningless until the message has arrived.
    arrived: u64,
    sender: Option<u32>,
    /// When it came to the link that it waits for or that sends it.
    at_link: u64,
}

/// What is known of a chunk before its phase is complete.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Its number in its collective.
    chunk: u32,
    /// When the current phase began.
    since: u64,
}

/// An observer, and what it has not been told yet.
pub(super) struct Watch<'a> {
    observer: &'a mut (dyn Observer + 'a),
    /// Of messages on their way, by delivery.
    on_the_way: Vec<Origin>,
    /// Of messages that have arrived and are not received, by channel and in order of arrival.
    arrived: BTreeMap<u32, VecDeque<Origin>>,
    /// By stream.
    chunks: Vec<Progress>,
    /// Those that have been used, by number.
    links: Vec<Option<Link>>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(observer: &'a mut (dyn Observer + 'a)) -> Self {
        Self {
            observer,
            on_the_way: Vec::new(),
            arrived: BTreeMap::new(),
            chunks: Vec::new(),
            links: Vec::new(),
        }
    }

    /// A chunk of a collective was made.
    pub(super) fn chunk_made(&mut self, stream: u32, chunk: u32) {
        *place(&mut self.chunks, stream) = Progress { chunk, since: 0 };
    }

    /// When a message came to the link that it waits for or that sends it.
    fn came(&self, parcel: Parcel) -> u64 {
        match parcel {
            Parcel::Plain { .. } => 0,
            Parcel::Awaited { delivery } => self.on_the_way[delivery as usize].at_link,
        }
    }

    /// A chunk begins a phase.
    pub(super) fn phase_began(&mut self, stream: u32, now: u64) {
        place(&mut self.chunks, stream).since = now;
    }
}

/// The entry with an id, ids being handed out from 0 on.
fn place<T: Clone + Default>(table: &mut Vec<T>, id: u32) -> &mut T {
    let index = id as usize;
    if index >= table.len() {
        table.resize(index + 1, T::default());
    }
    &mut table[index]
}

impl Simulation<'_> {
    pub(super) fn tell_node_began(&mut self, rank: u32, index: u32) {
        let node = self.node_of(rank, index);
        if let Some(watch) = &mut self.watch {
            watch.observer.node_began(&node, Nanos(self.now));
        }
    }

    pub(super) fn tell_node_ended(&mut self, rank: u32, index: u32) {
        let node = self.node_of(rank, index);
        if let Some(watch) = &mut self.watch {
            watch.observer.node_ended(&node, Nanos(self.now));
        }
    }

    /// A chunk is through with its current phase.
    pub(super) fn tell_phase(&mut self, stream: u32) {
        let Stream { rank, phase, plan_start, .. } = self.streams[stream];
        let number = phase - plan_start;
        let phase = &self.plans.phases[phase as usize];
        // The chunks of a rank are those of the collective that holds its slot.
        let (Some(watch), Some(node)) = (&mut self.watch, self.ranks[rank as usize].communicating()) else {
            return;
        };
        let Progress { chunk, since } = watch.chunks[stream as usize];
        watch.observer.phase(&ChunkPhase {
            rank: Rank(rank),
            node,
            chunk,
            phase: number,
            dimension: phase.dimension,
            collective: phase.collective,
            algorithm: phase.algorithm,
            start: Nanos(since),
            end: Nanos(self.now),
        });
    }

    /// A message was handed to the network.
    pub(super) fn watch_sent(&mut self, delivery: u32, source: u32, sent: Callback) {
        let sender = self.end_of_message(source, sent);
        if let Some(watch) = &mut self.watch {
            let origin = Origin { sent: self.now, arrived: 0, sender, at_link: self.now };
            *place(&mut watch.on_the_way, delivery) = origin;
        }
    }

    /// A message has arrived, for a receive that waited or for none yet.
    pub(super) fn watch_arrived(
        &mut self,
        delivery: u32,
        channel: u32,
        key: ChannelKey,
        done: Option<Callback>,
    ) {
        let Some(watch) = &mut self.watch else { return };
        let origin = Origin { arrived: self.now, ..watch.on_the_way[delivery as usize] };
        match done {
            Some(done) => self.tell_message(key, origin, done),
            None => watch.arrived.entry(channel).or_default().push_back(origin),
        }
    }

    /// A receive found its message already there.
    pub(super) fn watch_found(&mut self, channel: u32, key: ChannelKey, done: Callback) {
        let Some(watch) = &mut self.watch else { return };
        let Some(waiting) = watch.arrived.get_mut(&channel) else { return };
        let origin = waiting.pop_front();
        if waiting.is_empty() {
            watch.arrived.remove(&channel);
        }
        if let Some(origin) = origin {
            self.tell_message(key, origin, done);
        }
    }

    fn tell_message(&mut self, key: ChannelKey, origin: Origin, done: Callback) {
        let receiver = self.end_of_message(key.destination, done);
        let Some(watch) = &mut self.watch else { return };
        watch.observer.message(&Message {
            source: Rank(key.source),
            destination: Rank(key.destination),
            size: Bytes(key.size),
            tag: key.tag,
            sent: Nanos(origin.sent),
            arrived: Nanos(origin.arrived),
            received: Nanos(self.now),
            sender: origin.sender,
            receiver,
        });
    }

    /// A message that is on its way has come to the next device.
    pub(super) fn watch_hop(&mut self, message: u32) {
        if let (Some(watch), Transport::Aware(fabric)) = (&mut self.watch, &self.transport)
            && let Parcel::Awaited { delivery } = fabric.parcel(message)
        {
            watch.on_the_way[delivery as usize].at_link = self.now;
        }
    }

    /// A link may have begun to send a message.
    pub(super) fn tell_transmission(&mut self, started: Option<Started>) {
        let (Some(watch), Some(started), Transport::Aware(fabric)) =
            (&mut self.watch, started, &mut self.transport)
        else {
            return;
        };
        let Passage { parcel, size, sending } = fabric.passage(&started);
        // Whoever is watched is awaited.
        let Parcel::Awaited { delivery } = parcel else { return };
        let link =
            *place(&mut watch.links, started.link).get_or_insert_with(|| fabric.describe(started.link));
        let came = watch.came(parcel);
        let behind = fabric.count_waiting(started.link, |other| watch.came(other) < self.now);
        let ChannelKey { source, destination, .. } = self.channels.key(self.deliveries[delivery].channel);
        watch.observer.transmission(&Transmission {
            id: started.link,
            link,
            came: Nanos(came),
            start: Nanos(self.now),
            end: Nanos(self.now.saturating_add(sending)),
            size: Bytes(size),
            source: Rank(source),
            destination: Rank(destination),
            queue: if came < self.now { 1 + behind } else { 0 },
        });
    }

    /// The node that sends or receives a message, if it is no handshake.
    fn end_of_message(&self, rank: u32, callback: Callback) -> Option<u32> {
        match callback {
            Callback::Node { node, .. } => Some(node),
            Callback::Handshake { .. } => None,
            Callback::None | Callback::Stream { .. } | Callback::Custom { .. } => {
                self.ranks[rank as usize].communicating()
            }
        }
    }
}

impl<'a> Simulation<'a> {
    fn node_of(&self, rank: u32, index: u32) -> NodeOf<'a> {
        let trace = self.workload.trace(Rank(rank));
        NodeOf {
            rank: Rank(rank),
            index,
            id: trace.id(index),
            name: trace.name(index),
            node: trace.node(index),
        }
    }
}
