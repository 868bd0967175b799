//! Questions that a policy is tried with: a grid over everything a request says.
//!
//! Fixed, so that two runs try the same. Only possible requests: every dimension allows at least one algorithm.

use astra_policy::{Collective, CollectiveOptimization, Dialect, Dimension, NetworkModel, Request, Topology};

use super::words::allowed;

/// Topologies, members, bandwidth in bytes per second, latency in ns of the dimensions of a network.
type Network = &'static [(Topology, u32, f64, f64)];

const NETWORKS: [Network; 9] = [
    &[(Topology::Ring, 8, 400e9, 500.0)],
    &[(Topology::Switch, 16, 50e9, 1000.0)],
    &[(Topology::Switch, 6, 50e9, 1000.0)],
    &[(Topology::FullyConnected, 4, 900e9, 0.0)],
    &[(Topology::Mesh, 9, 100e9, 20.5)],
    &[(Topology::Torus2D, 16, 100e9, 20.5)],
    &[(Topology::FullyConnected, 2, 900e9, 50.0), (Topology::Switch, 32, 25e9, 2000.0)],
    &[
        (Topology::Ring, 4, 200e9, 100.0),
        (Topology::Ring, 4, 200e9, 100.0),
        (Topology::Switch, 3, 12.5e9, 5e3),
    ],
    &[(Topology::Switch, 1024, 50e9, 1000.0)],
];

const PAYLOADS: [u64; 5] = [1, 4096, 1_000_003, 64 << 20, 1 << 33];

/// The questions: 720 of them.
pub fn sample() -> Vec<Request> {
    let mut requests = Vec::new();
    for network in NETWORKS {
        for collective in Collective::ALL {
            for payload_bytes in PAYLOADS {
                for dialect in Dialect::ALL {
                    for network_model in NetworkModel::ALL {
                        requests.push(request(network, collective, payload_bytes, dialect, network_model));
                    }
                }
            }
        }
    }
    // Everything else a request says varies along the way.
    for (index, request) in requests.iter_mut().enumerate() {
        request.dataset_splits = 1 + (index % 3) as u32;
        request.active_chunks = 1 + (index % 2) as u32;
        request.endpoint_delay_ns = 10 * (index % 4) as u64;
        request.local_memory_bytes_per_s = [1600e9, 50e9, 0.0][index % 3];
        request.collective_optimization = CollectiveOptimization::ALL[index / 2 % 2];
        request.queues_per_dimension = 1 + (index / 3 % 2) as u32;
        request.group = (index % 7 == 3).then(|| (0..request.ranks).step_by(2).collect());
    }
    requests
}

fn request(
    network: Network,
    collective: Collective,
    payload_bytes: u64,
    dialect: Dialect,
    network_model: NetworkModel,
) -> Request {
    let ranks = network.iter().map(|(_, npus, ..)| npus).product();
    let dimensions =
        network.iter().enumerate().map(|(index, &(topology, npus, bandwidth, latency_ns))| Dimension {
            id: format!("dim{index}"),
            topology,
            npus,
            bandwidth_bytes_per_s: bandwidth,
            latency_ns,
            allowed: allowed(dialect, collective, npus, ranks),
        });
    Request {
        collective,
        element_bytes: 4,
        payload_bytes,
        ranks,
        group: None,
        dimensions: dimensions.collect(),
        endpoint_delay_ns: 10,
        dataset_splits: 1,
        active_chunks: 1,
        network_model,
        dialect,
        local_memory_bytes_per_s: 1600e9,
        collective_optimization: CollectiveOptimization::LocalBwAware,
        queues_per_dimension: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_can_be_answered() {
        let requests = sample();
        assert_eq!(requests.len(), 720);
        for request in requests {
            assert!(request.dimensions.iter().all(|d| d.allowed.iter().count() > 0), "{request:?}");
        }
    }
}
