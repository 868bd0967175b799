//! The congestion-aware network: links that carry one message at a time, and messages that hop from device to
//! device.
//!
//! A message is stored and forwarded as a whole. Which link comes next is decided in `route`; what the links are is in
//! `links`. Here is what happens in time.

use super::event::{Event, Parcel};
use super::links::{Ends, Links, Times};
use super::route::{Routes, Way};
use super::slab::Slab;
use super::wheel::Wheel;
use crate::network::Network;
use crate::observer::{Device, Link};
use crate::units::Rank;
use crate::unroutable::RouteProblem;

/// A message on its way. It lies in the queue of the link it waits for, then among those that are being sent.
#[derive(Clone, Copy)]
struct Message {
    parcel: Parcel,
    size: u64,
    /// Where it is behind the link that it waits for or that sends it.
    way: Way,
}

/// A message that a link has begun to send: a hop of the message and the end of the transmission are scheduled.
pub(super) struct Started {
    pub(super) message: u32,
    pub(super) link: u32,
}

/// What there is to know of a message that a link is sending.
pub(super) struct Passage {
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

/// Links, routes and the messages between their source and their destination.
pub(super) struct Fabric {
    /// Devices behind these are switches.
    ranks: u32,
    routes: Routes,
    links: Links<Message>,
    /// Those that links are sending, and those that have just been sent.
    messages: Slab<Message>,
}

impl Fabric {
    /// A checked network without messages; `owners` is how many ranks send, from rank 0 on.
    pub(super) fn new(network: &Network, owners: u32) -> Self {
        let mut links = Links::new();
        let ranks = network.dimensions.iter().map(|dimension| dimension.npus).product();
        let routes = Routes::new(network, owners, &mut links);
        Self { ranks, routes, links, messages: Slab::new() }
    }

    /// Whether a rank can send to itself: over a switch and back.
    pub(super) fn routes_to_itself(&self) -> bool {
        self.routes.lead_to_itself()
    }

    /// Starts a message on its way.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn send(
        &mut self,
        events: &mut Wheel<Event>,
        now: u64,
        (source, destination): (u32, u32),
        size: u64,
        parcel: Parcel,
    ) -> Result<Option<Started>, RouteProblem> {
        let way = self.routes.begin(&mut self.links, source, destination)?;
        Ok(self.forward(events, now, Message { parcel, size, way }))
    }

    /// A message has come to the next device: its destination, or it goes on.
    #[inline]
    pub(super) fn hop(&mut self, events: &mut Wheel<Event>, now: u64, message: u32) -> Hop {
        let message = self.messages.remove(message);
        if self.routes.is_over(message.way) {
            return Hop::Arrived(message.parcel);
        }
        Hop::Forwarded(self.forward(events, now, message))
    }

    /// A link has finished sending; the next message that waits for it starts.
    #[inline]
    pub(super) fn link_free(&mut self, events: &mut Wheel<Event>, now: u64, link: u32) -> Option<Started> {
        let state = self.links.link(link);
        let Some(message) = state.waiting.pop_front() else {
            state.busy = false;
            return None;
        };
        let kind = state.kind;
        Some(self.transmit(events, now, (link, kind), message))
    }

    /// Hands a message to the link out of the device it is at.
    #[inline(always)]
    fn forward(&mut self, events: &mut Wheel<Event>, now: u64, message: Message) -> Option<Started> {
        let (link, way) = self.routes.step(&mut self.links, message.way);
        let message = Message { way, ..message };
        let state = self.links.link(link);
        if state.busy {
            state.waiting.push_back(message);
            return None;
        }
        state.busy = true;
        let kind = state.kind;
        Some(self.transmit(events, now, (link, kind), message))
    }

    #[inline]
    fn transmit(
        &mut self,
        events: &mut Wheel<Event>,
        now: u64,
        (link, kind): (u32, u32),
        message: Message,
    ) -> Started {
        let Times { hop, sending, .. } = self.links.times(kind, message.size);
        let message = self.messages.insert(message);
        // The arrival is scheduled first.
        events.push(now.saturating_add(hop), Event::Hop { message });
        events.push(now.saturating_add(sending), Event::LinkFree { link });
        Started { message, link }
    }

    /// The rank that a message is being sent to or comes to next behind a switch, and its destination; `None` on a
    /// route that is kept.
    pub(super) fn ends(&self, message: u32) -> Option<(u32, u32)> {
        self.routes.ends(self.messages[message].way)
    }

    /// Has a message that is sent to a rank be sent to rank 0, on the way to another destination.
    pub(super) fn relocate(&mut self, message: u32, rank: u32, destination: u32) {
        let way = &mut self.messages[message].way;
        *way = way.seen_from(rank, destination);
    }

    /// How many messages wait for a link of which something is true that is not true of those behind them.
    pub(super) fn count_waiting(&mut self, link: u32, is_true: impl Fn(Parcel) -> bool) -> u32 {
        self.links.link(link).waiting.partition_point(|message| is_true(message.parcel)) as u32
    }

    /// What a message is that a link is sending or has just sent.
    pub(super) fn parcel(&self, message: u32) -> Parcel {
        self.messages[message].parcel
    }

    /// The passage of a message that a link has begun to send.
    pub(super) fn passage(&mut self, &Started { message, link }: &Started) -> Passage {
        let Message { parcel, size, .. } = self.messages[message];
        let kind = self.links.link(link).kind;
        Passage { parcel, size, sending: self.links.times(kind, size).sending }
    }

    /// What a link joins.
    pub(super) fn describe(&self, link: u32) -> Link {
        let (dimension, Ends { from, to }) = self.routes.link_ends(&self.links, link);
        let device =
            |device| if device < self.ranks { Device::Rank(Rank(device)) } else { Device::Switch(device) };
        Link { dimension: dimension as u32, from: device(from), to: device(to) }
    }

    /// What a message that has come to a device concerns.
    pub(super) fn target(&mut self, message: u32) -> Target {
        let Message { parcel, way, .. } = self.messages[message];
        if self.routes.is_over(way) {
            Target::Receiver(parcel)
        } else {
            Target::Link(self.routes.step(&mut self.links, way).0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dimension, GibPerSec, NetworkModel, Topology};

    /// Sends all messages at time 0 and gives the arrival time of each.
    fn arrivals(topology: Topology, npus: u32, messages: &[(u32, u32)], size: u64) -> Vec<u64> {
        let dimension = Dimension { topology, npus, bandwidth: GibPerSec(50.0), latency_ns: 500.0 };
        let network = Network::new(NetworkModel::CongestionAware, vec![dimension]);
        let mut fabric = Fabric::new(&network, npus);
        let mut events = Wheel::new();
        for (channel, &ends) in messages.iter().enumerate() {
            let parcel = Parcel::Plain { channel: channel as u32 };
            fabric.send(&mut events, 0, ends, size, parcel).expect("nothing is in the way");
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
