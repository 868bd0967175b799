//! The engine's words in the vocabulary of policies, and which algorithms are possible.

use astra_engine as engine;
use astra_policy::{
    Algorithm, AlgorithmSet, Collective, CollectiveOptimization, Dialect, NetworkModel, Topology,
};

use crate::algorithm;

/// The policies' word for a topology.
pub const fn topology(topology: engine::Topology) -> Topology {
    match topology {
        engine::Topology::Ring => Topology::Ring,
        engine::Topology::FullyConnected => Topology::FullyConnected,
        engine::Topology::Switch => Topology::Switch,
        engine::Topology::Mesh => Topology::Mesh,
        engine::Topology::HyperCube => Topology::HyperCube,
        engine::Topology::Torus2D => Topology::Torus2D,
        engine::Topology::Mesh2D => Topology::Mesh2D,
        engine::Topology::KingMesh2D => Topology::KingMesh2D,
        engine::Topology::Bus => Topology::Bus,
        engine::Topology::BinaryTree => Topology::BinaryTree,
        engine::Topology::DoubleBinaryTree => Topology::DoubleBinaryTree,
    }
}

/// The policies' word for a dialect.
pub const fn dialect(dialect: engine::Dialect) -> Dialect {
    match dialect {
        engine::Dialect::AstraSim => Dialect::AstraSim,
        engine::Dialect::DeepFlow => Dialect::DeepFlow,
    }
}

/// The policies' word for a network model.
pub const fn network_model(model: engine::NetworkModel) -> NetworkModel {
    match model {
        engine::NetworkModel::CongestionAware => NetworkModel::CongestionAware,
        engine::NetworkModel::CongestionUnaware => NetworkModel::CongestionUnaware,
    }
}

/// The policies' word for a decomposition of all-reduces.
pub const fn collective_optimization(of: engine::CollectiveOptimization) -> CollectiveOptimization {
    match of {
        engine::CollectiveOptimization::Baseline => CollectiveOptimization::Baseline,
        engine::CollectiveOptimization::LocalBwAware => CollectiveOptimization::LocalBwAware,
    }
}

/// Why an algorithm cannot run a collective on a dimension of `npus` members in a system of `ranks` ranks, as a fragment
/// that follows its name; nothing when it can.
pub(super) fn obstacle(
    algorithm: Algorithm,
    dialect: Dialect,
    collective: Collective,
    npus: u32,
    ranks: u32,
) -> Option<String> {
    let dialect = match dialect {
        Dialect::AstraSim => engine::Dialect::AstraSim,
        Dialect::DeepFlow => engine::Dialect::DeepFlow,
    };
    let parsed = match algorithm::parse(algorithm.name()) {
        Ok(parsed) => parsed,
        Err(unknown) => return Some(unknown.to_string()),
    };
    let possible = algorithm::exists(parsed, dialect);
    possible.and_then(|()| algorithm::supports(parsed, collective, npus, ranks)).err()
}

/// The algorithms that can run a collective on a dimension of `npus` members in a system of `ranks` ranks.
pub fn allowed(dialect: Dialect, collective: Collective, npus: u32, ranks: u32) -> AlgorithmSet {
    let possible = |algorithm: &Algorithm| obstacle(*algorithm, dialect, collective, npus, ranks).is_none();
    Algorithm::ALL.into_iter().filter(possible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_of_the_engine_has_its_number_and_the_other_way_round() {
        assert!(Algorithm::ALL.iter().map(|a| a.name()).eq(engine::Algorithm::NAMES.iter().copied()));
    }

    #[test]
    fn topologies_dialects_models_and_optimizations_keep_their_names() {
        for known in engine::Topology::ALL {
            assert_eq!(topology(*known).name(), known.as_str());
        }
        for known in engine::Dialect::ALL {
            assert_eq!(dialect(*known).name(), known.as_str());
        }
        for known in engine::CollectiveOptimization::ALL {
            assert_eq!(collective_optimization(*known).name(), known.as_str());
        }
        for known in engine::NetworkModel::ALL {
            assert_eq!(network_model(*known).name(), known.as_str());
        }
    }

    #[test]
    fn what_is_allowed_depends_on_dialect_collective_members_and_ranks() {
        let all_reduce = allowed(Dialect::AstraSim, Collective::AllReduce, 8, 24);
        assert!(all_reduce.contains(Algorithm::HalvingDoubling));
        assert!(!all_reduce.contains(Algorithm::OneHalvingDoubling));
        assert!(!all_reduce.contains(Algorithm::Torus2D));
        assert!(allowed(Dialect::DeepFlow, Collective::AllReduce, 8, 8).contains(Algorithm::Torus2D));
        assert!(!allowed(Dialect::AstraSim, Collective::AllToAll, 8, 8).contains(Algorithm::HalvingDoubling));
    }
}
