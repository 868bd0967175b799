//! What can be said of a node whatever rank has it and whatever the other ranks do.

use astra_engine::{NodeKind, NodeProblem, RemoteMemory};

use super::finding::{Findings, Severity};
use super::rule::Rule;
use super::{At, Check};
use crate::et::parents;

pub(super) fn check(check: &Check<'_>, findings: &mut Findings) {
    for at in check.distinct_nodes() {
        if let Some(problem) = problem(check, at) {
            findings.node(Rule::Node, at, &problem);
        }
        if let Some(what) = unreported(at) {
            findings.at(Severity::Warning, Rule::Report, at, what);
        }
        if is_empty(check, at) {
            findings.at(Severity::Note, Rule::Duration, at, "a computation without duration takes 1 ns");
        }
    }
    if check.traces_alone || !check.system.replay_only {
        stalled_at_once(check, findings);
    }
}

/// Why the simulator cannot execute a node.
fn problem(check: &Check<'_>, at: At<'_>) -> Option<NodeProblem> {
    let node = at.node();
    match node.kind {
        NodeKind::Metadata => Some(NodeProblem::Metadata),
        NodeKind::Compute { .. } if node.duration.0.checked_mul(1000).is_none() => {
            Some(NodeProblem::Duration)
        }
        _ if check.system.replay_only => None,
        NodeKind::Collective { .. } | NodeKind::Send { .. } | NodeKind::Recv { .. } if node.cpu => {
            Some(NodeProblem::CommunicationOnCpu)
        }
        _ if check.traces_alone => None,
        NodeKind::Compute { work } if check.system.roofline_enabled && !node.cpu => match work {
            None => Some(NodeProblem::NoWork),
            Some(work) if work.ops == 0 && work.bytes.0 > 0 => Some(NodeProblem::EndlessWork),
            Some(_) => None,
        },
        NodeKind::MemoryLoad(_) | NodeKind::MemoryStore(_)
            if check.system.remote_memory == RemoteMemory::None =>
        {
            Some(NodeProblem::NoRemoteMemory)
        }
        _ => None,
    }
}

/// What the original's report at the end of a rank fails on.
fn unreported(at: At<'_>) -> Option<&'static str> {
    let node = at.node();
    match node.kind {
        NodeKind::Compute { .. } if node.cpu => {
            Some("a computation on the CPU, on which the original cannot report")
        }
        NodeKind::MemoryLoad(_) | NodeKind::MemoryStore(_) => {
            Some("a remote memory access, on which the original cannot report")
        }
        NodeKind::Invalid => Some("a node of type invalid, on which the original cannot report"),
        _ => None,
    }
}

fn is_empty(check: &Check<'_>, at: At<'_>) -> bool {
    let node = at.node();
    let timed = !check.system.roofline_enabled || node.cpu;
    matches!(node.kind, NodeKind::Compute { .. }) && timed && node.duration.0 == 0
}

/// A trace whose first nodes all finish at once, and have others waiting for them: nobody looks at those any more.
fn stalled_at_once(check: &Check<'_>, findings: &mut Findings) {
    for (rank, trace) in check.distinct_traces() {
        let nodes = || At::all(trace, rank);
        if !nodes().any(|at| at.is_immediate(check)) {
            continue;
        }
        let parents = parents(trace);
        let mut roots = nodes().filter(|at| parents[at.index as usize] == 0);
        let Some(first) = roots.next() else { continue };
        let all = first.is_immediate(check) && roots.all(|at| at.is_immediate(check));
        if all && parents.iter().any(|&parents| parents > 0) {
            let what =
                "everything the rank could start with finishes at once, so that nothing else is ever started";
            findings.at(Severity::Error, Rule::Immediate, first, what);
        } else if let Some(at) =
            nodes().find(|at| at.is_immediate(check) && !trace.children(at.index).is_empty())
        {
            let what =
                "finishes at once, and what waits for it starts when another node of the rank completes";
            findings.at(Severity::Warning, Rule::Immediate, at, what);
        }
    }
}

impl At<'_> {
    /// Whether the simulator finishes the node while it issues it.
    fn is_immediate(&self, check: &Check<'_>) -> bool {
        match self.node().kind {
            NodeKind::Invalid => true,
            NodeKind::Compute { work: Some(work) } => {
                check.system.roofline_enabled && !self.node().cpu && work.bytes.0 == 0
            }
            _ => false,
        }
    }
}
