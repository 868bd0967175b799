//! Whether all ranks of a run are alike: a group of maps that takes every rank to every other and leaves network
//! and workload as they are.
//!
//! A map is named by the rank it takes rank 0 to. It acts on each coordinate of a rank for itself: it adds, or,
//! in dimensions where partners are found by flipping bits, it flips. So maps commute, and a peer seen from
//! rank 0 is the map from any rank to its peer. Nothing here knows of events.

use crate::collective::{Algorithm, CollectiveType};
use crate::network::{Dimension, Network, NetworkModel, Topology};
use crate::system::{RemoteMemory, System};
use crate::trace::NodeKind;
use crate::units::Rank;
use crate::workload::{GroupId, Workload};
use std::collections::BTreeMap;

/// The group of maps.
#[derive(Debug)]
pub(super) struct Symmetry {
    dimensions: Vec<Coordinate>,
}

/// How maps act on one coordinate.
#[derive(Clone, Copy, Debug)]
struct Coordinate {
    npus: u32,
    flips: bool,
}

/// What peers an algorithm needs a map to leave in place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peers {
    /// Those at a distance around the ring.
    Around,
    /// Those whose index differs in a bit.
    Flipped,
}

/// What a communicator group is to the maps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Span {
    /// All ranks.
    World,
    /// The ranks that differ in one coordinate only, in its order.
    Line { dimension: usize },
}

impl Symmetry {
    /// The maps under which a run stays the same, if they take every rank to every other.
    ///
    /// The traces of all ranks do the same; their nodes name no rank, and groups only of all ranks or of the rank's
    /// own line in a dimension. Peers are found by ring distance or by flipped bits, in each dimension the same for
    /// all collectives of the trace. A message's time depends only on the map from its source to its destination, and
    /// maps take links to links and routes to routes: see [`coordinates`].
    pub(super) fn of(network: &Network, system: &System, workload: &Workload) -> Option<Self> {
        if system.rendezvous || system.shared_bus.is_some() || !system.custom.is_empty() {
            return None;
        }
        // Faulty links are not where others are, and agents are not like other ranks.
        if !network.faulty_links.is_empty() || network.agents_from().is_some() {
            return None;
        }
        let exclusive_memory =
            matches!(system.remote_memory, RemoteMemory::Pool(_) | RemoteMemory::PerNode { .. });
        let spans = spans(network, workload);
        let mut peers = PeersByDimension::new(network);
        let mut has_lines = false;
        let trace = workload.trace(Rank(0));
        // A replay sends nothing.
        let nodes = if system.replay_only { 0 } else { trace.len() as u32 };
        let mut seen = [false; CollectiveType::ALL.len()];
        for index in 0..nodes {
            match trace.node(index).kind {
                NodeKind::Send { .. } | NodeKind::Recv { .. } => return None,
                NodeKind::MemoryLoad(_) | NodeKind::MemoryStore(_) if exclusive_memory => return None,
                NodeKind::Collective { collective, group, .. } => {
                    match group.map_or(Some(Span::World), |group| spans.get(&group).copied())? {
                        Span::World if std::mem::replace(&mut seen[collective as usize], true) => {}
                        Span::World => peers.need_all(network, system.algorithms(collective))?,
                        Span::Line { dimension } => {
                            has_lines = true;
                            peers.need(network, dimension, system.group_algorithm(collective)?)?;
                        }
                    }
                }
                _ => {}
            }
        }
        let alike = if has_lines { lines_are_alike(workload, &spans) } else { traces_are_alike(workload) };
        if !alike {
            return None;
        }
        let mut dimensions = Vec::with_capacity(network.dimensions.len());
        for (dimension, peers) in network.dimensions.iter().zip(peers.0) {
            dimensions.extend(coordinates(network.model, dimension, peers)?.into_iter().flatten());
        }
        Some(Self { dimensions })
    }

    /// One map after the other, in whichever order.
    pub(super) fn compose(&self, one: u32, other: u32) -> u32 {
        self.each_coordinate(one, other, |Coordinate { npus, flips }, one, other| {
            if flips {
                one ^ other
            } else if one >= npus - other {
                one - (npus - other)
            } else {
                one + other
            }
        })
    }

    /// The map back.
    pub(super) fn inverse(&self, map: u32) -> u32 {
        self.each_coordinate(
            map,
            0,
            |Coordinate { npus, flips }, distance, _| {
                if flips || distance == 0 { distance } else { npus - distance }
            },
        )
    }

    fn each_coordinate(
        &self,
        mut one: u32,
        mut other: u32,
        act: impl Fn(Coordinate, u32, u32) -> u32,
    ) -> u32 {
        if let &[only] = &self.dimensions[..] {
            return act(only, one, other);
        }
        let (mut result, mut stride) = (0, 1);
        for &coordinate in &self.dimensions {
            result += act(coordinate, one % coordinate.npus, other % coordinate.npus) * stride;
            one /= coordinate.npus;
            other /= coordinate.npus;
            // Wraps behind the last dimension only.
            stride = stride.wrapping_mul(coordinate.npus);
        }
        result
    }
}

/// How maps act on the coordinates of a dimension in which peers are found in a way, or in any; `None` if no maps that
/// do right by the peers take every member to every other and leave the network as it is.
///
/// - Of a ring those that add do. Those that flip a bit go equally far in either direction, which is enough for delays;
///   links of either direction they exchange at some members and not at others.
/// - Where any two members are alike, both kinds do.
/// - The links and routes of a complete hypercube are the same after flips, but not after adding.
/// - In a torus rows and columns are rings, each with maps that add. Peers around the dimension do not follow them, and
///   flipped bits only where each of the two rings has two members.
/// - Lines, meshes and trees have members that are unlike others.
fn coordinates(
    model: NetworkModel,
    dimension: &Dimension,
    peers: Option<Peers>,
) -> Option<[Option<Coordinate>; 2]> {
    let Dimension { topology, npus, .. } = *dimension;
    let flips = peers == Some(Peers::Flipped);
    let one = |flips| Some([Some(Coordinate { npus, flips }), None]);
    match topology {
        Topology::Ring if flips && model == NetworkModel::CongestionAware => None,
        Topology::Ring | Topology::FullyConnected | Topology::Switch => one(flips),
        Topology::HyperCube if npus.is_power_of_two() && peers != Some(Peers::Around) => one(true),
        Topology::Torus2D if peers.is_none() || flips && npus == 4 => {
            let ring = Some(Coordinate { npus: npus.isqrt(), flips: false });
            Some([ring, ring])
        }
        _ => None,
    }
}

/// How peers are found in each dimension, where that is fixed.
struct PeersByDimension(Vec<Option<Peers>>);

impl PeersByDimension {
    fn new(network: &Network) -> Self {
        Self(vec![None; network.dimensions.len()])
    }

    /// Fixes how an algorithm finds peers in a dimension; `None` if that cannot be.
    fn need(&mut self, network: &Network, dimension: usize, algorithm: Algorithm) -> Option<()> {
        let needed = peers_of(algorithm)?;
        // Of two members the other is both the next and the flipped one.
        let fixed = network.dimensions[dimension].npus > 2;
        (!fixed || *self.0[dimension].get_or_insert(needed) == needed).then_some(())
    }

    /// The same for the algorithms of a collective of all ranks, one per dimension.
    fn need_all(&mut self, network: &Network, algorithms: &[Algorithm]) -> Option<()> {
        let several = network.dimensions.len() > 1;
        for (dimension, &algorithm) in algorithms.iter().enumerate() {
            if several && algorithm.spans_all_ranks() {
                return None;
            }
            self.need(network, dimension, algorithm)?;
        }
        Some(())
    }
}

const fn peers_of(algorithm: Algorithm) -> Option<Peers> {
    match algorithm {
        Algorithm::Ring | Algorithm::OneRing | Algorithm::Direct { .. } | Algorithm::OneDirect { .. } => {
            Some(Peers::Around)
        }
        Algorithm::HalvingDoubling | Algorithm::OneHalvingDoubling => Some(Peers::Flipped),
        Algorithm::Mesh | Algorithm::HyperCube | Algorithm::Torus2D => Some(Peers::Around),
        // The second is refused when a rank reaches it.
        Algorithm::DoubleBinaryTree | Algorithm::Mesh2D => None,
    }
}

/// The groups that are of all ranks or of a line.
fn spans(network: &Network, workload: &Workload) -> BTreeMap<GroupId, Span> {
    let span = |members: &[Rank]| {
        if members.len() == workload.trace_of_rank.len() {
            return Some(Span::World);
        }
        let first = members[0].0;
        let mut stride = 1;
        for (dimension, &Dimension { npus, .. }) in network.dimensions.iter().enumerate() {
            let line = (0..npus).map(|index| u64::from(first) + u64::from(index) * u64::from(stride));
            if (first / stride).is_multiple_of(npus)
                && line.eq(members.iter().map(|member| u64::from(member.0)))
            {
                return Some(Span::Line { dimension });
            }
            stride = stride.wrapping_mul(npus).max(1);
        }
        None
    };
    workload.groups.iter().filter_map(|(&group, members)| Some((group, span(members)?))).collect()
}

/// Whether the traces of all ranks do the same.
fn traces_are_alike(workload: &Workload) -> bool {
    let first = workload.trace_of_rank[0] as usize;
    let mut used = vec![false; workload.traces.len()];
    for &index in &workload.trace_of_rank {
        used[index as usize] = true;
    }
    used[first] = false;
    let mut others = workload.traces.iter().zip(used).filter_map(|(other, used)| used.then_some(other));
    others.all(|other| workload.traces[first].does_the_same_as(other, |_, one, other| one == other))
}

/// The same where collectives run in lines: each rank in its own, under one group with the others of the line.
fn lines_are_alike(workload: &Workload, spans: &BTreeMap<GroupId, Span>) -> bool {
    let first = workload.trace(Rank(0));
    let group_of = |rank: Rank, node: u32| {
        let trace = workload.trace(rank);
        match (node < trace.len() as u32).then(|| trace.node(node).kind) {
            Some(NodeKind::Collective { group, .. }) => group,
            _ => None,
        }
    };
    (0..workload.trace_of_rank.len() as u32).map(Rank).all(|rank| {
        first.does_the_same_as(workload.trace(rank), |node, one, other| match spans.get(&other) {
            Some(Span::World) => one == other,
            Some(line) => {
                let members = &workload.groups[&other];
                spans.get(&one) == Some(line)
                    && members.binary_search(&rank).is_ok()
                    && group_of(members[0], node) == Some(other)
            }
            None => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symmetry(coordinates: &[(u32, bool)]) -> Symmetry {
        let coordinate = |&(npus, flips): &(u32, bool)| Coordinate { npus, flips };
        Symmetry { dimensions: coordinates.iter().map(coordinate).collect() }
    }

    #[test]
    fn maps_commute_and_can_be_undone() {
        let symmetry = symmetry(&[(3, false), (4, true), (2, false)]);
        for one in 0..24 {
            assert_eq!(symmetry.compose(one, symmetry.inverse(one)), 0);
            for other in 0..24 {
                assert_eq!(symmetry.compose(one, other), symmetry.compose(other, one));
                let both = symmetry.compose(one, other);
                assert_eq!(symmetry.compose(both, symmetry.inverse(other)), one);
            }
        }
    }

    #[test]
    fn coordinates_wrap_or_flip_each_for_itself() {
        let symmetry = symmetry(&[(4, false), (4, true)]);
        assert_eq!(symmetry.compose(3 + 4, 2 + 3 * 4), 1 + 2 * 4);
        assert_eq!(symmetry.inverse(1 + 3 * 4), 3 + 3 * 4);
    }
}
