//! Points of a grid over networks, sizes and collectives: the request a policy gets, and the truth from the engine.

use astra_engine as engine;
use astra_policy::{
    Algorithm, AlgorithmSet, Collective, CollectiveOptimization, Dialect, Dimension, NetworkModel, Request,
    Topology,
};

/// A dimension: topology, members, bandwidth in GiB/s, latency in ns.
pub(crate) type Size = (Topology, u32, f64, f64);

/// Sizes of a collective, in bytes: 1 KiB to 1 GiB.
pub(crate) const PAYLOADS: [u64; 6] = [1 << 10, 1 << 14, 1 << 18, 1 << 22, 1 << 26, 1 << 30];

/// How chunks are cut and scheduled: splits, active chunks, and how an all-reduce is decomposed.
pub(crate) const SETTINGS: [(u32, u32, CollectiveOptimization); 3] = [
    (1, 1, CollectiveOptimization::LocalBwAware),
    (4, 4, CollectiveOptimization::LocalBwAware),
    (4, 1, CollectiveOptimization::Baseline),
];

/// Networks of at most `most` ranks with a heading each: every topology as only dimension, with fast and slow links, and
/// several dimensions that get slower outwards, or do not.
pub(crate) fn networks(most: u32) -> Vec<(String, Vec<Size>)> {
    use Topology::*;
    let mut networks = Vec::new();
    for topology in Topology::ALL.into_iter().filter(|topology| *topology != Bus) {
        // Where the engine cannot let one rank stand for all, 256 of them would take hours.
        let alike = matches!(topology, Ring | FullyConnected | Switch);
        for npus in [4, 8, 9, 16, 36, 64, 256].into_iter().filter(|npus| alike || *npus < 256) {
            for (gib, latency_ns) in [(400.0, 200.0), (25.0, 2000.0)] {
                networks.push((topology.name().to_owned(), vec![(topology, npus, gib, latency_ns)]));
            }
        }
    }
    let outwards = [(400.0, 200.0), (100.0, 700.0), (25.0, 2000.0)];
    let several: [&[(Topology, u32)]; 12] = [
        &[(Ring, 4), (Switch, 4)],
        &[(FullyConnected, 8), (Switch, 16)],
        &[(Switch, 8), (Switch, 8)],
        &[(Ring, 4), (Ring, 4)],
        &[(Ring, 8), (Ring, 8)],
        &[(Ring, 3), (Switch, 5)],
        &[(HyperCube, 8), (Ring, 4)],
        &[(Torus2D, 16), (Switch, 4)],
        &[(Mesh, 4), (Mesh, 4)],
        &[(Ring, 4), (Ring, 4), (Ring, 4)],
        &[(Ring, 4), (FullyConnected, 4), (Switch, 4)],
        &[(Switch, 2), (Ring, 4), (FullyConnected, 4)],
    ];
    for dimensions in several {
        let heading = format!("{} dimensions", dimensions.len());
        for links in [outwards, [outwards[1]; 3]] {
            let sizes =
                dimensions.iter().zip(links).map(|(&(topology, npus), (gib, ns))| (topology, npus, gib, ns));
            networks.push((heading.clone(), sizes.collect()));
        }
    }
    networks.retain(|(_, sizes)| sizes.iter().map(|size| size.1).product::<u32>() <= most);
    networks
}

/// A point at which a policy is compared with the truth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// How much longer its choice takes than the best one, less 1.
    pub(crate) regret: f64,
    /// Predicted over simulated time of its choice, less 1.
    pub(crate) error: f64,
}

/// Decides, predicts, and simulates every candidate; nothing where the simulators cannot run the network.
pub(crate) fn compare(
    request: &Request,
    decide: impl Fn(&Request) -> (Vec<Algorithm>, f64),
) -> Option<Point> {
    let (chosen, predicted_ns) = decide(request);
    let mut least = u64::MAX;
    let mut own = None;
    for candidate in candidates(request) {
        let Ok(time) = simulated(request, &candidate) else { continue };
        least = least.min(time);
        if candidate == chosen {
            own = Some(time as f64);
        }
    }
    match own {
        Some(own) => Some(Point { regret: own / least as f64 - 1.0, error: predicted_ns / own - 1.0 }),
        None if least == u64::MAX => None,
        // Something runs, but not what was chosen.
        None => Some(Point { regret: f64::INFINITY, error: f64::INFINITY }),
    }
}

/// A request for a collective of all ranks, one chunk at a time, with the defaults of a recipe.
pub(crate) fn request(
    dimensions: &[Size],
    collective: Collective,
    payload_bytes: u64,
    network_model: NetworkModel,
    dialect: Dialect,
) -> Request {
    let ranks = dimensions.iter().map(|dimension| dimension.1).product();
    let dimensions =
        dimensions.iter().enumerate().map(|(index, &(topology, npus, gib, latency_ns))| Dimension {
            id: format!("dim{index}"),
            topology,
            npus,
            bandwidth_bytes_per_s: gib * f64::from(1 << 30),
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

/// What a host allows: what the simulator of the dialect carries out.
fn allowed(dialect: Dialect, collective: Collective, npus: u32, ranks: u32) -> AlgorithmSet {
    use Algorithm::*;
    let possible = |algorithm: &Algorithm| {
        let members = if OVER_ALL.contains(algorithm) { ranks } else { npus };
        match algorithm {
            Ring | OneRing | Direct | OneDirect => true,
            HalvingDoubling | OneHalvingDoubling => {
                collective != Collective::AllToAll && members.is_power_of_two()
            }
            DoubleBinaryTree => collective == Collective::AllReduce && members.is_power_of_two(),
            Mesh | HyperCube => dialect == Dialect::DeepFlow,
            Torus2D => dialect == Dialect::DeepFlow && members >= 4,
            Mesh2D => false,
        }
    };
    Algorithm::ALL.into_iter().filter(possible).collect()
}

/// Algorithms over all ranks at once.
pub(crate) const OVER_ALL: [Algorithm; 3] =
    [Algorithm::OneRing, Algorithm::OneDirect, Algorithm::OneHalvingDoubling];

/// Every answer to a request: an algorithm for each dimension, or one over all ranks.
pub(crate) fn candidates(request: &Request) -> Vec<Vec<Algorithm>> {
    let mut found = vec![Vec::new()];
    for dimension in &request.dimensions {
        let alone = || dimension.allowed.iter().filter(|algorithm| !OVER_ALL.contains(algorithm));
        let longer =
            |before: Vec<Algorithm>| alone().map(move |algorithm| [&before[..], &[algorithm]].concat());
        found = found.into_iter().flat_map(longer).collect();
    }
    if request.dimensions.len() > 1 {
        let over_all = request.dimensions[0].allowed.iter().filter(|algorithm| OVER_ALL.contains(algorithm));
        found.extend(over_all.map(|algorithm| vec![algorithm; request.dimensions.len()]));
    }
    found
}

/// The time that the engine takes for a request with these algorithms, in ns.
pub(crate) fn simulated(request: &Request, algorithms: &[Algorithm]) -> Result<u64, engine::Error> {
    let dimension = |dimension: &Dimension| engine::Dimension {
        topology: dimension.topology.name().parse().unwrap(),
        npus: dimension.npus,
        bandwidth: engine::GibPerSec(dimension.bandwidth_bytes_per_s / f64::from(1 << 30)),
        latency_ns: dimension.latency_ns,
    };
    let model = request.network_model.name().parse().unwrap();
    let network = engine::Network::new(model, request.dimensions.iter().map(dimension).collect());
    let list: Vec<engine::Algorithm> =
        algorithms.iter().map(|algorithm| algorithm.name().parse().unwrap()).collect();
    let system = engine::System {
        dialect: request.dialect.name().parse().unwrap(),
        collective_optimization: request.collective_optimization.name().parse().unwrap(),
        endpoint_delay: engine::Nanos(request.endpoint_delay_ns),
        preferred_dataset_splits: request.dataset_splits,
        active_chunks_per_dimension: request.active_chunks,
        queues_per_dimension: request.queues_per_dimension,
        local_mem_bw: engine::GbPerSec(request.local_memory_bytes_per_s / 1e9),
        all_reduce: list.clone(),
        all_gather: list.clone(),
        reduce_scatter: list.clone(),
        all_to_all: list,
        ..engine::System::default()
    };
    let kind = engine::NodeKind::Collective {
        collective: request.collective.name().parse().unwrap(),
        size: engine::Bytes(request.payload_bytes),
        group: request.group.as_ref().and_then(|_| engine::GroupId::new(1)),
        involved: engine::InvolvedDims::default(),
    };
    let node = engine::Node { kind, cpu: false, duration: engine::Micros(0) };
    let trace = |nodes: &[engine::Node]| {
        let mut trace = engine::TraceBuilder::new();
        // A rank outside the group computes for a microsecond.
        let idle = engine::Node { kind: engine::NodeKind::Compute { work: None }, ..node };
        trace.push(1, "node", *nodes.first().unwrap_or(&idle), &[]);
        trace.build().unwrap()
    };
    let takes_part = |rank: u32| request.group.as_ref().is_none_or(|group| group.contains(&rank));
    let members = request.group.iter().map(|group| group.iter().copied().map(engine::Rank).collect());
    let workload = engine::Workload {
        traces: vec![trace(&[node]), trace(&[])],
        trace_of_rank: (0..request.ranks).map(|rank| u32::from(!takes_part(rank))).collect(),
        groups: engine::GroupId::new(1).into_iter().zip(members).collect(),
    };
    let report = engine::simulate(&network, &system, &workload)?;
    Ok(report.ranks.iter().map(|rank| rank.finish.0).max().unwrap_or_default())
}
