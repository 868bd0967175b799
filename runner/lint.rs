//! What is wrong with a simulation before it runs: the network, the system settings and the traces against each other.
//!
//! The simulator this project stands in for accepts most of these and then stalls, crashes or gives the time of
//! something else. Pure: engine values in, findings out; depends on the engine's vocabulary and on nothing of how the
//! values came to be.

mod collectives;
mod finding;
mod messages;
#[cfg(test)]
mod tests;

use astra_engine::{Network, Node, NodeKind, NodeProblem, Rank, RemoteMemory, System, Trace, Workload};

pub use finding::{Finding, Place, Rule, Severity, refuse};

use finding::Findings;

/// Checks a simulation. Findings come in a stable order: the network, the settings, the workload as a whole, then node
/// by node, and last what ranks expect of each other.
///
/// A finding about a node that several ranks share is given once, for the first of them.
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
    let check = Check { network, system, workload, ranks };
    check.nodes(&mut findings);
    if !system.replay_only {
        collectives::check(&check, &mut findings);
        // Messages of custom collectives have tags in the same space.
        if system.custom.is_empty() {
            messages::check(&check, &mut findings);
        }
    }
    findings.into_vec()
}

/// What is checked: parts that fit each other as far as ranks go.
struct Check<'a> {
    network: &'a Network,
    system: &'a System,
    workload: &'a Workload,
    ranks: u32,
}

impl Check<'_> {
    /// What can be said of a node whatever rank has it.
    fn nodes(&self, findings: &mut Findings) {
        for at in self.distinct_nodes() {
            let node = at.node();
            let problem = match node.kind {
                NodeKind::Metadata => Some(NodeProblem::Metadata),
                _ if self.system.replay_only => None,
                NodeKind::Collective { .. } | NodeKind::Send { .. } | NodeKind::Recv { .. } if node.cpu => {
                    Some(NodeProblem::CommunicationOnCpu)
                }
                NodeKind::Compute { work: None } if self.system.roofline_enabled && !node.cpu => {
                    Some(NodeProblem::NoWork)
                }
                NodeKind::MemoryLoad(_) | NodeKind::MemoryStore(_)
                    if self.system.remote_memory == RemoteMemory::None =>
                {
                    Some(NodeProblem::NoRemoteMemory)
                }
                _ => None,
            };
            if let Some(problem) = problem {
                findings.node(Rule::Node, at, &problem);
            }
        }
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
}
