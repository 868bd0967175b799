//! How often the members of a ring phase exchange messages: the constants in which `ring`, `mesh`, `hypercube` and
//! `torus2d` differ. All of them go from neighbour to neighbour around a ring, with wrap-around.
//!
//! Source of the constants: observed behaviour of the simulators of both dialects.

use crate::collective::{Algorithm, CollectiveType};

/// The rounds of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounds {
    /// Messages that every member sends.
    pub(super) count: u64,
    /// Memory steps are counted in cycles of this length, whose first step never reduces.
    pub(super) cycle: u64,
}

impl Rounds {
    /// The rounds among `members` members, at least 1.
    pub(super) fn of(algorithm: Algorithm, collective: CollectiveType, members: u32) -> Self {
        let members_64 = u64::from(members);
        let (gather, cycle) = match algorithm {
            // The natural logarithm. No power of e is near enough to an integer for its rounding to matter.
            Algorithm::HyperCube => (f64::from(members).ln().ceil() as u64, members_64),
            Algorithm::Torus2D => {
                let side = u64::from(members.isqrt());
                ((side * side - 1) / 2, side)
            }
            _ => (members_64 - 1, members_64),
        };
        let count = match (collective, algorithm) {
            (CollectiveType::AllReduce, Algorithm::Torus2D) => 4 * (cycle - 1),
            (CollectiveType::AllReduce, _) => 2 * gather,
            (CollectiveType::AllToAll, Algorithm::Torus2D) => (cycle * cycle - 1) * cycle / 2,
            (CollectiveType::AllToAll, _) => members_64 * (members_64 - 1) / 2,
            _ => gather,
        };
        Self { count, cycle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CollectiveType::{AllGather, AllReduce, AllToAll, ReduceScatter};

    fn counts(algorithm: Algorithm, members: u32) -> [u64; 4] {
        [AllReduce, ReduceScatter, AllGather, AllToAll].map(|of| Rounds::of(algorithm, of, members).count)
    }

    #[test]
    fn a_mesh_has_the_rounds_of_a_ring() {
        assert_eq!(counts(Algorithm::Mesh, 5), [8, 4, 4, 10]);
        assert_eq!(counts(Algorithm::Ring, 5), [8, 4, 4, 10]);
    }

    #[test]
    fn the_rounds_of_a_hypercube_grow_with_the_natural_logarithm() {
        let gather = [2, 3, 4, 8, 16, 32, 64].map(|members| counts(Algorithm::HyperCube, members)[2]);
        assert_eq!(gather, [1, 2, 2, 3, 3, 4, 5]);
        assert_eq!(counts(Algorithm::HyperCube, 8), [6, 3, 3, 28]);
    }

    #[test]
    fn a_torus_has_the_rounds_of_the_largest_square_within() {
        assert_eq!(counts(Algorithm::Torus2D, 4), [4, 1, 1, 3]);
        assert_eq!(counts(Algorithm::Torus2D, 9), [8, 4, 4, 12]);
        assert_eq!(counts(Algorithm::Torus2D, 15), [8, 4, 4, 12]);
        assert_eq!(counts(Algorithm::Torus2D, 3), [0; 4]);
        assert_eq!(Rounds::of(Algorithm::Torus2D, AllReduce, 16).cycle, 4);
    }
}
