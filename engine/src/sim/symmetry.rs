//! Whether all ranks of a run are alike: a group of maps that takes every rank to every other and leaves network
//! and workload as they are.
//!
//! A map is named by the rank it takes rank 0 to. It acts on each coordinate of a rank for itself: it adds, or,
//! in dimensions where partners are found by flipping bits, it flips. So maps commute, and a peer seen from
//! rank 0 is the map from any rank to its peer. Nothing here knows of events.

use crate::collective::{Algorithm, CollectiveType};
use crate::network::{Network, NetworkModel};
use crate::system::{RemoteMemory, System};
use crate::trace::{NodeKind, Trace};
use crate::workload::{GroupId, Workload};

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

impl Symmetry {
    /// The maps under which a run stays the same, if they take every rank to every other.
    ///
    /// The traces of all ranks do the same, and their nodes name no rank and no group but that of all ranks. Peers
    /// are found by ring distance or by flipped bits, in each dimension the same for all collectives of the trace.
    /// A message's time depends only on the map from its source to its destination: a flipped bit is equally far
    /// in either direction of a ring. Links that messages share keep their place only when coordinates are added
    /// to.
    pub(super) fn of(network: &Network, system: &System, workload: &Workload) -> Option<Self> {
        if system.rendezvous || system.shared_bus.is_some() || !system.custom.is_empty() {
            return None;
        }
        let trace = common_trace(workload)?;
        let exclusive_memory =
            matches!(system.remote_memory, RemoteMemory::Pool(_) | RemoteMemory::PerNode { .. });
        let mut collectives = [false; CollectiveType::ALL.len()];
        if !system.replay_only {
            for index in 0..trace.len() as u32 {
                match trace.node(index).kind {
                    NodeKind::Send { .. } | NodeKind::Recv { .. } => return None,
                    NodeKind::MemoryLoad(_) | NodeKind::MemoryStore(_) if exclusive_memory => return None,
                    NodeKind::Collective { group: Some(group), .. } if !spans_all(workload, group) => {
                        return None;
                    }
                    NodeKind::Collective { collective, .. } => collectives[collective as usize] = true,
                    _ => {}
                }
            }
        }
        let used = CollectiveType::ALL.iter().filter(|&&collective| collectives[collective as usize]);
        Self::of_algorithms(network, used.map(|&collective| system.algorithms(collective)))
    }

    fn of_algorithms<'a>(network: &Network, lists: impl Iterator<Item = &'a [Algorithm]>) -> Option<Self> {
        let mut peers = vec![None; network.dimensions.len()];
        for list in lists {
            for ((algorithm, dimension), peers) in list.iter().zip(&network.dimensions).zip(&mut peers) {
                if algorithm.spans_all_ranks() && network.dimensions.len() > 1 {
                    return None;
                }
                let needed = peers_of(*algorithm)?;
                // Of two members the other is both the next and the flipped one.
                if dimension.npus > 2 && *peers.get_or_insert(needed) != needed {
                    return None;
                }
            }
        }
        let flips = |peers: Option<Peers>| peers == Some(Peers::Flipped);
        if network.model == NetworkModel::CongestionAware && peers.iter().any(|&peers| flips(peers)) {
            return None;
        }
        let coordinate = |(dimension, peers): (&crate::Dimension, Option<Peers>)| Coordinate {
            npus: dimension.npus,
            flips: flips(peers),
        };
        Some(Self { dimensions: network.dimensions.iter().zip(peers).map(coordinate).collect() })
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

const fn peers_of(algorithm: Algorithm) -> Option<Peers> {
    match algorithm {
        Algorithm::Ring | Algorithm::OneRing | Algorithm::Direct { .. } | Algorithm::OneDirect { .. } => {
            Some(Peers::Around)
        }
        Algorithm::HalvingDoubling | Algorithm::OneHalvingDoubling => Some(Peers::Flipped),
        Algorithm::DoubleBinaryTree => None,
    }
}

/// The trace of rank 0, if those of all ranks do the same.
fn common_trace(workload: &Workload) -> Option<&Trace> {
    let &first = workload.trace_of_rank.first()?;
    let trace = &workload.traces[first as usize];
    let mut used = vec![false; workload.traces.len()];
    for &index in &workload.trace_of_rank {
        used[index as usize] = true;
    }
    used[first as usize] = false;
    let mut others = workload.traces.iter().zip(used).filter_map(|(other, used)| used.then_some(other));
    others.all(|other| other.does_the_same_as(trace)).then_some(trace)
}

fn spans_all(workload: &Workload, group: GroupId) -> bool {
    workload.groups.get(&group).is_some_and(|members| members.len() == workload.trace_of_rank.len())
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
