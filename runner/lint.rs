//! What is wrong with a simulation before it runs: the network, the system settings and the traces against each other.
//!
//! The simulator this project stands in for accepts most of these and then stalls, crashes or gives the time of
//! something else. Values in, findings out, in time linear in the nodes (but for sorting messages); depends on the engine's
//! vocabulary and, for what is lost when traces are lowered, on the trace format. Knows of no paths and no terminals.

mod agreement;
mod collectives;
mod files;
mod finding;
mod messages;
mod nodes;
mod order;
mod rule;
mod tags;
#[cfg(test)]
mod tests;
mod waits;

use astra_engine::{
    Dimension, GibPerSec, Network, NetworkModel, Node, Rank, System, Topology, Trace, Workload,
};

pub use files::{Linted, lint_files};
pub use finding::{Finding, Place, Reasons, Severity, explained, misses_groups, refuse};
pub use rule::Rule;

use finding::Findings;
use order::Orders;

/// Checks a simulation. Findings come in a stable order: the network, the settings, the workload as a whole, then node
/// by node, and last what ranks expect of each other.
///
/// A finding about a node that several ranks share is given once, for the first of them; of each rule twenty different
/// ones are described and the rest is counted.
pub fn lint(network: &Network, system: &System, workload: &Workload) -> Vec<Finding> {
    let mut findings = Findings::default();
    if let Err((dimension, problem)) = network.check() {
        let place = dimension.map(|d| format!("dimension {d}: ")).unwrap_or_default();
        findings.general(Rule::Network, format!("{place}{problem}"));
    }
    if let Err(problem) = system.check(network.dimensions.len()) {
        findings.general(Rule::System, problem.to_string());
    }
    // Without a rank for every NPU everything below would be about another system than the one meant.
    let Some(ranks) = network.ranks() else { return findings.into_vec() };
    if let Err(problem) = workload.check(ranks).and_then(|()| workload.check_dialect(system)) {
        findings.general(Rule::Workload, problem.to_string());
        return findings.into_vec();
    }
    Check { network, system, workload, ranks, traces_alone: false }.run(&mut findings);
    findings.into_vec()
}

/// Checks traces and groups for what is wrong on any network, with any settings.
pub fn lint_workload(workload: &Workload) -> Vec<Finding> {
    let mut findings = Findings::default();
    let ranks = workload.trace_of_rank.len() as u32;
    if let Err(problem) = workload.check(ranks) {
        findings.general(Rule::Workload, problem.to_string());
        return findings.into_vec();
    }
    // Nothing below looks at them but through `traces_alone`.
    let dimension =
        Dimension { topology: Topology::Ring, npus: ranks, bandwidth: GibPerSec(1.0), latency_ns: 0.0 };
    let network = Network::new(NetworkModel::CongestionUnaware, vec![dimension]);
    let system = System { preferred_dataset_splits: 1, ..System::default() };
    Check { network: &network, system: &system, workload, ranks, traces_alone: true }.run(&mut findings);
    findings.into_vec()
}

/// What is checked: parts that fit each other as far as ranks go.
struct Check<'a> {
    network: &'a Network,
    system: &'a System,
    workload: &'a Workload,
    ranks: u32,
    /// Whether network and settings only stand in for some that are not known.
    traces_alone: bool,
}

impl Check<'_> {
    fn run(&self, findings: &mut Findings) {
        nodes::check(self, findings);
        if self.system.replay_only {
            return;
        }
        collectives::check(self, findings);
        let orders = Orders::new(&self.workload.traces);
        let uses = agreement::uses(self, &orders);
        agreement::check(self, &orders, &uses, findings);
        tags::check(self, &uses, findings);
        // Messages of custom collectives have tags in the same space.
        if !self.system.custom.is_empty() {
            return;
        }
        let deliveries = messages::check(self, findings);
        if let Some(deliveries) = deliveries.filter(|_| !findings.has_errors()) {
            waits::check(self, &orders, &uses, &deliveries, findings);
        }
    }

    fn trace_of(&self, rank: Rank) -> usize {
        self.workload.trace_of_rank[rank.0 as usize] as usize
    }

    fn at(&self, rank: Rank, index: u32) -> At<'_> {
        At { rank, trace: self.workload.trace(rank), index }
    }

    /// Every node of every distinct trace, with the first rank that has it.
    fn distinct_nodes(&self) -> impl Iterator<Item = At<'_>> {
        self.distinct_traces().into_iter().flat_map(|(rank, trace)| At::all(trace, rank))
    }

    /// The distinct traces that some rank has, with the first such rank.
    fn distinct_traces(&self) -> Vec<(Rank, &Trace)> {
        let mut seen = vec![false; self.workload.traces.len()];
        (0..)
            .map(Rank)
            .zip(&self.workload.trace_of_rank)
            .filter(|&(_, &trace)| !std::mem::replace(&mut seen[trace as usize], true))
            .map(|(rank, &trace)| (rank, &self.workload.traces[trace as usize]))
            .collect()
    }
}

/// A node of a trace, and the rank it is looked at for.
#[derive(Clone, Copy)]
struct At<'a> {
    rank: Rank,
    trace: &'a Trace,
    index: u32,
}

impl<'a> At<'a> {
    fn all(trace: &'a Trace, rank: Rank) -> impl Iterator<Item = Self> {
        (0..trace.len() as u32).map(move |index| Self { rank, trace, index })
    }

    fn node(&self) -> &'a Node {
        self.trace.node(self.index)
    }

    fn id(&self) -> u64 {
        self.trace.id(self.index)
    }

    fn name(&self) -> &'a str {
        self.trace.name(self.index)
    }

    fn place(&self) -> Place {
        Place { rank: self.rank, node: self.id(), name: self.name().to_owned() }
    }
}
