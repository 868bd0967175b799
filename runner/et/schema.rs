//! The messages of `proto/chakra.proto`, generated while building, and how this project fills them.
//!
//! Attribute names, their types and their order are those that DeepFlow's writer uses, so that equal nodes are equal
//! bytes. Knows the wire format and nothing of what a simulator does with a node.

pub use generated::*;

use astra_engine::CollectiveType;
use attribute::Value;

mod generated {
    include!(concat!(env!("OUT_DIR"), "/chakra.rs"));
}

/// Names of the attributes ASTRA-sim looks up.
pub(super) mod names {
    pub(crate) const IS_CPU_OP: &str = "is_cpu_op";
    pub(crate) const COMM_TYPE: &str = "comm_type";
    pub(crate) const COMM_SIZE: &str = "comm_size";
    pub(crate) const COMM_SRC: &str = "comm_src";
    pub(crate) const COMM_DST: &str = "comm_dst";
    pub(crate) const COMM_TAG: &str = "comm_tag";
    pub(crate) const PG_NAME: &str = "pg_name";
    pub(crate) const INVOLVED_DIM: &str = "involved_dim";
    pub(crate) const NUM_OPS: &str = "num_ops";
    pub(crate) const TENSOR_SIZE: &str = "tensor_size";
}

impl Attribute {
    /// An attribute without a doc string.
    pub fn new(name: &str, value: Value) -> Self {
        Self { name: name.to_owned(), doc_string: String::new(), value: Some(value) }
    }
}

impl Node {
    /// A computation on the accelerator that takes a number of microseconds.
    pub fn compute(id: u64, name: impl Into<String>, duration_micros: u64) -> Self {
        let node = Self::of(NodeType::Compute, id, name, vec![on_accelerator()]);
        Self { duration_micros, ..node }
    }

    /// A collective with its size in bytes as ASTRA-sim's `comm_size` counts; without a communicator group all ranks
    /// take part.
    pub fn collective(
        id: u64,
        name: impl Into<String>,
        kind: CollectiveType,
        size_bytes: i64,
        group: Option<u32>,
    ) -> Self {
        let mut attributes = vec![
            on_accelerator(),
            Attribute::new(names::COMM_TYPE, Value::Int64(kind.chakra() as i64)),
            Attribute::new(names::COMM_SIZE, Value::Int64(size_bytes)),
        ];
        attributes.extend(group.map(|g| Attribute::new(names::PG_NAME, Value::String(g.to_string()))));
        Self::of(NodeType::Collective, id, name, attributes)
    }

    /// A message to a rank. Receives match by source, destination, size and tag.
    pub fn send(id: u64, name: impl Into<String>, dst: i32, size_bytes: i64, tag: i32) -> Self {
        Self::of(NodeType::Send, id, name, message(size_bytes, names::COMM_DST, dst, tag))
    }

    /// A message from a rank. Sends match by source, destination, size and tag.
    pub fn recv(id: u64, name: impl Into<String>, src: i32, size_bytes: i64, tag: i32) -> Self {
        Self::of(NodeType::Recv, id, name, message(size_bytes, names::COMM_SRC, src, tag))
    }

    /// The same node, started only after the named nodes of its file have finished.
    #[must_use]
    pub fn after(mut self, ids: impl IntoIterator<Item = u64>) -> Self {
        self.control_deps.extend(ids);
        self
    }

    fn of(kind: NodeType, id: u64, name: impl Into<String>, attributes: Vec<Attribute>) -> Self {
        Self { id, name: name.into(), kind: kind as i32, attributes, ..Self::default() }
    }
}

/// Always written: readers disagree about what an absent `is_cpu_op` means.
fn on_accelerator() -> Attribute {
    Attribute::new(names::IS_CPU_OP, Value::Bool(false))
}

fn message(size_bytes: i64, peer_name: &str, peer: i32, tag: i32) -> Vec<Attribute> {
    vec![
        Attribute::new(names::COMM_SIZE, Value::Int64(size_bytes)),
        Attribute::new(peer_name, Value::Int32(peer)),
        Attribute::new(names::COMM_TAG, Value::Int32(tag)),
        on_accelerator(),
    ]
}

impl Value {
    /// The name of the value's type in the schema, for messages and dumps.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Double(_) => "double",
            Self::DoubleList(_) => "double list",
            Self::Float(_) => "float",
            Self::FloatList(_) => "float list",
            Self::Int32(_) => "int32",
            Self::Int32List(_) => "int32 list",
            Self::Int64(_) => "int64",
            Self::Int64List(_) => "int64 list",
            Self::Uint32(_) => "uint32",
            Self::Uint32List(_) => "uint32 list",
            Self::Uint64(_) => "uint64",
            Self::Uint64List(_) => "uint64 list",
            Self::Sint32(_) => "sint32",
            Self::Sint32List(_) => "sint32 list",
            Self::Sint64(_) => "sint64",
            Self::Sint64List(_) => "sint64 list",
            Self::Fixed32(_) => "fixed32",
            Self::Fixed32List(_) => "fixed32 list",
            Self::Fixed64(_) => "fixed64",
            Self::Fixed64List(_) => "fixed64 list",
            Self::Sfixed32(_) => "sfixed32",
            Self::Sfixed32List(_) => "sfixed32 list",
            Self::Sfixed64(_) => "sfixed64",
            Self::Sfixed64List(_) => "sfixed64 list",
            Self::Bool(_) => "bool",
            Self::BoolList(_) => "bool list",
            Self::String(_) => "string",
            Self::StringList(_) => "string list",
            Self::Bytes(_) => "bytes",
            Self::BytesList(_) => "bytes list",
        }
    }
}
