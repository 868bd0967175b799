//! How many messages an algorithm sends, of which size, and after which of them it reduces.
//!
//! Source of the figures: the description of both simulators in docs/engine.md (Dialects). It must never know of links or
//! times.

use astra_policy::{Algorithm, Collective, Dialect};

/// The rounds of an algorithm around a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rounds {
    /// Messages that every member sends, one after the other.
    pub(crate) count: u64,
    /// After how many steps the pattern of reductions begins anew.
    cycle: u64,
}

impl Rounds {
    /// Among at least 2 members.
    pub(crate) fn of(algorithm: Algorithm, collective: Collective, members: u64) -> Self {
        let (gather, cycle) = match algorithm {
            Algorithm::HyperCube => ((members as f64).ln().ceil() as u64, members),
            Algorithm::Torus2D => {
                let side = members.isqrt();
                ((side * side - 1) / 2, side)
            }
            _ => (members - 1, members),
        };
        let count = match (collective, algorithm) {
            (Collective::AllReduce, Algorithm::Torus2D) => 4 * (cycle - 1),
            (Collective::AllReduce, _) => 2 * gather,
            (Collective::AllToAll, Algorithm::Torus2D) => (cycle * cycle - 1) * cycle / 2,
            (Collective::AllToAll, _) => members * (members - 1) / 2,
            _ => gather,
        };
        Self { count, cycle }
    }

    /// How many of the steps after the rounds reduce: those that do not begin a cycle, of an all-reduce in every other
    /// cycle.
    pub(crate) fn reduced(self, collective: Collective) -> u64 {
        let Self { count, cycle } = self;
        match collective {
            Collective::ReduceScatter => count - count / cycle,
            Collective::AllReduce => {
                let (pairs, rest) = ((count + 1) / (2 * cycle), (count + 1) % (2 * cycle));
                pairs * (cycle - 1) + rest.min(cycle).saturating_sub(1)
            }
            _ => 0,
        }
    }
}

/// Size of the messages of `direct` and of the algorithms around a ring.
pub(crate) fn message_bytes(
    dialect: Dialect,
    algorithm: Algorithm,
    collective: Collective,
    bytes: u64,
    members: u64,
) -> u64 {
    let is_whole = matches!(algorithm, Algorithm::Mesh | Algorithm::HyperCube | Algorithm::Torus2D);
    let is_halved = dialect == Dialect::DeepFlow && !is_whole;
    match collective {
        Collective::AllReduce if is_halved => bytes / members / 2,
        Collective::AllGather if is_halved => bytes / 2,
        Collective::AllToAll if is_halved => bytes,
        Collective::AllGather => bytes,
        _ => bytes / members,
    }
}

/// A round of halving-doubling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Half {
    /// Distance to the partner, a power of two.
    pub(crate) distance: u64,
    /// Of the message.
    pub(crate) bytes: u64,
    /// Whether distances double and messages halve from here on.
    outwards: bool,
}

impl Half {
    /// The first round, with an input of `bytes`.
    pub(crate) fn first(collective: Collective, bytes: u64, members: u64) -> Self {
        match collective {
            Collective::AllGather => Self { distance: members / 2, bytes, outwards: false },
            _ => Self { distance: 1, bytes: bytes / 2, outwards: true },
        }
    }

    /// The round after this one; what follows the last is never sent, but its size is charged for a reduction.
    pub(crate) fn next(self, collective: Collective, members: u64) -> Self {
        let Self { distance, bytes, outwards } = self;
        if !outwards {
            return Self { distance: distance / 2, bytes: bytes.saturating_mul(2), outwards };
        }
        // An all-reduce meets its farthest partner twice.
        if collective == Collective::AllReduce && distance >= members / 2 {
            return Self { outwards: false, ..self };
        }
        Self { distance: distance.saturating_mul(2), bytes: bytes / 2, outwards }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Collective::{AllGather, AllReduce, AllToAll, ReduceScatter};

    #[test]
    fn rounds_and_reductions_are_those_of_the_simulators() {
        let rounds = |algorithm, members| {
            [AllReduce, ReduceScatter, AllGather, AllToAll].map(|collective| {
                let rounds = Rounds::of(algorithm, collective, members);
                (rounds.count, rounds.reduced(collective))
            })
        };
        assert_eq!(rounds(Algorithm::Ring, 4), [(6, 3), (3, 3), (3, 0), (6, 0)]);
        assert_eq!(rounds(Algorithm::HyperCube, 8), [(6, 6), (3, 3), (3, 0), (28, 0)]);
        assert_eq!(rounds(Algorithm::Torus2D, 9), [(8, 4), (4, 3), (4, 0), (12, 0)]);
    }

    #[test]
    fn halves_go_out_and_come_back() {
        let rounds = |collective, members, count| {
            let next = |half: &Half| Some(half.next(collective, members));
            let all = std::iter::successors(Some(Half::first(collective, 64, members)), next);
            all.take(count).map(|half| (half.distance, half.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(rounds(AllReduce, 8, 6), [(1, 32), (2, 16), (4, 8), (4, 8), (2, 16), (1, 32)]);
        assert_eq!(rounds(ReduceScatter, 8, 3), [(1, 32), (2, 16), (4, 8)]);
        assert_eq!(rounds(AllGather, 8, 3), [(4, 64), (2, 128), (1, 256)]);
    }
}
