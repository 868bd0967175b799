//! What the traces of a workload add up to: nodes, bytes and time by type, rank and group, who sends how much to whom, and
//! the longest chain of computations.
//!
//! Counts what is written, whatever a network makes of it: bytes of collectives are their sizes, not what is sent.

use std::collections::BTreeMap;

use astra_engine::{GroupId, Node, NodeKind, Rank, Trace, Workload};
use serde::Serialize;

use super::critical::{self, Critical, CriticalPath};

/// Nodes of one sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How many there are.
    pub nodes: u64,
    /// Their sizes in bytes.
    pub bytes: u64,
    /// Their recorded durations in microseconds.
    pub duration_us: u64,
}

/// What one rank does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RankStat {
    /// All its nodes; bytes of messages received are not counted again.
    pub all: Sum,
    /// Its computations.
    pub compute: Sum,
    /// What it sends.
    pub sent: Sum,
    /// What it receives.
    pub received: Sum,
    /// The collectives it takes part in.
    pub collectives: Sum,
    /// The longest chain of computations through the dependencies of the rank.
    pub critical: Critical,
}

/// The messages from one rank to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// Who sends.
    pub from: u32,
    /// Who receives.
    pub to: u32,
    /// How many messages.
    pub messages: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// The collectives of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupStat {
    /// Its number; none is all ranks.
    pub group: Option<u32>,
    /// How many members it has; none when it is not defined.
    pub members: Option<u32>,
    /// The collectives of all members together.
    pub collectives: Sum,
}

/// What a workload adds up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stat {
    /// How many different traces the ranks have.
    pub traces: usize,
    /// All ranks together, by what nodes do: `compute`, `all_reduce`, `send` …
    pub types: BTreeMap<String, Sum>,
    /// By group, all ranks first.
    pub groups: Vec<GroupStat>,
    /// By rank.
    pub ranks: Vec<RankStat>,
    /// Messages by sender and receiver, ascending.
    pub flows: Vec<Flow>,
    /// The longest chain of computations through messages and collectives; none when ranks wait for each other in a
    /// circle.
    pub critical: Option<CriticalPath>,
}

impl Sum {
    fn add(&mut self, node: &Node) {
        *self = self.plus(&Self { nodes: 1, bytes: bytes(node), duration_us: node.duration.0 });
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            nodes: self.nodes.saturating_add(other.nodes),
            bytes: self.bytes.saturating_add(other.bytes),
            duration_us: self.duration_us.saturating_add(other.duration_us),
        }
    }
}

/// What a node does, in the words of `et dump`, collectives by their type.
fn kind_name(node: &Node) -> String {
    match node.kind {
        NodeKind::Compute { .. } if node.cpu => "compute_on_cpu".to_owned(),
        NodeKind::Compute { .. } => "compute".to_owned(),
        NodeKind::Collective { collective, .. } => collective.to_string(),
        NodeKind::Send { .. } => "send".to_owned(),
        NodeKind::Recv { .. } => "recv".to_owned(),
        NodeKind::MemoryLoad(_) => "memory_load".to_owned(),
        NodeKind::MemoryStore(_) => "memory_store".to_owned(),
        NodeKind::Metadata => "metadata".to_owned(),
        NodeKind::Invalid => "invalid".to_owned(),
    }
}

fn bytes(node: &Node) -> u64 {
    match node.kind {
        NodeKind::Collective { size, .. }
        | NodeKind::Send { size, .. }
        | NodeKind::Recv { size, .. }
        | NodeKind::MemoryLoad(size)
        | NodeKind::MemoryStore(size) => size.0,
        NodeKind::Compute { .. } | NodeKind::Metadata | NodeKind::Invalid => 0,
    }
}

/// What one trace adds up to, for every rank that has it.
#[derive(Default)]
struct TraceStat {
    rank: RankStat,
    types: BTreeMap<String, Sum>,
    groups: BTreeMap<Option<GroupId>, Sum>,
    to: BTreeMap<Rank, (u64, u64)>,
}

impl TraceStat {
    fn of(trace: &Trace) -> Self {
        let mut stat = Self::default();
        for node in (0..trace.len() as u32).map(|index| trace.node(index)) {
            let rank = &mut stat.rank;
            match node.kind {
                NodeKind::Compute { .. } => rank.compute.add(node),
                NodeKind::Collective { group, .. } => {
                    rank.collectives.add(node);
                    stat.groups.entry(group).or_default().add(node);
                }
                NodeKind::Send { to, size, .. } => {
                    rank.sent.add(node);
                    let flow = stat.to.entry(to).or_default();
                    *flow = (flow.0 + 1, flow.1.saturating_add(size.0));
                }
                NodeKind::Recv { .. } => rank.received.add(node),
                _ => {}
            }
            stat.types.entry(kind_name(node)).or_default().add(node);
            rank.all.add(node);
        }
        stat.rank.all.bytes = stat.rank.all.bytes.saturating_sub(stat.rank.received.bytes);
        stat.rank.critical = critical::of_trace(trace);
        stat
    }
}

/// Adds up the traces of all ranks.
pub fn stat(workload: &Workload) -> Stat {
    let of_trace: Vec<TraceStat> = workload.traces.iter().map(TraceStat::of).collect();
    let mut stat = Stat {
        traces: workload.traces.len(),
        types: BTreeMap::new(),
        groups: Vec::new(),
        ranks: Vec::with_capacity(workload.trace_of_rank.len()),
        flows: Vec::new(),
        critical: critical::of_workload(workload),
    };
    let mut groups: BTreeMap<Option<GroupId>, Sum> = BTreeMap::new();
    for (from, &trace) in (0..).zip(&workload.trace_of_rank) {
        let of_trace = &of_trace[trace as usize];
        for (name, sum) in &of_trace.types {
            let all = stat.types.entry(name.clone()).or_default();
            *all = all.plus(sum);
        }
        for (group, sum) in &of_trace.groups {
            let all = groups.entry(*group).or_default();
            *all = all.plus(sum);
        }
        let flow = |(to, &(messages, bytes)): (&Rank, _)| Flow { from, to: to.0, messages, bytes };
        stat.flows.extend(of_trace.to.iter().map(flow));
        stat.ranks.push(of_trace.rank.clone());
    }
    stat.groups = groups
        .into_iter()
        .map(|(group, collectives)| {
            let members = match group {
                None => Some(workload.trace_of_rank.len()),
                Some(group) => workload.groups.get(&group).map(Vec::len),
            };
            GroupStat {
                group: group.map(GroupId::get),
                members: members.map(|members| members as u32),
                collectives,
            }
        })
        .collect();
    stat
}

#[cfg(test)]
mod tests {
    use astra_engine::{Bytes, CollectiveType, InvolvedDims, Micros, TraceBuilder};

    use super::*;

    fn node(kind: NodeKind, duration: u64) -> Node {
        Node { kind, cpu: false, duration: Micros(duration) }
    }

    fn compute(duration: u64) -> Node {
        node(NodeKind::Compute { work: None }, duration)
    }

    fn trace(nodes: &[(Node, &[u64])]) -> Trace {
        let mut builder = TraceBuilder::new();
        (10..).zip(nodes).for_each(|(id, (node, dependencies))| builder.push(id, "", *node, dependencies));
        builder.build().unwrap()
    }

    #[test]
    fn nodes_bytes_and_times_add_up_by_type_rank_group_and_pair() {
        let group = GroupId::new(7);
        let sum = NodeKind::Collective {
            collective: CollectiveType::AllReduce,
            size: Bytes(100),
            group,
            involved: InvolvedDims::default(),
        };
        let send = NodeKind::Send { to: Rank(1), size: Bytes(8), tag: 0 };
        let recv = NodeKind::Recv { from: Rank(0), size: Bytes(8), tag: 0 };
        let workload = Workload {
            traces: vec![
                trace(&[(compute(5), &[]), (node(send, 0), &[]), (node(sum, 0), &[])]),
                trace(&[(node(recv, 0), &[]), (node(sum, 0), &[])]),
            ],
            trace_of_rank: vec![0, 1],
            groups: group.into_iter().map(|group| (group, vec![Rank(0), Rank(1)])).collect(),
        };
        let stat = stat(&workload);
        assert_eq!(stat.types["all_reduce"], Sum { nodes: 2, bytes: 200, duration_us: 0 });
        assert_eq!(stat.types["compute"], Sum { nodes: 1, bytes: 0, duration_us: 5 });
        assert_eq!(stat.flows, [Flow { from: 0, to: 1, messages: 1, bytes: 8 }]);
        let collectives = Sum { nodes: 2, bytes: 200, duration_us: 0 };
        assert_eq!(stat.groups, [GroupStat { group: Some(7), members: Some(2), collectives }]);
        assert_eq!((stat.ranks[0].all.bytes, stat.ranks[1].all.bytes), (108, 100));
        assert_eq!((stat.ranks[0].sent.nodes, stat.ranks[1].received.bytes), (1, 8));
    }
}
