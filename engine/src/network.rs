//! The network to simulate: one building block per dimension, and how contention is treated.
//!
//! Only values and the checks that need no other input; delays and links are built from it in `sim`.

use crate::names::named_enum;
use crate::units::GibPerSec;
use std::fmt;

named_enum! {
    /// Whether messages share links.
    pub enum NetworkModel ("network model") {
        /// Every link carries one message at a time; others wait in order of arrival.
        CongestionAware = "congestion_aware",
        /// Every message sees an idle network.
        CongestionUnaware = "congestion_unaware",
    }
}

named_enum! {
    /// The building block of one network dimension.
    pub enum Topology ("topology") {
        /// Bidirectional ring.
        Ring = "Ring",
        /// A link between every pair.
        FullyConnected = "FullyConnected",
        /// One switch in the middle: every message takes two hops.
        Switch = "Switch",
        /// A line without wrap-around.
        Mesh = "Mesh",
        /// Neighbours differ in one bit of their index.
        HyperCube = "HyperCube",
        /// Square grid with wrap-around.
        Torus2D = "Torus2D",
        /// Square grid without wrap-around.
        Mesh2D = "Mesh2D",
        /// Square grid with diagonals.
        KingMesh2D = "KingMesh2D",
        /// One shared medium.
        Bus = "Bus",
        /// One binary tree.
        BinaryTree = "BinaryTree",
        /// Two complementary binary trees.
        DoubleBinaryTree = "DoubleBinaryTree",
    }
}

/// One dimension of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dimension {
    /// Building block.
    pub topology: Topology,
    /// Number of members; at least 2.
    pub npus: u32,
    /// Bandwidth of one link; greater than 0.
    pub bandwidth: GibPerSec,
    /// Latency of one hop in nanoseconds; at least 0, fractions allowed.
    pub latency_ns: f64,
}

/// The whole network; dimension 0 is the fastest-varying digit of a rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// How contention is treated.
    pub model: NetworkModel,
    /// The dimensions, innermost first.
    pub dimensions: Vec<Dimension>,
    /// Links that are slower than the others, or dead.
    pub faulty_links: Vec<FaultyLink>,
    /// The first dimension whose members are reached through agents instead of directly.
    pub non_recursive_from: Option<u32>,
}

/// A pair of devices between which both links are degraded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultyLink {
    /// Device at one end.
    pub src: u32,
    /// Device at the other end.
    pub dst: u32,
    /// Remaining fraction of the bandwidth: 1 is healthy, 0 is a link that routes avoid.
    pub health: f64,
}

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
    /// The topology cannot be simulated with this network model.
    Topology(Topology, NetworkModel),
    /// Faulty links and agents exist in no network that is simulated.
    Extension(&'static str),
    /// The congestion-aware model was asked for more dimensions than it knows.
    AwareDimensions(usize),
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
            Self::Topology(topology, model) => {
                write!(
                    f,
                    "topology {topology} cannot be simulated with {model}; use Ring, FullyConnected or Switch"
                )
            }
            Self::Extension(key) => write!(f, "{key} cannot be simulated; remove it"),
            Self::AwareDimensions(found) => write!(
                f,
                "congestion_aware simulates one dimension, the network has {found}; use congestion_unaware"
            ),
        }
    }
}

impl Network {
    /// A network without faults.
    pub const fn new(model: NetworkModel, dimensions: Vec<Dimension>) -> Self {
        Self { model, dimensions, faulty_links: Vec::new(), non_recursive_from: None }
    }

    /// The number of ranks, which is the product of the dimension sizes; `None` if it exceeds 2^32 - 1.
    pub fn ranks(&self) -> Option<u32> {
        self.dimensions.iter().try_fold(1_u32, |product, dimension| product.checked_mul(dimension.npus))
    }

    /// Checks every value that can be judged without a workload, and gives the number of ranks.
    ///
    /// # Errors
    /// The first problem, with the index of the dimension it is in where it is in one.
    pub fn check(&self) -> Result<u32, (Option<usize>, NetworkProblem)> {
        if self.dimensions.is_empty() {
            return Err((None, NetworkProblem::NoDimensions));
        }
        if !self.faulty_links.is_empty() {
            return Err((None, NetworkProblem::Extension("faulty_links")));
        }
        if self.non_recursive_from.is_some() {
            return Err((None, NetworkProblem::Extension("non_recursive_from")));
        }
        for (index, dimension) in self.dimensions.iter().enumerate() {
            dimension.check(self.model).map_err(|problem| (Some(index), problem))?;
        }
        if self.model == NetworkModel::CongestionAware && self.dimensions.len() > 1 {
            return Err((None, NetworkProblem::AwareDimensions(self.dimensions.len())));
        }
        self.ranks().ok_or((None, NetworkProblem::TooManyRanks))
    }
}

impl Dimension {
    fn check(&self, model: NetworkModel) -> Result<(), NetworkProblem> {
        if self.npus < 2 {
            return Err(NetworkProblem::TooFewNpus(self.npus));
        }
        if !(self.bandwidth.0.is_finite() && self.bandwidth.0 > 0.0) {
            return Err(NetworkProblem::Bandwidth(self.bandwidth.0));
        }
        if !(self.latency_ns.is_finite() && self.latency_ns >= 0.0) {
            return Err(NetworkProblem::Latency(self.latency_ns));
        }
        match self.topology {
            Topology::Ring | Topology::FullyConnected | Topology::Switch => Ok(()),
            other => Err(NetworkProblem::Topology(other, model)),
        }
    }
}
