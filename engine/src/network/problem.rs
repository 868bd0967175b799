//! What can be wrong with a network, in words. Depends on the network's own types only.

use super::{FaultyLink, NetworkModel, Topology};
use std::fmt;

/// What is wrong with a network.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkProblem {
    /// There is no dimension.
    NoDimensions,
    /// A dimension has fewer than two members.
    TooFewNpus(u32),
    /// A bandwidth is not a positive finite number.
    Bandwidth(f64),
    /// A latency is negative or not finite.
    Latency(f64),
    /// The product of the sizes does not fit a rank number.
    TooManyRanks,
    /// More links than can be numbered.
    TooManyLinks,
    /// The topology cannot be simulated with this network model.
    Topology(Topology, NetworkModel),
    /// The topology exists as the only dimension of a congestion-aware network and not as one of several.
    OnlyDimension(Topology),
    /// A square grid of a number of members that is not a square.
    NotSquare(Topology, u32),
    /// A hypercube without congestion needs a power of two.
    NotPowerOfTwo(Topology, u32),
    /// A network without links cannot have faulty ones.
    FaultsWithoutLinks,
    /// A faulty link cannot be what it is said to be.
    Fault {
        /// Its index in the list.
        index: usize,
        /// The link as given.
        link: FaultyLink,
        /// What is wrong with it.
        problem: FaultProblem,
    },
    /// The first non-recursive dimension is beyond the last dimension.
    NonRecursive {
        /// The dimension named.
        from: u32,
        /// How many there are.
        dimensions: usize,
    },
}

/// What is wrong with a faulty link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultProblem {
    /// One end is beyond the devices of the network, which are this many.
    NoSuchDevice(u64),
    /// Both ends are the same device.
    OneDevice,
    /// The health is not between 0 and 1.
    Health,
}

impl fmt::Display for NetworkProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDimensions => f.write_str("the network has no dimension; give at least one"),
            Self::TooFewNpus(npus) => write!(f, "{npus} NPUs; a dimension needs at least 2"),
            Self::Bandwidth(found) => {
                write!(f, "bandwidth {found} GiB/s; it must be a finite number above 0")
            }
            Self::Latency(found) => write!(f, "latency {found} ns; it must be a finite number, 0 or more"),
            Self::TooManyRanks => f.write_str("the product of the dimension sizes exceeds 2^32 - 1 ranks"),
            Self::TooManyLinks => f.write_str("the network has more than 2^31 links; use fewer ranks"),
            Self::Topology(topology, model) => {
                write!(f, "topology {topology} cannot be simulated with {model}; use ")?;
                one_of(f, model.topologies())
            }
            Self::OnlyDimension(topology) => write!(
                f,
                "topology {topology} must be the only dimension of a congestion_aware network; use another \
                 topology here, or this one for all ranks"
            ),
            Self::NotSquare(topology, npus) => {
                let side = npus.isqrt();
                let larger = u64::from(side) + 1;
                write!(f, "{topology} of {npus} NPUs; it is a square, for example of ")?;
                if side > 1 {
                    write!(f, "{} or ", side * side)?;
                }
                write!(f, "{}", larger * larger)
            }
            Self::NotPowerOfTwo(topology, npus) => {
                write!(f, "{topology} of {npus} NPUs; without congestion it needs a power of two")
            }
            Self::FaultsWithoutLinks => f.write_str(
                "faulty_links has no effect with congestion_unaware, which has no links; remove it or use \
                 congestion_aware",
            ),
            Self::Fault { index, link, problem } => {
                let FaultyLink { src, dst, health } = link;
                write!(f, "faulty_links[{index}] is [{src}, {dst}, {health}]: {problem}")
            }
            Self::NonRecursive { from, dimensions } => write!(
                f,
                "non_recursive_from is {from}, but the network has {dimensions} dimension(s); it may be 0 to \
                 {dimensions}"
            ),
        }
    }
}

impl fmt::Display for FaultProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchDevice(devices) => {
                write!(f, "the network has devices 0 to {} (ranks, then switches)", devices - 1)
            }
            Self::OneDevice => f.write_str("a link has two different ends"),
            Self::Health => f.write_str("the health must be between 0 (dead) and 1 (as good as new)"),
        }
    }
}

fn one_of(f: &mut fmt::Formatter<'_>, topologies: &[Topology]) -> fmt::Result {
    for (index, topology) in topologies.iter().enumerate() {
        let before = match index {
            0 => "",
            _ if index + 1 == topologies.len() => " or ",
            _ => ", ",
        };
        write!(f, "{before}{topology}")?;
    }
    Ok(())
}
