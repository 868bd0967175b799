//! A message that the network has no route for, in words. Depends on units and topologies only.

use crate::network::Topology;
use crate::units::{Nanos, Rank};
use std::fmt;

/// A message without a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unroutable {
    /// The rank that sends it.
    pub source: Rank,
    /// The rank it is for.
    pub destination: Rank,
    /// When it was sent.
    pub at: Nanos,
    /// Why it has none.
    pub problem: RouteProblem,
}

/// A link of health 0, from one device to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLink {
    /// Device at which it begins.
    pub from: u32,
    /// Device at which it ends.
    pub to: u32,
}

/// Why a message has no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteProblem {
    /// The topology has no way around a dead link in this place.
    NoWayAround {
        /// The link.
        dead: DeadLink,
        /// The topology of its dimension.
        topology: Topology,
    },
    /// The way around a dead link begins with a hop between devices that no link joins.
    NoSuchHop {
        /// The dead link.
        dead: DeadLink,
        /// Device before the hop.
        from: u32,
        /// Device behind it.
        to: u32,
    },
    /// The way around dead links comes back to where it was.
    Circle {
        /// The dead link before which this shows.
        dead: DeadLink,
    },
    /// The next bit to flip leads out of a hypercube that is not of a power of two.
    IncompleteHyperCube {
        /// Dimension of the network.
        dimension: usize,
        /// Member of the dimension behind which the next is missing.
        member: u32,
        /// Members that the dimension has.
        npus: u32,
    },
    /// The routes that follow no rule, all together, have more links than can be numbered.
    TooManyLinks,
}

impl fmt::Display for DeadLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the dead link from device {} to {}", self.from, self.to)
    }
}

impl fmt::Display for RouteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWayAround { dead, topology } => {
                write!(f, "{dead} is in the way, and {topology} has no way around it")?;
            }
            Self::NoSuchHop { dead, from, to } => {
                write!(f, "the way around {dead} leads from device {from} to {to}, which no link joins")?;
            }
            Self::TooManyLinks => {
                return f.write_str(
                    "the routes over agents, around dead links or in two trees have more than 2^32 links; use fewer ranks",
                );
            }
            Self::Circle { dead } => write!(f, "the way around {dead} runs in a circle")?,
            Self::IncompleteHyperCube { dimension, member, npus } => {
                return write!(
                    f,
                    "the route leaves the HyperCube of {npus} in dimension {dimension} behind member {member}; use a \
                     power of two"
                );
            }
        }
        f.write_str("; give it a health above 0 in faulty_links, or use another topology")
    }
}

impl fmt::Display for Unroutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, destination, at, problem } = self;
        write!(f, "a message from rank {source} to rank {destination}, sent at {at}, has no route: {problem}")
    }
}
