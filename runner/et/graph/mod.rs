//! Graphs of computation and communication, as DeepFlow builds them, and the traces they become.
//!
//! [`Graph`] reads the `astra-graph` format: `read` → `builder` → `model`. [`convert`] decides who executes what (`roles`), what
//! each task waits for (`sources`), in which order (`schedule`), what stages send each other (`messages`) and in which groups
//! they communicate (`groups`), and writes that down (`program`, `emit`). Depends on the trace codec next to it; knows
//! nothing of recipes, of where files are, or of the store.

mod builder;
mod convert;
mod deepflow_manifest;
mod emit;
mod groups;
mod layout;
mod marks;
mod mends;
mod messages;
mod model;
mod passages;
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

pub use convert::{Converted, Extent, GRAPH_PREFIX, Plan, convert};
pub use deepflow_manifest::deepflow_manifest;
pub use layout::Layout;
pub use mends::{ConvertOptions, Mends};
pub use model::Graph;
pub use schema::GRAPH_SCHEMA;

/// The axis whose replicas execute the same graph.
const REPLICA_AXIS: &str = "dp";
