//! Several dimensions of links: every dimension repeated for all combinations of the other coordinates.
//!
//! A message crosses the dimensions in which source and destination differ from the highest to the lowest, so that its
//! next link follows from where it is and where it goes. Depends on `block` for the way within a dimension.

use super::block::{Block, Step};
use crate::network::{FaultyLink, Network, Topology};
use crate::sim::links::{Ends, Links};
use crate::units::GibPerSec;

/// Where a message is: at a rank, or at a switch on the way to that rank. Ranks are numbered first, then all of them
/// again for each dimension of switches; the links were found to be few enough for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) u32);

/// One dimension.
struct Axis {
    block: Block,
    /// Distance in rank of neighbouring coordinates.
    stride: u32,
    by_stride: Divisor,
    /// The first of a rank's links that is in this dimension.
    first_port: u32,
    /// The kind of its links.
    kind: u32,
    /// Of switches: the place at the switch before rank 0.
    first_place: u32,
}

/// All dimensions.
pub(super) struct Grid {
    axes: Vec<Axis>,
    ranks: u32,
    /// Links out of each rank.
    ports: u32,
}

/// Divides by a number that stays the same, with one multiplication.
#[derive(Clone, Copy)]
struct Divisor(u64);

impl Divisor {
    /// The reciprocal, rounded up to 64 binary places: exact for numerators of 32 bits. 1 would need one place more.
    const fn new(divisor: u32) -> Self {
        Self(if divisor <= 1 { 0 } else { u64::MAX / divisor as u64 + 1 })
    }

    const fn divide(self, number: u32) -> u32 {
        if self.0 == 0 { number } else { ((self.0 as u128 * number as u128) >> 64) as u32 }
    }
}

impl Grid {
    /// Lays the links of a checked network at the first `owners` ranks.
    pub(super) fn new<M>(network: &Network, owners: u32, links: &mut Links<M>) -> Self {
        let several = network.dimensions.len() > 1;
        let ranks: u32 = network.dimensions.iter().map(|dimension| dimension.npus).product();
        let (mut axes, mut kinds) = (Vec::with_capacity(network.dimensions.len()), Vec::new());
        let (mut stride, mut ports, mut switches) = (1, 0, 0);
        for dimension in &network.dimensions {
            let (topology, npus) = (dimension.topology, dimension.npus);
            // The links of a hypercube are twice as fast where it is the only dimension.
            let faster = if topology == Topology::HyperCube && !several { 2.0 } else { 1.0 };
            let kind = links.add_kind(GibPerSec(dimension.bandwidth.0 * faster), dimension.latency_ns);
            let block = Block::new(topology, npus);
            let first_place = ranks + switches * ranks;
            switches += u32::from(topology == Topology::Switch);
            axes.push(Axis {
                block,
                stride,
                by_stride: Divisor::new(stride),
                first_port: ports,
                kind,
                first_place,
            });
            // Wraps behind the last dimension at most.
            stride = stride.wrapping_mul(npus);
            ports += topology.ports(npus);
            kinds.extend(std::iter::repeat_n(kind, topology.ports(npus) as usize));
        }
        links.lay(owners, kinds.iter().copied());
        let grid = Self { axes, ranks, ports };
        grid.degrade(network, links);
        grid
    }
}

impl Grid {
    pub(super) fn dimensions(&self) -> usize {
        self.axes.len()
    }

    /// The block of the only dimension, if there is only one.
    pub(super) fn only(&self) -> Option<Block> {
        match &self.axes[..] {
            [only] => Some(only.block),
            _ => None,
        }
    }

    /// Whether a rank can send to itself: over the only switch and back.
    pub(super) fn routes_to_itself(&self) -> bool {
        self.only().is_some_and(|block| block.topology == Topology::Switch)
    }

    /// Whether some hypercube lacks members that routes may lead over.
    pub(super) fn is_ragged(&self) -> bool {
        self.axes
            .iter()
            .any(|Axis { block, .. }| block.topology == Topology::HyperCube && !block.npus.is_power_of_two())
    }

    /// The link that a message takes on its way to another rank, and where it leads.
    #[inline]
    pub(super) fn step<M>(&self, links: &mut Links<M>, place: Place, destination: u32) -> (u32, Place) {
        let Place(rank) = place;
        if rank >= self.ranks {
            return self.leave_switch(place);
        }
        let (mut from, mut to) = (rank, destination);
        for dimension in (1..self.axes.len()).rev() {
            let Axis { stride, by_stride, .. } = self.axes[dimension];
            let (own, wanted) = (by_stride.divide(from), by_stride.divide(to));
            if own != wanted {
                return self.cross(links, dimension, rank, (own, wanted));
            }
            from -= own * stride;
            to -= wanted * stride;
        }
        self.cross(links, 0, rank, (from, to))
    }

    /// The next link in one dimension, from a rank of one coordinate towards another coordinate.
    #[inline]
    pub(super) fn cross<M>(
        &self,
        links: &mut Links<M>,
        dimension: usize,
        rank: u32,
        (own, wanted): (u32, u32),
    ) -> (u32, Place) {
        let Axis { block, stride, first_port, kind, first_place, .. } = self.axes[dimension];
        let first = rank - own * stride;
        match block.topology {
            Topology::Switch => {
                (rank * self.ports + first_port, Place(first_place + first + wanted * stride))
            }
            Topology::FullyConnected => {
                let next = first + wanted * stride;
                (links.between(rank, next, kind), Place(next))
            }
            _ => {
                let Step { port, next } = block.step(own, wanted);
                (rank * self.ports + first_port + port, Place(first + next * stride))
            }
        }
    }

    /// The link from a switch down to a rank.
    pub(super) fn leave_switch(&self, place: Place) -> (u32, Place) {
        let rank = self.rank(place);
        let dimension = self.switch(place).unwrap_or(0);
        (rank * self.ports + self.axes[dimension].first_port + 1, Place(rank))
    }

    /// The rank that a place is at or before.
    #[inline]
    pub(super) const fn rank(&self, Place(place): Place) -> u32 {
        if place < self.ranks { place } else { place % self.ranks }
    }

    /// The dimension of the switch that a place is at, if it is at one.
    pub(super) fn switch(&self, Place(place): Place) -> Option<usize> {
        let is_here = |axis: &Axis| {
            axis.block.topology == Topology::Switch && place.wrapping_sub(axis.first_place) < self.ranks
        };
        self.axes.iter().position(is_here)
    }

    pub(super) fn coordinate(&self, rank: u32, dimension: usize) -> u32 {
        let Axis { by_stride, block, .. } = self.axes[dimension];
        by_stride.divide(rank) % block.npus
    }

    pub(super) fn with_coordinate(&self, rank: u32, dimension: usize, coordinate: u32) -> u32 {
        let stride = self.axes[dimension].stride;
        rank - self.coordinate(rank, dimension) * stride + coordinate * stride
    }

    pub(super) fn block(&self, dimension: usize) -> Block {
        self.axes[dimension].block
    }

    /// The device that a place is.
    pub(super) fn device(&self, place: Place) -> u32 {
        let rank = self.rank(place);
        let Some(dimension) = self.switch(place) else { return rank };
        let lower = self.axes[..dimension].iter().filter(|axis| axis.block.topology == Topology::Switch);
        let before: u32 = lower.map(|axis| self.switches(axis)).sum();
        let axis = &self.axes[dimension];
        self.ranks + before + axis.by_stride.divide(rank) / axis.block.npus
    }

    /// How many switches a dimension of switches has: one for all lower coordinates.
    fn switches(&self, axis: &Axis) -> u32 {
        axis.by_stride.divide(self.ranks) / axis.block.npus
    }

    /// The link between two ranks and its dimension, if one joins them directly.
    pub(super) fn link_between<M>(&self, links: &mut Links<M>, from: u32, to: u32) -> Option<(usize, u32)> {
        let mut differing = (0..self.axes.len())
            .filter(|&dimension| self.coordinate(from, dimension) != self.coordinate(to, dimension));
        let (dimension, None) = (differing.next()?, differing.next()) else { return None };
        let ends = (self.coordinate(from, dimension), self.coordinate(to, dimension));
        let joined = self.axes[dimension].block.are_neighbours(ends.0, ends.1);
        joined.then(|| (dimension, self.cross(links, dimension, from, ends).0))
    }

    /// The dimension of a link and the devices it joins.
    pub(super) fn ends<M>(&self, links: &Links<M>, link: u32) -> (usize, Ends) {
        if let Some(ends) = links.pair(link) {
            let differs = |&dimension: &usize| {
                self.coordinate(ends.from, dimension) != self.coordinate(ends.to, dimension)
            };
            return ((0..self.axes.len()).find(differs).unwrap_or(0), ends);
        }
        // No link is laid where ranks have no ports.
        let (rank, port) = (link / self.ports.max(1), link % self.ports.max(1));
        let dimension = self
            .axes
            .iter()
            .rposition(|axis| axis.first_port <= port && axis.block.topology.ports(axis.block.npus) > 0);
        let dimension = dimension.unwrap_or(0);
        let Axis { block, first_port, first_place, .. } = self.axes[dimension];
        let port = port - first_port;
        if block.topology == Topology::Switch {
            let switch = self.device(Place(first_place + rank));
            let (from, to) = if port == 0 { (rank, switch) } else { (switch, rank) };
            return (dimension, Ends { from, to });
        }
        let next = block.neighbour(self.coordinate(rank, dimension), port);
        (dimension, Ends { from: rank, to: self.with_coordinate(rank, dimension, next) })
    }

    /// Both links between two devices and their dimension, if there are any.
    fn links_of_pair<M>(&self, links: &mut Links<M>, one: u32, other: u32) -> Option<(usize, [u32; 2])> {
        let (rank, device) = (one.min(other), one.max(other));
        if device < self.ranks {
            let (dimension, there) = self.link_between(links, one, other)?;
            let (_, back) = self.link_between(links, other, one)?;
            return Some((dimension, [there, back]));
        }
        if rank >= self.ranks {
            return None;
        }
        let mut switches = (0..self.axes.len()).filter(|&dimension| {
            self.axes[dimension].block.topology == Topology::Switch
                && self.device(Place(self.axes[dimension].first_place + rank)) == device
        });
        let dimension = switches.next()?;
        let up = rank * self.ports + self.axes[dimension].first_port;
        Some((dimension, [up, up + 1]))
    }

    /// Makes links slower or dead. Of several entries for one pair the first counts; pairs without link have no
    /// effect. A dead link of the only dimension keeps its bandwidth, and only meshes, which lose it, and tori avoid
    /// it.
    fn degrade<M>(&self, network: &Network, links: &mut Links<M>) {
        let only = self.only().map(|block| block.topology);
        if only == Some(Topology::KingMesh2D) {
            return;
        }
        let avoided = !matches!(
            only,
            Some(Topology::Ring | Topology::FullyConnected | Topology::HyperCube | Topology::Switch)
        );
        for &FaultyLink { src, dst, health } in network.faulty_links.iter().rev() {
            let Some((dimension, pair)) = self.links_of_pair(links, src, dst) else { continue };
            let kind = self.axes[dimension].kind;
            let dead = health == 0.0;
            let kind = if dead { kind } else { links.add_slower(kind, health) };
            pair.into_iter().for_each(|link| links.change(link, kind, dead && avoided));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividing_by_multiplication_is_exact() {
        let numbers = [0, 1, 2, 3, 6, 7, 4095, 4096, 65_535, 65_536, 1 << 31, u32::MAX - 1, u32::MAX];
        for divisor in (1..=1000).chain(numbers.into_iter().filter(|&number| number > 0)) {
            let by = Divisor::new(divisor);
            for multiple in [1, 2, 3, 1000, u32::MAX / divisor] {
                let product = divisor.wrapping_mul(multiple);
                for number in numbers.into_iter().chain([product, product.wrapping_sub(1)]) {
                    assert_eq!(by.divide(number), number / divisor, "{number} / {divisor}");
                }
            }
        }
    }
}
