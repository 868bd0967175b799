//! How the simulators cut a collective into chunks and chunks into phases, and what the phases of all chunks take
//! together when each waits for its turn on its dimension.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use astra_policy::{Collective, CollectiveOptimization, Request};

use crate::phase::Phase;

/// Chunks of equal size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunks {
    pub(crate) bytes: u64,
    pub(crate) count: u64,
}

impl Chunks {
    /// Of a request. No chunk is smaller than a byte per rank, but of an all-gather, which the simulators refuse where
    /// a chunk would be empty.
    pub(crate) fn of(request: &Request) -> Self {
        let splits = u64::from(request.dataset_splits.max(1));
        let least = if request.collective == Collective::AllGather { 1 } else { u64::from(request.ranks) };
        let bytes = request.payload_bytes / splits;
        if bytes < least {
            return Self { bytes: least, count: splits };
        }
        Self { bytes, count: request.payload_bytes.div_ceil(bytes) }
    }
}

/// A phase that a chunk goes through: what it does on which dimension, with which input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) dimension: usize,
    pub(crate) collective: Collective,
    pub(crate) bytes: u64,
}

/// The phases of every chunk of a request that goes through each dimension.
pub(crate) fn stages(request: &Request, chunk_bytes: u64) -> Vec<Stage> {
    let last = request.dimensions.len() - 1;
    let mut bytes = chunk_bytes;
    let mut stage = |dimension: usize, collective: Collective| {
        let input = bytes;
        let members = u64::from(request.dimensions[dimension].npus.max(1));
        bytes = match collective {
            Collective::ReduceScatter => (bytes / members).max(1),
            Collective::AllGather => bytes.saturating_mul(members),
            Collective::AllReduce | Collective::AllToAll => bytes,
        };
        Stage { dimension, collective, bytes: input }
    };
    match (request.collective, request.collective_optimization) {
        (Collective::AllReduce, CollectiveOptimization::LocalBwAware) => {
            let mut stages = Vec::with_capacity(2 * last + 1);
            stages.extend((0..last).map(|dimension| stage(dimension, Collective::ReduceScatter)));
            stages.push(stage(last, Collective::AllReduce));
            stages.extend((0..last).rev().map(|dimension| stage(dimension, Collective::AllGather)));
            stages
        }
        (Collective::AllGather, _) => (0..=last).rev().map(|d| stage(d, Collective::AllGather)).collect(),
        (collective, _) => (0..=last).map(|dimension| stage(dimension, collective)).collect(),
    }
}

/// A phase of every chunk, and the queue it waits in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) dimension: usize,
    /// Number of the queue, among those of all dimensions.
    lane: usize,
    /// Chunks that the lane runs at once.
    slots: u64,
    pub(crate) phase: Phase,
}

impl Turn {
    /// The turn of a stage. Of several queues per dimension the first half is for what leads to the middle of a
    /// decomposed all-reduce, the others for what leads back.
    pub(crate) fn of(request: &Request, stage: &Stage, phase: Phase) -> Self {
        let queues = u64::from(request.queues_per_dimension.max(1));
        let each = u64::from(request.active_chunks.max(1)).div_ceil(queues);
        let is_decomposed = request.collective == Collective::AllReduce
            && request.collective_optimization == CollectiveOptimization::LocalBwAware;
        let first = (queues / 2).max(1);
        let (is_apart, queues) = match (is_decomposed, stage.collective) {
            (false, _) => (false, queues),
            (true, Collective::AllGather) => (queues > 1, queues - queues / 2),
            (true, _) => (false, first),
        };
        let lane = 2 * stage.dimension + usize::from(is_apart);
        Self { dimension: stage.dimension, lane, slots: queues.saturating_mul(each), phase }
    }
}

/// The most chunks that are followed one by one; what more of them take is carried on from there.
const FOLLOWED: u64 = 16;

/// When the last of `chunks` chunks has taken its turns, each lane in the order in which they come there.
pub(crate) fn makespan_ns(turns: &[Turn], chunks: u64) -> f64 {
    let lag_ns: f64 = turns.iter().map(|turn| turn.phase.lag_ns).sum();
    if chunks == 1 {
        return lag_ns + turns.iter().map(|turn| turn.phase.cost.total_ns()).sum::<f64>();
    }
    if chunks <= FOLLOWED {
        return lag_ns + follow(turns, chunks);
    }
    let (half, whole) = (follow(turns, FOLLOWED / 2), follow(turns, FOLLOWED));
    lag_ns + whole + (chunks - FOLLOWED) as f64 * (whole - half) / (FOLLOWED - FOLLOWED / 2) as f64
}

/// A queue while chunks pass through it.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// When each slot is free again.
    free_ns: Vec<f64>,
    /// When the busiest link has sent everything that was given to it.
    sent_ns: f64,
}

fn follow(turns: &[Turn], chunks: u64) -> f64 {
    let mut lanes: Vec<Lane> = Vec::new();
    for turn in turns {
        lanes.resize(lanes.len().max(turn.lane + 1), Lane::default());
        let slots = turn.slots.min(chunks) as usize;
        lanes[turn.lane].free_ns.resize(slots, 0.0);
    }
    let mut end_ns = 0.0_f64;
    // Whole nanoseconds have an order; of chunks that come together that with the lower number goes first.
    let mut coming: BinaryHeap<Reverse<(u64, u64, usize)>> =
        (0..chunks).map(|chunk| Reverse((0, chunk, 0))).collect();
    while let Some(Reverse((ready_ns, chunk, at))) = coming.pop() {
        let Some(turn) = turns.get(at) else { continue };
        let done_ns = lanes[turn.lane].take(ready_ns as f64, &turn.phase);
        end_ns = end_ns.max(done_ns);
        if at + 1 < turns.len() {
            coming.push(Reverse((done_ns as u64, chunk, at + 1)));
        }
    }
    end_ns
}

impl Lane {
    /// Runs a phase that is ready, in the slot that is free first; returns when it ends.
    fn take(&mut self, ready_ns: f64, phase: &Phase) -> f64 {
        let Some(slot) = self.free_ns.iter_mut().min_by(|a, b| a.total_cmp(b)) else { return ready_ns };
        let begins_ns = slot.max(ready_ns);
        self.sent_ns = self.sent_ns.max(begins_ns + phase.before_ns) + phase.busy_ns;
        *slot = (begins_ns + phase.cost.total_ns()).max(self.sent_ns + phase.after_ns);
        *slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Cost;

    fn turn(dimension: usize, ns: f64, busy_ns: f64, slots: u64) -> Turn {
        let cost = Cost { latency_ns: ns, ..Cost::default() };
        Turn { dimension, lane: 2 * dimension, slots, phase: Phase { cost, busy_ns, ..Phase::default() } }
    }

    #[test]
    fn chunks_take_turns_as_in_the_worked_example_of_two_dimensions() {
        // Reduce-scatter, all-reduce, all-gather of two chunks; the outer phases share a queue.
        let turns = [turn(0, 5447.0, 0.0, 1), turn(1, 8902.0, 0.0, 1), turn(0, 4322.0, 0.0, 1)];
        assert_eq!(makespan_ns(&turns, 1), 18_671.0);
        assert_eq!(makespan_ns(&turns, 2), 27_573.0);
    }

    #[test]
    fn chunks_side_by_side_share_what_a_link_can_carry() {
        let apart = [turn(0, 100.0, 0.0, 2)];
        assert_eq!(makespan_ns(&apart, 4), 200.0);
        let crowded = [turn(0, 100.0, 80.0, 2)];
        assert_eq!(makespan_ns(&crowded, 4), 320.0);
    }

    #[test]
    fn many_chunks_are_carried_on_from_some() {
        let turns = [turn(0, 10.0, 0.0, 1), turn(1, 30.0, 0.0, 1)];
        assert_eq!(makespan_ns(&turns, 1000), 10.0 + 30.0 * 1000.0);
    }
}
