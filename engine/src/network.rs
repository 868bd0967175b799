//! The network to simulate: one building block per dimension, and how contention is treated.
//!
//! Only values and the checks that need no other input; delays and links are built from it in `sim`.

mod problem;

use crate::names::named_enum;
use crate::units::GibPerSec;

pub use problem::{FaultProblem, NetworkProblem};

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

/// The most links a network may have; they are numbered with 32 bits.
const MOST_LINKS: u64 = 1 << 31;

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
    /// Links that are slower than the others, or dead; of several for one pair of devices the first counts. Pairs
    /// that no link joins have no effect, and so has all of it on KingMesh2D and the trees as only dimension.
    pub faulty_links: Vec<FaultyLink>,
    /// The first of the dimensions, up to the last, that messages cross only from the agent of their cluster: the rank
    /// whose coordinates are 0 below this dimension, and then that of the whole. Without effect in a network of one
    /// dimension, and without congestion.
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

impl Network {
    /// A network whose links are all healthy, and without agents.
    pub const fn new(model: NetworkModel, dimensions: Vec<Dimension>) -> Self {
        Self { model, dimensions, faulty_links: Vec::new(), non_recursive_from: None }
    }

    /// The number of ranks, which is the product of the dimension sizes; `None` if it exceeds 2^32 - 1.
    pub fn ranks(&self) -> Option<u32> {
        self.dimensions.iter().try_fold(1_u32, |product, dimension| product.checked_mul(dimension.npus))
    }

    /// The first dimension that messages cross from agents only, if there is any.
    pub(crate) fn agents_from(&self) -> Option<usize> {
        let dimensions = self.dimensions.len();
        let from = self.non_recursive_from.map(|from| from as usize)?;
        (self.model == NetworkModel::CongestionAware && dimensions > 1 && from < dimensions).then_some(from)
    }

    /// The number of devices: the ranks, and behind them the switches, of lower dimensions first. The groups of a switch
    /// dimension that differ in lower coordinates only count as one switch.
    pub fn devices(&self) -> u64 {
        let sizes = self.dimensions.iter().map(|dimension| u64::from(dimension.npus));
        let mut above = sizes.fold(1, u64::saturating_mul);
        let mut devices = above;
        for dimension in &self.dimensions {
            above /= u64::from(dimension.npus.max(1));
            if dimension.topology == Topology::Switch {
                devices = devices.saturating_add(above);
            }
        }
        devices
    }

    /// Checks every value that can be judged without a workload, and gives the number of ranks.
    ///
    /// # Errors
    /// The first problem, with the index of the dimension it is in where it is in one.
    pub fn check(&self) -> Result<u32, (Option<usize>, NetworkProblem)> {
        if self.dimensions.is_empty() {
            return Err((None, NetworkProblem::NoDimensions));
        }
        for (index, dimension) in self.dimensions.iter().enumerate() {
            dimension.check(self.model, self.dimensions.len()).map_err(|problem| (Some(index), problem))?;
        }
        let ranks = self.ranks().ok_or((None, NetworkProblem::TooManyRanks))?;
        self.check_links(ranks).map_err(|problem| (None, problem))?;
        Ok(ranks)
    }

    fn check_links(&self, ranks: u32) -> Result<(), NetworkProblem> {
        if self.model == NetworkModel::CongestionAware {
            let ports: u32 =
                self.dimensions.iter().map(|dimension| dimension.topology.ports(dimension.npus)).sum();
            if u64::from(ports) * u64::from(ranks) > MOST_LINKS {
                return Err(NetworkProblem::TooManyLinks);
            }
        } else if !self.faulty_links.is_empty() {
            return Err(NetworkProblem::FaultsWithoutLinks);
        }
        let devices = self.devices();
        for (index, &link) in self.faulty_links.iter().enumerate() {
            link.check(devices).map_err(|problem| NetworkProblem::Fault { index, link, problem })?;
        }
        match self.non_recursive_from {
            Some(from) if from as usize > self.dimensions.len() => {
                Err(NetworkProblem::NonRecursive { from, dimensions: self.dimensions.len() })
            }
            _ => Ok(()),
        }
    }
}

impl NetworkModel {
    /// The topologies that this model knows, in one dimension at least.
    pub(crate) const fn topologies(self) -> &'static [Topology] {
        use Topology::*;
        match self {
            Self::CongestionAware => &[
                Ring,
                FullyConnected,
                Switch,
                Mesh,
                HyperCube,
                Torus2D,
                Mesh2D,
                KingMesh2D,
                BinaryTree,
                DoubleBinaryTree,
            ],
            Self::CongestionUnaware => &[Ring, FullyConnected, Switch, Mesh, HyperCube],
        }
    }
}

impl Topology {
    /// How many links lie ready for each member; those of pairs are made when they are used.
    pub(crate) const fn ports(self, npus: u32) -> u32 {
        match self {
            Self::FullyConnected | Self::Bus => 0,
            Self::Ring | Self::Switch | Self::Mesh | Self::BinaryTree => 2,
            Self::Torus2D | Self::Mesh2D | Self::DoubleBinaryTree => 4,
            Self::KingMesh2D => 8,
            Self::HyperCube => u32::BITS - npus.saturating_sub(1).leading_zeros(),
        }
    }
}

impl FaultyLink {
    fn check(&self, devices: u64) -> Result<(), FaultProblem> {
        if u64::from(self.src.max(self.dst)) >= devices {
            return Err(FaultProblem::NoSuchDevice(devices));
        }
        if self.src == self.dst {
            return Err(FaultProblem::OneDevice);
        }
        if (0.0..=1.0).contains(&self.health) { Ok(()) } else { Err(FaultProblem::Health) }
    }
}

impl Dimension {
    fn check(&self, model: NetworkModel, dimensions: usize) -> Result<(), NetworkProblem> {
        let Self { topology, npus, .. } = *self;
        if npus < 2 {
            return Err(NetworkProblem::TooFewNpus(npus));
        }
        if !(self.bandwidth.0.is_finite() && self.bandwidth.0 > 0.0) {
            return Err(NetworkProblem::Bandwidth(self.bandwidth.0));
        }
        if !(self.latency_ns.is_finite() && self.latency_ns >= 0.0) {
            return Err(NetworkProblem::Latency(self.latency_ns));
        }
        if !model.topologies().contains(&topology) {
            return Err(NetworkProblem::Topology(topology, model));
        }
        match topology {
            Topology::BinaryTree | Topology::DoubleBinaryTree if dimensions > 1 => {
                Err(NetworkProblem::OnlyDimension(topology))
            }
            Topology::Torus2D | Topology::Mesh2D | Topology::KingMesh2D if npus.isqrt().pow(2) != npus => {
                Err(NetworkProblem::NotSquare(topology, npus))
            }
            Topology::HyperCube if model == NetworkModel::CongestionUnaware && !npus.is_power_of_two() => {
                Err(NetworkProblem::NotPowerOfTwo(topology, npus))
            }
            _ => Ok(()),
        }
    }
}
