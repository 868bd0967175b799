//! DeepFlow's `df-astra-manifest/1`: for each rank the sorted sizes of what it does. Nothing here depends on it; it is
//! written for those who compare with DeepFlow's cache.

use serde_json::{Value as Json, json};

use crate::Result;
use crate::et::attributes;
use crate::et::bundle::Bundle;
use crate::et::reader::Reader;
use crate::et::schema::{Node, NodeType};

/// The manifest of the first `ranks` ranks of a bundle, as DeepFlow writes it: it leaves out dependencies, peers, tags
/// and groups, so that different bundles may have the same one.
///
/// # Errors
/// A file is not a valid trace, or a node of communication lacks its size.
pub fn deepflow_manifest(bundle: &Bundle, ranks: u32) -> Result<Vec<u8>> {
    let operations = bundle.files.iter().map(|bytes| operations("trace", bytes));
    let operations = operations.collect::<Result<Vec<Json>>>()?;
    let of_rank = |(rank, file): (usize, &u32)| (rank.to_string(), operations[*file as usize].clone());
    let files = bundle.file_of_rank.iter().take(ranks as usize).enumerate();
    let by_rank: serde_json::Map<String, Json> = files.map(of_rank).collect();
    Ok(json!({ "npus": by_rank.len(), "ranks": by_rank, "version": "df-astra-manifest/1" })
        .to_string()
        .into())
}

/// The kinds of operations, in the order of the manifest.
const KINDS: [&str; 4] = ["COMP", "COMM", "SEND", "RECV"];

/// An operation: position of its kind, microseconds or bytes, type of collective.
type Operation = (usize, u64, i64);

/// What a trace does, sorted.
fn operations(file: &str, bytes: &[u8]) -> Result<Json> {
    let mut found: Vec<Operation> = Vec::new();
    for node in Reader::from_bytes(file, bytes)? {
        found.extend(operation(&node?).map_err(|error| error.in_file(file))?);
    }
    found.sort_unstable();
    let written = found.into_iter().map(|(kind, amount, collective)| match KINDS[kind] {
        "COMM" => json!(["COMM", collective, amount, null]),
        kind => json!([kind, amount]),
    });
    Ok(written.collect())
}

fn operation(node: &Node) -> Result<Option<Operation>> {
    Ok(match NodeType::try_from(node.kind) {
        Ok(NodeType::Compute) => Some((0, node.duration_micros, 0)),
        Ok(NodeType::Collective) => {
            let used = attributes::collective(node)?;
            // DeepFlow takes the 0 of an all-reduce for a missing type.
            let kind = match used.kind.chakra() as i64 {
                0 => -1,
                kind => kind,
            };
            Some((1, used.size_bytes, kind))
        }
        Ok(NodeType::Send) => Some((2, attributes::comm_size(node)?, 0)),
        Ok(NodeType::Recv) => Some((3, attributes::comm_size(node)?, 0)),
        _ => None,
    })
}
