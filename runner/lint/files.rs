//! What is wrong with the files of a bundle, and what is lost when they are turned into the engine's form: attributes in
//! the wrong kind, ids given twice, dependencies on nothing.
//!
//! One pass over each distinct file; a second one only over files in which something is missing. Other than lowering for
//! a run this goes on after the first problem.

use artifact_store::SharedBytes;
use std::collections::{BTreeMap, BTreeSet};

use astra_engine::{GroupId, Node as EngineNode, NodeKind, Rank, Trace, TraceBuilder, TraceError, Workload};

use super::finding::{Findings, Place, Severity};
use super::rule::Rule;
use super::{Finding, lint_workload};
use crate::et::{
    Node, NodeType, OwnRank, Reader, TraceNames, Value, lower_node, names_group_zero, own_rank_of,
};
use crate::{Error, Result};

/// What linting the files of a bundle came to.
#[derive(Debug)]
pub struct Linted {
    /// The workload, when every file could be lowered.
    pub workload: Option<Workload>,
    /// What was found in the files, none of it about the ranks together.
    pub findings: Vec<Finding>,
}

impl Linted {
    /// What was found in the files, and, when they could all be read, in the ranks together on any network.
    pub fn with_workload(self) -> Vec<Finding> {
        let mut findings = self.findings;
        findings.extend(self.workload.iter().flat_map(lint_workload));
        findings
    }
}

/// Checks the files of a bundle, with their names. `files` are the distinct ones and `file_of_rank` has for each
/// rank an index into them.
pub fn lint_files(
    names: &(impl TraceNames + ?Sized),
    files: &[SharedBytes],
    file_of_rank: &[u32],
    groups: &BTreeMap<GroupId, Vec<Rank>>,
) -> Linted {
    let mut findings = Findings::default();
    let mut traces = Vec::with_capacity(files.len());
    for (index, bytes) in (0..).zip(files) {
        let Some(rank) = file_of_rank.iter().position(|&file| file == index) else { continue };
        let name = names.of_rank(rank as u32);
        let mut file = File { rank: Rank(rank as u32), name: &name, bytes, findings: &mut findings };
        traces.push((index, file.read()));
    }
    let owners: BTreeMap<u32, &Owner> =
        traces.iter().filter_map(|(index, read)| Some((*index, read.as_ref()?.owner.as_ref()?))).collect();
    for (rank, file) in (0..).zip(file_of_rank) {
        if let Some(Owner { claim, name }) = owners.get(file).filter(|owner| owner.claim.rank != rank) {
            let place = Place { rank: Rank(rank), node: claim.node, name: name.clone() };
            let message = format!(
                "attribute `{}` is {}, but the trace is that of rank {rank}",
                claim.attribute, claim.rank
            );
            findings.place(Severity::Error, Rule::Attribute, &place, &message);
        }
    }
    let whole = !findings.has_errors() && traces.len() == files.len();
    let traces: Option<Vec<Trace>> = traces.into_iter().map(|(_, read)| Some(read?.trace)).collect();
    let workload = traces.filter(|_| whole).map(|traces| Workload {
        traces,
        trace_of_rank: file_of_rank.to_vec(),
        groups: groups.clone(),
    });
    Linted { workload, findings: findings.into_vec() }
}

/// A file that could be read to its end.
struct Whole {
    trace: Trace,
    owner: Option<Owner>,
}

/// The first node that says whose trace it is in, and its name.
struct Owner {
    claim: OwnRank,
    name: String,
}

/// A file that is being checked.
struct File<'a> {
    /// The first rank that has it.
    rank: Rank,
    name: &'a str,
    bytes: &'a [u8],
    findings: &'a mut Findings,
}

impl File<'_> {
    fn read(&mut self) -> Option<Whole> {
        let mut builder = TraceBuilder::new();
        let mut owner = None;
        let mut ids = Ids::default();
        match self.pass(&mut builder, &mut owner, &mut ids) {
            Ok(()) => {}
            Err(error) => {
                self.findings.general(Rule::File, error.to_string());
                return None;
            }
        }
        let repeated = ids.repeated();
        match builder.build() {
            Ok(trace) if repeated.is_empty() => Some(Whole { trace, owner }),
            built => {
                // Names are looked up in a second pass, so that the first need not keep them.
                self.explain(built.as_ref().err(), &ids, &repeated);
                built.ok().map(|trace| Whole { trace, owner })
            }
        }
    }

    fn pass(&mut self, builder: &mut TraceBuilder, owner: &mut Option<Owner>, ids: &mut Ids) -> Result<()> {
        let mut dependencies = Vec::new();
        for node in Reader::from_bytes(self.name, self.bytes)? {
            let node = node?;
            dependencies.clear();
            dependencies.extend_from_slice(&node.control_deps);
            dependencies.extend_from_slice(&node.data_deps);
            ids.add(node.id);
            let lowered = self.lower(&node, owner);
            builder.push(node.id, &node.name, lowered, &dependencies);
            if names_group_zero(&node).unwrap_or(false) && matches!(lowered.kind, NodeKind::Collective { .. })
            {
                builder.note_group_zero(node.id);
            }
            self.attributes(&node);
        }
        Ok(())
    }

    /// The node in the engine's form, or a stand-in that keeps its dependencies.
    fn lower(&mut self, node: &Node, owner: &mut Option<Owner>) -> EngineNode {
        let claim = own_rank_of(node);
        let lowered = lower_node(node).and_then(|lowered| claim.map(|claim| (lowered, claim)));
        match lowered {
            Ok((lowered, claim)) => {
                if let Some(claim) = claim {
                    let first = owner.get_or_insert_with(|| Owner { claim, name: node.name.clone() }).claim;
                    if first.rank != claim.rank {
                        let what = format!("{claim}, but {first}; a trace is that of one rank");
                        self.node(Severity::Error, Rule::Attribute, node, &what);
                    }
                }
                lowered
            }
            Err(error) => {
                let message = bare(node, &error);
                let rule = if NodeType::try_from(node.kind).is_ok() { Rule::Attribute } else { Rule::Node };
                self.node(Severity::Error, rule, node, &message);
                EngineNode { kind: NodeKind::Invalid, cpu: false, duration: astra_engine::Micros(0) }
            }
        }
    }

    /// What this program reads and other readers of the format do not, or not alike.
    fn attributes(&mut self, node: &Node) {
        let of = |name: &str| node.attributes.iter().find(|attribute| attribute.name == name);
        if of("is_cpu_op").is_none() {
            let what = "attribute `is_cpu_op` is missing: the accelerator is meant, but older readers take it for the CPU";
            self.node(Severity::Note, Rule::Attribute, node, what);
        }
        let collective = node.kind == NodeType::Collective as i32;
        if collective && of("pg_name").is_some_and(|a| a.value == Some(Value::String("0".to_owned()))) {
            let what = "attribute `pg_name` is `0`: all ranks here, but a group that is not there in older simulators; leave \
                        it out";
            self.node(Severity::Warning, Rule::Group, node, what);
        }
        if let Some(priority) = of("comm_priority").filter(|_| collective)
            && !priority.value.as_ref().is_some_and(is_integer)
        {
            let kind = priority.value.as_ref().map_or("of no value", Value::kind_name);
            let what = format!(
                "attribute `comm_priority` is {kind}, and the original throws unless it is an integer"
            );
            self.node(Severity::Warning, Rule::Attribute, node, &what);
        }
        for name in ["comm_src", "comm_dst", "comm_tag"] {
            if let Some(value) = of(name).and_then(|a| cut(a.value.as_ref()?)) {
                let what = format!(
                    "attribute `{name}` is {value}, of which the simulator takes the last 32 bits, {}",
                    value as u32
                );
                self.node(Severity::Warning, Rule::Attribute, node, &what);
            }
        }
        if let Some(name) = repeated_name(node) {
            let what = format!("attribute `{}` is there twice; the first counts", name.escape_debug());
            self.node(Severity::Note, Rule::Attribute, node, &what);
        }
    }

    fn node(&mut self, severity: Severity, rule: Rule, node: &Node, what: &str) {
        let place = Place { rank: self.rank, node: node.id, name: node.name.clone() };
        self.findings.place(severity, rule, &place, what);
    }

    /// Says which nodes have an id twice, and which have the dependencies that make no graph.
    fn explain(&mut self, error: Option<&TraceError>, ids: &Ids, repeated: &BTreeSet<u64>) {
        match error {
            None | Some(TraceError::UnknownDependency { .. } | TraceError::Cycle(_)) => {}
            Some(error) => return self.findings.general(Rule::File, format!("{}: {error}", self.name)),
        }
        let Ok(reader) = Reader::from_bytes(self.name, self.bytes) else { return };
        for node in reader.map_while(Result::ok) {
            if repeated.contains(&node.id) {
                let what = format!("id {} is given to more than one node", node.id);
                self.node(Severity::Warning, Rule::DuplicateId, &node, &what);
            }
            match error {
                Some(TraceError::UnknownDependency { .. }) => {
                    let all = node.control_deps.iter().chain(&node.data_deps);
                    for dependency in all.filter(|dependency| !ids.contains(**dependency)) {
                        let what = format!("depends on node {dependency}, which the trace does not have");
                        self.node(Severity::Error, Rule::Dependency, &node, &what);
                    }
                }
                Some(cycle @ TraceError::Cycle(circle)) if circle.first() == Some(&node.id) => {
                    self.node(Severity::Error, Rule::Dependency, &node, &cycle.to_string());
                }
                _ => {}
            }
        }
    }
}

/// The ids of a file, as long as they ascend no more than the last of them.
#[derive(Default)]
struct Ids {
    all: Vec<u64>,
    ascending: bool,
}

impl Ids {
    fn add(&mut self, id: u64) {
        self.ascending = match self.all.last() {
            None => true,
            Some(&last) => self.ascending && last < id,
        };
        self.all.push(id);
    }

    /// The ids that are there more than once. From here on the ids are sorted.
    fn repeated(&mut self) -> BTreeSet<u64> {
        if self.ascending {
            return BTreeSet::new();
        }
        self.all.sort_unstable();
        self.all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
    }

    fn contains(&self, id: u64) -> bool {
        self.all.binary_search(&id).is_ok()
    }
}

/// An error about a node without the words that name the node.
fn bare(node: &Node, error: &Error) -> String {
    let prefix = format!("node {} `{}`: ", node.id, node.name.escape_debug());
    let message = error.message();
    message.strip_prefix(&prefix).unwrap_or(message).to_owned()
}

fn is_integer(value: &Value) -> bool {
    matches!(
        value,
        Value::Int32(_)
            | Value::Int64(_)
            | Value::Uint32(_)
            | Value::Uint64(_)
            | Value::Sint32(_)
            | Value::Sint64(_)
            | Value::Fixed32(_)
            | Value::Fixed64(_)
            | Value::Sfixed32(_)
            | Value::Sfixed64(_)
            | Value::Bool(_)
    )
}

/// A value that 32 bits do not hold.
fn cut(value: &Value) -> Option<i128> {
    let value = match *value {
        Value::Int64(v) | Value::Sint64(v) | Value::Sfixed64(v) => i128::from(v),
        Value::Uint64(v) | Value::Fixed64(v) => i128::from(v),
        _ => return None,
    };
    (i32::try_from(value).is_err() && u32::try_from(value).is_err()).then_some(value)
}

fn repeated_name(node: &Node) -> Option<&str> {
    let names = || node.attributes.iter().map(|attribute| attribute.name.as_str());
    names()
        .enumerate()
        .find(|(index, name)| names().take(*index).any(|other| other == *name))
        .map(|(_, name)| name)
}
