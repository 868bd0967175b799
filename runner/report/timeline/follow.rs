//! The observer that writes the events.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use astra_engine::{
    ChunkPhase, GroupId, Link, Message, Nanos, Node, NodeKind, NodeOf, Observer, Rank, Transmission, Workload,
};

use super::event::{ArrowEnd, Event, Events, Track};
use super::lanes::{Ids, Lane, LaneGroup, Lanes};
use super::selection::Selection;

/// At most so many members of a group are named in every one of its collectives.
const NAMED_MEMBERS: usize = 16;

/// An observer that writes what it is told as trace events: a process per rank with threads for computation,
/// communication, CPU, remote memory and receives, arrows from sends to receives, and as far as they are selected the
/// chunks of collectives.
///
/// When the writer fails, the flag that stops the simulation is set, and [`Timeline::end`] gives the error.
#[derive(Debug)]
pub struct Timeline<'a, W> {
    selection: Selection,
    workload: &'a Workload,
    stop: &'a AtomicBool,
    events: io::Result<Events<W>>,
    ranks: Vec<Lanes>,
    ids: Ids,
    arrows: u64,
    /// When nodes that are not over began, by rank and index.
    open: BTreeMap<(Rank, u32), Nanos>,
    /// Messages that are about to complete a receive, by rank and index.
    arrived: BTreeMap<(Rank, u32), Message>,
    /// Numbers of the links that have been shown.
    links: BTreeSet<u32>,
    /// Their dimensions.
    dimensions: BTreeSet<u32>,
    /// Text that names the members of each group.
    members: BTreeMap<GroupId, String>,
}

impl<'a, W: Write> Timeline<'a, W> {
    /// A timeline of a simulation that `stop` can end.
    pub fn new(out: W, selection: Selection, workload: &'a Workload, stop: &'a AtomicBool) -> Self {
        let ranks = workload.trace_of_rank.len();
        let mut timeline = Self {
            selection,
            workload,
            stop,
            events: Events::begin(out).inspect_err(|_| stop.store(true, Ordering::Relaxed)),
            ranks: std::iter::repeat_with(Lanes::default).take(ranks).collect(),
            ids: Ids::new(ranks as u32),
            arrows: 0,
            open: BTreeMap::new(),
            arrived: BTreeMap::new(),
            links: BTreeSet::new(),
            dimensions: BTreeSet::new(),
            members: workload.groups.iter().map(|(&id, members)| (id, listed(members))).collect(),
        };
        // Of equal length, because viewers sort names as text.
        let width = ranks.saturating_sub(1).to_string().len();
        for rank in (0..ranks as u32).map(Rank) {
            if timeline.selection.has_rank(rank) {
                let track = Track { process: rank.0, thread: None };
                timeline.write(&Event::label("process_name", track, format_args!("rank {:0width$}", rank.0)));
                timeline.write(&Event::label("process_sort_index", track, rank));
            }
        }
        timeline
    }

    /// Ends the timeline and gives the writer back. Nodes that are not over, when the simulation stalled `at` a time,
    /// are shown until then and marked as `unfinished`.
    ///
    /// # Errors
    /// The first error of the writer.
    pub fn end(mut self, at: Option<Nanos>) -> io::Result<W> {
        if let Some(at) = at {
            for ((rank, index), began) in std::mem::take(&mut self.open) {
                let trace = self.workload.trace(rank);
                let (id, name, node) = (trace.id(index), trace.name(index), trace.node(index));
                self.node(&NodeOf { rank, index, id, name, node }, (began, at), true);
            }
        }
        self.events?.end()
    }

    fn write(&mut self, event: &str) {
        if let Ok(events) = &mut self.events
            && let Err(e) = events.write(event)
        {
            self.events = Err(e);
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// The track of a lane, named when it is used for the first time.
    fn track(&mut self, rank: Rank, lane: Lane) -> Track {
        let lanes = &mut self.ranks[rank.0 as usize];
        let (track, new) = lanes.track(rank, lane, &mut self.ids);
        if let Some(thread) = track.thread.filter(|_| new) {
            self.write(&Event::label("thread_name", track, lane.name()));
            self.write(&Event::label("thread_sort_index", track, thread));
        }
        track
    }

    /// The track of a link, named when it is used for the first time.
    fn link_track(&mut self, id: u32, link: Link) -> Track {
        let track = self.ids.link(link.dimension, id);
        if self.dimensions.insert(link.dimension) {
            let process = Track { thread: None, ..track };
            let name = format_args!("links of dimension {}", link.dimension);
            self.write(&Event::label("process_name", process, name));
            self.write(&Event::label("process_sort_index", process, process.process));
        }
        if let Some(thread) = track.thread.filter(|_| self.links.insert(id)) {
            self.write(&Event::label("thread_name", track, format_args!("{} → {}", link.from, link.to)));
            self.write(&Event::label("thread_sort_index", track, thread));
        }
        track
    }

    /// Writes the interval of a node and an arrow to it, if it is selected.
    fn node(&mut self, node: &NodeOf<'_>, (start, end): (Nanos, Nanos), unfinished: bool) {
        let lane = self.ranks[node.rank.0 as usize].lane(LaneGroup::of(node.node), start, end);
        let arrow = self.arrived.remove(&(node.rank, node.index));
        if !self.selection.has_time(start, end) {
            return;
        }
        let track = self.track(node.rank, lane);
        let kind = kind(node.node);
        let name = if node.name.is_empty() { kind } else { node.name };
        let mut event = Event::interval(track, start, end, name, kind);
        event.field("node", node.id);
        self.describe(&mut event, node.node);
        if unfinished {
            event.field("unfinished", true);
        }
        let event = event.end();
        match arrow.filter(|message| self.shows_sender(message)) {
            Some(message) => self.receive(&event, track, (start, end), &message),
            None => self.write(&event),
        }
    }

    /// Writes the interval of a receive and the arrow from its send. Between the two viewers want the end that begins
    /// first to be the sender, so that the arrow leads to an interval inside, that of the message.
    fn receive(&mut self, event: &str, track: Track, (start, end): (Nanos, Nanos), message: &Message) {
        let from = self.track(message.source, Lane::Communication);
        self.arrows += 1;
        let begin = Event::arrow(ArrowEnd::From, from, message.sent, self.arrows);
        let since = start.max(message.sent);
        if since == end {
            self.write(&begin);
            self.write(&Event::arrow(ArrowEnd::IntoNext, track, end, self.arrows));
            return self.write(event);
        }
        self.write(event);
        self.write(&Event::interval(track, since, end, "message", "message").end());
        self.write(&begin);
        self.write(&Event::arrow(ArrowEnd::IntoOpen, track, Nanos(end.0 - 1), self.arrows));
    }

    /// Whether the send node of a message is shown.
    fn shows_sender(&self, message: &Message) -> bool {
        self.selection.has_rank(message.source) && self.selection.has_time(message.sent, message.arrived)
    }

    fn kind_of(&self, rank: Rank, index: Option<u32>) -> Option<NodeKind> {
        index.map(|index| self.workload.trace(rank).node(index).kind)
    }

    /// What a node does, as arguments.
    fn describe(&self, event: &mut Event, node: &Node) {
        match node.kind {
            NodeKind::Collective { collective, size, group, .. } => {
                event.text("collective", collective.as_str());
                event.field("bytes", size.0);
                if let Some(group) = group {
                    event.field("group", group);
                }
                match group.and_then(|group| self.members.get(&group)) {
                    Some(members) => event.text("ranks", members),
                    None => event.text("ranks", &format!("all {}", self.ranks.len())),
                }
            }
            NodeKind::Send { to, size, tag } => {
                event.field("to", to);
                event.field("bytes", size.0);
                event.field("tag", tag);
            }
            NodeKind::Recv { from, size, tag } => {
                event.field("from", from);
                event.field("bytes", size.0);
                event.field("tag", tag);
            }
            NodeKind::MemoryLoad(size) | NodeKind::MemoryStore(size) => event.field("bytes", size.0),
            NodeKind::Compute { work: Some(work) } => {
                event.field("operations", work.ops);
                event.field("bytes", work.bytes.0);
            }
            NodeKind::Compute { work: None } | NodeKind::Metadata | NodeKind::Invalid => {}
        }
    }
}

impl<W: Write> Observer for Timeline<'_, W> {
    fn node_began(&mut self, node: &NodeOf<'_>, at: Nanos) {
        if self.selection.has_rank(node.rank) {
            self.open.insert((node.rank, node.index), at);
        }
    }

    fn node_ended(&mut self, node: &NodeOf<'_>, at: Nanos) {
        if let Some(began) = self.open.remove(&(node.rank, node.index)) {
            self.node(node, (began, at), false);
        }
    }

    fn message(&mut self, message: &Message) {
        if !self.selection.has_rank(message.destination) {
            return;
        }
        let sender = self.kind_of(message.source, message.sender);
        let receiver = self.kind_of(message.destination, message.receiver);
        if let (Some(index), Some(NodeKind::Send { .. }), Some(NodeKind::Recv { .. })) =
            (message.receiver, sender, receiver)
        {
            self.arrived.insert((message.destination, index), *message);
        }
    }

    fn phase(&mut self, phase: &ChunkPhase) {
        let &ChunkPhase { rank, node, chunk, dimension, collective, algorithm, start, end, .. } = phase;
        if !self.selection.chunks || !self.selection.has_rank(rank) {
            return;
        }
        let lane = self.ranks[rank.0 as usize].lane(LaneGroup::Chunks(dimension), start, end);
        if !self.selection.has_time(start, end) {
            return;
        }
        let track = self.track(rank, lane);
        let name = format!("{collective}, chunk {chunk}");
        let mut event = Event::interval(track, start, end, &name, "chunk");
        event.field("node", self.workload.trace(rank).id(node));
        event.field("chunk", chunk);
        event.field("phase", phase.phase);
        event.field("dimension", dimension);
        let algorithm = algorithm.map_or_else(|| "custom".to_owned(), |algorithm| algorithm.to_string());
        event.text("algorithm", &algorithm);
        self.write(&event.end());
    }

    fn transmission(&mut self, transmission: &Transmission) {
        let &Transmission { id, link, came, start, end, size, source, destination, queue, .. } = transmission;
        let concerns_selected = self.selection.has_rank(source) || self.selection.has_rank(destination);
        if !self.selection.links || !concerns_selected || !self.selection.has_time(start, end) {
            return;
        }
        let track = self.link_track(id, link);
        let name = format!("{source} → {destination}");
        let mut event = Event::interval(track, start, end, &name, "link");
        event.field("bytes", size.0);
        event.field("waited_ns", start.0 - came.0);
        event.field("queue", queue);
        self.write(&event.end());
    }
}

/// What kind of node this is; the name of one that has none.
const fn kind(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Compute { .. } => "compute",
        NodeKind::Collective { collective, .. } => collective.as_str(),
        NodeKind::Send { .. } => "send",
        NodeKind::Recv { .. } => "receive",
        NodeKind::MemoryLoad(_) => "memory load",
        NodeKind::MemoryStore(_) => "memory store",
        NodeKind::Metadata => "metadata",
        NodeKind::Invalid => "invalid",
    }
}

/// The members of a group: all if they are few, otherwise how many and the first of them.
fn listed(members: &[Rank]) -> String {
    let named = |members: &[Rank]| members.iter().map(Rank::to_string).collect::<Vec<_>>().join(", ");
    if members.len() <= NAMED_MEMBERS {
        return named(members);
    }
    format!("{}, … ({} ranks)", named(&members[..NAMED_MEMBERS]), members.len())
}
