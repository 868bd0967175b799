//! The members of a dimension and the links between them: how far messages go, and how many share a link.
//!
//! Closed forms over topology and number of members, after the routes of the simulators (docs/engine.md, Networks). It
//! must never know of bytes or times.

use astra_policy::Topology;

/// The members that a phase of a collective connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) topology: Topology,
    /// How many there are, at least 2.
    pub(crate) members: u32,
}

/// Hops of the messages that every member sends to the next one, the last to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Around {
    /// Of all of them together.
    pub(crate) sum: u64,
    /// Whether all but one of them are single hops; else long ways are spread evenly.
    pub(crate) one_is_long: bool,
}

impl Around {
    /// Hops that the messages of `rounds` members in a row make together, on average.
    pub(crate) fn mean(self, members: u64, rounds: u64) -> f64 {
        rounds as f64 * self.sum as f64 / members as f64
    }

    /// Hops that the messages of `rounds` members in a row make together, where that is most.
    pub(crate) fn most(self, members: u64, rounds: u64) -> f64 {
        let (whole, rest) = (rounds / members, rounds % members);
        if self.one_is_long && rest > 0 {
            whole as f64 * self.sum as f64 + (self.sum - (members - rest)) as f64
        } else {
            self.mean(members, rounds).ceil()
        }
    }
}

/// Time as a number of transmissions of a message and a number of hops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spell {
    pub(crate) sendings: f64,
    pub(crate) hops: f64,
}

/// What it takes that every member sends a message to every other at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Crowd {
    /// Messages over the link that has most of them.
    pub(crate) load: f64,
    /// Where the busiest link decides.
    pub(crate) crowded: Spell,
    /// Where the longest way decides.
    pub(crate) sparse: Spell,
}

impl Line {
    /// Side of a grid, at least 2.
    fn side(self) -> u64 {
        u64::from(self.members.isqrt()).max(2)
    }

    /// From every member to the next.
    pub(crate) fn around(self) -> Around {
        let (n, k) = (u64::from(self.members), self.side());
        let sum = match self.topology {
            Topology::Ring | Topology::FullyConnected | Topology::Bus => n,
            Topology::Switch => 2 * n,
            // Every edge of an in-order tree, and of the walk that counts upwards in binary, is crossed twice.
            Topology::Mesh | Topology::HyperCube | Topology::BinaryTree => 2 * (n - 1),
            // Some ways are shorter in the other tree.
            Topology::DoubleBinaryTree => (4 * n) / 3,
            Topology::Torus2D => n + k,
            Topology::Mesh2D => k * (k - 1) + (k - 1) * k + 2 * (k - 1),
            Topology::KingMesh2D => k * (k - 1) + k * (k - 1).max(1),
        };
        Around { sum, one_is_long: self.topology == Topology::Mesh }
    }

    /// Bits of the highest member's number.
    fn bits(self) -> u64 {
        u64::from(u32::BITS - (self.members - 1).leading_zeros())
    }

    /// Hops to the member whose number differs in the bit of value `distance`. All such messages of a power of two of
    /// members move in step, so that none of them waits, but in trees.
    pub(crate) fn partner(self, distance: u64) -> u64 {
        let (n, k) = (u64::from(self.members), self.side());
        let in_grid = if distance < k { distance } else { distance / k };
        match self.topology {
            Topology::FullyConnected | Topology::HyperCube | Topology::Bus => 1,
            Topology::Switch => 2,
            Topology::Ring => distance.min(n - distance.min(n)).max(1),
            Topology::Mesh => distance,
            Topology::Torus2D => in_grid.min(k - in_grid.min(k)).max(1),
            Topology::Mesh2D | Topology::KingMesh2D => in_grid,
            Topology::BinaryTree | Topology::DoubleBinaryTree => 2 * u64::from(distance.ilog2()) + 1,
        }
    }

    /// Messages that wait for each other at a link when every member sends to its partner at `distance`.
    pub(crate) fn partner_load(self, distance: u64) -> f64 {
        match self.topology {
            Topology::BinaryTree => distance as f64,
            Topology::DoubleBinaryTree => (distance as f64 / 2.5).max(1.0),
            _ => 1.0,
        }
    }

    /// Whether there is a way between every two members: ways through a hypercube may need members that are missing.
    pub(crate) fn reaches_all(self) -> bool {
        self.topology != Topology::HyperCube || self.members.is_power_of_two()
    }

    /// From every member to every other. The counts of a ring, of all links and of a switch are exact. In grids, cubes and
    /// trees links wait for messages that are late, which depends on the order of the queues: there the counts are
    /// those of simulations without latency and without transmission, as formulas.
    pub(crate) fn crowd(self) -> Crowd {
        let (n, k, bits) = (f64::from(self.members), self.side() as f64, self.bits() as f64);
        let half = (k / 2.0).floor();
        let is_even = self.side().is_multiple_of(2);
        let (load, crowded, sparse) = match self.topology {
            Topology::FullyConnected | Topology::Bus => (1.0, (1.0, 1.0), (1.0, 1.0)),
            Topology::Switch => (n - 1.0, (n, 2.0), (n, 2.0)),
            Topology::Ring => {
                let far = (n / 2.0).floor();
                let load = far * (far + 1.0) / 2.0;
                (load, (load, 1.0), (2.0 * far - 1.0, far))
            }
            Topology::Mesh => {
                let load = (n / 2.0).floor() * (n / 2.0).ceil();
                let way = (n / 2.0).ceil();
                (load, (load + way - 1.0, n / 2.0 + 1.0), (2.0 * n - 3.0, n - 1.0))
            }
            Topology::HyperCube => {
                let spread = n / 2.0 + bits - 1.0;
                (n / 2.0, (spread.max(0.59 * n), bits.min(4.0)), (spread, bits))
            }
            Topology::Torus2D => {
                let load = k * half * (half + 1.0) / 2.0;
                let (late, hops, first) = if is_even {
                    (load * k / 150.0, 3.0_f64.min(k), 3.0 * half - 1.0)
                } else {
                    ((k * k / 4.0).floor(), 2.0, 4.0 * half)
                };
                (load, (load + late, hops), (half * half + first, 2.0 * half))
            }
            Topology::Mesh2D => {
                let load = k * half * (k - half);
                let way = (1.5 * k).ceil();
                (load, (load + way - 2.0, way - 1.0), (k * k + k - 3.0, 2.0 * (k - 1.0)))
            }
            Topology::KingMesh2D if k <= 2.0 => (1.0, (1.0, 1.0), (1.0, 1.0)),
            Topology::KingMesh2D => {
                let load = 0.15 * k.powi(3);
                (load, (load + 1.2, 0.7 * k), (k * k - k - 1.0, k - 1.0))
            }
            Topology::BinaryTree => {
                let load = n * n / 4.0;
                (load, (load + bits - 3.0, bits), (n * n / 7.0, 2.0 * bits - 2.0))
            }
            Topology::DoubleBinaryTree => {
                let load = n * n * if self.members.is_power_of_two() { 0.146 } else { 0.2 };
                (load, (load, bits - 1.0), (n * n / 18.0 + 1.0, (2.0 * bits - 3.0).max(2.0)))
            }
        };
        let spell = |(sendings, hops): (f64, f64)| Spell { sendings: sendings.max(1.0), hops: hops.max(1.0) };
        Crowd { load, crowded: spell(crowded), sparse: spell(sparse) }
    }

    /// Hops of the longest of these ways.
    pub(crate) fn longest(self) -> u64 {
        self.crowd().sparse.hops as u64
    }

    /// Hops between a member of a double binary tree and its children `level` levels above the leaves, the longer way;
    /// the root is at the level of all bits.
    pub(crate) fn child(self, level: u64) -> u64 {
        let (k, distance) = (self.side(), 1_u64 << level.min(31));
        let is_root = level + 1 == u64::from(self.members.ilog2());
        let in_grid = match distance {
            _ if distance >= k => distance / k,
            _ if 2 * distance == k => distance + 1,
            _ => distance,
        };
        match self.topology {
            Topology::FullyConnected | Topology::Bus => 1,
            Topology::BinaryTree | Topology::DoubleBinaryTree => 1,
            Topology::Switch => 2,
            Topology::HyperCube if is_root => 1,
            Topology::HyperCube => 2,
            Topology::Ring | Topology::Mesh => distance,
            Topology::Torus2D | Topology::Mesh2D | Topology::KingMesh2D => in_grid,
        }
    }
}
