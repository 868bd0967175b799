//! Chakra execution traces: what each rank computes, sends, receives and takes part in.
//!
//! Reads, writes, builds and shows trace files, and lowers them to the engine's workload. Depends on the engine's
//! value types; the generated protobuf types are not used outside this module. Knows nothing of recipes, of the
//! store, or of where a file comes from.

mod attributes;
pub mod build;
mod bundle;
mod critical;
mod custom;
mod diff;
mod digest;
pub mod draw;
mod dump;
mod edit;
pub mod graph;
mod issue_order;
mod lower;
mod manifest;
mod normal;
mod parallel;
mod reader;
pub mod schema;
mod stat;
mod tally;
mod writer;

pub(crate) use attributes::names_group_zero;
pub use bundle::{Bundle, CollectiveUse, MAX_RANKS, Summary, TraceNames};
pub(crate) use critical::TAG_MODULUS;
pub use critical::{Critical, CriticalNode, CriticalPath};
pub use custom::lower_custom;
pub use diff::{Difference, NodeName, diff_by_id, diff_by_structure};
pub use digest::{HashedTrace, Names};
pub use dump::{DumpFormat, dump};
pub use edit::{Change, Edit, edit};
pub(crate) use issue_order::{IssueOrder, parents};
pub(crate) use lower::{OwnRank, lower_node, own_rank_of};
pub use lower::{lower_bundle, lower_groups};
pub use manifest::manifest;
pub use normal::normal_form;
pub use reader::{MAX_MESSAGE_BYTES, Reader, plain};
pub use schema::attribute::Value;
pub use schema::{Attribute, Metadata, Node, NodeType, Tensors};
pub use stat::{Flow, GroupStat, RankStat, Stat, Sum, stat};
pub use tally::{CollectiveTally, tally_collectives};
pub use writer::{SCHEMA_VERSION, Writer};
