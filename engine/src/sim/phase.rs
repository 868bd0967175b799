//! One phase of a chunk on one rank: its algorithm's decisions become memory steps and messages.

use super::Simulation;
use super::agenda::Task;
use super::algorithm::tree::{Place, Shape, Tree, TreeMove};
use super::algorithm::{Exchange, Machine, Steps, neighbour, reduction_of};
use super::channel::ChannelKey;
use super::chunk::Stream;
use super::event::Callback;
use super::plan::{Members, Phase};
use crate::error::Error;

/// A rank as a member of a phase.
#[derive(Clone, Copy)]
struct Member {
    rank: u32,
    /// Its index among the members.
    index: u32,
}

impl Simulation<'_> {
    /// Begins the current phase of a chunk.
    pub(super) fn start_phase(&mut self, stream: u32) {
        let Stream { rank, phase, .. } = self.streams[stream];
        let lane = self.lane(stream);
        let phase = self.plans.phases[phase as usize];
        let own = self.own(rank, &phase);
        let endpoint_delay = phase.endpoint_delay.0;
        match phase.steps {
            Steps::Ring(steps) => {
                let (outgoing, incoming) =
                    self.ring_channels(stream, own, &phase, steps.message, lane.anticlockwise);
                let mut ring = steps.start(outgoing, incoming);
                let reduces = ring.reduces(phase.collective);
                self.streams[stream].machine = Machine::Ring(ring);
                self.memory_step(stream, rank, endpoint_delay, reduces);
            }
            Steps::Direct(steps) => {
                let mut direct = steps.start(own.index, !lane.anticlockwise);
                for _ in 0..steps.window() {
                    let reduces = direct.reduces(phase.collective);
                    self.memory_step(stream, rank, endpoint_delay, reduces);
                }
                self.streams[stream].machine = Machine::Direct(direct);
            }
            Steps::HalvingDoubling(steps) => {
                let mut halving = steps.start(own.index);
                let reduces = halving.prepare(&steps, phase.collective);
                self.streams[stream].machine = Machine::HalvingDoubling(halving);
                self.memory_step(stream, rank, endpoint_delay, reduces);
            }
            Steps::Tree(steps) => {
                let shape = if lane.second_tree { Shape::Min } else { Shape::Max };
                let place = Place::new(shape, own.index, phase.count);
                self.streams[stream].machine = Machine::Tree(Tree::new(place));
                match place {
                    Place::Leaf { .. } => self.memory_step(stream, rank, endpoint_delay, false),
                    Place::Root { child } => self.receive_from(stream, own, &phase, child, steps.size),
                    Place::Inner { left, right, .. } => {
                        self.receive_from(stream, own, &phase, left, steps.size);
                        self.receive_from(stream, own, &phase, right, steps.size);
                    }
                }
            }
        }
    }

    /// The channels to the next and from the previous member, held until the phase is complete.
    fn ring_channels(
        &mut self,
        stream: u32,
        own: Member,
        phase: &Phase,
        size: u64,
        anticlockwise: bool,
    ) -> (u32, u32) {
        let tag = self.streams[stream].tag;
        let to = self.peer(own, phase, neighbour(own.index, 1, phase.count, !anticlockwise));
        let from = self.peer(own, phase, neighbour(own.index, 1, phase.count, anticlockwise));
        let outgoing = self.open_to_send(ChannelKey { tag, source: own.rank, destination: to, size });
        self.channels.pin(outgoing);
        let incoming = self.channels.open(ChannelKey { tag, source: from, destination: own.rank, size });
        self.channels.pin(incoming);
        (outgoing, incoming)
    }

    fn receive_from(&mut self, stream: u32, own: Member, phase: &Phase, member: u32, size: u64) {
        let tag = self.streams[stream].tag;
        let source = self.peer(own, phase, member);
        let key = ChannelKey { tag, source, destination: own.rank, size };
        self.receive(key, Callback::Stream { stream });
    }

    /// Charges the endpoint delay, then the reduction if there is one, and then the step is done.
    fn memory_step(&mut self, stream: u32, rank: u32, endpoint_delay: u64, reduces: bool) {
        let task = if reduces { Task::Reduce { stream } } else { Task::StepDone { stream } };
        self.schedule(rank, endpoint_delay, task);
    }

    /// The endpoint delay of a reducing step is over.
    pub(super) fn reduce(&mut self, stream: u32) {
        let Stream { rank, phase, machine, .. } = &self.streams[stream];
        let steps = &self.plans.phases[*phase as usize].steps;
        let reduction = reduction_of(steps, machine, self.system.local_mem_bw);
        self.schedule(*rank, reduction.0, Task::StepDone { stream });
    }

    /// A message for the chunk is there: the next memory step begins.
    pub(super) fn received(&mut self, stream: u32) {
        let Stream { rank, phase, machine, .. } = &mut self.streams[stream];
        let phase = &self.plans.phases[*phase as usize];
        let reduces = match (machine, &phase.steps) {
            (Machine::Ring(ring), _) => ring.reduces(phase.collective),
            (Machine::Direct(direct), _) => {
                direct.receive();
                direct.reduces(phase.collective)
            }
            (Machine::HalvingDoubling(halving), Steps::HalvingDoubling(steps)) => {
                halving.prepare(steps, phase.collective)
            }
            (Machine::Tree(tree), _) => tree.receive(),
            (Machine::Idle | Machine::HalvingDoubling(_), _) => return,
        };
        let (rank, endpoint_delay) = (*rank, phase.endpoint_delay.0);
        self.memory_step(stream, rank, endpoint_delay, reduces);
    }

    /// A memory step is done: messages are exchanged, or the phase is complete.
    pub(super) fn step_done(&mut self, stream: u32) -> Result<(), Error> {
        let Stream { phase, machine, .. } = &mut self.streams[stream];
        let phase = &self.plans.phases[*phase as usize];
        match (machine, &phase.steps) {
            (Machine::Ring(ring), _) => {
                let more = ring.step_done();
                let (outgoing, incoming) = (ring.outgoing, ring.incoming);
                if more {
                    self.exchange_on(stream, outgoing, incoming);
                    return Ok(());
                }
                self.channels.unpin(outgoing);
                self.channels.unpin(incoming);
                self.advance(stream)
            }
            (Machine::Direct(direct), Steps::Direct(steps)) => {
                let exchanges = direct.step_done(steps, phase.collective);
                if exchanges == 0 {
                    return if direct.is_complete(steps) { self.advance(stream) } else { Ok(()) };
                }
                self.exchange_direct(stream, exchanges);
                Ok(())
            }
            (Machine::HalvingDoubling(halving), _) => match halving.step_done() {
                Some(exchange) => {
                    self.exchange(stream, exchange);
                    Ok(())
                }
                None => self.advance(stream),
            },
            (Machine::Tree(tree), _) => {
                let next = tree.step_done();
                self.move_in_tree(stream, next)
            }
            (Machine::Idle | Machine::Direct(_), _) => Ok(()),
        }
    }

    /// A round of a ring, over the two channels it always uses.
    fn exchange_on(&mut self, stream: u32, outgoing: u32, incoming: u32) {
        let received = Callback::Stream { stream };
        if self.system.rendezvous {
            self.send(self.channels.key(outgoing), Callback::None);
            self.receive(self.channels.key(incoming), received);
        } else {
            self.transmit(outgoing, Callback::None);
            self.post_on(incoming, received);
        }
    }

    fn exchange_direct(&mut self, stream: u32, exchanges: u64) {
        for _ in 0..exchanges {
            let Stream { phase, machine, .. } = &mut self.streams[stream];
            let steps = &self.plans.phases[*phase as usize].steps;
            let (Machine::Direct(direct), Steps::Direct(steps)) = (machine, steps) else { return };
            let exchange = direct.exchange(steps);
            self.exchange(stream, exchange);
        }
    }

    /// Sends a message to one member and receives one from another, in this order.
    fn exchange(&mut self, stream: u32, exchange: Exchange) {
        let Stream { rank, tag, phase, .. } = self.streams[stream];
        let phase = &self.plans.phases[phase as usize];
        let own = self.own(rank, phase);
        let (to, from) = (self.peer(own, phase, exchange.to), self.peer(own, phase, exchange.from));
        let size = exchange.size;
        self.send(ChannelKey { tag, source: rank, destination: to, size }, Callback::None);
        self.receive(ChannelKey { tag, source: from, destination: rank, size }, Callback::Stream { stream });
    }

    fn move_in_tree(&mut self, stream: u32, next: TreeMove) -> Result<(), Error> {
        match next {
            TreeMove::Wait => Ok(()),
            TreeMove::Up { parent } => {
                let Steps::Tree(steps) = self.plans.phases[self.streams[stream].phase as usize].steps else {
                    return Ok(());
                };
                self.exchange(stream, Exchange { to: parent, from: parent, size: steps.size });
                Ok(())
            }
            TreeMove::Down { first, second } => {
                let Stream { rank, tag, phase, .. } = self.streams[stream];
                let phase = self.plans.phases[phase as usize];
                let own = self.own(rank, &phase);
                let Steps::Tree(steps) = phase.steps else { return Ok(()) };
                for child in [Some(first), second].into_iter().flatten() {
                    let destination = self.peer(own, &phase, child);
                    self.send(
                        ChannelKey { tag, source: rank, destination, size: steps.size },
                        Callback::None,
                    );
                }
                self.advance(stream)
            }
            TreeMove::Done => self.advance(stream),
        }
    }

    fn own(&self, rank: u32, phase: &Phase) -> Member {
        let index = match phase.members {
            Members::Strided { stride } => rank / stride % phase.count,
            // The rank was found to be a member when the collective began.
            Members::Listed { group } => self.groups[group as usize].position(rank).unwrap_or(0),
        };
        Member { rank, index }
    }

    /// The rank of the member with an index.
    fn peer(&self, own: Member, phase: &Phase, index: u32) -> u32 {
        match phase.members {
            Members::Strided { stride } => own.rank - own.index * stride + index * stride,
            Members::Listed { group } => self.groups[group as usize].members[index as usize].0,
        }
    }
}
