//! Graphs of computation and communication, as DeepFlow builds them, and the traces they become.
//!
//! [`Graph`] reads the `astra-graph` format; [`convert`] decides which rank executes what, in which order, and what
//! ranks send each other. Depends on the trace builder next to it; knows nothing of recipes, files or the store.

mod builder;
mod convert;
mod deepflow_manifest;
mod emit;
mod groups;
mod layout;
mod manifest;
mod marks;
mod mends;
mod messages;
mod model;
mod parallel;
mod program;
mod reach;
mod read;
mod read_node;
mod read_value;
mod roles;
mod rows;
mod schedule;
mod schema;
mod sources;
mod texts;

pub use convert::{Converted, GRAPH_PREFIX, convert};
pub use deepflow_manifest::deepflow_manifest;
pub use layout::Layout;
pub use manifest::manifest;
pub use mends::{ConvertOptions, Mends};
pub use model::Graph;
pub use read::GRAPH_FORMAT;
pub use schema::GRAPH_SCHEMA;

/// The axis whose replicas execute the same graph.
const REPLICA_AXIS: &str = "dp";
