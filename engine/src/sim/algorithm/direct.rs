//! `direct`: every member to every other, a window of messages at a time.

use super::{Cycle, Exchange, MemoryStep, neighbour};
use crate::collective::CollectiveType;
use crate::units::Nanos;

/// Constants of a direct phase.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct DirectSteps {
    pub(in crate::sim) message: u64,
    rounds: u64,
    window: u32,
    count: u32,
    /// Memory steps of a cycle that may reduce; the first `window` never do.
    reducing: u64,
    pub(in crate::sim) reduction: Nanos,
}

impl DirectSteps {
    pub(super) fn new(
        collective: CollectiveType,
        count: u32,
        message: u64,
        window: u32,
        in_group: bool,
        reduction: Nanos,
    ) -> Self {
        let others = u64::from(count) - 1;
        let rounds = if collective == CollectiveType::AllReduce { 2 * others } else { others };
        let reducing = if in_group { others * u64::from(window) } else { u64::from(window) };
        Self { message, rounds, window, count, reducing, reduction }
    }

    /// The state before the first step.
    pub(in crate::sim) fn start(&self, own: u32, clockwise: bool) -> Direct {
        Direct {
            own,
            clockwise,
            distance: 1,
            prepared: 0,
            sent: 0,
            received: 0,
            free: 0,
            cycle: Cycle::new(u64::from(self.window) + self.reducing, u64::from(self.window)),
        }
    }

    /// Memory steps to take at the start.
    pub(in crate::sim) const fn window(&self) -> u32 {
        self.window
    }
}

/// Progress of a chunk.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Direct {
    own: u32,
    clockwise: bool,
    /// How far away the peers of the next exchange are.
    distance: u32,
    /// Exchanges whose memory step was begun.
    prepared: u64,
    sent: u64,
    received: u64,
    /// Memory steps that are done and not yet used for an exchange.
    free: u64,
    cycle: Cycle,
}

impl Direct {
    /// An exchange is prepared by a memory step.
    pub(in crate::sim) fn memory_step(&mut self, collective: CollectiveType) -> MemoryStep {
        self.prepared += 1;
        self.cycle.step(collective)
    }

    /// A receive is complete.
    pub(in crate::sim) fn receive(&mut self) {
        self.received += 1;
    }

    /// A memory step is done: how many exchanges follow. The second half of an all-reduce waits until all of
    /// the first half has been received, and then makes up for the memory steps that were done in the
    /// meantime.
    pub(in crate::sim) fn step_done(&mut self, steps: &DirectSteps, collective: CollectiveType) -> u64 {
        self.free += 1;
        let left = steps.rounds - self.sent;
        let others = u64::from(steps.count) - 1;
        let tries = if collective == CollectiveType::AllReduce && left <= others {
            if self.received < others {
                return 0;
            }
            u64::from(steps.window)
        } else {
            1
        };
        tries.min(self.prepared - self.sent).min(left).min(self.free)
    }

    /// Whether everything was sent and the memory steps of all receives are done.
    pub(in crate::sim) fn is_complete(&self, steps: &DirectSteps) -> bool {
        self.sent == steps.rounds && self.free == u64::from(steps.window)
    }

    /// The next exchange. Destinations ascend and sources descend from the own index, around and around.
    pub(in crate::sim) fn exchange(&mut self, steps: &DirectSteps) -> Exchange {
        let exchange = Exchange {
            to: neighbour(self.own, self.distance, steps.count, self.clockwise),
            from: neighbour(self.own, self.distance, steps.count, !self.clockwise),
            size: steps.message,
        };
        self.distance = if self.distance + 1 == steps.count { 1 } else { self.distance + 1 };
        self.sent += 1;
        self.free -= 1;
        exchange
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(collective: CollectiveType, window: u32, in_group: bool, steps: usize) -> Vec<bool> {
        let constants = DirectSteps::new(collective, 4, 1, window, in_group, Nanos(0));
        let mut direct = constants.start(0, true);
        (0..steps).map(|_| direct.memory_step(collective).reduces).collect()
    }

    #[test]
    fn a_window_reduces_every_other_group_of_receives() {
        let expected = [false, false, true, true, false, false, true, true];
        assert_eq!(flags(CollectiveType::ReduceScatter, 2, false, 8), expected);
    }

    #[test]
    fn inside_a_group_every_receive_of_an_all_reduce_is_reduced() {
        let flags = flags(CollectiveType::AllReduce, 3, true, 9);
        assert_eq!(flags, [false, false, false, true, true, true, true, true, true]);
    }

    #[test]
    fn peers_go_around_in_opposite_directions() {
        let constants = DirectSteps::new(CollectiveType::AllToAll, 4, 7, 3, false, Nanos(0));
        let mut direct = constants.start(1, true);
        direct.free = 4;
        let peers: Vec<_> = (0..4).map(|_| direct.exchange(&constants)).map(|e| (e.to, e.from)).collect();
        assert_eq!(peers, [(2, 0), (3, 3), (0, 2), (2, 0)]);
    }
}
