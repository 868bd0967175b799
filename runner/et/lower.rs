//! Turns trace files into the engine's workload: attributes looked up, defaults filled in, graphs checked.
//!
//! Each distinct file is read once, however many ranks have it. What only a simulation can judge is left to the lint
//! and to the engine.

use std::collections::BTreeMap;

use astra_engine::{
    Bytes, GroupId, InvolvedDims, Micros, Node as EngineNode, NodeKind, Rank, Trace, TraceBuilder, Work,
    Workload,
};

use super::attributes::{collective, comm_size, flags, integer, names_group_zero, required_integer, wrong};
use super::bundle::TraceNames;
use super::reader::Reader;
use super::schema::{Node, NodeType, names};
use crate::{Error, Result};

/// Lowers the traces of all ranks. `files` are the distinct ones, `file_of_rank` has for each rank an index into
/// them, `names` is what errors call them (a prefix will do), and `groups` are the members of the communicator groups, in ring
/// order.
///
/// # Errors
/// A file is damaged, a node lacks what its type needs or has it in the wrong kind, dependencies do not make a graph
/// that can be run, a trace names another rank as its own, or a group's number is out of range.
pub fn lower_bundle(
    names: &(impl TraceNames + ?Sized),
    files: &[impl AsRef<[u8]>],
    file_of_rank: &[u32],
    groups: &BTreeMap<u32, Vec<u32>>,
) -> Result<Workload> {
    let mut first_rank = vec![None; files.len()];
    for (rank, &file) in (0..).zip(file_of_rank) {
        let slot = first_rank.get_mut(file as usize).ok_or_else(|| {
            Error::input(format!("rank {rank} has file {file} of {}", files.len())).in_file(names.prefix())
        })?;
        slot.get_or_insert(rank);
    }
    let mut traces = Vec::with_capacity(files.len());
    let mut own_ranks = Vec::with_capacity(files.len());
    for (index, (bytes, first_rank)) in files.iter().zip(first_rank).enumerate() {
        let unused = || format!("{} (file {index}, which no rank has)", names.prefix());
        let name = first_rank.map_or_else(unused, |rank| names.of_rank(rank));
        let lowered = lower(Reader::from_bytes(&name, bytes.as_ref())?)?;
        traces.push(lowered.trace);
        own_ranks.push(lowered.own_rank);
    }
    for (rank, &file) in (0..).zip(file_of_rank) {
        if let Some(claim) = own_ranks[file as usize].as_ref().filter(|claim| claim.rank != rank) {
            let message = format!("{claim}, but the trace is that of rank {rank}");
            return Err(Error::input(message).in_file(names.of_rank(rank)));
        }
    }
    Ok(Workload { traces, trace_of_rank: file_of_rank.to_vec(), groups: lower_groups(groups)? })
}

/// Communicator groups as the engine takes them; whether their ranks exist is judged with the traces.
///
/// # Errors
/// A group's number is out of range.
pub fn lower_groups(groups: &BTreeMap<u32, Vec<u32>>) -> Result<BTreeMap<GroupId, Vec<Rank>>> {
    let lowered = groups.iter().map(|(&number, members)| {
        let members = members.iter().map(|&rank| Rank(rank)).collect();
        group_id(number).map(|id| (id, members)).map_err(Error::input)
    });
    lowered.collect()
}

/// A lowered file, and which rank it says it is the trace of, if it says so.
struct Lowered {
    trace: Trace,
    own_rank: Option<OwnRank>,
}

/// A send that names its source, or a receive that names its destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnRank {
    pub(crate) rank: u32,
    pub(crate) node: u64,
    pub(crate) attribute: &'static str,
}

impl std::fmt::Display for OwnRank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {}: attribute `{}` is {}", self.node, self.attribute, self.rank)
    }
}

fn lower(trace: Reader<'_>) -> Result<Lowered> {
    let file = trace.file().to_owned();
    let mut lowering = Lowering::default();
    for node in trace {
        lowering.add(&node?).map_err(|e| e.in_file(&file))?;
    }
    let trace = lowering.builder.build().map_err(|e| Error::input(e.to_string()).in_file(&file))?;
    Ok(Lowered { trace, own_rank: lowering.own_rank })
}

/// A file that is being lowered.
#[derive(Default)]
struct Lowering {
    builder: TraceBuilder,
    own_rank: Option<OwnRank>,
    /// Those of one node; kept for its memory.
    dependencies: Vec<u64>,
}

impl Lowering {
    fn add(&mut self, node: &Node) -> Result<()> {
        let lowered = lower_node(node)?;
        if let Some(claim) = own_rank_of(node)? {
            let first = self.own_rank.get_or_insert(claim);
            if first.rank != claim.rank {
                return Err(Error::input(format!("{first}, but {claim}; a trace is that of one rank")));
            }
        }
        self.dependencies.clear();
        self.dependencies.extend_from_slice(&node.control_deps);
        self.dependencies.extend_from_slice(&node.data_deps);
        self.builder.push(node.id, &node.name, lowered, &self.dependencies);
        if matches!(lowered.kind, NodeKind::Collective { .. }) && names_group_zero(node)? {
            self.builder.note_group_zero(node.id);
        }
        Ok(())
    }
}

/// A node in the engine's form.
///
/// # Errors
/// The node lacks what its type needs or has it in the wrong kind.
pub(crate) fn lower_node(node: &Node) -> Result<EngineNode> {
    let kind = match NodeType::try_from(node.kind) {
        Ok(NodeType::Invalid) => NodeKind::Invalid,
        Ok(NodeType::Metadata) => NodeKind::Metadata,
        Ok(NodeType::MemoryLoad) => NodeKind::MemoryLoad(tensor_size(node)?),
        Ok(NodeType::MemoryStore) => NodeKind::MemoryStore(tensor_size(node)?),
        Ok(NodeType::Compute) => NodeKind::Compute { work: work(node) },
        Ok(NodeType::Send) => NodeKind::Send {
            to: peer(node, names::COMM_DST)?,
            size: Bytes(comm_size(node)?),
            tag: tag(node)?,
        },
        Ok(NodeType::Recv) => NodeKind::Recv {
            from: peer(node, names::COMM_SRC)?,
            size: Bytes(comm_size(node)?),
            tag: tag(node)?,
        },
        Ok(NodeType::Collective) => lower_collective(node)?,
        Err(_) => {
            return Err(wrong(
                node,
                format_args!("its type is {}, expected a Chakra node type (0 to 7)", node.kind),
            ));
        }
    };
    let cpu = integer(node, names::IS_CPU_OP)?.is_some_and(|flag| flag != 0);
    Ok(EngineNode { kind, cpu, duration: Micros(node.duration_micros) })
}

fn lower_collective(node: &Node) -> Result<NodeKind> {
    let used = collective(node)?;
    let group = used.group.map(group_id).transpose().map_err(|message| wrong(node, message))?;
    let involved =
        flags(node, names::INVOLVED_DIM)?.map_or_else(InvolvedDims::default, InvolvedDims::from_flags);
    Ok(NodeKind::Collective { collective: used.kind, size: Bytes(used.size_bytes), group, involved })
}

fn group_id(number: u32) -> Result<GroupId, String> {
    GroupId::new(number).ok_or_else(|| {
        format!("communicator group {number} is out of range, expected a number from 1 to 2147")
    })
}

/// Only the roofline model reads these attributes, so it is the one to complain when they are missing or unusable.
fn work(node: &Node) -> Option<Work> {
    let read = |name| integer(node, name).ok().flatten();
    Some(Work { ops: read(names::NUM_OPS)?, bytes: Bytes(read(names::TENSOR_SIZE)?) })
}

fn tensor_size(node: &Node) -> Result<Bytes> {
    required_integer(node, names::TENSOR_SIZE).map(Bytes)
}

/// ASTRA-sim reads ranks and tags as 32-bit numbers, whatever their kind; likewise below.
fn peer(node: &Node, name: &str) -> Result<Rank> {
    required_integer(node, name).map(|value| Rank(value as u32))
}

fn tag(node: &Node) -> Result<u32> {
    required_integer(node, names::COMM_TAG).map(|value| value as u32)
}

/// The rank that a node says its trace is that of.
pub(crate) fn own_rank_of(node: &Node) -> Result<Option<OwnRank>> {
    let attribute = match NodeType::try_from(node.kind) {
        Ok(NodeType::Send) => names::COMM_SRC,
        Ok(NodeType::Recv) => names::COMM_DST,
        _ => return Ok(None),
    };
    let claimed = integer(node, attribute)?;
    Ok(claimed.map(|rank| OwnRank { rank: rank as u32, node: node.id, attribute }))
}

#[cfg(test)]
mod tests {

    use astra_engine::CollectiveType;

    use super::*;
    use crate::et::schema::attribute::Value;
    use crate::et::schema::{Attribute, BoolList};
    use crate::et::{Metadata, Writer};

    fn file(nodes: &[Node]) -> Vec<u8> {
        let mut writer = Writer::with_metadata(Vec::new(), &Metadata::default()).unwrap();
        nodes.iter().for_each(|n| writer.node(n).unwrap());
        writer.finish().unwrap()
    }

    fn lower_one(node: &Node) -> Result<EngineNode> {
        let workload = lower_bundle("w", &[file(std::slice::from_ref(node))], &[0], &BTreeMap::new())?;
        Ok(*workload.traces[0].node(0))
    }

    fn set(mut node: Node, name: &str, value: impl Into<Option<Value>>) -> Node {
        node.attributes.retain(|a| a.name != name);
        node.attributes.push(Attribute { value: value.into(), ..Attribute::new(name, Value::Bool(false)) });
        node
    }

    fn all_reduce() -> Node {
        Node::collective(0, "sum", CollectiveType::AllReduce, 64, None)
    }

    #[test]
    fn every_integer_kind_and_bool_is_an_integer() {
        let kinds = [
            Value::Int32(1),
            Value::Int64(1),
            Value::Uint32(1),
            Value::Uint64(1),
            Value::Sint32(1),
            Value::Sint64(1),
            Value::Fixed32(1),
            Value::Fixed64(1),
            Value::Sfixed32(1),
            Value::Sfixed64(1),
            Value::Bool(true),
        ];
        for value in kinds {
            let node = lower_one(&set(Node::send(0, "s", 3, 8, 4), "comm_dst", value)).unwrap();
            assert_eq!(node.kind, NodeKind::Send { to: Rank(1), size: Bytes(8), tag: 4 });
        }
    }

    #[test]
    fn the_first_attribute_of_a_name_wins_and_ranks_and_tags_are_cut_to_32_bits() {
        let mut node = set(Node::recv(0, "r", 3, 8, 4), "comm_tag", Value::Int64((1 << 32) + 9));
        node.attributes.push(Attribute::new("comm_src", Value::Int32(7)));
        let expected = NodeKind::Recv { from: Rank(3), size: Bytes(8), tag: 9 };
        assert_eq!(lower_one(&node).unwrap().kind, expected);
    }

    #[test]
    fn a_missing_is_cpu_op_means_accelerator_and_any_number_but_zero_means_cpu() {
        let node = Node { attributes: vec![], ..Node::compute(0, "c", 5) };
        assert_eq!(
            lower_one(&node).unwrap(),
            EngineNode { kind: NodeKind::Compute { work: None }, cpu: false, duration: Micros(5) }
        );
        assert!(lower_one(&set(node, "is_cpu_op", Value::Int32(2))).unwrap().cpu);
    }

    #[test]
    fn no_group_an_empty_one_and_zero_are_all_ranks() {
        let group = |node: &Node| match lower_one(node).unwrap().kind {
            NodeKind::Collective { group, .. } => group.map(GroupId::get),
            other => panic!("{other:?}"),
        };
        assert_eq!(group(&all_reduce()), None);
        assert_eq!(group(&set(all_reduce(), "pg_name", Value::String(String::new()))), None);
        assert_eq!(group(&set(all_reduce(), "pg_name", Value::String("0".into()))), None);
        assert_eq!(group(&set(all_reduce(), "pg_name", Value::Bytes(b"12".to_vec()))), Some(12));
    }

    #[test]
    fn involved_dimensions_come_from_a_list_of_bools() {
        let flags = BoolList { values: vec![false, true] };
        match lower_one(&set(all_reduce(), "involved_dim", Value::BoolList(flags))).unwrap().kind {
            NodeKind::Collective { involved, .. } => {
                assert_eq!([0, 1, 2].map(|d| involved.contains(d)), [false, true, false]);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_node_lacks_or_has_in_the_wrong_kind_is_named() {
        let text = || Value::String("x".into());
        let cases = [
            (set(all_reduce(), "comm_size", Value::Double(1.5)), "attribute `comm_size` is of kind double"),
            (set(all_reduce(), "comm_size", Value::Int64(-5)), "attribute `comm_size` is -5"),
            (set(all_reduce(), "comm_size", None), "attribute `comm_size` has no value"),
            (set(all_reduce(), "comm_type", Value::Int64(10)), "attribute `comm_type` is 10"),
            (
                set(all_reduce(), "pg_name", Value::Int32(1)),
                "attribute `pg_name` is of kind int32, expected text",
            ),
            (set(all_reduce(), "pg_name", text()), "attribute `pg_name` is `x`"),
            (
                set(all_reduce(), "pg_name", Value::String("2148".into())),
                "communicator group 2148 is out of range",
            ),
            (
                set(all_reduce(), "involved_dim", Value::Bool(true)),
                "attribute `involved_dim` is of kind bool",
            ),
            (set(Node::compute(0, "c", 1), "is_cpu_op", text()), "attribute `is_cpu_op` is of kind string"),
            (Node { attributes: vec![], ..Node::send(0, "s", 1, 1, 1) }, "attribute `comm_dst` is missing"),
            (Node { kind: 3, ..Node::compute(0, "m", 1) }, "attribute `tensor_size` is missing"),
            (Node { kind: 8, ..Node::compute(0, "k", 1) }, "its type is 8"),
        ];
        for (node, expected) in cases {
            let error = lower_one(&node).unwrap_err().to_string();
            assert!(error.starts_with("w.0.et: node 0 `") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn roofline_attributes_are_read_where_there_are_usable_ones_and_never_fail() {
        let node = set(Node::compute(0, "c", 1), "num_ops", Value::Int64(9));
        assert_eq!(lower_one(&node).unwrap().kind, NodeKind::Compute { work: None });
        let node = set(node, "tensor_size", Value::Uint32(4));
        let work = Some(Work { ops: 9, bytes: Bytes(4) });
        assert_eq!(lower_one(&node).unwrap().kind, NodeKind::Compute { work });
        let node = set(node, "tensor_size", Value::Double(4.0));
        assert_eq!(lower_one(&node).unwrap().kind, NodeKind::Compute { work: None });
    }

    #[test]
    fn equal_files_are_lowered_once_and_both_kinds_of_dependencies_count() {
        let mut last = Node::compute(9, "c", 1).after([1]);
        last.data_deps = vec![2, 1];
        let bytes: artifact_store::SharedBytes =
            file(&[last, Node::compute(1, "a", 1), Node::compute(2, "b", 1)]).into();
        let workload = lower_bundle("w", &[bytes], &[0, 0, 0], &BTreeMap::from([(5, vec![2, 0])])).unwrap();
        assert_eq!((workload.traces.len(), workload.trace_of_rank.len()), (1, 3));
        assert_eq!((workload.traces[0].children(0), workload.traces[0].children(1)), (&[2][..], &[2][..]));
        assert_eq!(workload.groups[&GroupId::new(5).unwrap()], [Rank(2), Rank(0)]);
    }

    #[test]
    fn a_trace_that_says_it_is_another_ranks_is_refused() {
        let claims_two = file(&[set(Node::send(4, "s", 1, 8, 0), "comm_src", Value::Int32(2))]);
        let other = file(&[Node::compute(0, "c", 1)]);
        let files = [other, claims_two];
        let groups = BTreeMap::new();
        assert!(lower_bundle("w", &files, &[0, 0, 1], &groups).is_ok());
        let error = lower_bundle("w", &files, &[0, 1, 1], &groups).unwrap_err().to_string();
        assert_eq!(error, "w.1.et: node 4: attribute `comm_src` is 2, but the trace is that of rank 1");
    }

    #[test]
    fn graphs_that_cannot_run_and_bad_tables_are_refused_with_the_file() {
        let groups = BTreeMap::new();
        let unknown = file(&[Node::compute(0, "c", 1).after([8])]);
        let error = lower_bundle("w", &[unknown], &[0], &groups).unwrap_err().to_string();
        assert!(error.starts_with("w.0.et: node 0 depends on node 8"), "{error}");
        let error = lower_bundle("w", &[file(&[])], &[0], &groups).unwrap_err().to_string();
        assert!(error.starts_with("w.0.et: the trace has no node"), "{error}");
        assert!(lower_bundle("w", &[file(&[all_reduce()])], &[1], &groups).is_err());
        assert!(lower_bundle("w", &[file(&[all_reduce()])], &[0], &BTreeMap::from([(0, vec![0])])).is_err());
    }
}
