//! The building blocks of a dimension: which member comes next on the way from one to another.
//!
//! Every rule looks only at where the message is and where it goes, so that a route is its own continuation. Knows
//! nothing of links, ranks or faults.

use crate::network::Topology;

/// One dimension as routes see it.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) topology: Topology,
    pub(super) npus: u32,
    /// Members in a row of a square grid.
    side: u32,
}

/// A step from a member to a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Which of the links out of the member.
    pub(super) port: u32,
    /// The neighbour.
    pub(super) next: u32,
}

impl Block {
    pub(super) const fn new(topology: Topology, npus: u32) -> Self {
        Self { topology, npus, side: npus.isqrt() }
    }

    /// The next step on the way to another member. On an incomplete hypercube it may lead to a member that does not
    /// exist. Switches have no step of their own, and links of pairs no port.
    #[inline]
    pub(super) const fn step(self, from: u32, to: u32) -> Step {
        match self.topology {
            Topology::Ring => self.around(from, to),
            Topology::Mesh if to > from => Step { port: 0, next: from + 1 },
            Topology::Mesh => Step { port: 1, next: from - 1 },
            Topology::HyperCube => {
                let port = (from ^ to).trailing_zeros();
                Step { port, next: from ^ 1 << port }
            }
            Topology::Torus2D | Topology::Mesh2D => self.in_grid(from, to),
            Topology::KingMesh2D => self.as_king(from, to),
            _ => Step { port: 0, next: to },
        }
    }

    /// The shorter way around a ring; to the opposite member it is the ascending one.
    #[inline]
    pub(super) const fn around(self, from: u32, to: u32) -> Step {
        let n = self.npus;
        let ascending = if to >= from { to - from } else { n - from + to };
        if n - ascending < ascending {
            Step { port: 1, next: if from == 0 { n - 1 } else { from - 1 } }
        } else {
            Step { port: 0, next: if from + 1 == n { 0 } else { from + 1 } }
        }
    }

    /// First along the row, then along the column.
    const fn in_grid(self, from: u32, to: u32) -> Step {
        let line = if matches!(self.topology, Topology::Torus2D) { Topology::Ring } else { Topology::Mesh };
        let line = Self { topology: line, npus: self.side, side: 0 };
        let (from_row, to_row) = (from / self.side, to / self.side);
        let (from_column, to_column) = (from % self.side, to % self.side);
        if from_column == to_column {
            let Step { port, next } = line.step(from_row, to_row);
            Step { port: 2 + port, next: next * self.side + from_column }
        } else {
            let Step { port, next } = line.step(from_column, to_column);
            Step { port, next: from_row * self.side + next }
        }
    }

    /// Diagonally while row and column differ, then straight.
    const fn as_king(self, from: u32, to: u32) -> Step {
        let (row, down) = toward(from / self.side, to / self.side);
        let (column, right) = toward(from % self.side, to % self.side);
        // Of the nine places around a member its own comes fifth and has no port.
        let place = down * 3 + right;
        Step { port: if place > 4 { place - 1 } else { place }, next: row * self.side + column }
    }

    /// Where the link of a port leads: the inverse of [`Self::step`] for topologies that have such links.
    pub(super) const fn neighbour(self, of: u32, port: u32) -> u32 {
        let n = self.npus;
        match self.topology {
            Topology::Ring | Topology::Mesh if port == 0 => (of + 1) % n,
            Topology::Ring | Topology::Mesh => (of + n - 1) % n,
            Topology::HyperCube => of ^ 1 << port,
            Topology::Torus2D | Topology::Mesh2D => {
                let line = Self { topology: Topology::Ring, npus: self.side, side: 0 };
                let (row, column) = (of / self.side, of % self.side);
                if port < 2 {
                    row * self.side + line.neighbour(column, port)
                } else {
                    line.neighbour(row, port - 2) * self.side + column
                }
            }
            Topology::KingMesh2D => {
                let place = if port < 4 { port } else { port + 1 };
                // Rows and columns from one before the first.
                let (row, column) = (of / self.side + place / 3, of % self.side + place % 3);
                (row - 1) * self.side + column - 1
            }
            _ => of,
        }
    }

    /// Whether a step from the one leads to the other.
    pub(super) const fn are_neighbours(self, from: u32, to: u32) -> bool {
        from != to && !matches!(self.topology, Topology::Switch) && self.step(from, to).next == to
    }

    /// The member on the way at which an incomplete hypercube ends, if the way leads out of it.
    pub(super) fn way_out(self, from: u32, to: u32) -> Option<u32> {
        if self.topology != Topology::HyperCube || self.npus.is_power_of_two() {
            return None;
        }
        let mut at = from;
        while at != to {
            let next = self.step(at, to).next;
            if next >= self.npus {
                return Some(at);
            }
            at = next;
        }
        None
    }

    /// Whether members are in a square grid.
    pub(super) const fn is_grid(self) -> bool {
        matches!(self.topology, Topology::Torus2D | Topology::Mesh2D)
    }

    /// The member in the next row of a grid; `None` behind the last row of one without wrap-around.
    pub(super) fn neighbour_below(self, of: u32) -> Option<u32> {
        let (next, last) = (of + self.side, self.npus - self.side);
        match self.topology {
            Topology::Torus2D => Some(if of >= last { of - last } else { next }),
            _ => (of < last).then_some(next),
        }
    }

    /// The member in the row before; `None` before the first.
    pub(super) const fn neighbour_above(self, of: u32) -> Option<u32> {
        of.checked_sub(self.side)
    }

    /// Whether two members are in one column of a grid.
    pub(super) const fn in_column(self, one: u32, other: u32) -> bool {
        one % self.side == other % self.side
    }
}

/// The coordinate one nearer to a target, and the direction: 0 back, 1 none, 2 forth.
const fn toward(from: u32, to: u32) -> (u32, u32) {
    if to > from {
        (from + 1, 2)
    } else if to < from {
        (from - 1, 0)
    } else {
        (from, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members that a message passes.
    fn route(topology: Topology, npus: u32, from: u32, to: u32) -> Vec<u32> {
        let block = Block::new(topology, npus);
        let step = |&at: &u32| (at != to).then(|| block.step(at, to).next);
        std::iter::successors(Some(from), step).take(100).collect()
    }

    #[test]
    fn lines_and_rings_are_walked_member_by_member() {
        assert_eq!(route(Topology::Ring, 6, 1, 5), [1, 0, 5]);
        assert_eq!(route(Topology::Ring, 6, 5, 2), [5, 0, 1, 2], "opposite members ascend");
        assert_eq!(route(Topology::Ring, 2, 1, 0), [1, 0]);
        assert_eq!(route(Topology::Mesh, 6, 5, 2), [5, 4, 3, 2]);
        assert_eq!(route(Topology::FullyConnected, 6, 5, 2), [5, 2]);
    }

    #[test]
    fn grids_are_walked_along_the_row_first() {
        assert_eq!(route(Topology::Torus2D, 16, 0, 10), [0, 1, 2, 6, 10]);
        assert_eq!(route(Topology::Torus2D, 16, 0, 15), [0, 3, 15]);
        assert_eq!(route(Topology::Mesh2D, 16, 0, 15), [0, 1, 2, 3, 7, 11, 15]);
        assert_eq!(route(Topology::KingMesh2D, 16, 12, 3), [12, 9, 6, 3]);
        assert_eq!(route(Topology::KingMesh2D, 16, 2, 12), [2, 5, 8, 12]);
    }

    #[test]
    fn a_hypercube_flips_the_lowest_bit_first_and_may_be_incomplete() {
        assert_eq!(route(Topology::HyperCube, 8, 1, 6), [1, 0, 2, 6]);
        let six = Block::new(Topology::HyperCube, 6);
        assert_eq!(six.way_out(0, 5), None);
        assert_eq!(six.way_out(2, 5), None, "over 3 and 1");
        assert_eq!(six.way_out(4, 3), Some(5), "over 5 and 7");
    }

    #[test]
    fn links_of_a_member_have_ports_of_their_own_within_what_is_laid() {
        for &topology in Topology::ALL {
            let npus = 16;
            let (block, ports) = (Block::new(topology, npus), topology.ports(npus));
            if matches!(
                topology,
                Topology::FullyConnected
                    | Topology::Switch
                    | Topology::Bus
                    | Topology::BinaryTree
                    | Topology::DoubleBinaryTree
            ) {
                continue;
            }
            for from in 0..npus {
                let mut neighbours = vec![None; ports as usize];
                for to in (0..npus).filter(|&to| to != from) {
                    let Step { port, next } = block.step(from, to);
                    let known = *neighbours[port as usize].get_or_insert(next);
                    assert_eq!(known, next, "{topology}: two neighbours at port {port}");
                    assert!(block.are_neighbours(from, next) && block.are_neighbours(next, from));
                }
            }
        }
    }
}
