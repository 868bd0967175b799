//! The simulator: one struct of flat state, and its layers as methods in files of their own.
//!
//! `issue` runs the traces, `chunk` cuts collectives into chunks and moves them through queues and phases,
//! `algorithm` is what a phase does, `message` pairs and transports messages, `delay` and `fabric` (with
//! `links` and `route/`) are the two networks. Below them are the event queue (`wheel`, `agenda`) and storage (`slab`). Nothing here does
//! I/O or knows a file format.

mod agenda;
mod algorithm;
mod bus;
mod cause;
mod channel;
mod chunk;
mod custom;
mod delay;
mod diagnosis;
mod event;
mod fabric;
mod issue;
mod links;
mod memory;
mod message;
mod mirror;
mod phase;
mod plan;
mod rank;
mod route;
mod slab;
mod symmetry;
mod watch;
mod wheel;

use crate::error::Error;
use crate::network::{Network, NetworkModel};
use crate::node_record::NodeRecord;
use crate::observer::Observer;
use crate::report::Report;
use crate::system::System;
use crate::units::Rank;
use crate::unroutable::Unroutable;
use crate::workload::Workload;
use agenda::{Agenda, Task};
use bus::Buses;
use channel::Channels;
use chunk::{Queue, Stream};
use custom::CustomRuns;
use delay::Delays;
use event::{Callback, Delivery, Event};
use fabric::{Fabric, Hop};
use memory::Memories;
use message::Handshake;
use mirror::Mirror;
use plan::{Group, Plans};
use rank::RankState;
use slab::Slab;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use symmetry::Symmetry;
use watch::Watch;
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
    simulate_with(&Options::default(), network, system, workload, stop)
}

/// How to simulate; no option changes the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether one rank is simulated in place of all where all can be shown to be alike.
    pub shortcuts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { shortcuts: true }
    }
}

/// [`simulate_until`] with options.
///
/// # Errors
/// Those of [`simulate_until`].
pub fn simulate_with(
    options: &Options,
    network: &Network,
    system: &System,
    workload: &Workload,
    stop: &AtomicBool,
) -> Result<Report, Error> {
    check(network, system, workload, stop)?;
    if options.shortcuts
        && let Some(report) = shortcut(network, system, workload, stop)?
    {
        return Ok(report);
    }
    all_ranks(network, system, workload, stop, None)
}

/// [`simulate_until`] that tells an observer what happens. Every rank is simulated; the report is the same.
///
/// # Errors
/// Those of [`simulate_until`]. The observer has been told what happened before.
pub fn simulate_observed(
    network: &Network,
    system: &System,
    workload: &Workload,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Report, Error> {
    check(network, system, workload, stop)?;
    all_ranks(network, system, workload, stop, Some(observer))
}

/// Sees whether the inputs can be simulated together.
fn check(network: &Network, system: &System, workload: &Workload, stop: &AtomicBool) -> Result<(), Error> {
    let count = network.check().map_err(|(dimension, problem)| Error::Network { dimension, problem })?;
    system.check(network.dimensions.len()).map_err(Error::System)?;
    workload.check(count).and_then(|()| workload.check_dialect(system)).map_err(Error::Workload)?;
    if stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}

/// Simulates every rank, and explains why when one does not finish.
fn all_ranks<'a>(
    network: &'a Network,
    system: &'a System,
    workload: &'a Workload,
    stop: &AtomicBool,
    observer: Option<&'a mut (dyn Observer + 'a)>,
) -> Result<Report, Error> {
    let watch = observer.map(Watch::new);
    let simulation = full(network, system, workload, watch, stop)?;
    if !simulation.has_stalled() {
        return Ok(simulation.report());
    }
    // A run that is recorded comes to the same rest and can tell what came before.
    let record = RefCell::new(NodeRecord::new(workload));
    let mut recorder = &record;
    let stalled = full(network, system, workload, Some(Watch::new(&mut recorder)), stop)?;
    Err(Error::Stalled(Box::new(stalled.diagnose(&record.borrow()))))
}

/// Simulates every rank until no event is left.
fn full<'a>(
    network: &'a Network,
    system: &'a System,
    workload: &'a Workload,
    watch: Option<Watch<'a>>,
    stop: &AtomicBool,
) -> Result<Simulation<'a>, Error> {
    let transport = match network.model {
        NetworkModel::CongestionUnaware => Transport::Unaware(Delays::new(network)),
        NetworkModel::CongestionAware => {
            Transport::Aware(Box::new(Fabric::new(network, workload.trace_of_rank.len() as u32)))
        }
    };
    let mut simulation = Simulation::new(network, system, workload, transport);
    simulation.watch = watch;
    simulation.fire()?;
    simulation.run(stop)?;
    Ok(simulation)
}

/// Simulates rank 0 in place of all; `None` if the ranks are not alike, or if the run ends in an error, which the
/// full simulation words with the rank that met it first.
fn shortcut(
    network: &Network,
    system: &System,
    workload: &Workload,
    stop: &AtomicBool,
) -> Result<Option<Report>, Error> {
    let Some(symmetry) = Symmetry::of(network, system, workload) else { return Ok(None) };
    let mirror = Mirror::new(symmetry, network, workload.trace_of_rank.len() as u32);
    let mut simulation = Simulation::new(network, system, workload, Transport::Mirrored(Box::new(mirror)));
    let alike = simulation.fire().and_then(|()| simulation.run_mirrored(stop));
    match alike {
        Ok(true) if !simulation.has_stalled() => Ok(Some(simulation.report())),
        Err(Error::Interrupted) => Err(Error::Interrupted),
        _ => Ok(None),
    }
}

/// The transport of messages.
enum Transport {
    Unaware(Delays),
    Aware(Box<Fabric>),
    /// One rank stands for all.
    Mirrored(Box<Mirror>),
}

/// Everything a simulation holds.
struct Simulation<'a> {
    system: &'a System,
    workload: &'a Workload,
    /// Ranks of the network; as many are simulated, or one in place of all.
    npus: u32,
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
    watch: Option<Watch<'a>>,
    buses: Buses,
    custom: CustomRuns<'a>,
    channels: Channels,
    handshakes: Slab<Handshake>,
    /// What belongs to the parcels that are awaited.
    deliveries: Slab<Delivery>,
    /// Who is told of receives that found their message already there.
    found: Slab<Callback>,
    transport: Transport,
    /// The first message that has no route; the run ends before the next event.
    unroutable: Option<Box<Unroutable>>,
    messages: u64,
}

impl<'a> Simulation<'a> {
    /// The state before the first event. The inputs have been checked.
    fn new(network: &'a Network, system: &'a System, workload: &'a Workload, transport: Transport) -> Self {
        let npus = workload.trace_of_rank.len() as u32;
        let simulated = if matches!(transport, Transport::Mirrored(_)) { 1 } else { npus as usize };
        let dimensions = network.dimensions.len();
        let mut groups = Vec::with_capacity(workload.groups.len());
        let mut group_chunks = 0;
        for (&id, members) in &workload.groups {
            groups.push(Group::new(id, members, group_chunks));
            group_chunks += members.len();
        }
        let mut ranks = Vec::with_capacity(simulated);
        let mut unfinished_parents = Vec::new();
        for &trace in &workload.trace_of_rank[..simulated] {
            ranks.push(RankState::new(unfinished_parents.len()));
            unfinished_parents.extend_from_slice(workload.traces[trace as usize].parent_counts());
        }
        let lines = simulated * dimensions;
        let queues = lines * system.queues_per_dimension as usize;
        Self {
            system,
            workload,
            npus,
            now: 0,
            events: Wheel::new(),
            events_run: 0,
            agenda: Agenda::new(),
            ranks,
            unfinished_parents,
            freed_in_pass: Vec::new(),
            finish_order: Vec::with_capacity(simulated),
            groups,
            group_chunks: vec![0; group_chunks],
            plans: Plans::new(network, system, npus),
            streams: Slab::new(),
            lanes: Vec::new(),
            queues: vec![Queue::EMPTY; queues],
            turns: vec![0; lines * plan::Selector::COUNT],
            trees: vec![false; lines * chunk::TREE_COLLECTIVES],
            memories: Memories::new(system.remote_memory),
            watch: None,
            buses: Buses::new(system.shared_bus, simulated),
            custom: CustomRuns::new(),
            channels: Channels::new(),
            handshakes: Slab::new(),
            deliveries: Slab::new(),
            found: Slab::new(),
            transport,
            unroutable: None,
            messages: 0,
        }
    }

    /// Runs events until none is left.
    fn run(&mut self, stop: &AtomicBool) -> Result<(), Error> {
        while let Some((time, event)) = self.events.pop() {
            self.begin(time, stop)?;
            self.handle(event)?;
        }
        self.check_routes()
    }

    /// An event of this time begins.
    fn begin(&mut self, time: u64, stop: &AtomicBool) -> Result<(), Error> {
        self.check_routes()?;
        if time >= LAST_EXACT_TIME {
            return Err(Error::ClockRange);
        }
        self.now = time;
        self.events_run += 1;
        if self.events_run.is_multiple_of(EVENTS_PER_LOOK) && stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    /// Whether every message so far had a route.
    fn check_routes(&mut self) -> Result<(), Error> {
        self.unroutable.take().map_or(Ok(()), |unroutable| Err(Error::Unroutable(unroutable)))
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
            Event::Arrival(parcel) => self.arrive(parcel),
            Event::Received { found } => {
                let done = self.found.remove(found);
                self.call(done)
            }
            Event::Hop { message } => {
                if self.watch.is_some() {
                    self.watch_hop(message);
                }
                let (events, now) = (&mut self.events, self.now);
                let arrived = match &mut self.transport {
                    Transport::Unaware(_) => None,
                    Transport::Aware(fabric) => match fabric.hop(events, now, message) {
                        Hop::Arrived(parcel) => Some(parcel),
                        Hop::Forwarded(started) => {
                            if self.watch.is_some() {
                                self.tell_transmission(started);
                            }
                            None
                        }
                    },
                    Transport::Mirrored(mirror) => mirror.hop(events, now, message),
                };
                arrived.map_or(Ok(()), |parcel| self.arrive(parcel))
            }
            Event::LinkFree { link } => {
                let (events, now) = (&mut self.events, self.now);
                match &mut self.transport {
                    Transport::Unaware(_) => {}
                    Transport::Aware(fabric) => {
                        let started = fabric.link_free(events, now, link);
                        if self.watch.is_some() {
                            self.tell_transmission(started);
                        }
                    }
                    Transport::Mirrored(mirror) => mirror.link_free(events, now, link),
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
        let time = self.now.saturating_add(delay);
        let (list, opened) = self.agenda.add(&mut self.events, rank, time, task);
        if let Transport::Mirrored(mirror) = &mut self.transport {
            mirror.note_task(self.now, list, opened);
        }
    }

    /// Whether a rank has not finished, when no event is left.
    const fn has_stalled(&self) -> bool {
        self.finish_order.len() < self.ranks.len()
    }

    fn report(self) -> Report {
        let ranks = self.ranks.iter().map(RankState::report);
        match &self.transport {
            Transport::Mirrored(mirror) => Report {
                ranks: ranks.cycle().take(self.npus as usize).collect(),
                finish_order: mirror.finish_order(),
                messages: self.messages * u64::from(self.npus),
                events: self.events_run * u64::from(self.npus),
            },
            Transport::Unaware(_) | Transport::Aware(_) => Report {
                ranks: ranks.collect(),
                finish_order: self.finish_order,
                messages: self.messages,
                events: self.events_run,
            },
        }
    }
}
