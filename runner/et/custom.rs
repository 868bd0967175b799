//! Turns the trace of a member of a custom collective into the engine's form, in which the order of the file counts.

use astra_engine::{CustomTrace, TraceBuilder};

use super::lower::lower_node;
use super::reader::Reader;
use crate::{Error, Result};

/// Lowers a file; `file` names it in errors.
///
/// # Errors
/// The file is damaged, a node lacks what its type needs or is neither a computation, a send nor a receive, or
/// dependencies do not make a graph that can be run.
pub fn lower_custom(file: &str, bytes: &[u8]) -> Result<CustomTrace> {
    let mut builder = TraceBuilder::new();
    for node in Reader::from_bytes(file, bytes)? {
        let node = node?;
        let lowered = lower_node(&node).map_err(|e| e.in_file(file))?;
        let dependencies = [node.data_deps.as_slice(), &node.control_deps].concat();
        builder.push(node.id, &node.name, lowered, &dependencies);
    }
    CustomTrace::new(builder).map_err(|e| Error::input(e.to_string()).in_file(file))
}
