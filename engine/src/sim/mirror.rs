//! One rank simulated in place of all: the shortcut for runs in which all ranks are alike.
//!
//! Rank 0 is simulated with the code of the full simulation; a message it sends to a peer stands for the one
//! that it receives from the opposite peer at the same time. What has to be proved is that all ranks go through
//! the same sequence of events. Each event of rank 0 stands for one at every rank, its *copies*, and this is the
//! order of copies in the full simulation, by induction over the events:
//!
//! - At the start the ranks run in ascending order. What a run of copies schedules for a time is one uninterrupted
//!   run in that time's queue, in the order of those that scheduled it: a *bundle*.
//! - Of two bundles all copies of one run before all of the other. Events that a bundle schedules for one time
//!   take turns: for each rank of an order the first event, then the second, each at a rank a fixed map away.
//!   Events of a bundle at equal maps meet each rank in this order, events at different maps may not.
//!
//! So all ranks see one sequence as long as the events of a bundle at different maps concern different state:
//! a link and a receive, different links, receives of one chunk whose algorithm only counts them. This is checked
//! event by event, and so is that no message arrives in the tick it was sent in, before its receive is posted
//! everywhere. When a check fails the run is given up and the full simulation decides.

use super::algorithm::Machine;
use super::channel::ChannelKey;
use super::delay::Delays;
use super::event::{Callback, Event, Parcel};
use super::fabric::{Fabric, Hop, Started, Target};
use super::slab::Slab;
use super::symmetry::Symmetry;
use super::wheel::Wheel;
use super::{Simulation, Transport};
use crate::error::Error;
use crate::network::{Network, NetworkModel};
use crate::units::Rank;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

/// In which order the copies of an event run: for each rank of `ranks` the one that `map` takes it to.
#[derive(Clone)]
struct Turns {
    ranks: Rc<[u32]>,
    map: u32,
}

/// What is known of an event that waits in the queue.
#[derive(Clone)]
struct Scheduled {
    /// The bundle that scheduled it, and when.
    by: u64,
    at: u64,
    turns: Turns,
    /// Further maps, of a list of tasks that several events of the bundle have put tasks on: a rank's turn is the
    /// first of all.
    also: Vec<u32>,
}

/// What an event concerns at its rank.
#[derive(Clone, Copy)]
enum Concern {
    /// Anything.
    Rank,
    /// One link.
    Link(u32),
    /// The receive of a chunk.
    Receive,
    /// The receive of a chunk that only counts its receives.
    CountedReceive { stream: u32 },
}

impl Concern {
    /// Whether it makes no difference which of two events comes first.
    const fn is_apart_from(self, other: Self) -> bool {
        match (self, other) {
            (Self::Link(one), Self::Link(other)) => one != other,
            (Self::Link(_), Self::Receive | Self::CountedReceive { .. })
            | (Self::Receive | Self::CountedReceive { .. }, Self::Link(_)) => true,
            (Self::CountedReceive { stream: one }, Self::CountedReceive { stream: other }) => one == other,
            _ => false,
        }
    }
}

/// Stands for several maps.
const SEVERAL: u32 = u32::MAX;

/// The network as seen from rank 0, whose links stand for those of all.
enum Paths {
    /// With the messages that are on their way.
    Unaware {
        delays: Delays,
        flights: Slab<Parcel>,
    },
    Aware(Box<Fabric>),
}

/// What the shortcut holds beside the state of rank 0.
pub(super) struct Mirror {
    symmetry: Symmetry,
    paths: Paths,
    /// The events that wait: by list of tasks, by message and by link.
    lists: Vec<Scheduled>,
    messages: Vec<Scheduled>,
    links: Vec<Scheduled>,
    /// The bundle that runs; who scheduled it, and its time.
    bundle: u64,
    scheduled: (u64, u64),
    /// What the bundle's events concern so far, with their maps; successive receives that are counted are one.
    concerns: Vec<(Concern, u32)>,
    /// The turns of the event that runs.
    turns: Turns,
    alike: bool,
    finished: Option<Turns>,
}

impl Mirror {
    pub(super) fn new(symmetry: Symmetry, network: &Network, ranks: u32) -> Self {
        let paths = match network.model {
            NetworkModel::CongestionUnaware => {
                Paths::Unaware { delays: Delays::new(network), flights: Slab::new() }
            }
            NetworkModel::CongestionAware => Paths::Aware(Box::new(Fabric::new(network, 1))),
        };
        Self {
            symmetry,
            paths,
            lists: Vec::new(),
            messages: Vec::new(),
            links: Vec::new(),
            bundle: 0,
            scheduled: (0, 0),
            concerns: Vec::new(),
            turns: Turns { ranks: (0..ranks).collect(), map: 0 },
            alike: true,
            finished: None,
        }
    }

    /// The message that rank 0 receives at the time at which one that it sends arrives.
    pub(super) fn reflection(&self, sent: ChannelKey) -> ChannelKey {
        ChannelKey { source: self.symmetry.inverse(sent.destination), destination: sent.source, ..sent }
    }

    /// Sends a message; `key` is that of its reflection.
    pub(super) fn send(&mut self, events: &mut Wheel<Event>, now: u64, parcel: Parcel, key: ChannelKey) {
        let to = self.symmetry.inverse(key.source);
        match &mut self.paths {
            Paths::Unaware { delays, flights } => {
                let message = flights.insert(parcel);
                events.push(now.saturating_add(delays.between(0, to, key.size)), Event::Hop { message });
                self.schedule_hop(now, message, to);
            }
            Paths::Aware(fabric) => match fabric.send(events, now, (0, to), key.size, parcel) {
                Ok(started) => self.note_start(now, started),
                Err(_) => self.alike = false,
            },
        }
    }

    /// A message has come to the next device; gives it back if that is its destination.
    pub(super) fn hop(&mut self, events: &mut Wheel<Event>, now: u64, message: u32) -> Option<Parcel> {
        match &mut self.paths {
            Paths::Unaware { flights, .. } => Some(flights.remove(message)),
            Paths::Aware(fabric) => match fabric.hop(events, now, message) {
                Hop::Arrived(parcel) => Some(parcel),
                Hop::Forwarded(started) => {
                    self.note_start(now, started);
                    None
                }
            },
        }
    }

    pub(super) fn link_free(&mut self, events: &mut Wheel<Event>, now: u64, link: u32) {
        if let Paths::Aware(fabric) = &mut self.paths {
            let started = fabric.link_free(events, now, link);
            self.note_start(now, started);
        }
    }

    /// A link has begun to send: the message is followed to where it goes, and the network turned so that this is
    /// rank 0, or the switch before rank 0.
    fn note_start(&mut self, now: u64, started: Option<Started>) {
        let Paths::Aware(fabric) = &mut self.paths else { return };
        let Some(Started { message, link }) = started else { return };
        let Some((map, destination)) = fabric.ends(message) else {
            self.alike = false;
            return;
        };
        fabric.relocate(message, map, self.symmetry.compose(destination, self.symmetry.inverse(map)));
        let free = self.schedule(now, 0);
        put(&mut self.links, link, free);
        self.schedule_hop(now, message, map);
    }

    fn schedule_hop(&mut self, now: u64, message: u32, map: u32) {
        let hop = self.schedule(now, map);
        put(&mut self.messages, message, hop);
    }

    /// An event that is scheduled by the one that runs, at the rank a map away.
    fn schedule(&self, now: u64, map: u32) -> Scheduled {
        let map = self.symmetry.compose(self.turns.map, map);
        let turns = Turns { ranks: Rc::clone(&self.turns.ranks), map };
        Scheduled { by: self.bundle, at: now, turns, also: Vec::new() }
    }

    /// A task was put on a list, which it has opened or not.
    pub(super) fn note_task(&mut self, now: u64, list: u32, opened: bool) {
        if opened {
            let scheduled = self.schedule(now, 0);
            put(&mut self.lists, list, scheduled);
            return;
        }
        let Scheduled { by, turns, also, .. } = &mut self.lists[list as usize];
        let map = self.turns.map;
        if *by == self.bundle && *also.last().unwrap_or(&turns.map) != map {
            also.push(map);
        }
    }

    /// The next event begins: it is one more of its bundle or the first of another.
    fn enter(&mut self, now: u64, event: Event, concern: Concern) {
        let scheduled = match event {
            Event::Hop { message } => &self.messages[message as usize],
            Event::LinkFree { link } => &self.links[link as usize],
            Event::Agenda { list } => &self.lists[list as usize],
            Event::Arrival(_) | Event::Received { .. } => {
                self.alike = false;
                return;
            }
        };
        let Scheduled { by, at, ref turns, ref also } = *scheduled;
        let mut turns = turns.clone();
        if !also.is_empty() {
            turns = self.first_turns(&turns, also);
        }
        if matches!(event, Event::Hop { .. }) && at == now {
            self.alike = false;
        }
        if self.scheduled == (by, now) {
            let apart = |&(other, map): &(Concern, u32)| map == turns.map || concern.is_apart_from(other);
            self.alike &= Rc::ptr_eq(&turns.ranks, &self.turns.ranks) && self.concerns.iter().all(apart);
        } else {
            self.bundle += 1;
            self.scheduled = (by, now);
            self.concerns.clear();
        }
        match (self.concerns.last_mut(), concern) {
            (Some((Concern::CountedReceive { stream }, map)), Concern::CountedReceive { stream: same })
                if *stream == same =>
            {
                *map = SEVERAL;
            }
            _ => self.concerns.push((concern, turns.map)),
        }
        self.turns = turns;
    }

    /// The order in which ranks have the first of several turns.
    fn first_turns(&self, turns: &Turns, also: &[u32]) -> Turns {
        let mut seen = vec![false; turns.ranks.len()];
        let all = turns.ranks.iter().flat_map(|&rank| {
            std::iter::once(&turns.map).chain(also).map(move |&map| self.symmetry.compose(rank, map))
        });
        let first = all.filter(|&rank| !std::mem::replace(&mut seen[rank as usize], true));
        Turns { ranks: first.take(turns.ranks.len()).collect(), map: 0 }
    }

    /// What a message concerns that is at a device.
    fn target(&mut self, message: u32) -> Target {
        match &mut self.paths {
            Paths::Unaware { flights, .. } => Target::Receiver(flights[message]),
            Paths::Aware(fabric) => fabric.target(message),
        }
    }

    /// The ranks in the order in which they finished, once rank 0 has.
    pub(super) fn finish_order(&self) -> Vec<Rank> {
        let ranks = self.finished.iter().flat_map(|Turns { ranks, map }| {
            ranks.iter().map(|&rank| Rank(self.symmetry.compose(rank, *map)))
        });
        ranks.collect()
    }
}

/// Replaces what is known of an event.
fn put(events: &mut Vec<Scheduled>, id: u32, scheduled: Scheduled) {
    if events.len() <= id as usize {
        events.resize(id as usize + 1, scheduled.clone());
    }
    events[id as usize] = scheduled;
}

impl Simulation<'_> {
    /// Runs events until none is left; gives up, with `false`, when the ranks cannot be shown to stay alike.
    pub(super) fn run_mirrored(&mut self, stop: &AtomicBool) -> Result<bool, Error> {
        self.note_finish();
        while let Some((time, event)) = self.events.pop() {
            self.begin(time, stop)?;
            if stop.load(Ordering::Relaxed) {
                // Events are few here, but may each take as many steps as there are ranks.
                return Err(Error::Interrupted);
            }
            let concern = self.concern(event);
            let Transport::Mirrored(mirror) = &mut self.transport else { return Ok(false) };
            mirror.enter(time, event, concern);
            if !mirror.alike {
                return Ok(false);
            }
            self.handle(event)?;
            self.note_finish();
        }
        Ok(true)
    }

    fn note_finish(&mut self) {
        if let Transport::Mirrored(mirror) = &mut self.transport
            && mirror.finished.is_none()
            && !self.finish_order.is_empty()
        {
            mirror.finished = Some(mirror.turns.clone());
        }
    }

    fn concern(&mut self, event: Event) -> Concern {
        let Transport::Mirrored(mirror) = &mut self.transport else { return Concern::Rank };
        match event {
            Event::LinkFree { link } => Concern::Link(link),
            Event::Hop { message } => match mirror.target(message) {
                Target::Link(link) => Concern::Link(link),
                Target::Receiver(Parcel::Awaited { .. }) => Concern::Rank,
                Target::Receiver(Parcel::Plain { channel }) => match self.channels.next(channel) {
                    Some(Callback::Stream { stream })
                        if matches!(self.streams[stream].machine, Machine::Direct(_)) =>
                    {
                        Concern::CountedReceive { stream }
                    }
                    _ => Concern::Receive,
                },
            },
            _ => Concern::Rank,
        }
    }
}

#[cfg(test)]
mod tests;
