//! The congestion-aware network: links that carry one message at a time, and messages that hop from device to
//! device.
//!
//! A message is stored and forwarded as a whole. Devices are the ranks, then a switch where there is one.
//! Routes are found hop by hop from the device a message is at and its destination.

use super::event::{Event, Parcel};
use super::slab::{Key, KeyedSlab, Slab, spread};
use super::wheel::Wheel;
use crate::network::{Dimension, Topology};
use crate::observer::Device;
use crate::units::Rank;
use std::collections::VecDeque;

/// A message on its way. It lies in the queue of the link it waits for, then among those that are being sent.
#[derive(Clone, Copy)]
struct Message {
    parcel: Parcel,
    size: u64,
    /// The device it is at, or is being sent to.
    at: u32,
    destination: u32,
}

struct Link {
    busy: bool,
    /// The device it leads to.
    to: u32,
    waiting: VecDeque<Message>,
}

impl Times {
    fn new(size: u64, latency_ns: f64, bytes_per_ns: f64) -> Self {
        let sending = size as f64 / bytes_per_ns;
        // Truncated each for itself.
        Self { size, hop: (latency_ns + sending) as u64, sending: sending as u64 }
    }
}

impl Link {
    const fn to(to: u32) -> Self {
        Self { busy: false, to, waiting: VecDeque::new() }
    }
}

/// The two devices of a link.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    from: u32,
    to: u32,
}

impl Key for Ends {
    fn mix(self) -> u64 {
        spread(u64::from(self.from) << 32 | u64::from(self.to))
    }
}

/// A message that a link has begun to send: a hop of the message and the end of the transmission are scheduled.
pub(super) struct Started {
    pub(super) message: u32,
    pub(super) link: u32,
}

/// A message that a link is sending.
pub(super) struct Passage {
    pub(super) link: crate::observer::Link,
    pub(super) parcel: Parcel,
    pub(super) size: u64,
    /// How long it keeps the link busy.
    pub(super) sending: u64,
}

/// What a message that has come to a device concerns.
pub(super) enum Target {
    /// It is at its destination.
    Receiver(Parcel),
    /// The link it takes next.
    Link(u32),
}

/// What becomes of a message that has come to a device.
pub(super) enum Hop {
    /// It has reached its destination.
    Arrived(Parcel),
    /// It goes on, at once unless the link is busy.
    Forwarded(Option<Started>),
}

/// One dimension of links.
pub(super) struct Fabric {
    topology: Topology,
    npus: u32,
    latency_ns: f64,
    bytes_per_ns: f64,
    links: Vec<Link>,
    /// Ids of the links between pairs, where every pair has one; only those that have been used.
    pairs: KeyedSlab<Ends, u32>,
    /// Messages between two devices.
    messages: Slab<Message>,
    /// The times of the size that was sent last; most messages are of the size of the one before.
    last: Times,
}

/// How long a link takes for a message of a size, in nanoseconds.
#[derive(Clone, Copy)]
struct Times {
    size: u64,
    /// Until it is at the next device.
    hop: u64,
    /// Until the link is free again.
    sending: u64,
}

impl Fabric {
    pub(super) fn new(dimension: &Dimension) -> Self {
        let mut fabric = Self {
            topology: dimension.topology,
            npus: dimension.npus,
            latency_ns: dimension.latency_ns,
            bytes_per_ns: dimension.bandwidth.bytes_per_ns(),
            links: Vec::new(),
            pairs: KeyedSlab::new(),
            messages: Slab::new(),
            last: Times::new(0, dimension.latency_ns, dimension.bandwidth.bytes_per_ns()),
        };
        fabric.lay_links();
        fabric
    }

    /// Makes the links of a topology that has few: of a ring for each rank those to the next and to the
    /// previous rank, of a switch all up-links, then all down-links.
    fn lay_links(&mut self) {
        let n = self.npus;
        let ends: Vec<u32> = match self.topology {
            Topology::Ring => (0..n).flat_map(|at| [(at + 1) % n, (at + n - 1) % n]).collect(),
            Topology::Switch => std::iter::repeat_n(n, n as usize).chain(0..n).collect(),
            _ => Vec::new(),
        };
        self.links = ends.into_iter().map(Link::to).collect();
    }

    /// Whether a rank can send to itself: over a switch and back.
    pub(super) const fn routes_to_itself(&self) -> bool {
        matches!(self.topology, Topology::Switch)
    }

    /// Starts a message on its way.
    pub(super) fn send(
        &mut self,
        events: &mut Wheel<Event>,
        now: u64,
        ends: (u32, u32),
        size: u64,
        parcel: Parcel,
    ) -> Option<Started> {
        let (at, destination) = ends;
        self.forward(events, now, Message { parcel, size, at, destination })
    }

    /// A message has come to the next device: its destination, or it goes on.
    #[inline]
    pub(super) fn hop(&mut self, events: &mut Wheel<Event>, now: u64, message: u32) -> Hop {
        let message = self.messages.remove(message);
        if message.at == message.destination {
            return Hop::Arrived(message.parcel);
        }
        Hop::Forwarded(self.forward(events, now, message))
    }

    /// A link has finished sending; the next message that waits for it starts.
    #[inline]
    pub(super) fn link_free(&mut self, events: &mut Wheel<Event>, now: u64, link: u32) -> Option<Started> {
        let state = &mut self.links[link as usize];
        let Some(message) = state.waiting.pop_front() else {
            state.busy = false;
            return None;
        };
        Some(self.transmit(events, now, link, message))
    }

    /// Hands a message to the link out of the device it is at.
    #[inline]
    fn forward(&mut self, events: &mut Wheel<Event>, now: u64, message: Message) -> Option<Started> {
        let link = self.next_link(message.at, message.destination);
        let state = &mut self.links[link as usize];
        if state.busy {
            state.waiting.push_back(message);
            return None;
        }
        state.busy = true;
        Some(self.transmit(events, now, link, message))
    }

    #[inline]
    fn transmit(&mut self, events: &mut Wheel<Event>, now: u64, link: u32, message: Message) -> Started {
        let Times { hop, sending, .. } = self.times(message.size);
        let at = self.links[link as usize].to;
        let message = self.messages.insert(Message { at, ..message });
        // The arrival is scheduled first.
        events.push(now.saturating_add(hop), Event::Hop { message });
        events.push(now.saturating_add(sending), Event::LinkFree { link });
        Started { message, link }
    }

    /// Where a message is being sent to, and its destination.
    pub(super) fn place(&self, message: u32) -> (u32, u32) {
        let Message { at, destination, .. } = self.messages[message];
        (at, destination)
    }

    /// Has a message be sent to another place, on the way to another destination.
    pub(super) fn relocate(&mut self, message: u32, at: u32, destination: u32) {
        let message = &mut self.messages[message];
        (message.at, message.destination) = (at, destination);
    }

    /// What a message that has come to a device concerns.
    pub(super) fn target(&mut self, message: u32) -> Target {
        let Message { parcel, at, destination, .. } = self.messages[message];
        if at == destination {
            Target::Receiver(parcel)
        } else {
            Target::Link(self.next_link(at, destination))
        }
    }

    /// How many messages wait for a link of which something is true that is not true of those behind them.
    pub(super) fn count_waiting(&self, link: u32, is_true: impl Fn(Parcel) -> bool) -> u32 {
        self.links[link as usize].waiting.partition_point(|message| is_true(message.parcel)) as u32
    }

    /// What a message is that a link is sending or has just sent.
    pub(super) fn parcel(&self, message: u32) -> Parcel {
        self.messages[message].parcel
    }

    /// What there is to know of a message that a link has begun to send.
    pub(super) fn passage(&mut self, started: &Started) -> Passage {
        let Message { parcel, size, .. } = self.messages[started.message];
        let device =
            |device| if device < self.npus { Device::Rank(Rank(device)) } else { Device::Switch(device) };
        let from = match self.topology {
            Topology::Ring => started.link / 2,
            Topology::Switch => started.link.min(self.npus),
            _ => self
                .pairs
                .iter()
                .find(|(_, _, link)| **link == started.link)
                .map_or(0, |(_, ends, _)| ends.from),
        };
        let to = self.links[started.link as usize].to;
        let link = crate::observer::Link { dimension: 0, from: device(from), to: device(to) };
        let sending = self.times(size).sending;
        Passage { link, parcel, size, sending }
    }

    fn times(&mut self, size: u64) -> Times {
        if self.last.size != size {
            self.last = Times::new(size, self.latency_ns, self.bytes_per_ns);
        }
        self.last
    }

    /// The link that a message at a device takes to its destination.
    #[inline]
    fn next_link(&mut self, at: u32, destination: u32) -> u32 {
        let n = self.npus;
        match self.topology {
            Topology::Ring => {
                let clockwise = if destination >= at { destination - at } else { n - at + destination };
                // Opposite members are reached clockwise.
                2 * at + u32::from(n - clockwise < clockwise)
            }
            Topology::Switch if at < n => at,
            Topology::Switch => n + destination,
            _ => {
                let links = &mut self.links;
                let (pair, _) = self.pairs.find_or_insert(Ends { from: at, to: destination }, || {
                    links.push(Link::to(destination));
                    (links.len() - 1) as u32
                });
                self.pairs[pair]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GibPerSec;

    /// Sends all messages at time 0 and gives the arrival time of each.
    fn arrivals(topology: Topology, npus: u32, messages: &[(u32, u32)], size: u64) -> Vec<u64> {
        let dimension = Dimension { topology, npus, bandwidth: GibPerSec(50.0), latency_ns: 500.0 };
        let mut fabric = Fabric::new(&dimension);
        let mut events = Wheel::new();
        for (channel, &ends) in messages.iter().enumerate() {
            fabric.send(&mut events, 0, ends, size, Parcel::Plain { channel: channel as u32 });
        }
        let mut times = vec![0; messages.len()];
        while let Some((now, event)) = events.pop() {
            match event {
                Event::Hop { message } => {
                    if let Hop::Arrived(Parcel::Plain { channel }) = fabric.hop(&mut events, now, message) {
                        times[channel as usize] = now;
                    }
                }
                Event::LinkFree { link } => {
                    fabric.link_free(&mut events, now, link);
                }
                _ => panic!("the fabric schedules only hops and free links"),
            }
        }
        times
    }

    #[test]
    fn each_hop_takes_latency_and_transmission() {
        assert_eq!(arrivals(Topology::Ring, 8, &[(0, 3)], 100_000), [3 * 2362]);
        assert_eq!(arrivals(Topology::Switch, 4, &[(2, 1)], 100_000), [2 * 2362]);
        assert_eq!(arrivals(Topology::FullyConnected, 4, &[(2, 1)], 100_000), [2362]);
    }

    #[test]
    fn messages_queue_for_a_link_and_not_for_its_opposite() {
        assert_eq!(
            arrivals(Topology::Ring, 4, &[(0, 1), (0, 1), (1, 0)], 100_000),
            [2362, 1862 + 2362, 2362]
        );
        // Three messages over one up-link to three down-links.
        let switch = arrivals(Topology::Switch, 4, &[(0, 1), (0, 2), (0, 3)], 100_000);
        assert_eq!(switch, [4724, 1862 + 4724, 2 * 1862 + 4724]);
    }

    #[test]
    fn a_ring_of_two_has_one_link_in_each_direction() {
        assert_eq!(
            arrivals(Topology::Ring, 2, &[(0, 1), (1, 0), (0, 1)], 100_000),
            [2362, 2362, 1862 + 2362]
        );
    }
}
