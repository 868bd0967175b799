//! Messages: sends, receives and arrivals over either network, and the handshake of the rendezvous protocol.

use super::channel::ChannelKey;
use super::event::{Callback, Delivery, Event, Parcel};
use super::slab::Slab;
use super::{Simulation, Transport};
use crate::error::Error;
use crate::units::{Nanos, Rank};
use crate::unroutable::Unroutable;

/// Size of a handshake message in bytes.
const HANDSHAKE_SIZE: u64 = 8192;

/// Tags of handshakes follow those of collectives.
const HANDSHAKE_TAGS: u32 = 1_000_000_000;

/// A message that waits for its handshake: which end of it, and whom to tell when it is over.
#[derive(Clone, Copy)]
pub(super) struct Handshake {
    key: ChannelKey,
    callback: Callback,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    Send,
    Receive,
}

impl Simulation<'_> {
    /// Sends a message; `sent` is told when it has arrived.
    pub(super) fn send(&mut self, key: ChannelKey, sent: Callback) {
        if self.system.rendezvous {
            let handshake = shake(&mut self.handshakes, key, sent, End::Send);
            self.post(handshake_key(key), handshake);
        } else {
            let channel = self.open_to_send(key);
            self.transmit(channel, sent);
        }
    }

    /// The channel on which a message will arrive.
    pub(super) fn open_to_send(&mut self, key: ChannelKey) -> u32 {
        self.channels.open(match &self.transport {
            Transport::Mirrored(mirror) => mirror.reflection(key),
            _ => key,
        })
    }

    /// Receives a message; `done` is told when it is there.
    pub(super) fn receive(&mut self, key: ChannelKey, done: Callback) {
        if self.system.rendezvous {
            let handshake = shake(&mut self.handshakes, key, done, End::Receive);
            let channel = self.channels.open(handshake_key(key));
            self.transmit(channel, handshake);
        } else {
            self.post(key, done);
        }
    }

    /// The handshake of a message is through: the message itself follows.
    pub(super) fn finish_handshake(&mut self, handshake: u32) {
        let Handshake { key, callback, end } = self.handshakes.remove(handshake);
        match end {
            End::Send => {
                let channel = self.channels.open(key);
                self.transmit(channel, callback);
            }
            End::Receive => self.post(key, callback),
        }
    }

    /// Hands a message of a channel to the network.
    pub(super) fn transmit(&mut self, channel: u32, sent: Callback) {
        self.messages += 1;
        self.channels.send(channel);
        let key = self.channels.key(channel);
        let ChannelKey { source, destination, size, .. } = key;
        let parcel = match sent {
            Callback::None if self.watch.is_none() => Parcel::Plain { channel },
            sent => {
                let delivery = self.deliveries.insert(Delivery { channel, sent });
                if self.watch.is_some() {
                    self.watch_sent(delivery, source, sent);
                }
                Parcel::Awaited { delivery }
            }
        };
        match &mut self.transport {
            Transport::Unaware(delays) => {
                let arrival = self.now.saturating_add(delays.between(source, destination, size));
                self.events.push(arrival, Event::Arrival(parcel));
            }
            Transport::Aware(fabric) => {
                match fabric.send(&mut self.events, self.now, (source, destination), size, parcel) {
                    Ok(started) if self.watch.is_some() => self.tell_transmission(started),
                    Ok(_) => {}
                    Err(problem) => {
                        let (source, destination) = (Rank(source), Rank(destination));
                        let unroutable = Unroutable { source, destination, at: Nanos(self.now), problem };
                        self.unroutable.get_or_insert_with(|| Box::new(unroutable));
                    }
                }
            }
            Transport::Mirrored(mirror) => mirror.send(&mut self.events, self.now, parcel, key),
        }
    }

    fn post(&mut self, key: ChannelKey, done: Callback) {
        let channel = self.channels.open(key);
        self.post_on(channel, done);
    }

    /// Posts a receive on a channel.
    pub(super) fn post_on(&mut self, channel: u32, done: Callback) {
        // The channel may be forgotten when it is even.
        let watched = self.watch.is_some().then(|| self.channels.key(channel));
        if self.channels.receive(channel, done) {
            if let Some(key) = watched {
                self.watch_found(channel, key, done);
            }
            let found = self.found.insert(done);
            self.events.push(self.now, Event::Received { found });
        }
    }

    /// A message is at its destination: the sender is told first, then the receiver if it waits.
    pub(super) fn arrive(&mut self, parcel: Parcel) -> Result<(), Error> {
        let channel = match parcel {
            Parcel::Plain { channel } => channel,
            Parcel::Awaited { delivery } => return self.deliver(delivery),
        };
        self.channels.arrive(channel).map_or(Ok(()), |done| self.call(done))
    }

    fn deliver(&mut self, delivery: u32) -> Result<(), Error> {
        let Delivery { channel, sent } = self.deliveries.remove(delivery);
        let watched = self.watch.is_some().then(|| self.channels.key(channel));
        let done = self.channels.arrive(channel);
        if let Some(key) = watched {
            self.watch_arrived(delivery, channel, key, done);
        }
        self.call(sent)?;
        done.map_or(Ok(()), |done| self.call(done))
    }
}

fn shake(handshakes: &mut Slab<Handshake>, key: ChannelKey, callback: Callback, end: End) -> Callback {
    Callback::Handshake { handshake: handshakes.insert(Handshake { key, callback, end }) }
}

/// The message that announces a receive to its sender.
const fn handshake_key(key: ChannelKey) -> ChannelKey {
    ChannelKey {
        tag: key.tag + HANDSHAKE_TAGS,
        source: key.destination,
        destination: key.source,
        size: HANDSHAKE_SIZE,
    }
}
