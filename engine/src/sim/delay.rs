//! The congestion-unaware network: every message takes the time it would take alone.

use crate::network::{Network, Topology};

/// One dimension with its constants in the units of the clock.
struct Delay {
    topology: Topology,
    npus: u32,
    latency_ns: f64,
    bytes_per_ns: f64,
    /// The size asked for last, which often is the next again, and its transmission in nanoseconds.
    last: (u64, f64),
}

/// Message delays between any two ranks.
pub(super) struct Delays {
    dimensions: Vec<Delay>,
}

impl Delays {
    pub(super) fn new(network: &Network) -> Self {
        let delay = |dimension: &crate::Dimension| Delay {
            topology: dimension.topology,
            npus: dimension.npus,
            latency_ns: dimension.latency_ns,
            bytes_per_ns: dimension.bandwidth.bytes_per_ns(),
            last: (0, 0.0),
        };
        Self { dimensions: network.dimensions.iter().map(delay).collect() }
    }

    /// Time from send to arrival in nanoseconds. Of the dimensions in which the ranks differ only the lowest
    /// counts. The ranks must differ.
    pub(super) fn between(&mut self, source: u32, destination: u32, size: u64) -> u64 {
        if let [only] = &mut self.dimensions[..] {
            return only.between(source, destination, size);
        }
        let (mut source, mut destination) = (source, destination);
        for dimension in &mut self.dimensions {
            let (from, to) = (source % dimension.npus, destination % dimension.npus);
            if from != to {
                return dimension.between(from, to, size);
            }
            source /= dimension.npus;
            destination /= dimension.npus;
        }
        0
    }
}

impl Delay {
    fn between(&mut self, from: u32, to: u32, size: u64) -> u64 {
        let hops = match self.topology {
            Topology::Ring => {
                let clockwise = if to >= from { to - from } else { self.npus - from + to };
                clockwise.min(self.npus - clockwise)
            }
            Topology::Switch => 2,
            Topology::Mesh => from.abs_diff(to),
            Topology::HyperCube => (from ^ to).count_ones(),
            _ => 1,
        };
        if self.last.0 != size {
            self.last = (size, size as f64 / self.bytes_per_ns);
        }
        // One truncation, of the sum.
        (f64::from(hops) * self.latency_ns + self.last.1) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dimension, GibPerSec, NetworkModel};

    fn delays(dimensions: &[(Topology, u32, f64, f64)]) -> Delays {
        let dimension = |&(topology, npus, gib, latency_ns): &(Topology, u32, f64, f64)| Dimension {
            topology,
            npus,
            bandwidth: GibPerSec(gib),
            latency_ns,
        };
        Delays::new(&Network::new(
            NetworkModel::CongestionUnaware,
            dimensions.iter().map(dimension).collect(),
        ))
    }

    #[test]
    fn a_ring_goes_the_shorter_way() {
        let mut ring = delays(&[(Topology::Ring, 4, 50.0, 500.0)]);
        assert_eq!(ring.between(0, 1, 65_536), 1720);
        assert_eq!(ring.between(0, 3, 65_536), 1720);
        assert_eq!(ring.between(3, 1, 100_000), 2862);
    }

    #[test]
    fn a_mesh_counts_the_members_between_and_a_hypercube_the_bits_that_differ() {
        let mut mesh = delays(&[(Topology::Mesh, 6, 50.0, 500.0)]);
        assert_eq!(mesh.between(5, 0, 100_000), 5 * 500 + 1862);
        let mut cube = delays(&[(Topology::HyperCube, 8, 50.0, 500.0)]);
        assert_eq!(cube.between(1, 6, 100_000), 3 * 500 + 1862);
    }

    #[test]
    fn only_the_lowest_differing_dimension_counts() {
        let mut network = delays(&[(Topology::Ring, 4, 100.0, 250.0), (Topology::Switch, 2, 25.0, 1000.0)]);
        assert_eq!(network.between(0, 5, 125_000), network.between(0, 1, 125_000));
        assert_eq!(network.between(1, 5, 62_500), 4328);
    }
}
