//! The default policy: on every dimension the algorithm that suits its topology.
//!
//! A pure function of dialect and topology, after the public defaults of DeepFlow's ASTRA-sim integration (December
//! 2025). Where the simulator asked about lacks the algorithm that DeepFlow would name, it is `ring`. It must never look
//! at the collective's size or at another dimension.
#![forbid(unsafe_code)]

use astra_policy::{Algorithm, Answer, Dialect, Dimension, Policy, Refusal, Request, Topology};

/// Version of the rules: raised whenever some request would be answered otherwise, reasons included.
pub const VERSION: u32 = 2;

/// The policy `topology`.
#[derive(Clone, Copy, Debug)]
pub struct ByTopology;

impl Policy for ByTopology {
    const NAME: &'static str = "topology";
    const VERSION: &'static str = "2";
    const DESCRIPTION: &'static str =
        "on every dimension the algorithm that suits its topology, as DeepFlow does";

    fn open(config: &str) -> Result<Self, Refusal> {
        if config.trim().is_empty() { Ok(Self) } else { Err("takes no configuration".into()) }
    }

    fn decide(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
        let mut algorithms = Vec::with_capacity(request.dimensions.len());
        let mut reasons: Vec<String> = Vec::new();
        for dimension in &request.dimensions {
            let (algorithm, reason) = default_for(request.dialect, dimension.topology);
            if !dimension.allowed.contains(algorithm) {
                return Err(impossible(request, dimension, algorithm).into());
            }
            algorithms.push(algorithm);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        Ok(Some(Answer::of(algorithms).because(reasons.join("; "))))
    }
}

/// The rules name one algorithm for a topology; putting another in its place is the user's decision.
fn impossible(request: &Request, dimension: &Dimension, algorithm: Algorithm) -> String {
    let Dimension { id, topology, npus, .. } = dimension;
    let collective = request.collective;
    format!(
        "{algorithm}, the default for {topology}, cannot run {collective} on dimension `{id}` of {npus} NPUs"
    )
}

/// The algorithm that suits a topology best of those that the simulator has, and why.
pub fn default_for(dialect: Dialect, topology: Topology) -> (Algorithm, String) {
    let best = best_for(topology);
    match (dialect, best) {
        (Dialect::AstraSim, Algorithm::Mesh | Algorithm::HyperCube | Algorithm::Torus2D) => {
            (Algorithm::Ring, format!("default for {topology}, as astra-sim has no {best}"))
        }
        _ => (best, format!("default for {topology}")),
    }
}

/// What DeepFlow uses; a topology without an algorithm of its own gets `ring`.
fn best_for(topology: Topology) -> Algorithm {
    match topology {
        Topology::FullyConnected => Algorithm::Direct,
        Topology::Switch => Algorithm::HalvingDoubling,
        Topology::Mesh => Algorithm::Mesh,
        Topology::HyperCube => Algorithm::HyperCube,
        Topology::Torus2D | Topology::Mesh2D | Topology::KingMesh2D => Algorithm::Torus2D,
        Topology::Ring | Topology::Bus | Topology::BinaryTree | Topology::DoubleBinaryTree => Algorithm::Ring,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use astra_policy::{AlgorithmSet, Collective, CollectiveOptimization, NetworkModel};

    fn request(dialect: Dialect, dimensions: &[(Topology, &[Algorithm])]) -> Request {
        let dimension = |&(topology, allowed): &(Topology, &[Algorithm])| Dimension {
            id: "d".into(),
            topology,
            npus: 4,
            bandwidth_bytes_per_s: 1e11,
            latency_ns: 500.0,
            allowed: allowed.iter().copied().collect::<AlgorithmSet>(),
        };
        Request {
            collective: Collective::AllReduce,
            element_bytes: 4,
            payload_bytes: 1 << 20,
            ranks: 4,
            group: None,
            dimensions: dimensions.iter().map(dimension).collect(),
            endpoint_delay_ns: 10,
            dataset_splits: 1,
            active_chunks: 1,
            network_model: NetworkModel::CongestionAware,
            dialect,
            local_memory_bytes_per_s: 1600e9,
            collective_optimization: CollectiveOptimization::LocalBwAware,
            queues_per_dimension: 1,
        }
    }

    /// The default of every topology: for DeepFlow, and behind a slash for ASTRA-sim.
    const GOLDEN: &str = "\
version 2
Ring: ring, default for Ring / ring, default for Ring
FullyConnected: direct, default for FullyConnected / direct, default for FullyConnected
Switch: halvingDoubling, default for Switch / halvingDoubling, default for Switch
Mesh: mesh, default for Mesh / ring, default for Mesh, as astra-sim has no mesh
HyperCube: hypercube, default for HyperCube / ring, default for HyperCube, as astra-sim has no hypercube
Torus2D: torus2d, default for Torus2D / ring, default for Torus2D, as astra-sim has no torus2d
Mesh2D: torus2d, default for Mesh2D / ring, default for Mesh2D, as astra-sim has no torus2d
KingMesh2D: torus2d, default for KingMesh2D / ring, default for KingMesh2D, as astra-sim has no torus2d
Bus: ring, default for Bus / ring, default for Bus
BinaryTree: ring, default for BinaryTree / ring, default for BinaryTree
DoubleBinaryTree: ring, default for DoubleBinaryTree / ring, default for DoubleBinaryTree
";

    #[test]
    fn an_answer_that_changes_raises_the_version() {
        let text = |dialect, topology| {
            let (algorithm, reason) = default_for(dialect, topology);
            format!("{algorithm}, {reason}")
        };
        let mut table = format!("version {}\n", ByTopology::VERSION);
        for topology in Topology::ALL {
            let [deepflow, astra_sim] = [Dialect::DeepFlow, Dialect::AstraSim].map(|d| text(d, topology));
            table += &format!("{topology}: {deepflow} / {astra_sim}\n");
        }
        assert_eq!(table, GOLDEN, "the rules changed: raise both VERSIONs and write the answers here");
        assert_eq!(ByTopology::VERSION, VERSION.to_string());
    }

    #[test]
    fn every_dimension_is_answered_by_its_own_topology() {
        let all = Algorithm::ALL.as_slice();
        let request = request(Dialect::DeepFlow, &[(Topology::Torus2D, all), (Topology::Switch, all)]);
        let answer = ByTopology.decide(&request).unwrap().unwrap();
        assert_eq!(
            answer.dimensions,
            Answer::of([Algorithm::Torus2D, Algorithm::HalvingDoubling]).dimensions
        );
        assert_eq!(answer.reason, "default for Torus2D; default for Switch");
    }

    #[test]
    fn a_default_that_cannot_run_the_collective_is_refused_not_replaced() {
        let request = request(Dialect::AstraSim, &[(Topology::Switch, &[Algorithm::Ring])]);
        let refusal = ByTopology.decide(&request).unwrap_err().to_string();
        assert!(
            refusal.contains("halvingDoubling, the default for Switch, cannot run all_reduce"),
            "{refusal}"
        );
    }

    #[test]
    fn a_configuration_is_refused() {
        assert!(ByTopology::open("ring").is_err());
    }
}
