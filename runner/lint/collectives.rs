//! Collectives one by one: against groups, and against the algorithms the system names.

use std::collections::{BTreeMap, BTreeSet};

use astra_engine::{
    Algorithm, Bytes, CollectiveType, GroupId, InvolvedDims, NodeKind, NodeProblem, Rank, Trace,
};

use super::finding::{Findings, Severity};
use super::rule::Rule;
use super::{At, Check};

pub(super) fn check(check: &Check<'_>, findings: &mut Findings) {
    for at in check.distinct_nodes() {
        if let Some(used) = Collective::of(at) {
            used.check(check, findings);
        }
    }
    membership(check, findings);
}

/// A node that takes part in a collective.
pub(super) struct Collective<'a> {
    pub(super) at: At<'a>,
    pub(super) kind: CollectiveType,
    pub(super) size: Bytes,
    pub(super) group: Option<GroupId>,
    pub(super) involved: InvolvedDims,
}

impl<'a> Collective<'a> {
    pub(super) fn of(at: At<'a>) -> Option<Self> {
        match at.node().kind {
            NodeKind::Collective { collective: kind, size, group, involved } => {
                Some(Self { at, kind, size, group, involved })
            }
            _ => None,
        }
    }

    fn check(&self, check: &Check<'_>, findings: &mut Findings) {
        let members = match self.group {
            None => check.ranks,
            Some(group) => match check.workload.groups.get(&group) {
                Some(members) => members.len() as u32,
                None => return findings.node(Rule::Group, self.at, &NodeProblem::UnknownGroup(group)),
            },
        };
        if self.kind == CollectiveType::Broadcast {
            // Takes its recorded duration; nothing is sent.
            return;
        }
        if !self.kind.is_simulated() {
            return findings.node(Rule::Algorithm, self.at, &NodeProblem::Collective(self.kind));
        }
        if check.traces_alone && self.group.is_some() && members < 2 {
            return findings.node(Rule::Group, self.at, &NodeProblem::NoDimension);
        }
        if self.size.0 == 0 && self.kind != CollectiveType::AllGather {
            let message = "0 bytes are simulated as one byte for each rank and chunk";
            findings.at(Severity::Warning, Rule::Size, self.at, message);
        }
        if self.may_be_custom(check) {
            return;
        }
        let splits = check.system.preferred_dataset_splits;
        if self.kind == CollectiveType::AllGather && self.size.0 < u64::from(splits) {
            findings.node(Rule::Size, self.at, &NodeProblem::SmallAllGather { size: self.size.0, splits });
        }
        if check.traces_alone {
            return;
        }
        let algorithms = check.system.algorithms(self.kind);
        if algorithms.is_empty() {
            return findings.node(Rule::Algorithm, self.at, &NodeProblem::NoAlgorithm(self.kind));
        }
        match self.group {
            Some(group) if members != check.ranks => self.in_group(check, group, members, findings),
            _ => self.in_dimensions(check, algorithms, findings),
        }
    }

    /// Whether a trace carries the collective out instead of an algorithm. Which one a group uses for nodes with a
    /// choice of their own is settled by the first of them, so that any may be the one.
    fn may_be_custom(&self, check: &Check<'_>) -> bool {
        let custom = &check.system.custom;
        let of_node = self.at.trace.id(self.at.index);
        custom.choose(of_node, self.kind).is_some() || (self.group.is_some() && !custom.of_node.is_empty())
    }

    /// A group that is not all ranks is one ring of its members, with one algorithm.
    fn in_group(&self, check: &Check<'_>, group: GroupId, members: u32, findings: &mut Findings) {
        let Some(algorithm) = check.system.group_algorithm(self.kind) else { return };
        if members < 2 {
            findings.node(Rule::Group, self.at, &NodeProblem::NoDimension);
        } else if !algorithm.runs_in_groups() {
            findings.node(Rule::Algorithm, self.at, &NodeProblem::AlgorithmOnGroup(algorithm, group));
        } else {
            self.can_run(algorithm, members, findings);
        }
    }

    fn in_dimensions(&self, check: &Check<'_>, algorithms: &[Algorithm], findings: &mut Findings) {
        let dimensions = &check.network.dimensions;
        let mut any_involved = false;
        let mut spans_all = false;
        for (index, (algorithm, dimension)) in algorithms.iter().zip(dimensions).enumerate() {
            spans_all = algorithm.spans_all_ranks();
            // A group of all ranks has no choice of dimensions.
            if self.group.is_some() || self.involved.contains(index) {
                any_involved = true;
                let members = if spans_all { check.ranks } else { dimension.npus };
                self.can_run(*algorithm, members, findings);
            }
            if spans_all {
                break;
            }
        }
        if !any_involved {
            findings.node(Rule::Algorithm, self.at, &NodeProblem::NoDimension);
        }
        if algorithms.len() < dimensions.len() && !spans_all {
            let (found, expected) = (algorithms.len(), dimensions.len());
            let message = format!(
                "the {} list has {found} algorithm(s), the network {expected} dimensions: the collective would \
                 silently shrink to groups within the first {found}; name one algorithm per dimension",
                self.kind
            );
            findings.at(Severity::Error, Rule::Algorithm, self.at, &message);
        }
    }

    fn can_run(&self, algorithm: Algorithm, members: u32, findings: &mut Findings) {
        if !algorithm.supports(self.kind) {
            findings.node(Rule::Algorithm, self.at, &NodeProblem::Algorithm(algorithm, self.kind));
        } else if algorithm.needs_power_of_two() && !members.is_power_of_two() {
            findings.node(Rule::Algorithm, self.at, &NodeProblem::NotPowerOfTwo(algorithm, members));
        } else if let Algorithm::Direct { window: Some(0) } | Algorithm::OneDirect { window: Some(0) } =
            algorithm
        {
            findings.node(Rule::Algorithm, self.at, &NodeProblem::ZeroWindow);
        }
    }
}

/// A rank uses only groups it is a member of.
fn membership(check: &Check<'_>, findings: &mut Findings) {
    let groups_of_trace: Vec<_> = check.workload.traces.iter().map(first_uses).collect();
    if groups_of_trace.iter().all(Vec::is_empty) {
        return;
    }
    let members: BTreeMap<GroupId, BTreeSet<Rank>> = check
        .workload
        .groups
        .iter()
        .map(|(&group, members)| (group, members.iter().copied().collect()))
        .collect();
    for (rank, &trace) in (0..).map(Rank).zip(&check.workload.trace_of_rank) {
        for &(group, at) in &groups_of_trace[trace as usize] {
            if members.get(&group).is_some_and(|members| !members.contains(&rank)) {
                findings.node(Rule::Group, At { rank, ..at }, &NodeProblem::NotMember(group));
            }
        }
    }
}

/// The groups a trace uses, each with the first node that does.
fn first_uses(trace: &Trace) -> Vec<(GroupId, At<'_>)> {
    let mut first: BTreeMap<GroupId, At<'_>> = BTreeMap::new();
    for used in At::all(trace, Rank(0)).filter_map(Collective::of) {
        if let Some(group) = used.group {
            first.entry(group).or_insert(used.at);
        }
    }
    first.into_iter().collect()
}
