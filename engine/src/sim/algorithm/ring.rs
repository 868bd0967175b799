//! `ring`: one message at a time to the next member, one from the previous.

use super::{Cycle, MemoryStep};
use crate::collective::CollectiveType;
use crate::units::Nanos;

/// Constants of a ring phase.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct RingSteps {
    rounds: u64,
    pub(in crate::sim) message: u64,
    pub(in crate::sim) reduction: Nanos,
    count: u32,
}

impl RingSteps {
    pub(super) fn new(collective: CollectiveType, count: u32, message: u64, reduction: Nanos) -> Self {
        let others = u64::from(count) - 1;
        let rounds = match collective {
            CollectiveType::AllReduce => 2 * others,
            CollectiveType::AllToAll => u64::from(count) * others / 2,
            _ => others,
        };
        Self { rounds, message, reduction, count }
    }

    /// The state before the first step.
    pub(in crate::sim) fn start(&self, outgoing: u32, incoming: u32) -> Ring {
        Ring { outgoing, incoming, rounds_left: self.rounds, cycle: Cycle::new(u64::from(self.count), 1) }
    }
}

/// Progress of a chunk. The two channels are the same in every round.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Ring {
    /// Channel to the next member.
    pub(in crate::sim) outgoing: u32,
    /// Channel from the previous member.
    pub(in crate::sim) incoming: u32,
    rounds_left: u64,
    cycle: Cycle,
}

impl Ring {
    /// At the start and after each receive there is one memory step.
    pub(in crate::sim) fn memory_step(&mut self, collective: CollectiveType) -> MemoryStep {
        self.cycle.step(collective)
    }

    /// A memory step is done: whether there is another round; if not, the phase is complete.
    pub(in crate::sim) fn step_done(&mut self) -> bool {
        let more = self.rounds_left > 0;
        if more {
            self.rounds_left -= 1;
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reduce flags of all steps of a phase, in order.
    fn flags(collective: CollectiveType, count: u32) -> Vec<bool> {
        let steps = RingSteps::new(collective, count, 1, Nanos(0));
        let mut ring = steps.start(0, 0);
        let mut flags = vec![ring.memory_step(collective).reduces];
        while ring.step_done() {
            flags.push(ring.memory_step(collective).reduces);
        }
        flags
    }

    #[test]
    fn an_all_reduce_reduces_in_its_first_half_only() {
        assert_eq!(flags(CollectiveType::AllReduce, 4), [false, true, true, true, false, false, false]);
        assert_eq!(flags(CollectiveType::AllReduce, 2), [false, true, false]);
    }

    #[test]
    fn a_reduce_scatter_reduces_every_receive_and_a_gather_none() {
        assert_eq!(flags(CollectiveType::ReduceScatter, 3), [false, true, true]);
        assert_eq!(flags(CollectiveType::AllGather, 3), [false, false, false]);
        assert_eq!(flags(CollectiveType::AllToAll, 4).len(), 1 + 6);
    }
}
