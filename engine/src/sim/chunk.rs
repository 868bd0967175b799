//! The system layer: collectives are cut into chunks, and chunks go through queues and phases.
//!
//! One collective is under way on a rank at most, for it holds the rank's communication slot. So all chunks
//! that wait in a queue are of one collective and start in order, and a queue is a FIFO with a count of
//! running chunks.

use super::Simulation;
use super::algorithm::{Machine, Steps};
use super::issue::TAG_SPACE;
use super::plan::{Plan, PlanKey, Selector};
use super::slab::NONE;
use crate::collective::{CollectiveType, InvolvedDims};
use crate::dialect::Dialect;
use crate::error::{Error, NodeProblem};
use crate::workload::GroupId;

/// A group's chunks are numbered from its id times this.
const CHUNKS_PER_GROUP: u64 = 1_000_000;

/// Collective types that have tree counters of their own; the types that are cut into chunks.
pub(super) const TREE_COLLECTIVES: usize = 4;

/// Where the chunks of a group are counted for one of its members.
#[derive(Clone, Copy)]
pub(super) struct GroupCounter {
    group: GroupId,
    index: usize,
}

/// A chunk of a collective on one rank.
#[derive(Clone, Copy)]
pub(super) struct Stream {
    pub(super) rank: u32,
    /// Tag of its messages.
    pub(super) tag: u32,
    /// Index of the current phase among all phases, and the end of its plan.
    pub(super) phase: u32,
    pub(super) plan_start: u32,
    plan_end: u32,
    /// The queue it is in.
    queue: u32,
    /// The stream behind it in the queue, while it waits.
    next: u32,
    pub(super) machine: Machine,
}

/// What a phase of a chunk was dealt when the chunk was made.
#[derive(Clone, Copy, Default)]
pub(super) struct Lane {
    /// Queue within the dimension.
    queue: u16,
    pub(super) anticlockwise: bool,
    /// Whether a tree phase uses the second tree.
    pub(super) second_tree: bool,
}

/// A queue of one rank.
#[derive(Clone, Copy)]
pub(super) struct Queue {
    running: u32,
    /// First and last chunk that wait.
    first: u32,
    last: u32,
}

impl Queue {
    pub(super) const EMPTY: Self = Self { running: 0, first: NONE, last: NONE };
}

impl Simulation<'_> {
    /// Cuts a collective into chunks and puts each into its first queue.
    pub(super) fn start_collective(
        &mut self,
        rank: u32,
        collective: CollectiveType,
        size: u64,
        group: Option<usize>,
        involved: InvolvedDims,
    ) -> Result<(), NodeProblem> {
        if !collective.is_simulated() {
            return Err(NodeProblem::Collective(collective));
        }
        let (chunk, chunks) = self.cut(collective, size)?;
        let counter = self.group_counter(rank, group)?;
        // A group of all ranks runs like a collective without group, in every dimension, whatever its order
        // is.
        let key = match group {
            Some(index) if self.groups[index].members.len() == self.npus as usize => {
                PlanKey { collective, chunk, involved: InvolvedDims::ALL, group: None }
            }
            Some(index) => {
                PlanKey { collective, chunk, involved: InvolvedDims::ALL, group: Some(index as u32) }
            }
            None => PlanKey { collective, chunk, involved, group: None },
        };
        let plan = self.plans.plan(key, &self.groups)?;
        self.ranks[rank as usize].chunks_left = chunks;
        for chunk in 0..chunks {
            let stream = self.new_stream(rank, &plan, counter, Machine::Idle, chunk);
            self.deal_lanes(stream, collective);
            let queue = self.enqueue(stream);
            self.start_waiting(queue);
        }
        Ok(())
    }

    /// Makes the stream of a custom collective's chunk with this number. In dialect `astra-sim` it goes into the first queue, in `deepflow` into
    /// that whose turn it is.
    pub(super) fn new_custom_stream(
        &mut self,
        rank: u32,
        collective: CollectiveType,
        counter: Option<GroupCounter>,
        run: u32,
        chunk: u32,
    ) -> u32 {
        let plan = self.plans.custom_plan(collective);
        let stream = self.new_stream(rank, &plan, counter, Machine::Custom { run }, chunk);
        match self.system.dialect {
            Dialect::AstraSim => *self.lane_mut(stream, 0) = Lane::default(),
            Dialect::DeepFlow => self.deal_lanes(stream, collective),
        }
        stream
    }

    /// Makes the stream of a collective's chunk with this number.
    fn new_stream(
        &mut self,
        rank: u32,
        plan: &Plan,
        counter: Option<GroupCounter>,
        machine: Machine,
        chunk: u32,
    ) -> u32 {
        let tag = self.next_tag(rank, counter);
        let stream = self.streams.insert(Stream {
            rank,
            tag,
            phase: plan.start,
            plan_start: plan.start,
            plan_end: plan.end,
            queue: NONE,
            next: NONE,
            machine,
        });
        if let Some(watch) = &mut self.watch {
            watch.chunk_made(stream, chunk);
        }
        stream
    }

    /// Where the chunks of a group are counted for a rank, which must be a member.
    pub(super) fn group_counter(
        &self,
        rank: u32,
        group: Option<usize>,
    ) -> Result<Option<GroupCounter>, NodeProblem> {
        let Some(index) = group else { return Ok(None) };
        let group = &self.groups[index];
        let position = group.position(rank).ok_or(NodeProblem::NotMember(group.id))?;
        Ok(Some(GroupCounter { group: group.id, index: group.first_counter + position as usize }))
    }

    /// Size and number of the chunks. Chunks are of equal size, so that the last may reach beyond the end.
    pub(super) fn cut(&self, collective: CollectiveType, size: u64) -> Result<(u64, u32), NodeProblem> {
        let splits = self.system.preferred_dataset_splits;
        if splits == 0 {
            return Err(NodeProblem::ZeroSetting("preferred-dataset-splits"));
        }
        if self.system.active_chunks_per_dimension == 0 {
            return Err(NodeProblem::ZeroSetting("active-chunks-per-dimension"));
        }
        let smallest = u64::from(self.npus);
        let (mut chunk, mut size) = (size / u64::from(splits), size);
        if collective == CollectiveType::AllGather {
            if chunk == 0 {
                return Err(NodeProblem::SmallAllGather { size, splits });
            }
        } else if chunk < smallest {
            chunk = smallest;
            size = smallest * u64::from(splits);
        }
        let chunks = size.div_ceil(chunk);
        if chunks > CHUNKS_PER_GROUP {
            return Err(NodeProblem::TooManyChunks(chunks));
        }
        Ok((chunk, chunks as u32))
    }

    /// The tag of the rank's next chunk. Chunks of groups have numbers of their own, but count as chunks of
    /// the rank too.
    fn next_tag(&mut self, rank: u32, group_counter: Option<GroupCounter>) -> u32 {
        let own = &mut self.ranks[rank as usize].chunks;
        let mut number = u64::from(*own);
        *own = own.wrapping_add(1);
        if let Some(GroupCounter { group, index }) = group_counter {
            let made = &mut self.group_chunks[index];
            number = u64::from(group.get()) * CHUNKS_PER_GROUP + u64::from(*made);
            *made = made.wrapping_add(1);
        }
        (number % u64::from(TAG_SPACE)) as u32 + TAG_SPACE
    }

    /// Deals a queue and a tree to every phase of a new chunk.
    fn deal_lanes(&mut self, stream: u32, collective: CollectiveType) {
        let Stream { rank, plan_start, plan_end, .. } = self.streams[stream];
        let queues = self.system.queues_per_dimension;
        for phase in plan_start..plan_end {
            let phase_state = &self.plans.phases[phase as usize];
            let (selector, is_tree) = (phase_state.selector, matches!(phase_state.steps, Steps::Tree(_)));
            let line = self.line(rank, phase_state.dimension);
            let turn = &mut self.turns[line * Selector::COUNT + selector as usize];
            let half = queues / 2;
            let (first, count) = match selector {
                Selector::Any => (0, queues),
                Selector::First => (0, half.max(1)),
                Selector::Last if queues == 1 => (0, 1),
                Selector::Last => (half, queues - half),
            };
            let queue = first + *turn;
            *turn = (*turn + 1) % count;
            let mut second_tree = false;
            if is_tree {
                let dealt = &mut self.trees[line * TREE_COLLECTIVES + tree_counter(collective)];
                second_tree = *dealt;
                *dealt = !*dealt;
            }
            *self.lane_mut(stream, phase - plan_start) = Lane {
                queue: queue as u16,
                anticlockwise: match selector {
                    Selector::Any => queues > 1 && queue >= half,
                    Selector::First => false,
                    Selector::Last => true,
                },
                second_tree,
            };
        }
    }

    /// The place of a rank's dimension in tables by rank and dimension.
    fn line(&self, rank: u32, dimension: u32) -> usize {
        rank as usize * self.plans.dimensions() + dimension as usize
    }

    /// The place for what a phase of a chunk, counted from the plan's first, is dealt.
    fn lane_mut(&mut self, stream: u32, phase: u32) -> &mut Lane {
        let longest = self.plans.longest();
        let first = stream as usize * longest;
        if self.lanes.len() < first + longest {
            self.lanes.resize(first + longest, Lane::default());
        }
        &mut self.lanes[first + phase as usize]
    }

    pub(super) fn lane(&self, stream: u32) -> Lane {
        let Stream { phase, plan_start, .. } = self.streams[stream];
        self.lanes[stream as usize * self.plans.longest() + (phase - plan_start) as usize]
    }

    /// Puts a chunk at the end of the queue of its current phase.
    pub(super) fn enqueue(&mut self, stream: u32) -> u32 {
        let Stream { rank, phase, .. } = self.streams[stream];
        let line = self.line(rank, self.plans.phases[phase as usize].dimension);
        let queue = line * self.system.queues_per_dimension as usize + usize::from(self.lane(stream).queue);
        let state = &mut self.queues[queue];
        if state.first == NONE {
            state.first = stream;
        } else {
            self.streams[state.last].next = stream;
        }
        state.last = stream;
        self.streams[stream].queue = queue as u32;
        self.streams[stream].next = NONE;
        queue as u32
    }

    /// Starts waiting chunks of a queue while it has room.
    pub(super) fn start_waiting(&mut self, queue: u32) {
        let room = self.system.active_chunks_per_dimension.div_ceil(self.system.queues_per_dimension);
        loop {
            let state = &mut self.queues[queue as usize];
            let stream = state.first;
            if stream == NONE || state.running >= room {
                return;
            }
            state.first = self.streams[stream].next;
            state.running += 1;
            if let Some(watch) = &mut self.watch {
                watch.phase_began(stream, self.now);
            }
            self.start_phase(stream);
        }
    }

    /// A chunk's phase is complete on its rank. The order of the steps is observable: the last chunk of a
    /// collective lets the rank issue its next node while it still holds its place in the queue.
    pub(super) fn advance(&mut self, stream: u32) -> Result<(), Error> {
        if self.watch.is_some() {
            self.tell_phase(stream);
        }
        let Stream { rank, phase, plan_end, queue: old, .. } = self.streams[stream];
        let last_phase = phase + 1 == plan_end;
        if last_phase {
            self.streams.remove(stream);
            self.chunk_complete(rank)?;
            self.queues[old as usize].running -= 1;
            self.start_waiting(old);
            return Ok(());
        }
        self.streams[stream].phase = phase + 1;
        let new = self.enqueue(stream);
        self.queues[old as usize].running -= 1;
        self.start_waiting(old);
        self.start_waiting(new);
        Ok(())
    }

    fn chunk_complete(&mut self, rank: u32) -> Result<(), Error> {
        let state = &mut self.ranks[rank as usize];
        state.chunks_left -= 1;
        if state.chunks_left > 0 {
            return Ok(());
        }
        match state.communicating() {
            Some(node) => self.complete(rank, node),
            None => Ok(()),
        }
    }
}

/// Where a collective type's tree counter is.
const fn tree_counter(collective: CollectiveType) -> usize {
    match collective {
        CollectiveType::AllReduce => 0,
        CollectiveType::AllGather => 1,
        CollectiveType::ReduceScatter => 2,
        _ => 3,
    }
}
