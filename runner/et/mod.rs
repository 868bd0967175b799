//! Chakra execution traces: what each rank computes, sends, receives and takes part in.
//!
//! Reads, writes, builds and shows trace files, and lowers them to the engine's workload. Depends on the engine's
//! value types; the generated protobuf types are not used outside this module. Knows nothing of recipes, of the
//! store, or of where a file comes from.

mod attributes;
pub mod build;
mod bundle;
mod custom;
mod dump;
pub mod graph;
mod lower;
mod reader;
pub mod schema;
mod writer;

pub use bundle::{Bundle, CollectiveUse, MAX_RANKS, Summary};
pub use custom::lower_custom;
pub use dump::{DumpFormat, dump};
pub use lower::lower_bundle;
pub use reader::{MAX_MESSAGE_BYTES, Reader};
pub use schema::attribute::Value;
pub use schema::{Attribute, Metadata, Node, NodeType, Tensors};
pub use writer::{SCHEMA_VERSION, Writer};
