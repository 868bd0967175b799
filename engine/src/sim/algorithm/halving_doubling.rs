//! `halvingDoubling`: partners at distances that double while messages halve, and back.
//!
//! The number of members is a power of two, which the plan has checked; so the partner at a distance is the
//! own index with one bit flipped.

use super::{Cycle, Exchange, MemoryStep};
use crate::collective::CollectiveType;

/// Constants of a halving-doubling phase.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct HalvingSteps {
    rounds: u32,
    first: Packet,
    count: u32,
}

/// A message that is prepared.
#[derive(Clone, Copy, Debug)]
struct Packet {
    size: u64,
    /// Distance to the partner; 0 and `count` follow the last round and are never used.
    distance: u32,
    /// Whether distances double and sizes halve from here on, or the other way round.
    doubling: bool,
}

impl HalvingSteps {
    pub(super) fn new(collective: CollectiveType, count: u32, size: u64) -> Self {
        let bits = count.trailing_zeros();
        let outwards = Packet { size: size / 2, distance: 1, doubling: true };
        let (rounds, first) = match collective {
            CollectiveType::AllReduce => (2 * bits, outwards),
            CollectiveType::AllGather => (bits, Packet { size, distance: count / 2, doubling: false }),
            _ => (bits, outwards),
        };
        Self { rounds, first, count }
    }

    /// The largest size that a memory step works on: sizes that grow do so until the step after the last
    /// receive.
    pub(super) const fn largest_step(&self) -> u64 {
        if self.first.doubling {
            self.first.size.saturating_mul(2)
        } else {
            self.first.size.saturating_mul(self.count as u64)
        }
    }

    /// The state before the first step.
    pub(in crate::sim) fn start(&self, own: u32) -> Halving {
        let bits = u64::from(self.count.trailing_zeros());
        Halving {
            own,
            rounds_left: self.rounds,
            packet: self.first,
            next: self.first,
            cycle: Cycle::new(bits.max(1), 1),
        }
    }
}

impl Packet {
    /// The message of the round after this one. An all-reduce turns round when the distance has reached the
    /// member count.
    fn after(self, collective: CollectiveType, count: u32) -> Self {
        if !self.doubling {
            return Self { size: self.size.saturating_mul(2), distance: self.distance / 2, ..self };
        }
        let next = Self { size: self.size / 2, distance: self.distance.saturating_mul(2), doubling: true };
        if collective == CollectiveType::AllReduce && next.distance == count {
            return Self { size: next.size * 2, distance: next.distance / 2, doubling: false };
        }
        next
    }
}

/// Progress of a chunk.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Halving {
    own: u32,
    rounds_left: u32,
    /// The message whose memory step is under way.
    packet: Packet,
    next: Packet,
    cycle: Cycle,
}

impl Halving {
    /// At the start and after each receive the next message is prepared by a memory step.
    pub(in crate::sim) fn prepare(&mut self, steps: &HalvingSteps, collective: CollectiveType) -> MemoryStep {
        self.packet = self.next;
        self.next = self.packet.after(collective, steps.count);
        self.cycle.step(collective)
    }

    /// The size that the memory step under way works on.
    pub(in crate::sim) const fn packet_size(&self) -> u64 {
        self.packet.size
    }

    /// A memory step is done: the exchange that follows, or none if the phase is complete.
    pub(in crate::sim) fn step_done(&mut self) -> Option<Exchange> {
        self.rounds_left = self.rounds_left.checked_sub(1)?;
        let partner = self.own ^ self.packet.distance;
        Some(Exchange { to: partner, from: partner, size: self.packet.size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What member 0 does in a phase.
    #[derive(Default)]
    struct Run {
        /// Partner and size of each round.
        rounds: Vec<(u32, u64)>,
        /// Size and reduce flag of each memory step.
        memory: Vec<(u64, bool)>,
    }

    fn run(collective: CollectiveType, count: u32, size: u64) -> Run {
        let steps = HalvingSteps::new(collective, count, size);
        let mut state = steps.start(0);
        let mut run = Run::default();
        loop {
            let step = state.prepare(&steps, collective);
            run.memory.push((state.packet_size(), step.reduces));
            match state.step_done() {
                Some(exchange) => run.rounds.push((exchange.to, exchange.size)),
                None => return run,
            }
        }
    }

    #[test]
    fn an_all_reduce_goes_out_and_comes_back() {
        let Run { rounds, memory } = run(CollectiveType::AllReduce, 4, 400);
        assert_eq!(rounds, [(1, 200), (2, 100), (2, 100), (1, 200)]);
        assert_eq!(memory, [(200, false), (100, true), (100, false), (200, false), (400, false)]);
    }

    #[test]
    fn a_gather_starts_far_away_and_doubles_its_messages() {
        assert_eq!(run(CollectiveType::AllGather, 8, 10).rounds, [(4, 10), (2, 20), (1, 40)]);
    }

    #[test]
    fn the_last_receive_of_a_reduce_scatter_is_not_reduced() {
        let Run { memory, .. } = run(CollectiveType::ReduceScatter, 8, 800);
        let flags: Vec<_> = memory.iter().map(|&(_, reduces)| reduces).collect();
        assert_eq!(flags, [false, true, true, false]);
    }
}
