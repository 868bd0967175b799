//! The simulator: one struct of flat state, and its layers as methods in files of their own.
//!
//! `issue` runs the traces, `chunk` cuts collectives into chunks and moves them through queues and phases,
//! `algorithm` is what a phase does, `message` pairs and transports messages, `delay` and `fabric` are the
//! two networks. Below them are the event queue (`wheel`, `agenda`) and storage (`slab`). Nothing here does
//! I/O or knows a file format.

mod agenda;
mod algorithm;
mod bus;
mod channel;
mod chunk;
mod custom;
mod delay;
mod diagnosis;
mod event;
mod fabric;
mod issue;
mod memory;
mod message;
mod phase;
mod plan;
mod rank;
mod slab;
mod wheel;

use crate::error::Error;
use crate::network::{Network, NetworkModel};
use crate::report::Report;
use crate::system::System;
use crate::units::Rank;
use crate::workload::Workload;
use agenda::{Agenda, Task};
use bus::Buses;
use channel::Channels;
use chunk::{Queue, Stream};
use custom::CustomRuns;
use delay::Delays;
use event::{Callback, Event};
use fabric::Fabric;
use memory::Memories;
use message::Handshake;
use plan::{Group, Plans};
use rank::RankState;
use slab::Slab;
use std::sync::atomic::{AtomicBool, Ordering};
use wheel::Wheel;

/// The last time that ASTRA-sim, which passes times through a double, counts exactly.
const LAST_EXACT_TIME: u64 = 1 << 53;

/// How many events run between two looks at the caller's wish to stop; some milliseconds.
const EVENTS_PER_LOOK: u64 = 1 << 16;

/// Simulates a workload until every rank has finished.
///
/// # Errors What cannot be simulated, the node that broke a rule, or the stall: events ran out before every
/// rank had finished.
pub fn simulate(network: &Network, system: &System, workload: &Workload) -> Result<Report, Error> {
    simulate_until(network, system, workload, &AtomicBool::new(false))
}

/// [`simulate`] that gives up soon after `stop` is set.
///
/// # Errors
/// Those of [`simulate`], and [`Error::Interrupted`].
pub fn simulate_until(
    network: &Network,
    system: &System,
    workload: &Workload,
    stop: &AtomicBool,
) -> Result<Report, Error> {
    let mut simulation = Simulation::new(network, system, workload)?;
    simulation.fire()?;
    simulation.run(stop)?;
    simulation.report()
}

/// The transport of messages.
enum Transport {
    Unaware(Delays),
    Aware(Fabric),
}

/// Everything a simulation holds.
struct Simulation<'a> {
    system: &'a System,
    workload: &'a Workload,
    now: u64,
    events: Wheel<Event>,
    events_run: u64,
    agenda: Agenda,
    ranks: Vec<RankState>,
    /// Unfinished parents of each node, of all ranks one behind the other.
    unfinished_parents: Vec<u32>,
    /// Nodes that became free during the current issue pass and are not looked at before the next.
    freed_in_pass: Vec<u32>,
    finish_order: Vec<Rank>,
    groups: Vec<Group>,
    /// Chunks made so far by each member of each group.
    group_chunks: Vec<u32>,
    plans: Plans<'a>,
    streams: Slab<Stream>,
    /// What each phase of each stream was dealt, `Plans::longest` entries per stream.
    lanes: Vec<chunk::Lane>,
    /// By rank, dimension and queue.
    queues: Vec<Queue>,
    /// Round-robin counters by rank, dimension and selector.
    turns: Vec<u32>,
    /// Trees dealt by rank, collective and dimension.
    trees: Vec<bool>,
    memories: Memories,
    buses: Buses,
    custom: CustomRuns<'a>,
    channels: Channels,
    handshakes: Slab<Handshake>,
    transport: Transport,
    messages: u64,
}

impl<'a> Simulation<'a> {
    fn new(network: &'a Network, system: &'a System, workload: &'a Workload) -> Result<Self, Error> {
        let count = network.check().map_err(|(dimension, problem)| Error::Network { dimension, problem })?;
        let dimensions = network.dimensions.len();
        system.check(dimensions).map_err(Error::System)?;
        workload.check(count).map_err(Error::Workload)?;

        let mut groups = Vec::with_capacity(workload.groups.len());
        let mut group_chunks = 0;
        for (&id, members) in &workload.groups {
            groups.push(Group::new(id, members, group_chunks));
            group_chunks += members.len();
        }
        let mut ranks = Vec::with_capacity(count as usize);
        let mut unfinished_parents = Vec::new();
        for &trace in &workload.trace_of_rank {
            ranks.push(RankState::new(unfinished_parents.len()));
            unfinished_parents.extend_from_slice(workload.traces[trace as usize].parent_counts());
        }
        let lines = count as usize * dimensions;
        let queues = lines * system.queues_per_dimension as usize;
        Ok(Self {
            system,
            workload,
            now: 0,
            events: Wheel::new(),
            events_run: 0,
            agenda: Agenda::new(),
            ranks,
            unfinished_parents,
            freed_in_pass: Vec::new(),
            finish_order: Vec::with_capacity(count as usize),
            groups,
            group_chunks: vec![0; group_chunks],
            plans: Plans::new(network, system, count),
            streams: Slab::new(),
            lanes: Vec::new(),
            queues: vec![Queue::EMPTY; queues],
            turns: vec![0; lines * plan::Selector::COUNT],
            trees: vec![false; lines * chunk::TREE_COLLECTIVES],
            memories: Memories::new(system.remote_memory),
            buses: Buses::new(system.shared_bus, count),
            custom: CustomRuns::new(),
            channels: Channels::new(),
            handshakes: Slab::new(),
            transport: match network.model {
                NetworkModel::CongestionUnaware => Transport::Unaware(Delays::new(network)),
                NetworkModel::CongestionAware => Transport::Aware(Fabric::new(&network.dimensions[0])),
            },
            messages: 0,
        })
    }

    /// Runs events until none is left.
    fn run(&mut self, stop: &AtomicBool) -> Result<(), Error> {
        while let Some((time, event)) = self.events.pop() {
            if time >= LAST_EXACT_TIME {
                return Err(Error::ClockRange);
            }
            self.now = time;
            self.events_run += 1;
            if self.events_run.is_multiple_of(EVENTS_PER_LOOK) && stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            self.handle(event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Agenda { list } => {
                let rank = self.agenda.rank(list);
                while let Some(task) = self.agenda.next(list) {
                    self.perform(rank, task)?;
                }
                self.agenda.close(list);
                Ok(())
            }
            Event::Arrival { channel, sent } => self.arrive(channel, sent),
            Event::Received(callback) => self.call(callback),
            Event::Hop { message } => {
                let Transport::Aware(fabric) = &mut self.transport else { return Ok(()) };
                match fabric.hop(&mut self.events, self.now, message) {
                    Some(arrived) => self.arrive(arrived.channel, arrived.sent),
                    None => Ok(()),
                }
            }
            Event::LinkFree { link } => {
                if let Transport::Aware(fabric) = &mut self.transport {
                    fabric.link_free(&mut self.events, self.now, link);
                }
                Ok(())
            }
        }
    }

    fn perform(&mut self, rank: u32, task: Task) -> Result<(), Error> {
        match task {
            Task::Reduce { stream } => {
                self.reduce(stream);
                Ok(())
            }
            Task::StepDone { stream } => self.step_done(stream),
            Task::NodeDone { node } => self.complete(rank, node),
            Task::MemoryFree => {
                self.release_memory(rank);
                Ok(())
            }
            Task::CustomDone { operation } => self.finish_custom(operation),
            Task::Bus { end, event } => self.bus_event(rank, end, event),
        }
    }

    fn call(&mut self, callback: Callback) -> Result<(), Error> {
        match callback {
            Callback::None => Ok(()),
            Callback::Stream { stream } => {
                self.received(stream);
                Ok(())
            }
            Callback::Node { rank, node } => self.complete(rank, node),
            Callback::Handshake { handshake } => {
                self.finish_handshake(handshake);
                Ok(())
            }
            Callback::Custom { operation } => self.finish_custom(operation),
        }
    }

    /// Has a rank do something after a delay.
    fn schedule(&mut self, rank: u32, delay: u64, task: Task) {
        self.agenda.add(&mut self.events, rank, self.now.saturating_add(delay), task);
    }

    fn report(self) -> Result<Report, Error> {
        if self.finish_order.len() < self.ranks.len() {
            return Err(Error::Stalled(Box::new(self.diagnose())));
        }
        Ok(Report {
            ranks: self.ranks.iter().map(RankState::report).collect(),
            finish_order: self.finish_order,
            messages: self.messages,
            events: self.events_run,
        })
    }
}
