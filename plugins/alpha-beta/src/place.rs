//! Where a phase runs: the links between its members, along one dimension or across several, and what the simulators
//! charge there.

use astra_policy::{Dialect, NetworkModel, Request, Topology};

use crate::cost::Cost;
use crate::line::Line;

/// The members of a phase along one dimension of the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) line: Line,
    pub(crate) latency_ns: f64,
    pub(crate) bytes_per_ns: f64,
}

/// Delay that the simulators charge before the messages of a group, whatever the setting is.
const GROUP_ENDPOINT_NS: f64 = 10.0;

/// The members of a phase and their surroundings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// One, or several that a phase over all of them crosses, fastest-varying first.
    pub(crate) axes: &'a [Axis],
    /// Whether messages compete for links.
    pub(crate) is_shared: bool,
    pub(crate) dialect: Dialect,
    pub(crate) endpoint_ns: f64,
    /// Bandwidth of local memory; 0: reducing takes no time.
    pub(crate) memory_bytes_per_ns: f64,
    /// Whether there is more than one chunk, so that both trees of a pair are used.
    pub(crate) alternates: bool,
    /// Whether several chunks run at once.
    pub(crate) is_concurrent: bool,
}

/// The axes of a request: its dimensions, or those in which the ranks of its group differ.
pub(crate) fn axes(request: &Request) -> Vec<Axis> {
    let is_shared = request.network_model == NetworkModel::CongestionAware;
    let mut stride = 1;
    let mut axes = Vec::with_capacity(request.dimensions.len());
    for dimension in &request.dimensions {
        // As only dimension a hypercube with congestion has links of twice the bandwidth.
        let is_doubled =
            is_shared && request.dimensions.len() == 1 && dimension.topology == Topology::HyperCube;
        let bytes_per_ns = dimension.bandwidth_bytes_per_s / 1e9 * if is_doubled { 2.0 } else { 1.0 };
        let line = Line { topology: dimension.topology, members: dimension.npus.max(2) };
        let line = match &request.group {
            None => Some(line),
            Some(group) => part(line, group, stride),
        };
        stride = u64::from(dimension.npus.max(1)).saturating_mul(stride);
        axes.extend(line.map(|line| Axis { line, latency_ns: dimension.latency_ns, bytes_per_ns }));
    }
    axes
}

/// The part of a dimension that a group has members along, if it has more than one.
fn part(line: Line, group: &[u32], stride: u64) -> Option<Line> {
    let coordinate = |rank: &u32| u64::from(*rank) / stride % u64::from(line.members);
    let mut coordinates: Vec<u64> = group.iter().map(coordinate).collect();
    coordinates.sort_unstable();
    coordinates.dedup();
    let members = coordinates.len() as u32;
    let topology = match line.topology {
        whole if members == line.members => whole,
        direct @ (Topology::FullyConnected | Topology::Switch) => direct,
        // A piece of anything else is at best a line.
        _ => Topology::Mesh,
    };
    (members > 1).then_some(Line { topology, members })
}

impl<'a> Place<'a> {
    /// The surroundings of phases of a request over these axes.
    pub(crate) fn new(request: &Request, axes: &'a [Axis]) -> Self {
        let endpoint_ns = match request.group {
            Some(_) => GROUP_ENDPOINT_NS,
            None => request.endpoint_delay_ns as f64,
        };
        Self {
            axes,
            is_shared: request.network_model == NetworkModel::CongestionAware,
            dialect: request.dialect,
            endpoint_ns,
            memory_bytes_per_ns: request.local_memory_bytes_per_s / 1e9,
            alternates: request.dataset_splits > 1,
            is_concurrent: request.dataset_splits > 1 && request.active_chunks > 1,
        }
    }

    /// How many members there are.
    pub(crate) fn members(&self) -> u64 {
        let members = self.axes.iter().map(|axis| axis.line.members);
        u64::from(members.fold(1, u32::saturating_mul)).max(2)
    }

    /// Three passes through local memory, each in whole nanoseconds.
    pub(crate) fn reduction_ns(&self, bytes: u64) -> f64 {
        if self.memory_bytes_per_ns > 0.0 {
            3.0 * (bytes as f64 / self.memory_bytes_per_ns).floor()
        } else {
            0.0
        }
    }

    /// Messages one after the other that make `hops` hops along an axis. With congestion each hop is a transmission;
    /// without there is one per message. Each is cut to whole nanoseconds.
    pub(crate) fn messages(&self, axis: &Axis, messages: f64, hops: f64, bytes: u64) -> Cost {
        let sending_ns = axis.sending_ns(bytes);
        let (transmissions, hops_each) =
            if self.is_shared { (hops, 1.0) } else { (messages, hops / messages.max(1.0)) };
        let exact_ns = hops_each * axis.latency_ns + sending_ns;
        Cost {
            latency_ns: hops * axis.latency_ns,
            transmission_ns: transmissions * (sending_ns - exact_ns.fract()).max(0.0),
            ..Cost::default()
        }
    }
}

impl Axis {
    /// Time to send `bytes` over a link.
    pub(crate) fn sending_ns(&self, bytes: u64) -> f64 {
        bytes as f64 / self.bytes_per_ns
    }
}
