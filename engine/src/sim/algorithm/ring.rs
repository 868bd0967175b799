//! `ring`, and what is a ring under another name: one message at a time to the next member, one from the previous.

use super::rounds::Rounds;
use super::{Cycle, MemoryStep};
use crate::collective::CollectiveType;
use crate::units::Nanos;

/// Constants of a ring phase.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct RingSteps {
    rounds: Rounds,
    pub(in crate::sim) message: u64,
    pub(in crate::sim) reduction: Nanos,
}

impl RingSteps {
    pub(super) const fn new(rounds: Rounds, message: u64, reduction: Nanos) -> Self {
        Self { rounds, message, reduction }
    }

    /// The state before the first step.
    pub(in crate::sim) const fn start(&self, outgoing: u32, incoming: u32) -> Ring {
        let Rounds { count, cycle } = self.rounds;
        Ring { outgoing, incoming, rounds_left: count, cycle: Cycle::new(cycle, 1) }
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
    use crate::collective::Algorithm;

    /// The reduce flags of all steps of a phase, in order.
    fn flags(algorithm: Algorithm, collective: CollectiveType, count: u32) -> Vec<bool> {
        let steps = RingSteps::new(Rounds::of(algorithm, collective, count), 1, Nanos(0));
        let mut ring = steps.start(0, 0);
        let mut flags = vec![ring.memory_step(collective).reduces];
        while ring.step_done() {
            flags.push(ring.memory_step(collective).reduces);
        }
        flags
    }

    #[test]
    fn an_all_reduce_reduces_in_its_first_half_only() {
        assert_eq!(
            flags(Algorithm::Ring, CollectiveType::AllReduce, 4),
            [false, true, true, true, false, false, false]
        );
        assert_eq!(flags(Algorithm::Ring, CollectiveType::AllReduce, 2), [false, true, false]);
    }

    #[test]
    fn a_reduce_scatter_reduces_every_receive_and_a_gather_none() {
        assert_eq!(flags(Algorithm::Ring, CollectiveType::ReduceScatter, 3), [false, true, true]);
        assert_eq!(flags(Algorithm::Ring, CollectiveType::AllGather, 3), [false, false, false]);
        assert_eq!(flags(Algorithm::Ring, CollectiveType::AllToAll, 4).len(), 1 + 6);
    }

    #[test]
    fn a_torus_reduces_in_the_cycles_of_its_side() {
        let flags = flags(Algorithm::Torus2D, CollectiveType::AllReduce, 9);
        assert_eq!(flags, [false, true, true, false, false, false, false, true, true]);
    }
}
