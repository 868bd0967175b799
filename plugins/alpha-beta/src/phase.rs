//! What one phase of a collective takes: the messages an algorithm sends, how long they take and how long they keep links
//! busy.
//!
//! Source of the rules: the description of the simulators in docs/engine.md. A phase is judged as if all members began
//! it together. It must never know of other phases.

use astra_policy::{Algorithm, Collective, Topology};

use crate::cost::Cost;
use crate::line::Spell;
use crate::place::{Axis, Place};
use crate::rounds::{Half, Rounds, message_bytes};

/// A phase of one chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Phase {
    /// From its beginning to its end, alone on its links.
    pub(crate) cost: Cost,
    /// From its beginning until it needs the link that it uses most.
    pub(crate) before_ns: f64,
    /// How long it keeps that link from other chunks.
    pub(crate) busy_ns: f64,
    /// From the last transmission over that link to its end.
    pub(crate) after_ns: f64,
    /// What members that come last take longer. Chunks that follow each other pay it once: who is late with the first
    /// is not behind in the next.
    pub(crate) lag_ns: f64,
}

impl Place<'_> {
    /// The phase of a collective with an input of `bytes`.
    pub(crate) fn phase(&self, algorithm: Algorithm, collective: Collective, bytes: u64) -> Phase {
        match algorithm {
            Algorithm::Direct | Algorithm::OneDirect => self.direct(collective, bytes),
            Algorithm::HalvingDoubling | Algorithm::OneHalvingDoubling => self.halving(collective, bytes),
            Algorithm::DoubleBinaryTree => self.tree(bytes),
            _ => self.ring(algorithm, collective, bytes),
        }
    }

    /// A phase that uses its busiest link from beginning to end.
    fn steady(&self, cost: Cost, busy_ns: f64) -> Phase {
        let busy_ns = if self.is_shared { busy_ns.min(cost.total_ns()) } else { 0.0 };
        let latency_ns = self.axes.iter().map(|axis| axis.latency_ns).fold(0.0, f64::max);
        let after_ns = (latency_ns + self.endpoint_ns).min(cost.total_ns() - busy_ns);
        Phase { cost, before_ns: 0.0, busy_ns, after_ns, lag_ns: 0.0 }
    }

    /// Messages go around a ring of the members; each waits for the one before.
    fn ring(&self, algorithm: Algorithm, collective: Collective, bytes: u64) -> Phase {
        let members = self.members();
        let rounds = Rounds::of(algorithm, collective, members);
        let message = message_bytes(self.dialect, algorithm, collective, bytes, members);
        let mut cost = Cost {
            endpoint_ns: (rounds.count + 1) as f64 * self.endpoint_ns,
            reduction_ns: rounds.reduced(collective) as f64 * self.reduction_ns(message),
            ..Cost::default()
        };
        let (mut stride, mut slowest_ns, mut lag) = (1, 0.0_f64, Cost::default());
        // Every message moves along the first axis, and along the others as often as a rank's number carries. Without
        // congestion only the lowest dimension in which its ends differ counts.
        let counted = if self.is_shared { self.axes.len() } else { 1 };
        for axis in &self.axes[..counted] {
            let (along, around) = (rounds.count.div_ceil(stride), axis.line.around());
            let axis_members = u64::from(axis.line.members);
            let (mean, most) = (around.mean(axis_members, along), around.most(axis_members, along));
            cost += self.messages(axis, along as f64, mean, message);
            lag += self.messages(axis, 0.0, most - mean, message);
            slowest_ns = slowest_ns.max(axis.sending_ns(message).floor());
            stride = axis_members.saturating_mul(stride);
        }
        let busy_ns = rounds.count as f64 * slowest_ns;
        if self.is_shared {
            // The members whose messages take the slowest links send all of them there.
            cost.transmission_ns = cost.transmission_ns.max(busy_ns - cost.latency_ns - cost.endpoint_ns);
        }
        Phase { lag_ns: lag.total_ns(), ..self.steady(cost, busy_ns) }
    }

    /// Every member to every other at once; for an all-reduce twice.
    fn direct(&self, collective: Collective, bytes: u64) -> Phase {
        let members = self.members();
        let message = message_bytes(self.dialect, Algorithm::Direct, collective, bytes, members);
        let halves = if collective == Collective::AllReduce { 2.0 } else { 1.0 };
        let reduces = matches!(collective, Collective::AllReduce | Collective::ReduceScatter);
        let exchange = if self.is_shared { self.crowded(message) } else { self.farthest(message) };
        let own = Cost {
            endpoint_ns: (halves + 1.0) * self.endpoint_ns,
            reduction_ns: if reduces { self.reduction_ns(message) } else { 0.0 },
            ..Cost::default()
        };
        self.steady(exchange * halves + own, halves * self.busiest_ns(message))
    }

    /// Without congestion: the message that takes longest.
    fn farthest(&self, message: u64) -> Cost {
        let along = |axis: &Axis| self.messages(axis, 1.0, axis.line.longest() as f64, message);
        let longest = |most: Cost, other: Cost| if other.total_ns() > most.total_ns() { other } else { most };
        self.axes.iter().map(along).reduce(longest).unwrap_or_default()
    }

    /// How long the busiest link sends when every member sends to every other.
    fn busiest_ns(&self, message: u64) -> f64 {
        let members = self.members() as f64;
        let along = |axis: &Axis| {
            let lines = members / f64::from(axis.line.members);
            lines * axis.line.crowd().load * axis.sending_ns(message).floor()
        };
        self.axes.iter().map(along).fold(0.0, f64::max)
    }

    /// Every member to every other over shared links. Across several axes either the one with the busiest links decides,
    /// and what has passed it crosses the others; or the longest way, whose links share out the rest.
    fn crowded(&self, message: u64) -> Cost {
        if let [axis] = self.axes {
            return exchange(axis, message);
        }
        let members = self.members() as f64;
        let (mut crowded, mut sparse) = (Cost::default(), Cost::default());
        crowded.transmission_ns = self.busiest_ns(message);
        for axis in self.axes {
            let (crowd, sending_ns) = (axis.line.crowd(), axis.sending_ns(message).floor());
            let lines = members / f64::from(axis.line.members);
            crowded.latency_ns += crowd.crowded.hops * axis.latency_ns;
            crowded.transmission_ns += (crowd.crowded.sendings - crowd.load) * sending_ns;
            sparse.latency_ns += crowd.sparse.hops * axis.latency_ns;
            sparse.transmission_ns += lines * crowd.load / crowd.sparse.hops * sending_ns;
        }
        if crowded.total_ns() >= sparse.total_ns() { crowded } else { sparse }
    }

    /// Partners at doubling distances exchange halves, and the other way round.
    fn halving(&self, collective: Collective, bytes: u64) -> Phase {
        let members = self.members();
        let bits = u64::from(members.ilog2()).max(1);
        let is_all_reduce = collective == Collective::AllReduce;
        let mut half = Half::first(collective, bytes, members);
        let mut cost = Cost { endpoint_ns: self.endpoint_ns, ..Cost::default() };
        let mut links = Links::default();
        for round in 1..=if is_all_reduce { 2 * bits } else { bits } {
            let (axis, along) = self.axis_at(half.distance);
            let (hops, load) = (axis.line.partner(along) as f64, axis.line.partner_load(along));
            let sending_ns = axis.sending_ns(half.bytes);
            links.carry(axis.line.topology, cost.total_ns(), load.max(hops) * sending_ns);
            cost += self.messages(axis, 1.0, hops, half.bytes);
            cost.endpoint_ns += self.endpoint_ns;
            if self.is_shared {
                cost.transmission_ns += (load - 1.0) * sending_ns;
            }
            half = half.next(collective, members);
            // The step after a round is charged for the size of the next one.
            let reduces = match collective {
                Collective::ReduceScatter => round % bits != 0,
                Collective::AllReduce => round < bits,
                _ => false,
            };
            if reduces {
                cost.reduction_ns += self.reduction_ns(half.bytes);
            }
        }
        match (links.are_apart, is_all_reduce) {
            (false, _) => self.steady(cost, links.all_ns),
            // First and last round share a link.
            (true, true) => self.steady(cost, 2.0 * links.most_ns),
            (true, false) => {
                let busy_ns = if self.is_shared { links.most_ns } else { 0.0 };
                let after_ns = (cost.total_ns() - links.most_from_ns - busy_ns).max(0.0);
                Phase { cost, before_ns: links.most_from_ns, busy_ns, after_ns, lag_ns: 0.0 }
            }
        }
    }

    /// The axis along which members at this distance lie, a power of two, and their distance there.
    fn axis_at(&self, distance: u64) -> (&Axis, u64) {
        let mut along = distance;
        for axis in self.axes {
            let members = u64::from(axis.line.members);
            if along < members {
                return (axis, along.max(1));
            }
            along /= members;
        }
        (&self.axes[self.axes.len() - 1], 1)
    }

    /// Up and down a tree of all members, the whole input each time.
    fn tree(&self, bytes: u64) -> Phase {
        let axis = &self.axes[0];
        let levels = u64::from(axis.line.members.max(2).ilog2());
        let sending_ns = axis.sending_ns(bytes);
        // The children of a member, and its answers to them, share its port at a switch.
        let shares = self.is_shared && axis.line.topology == Topology::Switch;
        let mut cost = Cost { endpoint_ns: self.endpoint_ns, ..Cost::default() };
        for level in 0..levels {
            let mut up = self.messages(axis, 1.0, axis.line.child(level) as f64, bytes);
            if self.alternates && axis.line.topology == Topology::BinaryTree {
                // Every other chunk uses the tree that the links do not make: four times the way, as simulated.
                up = up * if self.is_concurrent { 4.2 } else { 2.6 };
            }
            if shares && level + 1 < levels {
                up.transmission_ns += sending_ns;
            }
            up.endpoint_ns = self.endpoint_ns;
            up.reduction_ns = self.reduction_ns(bytes);
            cost += up * 2.0;
        }
        // A leaf does not reduce.
        cost.reduction_ns -= self.reduction_ns(bytes);
        self.steady(cost, if shares { 4.0 } else { 2.0 } * sending_ns)
    }
}

/// What the rounds of halving-doubling send over links.
#[derive(Default)]
struct Links {
    /// Whether each round has links of its own.
    are_apart: bool,
    /// Over the busiest link, where rounds share links.
    all_ns: f64,
    /// In the longest round, and when that begins.
    most_ns: f64,
    most_from_ns: f64,
}

impl Links {
    /// A round that begins at `from_ns` and keeps its busiest link for `busy_ns`. The shares are such that chunks side by
    /// side take what they take in simulations.
    fn carry(&mut self, topology: Topology, from_ns: f64, busy_ns: f64) {
        let shared_ns = match topology {
            Topology::FullyConnected | Topology::HyperCube => {
                self.are_apart = true;
                0.0
            }
            // Rounds along rows and along columns have links of their own, but some are longer than others.
            Topology::Torus2D | Topology::Mesh2D | Topology::KingMesh2D => 0.85 * busy_ns,
            // A message passes a port once, whatever its hops; that of the receiver it may find free.
            Topology::Switch => 0.7 * busy_ns,
            _ => busy_ns,
        };
        self.all_ns += shared_ns;
        if busy_ns > self.most_ns {
            (self.most_ns, self.most_from_ns) = (busy_ns, from_ns);
        }
    }
}

/// Every member of one axis to every other over shared links.
fn exchange(axis: &Axis, message: u64) -> Cost {
    let sending_ns = axis.sending_ns(message).floor();
    let crowd = axis.line.crowd();
    let cost = |spell: Spell| Cost {
        latency_ns: spell.hops * axis.latency_ns,
        transmission_ns: spell.sendings * sending_ns,
        ..Cost::default()
    };
    let (mut crowded, sparse) = (cost(crowd.crowded), cost(crowd.sparse));
    if axis.line.topology == Topology::Ring {
        crowded.latency_ns += idle_ns(axis, sending_ns);
        return crowded;
    }
    if crowded.total_ns() >= sparse.total_ns() { crowded } else { sparse }
}

/// How long the links of a ring wait, while everybody sends to everybody, for messages on their way to them.
fn idle_ns(axis: &Axis, sending_ns: f64) -> f64 {
    // The messages come in waves, each one message shorter than that before it. A link waits for the first of a wave
    // unless it takes longer to send the rest of the wave before.
    let waves = axis.line.longest().saturating_sub(1) as f64;
    let late = if sending_ns > 0.0 { (axis.latency_ns / sending_ns).ceil().min(waves) } else { waves };
    late * axis.latency_ns - sending_ns * late * (late - 1.0).max(0.0) / 2.0
}
